"""The same verdicts on anyone's runs: a table of scores, saved embeddings, or a store. No training.

A table has columns loss, seed, measure, value, or a column for each measure. A pattern such as
``runs/{loss}/{seed}.npz`` names files with embeddings and labels, which are measured first. A store is a
folder that ``compare`` wrote.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from losscope import stats
from losscope.comparing.judging.columns import Asked
from losscope.comparing.judging.declaring import declare as declare_measures
from losscope.comparing.judging.declaring import forget, known_as
from losscope.comparing.judging.embedded import Reading, from_pattern
from losscope.comparing.judging.events import from_events
from losscope.comparing.judging.exports import from_table
from losscope.comparing.judging.given import Given
from losscope.comparing.judging.mteb import from_mteb
from losscope.comparing.judging.patterns import example
from losscope.comparing.judging.runs import Runs
from losscope.core import commands, wording
from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.quantities import GOALS, check_indifference
from losscope.core.results import DataDescription, Evidence, Provenance, Result, Settings
from losscope.probe.record import holds_probe


def judge(
    runs: Any,
    labels: Any = None,
    *,
    goal: str = "retrieval",
    measure: str | Sequence[str] | None = None,
    unit: str | None = None,
    family: str | None = None,
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
            ``labels`` (N,), or a folder: one that ``compare`` wrote, MTEB's results, exports of Weights &
            Biases, MLflow or TensorBoard (docs/inputs.md). In Python also a data frame of any library, a dict
            of columns, or with ``labels`` a dict of embeddings {loss: (runs, N, D)} or {loss: (N, D)}.
        labels: (N,), of embeddings that are given as arrays.
        goal: which measure is primary; ``measure`` names it directly.
        measure: the measure that decides, or several: the first decides, and all are tested, corrected
            together.
        unit: the column of what pairs the runs (seed, fold, task, data set, speaker, query, ...), where it is
            not found by its name.
        family: the column of families of data sets, each of which counts once.
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

    >>> rows = [(loss, seed, value + seed / 1000)
    ...         for loss, value in (("ours", 0.9), ("theirs", 0.8)) for seed in range(8)]
    >>> names, seeds, values = zip(*rows)
    >>> found = judge({"loss": names, "seed": seeds, "Recall@1": values})
    >>> [row.verdict for row in found.verdicts()]
    ['lower']
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
        wanted = (measure,) if isinstance(measure, str) else tuple(measure or ())
        reading = Reading(same_camera, tuple(ignore_label), skip_unlabelled)
        asked = Asked(tuple(only), unit, family)
        source = str(runs) if isinstance(runs, str | Path) and labels is None else Given(runs, labels)
        name = source if isinstance(source, str) else source.name
        found = _read(source, asked, wanted, unpaired, reading, say)
        told = Told(name, goal, wanted, reference, indifference, unpaired, look, tuned)
        result = judged(found, told)
        if not isinstance(source, str):
            return result
        words = _words(source, told, asked, reading, declare)
        made = result.provenance.model_copy(update={"command": commands.said(words), "arguments": words})
        return result.model_copy(update={"provenance": made})
    except BaseException:
        forget()
        raise


def _read(
    source: str | Given,
    asked: Asked,
    measures: Sequence[str],
    unpaired: bool,
    reading: Reading,
    say: Callable[[str], None] | None,
) -> Runs:
    if isinstance(source, Given):
        return source.read(asked, unpaired, reading, say)
    path = Path(source).expanduser()
    if "{" in source and not path.is_file():
        require(not asked.given, ONLY_TABLES)
        return from_pattern(source, say, unpaired, reading)
    require(
        not reading.given,
        f"{reading.given} is said of embeddings; wanted: a pattern such as 'runs/{{loss}}/{{seed}}.npz'",
    )
    if not path.is_dir():
        return from_table(path, asked, unpaired)
    if holds_probe(path):
        from losscope.comparing.judging.probes import from_probes

        require(not asked.given, ONLY_TABLES)
        return from_probes(path)
    if (path / "store.json").is_file() or path.parent.name == "studies":
        from losscope.comparing.judging.studies import from_store

        require(not asked.given, ONLY_TABLES)
        return from_store(path)
    made = from_mteb(path, asked, measures, unpaired) or from_events(path, asked, unpaired)
    if made is not None:
        return made
    raise LosscopeError(
        f"{source!r} is a folder without a store; wanted: a table of scores, a folder that losscope compare "
        f"wrote, a folder of MTEB's results or of TensorBoard's event files, or a pattern: {example(path)}"
    )


ONLY_TABLES = "only, unit and family choose rows and columns of a table; give a table of scores"


@dataclass(frozen=True)
class Told:
    """What the user says of the runs and of what is wanted of them; ``name``: what is judged."""

    name: str
    goal: str
    measures: tuple[str, ...]
    reference: str | None
    indifference: float | None
    unpaired: bool
    look: int | None
    tuned: bool


def _words(
    source: str, told: Told, asked: Asked, reading: Reading, declare: Sequence[str]
) -> tuple[str, ...]:
    """The command that judges again, options at their defaults left out."""
    words = ["losscope", "judge", source]
    words += ["--goal", told.goal] if told.goal != "retrieval" else []
    for option, value in (
        ("--unit", asked.unit),
        ("--family", asked.family),
        ("--reference", told.reference),
        ("--indifference", told.indifference),
        ("--look", told.look),
        ("--same-camera", reading.same_camera),
    ):
        if value is not None:
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    for option, values in (
        ("--measure", told.measures),
        ("--ignore-label", reading.ignore),
        ("--declare", declare),
        ("--only", asked.only),
    ):
        for each in values:
            words += [option, each]
    for option, on in (
        ("--unpaired", told.unpaired),
        ("--untuned", not told.tuned),
        ("--skip-unlabelled", reading.skip_unlabelled),
    ):
        words += [option] if on else []
    return tuple(words)


def judged(found: Runs, told: Told) -> Result:
    """The verdicts on runs that were read.

    Raises:
        LosscopeError: fewer than two losses, an unknown reference, seeds that do not pair.
    """
    measured = found.measured
    names = list(dict.fromkeys(run.loss for run in measured if run.family == "loss"))
    require(
        len(names) >= 2,
        f"{told.name!r} holds runs of {len(names)} loss ({', '.join(names)}); judging wants at least 2",
    )
    if told.reference is not None and told.reference not in names:
        raise unknown("reference loss", told.reference, names)
    measures = tuple(dict.fromkeys(known_as(name).name for name in told.measures))
    if not measures and told.goal == "retrieval" and found.measure is not None:
        measures = (found.measure,)  # what is taken where nothing is asked for
    # Of anyone's own runs nothing is known but whether they were tuned, and only a no is worth saying.
    untuned = tuple(Settings(loss=name, name=name, tuned=False) for name in names)
    settings = found.settings if told.tuned else untuned
    first = measures[0] if measures else None
    counted = 1 if found.look is None else found.look(told.goal, first, told.reference, told.indifference)
    notes = found.notes
    if told.look is None and found.look is None:
        notes = (*notes, wording.first_look(stats.alpha_of(1), stats.alpha_of(2)))
    look = max(told.look or 1, counted)
    data = found.data or DataDescription(
        name=told.name,
        title=told.name,
        kind="runs",
        described=f"{len(measured)} runs from {told.name}",
        folds=found.folds,
    )
    with wording.modalities(data.modalities):
        primary = first or _primary(measured, told.goal)
        check_indifference(told.indifference, primary, wording.label(primary))
        analysis = stats.analyse(
            measured,
            goal=told.goal,
            measure=primary,
            also=measures[1:],
            reference=told.reference,
            settings=settings,
            generated=data.generated,
            folds=data.folds,
            looks=look,
            unpaired=told.unpaired and not found.units,
            standings=found.standings,
            indifference=told.indifference,
            by_item=data.by_item,
            unit=found.noun,
            averaged=found.averaged,
            pairs=found.data is None,
        )
    result = Result(
        data=data,
        protocol=None,
        seeds=tuple(sorted({run.seed for run in measured})),
        goal=told.goal,
        unpaired=told.unpaired,
        losses=analysis.losses,
        baselines=analysis.baselines,
        settings=settings,
        paired=analysis.paired,
        recommendation=analysis.recommendation,
        paired_by=found.noun,
        units=found.units,
        group=analysis.group,
        matrix=analysis.matrix,
        notes=(*notes, *wording.unranked(analysis.recommendation)),
        provenance=_provenance(),
    )
    if found.each:
        result = _on_each(result, found, told, look)
    return result.with_evidence(Evidence(detail=_detail(measured)))


def _on_each(result: Result, found: Runs, told: Told, look: int) -> Result:
    """The result with the verdicts on each data set."""
    made = result.recommendation
    assert made.measure is not None and made.reference is not None
    each = stats.on_each(
        found.each,
        measure=made.measure,
        goal=told.goal,
        reference=made.reference,
        settings=result.settings,
        look=look,
        unpaired=told.unpaired,
        folds=found.folds_of_each,
        indifference=told.indifference,
    )
    return result.model_copy(update={"by_data": each, "on_each": wording.on_each(each)})


def _provenance() -> Provenance:
    from losscope import __version__

    return Provenance(losscope=__version__, numpy=np.__version__)


def _primary(measured: Sequence[stats.Measured], goal: str) -> str:
    """The goal's measure if the runs have it, else the only one they have."""
    have = {name for run in measured for name in run.values}
    for name in GOALS[goal]:
        if name in have:
            return name
    known = sorted(have)
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
