"""Decoding image files to one array of bytes, saying which could not be read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.bounds import bounded_picture, regular
from losscope.core.errors import LosscopeError, require

UNREAD = -1
"""The size that leaves images where they are: readers then yield one ``Picture`` per row, not decoded."""
SIDE = 4096
"""Pixels of the side that images are scaled to, at most."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


@dataclass(frozen=True)
class Picture:
    """An image still in its file (or in the bytes of one), of its own size; ``box`` as in ``read_images``."""

    name: str
    path: Path | None = None
    content: bytes | None = None
    box: tuple[int, int, int, int] | None = None

    def open(self) -> Any:
        """The Pillow image, in RGB, cut to its box. Raises what Pillow raises for a broken file."""
        place: Any = self.path if self.content is None else io.BytesIO(self.content)
        with opened_picture(place) as opened:
            picture = opened.convert("RGB")
        return (
            picture if self.box is None else picture.crop((self.box[0] - 1, self.box[1] - 1, *self.box[2:]))
        )


def unread(files: Sequence[Path], boxes: Sequence[tuple[int, int, int, int]] | None = None) -> np.ndarray:
    """One ``Picture`` per file, (N,) objects: inputs of a draft whose images are read later, by batches."""
    rows = np.empty(len(files), object)
    for place, path in enumerate(files):
        rows[place] = Picture(path.name, path, box=None if boxes is None else boxes[place])
    return rows


def read_images(
    files: Sequence[Path],
    size: int | None,
    skip_bad: bool = False,
    boxes: Sequence[tuple[int, int, int, int]] | None = None,
    grey: bool = False,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The images (K, channels, size, size) uint8, the positions (K,) of those read, and notes for the user.

    The shorter side is scaled to ``size`` (bicubic) and the middle cut out; ``size`` None keeps images that
    all have one size. ``boxes`` are x1, y1, x2, y2, counted from 1, cut out first.

    ``size`` UNREAD opens nothing and yields one ``Picture`` per file, (N,).

    Raises LosscopeError for unreadable images (counted, the first named) unless ``skip_bad``.
    """
    if size == UNREAD:
        return unread(files, boxes), np.arange(len(files)), []
    require(
        size is None or 1 <= size <= SIDE,
        f"size is {size}; it is the side of an image in pixels, from 1 to {SIDE:,}",
    )
    kept, bad, images = [], [], []
    for place, path in enumerate(files):
        try:
            images.append(_decode(path, size, boxes[place] if boxes is not None else None, grey))
            kept.append(place)
        except ImportError:
            raise LosscopeError(
                "reading image files needs the package pillow: pip install 'losscope[hf]'"
            ) from None
        except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, and its own
            bad.append(f"{path.name} ({_reason(error)})")
    if bad:
        count = f"{len(bad):,} of {len(files):,} images cannot be read: " + ", ".join(bad[:3])
        count += ", …" if len(bad) > 3 else ""
        require(
            skip_bad and bool(kept), f"{count}; wanted: readable images, or --skip-bad to leave these out"
        )
        return np.stack(images), np.array(kept), [f"{count}; left out"]
    require(bool(files), "there are no images; wanted: at least one")
    shapes = {image.shape for image in images}
    require(
        len(shapes) == 1, f"the images have {len(shapes):,} different sizes; wanted: one size, or option size"
    )
    return np.stack(images), np.array(kept), []


FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""What is decoded, whatever a file is called: Pillow's other formats include ones that start programs."""


def opened_picture(place: Path | io.BytesIO) -> Any:
    """A Pillow image of one of ``FORMATS``, its size checked before anything is decoded.

    Raises:
        LosscopeError: no regular file, too many pixels.
        Exception: what Pillow raises for a broken file.
    """
    from PIL import Image

    if isinstance(place, Path):
        regular(place)
    Image.init()
    picture = Image.open(place, formats=[name for name in FORMATS if name in Image.OPEN])
    try:
        bounded_picture(picture.size)
    except LosscopeError:
        picture.close()
        raise
    return picture


def _reason(error: Exception) -> str:
    if isinstance(error, LosscopeError):
        return str(error)
    return "no such file" if isinstance(error, FileNotFoundError) else type(error).__name__


def _decode(path: Path, size: int | None, box: tuple[int, int, int, int] | None, grey: bool) -> np.ndarray:
    with opened_picture(path) as opened:
        return to_array(opened, size, box, grey)


def to_array(
    picture: Any, size: int | None, box: tuple[int, int, int, int] | None = None, grey: bool = False
) -> np.ndarray:
    """A Pillow image as uint8 (channels, height, width)."""
    from PIL import Image

    if box is not None:
        picture = picture.crop((box[0] - 1, box[1] - 1, box[2], box[3]))
    elif size is not None:
        # JPEG is decoded at a fraction of its size where that still covers what is wanted.
        picture.draft("L" if grey else "RGB", (2 * size, 2 * size))
    picture = picture.convert("L" if grey else "RGB")
    if size is not None:
        scale = size / min(picture.size)
        wide, high = (max(size, round(side * scale)) for side in picture.size)
        bounded_picture((wide, high))
        left, top = (wide - size) // 2, (high - size) // 2
        picture = picture.resize((wide, high), Image.Resampling.BICUBIC).crop(
            (left, top, left + size, top + size)
        )
    array = np.asarray(picture, np.uint8)
    return array[None] if grey else array.transpose(2, 0, 1)
