"""Does the machinery find differences where there are none? One loss under two names, many small studies.

The names share the data of a seed and differ in weights and batches alone, so every directional verdict is
false. With tuned values shared the level of the test bounds their share. With each name tuned on its own the
two are trained at other values, by luck, and a verdict is conditional on these: its share is the risk that
tuning, not the loss, made a verdict.
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from losscope import stats
from losscope.comparing import halving, tuning
from losscope.core.results import RiskRow, Trial, TuningRisk
from losscope.core.spec import DataSpec, LossSpec, Protocol, ResolvedStudy, Run, Study, protocol
from losscope.core.wording import reproductions as wording
from losscope.stats.intervals import share_interval

if TYPE_CHECKING:
    from losscope.data import Source, Splits

COMMAND = "losscope reproduce aa"
OPTIONS: dict[str, Any] = {"classes": 5, "points": 24, "dimensions": 16}
"""Cheap data: 126 training rows of 5 noisy classes."""
DATA = DataSpec(name="synthetic", options=OPTIONS)
SHAPE: dict[str, Any] = {
    "epochs": 12,
    "batch_size": 30,
    "classes_per_batch": 5,
    "hidden": (32,),
    "embedding_size": 16,
}
SEEDS = 8
MEMBERS = 480
"""Members of one population."""
MEASURE = "recall_at_1"
Say = Callable[[str], None]


def shape() -> Protocol:
    """The matched protocol, made cheap."""
    return protocol("matched", "vectors", **SHAPE)


def runs_of(loss: LossSpec, seeds: Sequence[int]) -> list[Run]:
    """Runs of a loss on the cheap data, a seed each."""
    spec = loss.resolved("matched")
    return [Run(data=DATA, loss=spec, protocol=shape(), seed=seed) for seed in seeds]


def source() -> Source:
    """The cheap data."""
    from losscope.data import load

    return load("synthetic", **OPTIONS)


def trained(runs: Sequence[Run], splits: Sequence[Splits]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The test Recall@1 (R,) of runs of one family, and their validation curves (R, 2, looks), epochs too.

    A run with a ``checkpoint`` is measured at that epoch. Trials are not measured on the test split.
    """
    import torch

    from losscope.measures import evaluate
    from losscope.measures.ties import QUALITY
    from losscope.train import Population

    scores, curves = np.full(len(runs), np.nan), []
    epochs: list[int] = []
    for start in range(0, len(runs), MEMBERS):
        part = slice(start, start + MEMBERS)
        population = Population(list(runs[part]), list(splits[part]), torch.device("cpu"))
        for _ in range(population.protocol.epochs):
            population.run_epoch()
        curves += [
            np.stack([population.curves.curve(member, name, "validation") for name in QUALITY[::-1]])
            for member in range(population.members)
        ]
        epochs = [
            epoch for of, epoch, name, _ in population.curves.rows if (of, name) == ("validation", QUALITY[0])
        ]
        if runs[0].purpose == "trial":
            continue
        for member, flat in population.chosen.items():
            population.stack.flat[member].copy_(flat)
        tests = [split.test for split in splits[part]]
        embeddings = population.embed(torch.from_numpy(np.stack([test.inputs for test in tests])))
        labels = torch.from_numpy(np.stack([test.labels for test in tests]))
        values, _ = evaluate(embeddings, labels, names=[MEASURE])
        scores[part] = values[MEASURE].numpy()
    return scores, np.stack(curves), epochs


def shared(studies: int, seeds: int = SEEDS, loss: str = "triplet") -> list[str]:
    """The verdicts of so many studies of one loss under two names, at the same values."""
    spec = LossSpec.parse(loss)
    return verdicts(studies, seeds, [spec] * (2 * studies))


def apart(studies: int, seeds: int = SEEDS, loss: str = "triplet") -> list[str]:
    """The same with each name of each study tuned on data and seeds of its own, as ``compare`` tunes."""
    return verdicts(studies, seeds, _tuned(2 * studies, loss))


def _tuned(names: int, loss: str) -> list[LossSpec]:
    """A loss as so many tunings choose it."""
    made = []
    for found in searched(names, loss):
        spec, trial = won(found, loss)
        made.append(spec.model_copy(update={"checkpoint": trial.epoch}))
    return made


def won(found: halving.Search, loss: str) -> tuple[LossSpec, Trial]:
    """The numbers that a tuning chose for a loss, and their trial."""
    last = found.last[loss]
    return last[halving.best([trial for _, trial in last]) or 0]


def searched(names: int, loss: str) -> list[halving.Search]:
    """So many tunings of a loss, each with data and seeds of its own, all walked side by side."""
    study = studied(loss)
    walks = [halving.search(study) for _ in range(names)]
    asked = {name: next(walk) for name, walk in enumerate(walks)}
    found: dict[int, halving.Search] = {}
    drawn: dict[int, Splits] = {}
    while asked:
        for name, trials in tried(study, asked, drawn).items():
            try:
                asked[name] = walks[name].send(trials)
            except StopIteration as ended:
                del asked[name]
                found[name] = ended.value
    return [found[name] for name in range(names)]


def studied(loss: str) -> ResolvedStudy:
    """The study that tunes a loss on the cheap data."""
    return Study(losses=[loss]).resolve("vectors").model_copy(update={"protocol": shape()})


def tried(
    study: ResolvedStudy, asked: dict[int, list[halving.Candidate]], drawn: dict[int, Splits]
) -> dict[int, list[Trial]]:
    """What one stage of every tuning scored. A name's seeds of tuning are no other's."""
    data, families = source(), defaultdict(list)
    for name, own in asked.items():
        for place, candidate in enumerate(own):
            for run in tuning.runs_of(study, candidate):
                seed = run.seed + name * len(tuning.SEEDS)
                if seed not in drawn:
                    drawn[seed] = data.splits(seed)
                run = run.model_copy(update={"seed": seed, "data": DATA})
                families[run.family()].append((name, place, run))
    curves: dict[tuple[int, int], list[np.ndarray]] = defaultdict(list)
    looks: dict[int, np.ndarray] = {}
    for members in families.values():
        runs = [run for _, _, run in members]
        _, found, epochs = trained(runs, [drawn[run.seed] for run in runs])
        looks[runs[0].protocol.epochs] = np.array(epochs)
        for (name, place, _), own_curves in zip(members, found, strict=True):
            curves[name, place].append(own_curves)
    return {
        name: [
            tuning.trial_of(
                candidate,
                *tuning.at_best(np.stack(curves[name, place], axis=1), looks[candidate.protocol.epochs]),
            )
            for place, candidate in enumerate(own)
        ]
        for name, own in asked.items()
    }


def verdicts(studies: int, seeds: int, specs: Sequence[LossSpec]) -> list[str]:
    """Verdicts of each study, its two names at ``specs[2k]`` and ``specs[2k + 1]``."""
    data = source()
    pairs = [(study, name, seed) for study in range(studies) for name in range(2) for seed in range(seeds)]
    drawn = {(study, seed): data.splits(study * seeds + seed) for study, name, seed in pairs if name == 0}
    runs = [
        runs_of(specs[2 * study + name], [2 * (study * seeds + seed) + name])[0]
        for study, name, seed in pairs
    ]
    # Members of one population share all but numbers; every spec here is of one loss and reduction.
    families: dict[str, list[int]] = {}
    for place, run in enumerate(runs):
        families.setdefault(run.family(), []).append(place)
    values = np.empty(len(runs))
    for places in families.values():
        splits = [drawn[pairs[place][0], pairs[place][2]] for place in places]
        values[places], *_ = trained([runs[place] for place in places], splits)
    table = values.reshape(studies, 2, seeds)
    return [_verdict(table[study]) for study in range(studies)]


def _verdict(values: np.ndarray) -> str:
    """The verdict between two names (2, seeds)."""
    runs = [
        stats.Measured(name, seed, {MEASURE: float(values[place, seed])})
        for place, name in enumerate(("one", "the same"))
        for seed in range(values.shape[1])
    ]
    return str(stats.analyse(runs, generated=True).paired[0].verdict)


def directional(verdicts: Sequence[str]) -> int:
    """How many verdicts tell the two names apart."""
    return sum(verdict in ("higher", "lower") for verdict in verdicts)


def measure(studies: int = 200, *, write: Path | None = None, say: Say | None = None) -> TuningRisk:
    """Both shares with their 95 % intervals (Clopper and Pearson), written to a folder as a JSON file."""
    from losscope import __version__
    from losscope.comparing.planning import DEFAULT_OUT
    from losscope.run.store import Store

    rows = []
    for label, made in (("tuned values shared", shared), ("each name tuned on its own", apart)):
        if say:
            say(f"{studies} studies of one loss under two names, {label}.")
        count = directional(made(studies))
        low, high = share_interval(count, studies)
        rows.append(
            RiskRow(
                label=label,
                data="synthetic, 5 classes of 24",
                directional=count,
                studies=studies,
                seeds=SEEDS,
                rate=count / studies,
                low=low,
                high=high,
                command=COMMAND,
            )
        )
    found = TuningRisk(
        command=COMMAND,
        rows=tuple(rows),
        said=wording.told_apart(rows),
        losscope=__version__,
        machine=f"{platform.system()} {platform.machine()}",
    )
    store = Store(write if write is not None else DEFAULT_OUT)
    store.write_text("tuning_risk.json", found.json_text() + "\n")
    return found
