"""Small figures as SVG: panels with points, lines and bars, in colours that follow the site's look.

A figure is a row of panels, each with a title above and a line of text below. It is written into the page
itself, so that its text can be selected and read aloud.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]

WIDTH, HEIGHT, GAP = 200.0, 150.0, 30.0
"""A panel's size in units of the picture, and the room between two."""
TOP, BELOW = 22.0, 22.0
"""The room of a panel's title, and of the line below it."""
DASHES = ("", "7 4", "2 3")
"""The dashes of the colours 1, 2 and 3, where lines are to be told apart without colour."""


def text(x: float, y: float, said: str, kind: str = "", anchor: str = "middle") -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{html.escape(said)}</text>'


def mark(x: float, y: float, colour: int, size: float = 3.2, hollow: bool = False) -> str:
    """A point: each colour has a shape of its own, so that it is told apart without colour."""
    kind = f"{'line' if hollow else 'fill'}-{colour}"
    match colour % 3:
        case 1:
            shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}"'
        case 2:
            shape = f'<rect x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size}" height="{2 * size}"'
        case _:
            corners = [(0, -1.25), (1.15, 0.85), (-1.15, 0.85)]
            path = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in corners)
            shape = f'<polygon points="{path}"'
    return f'{shape} class="{kind}"/>'


@dataclass
class Panel:
    """One panel: what is drawn in it, in the units of its data.

    Attributes:
        title, below: the lines above and below it.
        x, y: the ends of the axes.
        ticks: the numbers at the horizontal and at the vertical axis; none for no axis.
        xlabel: what the horizontal axis is.
    """

    title: str = ""
    below: str = ""
    x: Point = (0.0, 1.0)
    y: Point = (0.0, 1.0)
    ticks: tuple[Sequence[float], Sequence[float]] = ((), ())
    xlabel: str = ""
    width: float = WIDTH
    height: float = HEIGHT
    parts: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        """A place in the panel."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return across * self.width, (1 - up) * self.height

    def line(
        self, points: Iterable[Point | None], colour: int = 0, dash: str = "", wide: float = 1.8
    ) -> None:
        """A line through points; None breaks it."""
        path, move = [], True
        for point in points:
            if point is None or not all(map(math.isfinite, point)):
                move = True
                continue
            x, y = self.at(*point)
            path.append(f"{'M' if move else 'L'}{x:.1f} {y:.1f}")
            move = False
        style = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<path d="{" ".join(path)}" class="line-{colour}" stroke-width="{wide}"{style}/>')

    def points(self, points: Iterable[Point], colour: int, size: float = 3.2, hollow: bool = False) -> None:
        """Points of one colour."""
        self.parts += [mark(*self.at(*point), colour, size, hollow) for point in points]

    def bar(self, x: float, low: float, high: float, colour: int, wide: float = 0.8) -> None:
        """A bar that stands on ``low``."""
        (left, top), (right, bottom) = self.at(x - wide / 2, high), self.at(x + wide / 2, low)
        self.parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" '
            f'width="{right - left:.1f}" height="{max(bottom - top, 0.5):.1f}" '
            f'class="fill-{colour}"/>'
        )

    def circle(self, x: float = 0.0, y: float = 0.0, radius: float = 1.0) -> None:
        """A thin circle, such as the unit circle that embeddings lie on."""
        (cx, cy), (edge, _) = self.at(x, y), self.at(x + radius, y)
        self.parts.append(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{edge - cx:.1f}" class="thin"/>')

    def drawn(self, left: float) -> str:
        """The panel at its place in the figure."""
        axes = []
        if any(self.ticks):
            axes.append(f'<path d="M0 0V{self.height}H{self.width}" class="thin"/>')
        for number in self.ticks[0]:
            axes.append(text(self.at(number, 0)[0], self.height + 13, f"{number:g}", "small"))
        for number in self.ticks[1]:
            axes.append(text(-4, self.at(0, number)[1] + 4, f"{number:g}", "small", "end"))
        below = self.height + (30 if any(self.ticks) and self.xlabel else 16)
        if self.xlabel:
            axes.append(text(self.width / 2, self.height + 27, self.xlabel, "small"))
            below = self.height + 44
        said = [text(self.width / 2, -8, self.title)] if self.title else []
        said += [text(self.width / 2, below, self.below, "value")] if self.below else []
        return f'<g transform="translate({left:.1f} {TOP})">{"".join([*axes, *self.parts, *said])}</g>'

    @property
    def tall(self) -> float:
        """The height with its axis and the lines above and below."""
        return TOP + self.height + (34 if self.xlabel else 6) + (BELOW if self.below else 6)


def figure(
    panels: Sequence[Panel],
    says: str,
    caption: str = "",
    legend: Sequence[str] = (),
    dashes: Sequence[str] | None = None,
    room: float | None = None,
) -> str:
    """Panels side by side as one HTML figure; ``says`` describes it to who does not see it.

    ``legend``: names of the colours 1, 2, … in a line below, as points or as lines of these ``dashes``.
    ``room``: what is free at the left of a panel, where its ticks alone do not say.
    """
    if room is None:
        room = 34.0 if any(any(panel.ticks) for panel in panels) else 8.0
    lefts, left = [], room
    for panel in panels:
        lefts.append(left)
        left += panel.width + (GAP + room - 8 if panel is not panels[-1] else 8)
    tall = max(panel.tall for panel in panels)
    parts = [panel.drawn(place) for panel, place in zip(panels, lefts, strict=True)]
    place = room
    for colour, name in enumerate(legend, 1):
        if dashes is None:
            parts.append(mark(place + 9, tall + 8, colour, 3.6))
        else:
            dash = f' stroke-dasharray="{dashes[colour - 1]}"' if dashes[colour - 1] else ""
            parts.append(f'<path d="M{place:.0f} {tall + 8:.0f}h20" class="line-{colour}"{dash}/>')
        parts.append(text(place + 25, tall + 12, name, "small", "start"))
        place += 42 + 6.1 * len(name)
    tall += 20 if legend else 0
    svg = (
        f'<svg viewBox="0 0 {max(left, place):.0f} {tall:.0f}" width="{max(left, place):.0f}" role="img" '
        f'aria-label="{html.escape(says, quote=True)}">{"".join(parts)}</svg>'
    )
    under = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f'<figure class="drawn">{svg}{under}</figure>'
