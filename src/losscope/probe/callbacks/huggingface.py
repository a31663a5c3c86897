"""transformers' ``Trainer`` and those that are built on it, such as sentence-transformers': a callback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from losscope.core.errors import LosscopeError
from losscope.probe.callbacks.attaching import Attached, Attaching, Options, called_by, the_loss
from losscope.probe.wrap import Probe


def _callback() -> Any:
    """transformers' class of callbacks; ``object`` where it is not installed."""
    try:
        from transformers import TrainerCallback
    except ImportError:
        return object
    return TrainerCallback


class TrainerProbe(Attaching, _callback()):  # type: ignore[misc]
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
        **options: ``out``, ``name``, ``every``, ``unit_rows``, ``updates`` and ``writers``, as
            ``losscope.probing`` takes them.

    Attributes:
        probes: of the last ``train``, by the name of the data set, or by ``""``; one of a loss that several
            data sets share by ``"a and b"``.

    Raises:
        LosscopeError: where ``train`` begins: there is no such loss, or several.

    docs/where-you-train.md has an example.
    """

    def __init__(self, trainer: Any, loss: str | Probe | None = None, **options: Any) -> None:
        if _callback() is object:
            raise LosscopeError("TrainerProbe needs transformers: pip install 'losscope[hf]' accelerate")
        super().__init__(Options(loss, **options))
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        attached = self._begin()
        self._add_losses(attached)
        attached.begin(self._trainer.model, state.global_step * args.gradient_accumulation_steps)

    def _add_losses(self, attached: Attached) -> None:
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
