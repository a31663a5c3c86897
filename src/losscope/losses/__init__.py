"""Losses, grouped by mathematical family."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    reduction: str | None = None,
    tuples: str | None = None,
    normalise: bool = True,
    **hyperparameters: float | bool | str,
) -> LossModule:
    """A registered loss as an ``nn.Module`` with pytorch-metric-learning's call.

    ``module(embeddings (B, D), labels (B,))`` is a scalar; ``indices_tuple``, ``ref_emb`` and ``ref_labels``
    are that library's. It may be used under autocast, with half-precision embeddings, under ``torch.compile``
    and with several processes; it works in float32 or wider. ``module.terms(embeddings, relation)`` is the
    loss before reduction, ``module.pml()`` the module for that library's own wrappers.

    Args:
        name: a loss, or a loss with hyperparameters, such as ``triplet(margin=0.2)``.
        num_classes, embedding_size: for losses with one vector per class.
        seed: of the class vectors and of drawn tuples.
        reduction: ``valid_mean``, ``active_mean`` or ``balanced``, where the loss has it.
        tuples: the tuples of a batch that count: ``all``, ``random``, ``hard``, ``semihard`` or
            ``distance_weighted``.
        normalise: whether rows are divided by their lengths, for a loss that wants unit rows. False says
            that they are unit rows already; if they are not, one warning says so.
        **hyperparameters: of the loss, in place of those in the name.

    Raises:
        LosscopeError: an unknown loss, hyperparameter, reduction or tuples.

    >>> import torch
    >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]], requires_grad=True)
    >>> triplet = loss("triplet(margin=0.2)", reduction="active_mean")
    >>> value = triplet(embeddings, torch.tensor([0, 1, 1]))
    >>> value.backward()
    >>> round(value.item(), 4), embeddings.grad.shape
    (0.462, torch.Size([3, 2]))
    """
    from losscope.losses.drop_in import LossModule

    given = LossSpec.parse(name)
    require(
        not (given.foreign or given.baseline),
        f"{name!r} is not a loss of this package; choices: {', '.join(entries('loss'))}",
    )
    values = {
        "name": given.name,
        "hyperparameters": {**given.hyperparameters, **hyperparameters},
        "reduction": reduction or given.reduction,
        "tuples": tuples or given.tuples,
    }
    spec: LossSpec = build(LossSpec, values, f"loss {name!r}")
    spec.check()
    return LossModule(spec.resolved("matched"), num_classes, embedding_size, seed, normalise)
