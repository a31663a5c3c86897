"""Backbones of timm, where the user has timm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from losscope.core.errors import LosscopeError
from losscope.features.backbones.base import Backbone, fitted, picture_settings, pixels
from losscope.features.backbones.memory import forward_bytes

if TYPE_CHECKING:
    from torch import Tensor


class Timm(Backbone):
    """A pretrained model of timm without its classifier, with timm's own size, crop, mean and deviation.

    timm brings torchvision, which replaces a CPU build of torch by another: it is never installed with
    losscope. The features depend on timm's version and the model's published configuration, which names
    the weights.
    """

    def __init__(self, model: str, given: Mapping[str, Any]):
        try:
            import timm
            from timm.data import resolve_model_data_config
        except ImportError:
            raise LosscopeError(
                f"timm:{model} needs the package timm, which is not installed; it brings torchvision, so "
                "give it an environment of its own, or take the model's id on the Hugging Face hub instead"
            ) from None
        self.model = model
        try:
            self.network = timm.create_model(model, pretrained=True, num_classes=0)
        except Exception as error:  # timm raises what its hub and its builders raise
            raise LosscopeError(f"timm:{model} cannot be had: {type(error).__name__}: {error}") from None
        found = resolve_model_data_config(self.network)
        fit = "stretch" if found.get("crop_mode") == "squash" else "crop"
        defaults = {
            "size": int(found["input_size"][-1]),
            "fit": fit,
            "resample": found["interpolation"],
            "share": float(found["crop_pct"]),
        }
        settings = picture_settings(given, defaults, f"timm:{model}")
        self.mean, self.std = (np.array(found[moment], np.float32) for moment in ("mean", "std"))
        weights = {
            key: str(value) for key, value in sorted(getattr(self.network, "pretrained_cfg", {}).items())
        }
        super().__init__(
            f"timm:{model}",
            "images",
            (),
            {"family": "timm", "timm": timm.__version__, "weights": weights, **settings},
        )
        self.width = int(self.network.num_features)

    @property
    def preprocessing(self) -> str:
        """Size, fit and scale in words."""
        size = self.settings["size"]
        return (
            f"{size}×{size}, {self.settings['fit']}, {self.settings['resample']}, timm's mean and deviation"
        )

    def prepare(self, row: Any) -> np.ndarray:
        """(3, size, size), normalised."""
        settings = self.settings
        return pixels(
            fitted(row, settings["size"], settings["fit"], settings["resample"], settings["share"]),
            self.mean,
            self.std,
        )

    def needs(self, shape: tuple[int, ...], batch: int) -> tuple[int, int]:
        """No parameters, which are here already; the activations by a pass without numbers."""
        return 0, forward_bytes(self.network, self.network, shape, batch)

    def open(self, device: str) -> None:
        """Move the network to the device, in evaluation mode."""
        self.network.to(device).eval()

    def __call__(self, batch: Tensor) -> Tensor:
        """(rows, 3, size, size) -> (rows, D)."""
        return self.network(batch)
