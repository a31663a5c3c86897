"""What a loss is called with, as pytorch-metric-learning calls one: labels, a miner's tuples, references."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import LosscopeError, require
from losscope.pairs import Relation

Mined = Sequence[Tensor]
"""A miner's tuples: (anchors, positives, anchors, negatives) or (anchors, positives, negatives)."""


class Batch(NamedTuple):
    """The rows that a loss sees, what belongs together, and how often a miner named each row."""

    rows: Tensor
    relation: Relation
    weights: Tensor | None = None


def batch_of(
    embeddings: Tensor,
    labels: Any,
    mined: Mined | None,
    ref_emb: Tensor | None,
    ref_labels: Any,
    *,
    name: str,
    class_vectors: bool,
) -> Batch:
    """The rows and their relation; with references these are the last rows, and partners only.

    ``name`` is the loss's, for sentences; with ``class_vectors`` a miner's tuples become weights of the rows.

    Raises:
        LosscopeError: labels that are not one per row, references without labels or for a loss against class
            vectors, tuples that name rows that are not there.
    """
    alone = mined is None and ref_emb is None
    if alone and isinstance(labels, Tensor) and labels.shape == embeddings.shape[:-1]:
        # What nearly every step is, without the sentences for what it is not.
        return Batch(embeddings, Relation.from_labels(labels.to(embeddings.device)))
    if ref_emb is embeddings and ref_labels is labels:
        ref_emb = ref_labels = None
    require(
        ref_emb is None or not class_vectors,
        f"ref_emb was given to {name}, which compares with class vectors and has no use for it",
    )
    known = _label_tensors(embeddings, labels, ref_emb, ref_labels, name if class_vectors else None)
    own = embeddings.shape[-2]
    if mined is None:
        require(known is not None, "neither labels nor indices_tuple were given; one of them is wanted")
        assert known is not None
        if ref_emb is None:
            return Batch(embeddings, Relation.from_labels(known[0]))
        if len(known) < 2:
            raise LosscopeError(
                "ref_emb was given without ref_labels; one label per row of ref_emb is wanted"
            )
        sides = torch.arange(own + ref_emb.shape[-2], device=embeddings.device) >= own
        relation = Relation.from_labels(torch.cat(known, -1), sides, anchors=own)
        return Batch(torch.cat((embeddings, ref_emb), -2), relation)
    columns = _columns(mined, own, own if ref_emb is None else ref_emb.shape[-2], embeddings.device)
    if class_vectors:
        require(known is not None, f"{name} has one vector per class; labels are wanted beside indices_tuple")
        assert known is not None
        return Batch(embeddings, Relation.from_labels(known[0]), _weights(columns, embeddings))
    rows = embeddings if ref_emb is None else torch.cat((embeddings, ref_emb), -2)
    return Batch(rows, _mined_relation(columns, rows.shape[-2], own if ref_emb is not None else 0))


def _label_tensors(
    embeddings: Tensor, labels: Any, ref_emb: Tensor | None, ref_labels: Any, numbered: str | None
) -> tuple[Tensor, ...] | None:
    """The labels, and those of the references if they have any, as tensors; None without labels."""
    if labels is None:
        return None
    given = [(labels, embeddings, "labels")]
    if ref_emb is not None and ref_labels is not None:
        given.append((ref_labels, ref_emb, "ref_labels"))
    parts = [part if isinstance(part, Tensor) else _array(part) for part, *_ in given]
    if any(isinstance(part, np.ndarray) and part.dtype.kind in "USO" for part in parts):
        parts = _numbered(parts, numbered)
    tensors = tuple(torch.as_tensor(part, device=embeddings.device) for part in parts)
    for tensor, (_, rows, called) in zip(tensors, given, strict=True):
        whose = "embeddings" if called == "labels" else "ref_emb"
        require(
            tensor.shape == rows.shape[:-1],
            f"{called} have shape {tuple(tensor.shape)}, {whose} {tuple(rows.shape)}; "
            f"one label per row is wanted",
        )
    return tensors


def class_numbers(embeddings: Tensor, labels: Any, numbered: str | None) -> Tensor:
    """Labels as int64 (B,). The number of a class's name is made from the name alone, so that every process
    has the same one.

    ``numbered`` is the name of a loss with one vector per class, for which names will not do.

    Raises:
        LosscopeError: labels that are not one integer or one name per row.

    >>> rows = torch.zeros(2, 3)
    >>> first, second = (class_numbers(rows, names, None) for names in (["owl", "wren"], ["wren", "owl"]))
    >>> torch.equal(first, second.flip(0))
    True
    """
    part = labels if isinstance(labels, Tensor) else _array(labels)
    if isinstance(part, np.ndarray) and part.dtype.kind in "USO":
        _numbered([part], numbered)  # which says what is wrong with them
        part = np.asarray([_digest(name) for name in part.ravel().tolist()], np.int64).reshape(part.shape)
    known = _label_tensors(embeddings, part, None, None, numbered)
    assert known is not None
    return Relation.from_labels(known[0].to(embeddings.device)).labels


def _digest(name: str) -> int:
    """63 bits of a checksum: of a million names two are alike once in 20 million trainings."""
    return (
        int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        >> 1
    )


def _array(labels: Any) -> np.ndarray:
    """Labels in a list, an array or a column of a data frame, as numbers or as objects."""
    try:
        array = np.asarray(labels)
        return np.asarray(labels, dtype=object) if array.dtype.kind in "US" else array
    except ValueError as error:
        raise LosscopeError(f"the labels are no flat list ({error}); one label per row is wanted") from None


def _numbered(parts: Sequence[Tensor | np.ndarray], numbered: str | None) -> list[Tensor | np.ndarray]:
    """Names of classes as numbers, the same name the same number in the batch and in the references."""
    names = [part.tolist() for part in parts]
    first = next((name for name in _flat(names) if isinstance(name, str)), None)
    require(
        all(isinstance(name, str) for name in _flat(names)),
        "some labels are texts and others are not; all integers or all texts are wanted",
    )
    require(
        numbered is None,
        f"the labels are texts such as {first!r}; {numbered} has one vector per class and wants the numbers "
        f"0, 1, … that the classes have in the whole data set",
    )
    place = {name: number for number, name in enumerate(dict.fromkeys(_flat(names)))}
    return [np.asarray([place[name] for name in own], dtype=np.int64) for own in names]


def _flat(names: Iterable[Any]) -> Iterable[Any]:
    for own in names:
        yield from own if isinstance(own, list) else [own]


def _columns(mined: Mined, own: int, others: int, device: torch.device) -> tuple[Tensor, ...]:
    """A miner's tuples as integer tensors, each (P,), checked against the numbers of rows."""
    require(
        isinstance(mined, tuple | list) and len(mined) in (3, 4),
        f"indices_tuple is {_what(mined)}; a miner's (anchors, positives, negatives) or "
        f"(anchors, positives, anchors, negatives) is wanted",
    )
    columns = tuple(torch.as_tensor(part, device=device) for part in mined)
    # An empty list has no type of its own.
    columns = tuple(part.long() if part.numel() == 0 else part for part in columns)
    sizes = [len(part) if part.dim() == 1 else -1 for part in columns]
    together = (sizes,) if len(sizes) == 3 else (sizes[:2], sizes[2:])
    require(
        -1 not in sizes and all(len(set(part)) == 1 for part in together),
        f"indices_tuple has tensors of shapes {', '.join(str(tuple(part.shape)) for part in columns)}; "
        f"row numbers are wanted, as many of anchors as of their partners",
    )
    for place, part in enumerate(columns):
        anchors = place == 0 or (place == 2 and len(columns) == 4)
        rows, of = (own, "embeddings") if anchors else (others, "embeddings or ref_emb")
        require(
            not (part.is_floating_point() or part.dtype == torch.bool),
            f"indices_tuple has dtype {str(part.dtype).removeprefix('torch.')}; row numbers are wanted",
        )
        if part.numel():
            low, high = (int(extreme) for extreme in part.aminmax())
            require(
                low >= 0 and high < rows,
                f"indices_tuple names the rows {low} to {high}; the {of} have rows 0 to {rows - 1}",
            )
    return tuple(part.long() for part in columns)


def _what(mined: Any) -> str:
    if isinstance(mined, tuple | list):
        return f"{len(mined)} tensors"
    return f"a {type(mined).__name__}"


def _mined_relation(columns: tuple[Tensor, ...], rows: int, shift: int) -> Relation:
    """The tuples as a relation; partners are ``shift`` rows further on, where the references stand."""
    if len(columns) == 3:
        anchor, positive, negative = columns
        return Relation.from_triplets(anchor, positive + shift, negative + shift, rows=rows)
    anchor, positive, other, negative = columns
    same = torch.cat((torch.ones_like(anchor), torch.zeros_like(other))).bool()
    partner = torch.cat((positive, negative)) + shift
    return Relation.from_pairs(torch.cat((anchor, other)), partner, same, rows=rows)


def _weights(columns: tuple[Tensor, ...], embeddings: Tensor) -> Tensor | None:
    """How often each row is named, over the most named row's; None if none is, and all count alike.

    As pytorch-metric-learning has it for losses against class vectors.
    """
    named = torch.cat(columns)
    if not named.numel():
        return None
    counts = torch.bincount(named, minlength=embeddings.shape[-2])
    return counts / counts.max()
