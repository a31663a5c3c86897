"""What trackers' runs are called, and which of their steps is judged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from losscope.core.errors import LosscopeError, require
from losscope.core.wording import listing

LOSS_FIRST = re.compile(
    r"(?P<loss>.+?)[-_/\s.:,]+(?:(?:random_?)?seed|run|rep|trial|s)?[-_=\s:]*(?P<seed>\d+)"
)
SEED_FIRST = re.compile(
    r"(?:(?:random_?)?seed|run|rep|trial|s)?[-_=\s:]*(?P<seed>\d+)[-_/\s.:,]+(?P<loss>.+)"
)

DECIMALS = re.compile(r"(?<![\d.])\d+(\.\d+|(\.\d*)?e-\d+)$", re.IGNORECASE)
"""A number at the end of a name that is no whole one: a margin, a rate."""


def run_named(name: str) -> tuple[str, str] | None:
    """The loss and the seed that a run's name says, or None; the decimals of a number are no seed.

    >>> run_named("triplet-seed3"), run_named("contrastive/0"), run_named("seed=4_sup_con")
    (('triplet', '3'), ('contrastive', '0'), ('sup_con', '4'))
    >>> run_named("final"), run_named("triplet_0.2"), run_named("triplet_lr1e-3")
    (None, None, None)
    """
    if DECIMALS.search(name.strip()):
        return None
    found = LOSS_FIRST.fullmatch(name.strip()) or SEED_FIRST.fullmatch(name.strip())
    return None if found is None else (found["loss"], found["seed"])


def with_names(frame: Any, names: Sequence[str], where: str) -> Any:
    """The frame with columns loss and seed, as its runs' names (a row each) say them.

    Raises:
        LosscopeError: a name that says no loss and seed.
    """
    read = [run_named(name) for name in names]
    strange = [name for name, found in zip(names, read, strict=True) if found is None]
    require(
        not strange,
        f"{where}: the run {strange[0] if strange else ''!r} says no loss and no seed; wanted: names such as "
        "triplet-seed3, or columns loss and seed",
    )
    return frame.assign(
        loss=[found[0] for found in read if found], seed=[found[1] for found in read if found]
    )


def at_last_step(frame: Any, only: Sequence[str], where: str) -> tuple[Any, list[str]]:
    """Rows of the last step of each run and measure, unless the user keeps a step; steps must be equal.

    Raises:
        LosscopeError: runs that end at different steps.
    """
    if any(text.partition("=")[0].strip() == "step" for text in only):
        return frame, []
    last = frame.groupby(["loss", "seed", "measure"], sort=False)["step"].transform("max")
    frame = frame[frame["step"] == last]
    for measure, own in frame.groupby("measure", sort=False):
        steps = own["step"].unique().tolist()
        if len(steps) > 1:
            ends = [f"{step:g} for {own[own['step'] == step].iloc[0]['loss']}" for step in sorted(steps)[:4]]
            raise LosscopeError(
                f"{where}: {measure} ends at different steps ({listing(ends)}); wanted: the same step "
                f"for all, such as --only step={min(steps):g}"
            )
    return frame.drop(columns="step"), ["Of each run the value at its last step is read."]
