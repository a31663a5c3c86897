"""The correctness card of any loss: what is checked, in which order, and how it is shown."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from losscope.auditing.checks import CHECKS, ESSENTIAL
from losscope.auditing.force import force_profile, profile_figure
from losscope.auditing.growth import growth
from losscope.auditing.lines import Check, fill
from losscope.auditing.measured import margin_unit, reduction
from losscope.auditing.processes import alone
from losscope.auditing.splitting import check_parts, over_micro_batches, over_processes
from losscope.auditing.subjects import Subject, subject
from losscope.core.errors import require
from losscope.core.results import AuditLine, AuditResult, SplitBatch
from losscope.core.spec import LossSpec
from losscope.core.wording.audits import audit_verdict, worst_first
from losscope.reporting.pictures import Picture, save, suffix


class Card(AuditResult):
    """The correctness card of one loss, with its views: a table, a figure, one sentence."""

    def table(self) -> Any:
        """The card as a Rich table."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=escape(self.loss), title_justify="left")
        for column in ("", "check", "finding", "what it means"):
            table.add_column(column, overflow="fold")
        marks = {
            "wrong": "[red]✗[/]",
            "unsafe": "[red]✗[/]",
            "caution": "[yellow]![/]",
            "slow": "[yellow]![/]",
        }
        for line in self.lines:
            mark = marks.get(line.severity, "[green]✓[/]" if line.passed else "–")
            table.add_row(mark, escape(line.check), escape(line.finding), escape(line.meaning))
        return table

    def figure(self) -> Picture:
        """The force profile, as a maker of matplotlib's figure.

        Raises:
            LosscopeError: the loss has no force profile; with the reason.
        """
        findings = [line.finding for line in self.lines if line.check == "force profile"]
        require(self.profile is not None, f"{self.loss!r} has no force profile to draw: {''.join(findings)}")
        assert self.profile is not None
        return profile_figure(self.profile, self.loss)

    def __str__(self) -> str:
        return f"{self.loss}: {self.verdict}"


def audit(
    loss: str | LossSpec | Callable[..., Any],
    *,
    protocol: str = "matched",
    plot: str | Path | None = None,
    trust: bool = False,
    distributed: int | None = None,
    accumulate: int | None = None,
) -> Card:
    """Check any loss on small batches of its own; nothing is trained. Takes a few seconds.

    Args:
        loss: a registered loss with optional hyperparameters, ``pml:…``, ``sentence_transformers:…``,
            ``package.module:Class``, ``path/file.py:function``, or a callable of (embeddings, labels).
        protocol: whose defaults fill what is not given of our own losses.
        plot: a file ending in .html, .png, .svg or .pdf, to which the force profile is drawn.
        trust: whether the code of a loss that is neither ours nor a known library's may run.
        distributed: start so many processes, and see whether their gradient, averaged as
            DistributedDataParallel does, is that of one process with the whole batch.
        accumulate: see whether the mean gradient of so many micro-batches is that of the whole batch.

    Returns:
        A Card: ``verdict``, which says first what matters most; one line per check with its severity, a
        finding and its meaning; the force profile; the growth. A sound loss that is slow does not fail.

    Raises:
        LosscopeError: an unknown loss, one that cannot be called on an ordinary batch, or a plot that cannot
            be drawn or written; with ``distributed`` a Python object that other processes cannot load.

    >>> def label_blind(embeddings, labels):
    ...     return (embeddings - embeddings.roll(1, 0)).square().sum(1).mean()
    >>> print(audit(label_blind).verdict)  # doctest: +ELLIPSIS
    Wrong: label-blind: permuting the labels leaves the gradient as it was; it does not know which rows ...
    """
    if plot is not None:
        suffix(plot)
    check_parts(distributed, accumulate)
    start = time.perf_counter()
    with contextlib.nullcontext() if distributed is None else alone():
        audited = subject(loss, protocol=protocol, trust=trust)
        force, cost = _Kept(force_profile), _Kept(growth)
        lines = _lines(audited, force, cost)
        splits: list[SplitBatch] = []
        if distributed is not None:
            more, splits = over_processes(loss, audited, distributed, protocol=protocol, trust=trust)
            lines += more
        if accumulate is not None:
            more, others = over_micro_batches(audited, accumulate)
            lines, splits = lines + more, splits + others
    worst = worst_first(lines)
    card = Card(
        loss=audited.name,
        passed=all(line.passed is not False for line in lines),
        lines=tuple(lines),
        severity=worst[0].severity if worst else "none",
        verdict=audit_verdict(lines),
        profile=force.kept,
        growth=cost.kept,
        versions=_versions(audited.name),
        seconds=round(time.perf_counter() - start, 2),
        splits=tuple(splits),
    )
    if plot is not None:
        save(card.figure(), plot)
    return card


def _lines(audited: Subject, force: _Kept, cost: _Kept) -> list[AuditLine]:
    checks: dict[str, Check] = {
        **CHECKS,
        "reduction": reduction,
        "margin": margin_unit,
        "force profile": force,
        "time growth": cost,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fill(audited, checks, ESSENTIAL)


class _Kept:
    """A measurement (lines, value) as a check: it gives the lines and keeps the value."""

    def __init__(self, measure: Callable[[Any], tuple[Any, Any]]) -> None:
        self.measure = measure
        self.kept: Any = None

    def __call__(self, subject: Any) -> AuditLine | list[AuditLine]:
        lines, self.kept = self.measure(subject)
        return lines


def _versions(name: str) -> dict[str, str]:
    import torch

    from losscope import __version__
    from losscope.core import calls
    from losscope.losses.foreign.sources import version

    versions = {"losscope": __version__, "torch": torch.__version__}
    if calls.is_foreign(name):
        where = calls.parse(name).where
        try:
            versions[where] = version(where.split(".")[0])
        except ValueError:
            return versions
    return versions


__all__ = ["Card", "audit"]
