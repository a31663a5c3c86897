"""Commands that look at what is there: judge, report, audit, bench."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from losscope.cli.options import (
    ANSWER,
    OUTPUT,
    TRAIN,
    Json,
    Map,
    Plugin,
    Trust,
    Verbose,
    app,
    load_plugins,
)
from losscope.cli.output import print_result, put, refuse_unwritable, say_aside, terminal


@app.command
def judge(
    runs: str,
    *,
    goal: Annotated[str, Parameter(group=ANSWER)] = "retrieval",
    measure: Annotated[list[str] | None, Parameter(group=ANSWER, negative="")] = None,
    unit: Annotated[str | None, Parameter(group=ANSWER)] = None,
    family: Annotated[str | None, Parameter(group=ANSWER)] = None,
    reference: Annotated[str | None, Parameter(group=ANSWER)] = None,
    indifference: Annotated[float | None, Parameter(group=ANSWER)] = None,
    unpaired: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    look: Annotated[int | None, Parameter(group=ANSWER)] = None,
    untuned: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    same_camera: Annotated[Literal["keep", "junk", "skip"] | None, Parameter(group=ANSWER)] = None,
    skip_unlabelled: Annotated[bool, Parameter(group=ANSWER, negative="")] = False,
    ignore_label: Annotated[list[str] | None, Parameter(group=ANSWER, negative="")] = None,
    declare: Annotated[list[str] | None, Parameter(group=ANSWER, negative="")] = None,
    only: Annotated[list[str] | None, Parameter(group=ANSWER, negative="")] = None,
    plugin: Plugin = None,
    report: Annotated[Path | None, Parameter(name="--report", group=OUTPUT)] = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Give the same verdicts, table and page on anyone's runs, without training anything.

    Examples:

    `losscope judge scores.csv` - columns loss, seed, measure, value

    `losscope judge 'runs/{loss}/{seed}.npz' --report page.html` - arrays embeddings and labels

    `losscope judge scores.csv --unit speaker --measure EER` - any column may pair the runs

    `losscope judge results` - a results folder of MTEB, paired by task

    `losscope judge runs/probes` - trainings that losscope.Probe recorded with their seeds

    Parameters
    ----------
    runs
        A table of scores, a pattern of npz files with {loss} and {seed}, a folder that compare or
        losscope.Probe wrote, MTEB's results, or an export of Weights & Biases, MLflow or TensorBoard.
    goal
        retrieval, verification, classification, detail, compactness or cross-modal: which measure decides.
    measure
        The measure that decides, instead of the goal's. Given several times, the first decides and all are
        tested, corrected together.
    unit
        The column of what pairs the runs: seed, fold, task, dataset, speaker, query. Found by its usual names
        otherwise, and said.
    family
        The column of families of data sets, each of which counts once.
    reference
        The loss that the others are compared with; contrastive if it is among them.
    indifference
        The difference in the measure that decides that does not matter to you, instead of the measure's own.
    unpaired
        The seeds of different losses have nothing in common, so their runs are not paired.
    look
        Which look at these runs this is, 1 for the first; each further look is tested more strictly. A store
        counts looks itself; of other runs 1 is taken, and said.
    untuned
        Say in every sentence that the losses were not tuned.
    skip_unlabelled
        Leave out rows of the embeddings without a label, and say how many.
    ignore_label
        A label of the embeddings that is background, as -1 is, such as -100, 255 or unknown; may be given
        several times. The word none makes -1 a class.
    same_camera
        Where files name queries, gallery and cameras: junk leaves items of the query's class and camera out,
        skip all items of its camera; keep ranks them.
    declare
        A measure of your own as name:better[:scale[:indifference]], such as agreement:higher.
    only
        Rows of a table to keep, as column=value, such as dataset=cub or epoch=last.
    plugin
        A Python file that registers measures or sections of your own.
    report
        Write the HTML page to this file.
    verbose
        Print each test, what would change the answer, and every note, too.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.comparing.judging import judge as judge_runs

    load_plugins(plugin)
    refuse_unwritable(report)
    result = judge_runs(
        runs,
        goal=goal,
        measure=measure or (),
        unit=unit,
        family=family,
        reference=reference,
        indifference=indifference,
        unpaired=unpaired,
        look=look,
        tuned=not untuned,
        same_camera=same_camera,
        skip_unlabelled=skip_unlabelled,
        ignore_label=ignore_label or (),
        declare=declare or (),
        only=only or (),
        say=None if json else say_aside,
    )
    if report is not None:
        written = result.report(report)
        result = result.model_copy(update={"report_file": str(written)})
    print_result(result, json, verbose=verbose)


@app.command
def report(
    folder: Path,
    *,
    study: Annotated[str | None, Parameter(group=OUTPUT)] = None,
    format: Annotated[
        Literal["html", "md", "latex", "csv", "json", "parquet", "png", "svg", "pdf"], Parameter(group=OUTPUT)
    ] = "html",
    out: Annotated[Path | None, Parameter(name="--out", group=OUTPUT)] = None,
    map: Map = None,
    plugin: Plugin = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Write the page of a stored study again, its tables or its figures for a paper; or the page of probes.

    Examples:

    `losscope report losscope-runs` - the page

    `losscope report losscope-runs --map tsne` - maps by t-SNE, which takes seconds for each side

    `losscope report losscope-runs --format latex --out tables` - tables, method and BibTeX

    `losscope report losscope-runs --format pdf --out figures` - each figure at paper size

    `losscope report verdict.json --format latex` - of what `losscope judge ... --json` printed

    Parameters
    ----------
    folder
        The folder given to `--out` of `compare` or `reproduce`, or one study's folder in it; the folder of a
        `losscope.Probe`; a file that `--json` of compare, judge, inspect or reproduce printed.
    study
        Which study, reproduction or probe, where there are several; the newest, or all probes together,
        otherwise.
    format
        html writes the page. md, latex, csv and json print the tables, or with --out write all of them, and
        md and latex the method and its BibTeX too; parquet writes tidy tables; png, svg and pdf the figures
        at paper size.
    out
        The folder to write to (of html: the file). Files there that losscope did not write stay; parquet and
        figures go to the folder paper beside the page otherwise.
    map
        How the maps place embeddings from now on: pca (principal components) or tsne.
    plugin
        A Python file that registers measures or sections of your own.
    verbose
        Print each test, what would change the answer, and every note, too.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.probe.record import holds_probe

    load_plugins(plugin)
    if map is not None:
        remap(folder, study, map)
    if folder.is_dir() and holds_probe(folder):
        refuse_page_options(folder, format, out, json)
        if format == "html":
            report_probe(folder, study)
        else:
            export_files(folder, format, out, study)
    elif format == "html":
        report_page(folder, study, out, json, verbose)
    else:
        export_files(folder, format, out, study)


def remap(folder: Path, study: str | None, map: str) -> None:
    """Let the page of a study show other maps from now on.

    Raises:
        LosscopeError: a file, a probe, a reproduction or an answer over several data sets, which have none to
            make again.
    """
    from losscope import comparing
    from losscope.comparing.exporting import document
    from losscope.core.errors import require
    from losscope.core.results import Result
    from losscope.probe.record import holds_probe

    found = None if folder.is_file() or holds_probe(folder) else document(folder, study)
    require(
        isinstance(found, Result) and found.study is not None,
        f"{str(folder)!r} has no maps that could be made again; wanted with --map: the folder of a study, or "
        "--study with one of its studies",
    )
    comparing.map_by(folder, study, map)


def report_probe(folder: Path, name: str | None) -> None:
    """Write the page of a probe, or of all that a folder holds, and print what the doctor says."""
    from losscope.probe.comparison import said, write_comparison
    from losscope.probe.page import summary, verdict, write_page
    from losscope.probe.record import load_probes

    records = load_probes(folder) if name is None else []
    if len(records) > 1:
        for text in said(records):
            put(text)
        put(f"Page: {write_comparison(records)}")
        return
    file, record = write_page(folder, name)
    put(f"{record.mark.name}: {verdict(record)}")
    put(summary(record))
    for finding in record.findings():
        put(f"{finding.severity}: {finding.sentence}")
    put(f"Page: {file}")


def refuse_page_options(folder: Path, format: str, out: Path | None, json: bool) -> None:
    """Refuse what the page of a probe does not have.

    Raises:
        LosscopeError: JSON, or another place for the page, which is in the probe's folder.
    """
    from losscope.core.errors import require

    require(
        not json and (format != "html" or out is None),
        f"{str(folder)!r} is the record of a probe: its page is written in its folder; --format csv prints "
        "its numbers, and --format parquet --out FOLDER writes them",
    )


def report_page(folder: Path, study: str | None, out: Path | None, json: bool, verbose: bool) -> None:
    """Write a page and print what it is of; of a JSON file the page is beside it where no file is given."""
    from losscope.comparing.exporting import document
    from losscope.core.errors import LosscopeError
    from losscope.core.results import Multiverse, Reproduction, Result

    refuse_unwritable(out)
    found = document(folder, study)
    if not isinstance(found, Result | Reproduction | Multiverse):
        raise LosscopeError(
            f"{str(folder)!r} holds an {found.kind}, which has a page only where its command writes one; "
            "give --format"
        )
    page = folder.with_suffix(".html") if folder.is_file() else found.report_file
    written = str(found.report(out or page or folder / "report.html"))
    if isinstance(found, Result):
        print_result(found.model_copy(update={"report_file": written}), json, verbose=verbose)
    elif json:
        print(found.json_text())
    else:
        terminal().print(found.table())
        put(f"\nPage: {written}")


def export_files(folder: Path, format: str, out: Path | None, study: str | None) -> None:
    """Print the tables of a study, or write files for a paper and name them."""
    from losscope.comparing.exporting import export

    made = export(folder, format, out, study)
    if format == "json" and made.text:
        print(made.text)
    elif made.text:
        put(made.text)
    for file in made.files:
        put(file)


@app.command
def audit(
    loss: str,
    *,
    protocol: Annotated[str, Parameter(group=TRAIN)] = "matched",
    distributed: Annotated[int | None, Parameter(group=TRAIN)] = None,
    accumulate: Annotated[int | None, Parameter(group=TRAIN)] = None,
    plugin: Plugin = None,
    trust: Trust = False,
    plot: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    strict: Annotated[bool, Parameter(negative="", group=OUTPUT)] = False,
    json: Json = False,
) -> None:
    """Check any loss for correctness: a verdict that says what matters first, then a line for each check.

    Examples:

    `losscope audit 'triplet(margin=0.2)'`

    `losscope audit 'pml:TripletMarginLoss()' --plot force.html`

    `losscope audit path/file.py:function --trust --strict` - a function of (embeddings, labels)

    `losscope audit "pml:DistributedLossWrapper(loss='TripletMarginLoss()')" --distributed 2`

    Parameters
    ----------
    loss
        A loss as in `compare`: ours, pml:Class(...), sentence_transformers:Class(...), package.module:Class,
        path/file.py:name.
    protocol
        The protocol whose defaults stand for hyperparameters that are not given (`losscope list protocols`).
    distributed
        Also start so many processes, each with rows of its own, and compare their gradient, averaged as
        DistributedDataParallel does, with that of one process with the whole batch.
    accumulate
        Also compare the mean gradient of so many micro-batches with that of the whole batch.
    plugin
        A Python file that registers a loss or a protocol of your own.
    trust
        Run the code of a loss that is neither ours nor a known library's.
    plot
        Draw the force profile to this file: .html, .png, .svg or .pdf.
    strict
        Exit with code 1 if a line failed (wrong or unsafe); without it the code is 0, whatever the card says.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.auditing import audit as run_audit

    refuse_unwritable(plot)
    load_plugins(plugin)
    card = run_audit(
        loss, protocol=protocol, plot=plot, trust=trust, distributed=distributed, accumulate=accumulate
    )
    if json:
        print(card.json_text())
    else:
        console = terminal()
        console.print(card.verdict, markup=False, highlight=False)
        console.print(card.table())
        counts = f"{len(card.lines)} lines, {len(card.failed)} failed, {len(card.cautions)} with a caution"
        console.print(f"{counts}, {card.seconds:.1f} s.", highlight=False)
        if plot is not None:
            console.print(f"Force profile: {plot}", markup=False, highlight=False, soft_wrap=True)
    if strict and card.failed:
        sys.exit(1)


@app.command
def bench(
    what: Literal["losses", "training", "probe", "retrieval"] = "losses",
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
    """Measure time and memory of our losses beside every installed peer, all in one run.

    Examples:

    `losscope bench losses --sizes 256 1024`

    `losscope bench losses --works 'all triplets' --plot speed.html`

    `losscope bench retrieval --threads 2`

    Parameters
    ----------
    what
        losses (a forward and a backward pass), training (a population beside a plain torch loop), probe
        (what losscope.Probe costs in a plain torch loop) or retrieval (Recall@k, R-precision and MAP@R beside
        the bare product and another library's calculator).
    works
        Which losses to measure, by the first words of their names in the table; all of them otherwise.
    sizes
        Batch sizes, in anchors; 128, 256, … 8192 otherwise.
    seconds
        Time for each loss and size; three rounds are run even if they take longer.
    memory
        Memory in GiB that each side may use; half of what is free otherwise.
    threads
        Threads of torch, the same on both sides.
    device
        cpu, cuda or auto.
    plot
        Draw time and memory to this file: .html, .png, .svg or .pdf.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.benching.command import bench as run_bench

    refuse_unwritable(plot)
    made = run_bench(
        what,
        sizes=sizes,
        works=works,
        seconds=seconds,
        memory=memory,
        threads=threads,
        device=device,
        plot=plot,
        say=None if json else say_aside,
    )
    if json:
        print(made.json_text())
    else:
        console = terminal()
        for table in made.tables():
            console.print(table)
