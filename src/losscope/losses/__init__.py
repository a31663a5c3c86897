"""Losses, grouped by mathematical family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from losscope.core.errors import require
from losscope.core.registry import entries
from losscope.core.spec import LossSpec, build

if TYPE_CHECKING:
    from losscope.losses.drop_in import LossModule

__all__ = ["loss"]


def loss(
    name: str,
    *,
    num_classes: int | None = None,
    embedding_size: int | None = None,
    seed: int = 0,
    **hyper: Any,
) -> LossModule:
    """A registered loss as an ``nn.Module``: ``loss(embeddings, labels, ref_emb=…, ref_labels=…) -> scalar``.

    Args:
        name: a loss, or a name with hyperparameters, as ``triplet(margin=0.2)``.
        num_classes, embedding_size: for losses with class vectors.
        seed: of the class vectors and of drawn tuples.
        **hyper: hyperparameters, ``reduction`` and ``tuples``.

    Raises:
        LosscopeError: an unknown loss, hyperparameter, reduction or tuples.

    >>> import torch
    >>> triplet = loss("triplet(margin=0.2)", reduction="active_mean")
    >>> triplet(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]), torch.tensor([0, 1, 1])).item() > 0
    True
    """
    from losscope.losses.drop_in import LossModule

    given = LossSpec.parse(name)
    require(
        not (given.foreign or given.baseline), f"{name!r} is not a loss of this package; choices: {_names()}"
    )
    words: dict[str, Any] = {key: hyper.pop(key) for key in ("reduction", "tuples") if key in hyper}
    values: dict[str, Any] = {
        "name": given.name,
        "reduction": given.reduction,
        "tuples": given.tuples,
        **words,
    }
    values["hyperparameters"] = {**given.hyperparameters, **hyper}
    spec: LossSpec = build(LossSpec, values, f"loss {name!r}")
    spec.check()
    return LossModule(spec.resolved("matched"), num_classes, embedding_size, seed)


def _names() -> str:
    return ", ".join(entries("loss"))
