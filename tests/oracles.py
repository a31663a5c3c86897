"""Naive loops in float64: what the losses must equal, written from their formulas and nothing else.

A ``Case`` holds plain lists, from which both the relation under test and the loops are made. Every oracle
returns value (B,) or (B, 2) with gradient, and the lists of active and valid counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from losscope.pairs import Relation


@dataclass
class Case:
    """What belongs together among ``rows`` rows, as plain lists."""

    rows: int
    labels: list[int] | None = None
    modality: list[int] | None = None
    pairs: list[tuple[int, int, bool]] = field(default_factory=list)
    triplets: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def form(self) -> str:
        return "labels" if self.labels is not None else "pairs" if self.pairs else "triplets"

    def relation(self) -> Relation:
        """The relation under test."""
        if self.labels is not None:
            modality = None if self.modality is None else torch.tensor(self.modality)
            return Relation.from_labels(torch.tensor(self.labels), modality)
        if self.pairs:
            i, j, same = (torch.tensor(column) for column in zip(*self.pairs, strict=True))
            return Relation.from_pairs(i, j, same, rows=self.rows)
        return Relation.from_triplets(*torch.tensor(self.triplets).T, rows=self.rows)

    def aligned(self) -> Relation:
        """The same pairs or triplets, which must be in the aligned order, by the constructor for them."""
        if self.pairs:
            return Relation.from_partners(torch.tensor([same for _, _, same in self.pairs]))
        return Relation.from_triples(len(self.triplets))

    def known(self, i: int, j: int) -> bool | None:
        """Whether j is a positive of i (True), a negative (False) or unknown (None), by labels."""
        assert self.labels is not None
        if i == j or (self.modality is not None and self.modality[i] == self.modality[j]):
            return None
        return self.labels[i] == self.labels[j]

    def listed(self) -> list[tuple[int, int, bool]]:
        """All pairs: anchor, partner, whether alike."""
        if self.labels is not None:
            cells = ((i, j, self.known(i, j)) for i in range(self.rows) for j in range(self.rows))
            return [(i, j, alike) for i, j, alike in cells if alike is not None]
        return self.pairs + [pair for a, p, n in self.triplets for pair in ((a, p, True), (a, n, False))]

    def partners(self, i: int, alike: bool) -> list[int]:
        """The distinct positives or negatives of an anchor; a row named both is a positive."""
        found = {b for a, b, same in self.listed() if a == i and same == alike}
        return sorted(found if alike else found - set(self.partners(i, True)))

    def all_triplets(self) -> list[tuple[int, int, int]]:
        """Each anchor's positives with all its negatives; explicit triplets as given."""
        if self.form == "triplets":
            return self.triplets
        return [
            (a, p, n)
            for a in range(self.rows)
            for p in self.partners(a, True)
            for n in self.partners(a, False)
        ]

    def negatives_in_batch(self, i: int) -> list[int]:
        """An anchor's negatives, and on pairs and triplets the partners that other anchors were given."""
        own = set(self.partners(i, False))
        if self.form == "labels" or not self.partners(i, True):
            return sorted(own)
        given = {b for _, b, same in self.listed() if same or self.form == "triplets"}
        return sorted((own | given) - set(self.partners(i, True)) - {i})


def length(difference: Tensor) -> Tensor:
    """The Euclidean length, without gradient at 0."""
    squared = difference @ difference
    return squared.sqrt() if squared.item() > 0 else squared.detach()


def _collected(
    rows: int, terms: list[tuple[int, Tensor, bool]], z: Tensor
) -> tuple[Tensor, list[int], list[int]]:
    zero = z.sum() * 0
    value = [sum((term for row, term, _ in terms if row == i), zero) for i in range(rows)]
    active = [sum(live for row, _, live in terms if row == i) for i in range(rows)]
    valid = [sum(row == i for row, _, _ in terms) for i in range(rows)]
    return torch.stack(value), active, valid  # type: ignore[arg-type]


def contrastive(z: Tensor, case: Case, *, margin: float) -> Any:
    sides = []
    for alike in (True, False):
        terms = []
        for i, j, same in case.listed():
            if same == alike:
                d = length(z[i] - z[j])
                gap = margin - d
                if same:
                    terms.append((i, d**2, d.item() > 1e-3))
                else:
                    terms.append((i, gap**2 if gap.item() > 0 else d * 0, gap.item() > 0))
        sides.append(_collected(case.rows, terms, z))
    value, active, valid = zip(*sides, strict=True)
    return torch.stack(value, -1), [list(t) for t in zip(*active)], [list(t) for t in zip(*valid)]


def triplet(z: Tensor, case: Case, *, margin: float, squared: bool = False) -> Any:
    terms = []
    for a, p, n in case.all_triplets():
        near, far = (((z[a] - z[k]) @ (z[a] - z[k]) if squared else length(z[a] - z[k])) for k in (p, n))
        term = near - far + margin
        terms.append((a, term if term.item() > 0 else term * 0, term.item() > 0))
    return _collected(case.rows, terms, z)


def _against_negatives(z: Tensor, case: Case, scale: float) -> list[tuple[int, Tensor, bool]]:
    terms = []
    for a in range(case.rows):
        negatives = case.negatives_in_batch(a)
        for p in case.partners(a, True) if negatives else []:
            logits = torch.stack([scale * (z[a] @ z[k]) for k in [p, *negatives]])
            terms.append((a, -torch.log_softmax(logits, 0)[0], True))
    return terms


def info_nce(z: Tensor, case: Case, *, temperature: float) -> Any:
    value, _, valid = _collected(case.rows, _against_negatives(z, case, 1 / temperature), z)
    return value, None, valid


def n_pair(z: Tensor, case: Case, *, l2_weight: float) -> Any:
    value, _, valid = _collected(case.rows, _against_negatives(z, case, 1.0), z)
    extra = []
    for a in range(case.rows):
        some = bool(case.negatives_in_batch(a))
        lengths = [(z[a] @ z[a] + z[p] @ z[p]) / 2 for p in case.partners(a, True) if some]
        extra.append(l2_weight * sum(lengths, z.sum() * 0))
    return value + torch.stack(extra), None, valid


def sup_con(z: Tensor, case: Case, *, temperature: float) -> Any:
    terms = []
    for a in range(case.rows):
        positives = case.partners(a, True)
        others = sorted({*positives, *case.partners(a, False)})
        if positives:
            logs = torch.log_softmax(torch.stack([(z[a] @ z[k]) / temperature for k in others]), 0)
            terms.append((a, -sum(logs[others.index(p)] for p in positives) / len(positives), True))
    value, _, valid = _collected(case.rows, terms, z)
    return value, None, valid


def _proxy(z: Tensor, case: Case, class_vectors: Tensor, scale: float, own: Any) -> Any:
    assert case.labels is not None
    values = []
    for i, label in enumerate(case.labels):
        cosines = [z[i] @ w / w.norm() for w in class_vectors]
        cosines[label] = own(cosines[label])
        values.append(-torch.log_softmax(scale * torch.stack(cosines), 0)[label])
    return torch.stack(values), None, [1] * case.rows


def arcface(z: Tensor, case: Case, *, class_vectors: Tensor, margin: float, scale: float) -> Any:
    def own(cosine: Tensor) -> Tensor:
        angle = torch.acos(cosine)
        if angle.item() + margin < math.pi:
            return torch.cos(angle + margin)
        return cosine - margin * math.sin(margin)

    return _proxy(z, case, class_vectors, scale, own)


def center_contrastive(z: Tensor, case: Case, *, class_vectors: Tensor, margin: float, scale: float) -> Any:
    return _proxy(z, case, class_vectors, scale, lambda cosine: cosine - margin)


def proxy_nca(z: Tensor, case: Case, *, class_vectors: Tensor, temperature: float) -> Any:
    assert case.labels is not None
    values = []
    for i, label in enumerate(case.labels):
        squares = [(z[i] - w / w.norm()) @ (z[i] - w / w.norm()) for w in class_vectors]
        values.append(-torch.log_softmax(-torch.stack(squares) / temperature, 0)[label])
    return torch.stack(values), None, [1] * case.rows


def proxy_anchor(z: Tensor, case: Case, *, class_vectors: Tensor, margin: float, scale: float) -> Any:
    """Each class's term shared equally among its rows, each term of a class vector among all other rows."""
    assert case.labels is not None
    shares: list[list[Tensor]] = [[z.sum() * 0] for _ in range(case.rows)]
    classes, seen = len(class_vectors), len(set(case.labels))
    for label, w in enumerate(class_vectors):
        cosines = [row @ w / w.norm() for row in z]
        for own, sign, terms in ((True, -1, seen), (False, 1, classes)):
            rows = [i for i in range(case.rows) if (case.labels[i] == label) == own]
            if rows:
                logits = [sign * scale * (cosines[i] + sign * margin) for i in rows]
                term = torch.log1p(sum(torch.exp(logit) for logit in logits))  # type: ignore[arg-type]
                for i in rows:
                    shares[i].append(term / len(rows) / terms * case.rows)
    return torch.stack([sum(own) for own in shares]), None, [1] * case.rows  # type: ignore[misc]


def multi_similarity(z: Tensor, case: Case, *, alpha: float, beta: float, base: float) -> Any:
    values, valid = [], []
    for a in range(case.rows):
        parts = []
        for alike, steep, sign in ((True, alpha, -1), (False, beta, 1)):
            logits = [sign * steep * (z[a] @ z[k] - base) for k in case.partners(a, alike)]
            parts.append(torch.logsumexp(torch.stack([z.sum() * 0, *logits]), 0) / steep)
        values.append(sum(parts))
        valid.append(int(bool(case.partners(a, True) or case.partners(a, False))))
    return torch.stack(values), None, valid  # type: ignore[arg-type]


def circle(z: Tensor, case: Case, *, margin: float, scale: float) -> Any:
    terms = []
    for a in range(case.rows):
        pairs = []
        for p in case.partners(a, True):
            for n in case.partners(a, False):
                near, far = z[a] @ z[p], z[a] @ z[n]
                pull, push = ((x.clamp_min(0)).detach() for x in (1 + margin - near, far + margin))
                pairs.append(scale * (push * (far - margin) - pull * (near - 1 + margin)))
        if pairs:
            terms.append((a, torch.logsumexp(torch.stack([z.sum() * 0, *pairs]), 0), True))
    value, _, valid = _collected(case.rows, terms, z)
    return value, None, valid


def contrastive_label_blind(z: Tensor, case: Case, *, margin: float) -> Any:
    pairs = case.listed()
    sides = []
    for alike in (True, False):
        terms = []
        for i, j, _ in pairs:
            d = length(z[i] - z[j])
            for _, _, same in pairs:
                if same == alike:
                    gap = margin - d
                    term = d**2 if alike else (gap**2 if gap.item() > 0 else d * 0)
                    terms.append((i, term, d.item() > 1e-3 if alike else gap.item() > 0))
        sides.append(_collected(case.rows, terms, z))
    value, active, valid = zip(*sides, strict=True)
    return torch.stack(value, -1), [list(t) for t in zip(*active)], [list(t) for t in zip(*valid)]
