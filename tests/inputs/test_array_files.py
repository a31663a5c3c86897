"""Files of arrays: types that are no numbers, files under another name, archives with more in them."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from losscope.core.errors import LosscopeError
from losscope.data import load

Y = np.repeat(np.arange(6), 20)
RNG = np.random.default_rng(0)
X = (1.5 * RNG.normal(size=(6, 4))[Y] + RNG.normal(size=(120, 4))).astype(np.float32)
BFLOAT = (X.view(np.uint32) >> 16).astype(np.uint16).view("V2")


def npz(features: np.ndarray, **more: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, features=features, labels=Y, **more)
    return buffer.getvalue()


def with_member(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO(npz(X))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def archive_of(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "hello")
    return buffer.getvalue()


def damaged() -> bytes:
    content = bytearray(npz(X))
    place = content.index(X.tobytes()[:16]) + 40
    content[place] ^= 255
    return bytes(content)


FIELDS = np.zeros((120, 4), [("a", "f4"), ("b", "f4")])


@dataclass(frozen=True)
class Arrays:
    """A file, what the starting commit made of it, and a part of the refusal; "" where it is read."""

    id: str
    name: str
    content: bytes
    before: str
    now: str = ""


CASES = (
    Arrays(
        "bfloat16",
        "x.npz",
        npz(BFLOAT),
        "refused: x.npz: the inputs are of type |V2; wanted: numbers",
        r"raw bytes \(of bfloat16\?\); wanted: numbers, such as float32",
    ),
    Arrays(
        "float8",
        "x.npz",
        npz(X.astype("f2").view("u2").astype("u1").view("V1")),
        "refused: x.npz: the inputs are of type |V1; wanted: numbers",
        "float8",
    ),
    Arrays(
        "complex",
        "x.npz",
        npz(X + 1j * X),
        "refused: x.npz: the inputs are of type complex64; wanted: numbers",
        "is complex; wanted: real numbers",
    ),
    Arrays(
        "dates",
        "x.npz",
        npz(np.datetime64("2024-01-01") + np.round(X).astype(int)),
        "refused: x.npz: the inputs are of type datetime64[D]; wanted: numbers",
        "is dates",
    ),
    Arrays(
        "spans of time",
        "x.npz",
        npz(np.round(X).astype("m8[s]")),
        "refused: x.npz: the inputs are of type timedelta64[s]; wanted: numbers",
        "is spans of time",
    ),
    Arrays(
        "fields",
        "x.npz",
        npz(FIELDS),
        "refused: x.npz: the inputs are of type [(a, <f4), (b, <f4)]; wanted: n",
        "of the fields a, b; wanted: a plain array",
    ),
    Arrays(
        "words",
        "x.npz",
        npz(np.full((120, 4), "x")),
        "refused: x.npz: the inputs are of type <U1; wanted: numbers",
        "is text; wanted: numbers",
    ),
    Arrays(
        "numbers as text",
        "x.npz",
        npz(X.astype(str)),
        "refused: x.npz: the inputs are of type <U32; wanted: numbers",
    ),
    Arrays(
        "beyond float32",
        "x.npz",
        npz(X.astype(float) * 1e39),
        "refused: x.npz has 412 values that are NaN or infinite, in 119 of 120",
        "above float32's 3.4",
    ),
    Arrays(
        "an npz named npy",
        "x.npy",
        npz(X),
        "refused: x.npy cannot be read (ValueError: the magic string is not cor",
    ),
    Arrays("a capital suffix", "X.NPZ", npz(X), "read"),
    Arrays("a note in the archive", "x.npz", with_member("readme.txt", b"hello"), "read"),
    Arrays(
        "a copy of macOS in the archive",
        "x.npz",
        with_member("__MACOSX/._features.npy", b"\0\5\x16\7"),
        "read",
    ),
    Arrays(
        "an archive without arrays",
        "x.npz",
        archive_of("readme.txt"),
        "refused: x.npz cannot be read (ValueError: EOF: reading magic string,",
        "is an archive without arrays",
    ),
    Arrays(
        "a damaged member",
        "x.npz",
        damaged(),
        "refused: x.npz is truncated or damaged (BadZipFile: Bad CRC-32 for fil",
        "is truncated or damaged",
    ),
    Arrays(
        "an npz in gzip",
        "x.npz.gz",
        b"\x1f\x8b",
        "refused: cannot read x.npz.gz; wanted: a folder of class folders, or a",
        "unpack it first",
    ),
    Arrays(
        "a MATLAB file",
        "x.mat",
        b"MATLAB 5.0",
        "refused: cannot read x.mat; wanted: a folder of class folders, or a fi",
        "scipy.io.loadmat",
    ),
)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_an_array_file_is_read_right_or_refused(tmp_path: Path, case: Arrays):
    path = tmp_path / case.name
    path.write_bytes(case.content)
    if case.now:
        with pytest.raises(LosscopeError, match=case.now):
            load(path)
        return
    source = load(path)
    np.testing.assert_array_equal(source.pool.inputs, X)
    assert np.array_equal(source.pool.labels, Y)


def test_text_that_is_numbers_is_said(tmp_path):
    (tmp_path / "x.npz").write_bytes(npz(X.astype(str)))
    assert load(tmp_path / "x.npz").facts.notes == ("the array features is text, read as numbers",)
