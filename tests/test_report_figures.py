"""The figures: what they draw is what was measured, as markup that needs no script; one look per loss."""

from __future__ import annotations

import math
import re
import typing
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as some
from sklearn.decomposition import PCA

import report_fixture as fixture
from losscope.core.results import EmbeddingMap, Force, Price, Trial, Tuned
from losscope.reporting import axes, curves, figure, forces, maps, plots, ruler, tradeoffs, trials
from losscope.reporting.drawing import draw
from losscope.reporting.drawing.frame import wide
from losscope.reporting.parts import HOME, Context, fragment
from losscope.reporting.sections import forest, tuning


def context(losses: int = 2, **more) -> Context:
    result = fixture.tuned(fixture.result(losses, **more))
    return Context(result, fixture.evidence(result, 8, points=50))


def figures_of(one: Context) -> list[figure.Figure]:
    return [
        curves.curves(
            curves.courses(one.traces, "loss", one.palette, relative=True),
            "x",
            target=(0.1, "a tenth"),
            log=True,
        ),
        curves.curves(curves.courses(one.traces, "hard_share", one.palette), "x", share=True),
        plots.seed_lines({side.name: side.measures["map_at_r"].values for side in one.sides}, "map_at_r"),
        plots.class_bars(one.detail, None, one.palette),
        plots.class_bars(fixture.detail(one.result, 60), None, one.palette),
        *maps.maps(one.maps, None, one.palette),
        trials.tuning_curve("triplet", one.result.losses[0].trials, [0.5, 1.0]),
    ]


def marks(drawn: figure.Figure, kind: type) -> list:
    return [mark for mark in drawn.marks if isinstance(mark, kind)]


@pytest.mark.parametrize("losses", [2, 12])
def test_every_figure_is_well_formed_markup_of_finite_places(losses):
    one = context(losses)
    for drawn in figures_of(one):
        root = ET.fromstring(draw(drawn, one.palette, "a"))
        assert root.get("role") == "img" and root.get("aria-label") == drawn.alt
        assert drawn.title and len(drawn.alt) > 20 and drawn.height > 100 and drawn.series
        for element in root.iter():
            for name in ("x", "y", "x1", "x2", "y1", "y2", "d", "viewBox", "height"):
                assert not re.search("nan|inf|None", element.get(name, "")), (name, element.get(name))
        for path in root.iter("path"):
            assert re.fullmatch(r"[MLHVhvz\d. -]+", path.get("d")), path.get("d")[:80]


def test_what_is_drawn_lies_where_its_axes_say():
    axis = figure.Axis(0.0, 10.0)
    drawn = figure.Figure(
        axis, axis, [figure.Line("a", (0.0, 5.0, 10.0, 10.0), (0.0, 10.0, None, 2.5))], "t", "alt", height=100
    )
    root = ET.fromstring(draw(drawn, figure.Palette(["a"])))
    height = float(root.find("svg").get("height"))
    [line] = [path for path in root.iter("path") if path.get("class") == "line"]
    assert line.get("d") == f"M0 {height:g}L500 0M1000 {0.75 * height:g}"


def test_a_logarithmic_layer_stands_beside_the_linear_one():
    one = context(2)
    [first, *_] = figures_of(one)
    root = ET.fromstring(draw(first, one.palette))
    assert [group.get("class") for group in root.find("svg").findall("g")] == ["linear", "logged"]
    assert first.log.share(math.sqrt(first.log.low * first.log.high)) == pytest.approx(0.5)


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
    [whole, early] = curves.curves({"a": one}, "x").marks
    assert whole.texts and early.dash == "dot" and not early.texts and early.y == (3.0, 3.0, 3.0)


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
    [line] = curves.curves(found, "x").marks
    np.testing.assert_array_equal(line.high, found["triplet"].high)
    np.testing.assert_array_equal(line.low, found["triplet"].low)
    root = ET.fromstring(draw(curves.curves(found, "x"), one.palette))
    assert sum(path.get("class") == "extent" for path in root.iter("path")) == 1


def test_each_loss_has_one_look_and_no_two_share_it():
    palette = figure.Palette(fixture.NAMES, ("raw", "untrained"))
    looks = [palette.look(name) for name in (*fixture.NAMES, "raw", "untrained")]
    assert len({(look.colour, look.dash, look.symbol) for look in looks}) == 14
    assert len({look.slug for look in looks}) == 14
    assert len({(look.hex, look.dash, look.symbol) for look in looks}) == 14


def test_the_key_has_a_shape_of_its_own_for_every_symbol():
    symbols = typing.get_args(figure.Symbol)
    shapes = [fragment("shape", figure.Look("#000", "black", "solid", symbol, "x")) for symbol in symbols]
    assert len(set(map(str, shapes))) == len(symbols) == 6


def test_every_colour_of_the_page_stands_out_from_its_paper():
    style = "".join(file.read_text() for file in sorted((HOME / "look").glob("*.css")))
    [(light, dark)] = re.findall(r"--paper: light-dark\((#\w{6}), (#\w{6})\)", style)
    pairs = re.findall(r"--((?:hue|grey|class)-\d): light-dark\((#\w{6}), (#\w{6})\)", style)
    assert len(pairs) == len(figure.COLOURS) + len(figure.GREYS) + maps.MANY_CLASSES
    for name, on_light, on_dark in pairs:
        assert fixture.contrast(on_light, light) >= 3 and fixture.contrast(on_dark, dark) >= 3, name
        assert f"--{name}: {on_light};" in style, "a browser without light-dark() has the light one"
    colours = {name: (on_light.upper(), on_dark.upper()) for name, on_light, on_dark in pairs}
    for kind, lights, darks in (
        ("hue", figure.COLOURS, figure.DARK_COLOURS),
        ("grey", figure.GREYS, figure.DARK_GREYS),
    ):
        expected = {f"{kind}-{place}": pair for place, pair in enumerate(zip(lights, darks, strict=True))}
        assert expected == {name: pair for name, pair in colours.items() if name.startswith(kind)}


def test_a_loss_has_its_colour_in_every_figure():
    one = context(3)
    look = one.palette.look("contrastive")
    for drawn in figures_of(one)[:5]:
        root = ET.fromstring(draw(drawn, one.palette))
        own = [group for group in root.iter("g") if group.get("data-series") == look.slug]
        assert own and all(group.get("style") == f"color:{look.colour}" for group in own)


def test_class_bars_are_means_with_whiskers_over_seeds():
    grid = np.array([[1.0, 2.0], [3.0, 2.5], [2.0, np.nan]])
    detail = {"a": {"per_class/intra_variance": grid, "per_class/label": np.array([1, 0])}}
    drawn = plots.class_bars(detail, ["zero", "one"], figure.Palette(["a"]))
    [bars] = drawn.marks
    assert isinstance(bars, figure.Bars)
    assert bars.y == (2.0, 2.25) and bars.low == (1.0, 2.0) and bars.high == (3.0, 2.5)
    assert [tick.text for tick in drawn.x.ticks] == ["one", "zero"]
    assert "class zero" in drawn.alt and "class one" in drawn.alt


def test_many_classes_are_sorted_lines():
    one = context(2)
    drawn = plots.class_bars(fixture.detail(one.result, 100), None, one.palette)
    lines = marks(drawn, figure.Line)
    assert len(lines) == 2
    for line in lines:
        assert list(line.y) == sorted(line.y) and len(line.y) == 100


@pytest.mark.parametrize(
    "detail", [{}, {"a": {}}, {"a": {"per_class/intra_variance": np.full((2, 3), np.nan)}}]
)
def test_no_classes_no_figure(detail):
    assert plots.class_bars(detail, None, figure.Palette(["a"])) is None


def test_seed_lines_join_each_seed():
    drawn = plots.seed_lines({"a": [1.0, 2.0, None], "b": [3.0, None, 4.0]}, "recall_at_1")
    [joined] = marks(drawn, figure.Joined)
    assert joined.series == ("a", "b") and joined.ends == [(1.0, 3.0)]
    assert [points.y for points in marks(drawn, figure.Points)] == [(1.0, 2.0, None), (3.0, None, 4.0)]


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
    [(low, high)] = {(axis.low, axis.high) for one in drawn for axis in (one.x, one.y)}
    assert low == -high < -3.0
    first, second = (one.marks[0] for one in drawn)
    assert first.own == high and second.own == pytest.approx(0.2 * 1.06)
    assert first.names == {0: "x", -1: "background"} and second.names == {1: "y"}


def test_many_classes_are_grey_but_those_that_differ_most():
    labels = np.repeat(np.arange(40), 3)
    found = {"a": EmbeddingMap(np.random.default_rng(0).normal(size=(120, 2)), labels)}
    [drawn] = maps.maps(found, None, figure.Palette(["a"]), differing=[7, 31, 99])
    [dots] = drawn.marks
    assert dots.chosen[:2] == (7, 31) and len(dots.chosen) == maps.COLOURED
    root = ET.fromstring(draw(drawn, figure.Palette(["a"])))
    kinds = [path for path in root.iter("path") if path.get("class") == "kind"]
    assert len(kinds) == 40
    coloured = {int(path.get("data-class")): path.get("style") for path in kinds if path.get("style")}
    assert set(coloured) == set(dots.chosen) and len(set(coloured.values())) == maps.COLOURED


def test_ten_classes_have_ten_colours():
    found = {"a": EmbeddingMap(np.eye(10)[:, :2] + 1, np.arange(10))}
    root = ET.fromstring(draw(*maps.maps(found, None, figure.Palette(["a"])), figure.Palette(["a"])))
    assert len({path.get("style") for path in root.iter("path") if path.get("class") == "kind"}) == 10


def decoded(text: str, half: int = 2047) -> np.ndarray:
    """What the page's script reads from a course."""
    order = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    digits = np.array([order.index(letter) for letter in text]).reshape(-1, 2)
    return (64 * digits[:, 0] + digits[:, 1] - half).reshape(-1, 2)


def test_a_map_draws_its_points_items_and_course_in_one_order():
    rng = np.random.default_rng(2)
    labels, items = rng.integers(0, 3, 50), rng.permutation(50)
    course = rng.normal(size=(4, 50, 2))
    found = EmbeddingMap(course[-1], labels, None, items, np.array([0, 1, 5, 9]), course)
    [drawn] = maps.maps({"a": found}, None, figure.Palette(["a"]))
    root = ET.fromstring(draw(drawn, figure.Palette(["a"])))
    [svg] = [each for each in root.iter("svg") if each.get("class") == "axes map"]
    assert svg.get("data-epochs") == "0 1 5 9"
    frames = [decoded(text) for text in svg.get("data-course").split(" ")]
    kinds = [path for path in root.iter("path") if path.get("class") == "kind"]
    places = [
        [float(part) for part in piece.removesuffix("h0").split(" ")]
        for path in kinds
        for piece in path.get("d").split("M")[1:]
    ]
    rows = [int(item) for path in kinds for item in path.get("data-items").split(" ")]
    order = [int(np.flatnonzero(items == item)[0]) for item in rows]
    own = drawn.marks[0].own
    for epoch, frame in enumerate(frames):
        expected = course[epoch][order] * (1, -1) / own * 2047
        np.testing.assert_allclose(frame, expected, atol=0.51)
    np.testing.assert_allclose(places, frames[-1], atol=0.51)


def test_a_map_of_thousands_is_a_density_with_a_sample():
    rng = np.random.default_rng(4)
    found = EmbeddingMap(rng.normal(size=(9000, 2)), rng.integers(0, 5, 9000))
    [drawn] = maps.maps({"a": found}, None, figure.Palette(["a"]))
    text = draw(drawn, figure.Palette(["a"]))
    root = ET.fromstring(text)
    assert text.count("h0") == 1500 and len(text) < 80_000
    shades = [path for path in root.iter("path") if path.get("class") == "density"]
    opacities = [float(path.get("fill-opacity")) for path in shades]
    assert len(shades) == 5 and opacities == sorted(opacities)
    found = EmbeddingMap(np.zeros((3, 2)), np.array([-1, -1, -1]))
    assert "density" not in draw(*maps.maps({"a": found}, None, figure.Palette(["a"])), figure.Palette(["a"]))


# --- trade-offs ------------------------------------------------------------------------------------


def priced(one: Context, seconds: dict[str, float]) -> Context:
    def own(side):
        return fixture.changed(side, price=Price(seconds=seconds.get(side.name), parameters=9))

    result = one.result
    return Context(
        fixture.changed(
            result,
            losses=tuple(map(own, result.losses)),
            baselines=tuple(map(own, result.baselines)),
        )
    )


def test_trade_offs_stand_where_their_numbers_say():
    one = priced(context(3), {"triplet": 2.0, "contrastive": 40.0, "raw": 0.0})
    time, tight, ranks = tradeoffs.tradeoffs(one.result)
    assert time.x.scale == "log" and time.series == ("triplet", "contrastive")
    assert {mark.series: mark.x for mark in marks(time, figure.Points)} == {
        "triplet": (2.0,),
        "contrastive": (40.0,),
    }
    assert "intra/inter²" in tight.title and "MAP@R" in ranks.title and len(tight.series) == 5
    for mark in marks(tight, figure.Points):
        side = next(side for side in one.sides if side.name == mark.series)
        assert mark.x == (side.mean("intra_inter_ratio"),) and mark.y == (side.mean("recall_at_1"),)


def test_no_trade_off_without_two_sides_that_have_both():
    one = Context(fixture.result(1))
    bare = fixture.changed(one.result, baselines=())
    assert tradeoffs.tradeoffs(bare) == []


def test_names_beside_points_hide_neither_points_nor_one_another():
    rng = np.random.default_rng(0)
    series = [f"a loss of some name {place}" for place in range(14)]
    x, y = tuple(rng.uniform(0, 1, 14)), tuple(rng.uniform(0, 1, 14))
    axis = axes.linear([0.0, 1.0])
    drawn = figure.Figure(axis, axis, [figure.Names(series, x, y)], "t", "alt", height=300)
    root = ET.fromstring(draw(drawn, figure.Palette(series)))
    texts = [text for group in root.iter("g") if group.get("data-series") for text in group.iter("text")]
    assert len(texts) >= 3
    height = float(root.find("svg").get("height"))
    boxes = [(300 * axis.share(a) - 2, height * (1 - axis.share(b)) - 2, 4.0, 4.0) for a, b in zip(x, y)]
    for text in texts:
        width = wide(text.text)
        start = 3 * float(text.get("x").removesuffix("%")) + float(text.get("dx"))
        shift = {"num start": 0, "num end": width, "num middle": width / 2}[text.get("class")]
        boxes.append((start - shift, float(text.get("y")) - 9, width, 11.0))
    for place, (left, top, across, down) in enumerate(boxes[14:], 14):
        for other, (x0, y0, x1, y1) in enumerate(boxes[:place]):
            apart = left >= x0 + x1 or x0 >= left + across or top >= y0 + y1 or y0 >= top + down
            assert apart, (place, other)


# --- forces ----------------------------------------------------------------------------------------


def test_forces_are_shares_of_each_losss_own_largest():
    found = {
        "a": Force((0.5, 1.5), (1.0, 2.0), (4.0, 0.0)),
        "b": Force((0.5, 1.5), (30.0, 15.0), (-3.0, 6.0)),
        "c": Force((0.5, 1.5), (0.0, 0.0), (0.0, 0.0)),
    }
    pull, push = forces.force_figures(found, figure.Palette(["b", "a", "c"]))
    assert pull.series == push.series == ("b", "a"), "a loss without a force is not drawn"
    assert {line.series: line.y for line in marks(pull, figure.Line)} == {"a": (0.25, 0.5), "b": (1.0, 0.5)}
    assert {line.series: line.y for line in marks(push, figure.Line)} == {"a": (1.0, 0.0), "b": (-0.1, 0.2)}
    assert not marks(pull, figure.Level)
    assert [level.value for level in marks(push, figure.Level)] == [0.0], "pulled negatives are said"
    assert forces.force_figures({}, figure.Palette([])) == []


# --- scales ----------------------------------------------------------------------------------------


@given(some.floats(1e-9, 1e9))
def test_steps_are_round_and_just_large_enough(rough):
    step, decimals = ruler.nice_step(rough)
    assert rough * (1 - 1e-6) <= step <= 2.51 * rough
    assert step == pytest.approx(round(step, decimals), rel=1e-9)


@given(some.lists(some.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_a_ruler_holds_its_values(values):
    assume(max(values) - min(values) > 1e-6 or max(values) == min(values))
    scale = ruler.Ruler.around(values)
    places = [scale.at(value) for value in sorted(values)]
    assert all(0 <= place <= 100 for place in places)
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("low", "high", "ratio"), [(-0.01, 0.04, False), (0.0, 3e-5, False), (-0.2, 1.4, True)]
)
def test_ticks_are_inside_and_apart(low, high, ratio):
    ticks = ruler.Ruler(low, high).ticks(5, ratio)
    places = [place for place, _ in ticks]
    assert len(ticks) >= 2 and all(0 <= place <= 100 for place in places)
    assert min(after - before for before, after in zip(places, places[1:])) > 5
    assert len({text for _, text in ticks}) == len(ticks)
    if ratio:
        assert (ruler.Ruler(low, high).at(0.0), "×1") in ticks


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


def test_a_tuning_curve_rings_the_best_trial_or_the_chosen():
    one = context(1)
    side = one.result.losses[0]
    drawn = trials.tuning_curve("triplet", side.trials, [0.5, 1.0])
    best = max((trial for trial in side.trials if trial.score is not None), key=lambda trial: trial.score)
    [ring] = marks(drawn, figure.Ring)
    assert (ring.x, ring.y) == (best.hyperparameters["margin"], best.score)
    points = marks(drawn, figure.Points)
    assert sum(len(mark.x) for mark in points) == 11, "the failed trial is no point"
    assert len(points) == 2, "one set of points per learning rate"
    chosen = Tuned(hyperparameters={"margin": 0.4}, score=0.75)
    [ring] = marks(trials.tuning_curve("triplet", side.trials, [0.5, 1.0], chosen), figure.Ring)
    assert (ring.x, ring.y) == (0.4, 0.75)


def test_a_tuning_line_has_one_point_for_each_value_however_many_trials_share_it():
    tried = [
        Trial(hyperparameters={"margin": margin}, learning_rate=rate, score=score, epochs=9)
        for margin, rate, score in ((0.1, 1e-3, 0.7), (0.1, 1e-4, 0.8), (0.2, 1e-3, 0.9), (0.2, 1e-4, 0.6))
    ]
    [line] = marks(trials.tuning_curve("a", tried, [0.6, 0.9]), figure.Line)
    assert line.x == (0.1, 0.2) and line.y == (0.8, 0.9)


@pytest.mark.parametrize(
    ("tried", "region"),
    [
        ([(0.1, 0.90, 9), (0.2, 0.95, 9), (0.4, 0.949, 9), (0.8, 0.7, 9)], (0.2, 0.4)),
        ([(0.1, 0.95, 9), (0.2, 0.7, 9), (0.4, 0.951, 9)], (0.4, 0.4)),
        ([(0.1, 0.95, 9), (0.2, 0.99, 3), (0.4, 0.951, 9)], (0.4, 0.4)),
        ([(0.1, 0.95, 9), (0.2, None, 9), (0.4, 0.951, 9)], (0.4, 0.4)),
        ([(0.1, 0.95, 9), (0.2, 0.945, 9), (0.2, 0.1, 9)], (0.1, 0.2)),
        ([(0.1, 0.95, 9), (0.2, 0.99, 3)], None),
        ([], None),
    ],
)
def test_a_flat_region_reaches_as_far_as_every_tried_value_is_as_good(tried, region):
    made = [Trial(hyperparameters={"margin": m}, score=score, epochs=epochs) for m, score, epochs in tried]
    found = trials.flat_region(made, "margin")
    assert (found and (found.low, found.high)) == region


@pytest.mark.parametrize(
    "tried",
    [
        [],
        [Trial(hyperparameters={}), Trial(hyperparameters={"margin": 1.0})],
        [Trial(hyperparameters={"margin": 1.0}, score=0.5)],
        [Trial(hyperparameters={"margin": margin}) for margin in (0.5, 1.0)],
    ],
)
def test_tuning_without_a_number_that_varies_has_no_figure(tried):
    assert trials.tuning_curve("a", tried, [0.5]) is None


def test_trials_are_listed_best_first_with_the_failed_last():
    one = context(1)
    rows = tuning.trial_rows(one.trained()[:1])
    assert len(rows) == 12 and rows[0][-1] == "chosen" and rows[-1][-1] == "diverged"
    assert [row[2] for row in rows[:-1]] == sorted((row[2] for row in rows[:-1]), reverse=True)
