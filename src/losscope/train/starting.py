"""Where a network starts: at random weights, or a linear head at a closed form of its training part."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from losscope.core.errors import LosscopeError
from losscope.core.loss_spec import LossSpec
from losscope.core.spec import Run, seed_of
from losscope.data import Splits
from losscope.models.networks import Architecture
from losscope.train.closed import fit, sample_of

KEPT = 24
"""Starts that are kept for the next population of the same seeds: a few megabytes each."""


class _Key(NamedTuple):
    """What a start follows from, within one process."""

    facts: int
    data: str
    seed: int
    split_seed: int
    rows: int
    start: str
    transform: str
    background: str
    size: int
    validation: int


_kept: OrderedDict[_Key, tuple[object, dict[str, np.ndarray]]] = OrderedDict()


def starts(shape: Architecture, runs: Sequence[Run], splits: Sequence[Splits]) -> list[dict[str, np.ndarray]]:
    """The first parameters of each member, by its seed and its protocol's start.

    Raises:
        LosscopeError: a start at a closed form of a network that is no linear head.
    """
    return [_start(shape, run, split) for run, split in zip(runs, splits, strict=True)]


def _start(shape: Architecture, run: Run, splits: Splits) -> dict[str, np.ndarray]:
    protocol = run.protocol
    if protocol.start == "random":
        return shape.initial(np.random.default_rng(seed_of(run.seed, "init")))
    if list(shape.shapes) != ["0.weight", "0.bias"]:
        raise LosscopeError(
            f"the start {protocol.start!r} is that of a linear head, and the model {protocol.model!r} has "
            "more layers; choices: random"
        )
    key = _Key(
        id(splits.facts),
        run.data.canonical(),
        run.seed,
        run.split_seed,
        len(splits.train),
        protocol.start,
        protocol.transform,
        protocol.background,
        protocol.embedding_size,
        protocol.curve_rows,
    )
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key][1]
    made = _head(run, splits)
    _kept[key] = splits.facts, made
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return made


def _head(run: Run, splits: Splits) -> dict[str, np.ndarray]:
    """A linear head that embeds as the closed form does, its weights as long as those of an identity.

    Normalised embeddings have no scale, but a learning rate has: it is a distance for every weight.
    """
    named = run.model_copy(update={"loss": LossSpec(name=run.protocol.start)})
    weights = fit(named, splits, sample_of(run, splits)).weights
    found, size = weights["matrix"].astype(np.float64), run.protocol.embedding_size
    matrix = np.zeros((len(found), size))
    matrix[:, : found.shape[1]] = found
    length = np.linalg.norm(matrix)
    if length > 0:
        matrix *= np.sqrt(found.shape[1]) / length
    bias = -(weights["mean"].astype(np.float64) @ matrix)
    return {"0.weight": matrix.astype(np.float32), "0.bias": bias[None].astype(np.float32)}
