"""Queries with their nearest neighbours under each loss, those first on which the losses disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import Examples
from losscope.reporting.figure import Look
from losscope.reporting.items import Face, card, faces, sheet
from losscope.reporting.parts import Context, Section

FIRST = 6
"""Queries that stand open; more are behind a fold."""
FIRST_TEXTS = 4
"""The same where items are texts, which take more room."""


@dataclass(frozen=True)
class Found:
    """One neighbour: what stands for it, and whether it is right."""

    face: Face
    right: bool


@dataclass(frozen=True)
class Line:
    """What one side finds for a query."""

    name: str
    look: Look
    found: list[Found]


@dataclass(frozen=True)
class Card:
    """One query with what each side finds for it."""

    query: Face
    asks: str
    lines: list[Line]


@register("section", "examples", order=65)
def examples(context: Context) -> Section | None:
    """Queries with their nearest neighbours under each loss, those first on which the losses disagree."""
    found = context.evidence.examples
    if found is None or not len(found.queries):
        return None
    known = faces(found, context.class_names)
    cards = [_card(context, found, known, place) for place in range(len(found.queries))]
    texts = any(face.text for face in known.values())
    first = FIRST_TEXTS if texts and not any(face.picture for face in known.values()) else FIRST
    html = card("examples", sheet(known), cards, first, _kind(known))
    return Section("What each loss finds", note(context, found), html, wide=True)


def note(context: Context, found: Examples) -> str:
    """How the queries were chosen, and how often the losses disagree."""
    losses = list(found.found)[: found.losses]
    asked = wording.count(found.asked, "query")
    told = [f"Test items of {context.unit} {found.seed}, each with the {_nearest(found)} nearest to it."]
    if found.apart:
        alone = [
            f"{name} alone is right on {found.alone[name]:,}" for name in losses if found.alone.get(name)
        ]
        more = f" ({wording.listing(alone)})" if alone else ""
        told.append(
            "Chosen where the losses disagree on the nearest one, by a fixed draw, so not typical: they do "
            f"on {found.apart:,} of {asked}{more}."
        )
    elif len(losses) > 1:
        told.append(f"The losses agree on all {asked} whether the nearest one is right.")
    later = len(found.queries) - found.chosen
    aside = min(found.beside, later)
    if aside:
        start = f"Then {aside:,}" if found.chosen else f"{aside:,} chosen"
        agree = "the losses agree and a side" if len(losses) > 1 else f"{losses[0]} and a side"
        differs = "differs" if len(losses) > 1 else "differ"
        told.append(f"{start} where {agree} without training {differs}, as on {found.beside:,} of {asked}.")
    if later > aside:
        told.append(f"{later - aside:,} drawn at random, where no side differs.")
    return " ".join(told)


def _nearest(found: Examples) -> str:
    width = next(iter(found.found.values())).rows.shape[1]
    other = " of the other modality" if found.modality is not None else ""
    return f"{width} test items{other}"


def _kind(known: dict[int, Face]) -> str:
    if any(face.picture for face in known.values()):
        return "pictures"
    return "texts" if any(face.text for face in known.values()) else "rows"


def _card(context: Context, found: Examples, known: dict[int, Face], place: int) -> Card:
    row = int(found.queries[place])
    lines = []
    for name, own in found.found.items():
        pairs = zip(own.rows[place].tolist(), own.right[place].tolist(), strict=True)
        there = [Found(known[item], right) for item, right in pairs if item >= 0]
        lines.append(Line(name, context.palette.look(name), there))
    return Card(known[row], _asks(context, found.modality, row), lines)


def _asks(context: Context, modality: np.ndarray | None, row: int) -> str:
    """Which way a query asks, where there are two modalities."""
    if modality is None:
        return ""
    names = context.data.modalities or ("first", "second")
    side = int(modality[row])
    return f"{names[side]} asks for {names[1 - side]}"
