"""Measures of all rows without each class in turn, from which their intervals over classes come.

A mean over queries has its interval from the queries' values (``losscope.stats.intervals``). What is made of
pairs of items or of the means of classes is made again without each class, or each group of classes where
there are many: the delete-one-class jackknife (Shao and Tu 1995), for functions of pairs of classes Arvesen
1969. Below 20 classes there is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch

from losscope.inspecting.reading import Rows
from losscope.inspecting.vectors import entropy_rank, unit, unit_blocks
from losscope.measures.thresholds import EXPECTED_FALSE_ACCEPTS
from losscope.stats.intervals import FEW_CLASSES, deletion_variance, t_half

GROUPS, GROUPS_OF_PAIRS = 40, 100
"""Groups of classes that are left out in turn, at most: of the rank, and of what is made of pairs."""
LARGEST = 512
"""Dimensions up to which the rank has an interval; distances of means have one to 4 times as many classes."""
BITS = 9
"""Mantissa bits of a squared distance that choose its bin: a bin is 2⁻⁹ wide, relatively."""
SMALLEST, FARTHEST = 1e-13, 8.0
CHUNK = 2_000_000

Without = Mapping[str, np.ndarray]
"""By measure its values (G,) without each class or group; on the log scale where it is told as a ratio."""


def without_classes(rows: Rows, pairs: np.ndarray) -> Without:
    """The values without each class, of the measures that have an interval this way.

    Args:
        rows: with labels; distractors are left out.
        pairs: the rows that what is made of pairs is made of.
    """
    if rows.labels is None:
        return {}
    if rows.labels.min(initial=0) < 0:
        pairs = pairs[rows.labels[pairs] >= 0]
        kept = np.flatnonzero(rows.labels >= 0)
        place = np.cumsum(rows.labels >= 0) - 1
        rows, pairs = rows.take(kept), place[pairs]
    if len(rows.classes) < FEW_CLASSES:
        return {}
    found = {**_of_means(rows), **_of_verification(rows, pairs)}
    if (ranks := _ranks(rows)) is not None:
        found["effective_rank"] = ranks
    return {name: values for name, values in found.items() if np.isfinite(values).all()}


def half_width(without: np.ndarray) -> float:
    """Half the 95 % interval of a value whose values without each of G groups are given (G,)."""
    return t_half(0.95, len(without) - 1) * math.sqrt(deletion_variance(without))


def _of_means(rows: Rows) -> dict[str, np.ndarray]:
    """The logs of intra-class variance, inter-class distance and their ratio, without each class (C,)."""
    centres, squares = _class_moments(rows)
    lengths = np.einsum("cd,cd->c", centres, centres)
    count = len(centres)
    spread = np.maximum(squares - lengths, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.log((spread.sum() - spread) / (count - 1))
        if count > 4 * LARGEST:
            return {"intra_variance": variance}
        table = np.sqrt(np.maximum(lengths[:, None] + lengths - 2 * centres @ centres.T, 0.0))
        np.fill_diagonal(table, 0.0)
        distance = np.log((table.sum() / 2 - table.sum(1)) / ((count - 1) * (count - 2) / 2))
        return {
            "intra_variance": variance,
            "inter_distance": distance,
            "intra_inter_ratio": variance - 2 * distance,
        }


def _class_moments(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """The mean unit vector of each class (C, D), and the mean of their squared lengths (C,)."""
    assert rows.labels is not None
    count = len(rows.classes)
    sums, squares = np.zeros((count, rows.vectors.shape[1])), np.zeros(count)
    for part in unit_blocks(rows.vectors):
        block, own = unit(rows.vectors[part]), rows.labels[part]
        np.add.at(sums, own, block)
        squares += np.bincount(own, np.einsum("ij,ij->i", block, block), count)
    each = np.bincount(rows.labels, minlength=count)
    return sums / each[:, None], squares / each


def _ranks(rows: Rows) -> np.ndarray | None:
    """The log of the effective rank without each of at most 40 groups of classes; None in many dimensions."""
    width = rows.vectors.shape[1]
    if width > LARGEST:
        return None
    assert rows.labels is not None
    groups = min(GROUPS, len(rows.classes))
    group = rows.labels % groups
    grams, counts = np.zeros((groups, width, width)), np.bincount(group, minlength=groups)
    for place in range(groups):
        own = np.flatnonzero(group == place)
        for part in unit_blocks(own):
            block = unit(rows.vectors[own[part]])
            grams[place] += block.T @ block
    whole = grams.sum(0)
    ranks = [entropy_rank(np.linalg.eigvalsh(whole - own), len(rows) - n) for own, n in zip(grams, counts)]
    return None if any(rank is None for rank in ranks) else np.log(np.array(ranks, float))


def _of_verification(rows: Rows, pairs: np.ndarray) -> dict[str, np.ndarray]:
    """EER and TAR at FAR, without each class or group, from histograms of the pairs' squared distances."""
    assert rows.labels is not None
    labels = rows.labels[pairs]
    groups = min(GROUPS_OF_PAIRS, len(rows.classes))
    genuine, other = _histograms(rows.vectors[pairs], labels, groups)
    if genuine is None or other is None:
        return {}
    found = {"eer": _equal_error(genuine, other)}
    for name, rate in (("tar_at_far_1e2", 1e-2), ("tar_at_far_1e3", 1e-3)):
        if other.sum(1).min() * rate >= EXPECTED_FALSE_ACCEPTS:
            found[name] = _accepts(genuine, other, rate)
    return found


def _histograms(
    vectors: np.ndarray, labels: np.ndarray, groups: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Pairs by bin of their squared distance, without each group of classes (G, B): genuine, impostor."""
    shift = 23 - BITS
    first, last = (int(np.array(end, np.float32).view(np.int32)) >> shift for end in (SMALLEST, FARTHEST))
    bins = last - first + 1
    group = labels % groups
    rows = torch.from_numpy(unit(vectors)).float()
    squares = rows.square().sum(1)
    classes, of = torch.from_numpy(labels), torch.from_numpy(group)
    # By kind (same class, another class of the group, another group) and group of the row.
    counts = np.zeros(3 * groups * bins, np.int64)
    step = max(1, CHUNK // len(rows))
    for start in range(0, len(rows), step):
        part = slice(start, min(len(rows), start + step))
        squared = torch.addmm(squares, rows[part], rows.T, alpha=-2.0) + squares[part, None]
        place = ((squared.clamp_(min=SMALLEST).view(torch.int32) >> shift) - first).clamp_(max=bins - 1)
        kind = (classes[part, None] != classes).to(torch.int64) + (of[part, None] != of)
        keys = (kind * groups + of[part, None]) * bins + place
        keys = keys[torch.arange(start, part.stop)[:, None] != torch.arange(len(rows))]
        counts += torch.bincount(keys, minlength=len(counts)).numpy()
    same, within, across = counts.reshape(3, groups, bins)
    # A row's pairs are seen from both of its ends: within a group twice, across groups once in each.
    genuine = (same.sum(0) - same) // 2
    every = within.sum(0) // 2 + across.sum(0) // 2
    other = every - within // 2 - across
    if not (genuine.sum(1).all() and other.sum(1).all()):
        return None, None
    return genuine, other


def _equal_error(genuine: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(G,) where FAR = FRR, linear within a bin; from histograms (G, B)."""
    far = np.cumsum(other, 1) / other.sum(1, keepdims=True)
    frr = 1 - np.cumsum(genuine, 1) / genuine.sum(1, keepdims=True)
    far, frr = np.pad(far, ((0, 0), (1, 0))), np.pad(frr, ((0, 0), (1, 0)), constant_values=1.0)
    after = np.argmax(far >= frr, axis=1)
    each = np.arange(len(far))
    low, high = (frr - far)[each, after - 1], (far - frr)[each, after]
    along = low / np.maximum(low + high, 1e-300)
    found: np.ndarray = far[each, after - 1] + along * (far[each, after] - far[each, after - 1])
    return found


def _accepts(genuine: np.ndarray, other: np.ndarray, rate: float) -> np.ndarray:
    """(G,) TAR where FAR is ``rate``, linear within a bin; from histograms (G, B)."""
    each = np.arange(len(genuine))
    false = np.cumsum(other, 1) / other.sum(1, keepdims=True)
    true = np.cumsum(genuine, 1) / genuine.sum(1, keepdims=True)
    false, true = (np.pad(table, ((0, 0), (1, 0))) for table in (false, true))
    after = np.argmax(false > rate, axis=1)
    before = after - 1
    along = (rate - false[each, before]) / (false[each, after] - false[each, before])
    found: np.ndarray = true[each, before] + along * (true[each, after] - true[each, before])
    return found
