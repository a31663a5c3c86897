"""What ``losscope bench`` does: rows, a table and a plot of speed and memory beside the installed peers."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from losscope.core.device import pick_device
from losscope.core.errors import LosscopeError, unknown
from losscope.reporting.pictures import Figures, save, suffix

KINDS = ("losses", "training")
MARKS = ("circle", "square", "diamond", "cross", "x")
COLOURS = ("#0072b2", "#cc79a7", "#d55e00", "#009e73", "#56b4e9")


@dataclass
class Bench:
    """A finished benchmark; ``data`` is what ``losscope bench --json`` prints."""

    kind: str
    rows: list[dict[str, Any]]
    growth: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        """The rows as plain values, with the growth exponents and where they were measured."""
        return {"schema": 1, "rows": self.rows, "growth": self.growth, "provenance": self.provenance}

    def json(self) -> str:
        """The JSON text."""
        return json.dumps(self.data, indent=1, ensure_ascii=False, allow_nan=False)

    def tables(self) -> list[Any]:
        """The rows as Rich tables, one a work."""
        from rich.table import Table

        made = []
        size, ratio = ("B", "× ours") if self.kind == "losses" else ("members", "ratio")
        for work in dict.fromkeys(row["work"] for row in self.rows):
            table = Table(title=work, title_justify="left")
            for column in (size, "side", "version", "ms", "peak MiB", "of it, step", ratio, "95 %"):
                table.add_column(column, justify="left" if column in ("side", "version") else "right")
            for row in self.rows:
                if row["work"] == work:
                    table.add_row(str(row["size"]), _side(row), row["version"] or "–", *_cells(row))
            made.append(table)
        return made


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
        what: ``losses``, or ``training`` (a population beside a plain torch loop).
        sizes: anchors of the batches; 128 … 8192 otherwise.
        works: which losses, by the first words of what is measured.
        seconds: of rounds for each work and size, at most, if three rounds take less.
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
            raise LosscopeError("--plot draws the benchmark of losses; leave it out for training")
    if what == "training":
        from losscope.benching.training import training

        return Bench(what, training(say=say), provenance=_provenance(1, "cpu"))
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
    made = Bench(what, rows, measured.growth(rows), _provenance(threads, device))
    if plot is not None:
        save(bench_figure(made), plot)
    return made


def _provenance(threads: int, device: str) -> dict[str, Any]:
    import os

    import torch

    from losscope import __version__

    return {
        "losscope": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
        "threads": threads,
        "clock": "processor" if threads == 1 and not device.startswith("cuda") else "wall",
    }


def _side(row: dict[str, Any]) -> str:
    """Whose a row is, and how it differs from the others' form."""
    form = row.get("form", "the same")
    return row["side"] if form == "the same" else f"{row['side']} ({form})"


def _cells(row: dict[str, Any]) -> list[str]:
    if row.get("status", "measured") != "measured":
        return [row["status"], "", "", "", ""]
    interval = "" if row.get("ratio_low") is None else f"{row['ratio_low']:.2f}–{row['ratio_high']:.2f}"
    return [
        f"{row['seconds'] * 1e3:.2f}",
        _mebibytes(row.get("peak_bytes")),
        _mebibytes(row.get("step_bytes")),
        "" if row.get("ratio") is None else f"{row['ratio']:.2f}",
        interval,
    ]


def _mebibytes(size: float | None) -> str:
    return "" if size is None else f"{size / 2**20:.0f}"


def _series(made: Bench, work: str) -> list[tuple[str, int, list[dict[str, Any]]]]:
    """The measured rows of each side of a work, by size, with the side's number in all works."""
    numbers = {side: place for place, side in enumerate(dict.fromkeys(_side(row) for row in made.rows))}
    sides: dict[str, list[dict[str, Any]]] = {}
    for row in made.rows:
        if row["work"] == work:
            sides.setdefault(_side(row), []).append(row)
    return [(side, numbers[side], [row for row in rows if row["seconds"]]) for side, rows in sides.items()]


def bench_figure(made: Bench) -> Figures:
    """Time and peak memory by batch size, a row of panels a work: makers of plotly's and matplotlib's figure."""
    works = list(dict.fromkeys(row["work"] for row in made.rows))
    sizes = sorted({row["size"] for row in made.rows})
    panels = (("seconds", 1e3, "ms a step"), ("peak_bytes", 2.0**-20, "peak MiB of the process"))

    def interactive() -> Any:
        from plotly import graph_objects as go
        from plotly.subplots import make_subplots

        titles = [f"{work}: {label}" for work in works for *_, label in panels]
        figure = make_subplots(len(works), 2, subplot_titles=titles, vertical_spacing=0.25 / len(works))
        for place, work in enumerate(works, 1):
            for side, number, rows in _series(made, work):
                for column, (key, factor, label) in enumerate(panels, 1):
                    drawn = [row for row in rows if row[key]]
                    figure.add_trace(
                        go.Scatter(
                            x=[row["size"] for row in drawn],
                            y=[row[key] * factor for row in drawn],
                            name=side,
                            legendgroup=work,
                            legendgrouptitle={"text": work},
                            showlegend=column == 1,
                            mode="lines+markers",
                            line={"color": COLOURS[number % len(COLOURS)]},
                            marker={"symbol": MARKS[number % len(MARKS)], "size": 8},
                            hovertemplate=f"{side}<br>B = %{{x}}<br>%{{y:.3g}} {label}<extra></extra>",
                        ),
                        place,
                        column,
                    )
        figure.update_xaxes(type="log", title_text="anchors of the batch", tickvals=sizes)
        figure.update_yaxes(type="log")
        return figure.update_layout(height=380 * len(works), width=1200, template="simple_white")

    def static() -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 3.2 * len(works)), layout="constrained")
        grid = figure.subplots(len(works), 2, squeeze=False)
        for line, work in zip(grid, works, strict=True):
            for side, number, rows in _series(made, work):
                for axes, (key, factor, label) in zip(line, panels, strict=True):
                    drawn = [row for row in rows if row[key]]
                    axes.loglog(
                        [row["size"] for row in drawn],
                        [row[key] * factor for row in drawn],
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

    return interactive, static
