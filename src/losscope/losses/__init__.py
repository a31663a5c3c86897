"""Losses, grouped by mathematical family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from losscope.errors import require
from losscope.registry import entries
from losscope.spec import LossSpec, build

if TYPE_CHECKING:
    from losscope.losses.module import LossModule

__all__ = ["module"]


def module(
    loss: str,
    *,
    num_classes: int | None = None,
    embedding_size: int | None = None,
    seed: int = 0,
    **hyper: Any,
) -> LossModule:
    """A registered loss as an ``nn.Module``: ``loss(embeddings, labels, ref_emb=…, ref_labels=…) -> scalar``.

    Args:
        loss: a name, or a name with hyperparameters, as ``triplet(margin=0.2)``.
        num_classes, embedding_size: for losses with class vectors.
        seed: of the class vectors and of drawn tuples.
        **hyper: hyperparameters, ``reduction`` and ``tuples``.

    Raises:
        LosscopeError: an unknown loss, hyperparameter, reduction or tuples.

    >>> import torch
    >>> loss = module("triplet(margin=0.2)", reduction="active_mean")
    >>> loss(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]), torch.tensor([0, 1, 1])).item() > 0
    True
    """
    from losscope.losses.module import LossModule

    given = LossSpec.parse(loss)
    require(
        not (given.foreign or given.baseline), f"{loss!r} is not a loss of this package; choices: {_names()}"
    )
    words: dict[str, Any] = {name: hyper.pop(name) for name in ("reduction", "tuples") if name in hyper}
    values: dict[str, Any] = {
        "name": given.name,
        "reduction": given.reduction,
        "tuples": given.tuples,
        **words,
    }
    values["hyperparameters"] = {**given.hyperparameters, **hyper}
    spec: LossSpec = build(LossSpec, values, f"loss {loss!r}")
    spec.check()
    return LossModule(spec.resolved("matched"), num_classes, embedding_size, seed)


def _names() -> str:
    return ", ".join(entries("loss"))
