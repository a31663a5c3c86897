"""Plots: functions from a table to a Figure, drawn by the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from losscope.core import wording
from losscope.reporting.figure import (
    DASHES,
    INK,
    PAPER,
    RULE,
    SOFT,
    Figure,
    Look,
    Palette,
    axis,
    class_name,
    faded,
    layout,
    plain,
    rounded,
    shown_unit,
    span,
)
from losscope.reporting.maps import pca_map

__all__ = ["Course", "class_bars", "course", "courses", "curves", "pca_map", "seed_lines", "tuning_lines"]

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
    traces: pd.DataFrame,
    name: str,
    palette: Palette,
    splits: Sequence[str] = ("train", "probe"),
    relative: bool = False,
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


def curves(
    found: Mapping[str, Course], title: str, palette: Palette, unit: str = "", **more: Any
) -> Figure | None:
    """Curves over epochs: the line is the mean over seeds, the band their smallest and largest value.

    ``more``: ``share`` fixes the axis to 0–1 where it is nearly that wide, ``log`` offers a log axis,
    ``target`` draws a level with its name.
    """
    if not found:
        return None
    data: list[dict[str, Any]] = []
    for name, one in found.items():
        data += _band(one, palette.look(name), 0.16 if len(found) <= 4 else 0.08)
    for name, one in found.items():
        data += _line(name, one, palette.look(name))
    x = axis(
        "epoch",
        showgrid=False,
        ticks="outside",
        ticklen=4,
        tickcolor=RULE,
        showline=True,
        linecolor=RULE,
        rangemode="tozero",
        unifiedhovertitle={"text": "epoch %{x}"},
    )
    ends = [float(value) for one in found.values() for value in (np.nanmin(one.low), np.nanmax(one.high))]
    if more.get("share") and max(ends) > 0.6:
        y = axis(range=[0, 1.02], dtick=0.25, tickformat=".2f")
    else:
        y = axis(**span(ends, zero=more.get("from_zero", True)))
    extra: dict[str, Any] = {"hovermode": "x unified"}
    if more.get("target"):
        level, said = more["target"]
        extra |= {
            "shapes": [
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "y0": level,
                    "y1": level,
                    "layer": "below",
                    "line": {"color": SOFT, "width": 1, "dash": "dot"},
                }
            ],
            "annotations": [
                {
                    "xref": "paper",
                    "x": 1,
                    "xanchor": "right",
                    "yanchor": "bottom",
                    "y": level,
                    "text": plain(said),
                    "showarrow": False,
                    "font": {"size": 11, "color": SOFT},
                }
            ],
        }
    said = wording.listing(f"{name} {wording.number(one.mean[-1])}" for name, one in list(found.items())[:6])
    last = int(max(one.epochs[-1] for one in found.values()))
    alt = f"{title} by epoch. At epoch {last}: {said}."
    return Figure(
        data,
        layout(x, y, **extra),
        title,
        alt,
        unit=shown_unit(title, unit),
        log=bool(more.get("log")),
        series=tuple(found),
    )


def _band(one: Course, look: Look, opacity: float = 0.16) -> list[dict[str, Any]]:
    if one.seeds < 2:
        return []
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": rounded([*one.epochs, *one.epochs[::-1]]),
            "y": rounded([*one.high, *one.low[::-1]]),
            "fill": "toself",
            "fillcolor": faded(look.colour, opacity),
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
            "name": plain(wording.shorten(name, 32)),
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
                "name": plain(f"{wording.shorten(name, 24)}, seed {seed} (stopped)"),
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
    names = [name for name in values if any(wording.finite(one) is not None for one in values[name])]
    if not names:
        return None
    seeds = max(len(values[name]) for name in names)
    data: list[dict[str, Any]] = []
    for seed in range(seeds):
        line = [values[name][seed] if seed < len(values[name]) else None for name in names]
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": list(range(len(names))),
                "y": rounded(line),
                "line": {"color": SOFT, "width": 1},
                "opacity": 0.45,
                "hoverinfo": "skip",
                "connectgaps": False,
            }
        )
    for place, name in enumerate(names):
        look, own = palette.look(name), rounded(values[name])
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [place] * len(own),
                "y": own,
                "name": plain(wording.shorten(name, 32)),
                "legendgroup": look.slug,
                "marker": {
                    "color": look.colour,
                    "symbol": look.symbol,
                    "size": 7,
                    "line": {"color": PAPER, "width": 1},
                },
                "customdata": list(range(len(own))),
                "hovertemplate": "seed %{customdata}: %{y:.4~g}",
            }
        )
    few = sum(min(len(name), 14) for name in names) <= 40
    x = axis(
        tickvals=list(range(len(names))),
        ticktext=[plain(wording.shorten(name, 14)) if few else "" for name in names],
        range=[-0.35, len(names) - 0.65],
        showgrid=not few,
        tickangle=0,
    )
    y = axis(**span([one for name in names for one in rounded(values[name])], most=4))
    means = [np.mean([one for one in values[name] if wording.finite(one) is not None]) for name in names]
    said = wording.listing(f"{name} {wording.number(mean)}" for name, mean in list(zip(names, means))[:6])
    title = wording.title(measure)
    alt = f"{title} of each seed, joined across losses. Means: {said}."
    unit = shown_unit(title, wording.measure(measure).unit)
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
    data = [
        _class_marks(
            loss, *found[loss], names, palette.look(loss), bars, place - (len(found) - 1) / 2, len(found)
        )
        for place, loss in enumerate(found)
    ]
    labels = next(iter(found.values()))[1]
    x = axis(
        "class",
        tickvals=list(range(len(labels))),
        ticktext=[plain(wording.shorten(class_name(one, names), 12)) for one in labels],
        showgrid=False,
    )
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
    loss: str,
    grid: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] | None,
    look: Look,
    bars: bool,
    place: float,
    losses: int,
) -> dict[str, Any]:
    mean, low, high = _spread(grid)
    whiskers = {
        "type": "data",
        "symmetric": False,
        "array": rounded(high - mean),
        "arrayminus": rounded(mean - low),
        "thickness": 1,
        "width": 0 if losses > 4 else 3,
        "color": INK if bars else look.colour,
        "visible": grid.shape[0] > 1,
    }
    texts = [plain(class_name(one, names)) for one in labels]
    common = {
        "y": rounded(mean),
        "error_y": whiskers,
        "name": plain(wording.shorten(loss, 32)),
        "legendgroup": look.slug,
        "customdata": [list(row) for row in zip(texts, rounded(low), rounded(high))],
        "hovertemplate": "class %{customdata[0]}: %{y:.3~g} (%{customdata[1]:.3~g} – %{customdata[2]:.3~g})",
    }
    if bars:
        return {"type": "bar", "x": list(range(len(labels))), "marker": {"color": look.colour}, **common}
    shift = 0.8 * place / max(losses, 1)
    marker = {"color": look.colour, "symbol": look.symbol, "size": 6}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rounded(np.arange(len(labels)) + shift),
        "marker": marker,
        **common,
    }


def _sorted_classes(found: Mapping[str, tuple[np.ndarray, np.ndarray]], palette: Palette) -> Figure:
    data: list[dict[str, Any]] = []
    most = 0
    for loss, (grid, _) in found.items():
        mean, low, high = _spread(grid)
        order = np.argsort(mean)
        order = order[np.isfinite(mean[order])]
        one = Course(np.arange(1, len(order) + 1), mean[order], low[order], high[order], len(grid), [])
        data += [*_band(one, palette.look(loss)), *_line(loss, one, palette.look(loss))]
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
            f"{loss} from {wording.number(mean[low])} (class {class_name(labels[low], names)}) "
            f"to {wording.number(mean[high])} (class {class_name(labels[high], names)})"
        )
    return f"Intra-class variance by class, mean over seeds: {wording.listing(said)}."


# --- tuning ----------------------------------------------------------------------------------------


def tuning_lines(
    name: str, trials: Sequence[Mapping[str, Any]], palette: Palette, scores: Iterable[float]
) -> Figure | None:
    """Validation quality of every trial over the loss's own number (margin, temperature), the chosen one ringed.

    One line for each learning rate and reduction; ``scores`` of all losses set the common vertical axis.
    """
    number = _tuned_number(trials)
    good = [trial for trial in trials if wording.finite(trial.get("score")) is not None]
    if number is None or not good:
        return None
    look = palette.look(name)
    groups: dict[tuple[Any, Any], list[Mapping[str, Any]]] = {}
    for trial in good:
        groups.setdefault((trial.get("learning_rate"), trial.get("reduction")), []).append(trial)
    rates = sorted({rate for rate, _ in groups if rate is not None}, reverse=True)
    reductions = list(dict.fromkeys(reduction for _, reduction in groups))
    data: list[dict[str, Any]] = []
    for (rate, reduction), rows in groups.items():
        rows = sorted(rows, key=lambda trial: float(trial["hyperparameters"][number]))
        said = f"learning rate {rate:g}" if rate is not None else "given learning rate"
        if len(reductions) > 1:
            said += f", {str(reduction).replace('_', ' ')}"
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": plain(said),
                "x": rounded(trial["hyperparameters"][number] for trial in rows),
                "y": rounded(trial["score"] for trial in rows),
                "line": {
                    "color": look.colour,
                    "width": 1.5,
                    "dash": DASHES[rates.index(rate) % 3] if rate in rates else "solid",
                },
                "marker": {
                    "color": look.colour if reduction == reductions[0] else PAPER,
                    "size": 6,
                    "line": {"color": look.colour, "width": 1.5},
                },
                "hovertemplate": f"{number.replace('_', ' ')} %{{x}}: %{{y:.3f}}",
            }
        )
    best = max(good, key=lambda trial: float(trial["score"]))
    spot = best["hyperparameters"][number]
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": rounded([spot]),
            "y": rounded([best["score"]]),
            "hoverinfo": "skip",
            "marker": {"symbol": "circle-open", "size": 15, "color": INK, "line": {"width": 1.5}},
        }
    )
    ticks = sorted({float(trial["hyperparameters"][number]) for trial in trials})
    x = axis(
        number.replace("_", " "),
        type="log",
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
        showgrid=False,
    )
    y = axis(**span(scores, most=4))
    alt = f"Validation MAP@R of the trials of {name}; best {wording.number(best['score'])} at {number} {spot:g}."
    return Figure(data, layout(x, y), name, alt, 230, f"best at {number} {spot:g}", series=(name,))


def _tuned_number(trials: Sequence[Mapping[str, Any]]) -> str | None:
    """The positive hyperparameter with most different values among the trials."""
    seen: dict[str, set[float]] = {}
    for trial in trials:
        for key, value in (trial.get("hyperparameters") or {}).items():
            one = wording.finite(value)
            if one is not None and one > 0:
                seen.setdefault(key, set()).add(one)
    whole = {
        key: values
        for key, values in seen.items()
        if len(values) > 1 and all(key in (trial.get("hyperparameters") or {}) for trial in trials)
    }
    return max(whole, key=lambda key: len(whole[key]), default=None)
