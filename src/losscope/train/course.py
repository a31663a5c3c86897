"""Where test embeddings were at earlier epochs, on the plane of the map that shows them.

While it trains a population keeps the weights of a few epochs of one member in ten. When it is over, some
test rows are embedded with each, and their places on the map are all that is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from losscope.core.planes import Plane, unit_rows
from losscope.core.spec import Run
from losscope.data import Splits
from losscope.data.rows import rows_shown
from losscope.pairs import normalise
from losscope.train.pool import inputs_of

EVERY = 10
"""Of so many seeds one is followed: the first of those that a study usually has."""
MOMENTS = 8
ROWS = 500
"""Test rows that are followed, at most; the same for all losses."""

Embed = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


def followed(run: Run, keep: str) -> bool:
    """Whether a run's embeddings are followed over its epochs.

    ``keep``: what of a run is kept besides its numbers.
    """
    return keep != "none" and run.purpose == "final" and run.seed % EVERY == 0


def moments(epochs: int, checkpoint: int | None = None) -> set[int]:
    """The epochs that are kept: the start, ever fewer later, the last, and the one whose weights are chosen.

    >>> sorted(moments(60, 33)), sorted(moments(1))
    ([0, 1, 2, 4, 8, 15, 30, 33, 60], [0, 1])
    """
    later = set(np.geomspace(1, epochs, MOMENTS - 1).round().astype(int).tolist())
    return {0, *later} | ({checkpoint} if checkpoint is not None else set())


def course_of(
    weights: Mapping[int, Mapping[str, Tensor]],
    embed: Embed,
    splits: Splits,
    final: np.ndarray,
    device: torch.device,
) -> dict[str, np.ndarray]:
    """The places of some test rows at some epochs, as the arrays of a file.

    Args:
        weights: of each epoch, the parameters of one member, (1, …) each.
        embed: gives the embeddings of inputs with parameters, one member of each.
        splits: the member's data.
        final: the test embeddings (N, D) that its map shows.
        device: where to embed.

    Returns:
        ``rows`` (n,) of the test embeddings, ``epochs`` (e,), ``xy`` (e, n, 2) in half precision, and the
        plane: ``mean`` (D,), ``axes`` (2, D), ``explained`` (2,).
    """
    places = rows_shown(splits.test)
    rows = np.arange(len(final))
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(0).choice(len(rows), ROWS, replace=False))
    needed = np.unique(places[rows] % len(splits.test))
    part = splits.test.take(needed)
    inputs = inputs_of(part, splits, device)
    # Of two modalities the second follows the first, as in all test embeddings.
    at = torch.from_numpy(
        np.searchsorted(needed, places[rows] % len(splits.test))
        + len(needed) * (places[rows] // len(splits.test))
    )
    plane = Plane.of(unit_rows(final))
    placed = []
    for _, parameters in sorted(weights.items()):
        with torch.no_grad():
            found = normalise(embed(inputs[None], parameters))[0]
        if part.second is not None:
            found = torch.cat(found.chunk(2))
        placed.append(plane.place(unit_rows(found[at.to(found.device)].cpu().numpy())))
    return {
        "rows": rows.astype(np.int32),
        "epochs": np.array(sorted(weights), dtype=np.int32),
        "xy": np.stack(placed).astype(np.float16),
        "mean": plane.mean.astype(np.float32),
        "axes": plane.axes.astype(np.float32),
        "explained": plane.explained.astype(np.float32),
    }
