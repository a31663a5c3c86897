"""Pages in a real browser: nothing fails, is fetched or overflows, on screen and on paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import report_fixture as fixture
from losscope.core.results import Reproduction, Result
from losscope.reporting import views

WIDTHS = (1280, 820, 390)
HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "contrastive\" onmouseover='alert(2)'",
    "نص عربي ‮evil",
    "a very long name of a loss that goes on and on without any end in sight, and then some more of it",
)


def two() -> tuple[Result, object]:
    made = fixture.tuned(fixture.judged(fixture.result()))
    return made, fixture.evidence(made)


def seven() -> tuple[Result, object]:
    made = fixture.judged(fixture.result(losses=7))
    return made, fixture.evidence(made, classes=100, points=1500)


def hostile() -> tuple[Result, object]:
    made = fixture.judged(fixture.result(losses=4, names=HOSTILE))
    return made, fixture.evidence(made)


def one_seed() -> tuple[Result, object]:
    made = fixture.judged(fixture.result(seeds=1))
    return made, fixture.evidence(made)


def claims() -> tuple[Reproduction, None]:
    return fixture.reproduction(), None


def played() -> tuple[Result, object]:
    """Maps that know their items and where these were at three epochs."""
    made, given = two()
    maps = {}
    for place, (name, found) in enumerate(given.maps.items()):
        course = np.stack([found.xy * share + place * 0.01 for share in (0.1, 0.6, 1.0)])
        maps[name] = dataclasses.replace(
            found, xy=course[-1], items=np.arange(len(found.xy)), epochs=np.array([0, 7, 60]), course=course
        )
    return made, dataclasses.replace(given, maps=maps)


PAGES: dict[str, Callable[[], tuple[Result | Reproduction, object]]] = {
    "two": two,
    "seven": seven,
    "hostile": hostile,
    "one seed": one_seed,
    "claims": claims,
    "played": played,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for name, build in PAGES.items():
        document, evidence = build()
        made[name] = views.report(document, folder / f"{name}.html", evidence)
    return made


class Opened:
    """A page that was opened, what its console said and what it asked the network for."""

    def __init__(self, browser, file: Path, width: int = 1280, scheme: str = "light", **more) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce", **more
        )
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def __enter__(self):
        return self.page

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_fails_is_fetched_or_overflows(browser, files, name, width):
    # What overflows does so in either scheme; each is opened at some width.
    scheme = "dark" if width == 820 else "light"
    opened = Opened(browser, files[name], width, scheme)
    with opened as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        sections = page.locator("main section.part")
        assert sections.count() > 3
        for place in range(sections.count()):
            box = sections.nth(place).bounding_box()
            assert box is not None and box["height"] > 30
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        outside = page.evaluate(OUTSIDE)
        assert outside == []
    assert opened.faults == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert len([url for url in opened.asked if url.startswith("file:")]) == 1


OUTSIDE = """() => [...document.querySelectorAll('main *, header *')].filter(one => {
  const box = one.getBoundingClientRect();
  if (!box.width || !box.height || one.closest('.unseen, svg, .skip')) return false;
  for (let up = one.parentElement; up; up = up.parentElement)
    if (['auto', 'scroll'].includes(getComputedStyle(up).overflowX)) return false;
  return box.right > innerWidth + 1 || box.left < -1;
}).map(one => one.outerHTML.slice(0, 120))"""
"""Elements that stand out of the window and do not scroll in a box of their own."""


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("two", "light"),
        ("two", "dark"),
        ("claims", "light"),
        *(
            pytest.param(name, scheme, marks=pytest.mark.slow)
            for name in PAGES
            for scheme in ("light", "dark")
        ),
    ],
)
def test_an_accessibility_checker_finds_nothing_serious(browser, files, name, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is absent"
    )
    with Opened(browser, files[name], scheme=scheme, bypass_csp=True) as page:
        found = axe.Axe().run(page).response["violations"]
    serious = [
        (rule["id"], [node["html"][:160] for node in rule["nodes"]][:3])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("size", ["A4", "Letter"])
def test_print_has_all_figures_and_opens_the_folded_tables(browser, files, size):
    with Opened(browser, files["two"], 1000) as page:
        shown = page.locator("figure").count()
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("figure svg:visible").count() >= shown
        assert page.locator("details:not([open]) table").count() == 0
        paper = page.pdf(format=size)
    assert paper.count(b"/Type /Page") > 3


def test_touch_targets_have_24_pixels(browser, files):
    with Opened(browser, files["two"], 390, has_touch=True) as page:
        small = page.locator("button:visible, select:visible, summary:visible, nav a:visible").evaluate_all(
            """all => all.filter(one => {
              const box = one.getBoundingClientRect();
              return box.width && Math.min(box.width, box.height) < 23.5;
            }).map(one => one.outerHTML.slice(0, 100))"""
        )
    assert small == []
