"""The page of a stored study made again, and which maps it shows."""

from __future__ import annotations

from pathlib import Path

from losscope.comparing import placing
from losscope.comparing.kept import Kept
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
    kept = {
        side.name: [run for run in map(store.get, side.runs) if run.keeps("test.npz")]
        for side in result.sides
    }
    # The maps are of the first seed of which a loss keeps its embeddings, whatever other sides keep.
    seed = min(run.run.seed for loss in result.losses for run in kept[loss.name])
    places = {}
    for side, own in maps.items():
        found = next((Kept.of(run) for run in kept.get(side, ()) if run.run.seed == seed), None)
        if found is not None and own.items is not None:
            places[side] = placing.tsne(found.embeddings[own.items])
    placing.keep(store, name, places, placing.firsts(result))
