"""The command that tests a paper's claims: reproduce."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from losscope.cli.options import (
    ANSWER,
    DATA,
    OUTPUT,
    TRAIN,
    DataRoot,
    Json,
    Losses,
    Out,
    Trust,
    app,
    duration,
    listed,
)
from losscope.cli.output import (
    exit_if_unfinished,
    put,
    refuse_unwritable,
    say_aside,
    terminal,
    work_progress,
)
from losscope.cli.torchrun import refuse_several

SEEDS = 10
"""Paired seeds, where none are asked for."""
NO_OPTIONS = (
    "reproduce shortcuts takes --only, --losses, --from, --seeds, --engine, --device, --data-root, "
    "--dry-run, --out and --json; leave out the others"
)


@app.command
def reproduce(
    paper: str = "zeng2025",
    *,
    only: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True, group=DATA)] = None,
    losses: Losses = None,
    from_: Annotated[
        list[str] | None, Parameter(name="--from", negative="", consume_multiple=True, group=DATA)
    ] = None,
    full: Annotated[bool, Parameter(negative="", group=TRAIN)] = False,
    seeds: Annotated[int, Parameter(group=TRAIN)] = SEEDS,
    engine: Annotated[Literal["here", "processes", "dask"], Parameter(group=TRAIN)] = "processes",
    address: Annotated[str | None, Parameter(group=TRAIN)] = None,
    run_limit: Annotated[str | None, Parameter(group=TRAIN)] = None,
    device: Annotated[str, Parameter(group=TRAIN)] = "auto",
    plugin: Annotated[list[str] | None, Parameter(group=TRAIN, negative="")] = None,
    trust: Trust = False,
    data_root: DataRoot = None,
    dry_run: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    out: Out = None,
    format: Annotated[Literal["table", "md"], Parameter(group=OUTPUT)] = "table",
    json: Json = False,
) -> None:
    """Test every claim of a paper as an experiment that can fail, under its own protocol and a fair one.

    If it is interrupted, the same command continues where it stopped. Runs are shared with `compare` on the
    same --out.

    Examples:

    `losscope reproduce zeng2025 --only synthetic` - a few minutes

    `losscope reproduce zeng2025 --data-root DIR --dry-run` - what it would cost and what it could show

    Parameters
    ----------
    paper
        zeng2025 (contrastive and triplet loss), zeng2026 (seven losses on frozen features), aa: one loss
        under two names, which must not be told apart, or shortcuts: what choosing the epoch on test,
        dropping the last batch, untuned losses and few seeds do to a comparison.
    only
        Data sets, separated by commas; all that are on this machine otherwise (shortcuts: synthetic and
        digits).
    losses
        For shortcuts: the losses that are compared, separated by commas; seven otherwise.
    from_
        For shortcuts: folders of finished studies, which are read instead of making new ones.
    full
        Images at the paper's own size, which takes hours on a CPU.
    seeds
        The number of paired seeds; a family of 17 claims needs 10.
    engine
        Where runs train: here, in processes (one per core), or on a Dask cluster.
    address
        A Dask cluster that is there, as tcp://host:8786; the engine is dask then.
    run_limit
        The longest that a run may take, such as 10m; one that takes longer is recorded as failed and
        tried again by the next command.
    device
        auto, cpu or cuda.
    plugin
        A Python file that registers claims, losses or data sets of your own.
    trust
        Run the code of losses that are neither ours nor a known library's.
    data_root
        Folder with data sets in their original layouts.
    dry_run
        Say what it would cost and what it could show, and stop.
    out
        The folder for runs and pages; losscope-runs otherwise.
    format
        table for a terminal, or md.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.core import registry
    from losscope.core.errors import require, unknown
    from losscope.core.saying import Once
    from losscope.papers import MEASUREMENTS, SHORTCUTS

    refuse_several("reproduce")
    if paper == SHORTCUTS:
        require(not (full or plugin or address or run_limit or trust or format == "md"), NO_OPTIONS)
        _shortcuts(
            from_=from_,
            only=listed(only),
            losses=losses,
            seeds=seeds,
            out=out,
            data_root=data_root,
            engine=engine,
            device=device,
            dry_run=dry_run,
            json=json,
        )
        return
    require(
        not (losses or from_), "--losses and --from are for reproduce shortcuts; leave them out with a paper"
    )
    require(
        not (dry_run and paper in MEASUREMENTS),
        f"reproduce {paper} has no dry run: it always trains the same runs; leave out --dry-run",
    )
    if paper in MEASUREMENTS:
        refuse_unwritable(None if out is None else out / "tuning_risk.json")
        found = importlib.import_module(MEASUREMENTS[paper]).measure(
            studies=200, write=out, say=None if json else say_aside
        )
        put(found.json_text() if json else found.said)
        return
    known = registry.entries("paper")
    if not plugin and paper not in known:
        raise unknown("paper", paper, [*known, *MEASUREMENTS, SHORTCUTS])
    say = None if json else Once(say_aside)
    from losscope.papers import planning
    from losscope.papers.engine import run as reproduce_paper

    planned = planning.prepare(
        paper,
        only=listed(only),
        full=full,
        seeds=seeds,
        engine="dask" if address is not None else engine,
        address=address,
        run_limit=duration(run_limit),
        device=device,
        plugins=plugin or (),
        trust=trust,
        data_root=data_root,
        out=out,
        say=None if format == "md" else say,  # the ledger holds the notes
        dry=dry_run,
    )
    if dry_run:
        foreseen = planning.foresee(planned, say).plan
        if json:
            print(foreseen.json_text())
        else:
            from losscope.reporting import claim_tables

            terminal().print(claim_tables.foreseen(foreseen))
        return
    with work_progress(quiet=json) as show:
        result = reproduce_paper(planned, say=say, show=show)
    if json:
        print(result.json())
    elif format == "md":
        put(result.table("md"))
    else:
        terminal().print(result.table())
        put(f"\nPage: {result.report_file}\nLedger: {result.ledger}")
    exit_if_unfinished(result.unfinished, result.store)


def _shortcuts(
    *,
    from_: list[str] | None,
    only: list[str],
    losses: list[str] | None,
    seeds: int,
    out: Path | None,
    data_root: str | None,
    engine: str,
    device: str,
    dry_run: bool,
    json: bool,
) -> None:
    """What common shortcuts do to a comparison: of studies that are made now, or of those in stores."""
    from losscope.core.errors import require
    from losscope.core.saying import Once
    from losscope.papers.shortcuts import command

    refuse_unwritable(None if out is None else out / "shortcuts.json")
    say = None if json else Once(say_aside)
    if from_:
        require(
            not (losses or dry_run or seeds != SEEDS),
            "--from reads finished studies, with the losses and seeds that they have; leave out --losses, "
            "--seeds and --dry-run",
        )
        found = command.of_stores(listed(from_), only=only, out=out, data_root=data_root, say=say)
    else:
        made = command.studies(
            only,
            losses or (),
            seeds=seeds,
            out=out,
            data_root=data_root,
            engine=engine,
            device=device,
        )
        if dry_run:
            foreseen = command.foresee(made, say)
            put(foreseen.json_text() if json else foreseen.said)
            return
        found = command.measure(made, say)
    put(found.json_text() if json else "\n".join(found.said))
