"""The page: whole, offline, escaped, accessible, and there whatever is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from markupsafe import Markup

import report_fixture as fixture
from losscope.core import registry, wording
from losscope.core.errors import LosscopeError
from losscope.core.results import (
    BaselineResult,
    DataDescription,
    Evidence,
    Failure,
    LossResult,
    Provenance,
    Recommendation,
    Reproduction,
    Result,
)
from losscope.reporting import Context, Grid, Section, fragment, page

VOID = {"meta", "link", "br", "img", "input", "hr", "wbr", "col"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"


class Reader(HTMLParser):
    """Elements with their attributes and own text, in document order; asserts that tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self.open: list[int] = []
        self.feed(text)
        assert not self.open, [self.elements[place][0] for place in self.open]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}, []))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}, []))

    def handle_endtag(self, tag):
        assert self.elements[self.open.pop()][0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        for place in self.open:
            self.elements[place][2].append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str], str]]:
        return [(attrs, "".join(text)) for name, attrs, text in self.elements if name == tag]

    def figures(self) -> list[str]:
        """The names of the figures, each a drawing with a role."""
        return [
            attrs["data-name"]
            for attrs, _ in self.all("div")
            if attrs.get("role") == "img" and "plot" in attrs["class"].split()
        ]


DATA = DataDescription(name="a", title="a", kind="runs", described="")
EMPTY = Result(
    data=DATA,
    protocol=None,
    seeds=(),
    goal="retrieval",
    losses=(),
    baselines=(),
    paired=(),
    recommendation=Recommendation(goal=None, loss=None),
)


def made(losses: int = 2, tuned: bool = False, epochs: int = 12, **more) -> str:
    result = fixture.result(losses, **more)
    shown = fixture.curved(fixture.judged(fixture.tuned(result))) if tuned else result
    return page.render(shown, fixture.evidence(result, epochs, points=60))


@pytest.fixture(scope="module")
def whole() -> Reader:
    return Reader(made(3, tuned=True, failed=1))


def sections_of(read: Reader) -> list[str]:
    return [attrs["id"] for attrs, _ in read.all("section") if "part" in attrs.get("class", "").split()]


def registered(kind: str) -> list[str]:
    """The sections of a kind of page in their order, without its head."""
    entries = registry.entries("section").items()
    placed = [(entry.facts.order, name) for name, entry in entries if entry.facts.of in (kind, "any")]
    return [name for _, name in sorted(placed) if name not in ("verdict", "tally")]


SAME_PLACE = """
from losscope.core.registry import register
from losscope.reporting import Section


@register("section", "zeta", order=20)
def zeta(context):
    return Section("Zeta", "zeta")


@register("section", "alpha", order=20)
def alpha(context):
    return Section("Alpha", "alpha")
"""


def test_sections_of_one_place_stand_by_name(tmp_path):
    (tmp_path / "same.py").write_text(SAME_PLACE)
    with registry.forgetting():
        registry.load_plugin(tmp_path / "same.py")
        read = Reader(page.render(fixture.result(1, seeds=1)))
    assert sections_of(read)[:3] == ["alpha", "summary", "zeta"]


def test_every_registered_section_is_on_a_full_page_in_its_order(whole):
    assert sections_of(whole) == registered("comparison")
    assert whole.all("h1")[0][1] == "Use triplet"
    assert "For retrieval on digits, train with triplet" in " ".join(text for _, text in whole.all("p"))


def test_a_reproduction_has_the_sections_of_reproductions_alone():
    read = Reader(fixture.reproduction().page())
    assert sections_of(read) == registered("reproduction")
    assert "claims" in registered("reproduction") and "summary" not in registered("reproduction")


def test_a_section_of_another_kind_of_page_says_so():
    with pytest.raises(TypeError, match="of a reproduction, not of a comparison"):
        _ = Context(fixture.reproduction()).result
    with pytest.raises(TypeError, match="of a comparison, not of a reproduction"):
        _ = Context(EMPTY).reproduction


def test_every_section_says_what_it_is():
    for entry in registry.entries("section").values():
        assert len(entry.summary) > 20
        assert entry.module.startswith("losscope.reporting.sections.")


def evil_result() -> Result:
    """A result whose every text is hostile."""
    names = (EVIL, "b|$x^2_{1}$[red]%{x}", "c" * 80)
    result = fixture.tuned(fixture.result(3, names=names, failed=1))
    odd = {EVIL: fixture.cell([1.0, 2.0], EVIL, EVIL)}
    first = fixture.changed(
        result.losses[0],
        runs=(EVIL,) * 10,
        failures=(Failure(seed=0, reason=EVIL),),
        failed=1,
        measures={**result.losses[0].measures, **odd},
    )
    baselines = [fixture.changed(side, measures={**side.measures, **odd}) for side in result.baselines]
    return fixture.changed(
        result,
        losses=(first, *result.losses[1:]),
        baselines=tuple(baselines),
        data=fixture.changed(
            result.data, name=EVIL, title=EVIL, described=EVIL, notes=(EVIL,), class_names=(EVIL,) * 10
        ),
        recommendation=Recommendation(goal="retrieval", loss=EVIL, sentences=(EVIL, f"a ({EVIL}) b", EVIL)),
        protocol=fixture.protocol(EVIL),
        provenance=Provenance(command=EVIL, machine=(EVIL, EVIL)),
        store=EVIL,
        notes=(EVIL,),
        paired=tuple(fixture.changed(row, sentence=EVIL) for row in result.paired),
        published=tuple(fixture.changed(row, loss=EVIL, source=EVIL) for row in result.published),
    )


def evil_section() -> Section:
    return Section(EVIL, EVIL, EVIL, key=[EVIL], table=Grid(EVIL, [EVIL], [[EVIL, EVIL]]))


def test_what_a_user_wrote_is_shown_and_never_run():
    result = evil_result()
    read = Reader(page.render(result, fixture.evidence(result, 4, points=40), [evil_section()]))
    assert not read.all("img")
    assert not [key for _, attrs, _ in read.elements for key in attrs if key.startswith("on")]
    assert len(read.all("script")) == 1
    assert sum(EVIL in text for _, text in read.all("th")) > 3
    assert wording.shorten(EVIL, wording.HEADLINE_LETTERS) in read.all("h1")[0][1]
    assert EVIL[:5] in "".join(text for _, text in read.all("text")), "a class's name, once escaped"
    named = {attrs["data-name"] for _, attrs, _ in read.elements if "data-x" in attrs}
    assert any(name.startswith(EVIL[:20]) for name in named)


def test_what_a_paper_says_is_shown_and_never_run():
    found = fixture.reproduction()
    evil = {"id": EVIL, "statement": EVIL, "source": EVIL, "data": EVIL, "reason": EVIL}
    found = fixture.changed(
        found, claims=tuple(fixture.changed(claim, **evil) for claim in found.claims), summary=(EVIL, EVIL)
    )
    read = Reader(page.render(found, extra_sections=[evil_section()]))
    assert not read.all("img")
    assert not [key for _, attrs, _ in read.elements for key in attrs if key.startswith("on")]
    assert sum(EVIL in text for _, text in read.all("th")) > 3
    assert EVIL in "".join(text for _, text in read.all("li"))


def test_nothing_is_loaded(whole):
    assert len(whole.all("script")) == 1
    for tag, attrs, _ in whole.elements:
        for key in (
            "src",
            "srcset",
            "poster",
            "data",
            "action",
            "formaction",
            "background",
            "ping",
            "xlink:href",
        ):
            assert key not in attrs, (tag, key)
        if tag == "image":
            assert attrs["href"].startswith("data:image/png;base64,")
        elif "href" in attrs:
            assert attrs["href"].startswith("#") or attrs["href"] == "data:,", attrs["href"]
    style = "".join(text for _, text in whole.all("style"))
    assert "url(" not in style and "@import" not in style
    policy = [
        attrs["content"]
        for attrs, _ in whole.all("meta")
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy and policy[0].startswith("default-src 'none'")
    assert "http" not in policy[0]


def test_anchors_lead_somewhere_and_ids_are_single(whole):
    ids = [attrs["id"] for _, attrs, _ in whole.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs, _ in whole.all("a"):
        assert attrs["href"].removeprefix("#") in ids


def test_headings_tables_and_figures_have_names(whole):
    levels = [int(name[1]) for name, _, _ in whole.elements if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:]))
    assert len(whole.all("caption")) == len(whole.all("table")) > 4
    assert all(text.strip() for _, text in whole.all("caption"))
    images = [attrs for _, attrs, _ in whole.elements if attrs.get("role") == "img"]
    thumbs = [attrs for attrs in images if attrs["class"] == "thumb"]
    assert len(images) - len(thumbs) == len(whole.figures()) > 12
    assert all(len(attrs["aria-label"]) > 20 for attrs in images if attrs not in thumbs)
    assert len(thumbs) > 20 and all(attrs["aria-label"].startswith("test row ") for attrs in thumbs)
    for attrs, text in whole.all("button"):
        assert attrs["type"] == "button" and (text.strip() or attrs.get("aria-label"))
    for attrs, _ in whole.all("div"):
        if "scroll" in attrs.get("class", "").split():
            assert attrs["tabindex"] == "0" and attrs["role"] == "region" and attrs["aria-label"]
    for attrs, _ in whole.all("abbr"):
        assert attrs["title"]
    assert whole.all("html")[0][0]["lang"] == "en"


def test_a_number_can_be_traced_to_its_runs(whole):
    result = fixture.result(3)
    cells = [attrs for attrs, _ in whole.all("td") if attrs.get("data-record") == "loss-0"]
    assert len(cells) > 20
    assert any("by seed:" in attrs["title"] for attrs in cells)
    [listed] = [text for attrs, text in whole.all("dl") if attrs.get("id") == "runs-loss-0"]
    places = [listed.index(run) for run in result.losses[0].runs]
    assert len(places) == 10 and places == sorted(places)
    named = {attrs["id"] for attrs, _ in whole.all("dl") if "id" in attrs}
    assert {f"runs-{attrs['data-record']}" for attrs, _ in whole.all("td") if "data-record" in attrs} <= named


def test_definitions_come_from_the_quantities(whole):
    from losscope.core.quantities import QUANTITIES

    shown = {attrs["title"] for attrs, _ in whole.all("abbr")}
    for name in ("recall_at_1", "intra_variance", "effective_active"):
        assert any(title.startswith(QUANTITIES[name].definition) for title in shown)


@pytest.mark.parametrize("losses", [1, 2, 5, 7, 12])
def test_any_number_of_losses_has_its_page(losses):
    text = made(losses, epochs=6, failed=2)
    read = Reader(text)
    for name in fixture.NAMES[:losses]:
        assert any(name in said for _, said in read.all("th"))
    assert read.figures()
    assert len(text.encode()) < 2_000_000


@pytest.mark.parametrize(("losses", "most"), [(2, 700_000), (12, 2_000_000)])
def test_a_full_size_page_is_small(losses, most):
    result = fixture.tuned(fixture.result(losses))
    text = page.render(result, fixture.evidence(result, 60, points=1500))
    assert len(text.encode()) < most


@pytest.mark.parametrize(
    "document",
    [
        EMPTY,
        fixture.changed(EMPTY, losses=(LossResult(name="a"),)),
        fixture.changed(
            EMPTY,
            losses=(LossResult(name="a", measures={"recall_at_1": fixture.cell([None], None, "")}),),
            seeds=(0,),
        ),
        fixture.changed(
            EMPTY,
            losses=(LossResult(name="a"),),
            baselines=(BaselineResult(name="b"),),
            paired=(
                fixture.paired_row(LossResult(name="a"), BaselineResult(name="b"), "recall_at_1", True, 1),
            ),
        ),
        Reproduction(paper="a", data=DATA, seeds=()),
    ],
)
def test_absent_parts_are_left_out(document):
    read = Reader(page.render(document))
    assert len(read.all("h1")) == 1
    assert not read.figures()
    assert len(read.all("script")) == 1, "tables have a script as well"
    text = " ".join(text for _, text in read.all("body"))
    assert "None" not in text and "nan" not in text.lower().split()


def test_values_that_are_not_finite_become_gaps():
    result = fixture.result(2, seeds=4)
    lost = fixture.changed(result.paired[0], difference=None, low=None, high=None)
    result = fixture.changed(result, paired=(lost, *result.paired[1:]))
    traces = fixture.traces(result, 5)
    traces.loc[traces["name"] == "loss", "value"] = float("nan")
    traces.loc[traces.index[::7], "value"] = float("inf")
    detail = fixture.detail(result)
    detail["triplet"]["per_class/intra_variance"][:, 3] = float("nan")
    maps = fixture.maps(result, points=30)
    read = Reader(page.render(result, Evidence(traces, detail, maps)))
    assert len(read.figures()) > 5
    words = " ".join(text for _, text in read.all("main")).split()
    assert not {"nan", "NaN", "inf", "-inf", "Infinity"} & set(words)


def test_a_reproduction_leads_with_its_tally():
    found = fixture.reproduction()
    read = Reader(page.render(found))
    counts = pd.Series([claim.verdict for claim in found.claims]).value_counts()
    judged = len(found.claims) - counts["not_testable"]
    assert read.all("h1")[0][1] == (
        f"{counts['reproduced']} of {judged} judged claims reproduced, "
        f"{counts['contradicted']} contradicted; {counts['not_testable']} could not be tested here."
    )
    ledger = next(text for attrs, text in read.all("table") if attrs["class"] == "ledger")
    for code, count in counts.items():
        assert ledger.count(wording.verdict(code)) == count
    assert not read.figures()
    said = Reader(fixture.changed(found, summary=("Half of it holds.", "The rest does not.")).page())
    assert "Half of it holds." in [text for _, text in said.all("li")]


def test_a_failed_run_is_said_with_its_reason():
    result = fixture.result(2, failed=3)
    read = Reader(page.render(result, Evidence(fixture.traces(result, 9))))
    alert = next(text for attrs, text in read.all("p") if attrs.get("class") == "alert")
    assert "contrastive: 3 of 10 failed (the loss was nan at step 12, seeds 0, 1, 2)" in alert
    assert "stopped early" in " ".join(text for _, text in read.all("p"))


def test_one_seed_has_lines_without_bands():
    result = fixture.result(2, seeds=1)
    read = Reader(page.render(result, Evidence(fixture.traces(result, 5))))
    kinds = {attrs.get("class") for attrs, _ in read.all("path")}
    assert "line" in kinds and "extent" not in kinds
    assert "One seed: a line without a band." in " ".join(text for _, text in read.all("p"))


def test_unpaired_seeds_are_never_joined():
    result = fixture.changed(fixture.result(2), unpaired=True)
    read = Reader(page.render(result))
    assert "seeds" not in [attrs.get("id") for attrs, _ in read.all("section")]
    assert "paired by seed" not in " ".join(text for _, text in read.all("p")).lower()


def test_the_input_is_left_as_it_was():
    result = fixture.tuned(fixture.result(2, seeds=3))
    evidence = fixture.evidence(result, 3)
    before, traces = result.json(), evidence.traces.copy()
    page.render(result, evidence)
    assert result.json() == before
    pd.testing.assert_frame_equal(evidence.traces, traces)


def test_the_same_input_makes_the_same_page():
    assert made(2, epochs=3) == made(2, epochs=3)


def test_extra_sections_are_placed_by_their_order():
    def mine(context):
        return Section("Mine", html=Markup("<p>markup</p>"), table=pd.DataFrame({"x": [0.5]}), order=21)

    def absent(context):
        return None

    def broken(context):
        raise ValueError("no <b>luck</b>")

    result = fixture.result(2, seeds=2)
    text = Section("Text", html="<p>text</p>")
    read = Reader(page.render(result, extra_sections=[mine, absent, broken, text]))
    shown = sections_of(read)
    assert shown[:2] == ["summary", "mine"]
    assert "absent" not in shown
    assert "markup" in [text for _, text in read.all("p")]
    said = " ".join(text for _, text in read.all("p"))
    assert "This section failed: ValueError: no <b>luck</b>" in said
    assert "<p>text</p>" in "".join(text for _, text in read.all("main"))


def test_two_sections_of_one_name_keep_apart():
    result = fixture.result(1, seeds=1)
    read = Reader(
        page.render(result, extra_sections=[Section("a"), Section("b"), lambda context: Section("c")])
    )
    ids = [attrs["id"] for attrs, _ in read.all("section") if "id" in attrs]
    assert len(ids) == len(set(ids))


PLUGIN = """
from losscope.core.registry import register
from losscope.reporting import Cell, Context, Grid, Section, fragment


@register("section", "seeds used", order=21)
def seeds_used(context: Context) -> Section:
    \"\"\"How many seeds each loss had.\"\"\"
    rows = [[side.name, Cell(str(context.seeds), title="seeds")] for side in context.result.losses]
    bullets = fragment("bullets", ["a < b"])
    return Section("Seeds used", html=bullets, table=Grid("Seeds", ["loss", "n"], rows))


@register("section", "where", order=1, of="any")
def where(context: Context) -> Section:
    \"\"\"The data, on every page.\"\"\"
    return Section("Where", context.data.name)


@register("section", "odd", order=2)
def odd(context: Context) -> Section:
    \"\"\"A section that misspells a field.\"\"\"
    return Section(tittle="x")
"""


def test_a_plugins_sections_are_on_the_pages_they_are_for(tmp_path):
    file = tmp_path / "my_sections.py"
    file.write_text(PLUGIN, encoding="utf-8")
    with registry.forgetting():
        registry.load_plugin(file)
        comparison = Reader(page.render(fixture.result(2, seeds=2)))
        reproduction = Reader(page.render(fixture.reproduction()))
    assert sections_of(comparison)[:4] == ["where", "odd", "summary", "seeds-used"]
    assert "a < b" in [text for _, text in comparison.all("li")]
    said = " ".join(text for _, text in comparison.all("p"))
    assert "This section failed: TypeError" in said and "'tittle'" in said
    assert sections_of(reproduction)[0] == "where" and "seeds-used" not in sections_of(reproduction)


def test_a_function_may_make_several_sections():
    read = Reader(page.render(EMPTY, extra_sections=[lambda context: [Section("a"), Section("b", order=1)]]))
    assert [text for _, text in read.all("h2") if text in "ab"] == ["b", "a"]
    assert sections_of(read)[0] == "b" and "a" in sections_of(read)
    assert Reader(page.render(EMPTY, extra_sections=[lambda context: []])).all("h1")


def test_the_evidence_of_a_sentence_is_set_apart():
    result = fixture.result(2)
    read = Reader(page.render(result))
    apart = [text for attrs, text in read.all("span") if attrs.get("class") == "evidence"]
    told = [wording.evidence(row) for row in result.verdicts() if row.verdict != "failed"]
    assert told
    assert sorted(apart) == sorted(f" ({text})".replace(" %", "\u00a0%") for text in told)


def test_a_section_that_is_none_says_so_on_the_page():
    read = Reader(page.render(EMPTY, extra_sections=[lambda context: {"title": "x"}]))
    assert "TypeError: it returned a dict; wanted: losscope.reporting.Section" in read.all("main")[0][1]


def test_a_page_is_written_with_its_folder_or_not_at_all(tmp_path):
    result = fixture.result(1, seeds=2)
    path = result.report(tmp_path / "a" / "page.html")
    assert path.read_text(encoding="utf-8") == result.page()
    with pytest.raises(LosscopeError, match="cannot write the page"):
        result.report(tmp_path / "a" / "page.html" / "b.html")


def test_evidence_is_drawn_and_not_written():
    result = fixture.result(2, seeds=2)
    drawn = result.with_evidence(fixture.evidence(result, 3, points=20))
    assert len(Reader(drawn.page()).figures()) > len(Reader(result.page()).figures())
    assert drawn.json() == result.json() and result.evidence is None


def test_traces_without_a_column_are_one_sentence():
    with pytest.raises(LosscopeError, match="no column split, epoch"):
        page.render(EMPTY, Evidence(pd.DataFrame({"loss": [], "seed": [], "name": [], "value": []})))


def test_fragments_escape_what_they_are_given():
    assert "<b>" not in fragment("glossary", "<b>", [("<b>", "<b>")])


def test_torch_and_matplotlib_stay_out():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import report_fixture as fixture\n"
        "from losscope.reporting import page, tables\n"
        "result = fixture.result(2); text = page.render(result, fixture.evidence(result, 2))\n"
        "tables.render(result, 'latex')\n"
        "print([name for name in ('torch', 'matplotlib') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
