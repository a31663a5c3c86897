"""Maps of test embeddings by t-SNE, made when asked for and kept beside the study that they are of.

A page is made from the store at once and without torch, and t-SNE takes seconds for each side: so it is
computed by scikit-learn where a command asks for it, and the places lie in the folder of the study.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from losscope.core.results import Result
from losscope.run.files import arrays_or_none
from losscope.run.store import Store

LARGEST = 2**24
"""Bytes of a file that is read, at most; what losscope writes is far below."""
NEIGHBOURS = 30.0
"""The perplexity; of few points a third of them."""
FEWEST = 10
"""Points below which neighbours say nothing."""


def tsne(rows: np.ndarray) -> np.ndarray:
    """(n, 2) places of unit rows (n, D) by t-SNE, about 0; the same rows give the same places.

    Source: van der Maaten and Hinton 2008; scikit-learn's, from the principal components, perplexity 30.

    >>> rows = np.eye(12)[np.arange(24) % 12]
    >>> tsne(rows).shape
    (24, 2)
    """
    from sklearn.manifold import TSNE

    points = np.asarray(rows, dtype=np.float64)
    if len(points) < FEWEST:
        return np.zeros((len(points), 2))
    model = TSNE(
        perplexity=min(NEIGHBOURS, (len(points) - 1) / 3),
        init="pca" if points.shape[1] > 1 and np.ptp(points) > 0 else "random",
        random_state=0,
        n_jobs=1,
    )
    placed = np.asarray(model.fit_transform(points), dtype=np.float64)
    centred: np.ndarray = placed - placed.mean(axis=0)
    return centred


def keep(store: Store, study: str, places: Mapping[str, np.ndarray], runs: Mapping[str, str]) -> None:
    """Write ``maps.npz`` of a study: places by side, with the first run of each; none where PCA stays."""
    told = {name: xy for name, xy in places.items() if name in runs}
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        sides=np.array(list(told), dtype=np.str_),
        runs=np.array([runs[name] for name in told], dtype=np.str_),
        ends=np.cumsum([len(xy) for xy in told.values()], dtype=np.int64),
        places=np.concatenate([*told.values(), np.empty((0, 2))]).astype(np.float32),
    )
    store.write_text(_place(study), buffer.getvalue())


def applied(store: Store, result: Result) -> Result:
    """The result with each map at the places that were kept of it; what has none stays as it is."""
    evidence = result.evidence
    found = _read(store, result.study or "")
    if evidence is None or not found:
        return result
    first, maps = firsts(result), dict(evidence.maps)
    for side, (run, xy) in found.items():
        own = maps.get(side)
        # Of other runs, as after another search of the numbers, the places say nothing.
        if own is not None and first.get(side) == run and len(xy) == len(own.xy):
            maps[side] = replace(own, xy=xy, explained=None, epochs=None, course=None, by="tsne")
    return result.with_evidence(replace(evidence, maps=maps))


def firsts(result: Result) -> dict[str, str]:
    """The first run of each side, which says whose places they are."""
    return {side.name: side.runs[0] for side in result.sides if side.runs}


def _read(store: Store, study: str) -> dict[str, tuple[str, np.ndarray]]:
    """The kept places of each side with its first run; nothing where there is no such file, or not ours."""
    kept = arrays_or_none(store.root / _place(study), ("sides", "runs", "ends", "places"), LARGEST)
    if kept is None:
        return {}
    sides, runs, ends = (array.tolist() for array in kept[:3])
    try:
        places = np.asarray(kept[3], dtype=np.float64)
        if places.shape != (max(ends, default=0), 2) or not np.isfinite(places).all():
            return {}
        return {
            str(side): (str(run), places[start:end])
            for side, run, start, end in zip(sides, runs, [0, *ends[:-1]], ends, strict=True)
        }
    except (ValueError, TypeError):  # arrays that losscope did not write
        return {}


def _place(study: str) -> str:
    return f"studies/{study}/maps.npz"
