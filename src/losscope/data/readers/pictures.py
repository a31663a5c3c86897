"""Decoding image files to one array of bytes, saying which could not be read."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.bounds import PIXELS, bounded_picture, regular
from losscope.core.errors import LosscopeError, require
from losscope.data.readers.decoding import (
    PLAIN,
    Look,
    decoded,
    said,
    shades,
    span,
    stacked,
    to_bytes,
    turn_of,
    upright,
)

UNREAD = -1
"""The size that leaves images where they are: readers then yield one ``Picture`` per row, not decoded."""
SIDE = 4096
"""Pixels of the side that images are scaled to, at most."""
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    "DIB": (".dib",),
    "ICO": (".ico",),
    "CUR": (".cur",),
    "ICNS": (".icns",),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "SUN": (".ras",),
    "PCX": (".pcx",),
    "DCX": (".dcx",),
    "QOI": (".qoi",),
    "PSD": (".psd",),
    "DDS": (".dds",),
    "BLP": (".blp",),
    "FTEX": (".ftc", ".ftu"),
    "XBM": (".xbm",),
    "XPM": (".xpm",),
    "MSP": (".msp",),
    "IM": (".im",),
    "PCD": (".pcd",),
    "PIXAR": (".pxr",),
    "GBR": (".gbr",),
    "FLI": (".fli", ".flc"),
    "FITS": (".fit", ".fits"),
}
"""What is decoded, whatever a file is called: Pillow's other formats start programs, or hold no pixels."""
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)


@dataclass(frozen=True)
class Picture:
    """An image still in its file (or in the bytes of one), of its own size; ``box`` as in ``read_images``.

    ``look`` is None for an ordinary image; ``shades`` are the values of a deep one that are black and white.
    """

    name: str
    path: Path | None = None
    content: bytes | None = None
    box: tuple[int, int, int, int] | None = None
    look: Look | None = None
    shades: tuple[float, float] | None = None

    def opened(self) -> Any:
        """The Pillow image as it is stored. Raises what Pillow raises for a broken file."""
        place: Any = self.path if self.content is None else io.BytesIO(self.content)
        return opened_picture(place)

    def head(self) -> bytes:
        """The first bytes."""
        if self.content is not None:
            return self.content[:HEAD]
        assert self.path is not None
        with regular(self.path).open("rb") as file:
            return file.read(HEAD)

    def open(self) -> Any:
        """The Pillow image, in RGB, upright, cut to its box. Raises what Pillow raises for a broken file."""
        from PIL import Image

        with self.opened() as stored:
            picture, look = upright(stored, None, self.box)
        if not look.deep:
            return picture
        black, white = self.shades or span(look.low, look.high)
        return Image.fromarray(to_bytes(np.asarray(picture), black, white)).convert("RGB")


HEAD = 2**14
"""Bytes at the beginning of a file in which formats say what is special about it."""
MARKS = (b"Exif\0", b"eXIf", b"MPF\0", b"ns.adobe.com/xap", b"Raw profile", b"tRNS", b"acTL", b"XML:com")


def _ordinary(head: bytes) -> bool:
    """Whether the first bytes of a file tell that it is upright, opaque and of 8 bits."""
    if any(mark in head for mark in MARKS):
        return False
    return head.startswith((b"\xff\xd8", b"BM")) or (
        head.startswith(b"\x89PNG") and len(head) > 25 and head[24] <= 8 and head[25] in (0, 2, 3)
    )


def with_looks(rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Pictures (N,) with what is special about each, and notes for the user; what cannot be read, as it was.

    Only those whose first bytes are not of an ordinary image are opened, and only deep ones decoded.
    """
    looks = [PLAIN] * len(rows)
    for place, row in enumerate(rows):
        try:
            if _ordinary(row.head()):
                continue
            with row.opened() as stored:
                # Modes tell of transparency; whether a pixel has any is seen when it is read.
                clear = "transparency" in stored.info or stored.mode[-1] in "Aa"
                if stored.mode[0] in "IF":
                    looks[place] = upright(stored, None, row.box)[1]
                else:
                    paged = bool(getattr(stored, "is_animated", False))
                    turned = stored.format != "TIFF" and turn_of(stored) is not None
                    looks[place] = Look(turned=turned, clear=clear, paged=paged)
        except Exception:  # said when it is read
            continue
    special = [place for place, look in enumerate(looks) if look != PLAIN]
    if not special:
        return rows, []
    ranges, rows = shades(looks), rows.copy()
    for place in special:
        look = looks[place]
        rows[place] = replace(rows[place], look=look, shades=ranges.get(look.deep))
    return rows, said(looks, "can hold transparent pixels, which are laid on white")


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
    all have one size. ``boxes`` are x1, y1, x2, y2, counted from 1, cut out first. Images are turned upright
    by their EXIF data, and laid on white where they are transparent; those of more than 8 bits are brought to
    8 by one range for all of them.

    ``size`` UNREAD decodes nothing and yields one ``Picture`` per file, (N,).

    Raises LosscopeError for unreadable images (counted, the first named) unless ``skip_bad``.
    """
    if size == UNREAD:
        rows, notes = with_looks(unread(files, boxes))
        return rows, np.arange(len(files)), notes
    require(
        size is None or 1 <= size <= SIDE,
        f"size is {size}; it is the side of an image in pixels, from 1 to {SIDE:,}",
    )
    require(bool(files), "there are no images; wanted: at least one")

    def opened(place: int) -> Any:
        return opened_picture(files[place])

    names = [path.name for path in files]
    return read_all(names, opened, size, skip_bad, boxes, grey)


def read_all(
    names: Sequence[str],
    opened: Callable[[int], Any],
    size: int | None,
    skip_bad: bool = False,
    boxes: Sequence[tuple[int, int, int, int]] | None = None,
    grey: bool = False,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """As ``read_images``, of images that ``opened`` yields by their places; ``names`` say which are bad."""
    kept, bad, images = [], [], []
    looks: list[Look] = []
    for place, name in enumerate(names):
        try:
            with opened(place) as stored:
                image, look = decoded(stored, size, None if boxes is None else boxes[place], grey)
        except ImportError:
            raise LosscopeError(
                "reading image files needs the package pillow: pip install 'losscope[hf]'"
            ) from None
        except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, and its own
            bad.append(f"{name} ({_reason(error)})")
            continue
        images.append(image)
        looks.append(look)
        kept.append(place)
    notes = []
    if bad:
        count = f"{len(bad):,} of {len(names):,} images cannot be read: " + ", ".join(bad[:3])
        count += ", …" if len(bad) > 3 else ""
        require(
            skip_bad and bool(kept), f"{count}; wanted: readable images, or --skip-bad to leave these out"
        )
        notes.append(f"{count}; left out")
    shapes = {image.shape for image in images}
    require(
        len(shapes) == 1, f"the images have {len(shapes):,} different sizes; wanted: one size, or option size"
    )
    return stacked(images, looks), np.array(kept), [*notes, *said(looks)]


def opened_picture(place: Path | io.BytesIO) -> Any:
    """A Pillow image of one of ``FORMATS``, its size checked before anything is decoded.

    Raises:
        LosscopeError: no regular file, too many pixels.
        Exception: what Pillow raises for a broken file.
    """
    from PIL import Image

    if isinstance(place, Path):
        regular(place)
    try:
        picture = Image.open(place, formats=_known())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise LosscopeError(f"its pixels are too many; at most {PIXELS:,} are decoded") from None
    try:
        bounded_picture(picture.size)
    except LosscopeError:
        picture.close()
        raise
    return picture


@cache
def _known() -> list[str]:
    """The formats that the installed Pillow has."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _reason(error: Exception) -> str:
    if isinstance(error, LosscopeError):
        return str(error)
    return "no such file" if isinstance(error, FileNotFoundError) else type(error).__name__
