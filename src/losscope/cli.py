"""The command line: parsing, progress and printing only. What a command does is in ``losscope.study``."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
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


@Parameter(name="*")
@dataclass
class Data:
    """Which data.

    Parameters
    ----------
    data_root
        Folder with data sets in their original layouts.
    train_labels
        fine or coarse, where the data have both; detail is measured on the fine.
    group
        The column of speakers, sites, … that must not be torn apart by a split.
    pairs
        A file of explicit pairs: columns i, j, same.
    triplets
        A file of explicit triplets: columns anchor, positive, negative.
    label_noise
        Share of training labels redrawn at random.
    limit
        Training rows to keep, class by class.
    skip_bad
        Leave out files that cannot be read, and say how many.
    backbone
        A frozen backbone whose features are computed once: a Hugging Face name or a path.
    option
        Any other option of the data set, as key=value; may be given several times.
    """

    data_root: Annotated[str | None, Parameter(group=DATA, env_var="LOSSCOPE_DATA")] = None
    train_labels: Annotated[Literal["fine", "coarse"] | None, Parameter(group=DATA)] = None
    group: Annotated[str | None, Parameter(group=DATA)] = None
    pairs: Annotated[str | None, Parameter(group=DATA)] = None
    triplets: Annotated[str | None, Parameter(group=DATA)] = None
    label_noise: Annotated[float | None, Parameter(group=DATA)] = None
    limit: Annotated[int | None, Parameter(group=DATA)] = None
    skip_bad: Annotated[bool | None, Parameter(group=DATA, negative="")] = None
    backbone: Annotated[str | None, Parameter(group=DATA)] = None
    option: Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="", group=DATA)] = None

    def options(self) -> dict[str, Any]:
        """The loader's options that were given."""
        given: dict[str, Any] = dict(_option(text) for text in self.option or [])
        for name in ("train_labels", "group", "pairs", "triplets", "label_noise", "limit", "skip_bad"):
            if getattr(self, name) is not None:
                given[name] = getattr(self, name)
        return given


@Parameter(name="*")
@dataclass
class Training:
    """How losses are trained.

    Parameters
    ----------
    protocol
        matched (the fair one) or paper (as the paper's own code does it).
    epochs
        Epochs for every loss, instead of the protocol's.
    batch_size
        Anchors a batch, instead of the protocol's.
    tuples
        all, random, hard, semihard or distance_weighted, instead of the protocol's.
    model
        The network, instead of the protocol's (see `losscope list models`).
    augment
        Augmentations of training images, such as flip,crop4.
    tune
        Tune each loss alike on validation first; by default under matched, except for images.
    device
        auto, cpu or cuda.
    engine
        Where populations train: auto (both cores for long work), here, processes, or a Dask cluster.
    plugin
        A Python file that registers losses, data sets or measures of your own.
    """

    protocol: Annotated[str, Parameter(group=TRAIN)] = "matched"
    epochs: Annotated[int | None, Parameter(group=TRAIN)] = None
    batch_size: Annotated[int | None, Parameter(group=TRAIN)] = None
    tuples: Annotated[str | None, Parameter(group=TRAIN)] = None
    model: Annotated[str | None, Parameter(group=TRAIN)] = None
    augment: Annotated[str | None, Parameter(group=TRAIN)] = None
    tune: Annotated[bool | None, Parameter(negative="--no-tune", group=TRAIN)] = None
    device: Annotated[str, Parameter(group=TRAIN)] = "auto"
    engine: Annotated[Literal["auto", "here", "processes", "dask"], Parameter(group=TRAIN)] = "auto"
    plugin: Annotated[list[str] | None, Parameter(group=TRAIN, negative="")] = None


@app.command
def compare(
    data: str = "digits",
    *,
    losses: Losses = None,
    seeds: Annotated[int, Parameter(group=TRAIN)] = 10,
    source: Data | None = None,
    training: Training | None = None,
    goal: Annotated[str, Parameter(group=ANSWER)] = "retrieval",
    reference: Annotated[str | None, Parameter(group=ANSWER)] = None,
    budget: Annotated[str | None, Parameter(group=ANSWER)] = None,
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
        Paired seeds; the first look at two losses beside two baselines needs 8.
    goal
        retrieval, verification, classification, detail or compactness: which measure decides.
    reference
        The loss that the others are compared with; contrastive if it is among them.
    budget
        Answer within this time, such as 60s or 5m: fewer trials and epochs, said in the answer.
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

    source, training = source or Data(), training or Training()
    study = Study.of(
        data=data, losses=losses, seeds=seeds, options=source.options(), data_root=source.data_root,
        backbone=source.backbone, goal=goal, reference=reference, budget=_duration(budget), keep=keep,
        out=None if out is None else str(out), plugins=training.plugin,
        augment=training.augment.split(",") if training.augment else None,
        **{key: value for key, value in vars(training).items() if key not in ("plugin", "augment")},
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
def embed(
    data: str,
    *,
    backbone: str,
    out: Out = None,
    preprocess: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    device: str = "auto",
    batch_size: int = 64,
    data_root: Annotated[str | None, Parameter(group=DATA, env_var="LOSSCOPE_DATA")] = None,
    option: Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="", group=DATA)] = None,
    skip_bad: Annotated[bool, Parameter(negative="", group=DATA)] = False,
    json: Json = False,
) -> None:
    """Compute the features of images or sounds by a frozen backbone, once.

    They are kept in the cache, by the content of data, weights and preprocessing: the second time nothing
    is computed, and a pass that was killed goes on. `compare DATA --backbone B` uses the same cache.

    Examples:

    `losscope embed photos/ --backbone openai/clip-vit-base-patch32 --out photos.npz`

    `losscope embed cub200 --backbone mobilenetv2.npz --preprocess size=160 fit=crop`

    Parameters
    ----------
    data
        A name, a folder of class folders, a manifest (CSV, parquet), an array file of images, or hf:owner/name.
    backbone
        A Hugging Face id or the folder of a saved model, a MobileNetV2 file (.npz, .safetensors), or timm:NAME.
    out
        The .npz file of features, labels and splits; without it they stay in the cache.
    preprocess
        Changes of the backbone's own preprocessing, as key=value.
    device
        auto, cpu or cuda.
    batch_size
        Images or sounds computed at once.
    data_root
        Folder with data sets in their original layouts.
    option
        An option of the data set, as key=value; may be given several times.
    skip_bad
        Leave out what cannot be read, and say how many.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.study.embedding import embed as embed_data

    options: dict[str, Any] = dict(_option(text) for text in option or [])
    if skip_bad:
        options["skip_bad"] = True
    with _row_progress(quiet=json) as progress:
        done = embed_data(
            data, backbone, out=out, data_root=data_root, device=device, batch_size=batch_size,
            preprocess=preprocess, say=None if json else _say, progress=progress, **options,
        )  # fmt: skip
    if json:
        _json(done)
        return
    print(done["data"])
    for note in done["notes"]:
        print(note)
    how = "from the cache" if done["cached"] else "computed"
    print(f"{done['rows']:,} × {done['width']:,} features {how} in {done['seconds']:.1f} s: {done['folder']}")
    if done["out"]:
        print(f"Written: {done['out']}; now: losscope compare {done['out']}")


@app.command
def reproduce(
    paper: str = "zeng2025",
    *,
    only: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True, group=DATA)] = None,
    full: Annotated[bool, Parameter(negative="", group=TRAIN)] = False,
    seeds: Annotated[int, Parameter(group=TRAIN)] = 10,
    engine: Annotated[Literal["here", "processes", "dask"], Parameter(group=TRAIN)] = "processes",
    device: Annotated[str, Parameter(group=TRAIN)] = "auto",
    plugin: Annotated[list[str] | None, Parameter(group=TRAIN, negative="")] = None,
    data_root: Annotated[str | None, Parameter(group=DATA, env_var="LOSSCOPE_DATA")] = None,
    dry_run: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    out: Out = None,
    format: Annotated[Literal["table", "md"], Parameter(group=OUTPUT)] = "table",
    json: Json = False,
) -> None:
    """Every claim of a paper as an experiment that can fail, under its own protocol and a fair one.

    Interrupted, the same command goes on where it was; runs are shared with `compare` on the same --out.

    Examples:

    `losscope reproduce zeng2025 --only synthetic` - a few minutes

    `losscope reproduce zeng2025 --data-root DIR --dry-run` - what it would cost and what it could show

    Parameters
    ----------
    paper
        zeng2025 (contrastive and triplet loss), zeng2026 (seven losses on frozen features), or aa: one loss
        under two names, which must not be told apart.
    only
        Data sets, separated by commas; all that are on this machine otherwise.
    full
        Images at the paper's own size, which takes hours on a CPU.
    seeds
        Paired seeds; a family of 17 claims needs 10.
    engine
        Where groups of runs go: here, in processes, or on a Dask cluster.
    device
        auto, cpu or cuda.
    plugin
        A Python file that registers claims, losses or data sets of your own.
    data_root
        Folder with data sets in their original layouts.
    dry_run
        Say what it would cost and what it could show, and stop.
    out
        The folder that runs and pages are kept in (losscope-runs).
    format
        table for a terminal, or md.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.study import reproducing

    if paper == "aa":
        from losscope.study.aa import measure

        found = measure(studies=200, write=out, say=None if json else _say)
        _json(found) if json else print(found["said"])
        return
    say = None if json else _say
    planned = reproducing.prepare(
        paper, only=[name for one in only or () for name in one.split(",") if name], full=full, seeds=seeds,
        engine=engine, device=device, plugins=plugin or (), data_root=data_root, out=out, say=say,
    )  # fmt: skip
    if dry_run:
        foreseen = reproducing.dry_run(planned, say)
        del foreseen["costs"]
        if json:
            _json(foreseen)
        else:
            from losscope.report import ledger

            _console().print(ledger.foreseen(foreseen))
        return
    with _work_progress(quiet=json) as show:
        result = reproducing.run(planned, say=say, show=show)
    if json:
        print(result.json())
    elif format == "md":
        print(result.table("md"))
    else:
        _console().print(result.table())
        print(f"\nPage: {result.data['report']}\nLedger: {result.data['ledger']}")


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


@app.command
def audit(
    loss: str,
    *,
    protocol: Annotated[str, Parameter(group=TRAIN)] = "matched",
    plugin: Annotated[list[str] | None, Parameter(group=TRAIN, negative="")] = None,
    plot: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    strict: Annotated[bool, Parameter(negative="", group=OUTPUT)] = False,
    json: Json = False,
) -> None:
    """Check a loss, ours or anybody's: a correctness card, each line with a verdict and what it means.

    Examples:

    `losscope audit 'triplet(margin=0.2)'`

    `losscope audit 'pml:TripletMarginLoss()' --plot force.html`

    `losscope audit path/file.py:function --strict` - a function of (embeddings, labels)

    Parameters
    ----------
    loss
        A loss as in `compare`: ours, pml:Class(...), sentence_transformers:Class(...), package.module:Class,
        path/file.py:name.
    protocol
        Whose defaults fill what is not given of our own losses: matched or paper.
    plugin
        A Python file that registers losses of your own.
    plot
        Draw the force profile to this file: .html, .png, .svg or .pdf.
    strict
        End with exit code 1 if a line failed.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.registry import load_plugin
    from losscope.study.auditing import audit as run_audit

    for path in plugin or []:
        load_plugin(path)
    card = run_audit(loss, protocol=protocol, plot=plot)
    if json:
        print(card.json())
    else:
        console = _console()
        console.print(card.table())
        console.print(
            f"{len(card.lines)} lines, {len(card.failed)} failed, {card.seconds:.1f} s.", highlight=False
        )
        if plot is not None:
            console.print(f"Force profile: {plot}", markup=False, highlight=False, soft_wrap=True)
    if strict and card.failed:
        sys.exit(1)


@app.command
def bench(
    what: Literal["losses", "training"] = "losses",
    *,
    works: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="", group=TRAIN)] = None,
    sizes: Annotated[list[int] | None, Parameter(consume_multiple=True, negative="", group=TRAIN)] = None,
    seconds: Annotated[float, Parameter(group=TRAIN)] = 4.0,
    memory: Annotated[float | None, Parameter(group=TRAIN)] = None,
    threads: Annotated[int, Parameter(group=TRAIN)] = 1,
    device: Annotated[str, Parameter(group=TRAIN)] = "cpu",
    plot: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    json: Json = False,
) -> None:
    """Measure time and memory of our losses beside every installed peer, both sides in one run.

    Examples:

    `losscope bench losses --sizes 256 1024`

    `losscope bench losses --works 'all triplets' --plot speed.html`

    Parameters
    ----------
    what
        losses (forward and backward), or training (a population beside a plain torch loop).
    works
        Which losses, by the first words of what is measured; all otherwise.
    sizes
        Anchors of the batches; 128 to 8192, doubled, otherwise.
    seconds
        Of rounds for each loss and size, at most, if three rounds take less.
    memory
        Gibibytes that a side's process may take; half of what is free otherwise.
    threads
        Of torch, on both sides.
    device
        cpu, cuda or auto.
    plot
        Draw time and memory to this file: .html, .png, .svg or .pdf.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.study.benching import bench as run_bench

    made = run_bench(
        what, sizes=sizes, works=works, seconds=seconds, memory=memory, threads=threads, device=device, plot=plot,
        say=None if json else _say,
    )  # fmt: skip
    if json:
        print(made.json())
    else:
        console = _console()
        for table in made.tables():
            console.print(table)


@app.command(name="list")
def list_items(
    what: Literal["losses", "data", "models", "measures", "claims"] | None = None,
    *,
    data_root: Annotated[str | None, Parameter(group=DATA, env_var="LOSSCOPE_DATA")] = None,
    json: Json = False,
) -> None:
    """List what there is: losses, data sets, models, measures, claims.

    Parameters
    ----------
    what
        losses, data, models, measures or claims; all of them otherwise.
    data_root
        Folder with data sets, to say which are on this machine.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.study.listing import items, listing

    if json:
        _json(items(what, data_root))
    else:
        console = _console()
        for table in listing(what, data_root):
            console.print(table)


def _duration(text: str | None) -> float | None:
    """Seconds of ``90``, ``90s``, ``5m`` or ``1h``."""
    from losscope.errors import LosscopeError

    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in "smh" else (text, "s")
    try:
        return float(number) * {"s": 1, "m": 60, "h": 3600}[unit]
    except ValueError:
        raise LosscopeError(f"cannot read the time {text!r}; it must be such as 90s, 5m or 1h") from None


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
        planned = studies.dry_run(studies.plan(study, compute=False))
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
    console.print()
    console.print(tables.verdicts(result.data, sentences=False))
    beside = tables.published(result.data)
    if beside is not None:
        console.print(beside)
        console.print()
    console.print(tables.recommendation(result.data))
    for note in result.data.get("notes") or ():
        console.print(note, markup=False, highlight=False, style="dim")
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


@contextlib.contextmanager
def _row_progress(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar of rows on standard error, made at the first call: most calls find everything in the cache."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("features"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task: Any = None

        def progress(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                task = bar.add_task("", total=total, completed=done)
            bar.update(task, completed=done)

        yield progress


@contextlib.contextmanager
def _work_progress(quiet: bool) -> Iterator[Callable[[float, float, str], None] | None]:
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
