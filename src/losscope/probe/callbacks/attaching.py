"""Finding the loss that a framework holds, and probes on it for as long as a training lasts."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from losscope.core.errors import LosscopeError, require, shown
from losscope.losses.drop_in import LossModule
from losscope.probe.findings import Finding
from losscope.probe.inputs import put
from losscope.probe.optimising import Optimising, Update
from losscope.probe.options import check
from losscope.probe.subjects import name_of
from losscope.probe.wrap import EVERY, Probe, Recorder
from losscope.probe.writers import check_writers

LIBRARIES = ("pytorch_metric_learning", "sentence_transformers")
"""In whose ``losses`` a class is a loss whatever its name."""
LOG = logging.getLogger("losscope.probe")


@dataclass(frozen=True)
class Options:
    """What ``losscope.Probe`` is given, and which loss it is put on.

    Attributes:
        loss: the loss's name as an attribute, dotted where it is deeper; a function or a probe is taken as
            it is; None to look for it.
        updates: whether the optimiser's steps on the model are recorded.
    """

    loss: Any = None
    out: str | Path | None = None
    name: str | None = None
    every: int = EVERY
    unit_rows: bool = False
    updates: bool = True
    writers: Sequence[Any] = ()

    def __post_init__(self) -> None:
        require(
            self.loss is None or isinstance(self.loss, str | Probe),
            f"loss is {shown(self.loss)}; wanted: the name of the attribute that is the loss, or a "
            "losscope.Probe that the training calls itself",
        )
        check_writers(self.writers)
        check(name=self.name, every=self.every, unit_rows=self.unit_rows)
        require(
            not (isinstance(self.loss, Probe) and self._for_probe()),
            "out, name, every, unit_rows and writers belong to the probe that is given; give them to it",
        )

    def _for_probe(self) -> bool:
        plain = (None, None, EVERY, False, 0)
        return (self.out, self.name, self.every, self.unit_rows, len(self.writers)) != plain

    def probe(self, loss: Callable[..., Any], suffix: str = "") -> Probe:
        """A probe of a loss; one that is a probe already stays as it is."""
        if isinstance(loss, Probe):
            require(
                not self._for_probe(),
                f"the loss is a losscope.Probe of {name_of(loss.loss)} already; give out, name, every, "
                "unit_rows and writers to it",
            )
            return loss
        name = f"{self.name or name_of(loss)}{suffix}"
        return Probe(
            loss,
            out=self.out,
            name=name,
            every=self.every,
            unit_rows=self.unit_rows,
            writers=self.writers,
        )


@dataclass
class Attached:
    """The probes of one training, in the places of its losses until it is closed.

    Attributes:
        probes: by the name of the data set; by ``""`` where there is one loss.
    """

    options: Options
    probes: dict[str, Probe] = field(default_factory=dict)
    _back: list[Callable[[], None]] = field(default_factory=list)
    _optimising: Optimising | None = None

    def add(self, loss: Callable[..., Any], owner: Any = None, attribute: str = "", key: str = "") -> None:
        """Put a probe on a loss: on a module where it is, on a function where its owner holds it."""
        probe = self.options.probe(loss, f", {key}" if key else "")
        self.probes[key] = probe
        if probe is loss:
            return
        if isinstance(loss, nn.Module):
            self._back.append(probe.attach())
            return
        held = getattr(type(owner), attribute, None)
        if isinstance(held, property):
            # transformers' loss_function. A function and not the probe: modules register what is a module.
            setattr(owner, attribute, lambda *arguments, **named: probe(*arguments, **named))
            self._back.append(lambda: setattr(owner, attribute, loss))
            return
        # A method of the class, or a function that the object holds; a probe is no submodule of it.
        self._back.append(put(owner, attribute, probe))

    def begin(self, model: nn.Module, step: int) -> None:
        """Before the first step: record the optimiser's steps on a model, and count on from earlier steps."""
        recorders = self._recorders()
        if self.options.updates and recorders and all(found.optimising is None for found in recorders):
            self._optimising = Optimising(model, self._take)
        if len(recorders) == 1:
            recorders[0].begin_after(step)

    def _take(self, update: Update) -> None:
        """An optimiser's step belongs to the probe that was called last."""
        last = max(self._recorders(), key=lambda recorder: recorder.calls)
        if last.calls and not last.closed:
            last.take_update(update)

    def _recorders(self) -> list[Recorder]:
        return [probe.recorder for probe in self.probes.values() if probe.recorder is not None]

    def epoch(self, epoch: int) -> None:
        """The epoch that begins, from 1."""
        for probe in self.probes.values():
            probe.epoch = epoch

    def close(self) -> None:
        """Give the losses back, and close the probes."""
        for back in reversed(self._back):
            back()
        self._back.clear()
        if self._optimising is not None:
            self._optimising.close()
            self._optimising = None
        for probe in self.probes.values():
            recorder = probe.recorder
            if recorder is None or recorder.closed:
                continue
            probe.close()
            if not recorder.calls:
                LOG.warning(
                    "%s: this loss was never called while the probe was on it. Name the loss that is trained "
                    "with: loss='...'",
                    recorder.writer.mark.name,
                )


class Attaching:
    """What the callbacks of all frameworks have; each attaches probes where its training begins."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._options = options
        self._attached: Attached | None = None

    def _begin(self) -> Attached:
        """Take the probes of an earlier training off, and begin with none."""
        self.close()
        self._attached = Attached(self._options)
        return self._attached

    @property
    def probes(self) -> Mapping[str, Probe]:
        return {} if self._attached is None else self._attached.probes

    @property
    def findings(self) -> list[Finding]:
        """What the doctor found."""
        return [finding for probe in self.probes.values() for finding in probe.findings]

    def close(self) -> None:
        """Take the probes off and close them; it happens by itself where a training ends."""
        if self._attached is not None:
            self._attached.close()


def is_loss(part: nn.Module) -> bool:
    """Whether a module is known as a loss, by its class or its library."""
    if isinstance(part, LossModule | Probe):
        return True
    return any(
        kind.__name__.endswith("Loss")
        or (".losses" in kind.__module__ and kind.__module__.startswith(LIBRARIES))
        for kind in type(part).__mro__
    )


def losses_in(owner: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The losses in a module by their dotted names, without the parts that they are made of; each once."""
    seen: set[int] = set()
    for name, child in owner.named_children():
        for found in [(f"{path}{name}", child)] if is_loss(child) else losses_in(child, f"{path}{name}."):
            if id(found[1]) not in seen:
                seen.add(id(found[1]))
                yield found


def called_by(function: Callable[..., Any]) -> nn.Module | None:
    """The one loss module that a function refers to: by a name, by its object, or by its bound arguments."""
    held: list[Any] = []
    while isinstance(function, functools.partial):
        held += [*function.args, *function.keywords.values()]
        function = function.func
    if inspect.ismethod(function):
        held += [function.__self__, *vars(function.__self__).values()]
        function = function.__func__
    elif not inspect.isfunction(function):
        held += getattr(function, "__dict__", {}).values()
    if inspect.isfunction(function):
        with contextlib.suppress(ValueError):  # a name that has no value yet
            names = inspect.getclosurevars(function)
            held += [*names.nonlocals.values(), *names.globals.values()]
    losses = {id(part): part for part in held if isinstance(part, nn.Module) and is_loss(part)}
    return next(iter(losses.values())) if len(losses) == 1 else None


def named(holder: Any, path: str) -> tuple[Any, str, Callable[..., Any]] | None:
    """What holds the loss of a dotted name, its attribute, and the loss; None where there is none."""
    *parents, attribute = path.split(".")
    for parent in parents:
        holder = getattr(holder, parent, None)
    found = getattr(holder, attribute, None) if attribute else None
    return (holder, attribute, found) if callable(found) else None


def the_loss(holders: Sequence[Any], name: str | None) -> tuple[Any, str, Callable[..., Any]]:
    """The loss of a training among what holds it, by its name or because there is exactly one.

    Raises:
        LosscopeError: no such name, no loss that is known as one, or several.
    """
    found: dict[str, tuple[Any, str, Callable[..., Any]]] = {}
    for holder in holders:
        if name is not None:
            if (there := named(holder, name)) is not None:
                return there
            continue
        modules = losses_in(holder) if isinstance(holder, nn.Module) else _losses_of(holder)
        for path, loss in modules:
            if all(loss is not other for _, _, other in found.values()):
                found[path] = (holder, path, loss)
    if len(found) == 1:
        return next(iter(found.values()))
    owners = " and ".join(type(holder).__name__ for holder in holders)
    if found:
        raise LosscopeError(
            f"{owners}: there are several losses; say which is probed: "
            + " or ".join(f"loss={p!r}" for p in found)
        )
    given = "no loss that is known as one" if name is None else f"nothing that is called {name!r}"
    raise LosscopeError(
        f"{owners}: there is {given}; give the name of the attribute that is the loss, such as "
        "loss='criterion', or call a losscope.Probe in the loss's place and give it: loss=probe. "
        f"Attributes: {_attributes(holders)}"
    )


def _losses_of(trainer: Any) -> Iterator[tuple[str, nn.Module]]:
    """The losses that a trainer holds itself; its model is none, whatever its class is called."""
    for name, part in vars(trainer).items():
        if isinstance(part, nn.Module) and name not in ("model", "model_wrapped") and is_loss(part):
            yield name, part


def _attributes(holders: Sequence[Any]) -> str:
    """Names that may be a loss, for an error: submodules and functions that objects hold themselves."""
    names = [
        name
        for holder in holders
        for name, part in [*getattr(holder, "_modules", {}).items(), *vars(holder).items()]
        if callable(part) and not name.startswith("_")
    ]
    return ", ".join(dict.fromkeys(names)) or "none"
