"""The measures by name, of one set of embeddings at a time: plain arrays in, numbers out.

``losscope.geometry``, ``retrieval``, ``verification``, ``classification`` and ``cross_modal`` are these. All
L2-normalise the embeddings first. Embeddings are (N, D) and labels (N,) integers, as lists, NumPy arrays or
tensors; -1 is background, left out with ``background="exclude"`` and a class of its own with ``"class"``. A
value that does not exist is NaN. `losscope list measures` defines each value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import LosscopeError, require
from losscope.core.queries import Roles, SameCamera, checked_roles, same_camera_rule
from losscope.core.registry import entry
from losscope.measures.overlapping import ACROSS, BY_OVERLAP
from losscope.measures.summary import Background, evaluate

Array: TypeAlias = Any
"""A tensor, a NumPy array or nested lists."""

GEOMETRY = ("geometry", "spectrum", "uniformity", "silhouette")
CLASSIFICATION = ("knn_accuracy", "linear_accuracy", "nmi")


def geometry(embeddings: Array, labels: Array, *, background: Background = "exclude") -> dict[str, float]:
    """How the classes lie: spread within classes, distances between them, spectrum, uniformity, silhouette.

    Args:
        embeddings: (N, D).
        labels: (N,) integers.
        background: whether rows labelled -1 are left out or are a class.

    Raises:
        LosscopeError: shapes that do not agree, labels that are not integers, NaN or infinity.

    >>> found = geometry([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0], [-0.8, 0.6]], [0, 0, 1, 1])
    >>> round(found["intra_variance"], 3), round(found["inter_distance"], 3)
    (0.1, 1.8)
    """
    return _measured(embeddings, labels, GEOMETRY, background=background)


def retrieval(
    embeddings: Array,
    labels: Array,
    *,
    query: Array | None = None,
    gallery: Array | None = None,
    camera: Array | None = None,
    same_camera: SameCamera = "keep",
    background: Background = "exclude",
) -> dict[str, float]:
    """Leave-one-out retrieval: every embedding asks for the others of its class. Recall@k, MAP@R and so on.

    Args:
        embeddings: (N, D).
        labels: (N,) integers; or (N, C), 0 and 1, where items have several labels each: right is then what
            shares one with the query.
        query: (N,) booleans, the rows that ask; with ``gallery`` (N,), those that are searched. A row never
            finds itself, and a gallery row labelled -1 is ranked and never right.
        gallery: given with ``query``; then mAP and MRR are among the values too.
        camera: (N,) integers, the camera of each row.
        same_camera: whether a query finds gallery items of its camera: "keep" yes, "junk" not those of its
            class (Market-1501's rule), "skip" none.
        background: whether rows labelled -1 are left out or are a class.

    Raises:
        LosscopeError: shapes that do not agree, labels that are not integers, NaN or infinity, queries
            without a gallery, no query with a right answer.

    >>> found = retrieval([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], [0, 0, 1, 1])
    >>> found["recall_at_1"], found["map_at_r"]
    (1.0, 1.0)
    """
    if query is None and gallery is None:
        require(same_camera == "keep", "same_camera is for query and gallery; wanted: both")
        return _measured(embeddings, labels, ("retrieval",), background=background)
    require(query is not None and gallery is not None, "query or gallery alone; wanted: both, (N,) booleans")
    asks, searched = (np.asarray(mask, bool) for mask in (query, gallery))
    cameras = None if camera is None else np.asarray(camera)
    roles = Roles(asks, searched, cameras, same_camera_rule(same_camera))
    if _several(labels) is None:
        checked_roles("retrieval", roles, np.asarray(labels))
    return _measured(embeddings, labels, ("retrieval", "search"), background=background, roles=roles)


def verification(embeddings: Array, labels: Array, *, background: Background = "exclude") -> dict[str, float]:
    """One threshold on the distance for all pairs: equal error rate, and true accepts at fixed false accepts.

    Args:
        embeddings: (N, D).
        labels: (N,) integers.
        background: whether rows labelled -1 are left out or are a class.

    Raises:
        LosscopeError: shapes that do not agree, labels that are not integers, NaN or infinity.

    >>> found = verification([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], [0, 0, 1, 1])
    >>> found["eer"]
    0.0
    """
    return _measured(embeddings, labels, ("verification",), background=background)


def classification(
    embeddings: Array,
    labels: Array,
    reference: Array,
    reference_labels: Array,
    *,
    background: Background = "exclude",
    seed: int = 0,
) -> dict[str, float]:
    """Accuracy of simple classifiers fitted to a reference, and how well k-means finds the classes.

    Args:
        embeddings: (N, D).
        labels: (N,) integers.
        reference: (R, D), the training embeddings, with ``reference_labels`` (R,): what 5-nearest-neighbour
            and linear classification learn from.
        background: whether rows labelled -1 are left out or are a class.
        seed: of k-means.

    Raises:
        LosscopeError: shapes that do not agree, labels that are not integers, NaN or infinity.

    >>> points, labels = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], [0, 0, 1, 1]
    >>> found = classification([[0.95, 0.1], [0.2, 0.8]], [0, 1], points, labels)
    >>> found["linear_accuracy"], round(found["nmi"], 3)
    (1.0, 1.0)
    """
    known = _points("reference", reference), _classes("reference labels", reference_labels)
    return _measured(embeddings, labels, CLASSIFICATION, background=background, reference=known, seed=seed)


def cross_modal(
    embeddings: Array, labels: Array, modality: Array, *, background: Background = "exclude"
) -> dict[str, float]:
    """Retrieval from one modality into the other, both ways, and the gap between the two.

    Args:
        embeddings: (N, D), the items of both modalities.
        labels: (N,) integers; or (N, C), 0 and 1, where items have several: right is what shares one.
        modality: (N,), 0 for the first modality and 1 for the second; the names of the values call them
            audio and visual, whatever they are.
        background: whether rows labelled -1 are left out or are a class.

    Raises:
        LosscopeError: shapes that do not agree, labels that are not integers, NaN or infinity, one modality.

    >>> points = [[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.2, 0.8]]
    >>> found = cross_modal(points, labels=[0, 1, 0, 1], modality=[0, 0, 1, 1])
    >>> found["recall_at_1_audio_to_visual"], found["map_visual_to_audio"]
    (1.0, 1.0)
    """
    names = ("cross_modal", "modalities")
    sides = _classes("modality", modality)
    return _measured(embeddings, labels, names, background=background, modality=sides)


def _points(name: str, given: Array) -> Tensor:
    rows = _tensor(name, given, "numbers")
    if rows.dim() != 2 or not rows.shape[1]:
        empty = "there are no rows: " if not rows.numel() else ""
        raise LosscopeError(f"{empty}{name} have shape {tuple(rows.shape)}; they must be (N, D)")
    if not len(rows):
        raise LosscopeError(f"{name} have no rows; they must be (N, D)")
    if rows.is_complex():
        raise LosscopeError(f"{name} are {rows.dtype}; they must be real numbers")
    if not torch.isfinite(rows).all():
        broken = int((~torch.isfinite(rows)).any(1).sum())
        raise LosscopeError(f"{broken} of {len(rows)} {name} hold NaN or infinity; they must be finite")
    return rows


def _tensor(name: str, given: Array, wanted: str) -> Tensor:
    try:
        return torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise LosscopeError(
            f"{name} are {_kind(given)}; they must be {wanted}, in a tensor, an array or equally long lists"
        ) from None


def _kind(given: Array) -> str:
    dtype = getattr(given, "dtype", None)
    first = given
    while dtype is None and isinstance(first, list | tuple) and first:
        first = first[0]
    return str(dtype or ("text" if isinstance(first, str) else f"of type {type(first).__name__}"))


def _several(labels: Array) -> np.ndarray | None:
    """Labels (N, C) of 0 and 1, C above 1; None for one label each."""
    try:
        given = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    except ValueError:  # lists of several lengths
        return None
    return given if given.ndim == 2 and given.shape[1] > 1 and given.dtype.kind in "biuf" else None


def _classes(name: str, given: Array) -> Tensor:
    return _tensor(name, given, "integers (N,), such as numpy.unique(labels, return_inverse=True)[1] of text")


def _measured(embeddings: Array, labels: Array, names: Iterable[str], **needs: Any) -> dict[str, float]:
    rows = _points("embeddings", embeddings)
    if (tags := _several(labels)) is not None:
        able = ACROSS if "modality" in needs else BY_OVERLAP
        gives = {name for measure in names for name in entry("measure", measure).facts.gives}
        require(
            not gives.isdisjoint(able),
            f"labels have shape {tags.shape}, several for each item; {', '.join(names)} need one for each",
        )
        chosen = [name for name in able if name in gives]
        values, _ = evaluate(
            rows, torch.zeros(len(rows), dtype=torch.int64), names=chosen, tags=tags, **needs
        )
    else:
        values, _ = evaluate(rows, _classes("labels", labels), names=names, **needs)
    return {name: float(value) for name, value in values.items()}
