"""What groups of runs will cost, measured on this machine before they start, and how far they are.

A pilot of a few steps a kind of run (data, protocol, loss) gives the seconds of one member's epoch and of
measuring one finished run; they are kept in the store, so that a second look costs nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from losscope.core.wording import work
from losscope.run import launch
from losscope.run.arithmetic import fixed_arithmetic
from losscope.run.store import Damaged, Store

if TYPE_CHECKING:
    from losscope.core.spec import Run

SPEEDS = "speeds.json"
STEPS = 4
"""Steps of a pilot, the first of which is not timed."""
MEMBERS = 10
ROWS = 2500
"""Rows of train and of test that a pilot measures at most; the cost of more grows with their pairs."""
START = 4.0
"""Seconds that a worker process takes to start."""
SHARED = 1.3
"""How much slower a group is beside another one: they share memory and caches. `losscope reproduce zeng2025
--only synthetic` on two cores took 9.2 min of 7.1 foreseen without it."""
TOLD_EVERY = 60.0
"""Seconds between two sentences about how far the work is."""


def whole(store: Store, ids: Iterable[str]) -> frozenset[str]:
    """Those of some runs that are stored, done and whole; every file of them is read."""
    found = set()
    for run_id in ids:
        with contextlib.suppress(Damaged):
            if store.has(run_id):
                store.get(run_id).check()
                found.add(run_id)
    return frozenset(found)


def kind_of(run: Run) -> str:
    """What decides a run's cost: all but its seed, its numbers and how many epochs it has."""
    fixed = run.protocol.model_dump(mode="json", exclude={"learning_rate", "epochs", "name"})
    loss = [run.loss.name, run.loss.reduction, run.tuples, run.protocol.geometry_split]
    text = json.dumps([run.data.model_dump(mode="json"), fixed, loss, run.purpose], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def seconds(
    groups: Sequence[tuple[launch.Group, Any]],
    store: Store,
    stored: frozenset[str],
    say: Callable[[str], None] | None = None,
    *,
    keep: bool = True,
) -> dict[str, float]:
    """Seconds of one core that each group will take, by its name; 0 for one whose runs are all ``stored``.

    ``groups``: each with the source of its data. What is not known yet is measured by pilots, and kept in
    the store where ``keep`` is true.
    """
    try:
        known: dict[str, list[float]] = store.read_json(SPEEDS) or {}
    except Damaged:  # it is measured again
        known = {}
    todo = [(group, source) for group, source in groups if not stored.issuperset(group.ids)]
    kinds = {kind_of(group.runs[0]): (group, source) for group, source in todo}
    lacking = [kind for kind in kinds if kind not in known]
    if lacking and say:
        say(f"Measuring this machine's speed on {len(lacking)} kinds of run.")
    for kind in lacking:
        known[kind] = list(_pilot(*kinds[kind]))
    if lacking and keep:
        store.write_json(SPEEDS, known)
    costs = {group.name: 0.0 for group, _ in groups}
    for group, _ in todo:
        epoch, measure = known[kind_of(group.runs[0])]
        costs[group.name] = len(group.runs) * (epoch * group.runs[0].protocol.epochs + measure)
    return costs


def _clock(device: str) -> Callable[[], float]:
    """Time at work on a CPU, so that neighbours on the machine do not count; else time."""
    return time.process_time if device == "cpu" else time.perf_counter


def _pilot(group: launch.Group, source: Any) -> tuple[float, float]:
    """Seconds of one member's epoch, and of measuring one finished run, with one thread."""
    import torch

    from losscope.core.loss_spec import UNTRAINED, LossSpec
    from losscope.data.trials import for_trials
    from losscope.train import Population, train

    first, clock = group.runs[0], _clock(group.where.device)
    if first.purpose == "trial":
        source = for_trials(source, first.protocol.name)
    with fixed_arithmetic():
        split = source.splits(first.seed)
        base = first if first.loss.baseline else first.model_copy(update={"loss": LossSpec(name=UNTRAINED)})
        measure = 0.0
        if first.purpose == "final":
            fewer = _fewer(split)
            start = clock()
            train([base], [fewer], device=group.where.device, keep="none")
            measure = (clock() - start) * _pairs(first, split) / _pairs(first, fewer)
        if first.loss.baseline:
            return 0.0, measure
        runs = list(group.runs[:MEMBERS])
        splits = [source.splits(run.seed) for run in runs]
        alike = [place for place, other in enumerate(splits) if len(other.train) == len(splits[0].train)]
        runs, splits = [runs[place] for place in alike], [splits[place] for place in alike]
        population = Population(runs, splits, torch.device(group.where.device))
        step = _steps(population, clock)
        start = clock()
        population.close_epoch(1)
        look = clock() - start
        return (step * population.batches.steps + look) / len(runs), measure


def _fewer(split: Any) -> Any:
    """At most so many rows of train and test as a pilot measures."""
    parts = {}
    for name in ("train", "test"):
        part = getattr(split, name)
        chosen = np.random.default_rng(0).permutation(len(part))[:ROWS]
        parts[name] = part.take(np.sort(chosen)) if len(part) > ROWS else part
    return dataclasses.replace(split, **parts)


def _pairs(run: Run, split: Any) -> int:
    """How many distances measuring a run takes, which is what it costs."""
    train, test = len(split.train), len(split.test)
    return test * (test + train) + (train * train if run.protocol.geometry_split == "train" else 0)


def _steps(population: Any, clock: Callable[[], float]) -> float:
    """Seconds of a step of a population."""
    times: list[float] = []
    while len(times) < STEPS:
        batches = population.batches.epoch(population.embed)
        for _ in range(STEPS - len(times)):
            start = clock()
            batch = next(batches, None)
            if batch is None:
                break
            population.step(*batch)
            times.append(clock() - start)
    return sum(times[1:]) / (STEPS - 1)


def cores(engine: str) -> int:
    """How many groups an engine works on at once on this machine."""
    return 1 if engine == "here" else os.cpu_count() or 1


def wall(costs: Sequence[float], engine: str) -> float:
    """Seconds until all groups are done: the work over the cores, at least the longest group."""
    todo = [cost for cost in costs if cost > 0]
    if not todo:
        return 0.0
    if cores(engine) == 1:
        return sum(todo)
    return SHARED * max(sum(todo) / cores(engine), max(todo)) + START


class Meter:
    """How far the work is, by what it costs: an ``activity`` that also tells a person now and then.

    ``show(done, total, text)`` is called at every report with seconds of work done and in all.
    """

    def __init__(
        self,
        costs: dict[str, float],
        engine: str,
        say: Callable[[str], None] | None = None,
        show: Callable[[float, float, str], None] | None = None,
    ):
        self.costs, self.engine, self.say, self.show = costs, engine, say, show
        self.total = sum(costs.values())
        self.done: dict[str, float] = {}
        self.started = self.told = time.monotonic()

    def __call__(self, group: launch.Group, done: int, total: int) -> None:
        """One report of a group under way: epochs done, of how many."""
        cost = self.costs.get(group.name, 0.0)
        self.done[group.name] = cost * done / max(1, total)
        so_far = sum(self.done.values())
        run = group.runs[0]
        if self.show:
            self.show(so_far, self.total, f"{run.data.name} {run.protocol.name}, {run.loss.name}")
        now = time.monotonic()
        if self.say and now - self.told > TOLD_EVERY and so_far > 0:
            self.told = now
            left = (now - self.started) * (self.total - so_far) / so_far
            self.say(work.progress(so_far / self.total, left))
