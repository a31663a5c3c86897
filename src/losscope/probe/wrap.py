"""``losscope.Probe``: any loss, in anyone's loop, called as before and recorded as it goes."""

from __future__ import annotations

import functools
import itertools
import logging
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import torch
from torch import Tensor, nn

from losscope import __version__
from losscope.core.errors import LosscopeError, require, shown
from losscope.losses.drop_in import LossModule
from losscope.probe.asking import Questions
from losscope.probe.doctor import Doctor
from losscope.probe.findings import Finding
from losscope.probe.inputs import FROM_EMBEDDINGS, Given, put, watching
from losscope.probe.optimising import Optimising, Update, together
from losscope.probe.options import check, whole_epoch
from losscope.probe.record import Mark, ProbeRecord, Row, Writer, identifier, in_order, read_rows
from losscope.probe.steps import Reading, counts_of, look, shares, values_of
from losscope.probe.subjects import name_of, subject_of
from losscope.probe.writers import Outlet, outlets_of

EVERY = 50
"""Steps from one look at the batch to the next."""
WAITS = 100
"""Steps after which a step without a gradient is taken to have had no ``backward``."""
CALLS = itertools.count(1)
"""Numbers the calls of all probes, so that the one called last can be told."""
BLIND = (
    "the loss was given no embeddings, which are tensors of shape (rows, D) that take a gradient and lead to "
    "the loss, so only its value is recorded. A function that makes them itself can call a probe inside"
)
LOG = logging.getLogger("losscope.probe")


class Probe(nn.Module):
    """Wraps any loss; called in its place, it returns the loss's value and records what the loss does.

    Value and gradient are the loss's own, bit for bit, and there is no second backward pass. Each call is a
    step. Recorded of each: the loss; the norms of the embeddings' gradient by row, and how evenly they are
    spread (``active_samples``, ``effective_active``, ``gradient_gini``, ``gradient_top_tenth``); the lengths
    of the embeddings; of a loss of ours its ``active_ratio``. At every ``every``-th step also intra-class
    variance, inter-class distance and effective rank of the batch, and the greedy and hard shares of a loss
    of ours. docs/probe.md says what each is.

    Gradients are those of the loss as it was returned: what multiplies it on its way to ``backward`` (a
    GradScaler's scale, 1/accumulation steps, a weight) is divided out, and recorded as ``loss_factor``. They
    are read from the embeddings that the loss is given: the gradient of other terms of the training that
    read the same embeddings is in it.

    A doctor reads along. What it finds is said once, as a warning of the logger ``losscope.probe``, and
    stands in ``findings``.

    Args:
        loss: an ``nn.Module`` or a function that returns a scalar: of losscope, pytorch-metric-learning,
            sentence-transformers, or your own.
        out: a folder, such as ``compare`` has, in which ``probes/<id>/`` is written while training goes on;
            None keeps the record in memory.
        name: what the record is called; the loss's name otherwise.
        model: whose parameters' gradient and update are recorded at each step of a ``torch.optim``
            optimiser.
        every: steps from one look at the batch to the next.
        unit_rows: whether the loss wants embeddings of length 1 and does not make them so itself; then the
            doctor says where they are not.
        writers: where each record goes too, under ``losscope/<name>`` with its step: a ``SummaryWriter`` of
            tensorboardX or torch, a run of mlflow, a run of wandb, or a function of step, epoch and values.
            One that fails is said once, and the training goes on.
        seed: of the training, where several of one loss are compared; a name such as ``triplet/3`` says it
            as well.
        ask: whether a copy of the loss may be called at a look, for rules that ask what it would be for equal
            rows or other labels.

    Attributes:
        loss: what is wrapped.
        epoch: a whole number, written beside each step; set it in the loop, or leave it None.

    Raises:
        LosscopeError: what is given is no loss, an option is not what is wanted, or the folder cannot be
            written; in a call, a loss that returns no scalar. A folder that can be written no more while
            training goes on is said once, and the rows are kept and tried again.

    >>> import losscope
    >>> probe = Probe(losscope.loss("triplet(margin=0.2)"), every=1)
    >>> rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]], requires_grad=True)
    >>> value = probe(rows, torch.tensor([0, 1, 1]))
    >>> value.backward()
    >>> record = probe.record()
    >>> record.curve("loss") == ([1], [value.item()]), record.curve("active_samples")
    (True, ([1], [1.0]))
    """

    def __init__(
        self,
        loss: Callable[..., Any],
        *,
        out: str | Path | None = None,
        name: str | None = None,
        model: nn.Module | None = None,
        every: int = EVERY,
        unit_rows: bool = False,
        writers: Sequence[Any] = (),
        seed: int | None = None,
        ask: bool = True,
    ) -> None:
        super().__init__()
        require(callable(loss), f"the loss is {shown(loss)}; a module or a function that is called is wanted")
        check(name=name, model=model, every=every, unit_rows=unit_rows, seed=seed, ask=ask)
        self.loss = loss
        self._epoch: int | None = None
        self._every = every
        self._recorder: Recorder | None = None
        self._outside: Callable[..., Any] | None = None
        self._own: Callable[..., Any] | None = None
        self._questions: Questions | None = None
        rank, ranks = _rank()
        if rank:
            return
        subject = subject_of(loss, unit_rows).model_copy(update={"model": model is not None})
        mark = Mark(
            id=identifier(name or subject.loss),
            name=name or subject.loss,
            status="open",
            subject=subject,
            every=every,
            rank=f"rank 0 of {ranks}" if ranks > 1 else "",
            seed=seed,
            started=time.time(),
            losscope=__version__,
            torch=torch.__version__,
        )
        self._outside = _outside_compilation()
        if ask and ranks == 1:
            self._questions = Questions(loss, subject.compares_rows)
        outlets = outlets_of(writers, mark.title)
        self._recorder = recorder = Recorder(Writer(out, mark), outlets)
        if model is not None:
            recorder.optimising = Optimising(model, recorder.take_update)
        self._close = weakref.finalize(self, Recorder.close, recorder)

    @property
    def epoch(self) -> int | None:
        """What is written beside each step."""
        return self._epoch

    @epoch.setter
    def epoch(self, value: SupportsIndex | None) -> None:
        self._epoch = whole_epoch(value)

    @property
    def folder(self) -> Path | None:
        """Where the record is written; None in memory, and on ranks other than 0."""
        return self._recorder.writer.folder if self._recorder else None

    @property
    def findings(self) -> list[Finding]:
        """What the doctor found so far."""
        if self._recorder is None:
            return []
        self._recorder.digest()
        return list(self._recorder.doctor.findings)

    @property
    def recorder(self) -> Recorder | None:
        """What records; None for a copy, and on ranks other than 0."""
        return self._recorder

    def attach(self) -> Callable[[], None]:
        """Record whenever the loss itself is called, wherever it is held; returns what ends that.

        The loss stays where it is, so that nothing changes in what is saved of a model. Copies of the loss
        are as it was before.

        Raises:
            LosscopeError: the loss is no module.
        """
        loss = self.loss
        if not isinstance(loss, nn.Module):
            raise LosscopeError(f"{name_of(loss)} is no nn.Module; call the probe in its place")
        self._own = loss.forward
        give_back = put(loss, "forward", Entry(self, loss.forward))

        def detach() -> None:
            self._own = None
            give_back()

        return detach

    def record(self) -> ProbeRecord:
        """Everything that was recorded so far, written or not."""
        if self._recorder is None:
            raise LosscopeError("this probe records nothing: it is a copy, or not on rank 0")
        self._recorder.digest()
        writer = self._recorder.writer
        rows = [*(read_rows(writer.folder) if writer.folder else ()), *writer.rows]
        return ProbeRecord(writer.folder, writer.mark, in_order(rows))

    def close(self) -> None:
        """Write what is left and mark the record as closed; later calls only compute the loss.

        It happens by itself when the probe goes away, or Python ends.
        """
        if self._recorder is not None:
            self._close()

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """The loss's own value."""
        if self._outside is not None and torch.compiler.is_compiling():
            return self._outside(self, arguments, named)
        return self._call(arguments, named)

    def _run(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return (self.loss if self._own is None else self._own)(*arguments, **named)

    def _call(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        recorder = self._recorder
        if recorder is None or recorder.closed:
            return self._run(arguments, named)
        recorder.calls = next(CALLS)
        given = Given(class_names=isinstance(self.loss, LossModule))
        given.read(arguments, named)
        with watching(self.loss, given):
            value = self._run(arguments, named)
        # sentence-transformers' trainers add up the parts of a loss that returns a dictionary of them.
        summed = isinstance(value, dict) and hasattr(self.loss, FROM_EMBEDDINGS)
        parts = list(value.values()) if summed else [value]
        if not parts or not all(map(_is_number, parts)):
            raise LosscopeError(
                f"{name_of(self.loss)} returned {_kind(value)}; Probe wants a loss that returns one number, "
                f"a tensor of one element"
            )
        given.keep_what_leads_to(parts)
        recorder.take(parts, given, self._epoch, self._look)
        return value

    def _look(self, step: int, given: Given) -> dict[str, float]:
        assert self._recorder is not None
        if (step - 1 - self._recorder.first) % self._every:
            return {}
        found = look(given)
        if self._questions is not None:
            found |= self._questions.ask(step, given)
        if isinstance(self.loss, LossModule) and given.compared is not None:
            spec = self.loss.spec
            reduction = spec.reduction or "valid_mean"
            found |= shares(spec.name, spec.hyperparameters, reduction, given.compared)
        return found

    def __getattr__(self, name: str) -> Any:
        """The wrapped loss's own attributes: its margin, its distance."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "loss" or name.startswith("_"):
                raise
            return getattr(self.loss, name)

    def __getstate__(self) -> dict[str, Any]:
        """A copy computes the loss and records nothing: two would write one record."""
        return {**vars(self), "_recorder": None, "_outside": None, "_questions": None, "_close": None}


class Entry:
    """What is called in the place of a loss's ``forward`` while a probe is attached to it."""

    def __init__(self, probe: Probe, forward: Callable[..., Any]) -> None:
        self._probe = probe
        functools.update_wrapper(self, forward)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._probe.forward(*arguments, **named)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied or saved with its loss it is that loss's own method, so that no copy records."""
        return getattr, (self._probe.loss, "forward")


class Recorder:
    """What has been read and not yet written."""

    def __init__(self, writer: Writer, outlets: Sequence[Outlet] = ()) -> None:
        self.writer = writer
        self.outlets = outlets
        self.doctor = Doctor(writer.mark.subject)
        self.optimising: Optimising | None = None
        self.closed = False
        self.step = self.first = 0
        # The number of the last call among those of all probes, 0 before the first.
        self.calls = 0
        self.fresh: list[Row] = []
        self.readings: list[Reading] = []
        self.updates: list[tuple[int, int | None, Update]] = []
        self.epoch: int | None = None
        self.blind = False

    def begin_after(self, step: int) -> None:
        """Count steps on from those of an earlier part of the same training."""
        if self.step == 0:
            self.step = self.first = step

    def take(
        self,
        parts: Sequence[Tensor],
        given: Given,
        epoch: int | None,
        looks: Callable[[int, Given], dict[str, float]],
    ) -> None:
        """Note a call of the loss, the sum of some parts; its gradient comes with ``backward``."""
        self.epoch = epoch
        alone = parts[0].detach().clone()
        loss = alone if len(parts) == 1 else torch.stack([part.detach().reshape(()) for part in parts]).sum()
        moving = [part for part in parts if part.requires_grad]
        if not (torch.is_grad_enabled() and moving):
            self._add([Row(self.step, epoch, "loss_without_gradient", float(loss))])
            return
        if not (given.embeddings or self.blind):
            self.blind = True
            LOG.warning("%s: %s", self.writer.mark.title, BLIND)
        if self.step and (self.step % self.writer.mark.every == 0 or self.writer.due()):
            self.digest(last=False)
        self.step += 1
        embeddings = given.embeddings
        reading = Reading(
            step=self.step,
            epoch=epoch,
            loss=loss,
            lengths=[_row_norms(part) for part in embeddings],
            gradients=[None] * len(embeddings),
            labels=None if given.labels is None else given.labels.clone(),
            counts=counts_of(given),
            looked=looks(self.step, given),
        )
        self.readings.append(reading)
        handles = [moving[0].register_hook(functools.partial(_note_factor, reading))]
        for place, part in enumerate(embeddings):
            handles.append(part.register_hook(functools.partial(_note_gradient, reading, place)))
        reading.release = [handle.remove for handle in handles]

    def take_update(self, update: Update) -> None:
        """Note a step of the optimiser; it belongs to the last call of the loss."""
        self.updates.append((self.step, self.epoch, update))

    def digest(self, last: bool = True) -> None:
        """Turn readings into rows, have the doctor read them, and write a part if it is time.

        ``last``: those whose gradient has not come too.
        """
        done = [r for r in self.readings if last or r.complete or r.step <= self.step - WAITS]
        epochs = {reading.step: reading.epoch for reading in done}
        self.readings = [reading for reading in self.readings if reading.step not in epochs]
        values = values_of(done)
        for reading in done:
            for release in reading.release:
                release()
        updates: dict[int, list[Update]] = {}
        for step, epoch, update in self.updates:
            updates.setdefault(step, []).append(update)
            epochs.setdefault(step, epoch)
        self.updates = []
        for step, of_step in updates.items():
            if found := together(of_step):
                values[step] = values.get(step, {}) | found
        for step, own in sorted(values.items()):
            self._add([Row(step, epochs[step], name, value) for name, value in own.items()])
            for finding in self.doctor.see(step, own):
                LOG.warning("%s: %s", self.writer.mark.title, finding.sentence)
        for outlet in self.outlets:
            outlet.write(self.fresh)
        self.fresh = []
        if self.writer.due():
            self.writer.write()

    def _add(self, rows: list[Row]) -> None:
        self.writer.rows += rows
        if self.outlets:
            self.fresh += rows

    def close(self) -> None:
        """Digest and write everything, and record no more."""
        self.closed = True
        if self.optimising is not None:
            self.optimising.close()
        self.digest()
        self.writer.close()
        for outlet in self.outlets:
            outlet.close()


def _note_factor(reading: Reading, gradient: Tensor) -> None:
    if reading.factor is None:
        reading.factor = gradient.detach().clone()


def _note_gradient(reading: Reading, place: int, gradient: Tensor) -> None:
    if reading.gradients[place] is None:
        reading.gradients[place] = _row_norms(gradient)


def _row_norms(rows: Tensor) -> Tensor:
    # A dtype is given only where it widens: torch's way to it is slow.
    wide = torch.float32 if rows.element_size() < 4 else None
    return torch.linalg.vector_norm(rows.detach(), dim=-1, dtype=wide)


def _rank() -> tuple[int, int]:
    """This process's rank among those that train one model, and their number."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def _is_number(value: object) -> bool:
    return isinstance(value, Tensor) and value.numel() == 1 and value.is_floating_point()


def _kind(value: object) -> str:
    return (
        f"a tensor of shape {tuple(value.shape)}"
        if isinstance(value, Tensor)
        else f"a {type(value).__name__}"
    )


@functools.cache
def _outside_compilation() -> Callable[..., Any]:
    """``Probe._call``, at which ``torch.compile`` breaks its graph; made once: it imports the compiler."""
    disabled: Callable[..., Any] = torch.compiler.disable(Probe._call)
    return disabled
