"""The unfinished state of a population on disk: sealed, and taken over only if it is its own, and whole.

A checkpoint is only a saving of time. One that was altered, cut, or written by other code of losscope,
another torch or another kind of processor is not used: training starts again, and a note says so.
"""

from __future__ import annotations

import io
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from losscope.core.spec import Run
from losscope.losses.foreign.state import is_plain
from losscope.run.code import code_digest
from losscope.run.files import digest, replace_file
from losscope.train.together import Team

FORMAT = 1
WRITTEN_EVERY = 60.0
"""Seconds between two checkpoints on the disk."""
TAKEN_EVERY = 1.0
"""Seconds, at least, between two states kept in memory for an interruption."""
SHARE = 50
"""And at least so many times as long as taking the last one took."""


class HalfLoaded(Exception):
    """A state was refused while it was taken over: the population must be made again."""


class Resumable(Protocol):
    """What is kept of a population, and what it is known by."""

    @property
    def runs(self) -> Sequence[Run]:
        """Its members' runs, whose protocol is one."""

    @property
    def device(self) -> torch.device:
        """Where it trains."""

    @property
    def team(self) -> Team:
        """The processes that train it together."""

    @property
    def epoch(self) -> int:
        """Epochs that are done."""

    def state(self) -> dict[str, Any]:
        """All that its numbers depend on from here."""

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""

    def note(self, sentence: str) -> None:
        """Say something with its records."""


class Checkpoint:
    """The checkpoint of a population that trains; ``path`` is None where none is kept.

    An interruption comes in the middle of an epoch, whose updates are half done. So states are taken between
    epochs only, as bytes, and the last of these is what is written.
    """

    def __init__(self, population: Resumable, path: Path | None):
        self.population, self.path = population, path
        self.taken: bytes | None = None
        self.next = 0.0
        self.written = time.monotonic()
        if path is not None:
            resume(population, path)

    def epoch_ended(self) -> None:
        """Take the state if it is time to, and write it if it is time to."""
        start = time.monotonic()
        if self.path is None or start < self.next:
            return
        self.taken = payload(self.population)
        end = time.monotonic()
        self.next = end + max(TAKEN_EVERY, SHARE * (end - start))
        if end - self.written > WRITTEN_EVERY:
            self.write()

    def write(self) -> None:
        """Write the state that was taken last; a disk that refuses it is noted, and training goes on."""
        if self.path is None or self.taken is None:
            return
        self.written = time.monotonic()
        try:
            replace_file(self.path, _header(self.population, self.path, self.taken) + self.taken)
        except OSError as error:
            self.population.note(
                f"The unfinished state could not be kept ({error.strerror}): an interruption would "
                f"start this part again."
            )

    def remove(self) -> None:
        """The population is finished."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def payload(population: Resumable) -> bytes:
    """A population's state as bytes that are read without pickle's code."""
    buffer = io.BytesIO()
    torch.save(population.state(), buffer)
    return buffer.getvalue()


def resume(population: Resumable, path: Path) -> None:
    """Go on from a kept state, if there is one that can be used; one that cannot is removed and noted.

    Raises:
        HalfLoaded: it was refused when a part of it was taken over already.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        population.note(f"The unfinished state could not be read ({error.strerror}): training started again.")
        return
    _, _, kept = content.partition(b"\n")
    try:
        # The header is made again from all that must agree, so that no altered byte of it passes.
        if content != _header(population, path, kept) + kept:
            raise ValueError("it is altered, or of another version, torch or processor")
        state = torch.load(io.BytesIO(kept), map_location=population.device, weights_only=True)
        check(population.state(), state, population.runs[0].protocol.epochs)
    except Exception as error:  # whatever a damaged file makes a reader raise
        path.unlink(missing_ok=True)
        population.note(_unused(error))
        return
    try:
        population.load(state)
    except Exception as error:  # a loss of another library, whose parts are its own
        path.unlink(missing_ok=True)
        raise HalfLoaded(_unused(error)) from None


def hand_out(population: Resumable) -> None:
    """Give all processes of its team the state that process 0 goes on from, if it does not begin."""
    team = population.team
    if team.size == 1:
        return
    if team.leads:
        team.tell(payload(population) if population.epoch else b"")
    elif kept := team.hear():
        population.load(torch.load(io.BytesIO(kept), map_location=population.device, weights_only=True))


def _unused(error: Exception) -> str:
    return f"An unfinished state could not be used ({error}): training started again."


def _header(population: Resumable, path: Path, kept: bytes) -> bytes:
    """The line before the payload: whose state it is, what its numbers depend on, and its checksum."""
    runs = json.dumps([run.model_dump(mode="json") for run in population.runs], sort_keys=True)
    told = {
        "losscope checkpoint": FORMAT,
        "group": path.stem,
        "runs": digest(runs.encode()),
        "losscope": code_digest(),
        "torch": torch.__version__,
        "device": population.team.named(_device_name(population.device)),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "sha256": digest(kept),
    }
    return json.dumps(told).encode() + b"\n"


def _device_name(device: torch.device) -> str:
    """Which processor computes: two kinds of GPU round otherwise."""
    if device.type != "cuda":
        return str(device)
    return f"{device.type} {torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"


def check(own: dict[str, Any], state: Any, epochs: int) -> None:
    """Check a state against a fresh one of the same population: every part, every tensor's shape and type.

    Raises:
        ValueError: it is not such a state.
    """
    _require(isinstance(state, dict) and state.keys() == own.keys(), "its parts are others")
    _alike(own["flat"], state["flat"], "flat")
    members = len(own["flat"])
    for name in ("mean", "square", "count"):
        _alike(own["adam"][name], state["adam"][name], name)
    frozen = state["adam"]["frozen"]
    _require(
        frozen is None or (frozen.dtype == torch.bool and tuple(frozen.shape) == (members,)), "frozen members"
    )
    _require(type(state["epoch"]) is int and 0 < state["epoch"] <= epochs, "its epoch")
    _require(isinstance(state["seconds"], float), "its seconds")
    reasons = state["reasons"]
    _require(
        len(reasons) == members and all(reason is None or isinstance(reason, str) for reason in reasons),
        "its reasons",
    )
    for row in state["history"]:
        _alike(own["flat"], row, "history")
    _require(state["course"].keys() == own["course"].keys(), "the members that are followed")
    kept = [(epoch, flat) for rows in state["course"].values() for epoch, flat in rows.items()]
    for epoch, flat in kept:
        _require(type(epoch) is int and 0 <= epoch <= epochs, "an epoch that was kept")
        _alike(own["flat"][0], flat, "course")
    for member, flat in state["chosen"].items():
        _require(type(member) is int and 0 <= member < members, "a chosen member")
        _alike(own["flat"][0], flat, "chosen")
    for split, epoch, name, values in state["curves"]:
        good = isinstance(split, str) and type(epoch) is int and isinstance(name, str)
        _require(good and len(values) == members and all(type(v) is float for v in values), "its curves")
    _require([*map(len, state["generators"])] == [*map(len, own["generators"])], "its generators")
    for group in state["generators"]:
        for kept in group:
            np.random.default_rng(0).bit_generator.state = kept  # raises for what is no state of a generator
    modules = own["objective"].get("modules", [])
    _require(state["objective"].keys() == own["objective"].keys(), "the loss's parts")
    lost = state["objective"].get("lost", [])
    if lost:
        raise ValueError(f"the loss changes what no file can hold: {', '.join(lost)}")
    for mine, kept in zip(modules, state["objective"].get("modules", []), strict=True):
        # A loss may come to hold more while it trains, such as a queue that was empty.
        _require(mine.keys() <= kept.keys() and all(map(is_plain, kept.values())), "the loss's parts")


def _alike(own: Tensor, kept: Any, name: str) -> None:
    good = isinstance(kept, Tensor) and kept.shape == own.shape and kept.dtype == own.dtype
    _require(good, f"{name} has another shape")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(f"it does not fit: {what}")
