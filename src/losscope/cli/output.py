"""What commands print: results, sentences, and the progress of long work."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    """The answer in three lines, the table, what to beware of and where the page is; or the JSON object alone.

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
            console.print(f"\nBeware: {caveat.text}", markup=False, highlight=False)
        several = tables.by_data(result)
        if several is not None:
            console.print()
            console.print(several)
        if verbose:
            _print_more(console, result, notes)
        else:
            _offer_more(console, result, notes)
    if result.report_file:
        console.print(f"Page: {result.report_file}", markup=False, highlight=False, soft_wrap=True)


def _print_more(console: Any, result: Result, notes: list[str]) -> None:
    """The tests as a table, what was published, every sentence and every note."""
    from losscope.reporting import tables

    console.print()
    console.print(tables.verdicts(result, sentences=False))
    published = tables.published(result)
    if published is not None:
        console.print(published)
        console.print()
    console.print(tables.recommendation(result))
    for note in notes:
        console.print(note, markup=False, highlight=False, style="dim")
    console.print()


def _offer_more(console: Any, result: Result, notes: list[str]) -> None:
    """One line on what was left out, and how to see it."""
    from losscope.core import wording

    left = ["each test", "what would change the answer"]
    if notes:
        left.append(wording.count(len(notes), "note"))
    where = "with --verbose" + (", or on the page" if result.report_file else "")
    console.print(f"More: {wording.listing(left)} {where}.", markup=False, highlight=False)


def exit_if_unfinished(found: Unfinished | None) -> None:
    """End with exit code 1, and say why, where the machine or the code stopped a run that was needed."""
    if found is not None:
        from losscope.core import wording

        say_aside(f"losscope: {wording.unfinished(found)}")
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
    """Rich progress on standard error: a bar for the population in hand and one for the whole."""

    def __init__(self, quiet: bool):
        self.quiet = quiet

    def __enter__(self) -> tuple[Once | None, Callable[..., None] | None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from losscope.core.saying import Once

        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=self.quiet or not console.is_terminal,
        )
        self.bar.start()
        tasks: dict[str, Any] = {}

        def activity(group: Any, done: int, total: int) -> None:
            if group.name not in tasks:
                seeds = len({run.seed for run in group.runs})
                label = f"{group.runs[0].loss.name}, {seeds} seed{'s' * (seeds > 1)}"
                tasks[group.name] = self.bar.add_task(label, total=total)
            self.bar.update(tasks[group.name], completed=done)

        return (None if self.quiet else Once(say_aside)), activity

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


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
