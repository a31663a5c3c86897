"""The command that lists what there is."""

from __future__ import annotations

from typing import Literal

from losscope.cli.options import DataRoot, Json, Plugin, Verbose, app, load_plugins
from losscope.cli.output import terminal


@app.command(name="list")
def list_items(
    what: Literal[
        "losses",
        "data",
        "models",
        "closed_forms",
        "measures",
        "protocols",
        "claims",
        "papers",
        "sections",
    ]
    | None = None,
    *,
    data_root: DataRoot = None,
    plugin: Plugin = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """List what there is: losses, data sets, models, closed forms, measures, protocols, claims, and more.

    Parameters
    ----------
    what
        losses, data, models, closed_forms, measures, protocols, claims, papers or sections; otherwise all.
    data_root
        Folder with data sets, to say which are on this machine.
    plugin
        A Python file that registers items of your own.
    verbose
        Print all that each item says of itself, such as its parameters, definition, licence and source.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.comparing.listing import brief_listing, items, listing

    load_plugins(plugin)
    found = items(what, data_root)
    if json:
        print(found.json_text())
    else:
        console = terminal()
        for table in listing(found) if verbose else brief_listing(found):
            console.print(table)
