"""Verification measures: one threshold on the distance decides whether two items are of one class.

Over all pairs of different items, each once: genuine pairs share a class, impostor pairs do not. At a
threshold t the false accept rate FAR is the share of impostors with d ≤ t, the true accept rate TAR that of
genuine pairs, and FRR = 1 - TAR (ISO/IEC 19795-1).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from losscope.core.registry import register
from losscope.measures.neighbours import DUPLICATE, Gallery
from losscope.measures.space import NULL, Space, Stream, measured

EXACT_PAIRS = 100_000_000
"""Up to this many pairs all distances are kept (4 bytes each); above it only their histogram."""

EXACT_BITS, STREAM_BITS = 7, 10
"""Mantissa bits of a squared distance that choose its bin: a bin is 2⁻⁷ or 2⁻¹⁰ wide, relatively."""

EXPECTED_FALSE_ACCEPTS = 100
"""Below this many expected false accepts a TAR at a FAR is null: its threshold rests on too few pairs."""


@register(
    "measure",
    "verification",
    quantities=[
        {
            "name": "eer",
            "definition": "error rate of verification where false accepts and false rejects are equal",
            "unit": "share",
            "better": "lower",
            "scale": "difference",
            "group": "verification",
            "label": "EER",
        },
        {
            "name": "threshold_spread",
            "definition": "standard deviation over classes of TAR at the one threshold of FAR 0.01",
            "unit": "share",
            "better": "lower",
            "scale": "difference",
            "group": "verification",
            "negative_pairs": 10_000,
        },
        {
            "name": "tar_at_far_1e2",
            "definition": "true accept rate at a false accept rate of 0.01",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "verification",
            "label": "TAR at FAR 0.01",
            "negative_pairs": 10_000,
        },
        {
            "name": "tar_at_far_1e3",
            "definition": "true accept rate at a false accept rate of 0.001",
            "unit": "share",
            "better": "higher",
            "scale": "difference",
            "group": "verification",
            "label": "TAR at FAR 0.001",
            "negative_pairs": 100_000,
        },
    ],
)
@measured
def verification(space: Space) -> Stream:
    """Equal error rate, true accept rates at fixed false accept rates, and their spread over classes.

    ``eer``: where FAR = FRR, linearly between the two neighbouring thresholds; ``tar_at_far_1e2`` and
    ``…_1e3``: TAR at the largest threshold whose FAR is at most 0.01 (0.001), null below 100 expected false
    accepts (``count/negative_pairs`` says of how many pairs); ``threshold_spread``: standard deviation (by n)
    over classes with two members of the class's own TAR at the one threshold of FAR 0.01.

    Squared distances are rounded to float32. Above 10⁸ pairs a histogram of relative resolution 2⁻¹⁰ takes
    the place of the distances, linear within a bin.
    """
    count, sizes, starts = len(space), space.sizes, space.starts
    pairs_of_class = sizes * (sizes - 1) // 2
    genuine_pairs = int(pairs_of_class.sum())
    impostor_pairs = count * (count - 1) // 2 - genuine_pairs
    exact = genuine_pairs + impostor_pairs <= EXACT_PAIRS
    genuine, impostor = _Scores(genuine_pairs, exact), _Scores(impostor_pairs, exact)
    while (chunk := (yield)) is not None:
        squared = chunk.squared.to(torch.float32)
        same, other = [], []
        for c in range(space.codes[chunk.start], space.codes[chunk.stop - 1] + 1):
            begin, end = max(starts[c], chunk.start), min(starts[c + 1], chunk.stop)
            rows = squared[begin - chunk.start : end - chunk.start]
            other.append(rows[:, starts[c + 1] :].reshape(-1))
            size = starts[c + 1] - begin
            later = torch.ones(end - begin, size, dtype=torch.bool, device=rows.device).triu_(1)
            same.append(rows[:, begin : starts[c + 1]][later])
        genuine.add(torch.cat(same))
        impostor.add(torch.cat(other))
    values = dict.fromkeys(("eer", "tar_at_far_1e2", "tar_at_far_1e3", "threshold_spread"), NULL)
    detail = {"count/negative_pairs": np.array([impostor_pairs])}
    if genuine_pairs and impostor_pairs:
        values["eer"] = _equal_error_rate(genuine, impostor)
        values["tar_at_far_1e3"], _ = _accepts_at(genuine, impostor, 1e-3)
        values["tar_at_far_1e2"], threshold = _accepts_at(genuine, impostor, 1e-2)
        if threshold == threshold:
            rates = _rates_of_classes(space, genuine, threshold)
            values["threshold_spread"] = float(np.nanstd(rates))
            detail |= {"per_class/label": space.labels.astype(np.int64), "per_class/tar_at_far_1e2": rates}
    return values, detail


class _Scores:
    """Squared distances of one kind of pair: a histogram, and all of them while they are few enough."""

    def __init__(self, total: int, exact: bool) -> None:
        self.total = total
        self.shift = 23 - (EXACT_BITS if exact else STREAM_BITS)
        # The bits of positive floats order as the floats do, so that their top bits are bins of the log.
        bits = np.array([DUPLICATE, 8.0], np.float32).view(np.int32) >> self.shift
        self.base = int(bits[0])
        self.counts = np.zeros(int(bits[1]) - self.base + 1, np.int64)
        self.kept = np.empty(total, np.float32) if exact else None
        self.filled = 0

    def add(self, squared: Tensor) -> None:
        bins = ((squared.view(torch.int32) >> self.shift) - self.base).clamp_(min=0)
        self.counts += torch.bincount(bins.to(torch.int64), minlength=len(self.counts)).cpu().numpy()
        if self.kept is not None:
            self.kept[self.filled : self.filled + len(squared)] = squared.cpu().numpy()
        self.filled += len(squared)

    def edge(self, place: int) -> float:
        """The lower edge of a bin; what is nearer than the first counts into it."""
        return float(np.array((place + self.base) << self.shift, np.int32).view(np.float32)) if place else 0.0

    def inside(self, place: int) -> np.ndarray | None:
        """The sorted squared distances in a bin, None if they were not kept."""
        if self.kept is None:
            return None
        low, high = np.float32(self.edge(place)), np.float32(self.edge(place + 1))
        return np.sort(self.kept[(self.kept >= low) & (self.kept < high)])


def _equal_error_rate(genuine: _Scores, impostor: _Scores) -> float:
    accepted, false = np.cumsum(genuine.counts), np.cumsum(impostor.counts)
    place = int(np.argmax(false / impostor.total >= 1.0 - accepted / genuine.total))
    accepts = np.array([accepted[place] - genuine.counts[place], accepted[place]])
    falses = np.array([false[place] - impostor.counts[place], false[place]])
    some, others = genuine.inside(place), impostor.inside(place)
    if some is not None and others is not None:
        thresholds = np.unique(np.concatenate([some, others]))
        accepts = np.append(accepts[0], accepts[0] + np.searchsorted(some, thresholds, side="right"))
        falses = np.append(falses[0], falses[0] + np.searchsorted(others, thresholds, side="right"))
    far, frr = falses / impostor.total, 1.0 - accepts / genuine.total
    after = max(int(np.argmax(far >= frr)), 1)
    gap_before, gap_after = frr[after - 1] - far[after - 1], far[after] - frr[after]
    along = gap_before / (gap_before + gap_after) if gap_before + gap_after > 0 else 0.0
    return float(far[after - 1] + along * (far[after] - far[after - 1]))


def _accepts_at(genuine: _Scores, impostor: _Scores, rate: float) -> tuple[float, float]:
    """TAR where FAR is at most ``rate``, and the squared distance that is the first not accepted."""
    if impostor.total * rate < EXPECTED_FALSE_ACCEPTS:
        return NULL, NULL
    allowed = int(impostor.total * rate + 1e-9)
    false = np.cumsum(impostor.counts)
    place = int(np.argmax(false > allowed))
    left = allowed - (false[place] - impostor.counts[place])
    before = genuine.counts[:place].sum()
    some, others = genuine.inside(place), impostor.inside(place)
    if some is not None and others is not None:
        threshold = others[left]
        return float(before + np.searchsorted(some, threshold)) / genuine.total, float(threshold)
    part = left / impostor.counts[place]
    threshold = impostor.edge(place) + part * (impostor.edge(place + 1) - impostor.edge(place))
    return float(before + part * genuine.counts[place]) / genuine.total, threshold


def _rates_of_classes(space: Space, genuine: _Scores, threshold: float) -> np.ndarray:
    """(C,) share of each class's genuine pairs nearer than the squared distance; NaN for a lone member."""
    pairs = space.sizes * (space.sizes - 1) // 2
    if genuine.kept is not None:
        # Kept in the order of the rows, so class after class.
        near = np.concatenate([[0], np.cumsum(genuine.kept < threshold)])
        counts = np.diff(near[np.concatenate([[0], np.cumsum(pairs)])])
    else:
        counts = np.array([_near_pairs(space.rows[a:b], threshold) for a, b in pairwise(space.starts)])
    return np.where(pairs > 0, counts / np.maximum(pairs, 1), NULL)


def _near_pairs(rows: Tensor, threshold: float) -> int:
    tables = Gallery.of(rows).tables(rows)
    near = sum(int((squared.to(torch.float32) < threshold).sum()) for _, squared in tables)
    # Both orders of a pair were counted, and every item with itself.
    return (near - len(rows) * (threshold > 0)) // 2
