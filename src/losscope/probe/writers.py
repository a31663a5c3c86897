"""Where a probe's record goes besides its own store: TensorBoard, MLflow, Weights & Biases, or a function.

Nothing here imports those packages before one of their objects is given. Each has a thread of its own, so
that a server that does not answer keeps no training waiting.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from losscope.core.errors import LosscopeError, shown
from losscope.probe.record import Row

PREFIX = "losscope/"
WITHOUT = "loss_without_gradient"
PENDING = 1000
"""Batches of rows that may wait for a writer; one that falls further behind is given up."""
PATIENCE = 30.0
"""Seconds that a closing probe waits for what is not yet written."""
BATCH = 1000
"""Metrics that MLflow takes in a call."""
LOG = logging.getLogger("losscope.probe")


@dataclass(frozen=True)
class Values:
    """What was recorded of a step, or of a call without gradient after it."""

    step: int
    epoch: int | None
    values: Mapping[str, float]


def by_step(rows: Iterable[Row]) -> Iterator[Values]:
    """Rows that belong together: of a step, or of a call without gradient after it.

    >>> rows = [Row(1, None, "loss", 0.5), Row(1, None, "rows", 8.0), Row(1, None, WITHOUT, 0.4)]
    >>> [dict(found.values) for found in by_step(rows)]
    [{'loss': 0.5, 'rows': 8.0}, {'loss_without_gradient': 0.4}]
    """
    values: dict[str, float] = {}
    last: Row | None = None
    for row in rows:
        alone = WITHOUT in (row.name, last.name if last is not None else "")
        if last is not None and (row.step != last.step or row.name in values or alone):
            yield Values(last.step, last.epoch, values)
            values = {}
        values[row.name] = row.value
        last = row
    if last is not None:
        yield Values(last.step, last.epoch, values)


class Sink(ABC):
    """One place to write to."""

    name: str

    @abstractmethod
    def write(self, records: Sequence[Values]) -> None:
        """Write some steps."""

    def finish(self) -> None:  # noqa: B027 - most have nothing to do
        """After the last step. What is written to is the user's, and stays open."""


class TensorBoard(Sink):
    """A ``SummaryWriter`` of tensorboardX or of torch: scalars ``losscope/<name>`` at the probe's steps."""

    name = "TensorBoard"

    def __init__(self, summary: Any) -> None:
        self._summary = summary

    def write(self, records: Sequence[Values]) -> None:
        for record in records:
            for name, value in record.values.items():
                self._summary.add_scalar(PREFIX + name, value, record.step)

    def finish(self) -> None:
        self._summary.flush()


class MLflow(Sink):
    """An MLflow run: metrics ``losscope/<name>`` at the probe's steps.

    The client is made here, so that a later change of the tracking URI changes nothing.
    """

    name = "MLflow"

    def __init__(self, run: Any) -> None:
        from mlflow import MlflowClient

        self._client, self._run = MlflowClient(), run.info.run_id

    def write(self, records: Sequence[Values]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(PREFIX + name, value, now, record.step)
            for record in records
            for name, value in record.values.items()
        ]
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(self._run, metrics=metrics[start : start + BATCH])


class WeightsAndBiases(Sink):
    """A run of wandb: a row for each step, drawn over ``losscope/step``."""

    name = "Weights & Biases"

    def __init__(self, run: Any) -> None:
        self._run = run
        run.define_metric(f"{PREFIX}step")
        run.define_metric(f"{PREFIX}*", step_metric=f"{PREFIX}step")

    def write(self, records: Sequence[Values]) -> None:
        for record in records:
            epoch = {} if record.epoch is None else {f"{PREFIX}epoch": record.epoch}
            values = {PREFIX + name: value for name, value in record.values.items()}
            self._run.log({f"{PREFIX}step": record.step, **epoch, **values})


class Function(Sink):
    """A function of a step, an epoch or None, and the values by name."""

    def __init__(self, function: Callable[[int, int | None, dict[str, float]], object]) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        self._function = function

    def write(self, records: Sequence[Values]) -> None:
        for record in records:
            self._function(record.step, record.epoch, dict(record.values))


def sink_for(given: Any) -> Callable[[Any], Sink]:
    """What makes the sink of what was given; nothing of its package is called yet.

    >>> sink_for("runs")
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: the writer is 'runs'; wanted: a SummaryWriter of tensorboardX or \
torch, a run of mlflow (mlflow.start_run()), a run of wandb (wandb.init()), or a function of step, epoch and \
values
    """
    if isinstance(given, type | str | os.PathLike):
        raise _unfit(given)
    if callable(getattr(given, "add_scalar", None)):
        return TensorBoard
    if callable(getattr(given, "define_metric", None)) and callable(getattr(given, "log", None)):
        return WeightsAndBiases
    if hasattr(getattr(given, "info", None), "run_id"):
        return MLflow
    if callable(given):
        return Function
    raise _unfit(given)


def check_writers(writers: object) -> None:
    """Refuse what is no list of writers, or has something in it that is none."""
    if not isinstance(writers, list | tuple):
        raise LosscopeError(f"writers is {shown(writers)}; a list of writers is wanted: writers=[...]")
    for given in writers:
        sink_for(given)


def outlets_of(writers: Sequence[Any], probe: str) -> list[Outlet]:
    """An outlet for each writer.

    Raises:
        LosscopeError: no list of writers, or something in it that is none.
    """
    check_writers(writers)
    return [Outlet(given, probe) for given in writers]


def _unfit(given: object) -> LosscopeError:
    return LosscopeError(
        f"the writer is {shown(given)}; wanted: a SummaryWriter of tensorboardX or torch, a run of mlflow "
        "(mlflow.start_run()), a run of wandb (wandb.init()), or a function of step, epoch and values"
    )


class Outlet:
    """A sink and the thread that writes to it; the first failure is said, and ends it.

    Args:
        given: what the user wants to be written to; see ``sink_for``.
        probe: the probe's name, for what is said.
    """

    def __init__(self, given: Any, probe: str) -> None:
        self._sink = sink_for(given)(given)
        self._probe, self._process = probe, os.getpid()
        self._waiting: queue.Queue[Sequence[Row] | None] = queue.Queue(PENDING)
        self._thread: threading.Thread | None = None
        self._ended = False

    def write(self, rows: Sequence[Row]) -> None:
        """Hand rows over; a process forked off the one that began writes nothing."""
        if self._ended or not rows or os.getpid() != self._process:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="losscope writer", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(tuple(rows))
        except queue.Full:
            self._give_up("does not keep up with the training")

    def close(self) -> None:
        """Wait until all is written, though not for ever."""
        if self._thread is None or os.getpid() != self._process:
            return
        end = time.monotonic() + PATIENCE
        if not self._ended:
            try:
                self._waiting.put(None, timeout=PATIENCE)
            except queue.Full:
                self._give_up("does not keep up with the training")
            self._thread.join(max(0.0, end - time.monotonic()))
            if self._thread.is_alive():
                self._give_up(f"had not finished after {PATIENCE:.0f} seconds")
        self._ended = True

    def _work(self) -> None:
        while (rows := self._waiting.get()) is not None and not self._ended:
            self._try(partial(self._sink.write, list(by_step(rows))))
        if not self._ended:
            self._try(self._sink.finish)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # whatever a package raises, a training goes on
            self._give_up(f"failed: {type(error).__name__}: {shown(str(error))[1:-1]}")

    def _give_up(self, why: str) -> None:
        if not self._ended:
            self._ended = True
            LOG.warning(
                "%s: writing to %s %s. The training goes on, and the record is not written there any more",
                self._probe,
                self._sink.name,
                why,
            )
