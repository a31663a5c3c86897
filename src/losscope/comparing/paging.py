"""The page of a stored study made again, and which maps it shows."""

from __future__ import annotations

from pathlib import Path

from losscope.comparing import placing
from losscope.comparing.evidence import Runs, first_kept
from losscope.comparing.reading import find, load, read
from losscope.core.errors import require
from losscope.core.results import Result

KINDS = ("pca", "tsne")


def report(folder: str | Path, study: str | None = None, map: str | None = None) -> Result:
    """Read a study again from its folder, as ``load`` does, and write its page.

    ``map``: ``tsne`` or ``pca``, which the maps of the page show from now on; what they did before otherwise.

    >>> report("absent")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: 'absent' holds no losscope runs (there is no store.json); ...
    """
    if map is not None:
        map_by(folder, study, map)
    result = load(folder, study)
    assert result.report_file is not None
    result.report(result.report_file)
    return result


def map_by(folder: str | Path, study: str | None, kind: str) -> None:
    """Let the page of a stored study show its maps by ``pca`` or ``tsne`` from now on.

    Raises:
        LosscopeError: another kind, no such study, one without embeddings, a folder that cannot be written.

    >>> map_by("absent", None, "lda")
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: the map is 'lda'; wanted: pca or tsne
    """
    require(kind in KINDS, f"the map is {kind!r}; wanted: {' or '.join(KINDS)}")
    store, name, _ = find(Path(folder), study)
    if kind == "pca":
        placing.keep(store, name, {}, {})
        return
    result = read(store, name)
    maps = result.evidence.maps if result.evidence is not None else {}
    require(
        bool(maps),
        f"the study {name!r} keeps no test embeddings, of which a map could be made; wanted: a study made "
        "without --keep none",
    )
    runs: dict[str, Runs] = {
        side.name: [(run, {}) for run in map(store.get, side.runs)] for side in result.sides
    }
    losses = {loss.name: runs[loss.name] for loss in result.losses}
    _, kept = first_kept(losses, {name: own for name, own in runs.items() if name in maps})
    places = {
        side: placing.tsne(kept[side].embeddings[own.items])
        for side, own in maps.items()
        if side in kept and own.items is not None
    }
    placing.keep(store, name, places, placing.firsts(result))
