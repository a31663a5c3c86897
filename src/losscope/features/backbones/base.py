"""What a frozen backbone is to the rest, and the one way of bringing a picture to a fixed size."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from losscope.core.errors import LosscopeError, require, unknown

if TYPE_CHECKING:
    from torch import Tensor

Takes = Literal["images", "sounds", "texts"]
RESAMPLE = ("nearest", "bilinear", "bicubic", "lanczos")
FITS = ("stretch", "crop")


class Backbone(ABC):
    """A network whose weights are never changed, with the preprocessing that it was trained on.

    Finding one reads names and small files only: no weights, no torch. ``files`` and ``settings`` (JSON)
    are together all that its features depend on beside the data, so that a key can be made of them.
    ``takes`` says what a row is; ``width`` is the length of a feature vector where that is known before
    the weights are read, ``shortest`` the smallest last axis of a prepared row where the network has one.
    The order of calls is ``start``, ``prepare`` (from several threads), ``needs``, ``open``, then the
    backbone itself on batches.
    """

    def __init__(self, name: str, takes: Takes, files: tuple[Path, ...], settings: Mapping[str, Any]):
        self.name, self.takes, self.files, self.settings = name, takes, files, dict(settings)
        self.width: int | None = None
        self.shortest: int | None = None
        self.notes: list[str] = []

    @property
    @abstractmethod
    def preprocessing(self) -> str:
        """What is done to a row before the network sees it, in a few words."""

    def start(self) -> None:  # noqa: B027 - most backbones have nothing to get ready
        """Get the preprocessing ready; still no weights."""

    @abstractmethod
    def prepare(self, row: Any) -> np.ndarray:
        """A row as the network takes it.

        A row is a Pillow image in RGB, (samples in ±1, samples per second), or a text (or it and its prompt).
        """

    @abstractmethod
    def needs(self, shape: tuple[int, ...], batch: int) -> tuple[int, int]:
        """Estimated bytes of the parameters, and of the activations of a batch of rows of this shape."""

    @abstractmethod
    def open(self, device: str) -> None:
        """Read the weights onto the device."""

    def module(self) -> Any:
        """The opened backbone as a ``torch.nn.Module`` with the same call, whose parameters can be trained.

        Raises:
            LosscopeError: it is no such module.
        """
        raise LosscopeError(
            f"the backbone {self.name!r} cannot be trained: it is no model of Hugging Face; wanted: a "
            "folder or a name of one, or --finetune head"
        )

    @abstractmethod
    def __call__(self, batch: Tensor) -> Tensor:
        """Features (rows, D) of prepared rows (rows, ...) on the device."""


def fitted(picture: Any, size: int, fit: str, resample: str, share: float = 1.0) -> Any:
    """A Pillow image of size × size.

    ``stretch`` keeps all of it and not its proportions. ``crop`` scales the shorter side to size / share
    and cuts out the middle.
    """
    from PIL import Image

    how = Image.Resampling[resample.upper()]
    if fit == "stretch":
        return picture if picture.size == (size, size) else picture.resize((size, size), how)
    scale = math.floor(size / share) / min(picture.size)
    wide, high = (max(size, round(side * scale)) for side in picture.size)
    left, top = (wide - size) // 2, (high - size) // 2
    return picture.resize((wide, high), how).crop((left, top, left + size, top + size))


def pixels(picture: Any, mean: Any, std: Any) -> np.ndarray:
    """(pixel / 255 − mean) / std, float32 (channels, height, width); mean and std scalar or per channel."""
    values = np.asarray(picture, np.float32)
    return np.ascontiguousarray(((values / np.float32(255) - mean) / std).transpose(2, 0, 1), np.float32)


def picture_settings(given: Mapping[str, Any], defaults: Mapping[str, Any], name: str) -> dict[str, Any]:
    """``size``, ``fit`` and ``resample`` with what the user gave; unknown or impossible values are errors."""
    for key in given:
        if key not in defaults:
            raise unknown(f"preprocessing of {name}", key, defaults)
    settings = {**defaults, **given}
    for key, choices in (("fit", FITS), ("resample", RESAMPLE)):
        if settings[key] not in choices:
            raise unknown(key, str(settings[key]), choices)
    share = settings.get("share", 1.0)
    require(
        isinstance(share, int | float) and 0 < share <= 1,
        f"share is {share!r}; it is the part of the shorter side that is kept, above 0 and up to 1",
    )
    size = settings["size"]
    require(
        isinstance(size, int) and 32 <= size <= 4096,
        f"size is {size!r}; it is the side in pixels that images are brought to, from 32 to 4096",
    )
    return settings
