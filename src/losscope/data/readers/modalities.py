"""Two modalities: which arrays they are, and how the rows of one find those of the other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.data.base import Draft
from losscope.data.readers.files import Arrays, found, key_of
from losscope.data.readers.shapes import as_rows

MODALITY = re.compile(
    r"^(audio|sound|image|visual|vision|video|text)s?(_features?|_embeddings?|_feats?)?$", re.IGNORECASE
)
HEARD_FIRST = ("audio", "sound", "image", "visual", "vision", "video", "text")


def ids_of(arrays: Arrays, given: str | None, modality: str, path: Path) -> np.ndarray | None:
    if given:
        return arrays[key_of(arrays, given, path)]
    stem = MODALITY.match(modality)
    name = found(arrays, (f"{modality.lower()}_ids", f"{stem[1].lower()}_ids" if stem else "ids"))
    return arrays[name] if name else None


def add_second(
    draft: Draft,
    arrays: Arrays,
    first: str,
    other: str,
    ids: np.ndarray | None,
    second_ids: np.ndarray | None,
) -> None:
    """Join the second modality to a draft: row by row, or by ids; rows that lack one are left out, counted.

    Raises LosscopeError where lengths differ without ids, or a class loses all its pairs.
    """
    second, _, notes = as_rows(arrays[other], other)
    draft.kind = "pair"
    draft.notes += notes
    matches = [MODALITY.match(name) for name in (first, other)]
    draft.modalities = tuple(
        match[1].lower() if match else name for match, name in zip(matches, (first, other))
    )
    if ids is not None and second_ids is not None:
        place = {key: row for row, key in enumerate(second_ids.tolist())}
        partner = np.array([place.get(key, -1) for key in ids.tolist()])
    else:
        require(
            len(second) == len(draft.inputs),
            f"{draft.name} has {len(draft.inputs):,} rows of {first} but {len(second):,} of {other}; "
            f"wanted: as many of each, or ids ({draft.modalities[0]}_ids and {draft.modalities[1]}_ids) to "
            "join them by",
        )
        partner = np.arange(len(second))
    # Where there is no partner, row -1 stands in until the row is left out.
    draft.second = second[partner]
    _keep_complete(draft, [_empty(draft.inputs), _empty(draft.second) | (partner < 0)])


def _empty(array: np.ndarray) -> np.ndarray:
    """Which rows are all NaN: a missing modality."""
    return (
        np.isnan(array.reshape(len(array), -1)).all(1)
        if array.dtype.kind == "f"
        else np.zeros(len(array), bool)
    )


def _keep_complete(draft: Draft, lacks: list[np.ndarray]) -> None:
    """Leave out the rows that lack a modality, counted; raise if a class loses all of one."""
    missing = lacks[0] | lacks[1]
    if not missing.any():
        return
    if draft.labels is None or len(draft.labels) != len(missing):
        raise LosscopeError(
            f"{draft.name}: {int(missing.sum()):,} of {len(missing):,} rows lack a modality; wanted: "
            "complete pairs, or one label per row, so that the others can be left out"
        )
    for lack, name in zip(lacks, draft.modalities):
        for label in np.unique(draft.labels[lack]):
            if lack[draft.labels == label].all():
                named = bool(draft.class_names) and np.issubdtype(draft.labels.dtype, np.integer)
                said = draft.class_names[label] if named else str(label)
                raise LosscopeError(
                    f"{draft.name}: class {said!r} has no {name} at all; wanted: both modalities in every "
                    "class"
                )
    counts = " and ".join(
        f"{int(lack.sum()):,} without {name}" for lack, name in zip(lacks, draft.modalities)
    )
    draft.notes.append(
        f"{int(missing.sum()):,} of {len(missing):,} rows lack a modality ({counts}); left out"
    )
    for field in ("inputs", "labels", "fine_labels", "groups", "second", "names", "role"):
        if (array := getattr(draft, field)) is not None and len(array) == len(missing):
            setattr(draft, field, array[~missing])
