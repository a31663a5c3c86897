"""Arrays as inputs: which are images, which feature vectors, and what is averaged."""

from __future__ import annotations

import re

import numpy as np

from losscope.core.errors import require
from losscope.data.base import Kind
from losscope.data.readers.decoding import BOUNDS, WHITE, span, to_bytes

NAMED = re.compile(r"(^|_)(images?|imgs?|pictures?|photos?|pixels?)(_|$)", re.IGNORECASE)
CHANNELS = (1, 3, 4)
SIDE = 8
"""Pixels of the side of an array that is taken for an image by its shape alone, at least."""


def as_rows(array: np.ndarray, name: str) -> tuple[np.ndarray, Kind, list[str]]:
    """The inputs as they are to be trained on, their kind, and notes for the user.

    Images become uint8 (N, channels, height, width) where their values are those of pixels: uint8, booleans,
    fractions in 0…1, whole numbers from 0 up. Others, such as images that are standardised already, stay
    float32. Feature maps and features by segment are averaged over their places. Numbers of more than two
    axes that are neither stay whole, and are flattened by networks of vectors.

    Raises:
        LosscopeError: values that are no real numbers.
    """
    require(
        array.dtype.kind in "fiub",
        f"{name} holds values of type {array.dtype}; wanted: real numbers",
    )
    if array.ndim > 2 and array.dtype != np.uint8 and sum(side > 1 for side in array.shape[1:]) < 2:
        # A vector per row whose other axes are of length 1, as pooling leaves them.
        return array.reshape(len(array), -1), "features", []
    axis = _channels(array, name)
    if axis is not None:
        return _images(array, axis, name)
    averaged, notes = _averaged(array, name)
    return averaged, "features", notes


def _channels(array: np.ndarray, name: str) -> int | None:
    """The axis of an image's channels (0: grey images without one), or None for what are no images."""
    named = array.dtype == np.uint8 or NAMED.search(name) is not None
    if array.ndim == 3:
        _, high, wide = array.shape
        return 0 if named or (high == wide and high >= SIDE) else None
    if array.ndim != 4:
        return None
    _, first, middle, last = array.shape
    if first in (1, 3) and (named or min(middle, last) >= SIDE):
        return 1
    if last in CHANNELS and (named or not first > middle == last):
        return 3
    if first in CHANNELS and (named or min(middle, last) >= SIDE):
        return 1
    # Images of many channels have fewer of them than pixels on a side, feature maps have more.
    if first == middle and last < first:
        return 3 if named or first >= SIDE else None
    if named or (middle == last and first < middle and middle >= SIDE):
        return 1
    return None


def _images(array: np.ndarray, axis: int, name: str) -> tuple[np.ndarray, Kind, list[str]]:
    channels_last = axis == 3
    if axis == 0:
        array = array[:, None]
    elif channels_last:
        array = array.transpose(0, 3, 1, 2)
    pixels, notes = _pixels(array, name)
    if pixels.dtype == np.uint8 and pixels.shape[1] == 4:
        pixels, more = _laid_on_white(pixels, name)
        notes += more
    return (np.ascontiguousarray(pixels) if channels_last else pixels), "images", notes


def _pixels(array: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    """Images (N, channels, height, width) as uint8 where their values are those of pixels, else float32."""
    if array.dtype == np.uint8:
        return array, []
    shape = "×".join(map(str, array.shape[1:]))
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255, [f"{name} of {array.dtype} values is read as images of {shape}"]
    low, high = (float(value) for value in (array.min(), array.max())) if array.size else (0.0, 0.0)
    black, white = span(low, high)
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or white not in BOUNDS:
        return array.astype(np.float32, copy=False), [
            f"{name} of {array.dtype} values from {low:.4g} to {high:.4g} is read as images of {shape}; "
            "the values stay as they are"
        ]
    pixels = np.empty(array.shape, np.uint8)
    for row, image in enumerate(array):
        pixels[row] = to_bytes(image.astype(np.float32), black, white)
    return pixels, [
        f"{name} of {array.dtype} values is read as images of {shape}: {black:g} to {white:,g} becomes "
        "0 to 255"
    ]


def _laid_on_white(pixels: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    """Images of four channels without the fourth, where that is opacity: mostly none or full."""
    alpha = pixels[:, 3:]
    extremes = np.isin(alpha, (0, 255))
    if not alpha.any() or (alpha == 255).all():
        return pixels[:, :3], []
    if extremes.mean() < 0.5:
        return pixels, [f"the fourth channel of {name} is not taken for opacity: images of 4 channels"]
    laid = np.empty((len(pixels), 3, *pixels.shape[2:]), np.uint8)
    for row, image in enumerate(pixels):
        share = image[3:].astype(np.float32) / 255
        laid[row] = np.rint(image[:3] * share + WHITE * (1 - share))
    clear = int((alpha != 255).any((1, 2, 3)).sum())
    return laid, [f"{clear:,} of {len(pixels):,} images have transparent pixels, which are laid on white"]


def _averaged(array: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    if array.ndim <= 2 or array.dtype.kind != "f":
        return array, []
    shape = "×".join(map(str, array.shape[1:]))
    if array.ndim > 4 and array.shape[-1] in CHANNELS:
        return array, [
            f"{name} of shape {shape} is taken whole: its last axis is of {array.shape[-1]} channels"
        ]
    maps = array.ndim == 4 and array.shape[2] == array.shape[3] < array.shape[1]
    axes = (2, 3) if maps else tuple(range(1, array.ndim - 1))
    inside = "×".join(str(array.shape[axis]) for axis in axes)
    mean = array.mean(axis=axes, dtype=np.float32)
    return mean, [f"{name} of shape {shape} is averaged over its {inside} segments or places"]
