"""The files of a pattern such as ``runs/{loss}/{seed}.npz``."""

from __future__ import annotations

import glob
import os
import re

from losscope.core.bounds import INTEGER
from losscope.core.errors import require


def files_of(pattern: str) -> dict[tuple[str, int], str]:
    """The file of each loss and seed. ``*`` stands for any part of a name, ``~`` for the home folder.

    Raises:
        LosscopeError: a pattern without its two names or with one twice, a file that can be read two ways,
            two files of one run, no file at all.
    """
    for part in ("{loss}", "{seed}"):
        require(
            part in pattern,
            f"the pattern {pattern!r} has no {part}; it must be such as 'runs/{{loss}}/{{seed}}.npz'",
        )
        require(
            pattern.count(part) == 1,
            f"the pattern {pattern!r} has {part} {pattern.count(part)} times; wanted: once, and * for what "
            "repeats it, such as 'runs/*/{loss}-{seed}.npz'",
        )
    open_pattern = os.path.expanduser(pattern)
    # Only the two names and * are open: any other character stands for itself.
    wild = glob.escape(open_pattern).replace("[*]", "*").replace("{loss}", "*").replace("{seed}", "*")
    found: dict[tuple[str, int], str] = {}
    for path in sorted(glob.glob(wild, recursive="**" in wild)):
        run = _run_of(open_pattern, path)
        if run is None:
            continue
        require(run[1] < INTEGER, f"the seed of {path!r} is too large; wanted: below {INTEGER}")
        other = found.setdefault(run, path)
        require(
            other == path,
            f"{other!r} and {path!r} are both seed {run[1]} of {run[0]}; wanted: one file each",
        )
    require(
        bool(found),
        f"no file matches {pattern!r}; {{loss}} stands for a name, {{seed}} for a whole number",
    )
    return found


def _run_of(pattern: str, path: str) -> tuple[str, int] | None:
    """The loss and the seed that a path names, None for a path that does not fit."""
    readings = set()
    for loss in ("[^/]+", "[^/]+?"):
        text = re.escape(pattern).replace(r"\{loss\}", f"(?P<loss>{loss})")
        text = text.replace(r"\{seed\}", "(?P<seed>[0-9]+)").replace(r"\*\*/", "(?:.*/)?")
        match = re.fullmatch(text.replace(r"\*", "[^/]*"), path)
        if match is None:
            return None
        readings.add((match["loss"], match["seed"]))
    ways = " or ".join(f"loss {loss!r} with seed {seed!r}" for loss, seed in sorted(readings))
    require(
        len(readings) == 1,
        f"{path!r} can be read as {ways}; wanted: a sign between {{loss}} and {{seed}} that tells",
    )
    loss, seed = readings.pop()
    return loss, int(seed)
