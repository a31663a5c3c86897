"""The page: whole, offline, escaped, accessible, and there whatever is missing."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

import report_fixture as fixture
from losscope.core import registry, wording
from losscope.core.errors import LosscopeError
from losscope.reporting import page
from losscope.reporting.parts import Grid, fragment

VOID = {"meta", "link", "br", "img", "input", "hr", "wbr"}
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

    def figures(self) -> list[dict]:
        def refuse(constant):
            raise AssertionError(f"{constant} in a figure's JSON")

        return [
            json.loads(text, parse_constant=refuse)
            for attrs, text in self.all("script")
            if attrs.get("type") == "application/json"
        ]


def made(losses: int = 2, claims: bool = False, epochs: int = 12, **more) -> str:
    result = fixture.result(losses, **more)
    parts = fixture.traces(result, epochs), fixture.detail(result), fixture.maps(result, points=60)
    return page.render(fixture.with_claims(result) if claims else result, *parts)


@pytest.fixture(scope="module")
def whole() -> Reader:
    return Reader(made(3, claims=True, failed=1))


def test_every_registered_section_is_on_a_full_page_in_its_order(whole):
    order = {name: entry.facts.order for name, entry in registry.entries("section").items()}
    assert len(set(order.values())) == len(order), "two sections have one order"
    shown = [attrs["id"] for attrs, _ in whole.all("section") if "part" in attrs.get("class", "").split()]
    assert shown == sorted(set(order) - {"verdict"}, key=order.__getitem__)
    assert whole.all("h1")[0][1].startswith("For retrieval on digits, train with triplet")


def test_every_section_says_what_it_is():
    for entry in registry.entries("section").values():
        assert len(entry.summary) > 20
        assert entry.module == "losscope.reporting.sections"


def test_what_a_user_wrote_is_shown_and_never_run():
    names = (EVIL, "b|$x^2_{1}$[red]%{x}", "c" * 80)
    result = fixture.with_claims(fixture.result(3, names=names, failed=1))
    result["data"] |= {
        "name": EVIL,
        "title": EVIL,
        "described": EVIL,
        "notes": [EVIL],
        "class_names": [EVIL] * 10,
    }
    result["recommendation"]["sentences"] = [EVIL, f"a ({EVIL * 3}) b", EVIL]
    result["protocol"] = {"name": EVIL, EVIL: EVIL}
    result["provenance"] = {EVIL: EVIL, "command": EVIL}
    result["store"] = result["notes"] = EVIL
    result["notes"] = [EVIL]
    result["losses"][0] |= {"runs": [EVIL] * 10, "failures": [f"seed 0: {EVIL}"], "failed": 1}
    for row in result["paired"]:
        row["sentence"] = EVIL
    for claim in result["claims"]:
        claim |= {
            "id": EVIL,
            "statement": EVIL,
            "source": EVIL,
            "data": EVIL,
            "reason": EVIL,
            "verdict": EVIL,
        }
    for values in (*result["losses"], *result["baselines"]):
        values["measures"][EVIL] = fixture.cell([1.0, 2.0], EVIL, EVIL)
    extra = {
        "title": EVIL,
        "note": EVIL,
        "html": EVIL,
        "key": [EVIL],
        "table": Grid(EVIL, [EVIL], [[EVIL, EVIL]]),
    }
    traces = fixture.traces(result, 4)
    read = Reader(
        page.render(result, traces, fixture.detail(result), fixture.maps(result, points=40), [extra])
    )
    assert not read.all("img")
    assert not [key for _, attrs, _ in read.elements for key in attrs if key.startswith("on")]
    scripts = [attrs for attrs, _ in read.all("script") if attrs.get("type") != "application/json"]
    assert len(scripts) == 2
    assert sum(EVIL in text for _, text in read.all("th")) > 3
    assert EVIL in read.all("h1")[0][1]
    texts = json.dumps(read.figures())
    assert "<script" not in texts and "<img" not in texts, "Plotly reads tags in strings as markup"
    assert "&lt;script&gt;" in texts


def test_plotly_is_embedded_once_and_nothing_is_loaded(whole):
    large = [text for _, text in whole.all("script") if len(text) > 1_000_000]
    assert len(large) == 1
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
        if "href" in attrs:
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
    assert len(images) == len(whole.figures()) > 12
    assert all(len(attrs["aria-label"]) > 20 for attrs in images)
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
    runs = " ".join(result["losses"][0]["runs"])
    cells = [attrs for attrs, _ in whole.all("td") if attrs.get("data-record") == runs]
    assert len(cells) > 20
    assert any("by seed:" in attrs["title"] for attrs in cells)
    listed = [text for _, text in whole.all("code")]
    assert set(result["losses"][0]["runs"]) <= set(listed)


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
    assert len(text.encode()) < 8_000_000


def test_a_full_size_page_stays_below_eight_megabytes():
    result = fixture.result(12)
    text = page.render(
        result, fixture.traces(result, 60), fixture.detail(result), fixture.maps(result, points=1500)
    )
    assert len(text.encode()) < 8_000_000


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"schema": 1, "losses": [], "baselines": [], "paired": [], "recommendation": None, "seeds": []},
        {"losses": [{"name": "a", "measures": {}}]},
        {
            "losses": [{"name": "a", "measures": None, "trials": None, "spec": None}],
            "data": None,
            "protocol": None,
        },
        {
            "losses": [
                {
                    "name": "a",
                    "measures": {
                        "recall_at_1": {
                            "mean": None,
                            "low": None,
                            "high": None,
                            "values": [None],
                            "split": None,
                            "unit": None,
                        }
                    },
                }
            ]
        },
        {"losses": [{"name": "a", "measures": {"recall_at_1": None}}], "seeds": [0]},
        {
            "losses": [{"name": "a", "measures": {}}],
            "paired": [{"a": "a", "b": "b", "measure": "recall_at_1", "primary": True, "verdict": "failed"}],
        },
    ],
)
def test_absent_parts_are_left_out(result):
    read = Reader(page.render(result))
    assert len(read.all("h1")) == 1
    assert not read.figures()
    assert not [text for _, text in read.all("script")], "no figure, no Plotly"
    text = " ".join(text for _, text in read.all("body"))
    assert "None" not in text and "nan" not in text.lower().split()


def test_values_that_are_not_finite_become_gaps():
    result = fixture.result(2, seeds=4)
    result["losses"][0]["measures"]["recall_at_1"] |= {"mean": float("nan"), "low": float("inf")}
    result["paired"][0] |= {"difference": float("nan"), "low": float("-inf"), "high": None}
    traces = fixture.traces(result, 5)
    traces.loc[traces["name"] == "loss", "value"] = float("nan")
    traces.loc[traces.index[::7], "value"] = float("inf")
    detail = fixture.detail(result)
    detail["triplet"]["per_class/intra_variance"][:, 3] = float("nan")
    maps = fixture.maps(result, points=30)
    read = Reader(page.render(result, traces, detail, maps))
    assert len(read.figures()) > 5
    words = " ".join(text for _, text in read.all("main")).split()
    assert not {"nan", "NaN", "inf", "-inf", "Infinity"} & set(words)


def test_a_reproduction_leads_with_its_tally():
    result = {
        "claims": fixture.with_claims(fixture.result(1, seeds=1))["claims"],
        "data": {"name": "zeng2025"},
    }
    read = Reader(page.render(result))
    counts = pd.Series([claim["verdict"] for claim in result["claims"]]).value_counts()
    assert read.all("h1")[0][1].startswith(
        f"Of {len(result['claims'])} verdicts on claims {counts.iloc[0]} are"
    )
    ledger = next(text for attrs, text in read.all("table") if attrs["class"] == "ledger")
    for code, count in counts.items():
        assert ledger.count(wording.verdict(code)) == count
    assert not read.figures()


def test_a_failed_run_is_said_with_its_reason():
    result = fixture.result(2, failed=3)
    result["losses"][1]["failures"] = [f"seed {seed}: the loss was nan at step 12" for seed in range(3)]
    read = Reader(page.render(result, fixture.traces(result, 9)))
    alert = next(text for attrs, text in read.all("p") if attrs.get("class") == "alert")
    assert "contrastive: 3 of 10 failed (the loss was nan at step 12, seeds 0, 1, 2)" in alert
    assert "stopped early" in " ".join(text for _, text in read.all("p"))


def test_one_seed_has_lines_without_bands():
    result = fixture.result(2, seeds=1)
    read = Reader(page.render(result, fixture.traces(result, 5)))
    assert not [trace for figure in read.figures() for trace in figure["data"] if trace.get("fill")]
    assert "One seed: a line without a band." in " ".join(text for _, text in read.all("p"))


def test_unpaired_seeds_are_never_joined():
    result = fixture.result(2) | {"unpaired": True}
    read = Reader(page.render(result))
    assert "seeds" not in [attrs.get("id") for attrs, _ in read.all("section")]
    assert "paired by seed" not in " ".join(text for _, text in read.all("p"))


def test_the_input_is_left_as_it_was():
    result = fixture.with_claims(fixture.result(2, seeds=3))
    before = copy.deepcopy(result)
    page.render(result, fixture.traces(result, 3))
    assert result == before


def test_the_same_input_makes_the_same_page():
    assert made(2, epochs=3) == made(2, epochs=3)


def test_extra_sections_are_placed_by_their_order():
    def mine(context):
        return {
            "title": "Mine",
            "order": 21,
            "html": Markup("<p>markup</p>"),
            "table": pd.DataFrame({"x": [0.5]}),
        }

    def absent(context):
        return None

    def broken(context):
        raise ValueError("no <b>luck</b>")

    result = fixture.result(2, seeds=2)
    read = Reader(
        page.render(result, extra_sections=[mine, absent, broken, {"title": "Text", "html": "<p>text</p>"}])
    )
    shown = [attrs["id"] for attrs, _ in read.all("section") if "part" in attrs.get("class", "")]
    assert shown[:2] == ["summary", "mine"]
    assert "absent" not in shown
    assert "markup" in [text for _, text in read.all("p")]
    said = " ".join(text for _, text in read.all("p"))
    assert "This section failed: ValueError: no <b>luck</b>" in said
    assert "<p>text</p>" in "".join(text for _, text in read.all("main"))


def test_two_sections_of_one_name_keep_apart():
    result = fixture.result(1, seeds=1)
    read = Reader(
        page.render(result, extra_sections=[{"title": "a"}, {"title": "b"}, lambda context: {"title": "c"}])
    )
    ids = [attrs["id"] for attrs, _ in read.all("section") if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_a_section_with_an_unknown_field_is_named():
    with pytest.raises(LosscopeError, match="has the field 'tittle'"):
        page.render({}, extra_sections=[{"tittle": "x"}])


def test_traces_without_a_column_are_one_sentence():
    with pytest.raises(LosscopeError, match="no column split, epoch"):
        page.render({}, pd.DataFrame({"loss": [], "seed": [], "name": [], "value": []}))


def test_embedded_json_cannot_end_its_script_and_has_no_nan():
    value = {
        "a": ["</script><!--", float("nan"), np.float64("inf")],
        "b": np.array([1.0, np.nan]),
        3: np.int64(4),
    }
    text = page.embedded(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": ["</script><!--", None, None], "b": [1.0, None], "3": 4}
    assert page.embedded("\u2028") == '"\\u2028"'


def test_fragments_escape_what_they_are_given():
    assert "<b>" not in fragment("glossary", "<b>", [("<b>", "<b>")])


def test_torch_and_plotly_objects_stay_out():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import report_fixture as fixture\n"
        "from losscope.reporting import page, tables\n"
        "result = fixture.result(2); text = page.render(result, fixture.traces(result, 2), fixture.detail(result))\n"
        "tables.render(result, 'latex'); assert 'Plotly' in text\n"
        "print([name for name in ('torch', 'matplotlib', 'plotly.graph_objs._figure') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a Chromium")
def test_a_browser_draws_every_figure(tmp_path):
    file = tmp_path / "page.html"
    file.write_text(made(3, claims=True), encoding="utf-8")
    ran = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--virtual-time-budget=20000",
            "--dump-dom",
            f"file://{file}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert 'data-drawn="yes"' in ran.stdout
    assert ran.stdout.count('class="main-svg"') >= ran.stdout.count('class="plot')
