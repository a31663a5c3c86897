"""Does the machinery find differences where there are none? One loss under two names, many small studies.

The names share the data of a seed and differ in weights and batches alone, so every directional verdict is
false. With tuned values shared the level of the test bounds their share. With each name tuned on its own the
two are trained at other values, by luck, and a verdict is conditional on these: its share is the risk that
tuning, not the loss, made a verdict.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from losscope import stats
from losscope.comparing import tuning
from losscope.core.results import RiskRow, TuningRisk
from losscope.core.spec import DataSpec, LossSpec, Protocol, Run, protocol
from losscope.core.wording import reproductions as wording

if TYPE_CHECKING:
    from losscope.data import Source, Splits

COMMAND = "losscope reproduce aa"
OPTIONS: dict[str, Any] = {"classes": 5, "points": 24, "dimensions": 16}
"""Cheap data: 126 training rows of 5 noisy classes."""
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


def runs_of(loss: LossSpec, seeds: Sequence[int], purpose: Literal["trial", "final"] = "final") -> list[Run]:
    """Runs of a loss on the cheap data, a seed each."""
    data = DataSpec(name="synthetic", options=dict(OPTIONS))
    spec = loss.resolved("matched")
    return [Run(data=data, loss=spec, protocol=shape(), seed=seed, purpose=purpose) for seed in seeds]


def source() -> Source:
    """The cheap data."""
    from losscope.data import load

    return load("synthetic", **OPTIONS)


def trained(runs: Sequence[Run], splits: Sequence[Splits]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The test Recall@1 (R,) of runs of one family, and their validation MAP@R (R, looks) with its epochs.

    A run with a ``checkpoint`` is measured at that epoch. Trials are not measured on the test split.
    """
    import torch

    from losscope.measures import evaluate
    from losscope.train import Population

    scores, curves = np.full(len(runs), np.nan), []
    epochs: list[int] = []
    for start in range(0, len(runs), MEMBERS):
        part = slice(start, start + MEMBERS)
        population = Population(list(runs[part]), list(splits[part]), torch.device("cpu"))
        for _ in range(population.protocol.epochs):
            population.run_epoch()
        curves += [
            population.curves.curve(member, "map_at_r", "validation")[1:]
            for member in range(population.members)
        ]
        epochs = [
            epoch
            for of, epoch, name, _ in population.curves.rows
            if (of, name) == ("validation", "map_at_r") and epoch > 0
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
    return _verdicts(studies, seeds, [spec] * (2 * studies))


def apart(studies: int, seeds: int = SEEDS, loss: str = "triplet") -> list[str]:
    """The same with each name of each study tuned on seeds of its own, as ``compare`` tunes a loss."""
    base = LossSpec.parse(loss)
    points = tuning.grid(base, "matched")
    data = source()
    tries = len(tuning.SEEDS)
    names = 2 * studies
    scores: list[np.ndarray] = []
    epochs: list[int] = []
    # One population a point of the grid: a name has the same two tuning seeds at every point.
    seeds_of = [tuning.SEEDS[0] + place for place in range(names * tries)]
    splits = [data.splits(seed) for seed in seeds_of]
    for point in points:
        _, curves, epochs = trained(runs_of(point, seeds_of, "trial"), splits)
        scores.append(np.nan_to_num(curves.reshape(names, tries, -1).mean(1), nan=-1.0))
    table = np.stack(scores)
    chosen = [_best(points, table[:, name], epochs) for name in range(names)]
    return _verdicts(studies, seeds, chosen)


def _best(points: Sequence[LossSpec], scores: np.ndarray, epochs: Sequence[int]) -> LossSpec:
    """The point and the epoch of the best score (points, looks); at a tie the smaller margin."""
    top = scores.max(axis=1).round(12)
    place = min(
        range(len(points)),
        key=lambda point: (-top[point], float(points[point].hyperparameters.get("margin", 0.0))),
    )
    return points[place].model_copy(update={"checkpoint": epochs[int(scores[place].argmax())]})


def _verdicts(studies: int, seeds: int, specs: Sequence[LossSpec]) -> list[str]:
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
        low, high = _clopper_pearson(count, studies)
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


def _clopper_pearson(count: int, total: int) -> tuple[float, float]:
    """The exact 95 % interval of a share.

    >>> tuple(round(end, 3) for end in _clopper_pearson(8, 200))
    (0.017, 0.077)
    """
    from scipy.special import betaincinv

    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, 0.025))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 0.975))
    return low, high
