"""The sections that a reproduction adds to the page: the studies, the controls, the tuning risk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from losscope.core import wording
from losscope.reporting.claim_tables import size
from losscope.reporting.figure import RULE, Figure, Palette, axis, layout, plain, rounded, shown_unit, span
from losscope.reporting.parts import Cell, Context, Grid

Row = Mapping[str, Any]
Section = dict[str, Any]

TOLD = {
    "scale-free-variance": (
        "Variance without scale",
        "Raw intra-class variance grows with everything that spreads the embeddings; intra/inter² divides that out. "
        "Where the protocol measures its training set, held-out points stand beside.",
    ),
    "equal-images": (
        "Equal images, equal updates",
        "A pair holds two images and a triplet three: with as many updates triplet sees half as many images more. "
        "Triplet against contrastive with as many updates, then with as many images.",
    ),
    "fixed-points": (
        "Where theory lets the class means rest",
        "K class means cannot lie further apart than a simplex, √(2K/(K−1)) in the mean; contrastive stops pushing "
        "at its margin. Foreseen beside measured.",
    ),
    "train-nothing": (
        "Train nothing",
        "The raw inputs and the untrained network retrieve too. A loss that does not beat them has taught nothing "
        "that the data did not hold: on features of unseen classes a head can well do harm.",
    ),
    "label-blind": (
        "The fault in the authors' scripts",
        "There a (B, 1) distance meets (B,) labels and becomes B × B: a contrastive loss that never sees a label. "
        "This is what the tables become with it.",
    ),
    "tuning-risk": (
        "The risk of tuning",
        "One loss under two names, independent weights and batches: how often a verdict tells them apart, with "
        "tuned values shared, and with each name tuned on its own.",
    ),
}
DRAWN = (
    "intra_variance",
    "intra_variance@test",
    "intra_inter_ratio",
    "inter_distance",
    "active_ratio",
    "gradient_norm",
    "greedy_share_positive",
    "hard_share",
    "epochs_to_90_quality",
    "recall_at_1",
    "fine_recall_at_1",
)


def sections(controls: Sequence[Row]) -> list[Callable[[Context], Section | None]]:
    """The sections of a reproduction's page, from its control rows; the page's own table of them is left out."""

    def tables(name: str, place: int) -> Callable[[Context], Section | None]:
        def section(context: Context) -> Section | None:
            return _table(name, [row for row in controls if row["id"] == name], 30 + place)

        section.__name__ = name
        return section

    def margin_sensitivity(context: Context) -> Section | None:
        return _margins([row for row in controls if row["id"] == "margin-sensitivity"], context.palette)

    return [studies, margin_sensitivity, *(tables(name, place) for place, name in enumerate(TOLD))]


def studies(context: Context) -> Section | None:
    """Every study of the reproduction: its settings, and its own page."""
    found = context.result.get("studies") or ()
    if not found:
        return None
    rows = [
        [
            Cell(f"{one['data']}, {one['protocol']}"),
            str(one.get("settings") or ""),
            "; ".join(str(one[key]) for key in ("reduced", "edition") if one.get(key)),
            str(one.get("page") or ""),
        ]
        for one in found
    ]
    note = "Each is a comparison of its own, with its own page; paths are from this page's folder."
    grid = Grid("The studies", ["study", "settings", "what it is of", "page"], rows, numeric=False)
    return {
        "title": "The studies",
        "note": note,
        "table": grid,
        "fold": wording.count(len(rows), "study").replace("studys", "studies"),
        "order": 26,
    }


def _table(name: str, rows: Sequence[Row], order: int) -> Section | None:
    if not rows:
        return None
    title, note = TOLD[name]
    heads = ["data", "quantity", "of", "foreseen", "measured", "seeds", "note"]
    cells = [
        [
            f"{row['data']}, {row['protocol']}",
            wording.label(str(row["measure"])),
            str(row["label"]),
            size(row, "expected"),
            Cell(size(row, "measured"), wording.interval(row.get("low"), row.get("high"))),
            str(row.get("n") or ""),
            str(row.get("note") or ""),
        ]
        for row in rows
    ]
    keep = [
        place
        for place in range(len(heads))
        if any(str(getattr(row[place], "text", row[place])) for row in cells)
    ]
    grid = Grid(
        title,
        [heads[place] for place in keep],
        [[row[place] for place in keep] for row in cells],
        numeric=False,
    )
    return {
        "title": title,
        "note": note,
        "table": grid,
        "fold": wording.count(len(rows), "row"),
        "order": order,
    }


def _margins(rows: Sequence[Row], palette: Palette) -> Section | None:
    """Curves over each loss's margin, and the table of all quantities."""
    if not rows:
        return None
    figures = []
    for data, protocol in dict.fromkeys((row["data"], row["protocol"]) for row in rows):
        own = [row for row in rows if (row["data"], row["protocol"]) == (data, protocol)]
        for measure in DRAWN:
            drawn = [row for row in own if row["measure"] == measure]
            if drawn:
                figures.append(_curve(drawn, measure, f"{data}, {protocol}", palette))
    losses = list(dict.fromkeys(row["loss"] for row in rows))
    margins = sorted({row["margin"] for row in rows})
    table = []
    for data, protocol, measure in dict.fromkeys(
        (row["data"], row["protocol"], row["measure"]) for row in rows
    ):
        cells = {
            (row["loss"], row["margin"]): row
            for row in rows
            if (row["data"], row["protocol"], row["measure"]) == (data, protocol, measure)
        }
        for loss in losses:
            points = [cells.get((loss, margin)) for margin in margins]
            texts = [
                Cell(wording.number(one["measured"]), wording.interval(one["low"], one["high"]))
                if one
                else Cell("")
                for one in points
            ]
            table.append([f"{data}, {protocol}", wording.label(measure), loss, *texts])
    grid = Grid(
        "Every claim's quantity by margin",
        ["data", "quantity", "loss", *(f"{one:g}" for one in margins)],
        table,
    )
    note = (
        "Each claim's quantity over each loss's own margin, untuned, mean over seeds and its 95 % interval. A verdict "
        "at one margin that another margin turns is a statement about margins, not about losses."
    )
    return {
        "title": "Margin sensitivity",
        "note": note,
        "figures": figures,
        "key": losses,
        "table": grid,
        "fold": wording.count(len(table), "row"),
        "columns": 3,
        "wide": True,
        "order": 29,
    }


def _curve(rows: Sequence[Row], measure: str, where: str, palette: Palette) -> Figure:
    data: list[dict[str, Any]] = []
    ends: list[float | None] = []
    losses = list(dict.fromkeys(row["loss"] for row in rows))
    for loss in losses:
        look = palette.look(loss)
        own = sorted((row for row in rows if row["loss"] == loss), key=lambda row: row["margin"])
        middle = [wording.finite(row["measured"]) for row in own]
        low, high = ([wording.finite(row[key]) for row in own] for key in ("low", "high"))
        ends += [*middle, *low, *high]
        up = [None if a is None or b is None else a - b for a, b in zip(high, middle, strict=True)]
        down = [None if a is None or b is None else b - a for a, b in zip(low, middle, strict=True)]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": plain(loss),
                "x": [row["margin"] for row in own],
                "y": rounded(middle),
                "line": {"color": look.colour, "dash": look.dash, "width": 2},
                "marker": {"color": look.colour, "symbol": look.symbol, "size": 6},
                "error_y": {
                    "type": "data",
                    "array": rounded(up),
                    "arrayminus": rounded(down),
                    "thickness": 1,
                    "width": 3,
                    "color": look.colour,
                },
            }
        )
    x = axis(
        "margin", showgrid=False, ticks="outside", ticklen=4, tickcolor=RULE, showline=True, linecolor=RULE
    )
    title = f"{wording.title(measure)}: {where}"
    last = wording.listing(
        f"{loss} {wording.number([row for row in rows if row['loss'] == loss][-1]['measured'])}"
        for loss in losses
    )
    known = [one for one in ends if one is not None and math.isfinite(one)]
    alt = f"{title}, by margin. At the largest margin: {last}."
    return Figure(
        data,
        layout(x, axis(**span(known, zero=True)), hovermode="x unified"),
        title,
        alt,
        unit=shown_unit(title, wording.measure(measure).unit),
        series=tuple(losses),
    )
