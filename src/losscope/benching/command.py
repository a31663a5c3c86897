"""What ``losscope bench`` does: rows, a table and a plot of speed and memory beside the installed peers."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from losscope.core.device import pick_device
from losscope.core.errors import LosscopeError, unknown
from losscope.core.results import BenchProvenance, BenchResult, BenchRow
from losscope.reporting.pictures import Picture, save, suffix

KINDS = get_args(BenchResult.model_fields["what"].annotation)
COLOURS = ("#0072b2", "#cc79a7", "#d55e00", "#009e73", "#56b4e9")


class Bench(BenchResult):
    """A finished benchmark, with its views: tables and a figure."""

    def tables(self) -> list[Any]:
        """The rows as Rich tables, one per work."""
        from rich.markup import escape
        from rich.table import Table

        made = []
        heads = {
            "losses": ("B", "× ours"),
            "training": ("members", "ratio"),
            "probe": ("rows", "ratio"),
            "retrieval": ("rows", "× bare"),
        }
        size, ratio = heads[self.what]
        for work in dict.fromkeys(row.work for row in self.rows):
            table = Table(title=escape(work), title_justify="left")
            for column in (size, "side", "version", "ms", "peak MiB", "of it, step", ratio, "95 %"):
                table.add_column(column, justify="left" if column in ("side", "version") else "right")
            for row in self.rows:
                if row.work == work:
                    table.add_row(str(row.size), escape(_side(row)), row.version or "–", *_cells(row))
            made.append(table)
        return made

    def figure(self) -> Picture:
        """Time and memory by batch size, as a maker of matplotlib's figure."""
        return bench_figure(self.rows)


def bench(
    what: str = "losses",
    *,
    sizes: Sequence[int] | None = None,
    works: Sequence[str] | None = None,
    seconds: float = 4.0,
    memory: float | None = None,
    threads: int = 1,
    device: str = "cpu",
    plot: str | Path | None = None,
    say: Callable[[str], None] | None = None,
) -> Bench:
    """Measure speed and memory beside what is installed.

    Args:
        what: ``losses``, ``training`` (a population beside a plain torch loop), ``probe`` (a plain torch
            loop with ``losscope.Probe`` beside the same without), or ``retrieval`` (the measures beside the
            bare product and pytorch-metric-learning's calculator).
        sizes: anchors of the batches; 128 … 8192 otherwise.
        works: which losses, by the whole name of a work or its first words.
        seconds: that the rounds of a work and size may take; more if the fewest rounds need more.
        memory: gibibytes that a side's process may take; half of what is free otherwise.
        threads: of torch, on both sides.
        device: ``cpu`` or ``cuda``.
        plot: a file ending in .html, .png, .svg or .pdf.
        say: called with each row in words as it is measured.

    Raises:
        LosscopeError: an unknown benchmark or work, a size that cannot be, a file that cannot be written.

    >>> bench("loses")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: unknown benchmark 'loses'; did you mean 'losses'? ...
    """
    if what not in KINDS:
        raise unknown("benchmark", what, KINDS)
    if plot is not None:
        suffix(plot)
        if what != "losses":
            raise LosscopeError(f"--plot draws the benchmark of losses; leave it out for {what}")
    if what == "training":
        from losscope.benching.training import training

        return Bench(what="training", rows=tuple(training(say=say)), provenance=_provenance(1, "cpu"))
    if what == "probe":
        from losscope.benching.probe_cost import probing

        return Bench(what="probe", rows=tuple(probing(say)), provenance=_provenance(1, "cpu"))
    if what == "retrieval":
        from losscope.benching.retrieving import retrieving

        found = retrieving(threads=threads, say=say)
        provenance = _provenance(threads, "cpu").model_copy(update={"clock": "wall"})
        return Bench(what="retrieval", rows=tuple(found), provenance=provenance)
    from losscope.benching import losses as measured

    device = pick_device(device)
    rows = measured.losses(
        sizes or measured.SIZES,
        works=works,
        seconds=seconds,
        memory=None if memory is None else memory * 2**30,
        threads=threads,
        device=device,
        say=say,
    )
    made = Bench(
        what="losses",
        rows=tuple(rows),
        growth=tuple(measured.growth(rows)),
        provenance=_provenance(threads, device),
    )
    if plot is not None:
        save(made.figure(), plot)
    return made


def _provenance(threads: int, device: str) -> BenchProvenance:
    import torch

    from losscope import __version__

    cuda = device.startswith("cuda")
    return BenchProvenance(
        losscope=__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        device=torch.cuda.get_device_name() if cuda else "cpu",
        threads=threads,
        clock="processor" if threads == 1 and not cuda else "wall",
    )


def _side(row: BenchRow) -> str:
    """Whose a row is, and how it differs from the others' form."""
    return row.side if row.form == "the same" else f"{row.side} ({row.form})"


def _cells(row: BenchRow) -> list[str]:
    if not row.measured or row.seconds is None:
        return [row.status, "", "", "", ""]
    return [
        f"{row.seconds * 1e3:.2f}",
        _mebibytes(row.peak_bytes),
        _mebibytes(row.step_bytes),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        "" if row.ratio_low is None else f"{row.ratio_low:.2f}–{row.ratio_high:.2f}",
    ]


def _mebibytes(size: float | None) -> str:
    return "" if size is None else f"{size / 2**20:.0f}"


def _series(rows: Sequence[BenchRow], work: str) -> list[tuple[str, int, list[BenchRow]]]:
    """The measured rows of each side of a work, by size, with the side's number in all works."""
    numbers = {side: place for place, side in enumerate(dict.fromkeys(_side(row) for row in rows))}
    sides: dict[str, list[BenchRow]] = {}
    for row in rows:
        if row.work == work:
            sides.setdefault(_side(row), []).append(row)
    return [(side, numbers[side], [row for row in own if row.seconds]) for side, own in sides.items()]


PANELS: tuple[tuple[Callable[[BenchRow], float | None], str], ...] = (
    (lambda row: row.seconds and row.seconds * 1e3, "ms per step"),
    (lambda row: row.peak_bytes and row.peak_bytes / 2**20, "peak MiB of the process"),
)
"""What is drawn: a row's number (None: not drawn) and its unit."""


def bench_figure(rows: Sequence[BenchRow]) -> Picture:
    """Time and peak memory by batch size, one row of panels per work: a maker of matplotlib's figure."""
    works = list(dict.fromkeys(row.work for row in rows))
    sizes = sorted({row.size for row in rows})

    def static() -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 3.2 * len(works)), layout="constrained")
        grid = figure.subplots(len(works), 2, squeeze=False)
        for line, work in zip(grid, works, strict=True):
            for side, number, own in _series(rows, work):
                for axes, (value, label) in zip(line, PANELS, strict=True):
                    drawn = [row for row in own if value(row)]
                    axes.loglog(
                        [row.size for row in drawn],
                        [value(row) for row in drawn],
                        marker="osDXP"[number % 5],
                        color=COLOURS[number % len(COLOURS)],
                        label=side,
                    )
                    axes.set(title=work, xlabel="anchors of the batch", ylabel=label)
                    axes.set_xticks(sizes, [str(size) for size in sizes], minor=False)
                    axes.set_xticks([], minor=True)
                    axes.yaxis.set_major_formatter("{x:g}")
            line[0].legend(fontsize="x-small")
        return figure

    return static
