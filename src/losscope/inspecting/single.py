"""What stands in one file: its measures with intervals, norms, collapse, and what is likely wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from losscope.core import wording
from losscope.core.quantities import QUANTITIES
from losscope.core.results import Collapse, Inspected, Inspection, Norms
from losscope.inspecting import relevance, suspects
from losscope.inspecting.jackknife import Without, half_width, without_classes
from losscope.inspecting.labels import Judged, wrong_labels
from losscope.inspecting.reading import Rows
from losscope.inspecting.searching import PER_QUERY, WHOLE, Found, Progress, able, asking, sample, search
from losscope.inspecting.vectors import entropy_rank, unit, unit_blocks
from losscope.measures.ranking import skewness
from losscope.measures.summary import evaluate
from losscope.stats.intervals import jackknife_variance, t_half

LABELLED = ("geometry", "spectrum")
OF_PAIRS = ("uniformity", "silhouette", "verification")
SHOWN = (
    *PER_QUERY,
    "eer",
    "tar_at_far_1e2",
    "tar_at_far_1e3",
    "threshold_spread",
    "nmi",
    "silhouette",
    "intra_variance",
    "inter_distance",
    "intra_inter_ratio",
    "nc1",
    "effective_rank",
    "spectral_decay",
    "uniformity",
    "hubness",
)
"""The measures in the order in which they are told."""
BIASED = ("effective_rank",)
"""Measures that grow with the number of classes: of one file their interval would miss the value of many."""
POINT, FEW = 0.99, 0.02
"""A mean cosine above which all items are nearly one point; a share of the dimensions that is few."""
FEWEST_DIMENSIONS = 8
"""Dimensions below which a small rank is no collapse."""
LARGEST_GRAM = 2_048
CLUSTERED = 10**9
"""Rows times classes times dimensions up to which the clustering of NMI is done without being asked for."""


@dataclass(frozen=True, eq=False)
class Looked:
    """An inspection, and the rows and neighbours that it was made from."""

    told: Inspection
    rows: Rows
    found: Found
    judged: Judged | None
    without: Without


def look(
    rows: Rows,
    *,
    exact: bool = False,
    queries: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Looked:
    """Inspect rows.

    Args:
        rows: what was read.
        exact: all rows ask, however many.
        queries: so many rows ask; by default all up to 20,000 and then fewer, 5,000 at least.
        seed: of the samples and of k-means.
        progress: called with the rows that have asked and their number.
    """
    found = search(rows, asking(rows, exact, queries, seed), progress)
    part = sample(rows.labels, len(rows), min(len(rows), WHOLE), seed)
    values = _values(rows, found, part, exact, seed)
    without = without_classes(rows, part)
    copies, zeros = suspects.duplicates(rows, found)
    labelled = rows.labels is not None
    wrong, judged = wrong_labels(rows, found) if labelled else (None, None)
    told = Inspection(
        name=rows.name,
        rows=rows.total,
        dimensions=rows.vectors.shape[1],
        classes=len(rows.classes) if labelled or rows.tags is not None else None,
        several=rows.tags is not None,
        not_finite=rows.not_finite,
        unlabelled=rows.unlabelled,
        zeros=zeros,
        asked=len(found.queries),
        searched=relevance.said(rows, found.right),
        able=len(able(rows)),
        sampled=len(found.queries) < len(able(rows)),
        pair_rows=len(part),
        measures=_measures(rows, found, values, without),
        norms=_norms(rows),
        collapse=_collapse(rows, values["effective_rank"][0]),
        worst=suspects.worst_classes(rows, found) if labelled or rows.tags is not None else (),
        confused=suspects.confused_pairs(rows, found) if labelled else (),
        wrong_labels=wrong,
        duplicates=copies,
        notes=rows.notes,
    )
    said = {
        "headline": wording.inspection(told),
        "findings": wording.inspection_findings(told),
        "notes": (*wording.inspection_sample(told), *told.notes),
    }
    return Looked(told.model_copy(update=said), rows, found, judged, without)


Values = dict[str, tuple[float, int]]
"""Measures by name, each with the number of rows that it is of."""


def _values(rows: Rows, found: Found, part: np.ndarray, exact: bool, seed: int) -> Values:
    """The measures that are no means over queries; those over all pairs are of the rows ``part``."""

    def measured(at: np.ndarray | slice, names: tuple[str, ...]) -> Values:
        own = np.zeros(len(rows), np.int64) if rows.labels is None else rows.labels
        given = torch.from_numpy(rows.vectors[at]), torch.from_numpy(own[at])
        values, _ = evaluate(*given, names=names, seed=seed)
        return {name: (float(value), len(given[0])) for name, value in values.items()}

    whole, pairs = (LABELLED, OF_PAIRS) if rows.labels is not None else (("spectrum",), ("uniformity",))
    complete = len(found.queries) == len(able(rows))
    values = measured(slice(None), whole)
    if rows.labels is None or len(rows.classes) < 2:
        pairs = ("uniformity",)
    elif exact or len(part) * len(rows.classes) * rows.vectors.shape[1] <= CLUSTERED:
        pairs = (*pairs, "nmi")
    values |= measured(part, pairs if complete or rows.roles is not None else (*pairs, "hubness"))
    if complete:
        searched = slice(None) if rows.roles is None else rows.roles.gallery
        values["hubness"] = skewness(found.occurrences[searched]), len(found.occurrences[searched])
    return values


def _measures(rows: Rows, found: Found, values: Values, without: Without) -> tuple[Inspected, ...]:
    told = []
    for name in SHOWN:
        if name in found.scores:
            told.append(_mean_of_queries(name, rows, found))
        elif name in values:
            value, count = values[name]
            row = Inspected(measure=name, value=value if math.isfinite(value) else None, rows=count)
            told.append(_with_interval(row, without[name]) if name in without and name not in BIASED else row)
    return tuple(told)


def _with_interval(row: Inspected, without: np.ndarray) -> Inspected:
    """With the interval over classes, which is one of the logarithm where the measure is told as a ratio."""
    if row.value is None:
        return row
    half = half_width(without)
    if QUANTITIES[row.measure].scale == "log_ratio":
        ends = row.value * math.exp(-half), row.value * math.exp(half)
    else:
        ends = row.value - half, row.value + half
    return row.model_copy(update={"low": ends[0], "high": ends[1]})


def _mean_of_queries(name: str, rows: Rows, found: Found) -> Inspected:
    """A mean over the rows that asked, with the interval over classes, and that of the sample."""
    values = found.scores[name]
    labels = None if rows.labels is None else rows.labels[found.queries]
    known = values[np.isfinite(values)]
    if not len(known):
        return Inspected(measure=name, value=None, rows=0)
    mean, half = float(known.mean()), over_classes(values, labels)
    # Queries that are all alike do not tell how others would differ.
    ends = [None, None] if half is None or half[0] == 0 else [mean - half[0], mean + half[0]]
    sampled: list[float | None] = [None, None]
    whole = len(able(rows))
    if len(found.queries) < whole and len(known) > 1:
        share = 1 - len(found.queries) / whole
        own = t_half(0.95, len(known) - 1) * math.sqrt(share * float(known.var(ddof=1)) / len(known))
        sampled = [mean - own, mean + own]
    return Inspected(
        measure=name,
        value=mean,
        low=ends[0],
        high=ends[1],
        sampled_low=sampled[0],
        sampled_high=sampled[1],
        rows=len(known),
    )


def over_classes(values: np.ndarray, labels: np.ndarray | None) -> tuple[float, str] | None:
    """Half the 95 % interval of a mean over queries (Q,), were the classes (below 20: their queries) others.

    ± t·√v with the jackknife's v, which leaves out classes or queries; also which of the two. Without classes
    v is that of a mean over queries.
    """
    if labels is None:
        known = values[np.isfinite(values)]
        if len(known) < 2:
            return None
        return t_half(0.95, len(known) - 1) * float(known.std(ddof=1)) / math.sqrt(len(known)), "queries"
    found = jackknife_variance(values, labels)
    if found is None:
        return None
    known = np.isfinite(values)
    classes = len(np.unique(labels[known]))
    variance, left_out = found
    freedom = classes - 1 if left_out == "classes" else int(known.sum()) - classes
    return t_half(0.95, freedom) * math.sqrt(variance), left_out


def _norms(rows: Rows) -> Norms:
    squares = np.einsum("ij,ij->i", rows.vectors, rows.vectors, dtype=np.float64)
    norms = np.sqrt(squares)
    mean = float(norms.mean())
    return Norms(
        smallest=float(norms.min()),
        median=float(np.median(norms)),
        largest=float(norms.max()),
        variation=float(norms.std()) / mean if mean > 0 else 0.0,
    )


def _collapse(rows: Rows, rank: float) -> Collapse:
    count, width = rows.vectors.shape
    total, squares = np.zeros(width), 0.0
    gram = np.zeros((width, width)) if width <= LARGEST_GRAM else None
    for part in unit_blocks(rows.vectors):
        block = unit(rows.vectors[part])
        total += block.sum(axis=0)
        squares += float(np.einsum("ij,ij->", block, block))
        if gram is not None:
            gram += block.T @ block
    cosine = float(total @ total - squares) / (count * (count - 1))
    centred = None
    if gram is not None:
        centred = entropy_rank(np.linalg.eigvalsh(gram - np.outer(total, total) / count), count)
    known = rank if math.isfinite(rank) else None
    needed = math.inf if rows.labels is None else (len(rows.classes) - 1) / 2
    few = centred is not None and width >= FEWEST_DIMENSIONS and centred < min(max(2, FEW * width), needed)
    return Collapse(
        cosine=cosine,
        rank=known,
        centred_rank=centred,
        kind="point" if cosine > POINT else "few_directions" if few else None,
    )
