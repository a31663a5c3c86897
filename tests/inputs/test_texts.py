"""Tables of texts: which columns are texts, what is counted, and what is refused without a text model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from losscope import data
from losscope.core.errors import LosscopeError
from losscope.data.finish import finish
from losscope.data.loading import undecoded_texts
from text_fixture import pairs, reviews, sentences


def read(path: Path | str, **options):
    """The texts, and the table that is made of them before they are embedded."""
    found, shared = undecoded_texts(path, **options)
    return found, finish(found.draft, **shared, examine=False)


def texts_of(found, array: np.ndarray) -> list[str]:
    return [found.texts[int(place)] for place in array[:, 0]]


# Classes


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz"])
def test_a_table_of_texts_is_the_same_in_every_format(suffix, tmp_path):
    texts, labels = sentences(40)
    frame = pd.DataFrame({"id": range(40), "text": texts, "label": labels})
    path = tmp_path / f"r{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    found, table = read(path)
    assert texts_of(found, table.pool.inputs) == texts
    assert [table.facts.class_names[label] for label in table.pool.labels] == labels
    assert "the texts are column 'text'" in table.facts.notes
    assert table.pool.names.tolist() == [str(row) for row in range(40)]


@pytest.mark.parametrize("name", ["Text", "review", "SENTENCE", "headline"])
def test_the_column_of_texts_is_found_by_name_or_as_the_only_one_of_words(name, tmp_path):
    texts, labels = sentences(40)
    frame = pd.DataFrame({"stars": np.arange(40) % 5, "category": labels, name: texts})
    frame.to_csv(tmp_path / "r.csv", index=False)
    found, table = read(tmp_path / "r.csv")
    assert texts_of(found, table.pool.inputs) == texts
    assert table.facts.classes == 4
    assert any("stars" in part.why for part in table.facts.left_out)


def test_what_is_written_stays_what_is_written(tmp_path):
    words = ["NA", "01", "1e3", "None", "true", "null"] * 8
    frame = pd.DataFrame({"text": words, "label": ["1", "01"] * 24})
    frame.to_csv(tmp_path / "r.csv", index=False)
    found, table = read(tmp_path / "r.csv")
    assert texts_of(found, table.pool.inputs) == words
    assert table.facts.class_names == ("01", "1")


def test_split_group_and_roles_are_read_as_in_other_tables(tmp_path):
    split = ["train"] * 60 + ["query"] * 12 + ["gallery"] * 24
    reviews(tmp_path / "r.csv", role=split, speaker=np.arange(96) // 3)
    _, table = read(tmp_path / "r.csv")
    assert table.facts.searched.queries == 12
    assert table.sizes()[2] == 36
    reviews(tmp_path / "g.csv", speaker=np.arange(96) // 3)
    _, table = read(tmp_path / "g.csv", group="speaker")
    groups = table.pool.groups
    assert not set(groups[table.role == 2]) & set(groups[table.role != 2])
    reviews(tmp_path / "s.csv", split=np.repeat(["train", "val", "test", "train"], 24))
    _, table = read(tmp_path / "s.csv")
    assert table.sizes() == (48, 24, 24)


# Pairs and triplets


@pytest.mark.parametrize(
    ("names", "asks"),
    [
        (("anchor", "positive"), False),
        (("query", "passage"), True),
        (("question", "answer"), True),
        (("Sentence1", "Sentence2"), False),
        (("premise", "hypothesis"), False),
    ],
)
def test_two_columns_that_belong_together_are_pairs_without_classes(names, asks, tmp_path):
    path = pairs(tmp_path / "p.csv", names=names)
    frame = pd.read_csv(path)
    found, table = read(path)
    assert found.of_pairs and len(table.pool) == 192
    place = {text: row for row, text in enumerate(texts_of(found, table.pool.inputs))}
    for first, other in zip(frame[names[0]], frame[names[1]], strict=True):
        assert table.pool.labels[place[first]] == table.pool.labels[place[other]]
    assert len(set(table.pool.labels.tolist())) == 96
    assert (table.pool.retrieval is not None) == asks
    if asks:
        rows = [place[text] for text in frame[names[0]]]
        assert set(np.flatnonzero(table.pool.retrieval.query)) == set(rows)
        assert table.facts.searched.queries == table.facts.searched.gallery
    assert not set(table.pool.labels[table.role == 2]) & set(table.pool.labels[table.role != 2])


def test_a_text_in_several_pairs_is_one_row_and_its_item_stands_in_one_part(tmp_path):
    texts, _ = sentences(90)
    frame = pd.DataFrame({"question": np.repeat(texts[:30], 2), "answer": texts[30:]})
    frame.to_csv(tmp_path / "p.csv", index=False)
    found, table = read(tmp_path / "p.csv")
    assert sorted(found.texts) == sorted(texts)
    assert np.bincount(table.pool.labels).tolist() == [3] * 30
    assert pd.Series(table.role).groupby(table.pool.labels).nunique().max() == 1
    assert found.sides.count("query") == 30
    frame["answer"] = "yes"
    frame.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(LosscopeError, match="join 31 of 31 texts to one item"):
        read(tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("name", "same"), [("label", 1), ("score", 1), ("is_duplicate", 1), ("different", 0)]
)
def test_pairs_that_are_the_same_or_different_become_explicit_pairs(name, same, tmp_path):
    rng = np.random.default_rng(0)
    said = rng.integers(0, 2, 96)
    path = pairs(tmp_path / "p.csv", names=("sentence1", "sentence2"), **{name: said})
    frame = pd.read_csv(path)
    found, table = read(path)
    assert table.facts.tuples and not found.of_pairs and set(found.sides) == {""}
    assert len(found.texts) == len(table.pool) == len({*frame.sentence1, *frame.sentence2})
    for (first, other, alike), row in zip(table.pool.pairs, frame.itertuples(), strict=True):
        assert (found.texts[first], found.texts[other]) == (row.sentence1, row.sentence2)
        assert alike == (getattr(row, name) == same)


def test_pairs_that_are_all_the_same_have_the_batch_as_negatives(tmp_path):
    found, table = read(pairs(tmp_path / "p.csv", label=1))
    assert found.of_pairs
    assert any("all pairs are the same by 'label'" in note for note in table.facts.notes)


def test_graded_scores_want_a_threshold(tmp_path):
    path = pairs(tmp_path / "p.csv", score=np.linspace(0, 5, 96).round(2))
    with pytest.raises(LosscopeError, match="graded similarity needs a threshold"):
        read(path)
    path = pairs(tmp_path / "n.csv", label=np.arange(96) % 3)
    with pytest.raises(LosscopeError, match="must be 1 .same. or 0 .different."):
        read(path)
    path = pairs(tmp_path / "t.csv", label=1, score=1)
    with pytest.raises(LosscopeError, match="several columns that may say same or different: label, score"):
        read(path)


def test_anchor_positive_negative_become_explicit_triplets(tmp_path):
    texts, _ = sentences(96)
    frame = pd.DataFrame({"anchor": texts[:32], "positive": texts[32:64], "negative": texts[64:]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    found, table = read(tmp_path / "t.csv")
    for triplet, row in zip(table.pool.triplets, frame.itertuples(index=False), strict=True):
        assert tuple(found.texts[place] for place in triplet) == tuple(row)
    found, table = read(tmp_path / "t.csv", inputs="anchor", second="positive")
    assert found.of_pairs
    assert any("negative" in part.why for part in table.facts.left_out)


def test_a_split_of_pairs_may_not_tear_a_text(tmp_path):
    words = ["train"] * 72 + ["test"] * 24
    path = pairs(tmp_path / "p.csv", names=("text1", "text2"), same=np.arange(96) % 2, split=words)
    _, table = read(path)
    assert table.facts.split.startswith("split as given")
    frame = pd.read_csv(path)
    frame.loc[95, "text1"] = frame.loc[0, "text1"]
    frame.to_csv(path, index=False)
    with pytest.raises(LosscopeError, match=r"leaks: 1 of 19\d texts stand in several parts by 'split'"):
        read(path)


# The hub


def hub(monkeypatch, **splits) -> None:
    import datasets

    made = {}
    for part, (columns, kinds) in splits.items():
        made[part] = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
    monkeypatch.setattr("losscope.data.readers.hub.downloaded", lambda name, config: made)


def test_texts_of_the_hub_keep_its_splits_and_names(monkeypatch):
    datasets = pytest.importorskip("datasets")
    texts, labels = sentences(96)
    topics = sorted(set(labels))
    kinds = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=topics)}
    numbers = [topics.index(label) for label in labels]
    hub(
        monkeypatch,
        train=({"text": texts[:64], "label": numbers[:64]}, kinds),
        test=({"text": texts[64:], "label": numbers[64:]}, kinds),
        unsupervised=({"text": texts[:8], "label": [-1] * 8}, kinds),
    )
    found, table = read("hf:some/reviews")
    assert texts_of(found, table.pool.inputs) == texts
    assert table.facts.class_names == tuple(topics)
    assert table.sizes()[2] == 32
    assert any("unsupervised" in part.why for part in table.facts.left_out)
    with pytest.raises(
        LosscopeError, match="hf:some/reviews holds texts .*text.*--backbone with a text model"
    ):
        data.load("hf:some/reviews")


def test_pairs_of_the_hub_leave_out_what_is_not_told(monkeypatch):
    datasets = pytest.importorskip("datasets")
    texts, _ = sentences(96)
    kinds = {
        "sentence1": datasets.Value("string"),
        "sentence2": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["not", "same"]),
    }
    columns = {"sentence1": texts[:48], "sentence2": texts[48:], "label": [1, 0, 1] * 15 + [-1] * 3}
    hub(monkeypatch, train=(columns, kinds))
    _, table = read("hf:some/pairs")
    assert table.pool.pairs[:, 2].tolist() == [1, 0, 1] * 15
    assert any("3 pairs without" in part.said for part in table.facts.left_out)


# Mistakes


def test_empty_texts_are_refused_with_their_count_or_left_out(tmp_path):
    texts, labels = sentences(40)
    texts[3], texts[7], texts[30] = "", "   ", None
    pd.DataFrame({"text": texts, "label": labels}).to_parquet(tmp_path / "r.parquet")
    with pytest.raises(LosscopeError, match=r"3 of 40 rows of .* have no text \(rows 3, 7, 30.*--skip-bad"):
        read(tmp_path / "r.parquet")
    found, table = read(tmp_path / "r.parquet", skip_bad=True)
    assert len(table.pool) == 37 and "" not in found.texts
    assert "3 rows without a text" in [part.said for part in table.facts.left_out]


def test_texts_without_a_backbone_name_the_remedy(tmp_path):
    texts, labels = sentences(40)
    tables = {
        "plain": {"text": texts, "label": labels},
        "stars": {"text": texts, "label": labels, "stars": np.arange(40) % 5},
        "words": {"headline": texts, "label": labels},
        "pairs": {"query": texts, "passage": texts[::-1]},
        "short": {"anchor": [text.split()[0] for text in texts], "positive": labels},
    }
    for name, columns in tables.items():
        path = tmp_path / f"{name}.csv"
        pd.DataFrame(columns).to_csv(path, index=False)
        with pytest.raises(LosscopeError, match="holds texts .*--backbone with a text model") as raised:
            data.load(path)
        assert ("-o inputs=stars" in str(raised.value)) == (name == "stars")
    assert data.load(tmp_path / "stars.csv", inputs="stars").pool.inputs.shape == (40, 1)


def test_features_with_a_caption_stay_features(tmp_path):
    texts, labels = sentences(40)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"f{i}": rng.normal(size=40) for i in range(6)}).assign(text=texts, label=labels)
    frame.to_csv(tmp_path / "f.csv", index=False)
    assert data.load(tmp_path / "f.csv").pool.inputs.shape == (40, 6)


def test_mistakes_are_one_sentence(tmp_path):
    texts, labels = sentences(40)
    path = tmp_path / "r.csv"
    pd.DataFrame({"title": texts, "body": texts[::-1], "label": labels}).to_csv(path, index=False)
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "f.npz", features=np.ones((4, 2)), labels=np.arange(4) % 2)
    for where, options, said in (
        (path, {}, "several columns of texts: title, body; wanted: name one by option inputs"),
        (path, {"inputs": "titel"}, "unknown column .* 'titel'; did you mean 'title'"),
        (path, {"second": "body"}, "option inputs beside it"),
        (path, {"sise": 1}, "unknown option of"),
        (tmp_path / "folder", {}, "is a folder, and the backbone is a text model"),
        (tmp_path / "f.npz", {}, "is no table, and the backbone is a text model"),
        (tmp_path / "none.csv", {}, "is no table of texts"),
        ("digits", {}, "digits is no table of texts"),
    ):
        with pytest.raises(LosscopeError, match=said):
            read(where, **options)
    pd.DataFrame({"text": texts}).to_csv(path, index=False)
    with pytest.raises(LosscopeError, match="has texts and no label column.*anchor and positive"):
        read(path)
    pd.DataFrame({"x": np.arange(40), "label": labels}).to_csv(path, index=False)
    with pytest.raises(LosscopeError, match="has no column of texts"):
        read(path)
    pd.DataFrame({"text": np.arange(40), "label": labels}).to_parquet(tmp_path / "n.parquet")
    with pytest.raises(LosscopeError, match="values of type int"):
        read(tmp_path / "n.parquet", inputs="text")
