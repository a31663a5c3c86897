"""The same verdicts on anyone's runs: a table of scores, saved embeddings, or a store. No training.

A table has columns loss, seed, measure, value, or a column for each measure. A pattern such as
``runs/{loss}/{seed}.npz`` names files with embeddings and labels, which are measured first. A store is a
folder that ``compare`` wrote.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from losscope import stats
from losscope.comparing.judging.declaring import declare as declare_measures
from losscope.comparing.judging.declaring import forget, known_as
from losscope.comparing.judging.embedded import Reading, from_pattern
from losscope.comparing.judging.patterns import example
from losscope.comparing.judging.runs import Runs
from losscope.comparing.judging.scores import from_table
from losscope.core import wording
from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.quantities import GOALS, check_indifference
from losscope.core.results import DataDescription, Evidence, Provenance, Result, Settings
from losscope.probe.record import holds_probe


def judge(
    runs: str,
    *,
    goal: str = "retrieval",
    measure: str | None = None,
    reference: str | None = None,
    indifference: float | None = None,
    unpaired: bool = False,
    look: int | None = None,
    tuned: bool = True,
    same_camera: str | None = None,
    skip_unlabelled: bool = False,
    ignore_label: Sequence[str] = (),
    declare: Sequence[str] = (),
    only: Sequence[str] = (),
    say: Callable[[str], None] | None = None,
) -> Result:
    """Verdicts, table, page and JSON for runs that were trained elsewhere.

    Args:
        runs: a table of scores (CSV or Parquet: loss, seed, measure, value, or a column for each measure), a
            pattern of npz files with ``{loss}`` and ``{seed}``, each holding ``embeddings`` (N, D) and
            ``labels`` (N,), or a folder that ``compare`` wrote.
        goal: which measure is primary; ``measure`` names it directly.
        reference: the loss that the others are compared with.
        indifference: the difference in the measure that decides that does not matter, instead of its own.
        unpaired: the seeds of different losses have nothing in common.
        look: how often these runs were looked at before, plus one (docs/definitions.md, "Looks"); by default
            as a store counts it, and 1 for other runs, which is said.
        tuned: whether each loss was tuned alike; said in the sentences otherwise.
        same_camera: where the files name queries, gallery and cameras, whether a query may find items of its
            camera: keep (yes), junk (not those of its class), skip (none); the files may say it themselves.
        skip_unlabelled: rows of the embeddings without a label are left out and counted, not refused.
        ignore_label: labels of the embeddings that are background like -1; "none" makes -1 a class.
        declare: measures of your own, as ``name:better:scale:indifference``, such as
            ``agreement:higher:difference:0.01``; known until the next call, never one of the package's names.
        only: rows of a table to keep, as ``column=value``, or ``epoch=last``.

    Raises:
        LosscopeError: an unreadable file, a missing column, an unknown measure, seeds that do not pair, runs
            that were measured on different items.

    >>> import tempfile
    >>> rows = [f"{loss},{seed},recall_at_1,{value + seed / 1000}"
    ...         for loss, value in (("ours", 0.9), ("theirs", 0.8)) for seed in range(8)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder, "scores.csv")
    ...     _ = table.write_text("loss,seed,measure,value\\n" + "\\n".join(rows))
    ...     result = judge(str(table))
    >>> len(result.verdicts())
    1
    """
    try:
        declare_measures(declare)
        require(look is None or look >= 1, f"look is {look}; it must be at least 1")
        require(
            indifference is None or 0 < indifference < math.inf,
            f"the indifference is {indifference}; wanted: a number above 0",
        )
        if goal not in GOALS:
            raise unknown("goal", goal, GOALS)
        check_indifference(indifference, goal)
        reading = Reading(same_camera, tuple(ignore_label), skip_unlabelled)
        found = _read(runs, only, unpaired, reading, say)
        return _judged(runs, found, goal, measure, reference, indifference, unpaired, look, tuned)
    except BaseException:
        forget()
        raise


def _read(
    runs: str,
    only: Sequence[str],
    unpaired: bool,
    reading: Reading,
    say: Callable[[str], None] | None,
) -> Runs:
    path = Path(runs).expanduser()
    table = path.is_file() or "{" not in runs
    require(not only or (table and not path.is_dir()), "only chooses rows of a table; give a table of scores")
    if not table:
        return from_pattern(runs, say, unpaired, reading)
    require(
        not reading.given,
        f"{reading.given} is said of embeddings; wanted: a pattern such as 'runs/{{loss}}/{{seed}}.npz'",
    )
    if not path.is_dir():
        return from_table(path, only)
    if holds_probe(path):
        from losscope.comparing.judging.probes import from_probes

        return from_probes(path)
    if (path / "store.json").is_file() or path.parent.name == "studies":
        from losscope.comparing.judging.studies import from_store

        return from_store(path)
    raise LosscopeError(
        f"{runs!r} is a folder without a store; wanted: a table of scores, a folder that losscope compare "
        f"wrote, or a pattern: {example(path)}"
    )


def _judged(
    runs: str,
    found: Runs,
    goal: str,
    measure: str | None,
    reference: str | None,
    indifference: float | None,
    unpaired: bool,
    look: int | None,
    tuned: bool,
) -> Result:
    measured = found.measured
    names = list(dict.fromkeys(run.loss for run in measured if run.family == "loss"))
    require(
        len(names) >= 2,
        f"{runs!r} holds runs of {len(names)} loss ({', '.join(names)}); judging wants at least 2",
    )
    if reference is not None and reference not in names:
        raise unknown("reference loss", reference, names)
    if measure is not None:
        measure = known_as(measure).name
    elif goal == "retrieval":  # what is taken where nothing is asked for
        measure = found.measure
    # Of anyone's own runs nothing is known but whether they were tuned, and only a no is worth saying.
    untuned = tuple(Settings(loss=name, name=name, tuned=False) for name in names)
    settings = found.settings if tuned else untuned
    counted = 1 if found.look is None else found.look(goal, measure, reference, indifference)
    notes = found.notes
    if look is None and found.look is None:
        notes = (*notes, wording.first_look(stats.alpha_of(1), stats.alpha_of(2)))
    said = f"{len(measured)} runs from {runs}"
    data = found.data or DataDescription(
        name=runs, title=runs, kind="runs", described=said, folds=found.folds
    )
    with wording.modalities(data.modalities):
        analysis = stats.analyse(
            measured,
            goal=goal,
            measure=measure or _primary(measured, goal),
            reference=reference,
            settings=settings,
            generated=data.generated,
            folds=data.folds,
            looks=max(look or 1, counted),
            unpaired=unpaired,
            standings=found.standings,
            indifference=indifference,
            by_item=data.by_item,
        )
    result = Result(
        data=data,
        protocol=None,
        seeds=tuple(sorted({run.seed for run in measured})),
        goal=goal,
        unpaired=unpaired,
        losses=analysis.losses,
        baselines=analysis.baselines,
        settings=settings,
        paired=analysis.paired,
        recommendation=analysis.recommendation,
        notes=(*notes, *wording.unranked(analysis.recommendation)),
        provenance=_provenance(),
    )
    return result.with_evidence(Evidence(detail=_detail(measured)))


def _provenance() -> Provenance:
    from losscope import __version__

    return Provenance(losscope=__version__, numpy=np.__version__)


def _primary(measured: Sequence[stats.Measured], goal: str) -> str:
    """The goal's measure if the runs have it, else the only one they have."""
    have = {name for run in measured for name in run.values}
    for name in GOALS[goal]:
        if name in have:
            return name
    known = sorted(name for name in have)
    require(
        len(known) == 1,
        f"the goal {goal!r} is judged by {' or '.join(GOALS[goal])} and the runs have "
        f"{', '.join(known) or 'no measure'}; name one with --measure",
    )
    return known[0]


def _detail(measured: Sequence[stats.Measured]) -> dict[str, dict[str, np.ndarray]]:
    """Per-class arrays over seeds, where the runs of a loss have the same classes."""
    name, found = "per_class/intra_variance", {}
    for loss in dict.fromkeys(run.loss for run in measured):
        arrays = [run.detail for run in measured if run.loss == loss and name in run.detail]
        if len({table[name].shape for table in arrays}) == 1:
            found[loss] = {
                name: np.stack([table[name] for table in arrays]),
                "per_class/label": np.asarray(arrays[0]["per_class/label"]),
            }
    return found
