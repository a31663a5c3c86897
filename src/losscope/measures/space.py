"""One member's embeddings made ready to measure, and measures made to work on whole populations.

A measure is written for one member, as ``fn(space, **needs) -> (values, detail)``, and ``@measured`` gives it
the contract of all measures: ``fn(embeddings (..., N, D), labels (..., N) or (N,), **needs)``. Members are
measured one after the other, which makes a member's numbers bitwise the same alone and in any population;
the linear algebra of one member is large enough that batching would save nothing.

A measure that reads all pairs is a generator: it receives one ``Chunk`` of the distance table after the
other, then None, and returns its result. All measures asked for at once read the same chunks, so that the
table is computed once and never held whole.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import LosscopeError, require
from losscope.measures.near import Finder
from losscope.measures.neighbours import Gallery, Near, unit

Measurement = tuple[dict[str, float], dict[str, np.ndarray]]
Values = dict[str, Tensor]
NULL = float("nan")


@dataclass(frozen=True, eq=False)
class Chunk:
    """Rows start..stop of a space's distance table; ``shared``: several measures read the table."""

    space: Space
    start: int
    stop: int
    shared: bool

    @functools.cached_property
    def squared(self) -> Tensor:
        """(stop - start, N) squared distances, self-distance 0; not to be written to."""
        return self.space.gallery.squared_distances(self.space.rows[self.start : self.stop])

    def nearest(self, wanted: int) -> Near | Tensor:
        """What holds the ``wanted`` nearest of each row, itself among them, or the whole table."""
        if self.shared:
            return self.squared
        near = self.space.finder.near(self.space.rows[self.start : self.stop], wanted)
        return self.squared if near is None else near


Stream = Generator[None, Chunk | None, Measurement]
"""A measure over all pairs, in progress."""


@dataclass(frozen=True)
class Space:
    """N embeddings of one member, L2-normalised in float64 and sorted by class (stably).

    ``order`` (N,) gives each sorted row its place in the input; ``codes`` (N,) its class as 0..C-1;
    ``labels`` (C,) the classes' labels; class c has the rows ``starts[c]`` to ``starts[c + 1]``.
    """

    rows: Tensor
    order: np.ndarray
    codes: np.ndarray
    labels: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, embeddings: Tensor, labels: np.ndarray) -> Space:
        """Prepare embeddings (N, D) with integer labels (N,)."""
        found, codes = np.unique(labels, return_inverse=True)
        order = np.argsort(codes, kind="stable")
        codes = codes[order]
        starts = np.searchsorted(codes, np.arange(len(found) + 1))
        rows = unit(embeddings[torch.from_numpy(order).to(embeddings.device)])
        return cls(rows, order, codes, found, starts)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def sizes(self) -> np.ndarray:
        """(C,) members of each class."""
        return np.diff(self.starts)

    @functools.cached_property
    def class_of_row(self) -> Tensor:
        """``codes`` on the device of the rows."""
        return torch.from_numpy(self.codes).to(self.rows.device)

    @functools.cached_property
    def gallery(self) -> Gallery:
        """The rows, prepared for search."""
        return Gallery.of(self.rows)

    @functools.cached_property
    def finder(self) -> Finder:
        """What finds the nearest of few rows without the whole table."""
        return Finder(self.gallery)

    def chunks(self, shared: bool) -> Iterator[Chunk]:
        """The table of all squared distances, a few rows at a time; ``shared``: for several measures."""
        for part in self.gallery.parts(len(self.rows)):
            yield Chunk(self, part.start, part.stop, shared)

    def per_query(self, values: np.ndarray) -> np.ndarray:
        """Values (N,) of the sorted rows, in the order of the input."""
        back = np.empty_like(values)
        back[self.order] = values
        return back


def run(space: Space, jobs: Sequence[tuple[Callable[..., Any], Mapping[str, Any]]]) -> Measurement:
    """Run several measures of one member, those over pairs together in one pass."""
    values: dict[str, float] = {}
    detail: dict[str, np.ndarray] = {}
    streams: list[Stream] = []
    results: list[Measurement] = []
    for function, needs in jobs:
        started = function(space, **needs)
        if inspect.isgenerator(started):
            next(started)
            streams.append(cast(Stream, started))
        else:
            results.append(started)
    if streams:
        for chunk in space.chunks(shared=len(streams) > 1):
            for stream in streams:
                stream.send(chunk)
        results += [_finish(stream) for stream in streams]
    for some_values, some_detail in results:
        values |= some_values
        detail |= some_detail
    return values, detail


def _finish(stream: Stream) -> Measurement:
    try:
        stream.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a measure over pairs went on after the last chunk")


class Measured:
    """A measure written for one ``Space``, callable on populations by the contract of measures."""

    def __init__(self, of_space: Callable[..., Any]) -> None:
        functools.update_wrapper(self, of_space)
        self.of_space = of_space

    def __call__(self, embeddings: Tensor, labels: Tensor, **needs: Any) -> tuple[Values, dict[str, Tensor]]:
        def member_of(rows: Tensor, classes: np.ndarray, own: Mapping[str, Any]) -> Measurement:
            return run(Space.of(rows, classes), [(self.of_space, own)])

        return over_members(embeddings, labels, needs, member_of)


measured = Measured

ROWWISE = {"fine_labels", "modality"}
"""Needs that hold one value per row."""


def over_members(
    embeddings: Tensor,
    labels: Tensor,
    needs: Mapping[str, Any],
    measure: Callable[[Tensor, np.ndarray, Mapping[str, Any]], Measurement],
) -> tuple[Values, dict[str, Tensor]]:
    """Measure each member of a population and stack the results.

    A member with an embedding that is not finite is not measured: its values are NaN.

    Args:
        embeddings: (..., N, D).
        labels: (N,) or (..., N) integers.
        needs: ``fine_labels`` and ``modality`` shaped like labels, ``reference`` a pair (embeddings
            (R, D) or (..., R, D), labels (R,) or (..., R)), ``positive_pairs`` a pair of (P,) or (..., P);
            anything else is handed on as it is.
        measure: from one member's (N, D) embeddings, labels and needs to its result.

    Returns:
        values: float64 (...,) by name; NaN for what does not exist.
        detail: by name, with the leading shape in front; ``per_class/…`` over the union of the members'
            classes, which ``per_class/label`` (C,) lists; NaN (label -1) where a member has no such entry.
    """
    require(
        embeddings.dim() >= 2, f"embeddings have shape {tuple(embeddings.shape)}; they must be (..., N, D)"
    )
    lead, (count, width) = embeddings.shape[:-2], embeddings.shape[-2:]
    members = embeddings.detach().reshape(-1, count, width)
    results: list[Measurement | None] = []
    for m, rows in enumerate(members):
        if not torch.isfinite(rows).all():
            results.append(None)
            continue
        own = {name: _of_member(name, need, lead, m, count) for name, need in needs.items()}
        results.append(measure(rows, _vector("labels", labels, lead, m, count), own))
    return _stack_values(results, lead), _stack_detail(results, lead)


def _vector(name: str, given: Any, lead: Sequence[int], m: int, count: int | None = None) -> np.ndarray:
    """One member's integers, from a vector that all share or one vector per member."""
    vector = torch.as_tensor(given)
    if vector.is_floating_point() or vector.is_complex():
        raise LosscopeError(f"{name} are {vector.dtype}; they must be integers")
    if count is not None and (vector.dim() == 0 or vector.shape[-1] != count):
        raise LosscopeError(
            f"{name} have shape {tuple(vector.shape)}; one entry for each of {count} embeddings is wanted"
        )
    if vector.dim() > 1:
        if tuple(vector.shape[:-1]) != tuple(lead):
            raise LosscopeError(
                f"{name} have shape {tuple(vector.shape)}, the embeddings the leading shape {tuple(lead)}; "
                "the leading shapes must agree, or be absent where all share one vector"
            )
        vector = vector.reshape(-1, vector.shape[-1])[m]
    return vector.cpu().numpy()


def _of_member(name: str, need: Any, lead: Sequence[int], m: int, count: int) -> Any:
    if need is None:
        return None
    if name in ROWWISE:
        return _vector(name, need, lead, m, count)
    if name == "positive_pairs":
        return tuple(_vector(name, side, lead, m) for side in need)
    if name == "reference":
        rows, labels = need
        rows = torch.as_tensor(rows)
        rows = rows.reshape(-1, *rows.shape[-2:])[m if rows.dim() > 2 else 0]
        return rows, _vector("reference labels", labels, lead, m, len(rows))
    return need


def _stack_values(results: Sequence[Measurement | None], lead: torch.Size) -> Values:
    names = dict.fromkeys(name for result in results if result for name in result[0])
    return {
        name: torch.tensor(
            [result[0].get(name, NULL) if result else NULL for result in results], dtype=torch.float64
        ).reshape(lead)
        for name in names
    }


def _stack_detail(results: Sequence[Measurement | None], lead: torch.Size) -> dict[str, Tensor]:
    details = [result[1] if result else {} for result in results]
    names = dict.fromkeys(name for detail in details for name in detail)
    stacked: dict[str, Tensor] = {}
    classes = _union([detail["per_class/label"] for detail in details if "per_class/label" in detail])
    for name in names:
        if name == "per_class/label":
            stacked[name] = torch.from_numpy(classes)
            continue
        found = [detail.get(name) for detail in details]
        first = next(array for array in found if array is not None)
        by_class = name.startswith("per_class/")
        length = len(classes) if by_class else max(len(array) for array in found if array is not None)
        missing: float = NULL if first.dtype.kind == "f" else -1
        table = np.full((len(found), length), missing, first.dtype)
        for m, array in enumerate(found):
            if array is not None:
                places = (
                    np.searchsorted(classes, details[m]["per_class/label"]) if by_class else slice(len(array))
                )
                table[m, places] = array
        stacked[name] = torch.from_numpy(table).reshape(*lead, length)
    return stacked


def _union(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate(arrays)) if arrays else np.zeros(0, np.int64)
