"""What stands for test rows, made while the data are at hand: pictures, spectrograms, texts, names."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from losscope.core.results import Examples, ShownItem
from losscope.data.base import Part, Source, Table
from losscope.data.readers.pictures import Picture
from losscope.data.readers.sounds import FRAMES, MELS, SOUNDS, log_mel, read_sound
from losscope.data.rows import rows_shown

SIDE = 48
"""Pixels of the longer side of a picture, at most."""
BYTES = 112_000
"""Of all pictures together, at most: 150 KB as text."""
LONGEST = 240
"""Characters of a text, at most."""


def items_of(source: Source, found: Examples) -> dict[int, ShownItem]:
    """What stands for each row that a page shows, in the order of its queries while pictures have room.

    Args:
        source: the data of the study.
        found: the queries of one seed, with their neighbours.
    """
    part = source.splits(found.seed).test
    places = rows_shown(part)
    if len(places) != len(found.labels):
        return {}
    originals = None
    if isinstance(source, Table) and source.before is not None:
        originals = source.before[source.rows(found.seed)[2]]
    out: dict[int, ShownItem] = {}
    room = BYTES
    for rows in _by_query(found):
        made = {row: item(source, part, originals, int(places[row])) for row in rows if row not in out}
        size = sum(len(own.picture) for own in made.values())
        if size > room:  # a query is shown with all its neighbours or with none
            made = {row: ShownItem(own.text) for row, own in made.items()}
            size = 0
        room -= size
        out |= made
    return {row: own for row, own in sorted(out.items()) if own.text or own.picture}


def _by_query(found: Examples) -> Iterable[list[int]]:
    """The rows of each query: itself, and what any side finds for it."""
    for place, query in enumerate(found.queries.tolist()):
        near = np.concatenate([own.rows[place] for own in found.found.values()])
        yield [query, *sorted({int(row) for row in near if row >= 0} - {query})]


def item(source: Source, part: Part, originals: Any, place: int) -> ShownItem:
    """What stands for one row of the embeddings: ``place`` counts on through the second modality."""
    row, second = place % len(part), place >= len(part)
    inputs = part.second if second and part.second is not None else part.inputs
    text = "" if part.names is None or second else str(part.names[row])
    if originals is not None:
        what = originals[row]
        if isinstance(what, str):
            return ShownItem(_cut(what))
        if isinstance(what, Picture):
            return ShownItem(_cut(text or what.name), _filed(what))
        return ShownItem(_cut(text), picture(np.asarray(what)))
    shape = source.facts.picture
    values = np.asarray(inputs[row])
    return ShownItem(_cut(text), picture(values.reshape(1, *shape) if shape else values))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _filed(kept: Picture) -> bytes:
    """The picture of an image or a sound in its file; nothing where it cannot be read."""
    try:
        if kept.path is not None and kept.path.suffix.lower() in SOUNDS:
            wave, rate = read_sound(kept.path)
            return picture(log_mel([wave], rate)[0])
        image = kept.open()
        image.thumbnail((SIDE, SIDE))
        return picture(np.asarray(image).transpose(2, 0, 1))
    except Exception:  # what no reader can read has no picture; the study does not fail for it
        return b""


def picture(values: np.ndarray) -> bytes:
    """Values (1 or 3, height, width), bytes or numbers, as a small PNG or WebP; nothing for another shape."""
    if values.ndim != 3 or values.shape[0] not in (1, 3) or min(values.shape[1:]) < 2:
        return b""
    if values.dtype != np.uint8:
        if values.shape == (1, MELS, FRAMES):
            values = values[:, ::-1]  # a spectrogram has its low notes below
        values = np.nan_to_num(np.asarray(values, dtype=np.float64))
        low, high = float(values.min()), float(values.max())
        values = ((values - low) * (255 / (high - low or 1.0))).astype(np.uint8)
    step = math.ceil(max(values.shape[1:]) / SIDE)
    if step > 1:
        height, width = (size // step * step for size in values.shape[1:])
        blocks = values[:, :height, :width].reshape(len(values), height // step, step, width // step, step)
        values = blocks.mean(axis=(2, 4)).astype(np.uint8)
    return _grey(values[0]) if len(values) == 1 else _coloured(values.transpose(1, 2, 0))


def _coloured(pixels: np.ndarray) -> bytes:
    """Pixels (height, width, 3) as WebP where Pillow can write it, else as PNG."""
    try:
        from PIL import Image, features

        if features.check("webp"):
            buffer = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "WEBP", quality=60, method=4)
            return buffer.getvalue()
    except ImportError:
        pass
    return _png(pixels.reshape(len(pixels), -1), pixels.shape[1], depth=8, colour=2)


def _grey(pixels: np.ndarray) -> bytes:
    """Pixels (height, width) as a PNG of 16 shades, two pixels in a byte."""
    width = pixels.shape[1]
    shades = np.pad((pixels.astype(np.uint16) * 15 + 127) // 255, ((0, 0), (0, width % 2))).astype(np.uint8)
    return _png(shades[:, ::2] << 4 | shades[:, 1::2], width, depth=4, colour=0)


def _png(lines: np.ndarray, width: int, *, depth: int, colour: int) -> bytes:
    """Lines of bytes (height, bytes) as a PNG file (W3C 2003, without filters or interlacing)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, len(lines), depth, colour, 0, 0, 0)
    body = zlib.compress(np.pad(lines, ((0, 0), (1, 0))).tobytes(), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
