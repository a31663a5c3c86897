"""What groups of runs will cost, measured on this machine before they start, and how far they are.

A pilot of a few steps of each kind of run (data, protocol, loss) gives the seconds of a step, of a look at
the curves, and of measuring and storing one finished run; they are kept in the store, so that a second look
costs nothing. How many steps and looks there will be is not estimated: it follows from the runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from losscope.core.device import here
from losscope.core.errors import LosscopeError
from losscope.core.results import Frozen
from losscope.core.wording import work
from losscope.run import launch
from losscope.run.store import Damaged, Store

if TYPE_CHECKING:
    from losscope.core.spec import Run

SPEEDS = "speeds.json"
STEPS, LOOKS = 12, 2
"""Steps and looks of a pilot, the first of which are slow and not counted."""
STEPS_OF_BACKBONE = 3
"""Steps of a pilot that trains a backbone, each of which takes far longer."""
ROWS = 2500
"""Rows of train and of test that a pilot measures at most; the cost of more grows with their pairs."""
ROWS_OF_BACKBONE = 64
"""And of a run that trains a backbone; there the cost grows with the rows, which go through it."""
START = 4.0
"""Seconds that a worker process takes to start."""
SHARED = 1.3
"""How much slower a group is beside another one: they share memory and caches. `losscope reproduce zeng2025
--only synthetic` on two cores took 9.2 min of 7.1 foreseen without it."""
TOLD_EVERY = 60.0
"""Seconds between two sentences about how far the work is."""


class Speed(Frozen):
    """Processor seconds of one kind of run (of the device's time on a GPU), and its steps.

    ``steps``: gradient steps of an epoch. ``once``: of splits and start, for each member. ``step``: of a step
    of a population, and the part of it that each member adds. ``look``: at the curves, for each member.
    ``finish``: of measuring and storing one run; of a closed form, of fitting it too.
    """

    steps: int = 0
    once: float = 0.0
    step: tuple[float, float] = (0.0, 0.0)
    look: float = 0.0
    finish: float = 0.0

    def seconds(self, group: launch.Group) -> float:
        """Seconds of one core for a whole group of this kind."""
        members, epochs = len(group.runs), group.runs[0].protocol.epochs
        if group.runs[0].loss.baseline:
            return members * self.finish
        step = self.step[0] + members * self.step[1]
        return epochs * self.steps * step + members * (self.once + _looks(group) * self.look + self.finish)

    def steps_of(self, group: launch.Group) -> int:
        """Gradient steps of a whole group, each member's counted."""
        return len(group.runs) * group.runs[0].protocol.epochs * self.steps


def _looks(group: launch.Group) -> int:
    """How often the curves of a group are looked at."""
    from losscope.train.instruments import trial_looks

    epochs = group.runs[0].protocol.epochs
    return 1 + (len(trial_looks(epochs)) if group.runs[0].purpose == "trial" else epochs)


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
    """What decides a run's cost: all but its seed, its numbers, its transform and how many epochs it has."""
    fixed = run.protocol.model_dump(mode="json", exclude={"learning_rate", "epochs", "name", "transform"})
    loss = [run.loss.name, run.loss.reduction, run.tuples, run.protocol.geometry_split]
    text = json.dumps([run.data.model_dump(mode="json"), fixed, loss, run.purpose], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def speeds(
    groups: Sequence[tuple[launch.Group, Any]],
    store: Store,
    stored: frozenset[str],
    say: Callable[[str], None] | None = None,
    *,
    known: Mapping[str, Speed] | None = None,
    keep: bool = True,
) -> dict[str, Speed]:
    """The speed of each kind of run of which some group is not all ``stored``.

    ``groups``: each with the source of its data. What is not ``known`` yet, nor to the store, is measured by
    pilots, and kept in the store where ``keep`` is true.
    """
    known = {**_known(store), **(known or {})}
    alike: dict[str, list[tuple[launch.Group, Any]]] = {}
    for group, source in groups:
        if not stored.issuperset(group.ids):
            alike.setdefault(kind_of(group.runs[0]), []).append((group, source))
    lacking = [kind for kind in alike if kind not in known]
    if lacking and say:
        say(f"Measuring this machine's speed on {len(lacking)} kinds of run.")
    for kind in lacking:
        largest, source = max(alike[kind], key=lambda pair: len(pair[0].runs))
        known[kind] = _pilot(largest, min(len(group.runs) for group, _ in alike[kind]), source)
    if lacking and keep:
        keep_speeds(store, known)
    return {kind: known[kind] for kind in alike}


def keep_speeds(store: Store, found: Mapping[str, Speed]) -> None:
    """Keep speeds in a store, beside those that it has."""
    kept = {**_known(store), **found}
    store.write_json(SPEEDS, {kind: speed.model_dump(mode="json") for kind, speed in kept.items()})


def _known(store: Store) -> dict[str, Speed]:
    """The speeds that a store keeps."""
    try:
        kept = store.read_json(SPEEDS) or {}
        return {kind: Speed.model_validate(speed) for kind, speed in kept.items()}
    except (Damaged, ValidationError):  # altered, or of another version: it is measured again
        return {}


def seconds(
    groups: Iterable[launch.Group], speeds: Mapping[str, Speed], stored: frozenset[str]
) -> dict[str, float]:
    """Seconds of one core that each group will take, by its name; 0 for one whose runs are all ``stored``."""
    return {
        group.name: 0.0 if stored.issuperset(group.ids) else speeds[kind_of(group.runs[0])].seconds(group)
        for group in groups
    }


def _clock(device: str) -> Callable[[], float]:
    """Time at work on a CPU, so that neighbours on the machine do not count; else time."""
    return time.process_time if device == "cpu" else time.perf_counter


def _pilot(group: launch.Group, fewest: int, source: Any) -> Speed:
    """The speed of a kind of run, with one thread, from a group of it and the size of the smallest one."""
    from losscope.data.trials import for_trials
    from losscope.run.arithmetic import fixed_arithmetic

    first, device = group.runs[0], group.where.device
    if here(device) != device:
        raise LosscopeError(
            f"the cost of runs on {device} is measured on this machine, which has no CUDA device; leave out "
            "--budget or --dry-run, or use --device cpu"
        )
    if first.purpose == "trial":
        source = for_trials(source, first.protocol.name)
    with fixed_arithmetic():
        if first.loss.baseline:
            return Speed(finish=_of_baselines(group, source))
        return _of_losses(group, fewest, source)


def _of_baselines(group: launch.Group, source: Any) -> float:
    """Seconds of one run of a group that trains nothing, from those of one seed."""
    from losscope.train import train

    clock, device = _clock(group.where.device), group.where.device
    runs = [run for run in group.runs if run.seed == group.runs[0].seed]
    start = clock()
    split = source.splits(runs[0].split_seed)
    drawn = clock() - start
    fewer, start = _fewer(split, runs[0]), clock()
    records = train(runs, [fewer] * len(runs), device=device, keep="none")
    spent = clock() - start
    if runs[0].purpose == "final":
        fitted = sum(record.provenance.get("train_seconds", 0.0) for record in records)
        measured = max(0.0, spent - fitted)
        spent = fitted + measured * _pairs(runs[0], split) / _pairs(runs[0], fewer)
    return (drawn + spent) / len(runs) + _storing(records[-1], clock)


def _of_losses(group: launch.Group, fewest: int, source: Any) -> Speed:
    """The speed of runs of a loss: a step is timed with as many members as there are at most and at least."""
    import torch

    from losscope.run.record import Record
    from losscope.train import Population
    from losscope.train.fast import keep_freed_memory
    from losscope.train.measuring import measure
    from losscope.train.population import equal_epochs

    keep_freed_memory()
    clock, where = _clock(group.where.device), torch.device(group.where.device)
    splits = [source.splits(run.split_seed) for run in group.runs]
    together = next(own for own in equal_epochs(group.runs, splits) if 0 in own)
    alike = [place for place in together if len(splits[place].train) == len(splits[0].train)]
    runs, splits = [group.runs[place] for place in alike], [splits[place] for place in alike]
    few = max(1, min(fewest, len(runs) // 2))
    _steps(Population(runs[:few], splits[:few], where), clock)  # what is loaded and planned once, is now
    start = clock()
    drawn = {run.split_seed: source.splits(run.split_seed) for run in runs}
    population = Population(runs, [drawn[run.split_seed] for run in runs], where)
    once = (clock() - start) / len(runs)
    step = _steps(population, clock)
    looks = []
    for _ in range(LOOKS):
        start = clock()
        population.instruments.look(0, population.view())
        looks.append(clock() - start)
    population.close_epoch(runs[0].protocol.epochs)
    look = min(looks) / len(runs)
    record, finish = Record(runs[0], trace=population.curves.of(0)), 0.0
    if runs[0].purpose == "final":
        split = population.splits[0]
        fewer, start = _fewer(split, runs[0]), clock()
        measure(record, fewer, _alone(population), where, "none")
        finish = (clock() - start) * _pairs(runs[0], split) / _pairs(runs[0], fewer)
    each = step / len(runs)
    if few < len(runs):
        smaller = Population(runs[:few], [drawn[run.split_seed] for run in runs[:few]], where)
        each = min(each, max(0.0, (step - _steps(smaller, clock)) / (len(runs) - few)))
    return Speed(
        steps=population.batches.steps,
        once=once,
        step=(step - each * len(runs), each),
        look=look,
        finish=finish + _storing(record, clock),
    )


def _alone(population: Any) -> Callable[[Any], Any]:
    """What embeds rows by the first member of a population."""
    import torch

    from losscope.pairs import normalise

    first = {name: value[:1] for name, value in population.stack.network.items()}

    def embed(inputs: Any) -> Any:
        with torch.no_grad():
            return normalise(population.architecture.forward(first, inputs[None]))[0]

    return embed


def _storing(record: Any, clock: Callable[[], float]) -> float:
    """Seconds of writing a run; what writes is loaded by a first one."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.add("first", record)
        start = clock()
        store.add("second", record)
        return clock() - start


def _fewer(split: Any, run: Run) -> Any:
    """At most so many rows of train and test as a pilot measures; closed forms are fitted to all of train."""
    parts, most = {}, ROWS_OF_BACKBONE if run.protocol.finetunes else ROWS
    for name in ("test",) if run.loss.closed_form else ("train", "test"):
        part = getattr(split, name)
        chosen = np.random.default_rng(0).permutation(len(part))[:most]
        parts[name] = part.take(np.sort(chosen)) if len(part) > most else part
    return dataclasses.replace(split, **parts)


def _pairs(run: Run, split: Any) -> int:
    """How many distances measuring a run takes, or rows through its backbone, which is what it costs."""
    train, test = len(split.train), len(split.test)
    if run.protocol.finetunes:
        return test + train
    return test * (test + train) + (train * train if run.protocol.geometry_split == "train" else 0)


def _steps(population: Any, clock: Callable[[], float]) -> float:
    """Seconds of a step of a population: the median, as one step may wait for memory."""
    times: list[float] = []
    count = STEPS_OF_BACKBONE if population.protocol.finetunes else STEPS
    while len(times) < count:
        batches = population.batches.epoch(population.embed)
        for _ in range(count - len(times)):
            start = clock()
            batch = next(batches, None)
            if batch is None:
                break
            population.step(*batch)
            times.append(clock() - start)
    return float(np.median(times[1:]))


def cores(engine: str) -> int:
    """How many groups an engine works on at once on this machine."""
    return 1 if engine == "here" else os.cpu_count() or 1


def wall(costs: Sequence[float], engine: str) -> float:
    """Seconds until all groups are done: the work over the cores, at least the longest group.

    Worker processes are there: they start once for a study.
    """
    todo = [cost for cost in costs if cost > 0]
    if not todo:
        return 0.0
    if cores(engine) == 1:
        return sum(todo)
    return SHARED * max(sum(todo) / cores(engine), max(todo))


class Meter:
    """How far the work is, by what it costs: an ``activity`` that also tells a person now and then.

    ``total``: seconds of one core in all; ``price``: those of a group.
    ``show(done, total, text)`` is called at every report with seconds of work done and in all.
    """

    def __init__(
        self,
        total: float,
        price: Callable[[launch.Group], float],
        say: Callable[[str], None] | None = None,
        show: Callable[[float, float, str], None] | None = None,
    ):
        self.total, self.price, self.say, self.show = total, price, say, show
        self.done: dict[str, float] = {}
        self.started = self.told = time.monotonic()

    def __call__(self, group: launch.Group, done: int, total: int) -> None:
        """One report of a group under way: epochs done, of how many."""
        self.done[group.name] = self.price(group) * done / max(1, total)
        so_far = min(sum(self.done.values()), self.total)
        run = group.runs[0]
        if self.show:
            self.show(so_far, self.total, f"{run.data.name} {run.protocol.name}, {run.loss.name}")
        now = time.monotonic()
        if self.say and now - self.told > TOLD_EVERY and so_far > 0:
            self.told = now
            left = (now - self.started) * (self.total - so_far) / so_far
            self.say(work.progress(so_far / self.total, left))
