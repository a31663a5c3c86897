"""Any registered loss as an ``nn.Module`` with pytorch-metric-learning's call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losscope.core.errors import LosscopeError, require
from losscope.core.registry import entry
from losscope.core.spec import LossSpec
from losscope.pairs import KINDS, Relation, Terms, normalise, pair_distances, reduce, sample


class LossModule(nn.Module):
    """``loss(embeddings, labels)`` of one registered loss; made by ``losscope.loss``.

    Attributes:
        spec: the loss's identity, every default filled in.
        class_vectors: (classes, embedding size), a parameter, for losses that have them; else None.
        watch: called with what each call compares: the embeddings as the loss takes them, their relation and
            the terms. For instruments; it changes nothing.
    """

    watch: Callable[[Tensor, Relation, Terms], None] | None = None

    def __init__(
        self, spec: LossSpec, num_classes: int | None, embedding_size: int | None, seed: int
    ) -> None:
        super().__init__()
        registered = entry("loss", spec.name)
        facts = registered.facts
        self.spec = spec
        self._function: Callable[..., Terms] = registered.load()
        self._normalised: bool = facts.normalised
        self._reduction = spec.reduction or "valid_mean"
        self._tuples = spec.tuples or "all"
        self._into = KINDS.get(facts.takes)
        require(
            self._tuples == "all" or self._into is not None,
            f"{spec.name} takes every row of a batch; "
            f"tuples {spec.tuples!r} are for losses of pairs or triplets",
        )
        self._generator = np.random.default_rng(seed)
        self.class_vectors: nn.Parameter | None = None
        if facts.class_vectors:
            if num_classes is None or embedding_size is None:
                raise LosscopeError(
                    f"{spec.name} has one vector per class; it wants num_classes=… and embedding_size=…"
                )
            drawn = self._generator.standard_normal((num_classes, embedding_size))
            self.class_vectors = nn.Parameter(torch.from_numpy(drawn).float())

    def extra_repr(self) -> str:
        return self.spec.label

    def terms(self, embeddings: Tensor, relation: Relation) -> Terms:
        """The loss before reduction; the embeddings are normalised here if the loss wants that."""
        z = normalise(embeddings) if self._normalised else embeddings
        if self._tuples != "all" and self._into is not None:
            relation.check(z)
            members = [self._generator] * int(np.prod(z.shape[:-2]))
            distances = pair_distances(z.detach())
            relation = sample(
                relation, self._tuples, distances, members, into=self._into, dimension=z.shape[-1]
            )
        words: dict[str, Any] = dict(self.spec.hyperparameters)
        if self.class_vectors is not None:
            words["class_vectors"] = self.class_vectors
        terms = self._function(z, relation, **words)
        if self.watch is not None:
            self.watch(z, relation, terms)
        return terms

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_emb: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """The reduced loss, a scalar (or one per member for embeddings (..., B, D)).

        With references the embeddings are anchors and all their partners come from the references.

        Raises:
            LosscopeError: labels that are not one integer per row; references without labels, or for a loss
                against class vectors.
        """
        labels = torch.as_tensor(labels, device=embeddings.device)
        require(
            labels.shape == embeddings.shape[:-1],
            f"labels have shape {tuple(labels.shape)}, embeddings {tuple(embeddings.shape)}; "
            f"one label per row is wanted",
        )
        if ref_emb is None:
            return reduce(self.terms(embeddings, Relation.from_labels(labels)), self._reduction)
        require(
            self.class_vectors is None,
            f"ref_emb was given to {self.spec.name}, which compares with class vectors and has no use for it",
        )
        if ref_labels is None:
            raise LosscopeError(
                "ref_emb was given without ref_labels; one label per row of ref_emb is wanted"
            )
        own, more = embeddings.shape[-2], ref_emb.shape[-2]
        sides = torch.arange(own + more, device=labels.device) >= own
        both = torch.cat((labels, torch.as_tensor(ref_labels, device=labels.device)), -1)
        relation = Relation.from_labels(both, sides, anchors=own)
        return reduce(self.terms(torch.cat((embeddings, ref_emb), -2), relation), self._reduction)
