"""The figures in a real browser: what the pointer shows, what is hidden, how maps zoom and play."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import report_fixture as fixture
from losscope.core.results import EmbeddingMap, Evidence
from losscope.reporting import page

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
EPOCHS = np.array([0, 10, 60])


def moving(sides: list[str], points: int = 90) -> dict[str, EmbeddingMap]:
    """Maps whose classes leave the centre over the epochs, at other scales for each side."""
    rng = np.random.default_rng(3)
    labels = np.arange(points) % 3
    centres = np.array([[1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]])
    made = {}
    for place, side in enumerate(sides):
        noise = 0.1 * rng.normal(size=(points, 2))
        frames = np.stack([(centres[labels] * epoch / 60 + noise) / (place + 1) for epoch in EPOCHS])
        made[side] = EmbeddingMap(frames[-1], labels, None, np.arange(points), EPOCHS, frames)
    return made


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    result = fixture.tuned(fixture.result(3))
    sides = [side.name for side in result.sides]
    evidence = fixture.evidence(result, 12, points=0)
    text = page.render(result, Evidence(evidence.traces, evidence.detail, moving(sides)))
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def shown(browser, file):
    """The page at 1280 pixels; fails on anything that the console says and on anything that is asked for."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    tab = context.new_page()
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"file://{file}")
    yield tab
    assert said == []
    assert [url for url in asked if not url.startswith(("file://", "data:", "blob:"))] == []
    context.close()


def over(tab, selector: str, across: float = 0.5, down: float = 0.5) -> None:
    """Move the pointer over a part of an element."""
    tab.locator(selector).first.scroll_into_view_if_needed()
    frame = tab.locator(selector).first.bounding_box()
    tab.mouse.move(frame["x"] + across * frame["width"], frame["y"] + down * frame["height"])
    tab.wait_for_timeout(60)


def test_the_pointer_shows_all_losses_at_one_epoch_through_all_curves(shown):
    over(shown, "#decay .axes", 0.5)
    box = shown.locator(".hover")
    assert box.is_visible()
    assert box.locator("b").inner_text() == "epoch 6" and box.locator("p").count() == 3
    curves = shown.locator('.plot[data-cursor="epoch"]').count()
    assert curves > 6 and shown.locator(".cursor").count() == curves
    places = {line.get_attribute("x1") for line in shown.locator(".cursor").all()}
    assert places == {"50%"}
    plot, own = shown.locator("#decay .plot").first.bounding_box(), box.bounding_box()
    assert own["y"] >= plot["y"] + plot["height"] or own["y"] + own["height"] <= plot["y"], (
        "it covers no curve"
    )


def test_the_pointer_shows_the_nearest_point(shown):
    over(shown, "#seeds .dot", 0.5, 0.02)
    assert "seed" in shown.locator(".hover").inner_text()


def test_the_keyboard_goes_through_the_values_of_a_figure(shown):
    plot, box, said = (
        shown.locator("#decay .plot").first,
        shown.locator(".hover"),
        shown.locator("p[role=status]"),
    )
    plot.focus()
    shown.keyboard.press("ArrowRight")
    assert box.is_visible() and box.locator("b").inner_text() == "epoch 1"
    shown.keyboard.press("ArrowRight")
    assert box.locator("b").inner_text() == "epoch 2" and box.locator("p").count() == 3
    assert said.inner_text().startswith("epoch 2; ") and "triplet" in said.inner_text()
    shown.keyboard.press("End")
    assert box.locator("b").inner_text() == "epoch 12"
    shown.keyboard.press("Escape")
    assert not box.is_visible()


def test_the_keyboard_reaches_every_point_and_every_item_of_a_map(shown):
    plot, box = shown.locator("#seeds .plot").first, shown.locator(".hover")
    plot.focus()
    told = set()
    for _ in range(30):
        shown.keyboard.press("ArrowRight")
        told.add(box.inner_text())
    assert len(told) == 30, "10 seeds of three losses, each once"
    shown.locator("#maps .plot").first.focus()
    shown.keyboard.press("ArrowRight")
    assert "row 0" in box.inner_text() and shown.locator(".lit").count() == 5
    shown.keyboard.press("ArrowDown")
    assert "class 1" in box.inner_text()
    shown.keyboard.press("Enter")
    assert shown.locator("#maps .kind.muted").count() == 10
    shown.locator("#maps .reset").click()


def test_a_hidden_loss_is_hidden_everywhere(shown):
    before = shown.locator('main [data-series~="loss-1"]:visible').count()
    assert before > 20
    shown.locator('#decay .key button[data-series="loss-1"]').click()
    left = shown.locator('main [data-series~="loss-1"]:visible')
    assert {element.evaluate("e => e.tagName") for element in left.all()} == {"BUTTON"}
    assert {each.get_attribute("aria-pressed") for each in left.all()} == {"false"}
    assert shown.locator("table.summary tbody tr:visible").count() >= 2
    over(shown, "#decay .axes", 0.5)
    assert shown.locator(".hover p").count() == 2
    shown.locator('#greediness .key button[data-series="loss-1"]').click()
    assert shown.locator('main [data-series~="loss-1"]:visible').count() == before


def test_a_logarithmic_axis_is_switched_on_and_off(shown):
    figure = shown.locator("#decay figure").first
    assert figure.locator(".linear").is_visible() and not figure.locator(".logged").is_visible()
    figure.locator(".scale").click()
    assert figure.locator(".logged").is_visible() and not figure.locator(".linear").is_visible()
    figure.locator(".scale").click()
    assert figure.locator(".linear").is_visible()


def test_lines_are_as_wide_as_the_figure_says(shown):
    widths = shown.locator(".plot path.line").evaluate_all(
        "all => all.map(one => [one.getAttribute('stroke-width') || '2', getComputedStyle(one).strokeWidth])"
    )
    assert {asked for asked, _ in widths} >= {"1.5", "2"}
    assert all(drawn == f"{asked}px" for asked, drawn in widths)


def test_a_saved_figure_stands_alone(shown, tmp_path):
    for selector in ("#decay figure", "#maps figure", "#tuning figure"):
        figure = shown.locator(selector).first
        figure.hover()
        with shown.expect_download() as download:
            figure.locator(".save").click()
        path = tmp_path / "figure.svg"
        download.value.save_as(path)
        text = path.read_text(encoding="utf-8")
        root = ET.fromstring(text)
        assert root.tag.endswith("svg") and float(root.get("width")) > 200
        assert "var(" not in text and "class=" not in text and "data-" not in text
        assert not [element for element in root.iter() if element.tag.endswith("script")]


def test_a_class_is_chosen_in_all_maps_and_let_go(shown):
    shown.locator("#maps select").select_option("1")
    maps = shown.locator("#maps .map").count()
    assert maps == 5
    assert shown.locator("#maps .kind.muted").count() == 2 * maps
    shown.locator("#maps .reset").click()
    assert shown.locator("#maps .kind.muted").count() == 0


def test_an_item_is_lit_in_all_maps(shown):
    over(shown, '#maps .map .kind[data-class="0"]', 0.5, 0.5)
    frame = shown.locator("#maps .map").first.bounding_box()
    for share in np.linspace(0.6, 0.98, 40):
        shown.mouse.move(frame["x"] + share * frame["width"], frame["y"] + 0.5 * frame["height"])
        if shown.locator(".lit").count():
            break
    assert shown.locator(".lit").count() == 5
    assert "row" in shown.locator(".hover").inner_text()


def test_maps_zoom_and_have_a_scale_of_their_own(shown):
    box = shown.locator("#maps .map .stretched").nth(1)
    first = box.get_attribute("viewBox")
    shown.locator("#maps .zoom").first.click()
    zoomed = box.get_attribute("viewBox")
    assert float(zoomed.split()[2]) < 0.7 * float(first.split()[2])
    shown.locator("#maps .reset").click()
    assert box.get_attribute("viewBox") == first
    shown.locator("#maps .own").click()
    assert float(box.get_attribute("viewBox").split()[2]) == pytest.approx(
        0.5 * float(first.split()[2]), rel=0.2
    )


def test_the_player_moves_all_maps_and_the_epoch_of_the_curves(shown):
    def spread(place: int) -> float:
        path = shown.locator("#maps .map").nth(place).locator(".kind").first.get_attribute("d")
        x = [float(piece.split()[0]) for piece in path.split("M")[1:]]
        return float(np.mean(x))

    last = [spread(place) for place in range(5)]
    slider = shown.locator("#maps input[type=range]")
    slider.focus()
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    assert shown.locator("#maps output").inner_text() == "epoch 0"
    for place, whole in enumerate(last):
        assert abs(spread(place)) < 0.2 * abs(whole)
    assert shown.locator(".pinned").count() > 6
    shown.locator("#maps .play").click()
    playwright.expect(shown.locator("#maps output")).to_have_text("epoch 60")
    assert [spread(place) for place in range(5)] == pytest.approx(last, abs=2)
    assert shown.locator(".pinned").count() == 0


def test_a_press_on_a_curve_shows_the_maps_at_its_epoch(shown):
    over(shown, "#decay .axes", 0.5)
    shown.mouse.down()
    playwright.expect(shown.locator("#maps output")).to_have_text("epoch 6")
    shown.mouse.up()


def test_figures_are_legible_without_a_script(browser, file):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    tab = context.new_page()
    tab.goto(f"file://{file}")
    for line in tab.locator(".plot .line:visible").all()[:20]:
        assert line.bounding_box()["width"] > 100
    for text in tab.locator(".plot text:visible").all()[:60]:
        assert float(text.evaluate("e => getComputedStyle(e).fontSize").removesuffix("px")) >= 11
    assert tab.locator(".controls").count() == 0
    context.close()


@pytest.mark.parametrize("width", [1280, 820, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_text_of_a_figure_leaves_the_page_and_no_labels_touch(browser, file, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(f"file://{file}")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.evaluate(OUTSIDE) == []
    touching = tab.evaluate(TOUCHING)
    assert touching == []
    context.close()


OUTSIDE = """() => [...document.querySelectorAll(".plot text.num")].filter(text => {
  const box = text.getBoundingClientRect();
  return box.width && (box.left < 0 || box.right > innerWidth);
}).map(text => text.textContent)"""
TOUCHING = """() => [...document.querySelectorAll(".plot:not(.square)")].flatMap(plot => {
  const boxes = [...plot.querySelectorAll("text.num:not([transform])")]
    .map(text => [text.textContent, text.getBoundingClientRect()]).filter(([, box]) => box.width);
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
  return boxes.flatMap(([text, a], place) => boxes.slice(place + 1).filter(([, b]) => meet(a, b))
    .map(([other]) => `${plot.dataset.name}: ${text} / ${other}`));
})"""
