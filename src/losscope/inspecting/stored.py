"""The test embeddings that a run of a store kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.queries import Roles, same_camera_rule
from losscope.data.base import TEST, Draft
from losscope.data.tags import several
from losscope.run.store import Store

NAMED = 4
"""Runs that a sentence names."""


def is_run(path: Path) -> bool:
    """Whether a folder is a run of a store, or a store."""
    return (path / "run.json").is_file() or (path / "store.json").is_file()


def draft_of_run(path: Path) -> Draft:
    """The test embeddings of the run in a folder, with their labels, several too, and their roles.

    Raises:
        LosscopeError: a whole store; a run that kept no embeddings, was altered, or is of two modalities.
    """
    if (path / "store.json").is_file():
        raise LosscopeError(f"{str(path)!r} is a store of runs; wanted: one of them, such as {_runs(path)}")
    stored = Store(path.resolve().parents[1], create=False).get(path.resolve().name)
    kept = stored.embeddings()
    run = stored.run
    require(
        "embeddings" in kept,
        f"the run {str(path)!r} kept no test embeddings; wanted: a run made with --keep last",
    )
    require(
        "modality" not in kept,
        f"the run {str(path)!r} is of two modalities; wanted: one vector for each item",
    )
    name = f"{run.loss.label}, seed {run.seed}"
    tags = several(kept["labels"], f"labels of {name}")
    labels = kept["labels"] if tags is None else tags.sets[0]
    draft = Draft(name, name, "features", kept["embeddings"], labels, tags=tags, origin=str(path))
    if "is_query" in kept:
        rule = same_camera_rule(str(kept.get("same_camera", np.array("keep"))))
        draft.retrieval = Roles(kept["is_query"], kept["is_gallery"], kept.get("camera"), rule)
        draft.role = np.full(len(labels), TEST, np.int8)
    return draft


def _runs(path: Path) -> str:
    """Some runs of a store that kept embeddings, with what they are of."""
    store = Store(path, create=False)
    found: list[str] = []
    for folder in sorted((path / "runs").iterdir()):
        if len(found) < NAMED and (folder / "test.npz").is_file():
            run = store.get(folder.name).run
            found.append(f"{str(folder)!r} ({run.loss.label}, seed {run.seed})")
    return "; ".join(found) or "none here: no run kept its test embeddings (--keep last does)"
