"""The record of a probe on disk: rows (step, epoch, name, value) in parts, beside a mark.

``probes/<id>/`` in a store holds ``probe.json``, the mark, which says ``open`` until the probe is closed, and
``part-1.parquet``, ``part-2.parquet`` and so on. Each is written whole or not at all, so that a process that
is killed leaves every part that it had written. Nothing here imports torch.
"""

from __future__ import annotations

import io
import logging
import math
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from losscope.core.errors import LosscopeError, shown, unknown
from losscope.probe.doctor import Doctor
from losscope.probe.findings import Finding, Subject
from losscope.run.files import Damaged, disk_errors, make_folder, read_bytes, replace_file, sealed, unsealed
from losscope.run.store import Store

LOG = logging.getLogger("losscope.probe")
SECONDS, SHARE = 5.0, 0.01
"""Seconds, and the share of the training so far, that pass between one part and the next."""
MARK = "probe.json"
END = 0.9
"""The share of the steps after which a training is at its end."""
SEED = re.compile(r"(?P<loss>.+)/(?:seed[-_ =]?)?(?P<seed>\d{1,18})")
"""A probe's name that says its seed."""


class Mark(BaseModel):
    """What ``probe.json`` says of a probe.

    Attributes:
        status: ``open`` until it is closed; what was killed stays open.
        every: steps from one look at the batch to the next.
        rank: whose steps these are, where several processes train one model.
        seed: of the training, where it was given.
        started: seconds since 1970.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    name: str
    status: Literal["open", "closed"]
    subject: Subject
    every: int
    rank: str = ""
    seed: int | None = None
    started: float
    losscope: str
    torch: str

    @property
    def title(self) -> str:
        """The name as a line of a log has it: without line ends and control characters."""
        return shown(self.name)[1:-1]

    @property
    def side(self) -> tuple[str, int | None]:
        """What is compared and its seed: given to the probe, or read from a name such as ``triplet/3``."""
        found = SEED.fullmatch(self.name)
        if self.seed is not None or found is None:
            return self.name, self.seed
        return found["loss"], int(found["seed"])


@dataclass(frozen=True)
class Row:
    """One value of one step."""

    step: int
    epoch: int | None
    name: str
    value: float


class Writer:
    """Writes a probe's rows into a store; without a store it keeps them.

    Args:
        out: the store's folder, made where there is none; None to keep the rows in memory.
        mark: what the probe is; its id names the folder.
    """

    def __init__(self, out: str | Path | None, mark: Mark) -> None:
        self.mark = mark
        self.rows: list[Row] = []
        self.folder: Path | None = None
        self._parts, self._process = 0, os.getpid()
        self._refused = False
        self._start = self._last = time.monotonic()
        if out is not None:
            self.folder = Store(out).root / "probes" / mark.id
            with disk_errors(self.folder):
                make_folder(self.folder)
            self._write_mark()

    def due(self) -> bool:
        """Whether it is time for the next part; never without a folder."""
        if self.folder is None:
            return False
        now = time.monotonic()
        return now - self._last >= max(SECONDS, SHARE * (now - self._start))

    def write(self) -> None:
        """Write the rows so far as a part. A process forked off the one that began writes nothing."""
        if self.folder is None or not self.rows or os.getpid() != self._process:
            return
        self._last = time.monotonic()
        if self._tried(f"part-{self._parts + 1}.parquet", _parquet(self.rows)):
            self._parts += 1
            self.rows = []

    def close(self) -> None:
        """Write what is left, and mark the record as closed."""
        self.mark = self.mark.model_copy(update={"status": "closed"})
        if self.folder is not None and os.getpid() == self._process:
            self.write()
            if not self.rows:
                self._tried(MARK, self._marked())

    def _tried(self, file: str, content: bytes) -> bool:
        """Write a file; a disk that refuses it is said once, and ends no training."""
        assert self.folder is not None
        try:
            with disk_errors(self.folder):
                replace_file(self.folder / file, content)
            return True
        except (OSError, LosscopeError) as error:
            if not self._refused:
                LOG.warning(
                    "%s: %s. The training goes on; what was recorded is kept in memory, and writing it is "
                    "tried again until the probe is closed",
                    self.mark.title,
                    error,
                )
            self._refused = True
            return False

    def _write_mark(self) -> None:
        assert self.folder is not None
        with disk_errors(self.folder):
            replace_file(self.folder / MARK, self._marked())

    def _marked(self) -> bytes:
        return sealed({"schema": 2, **self.mark.model_dump(mode="json")})


def identifier(name: str) -> str:
    """A new probe's id: its name, as far as a folder can have it, and eight letters of its own."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')[:40] or 'probe'}-{uuid.uuid4().hex[:8]}"


def _parquet(rows: list[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "step": pa.array([row.step for row in rows], pa.int64()),
            "epoch": pa.array([row.epoch for row in rows], pa.int64()),
            "name": pa.array([row.name for row in rows], pa.string()),
            "value": pa.array([row.value for row in rows], pa.float64()),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


@dataclass(frozen=True)
class ProbeRecord:
    """What a probe recorded, read from its folder.

    Attributes:
        path: the folder; None for the record of a probe that writes none.
        mark: its name, its loss, whether it was closed.
        rows: of every part, in the order of the steps.
    """

    path: Path | None
    mark: Mark
    rows: tuple[Row, ...]

    @property
    def closed(self) -> bool:
        """Whether the probe was closed; an open one still records, or its process was killed."""
        return self.mark.status == "closed"

    @property
    def steps(self) -> int:
        """The last step there is."""
        return max((row.step for row in self.rows), default=0)

    def frame(self) -> Any:
        """The rows as a pandas DataFrame: step, epoch (missing where none was set), name, value."""
        import pandas as pd

        columns = {
            "step": pd.Series([row.step for row in self.rows], dtype="int64"),
            "epoch": pd.Series([row.epoch for row in self.rows], dtype="Int64"),
            "name": pd.Series([row.name for row in self.rows], dtype="str"),
            "value": pd.Series([row.value for row in self.rows], dtype="float64"),
        }
        return pd.DataFrame(columns)

    def curve(self, name: str) -> tuple[list[int], list[float]]:
        """The steps and values of one quantity.

        Raises:
            LosscopeError: nothing of this name was recorded; with the names there are.
        """
        found = [row for row in self.rows if row.name == name]
        if not found:
            raise unknown("quantity", name, {row.name for row in self.rows})
        return [row.step for row in found], [row.value for row in found]

    def endings(self) -> dict[str, float]:
        """Each quantity's mean over the last tenth of the steps; its last value where it has none there.

        Of its finite values: a step without a gradient has no concentration.
        """
        late: dict[str, list[float]] = {}
        last: dict[str, float] = {}
        start = END * self.steps
        for row in self.rows:
            if not math.isfinite(row.value):
                continue
            last[row.name] = row.value
            if row.step > start:
                late.setdefault(row.name, []).append(row.value)
        return last | {name: sum(values) / len(values) for name, values in late.items()}

    def findings(self) -> tuple[Finding, ...]:
        """What the doctor says of these rows: the same as while they were recorded."""
        doctor = Doctor(self.mark.subject)
        for step, values in _by_step(self.rows):
            doctor.see(step, values)
        return tuple(doctor.findings)


def _by_step(rows: tuple[Row, ...]) -> Iterator[tuple[int, Mapping[str, float]]]:
    steps: dict[int, dict[str, float]] = {}
    for row in rows:
        steps.setdefault(row.step, {})[row.name] = row.value
    yield from sorted(steps.items())


def load_probe(folder: str | Path, name: str | None = None) -> ProbeRecord:
    """What a ``losscope.Probe`` recorded, also of a training that still goes on or was killed.

    Args:
        folder: the folder given to ``Probe`` as ``out``, or one probe's folder in it.
        name: which probe, by its name or its id, where there are several; the newest otherwise.

    Raises:
        LosscopeError: a folder without a probe, an unknown name, or a file that is not what was written.

    >>> load_probe("absent")
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: 'absent' holds no probe; give the folder that losscope.Probe was given
    """
    marks = _marks(Path(folder))
    chosen = {place: mark for place, mark in marks.items() if name in (None, mark.name, mark.id)}
    if not chosen:
        raise unknown("probe", name, {mark.name for mark in marks.values()})
    place, mark = max(chosen.items(), key=lambda found: found[1].started)
    return ProbeRecord(place, mark, in_order(read_rows(place)))


def load_probes(folder: str | Path) -> list[ProbeRecord]:
    """All probes of a folder, in the order in which they were started.

    Args:
        folder: as ``load_probe`` takes it, or the folder ``probes`` in it.

    Raises:
        LosscopeError: a folder without a probe, or a file that is not what was written.
    """
    placed = sorted(_marks(Path(folder)).items(), key=lambda found: (found[1].started, found[1].id))
    return [ProbeRecord(place, mark, in_order(read_rows(place))) for place, mark in placed]


def read_rows(place: Path) -> list[Row]:
    """The rows of every part in a probe's folder."""
    numbers = [path.stem.removeprefix("part-") for path in place.glob("part-*.parquet")]
    parts = sorted(int(number) for number in numbers if number.isdecimal())
    return [row for part in parts for row in _read_part(place / f"part-{part}.parquet")]


def in_order(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows by their step; a step whose gradient came late stands where it belongs."""
    return tuple(sorted(rows, key=lambda row: row.step))


def holds_probe(folder: str | Path) -> bool:
    """Whether a folder is a probe's, or a store without a finished study that has one."""
    folder = Path(folder)
    studies = any((folder / "studies").glob("*/study.json"))
    own = (folder / MARK).is_file() or (folder.name == "probes" and any(folder.glob(f"*/{MARK}")))
    return own or (not studies and any((folder / "probes").glob(f"*/{MARK}")))


def _marks(folder: Path) -> dict[Path, Mark]:
    """The probes of a folder, by their own folders; at least one."""
    places = [folder] if (folder / MARK).is_file() else []
    inside = folder if folder.name == "probes" else folder / "probes"
    places += [path.parent for path in sorted(inside.glob(f"*/{MARK}"))]
    if not places:
        raise LosscopeError(f"{str(folder)!r} holds no probe; give the folder that losscope.Probe was given")
    return {place: _read_mark(place) for place in places}


def _read_mark(place: Path) -> Mark:
    file = place / MARK
    try:
        return Mark.model_validate(unsealed(read_bytes(file), repr(str(file))))
    except ValidationError:
        raise Damaged(f"{str(file)!r} is not the mark of a probe") from None


def _read_part(file: Path) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(read_bytes(file)))
        columns = [table.column(name).to_pylist() for name in ("step", "epoch", "name", "value")]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise Damaged(f"{str(file)!r} is damaged: {error}") from None
    return [Row(*values) for values in zip(*columns, strict=True)]
