"""Runs logged for TensorBoard: event files in a folder for each run, or scalars downloaded as CSV.

A download is ``Wall time,Step,Value`` in a file ``run-RUN-tag-TAG.csv``. A run is called by the folders of
its event files, such as ``triplet/3``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from losscope.comparing.judging.columns import Asked
from losscope.comparing.judging.names import at_last_step, with_names
from losscope.comparing.judging.runs import Runs
from losscope.comparing.judging.scores import from_frame
from losscope.core.errors import LosscopeError, require
from losscope.core.measure_names import meant
from losscope.core.wording import listing
from losscope.data.readers.files import read_table

DOWNLOAD = re.compile(r"(?:run[-_])?(?P<run>.+?)-tag-(?P<tag>.+)\.csv", re.IGNORECASE)
HEADER = ("Wall time", "Step", "Value")
Scalar = tuple[str, str, float, float]
"""A run, a tag, a step and a value."""


def from_events(folder: Path, asked: Asked, unpaired: bool = False) -> Runs | None:
    """The runs of a folder of event files or of downloaded scalars, None where it holds neither.

    Raises:
        LosscopeError: no scalar that is a measure, runs whose names say no loss and seed, runs that end at
            different steps; the package tensorboard is missing.
    """
    import pandas as pd

    where = repr(str(folder))
    files = sorted(path for path in folder.rglob("*.csv") if DOWNLOAD.fullmatch(path.name))
    events = sorted({path.parent for path in folder.rglob("*tfevents*") if path.is_file()})
    if not files and not events:
        return None
    scalars = list(_downloaded(files) if files else _logged(folder, events))
    tags = dict.fromkeys(tag for _, tag, _, _ in scalars)
    known = {tag for tag in tags if meant(tag) is not None}
    require(
        bool(known),
        f"{where}: no scalar is a measure that is known; it has {', '.join(list(tags)[:12]) or 'none'}",
    )
    rows = [scalar for scalar in scalars if scalar[1] in known]
    frame = pd.DataFrame(rows, columns=["run", "measure", "step", "value"])
    frame = with_names(frame, list(frame["run"]), where).drop(columns="run")
    frame, notes = at_last_step(frame, asked.only, where)
    rest = [tag for tag in tags if tag not in known]
    if rest:
        notes.append(f"Not read: {listing(rest[:12])}{', …' if len(rest) > 12 else ''}.")
    found = from_frame(frame.reset_index(drop=True), where, asked, unpaired)
    what = "scalars downloaded from TensorBoard" if files else "TensorBoard's event files"
    return replace(found, notes=(f"Read as {what}.", *notes, *found.notes))


def _downloaded(files: list[Path]) -> Iterator[Scalar]:
    for path in files:
        name = DOWNLOAD.fullmatch(path.name)
        assert name is not None
        frame = read_table(path)
        require(
            set(HEADER) <= set(frame.columns),
            f"{str(path)!r} has the columns {', '.join(map(str, frame.columns))}; wanted: "
            f"{', '.join(HEADER)}",
        )
        for step, value in zip(frame["Step"], frame["Value"], strict=True):
            yield name["run"], _tag(name["tag"]), float(step), float(value)


def _tag(text: str) -> str:
    """A tag as it was logged: in the name of a file its slash is a line."""
    return text if meant(text) is not None else text.replace("_", "/", 1)


def _logged(folder: Path, events: list[Path]) -> Iterator[Scalar]:
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util import tensor_util
    except ImportError:
        raise LosscopeError(
            f"reading the event files of {str(folder)!r} needs the package tensorboard: pip install "
            "tensorboard"
        ) from None
    for place in events:
        run = place.relative_to(folder).as_posix()
        kept: Any = EventAccumulator(str(place), size_guidance={"scalars": 0, "tensors": 0})
        kept.Reload()
        for tag in kept.Tags()["scalars"]:
            for event in kept.Scalars(tag):
                yield run, tag, float(event.step), float(event.value)
        for tag in kept.Tags()["tensors"]:  # scalars of the second API
            for event in kept.Tensors(tag):
                array = tensor_util.make_ndarray(event.tensor_proto)
                if array.size == 1 and array.dtype.kind in "fiu":
                    yield run, tag, float(event.step), float(array.reshape(()))
