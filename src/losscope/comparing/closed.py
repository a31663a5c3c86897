"""Which closed forms stand beside the losses of a study: what follows from its data and its protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from losscope.core import registry
from losscope.core.spec import Protocol, ResolvedStudy

if TYPE_CHECKING:
    from losscope.data.base import About

TRANSFORMED = "transformed"
"""The closed form that is the transformed inputs."""
MOST_DIMENSIONS = 2048
"""Dimensions of an input up to which closed forms are fitted: an eigendecomposition then takes 1.3 s."""
MOST_PIXELS = 1024
"""And numbers of an image, whose pixels are no features that anyone would search by."""


@dataclass(frozen=True)
class Beside:
    """The names of closed forms, and a sentence for each thing that a person should know of it."""

    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def beside(study: ResolvedStudy, facts: About) -> Beside:
    """The closed forms of a study on its data.

    A form at the input's own size stands there only where the study's embeddings are smaller.
    """
    declared = registry.entry("protocol", study.protocol.name).facts.closed_forms
    if not study.given.closed_forms or study.kind not in declared:
        return Beside()
    if facts.several:
        note = "no closed form stands beside the losses: they are fitted to one class for each row"
        return Beside(notes=(note,))
    size = math.prod(facts.shape)
    most = MOST_PIXELS if study.kind == "images" else MOST_DIMENSIONS
    if size > most:
        what = "images of" if study.kind == "images" else "inputs of"
        note = (
            f"no closed form stands beside the losses: they are fitted to {what} at most {most:,} numbers, "
            f"and these have {size:,}"
        )
        return Beside(notes=(note,))
    names = []
    for name, found in registry.entries("closed_form").items():
        most = size if found.facts.unseen else min(size, facts.classes - 1)
        wanted = found.facts.unseen or not facts.disjoint
        larger = not found.facts.of or study.protocol.embedding_size < most
        if name != TRANSFORMED and wanted and larger:
            names.append(name)
    return Beside(with_transformed(names, study.protocol))


def with_transformed(names: Sequence[str], shape: Protocol) -> tuple[str, ...]:
    """The closed forms of a study of known transform, the transformed inputs too where these are not raw."""
    kept = tuple(name for name in names if name != TRANSFORMED)
    return (*kept, TRANSFORMED) if kept and shape.transform not in ("none", "l2") else kept
