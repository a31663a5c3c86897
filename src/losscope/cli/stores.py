"""Commands that look after a store: check, gc, export, import."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from losscope.cli.options import OUTPUT, Json, app
from losscope.cli.output import put

store = App(
    name="store", help="Check a folder of runs, collect its leftovers, and move runs between folders."
)
app.command(store)


@store.command
def check(folder: Path, *, json: Json = False) -> None:
    """Read every file of a store and say what is altered, missing or left over. Exit code 1 if anything is.

    Parameters
    ----------
    folder
        The folder given to `compare --out`.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.core import wording
    from losscope.run.upkeep import check as check_store

    found = check_store(folder)
    if json:
        print(found.json_text())
    else:
        kinds = ", ".join(f"{count:,} {name}" for name, count in found.statuses.items() if count)
        versions = ", ".join(f"{version} ({count:,})" for version, count in found.versions.items())
        put(f"{wording.count(found.runs, 'run')}{f': {kinds}' if kinds else ''}.")
        if versions:
            put(f"Written by losscope {versions}.")
        for problem in found.problems:
            put(f"{problem.place}: {problem.what}. To mend it: {problem.remedy}.")
        put(
            "Nothing is wrong." if not found.problems else f"{wording.count(len(found.problems), 'problem')}."
        )
    if found.problems:
        sys.exit(1)


@store.command
def gc(folder: Path, *, yes: Annotated[bool, Parameter(negative="", group=OUTPUT)] = False) -> None:
    """Say what a store holds that nobody needs; with --yes remove it. Runs and studies are never removed.

    Parameters
    ----------
    folder
        The folder given to `compare --out`.
    yes
        Remove what is listed.
    """
    from losscope.core import wording
    from losscope.run.upkeep import gc as collect

    found = collect(folder, yes=yes)
    for path in found:
        put(path)
    what = wording.count(len(found), "leftover")
    more = f"; add --yes to remove {'it' if len(found) == 1 else 'them'}" if found else ""
    put(f"{what} removed." if yes else f"{what}{more}.")


@store.command(name="export")
def export_archive(
    folder: Path,
    archive: Path,
    *,
    study: Annotated[list[str] | None, Parameter(negative="", group=OUTPUT)] = None,
) -> None:
    """Write the runs of a store, or of some of its studies, as one zip that others can import and extend.

    Parameters
    ----------
    folder
        The folder given to `compare --out`.
    archive
        The zip file to write; it must not be there yet.
    study
        A study of the store; may be given several times. All runs otherwise.
    """
    from losscope.core import wording
    from losscope.run.upkeep import export_runs

    put(f"{wording.count(export_runs(folder, archive, study or ()), 'run')} in {archive}.")


@store.command(name="import")
def import_archive(folder: Path, archive: Path) -> None:
    """Take the runs of an exported zip into a store; every run is checked before the first is taken.

    Parameters
    ----------
    folder
        The folder to take them into, which is made where there is none.
    archive
        A zip file that `losscope store export` wrote.
    """
    from losscope.core import wording
    from losscope.run.upkeep import import_runs

    taken, there = import_runs(folder, archive)
    put(f"{wording.count(taken, 'run')} taken, {there:,} there already.")
