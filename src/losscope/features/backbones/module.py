"""An opened backbone as a module of torch, so that its parameters have names and can be trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from losscope.features.backbones.base import Backbone


class Network(nn.Module):
    """A backbone whose call is this module's; ``layers`` are those behind its pooling.

    In evaluation mode for good: without dropout, and with the statistics of batch normalisation as they were.
    """

    def __init__(self, backbone: Backbone, model: nn.Module, layers: Sequence[Any] = ()):
        super().__init__()
        self.backbone, self.model = backbone, model
        self.layers = nn.ModuleList(layer for layer in layers if isinstance(layer, nn.Module))
        self.eval()

    def forward(self, batch: Tensor) -> Tensor:
        """Prepared rows (rows, ...) -> features (rows, D)."""
        return self.backbone(batch)
