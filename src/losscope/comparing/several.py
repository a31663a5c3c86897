"""One answer over several data sets: a study on each, and the verdicts of all of them together.

The verdict over data sets takes each of them once, by its mean over seeds; that on each data set is of its
own seeds (docs/definitions.md, "Units").
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from losscope.comparing import foreseeing, running
from losscope.comparing.judging.columns import Asked
from losscope.comparing.judging.command import Told, judged
from losscope.comparing.judging.scores import from_frame
from losscope.comparing.planning import DEFAULT_OUT, Say
from losscope.core import commands
from losscope.core.errors import require
from losscope.core.loss_spec import UNTRAINED
from losscope.core.results import Provenance, Result, SideResult, StudyPlan
from losscope.core.saying import Once
from losscope.core.spec import Study
from losscope.core.wording import count, listing
from losscope.run import launch
from losscope.run.store import Store

FOLDER = "across"
"""Where a store keeps what was found over several data sets."""


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


def foresee(studies: Sequence[Study]) -> list[StudyPlan]:
    """What the study on each data set would cost and could show; every mistake is found before any trains."""
    return [foreseeing.foresee(study) for study in studies]


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
    plans = [foreseeing.ready(study, None, dry=True) for study in studies]
    pairs = [made.study.given.data for made in plans if made.study.kind == "pair"]
    require(
        len(pairs) in (0, len(plans)),
        f"{listing(pairs)} {'has' if len(pairs) == 1 else 'have'} two modalities and the others one, which "
        "are judged by different measures; compare them apart",
    )
    found = [running.run(study, say=say, activity=activity, expect=expect) for study in studies]
    return conclude(studies, found)


def conclude(studies: Sequence[Study], found: Sequence[Result]) -> Result:
    """The answer over data sets from the results on each, kept in the store with its page.

    Raises:
        LosscopeError: data sets that are judged by different measures, or fewer than two losses that all of
            them have.
    """
    import pandas as pd

    first = studies[0]
    by = {result.recommendation.measure for result in found}
    judged_by = ", ".join(f"{result.data.name} by {result.recommendation.measure}" for result in found)
    require(len(by) == 1, f"the data sets are judged by different measures: {judged_by}; compare them apart")
    (measure,) = by
    assert measure is not None
    known = [[side.name for side in _sides(result, measure)] for result in found]
    sides = list(dict.fromkeys(name for own in known for name in own))
    names = [name for name in sides if all(name in own for own in known)]
    rows = [
        (result.data.name, name, seed, measure, value)
        for result in found
        for name in names
        for seed, value in zip(result.seeds, result.side(name).measures[measure].values, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["dataset", "loss", "seed", "measure", "value"])
    runs = replace(from_frame(frame, "the table of all data sets", Asked()), notes=())
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
    name = f"{len(found)}-data-sets-{hashlib.sha256(' '.join(words).encode()).hexdigest()[:8]}"
    store = Store(out)
    links = {result.data.name: _page(result, store, name) for result in found}
    made = made.model_copy(
        update={
            "data": made.data.model_copy(update=_described(found)),
            "by_data": tuple(own.model_copy(update={"page": links[own.name]}) for own in made.by_data),
            "store": out,
            "report_file": str(store.root / FOLDER / name / "report.html"),
            "provenance": _provenance(found, words),
            "notes": (*made.notes, *_left_out(sides, names)),
        }
    )
    store.write_text(f"{FOLDER}/{name}/report.html", made.page())
    store.write_json(f"{FOLDER}/{name}/result.json", made.model_dump(mode="json"))
    return made


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
    return os.path.relpath(result.report_file or "", store.root / FOLDER / name)


def _described(found: Sequence[Result]) -> dict[str, str]:
    names = ", ".join(result.data.name for result in found)
    told = count(len(found), "data set")
    return {"name": told, "title": told, "described": f"{told}: {names}"}


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
    be = "is" if len(lost) == 1 else "are"
    return [f"{listing(lost)} {be} not a side on every data set and left out."] if lost else []
