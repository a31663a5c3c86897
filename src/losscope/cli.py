"""The command line: parsing, progress and printing only. What a command does is in ``losscope.study``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Group, Parameter

from losscope import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from losscope.study import Result

app = App(
    name="losscope",
    version=__version__,
    help="Which metric-learning loss should I use on my data, and what does it do to my embeddings and gradients?\n\n"
    "Start with `losscope compare`: it trains contrastive and triplet loss on handwritten digits, ten paired seeds "
    "each, and writes a page. Then `losscope compare features.npz` for your own.",
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)
app.register_install_completion_command()

DATA = Group("Data", sort_key=1)
TRAIN = Group("Training", sort_key=2)
ANSWER = Group("Answer", sort_key=3)
OUTPUT = Group("Output", sort_key=4)

Losses = Annotated[
    list[str] | None, Parameter(name="--losses", consume_multiple=True, negative="", group=TRAIN)
]
Json = Annotated[bool, Parameter(name="--json", negative="", group=OUTPUT)]
Out = Annotated[Path | None, Parameter(name="--out", group=OUTPUT)]


@app.command
def compare(
    data: str = "digits",
    *,
    losses: Losses = None,
    seeds: Annotated[int, Parameter(group=TRAIN)] = 10,
    protocol: Annotated[str, Parameter(group=TRAIN)] = "matched",
    epochs: Annotated[int | None, Parameter(group=TRAIN)] = None,
    batch_size: Annotated[int | None, Parameter(group=TRAIN)] = None,
    tuples: Annotated[str | None, Parameter(group=TRAIN)] = None,
    device: Annotated[str, Parameter(group=TRAIN)] = "auto",
    engine: Annotated[Literal["here", "processes", "dask"], Parameter(group=TRAIN)] = "here",
    plugin: Annotated[list[str] | None, Parameter(group=TRAIN, negative="")] = None,
    data_root: Annotated[str | None, Parameter(group=DATA, env_var="LOSSCOPE_DATA")] = None,
    option: Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="", group=DATA)] = None,
    label_noise: Annotated[float | None, Parameter(group=DATA)] = None,
    goal: Annotated[str, Parameter(group=ANSWER)] = "retrieval",
    reference: Annotated[str | None, Parameter(group=ANSWER)] = None,
    tune: Annotated[bool | None, Parameter(negative="--no-tune", group=TRAIN)] = None,
    dry_run: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    out: Out = None,
    keep: Annotated[Literal["none", "last", "all"], Parameter(group=OUTPUT)] = "last",
    json: Json = False,
) -> None:
    """Train losses side by side over paired seeds, measure them, and say which is better at what.

    Interrupted (Ctrl-C, kill), the same command goes on where it was. Everything is kept in --out.

    Examples:

    `losscope compare` - digits, contrastive and triplet, about a minute

    `losscope compare synthetic --protocol paper --seeds 10 --json` - the paper's own experiment

    `losscope compare features.npz --losses 'triplet(margin=0.2),contrastive' --goal detail`

    Parameters
    ----------
    data
        A name (see `losscope list data`) or a path: features.npz, table.parquet, a folder of class folders.
    losses
        Losses with optional hyperparameters, separated by commas: 'triplet(margin=0.2),contrastive'.
    seeds
        Paired seeds; the first look at one pair of losses beside two baselines needs 9.
    protocol
        matched (the fair one) or paper (as the paper's own code does it).
    epochs
        Epochs for every loss, instead of the protocol's.
    batch_size
        Anchors a batch, instead of the protocol's.
    tuples
        all, random, hard, semihard or distance_weighted, instead of the protocol's.
    device
        auto, cpu or cuda.
    engine
        Where groups of runs go: here, in processes, or on a Dask cluster.
    plugin
        A Python file that registers losses, data sets or measures of your own.
    data_root
        Folder with data sets in their original layouts.
    option
        An option of the data set, as key=value; may be given several times.
    label_noise
        Share of training labels redrawn at random.
    goal
        retrieval, verification, classification, detail or compactness: which measure decides.
    reference
        The loss that the others are compared with; contrastive if it is among them.
    tune
        Tune each loss alike on validation first; by default under matched, except for images.
    dry_run
        Say what it would cost and what it could show, and stop.
    out
        The folder that runs and pages are kept in (losscope-runs).
    keep
        Keep trained weights and test embeddings: none, last or all.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.spec import Study

    options: dict[str, Any] = dict(_option(text) for text in option or [])
    if label_noise is not None:
        options["label_noise"] = label_noise
    study = Study.of(
        data=data, losses=losses, seeds=seeds, protocol=protocol, epochs=epochs, batch_size=batch_size,
        tuples=tuples, device=device, engine=engine, plugins=plugin, data_root=data_root, options=options,
        goal=goal, reference=reference, tune=tune, out=None if out is None else str(out), keep=keep,
    )  # fmt: skip
    _study(study, json=json, dry_run=dry_run)


@app.command(name="run")
def run_file(
    study: Path,
    *,
    out: Out = None,
    data_root: Annotated[str | None, Parameter(group=DATA, env_var="LOSSCOPE_DATA")] = None,
    dry_run: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    json: Json = False,
) -> None:
    """Run a study from a TOML file; interrupted, the same command goes on where it was.

    Parameters
    ----------
    study
        A TOML file with the options of `compare` as keys: data, losses, seeds, protocol, goal, …
    out
        The folder that runs and pages are kept in, instead of the file's.
    data_root
        Folder with data sets in their original layouts, unless the file says.
    dry_run
        Say what it would cost and what it could show, and stop.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.spec import Study

    read = Study.read(study)
    changes: dict[str, Any] = {} if out is None else {"out": str(out)}
    if data_root is not None and read.data_root is None:
        changes["data_root"] = data_root
    _study(read.model_copy(update=changes), json=json, dry_run=dry_run)


@app.command
def judge(
    runs: str,
    *,
    goal: Annotated[str, Parameter(group=ANSWER)] = "retrieval",
    measure: Annotated[str | None, Parameter(group=ANSWER)] = None,
    reference: Annotated[str | None, Parameter(group=ANSWER)] = None,
    unpaired: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    look: Annotated[int, Parameter(group=ANSWER)] = 1,
    untuned: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    declare: Annotated[list[str] | None, Parameter(group=ANSWER, negative="")] = None,
    report: Annotated[Path | None, Parameter(name="--report", group=OUTPUT)] = None,
    json: Json = False,
) -> None:
    """Give the same verdicts, table and page on anyone's runs, without training anything.

    Examples:

    `losscope judge scores.csv` - columns loss, seed, measure, value

    `losscope judge 'runs/{loss}/{seed}.npz' --report page.html` - arrays embeddings and labels

    Parameters
    ----------
    runs
        A CSV or Parquet table of scores, or a pattern of npz files with {loss} and {seed}.
    goal
        retrieval, verification, classification, detail or compactness: which measure decides.
    measure
        The measure that decides, instead of the goal's.
    reference
        The loss that the others are compared with; contrastive if it is among them.
    unpaired
        The seeds of one loss have nothing to do with another's.
    look
        The how-manieth look at these runs this is; each further one is tested more strictly.
    untuned
        Say in every sentence that the losses were not tuned.
    declare
        A measure of your own as name:better[:scale[:indifference]], such as accuracy:higher.
    report
        Write the HTML page to this file.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.study.judging import judge as judge_runs

    result = judge_runs(
        runs, goal=goal, measure=measure, reference=reference, unpaired=unpaired, look=look, tuned=not untuned,
        declare=declare or (), say=None if json else _say,
    )  # fmt: skip
    if report is not None:
        result.data["report"] = str(result.report(report))
    _print(result, json)


@app.command
def report(
    folder: Path,
    *,
    study: Annotated[str | None, Parameter(group=OUTPUT)] = None,
    format: Annotated[Literal["html", "md", "latex", "csv"], Parameter(group=OUTPUT)] = "html",
    json: Json = False,
) -> None:
    """Write the page of a stored study again, or its table in another format.

    Parameters
    ----------
    folder
        The folder given to `compare --out`, or one study's folder in it.
    study
        Which study, where there are several; the newest otherwise.
    format
        html writes the page; md, latex and csv print the table.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.study import report as report_again

    result = report_again(folder, study)
    if format == "html":
        _print(result, json)
    else:
        print(result.table(format))


@app.command(name="list")
def list_items(
    what: Literal["losses", "data", "models", "measures", "claims"] | None = None, *, json: Json = False
) -> None:
    """List what there is: losses, data sets, models, measures, claims.

    Parameters
    ----------
    what
        losses, data, models, measures or claims; all of them otherwise.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.study.listing import items, listing

    if json:
        _json(items(what))
    else:
        console = _console()
        for table in listing(what):
            console.print(table)


def _option(text: str) -> tuple[str, Any]:
    import ast

    from losscope.errors import LosscopeError

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise LosscopeError(
            f"cannot read the option {text!r}; it must be key=value, such as speaker_disjoint=True"
        )
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _study(study: Any, *, json: bool, dry_run: bool) -> None:
    from losscope import study as studies

    if dry_run:
        planned = studies.dry_run(studies.plan(study))
        _json(planned) if json else _print_plan(planned)
        return
    with _progress(quiet=json) as (say, activity):
        result = studies.run(study, say=say, activity=activity)
    _print(result, json)


def _print_plan(planned: dict[str, Any]) -> None:
    print(planned["data"])
    print(
        f"{planned['runs']} runs ({planned['stored']} stored) in {planned['populations']} populations, "
        f"{planned['epochs_left']} population epochs to go, after {planned['tuning_runs']} runs of tuning."
    )
    print(planned["sentence"])


def _print(result: Result, json: bool) -> None:
    if json:
        print(result.json())
        return
    from losscope.report import tables

    console = _console()
    console.print(tables.summary(result.data))
    console.print(tables.verdicts(result.data))
    for sentence in (result.data.get("recommendation") or {}).get("sentences", []):
        console.print(sentence, markup=False, highlight=False)
    if result.data.get("report"):
        console.print(f"\nPage: {result.data['report']}", markup=False, highlight=False, soft_wrap=True)


def _console() -> Any:
    import shutil

    from rich.console import Console

    wide = sys.stdout.isatty()
    return Console(width=None if wide else max(100, shutil.get_terminal_size((100, 24)).columns))


def _json(value: Any) -> None:
    import json

    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


class _progress:
    """Rich progress on standard error: a bar for the population in hand and one for the whole."""

    def __init__(self, quiet: bool):
        self.quiet = quiet

    def __enter__(self) -> tuple[Callable[[str], None] | None, Callable[..., None] | None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"),
            TimeRemainingColumn(), console=console, transient=True,
            disable=self.quiet or not console.is_terminal,
        )  # fmt: skip
        self.bar.start()
        tasks: dict[str, Any] = {}

        def activity(group: Any, done: int, total: int) -> None:
            if group.name not in tasks:
                seeds = len({run.seed for run in group.runs})
                label = f"{group.runs[0].loss.name}, {seeds} seed{'s' * (seeds > 1)}"
                tasks[group.name] = self.bar.add_task(label, total=total)
            self.bar.update(tasks[group.name], completed=done)

        return (None if self.quiet else _say), activity

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


def main(arguments: Iterator[str] | list[str] | None = None) -> None:
    """The entry point: mistakes are one sentence and exit code 2, Ctrl-C keeps what is done (130)."""
    from losscope.errors import LosscopeError

    try:
        app(arguments)
    except LosscopeError as error:
        print(f"losscope: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(
            "losscope: stopped; what is finished is kept, the same command goes on from here", file=sys.stderr
        )
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
