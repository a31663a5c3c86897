"""``losscope reproduce shortcuts``: its studies, what is trained once more, and the document of rows."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from losscope import __version__
from losscope.atlases.declared import LOSSES
from losscope.comparing import foreseeing, running
from losscope.comparing.planning import DEFAULT_OUT
from losscope.core import registry
from losscope.core.commands import said as in_words
from losscope.core.errors import require, unknown
from losscope.core.loss_spec import split_losses
from losscope.core.results import ShortcutData, ShortcutRow, Shortcuts, ShortcutsPlan
from losscope.core.spec import Study
from losscope.core.wording import listing
from losscope.core.wording import shortcuts as wording
from losscope.papers.shortcuts import counting, dropping, looking
from losscope.papers.shortcuts.subjects import (
    FEWEST,
    MEASURES,
    Subject,
    differences,
    place_of,
    stored,
    subject_of,
)
from losscope.run.store import Store

NAME = "shortcuts"
KEPT = Path(__file__).with_name("shortcuts.json")
"""Measured by ``losscope reproduce shortcuts``; the file names its command."""
DATA = ("synthetic", "digits")
CELLS = tuple((order, size) for order in dropping.ORDERS for size in dropping.BATCHES)
Say = Callable[[str], None]


def kept() -> Shortcuts:
    """The numbers that come with the package.

    >>> kept().kind
    'shortcuts'
    """
    return Shortcuts.from_json(KEPT.read_text(encoding="utf-8"), KEPT.name)


def studies(
    only: Sequence[str],
    losses: Sequence[str],
    *,
    seeds: int,
    out: str | Path | None,
    data_root: str | None,
    engine: str,
    device: str,
) -> list[Study]:
    """One ordinary study of each data set, its losses tuned where its protocol tunes them.

    Raises:
        LosscopeError: too few seeds or losses, unknown data or loss.
    """
    require(
        seeds >= FEWEST,
        f"{wording.seeds(seeds)} cannot tell two losses apart; wanted: --seeds {FEWEST} or more",
    )
    names = split_losses(",".join(losses)) if losses else list(LOSSES)
    require(len(set(names)) > 1, "a difference is between two losses; wanted: two different --losses or more")
    known = registry.entries("data")
    for data in only:
        if data not in known and not Path(data).exists():
            raise unknown("data set", data, known)
    made = []
    for data in dict.fromkeys(only or DATA):
        study = Study(
            data=data,
            losses=names,
            seeds=seeds,
            data_root=data_root,
            out=None if out is None else str(out),
            engine=engine,
            device=device,
        )
        made.append(study)
    return made


def foresee(made: Sequence[Study], say: Say | None = None) -> ShortcutsPlan:
    """What studies and the passes over their epochs will cost; nothing is written."""
    plans = [foreseeing.foresee(study, say) for study in made]
    found = [subject for study in made for subject in _finished(study)]
    sides = [runs for subject in found for runs in subject.sides[subject.best].values()]
    store = Path(made[0].out or DEFAULT_OUT)
    done = [runs for runs in sides if (store / place_of(runs)).is_file()]
    absent = len(made) - len(found)
    again = sum(map(len, sides)) + absent * len(made[0].losses) * made[0].seeds
    left = again - sum(map(len, done))
    return ShortcutsPlan(
        data=tuple(study.data for study in made),
        losses=tuple(made[0].losses),
        seeds=made[0].seeds,
        studies=tuple(plans),
        again=again,
        again_left=left,
        said=wording.price([study.data for study in made], plans, left),
    )


def _finished(study: Study) -> Iterator[Subject]:
    """The subject of a study that its store holds whole; nothing trains and nothing is written."""
    plan = foreseeing.ready(study, dry=True)
    if (plan.store.root / "studies" / plan.name / "study.json").is_file():
        subject = subject_of(plan.store, plan.name, 1)
        if len(subject.seeds) >= study.seeds:
            yield subject


def measure(made: Sequence[Study], say: Say | None = None) -> Shortcuts:
    """Run the studies, what is stored excepted, and measure what every shortcut does to them.

    Raises:
        LosscopeError: whatever stops a study.
    """
    subjects = []
    for study in made:  # a mistake in the last of them shows before the first trains
        foreseeing.ready(study, dry=True)
    for study in made:
        if say:
            say(wording.studied(study.data, study.losses, study.seeds))
        result = running.run(study, say=None)
        assert result.store is not None and result.study is not None
        subjects.append(subject_of(Store(result.store, create=False), result.study))
    first = made[0]
    words = ["losscope", "reproduce", NAME, "--only", ",".join(study.data for study in made)]
    words += ["--losses", ",".join(first.losses), "--seeds", str(first.seeds)]
    return of_subjects(subjects, words, out=first.out, data_root=first.data_root, say=say)


def of_stores(
    folders: Sequence[str | Path],
    *,
    only: Sequence[str] = (),
    out: str | Path | None = None,
    data_root: str | None = None,
    say: Say | None = None,
) -> Shortcuts:
    """The same of finished studies, which are read from their stores.

    Raises:
        LosscopeError: a folder without a finished study, or none that shortcuts can be tried on.
    """
    subjects: list[Subject] = []
    for folder in folders:
        found, notes = stored(folder, only)
        subjects += found
        if say:
            for note in notes:
                say(note)
    absent = [name for name in only if not any(own.called(name) for own in subjects)]
    require(
        bool(subjects) and not absent,
        "no study of these stores can be used; wanted: a study of two losses or more at "
        f"{FEWEST} seeds or more" + (f", on {listing(absent)}" if absent else ""),
    )
    words = ["losscope", "reproduce", NAME]
    for folder in folders:
        words += ["--from", str(folder)]
    words += ["--only", ",".join(only)] if only else []
    return of_subjects(_named_apart(subjects, say), words, out=out, data_root=data_root, say=say)


def _named_apart(subjects: Sequence[Subject], say: Say | None) -> list[Subject]:
    """One subject for each data set: of several studies that of most losses, then of most seeds."""
    best: dict[str, Subject] = {}
    for subject in sorted(subjects, key=lambda own: (len(own.losses), len(own.seeds)), reverse=True):
        used = best.setdefault(subject.name, subject)
        if used is not subject and say:
            say(wording.passed_over(subject.kept.name, wording.other_study(subject.name, used.kept.name)))
    return [own for own in subjects if best[own.name] is own]


def of_subjects(
    subjects: Sequence[Subject],
    words: Sequence[str],
    *,
    out: str | Path | None,
    data_root: str | None,
    say: Say | None = None,
) -> Shortcuts:
    """The document of all rows of some studies, written to ``shortcuts.json`` in the folder ``out``."""
    store = Store(out or DEFAULT_OUT)
    rows: list[ShortcutRow] = []
    data = []
    for subject in subjects:
        if say:
            say(wording.following(subject.name, len(subject.losses)))
        found, notes = of_subject(subject, store, data_root)
        rows += found
        data.append(
            ShortcutData(
                name=subject.name,
                described=subject.kept.data.described,
                losses=subject.losses,
                seeds=len(subject.seeds),
                tuned=subject.tuned,
                notes=tuple(notes),
            )
        )
    rows += counting.over_data(subjects)
    made = Shortcuts(
        command=in_words(words),
        data=tuple(data),
        rows=tuple(rows),
        said=wording.sentences(data, rows),
        losscope=__version__,
        machine=f"{platform.system()} {platform.machine()}",
    )
    store.write_text("shortcuts.json", in_lines(made))
    return made


def in_lines(found: Shortcuts) -> str:
    """The document as the text of a file, one row a line, without what is None."""
    fields = found.model_dump(mode="json", exclude_none=True)
    rows = ",\n".join(f" {json.dumps(row, ensure_ascii=False)}" for row in fields.pop("rows"))
    head = json.dumps(fields, indent=1, ensure_ascii=False).removesuffix("\n}")
    return f'{head},\n "rows": [\n{rows}\n]\n}}\n'


def of_subject(subject: Subject, store: Store, data_root: str | None) -> tuple[list[ShortcutRow], list[str]]:
    """All rows of one study, and a sentence for what could not be measured."""
    rows: list[ShortcutRow] = []
    notes = [wording.left_out(loss) for loss in subject.left_out]
    courses, why = looking.courses(subject, store, data_root)
    if why is None:
        notes += [wording.diverged(loss) for loss, own in courses.items() if not own.whole]
        for shift in counting.epochs(subject, courses):
            rows += counting.rows_of(shift)
    else:
        notes.append(wording.no_epochs(why))
    found = {loss: dropping.dropped(runs, CELLS, store) for loss, runs in subject.sides[subject.best].items()}
    whole = {loss: own for loss, own in found.items() if own is not None}
    if len(whole) == len(found):
        without = list(counting.last_batches(subject, whole))
        rows += without
        notes += [] if without else [wording.whole_batches(dropping.BATCHES)]
    else:
        notes.append(wording.NO_BATCHES)
    if subject.tuned:
        rows += counting.usual_numbers(subject)
    for measure in MEASURES:
        for numbers in subject.sides:
            values = subject.values(numbers, measure)
            rows += counting.few_seeds(subject.name, measure, numbers, differences(values))
    return rows, notes
