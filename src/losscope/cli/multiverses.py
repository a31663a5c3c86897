"""The command that asks in which settings a claim holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from losscope.cli.options import ANSWER, DATA, TRAIN, DataRoot, Json, Out, Trust, app, listed
from losscope.cli.output import exit_if_unfinished, put, say_aside, terminal, work_progress
from losscope.cli.torchrun import refuse_several

if TYPE_CHECKING:
    from losscope.core.spec import Study
    from losscope.varying.planning import Planned


@app.command
def multiverse(
    paper: str = "zeng2025",
    *,
    settings: Annotated[int | None, Parameter(group=TRAIN)] = None,
    seeds: Annotated[int | None, Parameter(group=TRAIN)] = None,
    quick: Annotated[bool, Parameter(negative="", group=TRAIN)] = False,
    only: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True, group=DATA)] = None,
    claim: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True, group=ANSWER)] = None,
    match: Annotated[Literal["published"] | None, Parameter(group=ANSWER)] = None,
    dry_run: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    engine: Annotated[Literal["here", "processes", "dask"], Parameter(group=TRAIN)] = "processes",
    device: Annotated[str, Parameter(group=TRAIN)] = "auto",
    data_root: DataRoot = None,
    trust: Trust = False,
    out: Out = None,
    json: Json = False,
) -> None:
    """In which settings does each claim of a paper hold? Over a declared space instead of one setting.

    Margins, reductions, tuples, batches, networks, epochs, noise and more are drawn together, the same for
    both losses where both have them. If it is interrupted, the same command continues where it stopped, and
    more settings add to those that are stored.

    Examples:

    `losscope multiverse zeng2025 --quick` - 60 settings on synthetic data, some minutes

    `losscope multiverse zeng2025 --settings 500 --match published --dry-run` - what it would cost

    `losscope multiverse zeng2025 --only cub200 --settings 100 --claim retrieval`

    Parameters
    ----------
    paper
        A paper with a declared space of settings: zeng2025. Or the file of a study (STUDY.toml): settings
        around its own numbers, and in which of them which loss is better.
    settings
        How many settings are drawn, beside the paper's own; 500 otherwise.
    seeds
        Paired seeds of each setting; 3 otherwise, whatever a study's file says of its own.
    quick
        60 settings.
    only
        Data sets, separated by commas; synthetic otherwise.
    claim
        Claims by their ids, separated by commas; all otherwise, but for those about detail, which need finer
        labels than those trained on.
    match
        published: which settings give the numbers of the paper's text.
    dry_run
        Say what it would cost, and stop.
    engine
        Where populations train: here, in processes (one per core), or on a Dask cluster.
    device
        auto, cpu or cuda.
    data_root
        Folder with data sets in their original layouts.
    trust
        Run the plugins that a study's file names.
    out
        The folder for runs and pages; losscope-runs otherwise.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.core.errors import require
    from losscope.varying import own, running
    from losscope.varying.planning import SEEDS, prepare

    matched = running.matched(match)
    count = running.settings_of(settings, quick)
    if paper.endswith(".toml"):
        require(not (only or claim), "--only and --claim are for a paper; leave them out with a study's file")
        study = own.study_of(paper, trust=trust)
        planned = own.prepare(
            study, settings=count, seeds=seeds, out=out, data_root=data_root, path=paper, dry=dry_run
        )
    else:
        planned = prepare(
            paper,
            settings=count,
            seeds=SEEDS if seeds is None else seeds,
            only=listed(only),
            claims=listed(claim),
            out=out,
            data_root=data_root,
            engine=engine,
            device=device,
            dry=dry_run,
        )
    carry_out(planned, match=matched, json=json, dry_run=dry_run)


def around(study: Study, settings: int, seeds: int | None, *, json: bool, dry_run: bool) -> None:
    """The settings around a comparison: ``losscope compare … --multiverse``."""
    from losscope.core.errors import require
    from losscope.varying import own
    from losscope.varying.planning import SEEDS

    for option, given in (("--budget", study.budget), ("--reference", study.reference)):
        require(given is None, f"a multiverse has no {option}; leave out {option} or --multiverse")
    # The seeds of a command line without --seeds are no choice, and nothing is said of them.
    planned = own.prepare(study, settings=settings, seeds=SEEDS if seeds is None else seeds, dry=dry_run)
    carry_out(planned, json=json, dry_run=dry_run)


def carry_out(planned: Planned, *, match: bool = False, json: bool, dry_run: bool) -> None:
    """Run a multiverse, or say what it would cost, and print it."""
    from losscope.core.saying import Once
    from losscope.varying import running

    refuse_several("multiverse")
    say = None if json else Once(say_aside)
    if dry_run:
        running.refuse_unmatched(planned, match)
        foreseen, _ = running.foresee(planned, say, dry=True)
        put(foreseen.json_text() if json else foreseen.said)
        return
    with work_progress(quiet=json) as show:
        result = running.run(planned, match=match, say=say, show=show)
    if json:
        print(result.json())
    else:
        terminal().print(result.table())
        for found in result.matches:
            for sentence in found.summary:
                put(sentence)
        put(f"\nPage: {result.report_file}")
    exit_if_unfinished(result.unfinished, result.store)
