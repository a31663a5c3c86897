"""What ``losscope audit`` does: the card, and the force profile as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from losscope.auditing import Card
from losscope.auditing import audit as run_audit
from losscope.core.errors import require
from losscope.reporting.pictures import Figures, save, suffix


def audit(
    loss: Any, *, protocol: str = "matched", plot: str | Path | None = None, trust: bool = False
) -> Card:
    """The correctness card of a loss; its force profile is drawn to ``plot`` if that is given.

    Args:
        loss: as ``losscope.auditing.audit`` takes it.
        protocol: whose defaults fill what is not given of our own losses.
        plot: a file ending in .html, .png, .svg or .pdf.
        trust: as ``losscope.auditing.audit`` takes it.

    Raises:
        LosscopeError: an unknown loss, one that cannot be called, or a file that cannot be written.
    """
    if plot is not None:
        suffix(plot)
    card = run_audit(loss, protocol=protocol, trust=trust)
    if plot is not None:
        require(
            card.profile is not None,
            f"{card.loss!r} has no force profile to draw: {_finding(card)}",
        )
        save(profile_figure(card), plot)
    return card


def _finding(card: Card) -> str:
    return next((line.finding for line in card.lines if line.check == "force profile"), "")


def profile_figure(card: Card) -> Figures:
    """The force profile as two makers of a figure: plotly's and matplotlib's."""
    assert card.profile is not None
    profile = card.profile
    distance = profile["distance"]
    titles = {"pull": "pull of the positive", "push": "push of the negative"}

    def interactive() -> Any:
        from plotly import graph_objects as go
        from plotly.subplots import make_subplots

        figure = make_subplots(1, 2, subplot_titles=list(titles.values()), horizontal_spacing=0.14)
        for column, name in enumerate(titles, 1):
            figure.add_trace(
                go.Heatmap(
                    x=distance,
                    y=distance,
                    z=profile[name],
                    colorscale="Viridis",
                    name=name,
                    colorbar={"x": 0.43 if column == 1 else 1.0, "title": {"text": "force"}},
                    hovertemplate="negative at %{x:.2f}<br>positive at %{y:.2f}<br>force %{z:.3g}<extra></extra>",
                ),
                1,
                column,
            )
            figure.update_xaxes(title_text="distance of the negative", row=1, col=column)
            figure.update_yaxes(title_text="distance of the positive", row=1, col=column)
        return figure.update_layout(
            title={"text": f"Force on an anchor: {card.loss}"}, width=980, height=480, template="simple_white"
        )

    def static() -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.8), layout="constrained")
        figure.suptitle(f"Force on an anchor: {card.loss}")
        for place, (name, title) in enumerate(titles.items(), 1):
            axes = figure.add_subplot(1, 2, place)
            values = [[float("nan") if one is None else one for one in row] for row in profile[name]]
            drawn = axes.pcolormesh(distance, distance, values, cmap="viridis", shading="nearest")
            figure.colorbar(drawn, ax=axes, label="force")
            axes.set(
                title=title,
                xlabel="distance of the negative",
                ylabel="distance of the positive",
                aspect="equal",
            )
        return figure

    return interactive, static
