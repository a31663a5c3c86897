"""The figures: what they draw is what was measured, valid for Plotly, one look a loss."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as some
from sklearn.decomposition import PCA

import report_fixture as fixture
from losscope.core.results import EmbeddingMap, Trial
from losscope.reporting import curves, figure, maps, plots
from losscope.reporting.parts import Context
from losscope.reporting.sections import forest, tuning


def context(losses: int = 2, **more) -> Context:
    result = fixture.tuned(fixture.result(losses, **more))
    return Context(result, fixture.evidence(result, 8, points=50))


def figures_of(one: Context) -> list[figure.Figure]:
    return [
        curves.curves(
            curves.courses(one.traces, "loss", one.palette, relative=True),
            "x",
            one.palette,
            target=(0.1, "a tenth"),
            log=True,
        ),
        curves.curves(curves.courses(one.traces, "hard_share", one.palette), "x", one.palette, share=True),
        plots.seed_lines(
            {side.name: side.measures["map_at_r"].values for side in one.sides}, "map_at_r", one.palette
        ),
        plots.class_bars(one.detail, None, one.palette),
        plots.class_bars(fixture.detail(one.result, 60), None, one.palette),
        *maps.maps(one.maps, None, one.palette),
        plots.tuning_lines("triplet", one.result.losses[0].trials, one.palette, [0.5, 1.0]),
    ]


@pytest.mark.parametrize("losses", [2, 12])
def test_plotly_takes_every_figure(losses):
    import plotly.graph_objects as go

    for one in figures_of(context(losses)):
        text = json.dumps(one.json(), allow_nan=False)
        for token, colour in (
            ("ink", "#111111"),
            ("soft", "#666666"),
            ("rule", "#dddddd"),
            ("paper", "#ffffff"),
        ):
            text = text.replace(f"var(--{token})", colour)
        assert "var(" not in text
        go.Figure(json.loads(text))
        assert one.title and len(one.alt) > 20 and one.height > 100 and one.series


def frame(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["loss", "seed", "split", "epoch", "name", "value"])


def test_a_course_is_mean_and_extremes_over_seeds():
    rng = np.random.default_rng(0)
    values = rng.uniform(size=(4, 6))
    rows = [("a", s, "train", e + 1, "loss", values[s, e]) for s in range(4) for e in range(6)]
    one = curves.course(frame(rows))
    np.testing.assert_array_equal(one.epochs, np.arange(1, 7))
    np.testing.assert_allclose(one.mean, values.mean(axis=0))
    np.testing.assert_array_equal(one.low, values.min(axis=0))
    np.testing.assert_array_equal(one.high, values.max(axis=0))
    assert one.seeds == 4 and not one.stopped


def test_a_relative_course_divides_each_seed_by_its_own_first_epoch():
    values = np.array([[4.0, 2.0, 1.0], [10.0, 1.0, 0.5]])
    rows = [("a", s, "train", e, "loss", values[s, e]) for s in range(2) for e in range(3)]
    one = curves.course(frame(rows), relative=True)
    np.testing.assert_allclose(one.mean, [1.0, (0.5 + 0.1) / 2, (0.25 + 0.05) / 2])


def test_a_seed_that_stopped_is_shown_and_not_averaged():
    rows = [
        ("a", s, "train", e, "loss", 1.0 + s) for s in range(3) for e in range(5) if not (s == 2 and e > 2)
    ]
    rows.append(("a", 2, "train", 3, "loss", float("nan")))
    one = curves.course(frame(rows))
    np.testing.assert_allclose(one.mean, 1.5)
    assert one.seeds == 2
    [(seed, epochs, values)] = one.stopped
    assert seed == 2 and list(epochs) == [0, 1, 2] and list(values) == [3.0] * 3
    palette = figure.Palette(["a"])
    drawn = curves.curves({"a": one}, "x", palette)
    assert [trace["line"]["dash"] for trace in drawn.data if "stopped" in trace.get("name", "")] == ["dot"]


def test_a_course_reads_one_split():
    rows = [
        ("a", 0, split, 1, "loss", value)
        for split, value in (("validation", 9.0), ("train", 2.0), ("probe", 5.0))
    ]
    palette = figure.Palette(["a"])
    assert curves.courses(frame(rows), "loss", palette)["a"].mean[0] == 2.0
    assert curves.courses(frame(rows), "loss", palette, ("validation",))["a"].mean[0] == 9.0
    assert curves.courses(frame(rows), "loss", palette, ("test",)) == {}
    assert curves.courses(frame(rows), "other", palette) == {}


def test_a_band_reaches_from_the_smallest_to_the_largest_seed():
    one = context(1)
    found = curves.courses(one.traces, "loss", one.palette)
    drawn = curves.curves(found, "x", one.palette)
    band = next(trace for trace in drawn.data if trace.get("fill"))
    n = len(found["triplet"].epochs)
    np.testing.assert_allclose(band["y"][:n], found["triplet"].high, rtol=1e-4)
    np.testing.assert_allclose(band["y"][n:][::-1], found["triplet"].low, rtol=1e-4)


def test_each_loss_has_one_look_and_no_two_share_it():
    palette = figure.Palette(fixture.NAMES, ("raw", "untrained"))
    looks = [palette.look(name) for name in (*fixture.NAMES, "raw", "untrained")]
    assert len({(look.colour, look.dash, look.symbol) for look in looks}) == 14
    assert len({look.slug for look in looks}) == 14
    assert set(figure.COLOURS) <= {
        "#0072B2",
        "#D55E00",
        "#009E73",
        "#CC79A7",
        "#E69F00",
        "#56B4E9",
        "#F0E442",
    }


def test_a_loss_has_its_colour_in_every_figure():
    one = context(3)
    colour = one.palette.look("contrastive").colour
    for drawn in figures_of(one)[:4]:
        own = [trace for trace in drawn.data if trace.get("name") == "contrastive"]
        assert own
        for trace in own:
            assert colour in (trace.get("line", {}).get("color"), trace["marker"]["color"])
            assert trace["legendgroup"] == one.palette.look("contrastive").slug


def test_class_bars_are_means_with_whiskers_over_seeds():
    grid = np.array([[1.0, 2.0], [3.0, 2.5], [2.0, np.nan]])
    detail = {"a": {"per_class/intra_variance": grid, "per_class/label": np.array([1, 0])}}
    drawn = plots.class_bars(detail, ["zero", "one"], figure.Palette(["a"]))
    [bars] = drawn.data
    assert bars["y"] == [2.0, 2.25]
    assert bars["error_y"]["array"] == [1.0, 0.25] and bars["error_y"]["arrayminus"] == [1.0, 0.25]
    assert drawn.layout["xaxis"]["ticktext"] == ["one", "zero"]
    assert "class zero" in drawn.alt and "class one" in drawn.alt


def test_many_classes_are_sorted_lines():
    one = context(2)
    drawn = plots.class_bars(fixture.detail(one.result, 100), None, one.palette)
    lines = [trace for trace in drawn.data if trace.get("mode") == "lines" and not trace.get("fill")]
    assert len(lines) == 2
    for line in lines:
        assert line["y"] == sorted(line["y"]) and len(line["y"]) == 100


@pytest.mark.parametrize(
    "detail", [{}, {"a": {}}, {"a": {"per_class/intra_variance": np.full((2, 3), np.nan)}}]
)
def test_no_classes_no_figure(detail):
    assert plots.class_bars(detail, None, figure.Palette(["a"])) is None


def test_seed_lines_join_each_seed():
    drawn = plots.seed_lines(
        {"a": [1.0, 2.0, None], "b": [3.0, None, 4.0]}, "recall_at_1", figure.Palette(["a", "b"])
    )
    lines = [trace["y"] for trace in drawn.data if trace["mode"] == "lines"]
    assert lines == [[1.0, 3.0], [2.0, None], [None, 4.0]]


# --- maps ------------------------------------------------------------------------------------------


def test_a_map_is_pca_of_unit_vectors():
    rng = np.random.default_rng(5)
    points = rng.normal(size=(60, 7)) * np.arange(1, 8)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    found = maps.pca_map(points, np.arange(60) % 3)
    oracle = PCA(2, svd_solver="full").fit(unit)
    xy = oracle.transform(unit)
    np.testing.assert_allclose(np.abs(found.xy), np.abs(xy), atol=1e-10)
    np.testing.assert_allclose(found.explained, oracle.explained_variance_ratio_, atol=1e-12)
    np.testing.assert_array_equal(maps.pca_map(points, np.arange(60)).xy, found.xy)


def test_a_map_is_subsampled_by_its_seed():
    rng = np.random.default_rng(1)
    points, labels = rng.normal(size=(2000, 4)), np.arange(2000)
    one, two, other = (maps.pca_map(points, labels, seed) for seed in (0, 0, 1))
    assert len(one.xy) == maps.MAX_POINTS == len(np.unique(one.labels))
    np.testing.assert_array_equal(one.labels, two.labels)
    assert not np.array_equal(one.labels, other.labels)
    whole = maps.pca_map(points, labels, most=2000)
    np.testing.assert_array_equal(one.xy, whole.xy[one.labels])


@pytest.mark.parametrize("shape", [(5, 1), (3, 2), (1, 4)])
def test_small_maps_have_two_axes(shape):
    found = maps.pca_map(np.ones(shape), np.zeros(shape[0]))
    assert found.xy.shape == (shape[0], 2) and np.isfinite(found.xy).all()


def test_all_maps_have_one_scale():
    found = {
        "a": EmbeddingMap(np.array([[3.0, 0.0], [0.0, -1.0]]), np.array([0, -1])),
        "b": EmbeddingMap(np.array([[0.1, 0.2]]), np.array([1])),
    }
    drawn = maps.maps(found, ["x", "y"], figure.Palette(["a", "b"]))
    ranges = {tuple(one.layout[axis]["range"]) for one in drawn for axis in ("xaxis", "yaxis")}
    [(low, high)] = ranges
    assert low == -high < -3.0
    assert drawn[0].data[0]["text"] == ["x", "background"]
    assert drawn[1].data[0]["text"] == ["y"]


# --- scales ----------------------------------------------------------------------------------------


@given(some.floats(1e-9, 1e9))
def test_steps_are_round_and_just_large_enough(rough):
    step, decimals = figure.nice_step(rough)
    assert rough * (1 - 1e-6) <= step <= 2.51 * rough
    assert step == pytest.approx(round(step, decimals), rel=1e-9)


@given(some.lists(some.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_a_ruler_holds_its_values(values):
    assume(max(values) - min(values) > 1e-6 or max(values) == min(values))
    ruler = figure.Ruler.around(values)
    places = [ruler.at(value) for value in sorted(values)]
    assert all(0 <= place <= 100 for place in places)
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("low", "high", "ratio"), [(-0.01, 0.04, False), (0.0, 3e-5, False), (-0.2, 1.4, True)]
)
def test_ticks_are_inside_and_apart(low, high, ratio):
    ticks = figure.Ruler(low, high).ticks(5, ratio)
    places = [place for place, _ in ticks]
    assert len(ticks) >= 2 and all(0 <= place <= 100 for place in places)
    assert min(after - before for before, after in zip(places, places[1:])) > 5
    assert len({text for _, text in ticks}) == len(ticks)
    if ratio:
        assert (figure.Ruler(low, high).at(0.0), "×1") in ticks


def test_forest_places_agree_with_the_numbers():
    one = context(3)
    rows = one.result.verdicts()
    group = forest.group(one, "recall_at_1", rows)
    assert group.band[0] < group.zero < group.band[1]
    scale = (group.band[1] - group.zero) / rows[0].delta
    for shown, row in zip(group.rows, rows, strict=True):
        at = shown.at
        assert at["low_data"] < at["low"] < at["difference"] < at["high"] < at["high_data"]
        assert at["difference"] == pytest.approx(group.zero + scale * row.difference, abs=0.05)
        assert shown.code == row.verdict


def test_a_ratio_forest_is_centred_on_one():
    one = context(2)
    row = next(row for row in one.result.paired if row.measure == "intra_variance")
    group = forest.group(one, "intra_variance", [row])
    assert group.ratio and (group.zero, "×1") in group.ticks
    assert group.delta == "10 %"
    assert group.rows[0].size == f"×{math.exp(row.difference):.2f}"


# --- tuning and words ------------------------------------------------------------------------------


def test_tuning_lines_ring_the_best_trial():
    one = context(1)
    trials = one.result.losses[0].trials
    drawn = plots.tuning_lines("triplet", trials, one.palette, [0.5, 1.0])
    best = max((trial for trial in trials if trial.score is not None), key=lambda trial: trial.score)
    ring = drawn.data[-1]
    assert ring["x"] == [best.hyperparameters["margin"]] and ring["marker"]["symbol"] == "circle-open"
    assert sum(len(trace["x"]) for trace in drawn.data[:-1]) == 11, "the failed trial is no point"
    assert len(drawn.data) == 3, "one set of points per learning rate"


@pytest.mark.parametrize(
    "trials",
    [
        [],
        [Trial(hyperparameters={}), Trial(hyperparameters={"margin": 1.0})],
        [Trial(hyperparameters={"margin": 1.0}, score=0.5)],
        [Trial(hyperparameters={"margin": margin}) for margin in (0.5, 1.0)],
    ],
)
def test_tuning_without_a_number_that_varies_has_no_figure(trials):
    assert plots.tuning_lines("a", trials, figure.Palette(["a"]), [0.5]) is None


def test_trials_are_listed_best_first_with_the_failed_last():
    one = context(1)
    rows = tuning.trial_rows(one.trained()[:1])
    assert len(rows) == 12 and rows[0][-1] == "chosen" and rows[-1][-1] == "diverged"
    assert [row[2] for row in rows[:-1]] == sorted((row[2] for row in rows[:-1]), reverse=True)
