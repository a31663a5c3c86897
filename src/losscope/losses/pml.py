"""A loss of ours where pytorch-metric-learning asks for its own; imported by ``LossModule.pml`` only."""

from __future__ import annotations

from typing import Any

from pytorch_metric_learning.losses import BaseMetricLossFunction
from torch import Tensor, nn


class ContrastiveLoss(BaseMetricLossFunction):  # type: ignore[misc]
    """Any loss of ours under a name that ``CrossBatchMemory`` admits: it goes by the name of the class."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def extra_repr(self) -> str:
        return self.loss.extra_repr()

    def forward(
        self,
        embeddings: Tensor,
        labels: Any = None,
        indices_tuple: Any = None,
        ref_emb: Tensor | None = None,
        ref_labels: Any = None,
    ) -> Tensor:
        value: Tensor = self.loss(embeddings, labels, indices_tuple, ref_emb, ref_labels)
        return value
