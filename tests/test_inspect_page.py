"""The page of an inspection, what a notebook shows, and runs of a store as what is inspected."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import losscope
from losscope.core.errors import LosscopeError
from losscope.inspecting import writing
from losscope.inspecting.reading import read_file
from losscope.reporting import inspections

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Read(HTMLParser):
    """The elements of a page, the text of its table cells by table, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.titles: list[str] = []
        self.handlers: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.inside = tag
        for name, value in attrs:
            if name in ("src", "href") and value and not value.startswith(("#", "data:")):
                self.loaded.append(value)
            self.handlers += [name] if name.startswith("on") else []
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "h2":
            self.titles.append("")

    def handle_data(self, data: str) -> None:
        if self.inside == "h2" and data.strip():
            self.titles[-1] += data
        if self.tables and self.tables[-1] and self.tables[-1][-1] and self.inside in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = "" if tag in ("h2", "td", "th", "table") else self.inside


def read(text: str) -> Read:
    found = Read()
    found.feed(text)
    return found


def data() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 15)
    points = draw.normal(size=(6, 16))[labels] + 0.5 * draw.normal(size=(90, 16))
    points[3] = points[60]
    given = labels.copy()
    given[[20, 50]] = 0
    return points.astype(np.float32), given


def test_the_page_holds_what_was_found(tmp_path):
    points, labels = data()
    found = losscope.inspect(
        points, labels, ids=[f"item {k}" for k in range(90)], report=tmp_path / "page.html"
    )
    assert found.page == str(tmp_path / "page.html")
    page = read(Path(found.page).read_text(encoding="utf-8"))
    titles = ["Look at first", "Measures", "Map", "Classes found worst", "Classes most confused"]
    assert [title for title in titles if title in page.titles] == titles
    wanted = {table.title: table for table in inspections.tables(found)}
    assert {"Labels likely wrong", "Copies"} <= set(page.titles) & set(wanted)
    shown = [[[cell.strip() for cell in row] for row in table] for table in page.tables]
    for table in wanted.values():
        rows = [list(table.heads), *(list(row) for row in table.rows)]
        assert [[cell.replace("\u00a0", " ") for cell in row] for row in rows] in [
            [[cell.replace("\u00a0", " ") for cell in row] for row in table] for table in shown
        ], table.title
    assert page.loaded == [] and page.handlers == []


def test_what_the_user_wrote_is_text(tmp_path):
    points, labels = data()
    names = np.array([f"{HOSTILE}{k}" for k in range(6)])[labels]
    ids = [f"{HOSTILE} {k}" for k in range(90)]
    plain = losscope.inspect(points, labels, report=tmp_path / "plain.html")
    found = losscope.inspect(points, names, ids=ids, report=tmp_path / "page.html")
    both = losscope.inspect(points, names, ids=ids, against=points[:, :5], report=tmp_path / "both.html")
    for result in (found, both):
        page = read(Path(result.page).read_text(encoding="utf-8"))
        assert page.loaded == [] and page.handlers == [] and "img" not in page.tags
        told = read(result._repr_html_())
        assert {"script", "img"}.isdisjoint(told.tags) and "table" in told.tags
    count = [
        read(Path(result.page).read_text(encoding="utf-8")).tags.count("script") for result in (plain, found)
    ]
    assert count[0] == count[1]


def test_the_page_of_two_files_has_a_map_of_each(tmp_path):
    points, labels = data()
    found = losscope.inspect(points, labels, against=points[:, :4], report=tmp_path / "page.html")
    text = Path(found.page).read_text(encoding="utf-8")
    page = read(text)
    assert "Items whose neighbours changed most" in page.titles
    assert text.count('class="plot square"') == 2
    without = losscope.inspect(points, against=points[:, :4], report=tmp_path / "bare.html")
    assert "Measures" in read(Path(without.page).read_text(encoding="utf-8")).titles


def test_a_map_of_many_rows_is_of_some(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "MAPPED", 30)
    points, labels = data()
    found = losscope.inspect(points, labels, report=tmp_path / "page.html")
    assert "Map of the test embeddings" in Path(found.page).read_text(encoding="utf-8")
    assert ": 30 points of" in Path(found.page).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["page.txt", "page"])
def test_a_page_is_html(name):
    with pytest.raises(LosscopeError, match="is no .html; wanted: a name FILE.html"):
        losscope.inspect(*data(), report=name)


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LosscopeError, match="cannot write .*give another file"):
        losscope.inspect(*data(), report=tmp_path / "file" / "page.html")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("store")
    losscope.compare(
        "synthetic",
        losses="contrastive,triplet",
        seeds=1,
        epochs=1,
        tune=False,
        out=where,
        options={"classes": 4, "points": 24},
    )
    return where


def runs(store: Path) -> list[Path]:
    return [folder for folder in sorted((store / "runs").iterdir()) if (folder / "test.npz").is_file()]


def test_a_run_is_inspected_as_a_file_is(store, tmp_path):
    first, second, *_ = runs(store)
    with np.load(first / "test.npz") as kept:
        wanted = losscope.inspect(kept["embeddings"], kept["labels"])
    found = losscope.inspect(first, out=tmp_path / "run.parquet")
    assert [row.value for row in found.measures] == [row.value for row in wanted.measures]
    assert "seed 0" in found.name
    table = pq.read_table(tmp_path / "run.parquet")
    assert {"id", "label", "embedding", "x", "y", "neighbors"} <= set(table.column_names)
    both = losscope.inspect(first, against=second)
    assert both.paired_by == "order" and both.items == len(table)
    assert len(read_file(tmp_path / "run.parquet")) == len(table)


def test_of_a_store_the_runs_are_named(store, tmp_path):
    with pytest.raises(LosscopeError, match=r"is a store of runs; wanted: one of them, such as .*seed 0\)"):
        losscope.inspect(store)
    with pytest.raises(LosscopeError, match="labels beside the run"):
        losscope.inspect(runs(store)[0], "labels")
    bare = next(f for f in (store / "runs").iterdir())
    head = json.loads((bare / "run.json").read_text())
    assert head["files"] or head["status"]
    broken = runs(store)[-1] / "test.npz"
    content = broken.read_bytes()
    try:
        broken.write_bytes(content[:-9] + b"123456789")
        with pytest.raises(LosscopeError, match="has been altered since it was written"):
            losscope.inspect(broken.parent)
    finally:
        broken.write_bytes(content)
