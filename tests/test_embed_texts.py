"""Texts through a text model: the embeddings are the model's own, whatever their batch, order and length."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from losscope import features
from losscope.core.errors import LosscopeError
from losscope.features.backbones import find
from losscope.features.backbones.sentences import POOLINGS
from losscope.features.backbones.text import pool
from losscope.features.embedding import embed as embed_command
from losscope.features.source import forget
from text_fixture import encoder, naive, pairs, reviews, sentence_model, sentences

pytest.importorskip("transformers")
pytest.importorskip("tokenizers")
pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return encoder(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="module")
def minilm(tmp_path_factory) -> Path:
    return sentence_model(tmp_path_factory.mktemp("models") / "minilm")


def run(data: Path, backbone: Path, **options):
    forget()
    return features.embed(str(data), backbone=str(backbone), device="cpu", **options)


def inputs_of(made) -> np.ndarray:
    return np.asarray(made.table.pool.inputs, np.float64)


# The model's own embeddings


def test_a_plain_encoder_gives_the_mean_over_its_tokens(bert, tmp_path):
    texts, labels = sentences()
    made = run(reviews(tmp_path / "r.csv"), bert)
    assert made.table.pool.inputs.shape == (96, 32)
    np.testing.assert_allclose(inputs_of(made), naive(bert, texts, 40), rtol=2e-3, atol=2e-3)
    names = np.array(made.table.facts.class_names)
    assert names[made.table.pool.labels].tolist() == labels
    assert any("declares no pooling" in note for note in made.table.facts.notes)


@pytest.mark.parametrize("kind", ["mean", "cls"])
def test_a_sentence_transformers_folder_gives_what_it_declares(kind, tmp_path):
    flag = "pooling_mode_cls_token" if kind == "cls" else "pooling_mode_mean_tokens"
    folder = sentence_model(tmp_path / "model", {flag: True}, most=10)
    texts, _ = sentences()
    wanted = naive(folder, texts, 10, kind)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    made = run(reviews(tmp_path / "r.csv"), folder)
    np.testing.assert_allclose(inputs_of(made), wanted, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(inputs_of(made), axis=1), 1, atol=2e-3)
    long = sum(len(text.split()) + 2 > 10 for text in texts)
    assert 10 < long < 96
    assert any(
        f"{long} of 96 different texts are longer than the 10 tokens" in n for n in made.table.facts.notes
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dense": 8},
        {"pooling": {"pooling_mode_cls_token": True}, "normalise": False},
        {"pooling": {"pooling_mode": ["cls", "max"]}},
        {"pooling": {"pooling_mode": "weightedmean"}},
        {"pooling": {"pooling_mode": "mean_sqrt_len_tokens"}},
        {"pooling": {"pooling_mode": "lasttoken"}, "most": 12},
        {"prompts": {"query": "query : "}, "prompt": "query"},
        {
            "prompts": {"query": "query : "},
            "prompt": "query",
            "pooling": {"pooling_mode": "mean", "include_prompt": False},
        },
        {"most": None},
    ],
    ids=lambda options: "-".join(options) or "usual",
)
def test_it_is_what_sentence_transformers_gives(options, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    folder = sentence_model(tmp_path / "model", **options)
    texts, _ = sentences()
    model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    wanted = model.encode(texts, batch_size=7, show_progress_bar=False)
    found = inputs_of(run(reviews(tmp_path / "r.csv"), folder, batch_size=9))
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=3e-3, atol=3e-3)


@pytest.mark.parametrize("mode", POOLINGS)
def test_pooling_by_loops(mode):
    rng = np.random.default_rng(0)
    found, counted = rng.normal(size=(4, 6, 3)), np.ones((4, 6))
    counted[1, :2] = counted[2, :5] = 0
    wanted = np.zeros((4, 3))
    for row in range(4):
        places = [place for place in range(6) if counted[row, place]]
        values = [found[row, place] for place in places]
        if mode == "cls":
            wanted[row] = values[0]
        elif mode == "lasttoken":
            wanted[row] = values[-1]
        elif mode == "max":
            wanted[row] = np.max(values, axis=0)
        elif mode == "weightedmean":
            weights = [place + 1 for place in places]
            wanted[row] = sum(w * v for w, v in zip(weights, values)) / sum(weights)
        else:
            wanted[row] = sum(values) / (len(values) if mode == "mean" else np.sqrt(len(values)))
    made = pool(torch.from_numpy(found), torch.from_numpy(counted), mode)
    np.testing.assert_allclose(made.numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("size", [1, 5, 64])
def test_a_text_does_not_depend_on_its_batch(minilm, tmp_path, size, monkeypatch):
    """Nor on the order of the rows: a shard ends after a few rows here."""
    monkeypatch.setattr("losscope.features.passes.SHARD", 8)
    whole = run(reviews(tmp_path / "r.csv"), minilm)
    texts, labels = sentences()
    order = np.random.default_rng(0).permutation(96)
    frame = pd.DataFrame({"text": texts, "label": labels}).iloc[order]
    frame.to_csv(tmp_path / "other.csv", index=False)
    other = run(tmp_path / "other.csv", minilm, batch_size=size)
    np.testing.assert_allclose(inputs_of(other), inputs_of(whole)[order], atol=1e-3)


def test_an_encoder_and_decoder_gives_its_encoder(tmp_path, bert):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "t5"
    shutil.copytree(bert, folder)
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=60, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    transformers.T5EncoderModel(config).save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**saved, "is_encoder_decoder": True}))
    made = run(reviews(tmp_path / "r.csv"), folder)
    model = transformers.T5EncoderModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    texts, _ = sentences()
    with torch.inference_mode():
        ids = tokenizer(texts[5], return_tensors="pt")["input_ids"]
        wanted = model(input_ids=ids).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(inputs_of(made)[5], wanted, rtol=3e-3, atol=3e-3)


def test_texts_of_one_length_go_together_and_none_is_padded(minilm, tmp_path, monkeypatch):
    """At most one pass for each full batch and one more for each number of tokens; the longest first."""
    from losscope.features.backbones.text import TextModel

    shapes: list[tuple[int, ...]] = []
    before = TextModel.__call__

    def counting(self, batch):
        if batch.device.type != "meta":
            shapes.append(tuple(batch.shape))
        return before(self, batch)

    monkeypatch.setattr(TextModel, "__call__", counting)
    texts, _ = sentences(400)
    run(reviews(tmp_path / "r.csv", 400), minilm, batch_size=16)
    lengths = [min(len(text.split()) + 2, 16) for text in texts]
    assert sum(rows * tokens for rows, _, tokens in shapes) == sum(lengths)
    assert len(shapes) <= 400 / 16 + 1 + len(set(lengths))
    assert [tokens for *_, tokens in shapes] == sorted((tokens for *_, tokens in shapes), reverse=True)


def test_the_worked_example_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    """With a small random model in the place of the published one, and fewer seeds and epochs."""
    import re

    page = (Path(__file__).parent.parent / "docs" / "text.md").read_text(encoding="utf-8")
    code = re.search(r"^```python\n(.*?)^```$", page, re.S | re.M)[1]
    said = re.search(r"^```text\n(.*?)^```$", page, re.S | re.M)[1].strip().splitlines()
    words = tuple(re.sub(r"[^a-zA-Z ]", " ", code).split())
    model = encoder(tmp_path / "model", words=words)
    monkeypatch.chdir(tmp_path)
    published = "sentence-transformers/all-MiniLM-L6-v2"
    assert published in code and "seeds=10" in code
    code = code.replace(published, str(model)).replace("seeds=10", "seeds=2, epochs=2, tune=False")
    forget()
    exec(compile(code, "text.md", "exec"), {})
    assert "raw" in capsys.readouterr().out
    table = run(Path("faq.csv"), model).table
    told = [table.describe(), *table.facts.notes]
    for line in said:
        line = line.replace("384", "32")
        assert any(line in text for text in told), line


# The cache


def test_nothing_is_computed_twice_and_an_interrupted_pass_goes_on(minilm, tmp_path, monkeypatch):
    monkeypatch.setattr("losscope.features.passes.SHARD", 16)
    path = reviews(tmp_path / "r.csv")
    whole = run(path, minilm, batch_size=4)
    kept = np.array(whole.table.pool.inputs)
    again = run(path, minilm, batch_size=4)
    assert again.cached and again.key == whole.key
    assert again.table.facts.notes == whole.table.facts.notes
    for file in whole.folder.iterdir():
        file.unlink()

    class Stop(Exception):
        pass

    def stopping(done: int, total: int) -> None:
        if done >= 48:
            raise Stop

    with pytest.raises(Stop):
        run(path, minilm, batch_size=4, progress=stopping)
    seen: list[int] = []
    resumed = run(path, minilm, batch_size=4, progress=lambda done, total: seen.append(done))
    assert seen[0] >= 32
    np.testing.assert_array_equal(resumed.table.pool.inputs, kept)


def test_the_key_holds_texts_prompts_weights_and_settings(minilm, bert, tmp_path):
    path = reviews(tmp_path / "r.csv")
    keys = {
        run(path, minilm, compute=False).key,
        run(path, bert, compute=False).key,
        run(path, minilm, compute=False, preprocess=["pool=cls"]).key,
        run(path, minilm, compute=False, preprocess=["max_seq_length=8"]).key,
        run(path, minilm, compute=False, preprocess=["prompt='query : '"]).key,
        run(reviews(tmp_path / "more.csv", 100), minilm, compute=False).key,
    }
    assert len(keys) == 6
    assert run(reviews(tmp_path / "same.jsonl"), minilm, compute=False).key in keys


def test_a_repeated_text_is_computed_once(minilm, tmp_path):
    texts, labels = sentences(40)
    frame = pd.DataFrame({"text": texts * 3, "label": labels * 3})
    frame.to_csv(tmp_path / "r.csv", index=False)
    totals: set[int] = set()
    made = run(tmp_path / "r.csv", minilm, progress=lambda done, total: totals.add(total))
    assert totals == {40}
    assert made.table.pool.inputs.shape == (120, 32)
    np.testing.assert_array_equal(made.table.pool.inputs[:40], made.table.pool.inputs[80:])
    assert made.table.facts.health.repeated == 80


def test_the_plan_says_what_the_run_says(minilm, tmp_path):
    path = reviews(tmp_path / "r.csv")
    planned = run(path, minilm, compute=False).table
    assert planned.facts.pending and planned.facts.shape == (32,)
    notes = planned.facts.notes
    assert any("features of 96 of 96 texts" in note for note in notes)
    done = run(path, minilm).table
    assert set(notes) - set(done.facts.notes) == {note for note in notes if "to be computed" in note}
    assert planned.digest == done.digest


# Prompts


def _texts_of(path: Path) -> tuple[str, ...]:
    from losscope.data.loading import undecoded_texts

    return undecoded_texts(path)[0].texts


def test_queries_and_documents_get_their_own_prompts(tmp_path):
    prompts = {"query": "query : ", "passage": "passage : "}
    folder = sentence_model(tmp_path / "model", most=None, normalise=False, prompts=prompts)
    path = pairs(tmp_path / "p.csv", names=("query", "document"))
    frame = pd.read_csv(path)
    made = run(path, folder)
    texts = [*frame["query"], *frame["document"]]
    asks = [True] * 96 + [False] * 96
    order = {text: row for row, text in enumerate(_texts_of(path))}
    rows = [order[text] for text in texts]
    assert made.table.pool.retrieval.query[rows].tolist() == asks
    wanted = naive(folder, [prompts["query" if q else "passage"] + t for q, t in zip(asks, texts)], 40)
    np.testing.assert_allclose(inputs_of(made)[rows], wanted, rtol=3e-3, atol=3e-3)
    assert any("each query has the prompt 'query : '" in note for note in made.table.facts.notes)
    plain = inputs_of(run(path, folder, preprocess=["prompt=''"]))[rows]
    np.testing.assert_allclose(plain, naive(folder, texts, 40), rtol=3e-3, atol=3e-3)
    with pytest.raises(LosscopeError, match="unknown prompt of .* 'qurey'; did you mean 'query'"):
        run(path, folder, preprocess=["prompt=qurey"])


# The command


def test_the_feature_file_gives_the_same_study(minilm, tmp_path):
    said: list[str] = []
    done = embed_command(
        str(reviews(tmp_path / "r.parquet")),
        str(minilm),
        out=tmp_path / "r.npz",
        say=said.append,
        device="cpu",
    )
    assert (done.rows, done.width) == (96, 32)
    assert any("computing features of 96 texts" in text for text in said)
    made = run(tmp_path / "r.parquet", minilm).table
    from losscope import data

    read = data.load(tmp_path / "r.npz")
    np.testing.assert_array_equal(read.pool.inputs, made.pool.inputs)
    assert read.facts.class_names == made.facts.class_names
    np.testing.assert_array_equal(read.pool.labels, made.pool.labels)


def test_a_feature_file_of_pairs_keeps_who_asks(minilm, tmp_path):
    path = pairs(tmp_path / "p.csv", names=("query", "passage"))
    embed_command(str(path), str(minilm), out=tmp_path / "p.npz", device="cpu")
    made = run(path, minilm).table
    from losscope import data

    read = data.load(tmp_path / "p.npz")
    assert read.facts.searched.queries == made.facts.searched.queries
    assert read.sizes()[2] == made.sizes()[2]
    tuples = pairs(tmp_path / "t.csv", names=("text1", "text2"), same=np.arange(96) % 2)
    with pytest.raises(LosscopeError, match="explicit pairs or triplets, which --out does not hold"):
        embed_command(str(tuples), str(minilm), out=tmp_path / "t.npz", device="cpu")


def test_compare_learns_from_pairs_of_texts(tmp_path):
    """Bags of nearly the same words: most partners are found, which by chance is one of 29."""
    import losscope

    model = encoder(tmp_path / "bag", ordered=False)

    path = pairs(tmp_path / "p.csv", names=("query", "passage"))
    asked = {"backbone": str(model), "seeds": 2, "epochs": 3, "tune": False, "out": tmp_path / "out"}
    forget()
    result = losscope.compare(str(path), losses=["contrastive", "info_nce"], **asked)
    scores = {side.name: side.measures["recall_at_1"].mean for side in (*result.losses, *result.baselines)}
    assert scores.keys() >= {"contrastive", "info_nce", "raw"}
    assert scores["raw"] > 0.5
    assert "without classes, of 96 items" in result.data.described
    with pytest.raises(LosscopeError, match="'arcface' learns one vector per class.*pairs without classes"):
        losscope.compare(str(path), losses=["contrastive", "arcface"], **asked)
    with pytest.raises(LosscopeError, match="'classification' wants classes"):
        losscope.compare(str(path), losses=["contrastive", "triplet"], goal="classification", **asked)


# Mistakes


def test_a_model_of_another_kind_is_one_sentence(minilm, bert, vit, photos, weights, tmp_path):
    path = reviews(tmp_path / "r.csv")
    with pytest.raises(LosscopeError, match="holds texts .*text.*takes images or sounds.*text model"):
        run(path, vit)
    with pytest.raises(LosscopeError, match="holds texts .*takes images or sounds.*text model"):
        run(path, weights)
    for model in (minilm, bert):
        with pytest.raises(LosscopeError, match="is a folder, and the backbone is a text model"):
            run(photos, model)
        with pytest.raises(LosscopeError, match="is a text model and these are images"):
            find(str(model), "images")
    with pytest.raises(LosscopeError, match="digits is no table of texts"):
        run(Path("digits"), minilm)
    with pytest.raises(LosscopeError, match="takes no texts alone"):
        find(str(vit), "texts")
    with pytest.raises(LosscopeError, match="takes images and these are texts"):
        find(str(weights), "texts")


def test_what_a_folder_lacks_or_wants_run_is_refused(tmp_path, bert):
    path = reviews(tmp_path / "r.csv")

    def changed(name: str, change) -> Path:
        folder = sentence_model(tmp_path / name)
        change(folder)
        return folder

    def module(kind: str, path: str = ""):
        def change(folder: Path) -> None:
            modules = json.loads((folder / "modules.json").read_text())
            modules[0 if kind.startswith("my") else 2] |= {"type": kind, "path": path}
            (folder / "modules.json").write_text(json.dumps(modules))

        return change

    def pickled(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    def bare(folder: Path) -> None:
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            (folder / name).unlink(missing_ok=True)

    for name, change, said in (
        ("own", module("my_code.Transformer"), "code of a model is never run"),
        ("odd", module("sentence_transformers.models.LSTM"), "consists of Transformer, Pooling, LSTM"),
        ("out", module("sentence_transformers.models.Dense", "../bert"), "outside of its folder"),
        ("pickle", pickled, "is a pickle and never read.*safetensors"),
        ("bare", bare, "no tokenizer beside its weights"),
        ("broken", lambda folder: (folder / "modules.json").write_text("{"), "is not valid JSON"),
    ):
        with pytest.raises(LosscopeError, match=said):
            run(path, changed(name, change))
    for preprocess, said in (
        (["pool=maen"], "unknown pool 'maen'; did you mean 'mean'"),
        (["max_seq_length=2"], "max_seq_length is 2"),
        (["max_seq_length=99"], "has 40 positions"),
        (["size=32"], "unknown preprocessing of"),
    ):
        with pytest.raises(LosscopeError, match=said):
            run(path, bert, preprocess=preprocess)


def test_code_that_comes_with_a_model_is_never_run(tmp_path):
    folder = encoder(tmp_path / "own")
    (folder / "modeling.py").write_text("import pathlib\npathlib.Path('ran').touch()\nraise SystemExit\n")
    config = json.loads((folder / "config.json").read_text())
    names = {
        "AutoConfig": "modeling.Config",
        "AutoModel": "modeling.Model",
        "AutoTokenizer": ["modeling.T", None],
    }
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "my_own", "auto_map": names}))
    with pytest.raises(LosscopeError, match="cannot be (built|read)"):
        run(reviews(tmp_path / "r.csv"), folder)
    assert not list(tmp_path.rglob("ran")) and not Path("ran").exists()


@pytest.mark.parametrize(
    ("files", "texts"),
    [
        (
            ["config.json", "model.safetensors", "tokenizer.json", "modules.json", "1_Pooling/config.json"],
            True,
        ),
        (["config.json", "model.safetensors", "preprocessor_config.json"], False),
    ],
)
def test_what_is_fetched_of_the_hub(files, texts, tmp_path, monkeypatch):
    """Through a stand-in for the hub: a text model's tokenizer and layers, and never a pickle or code."""
    import fnmatch

    import huggingface_hub

    from losscope.features.backbones import huggingface

    asked: list[str] = []
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *given: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface, "reachable", lambda endpoint: True)
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda name: files)
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name, allow_patterns, etag_timeout: asked.extend(allow_patterns) or str(tmp_path),
    )
    assert huggingface.snapshot("some/model") == tmp_path

    def taken(name: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in asked)

    assert all(taken(name) for name in files)
    assert taken("2_Dense/model.safetensors") == texts
    assert not any(taken(name) for name in ("pytorch_model.bin", "modeling.py", "data.pkl"))


def test_explicit_pairs_name_texts_by_their_ids(minilm, tmp_path):
    path = reviews(tmp_path / "r.csv", id=[f"t{row}" for row in range(96)])
    rng = np.random.default_rng(0)
    ends = rng.permutation(96).reshape(48, 2)
    frame = pd.DataFrame(ends, columns=["i", "j"]).map(lambda row: f"t{row}").assign(same=[0, 1] * 24)
    frame.to_csv(tmp_path / "pairs.csv", index=False)
    made = run(path, minilm, pairs=str(tmp_path / "pairs.csv"))
    np.testing.assert_array_equal(made.table.pool.pairs[:, :2], ends)


def test_a_rewritten_file_of_pairs_is_read_again(minilm, tmp_path):
    path = reviews(tmp_path / "r.csv")
    for count in (9, 5):
        frame = pd.DataFrame({"i": range(count), "j": range(1, count + 1), "same": 1})
        frame.to_csv(tmp_path / "pairs.csv", index=False)
        words = {"backbone": str(minilm), "device": "cpu", "pairs": str(tmp_path / "pairs.csv")}
        assert len(features.embed(str(path), **words).table.pool.pairs) == count


def test_a_plan_remembers_no_file(minilm, tmp_path, cache):
    for path in minilm.rglob("*"):
        os.utime(path, (0, 0))  # files as young as a test's are never remembered
    run(reviews(tmp_path / "r.csv"), minilm, compute=False)
    assert not cache.exists()


def test_weights_that_are_missing_are_never_random(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = encoder(tmp_path / "bert")
    tensors = load_file(folder / "model.safetensors")
    lacking = {name: tensor for name, tensor in tensors.items() if "layer.1.output.dense" not in name}
    save_file(lacking, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(LosscopeError, match="2 weights of .* would be random"):
        run(reviews(tmp_path / "r.csv"), folder)


def test_unknown_words_are_counted(minilm, tmp_path):
    texts, labels = sentences(40)
    texts[3] = "xylograph quaver zeugma oxbow"
    pd.DataFrame({"text": texts, "label": labels}).to_csv(tmp_path / "r.csv", index=False)
    made = run(tmp_path / "r.csv", minilm)
    assert any("1 of 40 different texts consist mostly of tokens" in note for note in made.table.facts.notes)
