"""How often simulated studies, whose truth is known, say something false, by the package's own code.

``python -m pytest tests/test_levels.py -m slow -s`` prints the table that docs/definitions.md shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import beta

from losscope.stats import Difference, alpha_of, compare, corrected, label_shuffles, pair_verdict

STUDIES = 4000
DELTA = 0.01
Random = np.random.Generator


def words(rows: Sequence[Difference]) -> list[str]:
    """The verdicts of a family of tests."""
    return [
        pair_verdict(row, p_corrected=p, p_outside=outside, tests=len(rows))
        for row, (p, outside) in zip(rows, corrected(rows), strict=True)
    ]


def uncorrected(rows: Sequence[Difference]) -> list[str]:
    """The verdicts of tests that know nothing of one another."""
    return [pair_verdict(row, p_corrected=row.p, tests=1) for row in rows]


def family(
    random: Random, truths: Sequence[float], sd: float, seeds: int = 10, look: int = 1
) -> list[Difference]:
    """Sides against one reference, whose truths differ from it by so much, paired by seed."""
    reference = 0.5 + random.normal(0, sd, seeds)
    return [
        compare(
            reference + truth + random.normal(0, sd, seeds), reference, "recall_at_1", alpha=alpha_of(look)
        )
        for truth in truths
    ]


def direction(random: Random, judge: Callable = words) -> bool:
    """Six sides that do not differ: is one called higher or lower?"""
    return any(word in ("higher", "lower") for word in judge(family(random, [0.0] * 6, 0.02)))


def equivalence(random: Random, judge: Callable = words) -> bool:
    """Six independent pairs that differ by exactly ±delta: is one called equivalent?"""
    rows = [family(random, [sign * DELTA], 0.003)[0] for sign in (1, -1, 1, -1, 1, -1)]
    return "equivalent" in judge(rows)


def either(random: Random, judge: Callable = words) -> bool:
    """Three sides that do not differ and three that do by ±delta: is anything false said?"""
    truths = [0.0, 0.0, 0.0, DELTA, -DELTA, DELTA]
    found = judge(family(random, truths, 0.003))
    false = {0.0: ("higher", "lower"), DELTA: ("equivalent", "lower"), -DELTA: ("equivalent", "higher")}
    return any(word in false[truth] for word, truth in zip(found, truths, strict=True))


def looks(random: Random, judge: Callable = words, counted: bool = True) -> bool:
    """Two sides that do not differ, looked at after 8, 10, 12, 14 and 16 seeds: higher or lower once?"""
    values = random.normal(0, 0.02, 16)
    for place, seeds in enumerate((8, 10, 12, 14, 16), 1):
        alpha = alpha_of(place if counted else 1)
        row = compare(values[:seeds], [0.0] * seeds, "recall_at_1", alpha=alpha)
        if judge([row])[0] in ("higher", "lower"):
            return True
    return False


def unpaired(sizes: tuple[int, int], deviations: tuple[float, float]) -> Callable[[Random], bool]:
    """Two unpaired groups of one mean and these sizes and deviations: is one called higher?"""

    def said(random: Random) -> bool:
        a, b = (random.normal(0.5, 0.01 * sd, size) for size, sd in zip(sizes, deviations, strict=True))
        row = compare(a, b, "recall_at_1", alpha=alpha_of(1), paired=False)
        return words([row])[0] in ("higher", "lower")

    return said


def shuffled(random: Random) -> bool:
    """4 against 10 runs, deviations 3 to 1: do the shuffles of Welch's t alone tell them apart?"""
    null = label_shuffles(random.normal(0, 3, 4), random.normal(0, 1, 10))
    return replace(null, bound=None).p() <= alpha_of(1)


@dataclass(frozen=True)
class Case:
    """A question whose right answer is no: at most ``level`` of the studies may say yes.

    ``limit``: what the upper 95 % limit of Clopper and Pearson of 4,000 studies stays below.
    """

    name: str
    says: Callable[[Random], bool]
    level: float
    limit: float


CASES = [
    Case("direction, 6 tests at 0", direction, 0.04, 0.045),
    Case("equivalence, 6 tests at ±δ", equivalence, 0.02, 0.025),
    Case("either, 3 tests at 0 and 3 at ±δ", either, 0.06, 0.045),
    Case("direction, five looks, 8 to 16 seeds", looks, 0.05, 0.055),
    Case("unpaired, 4 against 10, deviations 3 to 1", unpaired((4, 10), (3, 1)), 0.04, 0.045),
    Case("unpaired, 4 against 10, deviations 1 to 3", unpaired((4, 10), (1, 3)), 0.04, 0.045),
    Case("unpaired, 4 against 10, equal deviations", unpaired((4, 10), (1, 1)), 0.04, 0.045),
    Case("unpaired, 6 against 6, deviations 3 to 1", unpaired((6, 6), (3, 1)), 0.04, 0.05),
]


def count(says: Callable[[Random], bool], studies: int, seed: int) -> int:
    random = np.random.default_rng(seed)
    return sum(says(random) for _ in range(studies))


def upper(wrong: int, studies: int, level: float = 0.95) -> float:
    """The upper limit of Clopper and Pearson of a rate."""
    return 1.0 if wrong == studies else float(beta.ppf(level, wrong + 1, studies - wrong))


def lower(wrong: int, studies: int, level: float = 0.999) -> float:
    """The lower limit, here of a rate that is shown to be above a level."""
    return 0.0 if wrong == 0 else float(beta.ppf(1 - level, wrong, studies - wrong + 1))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_few_studies_are_not_shown_to_be_above_their_level(case):
    assert lower(count(case.says, 300, seed=1), 300) <= case.level


@pytest.mark.parametrize(
    ("says", "level"),
    [
        (lambda random: direction(random, uncorrected), 0.04),
        (lambda random: equivalence(random, uncorrected), 0.02),
        (lambda random: looks(random, counted=False), 0.05),
        (shuffled, 0.04),
    ],
    ids=["direction", "equivalence", "looks", "unpaired"],
)
def test_a_few_studies_show_a_level_that_is_not_kept(says, level):
    """Without the correction, the count of looks or the t test, the same few studies are above the level."""
    assert lower(count(says, 300, seed=1), 300, 0.95) > level


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_levels_are_kept(case):
    wrong = count(case.says, STUDIES, seed=2)
    ceiling = upper(wrong, STUDIES)
    print(f"| {case.name} | {case.level:g} | {wrong / STUDIES:.4f} | {ceiling:.4f} |")
    assert lower(wrong, STUDIES) <= case.level
    assert ceiling <= case.limit
