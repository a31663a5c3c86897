"""Labels that are likely wrong, by the classes of the nearest items.

A class has a profile: the mean shares of all classes among the nearest items of its own items, so that
classes that are often confused have each other in their profiles. What an item's neighbours are is held
against the profile of its label and those of all other classes, by Bayes' rule. This is the observer model of
Dawid and Skene (1979) with neighbours as observers. Confident learning (Northcutt, Jiang and Chuang 2021)
with the same shares as probabilities looks at no profile, and suspects whatever lies between two classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from losscope.core.results import Suspect, WrongLabels
from losscope.inspecting.reading import Rows
from losscope.inspecting.searching import Found

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LISTED = 100
DEPENDENT = 3.0
"""Neighbours are near each other too: so many count as an independent observer. See docs/inspect.md."""
SMOOTHED = 0.1
"""Share of the neighbours that may be of any class, by the classes' sizes."""
BORROWED = 3.0
"""So many items of a usual class are added to each profile, which counts where few items asked."""
STEPS, RAREST, MOST = 50, 1e-4, 0.5
FEWEST = 20
"""Rows below which no share of wrong labels can be estimated, and none is judged."""
BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class Judged:
    """Of Q rows: which were judged (their neighbours tell something), how probable it is that the label is
    wrong, the class that fits best instead (-1: none), and the shares of that and of the own class."""

    judged: np.ndarray
    probability: np.ndarray
    suggested: np.ndarray
    share: np.ndarray
    own: np.ndarray

    @property
    def likely(self) -> np.ndarray:
        """(Q,) the labels that are more likely wrong than right."""
        return self.judged & (self.probability > 0.5)


def judged(rows: Rows, found: Found) -> Judged:
    """Hold each label against the neighbours.

    The likelihoods are to the power of 1/3 (``DEPENDENT``), and the share of wrong labels is estimated by
    expectation and maximisation, every other class being equally probable for a wrong one.
    """
    from scipy.sparse import coo_matrix, diags

    assert rows.labels is not None and found.shares is not None
    shares, count, classes = found.shares, len(found.queries), len(rows.classes)
    own_class, at = rows.labels[found.queries], np.arange(len(found.queries))
    own = np.asarray(shares[at, own_class]).ravel()
    known = found.decided & (own_class >= 0)
    if known.sum() < FEWEST:
        known = np.zeros(count, bool)
    votes = found.nearest.shape[1]
    result = Judged(known, np.zeros(count), np.full(count, -1), np.zeros(count), own)
    if classes < 2 or not known.any():
        return result
    each = np.bincount(own_class[known], minlength=classes).astype(np.float64)
    sizes = np.bincount(rows.labels[rows.labels >= 0], minlength=classes)
    rate = np.maximum(sizes, 1) / sizes.sum()
    usual = float(own[known].mean())
    members = coo_matrix(
        (np.ones(int(known.sum())), (own_class[known], at[known])), shape=(classes, count)
    ).tocsr()
    sums = members @ shares + diags(np.full(classes, BORROWED * usual))
    # A profile is level · rate + extra, of which only extra is sparse; log(level · rate + extra) is
    # log rate, the same for all classes and left out, plus log level plus what extra adds.
    weight = each + BORROWED
    level = SMOOTHED + (1 - SMOOTHED) * BORROWED * (1 - usual) / weight
    extra = (diags((1 - SMOOTHED) / (weight * level)) @ sums @ diags(1 / rate)).tocsr()
    extra.data = np.log1p(extra.data)
    fit_own = _without_itself(shares, sums, own_class, weight, usual, rate)
    against = np.full(count, -np.inf)
    step = max(1, BLOCK // classes)
    for start in range(0, count, step):
        part = slice(start, min(count, start + step))
        fit = (shares[part] @ extra.T).toarray() + np.log(level)
        fit[np.arange(len(fit)), own_class[part]] = -np.inf
        best = fit.argmax(axis=1)
        result.suggested[part] = best
        result.share[part] = np.asarray(shares[at[part], best]).ravel()
        fit = (fit - fit_own[part, None]) * (votes / DEPENDENT)
        top = fit.max(axis=1)
        against[part] = top + np.log(np.exp(fit - top[:, None]).sum(axis=1)) - np.log(classes - 1)
    wrong, share = _posterior(against[known])
    if share >= MOST:
        # More than half of the labels wrong cannot be told from neighbours that know nothing of labels.
        return Judged(np.zeros(count, bool), np.zeros(count), np.full(count, -1), np.zeros(count), own)
    result.probability[known] = wrong
    return result


def _without_itself(
    shares: csr_matrix,
    sums: csr_matrix,
    own_class: np.ndarray,
    weight: np.ndarray,
    usual: float,
    rate: np.ndarray,
) -> np.ndarray:
    """(Q,) how well the neighbours fit the profile of the own class, made without the row itself."""
    table = shares.tocoo()
    mine = own_class[table.row]
    total = np.asarray(sums[mine, table.col]).ravel() - table.data
    left = np.maximum(weight[mine] - 1, BORROWED)
    level = SMOOTHED + (1 - SMOOTHED) * BORROWED * (1 - usual) / left
    extra = (1 - SMOOTHED) * np.maximum(total, 0.0) / (left * rate[table.col])
    return np.bincount(table.row, table.data * np.log(level + extra), len(own_class))


def _posterior(against: np.ndarray) -> tuple[np.ndarray, float]:
    """How probable a wrong label is (n,), from the log of the odds against it; and their share."""
    share, chance = 0.05, np.zeros(len(against))
    for _ in range(STEPS):
        odds = np.clip(against + np.log(share) - np.log1p(-share), -700, 700)
        chance = 1 / (1 + np.exp(-odds))
        share = float(np.clip(chance.mean(), RAREST, MOST))
    return chance, share


def wrong_labels(rows: Rows, found: Found) -> tuple[WrongLabels, Judged]:
    """The labels that are likely wrong, the surest first; and what was found of each row that asked."""
    each = judged(rows, found)
    likely = np.flatnonzero(each.likely)
    order = likely[np.lexsort((likely, -each.probability[likely]))]
    told = WrongLabels(
        count=len(likely),
        judged=int(each.judged.sum()),
        neighbours=found.nearest.shape[1],
        undecided=int((~found.decided).sum()),
        worst=tuple(
            Suspect(
                item=rows.item(int(found.queries[row])),
                suggested=rows.classes[each.suggested[row]],
                probability=float(each.probability[row]),
                share_own=round(float(each.own[row]), 12),
                share_suggested=round(float(each.share[row]), 12),
            )
            for row in order[:LISTED]
        ),
    )
    return told, each
