"""Lightning: a callback that probes the loss which a LightningModule holds."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from losscope.core.errors import LosscopeError
from losscope.probe.callbacks.attaching import Attached, Options, the_loss
from losscope.probe.findings import Finding
from losscope.probe.wrap import EVERY, Probe

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def _callback() -> Any:
    """Lightning's class of callbacks, that of the package in use, of which there are two; else ``object``."""
    for name in [*(name for name in PACKAGES if name in sys.modules), *PACKAGES]:
        try:
            return import_module(name).Callback
        except ImportError:
            continue
    return object


class LightningProbe(_callback()):  # type: ignore[misc]
    """Probes the loss of a LightningModule while it is trained: ``Trainer(callbacks=[LightningProbe(...)])``.

    The probe is on the loss from the first training step to the last, and is closed there or at an exception.
    Checkpoints have the entries that they have without it. Epochs are counted from 1; a training that goes
    on from a checkpoint goes on with its steps. Each ``fit`` makes a record of its own.

    Args:
        loss: the attribute of the module that is the loss, ``"criterion"`` or ``"heads.loss"``, a module, a
            function or a method; None where the module has exactly one loss module; or a ``losscope.Probe``
            that the module calls itself.
        out: as in ``losscope.Probe``, and so are ``name``, ``every``, ``unit_rows`` and ``writers``.
        updates: whether the steps of the optimiser on the module are recorded, which copies its parameters
            at each.

    Attributes:
        probes: of the last ``fit``, by ``""``.

    Raises:
        LosscopeError: where ``fit`` begins: there is no such loss, or several.

    docs/where-you-train.md has an example.
    """

    def __init__(
        self,
        loss: str | Probe | None = None,
        *,
        out: str | Path | None = None,
        name: str | None = None,
        every: int = EVERY,
        unit_rows: bool = False,
        updates: bool = True,
        writers: Sequence[Any] = (),
    ) -> None:
        if LightningProbe.__base__ is object:
            raise LosscopeError("LightningProbe needs Lightning: pip install 'losscope[lightning]'")
        super().__init__()
        self._options = Options(loss, out, name, every, unit_rows, updates, writers)
        self._attached: Attached | None = None

    @property
    def probes(self) -> Mapping[str, Probe]:
        return {} if self._attached is None else self._attached.probes

    @property
    def findings(self) -> list[Finding]:
        """What the doctor found."""
        return [finding for probe in self.probes.values() for finding in probe.findings]

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.close()
        self._attached = attached = Attached(self._options)
        loss = self._options.loss
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

    def close(self) -> None:
        """Take the probe off and close it; it happens by itself where a training ends."""
        if self._attached is not None:
            self._attached.close()
