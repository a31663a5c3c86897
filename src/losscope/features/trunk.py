"""A backbone that may be trained: opened as a module, with the rows of a data set as it takes them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError
from losscope.data.download import cache_folder
from losscope.data.readers.pictures import Picture
from losscope.data.readers.sounds import read_sound
from losscope.data.trunks import Batch
from losscope.features.backbones import Backbone
from losscope.features.backbones.base import Takes
from losscope.features.backbones.memory import available
from losscope.features.backbones.text import TextModel
from losscope.features.digests import digests
from losscope.features.passes import Unreadable, Work, by_shape, unreadable

KEPT = 8
"""Prepared rows are kept in memory up to one part in so many of what is free when the first is prepared."""


class BackboneTrunk:
    """A backbone and the rows that it made the features of.

    Args:
        find: makes the backbone anew, without weights.
        work: gives its rows, read when asked for.
        places: (N,) which of these rows is each row of the source; None where they are the same.
        name, takes: of the backbone.
    """

    def __init__(
        self,
        find: Callable[[], Backbone],
        work: Callable[[], Work],
        places: np.ndarray | None,
        name: str,
        takes: Takes,
    ):
        self._find, self._read_work, self._places = find, work, places
        self.name, self.takes = name, takes
        self._reader: Backbone | None = None
        self._kept: dict[int, np.ndarray] = {}
        self._room = 0

    def kept(self, good: np.ndarray) -> BackboneTrunk:
        """The same for a source of these rows alone."""
        places = good if self._places is None else self._places[good]
        return BackboneTrunk(self._find, self._read_work, places, self.name, self.takes)

    @cached_property
    def _work(self) -> Work:
        """The rows, which may be a whole data set in memory: read once."""
        return self._read_work()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the backbone's weights and settings."""
        return weights_digest(self._find())

    def open(self, device: str) -> Any:
        """A new module with the backbone's weights on the device."""
        backbone = self._find()
        backbone.start()
        backbone.open(device)
        first = 0 if self._places is None else int(self._places[0])
        _read(backbone, self._work, [first])  # by what name the model takes a row shows at the first
        return backbone.module()

    def rows(self, positions: Sequence[int]) -> list[Batch]:
        """The rows at these positions of the source, prepared; texts are filled up to the longest."""
        found = positions if self._places is None else self._places[np.asarray(positions, int)].tolist()
        backbone, made = self._prepared(found)
        return grouped(backbone, made)

    def _prepared(self, rows: Sequence[int]) -> tuple[Backbone, list[np.ndarray]]:
        work = self._work
        if self._reader is None:
            self._reader = self._find()
            self._reader.start()
            self._room = available("cpu") // KEPT
        backbone = self._reader
        lacking = [row for row in dict.fromkeys(rows) if row not in self._kept]
        fresh = dict(zip(lacking, _read(backbone, work, lacking), strict=True))
        made = [self._kept[row] if row in self._kept else fresh[row] for row in rows]
        for row, values in fresh.items():
            if values.nbytes > self._room:
                break
            self._room -= values.nbytes
            self._kept[row] = values
        return backbone, made


def weights_digest(backbone: Backbone) -> str:
    """SHA-256 of the content of a backbone's files, and of its settings."""
    files = digests(backbone.files, cache_folder() / "digests", keep=False)
    text = json.dumps([files, backbone.settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(backbone: Backbone, work: Work, rows: Sequence[int]) -> list[np.ndarray]:
    """Rows as the backbone takes them; files are read side by side.

    Raises:
        LosscopeError: a file that could be read when the features were computed, and cannot be now.
    """
    if isinstance(backbone, TextModel):  # whether a tokenizer cuts is a state of its own: one thread
        return [text.values for text in backbone.tokens([work.read(row) for row in rows])] if rows else []

    def prepared(row: int) -> np.ndarray:
        try:
            return work.prepared(row, backbone)
        except Unreadable as error:
            raise unreadable([f"{work.name(row)} ({error})"], len(work), work.takes) from None

    if len(rows) < 2:
        return [prepared(row) for row in rows]
    with ThreadPoolExecutor(max(1, min(8, os.cpu_count() or 1))) as pool:
        return list(pool.map(prepared, rows))


def grouped(backbone: Backbone, made: Sequence[np.ndarray]) -> list[Batch]:
    """Prepared rows that go through a backbone together: texts filled up to the longest, others by shape."""
    if isinstance(backbone, TextModel):
        return [Batch([*range(len(made))], backbone.padded(made))] if made else []
    return [*by_shape(made)]


def prepared_row(backbone: Backbone, row: Any) -> np.ndarray:
    """A person's own row as a backbone takes it.

    Args:
        backbone: started.
        row: of images a Pillow image, uint8 numbers (height, width, 3), or a file; of sounds (samples in ±1,
            samples per second) or a file; of texts a text, or (text, side) with side query or document.

    Raises:
        LosscopeError: a row of another kind, or a file that cannot be read.
    """
    wanted = {
        "images": "a Pillow image, uint8 numbers (height, width, 3), or the path of a file",
        "sounds": "(samples in ±1, samples per second), or the path of a file",
        "texts": "a text, or (text, side)",
    }[backbone.takes]
    try:
        return backbone.prepare(_content(backbone, row))
    except LosscopeError:
        raise
    except Exception as error:  # Pillow, soundfile and the processors share no class
        raise LosscopeError(
            f"a row of type {type(row).__name__} cannot be embedded ({type(error).__name__}); wanted: "
            f"{wanted}"
        ) from None


def _content(backbone: Backbone, row: Any) -> Any:
    if isinstance(backbone, TextModel):
        text, side = (row, "") if isinstance(row, str) else row
        return str(text), backbone.prompt_of(side)
    if isinstance(row, str | os.PathLike):
        path = Path(row)
        return read_sound(path) if backbone.takes == "sounds" else Picture(path.name, path).open()
    if backbone.takes == "sounds":
        samples, rate = row
        return np.asarray(samples, np.float32), int(rate)
    if isinstance(row, np.ndarray):
        from PIL import Image

        row = Image.fromarray(row)
    return row.convert("RGB")
