"""The site: every page is reached, every link leads somewhere, the reference is whole, its examples run."""

from __future__ import annotations

import importlib.util
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import losscope
from losscope.core import registry
from losscope.core.quantities import QUANTITIES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    path for path in DOCS.rglob("*.md") if not {"_build", "generated"} & set(path.relative_to(DOCS).parts)
)
QUICK = [("seeds=10", "seeds=2, epochs=2, tune=False"), ("seeds=8", "seeds=2, epochs=2, tune=False")]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
        assert measures.count(f"`{name}` (") == 1
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


def test_the_site_is_built_without_a_warning(tmp_path):
    """Every page is read and every reference resolved, without writing HTML: ``make docs`` does that."""
    for name in ("sphinx", "myst_parser", "furo", "sphinx_copybutton"):
        pytest.importorskip(name, reason="the site needs the extra docs")
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("_build", "generated"))
    for path in ROOT.glob("*.md"):
        shutil.copy(path, tmp_path)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "dummy", "docs", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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
        assert Path("page.html").stat().st_size > 100_000


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
    shown = next(
        block for block in re.findall(r"^```text\n(.*?)^```$", text, re.S | re.M) if block.startswith("Use ")
    )
    seconds = re.compile(r"[\d.]+ s to train")
    assert seconds.sub("", " ".join(shown.split())) == seconds.sub("", " ".join(str(result).split()))
