"""What others write is read to the values that were drawn, or refused in a sentence; never to other values.

``pytest -m slow tests/inputs/test_written.py -s`` draws 10,000 cases and prints the share read to values.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from losscope.core.errors import LosscopeError
from losscope.data import load

h5py = pytest.importorskip("h5py")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image")

WANTED = 0.6
"""The share of the drawn files that is to be read to values."""
TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "U8", "M8[D]", ">f4")
FEATURES = ("features", "embeddings", "x", "vectors")
LABEL_KINDS = ("words", "whole numbers", "digits with zeros", "missing words", "blanks", "booleans")
LETTERS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6)
Drawn = tuple[np.ndarray, list[str]]
"""The inputs (N, ...) as they are to be read, and the class of each row as text."""


@st.composite
def labels(draw: st.DrawFn, rows: int) -> Any:
    """Labels of 2 to 4 classes, of one of the kinds that people have."""
    count = draw(st.integers(2, min(4, rows // 7)))
    kind = draw(st.sampled_from(LABEL_KINDS))
    if kind == "words":
        known: list[Any] = draw(st.lists(LETTERS, min_size=count, max_size=count, unique=True))
    elif kind == "whole numbers":
        known = draw(st.lists(st.integers(0, 2**60), min_size=count, max_size=count, unique=True))
    elif kind == "digits with zeros":
        known = ["1", "01", "001", "1e0"][:count]
    elif kind == "missing words":
        known = ["NA", "None", "null", "nan"][:count]
    elif kind == "blanks":
        known = ["red fox", "red", "fox, red", 'a "red" fox'][:count]
    else:
        known = [False, True]
    order = draw(st.permutations(range(rows)))
    return [known[place % len(known)] for place in order]


@st.composite
def numbers(draw: st.DrawFn, rows: int, dtype: str) -> np.ndarray:
    """An array (rows, columns) of the type, all values finite as float32; NaN now and then."""
    columns, seed = draw(st.integers(1, 6)), draw(st.integers(0, 2**32 - 1))
    rng, scale = np.random.default_rng(seed), 10.0 ** draw(st.integers(-6, 6))
    values = rng.normal(size=(rows, columns)) * scale
    kind = np.dtype(dtype).kind
    if kind in "iu":
        bounds = np.iinfo(dtype)
        return rng.integers(max(bounds.min, -(2**40)), min(bounds.max, 2**40), (rows, columns)).astype(dtype)
    if kind == "b":
        return values > 0
    if kind == "M":
        return np.datetime64("2020-01-01") + rng.integers(0, 900, (rows, columns))
    if kind == "f":
        values = values.clip(-6e4, 6e4)
        if draw(st.integers(0, 19)) == 0:
            values[rng.integers(rows), rng.integers(columns)] = np.nan
    return values.astype(dtype)


def tabled(draw: Any, folder: Path, array: np.ndarray, own: list[Any]) -> Path:
    """A file of pandas or pyarrow: CSV in many forms, JSON lines, parquet of columns or of lists."""
    names = draw(st.sampled_from((("f0", "f1", "f2", "f3", "f4", "f5"), ("a", "B", "c d", "é", "z", "q"))))
    frame = pd.DataFrame({name: array[:, place] for place, name in zip(range(array.shape[1]), names)})
    frame.insert(
        draw(st.integers(0, array.shape[1])), draw(st.sampled_from(("label", "Class", "target"))), own
    )
    form = draw(st.sampled_from(("csv", "csv.gz", "tsv", "jsonl", "parquet", "lists", "arrow")))
    if array.dtype == np.float16:
        # pandas writes the shortest text that tells halves apart, which is another float32.
        halves = [name for name in frame.columns if frame[name].dtype == np.float16]
        frame = frame.astype(dict.fromkeys(halves, np.float32))
    if form in ("parquet", "arrow") and array.dtype.kind != "c" and array.dtype.byteorder != ">":
        if form == "parquet":
            frame.to_parquet(folder / "t.parquet", index=draw(st.sampled_from((None, False, True))))
        else:
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / "t.parquet")
        return folder / "t.parquet"
    if form == "lists" and array.dtype.kind in "iuf" and array.dtype.byteorder != ">":
        lists = pd.DataFrame({"label": own, draw(st.sampled_from(("embedding", "vec"))): list(array)})
        lists.to_parquet(folder / "t.parquet")
        return folder / "t.parquet"
    if form == "jsonl":
        (folder / "t.jsonl").write_text(
            frame.to_json(orient="records", lines=True, double_precision=15, date_format="iso")
        )
        return folder / "t.jsonl"
    path = folder / ("t.tsv" if form == "tsv" else "t.csv.gz" if form == "csv.gz" else "t.csv")
    separator = "\t" if form == "tsv" else draw(st.sampled_from(",,,;|\t"))
    encoding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "utf-16")))
    frame.to_csv(path, sep=separator, encoding=encoding, index=draw(st.booleans()))
    return path


def arrayed(draw: Any, folder: Path, array: np.ndarray, own: list[Any]) -> Path:
    """A file of NumPy or h5py."""
    arrays = {draw(st.sampled_from(FEATURES)): array, draw(st.sampled_from(("labels", "y"))): np.array(own)}
    form = draw(st.sampled_from(("npz", "compressed", "npy", "h5", "h5 compressed", "npz named npy")))
    if form.startswith("h5") and array.dtype.kind not in "UM":
        path = folder / draw(st.sampled_from(("x.h5", "X.HDF5")))
        with h5py.File(path, "w") as file:
            for name, value in arrays.items():
                text = value.dtype.kind == "U"
                content = np.array(value.tolist(), h5py.string_dtype()) if text else value
                options = {"compression": "gzip"} if "compressed" in form else {}
                file.create_dataset(name, data=content, **options)
        return path
    if form == "npy":
        np.save(folder / "x.npy", array)
        np.save(folder / "x_labels.npy", np.array(own))
        return folder / "x.npy"
    buffer = io.BytesIO()
    (np.savez_compressed if form == "compressed" else np.savez)(buffer, **arrays)
    path = folder / ("x.npy" if form == "npz named npy" else draw(st.sampled_from(("x.npz", "X.NPZ"))))
    path.write_bytes(buffer.getvalue())
    return path


def pictured(draw: Any, folder: Path, rows: int, own: list[Any]) -> tuple[Path, np.ndarray]:
    """A folder of Pillow's pictures of one size, without loss, and a table of their paths."""
    side, mode = draw(st.sampled_from((4, 8, 20))), draw(st.sampled_from(("RGB", "L")))
    suffix = draw(st.sampled_from((".png", ".PNG", ".bmp", ".tif")))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pixels = rng.integers(0, 256, (rows, side, side, 3) if mode == "RGB" else (rows, side, side), np.uint8)
    names = [f"p{place}{suffix}" for place in range(rows)]
    for name, picture in zip(names, pixels, strict=True):
        Image.fromarray(picture).save(folder / name)
    table = pd.DataFrame({draw(st.sampled_from(("path", "file_name"))): names, "label": own})
    table.to_csv(folder / "t.csv", index=draw(st.booleans()))
    as_read = pixels.transpose(0, 3, 1, 2) if mode == "RGB" else np.repeat(pixels[:, None], 3, 1)
    return folder / "t.csv", as_read


@st.composite
def written(draw: st.DrawFn) -> Any:
    """A way of writing drawn values into a folder: it returns the path and the values."""
    rows = draw(st.integers(16, 32))
    own = draw(labels(rows))
    writer = draw(st.sampled_from(("table", "table", "table", "arrays", "arrays", "arrays", "pictures")))
    dtype = draw(st.sampled_from((*TYPES[:12], *TYPES[:12], *TYPES)))
    array = None if writer == "pictures" else draw(numbers(rows, dtype))
    choose = draw(st.data())

    def write(folder: Path) -> tuple[Path, np.ndarray, list[Any]]:
        if array is None:
            path, values = pictured(choose.draw, folder, rows, own)
            return path, values, own
        make = tabled if writer == "table" else arrayed
        return make(choose.draw, folder, array, own), array, own

    return write


def same_classes(numbered: np.ndarray, own: list[Any]) -> bool:
    """Whether two labellings divide the rows alike."""
    return (
        len(set(zip(numbered.tolist(), map(repr, own), strict=True)))
        == len(set(map(repr, own)))
        == len(np.unique(numbered))
    )


def check(write: Any, seen: Counter[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path, values, own = write(Path(name))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                source = load(path)
        except LosscopeError as error:
            seen["refused"] += 1
            seen[f"  {str(error).replace(name, '')[:90]}"] += 1
            return
    inputs = source.pool.inputs
    expected = values if inputs.dtype == np.uint8 and inputs.ndim == 4 else values.astype(np.float32)
    told = json.dumps([source.describe(), *source.facts.notes])
    if inputs.shape[1:] != expected.shape[1:]:
        # Fewer columns only where the line of what was understood counts those that were left out.
        assert source.facts.left_out and "column" in told, (path.name, told)
        seen["columns left out, said"] += 1
        return
    np.testing.assert_allclose(inputs, expected, rtol=2e-7, atol=1e-15, err_msg=told)
    assert same_classes(source.pool.labels, own), (path.name, told, own)
    seen["values"] += 1


@pytest.mark.parametrize("cases", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_written_file_gives_its_values_or_a_sentence(cases):
    seen: Counter[str] = Counter()

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(written())
    def run(write: Any) -> None:
        check(write, seen)

    run()
    total = seen["values"] + seen["refused"] + seen["columns left out, said"]
    print(f"\n{seen['values']:,} of {total:,} files read to their values ({seen['values'] / total:.1%})")
    for reason, count in seen.most_common(14):
        print(f"{count:6,}  {reason}")
    assert total >= cases
    assert seen["values"] >= WANTED * total
