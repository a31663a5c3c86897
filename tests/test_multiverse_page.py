"""A multiverse's curve, page, tables and files."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest

import multiverse_fixture as fixture
from losscope import cli
from losscope.core.errors import LosscopeError
from losscope.core.results import Multiverse
from losscope.reporting.drawing import draw, strips
from losscope.reporting.figure import Band, Palette, Points, Region, Ring, Upright
from losscope.reporting.specification import curve, ordered, ratio_ticks, running_median
from losscope.run.store import Store
from losscope.stats.multiverses import analyse

SETTINGS = 160


@pytest.fixture(scope="module")
def document() -> Multiverse:
    """Two claims over many settings, in cells too few for what takes long."""
    first = fixture.universe(fixture.mixed, settings=SETTINGS, cells=16, paper=7, failed=5)
    second = fixture.universe(fixture.margin_rule, settings=30, cells=30, claim="a <b>", seeds=1)
    third = replace(second, scale="log_ratio", measure="intra_variance", direction=-1, data="di|gits")
    return fixture.document(first, second, third)


def test_a_curve_has_every_setting_in_order_and_what_came_of_it(document):
    claim = document.claims[0]
    figure = curve(claim)
    points = [mark for mark in figure.marks if isinstance(mark, Points)]
    places = sorted(x for mark in points for x in mark.x)
    count = SETTINGS - 5
    assert places == list(range(1, count + 1))
    effects = [claim.settings[place].effect for place in ordered(claim)]
    assert effects == sorted(effects) and len(effects) == count
    by_series = {mark.series: len(mark.x) for mark in points}
    counts = {"holds": "triplet", "reversed": "contrastive", "neither": "neither"}
    for outcome, series in counts.items():
        assert by_series[series] == sum(setting.outcome == outcome for setting in claim.settings)
    (band,) = (mark for mark in figure.marks if isinstance(mark, Band))
    assert (band.low, band.high) == (-0.01, 0.01)
    named = {mark.series: mark.name for mark in figure.marks if isinstance(mark, Region)}
    assert named["triplet"].startswith("holds ") and named["contrastive"].startswith("reversed ")
    assert "without a value" in figure.x.title


def test_the_papers_own_setting_is_marked_where_it_stands(document):
    claim = document.claims[0]
    figure = curve(claim)
    place = ordered(claim).index(7) + 1
    (line,) = (mark for mark in figure.marks if isinstance(mark, Upright))
    (ring,) = (mark for mark in figure.marks if isinstance(mark, Ring))
    assert (line.x, ring.x) == (place, place) and ring.y == pytest.approx(claim.paper.effect)
    assert not any(isinstance(mark, Ring | Upright) for mark in curve(document.claims[1]).marks)


def test_each_choice_that_varies_has_a_strip_with_its_value_in_each_setting(document):
    claim = document.claims[0]
    order = ordered(claim)
    made = {strip.title.split(" · ")[0]: strip for strip in curve(claim).strips}
    assert len(made) == 9
    reduction = made["reduction"]
    texts = next(choice.texts for choice in claim.choices if choice.name == "reduction")
    assert [reduction.levels[int(y)] for y in reduction.y] == [texts[at].replace("_", " ") for at in order]
    assert made["batch size"].levels == ("32", "64", "128")
    margin = next(choice.numbers for choice in claim.choices if choice.name == "triplet.margin")
    ranks = np.argsort(np.argsort([margin[place] for place in order]))
    assert np.argsort(np.argsort(made["triplet: margin"].y)).tolist() == ranks.tolist()
    assert all(len(strip.texts) == len(strip.x) == len(order) for strip in made.values())


def test_choices_that_decide_most_stand_first_with_their_share():
    (claim,) = analyse([fixture.universe(fixture.margin_rule, settings=60, cells=30)])
    first, *others = curve(claim).strips
    assert re.fullmatch(r"triplet: margin · 9\d % of variance", first.title)
    assert not any("variance" in strip.title for strip in others)


def test_of_a_ratio_the_axis_has_ratios_and_the_claimed_side_is_the_lower():
    made = replace(
        fixture.universe(fixture.margin_rule, settings=30, cells=10), scale="log_ratio", direction=-1
    )
    figure = curve(analyse([made])[0])
    assert any(tick.text == "×1" for tick in figure.y.ticks) and figure.unit == "ratio"
    leaders = {mark.series: mark.name for mark in figure.marks if isinstance(mark, Region)}
    assert leaders["triplet"].startswith("reversed")
    assert [tick.text for tick in ratio_ticks(-0.01, 0.01)] == ["×1"]


def test_settings_far_from_the_others_do_not_flatten_the_curve():
    made = fixture.universe(fixture.mixed, settings=60, cells=10)
    effects = made.effects.copy()
    effects[3] = 1e6
    figure = curve(analyse([replace(made, effects=effects)])[0])
    assert figure.y.high < 1
    text = str(draw(figure, Palette(["triplet", "contrastive"])))
    assert "+1000000.000" in text or "1,000,000" in text or "1000000" in text


def test_a_running_median_is_that_of_a_loop():
    values = np.random.default_rng(0).random(100)
    x, y = running_median(values)
    assert len(x) == 41
    for at, median in zip(x, y, strict=True):
        place = int(at) - 1
        assert median == np.median(values[max(0, place - 7) : place + 8])


def test_shades_are_the_shares_of_a_loop():
    rows = np.random.default_rng(1).integers(0, 3, 300).astype(float)
    made = strips.stretches(rows.tolist())
    assert len(made) == strips.STRETCHES and made[0][0] == 0 and made[-1][1] == 300
    for first, last, shares in made:
        assert dict(shares) == {
            value: float((rows[first:last] == value).mean()) for value in set(rows[first:last])
        }


def test_the_page_has_every_claim_and_nothing_of_its_names_is_markup(document):
    text = document.page()
    body = text.split("<main")[1]
    assert body.count('data-cursor="setting" data-alone') == 3
    assert "<b>" not in body and body.count("a &lt;b&gt;") > 3
    assert "reversed" in body and "16 cells were trained, and 20 are wanted." in text
    assert "2 of 3 claims" in body or "1 of 3 claims" in body
    assert "In which share of settings" in body and "The space" in body
    assert '<meta name="viewport"' in text and "http-equiv" in text


def test_the_head_has_each_claim_as_a_bar_of_its_shares_beside_what_one_loss_twice_gives(document):
    head = document.page().split("<main")[1].split("</table>")[0]
    bars = re.findall(r'class="stack".*?</td>', head, re.S)
    assert len(bars) == len(document.claims) == 3
    for claim, bar in zip(document.claims, bars, strict=True):
        found = dict(re.findall(r'class="share (\w+)[^"]*" style="flex-grow:([\d.e-]+)"', bar))
        own = {name: getattr(claim.everywhere, name) for name in ("holds", "neither", "reversed", "failed")}
        assert {name: float(part) for name, part in found.items()} == {
            name: share.share for name, share in own.items() if share.count
        }
        assert sum(map(float, found.values())) == pytest.approx(1)
        assert f"left:{100 * claim.null.holds.share}%" in bar


def test_a_multiverse_without_claims_or_values_has_a_page(document):
    empty = document.model_copy(update={"claims": ()})
    assert "No claim was measured." in empty.page() and empty.table() is not None
    failed = fixture.universe(settings=20, cells=5)
    nothing = fixture.document(replace(failed, effects=np.full((20, 2), np.nan)))
    assert curve(nothing.claims[0]) is None
    assert "without a value in 100\u00a0%" in nothing.page()


def test_json_is_read_back_as_it_was(document):
    again = Multiverse.from_json(document.json())
    assert again == document and again.page() == document.page()


def test_tables_and_files_have_every_claim_and_setting(document, tmp_path):
    from rich.console import Console

    console = Console(width=100, record=True, file=io.StringIO())
    console.print(document.table())
    said = console.export_text()
    assert "retrieval" in said and "(" in said and "one loss" in said
    markdown = document.table("md")
    assert "di\\|gits" in markdown and markdown.count("\n## ") == 3
    with pytest.raises(LosscopeError, match="latex"):
        document.table("latex")
    import pandas as pd

    names = {path.name for path in document.export(tmp_path / "csv", "csv")}
    assert names == {"claims.csv", "settings.csv", "choices.csv"} or names == {"claims.csv", "settings.csv"}
    settings = pd.read_csv(tmp_path / "csv" / "settings.csv")
    assert len(settings) == SETTINGS + 60
    claim = document.claims[0]
    own = settings[settings["claim"] == "retrieval"]
    assert own["triplet.margin"].tolist() == pytest.approx(list(claim.choices[3].numbers))
    assert own["outcome"].tolist() == [setting.outcome for setting in claim.settings]
    assert "retrieval" in document._repr_html_()


def test_report_reads_a_multiverse_from_its_folder(document, tmp_path, capsys):
    store = Store(tmp_path)
    store.write_json("multiverses/made-up/result.json", document.model_dump(mode="json"))
    with pytest.raises(SystemExit) as stop:
        cli.main(["report", str(tmp_path)])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "claims" in said and "retrieval" in said
    page = tmp_path / "multiverses" / "made-up" / "report.html"
    assert "In which share of settings" in page.read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        cli.main(["report", str(tmp_path), "--format", "csv", "--out", str(tmp_path / "files")])
    assert (tmp_path / "files" / "settings.csv").is_file()
    capsys.readouterr()
    with pytest.raises(SystemExit):
        cli.main(["report", str(page.parent), "--json"])
    again = Multiverse.from_json(capsys.readouterr().out)
    assert again.claims == document.claims and again.report_file == str(page)


def test_the_printed_curve_has_axes_for_each_strip(document, tmp_path):
    alone = document.model_copy(update={"claims": document.claims[:1]})
    (made,) = (path for path in alone.export(tmp_path, "svg") if path.suffix == ".svg")
    text = made.read_text(encoding="utf-8")
    assert len(re.findall(r'<g id="axes_\d+">', text)) == 10


@pytest.mark.parametrize("width", [1280, 390])
def test_hovering_or_pressing_a_setting_tells_its_choices(browser, document, tmp_path, width):
    path = document.report(tmp_path / "page.html")
    context = browser.new_context(viewport={"width": width, "height": 900})
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(f"file://{path}")
    axes = tab.locator(".plot .axes").first
    axes.scroll_into_view_if_needed()
    frame = axes.bounding_box()
    tab.mouse.move(frame["x"] + 0.5 * frame["width"], frame["y"] + 20)
    tab.mouse.down()
    tab.wait_for_timeout(80)
    rows = tab.locator(".hover p").all_inner_texts()
    assert len(rows) == 10 and rows[0].startswith("effect, ") and any("reduction" in row for row in rows)
    assert tab.locator(".cursor").count() == 1, "other claims have other orders"
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    tab.locator(".plot").nth(1).focus()
    tab.keyboard.press("End")
    assert tab.locator(".hover b").inner_text() == "setting 30"
    assert "triplet: margin" in tab.locator("p[role=status]").inner_text()
    assert said == []
    context.close()
