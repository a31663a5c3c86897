"""One trainer for a population: many members, one stacked model, a record for each.

Members share data shape, model and loss family; seed, margin and learning rate are a leading dimension of
every tensor. Each member draws from its own generators and no operation mixes members, so on a CPU with
one thread a member's numbers are bitwise those of training it alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.core.spec import Run
from losscope.data import Part, Splits
from losscope.pairs import Relation, normalise
from losscope.run.store import Record
from losscope.train import checkpoints
from losscope.train.batches import Batches
from losscope.train.course import course_of, followed, moments
from losscope.train.curves import Curves
from losscope.train.fast import keep_freed_memory
from losscope.train.finetuning import on_backbone, provenance
from losscope.train.instruments import Instruments, Reading, View
from losscope.train.measuring import architecture, baselines, embedded, measure
from losscope.train.objective import objective
from losscope.train.optimiser import Adam, Stack
from losscope.train.samplers import balanced_epoch
from losscope.train.starting import starts
from losscope.train.together import ALONE, TRIED, Lost, Team, check_rows_alone
from losscope.train.transforms import transformed
from losscope.train.views import PROBE_ROWS, Validation, probe, validation

Progress = Callable[[int, int], None]
MOST_FOLLOWED = 1 << 24
"""Numbers of a backbone that are kept of several epochs for the map's player: 64 MB of each."""


@dataclass
class Population:
    """The state of a population between two epochs; everything a checkpoint holds."""

    runs: list[Run]
    splits: list[Splits]
    device: torch.device
    keep: str = "last"
    team: Team = ALONE

    def __post_init__(self) -> None:
        first = self.runs[0]
        self.protocol = first.protocol
        self.members = len(self.runs)
        self.splits = transformed(self.splits, self.protocol)
        self.architecture = architecture(first, self.splits[0])
        self.objective = objective(self.runs, self.splits, self.device)
        network = starts(self.architecture, self.runs, self.splits)
        if self.protocol.finetunes:
            self.architecture, network, self.splits = on_backbone(
                self.architecture, network, self.runs, self.splits, self.device
            )
        self.stack = Stack(network, self.objective.initial(self.protocol.embedding_size), self.device)
        losses = [run.loss for run in self.runs]
        self.adam = Adam(
            self.stack,
            [run.learning_rate for run in self.runs],
            [loss.weight_decay for loss in losses],
            [loss.class_rate for loss in losses],
            self.protocol.backbone_rate if self.protocol.finetunes else 1.0,
        )
        self.batches = Batches(self.runs, self.splits, self.objective.traits.takes, self.device)
        self.forward = self.team.sharded(self.architecture.forward)
        self.probe = probe(self.batches)
        self.validation = validation(self.batches, self.protocol.curve_rows)
        self.curves = Curves()
        self.instruments = Instruments(
            self.objective,
            self.curves,
            self.probe.relation,
            self.validation,
            members=self.members,
            epochs=self.protocol.epochs,
            light=first.purpose == "trial",
            across=self.splits[0].validation.second is not None,
        )
        self.epoch = 0
        self.reasons: list[str | None] = [None] * self.members
        self.chosen: dict[int, Tensor] = {}
        self.history: list[Tensor] = []
        self.moments = {
            member: moments(self.protocol.epochs, run.loss.checkpoint)
            for member, run in enumerate(self.runs)
            if followed(run, self.keep) and self.stack.trunk <= MOST_FOLLOWED
        }
        self.course: dict[int, dict[int, Tensor]] = {member: {} for member in self.moments}
        self.seconds = 0.0
        self._said: list[str] = []

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about the batches and the training that a person should read."""
        return [*self.batches.notes, *self._said]

    def note(self, sentence: str) -> None:
        """Add a sentence that a person should read, once."""
        if sentence not in self._said:
            self._said.append(sentence)

    def embed(self, inputs: Tensor) -> Tensor:
        """Inputs (M, rows, ...) -> normalised embeddings (M, rows, D), without gradient."""
        with torch.no_grad():
            return normalise(self.forward(self.stack.network, inputs))

    def output(self, inputs: Tensor) -> Tensor:
        """Inputs (M, rows, ...) -> embeddings (M, rows, D) as the loss takes them: normalised, or raw."""
        raw = self.forward(self.stack.network, inputs)
        return normalise(raw) if self.objective.traits.normalised else raw

    def step(self, inputs: Tensor, relation: Relation) -> None:
        """One update of every living member, and its instruments' readings."""
        embeddings = self.output(inputs)
        terms, loss = self.objective(embeddings, relation, self.stack.extra)
        gradient, *rest = torch.autograd.grad(
            loss.sum(), [embeddings, *self.stack.leaves], materialize_grads=True
        )
        self.stack.take(rest)
        self.team.add_up(self.stack.grad, self.stack.size)
        light = self.instruments.light
        # Of a trial it is only asked whether the gradient is finite, which that by the embeddings tells.
        norm = torch.linalg.vector_norm(gradient, dim=(-2, -1)) if light else self.stack.gradient_norm()
        update, alive = self.adam.step(norm, measured=not light)
        if not alive:
            self._bury(norm)
        self.instruments.read(Reading(loss, terms, gradient, norm, update))

    def _bury(self, norm: Tensor) -> None:
        for member in torch.nonzero(~torch.isfinite(norm)).flatten().tolist():
            if self.reasons[member] is None:
                self.reasons[member] = f"the gradient was not finite in epoch {self.epoch + 1}"

    def run_epoch(self) -> None:
        """One epoch of updates, then the readings of its end."""
        start = time.perf_counter()
        self.team.agree(self.stack.flat)
        if self.epoch == 0:
            self.instruments.look(0, self.view())
            self._choose()
        for inputs, relation in self.batches.epoch(self.embed):
            self.step(inputs, relation)
        self.epoch += 1
        self.close_epoch(self.epoch)
        if self.keep == "all" and not self.instruments.light:
            self.history.append(self.stack.flat.clone())
        self._choose()
        self.seconds += time.perf_counter() - start

    def _choose(self) -> None:
        """Keep the weights of members whose chosen epoch this is, or that are followed; 0 is the start."""
        for member, run in enumerate(self.runs):
            if run.loss.checkpoint == self.epoch:
                self.chosen[member] = self.stack.flat[member].clone()
            if self.epoch in self.moments.get(member, ()):
                self.course[member][self.epoch] = self.stack.flat[member].clone()

    def close_epoch(self, epoch: int) -> None:
        """The readings of an epoch's end, made into curve points."""
        self.instruments.close_epoch(epoch)
        if epoch in self.instruments.epochs:
            self.instruments.look(epoch, self.view())

    def view(self) -> View:
        """Embeddings of the rows that curves are read from."""
        seen = None
        if self.instruments.reads_force:
            with torch.no_grad():
                seen = self.output(self.batches.pool.gather(self.probe.index))
        return View(seen, [self._validated(group) for group in self.validation])

    def _validated(self, group: Validation) -> Tensor:
        """Normalised embeddings of a group's validation rows by its members, without gradient."""
        if len(group.members) == self.members:
            return self.embed(group.inputs)
        own = self.stack.views(self.stack.flat[list(group.members)])
        with torch.no_grad():
            return normalise(self.forward(own, group.inputs))

    def state(self) -> dict[str, Any]:
        """Everything needed to go on: tensors and plain values only, readable without pickle's code."""
        return {
            "epoch": self.epoch,
            "flat": self.stack.flat,
            "adam": self.adam.state(),
            "generators": self.batches.state(),
            "curves": self.curves.rows,
            "reasons": self.reasons,
            "chosen": self.chosen,
            "history": self.history,
            "course": self.course,
            "seconds": self.seconds,
            "objective": self.objective.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state that ``state`` gave; nothing is taken over of one that does not fit.

        Raises:
            ValueError: a state of another population, or an altered one.
        """
        checkpoints.check(self.state(), state, self.protocol.epochs)
        self.epoch = state["epoch"]
        self.stack.flat.copy_(state["flat"])
        self.adam.load(state["adam"])
        self.batches.load(state["generators"])
        self.curves.rows = [(split, epoch, name, values) for split, epoch, name, values in state["curves"]]
        self.reasons = state["reasons"]
        self.chosen = state["chosen"]
        self.history = state["history"]
        self.course = state["course"]
        self.seconds = state["seconds"]
        self.objective.load(state["objective"])


def train(
    runs: Sequence[Run],
    splits: Sequence[Splits],
    *,
    device: str = "cpu",
    keep: str = "last",
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    team: Team = ALONE,
) -> list[Record]:
    """Train one population and measure it; baselines are measured only.

    Args:
        runs: members of one family (``Run.family``), one a seed or hyperparameter.
        splits: each member's data.
        device: ``cpu`` or ``cuda``.
        keep: ``none``, ``last`` (weights and test embeddings) or ``all`` (and the weights after every epoch).
        checkpoint: where the unfinished state is kept every 60 s, and read from.
        progress: called with (epochs done, epochs).
        team: the processes that train this population together. All of them call this with the same runs and
            data; process 0 alone has a checkpoint and whole records.

    Returns:
        One record a run, in order; a member whose numbers left the finite ones is ``diverged``, with the
        reason.

    Raises:
        LosscopeError: if a batch cannot be made from the data.
        Lost: another process of the team has ended.
    """
    where = torch.device(device)
    keep_freed_memory()
    if runs[0].loss.baseline:
        return baselines(runs, splits, where, keep)
    equal = equal_epochs(runs, splits)
    if len(equal) > 1:
        return _apart(equal, runs, splits, checkpoint, progress, device=device, keep=keep, team=team)
    team.meet()  # data take their time to load
    population = Population(list(runs), list(splits), where, keep, team)
    if team.size > 1:
        tried = population.batches.pool.gather(population.probe.index[:, :TRIED])
        network = population.architecture.forward, population.stack.network
        check_rows_alone(*network, tried, population.protocol.model, team.size)
    try:
        kept = checkpoints.Checkpoint(population, checkpoint)
    except checkpoints.HalfLoaded as refused:
        population = Population(list(runs), list(splits), where, keep, team)
        population.note(str(refused))
        kept = checkpoints.Checkpoint(population, checkpoint)
    try:
        checkpoints.hand_out(population)
        while population.epoch < population.protocol.epochs:
            population.run_epoch()
            kept.epoch_ended()
            if progress:
                progress(population.epoch, population.protocol.epochs)
        records = _finish(population, keep)
    except (KeyboardInterrupt, Lost):
        kept.write()
        raise
    kept.remove()
    return records


def equal_epochs(runs: Sequence[Run], splits: Sequence[Splits]) -> list[list[int]]:
    """Members whose epochs are alike, and so can share every step without a trace of who trains beside them.

    Training parts of unlike size (whole classes held out, which differ by seed) may have other numbers of
    batches, of classes in a batch, of class vectors, or of rows that are probed. A backbone trains one member
    at a time.
    """
    if runs[0].protocol.finetunes:
        return [[member] for member in range(len(runs))]
    alike: dict[tuple[int, ...], list[int]] = {}
    known: dict[int, tuple[int, ...]] = {}
    for member, (run, split) in enumerate(zip(runs, splits, strict=True)):
        if id(split) not in known:
            known[id(split)] = _epoch_of(run, split.train)
        alike.setdefault(known[id(split)], []).append(member)
    return list(alike.values())


def _epoch_of(run: Run, part: Part) -> tuple[int, ...]:
    """All of a training part that other members of its population would have to have too."""
    protocol, facts, labels = run.protocol, run.loss.facts, part.labels
    if protocol.background == "exclude":
        labels = labels[labels != -1]
    classes = len(np.unique(labels))
    vectors = classes if facts is None or facts.class_vectors else 0  # a foreign loss may have them
    own = min(PROBE_ROWS, len(labels)), vectors
    if part.triplets is not None:
        return *own, len(part.triplets)
    if part.pairs is not None:  # losses over batches use those alone that are the same
        return *own, len(part.pairs), int((part.pairs[:, 2] == 1).sum())
    if protocol.batching == "shuffled":
        return *own, len(labels)
    return *own, *balanced_epoch(protocol, len(labels), classes)


def _apart(
    parts: list[list[int]],
    runs: Sequence[Run],
    splits: Sequence[Splits],
    checkpoint: Path | None,
    progress: Progress | None,
    **common: Any,
) -> list[Record]:
    """Train each part of a population on its own; progress counts all as one."""
    records: dict[int, Record] = {}
    for place, members in enumerate(parts):

        def share(done: int, total: int, before: int = place) -> None:
            if progress:
                progress((before * total + done) // len(parts), total)

        own = checkpoint and checkpoint.with_name(f"{checkpoint.stem}-{place}{checkpoint.suffix}")
        mine = [runs[member] for member in members], [splits[member] for member in members]
        found = train(*mine, checkpoint=own, progress=share, **common)
        records |= dict(zip(members, found, strict=True))
    return [records[member] for member in range(len(runs))]


def _finish(population: Population, keep: str) -> list[Record]:
    """Measure every member on its splits and write its record; the whole of it is process 0's."""
    team = population.team
    for member, flat in population.chosen.items():
        population.stack.flat[member].copy_(flat)
    records = []
    for member, run in enumerate(population.runs):
        record = Record(run, trace=population.curves.of(member))
        reason = population.reasons[member]
        seconds = population.seconds / population.members
        record.provenance = {
            "train_seconds": seconds,
            "members": population.members,
            "parameters": sum(value[member].numel() for value in population.stack.network.values()),
            "notes": population.notes,
            **population.objective.provenance,
            **(provenance(run, population.splits[member]) if population.protocol.finetunes else {}),
        }
        if team.size > 1:
            on = population.device
            record.provenance["device"] = team.named(
                torch.cuda.get_device_name(on) if on.type == "cuda" else on.type
            )
        if reason is not None:
            record.status, record.reason = "diverged", reason
        if reason is not None or run.purpose == "trial":
            records.append(record)
            continue
        record.measures = {"train": population.curves.summary(member, population.objective.traits.floor)}
        parameters = {name: value[member : member + 1] for name, value in population.stack.network.items()}

        def embed(inputs: Tensor, parameters: dict[str, Tensor] = parameters) -> Tensor:
            with torch.no_grad():
                return normalise(population.forward(parameters, inputs[None]))[0]

        team.meet()  # process 0 has measured the member before
        if not team.leads:
            embedded(run, population.splits[member], embed, population.device)
            records.append(record)
            continue
        measure(record, population.splits[member], embed, population.device, keep)
        if keep != "none":
            record.weights = {
                name: value[0].detach().cpu().numpy().copy() for name, value in parameters.items()
            }
        if population.course.get(member):
            record.course = _course(population, member, record)
        if population.history:
            epochs = torch.stack([flat[member] for flat in population.history])
            record.epochs = {
                name: value.cpu().contiguous().numpy()
                for name, value in population.stack.views(epochs).items()
                if name in population.stack.network
            }
        records.append(record)
    return records


def _course(population: Population, member: int, record: Record) -> dict[str, np.ndarray]:
    """Where a member's test embeddings were at the epochs whose weights it kept."""
    assert record.embeddings is not None
    weights = {
        epoch: {
            name: value
            for name, value in population.stack.views(flat[None]).items()
            if name in population.stack.network
        }
        for epoch, flat in population.course[member].items()
    }
    return course_of(
        weights,
        lambda inputs, parameters: population.architecture.forward(dict(parameters), inputs),
        population.splits[member],
        record.embeddings["embeddings"],
        population.device,
    )
