"""Runs that are given in Python: a data frame of any library, a dict of columns, or arrays of embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from losscope.comparing.judging.columns import Asked
from losscope.comparing.judging.embedded import Embedded, Reading, measured_runs, read_one
from losscope.comparing.judging.runs import Runs
from losscope.comparing.judging.scores import from_frame
from losscope.core.errors import require
from losscope.data.readers.given import array_of, frame_of, is_frame

FRAME, ARRAYS = "the data frame", "the arrays"
WANTED = (
    "wanted: a data frame or a dict of columns (loss, seed, measure, value), or a dict of embeddings "
    "{loss: (runs, N, D)} with labels=(N,)"
)


@dataclass(frozen=True)
class Given:
    """What is given in Python, and what a result calls it."""

    runs: Any
    labels: Any = None

    @property
    def name(self) -> str:
        return ARRAYS if self.labels is not None else FRAME

    def read(self, asked: Asked, unpaired: bool, reading: Reading, say: Callable[[str], None] | None) -> Runs:
        """The runs.

        Raises:
            LosscopeError: no data frame, no columns of one length, arrays of other shapes.
        """
        if self.labels is None:
            require(
                not reading.given,
                f"{reading.given} is said of embeddings; wanted: {{loss: (runs, N, D)}} with labels=(N,)",
            )
            return from_frame(_frame(self.runs), FRAME, asked, unpaired)
        require(
            not asked.given,
            "only, unit and family are said of tables; of embeddings seeds pair the runs",
        )
        read, files = _embedded(self.runs, self.labels, reading)
        return measured_runs(read, files, say, unpaired)


def _frame(runs: Any) -> Any:
    """A pandas frame of a frame of any library that narwhals knows, or of a dict of columns."""
    import pandas as pd

    if isinstance(runs, Mapping):
        shapes = {str(name): np.shape(values) for name, values in runs.items()}
        lengths = {shape[0] for shape in shapes.values() if len(shape) == 1}
        require(
            bool(shapes) and all(len(shape) == 1 for shape in shapes.values()) and len(lengths) == 1,
            f"the dict holds {', '.join(f'{k} {shape}' for k, shape in list(shapes.items())[:6])}; {WANTED}",
        )
        frame = pd.DataFrame({str(name): list(values) for name, values in runs.items()})
    else:
        require(is_frame(runs), f"cannot judge a {type(runs).__name__}; {WANTED}, or a path")
        frame = frame_of(runs)
    require(len(frame) > 0, f"{FRAME} has no rows; {WANTED}")
    frame.columns = [str(name).strip() for name in frame.columns]
    return frame.reset_index(drop=True)


def _embedded(
    runs: Any, labels: Any, reading: Reading
) -> tuple[dict[tuple[str, int], Embedded], dict[tuple[str, int], str]]:
    """The runs of a dict {loss: (runs, N, D)}, or {loss: (N, D)} for one run a side."""
    require(isinstance(runs, Mapping) and len(runs) > 0, f"labels come with a dict of embeddings; {WANTED}")
    classes = array_of(labels)
    read, files = {}, {}
    for loss, given in runs.items():
        own = _runs_of(str(loss), given)
        for seed, points in enumerate(own):
            name = f"{loss}, run {seed}"
            files[str(loss), seed] = name
            read[str(loss), seed] = read_one(Path(name), reading, {"embeddings": points, "labels": classes})
    return read, files


def _runs_of(loss: str, given: Any) -> Sequence[np.ndarray]:
    """Each run's (N, D): one array (runs, N, D), a list of arrays (N, D), or one of them."""
    if isinstance(given, list | tuple) and given and np.ndim(array_of(given[0])) == 2:
        return [array_of(own) for own in given]
    array = array_of(given)
    require(
        array.ndim in (2, 3),
        f"the embeddings of {loss} have shape {array.shape}; wanted: (runs, N, D), or (N, D) for one run",
    )
    return list(array) if array.ndim == 3 else [array]
