"""Tables with two columns of vectors are pairs of modalities; arrays by part keep each side's own parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from losscope.core.errors import LosscopeError
from losscope.data import load
from losscope.data.base import Table

N = 60
Y = np.repeat(list("abcdef"), 10)


def lists(width: int, seed: int) -> list[list[float]]:
    return np.random.default_rng([seed, width]).normal(size=(N, width)).round(3).tolist()


def frame(**more: Any) -> pd.DataFrame:
    """The text stands first and is the second modality all the same."""
    return pd.DataFrame({"text_embedding": lists(4, 1), "image_embedding": lists(6, 0), "label": Y, **more})


WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "p.parquet": lambda table, path: table.to_parquet(path),
    "p.csv": lambda table, path: table.to_csv(path, index=False),
    "p.jsonl": lambda table, path: table.to_json(path, orient="records", lines=True),
    "p.json": lambda table, path: table.to_json(path, orient="records"),
}


def source(tmp_path: Path, table: pd.DataFrame, name: str = "p.parquet", **options: Any) -> Table:
    WRITERS[name](table, tmp_path / name)
    found = load(str(tmp_path / name), **options)
    assert isinstance(found, Table)
    return found


@pytest.mark.parametrize("name", WRITERS)
def test_two_columns_of_vectors_are_a_pair(tmp_path, name):
    found = source(tmp_path, frame(), name)
    assert "60 pairs of image 6 and text 4 in 6 classes (10 each)" in found.describe()
    np.testing.assert_allclose(found.pool.inputs, np.array(lists(6, 0)), atol=1e-6)
    np.testing.assert_allclose(found.pool.second, np.array(lists(4, 1)), atol=1e-6)
    assert any("image_embedding and text_embedding are two modalities" in note for note in found.facts.notes)


def test_two_columns_of_equal_length_and_names_of_their_own(tmp_path):
    table = pd.DataFrame({"sketchy": lists(4, 0), "plan": lists(4, 1), "label": Y})
    assert "pairs of sketchy 4 and plan 4 in 6 classes" in source(tmp_path, table).describe()


def test_without_labels_each_item_belongs_to_its_own_partner(tmp_path):
    found = source(tmp_path, frame().drop(columns="label"))
    assert found.facts.by_item and "60 pairs of image 6 and text 4 without classes" in found.describe()


def test_an_empty_cell_is_a_missing_modality_and_counted(tmp_path):
    table = frame(split=np.where(np.arange(N) % 3 == 0, "test", "train"))
    table.at[3, "text_embedding"] = None
    table.at[5, "label"] = None
    found = source(tmp_path, table, skip_unlabelled=True)
    assert "58 pairs" in found.describe() and "1 pair without text" in found.describe()
    # Row 3 was a test row, row 5 a training row; each other row keeps its own part.
    assert found.sizes()[2] == 19 and sum(found.sizes()) == 58
    np.testing.assert_allclose(found.pool.inputs[3], lists(6, 0)[4], atol=1e-6)


def test_both_sides_named_among_three(tmp_path):
    table = frame(other=lists(5, 2))
    with pytest.raises(LosscopeError, match="3 columns of vectors .* -o second="):
        source(tmp_path, table)
    found = source(tmp_path, table, inputs="other", second="text_embedding")
    assert "pairs of other 5 and text 4" in found.describe()
    assert found.facts.left_out[0].said.startswith("1 column (image_embedding")


def test_one_side_alone(tmp_path):
    found = source(tmp_path, frame(), inputs="text_embedding")
    assert "60 feature vectors of 4 in 6 classes" in found.describe()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"second": "text_embedding"}, "inputs names none; wanted: -o inputs=COLUMN"),
        ({"inputs": "image_embedding", "second": "txt"}, "column in .* 'txt'"),
        ({"inputs": "image_embedding", "second": "label"}, "'label' of .* holds no vectors"),
        ({"inputs": "image_embedding", "second": "image_embedding"}, "beside it"),
        ({"query": "is_query"}, "two modalities, each of which searches the other"),
    ],
)
def test_what_is_no_pair_is_refused(tmp_path, options, said):
    with pytest.raises(LosscopeError, match=said):
        source(tmp_path, frame(is_query=np.arange(N) % 2 == 0), **options)


def by_part(**more: np.ndarray) -> dict[str, np.ndarray]:
    """60 rows of either side in all, but 20 and 40 by part for one and 40 and 20 for the other."""
    draw = np.random.default_rng(0)
    return {
        # The second modality's arrays stand first in the file, which decides nothing.
        "text_train": draw.normal(size=(40, 4)),
        "text_test": draw.normal(size=(20, 4)),
        "image_train": draw.normal(size=(20, 6)),
        "image_test": draw.normal(size=(40, 6)),
        "text_ids_train": np.arange(40) // 2,
        "text_ids_test": np.arange(20),
        "image_ids_train": np.arange(20),
        "image_ids_test": np.arange(40) // 2,
        **more,
    }


def parted(tmp_path: Path, **more: np.ndarray) -> Table:
    np.savez(tmp_path / "p.npz", **by_part(**more))
    found = load(str(tmp_path / "p.npz"))
    assert isinstance(found, Table)
    return found


def test_parts_are_those_of_the_side_itself_where_the_totals_are_equal(tmp_path):
    found = parted(tmp_path)
    train, validation, test = found.sizes()
    assert (train + validation, test) == (40, 40)
    texts = found.splits(0).test.second
    assert texts is not None
    wanted = by_part()["text_test"].astype(np.float32)
    assert {row.tobytes() for row in texts} == {row.tobytes() for row in wanted}


def test_labels_by_part_are_those_of_the_side_whose_parts_they_have(tmp_path):
    labels = np.arange(40) // 2 % 4, np.arange(20) % 4
    found = parted(tmp_path, lab_train=labels[0], lab_test=labels[1])
    both = np.concatenate(labels)
    assert found.pool.items is not None
    np.testing.assert_array_equal(found.pool.labels, both[found.pool.items[:, 1]])


def test_labels_by_part_beside_whole_features_are_refused(tmp_path):
    draw = np.random.default_rng(0)
    np.savez(
        tmp_path / "p.npz",
        features=draw.normal(size=(30, 4)),
        extra_train=draw.normal(size=(20, 4)),
        extra_test=draw.normal(size=(10, 4)),
        lab_train=np.arange(20) % 3,
        lab_test=np.arange(10) % 3,
    )
    with pytest.raises(LosscopeError, match="lab is given by part but features is not"):
        load(str(tmp_path / "p.npz"))
