"""Which closed forms stand beside the losses of a study: what follows from its data and its protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from losscope.core import registry
from losscope.core.spec import Protocol, ResolvedStudy

if TYPE_CHECKING:
    from losscope.data import Source
    from losscope.data.base import About

TRANSFORMED = "transformed"
"""The closed form that is the transformed inputs."""
WHITENING = ("whitened", "whitened_full")
"""The closed forms that are made of the differences of rows that belong together."""
MOST_DIMENSIONS = 2048
"""Dimensions of an input up to which closed forms are fitted: an eigendecomposition then takes 1.3 s."""
MOST_PIXELS = 1024
"""And numbers of an image, whose pixels are no features that anyone would search by."""
MOST_OF_MODALITY = 3072
"""And numbers of an input of each of two modalities."""


@dataclass(frozen=True)
class Beside:
    """The names of closed forms, and a sentence for each thing that a person should know of it."""

    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def beside(study: ResolvedStudy, source: Source) -> Beside:
    """The closed forms of a study on its data.

    A form at the input's own size stands there only where the study's embeddings are smaller.
    """
    facts = source.facts
    declared = registry.entry("protocol", study.protocol.name).facts.closed_forms
    if not study.given.closed_forms or study.kind not in declared:
        return Beside()
    if study.kind == "pair":
        return _of_modalities(facts)
    if facts.several:
        note = "no closed form stands beside the losses: they are fitted to one class for each row"
        return Beside(notes=(note,))
    size = math.prod(facts.shape)
    most = MOST_PIXELS if study.kind == "images" else MOST_DIMENSIONS
    if size > most:
        what = "images" if study.kind == "images" else "inputs"
        return Beside(notes=(_too_large(what, most, f"these have {size:,}"),))
    without, pairs, notes = facts.implied or facts.of_pairs, 0, []
    if without:
        pairs = _positives(source, study.seeds[0])
        notes.append(_of_pairs(pairs, facts))
    names = []
    for name, found in registry.entries("closed_form").items():
        most = size if found.facts.unseen else min(size, facts.classes - 1)
        wanted = found.facts.unseen or not (facts.disjoint or without)
        larger = not found.facts.of or study.protocol.embedding_size < most
        fitted = name not in WHITENING or not without or pairs > 0
        if name != TRANSFORMED and found.facts.inputs == "rows" and wanted and larger and fitted:
            names.append(name)
    return Beside(with_transformed(names, study.protocol), tuple(notes))


def _of_modalities(facts: About) -> Beside:
    """The closed forms of two modalities."""
    for name, shape in zip(facts.modalities or ("first", "second"), (facts.shape, facts.second_shape)):
        if (size := math.prod(shape)) > MOST_OF_MODALITY:
            return Beside(notes=(_too_large("modalities", MOST_OF_MODALITY, f"{name} has {size:,}"),))
    entries = registry.entries("closed_form").items()
    return Beside(tuple(name for name, found in entries if found.facts.inputs == "pair"))


def _too_large(what: str, most: int, given: str) -> str:
    return (
        f"no closed form stands beside the losses: they are fitted to {what} of at most {most:,} numbers, "
        f"and {given}"
    )


def _positives(source: Source, seed: int) -> int:
    """The pairs of rows that belong together in a seed's training part; of texts n − 1 for an item of n."""
    from losscope.data.splits import positive_pairs

    if source.facts.implied:
        part = source.splits(seed).train
        return len(positive_pairs(part.pairs, part.triplets))
    labels = source.training_labels(seed)
    return len(labels) - len(np.unique(labels))


def _of_pairs(pairs: int, facts: About) -> str:
    if not pairs:
        return "whitening does not stand beside the losses: no positive pair lies inside of the training part"
    what = "positive pairs" if facts.implied else "pairs of texts that belong together"
    return f"whitening is fitted to the differences of {pairs:,} {what} in the training part of a seed"


def with_transformed(names: Sequence[str], shape: Protocol) -> tuple[str, ...]:
    """The closed forms of a study of known transform, the transformed inputs too where these are not raw."""
    kept = tuple(name for name in names if name != TRANSFORMED)
    return (*kept, TRANSFORMED) if kept and shape.transform not in ("none", "l2") else kept
