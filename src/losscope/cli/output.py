"""What commands print: results, sentences, and the progress of long work."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from losscope.core.results import Result, StudyPlan, Unfinished
    from losscope.core.saying import Once


def print_plan(planned: StudyPlan) -> None:
    """What a study would cost and could show."""
    from losscope.core import wording
    from losscope.core.saying import Once

    say = Once(put)
    for text in (planned.data, *planned.notes, wording.study_plan(planned), planned.sentence):
        say(text)


def print_result(result: Result, json: bool, said: Once | None = None, verbose: bool = False) -> None:
    """The answer in three lines, the table, what to beware of and where the page is; or the JSON alone.

    ``verbose``: the tests and every sentence too. Notes that the command ``said`` before are not repeated.
    """
    if json:
        print(result.json())
        return
    from losscope.core import wording
    from losscope.reporting import tables

    console = terminal()
    notes = [note for note in dict.fromkeys(result.notes) if said is None or not said.knows(note)]
    with wording.modalities(result.data.modalities):
        for line in tables.answer(result):
            console.print(line, soft_wrap=line.plain.startswith("Next:"))
        console.print()
        console.print(tables.summary(result, console.width))
        caveat = wording.headline(result).caveat
        if caveat is not None:
            notes = [note for note in notes if note != caveat.text]
            console.print(f"\nBeware: {caveat.text}", markup=False, highlight=False)
        for sentence in wording.outside(result.losses):
            console.print(f"Numbers: {sentence}", markup=False, highlight=False)
        several = tables.by_data(result)
        if several is not None:
            console.print()
            console.print(several)
        if verbose:
            _print_more(console, result, notes)
        else:
            # How data were read is said unasked, and in a pipe unbroken: notes hold commands to copy.
            for note in notes:
                console.print(
                    f"Note: {note}", markup=False, highlight=False, soft_wrap=not console.is_terminal
                )
            _offer_more(console, result)
    if result.report_file:
        console.print(f"Page: {result.report_file}", markup=False, highlight=False, soft_wrap=True)


def _print_more(console: Any, result: Result, notes: list[str]) -> None:
    """The tests as a table, what was published, every sentence and every note."""
    from losscope.core import wording
    from losscope.reporting import tables

    console.print()
    console.print(tables.verdicts(result, sentences=False))
    published = tables.published(result)
    if published is not None:
        console.print(published)
        console.print()
    for side in result.losses:
        for found in side.curves:
            console.print(f"{side.name}: {wording.curve(found)}.", markup=False, highlight=False)
    if any(side.curves for side in result.losses):
        console.print()
    console.print(tables.recommendation(result))
    for note in notes:
        console.print(note, markup=False, highlight=False, style="dim")
    console.print()


def _offer_more(console: Any, result: Result) -> None:
    """One line on what was left out, and how to see it."""
    where = "with --verbose" + (", or on the page" if result.report_file else "")
    console.print(f"More: each test and what would change the answer {where}.", markup=False, highlight=False)


def exit_if_unfinished(found: Unfinished | None, store: str | None) -> None:
    """End with exit code 1, and say why, where the machine or the code stopped a run that was needed."""
    if found is not None:
        from losscope.core import wording

        logs = None if store is None else os.path.join(store, "logs")
        say_aside(f"losscope: {wording.unfinished(found, logs)}")
        sys.exit(1)


def refuse_unwritable(path: Path | None) -> None:
    """Refuse a file that cannot be written before the work is done whose result it is to hold.

    Raises:
        LosscopeError: it is a folder, or it or its folder cannot be made.
    """
    if path is None:
        return
    from losscope.core.errors import LosscopeError

    missing = [folder for folder in path.parents if not os.path.lexists(folder)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with open(path, "ab"):
            pass
        if new:
            path.unlink()
        for folder in missing:  # whoever writes makes them again: what is refused next leaves nothing
            folder.rmdir()
    except OSError as error:
        why = "its folder is a file" if isinstance(error, FileExistsError) else error.strerror
        raise LosscopeError(f"cannot write the file {str(path)!r}: {why}; give another file") from None


def terminal() -> Any:
    """Rich on standard output, 100 columns wide where it is no terminal and none are asked for.

    Names steer nothing.
    """
    from rich.console import Console
    from rich.segment import Segment

    from losscope.core.wording import printable

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # the reader has seen enough: no fault, as main says

        def print(self, *given: Any, **words: Any) -> None:
            # The marks of control characters are longer than these, and nothing is cut off for them.
            super().print(*given, **{"crop": False, **words})

        def render(self, *given: Any, **words: Any) -> Any:
            for text, style, control in super().render(*given, **words):
                yield Segment(text if control else printable(text), style, control)

    asked = os.environ.get("COLUMNS", "")
    given = max(int(asked), 20) if asked.isdecimal() and len(asked) < 5 and int(asked) else None
    return Plain(width=given or (None if sys.stdout.isatty() else 100))


def put(text: object) -> None:
    """A text on standard output; control characters of names in it are visible marks."""
    from losscope.core.wording import printable

    print(printable(text))


def say_aside(text: str) -> None:
    """A sentence for a person, on standard error; control characters of names in it are visible marks."""
    from losscope.core.wording import printable

    print(printable(text), file=sys.stderr)


class Activity:
    """One line of progress for a whole study on standard error: runs done, of how many, and the time left.

    On a terminal a bar; elsewhere a line now and then.
    """

    EVERY = 30.0
    """Seconds between two lines where standard error is no terminal."""

    def __init__(self, quiet: bool):
        self.quiet = quiet
        self.expected: dict[str, float] = {"trial": 0.0, "final": 0.0}
        self.runs = {"trial": 0, "final": 0}
        self.done: dict[str, tuple[str, float, int]] = {}
        self.started = self.told = time.monotonic()

    def __enter__(self) -> Activity:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True)
        self.bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=self.quiet or not console.is_terminal,
        )
        self.bar.start()
        self.task = self.bar.add_task("", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    @property
    def say(self) -> Once | None:
        """What hands sentences to a person, each once; None where nothing is to be said."""
        from losscope.core.saying import Once

        return None if self.quiet else Once(say_aside)

    def expect(self, groups: Sequence[Any]) -> None:
        """All groups that are to be trained."""
        for group in groups:
            self.expected[_purpose(group)] += _weight(group)
            self.runs[_purpose(group)] += len(group.runs)

    def activity(self, group: Any, done: int, total: int) -> None:
        """One report of a group under way: epochs done, of how many."""
        from losscope.core import wording

        share = done / total if total else 1.0
        self.done[group.name] = _purpose(group), _weight(group) * share, len(group.runs) if share >= 1 else 0
        work, whole, runs, every = self._sums()
        now = time.monotonic()
        spent = now - self.started
        left = spent * (whole - work) / work if work > 0 and spent > 2 else None
        text = wording.runs_left(runs, every, left)
        self.bar.update(self.task, completed=work, total=whole, description=text)
        if self.bar.disable and not self.quiet and now - self.told > self.EVERY:
            self.told = now
            say_aside(f"{text}.")

    def _sums(self) -> tuple[float, float, int, int]:
        """Work done and in all, runs done and in all; tuning that is over is no longer expected."""
        work, runs = {"trial": 0.0, "final": 0.0}, {"trial": 0, "final": 0}
        for purpose, own, count in self.done.values():
            work[purpose] += own
            runs[purpose] += count
        over = any(purpose == "final" for purpose, _, _ in self.done.values())
        whole = sum(
            work[kind] if over and kind == "trial" else max(self.expected[kind], work[kind]) for kind in work
        )
        every = sum(
            runs[kind] if over and kind == "trial" else max(self.runs[kind], runs[kind]) for kind in runs
        )
        return sum(work.values()), whole, sum(runs.values()), every


def _purpose(group: Any) -> str:
    return "trial" if group.runs[0].purpose == "trial" else "final"


def _weight(group: Any) -> float:
    """What a group costs, beside others: a population trains at once, what stands alone run by run."""
    run = group.runs[0]
    epochs = 1 if run.loss.baseline else run.protocol.epochs
    return float(epochs * (1 + 0.25 * len(group.runs) if group.stacks else len(group.runs)))


@contextlib.contextmanager
def row_progress(quiet: bool, what: str = "features") -> Iterator[Callable[[int, int], None] | None]:
    """A bar of rows on standard error, made at the first call: most calls find everything in the cache."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task: Any = None

        def progress(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                task = bar.add_task("", total=total, completed=done)
            bar.update(task, completed=done)

        yield progress


@contextlib.contextmanager
def work_progress(quiet: bool) -> Iterator[Callable[[float, float, str], None] | None]:
    """A bar of work on standard error, in seconds of one core, with the time left."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)
