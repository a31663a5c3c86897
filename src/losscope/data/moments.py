"""The mean and the deviation of images, by channel, with which a network's inputs are normalised."""

from __future__ import annotations

import numpy as np

Moments = tuple[float, ...]


def channel_moments(images: np.ndarray | None, rows: np.ndarray) -> tuple[Moments, Moments]:
    """Mean and standard deviation of each channel of the given rows, uint8 images on the scale pixel / 255.

    By counting the 256 values, so that no float copy of the images is made. Empty of all that is no uint8
    image, which is taken as it is.

    >>> channel_moments(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1), np.array([True, True]))
    ((0.5,), (0.5,))
    >>> channel_moments(np.zeros((2, 3)), np.array([True, True]))
    ((), ())
    """
    if images is None or images.dtype != np.uint8:
        return (), ()
    means, deviations = [], []
    values = np.arange(256) / 255
    for channel in range(images.shape[1]):
        pixels = images[rows, channel]
        share = np.bincount(pixels.ravel(), minlength=256) / max(1, pixels.size)
        mean = float(share @ values)
        means.append(mean)
        deviations.append(float(np.sqrt(share @ (values - mean) ** 2)) or 1.0)
    return tuple(means), tuple(deviations)
