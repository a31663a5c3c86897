"""Where features lie: one folder per key, whole or growing shard by shard, never half-written."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError


@dataclass(frozen=True)
class Counts:
    """Of texts: how many were cut to ``most`` tokens, and of how many most tokens are unknown."""

    most: int
    cut: int
    unknown: int


@dataclass(frozen=True)
class Origin:
    """What made features: the format of the cache, the backbone with its settings, and these in words."""

    format: int
    backbone: str
    settings: Mapping[str, Any]
    preprocessing: str
    counts: Counts | None = None


class Shards:
    """The features (N, D) float16 of one key.

    While they are computed, ``parts/`` holds one ``.npy`` file per stretch of rows; when all are there they
    become one ``features.npy``, which is read memory-mapped. Every file is written under another name and
    renamed, so that a process that dies leaves whole shards only, and two that do the same work do no harm.
    A row that is NaN is one whose image or sound could not be read.
    """

    order: np.ndarray | None = None
    """(N,) which row is computed first, second, …, where that is not their own order."""

    def __init__(self, folder: Path, rows: int):
        self.folder, self.rows = folder, rows
        self.parts = folder / "parts"
        self.whole = folder / "features.npy"

    def finished(self) -> bool:
        """Whether all rows are there."""
        return self.whole.is_file()

    def done(self) -> int:
        """Rows of the whole shards that follow one another from row 0."""
        return sum(stop - start for start, stop, _ in self._line())

    def _line(self) -> list[tuple[int, int, Path]]:
        """The longest unbroken line of shards from row 0; broken files end it."""
        found: dict[int, tuple[int, Path]] = {}
        for path in self.parts.glob("*-*.npy"):
            start, stop = (int(number) for number in path.stem.split("-"))
            if start not in found or stop > found[start][0]:
                found[start] = stop, path
        line, place = [], 0
        while place in found:
            stop, path = found[place]
            if _rows(path) != stop - place or stop > self.rows:
                break
            line.append((place, stop, path))
            place = stop
        return line

    def add(self, start: int, features: np.ndarray) -> None:
        """Write the features of rows ``start`` … as a shard."""
        stop = start + len(features)
        with writing(self.folder):
            self.parts.mkdir(parents=True, exist_ok=True)
            temporary = self.parts / f".{start}.{os.getpid()}.tmp"
            with open(temporary, "wb") as file:
                np.save(file, features)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.parts / f"{start:09d}-{stop:09d}.npy")

    def join(self, origin: Origin) -> None:
        """Make one file of all shards, and write what the features are beside it."""
        line = self._line()
        if not line:
            return
        width = np.load(line[0][2], mmap_mode="r").shape[1]
        temporary = self.folder / f".features.{os.getpid()}.tmp"
        bad: list[int] = []
        with writing(self.folder):
            target = np.lib.format.open_memmap(
                temporary, mode="w+", dtype=np.float16, shape=(self.rows, width)
            )
            try:
                for start, stop, path in line:
                    shard = np.load(path)
                    places = np.arange(start, stop) if self.order is None else self.order[start:stop]
                    target[places] = shard
                    bad += places[np.isnan(shard[:, 0])].tolist()
                target.flush()
            except FileNotFoundError:
                # Another process that did the same work has joined the shards already.
                temporary.unlink(missing_ok=True)
                if not self.finished():
                    raise
                return
            del target
            self._note({**asdict(origin), "rows": self.rows, "width": width, "bad": sorted(bad)})
            os.replace(temporary, self.whole)
        shutil.rmtree(self.parts, ignore_errors=True)

    def _note(self, about: Mapping[str, Any]) -> None:
        temporary = self.folder / f".about.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(temporary, self.folder / "about.json")

    def unreadable(self) -> list[int]:
        """The rows that could not be read, as it stands beside the features."""
        return self._about("bad")

    def counts(self) -> Counts:
        """What was counted of texts, as it stands beside the features."""
        return Counts(**self._about("counts"))

    def _about(self, what: str) -> Any:
        try:
            return json.loads((self.folder / "about.json").read_text(encoding="utf-8"))[what]
        except (OSError, ValueError, KeyError, TypeError):
            raise LosscopeError(
                f"the cached features in {str(self.folder)!r} are damaged; remove that folder and run the "
                "same command again"
            ) from None

    def open(self) -> np.ndarray:
        """The features (N, D) float16, memory-mapped, read-only."""
        try:
            features = np.load(self.whole, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):
            features = np.empty((0, 0), np.float16)
        if len(features) != self.rows or features.dtype != np.float16:
            raise LosscopeError(
                f"the cached features in {str(self.folder)!r} are damaged; remove that folder and run the "
                "same command again"
            )
        return features


def _rows(path: Path) -> int:
    """Rows of a shard; -1 for a file that is broken."""
    try:
        return len(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError):
        return -1


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn a full disk or a folder that cannot be written into one sentence."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise LosscopeError(
            f"cannot write {str(place)!r}: {error.strerror}; what is computed is kept: make room, or set "
            "LOSSCOPE_CACHE to another folder, and run the same command again"
        ) from None
