"""The first screen and the tables: what they say, and what they do in a browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import report_fixture as fixture
import test_headline as headlines
from losscope.core import wording
from losscope.core.results import PairSize, Result
from losscope.reporting import page, tables

WIDTHS = (1280, 820, 390)


def stored(result: Result) -> Result:
    """The result with a page that lies in a store."""
    return result.model_copy(update={"store": "runs", "report_file": "runs/studies/digits/report.html"})


def text_of(markup: str) -> str:
    inline = re.sub(
        r"</?span>", "", markup
    )  # the words of a command, which stand as close as they are written
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", inline))


@pytest.mark.parametrize("name", ["leads", "either", "seeds", "failed", "measures", "alone"])
def test_page_and_terminal_say_the_same_words(name: str) -> None:
    result = headlines.PLANTED[name]
    found = wording.headline(result)
    terminal = "\n".join(line.plain for line in tables.answer(result))
    html = page.render(result)
    shown = text_of(html).replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">")
    assert found.text in terminal and found.text in shown
    assert found.sure in terminal and found.sure in shown
    assert found.step is not None and found.step.text[1:] in terminal and found.step.text[1:] in shown
    assert found.step.line in terminal and found.step.line in shown
    if found.caveat is not None:
        assert found.caveat.text in shown


def test_every_sentence_and_note_is_still_on_the_page() -> None:
    result = fixture.changed(headlines.PLANTED["seven alike"], notes=("a note of the study",))
    shown = text_of(page.render(result))
    for sentence in (*result.recommendation.sentences, *result.notes):
        plain = sentence.replace("\u00a0", " ").replace("'", "&#39;")
        assert re.sub(r"\W+", "", plain) in re.sub(r"\W+", "", shown)


def test_a_page_leads_to_its_run_folders_and_names_no_host(tmp_path: Path) -> None:
    result = stored(fixture.result(2))
    provenance = result.provenance.model_copy(update={"host": "secret-host", "date": "2026-11-27"})
    html = page.render(result.model_copy(update={"provenance": provenance}))
    assert "secret-host" not in html and "2026-11-27" in html and "x86_64" in html
    ids = [run for side in result.losses for run in side.runs]
    links = re.findall(r'href="(\.\./\.\./runs/[^"]+)/"', html)
    assert [link.rpartition("/")[2] for link in links] == ids
    elsewhere = result.model_copy(update={"report_file": str(tmp_path / "page.html")})
    assert "../../runs/" not in page.render(elsewhere), "a page outside of the store has no way to its runs"


def test_rows_are_of_their_losses_and_heads_say_which_end_is_better() -> None:
    result = fixture.result(3)
    html = page.render(result)
    for place in range(3):
        assert f'<tr data-series="loss-{place}"' in html
        assert re.search(rf'<tr data-series="loss-{place} baseline-0"', html), "a test against a baseline"
    assert 'data-better="higher"' in html and 'data-better="lower"' in html


def test_seeds_are_said_to_be_needed_only_of_what_is_open() -> None:
    result = fixture.result(2)
    rows = tuple(fixture.changed(row, seeds_needed=52, sd=0.01) for row in result.paired)
    shown = text_of(page.render(fixture.changed(result, paired=rows)))
    told = [row for row in rows if row.primary and row.verdict in ("unresolved", "too_few_seeds")]
    assert shown.count("52 seeds in all would show") == len(told)
    assert "seeds needed" not in shown


def test_pairs_of_many_losses_are_a_grid() -> None:
    result = fixture.result(4)
    names = [side.name for side in result.losses]
    sizes = {
        ("better", "worse"): (0.02, 0.04),
        ("equal", "equal"): (-0.002, 0.004),
        ("open", "open"): (-0.02, 0.04),
    }
    cycle = [*sizes.items()] * 2
    pairs, expected = [], {}
    couples = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    for (a, b), (words, (low, high)) in zip(couples, cycle, strict=True):
        pairs.append(
            PairSize(a=a, b=b, difference=(low + high) / 2, low=low, high=high, n=10, scale="difference")
        )
        expected[a, b], expected[b, a] = words
    rows = tuple(row for row in result.paired if row.b in ("raw", "untrained"))
    html = page.render(fixture.changed(result, matrix=tuple(pairs), paired=rows))
    section = html.partition('id="every-pair"')[2].partition("</section>")[0]
    heads = [text_of(own).strip() for own in re.findall(r'<th scope="col">(.*?)</th>', section)]
    for body in re.findall(r"<tr data-series=.*?</tr>", section, re.S):
        a = text_of(re.findall(r'<th scope="row">(.*?)</th>', body, re.S)[0]).strip()
        words = [text_of(own).split()[0] for own in re.findall(r"<td[^>]*>(.*?)</td>", body, re.S)]
        assert words == [expected.get((a, b), "·") for b in heads]


# --- in a browser -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("triplet", "contrastive", "<b>x</b> & y", "شبكة", "n" * 70)
    result = stored(fixture.tuned(fixture.result(5, names=names)))
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.render(result, fixture.evidence(result, 10, points=40)), encoding="utf-8")
    return path


def opened(browser: Any, file: Path, wide: int, **options: Any) -> tuple[Any, list[str]]:
    tab = browser.new_context(viewport={"width": wide, "height": 900}, **options).new_page()
    faults: list[str] = []
    tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.goto(file.as_uri())
    return tab, faults


@pytest.mark.parametrize("wide", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_fits_and_the_table_begins_on_it(
    browser: Any, file: Path, wide: int, scheme: str
) -> None:
    tab, faults = opened(browser, file, wide, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    if wide == 1280:
        assert tab.evaluate("document.querySelector('table.summary').getBoundingClientRect().top") < 900
        assert tab.evaluate("document.querySelector('.stands').getBoundingClientRect().bottom") < 800
    small = tab.evaluate(
        "[...document.querySelectorAll('button, summary, .bar a, select, input')]"
        ".filter(own => own.checkVisibility() && (own.getBoundingClientRect().height < 23.5))"
        ".filter(own => own.matches('.bar *, .sort, .info, .copy, .filter *'))"
        ".map(own => own.outerHTML.slice(0, 80))"
    )
    assert small == [], "touch targets of 24 pixels"
    assert faults == []


def test_sorting_sorts_and_says_so(browser: Any, file: Path) -> None:
    tab, faults = opened(browser, file, 1280)
    rows = "[...document.querySelectorAll('table.summary tbody.loss tr')]"
    shown = f"{rows}.map(row => Number(row.cells[{{}}].dataset.value))"
    for column, first_down in ((1, True), (3, True), (5, False)):
        head = tab.locator("table.summary thead th").nth(column - 1)
        head.locator(".sort").click()
        values = tab.evaluate(shown.format(column))
        assert values == sorted(values, reverse=first_down), "the better end comes first"
        assert head.get_attribute("aria-sort") == ("descending" if first_down else "ascending")
        head.locator(".sort").press("Enter")
        assert tab.evaluate(shown.format(column)) == sorted(values, reverse=not first_down)
    assert tab.locator("table.summary thead [aria-sort]:not([aria-sort=none])").count() == 1
    assert faults == []


def test_definitions_and_seeds_are_shown_by_a_press_and_by_a_key(browser: Any, file: Path) -> None:
    tab, faults = opened(browser, file, 390, has_touch=True)
    tab.locator("table.summary .info").first.tap()
    box = tab.locator(".note-box")
    assert box.is_visible() and "higher is better" in box.inner_text()
    tab.keyboard.press("Escape")
    assert not box.is_visible()
    cell = tab.locator("table.summary tbody td").first
    cell.tap()
    assert "by seed: 0." in box.inner_text()
    cell.press("Enter")
    assert not box.is_visible()
    assert faults == []


def test_the_values_of_a_number_lead_to_the_folders_of_their_runs(browser: Any, file: Path) -> None:
    tab, faults = opened(browser, file, 1280)
    cell = tab.locator("table.summary tbody td").first
    cell.press("Enter")
    links = tab.locator(".note-box a")
    assert links.count() == 10 and links.first.inner_text().startswith("0.")
    listed = tab.evaluate(
        "[...document.querySelectorAll('#runs-loss-0 a')].map(own => own.getAttribute('href'))"
    )
    assert [own.get_attribute("href") for own in links.all()] == listed
    assert all(link.startswith("../../runs/") for link in listed)
    cell.press("Tab")
    assert tab.evaluate("document.activeElement.matches('.note-box a')")
    tab.keyboard.press("Escape")
    assert tab.evaluate("document.activeElement.matches('table.summary td')") and not links.first.is_visible()
    assert faults == []


def test_the_keyboard_goes_from_number_to_number(browser: Any, file: Path) -> None:
    tab, faults = opened(browser, file, 1280)
    tab.evaluate("document.querySelectorAll('details').forEach(own => { own.open = true; })")
    assert tab.locator("table.measures td[tabindex='0']").count() == 1, "a long table is one stop"
    first = tab.locator("table.measures td[tabindex='0']")
    first.press("Enter")
    before = tab.locator(".note-box").inner_text()
    tab.keyboard.press("ArrowRight")
    assert tab.locator(".note-box").is_visible() and tab.locator(".note-box").inner_text() != before
    tab.keyboard.press("ArrowLeft")
    assert tab.locator(".note-box").inner_text() == before
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.parentElement.rowIndex") > 2
    assert faults == []


def test_long_tables_are_filtered_by_word_and_by_verdict(browser: Any, file: Path) -> None:
    tab, faults = opened(browser, file, 1280)
    tab.evaluate("document.querySelectorAll('details').forEach(own => { own.open = true; })")
    bar = tab.locator("#differences .filter")
    rows = tab.locator("#differences tbody tr")
    bar.locator("input").fill("inter-class")
    left = rows.locator("visible=true").count()
    assert 0 < left < rows.count() and bar.inner_text().endswith(f"{left} of {rows.count()}")
    bar.locator("input").fill("")
    bar.locator("select").select_option("described")
    words = tab.evaluate(
        "[...document.querySelectorAll('#differences tbody tr')].filter(row => !row.hidden)"
        ".map(row => row.cells[6].textContent.trim())"
    )
    assert words and set(words) == {"described"}
    assert faults == []


def test_copying_copies_and_where_it_may_not_selects(browser: Any, file: Path) -> None:
    tab, faults = opened(browser, file, 1280, permissions=["clipboard-read", "clipboard-write"])
    button = tab.locator(".repeat .copy")
    button.click()
    tab.wait_for_function("document.querySelector('.repeat .copy').textContent === 'Copied'")
    assert tab.evaluate("navigator.clipboard.readText()") == "losscope compare digits --seeds 10"
    other, more = opened(browser, file, 1280)
    other.evaluate(
        "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')); }"
    )
    other.evaluate("() => { document.execCommand = () => false; }")
    other.locator(".repeat .copy").click()
    other.wait_for_function("getSelection().toString() === 'losscope compare digits --seeds 10'")
    assert "Ctrl-C" in other.locator(".repeat .copy").inner_text()
    assert faults == more == []


def test_the_button_of_colours_goes_through_system_light_and_dark(browser: Any, file: Path) -> None:
    tab, faults = opened(browser, file, 1280, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(paper)
    button = tab.locator(".theme")
    button.click()
    light = tab.evaluate(paper)
    assert light != dark and button.get_attribute("aria-label") == "Colours: light"
    button.click()
    assert tab.evaluate(paper) == dark and button.get_attribute("aria-label") == "Colours: dark"
    button.click()
    assert button.get_attribute("aria-label") == "Colours: those of the system"
    assert faults == []


def test_paper_has_everything_that_is_folded(browser: Any, file: Path) -> None:
    tab, faults = opened(browser, file, 1280)
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("main details:not([open])").count() == 0
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.locator("main details[open]").count() == 0
    assert len(tab.pdf(format="A4")) > 10_000
    assert faults == []
