"""Figures of seeds, classes and tuning trials, drawn by the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from losscope.core import wording
from losscope.core.results import Trial
from losscope.core.wording import parts
from losscope.reporting.curves import Course, band, line
from losscope.reporting.figure import (
    INK,
    PAPER,
    SOFT,
    Drawn,
    Figure,
    Look,
    Palette,
    axis,
    class_name,
    layout,
    plain,
    rounded,
    shown_unit,
    span,
)

# --- seeds, classes, maps --------------------------------------------------------------------------


def seed_lines(values: Mapping[str, Sequence[float | None]], measure: str, palette: Palette) -> Figure | None:
    """Each seed's values joined across the losses, which share their weights and batches within a seed."""
    numbers = {name: rounded(column) for name, column in values.items()}
    numbers = {name: column for name, column in numbers.items() if any(value is not None for value in column)}
    if not numbers:
        return None
    names = list(numbers)
    seeds = max(map(len, numbers.values()))
    data: list[Drawn] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": list(range(len(names))),
            "y": [column[seed] if seed < len(column) else None for column in numbers.values()],
            "line": {"color": SOFT, "width": 1},
            "opacity": 0.45,
            "hoverinfo": "skip",
            "connectgaps": False,
        }
        for seed in range(seeds)
    ]
    data += [_seed_marks(name, place, numbers[name], palette.look(name)) for place, name in enumerate(names)]
    few = sum(min(len(name), 14) for name in names) <= 40
    x = axis(
        tickvals=list(range(len(names))),
        ticktext=[plain(wording.shorten(name, 14)) if few else "" for name in names],
        range=[-0.35, len(names) - 0.65],
        showgrid=not few,
        tickangle=0,
    )
    y = axis(**span([value for column in numbers.values() for value in column], most=4))
    means = [
        float(np.mean([value for value in values[name] if wording.finite(value) is not None]))
        for name in names[:6]
    ]
    listed = wording.listing(f"{name} {wording.number(mean)}" for name, mean in zip(names, means))
    title = wording.title(measure)
    alt = f"{title} of each seed, joined across losses. Means: {listed}."
    unit = shown_unit(title, wording.measure(measure).unit)
    return Figure(data, layout(x, y), title, alt, 230, unit, series=tuple(names))


def _seed_marks(name: str, place: int, column: Sequence[float | None], look: Look) -> Drawn:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [place] * len(column),
        "y": list(column),
        "name": plain(wording.shorten(name, 32)),
        "legendgroup": look.slug,
        "marker": {
            "color": look.colour,
            "symbol": look.symbol,
            "size": 7,
            "line": {"color": PAPER, "width": 1},
        },
        "customdata": list(range(len(column))),
        "hovertemplate": "seed %{customdata}: %{y:.4~g}",
    }


MANY_CLASSES = 30


def class_bars(
    detail: Mapping[str, Mapping[str, np.ndarray]], names: Sequence[str] | None, palette: Palette
) -> Figure | None:
    """Intra-class variance of every class: bars with whiskers from the smallest to the largest seed.

    More than 30 classes become one sorted line for each loss.
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
        ticktext=[plain(wording.shorten(class_name(label, names), 12)) for label in labels],
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
    filled = [np.ma.filled(column.astype(float), np.nan) for column in (mean, low, high)]
    return filled[0], filled[1], filled[2]


def _class_marks(
    loss: str,
    grid: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] | None,
    look: Look,
    bars: bool,
    place: float,
    losses: int,
) -> Drawn:
    mean, low, high = _spread(grid)
    whiskers: Drawn = {
        "type": "data",
        "symmetric": False,
        "array": rounded(high - mean),
        "arrayminus": rounded(mean - low),
        "thickness": 1,
        "width": 0 if losses > 4 else 3,
        "color": INK if bars else look.colour,
        "visible": grid.shape[0] > 1,
    }
    texts = [plain(class_name(label, names)) for label in labels]
    common: Drawn = {
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
    marker: Drawn = {"color": look.colour, "symbol": look.symbol, "size": 6}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rounded(np.arange(len(labels)) + shift),
        "marker": marker,
        **common,
    }


def _sorted_classes(found: Mapping[str, tuple[np.ndarray, np.ndarray]], palette: Palette) -> Figure:
    data: list[Drawn] = []
    most = 0
    for loss, (grid, _) in found.items():
        mean, low, high = _spread(grid)
        order = np.argsort(mean)
        order = order[np.isfinite(mean[order])]
        course = Course(np.arange(1, len(order) + 1), mean[order], low[order], high[order], len(grid), [])
        data += [*band(course, palette.look(loss)), *line(loss, course, palette.look(loss))]
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
    name: str, trials: Sequence[Trial], palette: Palette, scores: Iterable[float]
) -> Figure | None:
    """Validation quality of every trial over the loss's own number (margin, temperature), the best ringed.

    The larger the learning rate, the larger the point; open points were not trained whole. ``scores`` of all
    losses set the common vertical axis.
    """
    number = _tuned_number(trials)
    scored = [(trial, trial.score) for trial in trials if trial.score is not None]
    if number is None or not scored:
        return None
    look = palette.look(name)
    longest = max(trial.epochs or 0 for trial, _ in scored)
    data = list(_trial_points(scored, number, look, longest))
    whole = [pair for pair in scored if (pair[0].epochs or 0) == longest]
    best, top = max(whole, key=lambda pair: pair[1])
    spot = _number(best, number)
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": rounded([spot]),
            "y": rounded([top]),
            "hoverinfo": "skip",
            "marker": {"symbol": "circle-open", "size": 15, "color": INK, "line": {"width": 1.5}},
        }
    )
    ticks = sorted({_number(trial, number) for trial in trials})
    x = axis(
        number.replace("_", " "),
        type="log",
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
        showgrid=False,
    )
    y = axis(**span(scores, most=4))
    alt = f"Validation scores of the trials of {name}; best {wording.number(top)} at {number} {spot:g}."
    return Figure(data, layout(x, y), name, alt, 230, f"best at {number} {spot:g}", series=(name,))


def _trial_points(
    scored: Sequence[tuple[Trial, float]], number: str, look: Look, longest: int
) -> Iterator[Drawn]:
    """The trials of each learning rate, larger points for larger rates, filled those of all epochs."""
    rates = sorted({trial.learning_rate or 0.0 for trial, _ in scored})
    for rate in rates:
        own = [(trial, score) for trial, score in scored if (trial.learning_rate or 0.0) == rate]
        whole = [(trial.epochs or 0) == longest for trial, _ in own]
        yield {
            "type": "scatter",
            "mode": "markers",
            "name": f"learning rate {rate:g}" if rate else "given learning rate",
            "x": rounded(_number(trial, number) for trial, _ in own),
            "y": rounded(score for _, score in own),
            "text": [plain(parts.settings(trial)) for trial, _ in own],
            "marker": {
                "color": [look.colour if each else PAPER for each in whole],
                "size": 5 + 1.5 * rates.index(rate),
                "line": {"color": look.colour, "width": 1.2},
            },
            "hovertemplate": "%{text}: %{y:.3f}",
        }


def _number(trial: Trial, name: str) -> float:
    return float(trial.hyperparameters[name])


def _tuned_number(trials: Sequence[Trial]) -> str | None:
    """The positive hyperparameter with most different values among the trials, which every trial has."""
    seen: dict[str, set[float]] = {}
    for trial in trials:
        for key, value in trial.hyperparameters.items():
            number = wording.finite(value)
            if number is not None and number > 0:
                seen.setdefault(key, set()).add(number)
    varied = {
        key: values
        for key, values in seen.items()
        if len(values) > 1 and all(key in trial.hyperparameters for trial in trials)
    }
    return max(varied, key=lambda key: len(varied[key]), default=None)
