"""One answer over several data sets: a study on each, and the verdicts of all of them together.

The verdict over data sets takes each of them once, by its mean over seeds; that on each data set is of its
own seeds (docs/definitions.md, "Units").
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from losscope.comparing import foreseeing, running
from losscope.comparing.judging.columns import Asked, text_of
from losscope.comparing.judging.command import Told, judged
from losscope.comparing.judging.scores import from_frame
from losscope.comparing.planning import DEFAULT_OUT, Plan, Say
from losscope.core import commands, registry
from losscope.core.errors import LosscopeError, require
from losscope.core.loss_spec import RAW, UNTRAINED
from losscope.core.results import Provenance, Result, SideResult, StudyPlan, Unfinished
from losscope.core.saying import Once
from losscope.core.spec import Study
from losscope.core.wording import be, count, enough_data, listing
from losscope.run import launch
from losscope.run.folders import ACROSS
from losscope.run.store import Store
from losscope.stats.design import family_size, minimal_seeds


def studies_of(study: Study, data: Sequence[str]) -> list[Study]:
    """The same study on each of several data sets; a budget is shared out equally.

    Raises:
        LosscopeError: fewer than two data sets, or one of them twice.
    """
    require(len(data) >= 2, f"{count(len(data), 'data set')} given; wanted: at least 2")
    twice = [name for name, times in Counter(data).items() if times > 1]
    require(not twice, f"{listing(twice)} given twice; each data set counts once")
    budget = None if study.budget is None else study.budget / len(data)
    return [study.model_copy(update={"data": name, "budget": budget}) for name in data]


def foresee(studies: Sequence[Study], say: Say | None = None) -> list[StudyPlan]:
    """What the study on each data set would cost and could show; every mistake is found before any trains."""
    plans, sides = [], []
    for made in _ready(studies):
        plans.append(foreseeing.dry_run(made))
        sides.append(_tested(made))
    if say is not None:
        say(_enough(sides))
    return plans


def run(
    studies: Sequence[Study],
    *,
    say: Say | None = None,
    activity: launch.ACTIVITY | None = None,
    expect: Callable[[Sequence[launch.Group]], None] | None = None,
) -> Result:
    """Run the study on each data set, and answer over all of them; what is stored is not trained again."""
    say = None if say is None else Once(say)
    # A mistake in the last data set is found before the first trains.
    sides = [_tested(made) for made in _ready(studies)]
    if say is not None:
        say(_enough(sides))
    found = [running.run(study, say=say, activity=activity, expect=expect) for study in studies]
    return conclude(studies, found)


def _ready(studies: Sequence[Study]) -> Iterator[Plan]:
    """The plan of each study, one at a time since each holds its data.

    Raises:
        LosscopeError: whatever would stop a study before it trains, or the answer over all of them.
    """
    require(
        len(set(studies[0].losses)) >= 2,
        f"{listing(studies[0].losses)} alone is given; several data sets want at least 2 losses",
    )
    digests: dict[str, str] = {}
    pairs: dict[bool, str] = {}
    for study in studies:
        made = foreseeing.ready(study, None, dry=True)
        twin = digests.setdefault(made.source.digest, study.data)
        require(twin == study.data, f"{twin} and {study.data} hold the same data; each data set counts once")
        pairs.setdefault(made.study.kind == "pair", study.data)
        require(
            len(pairs) == 1,
            f"{pairs.get(True)} has two modalities and {pairs.get(False)} one, which are judged by different "
            "measures; compare them apart",
        )
        yield made


def _tested(made: Plan) -> list[str]:
    """The sides of a study that can be tested over data sets: losses, closed forms and raw inputs."""
    forms = registry.entries("closed_form")
    beside = [
        own.name
        for own in made.study.baselines
        if own.name != UNTRAINED and not (own.name in forms and forms[own.name].facts.of)
    ]
    return [*(own.label for own in made.study.losses), *beside]


def _enough(sides: Sequence[list[str]]) -> str:
    """Whether the data sets are enough for the tests over them, of the sides that each of them has."""
    shared = [name for name in sides[0] if all(name in own for own in sides)]
    raw = RAW in shared
    tests = family_size(len(shared) - raw, int(raw))
    return enough_data(len(sides), tests, minimal_seeds(tests))


def conclude(studies: Sequence[Study], found: Sequence[Result]) -> Result:
    """The answer over data sets from the results on each, kept in the store with its page.

    Raises:
        LosscopeError: data sets that are judged by different measures, or fewer than two losses that all of
            them have.
    """
    import pandas as pd

    first = studies[0]
    measure = _measure(found)
    called = _called(studies, found)
    known = [[side.name for side in _sides(result, measure)] for result in found]
    sides = list(dict.fromkeys(name for own in known for name in own))
    names = [name for name in sides if all(name in own for own in known)]
    rows = [
        (data, name, seed, measure, value)
        for data, result in zip(called, found, strict=True)
        for name in names
        for seed, value in zip(result.seeds, result.side(name).measures[measure].values, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["dataset", "loss", "seed", "measure", "value"])
    runs = replace(
        from_frame(frame, "the table of all data sets", Asked()),
        notes=(),
        folds_of_each=max(result.data.folds for result in found),
    )
    told = Told(
        name=count(len(found), "data set"),
        goal=first.goal,
        measures=(measure,),
        reference=first.reference,
        indifference=first.indifference,
        unpaired=False,
        look=max((row.look or 1 for result in found for row in result.paired), default=1),
        tuned=all(own.tuned for result in found for own in result.settings),
    )
    made = judged(runs, told)
    out = str(found[0].store or first.out or DEFAULT_OUT)
    words = _words(studies, out)
    store = Store(out)
    name = _name(found)
    links = {data: _page(result, store, name) for data, result in zip(called, found, strict=True)}
    made = made.model_copy(
        update={
            "data": made.data.model_copy(update=_described(called)),
            "by_data": tuple(own.model_copy(update={"page": links[own.name]}) for own in made.by_data),
            "store": out,
            "report_file": str(store.root / ACROSS / name / "report.html"),
            "provenance": _provenance(found, words),
            "notes": (*made.notes, *_left_out(sides, names)),
            "unfinished": _unfinished(found),
        }
    )
    store.write_text(f"{ACROSS}/{name}/report.html", made.page())
    store.write_json(f"{ACROSS}/{name}/result.json", made.model_dump(mode="json"))
    return made


def _measure(found: Sequence[Result]) -> str:
    """The measure that decides on every data set."""
    by = {result.recommendation.measure for result in found}
    told = ", ".join(f"{result.data.name} by {result.recommendation.measure or 'none'}" for result in found)
    (measure, *others) = by
    if measure is None or others:
        raise LosscopeError(f"the data sets are not judged by one measure: {told}; compare them apart")
    return measure


def _called(studies: Sequence[Study], found: Sequence[Result]) -> list[str]:
    """What each data set is called: by its name, or as it was given where two files have one name."""
    names = [text_of(result.data.name) for result in found]
    return names if len(set(names)) == len(names) else [text_of(study.data) for study in studies]


def _name(found: Sequence[Result]) -> str:
    """What the answer is called in its store: the same for the same studies, and for no others."""
    told = " ".join(result.study or "" for result in found)
    return f"{len(found)}-data-sets-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _sides(result: Result, measure: str) -> list[SideResult]:
    """The losses, closed forms and raw inputs of a result that have a measure."""
    beside = [side for side in result.baselines if not side.described and side.name != UNTRAINED]
    return [side for side in (*result.losses, *beside) if measure in side.measures]


def _words(studies: Sequence[Study], out: str) -> tuple[str, ...]:
    """The command over all data sets; empty where no command says it."""
    budget = studies[0].budget
    whole = None if budget is None else budget * len(studies)
    words = commands.arguments(studies[0].model_copy(update={"budget": whole}), out)
    return (*words[:2], *(study.data for study in studies), *words[3:]) if words else ()


def _page(result: Result, store: Store, name: str) -> str:
    """The relative path from the page over all data sets to that of one."""
    return os.path.relpath(result.report_file or "", store.root / ACROSS / name)


def _described(called: Sequence[str]) -> dict[str, str]:
    told = count(len(called), "data set")
    return {"name": told, "title": told, "described": f"{told}: {', '.join(called)}"}


def _unfinished(found: Sequence[Result]) -> Unfinished | None:
    """The runs that the machine or the code stopped, of all data sets."""
    own = [result.unfinished for result in found if result.unfinished is not None]
    if not own:
        return None
    reasons = tuple(dict.fromkeys(reason for part in own for reason in part.reasons))
    return Unfinished(
        failed=sum(part.failed for part in own), runs=sum(part.runs for part in own), reasons=reasons
    )


def _provenance(found: Sequence[Result], words: tuple[str, ...]) -> Provenance:
    first = found[0].provenance
    return first.model_copy(
        update={
            "command": commands.said(words) if words else None,
            "arguments": words,
            "date": max((result.provenance.date or "" for result in found), default="") or None,
            "runs": sum(result.provenance.runs or 0 for result in found),
            "seconds": sum(result.provenance.seconds or 0.0 for result in found),
        }
    )


def _left_out(sides: Sequence[str], names: Sequence[str]) -> list[str]:
    """What is not a side of every data set."""
    lost = [name for name in sides if name not in names]
    return [f"{listing(lost)} {be(len(lost))} not a side on every data set and left out."] if lost else []
