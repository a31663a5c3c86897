"""The force of each loss on an anchor, drawn from the audit's own profile of it."""

from __future__ import annotations

from losscope.auditing.force import force_profile
from losscope.auditing.subjects import subject
from losscope.core.results import ForceProfile

from .drawing import DASHES, Panel, figure

SHOWN = (4, 10, 16)
"""Places of the audit's distances that have a line: about 0.4, 1.0 and 1.6."""


def profile(name: str) -> ForceProfile | None:
    """The forces on an anchor at the loss's defaults, by the distances of its positive and its negative."""
    return force_profile(subject(name))[1]


def drawn(name: str) -> str:
    """The pull and the push of a loss as a figure; nothing where there is no force to draw."""
    found = profile(name)
    if found is None:
        return ""
    distance = found.distance
    rows = {"pull": found.pull, "push": found.push}
    most = max(
        (abs(value) for force in rows.values() for row in force for value in row if value), default=0.0
    )
    if not most:
        return ""
    low = min(0.0, *(value / most for force in rows.values() for row in force for value in row if value))
    panels = []
    for title, own, force in (
        ("pull towards the positive", "positive", rows["pull"]),
        ("push away from the negative", "negative", rows["push"]),
    ):
        panel = Panel(
            title,
            x=(0.0, 2.0),
            y=(min(low * 1.05, -0.02), 1.05),
            ticks=((0, 0.5, 1, 1.5, 2), (0, 0.5, 1)),
            xlabel=f"distance of the {own}",
            width=230,
            height=130,
        )
        for colour, place in enumerate(SHOWN, 1):
            curve = [
                force[step][place] if own == "positive" else force[place][step]
                for step in range(len(distance))
            ]
            panel.line(
                [
                    None if value is None else (x, value / most)
                    for x, value in zip(distance, curve, strict=True)
                ],
                colour,
                DASHES[colour - 1],
            )
        panels.append(panel)
    return figure(
        panels,
        f"Force of {name} on an anchor by the distance of its positive and of its negative",
        f"How {name}, at its defaults, moves an anchor on the sphere that has one positive and one "
        f"negative, as a "
        "share of its largest force. Where lines of several colours lie on one another, the other's distance "
        "does not matter.",
        [f"the other at {distance[place]:.1f}" for place in SHOWN],
        DASHES,
    )
