"""The command of the atlas: its table, what it foretells of data, and making one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from losscope.cli.options import ANSWER, DATA, TRAIN, DataRoot, Json, Options, Out, app, key_value, listed
from losscope.cli.output import Activity, put, say_aside, terminal
from losscope.cli.torchrun import refuse_several

if TYPE_CHECKING:
    from losscope.atlases.planning import Asked
    from losscope.core.results import Atlas


@app.command
def atlas(
    data: str | None = None,
    *,
    goal: Annotated[str, Parameter(group=ANSWER)] = "retrieval",
    atlas: Annotated[
        list[str] | None, Parameter(name="--atlas", negative="", consume_multiple=True, group=ANSWER)
    ] = None,
    make: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    only: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True, group=DATA)] = None,
    add: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True, group=DATA)] = None,
    seeds: Annotated[int | None, Parameter(group=TRAIN)] = None,
    engine: Annotated[Literal["auto", "here", "processes", "dask"], Parameter(group=TRAIN)] = "auto",
    device: Annotated[str, Parameter(group=TRAIN)] = "auto",
    dry_run: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    data_root: DataRoot = None,
    option: Options = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """The same losses on many data sets: which was best where, and what that foretells of your data.

    With data nothing is trained. With --make an atlas of your own is trained, entry by entry; if it is
    interrupted, the same command continues where it stopped.

    Examples:

    `losscope atlas` - the table that comes with losscope

    `losscope atlas features.npz` - what it foretells of data like yours

    `losscope atlas --make --dry-run` - what all data sets that are here would cost

    `losscope atlas --make --add features.npz --out mine` - your data in an atlas of your own

    Parameters
    ----------
    data
        A name or a path, of which the atlas foretells what each loss would do; none for its table.
    goal
        retrieval, verification, classification, detail, compactness or cross-modal.
    atlas
        The tables of other atlases (atlas.json, or the folder of an --out), put together; `shipped` is the
        one of the package.
    make
        Train what is not stored, and write the table and its page into the folder's atlas/.
    only
        Data sets of the atlas, by their names in its table, separated by commas; all otherwise.
    add
        Data of your own to make entries of; without --only these alone are trained.
    seeds
        Paired seeds of each data set, 10 otherwise.
    engine
        Where runs train: auto, here, processes (one per core), or dask.
    device
        auto, cpu or cuda.
    dry_run
        With --make: say what it would cost, and stop.
    data_root
        Folder with data sets in their original layouts.
    option
        An option of the data asked about or added, as key=value; may be given several times.
    out
        The folder for runs and the table; losscope-runs otherwise.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.core.errors import require

    if make:
        from losscope.atlases import declared, planning

        require(
            data is None and not atlas,
            "--make trains an atlas, and DATA and --atlas ask one; give the data by --add",
        )
        require(not option or bool(add), "--option is of the data added, and none are; give --add too")
        _check_goal(goal)
        given = planning.asked(
            only=listed(only),
            add=add or (),
            options=dict(key_value(text) for text in option or []),
            seeds=declared.SEEDS if seeds is None else seeds,
            out=out,
            data_root=data_root,
            engine=engine,
            device=device,
        )
        _make(given, goal, dry_run=dry_run, json=json)
        return
    idle = {"--only": only, "--add": add, "--seeds": seeds, "--dry-run": dry_run or None, "--out": out}
    extra = [name for name, value in idle.items() if value is not None]
    require(not extra, f"{extra[0] if extra else ''} is for making an atlas; give --make too")
    _show(data, goal, listed(atlas), data_root, dict(key_value(text) for text in option or []), json)


def _show(
    data: str | None,
    goal: str,
    files: list[str],
    data_root: str | None,
    options: dict[str, Any],
    json: bool,
) -> None:
    """Print the table, or what it foretells of data."""
    from losscope.atlases import calling
    from losscope.core.errors import require

    if data is None:
        require(not options, "--option is of data, and none are given; wanted: losscope atlas DATA")
        _print(calling.atlas(goal=goal, files=files), goal, json)
        return
    found = calling.atlas(data, goal=goal, files=files, data_root=data_root, **options)
    if json:
        print(found.json_text())
        return
    for sentence in found.said:
        put(sentence)


def _print(found: Atlas, goal: str, json: bool) -> None:
    if json:
        print(found.json_text())
        return
    from losscope.reporting import atlases

    terminal().print(atlases.table(found, goal))


def _check_goal(goal: str) -> None:
    from losscope.core.errors import unknown
    from losscope.core.quantities import GOALS

    if goal not in GOALS:
        raise unknown("goal", goal, GOALS)


def _make(given: Asked, goal: str, *, dry_run: bool, json: bool) -> None:
    """Train an atlas, or say what it would cost, and print it; exit code 1 where an entry failed."""
    from losscope.atlases import kept, making, planning
    from losscope.core.wording import atlases as wording

    refuse_several("atlas")
    if dry_run:
        _, plan = planning.laid(given, None if json else put)
        if json:
            print(plan.json_text())
        return
    with Activity(quiet=json) as shown:
        made = making.make(given, say=shown.say, activity=shown.activity, expect=shown.expect)
    _print(made.atlas, goal, json)
    if not json:
        put(f"\nPage: {given.out}/{kept.PAGE}")
    if made.failed:
        say_aside(f"losscope: {wording.failed(made.failed)}")
        sys.exit(1)
