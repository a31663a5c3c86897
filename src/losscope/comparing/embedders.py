"""A side of a finished study as a function of new rows: its transform, its projection, rows of length 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from losscope.comparing.reading import find, read
from losscope.core import registry
from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.loss_spec import RAW
from losscope.core.results import Result
from losscope.core.spec import Run
from losscope.run.store import Store, Stored

Forward = Callable[[Any], Any]
ROWS = 4096
"""So many rows go through a network at once."""


@dataclass(frozen=True, eq=False)
class Embedder:
    """Rows as the data set had them (N, ...) -> embeddings (N, D) of length 1, float32.

    Attributes:
        side: the name of the loss, baseline or closed form.
        run: the identifier of the run that it is of.
        shape: of one row of numbers; () of all else.
        takes: ``numbers``, or where the run trained its backbone what this takes: ``images`` (Pillow images,
            uint8 numbers (height, width, 3), or files), ``sounds`` ((samples in ±1, samples per second), or
            files) or ``texts`` (each a text, or (text, side) with side query or document).
    """

    side: str
    run: str
    shape: tuple[int, ...]
    _forward: Forward = field(repr=False)
    takes: str = "numbers"

    def __call__(self, rows: Any) -> np.ndarray:
        """Embed rows.

        Args:
            rows: (N, *shape), as the data set has them, before any transform; or a list of images, sounds or
                texts where ``takes`` says so.

        Raises:
            LosscopeError: rows of another shape, or numbers that are not finite.
        """
        import torch

        if self.takes != "numbers":
            return np.asarray(self._forward(rows))
        given = np.asarray(rows, dtype=np.float32)
        require(
            given.shape[1:] == self.shape,
            f"rows of shape {given.shape[1:]} were given; wanted: {self.shape}, as {self.side} was fitted to",
        )
        require(bool(np.isfinite(given).all()), "the rows have numbers that are not finite")
        with torch.no_grad():
            parts = [self._forward(part) for part in torch.split(torch.from_numpy(given), ROWS)]
        made: np.ndarray = torch.cat(parts).numpy()
        return made


def embedder(
    folder: str | Path,
    side: str | None = None,
    *,
    seed: int | None = None,
    study: str | None = None,
    data_root: str | None = None,
) -> Embedder:
    """A side of a finished study as a function that embeds rows, as that side's run embedded the test rows.

    Args:
        folder: the folder given to ``compare`` as ``out``.
        side: a loss, a baseline or a closed form of the study; the one that it recommends otherwise.
        seed: whose run; the study's first otherwise.
        study: which study, where there are several; the newest otherwise.
        data_root: where the data lie, for a study whose inputs were standardised: the training part is read
            again to know its means.

    Raises:
        LosscopeError: no finished study, an unknown side or seed, a run that kept no weights, two modalities.

    >>> embedder("absent")
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: 'absent' holds no losscope runs (there is no store.json); ...
    """
    store, name, _ = find(Path(folder), study)
    result = read(store, name)
    stored = _stored(store, result, side or result.recommendation.loss, seed)
    run = stored.run
    label = side or str(result.recommendation.loss)
    if label == RAW:
        kept = stored.embeddings()
        require("embeddings" in kept, f"the run {stored.id} kept no embeddings")
        return Embedder(label, stored.id, (kept["embeddings"].shape[1],), _unit)
    transform = _transform(run, data_root)
    weights = _weights(stored)
    require(
        bool(weights),
        f"the run {stored.id} of {label} kept no weights; train it again with --keep last",
    )
    require(
        not any(key.split(".")[0] in ("first", "second") for key in weights),
        f"{label} embeds two modalities; its projections lie in {stored.path / 'model.safetensors'}",
    )
    if run.protocol.finetunes:
        from losscope.comparing.tuned import on_backbone
        from losscope.train.optimiser import TRUNK

        head = {key: value for key, value in weights.items() if not key.startswith(TRUNK)}
        _, forward = _network(run, head)
        whole, takes = on_backbone(stored, weights, lambda rows: forward(transform(rows)))
        return Embedder(label, stored.id, (), whole, takes)
    shape, forward = _network(run, weights) if "matrix" not in weights else _projection(weights)
    return Embedder(label, stored.id, shape, lambda rows: forward(transform(rows)))


def _stored(store: Store, result: Result, side: str | None, seed: int | None) -> Stored:
    """The run of a side and a seed."""
    names = [own.name for own in result.sides]
    require(side is not None, f"the study recommends nothing; name a side: {', '.join(names)}")
    if side not in names:
        raise unknown("side", str(side), names)
    seeds = list(result.seeds)
    wanted = seeds[0] if seed is None else seed
    require(wanted in seeds, f"the study has no seed {seed}; it has {', '.join(map(str, seeds))}")
    found = [own for own in store.many(result.side(str(side)).runs) if own.run.seed == wanted]
    require(bool(found) and found[0].failed is None, f"{side} has no finished run of seed {wanted}")
    return found[0]


def _weights(stored: Stored) -> dict[str, np.ndarray]:
    """The run's kept parameters by name; empty where it kept none."""
    if not stored.keeps("model.safetensors"):
        return {}
    from safetensors.numpy import load

    found: dict[str, np.ndarray] = load(stored.content("model.safetensors"))
    return found


def _transform(run: Run, data_root: str | None) -> Forward:
    """What the run did to its inputs; means of a standardisation are read again from the training part."""
    from losscope.train.transforms import Transform

    name = run.protocol.transform
    if name == "none":
        return lambda rows: rows
    if name != "standardise":
        return Transform.fitted(name, np.zeros((0, 0)))
    from losscope.features.source import load
    from losscope.train.transforms import transformed

    try:
        source = load(run.data.name, root=data_root, **run.data.options)
    except LosscopeError as error:
        raise LosscopeError(
            f"the inputs were standardised by the training part, which cannot be read again: {error}"
        ) from None
    (split,) = transformed([source.splits(run.seed)], run.protocol)
    assert split.transform is not None
    return split.transform


def _unit(rows: Any) -> Any:
    from losscope.pairs import normalise

    return normalise(rows)


def _projection(weights: Mapping[str, np.ndarray]) -> tuple[tuple[int, ...], Forward]:
    import torch

    mean, matrix = (weights[name].astype(np.float64) for name in ("mean", "matrix"))

    def forward(rows: Any) -> Any:
        flat = rows.flatten(1).numpy().astype(np.float64)
        return _unit(torch.from_numpy((flat - mean) @ matrix)).float()

    return (len(mean),), forward


def _network(run: Run, weights: Mapping[str, np.ndarray]) -> tuple[tuple[int, ...], Forward]:
    import torch

    build = registry.entry("model", run.protocol.model).load()
    first = next(value for name, value in sorted(weights.items()) if name.endswith("weight"))
    require(
        first.ndim == 2,
        f"the network {run.protocol.model} takes pictures, whose size the run does not keep; "
        "wanted: a side with a linear layer first",
    )
    shape = (first.shape[0],)
    network = build(shape, run.protocol.hidden, run.protocol.embedding_size)
    parameters = {name: torch.from_numpy(value.copy())[None] for name, value in weights.items()}
    return shape, lambda rows: _unit(network.forward(parameters, rows[None]))[0]
