"""Small files that declare or unpack to gigabytes, what is no file at all, and what reads other files."""

from __future__ import annotations

import gzip
import io
import os
import resource
import shutil
import socket
import struct
import time
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from losscope.comparing.judging import judge, load_embeddings
from losscope.core import bounds
from losscope.core.bounds import bounded_depth
from losscope.core.errors import LosscopeError, shown, unknown
from losscope.core.quantities import QUANTITIES
from losscope.core.spec import Study
from losscope.data import load
from losscope.data.download import read_bytes
from losscope.data.readers.files import read_hdf5, read_npy, read_npz, read_table

MORE = 2**20
"""What a refusal may take, in KiB above what the process had: 1 GiB would show, 16 TB would end it."""


@pytest.fixture(autouse=True)
def little_memory_and_time():
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MORE
    assert time.monotonic() - started < 10


def npy_head(shape, kind="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_2_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue()


def picture(path, size=(8, 8), seed=0):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def class_folders(home, rows=6):
    for row in range(2 * rows):
        picture(home / "ab"[row % 2] / f"{row}.png", seed=row)


# Arrays


def test_an_npy_that_declares_more_than_it_holds(tmp_path):
    path = tmp_path / "f.npy"
    for shape in ((10**12, 4), (2**40,), (10**12, 0), (-4, 4)):
        path.write_bytes(npy_head(shape))
        with pytest.raises(LosscopeError, match="is of shape .* wanted: a whole file"):
            read_npy(path)


@pytest.mark.parametrize("kind", ["<U2", ">U2"])
def test_text_of_letters_that_do_not_exist(tmp_path, kind):
    path = tmp_path / "f.npy"
    np.save(path, np.array(["é", "ab"], kind))
    assert read_npy(path).tolist() == ["é", "ab"]
    path.write_bytes(path.read_bytes()[:-4] + b"\xff\xff\xff\xff")
    with pytest.raises(LosscopeError, match="letters that do not exist"):
        read_npy(path)


def test_an_npz_that_unpacks_to_gigabytes(tmp_path):
    path = tmp_path / "f.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("features.npy", "w", force_zip64=True) as file,
    ):
        file.write(npy_head((2**25, 8)))
        for _ in range(64):
            file.write(bytes(2**22))
    assert path.stat().st_size < 2**20
    with pytest.raises(LosscopeError, match=r"features would unpack from [\d,]+ bytes to 268,435,"):
        load(path)


def test_an_array_that_nobody_asked_for_is_not_read(tmp_path):
    path = tmp_path / "f.npz"
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in (("features", rng.normal(size=(40, 4))), ("labels", np.repeat(range(4), 10))):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array)
        archive.writestr("more.npy", npy_head((10**12, 4)))
        archive.writestr("object.npy", b"no array at all")
    assert load(path).splits(0).train.inputs.shape[1:] == (4,)
    arrays = read_npz(path)
    assert list(arrays) == ["features", "labels", "more", "object"]
    with pytest.raises(LosscopeError, match="more in .* is of shape"):
        arrays["more"]
    with pytest.raises(KeyError):
        arrays["absent"]


def test_a_gzip_that_unpacks_to_gigabytes(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(2**28)))
    with pytest.raises(LosscopeError, match="it would unpack from"):
        read_bytes(path, None)
    path.write_bytes(gzip.compress(b"one") + gzip.compress(b"two") + b"\0\0")
    assert read_bytes(path, None) == b"onetwo"
    for cut in (gzip.compress(b"one" * 99)[:-9], b"none", b"\x1f\x8b"):
        path.write_bytes(cut)
        with pytest.raises(LosscopeError, match="is truncated or damaged"):
            read_bytes(path, None)


def test_hdf5_of_fill_values_and_of_other_files(tmp_path):
    h5py = pytest.importorskip("h5py")
    secret = tmp_path / "secret"
    secret.write_bytes(b"root:x:0:0" * 16)
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file["labels"] = np.repeat(range(4), 10)
        file.create_dataset("features", (10**9, 512), "f8", chunks=(1000, 512))
        file.create_dataset("outside", (40,), "f4", external=[(str(secret), 0, 160)])
        file["link"] = h5py.SoftLink("/labels")
    assert path.stat().st_size < 2**20
    arrays = read_hdf5(path)
    assert set(arrays) == {"labels", "features", "outside"}
    with pytest.raises(LosscopeError, match="features would unpack from 0 bytes to"):
        arrays["features"]
    with pytest.raises(LosscopeError, match="the values of outside lie in other files, which are not read"):
        arrays["outside"]
    with h5py.File(path, "w") as file:
        file["features"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/features")
    with pytest.raises(LosscopeError, match="features is a link to another file"):
        load(path)
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "features", (4,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("features", layout)
    with pytest.raises(LosscopeError, match="lie in other files"):
        read_hdf5(path)["features"]


def test_one_text_of_hdf5_that_stands_in_every_row(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("labels", (3000,), h5py.string_dtype(), fillvalue="x" * 60_000)
    with pytest.raises(
        LosscopeError, match="labels would unpack|labels in .* have a value of 60,000 letters"
    ):
        read_hdf5(path)["labels"]


# Tables


def test_a_parquet_of_equal_values(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": np.zeros(12_000_000, np.int8)}), path)
    assert path.stat().st_size < 2**20
    with pytest.raises(LosscopeError, match=r"12,000,000 rows would unpack"):
        read_table(path)
    values = pa.array(np.zeros(35_000_000, np.int8))
    pq.write_table(pa.table({"list": pa.ListArray.from_arrays(pa.array([0, len(values)]), values)}), path)
    assert path.stat().st_size < 2**20
    with pytest.raises(LosscopeError, match=r"1 rows would unpack"):
        read_table(path)


@pytest.mark.parametrize("index", [None, "id"])
def test_a_parquet_is_read_as_pandas_reads_it(tmp_path, index):
    frame = pd.DataFrame(
        {
            "id": range(10_000),
            "a": np.linspace(0, 1, 10_000, dtype=np.float32),
            "label": pd.Categorical(np.resize(["x", "y"], 10_000)),
            "list": [[1.0, 2.0]] * 10_000,
        }
    )
    frame = frame if index is None else frame.set_index(index)
    frame.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), pd.read_parquet(tmp_path / "t.parquet"))


def test_a_csv_of_a_million_columns_or_of_empty_rows(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(",".join(map(str, range(10**6))) + "\n")
    with pytest.raises(LosscopeError, match="has 1,000,000 columns; at most 100,000 are read"):
        read_table(path)
    path.write_text("label" + ",a" * 20_000 + "\n" + "1\n" * 20_000)
    with pytest.raises(LosscopeError, match=r"20,001 rows of 20,001 columns would unpack"):
        read_table(path)
    path.write_bytes(b"a,label\n1.0,x\0y\n2.0,x\n")
    assert len(read_table(path)) == 2
    path.write_bytes(b'a,label\n1.0,"x\n2.0,x\n')
    with pytest.raises(LosscopeError, match="cannot be read"):
        read_table(path)


def test_one_long_label_among_many_rows(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,label\n" + "1.0,x\n" * 20_000 + f"2.0,{'y' * 100_000}\n")
    with pytest.raises(LosscopeError, match="labels of t.csv have a value of 100,000 letters"):
        load(path)


def test_scores_without_names_and_with_strange_seeds(tmp_path):
    path = tmp_path / "s.csv"
    head, row = "loss,seed,measure,value\n", "a,{},recall_at_1,0.5\n"
    for text, match in (
        (head + "a,0,,0.5\n", "1 row without a loss, a seed or a measure"),
        (head + row.format("1e99"), "a seed is not"),
        (head + row.format(10**30), "seeds are whole numbers"),
        (head + row.format(-1) + row.format(0.5), "a seed is not"),
    ):
        path.write_text(text)
        with pytest.raises(LosscopeError, match=match):
            judge(str(path))
    np.savez(tmp_path / "e.npz", embeddings=np.array([["a", "b"]]), labels=[0])
    with pytest.raises(LosscopeError, match="the array embeddings is text; wanted: numbers"):
        load_embeddings(tmp_path / "e.npz")


def scores(folder, measure, better=1.0):
    rows = [
        f"{loss},{seed},{measure},{better * value + seed / 1000}"
        for loss, value in (("a", 0.9), ("b", 0.5))
        for seed in range(8)
    ]
    (folder / "scores.csv").write_text("\n".join(["loss,seed,measure,value", *rows]))
    return str(folder / "scores.csv")


def test_declared_measures_are_the_users_own_and_last_until_the_next_call(tmp_path):
    own = scores(tmp_path, "agreement")
    assert judge(own, declare=["agreement:higher"], measure="agreement").verdicts()
    assert "agreement" in QUANTITIES, "the result is shown by it"
    with pytest.raises(LosscopeError, match="unknown measure 'agreement'"):
        judge(own)
    assert "agreement" not in QUANTITIES
    before = QUANTITIES["recall_at_1"]
    with pytest.raises(LosscopeError, match="'recall_at_1' is one of ours: higher is better"):
        judge(own, declare=["agreement:higher", "recall_at_1:lower"])
    assert "agreement" not in QUANTITIES and QUANTITIES["recall_at_1"] == before
    with pytest.raises(LosscopeError, match="declared twice"):
        judge(own, declare=["agreement:higher", "agreement:lower"])


def test_a_pattern_names_each_loss_and_seed_once(tmp_path):
    folder = tmp_path / "runs[1]"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name in ("a-1", "a-2", "b-1", "b-2"):
        np.savez(folder / f"{name}.npz", embeddings=draw.normal(size=(24, 4)), labels=np.arange(24) % 3)
    assert len(judge(f"{folder}/{{loss}}-{{seed}}.npz").losses) == 2
    shutil.copy(folder / "a-1.npz", folder / "a-01.npz")
    with pytest.raises(LosscopeError, match=r"a-01.npz' and '.*a-1.npz' are both seed 1 of a"):
        judge(f"{folder}/{{loss}}-{{seed}}.npz")
    with pytest.raises(LosscopeError, match=r"has \{loss\} 2 times"):
        judge(f"{folder}/{{loss}}/{{loss}}-{{seed}}.npz")


def test_a_gzip_of_very_many_members(tmp_path):
    path = tmp_path / "many.gz"
    path.write_bytes(gzip.compress(b"x") * 50_000)
    started = time.process_time()
    assert read_bytes(path, None) == b"x" * 50_000
    assert time.process_time() - started < 10, "a copy of the rest for each member takes over a minute"


def test_a_comment_with_many_dots_is_no_long_name(tmp_path):
    bounded_depth('note = "a # b"  # ' + "." * 300 + "\n# " + "." * 300, "the study")
    with pytest.raises(LosscopeError, match="a name of 301 parts"):
        bounded_depth('x = "#"\na' + ".a" * 300 + " = 1", "the study")


# What is no file


@pytest.fixture(params=["fifo", "socket", "device", "link to a device", "kernel"])
def no_file(request, tmp_path):
    """A maker of something that opens but is no file, under a name."""
    kept = []

    def make(path):
        if request.param == "fifo":
            os.mkfifo(path)
        elif request.param == "socket":
            listening = socket.socket(socket.AF_UNIX)
            kept.append(listening)
            here = os.getcwd()
            os.chdir(path.parent)  # a socket's path must be short
            listening.bind(path.name)
            os.chdir(here)
        else:
            place = {"device": "/dev/zero", "kernel": "/proc/self/status"}.get(request.param, "/dev/zero")
            path.symlink_to(place)
        return path

    yield make
    for listening in kept:
        listening.close()


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".csv", ".parquet", ".h5", ".toml"])
def test_what_is_no_file_is_not_opened(tmp_path, no_file, suffix):
    path = no_file(tmp_path / f"f{suffix}")
    reads = [Study.read] if suffix == ".toml" else [load]
    reads += [judge] if suffix in (".csv", ".parquet") else [load_embeddings] if suffix == ".npz" else []
    for read in reads:
        with pytest.raises(LosscopeError, match="wanted: a regular file"):
            read(str(path))


@pytest.mark.parametrize("suffix", [".png", ".wav"])
def test_what_is_no_file_in_a_class_folder(tmp_path, no_file, suffix):
    from scipy.io import wavfile

    home = tmp_path / "classes"
    for row in range(12):
        place = home / "ab"[row % 2] / f"{row}{suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".png":
            picture(place, seed=row)
        else:
            wavfile.write(place, 8000, (9000 * np.sin(np.arange(9000) / (9 + row))).astype(np.int16))
    no_file(home / "a" / f"0a{suffix}")
    with pytest.raises(LosscopeError, match="1 of 13 .* cannot be read: .*wanted: a regular file"):
        load(home)
    assert len(load(home, skip_bad=True).splits(0).test) > 0


def test_links_that_lead_in_circles(tmp_path):
    home = tmp_path / "classes"
    class_folders(home)
    (home / "a" / "deeper").symlink_to(home)
    (home / "a" / "x.png").symlink_to(home / "a" / "y.png")
    (home / "a" / "y.png").symlink_to(home / "a" / "x.png")
    with pytest.raises(LosscopeError, match="2 of 14 images cannot be read"):
        load(home)
    (home / "c").symlink_to(home)
    with pytest.raises(LosscopeError, match="is a link to a folder that it lies in itself; remove the link"):
        load(home)
    with pytest.raises(LosscopeError, match="no file or folder"):
        load(home / "a" / "x.png")


# Images and sounds


def test_images_of_too_many_pixels(tmp_path):
    class_folders(tmp_path / "c")
    bomb = tmp_path / "c" / "a" / "bomb.png"
    from PIL import Image

    Image.new("1", (20_000, 20_000)).save(bomb)
    assert bomb.stat().st_size < 2**20
    with pytest.raises(LosscopeError, match=r"its pixels are too many; at most 67,108,864"):
        load(tmp_path / "c")
    Image.new("1", (9_000, 9_000)).save(bomb)
    with pytest.raises(LosscopeError, match=r"9,000 × 9,000 pixels are too many"):
        load(tmp_path / "c")
    Image.new("L", (2_000_000, 1)).save(bomb)
    with pytest.raises(LosscopeError, match="pixels are too many"):
        load(tmp_path / "c")
    with pytest.raises(LosscopeError, match="from 1 to 4,096"):
        load(tmp_path / "c", size=10**6)


def test_only_images_are_decoded_whatever_they_are_called(tmp_path):
    class_folders(tmp_path / "c")
    (tmp_path / "c" / "a" / "x.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(run) (w) file\n"
    )
    with pytest.raises(LosscopeError, match="UnidentifiedImageError"):
        load(tmp_path / "c")


def test_a_wav_that_declares_more_than_it_holds(tmp_path):
    from losscope.data.readers.sounds import read_sound

    path = tmp_path / "s.wav"
    samples = np.arange(800, dtype="<i2").tobytes()

    def head(length, rate=8000):
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
        return (
            struct.pack("<4sI4s", b"RIFF", 2**32 - 1, b"WAVE") + form + struct.pack("<4sI", b"data", length)
        )

    path.write_bytes(head(2**32 - 2) + samples)
    assert len(read_sound(path)[0]) == 800
    for rate in (1, 2**31 - 1):
        path.write_bytes(head(1600, rate) + samples)
        with pytest.raises(LosscopeError, match=f"is said to have {rate:,} samples per second"):
            read_sound(path)


# Paths in tables


def test_a_manifest_does_not_lead_out_of_its_folder(tmp_path):
    class_folders(tmp_path / "data")
    home = tmp_path / "data"
    files = sorted(path.relative_to(home) for path in home.rglob("*.png"))

    def write(names):
        rows = [f"{name},{'ab'[place % 2]}" for place, name in enumerate(names)]
        (home / "m.csv").write_text("path,label\n" + "\n".join(rows) + "\n")

    write([*files, "a/../b/1.png", "./a/0.png"])
    facts = load(home / "m.csv").facts
    assert facts.rows + sum(part.count for part in facts.left_out) == 14
    write([home / name for name in files])
    assert load(home / "m.csv").facts.rows == 12
    for name in ("../../etc/passwd", "a/../../secret.png", ".."):
        write([*files, name])
        with pytest.raises(LosscopeError, match="leads out of .*wanted: paths below the table's folder"):
            load(home / "m.csv")
    secret = tmp_path / "secret.txt"
    secret.write_text("a very secret word")
    write([*files, secret])
    with pytest.raises(LosscopeError, match="1 of 13 images cannot be read") as caught:
        load(home / "m.csv")
    assert "very secret" not in str(caught.value)


# Studies


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("seeds = 100000000", "less than or equal to 10000"),
        ("epochs = 100000000", "less than or equal to 1000000"),
        (
            f"seeds = 10000\nlosses = {[f'triplet(margin=0.{i + 1})' for i in range(20)]}",
            "220,000 runs",
        ),
        (f"losses = {['triplet'] * 2000}", "at most 1000 items"),
        ("seeds = 0x" + "f" * 50_000, "whole number of 200,000 bits"),
        ("seeds = " + "9" * 50_000, "not valid TOML"),
        ("[options]\na = " + "[" * 50_000, "not valid TOML"),
        ("a" + ".a" * 50_000 + " = 1", "a name of 50,001 parts; at most 100"),
        ("note = '" + "x" * 2_000_000 + "'", "at most 262,144 are read"),
        ("[options]\na = " + "[" * 300 + "]" * 300, "options.a"),
    ],
)
def test_study_files_beyond_all_bounds(tmp_path, text, match):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(LosscopeError, match=match) as caught:
        Study.read(path)
    assert len(str(caught.value)) < 5000


def test_seeds_and_epochs_of_a_dry_run_have_bounds(capsys):
    from losscope.cli import main

    for given in (["--seeds", "100000000"], ["--epochs", "100000000"]):
        with pytest.raises(SystemExit) as ended:
            main(["compare", "digits", "--dry-run", *given])
        assert ended.value.code == 2
        assert "less than or equal to" in capsys.readouterr().err


def test_an_error_repeats_little():
    assert len(shown("x" * 10**7)) <= 200
    assert shown(1 << 10**5) == "<int>"
    assert "unknown measure nan; choices: a" in str(unknown("measure", float("nan"), ["a"]))
    assert len(str(unknown("loss", "x" * 10**6, map(str, range(10**4))))) < 2000
    assert bounds.allowed(0) == bounds.UNPACKED
