"""What README says is run: its Python blocks, its study file, its commands' names."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from losscope.cli import app
from losscope.core import registry
from losscope.core.spec import Study

README_FILE = Path(__file__).parent.parent / "README.md"
README = README_FILE.read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """The fenced blocks of a language; '' is a block of commands."""
    return [
        text for own, text in re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.S | re.M) if own == kind
    ]


def test_the_first_python_block_runs(tmp_path, monkeypatch, capsys):
    """As it stands, with fewer seeds and epochs so that it takes seconds."""
    monkeypatch.chdir(tmp_path)
    code = blocks("python")[0].replace("seeds=10", "seeds=2, epochs=2, tune=False")
    assert "epochs=2" in code
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "Recall@1" in said
    assert (tmp_path / "page.html").stat().st_size > 50_000


def test_the_plugin_block_registers_a_loss_that_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(blocks("python")[1])
    with registry.forgetting():
        import losscope

        result = losscope.compare(
            "digits", losses="mine,triplet", seeds=2, epochs=2, tune=False, plugins=["mine.py"], out="out"
        )
        assert [loss.name for loss in result.losses] == ["mine", "triplet"]
        assert result.losses[0].failed == 0


def test_the_loss_of_the_plugin_block_keeps_the_contract_and_is_a_module(tmp_path):
    import torch

    import losscope
    from losscope.testing import check_loss

    file = tmp_path / "mine.py"
    file.write_text(blocks("python")[1])
    with registry.forgetting():
        registry.load_plugin(file)
        check_loss("mine")
        assert not losscope.audit("mine").failed
        embeddings = torch.randn(8, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
        losscope.loss("mine(power=1.5)")(embeddings, torch.arange(8) % 2).backward()
        assert embeddings.grad.abs().sum() > 0


def test_the_block_for_your_own_code_runs(capsys):
    code = blocks("python")[2]
    assert "losscope.loss(" in code
    exec(compile(code, "README.md", "exec"), {})
    recall, variance, shapes = capsys.readouterr().out.splitlines()
    assert 0 <= float(recall) <= 1 and float(variance) > 0
    assert ", 64) (" in shapes


def test_the_study_block_is_a_study():
    assert Study.of(**tomllib.loads(blocks("toml")[0])).protocol == "paper"


@pytest.mark.parametrize(
    "line", [line for block in blocks("") for line in block.splitlines() if line.startswith("losscope")]
)
def test_every_command_in_readme_parses(line):
    words = shlex.split(line, comments=True)[1:]
    command, bound, *_ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert callable(command)
    assert bound is not None


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/architecture.md",
        "docs/judge.md",
        "docs/large-batches.md",
        "docs/loops.md",
        "docs/where-you-train.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ],
)
def test_every_link_leads_somewhere(page):
    where = README_FILE.parent / page
    links = re.findall(r"\]\(([^)#:]+)(#[^)]*)?\)", where.read_text(encoding="utf-8"))
    for link, anchor in links:
        target = where.parent / link
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.M)
            assert anchor[1:] in [head.lower().replace(" ", "-") for head in heads], anchor


WHERE = (README_FILE.parent / "docs" / "where-you-train.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore")  # of the frameworks, about each other
def test_the_examples_of_where_you_train_run(tmp_path, monkeypatch, capsys):
    for name in (
        "pytorch_metric_learning",
        "lightning",
        "sentence_transformers",
        "accelerate",
        "tensorboardX",
    ):
        pytest.importorskip(name)
    import torch

    import losscope

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    names: dict[str, object] = {}
    with torch.random.fork_rng():
        for block in re.findall(r"^```python\n(.*?)^```$", WHERE, flags=re.S | re.M):
            exec(compile(block, "where-you-train.md", "exec"), names)
    said = capsys.readouterr().out
    first, last = re.findall(r"triplets mined: (\d+) in the first step, (\d+) in the last", said)[0]
    assert int(first) > 10 * int(last) > 0
    assert "114 calls of the loss, 58 steps of the optimiser\nthe loss reaches backward times 1.0\n" in said
    assert re.search(r"step 1: effective rank \d", said)
    assert list((tmp_path / "boards" / "digits").glob("events.out.*"))
    for name in ("mined", "lightning", "sentences", "trainer"):
        record = losscope.load_probe("runs", name)
        assert record.closed and record.findings() == ()
        app(["report", str(record.path)], result_action="return_value")
        page = (record.path / "probe.html").read_text(encoding="utf-8")
        for heading in (
            "What the doctor says",
            "Where the gradient goes",
            "How the batches lie",
            "The optimiser",
        ):
            assert f">{heading}</h2>" in page


def test_a_loss_in_a_file_is_shown_with_trust():
    lines = [line for block in blocks("") for line in block.splitlines() if re.search(r"\w\.py:\w", line)]
    assert lines
    assert all("--trust" in line for line in lines)
