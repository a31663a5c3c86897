"""Figures as plain data: a function from a table to a Figure, drawn by the page.

A figure is Plotly's JSON (data and layout) without Plotly's Python objects, so that a page is made in
well under a second. Colours of ink and paper are written ``var(--ink)`` and resolved by the page's script,
which makes the same figure serve on light, dark and printed pages. Losses have one colour each on the whole
page, from Okabe and Ito's palette; past six the dash and the symbol change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from losscope.report import words

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
GREYS = ("#8A8A8A", "#B0A890")
CLASSES = (
    "#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#E69F00", "#882255", "#44AA99", "#999933",
)  # fmt: skip
INK, SOFT, RULE, PAPER = "var(--ink)", "var(--soft)", "var(--rule)", "var(--paper)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
MAX_POINTS = 1500


@dataclass(frozen=True)
class Look:
    """How a loss looks everywhere on the page."""

    colour: str
    dash: str
    symbol: str
    slug: str


class Palette:
    """One look for each loss and baseline, by their order in the result."""

    def __init__(self, losses: Sequence[str], baselines: Sequence[str] = ()) -> None:
        self.losses, self.baselines = tuple(losses), tuple(baselines)
        self._looks = {
            name: Look(
                COLOURS[place % len(COLOURS)],
                DASHES[place // len(COLOURS) % len(DASHES)],
                SYMBOLS[place // len(COLOURS) % len(SYMBOLS)],
                f"loss-{place}",
            )
            for place, name in enumerate(self.losses)
        }
        for place, name in enumerate(self.baselines):
            self._looks.setdefault(name, Look(GREYS[place % 2], "solid", "line-ns-open", f"baseline-{place}"))

    def look(self, name: str) -> Look:
        """The look of a name; one that is not in the result is grey."""
        return self._looks.get(name, Look(GREYS[0], "solid", "circle", "other"))

    def ordered(self, names: Iterable[str]) -> list[str]:
        """The names in the order of the result, unknown ones last."""
        order = {name: place for place, name in enumerate((*self.losses, *self.baselines))}
        return sorted(names, key=lambda name: (order.get(name, len(order)), name))


@dataclass(frozen=True)
class Figure:
    """A figure: Plotly's data and layout, its title, what it shows in words, and its height in pixels.

    ``alt`` says the finding for those who do not see it; ``unit`` stands beside the title; ``log`` offers a
    switch of the vertical axis; ``square`` figures are as wide as high.
    """

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    title: str
    alt: str
    height: int = 250
    unit: str = ""
    log: bool = False
    square: bool = False
    series: tuple[str, ...] = field(default=())

    def json(self) -> dict[str, Any]:
        """What the page's script draws."""
        return {"data": self.data, "layout": self.layout}


def plain(text: Any) -> str:
    """Text that Plotly prints as it stands, which reads tags and entities in strings as markup.

    >>> plain("<b>x</b>")
    '&lt;b&gt;x&lt;/b&gt;'
    """
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "% {")


def rounded(values: Iterable[Any], digits: int = 5) -> list[float | None]:
    """Numbers for JSON: significant digits kept, everything that is not finite null."""
    out: list[float | None] = []
    for value in values:
        one = words.finite(value)
        out.append(None if one is None else float(f"{one:.{digits}g}"))
    return out


def faded(colour: str, opacity: float) -> str:
    """A hex colour with an opacity."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis in the page's manner: hairlines, small ticks, no zero line unless asked for."""
    return {
        "title": {"text": plain(title), "font": {"size": 12, "color": SOFT}, "standoff": 8},
        "tickfont": {"size": 11, "color": SOFT},
        "gridcolor": RULE,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
        **more,
    }


def shown_unit(title: str, unit: str) -> str:
    """The unit as it stands beside a title, or nothing where the title says it already."""
    return "" if unit in ("share", "ratio", "index") or unit in words.lower(title) else unit


def span(values: Iterable[float | None], most: int = 5, zero: bool = False) -> dict[str, Any]:
    """Range, step and decimals of a vertical axis that holds all values, from 0 if ``zero``."""
    known = [one for one in values if one is not None and math.isfinite(one)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    low = min(low, 0.0) if zero else low
    width = (high - low) or abs(high) or 1.0
    low, high = (low if zero and low == 0 else low - 0.05 * width), high + 0.05 * width
    step, decimals = nice_step((high - low) / most)
    return {"range": [low, high], "dtick": step, "tickformat": f",.{decimals}f" if decimals <= 4 else ".1e"}


def nice_step(rough: float) -> tuple[float, int]:
    """The round step (1, 2, 2.5, 5 times a power of ten) at or above ``rough``, and its decimals.

    >>> nice_step(0.021), nice_step(3.0)
    ((0.025, 3), (5.0, 0))
    """
    power = 10.0 ** math.floor(math.log10(rough))
    factor = next(one for one in (1, 2, 2.5, 5, 10) if power * one >= rough * (1 - 1e-9))
    step = power * factor
    return step, max(0, -math.floor(math.log10(step) + 1e-9) + (factor == 2.5))


def layout(x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A layout in the page's manner: no box, no legend (the page has a key), transparent paper."""
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": INK},
        "margin": {"l": 8, "r": 10, "t": 8, "b": 8},
        "showlegend": False,
        "dragmode": False,
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": RULE, "font": {"family": FONT, "size": 12, "color": INK}},
        "xaxis": x,
        "yaxis": y,
        **more,
    }


# --- curves over epochs ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Course:
    """A measure over epochs for one loss: mean, smallest and largest over the seeds that finished.

    ``stopped`` are the curves of the seeds that ended before the others, shown but not averaged.
    """

    epochs: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: int
    stopped: list[tuple[int, np.ndarray, np.ndarray]]


def course(rows: pd.DataFrame, relative: bool = False) -> Course | None:
    """The course of one loss from its trace rows [seed, epoch, value]; ``relative`` to the first epoch."""
    rows = rows[np.isfinite(pd.to_numeric(rows["value"], errors="coerce").to_numpy(dtype=float))]
    if rows.empty:
        return None
    wide = rows.pivot_table(index="epoch", columns="seed", values="value", aggfunc="mean").sort_index()
    if relative:
        first = wide.bfill().iloc[0]
        wide = wide.loc[:, first > 0] / first[first > 0]
        if wide.empty:
            return None
    last = {seed: wide[seed].last_valid_index() for seed in wide.columns}
    end = max(last.values())
    done = [seed for seed in wide.columns if last[seed] == end]
    stopped = [
        (int(seed), (line := wide[seed].dropna()).index.to_numpy(dtype=float), line.to_numpy(dtype=float))
        for seed in wide.columns
        if last[seed] != end
    ]
    whole = wide[done].dropna(how="all")
    return Course(
        whole.index.to_numpy(dtype=float),
        whole.mean(axis=1).to_numpy(),
        whole.min(axis=1).to_numpy(),
        whole.max(axis=1).to_numpy(),
        len(done),
        stopped,
    )


def courses(
    traces: pd.DataFrame, name: str, palette: Palette, splits: Sequence[str] = ("train", "probe"), relative: bool = False
) -> dict[str, Course]:
    """The course of a traced measure for every loss that has it, on the first split that there is."""
    if traces.empty:
        return {}
    rows = traces[traces["name"] == name]
    have = set(rows["split"].dropna().unique())
    split = next((one for one in splits if one in have), None)
    if split is None:
        return {}
    rows = rows[rows["split"] == split]
    found = {}
    for loss in palette.ordered(rows["loss"].unique()):
        one = course(rows[rows["loss"] == loss], relative)
        if one is not None:
            found[str(loss)] = one
    return found


def curves(found: Mapping[str, Course], title: str, palette: Palette, unit: str = "", **more: Any) -> Figure | None:
    """Curves over epochs: the line is the mean over seeds, the band their smallest and largest value.

    ``more``: ``share`` fixes the axis to 0–1 where it is nearly that wide, ``log`` offers a log axis,
    ``target`` draws a level with its name.
    """
    if not found:
        return None
    data: list[dict[str, Any]] = []
    for name, one in found.items():
        data += _band(name, one, palette.look(name))
    for name, one in found.items():
        data += _line(name, one, palette.look(name))
    x = axis("epoch", showgrid=False, ticks="outside", ticklen=4, tickcolor=RULE, showline=True, linecolor=RULE,
             rangemode="tozero")  # fmt: skip
    ends = [float(value) for one in found.values() for value in (np.nanmin(one.low), np.nanmax(one.high))]
    if more.get("share") and max(ends) > 0.6:
        y = axis(range=[0, 1.02], dtick=0.25, tickformat=".2f")
    else:
        y = axis(**span(ends, zero=more.get("from_zero", True)))
    extra: dict[str, Any] = {"hovermode": "x unified"}
    if more.get("target"):
        level, said = more["target"]
        extra |= {
            "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level, "y1": level, "layer": "below",
                        "line": {"color": SOFT, "width": 1, "dash": "dot"}}],
            "annotations": [{"xref": "paper", "x": 1, "xanchor": "right", "yanchor": "bottom", "y": level,
                             "text": plain(said), "showarrow": False, "font": {"size": 11, "color": SOFT}}],
        }  # fmt: skip
    said = words.listing(f"{name} {words.number(one.mean[-1])}" for name, one in list(found.items())[:6])
    last = int(max(one.epochs[-1] for one in found.values()))
    alt = f"{title} by epoch. At epoch {last}: {said}."
    return Figure(data, layout(x, y, **extra), title, alt, unit=shown_unit(title, unit), log=bool(more.get("log")), series=tuple(found))


def _band(name: str, one: Course, look: Look) -> list[dict[str, Any]]:
    if one.seeds < 2:
        return []
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": rounded([*one.epochs, *one.epochs[::-1]]),
            "y": rounded([*one.high, *one.low[::-1]]),
            "fill": "toself",
            "fillcolor": faded(look.colour, 0.16),
            "line": {"width": 0},
            "hoverinfo": "skip",
            "legendgroup": look.slug,
        }
    ]


def _line(name: str, one: Course, look: Look) -> list[dict[str, Any]]:
    alone = len(one.epochs) == 1
    spread = "" if one.seeds < 2 else " (%{customdata[0]:.3~g} – %{customdata[1]:.3~g})"
    lines: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers" if alone else "lines",
            "name": plain(words.shorten(name, 32)),
            "x": rounded(one.epochs),
            "y": rounded(one.mean),
            "customdata": [list(pair) for pair in zip(rounded(one.low), rounded(one.high))],
            "line": {"color": look.colour, "width": 2, "dash": look.dash},
            "marker": {"color": look.colour, "symbol": look.symbol, "size": 7},
            "hovertemplate": f"%{{y:.3~g}}{spread}",
            "legendgroup": look.slug,
        }
    ]
    for seed, epochs, values in one.stopped:
        lines.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plain(f"{words.shorten(name, 24)}, seed {seed} (stopped)"),
                "x": rounded(epochs),
                "y": rounded(values),
                "line": {"color": look.colour, "width": 1, "dash": "dot"},
                "opacity": 0.7,
                "hoverinfo": "skip",
                "legendgroup": look.slug,
            }
        )
    return lines


# --- seeds, classes, maps --------------------------------------------------------------------------


def seed_lines(values: Mapping[str, Sequence[float | None]], measure: str, palette: Palette) -> Figure | None:
    """Each seed's values joined across the losses, which shares its weights and batches among them."""
    names = [name for name in values if any(words.finite(one) is not None for one in values[name])]
    if not names:
        return None
    seeds = max(len(values[name]) for name in names)
    data: list[dict[str, Any]] = []
    for seed in range(seeds):
        line = [values[name][seed] if seed < len(values[name]) else None for name in names]
        data.append({
            "type": "scatter", "mode": "lines", "x": list(range(len(names))), "y": rounded(line),
            "line": {"color": SOFT, "width": 1}, "opacity": 0.45, "hoverinfo": "skip", "connectgaps": False,
        })  # fmt: skip
    for place, name in enumerate(names):
        look, own = palette.look(name), rounded(values[name])
        data.append({
            "type": "scatter", "mode": "markers", "x": [place] * len(own), "y": own,
            "name": plain(words.shorten(name, 32)), "legendgroup": look.slug,
            "marker": {"color": look.colour, "symbol": look.symbol, "size": 7, "line": {"color": PAPER, "width": 1}},
            "customdata": list(range(len(own))), "hovertemplate": "seed %{customdata}: %{y:.4~g}",
        })  # fmt: skip
    few = len(names) <= 4
    x = axis(
        tickvals=list(range(len(names))),
        ticktext=[plain(words.shorten(name, 14 if few else 8)) if few else "" for name in names],
        range=[-0.35, len(names) - 0.65], showgrid=not few, tickangle=0,
    )  # fmt: skip
    y = axis(**span([one for name in names for one in rounded(values[name])], most=4))
    means = [np.mean([one for one in values[name] if words.finite(one) is not None]) for name in names]
    said = words.listing(f"{name} {words.number(mean)}" for name, mean in list(zip(names, means))[:6])
    title = words.title(measure)
    alt = f"{title} of each seed, joined across losses. Means: {said}."
    unit = shown_unit(title, words.measure(measure).unit)
    return Figure(data, layout(x, y), title, alt, 230, unit, series=tuple(names))


MANY_CLASSES = 30


def class_bars(
    detail: Mapping[str, Mapping[str, Any]], names: Sequence[str] | None, palette: Palette
) -> Figure | None:
    """Intra-class variance of every class: bars with whiskers from the smallest to the largest seed.

    More than 30 classes become one sorted line a loss.
    """
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for loss in palette.ordered(detail):
        values = detail[loss].get("per_class/intra_variance")
        if values is not None and np.size(values):
            grid = np.atleast_2d(np.asarray(values, dtype=float))
            labels = detail[loss].get("per_class/label")
            found[loss] = grid, np.arange(grid.shape[1]) if labels is None else np.asarray(labels)
    found = {loss: pair for loss, pair in found.items() if np.isfinite(pair[0]).any()}
    if not found:
        return None
    classes = max(len(labels) for _, labels in found.values())
    if classes > MANY_CLASSES:
        return _sorted_classes(found, palette)
    bars = classes * len(found) <= 60
    data = [_class_marks(loss, *found[loss], names, palette.look(loss), bars, place - (len(found) - 1) / 2, len(found))
            for place, loss in enumerate(found)]  # fmt: skip
    labels = next(iter(found.values()))[1]
    x = axis("class", tickvals=list(range(len(labels))),
             ticktext=[plain(words.shorten(class_name(one, names), 12)) for one in labels], showgrid=False)  # fmt: skip
    y = axis(**span([float(np.nanmax(grid)) for grid, _ in found.values()], zero=True))
    title = "Intra-class variance of each class"
    shape = layout(x, y, barmode="group", bargap=0.28, bargroupgap=0.08)
    return Figure(data, shape, title, _class_alt(found, names), 300, "squared distance", series=tuple(found))


def _spread(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, smallest and largest over seeds (rows), NaN where a class has no value at all."""
    masked = np.ma.masked_invalid(grid)
    mean, low, high = (getattr(masked, how)(axis=0) for how in ("mean", "min", "max"))
    return tuple(np.ma.filled(one.astype(float), np.nan) for one in (mean, low, high))  # type: ignore[return-value]


def _class_marks(
    loss: str, grid: np.ndarray, labels: np.ndarray, names: Sequence[str] | None, look: Look, bars: bool,
    place: float, losses: int,
) -> dict[str, Any]:  # fmt: skip
    mean, low, high = _spread(grid)
    whiskers = {
        "type": "data", "symmetric": False, "array": rounded(high - mean), "arrayminus": rounded(mean - low),
        "thickness": 1, "width": 0 if losses > 4 else 3, "color": INK if bars else look.colour,
        "visible": grid.shape[0] > 1,
    }  # fmt: skip
    texts = [plain(class_name(one, names)) for one in labels]
    common = {
        "y": rounded(mean), "error_y": whiskers, "name": plain(words.shorten(loss, 32)),
        "legendgroup": look.slug, "customdata": [list(row) for row in zip(texts, rounded(low), rounded(high))],
        "hovertemplate": "class %{customdata[0]}: %{y:.3~g} (%{customdata[1]:.3~g} – %{customdata[2]:.3~g})",
    }  # fmt: skip
    if bars:
        return {"type": "bar", "x": list(range(len(labels))), "marker": {"color": look.colour}, **common}
    shift = 0.8 * place / max(losses, 1)
    marker = {"color": look.colour, "symbol": look.symbol, "size": 6}
    return {"type": "scatter", "mode": "markers", "x": rounded(np.arange(len(labels)) + shift), "marker": marker, **common}


def _sorted_classes(found: Mapping[str, tuple[np.ndarray, np.ndarray]], palette: Palette) -> Figure:
    data: list[dict[str, Any]] = []
    most = 0
    for loss, (grid, _) in found.items():
        mean, low, high = _spread(grid)
        order = np.argsort(mean)
        order = order[np.isfinite(mean[order])]
        one = Course(np.arange(1, len(order) + 1), mean[order], low[order], high[order], len(grid), [])
        data += [*_band(loss, one, palette.look(loss)), *_line(loss, one, palette.look(loss))]
        most = max(most, len(order))
    x = axis("classes, each loss's own from tightest to widest", showgrid=False)
    y = axis(**span([float(np.nanmax(grid)) for grid, _ in found.values()], zero=True))
    title = f"Intra-class variance of {most} classes, sorted"
    shape = layout(x, y, hovermode="x unified")
    return Figure(data, shape, title, _class_alt(found, None), 300, "squared distance", series=tuple(found))


def _class_alt(found: Mapping[str, tuple[np.ndarray, np.ndarray]], names: Sequence[str] | None) -> str:
    said = []
    for loss, (grid, labels) in list(found.items())[:6]:
        mean = _spread(grid)[0]
        low, high = int(np.nanargmin(mean)), int(np.nanargmax(mean))
        said.append(
            f"{loss} from {words.number(mean[low])} (class {class_name(labels[low], names)}) "
            f"to {words.number(mean[high])} (class {class_name(labels[high], names)})"
        )
    return f"Intra-class variance by class, mean over seeds: {words.listing(said)}."


def class_name(label: Any, names: Sequence[str] | None) -> str:
    """The name of a class, or its number."""
    place = int(label)
    return str(names[place]) if names is not None and 0 <= place < len(names) else str(place)


def pca_map(embeddings: Any, labels: Any, seed: int = 0, most: int = MAX_POINTS) -> dict[str, np.ndarray]:
    """The two leading principal components of L2-normalised embeddings (N, D), for the page's maps.

    At most ``most`` points, drawn by ``seed``; the components are those of all N. Returns ``xy`` (n, 2),
    ``labels`` (n,) and ``explained`` (2,), the share of the variance on each axis. Signs are fixed by the
    largest loading, so that the same embeddings give the same map.

    >>> pca_map([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], [0, 0, 1])["xy"].shape
    (3, 2)
    """
    points = np.asarray(embeddings, dtype=np.float64)
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    points = points - points.mean(axis=0)
    _, strengths, axes = np.linalg.svd(points.T @ points)
    axes = axes[:2] * np.sign(axes[np.arange(min(2, len(axes))), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    xy = np.zeros((len(points), 2))
    xy[:, : len(axes)] = points @ axes.T
    explained = np.zeros(2)
    if strengths.sum() > 0:
        explained[: len(axes)] = strengths[:2] / strengths.sum()
    keep = np.arange(len(points))
    if len(points) > most:
        keep = np.sort(np.random.default_rng(seed).choice(len(points), most, replace=False))
    return {"xy": xy[keep], "labels": np.asarray(labels, dtype=np.int64)[keep], "explained": explained}


def maps(found: Mapping[str, Mapping[str, Any]], names: Sequence[str] | None, palette: Palette) -> list[Figure]:
    """One map of test embeddings a loss, all on one scale, points coloured by class."""
    order = [loss for loss in palette.ordered(found) if np.size(found[loss].get("xy", ()))]
    if not order:
        return []
    reach = 1.06 * max(float(np.nanmax(np.abs(np.asarray(found[loss]["xy"], dtype=float)))) for loss in order) or 1.0
    return [_map(loss, found[loss], names, reach) for loss in order]


def _map(loss: str, one: Mapping[str, Any], names: Sequence[str] | None, reach: float) -> Figure:
    xy = np.asarray(one["xy"], dtype=float)
    labels = np.asarray(one["labels"])
    if len(xy) > MAX_POINTS:
        keep = np.sort(np.random.default_rng(0).choice(len(xy), MAX_POINTS, replace=False))
        xy, labels = xy[keep], labels[keep]
    kinds = [int(label) for label in np.unique(labels)]
    colours = {label: "#9A9A9A" if label < 0 else CLASSES[place % len(CLASSES)]
               for place, label in enumerate(sorted(kinds, key=lambda label: (label < 0, label)))}  # fmt: skip
    texts = {label: "background" if label < 0 else plain(class_name(label, names)) for label in kinds}
    data: list[dict[str, Any]] = [{
        "type": "scatter", "mode": "markers", "x": rounded(xy[:, 0], 4), "y": rounded(xy[:, 1], 4),
        "marker": {"color": [colours[int(label)] for label in labels], "size": 4, "opacity": 0.6},
        "text": [texts[int(label)] for label in labels], "hovertemplate": "class %{text}<extra></extra>",
    }]  # fmt: skip
    if len(kinds) <= 20:
        centres = [np.nanmean(xy[labels == label], axis=0) for label in kinds if label >= 0]
        data.append({
            "type": "scatter", "mode": "text", "x": rounded([c[0] for c in centres], 4),
            "y": rounded([c[1] for c in centres], 4), "hoverinfo": "skip",
            "text": [plain(words.shorten(texts[label], 10)) for label in kinds if label >= 0],
            "textfont": {"size": 13, "color": INK, "weight": 700,
                         "shadow": f"0 0 3px {PAPER}, 0 0 3px {PAPER}, 0 0 4px {PAPER}"},
        })  # fmt: skip
    blank = {"range": [-reach, reach], "showgrid": False, "showticklabels": False, "zeroline": True,
             "zerolinecolor": RULE, "zerolinewidth": 1}  # fmt: skip
    shape = layout(axis(**blank, constrain="domain"), axis(**blank, scaleanchor="x", constrain="domain"))
    shape["margin"] = {"l": 2, "r": 2, "t": 2, "b": 2}
    explained = one.get("explained")
    share = ""
    if explained is not None and np.size(explained) >= 2:
        share = f"{100 * float(np.sum(np.asarray(explained)[:2])):.0f} % of the variance"
    alt = f"Map of the test embeddings of {loss}: {len(xy)} points of {len(kinds)} classes on two principal components."
    return Figure(data, shape, loss, alt, height=420, unit=share, square=True, series=(loss,))


# --- strips and forests, drawn by the page's own markup ---------------------------------------------


@dataclass(frozen=True)
class Ruler:
    """A horizontal scale from values to percent of a width."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Iterable[float | None], pad: float = 0.04) -> Ruler:
        """The scale that holds all values, with a margin."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        span = (high - low) or abs(high) * 0.1 or 1.0
        return cls(low - pad * span, high + pad * span)

    def at(self, value: float | None) -> float | None:
        """Where the value lies, in percent."""
        if value is None:
            return None
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def ticks(self, most: int = 6, ratio: bool = False) -> list[tuple[float, str]]:
        """Round values with their places in percent; ``ratio``: the scale is the log of a ratio."""
        return self._ratio_ticks() if ratio else self._plain_ticks(most)

    def _plain_ticks(self, most: int) -> list[tuple[float, str]]:
        step, decimals = nice_step((self.high - self.low) / most)
        first = math.ceil(self.low / step)
        last = math.floor(self.high / step)
        out = []
        for count in range(first, last + 1):
            value = count * step
            text = "0" if count == 0 else f"{value:+.{decimals}f}".replace("-", words.MINUS)
            out.append((self.at(value) or 0.0, text))
        return out

    def _ratio_ticks(self) -> list[tuple[float, str]]:
        rungs = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100)
        out: list[tuple[float, str]] = []
        for rung in sorted(rungs, key=lambda one: (one != 1, abs(math.log(one)))):
            place = self.at(math.log(rung)) or 0.0
            inside = 0 <= place <= 100
            if inside and all(abs(place - other) > 12 for other, _ in out):
                out.append((place, f"×{rung:g}"))
        return sorted(out)
