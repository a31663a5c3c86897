"""The site: every page is reached, every link leads somewhere, the reference is whole, its examples run."""

from __future__ import annotations

import doctest
import importlib
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import losscope
from losscope.core import registry, wording
from losscope.core.quantities import QUANTITIES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    path for path in DOCS.rglob("*.md") if not {"_build", "generated"} & set(path.relative_to(DOCS).parts)
)
QUICK = [("seeds=10", "seeds=2, epochs=2, tune=False"), ("seeds=8", "seeds=2, epochs=2, tune=False")]
RUN_BY = {
    "architecture.md": "test_architecture.py",
    "audit.md": "test_audit_verdict.py",
    "inspect.md": "test_inspect.py",
    "judge.md": "test_judge_docs.py",
    "large-batches.md": "test_large_batches.py",
    "distributed.md": "test_distributed.py",
    "loops.md": "test_loops.py",
    "probe.md": "test_probe_docs.py",
    "text.md": "test_embed_texts.py",
    "howto/paper.md": "test_notebooks.py",
    "where-you-train.md": "test_docs.py",
}
"""The tests that run the Python blocks of a page; those of all other pages are run here."""
SHORT = {
    "atlas.md": "is the best of 7 by recall_at_1",
    "howto/cluster.md": "True",
    "howto/add-data.md": "Recall@1",
    "howto/add-measure.md": "triplet 0.",
    "howto/fine-tune.md": "(3, 32)",
    "reading-a-multiverse.md": "It holds where triplet's margin is above 0.4: right in 100 %",
    "multiverse.md": "triplet retrieves better (Recall@1), in 2 settings",
    "why.md": "on pairs in order",
    "shortcuts.md": "tuned recall_at_1 ",
}
"""Pages whose blocks run as they stand, and what they print."""
sys.path.insert(0, str(DOCS))


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return importlib.import_module("generate")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)


def anchors(page: Path) -> set[str]:
    """The names that GitHub and the site give the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", prose(page), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_page_is_in_a_table_of_contents():
    named = set()
    for page in PAGES:
        for block in re.findall(r"^```{toctree}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M):
            lines = [line for line in block.split() if not line.startswith(":")]
            named |= {(page.parent / f"{line}.md").resolve() for line in lines}
    assert set(PAGES) - named == {DOCS / "index.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_link_of_a_page_leads_somewhere(page):
    for link, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)", prose(page)):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


def test_the_python_blocks_of_every_page_are_run_by_a_test():
    own = (ROOT / "tests" / "test_site.py").read_text(encoding="utf-8").partition("RUN_BY = ")[2]
    for page in PAGES:
        name = str(page.relative_to(DOCS))
        if "\n```python\n" in page.read_text(encoding="utf-8"):
            test = RUN_BY.get(name)
            text = (ROOT / "tests" / test).read_text(encoding="utf-8") if test else own
            assert f'"{page.name if test else name}"' in text, name


@pytest.mark.parametrize("page", SHORT)
def test_short_pages_run_as_they_stand(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if page == "howto/fine-tune.md":
        pytest.importorskip("transformers", reason="backbones need transformers, of the extra hf")
    with registry.forgetting():
        run_blocks(page)
    assert SHORT[page] in capsys.readouterr().out


def test_every_schema_is_linked():
    text = (DOCS / "schemas" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\((.*?)\)", text)) == {path.name for path in DOCS.glob("schemas/*.json")}


def test_the_reference_holds_every_public_name_loss_measure_and_command(generate):
    names = [name for group, _ in generate.API.values() for name in group]
    assert sorted(names) == sorted(set(losscope.__all__) - {"__version__"})
    losses = generate.losses()
    for name in registry.entries("loss"):
        assert losses.count(f"\n## {name}\n") == 1
    assert losses.count("**Source**: ") == len(registry.entries("loss"))
    measures = generate.measures()
    for name in QUANTITIES:
        assert measures.count(f"\n`{name}`: ") == 1
    assert measures.count("<svg") == len(QUANTITIES)
    assert losses.count("<svg") == len(registry.entries("loss"))
    commands = generate.commands()
    for name in (
        "compare",
        "judge",
        "inspect",
        "audit",
        "reproduce",
        "report",
        "embed",
        "bench",
        "store check",
    ):
        assert f"\n## losscope {name}\n" in commands or f"\n### losscope {name}\n" in commands


UNMOVED = ("relative_gradient_norm", "update_norm")
"""Quantities whose figure shows that a factor on the loss does not move them."""


@pytest.mark.parametrize("name", QUANTITIES)
def test_the_figure_of_a_measure_shows_it_rise_and_fall(name):
    from making import measures

    values = [shot.values[name] for shot in measures.shown(name)[0]()]
    finite = [value for value in values if value is not None]
    assert len(finite) >= min(2, len(values)) and all(value == value for value in finite)
    apart = max(finite) - min(finite) > 0.02 * max(map(abs, finite))
    assert apart != (name in UNMOVED)


def test_planted_cases_are_what_their_titles_say():
    from making import planted

    def values(scene, name):
        return [shot.values[name] for shot in scene()]

    tight, wide, _ = values(planted.spread, "intra_variance")
    assert tight < wide / 5
    together, in_two_places, mixed, _ = values(planted.found, "map_at_r")
    assert together > in_two_places > mixed
    assert values(planted.found, "recall_at_1")[:2] == [1.0, 1.0]
    out_of_order, alike, in_order = values(planted.force, "greedy_share")
    assert out_of_order < alike < in_order
    together, gap, _ = values(planted.modalities, "modality_gap")
    assert together < 0.1 < gap


def test_marked_figures_of_the_pages_are_drawn_and_links_lead_to_generated_pages(generate):
    from making import reasons

    names = ("why.md", "reading-a-multiverse.md", "atlas.md")
    pages = [(DOCS / name).read_text(encoding="utf-8") for name in names]
    assert sum(page.count("<!-- table: ") for page in pages) == len(reasons.TABLES)
    text = generate.inside("\n".join(pages))
    assert text.count("<svg") == len(reasons.FIGURES)
    assert "<!-- figure" not in text and "<!-- table" not in text and "](/generated/ledger.md)" in text


@pytest.mark.parametrize("name", ["generate", "making.measures"])
def test_the_examples_in_docstrings_of_the_site_s_own_code_hold(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried and not failed


def test_the_ledger_is_what_was_kept_and_readme_says_the_same():
    import ledger

    found = ledger.ledgers()
    assert found
    text = ledger.page()
    for paper in found:
        rows = [row for row in paper["claims"] if not row.get("together")]
        assert sum(text.count(f"\n| `{name}` |") for name in paper["statements"]) >= len(rows)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    said = readme.partition(ledger.BEGIN)[2].partition(ledger.END)[0]
    assert said.strip() == ledger.sentences()


def test_multiverses_are_kept_without_their_settings_and_their_page_has_every_claim(tmp_path, monkeypatch):
    import multiverse_fixture as fixture
    from making import multiverses

    page = multiverses.page()
    for found in multiverses.multiverses():
        several = len({claim.data for claim in found.claims}) > 1
        named = [f"{claim.statement}{f' ({claim.data})' if several else ''}" for claim in found.claims]
        assert all(f"| {multiverses.escaped(name)} |" in page for name in named)
        assert not any(claim.settings or claim.choices for claim in found.claims)
    monkeypatch.setattr(multiverses, "KEPT", tmp_path / "kept")
    made = fixture.document(fixture.universe(fixture.margin_rule, settings=90, cells=30, claim="a|b"))
    result = tmp_path / "result.json"
    result.write_text(made.json_text(), encoding="utf-8")
    multiverses.keep(result)
    (kept,) = multiverses.multiverses()
    assert kept.claims[0].everywhere.holds.count == made.claims[0].everywhere.holds.count
    assert kept.claims[0].everywhere.holds.share == pytest.approx(made.claims[0].everywhere.holds.share, 1e-3)
    assert multiverses.page().count("<rect") >= 2
    made = made.model_copy(update={"claims": ()})
    result.write_text(made.json_text(), encoding="utf-8")
    with pytest.raises(SystemExit, match="no claims"):
        multiverses.keep(result)


def test_a_ledger_is_kept_from_a_result_and_from_nothing_else(tmp_path, monkeypatch):
    import ledger
    from report_fixture import reproduction

    monkeypatch.setattr(ledger, "KEPT", tmp_path / "kept")
    result = tmp_path / "result.json"
    made = reproduction()
    result.write_text(made.model_dump_json(by_alias=True), encoding="utf-8")
    kept = ledger.keep(result)
    assert kept.name == f"{made.paper}.json"
    assert len(ledger.ledgers()[0]["claims"]) == len(made.claims)
    assert f"{len(made.seeds)} seeds" in ledger.page()
    result.write_text("{}", encoding="utf-8")
    with pytest.raises(SystemExit, match="is no result"):
        ledger.keep(result)


def test_hostile_words_of_a_ledger_stay_words():
    import ledger

    assert ledger.escaped("a | b `c` <script> *d*\n_e_") == r"a \| b \`c\` \<script> \*d\* \_e\_"


def test_an_example_of_the_gallery_is_run_and_shown(tmp_path):
    from making import gallery

    found = next(example for example in gallery.examples(tmp_path) if example.name == "judge")
    found.run("now")
    assert found.page.stat().st_size > 50_000
    text = gallery.text([found])
    assert text.count("```python") == 1 and "has a higher Recall@1" in text
    assert 'href="../gallery/judge.html"' in text
    found.page.write_text("not run again")
    found.run("now")
    assert found.page.read_text() == "not run again"


def test_an_example_that_fails_is_said(tmp_path):
    from making.gallery import Example

    script = tmp_path / "broken.py"
    script.write_text('"""Broken"""\nraise ValueError("no data")\n')
    with pytest.raises(RuntimeError, match=r"broken.py of the gallery failed:(.|\n)*no data"):
        Example(script, tmp_path / "work").run("now")


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    pytest.importorskip("sphinx", reason="the site needs the extra docs")
    from making import links

    (tmp_path / "b.html").write_text('<h1 id="top">B</h1>')
    (tmp_path / "a.html").write_text(
        '<a href="b.html#top">1</a><a href="b.html#lost">2</a><a href="c.html">3</a>'
        '<img src="lost.png"><a href="https://example.org/x">4</a><a href="#here">5</a><p id="here">'
    )
    assert list(links.broken(tmp_path)) == ["a.html: b.html#lost", "a.html: c.html", "a.html: lost.png"]


def test_the_site_is_built_without_a_warning(tmp_path):
    """As ``make docs`` builds it: the gallery is run, every link between the written files followed."""
    for name in ("sphinx", "myst_parser", "furo", "sphinx_copybutton"):
        pytest.importorskip(name, reason="the site needs the extra docs")
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("_build", "generated"))
    for path in ROOT.glob("*.md"):
        shutil.copy(path, tmp_path)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = {path.stem for path in (tmp_path / "out" / "gallery").glob("*.html")}
    assert built == {path.stem for path in (DOCS / "gallery").glob("*.py")}


def run_blocks(page: str) -> None:
    """The Python blocks of a page one after the other, with fewer seeds and epochs."""
    text = (DOCS / page).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, flags=re.S | re.M))
    for slow, quick in QUICK:
        code = code.replace(slow, quick)
    Path("blocks.py").write_text(code)
    runpy.run_path("blocks.py", run_name="__main__")  # as a script: classes have code that can be read


@pytest.mark.parametrize("page", ["tutorial.md", "howto/features.md", "howto/audio-visual.md"])
def test_the_comparisons_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_blocks(page)
    said = capsys.readouterr().out
    assert "Recall@1" in said or "mAP" in said
    if page != "howto/audio-visual.md":
        assert Path("page.html").stat().st_size > 50_000


def test_a_folder_of_pictures_is_what_the_page_says(tmp_path, monkeypatch, capsys):
    pytest.importorskip("PIL", reason="pictures need Pillow, of the extra hf")
    from losscope.cli import app

    monkeypatch.chdir(tmp_path)
    run_blocks("howto/pictures.md")
    app(["compare", "photos", "--dry-run"], result_action="return_value")
    said = " ".join(capsys.readouterr().out.split())
    shown = (DOCS / "howto" / "pictures.md").read_text(encoding="utf-8")
    first = next(line for line in shown.splitlines() if line.startswith("photos: "))
    assert first in said


def test_a_loss_is_added_both_ways(tmp_path, monkeypatch, capsys):
    from losscope.testing import check_loss

    monkeypatch.chdir(tmp_path)
    run_blocks("howto/add-a-loss.md")
    assert "given:Pull" in capsys.readouterr().out
    with registry.forgetting():
        registry.load_plugin("mine.py")
        check_loss("mine")


def test_the_verdicts_are_what_the_page_shows(tmp_path, monkeypatch, capsys):
    """Of a table of numbers, so that every digit is the same on every machine."""
    monkeypatch.chdir(tmp_path)
    run_blocks("howto/verdict.md")
    said = capsys.readouterr().out
    shown = re.findall(
        r"^```text\n(.*?)^```$", (DOCS / "howto" / "verdict.md").read_text(encoding="utf-8"), re.S | re.M
    )
    assert said.split() == shown[0].split()


@pytest.mark.slow
def test_the_tutorial_shows_what_the_command_prints(tmp_path, monkeypatch, capsys):
    """A minute: the comparison as it stands. Seconds of training differ from machine to machine."""
    monkeypatch.chdir(tmp_path)
    result = losscope.compare("digits", losses="contrastive,triplet", seeds=10)
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    blocks = [" ".join(block.split()) for block in re.findall(r"^```text\n(.*?)^```$", text, re.S | re.M)]
    seconds = re.compile(r"[\d.]+ s to train")
    assert seconds.sub("", " ".join(str(result).split())) in [seconds.sub("", block) for block in blocks]
    short = wording.headline(result)
    assert any(block.startswith(f"{short.text} {short.sure}") for block in blocks)
    assert short.caveat is not None and f"Beware: {short.caveat.text}" in blocks
