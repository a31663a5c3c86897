"""The correctness card of any loss: ``losscope.audit("triplet(margin=0.2)")``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from losscope.auditing.card import Card, Clock, Line, fill
from losscope.auditing.checks import CHECKS, ESSENTIAL
from losscope.auditing.growth import growth
from losscope.auditing.measured import force_profile, margin_unit, reduction
from losscope.auditing.subjects import Subject, subject
from losscope.core.spec import LossSpec

__all__ = ["Card", "Line", "Subject", "audit", "subject"]


def audit(
    loss: str | LossSpec | Callable[..., Any], *, protocol: str = "matched", trust: bool = False
) -> Card:
    """Check any loss on small batches of its own; nothing is trained. Takes a few seconds.

    Args:
        loss: a registered loss with optional hyperparameters, ``pml:…``, ``sentence_transformers:…``,
            ``package.module:Class``, ``path/file.py:function``, or a callable of (embeddings, labels).
        protocol: whose defaults fill what is not given of our own losses.
        trust: whether the code of a loss that is neither ours nor a known library's may run.

    Returns:
        A Card: one line a check with a verdict, a finding and its meaning; the force profile; the growth.

    Raises:
        LosscopeError: an unknown loss, or one that cannot be called on an ordinary batch.

    >>> def label_blind(embeddings, labels):
    ...     return (embeddings - embeddings.roll(1, 0)).square().sum(1).mean()
    >>> audit(label_blind).failed[0].check
    'labels'
    """
    clock = Clock()
    of = subject(loss, protocol=protocol, trust=trust)
    card = Card(of.name, versions=_versions(of.name))

    def profiled(one: Subject) -> Line:
        line, card.profile = force_profile(one)
        return line

    def grown(one: Subject) -> list[Line]:
        lines, card.growth = growth(one)
        return lines

    checks = {
        **CHECKS,
        "reduction": reduction,
        "margin": margin_unit,
        "force profile": profiled,
        "time growth": grown,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        card.lines = fill(of, checks, ESSENTIAL)
    card.seconds = clock()
    return card


def _versions(name: str) -> dict[str, str]:
    import torch

    from losscope import __version__
    from losscope.core.calls import parse
    from losscope.losses.foreign.sources import version

    versions = {"losscope": __version__, "torch": torch.__version__}
    if ":" in name.split("(", 1)[0]:
        where = parse(name).where
        try:
            versions[where] = version(where.split(".")[0])
        except ValueError:
            return versions
    return versions


class _Callable(ModuleType):
    """``losscope.audit`` is this package and the function: importing the package must not hide the function."""

    def __call__(self, loss: Any, **options: Any) -> Card:
        return audit(loss, **options)


sys.modules[__name__].__class__ = _Callable
