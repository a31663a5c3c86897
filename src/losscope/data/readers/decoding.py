"""One Pillow image as pixels: upright, on one background, in 8 bits, whatever mode it is stored in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from losscope.core.bounds import bounded_picture
from losscope.core.errors import LosscopeError, require

WHITE = 255
"""The background that transparent pixels are laid on."""
BOUNDS = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
"""The largest values of fractions, and of whole numbers of 8, 10, 12, 14 and 16 bits."""
ORIENTATION = 0x0112
CARRIES_EXIF = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
LEVELS = 64
"""Grey levels that 16-bit colours must keep in 8 bits, which is all that Pillow reads of them."""
Deep = Literal["", "whole numbers", "fractions"]


@dataclass(frozen=True)
class Look:
    """What is special about a stored image.

    ``deep``: its pixels are of more than 8 bits, from ``low`` to ``high``. ``turned``: its EXIF data say that
    it is not stored upright. ``clear``: it has transparent pixels. ``paged``: it has several pages or
    frames. ``cut``: the largest value that is left of 16-bit colours, or −1.
    """

    deep: Deep = ""
    low: float = 0.0
    high: float = 0.0
    turned: bool = False
    clear: bool = False
    paged: bool = False
    cut: int = -1


PLAIN = Look()


def span(low: float, high: float) -> tuple[float, float]:
    """What black and white are in pixels from ``low`` to ``high``: a depth's bounds where they fit.

    >>> span(0, 0.95), span(7, 3900), span(-1024, 3071)
    ((0.0, 1.0), (0.0, 4095.0), (-1024.0, 3071.0))
    """
    if low < 0:
        return float(low), float(high)
    bound = next((bound for bound in BOUNDS if high <= bound), 0.0)
    # Much below the bound only a few of 256 levels would be left.
    top = bound if high > bound / 4 else float(high)
    return 0.0, top or 1.0


def to_bytes(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """Values as uint8, ``black`` as 0 and ``white`` as 255.

    >>> to_bytes(np.array([0, 0.5, 1]), 0, 1)
    array([  0, 128, 255], dtype=uint8)
    """
    scaled = (values - np.float32(black)) * np.float32(255 / ((white - black) or 1.0))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def upright(
    picture: Any, size: int | None, box: tuple[int, int, int, int] | None = None, grey: bool = False
) -> tuple[Any, Look]:
    """A Pillow image in RGB (L if ``grey``), or in F where it is deep, cut to its box and turned; its look.

    ``box`` is x1, y1, x2, y2, counted from 1, of the image as it is stored. A JPEG is decoded at a fraction
    of its size where that still covers ``size``.

    Raises:
        LosscopeError: pixels that are not finite, or deep ones of which one value is transparent.
        Exception: what Pillow raises for a broken file.
    """
    mode = "L" if grey else "RGB"
    paged = bool(getattr(picture, "is_animated", False))
    sixteen = picture.mode in ("RGB", "RGBA", "LA") and any(";16" in str(tile[3]) for tile in picture.tile)
    if box is None and size is not None:
        picture.draft(mode, (2 * size, 2 * size))
    picture.load()
    bounded_picture(picture.size)  # icons hold images of sizes of their own
    turn = turn_of(picture)
    if box is not None:
        picture = picture.crop((box[0] - 1, box[1] - 1, box[2], box[3]))
    deep, low, high, clear = "", 0.0, 0.0, False
    if picture.mode[0] in "IF":
        picture, deep, low, high = _deep(picture)
    elif "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        picture, clear = _laid_on_white(picture, mode)
    else:
        picture = picture.convert(mode)
    cut = int(max(high for _, high in _extrema(picture))) if sixteen else -1
    if turn is not None:
        picture = picture.transpose(turn)
    if not (deep or clear or paged or sixteen or turn is not None):
        return picture, PLAIN
    return picture, Look(deep, low, high, turn is not None, clear, paged, cut)  # type: ignore[arg-type]


def _extrema(picture: Any) -> list[tuple[float, float]]:
    found = picture.getextrema()
    return [found] if picture.mode == "L" else list(found)


def turn_of(picture: Any) -> Any:
    """How an image is to be transposed to stand upright, as its EXIF data say; None as it is."""
    if CARRIES_EXIF.isdisjoint(picture.info):
        return None
    from PIL import Image

    try:
        orientation = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data raise many errors, and say nothing of the pixels
        return None
    how = Image.Transpose
    turns = {
        2: how.FLIP_LEFT_RIGHT,
        3: how.ROTATE_180,
        4: how.FLIP_TOP_BOTTOM,
        5: how.TRANSPOSE,
        6: how.ROTATE_270,
        7: how.TRANSVERSE,
        8: how.ROTATE_90,
    }
    return turns.get(orientation)


def _laid_on_white(picture: Any, mode: str) -> tuple[Any, bool]:
    """The image without its transparency, and whether any pixel had some."""
    from PIL import Image

    if picture.mode == "La":
        picture = picture.convert("LA")
    picture = picture.convert("RGBA")
    if picture.getchannel("A").getextrema()[0] == 255:
        return picture.convert(mode), False
    ground = Image.new("RGBA", picture.size, (WHITE, WHITE, WHITE, 255))
    return Image.alpha_composite(ground, picture).convert(mode), True


def _deep(picture: Any) -> tuple[Any, Deep, float, float]:
    """An image of more than 8 bits in mode F, what its values are, and their range."""
    from PIL import Image

    require("transparency" not in picture.info, "a transparent value among pixels of more than 8 bits")
    deep: Deep = "fractions" if picture.mode == "F" else "whole numbers"
    values = np.asarray(picture).astype(np.float32)
    bad = int((~np.isfinite(values)).sum())
    require(not bad, f"{bad:,} of its pixels are NaN or infinite")
    return Image.fromarray(values), deep, float(values.min()), float(values.max())


def scaled(picture: Any, size: int) -> Any:
    """The shorter side scaled to ``size`` (bicubic), and the middle cut out."""
    from PIL import Image

    scale = size / min(picture.size)
    wide, high = (max(size, round(side * scale)) for side in picture.size)
    bounded_picture((wide, high))
    left, top = (wide - size) // 2, (high - size) // 2
    return picture.resize((wide, high), Image.Resampling.BICUBIC).crop((left, top, left + size, top + size))


def decoded(
    picture: Any, size: int | None, box: tuple[int, int, int, int] | None = None, grey: bool = False
) -> tuple[np.ndarray, Look]:
    """A Pillow image as (channels, height, width), and its look: uint8, or float32 where it is deep."""
    picture, look = upright(picture, size, box, grey)
    if size is not None:
        picture = scaled(picture, size)
    if look.deep:
        values = np.asarray(picture, np.float32)
        return np.broadcast_to(values, (1 if grey else 3, *values.shape)), look
    array = np.asarray(picture, np.uint8)
    return array[None] if grey else array.transpose(2, 0, 1), look


def shades(looks: list[Look]) -> dict[Deep, tuple[float, float]]:
    """What black and white are in the deep ones of a set of images: one answer for all of a sort.

    Raises:
        LosscopeError: 16-bit colours so dark that 8 bits, all that Pillow reads of them, keep a few levels.
    """
    cuts = [look.cut for look in looks if look.cut >= 0]
    if cuts and max(cuts) < LEVELS:
        raise LosscopeError(
            f"the {len(cuts):,} images of 16-bit colours use {max(cuts) + 1} of the 256 levels that are left "
            "in 8 bits; wanted: values up to 65,535, or 8-bit images"
        )
    found: dict[Deep, tuple[float, float]] = {}
    for deep in sorted({look.deep for look in looks} - {""}):
        of_sort = [look for look in looks if look.deep == deep]
        found[deep] = span(min(look.low for look in of_sort), max(look.high for look in of_sort))
    return found


def said(looks: list[Look], clear: str = "have transparent pixels, which are laid on white") -> list[str]:
    """Sentences for the user on how a set of images was understood; none for ordinary ones."""
    counts = {
        clear: sum(look.clear for look in looks),
        "are turned upright, as their EXIF data say": sum(look.turned for look in looks),
        "have several pages or frames, of which the first is read": sum(look.paged for look in looks),
        "are of 16-bit colours, of which 8 bits are read": sum(look.cut >= 0 for look in looks),
    }
    notes = [f"{count:,} of {len(looks):,} images {what}" for what, count in counts.items() if count]
    for deep, (black, white) in shades(looks).items():
        count = sum(look.deep == deep for look in looks)
        notes.append(
            f"{count:,} of {len(looks):,} images hold {deep} of more than 8 bits: "
            f"{black:,g} to {white:,g} becomes 0 to 255"
        )
    return notes


def stacked(arrays: list[np.ndarray], looks: list[Look]) -> np.ndarray:
    """Decoded images of one shape as one uint8 array (N, channels, height, width)."""
    found = shades(looks)
    if not found:
        return np.stack(arrays)
    flat = [
        to_bytes(array, *found[look.deep]) if look.deep else array
        for array, look in zip(arrays, looks, strict=True)
    ]
    return np.stack(flat)
