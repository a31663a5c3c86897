"""``losscope.probing``: a training of any of the frameworks, inside of a ``with``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from losscope.core.errors import LosscopeError, shown
from losscope.probe.callbacks.attaching import Options
from losscope.probe.findings import Finding
from losscope.probe.wrap import EVERY, Probe


class Probing(Protocol):
    """What a ``with losscope.probing(...)`` gives: the framework's callback."""

    @property
    def probes(self) -> Mapping[str, Probe]:
        """The probes, once the training has begun: by the name of the data set, ``""`` where there is one."""

    @property
    def findings(self) -> list[Finding]:
        """What the doctor found so far."""

    def close(self) -> None:
        """Take the probes off and close them."""


@contextmanager
def probing(
    trainer: Any,
    loss: str | Probe | None = None,
    *,
    out: str | Path | None = None,
    name: str | None = None,
    every: int = EVERY,
    unit_rows: bool = False,
    updates: bool = True,
    writers: Sequence[Any] = (),
) -> Iterator[Probing]:
    """Record what the loss does in a training by a framework's trainer, and leave all as it was afterwards.

    Works with Lightning's ``Trainer``, transformers' ``Trainer`` and what is built on it, such as
    sentence-transformers' ``SentenceTransformerTrainer``. The loss is found where the framework holds it. The
    record is closed at the end and at an exception. In a loop of your own use ``with losscope.Probe(loss)``.

    Args:
        trainer: the trainer whose ``fit`` or ``train`` is called inside of the ``with``.
        loss: the name of the attribute that is the loss, of Lightning's module, of the Trainer or of its
            model; or a ``losscope.Probe`` that your code calls itself. None to look for it.
        out: a folder for the record; in memory otherwise. ``name``, ``every``, ``unit_rows`` and ``writers``
            are as in ``losscope.Probe``.
        updates: whether the steps of the optimiser on the model are recorded, which copies its parameters
            at each.

    Yields:
        ``probes``, by the name of the data set, ``""`` where there is one loss, and ``findings``.

    Raises:
        LosscopeError: no trainer; where the training begins: no loss that is known as one, or several.

    >>> with probing("fit"):
    ...     pass
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: 'fit' is no trainer; wanted: the Trainer of lightning, of \
transformers or of sentence-transformers. In a loop of your own: with losscope.Probe(loss) as loss
    """
    options = Options(loss, out, name, every, unit_rows, updates, writers)
    named: dict[str, Any] = {**vars(options)}
    if _is_a(trainer, ("lightning.pytorch", "pytorch_lightning"), "Trainer"):
        from losscope.probe.callbacks.lightning import LightningProbe

        callback: Any = LightningProbe(**named)
        trainer.callbacks.append(callback)
    elif _is_a(trainer, ("transformers",), "Trainer"):
        from losscope.probe.callbacks.huggingface import TrainerProbe

        callback = TrainerProbe(trainer, **named)
        trainer.add_callback(callback)
    else:
        raise LosscopeError(
            f"{shown(trainer)} is no trainer; wanted: the Trainer of lightning, of transformers or of "
            "sentence-transformers. In a loop of your own: with losscope.Probe(loss) as loss"
        )
    try:
        yield callback
    finally:
        callback.close()
        if hasattr(trainer, "remove_callback"):
            trainer.remove_callback(callback)
        elif callback in trainer.callbacks:
            trainer.callbacks.remove(callback)


def _is_a(trainer: object, packages: Sequence[str], kind: str) -> bool:
    """Whether an object is of a class of a package, which need not be imported to know it."""
    kinds = [getattr(sys.modules[name], kind, None) for name in packages if name in sys.modules]
    return any(isinstance(found, type) and isinstance(trainer, found) for found in kinds)
