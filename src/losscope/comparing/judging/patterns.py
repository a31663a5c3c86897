"""The files of a pattern such as ``runs/{loss}/{seed}.npz``."""

from __future__ import annotations

import glob
import itertools
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from losscope.core.bounds import INTEGER
from losscope.core.errors import LosscopeError, require


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
    found = _matching(pattern)
    if not found:
        raise LosscopeError(
            f"no file matches {pattern!r}; {{loss}} stands for a name, {{seed}} for a whole number; wanted: "
            f"{example(_fixed(os.path.expanduser(pattern)))}"
        )
    return found


def _matching(pattern: str) -> dict[tuple[str, int], str]:
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
    return found


SUFFIXES = (".npz", ".npy", ".h5", ".hdf5")
SEED = re.compile(r"[0-9]+")
LOOKED_AT = 10_000
"""Files of a folder that are looked at for a pattern."""


def _fixed(pattern: str) -> Path:
    """The folder that a pattern begins with, before its first open part."""
    parts = list(itertools.takewhile(lambda part: not re.search(r"[{*]", part), Path(pattern).parts))
    return Path(*parts) if parts else Path(".")


def example(folder: Path) -> str:
    """A pattern that the files of a folder fit, as it is typed; or what one looks like, and what there is."""
    files = _files(folder)
    for pattern in _patterns(folder, files):
        if len(losses := _losses(pattern, files)) > 1:
            return f"{shlex.quote(pattern)} fits its files, of the losses {', '.join(losses[:4])}"
    such = "'runs/{loss}/{seed}.npz', where each file holds embeddings and labels"
    some = f"{len(files):,} such files, as {str(files[0])!r}" if files else f"no {', '.join(SUFFIXES)} files"
    return f"such as {such}; {str(folder)!r} holds {some}"


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    inside = itertools.islice(folder.rglob("*"), LOOKED_AT)
    return sorted(path for path in inside if path.suffix.lower() in SUFFIXES and "label" not in path.name)


def _patterns(folder: Path, files: list[Path]) -> Iterator[str]:
    """Patterns made from the first file: a number of its path as the seed, a name in it as the loss."""
    if not files:
        return
    inside = files[0].relative_to(folder).as_posix()
    stem, suffix = inside.removesuffix(files[0].suffix), files[0].suffix
    for number in reversed(list(SEED.finditer(stem))):
        before, after = stem[: number.start()], stem[number.end() :]
        for name in re.finditer(r"[^/]+", before):
            # The loss is a folder's name, or what stands before the seed, without a word for it.
            word = (
                re.sub(r"([-_.](seed|run|s))?[-_.=]?$", "", name[0]) if name.end() == len(before) else name[0]
            )
            if word:
                end = name.start() + len(word)
                opened = f"{before[: name.start()]}{{loss}}{before[end:]}{{seed}}{after}"
                yield f"{folder.as_posix()}/{opened}{suffix}"
        for name in re.finditer(r"[^/]+", after):
            word = re.sub(r"^[-_.]", "", name[0])
            start = name.end() - len(word)
            if word:
                opened = f"{before}{{seed}}{after[:start]}{{loss}}{after[name.end() :]}"
                yield f"{folder.as_posix()}/{opened}{suffix}"


def _losses(pattern: str, files: list[Path]) -> list[str]:
    """The losses of files that all fit a pattern; none where one does not, or can be read in two ways."""
    try:
        found = _matching(pattern)
    except LosscopeError:
        return []
    return sorted({loss for loss, _ in found}) if len(found) == len(files) else []


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
