"""Any registered loss as an ``nn.Module`` with pytorch-metric-learning's call."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losscope.core.errors import LosscopeError, require
from losscope.core.registry import entry
from losscope.core.spec import LossSpec
from losscope.losses.calls import Mined, batch_of
from losscope.losses.opaque import loss_and_slopes, number_of
from losscope.pairs import KINDS, Relation, Terms, normalise, pair_distances, reduce, sample

UNIT = 1e-2
"""How far from 1 the lengths of rows may be that are said to be unit rows; bfloat16 has them to 4e-3."""


class LossModule(nn.Module):
    """``loss(embeddings, labels)`` of one registered loss; made by ``losscope.loss``.

    It works in float32 or wider whatever it is given, under autocast too; as one node of a graph under
    ``torch.compile(fullgraph=True)``; and it may be copied, saved and given to DistributedDataParallel.
    Rows are normalised here if the loss wants unit rows, unless it was made with ``normalise=False``.

    Attributes:
        spec: the loss's identity, every default filled in.
        class_vectors: (classes, embedding size), a parameter, for losses that have them; else None.
        watch: called with what each call compares: the embeddings as the loss takes them, their relation and
            the terms. For instruments; it changes nothing.
    """

    watch: Callable[[Tensor, Relation, Terms], None] | None = None

    def __init__(
        self,
        spec: LossSpec,
        num_classes: int | None,
        embedding_size: int | None,
        seed: int,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        registered = entry("loss", spec.name)
        facts = registered.facts
        self.spec = spec
        self._function: Callable[..., Terms] = registered.load()
        self._normalised: bool = facts.normalised and normalise
        self._unit_rows_unseen: bool = facts.normalised and not normalise
        self._reduction = spec.reduction or "valid_mean"
        self._tuples = spec.tuples or "all"
        self._into = KINDS.get(facts.takes)
        require(
            self._tuples == "all" or self._into is not None,
            f"{spec.name} takes every row of a batch; "
            f"tuples {spec.tuples!r} are for losses of pairs or triplets",
        )
        self._generator = np.random.default_rng(seed)
        self._number = number_of(self)
        self.class_vectors: nn.Parameter | None = None
        if facts.class_vectors:
            if num_classes is None or embedding_size is None:
                raise LosscopeError(
                    f"{spec.name} has one vector per class; it wants num_classes=… and embedding_size=…"
                )
            drawn = self._generator.standard_normal((num_classes, embedding_size))
            self.class_vectors = nn.Parameter(torch.from_numpy(drawn).float())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._number = number_of(self)  # a copy, or read from a file

    def extra_repr(self) -> str:
        return self.spec.label

    @property
    def wants_unit_rows(self) -> bool:
        """Whether the loss wants rows of length 1 and was told not to make them so."""
        return bool(entry("loss", self.spec.name).facts.normalised) and not self._normalised

    def terms(self, embeddings: Tensor, relation: Relation) -> Terms:
        """The loss before reduction; the embeddings are normalised here if the loss wants that."""
        return self._terms(embeddings, relation, self.class_vectors)

    def _terms(self, embeddings: Tensor, relation: Relation, vectors: Tensor | None, **more: Any) -> Terms:
        device = embeddings.device.type
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self._terms(embeddings, relation, vectors, **more)
        if self._unit_rows_unseen:
            self._look_at_lengths(embeddings)
        z = normalise(embeddings) if self._normalised else embeddings
        if self._tuples != "all" and self._into is not None:
            relation.check(z)
            members = [self._generator] * int(np.prod(z.shape[:-2]))
            distances = pair_distances(z.detach())
            relation = sample(
                relation, self._tuples, distances, members, into=self._into, dimension=z.shape[-1]
            )
        words: dict[str, Any] = dict(self.spec.hyperparameters) | more
        if vectors is not None:
            words["class_vectors"] = vectors
        terms = self._function(z, relation, **words)
        if self.watch is not None:
            self.watch(z, relation, terms)
        return terms

    def _look_at_lengths(self, embeddings: Tensor) -> None:
        """Warn, once, of rows that are not unit rows although the loss was made to believe so."""
        lengths = torch.linalg.vector_norm(embeddings.detach().float(), dim=-1)
        if lengths.numel() and bool(((lengths - 1).abs() > UNIT).any()):
            self._unit_rows_unseen = False
            low, high = (float(extreme) for extreme in lengths.aminmax())
            warnings.warn(
                f"{self.spec.label} wants unit rows and was made with normalise=False; the rows given have "
                f"lengths {low:.3g} to {high:.3g}, so that its margin or temperature means something else",
                RuntimeWarning,
                stacklevel=2,
            )

    def forward(
        self,
        embeddings: Tensor,
        labels: Any = None,
        indices_tuple: Mined | None = None,
        ref_emb: Tensor | None = None,
        ref_labels: Any = None,
    ) -> Tensor:
        """The reduced loss, a scalar (or one per member for embeddings (..., B, D)), float32 or wider.

        With references the embeddings are anchors and all their partners come from the references. With a
        miner's tuples only these count; a loss against class vectors weighs a row by how often it is named,
        over the most named row's, as pytorch-metric-learning does.

        Args:
            embeddings: (..., B, D) of any floating type.
            labels: (..., B) integers in a tensor, an array or a list, or names of classes in a list.
            indices_tuple: (anchors, positives, negatives) or (anchors, positives, anchors, negatives), row
                numbers (P,), as the miners of pytorch-metric-learning give them.
            ref_emb: (..., R, D), whose rows the partners are.
            ref_labels: as ``labels``, of the references.

        Raises:
            LosscopeError: labels that are not one integer or name per row, or names for a loss against class
                vectors; references without labels, or for a loss against class vectors; tuples of other rows.

        >>> import losscope
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]).bfloat16()
        >>> loss = losscope.loss("triplet(margin=0.5)")
        >>> round(loss(embeddings, ["owl", "wren", "wren"]).item(), 3)
        0.38
        >>> mined = torch.tensor([2]), torch.tensor([1]), torch.tensor([0])
        >>> round(loss(embeddings, None, mined).item(), 3)
        0.761
        """
        if not torch.compiler.is_compiling():
            return self.value_of(embeddings, labels, indices_tuple, ref_emb, ref_labels, self.class_vectors)
        tensors = (embeddings, self.class_vectors, ref_emb)
        slopes = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in tensors)
        return loss_and_slopes(
            self._number,
            embeddings,
            labels,
            list(indices_tuple or ()),
            ref_emb,
            ref_labels,
            self.class_vectors,
            slopes,
        )[0]

    def pml(self) -> nn.Module:
        """This module as a loss of pytorch-metric-learning, for its CrossBatchMemory and its wrappers.

        Raises:
            LosscopeError: pytorch-metric-learning is not installed.
        """
        try:
            from losscope.losses.pml import ContrastiveLoss
        except ImportError as error:
            raise LosscopeError(
                f"pytorch-metric-learning cannot be imported ({error}); pip install 'losscope[peers]'"
            ) from error
        return ContrastiveLoss(self)

    def value_of(
        self,
        embeddings: Tensor,
        labels: Any,
        mined: Mined | None,
        ref_emb: Tensor | None,
        ref_labels: Any,
        class_vectors: Tensor | None,
    ) -> Tensor:
        """``forward`` with these class vectors, outside of any compiler."""
        batch = batch_of(
            embeddings,
            labels,
            mined,
            ref_emb,
            ref_labels,
            name=self.spec.name,
            class_vectors=class_vectors is not None,
        )
        more: dict[str, Any] = {}
        if mined is not None:
            require(
                self._tuples == "all",
                f"indices_tuple was given to a loss that itself chooses {self._tuples} tuples; "
                f"only one of the two may choose",
            )
            if "in_batch" in self.spec.hyperparameters:
                # The miner has named the negatives that count.
                more["in_batch"] = False
        terms = self._terms(batch.rows, batch.relation, class_vectors, **more)
        if batch.weights is not None:
            terms = Terms(terms.value * batch.weights.to(terms.value.dtype), None, terms.valid)
        return reduce(terms, self._reduction)
