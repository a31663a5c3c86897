"""A loss as one node of a compiled graph: ``torch.compile`` neither looks into it nor breaks at it.

The kernels run on NumPy and have gradients of their own, which no compiler can follow. So under
``torch.compile`` a loss is an operator that gives its value and its gradient at once; the gradient is kept
for the backward pass and multiplied there with what arrives.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from losscope.pairs import widened


class Valued(Protocol):
    """What the operator calls: a loss that takes its class vectors as an argument."""

    def value_of(
        self,
        embeddings: Tensor,
        labels: Any,
        mined: Any,
        ref_emb: Tensor | None,
        ref_labels: Any,
        class_vectors: Tensor | None,
    ) -> Tensor:
        """The reduced loss."""
        ...


_modules: weakref.WeakValueDictionary[int, Valued] = weakref.WeakValueDictionary()
_numbers = itertools.count()


def number_of(module: Valued) -> int:
    """A number under which the operator finds the module, of this process and of no copy of the module."""
    number = next(_numbers)
    _modules[number] = module
    return number


@torch.library.custom_op("losscope::loss", mutates_args=())
def loss_and_slopes(
    number: int,
    embeddings: Tensor,
    labels: Tensor | None,
    mined: list[Tensor],
    ref_emb: Tensor | None,
    ref_labels: Tensor | None,
    class_vectors: Tensor | None,
    slopes: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The loss and, if ``slopes``, its gradients by embeddings, references and class vectors, else empty."""
    module = _modules[number]
    given = (embeddings, ref_emb, class_vectors)
    # An operator is called below autograd; leaving inference mode is what brings it back.
    with torch.inference_mode(False), torch.set_grad_enabled(slopes):
        leaves = [None if part is None else widened(part.detach()).clone() for part in given]
        known = [leaf for leaf in leaves if leaf is not None]
        for leaf in known:
            leaf.requires_grad_(slopes)
        rows, others, vectors = leaves
        assert rows is not None
        value = module.value_of(rows, labels, mined or None, others, ref_labels, vectors)
        found: Iterator[Tensor] = iter(())
        if slopes and value.requires_grad:
            found = iter(torch.autograd.grad(value.sum(), known, allow_unused=True, materialize_grads=True))
    empty = [rows.new_empty(0) for _ in given]
    gradients = [
        # Copied row by row, since gradients of parts of one matrix are parts of one gradient, and a compiled
        # graph is promised rows in memory.
        none
        if leaf is None or not slopes
        else next(found, torch.zeros_like(leaf)).clone(memory_format=torch.contiguous_format)
        for leaf, none in zip(leaves, empty, strict=True)
    ]
    return value.detach().to(rows.dtype), gradients[0], gradients[1], gradients[2]


@loss_and_slopes.register_fake
def _(
    number: int,
    embeddings: Tensor,
    labels: Tensor | None,
    mined: list[Tensor],
    ref_emb: Tensor | None,
    ref_labels: Tensor | None,
    class_vectors: Tensor | None,
    slopes: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    wide = widened(embeddings)

    def like(part: Tensor | None) -> Tensor:
        return wide.new_empty(0) if part is None or not slopes else widened(part).new_empty(part.shape)

    value = wide.new_empty(embeddings.shape[:-2])
    return value, like(embeddings), like(ref_emb), like(class_vectors)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _, embeddings, _, mined, ref_emb, _, class_vectors, _ = inputs
    ctx.mined = len(mined)
    ctx.types = [None if part is None else part.dtype for part in (embeddings, ref_emb, class_vectors)]
    ctx.save_for_backward(*output[1:])


def _pass_on(ctx: Any, grad: Tensor, *_: Any) -> tuple[Any, ...]:
    weight = grad[..., None, None]
    rows, others, vectors = (
        # Kept wide until here, so that a scaled loss does not lose in float16 what it was scaled for.
        None if dtype is None else (weight * slope).sum_to_size(slope.shape).to(dtype)
        for dtype, slope in zip(ctx.types, ctx.saved_tensors, strict=True)
    )
    return None, rows, None, [None] * ctx.mined, others, None, vectors, None


loss_and_slopes.register_autograd(_pass_on, setup_context=_keep)
