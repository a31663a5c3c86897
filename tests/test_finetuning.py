"""A backbone that trains: only what was asked for changes, as a plain loop would change it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import losscope
import naive_losses
from embed_fixture import photos, small_vit, small_wav2vec
from files_fixture import tone
from losscope import features
from losscope.core.errors import LosscopeError
from losscope.core.finetuning import FineTune
from losscope.core.spec import Run, Study
from losscope.data import Source
from losscope.features.source import forget
from losscope.run.store import Store
from losscope.train import Population, finetuning, train
from text_fixture import encoder, pairs, reviews

pytest.importorskip("peft", reason="backbones that train need transformers and peft, of the extra hf")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """48 photos and a vision transformer of two blocks."""
    home = tmp_path_factory.mktemp("tuned")
    photos(home / "photos")
    small_vit(home / "vit")
    return home


@pytest.fixture(scope="module")
def source(home, tmp_path_factory) -> Source:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOSSCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        forget()
        return features.load(str(home / "photos"), backbone=str(home / "vit"), device="cpu")


def run_of(finetune: str, epochs: int = 2, loss: str = "contrastive(margin=0.5)", **changes: Any) -> Run:
    study = Study.of(
        data="photos",
        backbone="vit",
        losses=[loss],
        seeds=1,
        epochs=epochs,
        batch_size=8,
        embedding_size=8,
        finetune=finetune,
        **changes,
    )
    return study.resolve("features").runs()[0]


def trained(source: Source, run: Run, **words: Any) -> Any:
    finetuning.forget()
    (record,) = train([run], [source.splits(0)], **words)
    assert record.status == "complete", record.reason
    return record


def population(source: Source, run: Run) -> Population:
    finetuning.forget()
    return Population([run], [source.splits(0)], CPU)


def of_file(home: Path) -> dict[str, np.ndarray]:
    """The weights as transformers reads them."""
    from transformers import ViTModel

    model = ViTModel.from_pretrained(home / "vit")
    return {name: value.detach().numpy() for name, value in model.named_parameters()}


def test_the_last_block_alone_changes(source, home):
    record = trained(source, run_of("last:1", backbone_rate=1.0))
    mine = {name for name in record.weights if name.startswith("backbone.")}
    assert set(record.weights) - mine == {"0.weight", "0.bias"}
    assert mine and all(".1." in name for name in mine)
    before = of_file(home)
    for name in mine:
        own = name.removeprefix("backbone.model.")
        assert before[own].shape == record.weights[name].shape
        # Attention does not depend on what all keys have in common, so that their bias has no gradient.
        assert ("k_proj.bias" in own or "key.bias" in own) or not np.array_equal(
            before[own], record.weights[name]
        )
    network = finetuning._opened[2].network
    for name, value in network.named_parameters():
        assert np.array_equal(before[name.removeprefix("model.")], value.numpy()), name


def test_lora_changes_only_weights_of_its_own(source, home):
    run = run_of("lora:2", backbone_rate=1.0)
    record = trained(source, run)
    mine = [name for name in record.weights if name.startswith("backbone.")]
    assert mine and all("lora_A" in name or "lora_B" in name for name in mine)
    # Six linear layers of each of two blocks, with two factors each.
    assert len(mine) == 2 * 2 * 6
    before = of_file(home)
    network = finetuning._opened[2].network
    for name, value in network.named_parameters():
        if "lora" not in name:
            own = name.removeprefix("model.").replace(".base_layer", "")
            assert np.array_equal(before[own], value.numpy()), name
    start = finetuning._opened[2].start(0)
    assert all(not value.any() for name, value in start.items() if "lora_B" in name)
    assert any(np.any(record.weights[name]) for name in mine if "lora_B" in name)


@pytest.mark.parametrize("decay", [0.0, 30.0])
def test_all_is_what_a_plain_loop_of_autograd_gives(source, home, decay):
    from transformers import ViTModel

    run = run_of("all", backbone_rate=0.25, loss=f"contrastive(margin=0.5, weight_decay={decay})")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        ours, other = population(source, run), population(source, run)
        model = ViTModel.from_pretrained(home / "vit", dtype=torch.float64).eval()
        weight, bias = (other.stack.network[name][0].detach().clone() for name in ("0.weight", "0.bias"))
        leaves = {f"backbone.model.{name}": value for name, value in model.named_parameters()}
        leaves = {name: value for name, value in leaves.items() if name in other.stack.network}
        assert len(leaves) == len(list(model.parameters())) - 2  # the pooler is not used
        leaves |= {"0.weight": weight.requires_grad_(), "0.bias": bias.requires_grad_()}
        start = {name: value.detach().clone() for name, value in leaves.items()}
        rates = {name: 1e-3 * (0.25 if name.startswith("backbone.") else 1.0) for name in leaves}
        adam = torch.optim.Adam([{"params": [value], "lr": rates[name]} for name, value in leaves.items()])
        steps = list(ours.batches.epoch(ours.embed))[:4]
        for inputs, relation in steps:
            ours.step(inputs, relation)
            rows = inputs.flatten().long().tolist()
            pixels = torch.from_numpy(np.concatenate([group.values for group in source.trunk.rows(rows)]))
            found = model(pixels.double()).last_hidden_state[:, 0]
            z = torch.nn.functional.normalize(found, dim=1) @ weight + bias
            adam.zero_grad()
            naive_losses.contrastive(z, torch.from_numpy(source.pool.labels[rows])).backward()
            with torch.no_grad():
                for name, value in leaves.items():
                    value += rates[name] * decay * (start[name] - value)
            adam.step()
        assert len(steps) >= 3
        for name, value in leaves.items():
            if "key.bias" in name or "k_proj.bias" in name:
                continue  # its gradient is rounding alone, which Adam divides by its own size
            moved = float((value.detach() - start[name]).abs().max())
            off = float((ours.stack.network[name][0].detach() - value.detach()).abs().max())
            assert off < 1e-9 < moved, (name, off, moved)
    finally:
        torch.set_default_dtype(before)
        finetuning.forget()


@pytest.mark.parametrize("finetune", ["last:1", "lora:2", "all"])
def test_what_is_computed_twice_gives_the_same_gradients(source, finetune):
    found, calls = [], []
    for recompute in (None, True):
        own = population(source, run_of(finetune, recompute=recompute))
        block = finetuning._opened[2].network.get_submodule(_last_block(finetuning._opened[2].network))
        seen: list[int] = []
        next(iter(block.children())).register_forward_hook(lambda *_, seen=seen: seen.append(1))
        own.step(*next(iter(own.batches.epoch(own.embed))))
        found.append(own.stack.grad.clone())
        calls.append(len(seen))
    assert torch.equal(*found) and found[0].abs().max() > 0
    assert calls == [1, 2]
    ids = {run_of(finetune, recompute=recompute).canonical() for recompute in (None, True)}
    assert len(ids) == 1


def _last_block(network: torch.nn.Module) -> str:
    return finetuning.blocks_of(network, [name for name, _ in network.named_parameters()])[-1][0]


@pytest.mark.parametrize("finetune", ["last:2", "lora", "all"])
def test_the_start_is_the_frozen_model(source, finetune):
    start = "contrastive(margin=0.5, checkpoint=0)"
    tuned, still = (population(source, run_of(way, loss=start)) for way in (finetune, "head"))
    assert torch.equal(tuned.stack.network["0.weight"], still.stack.network["0.weight"])
    # The frozen features are kept in half precision.
    torch.testing.assert_close(tuned.view().validation, still.view().validation, atol=0.01, rtol=0)
    before, after = (trained(source, run_of(way, loss=start, epochs=1)) for way in ("head", finetune))
    for name in ("intra_variance", "inter_distance", "uniformity", "effective_rank"):
        assert after.measures["test"][name] == pytest.approx(before.measures["test"][name], rel=0.01), name
    assert {epoch for _, epoch, _, _ in after.trace} == {0, 1}


def test_a_row_whose_number_would_be_rounded_to_anothers_is_refused(source):
    splits = source.splits(0)
    for shift in (0, 2**24 - 1 - int(splits.train.rows.max())):
        far = replace(splits, train=replace(splits.train, rows=splits.train.rows + shift))
        assert np.array_equal(finetuning._numbered(far).train.inputs[:, 0].astype(np.int64), far.train.rows)
    far = replace(splits, train=replace(splits.train, rows=splits.train.rows + 2**24))
    with pytest.raises(LosscopeError, match="the source has more than 16,777,216 rows"):
        finetuning._numbered(far)


def test_an_interrupted_training_ends_as_a_whole_one(source, tmp_path):
    run = run_of("last:1", epochs=3)
    whole = trained(source, run)

    class Stop(KeyboardInterrupt):
        pass

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise Stop

    with pytest.raises(Stop):
        trained(source, run, checkpoint=tmp_path / "one.pt", progress=stop)
    seen: list[int] = []
    again = trained(source, run, checkpoint=tmp_path / "one.pt", progress=lambda done, _: seen.append(done))
    assert seen == [2, 3]
    assert repr(again.measures) == repr(whole.measures) and repr(again.trace) == repr(whole.trace)
    assert all(np.array_equal(again.weights[name], value) for name, value in whole.weights.items())


def test_a_record_has_all_that_a_head_has(source):
    tuned, still = trained(source, run_of("last:1")), trained(source, run_of("head"))
    assert tuned.measures.keys() == still.measures.keys()
    for split, values in still.measures.items():
        assert tuned.measures[split].keys() == values.keys()
    names = [{(split, epoch, name) for split, epoch, name, _ in own.trace} for own in (tuned, still)]
    assert names[0] == names[1]
    assert tuned.arrays.keys() == still.arrays.keys()
    assert tuned.course.keys() == still.course.keys()
    assert tuned.provenance["parameters"] > still.provenance["parameters"]


def test_half_precision_is_of_the_backbone_alone(source):
    found = {}
    for precision in ("float32", "bfloat16"):
        own = population(source, run_of("last:2", precision=precision))
        (found[precision],) = own.view().validation
        own.step(*next(iter(own.batches.epoch(own.embed))))
        assert own.stack.flat.dtype == own.stack.grad.dtype == torch.float32
        assert torch.isfinite(own.stack.grad).all()
    off = (found["float32"] - found["bfloat16"]).abs().max()
    assert 0 < off < 0.2


def test_members_train_one_after_the_other(source):
    run = run_of("last:1")
    both = [run, run.model_copy(update={"seed": 1})]
    records = train(both, [source.splits(own.seed) for own in both])
    alone = trained(source, run)
    assert repr(records[0].measures) == repr(alone.measures)
    assert records[1].measures != records[0].measures


def test_a_study_of_a_tuned_backbone_stands_beside_the_frozen_one(home, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(home)
    words = {"losses": "contrastive", "seeds": 2, "epochs": 2, "batch_size": 8, "out": tmp_path / "out"}
    result = losscope.compare("photos", backbone="vit", finetune="last:1", engine="here", **words)
    assert {"raw", "pca", "whitened"} <= {side.name for side in result.sides}
    assert result.protocol.finetune == "last:1" and result.protocol.backbone_rate == 0.01
    from losscope.core.wording.methods import method

    said = " ".join(sentence.text for sentence in method(result))
    assert "the last transformer block of the backbone was trained with it, at 0.01 times" in said
    head = losscope.compare("photos", backbone="vit", engine="here", tune=False, **words)
    # What no loss trains is measured on frozen features, once for both.
    for side in ("raw", "pca", "whitened"):
        assert result.side(side).runs == head.side(side).runs
    embed = losscope.embedder(tmp_path / "out", "contrastive", study=_study(result))
    assert embed.takes == "images"
    kept = Store(tmp_path / "out", create=False).get(embed.run).embeddings()
    test = features.load("photos", backbone="vit", device="cpu").splits(0).test
    paths = [next(Path("photos").rglob(f"*{Path(name).name}")) for name in test.names]
    np.testing.assert_allclose(embed(paths), kept["embeddings"], atol=1e-5)
    from PIL import Image

    pixels = np.asarray(Image.open(paths[0]).convert("RGB"))
    np.testing.assert_allclose(embed([pixels])[0], kept["embeddings"][0], atol=1e-5)
    assert embed([]).shape == (0, kept["embeddings"].shape[1])
    with pytest.raises(LosscopeError, match="a row of type float cannot be embedded"):
        embed([0.5])
    with pytest.raises(LosscopeError, match="a row of type PosixPath cannot be embedded"):
        embed([Path("nowhere.png")])
    config = json.loads(Path("vit/preprocessor_config.json").read_text())
    other = tmp_path / "vit"
    small_vit(other, seed=1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LosscopeError, match="with other weights or preprocessing"):
        losscope.embedder(tmp_path / "out", "contrastive", study=_study(result))
    assert config["size"] == {"height": 32, "width": 32}


def _study(result: Any) -> str:
    return Path(result.report_file).parent.name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            {"finetune": "last:3"},
            "'last:3' wants the last 3 transformer blocks of 'vit', which has 2; wanted",
        ),
        ({"finetune": "last"}, "cannot fine-tune 'last' of a backbone; choices: head, last:K"),
        ({"finetune": "last:0"}, "cannot fine-tune 'last:0'"),
        (
            {"finetune": "lora:17"},
            "the rank 17 is larger than the smallest linear layer of 'vit', which has 16",
        ),
        ({"finetune": "all", "backbone": None}, "trains a backbone, and none is given; give --backbone"),
        (
            {"precision": "bfloat16"},
            "precision is of a backbone that is trained, and none is; give --finetune",
        ),
        ({"finetune": "head", "recompute": True}, "recompute is of a backbone that is trained"),
        ({"finetune": "all", "precision": "float16"}, "precision.*'float32' or 'bfloat16'"),
        ({"finetune": "all", "backbone_rate": 2.0}, "backbone_rate"),
        (
            {"finetune": "all", "augment": ["flip"]},
            "augment=flip changes images, and a backbone sees images as",
        ),
    ],
)
def test_a_mistake_is_one_sentence_before_features_are_computed(
    home, cache, tmp_path, monkeypatch, words, said
):
    monkeypatch.chdir(home)
    with pytest.raises(LosscopeError, match=said) as error:
        losscope.compare(
            "photos", **{"backbone": "vit", "losses": "contrastive", "out": tmp_path / "o", **words}
        )
    assert "\n" not in str(error.value)
    assert not list(cache.rglob("features.npy")) and not list((tmp_path / "o").rglob("run.json"))


def test_what_has_no_blocks_or_is_no_module_is_refused(home, weights, cache, tmp_path, monkeypatch):
    from transformers import ResNetConfig, ResNetModel

    monkeypatch.chdir(home)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(tmp_path / "resnet")
    words = {"losses": "contrastive", "out": tmp_path / "o"}
    for way in ("last:1", "lora"):
        with pytest.raises(
            LosscopeError, match="has no transformer blocks, of which .* choices: all, or head"
        ):
            losscope.compare("photos", backbone=tmp_path / "resnet", finetune=way, **words)
    with pytest.raises(LosscopeError, match="cannot be trained: it is no model of Hugging Face"):
        losscope.compare("photos", backbone=weights, finetune="all", **words)
    found = features.load("photos", backbone=str(tmp_path / "resnet"), device="cpu")
    record = trained(found, run_of("all", epochs=1, recompute=True))
    assert any("stages.1" in name for name in record.weights)


def test_texts_and_pairs_of_texts_without_classes(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoder(tmp_path / "bert")
    table = features.load(str(reviews(tmp_path / "texts.csv")), backbone="bert", device="cpu")
    own = population(table, run_of("all"))
    before = own.view().validation
    still = population(table, run_of("head")).view().validation
    # Texts are filled up to the longest of a batch, which changes nothing but the rounding.
    torch.testing.assert_close(before, still, atol=0.01, rtol=0)
    record = trained(table, run_of("all", epochs=1))
    names = {name for name in record.weights if "word_embeddings" in name}
    assert len(names) == 1
    path = pairs(tmp_path / "p.csv", names=("query", "passage"))
    words = {"losses": "info_nce", "seeds": 2, "epochs": 1, "batch_size": 64, "out": tmp_path / "out"}
    result = losscope.compare(path, backbone="bert", finetune="lora", engine="here", **words)
    assert result.side("info_nce").measures["recall_at_1"].mean is not None
    embed = losscope.embedder(tmp_path / "out", "info_nce")
    made = embed([("the robin", "query"), "a nest near some old road"])
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    with pytest.raises(LosscopeError, match="a row of type int cannot be embedded"):
        embed([3])


def test_sounds_of_any_length(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_wav2vec(tmp_path / "w2v", layers=2)
    for row in range(36):
        path = tmp_path / "sounds" / f"c{row % 2}" / f"{row:02d}.wav"
        tone(path, 300 + 400 * (row % 2), seed=row, seconds=0.1 + 0.01 * (row % 3))
    table = features.load("sounds", backbone="w2v", device="cpu")
    record = trained(table, run_of("last:1", epochs=1))
    assert all(".layers.1." in name for name in record.weights if name.startswith("backbone."))
    assert len(list(table.trunk.rows(range(6)))) == 3


def test_the_ids_of_heads_are_those_that_they_had():
    told = json.loads(run_of("head").canonical())["protocol"]
    assert not {"finetune", "backbone_rate", "precision", "recompute"} & told.keys()
    told = json.loads(run_of("lora").canonical())["protocol"]
    assert told["finetune"] == "lora:8" and told["backbone_rate"] == 0.1 and "recompute" not in told
    assert run_of("lora").canonical() == run_of("lora:8").canonical() != run_of("lora:4").canonical()


def test_trials_are_few_and_tuning_is_asked_for():
    from losscope.comparing import halving

    words = {"data": "photos", "backbone": "vit", "losses": ["contrastive"]}
    study = Study.of(**words, finetune="last:1").resolve("features")
    assert not study.tunes and study.protocol.epochs == 10
    assert Study.of(**words).resolve("features").tunes
    tuned = Study.of(**words, finetune="last:1", tune=True).resolve("features")
    assert tuned.tunes and halving.usual(tuned) == halving.TRIALS_OF_IMAGES
    assert FineTune.read("all").text == "all"


def test_what_a_study_takes_is_measured_by_few_steps(source, tmp_path):
    from losscope.run import cost, launch
    from losscope.run.arithmetic import fixed_arithmetic

    run = run_of("last:1")
    where = launch.Where(str(tmp_path), None, "cpu", "last")
    both = [run, run.model_copy(update={"seed": 1})]
    groups = launch.group(both, ["a", "b"], where)
    assert [len(group.runs) for group in groups] == [1, 1] and not groups[0].stacks
    on_gpu = launch.group(both, ["a", "b"], launch.Where(str(tmp_path), None, "cuda", "last"))
    assert len(on_gpu) == 2  # nor do they stack there
    with fixed_arithmetic():
        speed = cost._pilot(groups[0], 1, source)
    assert speed.steps >= 3 and sum(speed.step) > 0 and speed.finish > 0


def test_a_step_is_measured_by_the_script(tmp_path, cache, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "docs")
    from making import finetuning as script

    table = script.source_of(tmp_path, "tiny", 32, "cpu")
    found = script.cost(table, script.run_of("last:2", "float32", False, 32), "cpu", steps=1)
    assert found.batch == 32 and found.trained > 16 * 32
    assert 0 < found.loss < found.step and 0 < found.rows < found.step
    assert found.said.count("|") == script.HEAD.splitlines()[0].count("|")


def test_an_adapter_beside_the_weights_is_refused(home, cache, tmp_path):
    small_vit(tmp_path / "vit")
    (tmp_path / "vit" / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere"}')
    with pytest.raises(LosscopeError, match="has an adapter beside its weights"):
        features.load(str(home / "photos"), backbone=str(tmp_path / "vit"), device="cpu")


def test_of_a_model_of_two_towers_the_one_that_is_used_trains(home, cache, tmp_path):
    import transformers

    tower = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.CLIPConfig(
        text_config={**tower, "vocab_size": 9, "max_position_embeddings": 8},
        vision_config={**tower, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(tmp_path / "clip")
    table = features.load(str(home / "photos"), backbone=str(tmp_path / "clip"), device="cpu")
    own = population(table, run_of("all"))
    names = [name for name in own.stack.network if name.startswith("backbone.")]
    assert names and not any("text" in name or "logit" in name for name in names)
    assert any("visual_projection" in name for name in names)
    with pytest.raises(LosscopeError, match="which has 2; wanted"):
        population(table, run_of("last:3"))
    own = population(table, run_of("last:2"))
    assert all("vision_model" in name for name in own.stack.network if name.startswith("backbone."))
