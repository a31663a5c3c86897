"""transformers' ``Trainer`` and those that are built on it, such as sentence-transformers': a callback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from losscope.core.errors import LosscopeError
from losscope.probe.callbacks.attaching import Attached, Options, called_by, the_loss
from losscope.probe.findings import Finding
from losscope.probe.wrap import EVERY, Probe


def _callback() -> Any:
    """transformers' class of callbacks; ``object`` where it is not installed."""
    try:
        from transformers import TrainerCallback
    except ImportError:
        return object
    return TrainerCallback


class TrainerProbe(_callback()):  # type: ignore[misc]
    """Probes the loss of a ``Trainer``: ``trainer.add_callback(TrainerProbe(trainer, out="runs"))``.

    The loss is the first of these that there is: the attribute that ``loss`` names, of the trainer or of its
    model; ``trainer.loss``, as sentence-transformers' trainers have it, also a dictionary of losses for
    several data sets, each of which has a record of its own; the one loss module that ``compute_loss_func``
    refers to, or that function itself; the one loss module that the trainer or its model holds.

    The probe is on the loss while ``train`` runs. Transformers tells callbacks nothing of an exception:
    ``with losscope.probing(trainer)`` closes the record there too, and otherwise it is closed when the
    trainer goes away, Python ends, or ``train`` begins anew. Epochs are counted from 1.

    Args:
        trainer: the trainer that the callback is added to.
        loss: the name of the attribute that is the loss, or a ``losscope.Probe`` that the trainer's code
            calls itself; None to look for it.
        out: as in ``losscope.Probe``, and so are ``name``, ``every``, ``unit_rows`` and ``writers``.
        updates: whether the steps of the optimiser on the model are recorded, which copies its parameters
            at each.

    Attributes:
        probes: of the last ``train``, by the name of the data set, or by ``""``; one of a loss that several
            data sets share by ``"a and b"``.

    Raises:
        LosscopeError: where ``train`` begins: there is no such loss, or several.

    docs/where-you-train.md has an example.
    """

    def __init__(
        self,
        trainer: Any,
        loss: str | Probe | None = None,
        *,
        out: str | Path | None = None,
        name: str | None = None,
        every: int = EVERY,
        unit_rows: bool = False,
        updates: bool = True,
        writers: Sequence[Any] = (),
    ) -> None:
        if TrainerProbe.__base__ is object:
            raise LosscopeError("TrainerProbe needs transformers: pip install 'losscope[hf]' accelerate")
        super().__init__()
        self._trainer = trainer
        self._options = Options(loss, out, name, every, unit_rows, updates, writers)
        self._attached: Attached | None = None

    @property
    def probes(self) -> Mapping[str, Probe]:
        return {} if self._attached is None else self._attached.probes

    @property
    def findings(self) -> list[Finding]:
        """What the doctor found."""
        return [finding for probe in self.probes.values() for finding in probe.findings]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.close()
        self._attached = attached = Attached(self._options)
        self._attach(attached)
        attached.begin(self._trainer.model, state.global_step * args.gradient_accumulation_steps)

    def _attach(self, attached: Attached) -> None:
        trainer, loss = self._trainer, self._options.loss
        if isinstance(loss, Probe):
            attached.add(loss)
            return
        held = getattr(trainer, "loss", None) if loss is None else None
        if isinstance(held, Mapping) and held:
            for part in {id(part): part for part in held.values()}.values():
                attached.add(part, key=" and ".join(key for key, other in held.items() if other is part))
        elif isinstance(held, nn.Module):
            attached.add(held)
        elif loss is None and callable(function := getattr(trainer, "compute_loss_func", None)):
            attached.add(called_by(function) or function, trainer, "compute_loss_func")
        else:
            owner, attribute, found = the_loss([trainer, trainer.model], loss)
            attached.add(found, owner, attribute)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._attached is not None:
            # A training that goes on amid an epoch says 1.5; sums of parts may lie below a whole.
            self._attached.epoch(int((state.epoch or 0) + 1e-6) + 1)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Take the probes off and close them; it happens by itself where a training ends."""
        if self._attached is not None:
            self._attached.close()
