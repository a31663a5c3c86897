"""A study of ``compare`` or ``run`` carried out: foreseen or trained, and printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from losscope.cli.output import Activity, exit_if_unfinished, print_plan, print_result, say_aside
from losscope.cli.torchrun import follows, lead_or_follow

if TYPE_CHECKING:
    from losscope.core.spec import Study


def carry_out_each(
    study: Study,
    data: list[str],
    *,
    json: bool,
    dry_run: bool,
    verbose: bool = False,
    map: str | None = None,
) -> None:
    """Run a study on each of several data sets, or say what they would cost, and print one answer."""
    from losscope.comparing import several
    from losscope.core.errors import require

    require(map is None, "--map is for one data set; of several give it to losscope report, for each study")

    def run(own: Study) -> None:
        studies = several.studies_of(own, data)
        with Activity(quiet=json) as shown:
            say = shown.say
            result = several.run(studies, say=say, activity=shown.activity, expect=shown.expect)
        print_result(result, json, say, verbose)
        exit_if_unfinished(result.unfinished, result.store)

    if not dry_run:
        lead_or_follow(study, run)
    elif not follows():
        plans = several.foresee(several.studies_of(study, data), None if json else say_aside)
        if json:
            print(f"[{','.join(plan.json_text() for plan in plans)}]")
            return
        for plan in plans:
            print_plan(plan)


def carry_out(
    study: Study, *, json: bool, dry_run: bool, verbose: bool = False, map: str | None = None
) -> None:
    """Run a study, or say what it would cost, and print it; ``map``: by what the page places embeddings."""
    from losscope import comparing
    from losscope.core.errors import require

    require(
        map != "tsne" or study.keep != "none",
        "--map tsne is made of test embeddings, and --keep none keeps none; leave one of them out",
    )

    def run(own: Study) -> None:
        with Activity(quiet=json) as shown:
            say = shown.say
            result = comparing.run(own, say=say, activity=shown.activity, expect=shown.expect)
        if map is not None and result.store is not None:
            comparing.report(result.store, result.study, map)
        print_result(result, json, say, verbose)
        exit_if_unfinished(result.unfinished, result.store)

    if not dry_run:
        lead_or_follow(study, run)
    elif not follows():
        planned = comparing.foresee(study)
        print(planned.json_text()) if json else print_plan(planned)
