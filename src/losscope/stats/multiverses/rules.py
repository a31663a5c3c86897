"""Where a claim holds, as a rule that can be said: a tree of depth 2 at most, checked on cells kept out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from losscope.core.results import Branch, Condition, Rule
from losscope.core.results.multiverses import FEWEST
from losscope.stats.multiverses.axes import Axis, Columns, axes_of, columns
from losscope.stats.multiverses.cells import Universe, numbered
from losscope.stats.multiverses.shares import outcomes

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeClassifier

FITTED = 0.7
"""The share of the cells that a rule is made from."""
GAIN = 0.1
"""Balanced accuracy above that of the majority, from which there is a rule."""
DEEPER = 0.03
"""Balanced accuracy that a second level has to bring on folds of the cells that a rule is made from."""
LEAST = 0.05
"""The share of the settings that a branch has at least."""
FOLDS = 5
LEVELS = 6
"""Up to so many numbers of an axis are levels: a condition names one of them, and none between two."""


def rule_of(universe: Universe, *, seed: int = 0) -> Rule:
    """A rule for where the claim holds, or the reason why there is none; failed settings left out."""
    able = universe.able
    own, cells = numbered(universe.cell_of[able])
    if cells < FEWEST:
        return Rule(reason="few_cells")
    holds = outcomes(universe.means[able], universe.delta, universe.direction) == 0
    order = np.random.default_rng([seed, cells, 70]).permutation(cells)
    fit = np.isin(own, order[: round(FITTED * cells)])
    empty = Rule(fitted=int(fit.sum()), checked=int((~fit).sum()), checked_cells=numbered(own[~fit])[1])
    if any(len(set(holds[part].tolist())) < 2 for part in (fit, ~fit)):
        return empty.model_copy(update={"reason": "one_outcome"})
    made = columns(axes_of(universe), able)
    if not made.axes:
        return empty.model_copy(update={"reason": "no_choices"})
    branches = _branches(made, holds, own, fit)
    said = applies(branches, made.axes)[~fit]
    truth = holds[~fit]
    balanced = balanced_accuracy(said, truth)
    majority = holds[fit].mean() > 0.5
    told = {
        "accuracy": float((said == truth).mean()),
        "majority": float((truth == majority).mean()),
        "balanced": balanced,
    }
    if balanced < 0.5 + GAIN or not branches:
        return empty.model_copy(update={**told, "reason": "no_simple_rule"})
    return empty.model_copy(update={**told, "branches": branches})


def balanced_accuracy(said: np.ndarray, truth: np.ndarray) -> float:
    """The mean of the accuracy where it is true and where it is false.

    >>> balanced_accuracy(np.array([True, True, False]), np.array([True, True, True]))
    0.6666666666666666
    """
    parts = [
        float((said == truth)[truth == value].mean()) for value in (True, False) if (truth == value).any()
    ]
    return float(np.mean(parts))


def applies(branches: tuple[Branch, ...], axes: tuple[Axis, ...]) -> np.ndarray:
    """In which settings one of the branches holds, (S,)."""
    known = {axis.name: axis for axis in axes}
    first = axes[0].numbers if axes[0].numbers is not None else axes[0].texts
    assert first is not None
    found = np.zeros(len(first), dtype=bool)
    for branch in branches:
        inside = np.ones(len(found), dtype=bool)
        for condition in branch.conditions:
            inside &= _met(condition, known[condition.name])
        found |= inside
    return found


def _met(condition: Condition, axis: Axis) -> np.ndarray:
    if condition.number is not None:
        assert axis.numbers is not None
        above: np.ndarray = axis.numbers > condition.number
        return above if condition.word == "above" else ~above
    assert axis.texts is not None
    same = np.array([text == condition.text for text in axis.texts.tolist()])
    return same if condition.word == "is" else ~same


def _branches(made: Columns, holds: np.ndarray, cell_of: np.ndarray, fit: np.ndarray) -> tuple[Branch, ...]:
    """The branches of the tree made from the settings of ``fit``; a second level only where it helps."""
    flat, deeper = (_on_folds(made.values[fit], holds[fit], cell_of[fit], depth) for depth in (1, 2))
    depth = 2 if deeper >= flat + DEEPER else 1
    tree = _tree(made.values[fit], holds[fit], depth)
    found = _walked(tree, made, made.values[fit], 0, np.ones(int(fit.sum()), dtype=bool))
    return tuple(Branch(conditions=conditions) for conditions in found if conditions)


def _tree(values: np.ndarray, holds: np.ndarray, depth: int) -> DecisionTreeClassifier:
    from sklearn.tree import DecisionTreeClassifier

    least = max(3, math.ceil(LEAST * len(holds)))
    tree = DecisionTreeClassifier(
        max_depth=depth, min_samples_leaf=least, class_weight="balanced", random_state=0
    )
    return tree.fit(values, holds)


def _on_folds(values: np.ndarray, holds: np.ndarray, cell_of: np.ndarray, depth: int) -> float:
    """The balanced accuracy of a tree on folds of cells, each said by a tree of the others."""
    fold = numbered(cell_of)[0] % FOLDS
    said = np.zeros(len(holds), dtype=bool)
    for place in range(FOLDS):
        out = fold == place
        if out.any() and not out.all():
            said[out] = _tree(values[~out], holds[~out], depth).predict(values[out])
    return balanced_accuracy(said, holds)


def _walked(
    tree: DecisionTreeClassifier, made: Columns, values: np.ndarray, node: int, inside: np.ndarray
) -> list[tuple[Condition, ...]]:
    """The conditions of each part below a node where the tree says that the claim holds.

    ``inside``: the settings of the node. A node all of whose parts say so has no conditions of its own.
    """
    inner = tree.tree_
    column = int(inner.feature[node])
    if column < 0:
        share = inner.value[node, 0]
        yes = float(share[tree.classes_.tolist().index(True)]) if True in tree.classes_ else 0.0
        return [()] if yes > share.sum() / 2 else []
    at = float(inner.threshold[node])
    left = values[:, column] <= at
    sides = (
        _walked(tree, made, values, int(inner.children_left[node]), inside & left),
        _walked(tree, made, values, int(inner.children_right[node]), inside & ~left),
    )
    if sides == ([()], [()]):
        return [()]
    own = values[inside, column]
    below = _condition(made, column, own, at, above=False)
    above = _condition(made, column, own, at, above=True)
    return [(below, *rest) for rest in sides[0]] + [(above, *rest) for rest in sides[1]]


def _condition(made: Columns, column: int, values: np.ndarray, at: float, *, above: bool) -> Condition:
    """One side of a split of a column, whose values in the node are given."""
    axis = made.axes[made.axis[column]]
    level = made.level[column]
    if level is None:
        low, high = float(values[values <= at].max()), float(values[values > at].min())
        few = axis.numbers is not None and len(np.unique(axis.numbers)) <= LEVELS
        number = low if few else shortest(low, high)
        return Condition(name=axis.name, word="above" if above else "at_most", number=number)
    if len(axis.levels) == 2 and not above:
        return Condition(name=axis.name, word="is", text=axis.levels[0])
    return Condition(name=axis.name, word="is" if above else "is_not", text=level)


def shortest(low: float, high: float) -> float:
    """The number of the fewest digits that is at least ``low`` and below ``high``.

    >>> shortest(0.3971, 0.4113), shortest(16.0, 32.0), shortest(0.00031, 0.00058)
    (0.4, 20.0, 0.0004)
    """
    middle = low + (high - low) / 2
    for digits in range(1, 18):
        found = float(f"{middle:.{digits - 1}e}")
        if low <= found < high:
            return found
    return low
