"""Which settings of a space are tried: a seeded sample that fills it evenly and grows at its end.

Cells come in blocks. In each block every level of an axis stands as often as any other, to one, and numbers
lie in strata of equal width (Latin hypercubes; McKay et al. 1979); of many such blocks the one is taken
whose axes are least correlated with those before it. A block depends on the seed and on the blocks before it
alone, so that asking for more settings adds some and changes none.
"""

from __future__ import annotations

import numpy as np

from losscope.core.spec import seed_of
from losscope.varying.space import Setting, Space

BLOCK = 12
"""Cells of a block: 2, 3, 4, 6 and 12 divide it."""
EACH = 3
"""Settings of a cell: nine or twelve runs of a loss train as one population at three or four seeds."""
DRAWS = 64
"""Blocks drawn, of which one is taken."""


def design(space: Space, count: int, seed: int = 0) -> tuple[Setting, ...]:
    """The paper's own setting as number 0, in a cell of its own, and the first ``count`` of the sample.

    >>> from losscope.varying.declared import space_of
    >>> space = space_of("zeng2025", "vectors", "synthetic")
    >>> design(space, 40)[:13] == design(space, 12)
    True
    """
    settings = [Setting(0, 0, space.own())]
    rows = np.empty((0, len(space.axes)))
    block = 0
    while len(settings) <= count:
        fresh = _block(space, rows, block, seed)
        rows, block = np.concatenate([rows, fresh]), block + 1
        for row in fresh:
            number = len(settings)
            values = tuple(
                axis.numbers.at(float(share))
                if axis.numbers is not None
                else axis.levels[int(share * len(axis.levels))].name
                for axis, share in zip(space.axes, row, strict=True)
            )
            settings.append(Setting(number, 1 + (number - 1) // EACH, values))
    return tuple(settings[: count + 1])


def _block(space: Space, before: np.ndarray, block: int, seed: int) -> np.ndarray:
    """Shares (BLOCK · EACH, axes) in [0, 1): the middle of a level, or a number's place in its range."""
    draw = np.random.default_rng(seed_of(seed, "multiverse", space.paper, space.kind, block))
    best, least = before, np.inf
    for _ in range(DRAWS):
        rows = np.stack([_column(axis.stacks, len(axis.levels), block, draw) for axis in space.axes], axis=1)
        worst = _correlation(np.concatenate([before, rows]))
        if worst < least:
            best, least = rows, worst
    return best


def _correlation(rows: np.ndarray) -> float:
    """The largest correlation of two columns, by its size; a column that does not vary has none."""
    apart = rows - rows.mean(axis=0)
    length = np.linalg.norm(apart, axis=0)
    unit = apart[:, length > 1e-9] / length[length > 1e-9]
    among = unit.T @ unit
    return float(np.abs(among - np.eye(len(among))).max(initial=0.0))


def _column(stacks: bool, levels: int, block: int, draw: np.random.Generator) -> np.ndarray:
    if stacks:
        strata = BLOCK * EACH
        return (draw.permutation(strata) + draw.random(strata)) / strata
    # Where the levels do not divide the block, those that come once more are others in the next block.
    places = (np.arange(BLOCK) + block * BLOCK) % levels
    return np.repeat((draw.permutation(places) + 0.5) / levels, EACH)
