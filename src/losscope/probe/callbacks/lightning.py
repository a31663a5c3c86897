"""Lightning: a callback that probes the loss which a LightningModule holds."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from losscope.core.errors import LosscopeError
from losscope.probe.callbacks.attaching import Attaching, Options, the_loss
from losscope.probe.wrap import Probe

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def _callback() -> Any:
    """Lightning's class of callbacks, that of the package in use, of which there are two; else ``object``."""
    for name in [*(name for name in PACKAGES if name in sys.modules), *PACKAGES]:
        try:
            return import_module(name).Callback
        except ImportError:
            continue
    return object


class LightningProbe(Attaching, _callback()):  # type: ignore[misc]
    """Probes the loss of a LightningModule while it is trained: ``Trainer(callbacks=[LightningProbe(...)])``.

    The probe is on the loss from the first training step to the last, and is closed there or at an exception.
    Checkpoints have the entries that they have without it. Epochs are counted from 1; a training that goes
    on from a checkpoint goes on with its steps. Each ``fit`` makes a record of its own.

    Args:
        loss: the attribute of the module that is the loss, ``"criterion"`` or ``"heads.loss"``, a module, a
            function or a method; None where the module has exactly one loss module; or a ``losscope.Probe``
            that the module calls itself.
        **options: ``out``, ``name``, ``every``, ``unit_rows``, ``updates`` and ``writers``, as
            ``losscope.probing`` takes them.

    Attributes:
        probes: of the last ``fit``, by ``""``.

    Raises:
        LosscopeError: where ``fit`` begins: there is no such loss, or several.

    docs/where-you-train.md has an example.
    """

    def __init__(self, loss: str | Probe | None = None, **options: Any) -> None:
        if _callback() is object:
            raise LosscopeError("LightningProbe needs Lightning: pip install 'losscope[lightning]'")
        super().__init__(Options(loss, **options))

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        attached, loss = self._begin(), self._options.loss
        if isinstance(loss, Probe):
            attached.add(loss)
        else:
            owner, attribute, found = the_loss([pl_module], loss)
            attached.add(found, owner, attribute)
        attached.begin(pl_module, max(0, trainer.fit_loop.total_batch_idx + 1))

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._attached is not None:
            self._attached.epoch(trainer.current_epoch + 1)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self.close()
