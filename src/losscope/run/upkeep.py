"""Looking after a store: what is altered or missing, what is left over, and runs as one archive for others.

``check`` only reads. ``gc`` removes leftovers and says what it would remove unless it is told to.
``export_runs`` and ``import_runs`` move chosen runs between stores; an archive is checked whole before
anything of it is taken over.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ValidationError

from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.results import StoreCheck, StoreProblem
from losscope.run import logs
from losscope.run.files import (
    Damaged,
    disk_errors,
    locked,
    make_folder,
    read_bytes,
    sync_folder,
    temporary,
    unsealed,
)
from losscope.run.folders import ATLAS, OVER_STUDIES
from losscope.run.looks import history_of
from losscope.run.store import Store

LARGEST = 2**34
"""Bytes that an archive may unpack to."""
MOST_FILES = 2_000_000
CHECKPOINT_AGE = 30 * 86_400.0
"""Seconds after which the unfinished state of a group is a leftover."""


class _Tried(BaseModel):
    runs: tuple[str, ...]


class _Curve(BaseModel):
    points: tuple[_Tried, ...]


class _Loss(BaseModel):
    trials: tuple[_Tried, ...]
    curves: tuple[_Curve, ...] = ()


class _Data(BaseModel):
    digest: str | None = None
    """Of the data, by which looks are counted; an old study may lack it."""


class StudyRuns(BaseModel):
    """The runs that the file of a study names: of its last command, of tuning, only of earlier commands."""

    runs: tuple[str, ...]
    losses: tuple[_Loss, ...] = ()
    forms: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    data: _Data = _Data()

    @classmethod
    def read(cls, store: Store, name: str) -> StudyRuns:
        """Those of a study of a store.

        Raises:
            Damaged: the file is gone, or is not a study's.
        """
        found = store.read_json(f"studies/{name}/study.json")
        try:
            return cls.model_validate(found)
        except ValidationError:
            raise Damaged(
                f"'studies/{name}/study.json' in {str(store.root)!r} is not a study's file"
            ) from None

    @property
    def trials(self) -> tuple[str, ...]:
        """The runs of tuning, and of curves."""
        own = [run_id for loss in self.losses for trial in loss.trials for run_id in trial.runs]
        points = [point for loss in self.losses for curve in loss.curves for point in curve.points]
        own += [run_id for point in points for run_id in point.runs]
        return (*self.forms, *own)


def check(folder: str | Path) -> StoreCheck:
    """Read every file of a store and say what is altered, missing or left over. Changes nothing.

    Raises:
        LosscopeError: the folder is no store, or was written by a newer losscope.
    """
    store = Store(folder, create=False)
    problems: list[StoreProblem] = []
    statuses: Counter[str] = Counter()
    versions: Counter[str] = Counter()
    with _reading(
        store.root / "store.json", "the next command that writes to the store makes it again", problems
    ):
        unsealed(read_bytes(store.root / "store.json"), "'store.json'")
    for path in sorted((store.root / "runs").glob("[!.]*")):
        remedy = "the command that made it runs it again"
        with _reading(path, remedy, problems):
            run = store.get(path.name)
            run.check()
            statuses[run.status] += 1
            versions[str(run.provenance.get("losscope", "unknown"))] += 1
            if not run.sealed:
                statuses["without checksums"] += 1
            run.arrays(), run.embeddings()
    for study in _studies(store):
        problems += _study_problems(store, study)
    for name, remedy in _other_files(store):
        with _reading(store.root / name, remedy, problems):
            store.looks(Path(name).stem) if name.startswith("looks/") else store.read_json(name)
    problems += [
        StoreProblem(place=str(path), what=_left(path), remedy="losscope store gc --yes")
        for path in leftovers(store)
    ]
    return StoreCheck(
        store=str(store.root),
        runs=sum(statuses[name] for name in ("complete", "diverged", "failed")),
        statuses=dict(statuses),
        versions=dict(versions),
        problems=tuple(problems),
    )


def _left(path: Path) -> str:
    """Why a leftover is there."""
    if path.parent.name == "damaged":
        return "a damaged run that was set aside; the command that made it has run it again or will"
    if path.suffix == ".log":
        return f"the log of a run that is not in the store, {CHECKPOINT_AGE / 86_400:.0f} days old"
    if path.suffix == ".pt":
        return f"the unfinished state of runs that nobody went on with for {CHECKPOINT_AGE / 86_400:.0f} days"
    return "left half-written by a process that has ended"


@contextlib.contextmanager
def _reading(place: Path, remedy: str, problems: list[StoreProblem]) -> Iterator[None]:
    try:
        yield
    except LosscopeError as error:
        problems.append(StoreProblem(place=str(place), what=str(error), remedy=remedy))


def _studies(store: Store) -> list[str]:
    return sorted(path.parent.name for path in (store.root / "studies").glob("*/study.json"))


def _other_files(store: Store) -> list[tuple[str, str]]:
    """The JSON files of a store beside its runs and studies' own, each with what mends it."""
    again = "delete it: the next command that needs it makes it again"
    counted = "take it from a copy of the store; if it is deleted, looks are counted from 1 again"
    remedies = {
        "speeds.json": again,
        "studies/*/budget.json": again,
        "studies/*/forces.json": again,
        f"{ATLAS}/*.json": "run losscope atlas --make again with this folder",
        **{f"{folder}/*/*.json": remedy for folder, remedy in OVER_STUDIES.items()},
        "looks/[!.]*.json": counted,
    }
    return [
        (path.relative_to(store.root).as_posix(), remedy)
        for pattern, remedy in remedies.items()
        for path in sorted(store.root.glob(pattern))
    ]


def _study_problems(store: Store, study: str) -> list[StoreProblem]:
    """What a study lacks: its files whole, its runs there and done."""
    problems: list[StoreProblem] = []
    folder = store.root / "studies" / study
    file = folder / "study.toml"
    remedy = f"losscope run {file} --out {store.root}"
    kept = None
    with _reading(folder / "study.json", remedy, problems):
        kept = StudyRuns.read(store, study)
    with _reading(folder / "result.json", remedy, problems):
        store.read_json(f"studies/{study}/result.json")
    if problems or kept is None:
        return problems
    earlier = set(kept.earlier)
    own = {*kept.runs, *kept.trials} - earlier
    before = "the earlier command of this study, with its seeds"
    for ids, whose, how in ((own, "", remedy), (earlier, " of earlier commands", before)):
        missing = sum(not store.has(run_id) for run_id in ids)
        if missing:
            what = f"{missing} of {len(ids)} runs{whose} are missing, damaged or failed"
            problems.append(StoreProblem(place=str(folder), what=what, remedy=how))
    return problems


def leftovers(store: Store) -> list[Path]:
    """What can go: half-written files of ended processes, damaged runs set aside, old checkpoints and logs.

    A checkpoint is named by its group: where the group does not form again, nothing else removes it. A log
    stays as long as its run.
    """
    damaged = store.root / "damaged"
    old = time.time() - CHECKPOINT_AGE
    states = sorted((store.root / "checkpoints").glob("*.pt"))
    states += [
        path
        for path in sorted((store.root / logs.FOLDER).glob("[!.]*.log"))
        if not (store.root / "runs" / path.stem).exists()
    ]
    kept = [path for path in states if path.stat().st_mtime < old]
    return [*store.litter(), *(sorted(damaged.iterdir()) if damaged.is_dir() else ()), *kept]


def gc(folder: str | Path, *, yes: bool = False) -> list[Path]:
    """Remove the leftovers of a store; without ``yes`` only say which they are."""
    store = Store(folder, create=False)
    found = leftovers(store)
    if yes:
        with disk_errors(store.root):
            for path in found:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return found


def export_runs(folder: str | Path, archive: str | Path, studies: Iterable[str] = ()) -> int:
    """Write the runs of some studies, by default of all, and these studies as one zip; how many runs.

    Raises:
        LosscopeError: an unknown study, a damaged run, an archive that cannot be written or is there already.
    """
    store, archive = Store(folder, create=False), Path(archive)
    known, asked = _studies(store), list(studies)
    chosen = asked or known
    for name in chosen:
        if name not in known:
            raise unknown("study", name, known)
    require(not archive.exists(), f"{str(archive)!r} is there already; give a new name for the archive")
    if asked:
        named = [StudyRuns.read(store, name) for name in chosen]
        ids = [run_id for own in named for run_id in (*own.runs, *own.trials, *own.earlier)]
    else:
        ids = [path.name for path in sorted((store.root / "runs").glob("[!.]*"))]
    runs = store.many(dict.fromkeys(ids))
    for run in runs:
        run.check()
    looks = sorted((store.root / "looks").glob("[!.]*.json"))
    if asked:
        kept = {*chosen, *(history_of(digest) for own in named if (digest := own.data.digest))}
        looks = [path for path in looks if path.stem in kept]
    part = temporary(archive)
    with disk_errors(archive.parent):
        try:
            with zipfile.ZipFile(part, "x", zipfile.ZIP_STORED) as file:
                for path in [
                    store.root / "store.json",
                    *(run.path for run in runs),
                    *(store.root / "studies" / name for name in chosen),
                    *looks,
                ]:
                    for member in sorted(path.iterdir()) if path.is_dir() else [path]:
                        if member.is_file() and not member.name.startswith("."):
                            file.write(member, member.relative_to(store.root).as_posix())
            os.replace(part, archive)
        finally:
            part.unlink(missing_ok=True)
    return len(runs)


def import_runs(folder: str | Path, archive: str | Path) -> tuple[int, int]:
    """Take the runs of an archive into a store, which is made where there is none: (taken, there already).

    Studies that the store does not have are taken too. The archive is unpacked beside the store and every run
    checked before the first is moved, so that a bad archive changes nothing.

    Raises:
        LosscopeError: no archive, one with names that lead elsewhere, too large, or with a damaged run.
    """
    store, archive = Store(folder), Path(archive)
    with _folder_beside(store) as beside:
        _unpack(archive, beside)
        try:
            other = Store(beside, create=False)
            for path in sorted((beside / "runs").glob("*")):
                other.get(path.name).check()
            for path in sorted((beside / "studies").glob("*")):
                StudyRuns.read(other, path.name)
            looks = {path.stem: other.looks(path.stem) for path in sorted((beside / "looks").glob("*.json"))}
        except Damaged as error:
            raise LosscopeError(f"the archive {str(archive)!r} is damaged: {error}") from None
        taken = there = 0
        with disk_errors(store.root):
            for path in sorted((beside / "runs").glob("*")):
                sync_folder(path)
                put = store.put_in_place(path.name, path)
                taken, there = taken + put, there + (not put)
            for path in sorted((beside / "studies").glob("*")):
                (path / "report.html").unlink(missing_ok=True)  # a page can hold anything; report makes it
                sync_folder(path)
                _take_study(store, path)
            for name, history in looks.items():
                store.take_looks(name, history)
    return taken, there


def _take_study(store: Store, folder: Path) -> None:
    """Move a study's folder into the store, unless the store has the study."""
    target = store.root / "studies" / folder.name
    make_folder(target.parent)
    with locked(store.root / "studies"):
        if not target.exists():
            with contextlib.suppress(OSError):  # a driver made it this moment
                os.rename(folder, target)
            sync_folder(target.parent)


@contextlib.contextmanager
def _folder_beside(store: Store) -> Iterator[Path]:
    """A folder in the store that is gone afterwards, or swept by the next command after a kill."""
    folder = temporary(store.root / "import")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(archive: Path, target: Path) -> None:
    """Unpack an archive of ours: known folders, plain files, bounded in size."""
    try:
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            size = sum(member.file_size for member in members)
            require(
                size <= LARGEST and len(members) <= MOST_FILES,
                f"the archive {str(archive)!r} unpacks to {size:,} bytes in {len(members):,} files; "
                f"up to {LARGEST:,} bytes and {MOST_FILES:,} files are read",
            )
            for member in members:
                place = PurePosixPath(member.filename)
                good = (
                    place.parts == ("store.json",)
                    or (len(place.parts) == 3 and place.parts[0] in ("runs", "studies"))
                    or (len(place.parts) == 2 and place.parts[0] == "looks" and place.suffix == ".json")
                )
                require(
                    good
                    and not place.is_absolute()
                    and not any(part.startswith(".") for part in place.parts)
                    and "\\" not in member.filename
                    and (member.external_attr >> 28) != 0xA,
                    f"the archive {str(archive)!r} holds {member.filename!r}, "
                    "which losscope store export does not write",
                )
            for member in members:
                path = target / member.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                with file.open(member) as source, open(path, "xb") as sink:
                    left = member.file_size
                    while block := source.read(min(left + 1, 1 << 20)):
                        left -= len(block)
                        require(left >= 0, f"{member.filename!r} in {str(archive)!r} is longer than it says")
                        sink.write(block)
                    sink.flush()
                    os.fsync(sink.fileno())
    except LosscopeError:
        raise
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise LosscopeError(f"cannot read {str(archive)!r} as an archive of runs: {error}") from None
