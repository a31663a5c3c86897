"""Where runs are kept: one folder a run, complete or absent.

A record is plain: a specification, final measures, an epoch trace as rows, named arrays, and optionally
weights and test embeddings. A folder is written under a temporary name and renamed, so that a crash
leaves nothing half-written and two drivers of one store do not harm each other. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from losscope.core.errors import LosscopeError
from losscope.core.spec import Run

SCHEMA = 1
TRACE_COLUMNS = ("split", "epoch", "name", "value")


@dataclass
class Record:
    """What one run yields.

    ``measures``: split -> name -> number, NaN where a value does not exist. ``trace``: rows
    (split, epoch, name, value). ``arrays``: name -> array, one entry a class, query or epoch. ``weights``: the
    trained parameters, ``epochs`` those after every epoch, (E, *shape).
    """

    run: Run
    status: str = "complete"
    reason: str | None = None
    measures: dict[str, dict[str, float]] = field(default_factory=dict)
    trace: list[tuple[str, int, str, float]] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    weights: dict[str, np.ndarray] | None = None
    epochs: dict[str, np.ndarray] | None = None
    embeddings: dict[str, np.ndarray] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)


def plain(value: Any) -> Any:
    """The value with every non-finite number as None, and numpy numbers as Python's: what JSON can hold."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextlib.contextmanager
def _disk_errors(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why = "the disk is full; free some space and run the same command again, it goes on from here"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            why = f"it cannot be written ({error.strerror}); choose another folder with --out"
        else:
            raise
        raise LosscopeError(f"folder {str(place)!r}: {why}") from None


@dataclass(frozen=True)
class Stored:
    """A run on disk; its parts are read when asked for."""

    path: Path
    head: dict[str, Any]

    @property
    def id(self) -> str:
        """The run's id."""
        return self.head["id"]

    @cached_property
    def run(self) -> Run:
        """The specification that was run."""
        return Run(**self.head["spec"])

    @property
    def failed(self) -> str | None:
        """The reason of a failed run, else None."""
        return None if self.head["status"] == "complete" else self.head.get("reason") or "unknown reason"

    @property
    def measures(self) -> dict[str, dict[str, float | None]]:
        """split -> name -> value, None where it does not exist."""
        return self.head.get("measures", {})

    @property
    def provenance(self) -> dict[str, Any]:
        """Versions, machine, threads, times."""
        return self.head.get("provenance", {})

    def arrays(self) -> dict[str, np.ndarray]:
        """Per-class and per-query arrays."""
        return _load_npz(self.path / "arrays.npz")

    def embeddings(self) -> dict[str, np.ndarray]:
        """The kept test embeddings and labels; empty if they were not kept."""
        return _load_npz(self.path / "test.npz")

    def trace(self) -> Any:
        """The epoch trace as a pandas frame with columns split, epoch, name, value."""
        import pandas as pd

        return pd.read_parquet(self.path / "trace.parquet")


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


class Store:
    """A folder of runs: ``runs/<id>/``, beside studies, checkpoints and reports.

    Raises LosscopeError if the folder cannot be written or was written by a newer losscope.
    """

    def __init__(self, root: str | Path, create: bool = True):
        self.root = Path(root)
        mark = self.root / "store.json"
        if not create and not mark.is_file():
            raise LosscopeError(
                f"{str(self.root)!r} holds no losscope runs (there is no store.json); give the folder that "
                f"losscope compare wrote with --out"
            )
        with _disk_errors(self.root):
            if create:
                (self.root / "runs").mkdir(parents=True, exist_ok=True)
            if mark.exists():
                schema = _read_json(mark).get("schema")
                if not isinstance(schema, int) or schema > SCHEMA:
                    raise LosscopeError(
                        f"the store {str(self.root)!r} has schema {schema}; this losscope reads up to {SCHEMA}: "
                        f"upgrade losscope, or choose another folder with --out"
                    )
            elif create:
                self.write_json("store.json", {"schema": SCHEMA})

    # Runs

    def has(self, run_id: str) -> bool:
        """Whether a run is stored, complete or failed."""
        return (self.root / "runs" / run_id / "run.json").is_file()

    def get(self, run_id: str) -> Stored:
        """A stored run."""
        path = self.root / "runs" / run_id
        return Stored(path, _read_json(path / "run.json"))

    def add(self, run_id: str, record: Record) -> None:
        """Write a run atomically; a run that is already there is kept as it is."""
        target = self.root / "runs" / run_id
        if self.has(run_id):
            return
        with _disk_errors(self.root):
            temporary = Path(tempfile.mkdtemp(prefix=f".{run_id}-", dir=self.root / "runs"))
            try:
                self._fill(temporary, run_id, record)
                with contextlib.suppress(OSError):
                    os.rename(temporary, target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            if not self.has(run_id):
                raise OSError(errno.EACCES, "the run's folder could not be renamed into place")

    def _fill(self, folder: Path, run_id: str, record: Record) -> None:
        if record.trace:
            import pyarrow as pa
            from pyarrow import parquet

            columns = dict(zip(TRACE_COLUMNS, zip(*record.trace, strict=True), strict=True))
            types = (pa.string(), pa.int32(), pa.string(), pa.float64())
            table = pa.table(columns, schema=pa.schema(zip(TRACE_COLUMNS, types, strict=True)))
            parquet.write_table(table, folder / "trace.parquet")
        if record.arrays:
            np.savez_compressed(folder / "arrays.npz", **record.arrays)  # type: ignore[arg-type]
        if record.embeddings is not None:
            np.savez(folder / "test.npz", **record.embeddings)  # type: ignore[arg-type]
        for name, tensors in (("model", record.weights), ("epochs", record.epochs)):
            if tensors is not None:
                from safetensors.numpy import save_file

                save_file(tensors, folder / f"{name}.safetensors")
        head = {
            "schema": SCHEMA,
            "id": run_id,
            "status": record.status,
            "reason": record.reason,
            "spec": record.run.model_dump(mode="json"),
            "measures": record.measures,
            "provenance": record.provenance,
        }
        _write_json(folder / "run.json", head)

    def discard(self, run_id: str) -> None:
        """Forget a run, so that it is run again (``--retry-failed``)."""
        shutil.rmtree(self.root / "runs" / run_id, ignore_errors=True)

    def runs(self) -> Iterator[Stored]:
        """Every stored run, in the order of its id."""
        for path in sorted((self.root / "runs").glob("[!.]*/run.json")):
            yield Stored(path.parent, _read_json(path))

    def many(self, run_ids: Iterable[str]) -> list[Stored]:
        """The stored runs among these ids, in their order."""
        return [self.get(run_id) for run_id in run_ids if self.has(run_id)]

    # Other files

    def write_json(self, name: str, value: Any) -> Path:
        """Write a JSON file of the store atomically."""
        path = self.root / name
        with _disk_errors(self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
            _write_json(temporary, value)
            os.replace(temporary, path)
        return path

    def read_json(self, name: str) -> Any:
        """A JSON file of the store, or None."""
        path = self.root / name
        return _read_json(path) if path.is_file() else None

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file of the store atomically."""
        path = self.root / name
        with _disk_errors(self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, path)
        return path

    def checkpoint(self, name: str) -> Path:
        """Where the unfinished state of a group of runs is kept."""
        with _disk_errors(self.root):
            (self.root / "checkpoints").mkdir(exist_ok=True)
        return self.root / "checkpoints" / f"{name}.pt"

    def look(self, study: str, seeds: list[int]) -> int:
        """Count a look at a study's results: 1 at first, one more each time the set of seeds changes.

        Adding seeds after having looked is a further test of the same hypothesis (DEFINITIONS 7).
        """
        looks = self.read_json(f"looks/{study}.json") or []
        if not looks or looks[-1]["seeds"] != seeds:
            looks.append({"seeds": seeds, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
            self.write_json(f"looks/{study}.json", looks)
        return len(looks)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LosscopeError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LosscopeError(
            f"{str(path)!r} is not valid JSON ({error}); delete its folder to run it again"
        ) from None


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
