"""Figures for papers: sizes, embedded fonts, the same bytes, any name; and what notebooks show."""

from __future__ import annotations

import html.parser
import re
import typing
import zlib

import matplotlib
import numpy as np
import pytest

import losscope
import report_fixture as fixture
from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.results import Evidence, Result
from losscope.reporting import answer, figure, files
from losscope.reporting.parts import HOME, Section
from losscope.reporting.printed import figures, manner, marks

HOSTILE = (
    "$x$ a_b",
    "名前 العربية é",
    "<script>alert(1)</script>",
    "a\x1b[31m\u202eb\nc",
    r"\frac{a}{b}",
    "&amp;",
)


@pytest.fixture(scope="module")
def planted() -> Result:
    result = fixture.tuned(fixture.result(2))
    return result.with_evidence(fixture.evidence(result, epochs=8, points=40))


@pytest.fixture(scope="module")
def hostile() -> Result:
    return fixture.scored(HOSTILE)


@pytest.fixture(scope="module")
def pdfs(planted) -> dict[str, bytes]:
    return {file.name: file.content for file in files.files(planted, "pdf")}


def test_there_is_a_file_for_the_answer_the_pairs_and_each_figure_of_the_page(pdfs):
    names = set(pdfs)
    assert {
        "answer.pdf",
        "tested-pairs.pdf",
        "classes.pdf",
        "maps-triplet.pdf",
        "tuning-triplet.pdf",
    } <= names
    assert {name.split("-")[0] for name in names} >= {"seeds", "decay", "greediness"}
    assert all(re.fullmatch(r"[a-z0-9-]+\.pdf", name) for name in names)


def test_figures_are_as_wide_as_one_or_two_columns(pdfs):
    for name, content in pdfs.items():
        box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", content)
        assert box is not None
        width, height = (float(end) / 72 for end in box.groups())
        assert min(abs(width - wanted) for wanted in (3.3, 6.9)) < 0.01, name
        assert 0.5 < height < 9, name


def test_fonts_are_embedded_as_outlines(pdfs):
    for name, content in pdfs.items():
        streams = re.findall(rb"stream\r?\n(.*?)endstream", content, re.S)
        text = content + b"".join(_inflated(stream) for stream in streams)
        assert b"/FontFile2" in text and b"/Type3" not in text, name
        assert b"CreationDate" not in text


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""


def test_text_is_eight_points(planted):
    with manner.style():
        made = figures.drawing(_sections(planted)[0].figures[0], _palette(planted), Section("x"))
        axes = made.axes[0]
        texts = [axes.xaxis.label, axes.title, *axes.get_xticklabels(), *axes.get_yticklabels()]
        assert {text.get_fontsize() for text in texts} == {8.0}


def _sections(result: Result) -> list[Section]:
    from losscope.reporting import page
    from losscope.reporting.parts import Context

    found = page.collected(Context(result, result.evidence or Evidence()))
    return [section for _, section in found if section.figures]


def _palette(result: Result) -> figure.Palette:
    return figure.Palette([side.name for side in result.losses], [side.name for side in result.baselines])


@pytest.mark.parametrize("kind", files.FIGURES)
def test_the_same_bytes_each_time_whatever_the_settings_of_matplotlib(hostile, kind):
    first = files.files(hostile, kind)
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "other", "lines.linewidth": 9}):
        assert files.files(hostile, kind) == first
    if kind == "svg":
        assert not any(b"<dc:date>" in file.content for file in first)


@pytest.mark.parametrize("kind", files.FIGURES)
def test_hostile_names_are_drawn(hostile, kind):
    made = files.files(hostile, kind)
    assert {file.name for file in made} >= {f"answer.{kind}", f"tested-pairs.{kind}"}
    for file in made:
        assert len(file.content) > 1000 and b"<script>" not in file.content


def test_one_seed_and_no_value_have_no_figure_that_fails():
    lone = fixture.result(1, seeds=1)
    assert files.files(lone, "svg")[0].name == "answer.svg"
    bare = fixture.changed(lone, losses=(), baselines=(), paired=())
    assert files.files(bare, "svg") == ()


def test_many_losses_fit_the_page():
    many = fixture.result(14)
    made = {file.name: file.content for file in files.files(many, "png")}
    assert {"answer.png", "tested-pairs.png", "tested-pairs-2.png"} <= set(made)
    for content in made.values():
        width, height = (int.from_bytes(content[place : place + 4], "big") / manner.DPI for place in (16, 20))
        assert width < 6.95 and height <= 9.05


def test_every_kind_of_mark_is_drawn():
    numbers = (1.0, None, 3.0)
    made = {
        figure.Line: figure.Line("a", numbers, numbers, numbers, numbers),
        figure.Points: figure.Points("a", numbers, numbers, numbers, numbers, filled=(True, False, True)),
        figure.Bars: figure.Bars("a", numbers, numbers, 0.5, numbers, numbers),
        figure.Joined: figure.Joined(("a", "b"), (0.0, 1.0), [(1.0, 2.0)]),
        figure.Ring: figure.Ring("a", 1.0, 1.0),
        figure.Level: figure.Level(1.0, "here"),
        figure.Region: figure.Region(0.5, 2.0, "flat"),
        figure.Band: figure.Band(0.5, 2.0),
        figure.Upright: figure.Upright(1.0, "here"),
        figure.Names: figure.Names(("a", "b", "a"), numbers, numbers),
        figure.Dots: figure.Dots("a", np.ones((6001, 2)), np.arange(6001) % 3 - 1, {0: "zero"}, (0, 1)),
    }
    assert set(made) == set(typing.get_args(figure.Mark))
    axis = figure.Axis(0.1, 4.0, (figure.Tick(1.0, "1"), figure.Tick(9.0, "beyond")), "x", "log")
    with manner.style():
        for mark in made.values():
            whole = figure.Figure(axis, axis, [mark], "title", "alt", series=("a", "b"))
            drawn = figures.drawing(whole, figure.Palette(["a", "b"]), Section("x"))
            axes = drawn.axes[0]
            assert axes.lines or axes.collections or axes.patches or axes.texts
            assert [label.get_text() for label in axes.get_xticklabels()] == ["1"]
            assert len(manner.saved(drawn, "svg")) > 1000
    with pytest.raises(TypeError, match="no mark of the kind int"):
        marks.put(3, None, None)


def test_classes_of_a_map_have_the_colours_of_the_page():
    style = (HOME / "look" / "55-drawn.css").read_text()
    assert re.findall(r"--class-\d: light-dark\((#\w{6}),", style) == list(marks.CLASSES)


def test_a_reproduction_has_the_figures_of_its_page(tmp_path):
    for path in fixture.reproduction().export(tmp_path, "svg"):
        assert path.stat().st_size > 1000


# --- the answer -------------------------------------------------------------------------------------


def test_the_answer_has_the_best_at_the_top_and_a_band_around_it(planted):
    found = answer.answer(planted)
    assert found is not None and found.band is not None
    values = [row.value for row in found.rows]
    assert values == sorted(values, reverse=True)
    chosen = [row for row in found.rows if row.chosen]
    assert [row.name for row in chosen] == [planted.recommendation.loss]
    assert found.band == pytest.approx((values[0] - 0.01, values[0] + 0.01))
    assert {row.name for row in found.rows} == {
        side.name
        for side in planted.sides
        if not getattr(side, "described", False) and side.mean("recall_at_1")
    }


@pytest.mark.parametrize(("scale", "wanted"), [("log_ratio", (0.8, 1.25)), ("log_error_ratio", None)])
def test_the_band_of_a_ratio_is_a_ratio(planted, scale, wanted):
    delta = float(np.log(1.25))
    rows = [row.model_copy(update={"scale": scale, "delta": delta}) for row in planted.paired]
    found = answer.answer(fixture.changed(planted, paired=tuple(rows)))
    assert found is not None and found.band is not None
    middle = found.rows[0].value
    if wanted:
        assert found.band == pytest.approx([middle * factor for factor in wanted])
    else:
        assert [(1 - end) / (1 - middle) for end in found.band] == pytest.approx([1.25, 0.8])


# --- notebooks --------------------------------------------------------------------------------------


class Read(html.parser.HTMLParser):
    """The tags, attributes and words of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("br",):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def inspection():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 6)) + np.repeat(np.eye(6)[:3] * 4, 20, axis=0)
    labels = np.repeat(["<b>a</b>", "b\x1b", "c"], 20)
    return losscope.inspect(points, labels), losscope.inspect(points, labels, against=points[:, :4])


def test_what_notebooks_show_is_whole_and_loads_nothing(planted, hostile):
    shown = [planted, hostile, fixture.reproduction(), *inspection(), fixture.result(1, seeds=1)]
    for document in shown:
        text = document._repr_html_()
        found = Read(text)
        assert found.open == [] and found.tags[0] == "div"
        assert {"script", "img", "link", "iframe", "b"}.isdisjoint(found.tags)
        assert {"table", "style"} <= set(found.tags)
        names = {name for name, _ in found.attributes}
        assert not any(name.startswith("on") or name in ("href", "src") for name in names)
        assert not set(text) & set("\x1b\u202e")
        assert "http" not in text.replace("http://www.w3.org", "") and "url(" not in text
        assert len(text) < 40_000
    first = Read(planted._repr_html_())
    assert "svg" in first.tags and "triplet" in first.words
    told = wording.headline(planted)
    assert told.text in first.words and told.sure in first.words
    for document in inspection():
        assert document.headline in Read(document._repr_html_()).words.replace("\\x1b", "\x1b")
        assert "svg" in Read(document._repr_html_()).tags


def test_both_schemes_of_a_notebook_are_legible(planted):
    text = planted._repr_html_()
    light, dark = {}, {}
    for dimmed, block in re.findall(r"(prefers-color-scheme: dark\) \{ )?\.losscope-shown \{([^}]*)\}", text):
        (dark if dimmed else light).update(re.findall(r"(--[\w-]+): (#[0-9a-fA-F]{6})", block))
    assert set(light) == set(dark) and {"--paper", "--ink", "--hue-5", "--grey-1"} <= set(light)
    for scheme in (light, dark):
        for name, colour in scheme.items():
            for behind in ("--paper", "--band"):
                least = 4.5 if name in ("--ink", "--soft") else 3.0
                if name not in ("--paper", "--band", "--rule"):
                    assert fixture.contrast(colour, scheme[behind]) >= least - 0.55 * (behind == "--band"), (
                        name,
                        behind,
                    )


def test_a_long_table_of_a_notebook_is_cut(hostile):
    wide = fixture.result(60, names=tuple(f"loss {number}" for number in range(60)))
    found = Read(wide._repr_html_())
    assert found.tags.count("tr") <= 42 and "more rows" in found.words


def test_a_document_without_figures_says_what_it_has(tmp_path):
    one, _ = inspection()
    with pytest.raises(LosscopeError, match="an inspection has no pdf files; it has md, latex, csv and json"):
        files.files(one, "pdf")
    made = {file.name for file in files.files(one, "csv")}
    assert "measures.csv" in made
