"""What ``compare`` does: plan, tune, train and conclude. What is read back of it is in ``reading``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from losscope.comparing import forces, looking, shown
from losscope.comparing.foreseeing import ready
from losscope.comparing.picturing import items_of
from losscope.comparing.planning import Plan, Say
from losscope.comparing.reading import read
from losscope.comparing.stored import StoredStudy
from losscope.core.results import Force, Result
from losscope.core.saying import Once
from losscope.core.spec import Study
from losscope.run import devices, launch
from losscope.run.working import follow


def run(
    study: Study,
    *,
    say: Say | None = None,
    activity: launch.ACTIVITY | None = None,
    expect: Callable[[Sequence[launch.Group]], None] | None = None,
) -> Result:
    """Run a study, what is stored already excepted, and return its result.

    ``expect`` is called once with the groups that are to be trained, before the first of them is; those of
    later stages of tuning stand for others of the same cost.
    """
    say = None if say is None else Once(say)
    with launch.crew(study.engine, study.address):
        made = ready(study, say)
        if expect is not None:
            expect(made.waiting)
        several = study.devices if study.devices > 1 and made.waiting else 1
        with devices.started(several, made.study.device, follow):
            made = made.tuned(activity, say).curved(activity, say)
            launch.execute(made.groups, study.engine, activity, say)
            pulls = forces.of({choice.label: choice.spec for choice in made.choices})
    return conclude(made, pulls=pulls)


def conclude(made: Plan, look: int | None = None, pulls: Mapping[str, Force] | None = None) -> Result:
    """Count the look, unless it is given, write the study's folder, and read the result from the store.

    ``pulls``: how each loss pulls and pushes, where it was measured.

    The result is that of the seeds asked for. The folder goes on naming the runs that commands before asked
    for, such as of more seeds, so that nothing is forgotten: the command with those seeds trains none of them
    again.
    """
    before = None
    if look is None:
        look = looking.count(made)
        before = looking.said(made, look)
    kept = StoredStudy(
        name=made.name,
        time=time.time(),
        study=made.study.given,
        runs=made.ids,
        look=look,
        notes=(*made.notes, *([before] if before else [])),
        losses=made.choices,
        forms=made.forms,
        data=made.source.description(),
    )
    with made.store.study_lock(made.name):
        kept.write(made.store)
        forces.keep(made.store, made.name, pulls)
        result = read(made.store, made.name)
        result = _with_items(made, result)
        made.store.write_text(f"studies/{made.name}/report.html", result.page())
        made.store.write_json(f"studies/{made.name}/result.json", result.model_dump(mode="json"))
    return result


def _with_items(made: Plan, result: Result) -> Result:
    """The result with what stands for the test items of its page, kept beside it: the data may go."""
    evidence = result.evidence
    if evidence is None or evidence.examples is None:
        return result
    found = items_of(made.source, evidence.examples)
    if not found:
        return result
    shown.write(made.store, made.name, found)
    return result.with_evidence(replace(evidence, examples=replace(evidence.examples, items=found)))
