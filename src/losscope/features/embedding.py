"""``losscope embed``: a data set's features by a frozen backbone, kept, and as one file for anyone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.errors import require
from losscope.core.queries import arrays_of as roles_as_arrays
from losscope.core.results import Embedding
from losscope.data.base import TEST, TRAIN, VALIDATION
from losscope.features import Embedded
from losscope.features import embed as compute
from losscope.features.shards import writing

WORDS = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}


def embed(
    data: str,
    backbone: str,
    *,
    out: str | Path | None = None,
    data_root: str | Path | None = None,
    device: str = "auto",
    batch_size: int = 64,
    preprocess: Sequence[str] | None = None,
    say: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Embedding:
    """Compute a data set's features once, or find them in the cache; and write them to ``out`` (.npz).

    Args:
        data: a registered data set, a folder of class folders, a manifest, or hf:owner/name.
        backbone: a Hugging Face id or folder, a MobileNetV2 file, or timm:NAME.
        out: the file for ``losscope compare`` and everyone else; without it the features stay in the cache.
        data_root, device, batch_size, preprocess, options: as in ``losscope.features.embed``.
        say: called with each sentence for a person; progress: with (rows done, rows).

    Returns:
        An Embedding: what was read, by which backbone, how many features, and where they lie.

    Raises:
        LosscopeError: for any mistake in what was given; what is computed is kept.

    >>> embed("digits", "mobilenetv2.npz")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: there is no file or folder 'mobilenetv2.npz'; wanted: the id of a ...
    """
    start = time.monotonic()
    target = None if out is None else Path(out)
    require(
        target is None or target.suffix == ".npz",
        f"--out is {str(out)!r}; it must be an .npz file, which holds the features with their labels",
    )
    made = compute(
        data,
        backbone=backbone,
        root=data_root,
        device=device,
        batch_size=batch_size,
        preprocess=preprocess,
        say=say,
        progress=progress,
        **options,
    )
    if target is not None:
        given = "pairs" in options or "triplets" in options
        require(
            given or made.backbone.takes != "texts" or not made.table.facts.tuples,
            f"{data} gives explicit pairs or triplets, which --out does not hold; wanted: compare on it with "
            "--backbone, which finds the features in the cache",
        )
        _write(target, made)
    facts, pool = made.table.facts, made.table.pool
    return Embedding(
        data=made.table.describe(),
        notes=facts.notes,
        backbone=made.backbone.name,
        preprocessing=made.backbone.preprocessing,
        key=made.key,
        rows=len(pool),
        width=int(pool.inputs.shape[1]),
        cached=made.cached,
        seconds=time.monotonic() - start,
        folder=str(made.folder),
        out=None if target is None else str(target),
    )


def arrays_of(made: Embedded) -> dict[str, np.ndarray]:
    """The arrays of a feature file, under the names that ``losscope compare`` looks for.

    ``features`` (N, D) float16, ``labels`` (N,) into ``class_names``, ``split`` (N,) in words, and where
    the data have them ``fine_labels``, ``groups`` and ``names``, in words too, and ``is_query``,
    ``is_gallery``, ``camera`` and ``same_camera``. ``edition``, ``backbone``,
    ``preprocessing`` and ``key`` say where the features are from.
    """
    pool, facts = made.table.pool, made.table.facts
    arrays = {
        "features": np.asarray(pool.inputs, np.float16),
        "labels": pool.labels,
        "class_names": np.array(facts.class_names),
        "split": np.array([WORDS[role] for role in made.table.role.tolist()]),
        "edition": np.array(facts.edition),
        "backbone": np.array(made.backbone.name),
        "preprocessing": np.array(made.backbone.preprocessing),
        "key": np.array(made.key),
    }
    for name, values, words in (
        ("fine_labels", pool.fine_labels, facts.fine_names),
        ("groups", pool.groups, facts.group_names),
    ):
        if values is not None:
            arrays[name] = np.array(words)[values] if words and values.min() >= 0 else values
    if pool.names is not None:
        arrays["names"] = pool.names.astype(str)
    if pool.retrieval is not None:
        arrays |= roles_as_arrays(pool.retrieval)
    return arrays


def _write(target: Path, made: Embedded) -> None:
    """Write the file whole or not at all."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                np.savez(file, **arrays_of(made))  # type: ignore[arg-type]
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
