"""Mutation fuzzing of every reader: ``make fuzz``, or ``python tests/fuzz.py --minutes 2 --readers npz,csv``.

Good files of each kind are made, damaged at random, and read in a child process with bounded memory and time.
A child may end in two ways only: a value, or a LosscopeError (one sentence). Everything else is a finding:
another exception, more than 2 GiB, more than 10 seconds. Findings are kept with their bytes under ``--out``;
the exit code is 1 if there are any.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib
import io
import json
import os
import pickle
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import wave
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from losscope.core.errors import LosscopeError

MEMORY = 2 * 2**30
SECONDS = 10
Reading = Callable[[Path], object]


@dataclass
class Reader:
    """A kind of input: its good files as bytes, the name that it is read under, and how it is read."""

    seeds: list[tuple[str, bytes]]
    read: Reading
    outcomes: Counter[str] = field(default_factory=Counter)


def as_data(path: Path) -> object:
    from losscope.data import load

    return load(path).splits(0)


def array_file(path: Path) -> object:
    np.save(path.parent / "labels.npy", np.repeat(np.arange(4), 10))
    return as_data(path)


def member(path: Path) -> object:
    """A damaged array in an archive that is whole, so that no checksum hides the damage."""
    whole = {"features": npy(np.zeros((40, 4), np.float32)), "labels": npy(np.repeat(np.arange(4), 10))}
    for name in whole:
        with zipfile.ZipFile(path.parent / f"{name}.npz", "w") as archive:
            for other, content in whole.items():
                archive.writestr(f"{other}.npy", path.read_bytes() if other == name else content)
    with contextlib.suppress(LosscopeError):
        as_data(path.parent / "features.npz")
    return as_data(path.parent / "labels.npz")


def class_folder(good: list[bytes]) -> Reading:
    """A folder of two classes: good files, and the damaged one among them."""

    def read(path: Path) -> object:
        home = path.parent / "classes"
        for number, content in enumerate(good):
            place = home / "ab"[number % 2] / f"{number}{path.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        shutil.copy(path, home / "a" / f"damaged{path.suffix}")
        return as_data(home)

    return read


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npz_small(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def table() -> tuple[bytes, bytes, bytes, bytes]:
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 4)).round(3), columns=list("abcd"))
    frame["label"] = np.repeat(["x", "y", "z", "w"], 10)
    frame["split"] = np.tile(["train", "test"], 20)
    parquet, lists = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    pd.DataFrame({"embedding": list(rng.normal(size=(40, 4))), "label": frame["label"]}).to_parquet(lists)
    return (
        frame.to_csv(index=False).encode(),
        frame.to_csv(index=False, sep="\t").encode(),
        parquet.getvalue(),
        lists.getvalue(),
    )


def scores() -> tuple[bytes, bytes]:
    import pandas as pd

    rows = [(loss, seed, "recall_at_1", 0.9 + seed / 100) for loss in ("a", "b") for seed in range(6)]
    frame = pd.DataFrame(rows, columns=["loss", "seed", "measure", "value"])
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return frame.to_csv(index=False).encode(), buffer.getvalue()


def picture(kind: str, mode: str = "RGB", seed: int = 0) -> bytes:
    from PIL import Image

    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def sound(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((9000 * np.sin(np.arange(9000) / (9 + seed))).astype(np.int16).tobytes())
    return buffer.getvalue()


def sound_by_soundfile(kind: str, seed: int = 0) -> bytes | None:
    """A sound of a kind that needs the package soundfile; None without it."""
    try:
        import soundfile
    except ImportError:
        return None
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.3 * np.sin(np.arange(9000) / (9 + seed)), 8000, format=kind.upper())
    return buffer.getvalue()


def option(path: Path) -> object:
    from losscope.cli.options import duration, key_value

    text = path.read_bytes().decode("utf-8", "surrogateescape")
    return key_value(text) if "=" in text else duration(text)


def manifest(path: Path) -> object:
    """A table of paths, beside two folders of pictures."""
    for number in range(14):
        place = path.parent / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(picture("png", seed=number))
    return as_data(path)


def cifar(path: Path) -> object:
    from losscope.data.readers.pickles import read_batch

    return read_batch(path.read_bytes(), str(path))


def cifar_batch() -> bytes:
    batch = {b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 3], b"filenames": [b"a.png"] * 4}
    return pickle.dumps(batch, protocol=2)


def hdf5() -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["features"] = np.arange(160.0).reshape(40, 4)
        file.create_dataset(
            "labels", data=np.repeat(["x", "y", "z", "w"], 10).astype("S"), compression="gzip"
        )
    return buffer.getvalue()


def stored_run() -> dict[str, bytes]:
    sys.path.insert(0, str(Path(__file__).parent))
    from losscope.run.store import Store
    from test_store import record

    with tempfile.TemporaryDirectory() as folder:
        Store(folder).add("abc", record())
        return {path.name: path.read_bytes() for path in (Path(folder) / "runs" / "abc").iterdir()}


def run_file(name: str, whole: dict[str, bytes]) -> Reading:
    def read(path: Path) -> object:
        from losscope.run.store import Store

        store = Store(path.parent / "store")
        home = path.parent / "store" / "runs" / "abc"
        home.mkdir(parents=True)
        for other, content in whole.items():
            (home / other).write_bytes(content if other != name else path.read_bytes())
        run = store.get("abc")
        run.check()
        altered = path.read_bytes() != whole[name]
        if altered:
            raise AssertionError(f"an altered {name} was read as whole")
        return run.trace(), run.arrays(), run.embeddings()

    return read


def archive(path: Path) -> object:
    from losscope.run.upkeep import import_runs

    return import_runs(path.parent / "store", path)


def exported() -> bytes:
    from losscope.run.store import Store
    from losscope.run.upkeep import export_runs
    from test_store import record

    with tempfile.TemporaryDirectory() as folder:
        Store(Path(folder) / "a").add("abc", record())
        export_runs(Path(folder) / "a", Path(folder) / "a.zip")
        return (Path(folder) / "a.zip").read_bytes()


def study(path: Path) -> object:
    from losscope.core.spec import Study

    return Study.read(path)


def loss_text(path: Path) -> object:
    from losscope.core.spec import LossSpec, split_losses

    return [LossSpec.parse(text) for text in split_losses(path.read_bytes().decode("utf-8", "replace"))]


def judged(path: Path) -> object:
    from losscope.comparing.judging import judge

    return judge(str(path))


def judged_arrays(path: Path) -> object:
    from losscope.comparing.judging import judge

    for loss in "ab":
        for seed in range(2):
            (path.parent / loss).mkdir(exist_ok=True)
            shutil.copy(path, path.parent / loss / f"{seed}.npz")
    return judge(str(path.parent / "{loss}" / "{seed}.npz"))


def pairs_file(path: Path) -> object:
    from losscope.data import load

    np.save(path.parent / "vectors.npy", np.random.default_rng(0).normal(size=(40, 4)))
    return load(path.parent / "vectors.npy", pairs=str(path)).splits(0)


def idx(path: Path) -> object:
    """MNIST's files, with one of them damaged."""
    from losscope.data import load
    from losscope.data.sets import images

    # The published checksums would refuse every case before it is read.
    images.IDX_MD5["mnist"] = (None,) * 4
    home = path.parent / "root" / "mnist"
    home.mkdir(parents=True)
    for name, content in idx_files().items():
        (home / name).write_bytes(content)
    (home / path.name).write_bytes(path.read_bytes())  # without .gz it is preferred
    return load("mnist", root=path.parent / "root").splits(0)


def idx_files() -> dict[str, bytes]:
    found = {}
    for stem, count in (("train", 60), ("t10k", 30)):
        images = struct.pack(">IIII", 2051, count, 28, 28) + bytes(count * 784)
        labels = struct.pack(">II", 2049, count) + bytes(i % 10 for i in range(count))
        found[f"{stem}-images-idx3-ubyte.gz"] = gzip.compress(images)
        found[f"{stem}-labels-idx1-ubyte.gz"] = gzip.compress(labels)
    return found


def readers() -> dict[str, Reader]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)).astype(np.float32), np.repeat(np.arange(4), 10)
    csv, tsv, parquet, lists = table()
    judged_csv, judged_parquet = scores()
    run = stored_run()
    toml = (
        b'data = "digits"\nlosses = ["triplet(margin=0.2)", "contrastive"]\nseeds = 10\n'
        b"[options]\nlimit = 100\n"
    )
    specs = (
        b"triplet(margin=0.2, tuples='hard'),contrastive,info_nce(temperature=0.1),"
        b"pml:TripletMarginLoss(margin=0.1)"
    )
    found = {
        "toml": Reader([("study.toml", toml)], study),
        "loss": Reader([("loss.txt", specs)], loss_text),
        "npz": Reader(
            [
                ("f.npz", npz(features=x, labels=y)),
                ("f.npz", npz_small(audio=x, visual=x, labels=y.astype(str))),
            ],
            as_data,
        ),
        "npy": Reader([("f.npy", npy(x))], array_file),
        "csv": Reader([("t.csv", csv), ("t.tsv", tsv)], as_data),
        "parquet": Reader([("t.parquet", parquet), ("t.parquet", lists)], as_data),
        "hdf5": Reader([("f.h5", hdf5())], as_data),
        "npz member": Reader([("f.npy", npy(y)), ("f.npy", npy(y.astype(str)))], member),
        "idx": Reader(
            [
                *idx_files().items(),
                *((name[:-3], gzip.decompress(content)) for name, content in idx_files().items()),
            ],
            idx,
        ),
        "pairs": Reader(
            [("pairs.csv", b"i,j,same\n" + b"".join(b"%d,%d,%d\n" % (i, i + 1, i % 2) for i in range(38)))],
            pairs_file,
        ),
        "scores": Reader([("s.csv", judged_csv), ("s.parquet", judged_parquet)], judged),
        "embeddings": Reader([("e.npz", npz(embeddings=x, labels=y))], judged_arrays),
        "option": Reader([("o.txt", b"rate=16000"), ("o.txt", b"90s"), ("o.txt", b"a=[1, (2, 3)]")], option),
        "manifest": Reader(
            [
                (
                    "m.csv",
                    b"path,label,split\n"
                    + b"".join(
                        b"%c/%d.png,%c,%s\n"
                        % (b"ab"[i % 2], i, b"ab"[i % 2], b"train" if i < 10 else b"test")
                        for i in range(14)
                    ),
                )
            ],
            manifest,
        ),
        "cifar": Reader([("data_batch_1", cifar_batch())], cifar),
        "archive": Reader([("runs.zip", exported())], archive),
    }
    for kind, mode in (
        ("png", "RGB"),
        ("jpeg", "RGB"),
        ("gif", "P"),
        ("bmp", "RGB"),
        ("tiff", "RGB"),
        ("webp", "RGB"),
    ):
        name = f"image.{kind}"
        good = [picture(kind, mode, seed) for seed in range(1, 13)]
        found[kind] = Reader([(name, picture(kind, mode))], class_folder(good))
    for kind in ("flac", "ogg"):
        if (recorded := sound_by_soundfile(kind)) is not None:
            good = [sound_by_soundfile(kind, seed) or b"" for seed in range(1, 13)]
            found[kind] = Reader([(f"sound.{kind}", recorded)], class_folder(good))
    found["wav"] = Reader([("sound.wav", sound())], class_folder([sound(seed) for seed in range(1, 13)]))
    for name in run:
        found[f"store {name}"] = Reader([(name, run[name])], run_file(name, run))
    return found


def mutated(content: bytes, draw: random.Random) -> bytes:
    """The content with one to four damages."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        if not data:
            break
        at = draw.randrange(len(data))
        kind = draw.randrange(9)
        if kind == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + draw.randrange(1, 16)]
        elif kind == 4:
            data[at:at] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 9)))
        elif kind == 5:
            end = min(len(data), at + draw.randrange(1, 64))
            data[at:at] = data[at:end]
        elif kind == 6:
            big = struct.pack(
                draw.choice("<>") + draw.choice("IQ"), draw.choice((2**31 - 1, 2**32 - 1, 2**20, 0))
            )
            data[at : at + len(big)] = big
        elif kind == 7:
            digits = [place for place, byte in enumerate(data[:2000]) if 48 <= byte <= 57]
            if digits:
                data[draw.choice(digits)] = draw.choice(b"0123456789-.e,\n\x00")
        else:
            word = draw.choice(
                (
                    b"nan",
                    b"inf",
                    b"-1",
                    b"99999999999999999999",
                    b"\xef\xbb\xbf",
                    b"(",
                    b")",
                    b'"',
                    b"'",
                    b"\x1b[31m",
                    b"=1+1",
                )
            )
            data[at : at + draw.choice((0, len(word)))] = word
    return bytes(data)


def attempt(reader: Reader, name: str, content: bytes) -> str:
    """What became of one case in a child process: ``value``, ``said``, or a finding."""
    out, into = os.pipe()
    with tempfile.TemporaryDirectory(prefix="losscope-fuzz-") as folder:
        child = os.fork()
        if child == 0:
            os.close(out)
            said = b"value"
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(SECONDS)
                os.chdir(folder)
                path = Path(folder) / name
                path.write_bytes(content)
                warnings.simplefilter("ignore")
                reader.read(path)
            except LosscopeError as error:
                # A sentence, but after the memory was asked for: on a larger machine it would be taken.
                greedy = any(word in str(error) for word in ("MemoryError", "allocate", "malloc"))
                said = b"memory, said" if greedy else b"said"
            except MemoryError:
                said = b"memory"
            except BaseException as error:
                place = traceback.extract_tb(error.__traceback__)
                ours = [frame for frame in place if "/losscope/" in frame.filename] or place
                where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else ""
                said = f"{type(error).__name__} in {where}".encode()
            os.write(into, said)
            os._exit(0)
        os.close(into)
        _, status = os.waitpid(child, 0)
        with os.fdopen(out, "rb") as file:
            said = file.read().decode()
    if os.WIFSIGNALED(status):
        ended = os.WTERMSIG(status)
        return "hang" if ended == signal.SIGALRM else f"signal {ended}"
    return said or "no word"


def imported() -> None:
    """Import what reading needs before the forks, so that no child pays for it."""
    for name in (
        "torch",
        "pandas",
        "pyarrow.parquet",
        "scipy.io.wavfile",
        "scipy.signal",
        "scipy.sparse.csgraph",
        "PIL.Image",
        "h5py",
        "soundfile",
        "losscope.data",
        "losscope.data.readers.paths",
        "losscope.comparing.judging",
        "losscope.measures",
        "losscope.cli.options",
        "losscope.run.upkeep",
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    words.add_argument("--minutes", type=float, default=2.0)
    words.add_argument("--readers", default="")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    given = words.parse_args()
    imported()
    found = readers()
    chosen = given.readers.split(",") if given.readers else list(found)
    for name in chosen:
        for file, content in found[name].seeds:
            came = attempt(found[name], file, content)
            if came != "value":
                print(f"{name}: the good {file} gives {came}")
    draw, started, cases = random.Random(given.seed), time.monotonic(), 0
    while time.monotonic() - started < 60 * given.minutes:
        name = chosen[cases % len(chosen)]
        reader = found[name]
        file, content = draw.choice(reader.seeds)
        damaged = mutated(content, draw)
        came = attempt(reader, file, damaged)
        reader.outcomes[came] += 1
        cases += 1
        if came not in ("value", "said") and reader.outcomes[came] <= 3:
            given.out.mkdir(parents=True, exist_ok=True)
            safe = "".join(letter if letter.isalnum() else "-" for letter in f"{name} {came}")
            (given.out / f"{safe}-{reader.outcomes[came]}-{file}").write_bytes(damaged)
    bad = 0
    for name in chosen:
        counts = found[name].outcomes
        bad += sum(count for came, count in counts.items() if came not in ("value", "said"))
        print(f"{name:22} {sum(counts.values()):6} cases: {json.dumps(dict(counts.most_common()))}")
    print(f"{cases} cases, {bad} findings, {(time.monotonic() - started) / 60:.1f} minutes")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
