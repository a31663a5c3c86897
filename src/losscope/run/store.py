"""Where runs are kept: one folder a run, complete or absent.

A record is plain: a specification, final measures, an epoch trace as rows, named arrays, and optionally
weights and test embeddings. A folder is written under a temporary name, synced, and renamed, ``run.json``
last, which holds the SHA-256 of every file; a crash or a power cut leaves nothing half-written, and two
drivers of one store do not harm each other. What was altered since is noticed when it is read. Nothing here
imports torch.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from losscope.core.errors import LosscopeError
from losscope.core.results import Unfinished
from losscope.core.spec import Run
from losscope.run.files import (
    AGAIN,
    Damaged,
    can_be_made,
    digest,
    disk_errors,
    is_litter,
    locked,
    make_folder,
    plain,
    read_bytes,
    replace_file,
    sealed,
    sync_folder,
    temporary,
    unsealed,
    write_bytes,
)
from losscope.run.folders import ATLAS, NAMED
from losscope.run.looks import Look, number
from losscope.run.record import Record, Status, contents
from losscope.run.trace import Trace

SCHEMA = 2
FINAL = ("complete", "diverged")
"""A run with one of these is done for good. One that ``failed``, by the machine's fault, is tried again."""


@dataclass(frozen=True)
class Stored:
    """A run on disk; its parts are read, and checked, when asked for.

    Reading a part raises Damaged (a LosscopeError) where it is not what was written.
    """

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
    def status(self) -> Status:
        """Complete, diverged or failed."""
        return self.head["status"]

    @property
    def failed(self) -> str | None:
        """The reason of a run that diverged or failed, else None."""
        return None if self.status == "complete" else self.head.get("reason") or "unknown reason"

    @property
    def measures(self) -> dict[str, dict[str, float | None]]:
        """split -> name -> value, None where it does not exist."""
        return self.head.get("measures", {})

    @property
    def provenance(self) -> dict[str, Any]:
        """Versions, machine, threads, times."""
        return self.head.get("provenance", {})

    @property
    def sealed(self) -> bool:
        """Whether its files have checksums; those of schema 1 have none."""
        return bool(self.head["schema"] >= 2)

    @property
    def has_trace(self) -> bool:
        """Whether the run has an epoch trace; baselines have none."""
        return self.keeps("trace.parquet")

    def keeps(self, name: str) -> bool:
        """Whether the run has that file."""
        return name in self._files or (not self.sealed and (self.path / name).exists())

    def arrays(self) -> dict[str, np.ndarray]:
        """Per-class and per-query arrays."""
        return self.npz("arrays.npz")

    def embeddings(self) -> dict[str, np.ndarray]:
        """The kept test embeddings and labels; empty if they were not kept."""
        return self.npz("test.npz")

    def trace(self) -> Any:
        """The epoch trace, a pandas frame (split, epoch, name, value): read once, and not to be changed."""
        return self.columns.frame

    @cached_property
    def columns(self) -> Trace:
        """The epoch trace in columns, without pandas."""
        return Trace.read(self.content("trace.parquet"), repr(str(self.path / "trace.parquet")))

    def content(self, name: str) -> bytes:
        """The bytes of one of the run's files, as they were written.

        Raises:
            Damaged: it is gone, or other than what was written.
        """
        content = read_bytes(self.path / name)
        kept = self._files.get(name)
        if kept is not None and (len(content) != kept["bytes"] or digest(content) != kept["sha256"]):
            raise Damaged(f"{str(self.path / name)!r} has been altered since it was written; {AGAIN}")
        return content

    def answers(self, run: Run) -> bool:
        """Whether this is what was stored for that specification."""
        try:
            return Run.model_validate(self.head["spec"]).canonical() == run.canonical()
        except ValidationError:
            return False

    def check(self) -> None:
        """Read every file of the run.

        Raises:
            Damaged: one is gone, or other than what was written.
        """
        for name in self._files:
            self.content(name)

    @property
    def _files(self) -> dict[str, dict[str, Any]]:
        """The run's files with their sizes and checksums; a run of schema 1 has none."""
        return self.head.get("files", {})

    def npz(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of one of the run's files; empty if it has none of that name."""
        if not self.keeps(name):
            return {}
        content = self.content(name)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except Exception as error:  # a damaged file of schema 1, which has no checksum
            raise Damaged(f"{str(self.path / name)!r} is damaged: {error}; {AGAIN}") from None


class Store:
    """A folder of runs: ``runs/<id>/``, beside studies, checkpoints and reports.

    ``create``: make the folder. Without it there must be a store already, unless it may be ``absent``: then
    nothing is made, and what cannot be made one day is refused all the same.

    Raises LosscopeError if the folder cannot be written or was written by a newer losscope.
    """

    def __init__(self, root: str | Path, create: bool = True, absent: bool = False):
        self.root = Path(root)
        mark = self.root / "store.json"
        if not create and not mark.is_file() and not absent:
            raise LosscopeError(
                f"{str(self.root)!r} holds no losscope runs (there is no store.json); give the folder that "
                f"losscope compare wrote with --out"
            )
        with disk_errors(self.root):
            if create:
                make_folder(self.root / "runs")
            elif absent:
                can_be_made(self.root)
            if mark.exists():
                self._check_schema(mark, create)
            elif create:
                self.write_json("store.json", {"schema": SCHEMA})

    @property
    def exists(self) -> bool:
        """Whether the folder is a store on disk."""
        return (self.root / "store.json").is_file()

    def _check_schema(self, mark: Path, create: bool) -> None:
        try:
            found = unsealed(read_bytes(mark), str(mark))
            schema = found.get("schema") if isinstance(found, dict) else None
        except Damaged:
            # It says only which version wrote the store, which each run says too: it is made again.
            schema = SCHEMA
            if create:
                self.write_json("store.json", {"schema": SCHEMA})
        if not isinstance(schema, int) or schema > SCHEMA:
            raise LosscopeError(
                f"the store {str(self.root)!r} has schema {schema}; this losscope reads up to {SCHEMA}: "
                f"upgrade losscope, or choose another folder with --out"
            )
        if schema < SCHEMA and create:
            self.write_json("store.json", {"schema": SCHEMA})

    # Runs

    def has(self, run_id: str) -> bool:
        """Whether a run is done: complete or diverged. One that failed by the machine's fault is not."""
        try:
            return self.get(run_id).status in FINAL
        except Damaged:
            return False

    def get(self, run_id: str) -> Stored:
        """A stored run.

        Raises:
            Damaged: it is not there, or its head is not what was written.
        """
        path = self.root / "runs" / run_id
        head = unsealed(read_bytes(path / "run.json"), repr(str(path / "run.json")))
        if (
            not isinstance(head, dict)
            or head.get("id") != run_id
            or head.get("status") not in ("complete", "diverged", "failed")
            or type(head.get("schema")) is not int
            or not isinstance(head.get("spec"), dict)
        ):
            raise Damaged(f"{str(path / 'run.json')!r} is not the head of the run {run_id}; {AGAIN}")
        return Stored(path, head)

    def add(self, run_id: str, record: Record) -> None:
        """Write a run atomically; one that is done is kept as it is, one that failed is written again."""
        target = self.root / "runs" / run_id
        if self.has(run_id):
            return
        with disk_errors(self.root):
            part = temporary(target)
            try:
                part.mkdir()
                self._fill(part, run_id, record)
                sync_folder(part)
                self.put_in_place(run_id, part)
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def put_in_place(self, run_id: str, folder: Path) -> bool:
        """Rename a whole run's folder into its place, and whether it was; one that is done stays.

        Look and rename are under one lock: what another driver put there in between is judged too.
        """
        target = self.root / "runs" / run_id
        with locked(self.root / "runs"):
            if target.exists():
                self._put_away(run_id)
            with contextlib.suppress(OSError):  # one that is done stays in the way
                os.rename(folder, target)
            sync_folder(target.parent)
        if not target.is_dir():
            raise OSError(errno.EACCES, "the run's folder could not be renamed into place")
        return not folder.exists()

    def _put_away(self, run_id: str, wanted: Run | None = None) -> None:
        """Take a failed run's folder away, and keep a damaged one, or another's, beside the store's runs.

        One that is done and whole stays: another driver may have written it a moment ago. The caller holds
        the lock of the runs, so that this cannot change between the look and the move.
        """
        target = self.root / "runs" / run_id
        try:
            run = self.get(run_id)
            run.check()
            failed = run.status == "failed"
            if not failed and (wanted is None or run.answers(wanted)):
                return
        except Damaged:
            failed = False
        aside = temporary(target)
        if not failed:
            make_folder(self.root / "damaged")
            aside = self.root / "damaged" / f"{run_id}-{time.time_ns()}"
        with contextlib.suppress(FileNotFoundError):  # another driver was quicker
            os.rename(target, aside)
        if failed:
            shutil.rmtree(aside, ignore_errors=True)

    def _fill(self, folder: Path, run_id: str, record: Record) -> None:
        files = {}
        for name, content in contents(record):
            write_bytes(folder / name, content)
            files[name] = {"bytes": len(content), "sha256": digest(content)}
        head = {
            "schema": SCHEMA,
            "id": run_id,
            "status": record.status,
            "reason": record.reason,
            "spec": record.run.model_dump(mode="json"),
            "measures": record.measures,
            "provenance": record.provenance,
            "files": files,
        }
        write_bytes(folder / "run.json", sealed(head))

    def set_damaged_aside(self, wanted: Mapping[str, Run | None], whole: Collection[str] = ()) -> list[str]:
        """Check runs whole, and put altered, cut or emptied ones into ``damaged/``; what was found, in words.

        ``wanted``: what each run is to answer, where that is known: one that answers another question is put
        aside too; ``whole``: runs whose files were read already. A driver calls this before it trains, so
        that what is put aside is run again.
        """
        found = []
        for run_id, run in wanted.items():
            if not (self.root / "runs" / run_id).exists():
                continue
            try:
                stored = self.get(run_id)
                if run_id not in whole:
                    stored.check()
                if run is not None and not stored.answers(run):
                    raise Damaged(f"{str(stored.path / 'run.json')!r} is a run of another specification")
            except Damaged as error:
                with disk_errors(self.root), locked(self.root / "runs"):
                    self._put_away(run_id, run)
                found.append(f"A damaged run was set aside and is run again: {error}.")
        return found

    def sweep(self) -> None:
        """Remove what processes that have ended left half-written."""
        for path in self.litter():
            with contextlib.suppress(OSError):  # a store that can only be read, or another driver was quicker
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def litter(self) -> list[Path]:
        """What processes that have ended left half-written."""
        own = ["runs", "checkpoints", "looks", "damaged", "logs", ATLAS, *(f"{name}/*" for name in NAMED)]
        folders = [self.root, *(path for pattern in own for path in self.root.glob(pattern) if path.is_dir())]
        return [path for folder in folders for path in sorted(folder.iterdir()) if is_litter(path)]

    def runs(self) -> Iterator[Stored]:
        """Every stored run, in the order of its id."""
        yield from map(self.get, sorted(path.parent.name for path in self.root.glob("runs/[!.]*/run.json")))

    def many(self, run_ids: Iterable[str]) -> list[Stored]:
        """The stored runs among these ids, in their order, those that failed too.

        Raises:
            Damaged: one is there and is not what was written.
        """
        return [self.get(run_id) for run_id in run_ids if (self.root / "runs" / run_id).exists()]

    def unfinished(self, run_ids: Iterable[str]) -> Unfinished | None:
        """Those of some runs that the machine or the code stopped, None where there are none."""
        ids = list(dict.fromkeys(run_ids))
        failed = [run.failed for run in self.many(ids) if run.status == "failed"]
        reasons = tuple(dict.fromkeys(reason for reason in failed if reason))
        return Unfinished(failed=len(failed), runs=len(ids), reasons=reasons) if failed else None

    # Other files

    def write_json(self, name: str, value: dict[str, Any]) -> Path:
        """Write a JSON object as a file of the store, atomically and sealed with its checksum."""
        path = self.root / name
        with disk_errors(self.root):
            replace_file(path, sealed(value))
        return path

    def read_json(self, name: str) -> Any:
        """A JSON file of the store, or None where there is none.

        Raises:
            Damaged: it is not what was written.
        """
        path = self.root / name
        return unsealed(read_bytes(path), repr(str(path))) if path.is_file() else None

    def write_text(self, name: str, text: str | bytes) -> Path:
        """Write a file of the store that is no JSON atomically."""
        path = self.root / name
        with disk_errors(self.root):
            replace_file(path, text if isinstance(text, bytes) else text.encode())
        return path

    def checkpoint(self, name: str) -> Path:
        """Where the unfinished state of a group of runs is kept."""
        with disk_errors(self.root):
            make_folder(self.root / "checkpoints")
        return self.root / "checkpoints" / f"{name}.pt"

    def look(self, history: str, look: Look) -> int:
        """Count a look at data: that of the same test before, else one more (docs/definitions.md, "Looks").

        Adding seeds, a loss or a goal after having looked is a further test of the same data.
        """
        with disk_errors(self.root), locked(self.root / "looks"):
            looks = self.looks(history, look.study)
            found = number(looks, look)
            if found > len(looks):
                own = {"seeds": list(look.seeds), "tested": look.digest, "said": look.said}
                looks.append({**own, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
                self.write_json(f"looks/{history}.json", {"schema": SCHEMA, "looks": looks})
        return found

    def looks(self, history: str, study: str = "") -> list[dict[str, Any]]:
        """The looks of a history so far, each with its seeds and time; none is counted.

        ``study``: whose looks, which an earlier version counted by study, are taken into the history.

        Raises:
            Damaged: the file is not what was written.
        """
        found = self.read_json(f"looks/{history}.json")
        looks = found.get("looks") if isinstance(found, dict) else found or []  # a bare list is schema 1's
        if not isinstance(looks, list) or not all(isinstance(x, dict) and "seeds" in x for x in looks):
            raise Damaged(f"'looks/{history}.json' in {str(self.root)!r} is not a list of looks")
        if study and not any(look.get("study") == study for look in looks):
            looks = [*looks, *({**look, "study": study} for look in self.looks(study))]
        return looks

    def take_looks(self, study: str, looks: list[dict[str, Any]]) -> None:
        """Take over the looks that another store counted at a study, where they are more than here."""
        with disk_errors(self.root), locked(self.root / "looks"):
            if len(looks) > len(self.looks(study)):
                self.write_json(f"looks/{study}.json", {"schema": SCHEMA, "looks": looks})

    @contextlib.contextmanager
    def study_lock(self, study: str) -> Iterator[None]:
        """Hold a study's folder while its files are written: two drivers of a study write in turn."""
        with disk_errors(self.root), locked(self.root / "studies" / study):
            yield


__all__ = ["SCHEMA", "Damaged", "Record", "Store", "Stored", "plain"]
