"""Nothing runs because a text or a file says so: which foreign losses are built, and which not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import losscope
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.losses.foreign import sources
from losscope.losses.foreign.building import ForeignLoss, check
from losscope.run.store import Store

pytest.importorskip("pytorch_metric_learning")

CANARY = "import pathlib\npathlib.Path({touched!r}).write_text('ran')\n"
LOSS = (
    "def value(embeddings, labels):\n    return (embeddings[1:] - embeddings[:-1]).square().sum(1).mean()\n"
)

ALLOWED = [
    "pml:TripletMarginLoss",
    "pml:ContrastiveLoss(pos_margin=0.1)",
    "pml:TripletMarginLoss(reducer=MeanReducer())",
    "pml:TripletMarginLoss(distance=CosineSimilarity())",
    "pml:TripletMarginLoss(margin=0.1)+TripletMarginMiner(margin=0.2)",
    "pml:CrossBatchMemory(loss='ContrastiveLoss', memory_size=64)",
    "pytorch_metric_learning:MultiSimilarityLoss",
    "pytorch_metric_learning.losses:MultiSimilarityLoss(alpha=2)",
    "torch.nn:CosineEmbeddingLoss",
    "torch.nn.modules.loss:MSELoss(reduction='sum')",
]

REFUSED = [
    "os:system",
    "os:system('touch {canary}')",
    "os.path:join",
    "subprocess:Popen(['touch', '{canary}'])",
    "builtins:exec",
    'builtins:eval(\'open("{canary}", "w")\')',
    "pickle:loads",
    "torch.hub:load('owner/repository', 'model')",
    "torch:load('{canary}')",
    "torch.nn:Linear(3, 2)",
    "torch.nn:Module",
    "torch.nn:_EvilLoss",
    "torch.nn.utils:FakeLoss",
    "torch.nn:__builtins__",
    "pml:torch",
    "pml:BaseMetricLossFunction",
    "pml:MeanReducer",
    "pml:__import__('os')",
    'pml:TripletMarginLoss(reducer=exec(\'open("{canary}", "w")\'))',
    "pml:TripletMarginLoss(reducer=__import__('os').system('touch {canary}'))",
    "pml:TripletMarginLoss(distance=system)",
    "pml:TripletMarginLoss+system",
    "pml:TripletMarginLoss+__import__('os')",
    "pml.losses:TripletMarginLoss",
    "pytorch_metric_learning.utils.common_functions:torch_arange_from_size",
    "pytorch_metric_learning.losses.os:system",
    "sentence_transformers:SentenceTransformer('evil/model')",
    "sentence_transformers.util:http_get",
    "canary_package:EvilLoss",
    "canary_package.losses:EvilLoss",
    "canary_package.losses.torch.nn:EvilLoss",
    "{file}:value",
    "{file}:value(x='pml:TripletMarginLoss')",
    "./{name}:value",
    "pml:X(a='{file}:value')",
    "((((" * 100 + ":x",
    "pml:" + "-" * 5000 + "x",
]


@pytest.fixture(autouse=True)
def nothing_trusted(monkeypatch):
    monkeypatch.setattr(sources, "_trusted", set())


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A file and a package that leave a mark when they run; the mark's path."""
    mark = tmp_path / "mark"
    code = CANARY.format(touched=str(mark))
    (tmp_path / "evil.py").write_text(code + LOSS)
    inner = tmp_path / "canary_package" / "losses"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return mark


def _filled(text: str, mark: Path) -> str:
    file = mark.with_name("evil.py")
    return text.replace("{canary}", str(mark)).replace("{file}", str(file)).replace("{name}", file.name)


@pytest.mark.parametrize("text", ALLOWED)
def test_a_loss_of_a_library_on_the_list_is_built_from_its_name(text):
    sources.permit(text)
    assert callable(ForeignLoss(text, classes=4, embedding_size=8).loss)


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:60])
def test_other_code_is_neither_imported_nor_called(text, trap):
    text = _filled(text, trap)
    before = set(sys.modules)
    for attempt in (
        lambda: Study.of(losses=["contrastive", text]) and check(text, classes=4, embedding_size=8),
        lambda: ForeignLoss(text, classes=4, embedding_size=8),
        lambda: losscope.compare(
            "digits", losses=["contrastive", text], seeds=2, out=str(trap.parent / "out")
        ),
        lambda: losscope.audit(text),
    ):
        with pytest.raises(LosscopeError) as error:
            attempt()
        assert len(str(error.value).splitlines()) == 1
    assert not trap.exists()
    assert not {name for name in set(sys.modules) - before if "canary" in name or "evil" in name}


@pytest.mark.parametrize(
    "text", ["os:system", "{file}:value", "torch.nn:Linear(3, 2)", "canary_package:EvilLoss"]
)
def test_the_error_names_the_flag(text, trap):
    with pytest.raises(LosscopeError, match=r"--trust \(trust=True in Python\)"):
        sources.permit(_filled(text, trap))


def test_where_a_module_lies_is_found_without_importing_its_parents(trap):
    assert "write_text" in sources.source("canary_package.losses:EvilLoss")
    with pytest.raises(LosscopeError, match="cannot be imported"):
        sources.source("canary_package.nowhere:EvilLoss")
    assert not trap.exists()
    assert "canary_package" not in sys.modules


def test_code_that_is_trusted_is_run(trap):
    text = _filled("{file}:value", trap)
    card = losscope.audit(text, trust=True)
    assert trap.exists()
    assert card.lines


EVIL = """
data = "digits"
losses = ["contrastive", {loss}]
seeds = 2
epochs = 1
tune = false
out = "out"
{more}
"""


def _run(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "losscope", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("loss", "more"),
    [
        ("\"subprocess:Popen(['touch', 'mark'])\"", ""),
        ('"evil.py:value"', ""),
        ('"triplet"', 'plugins = ["evil.py"]'),
        ('"triplet"', 'plugins = ["evil.py"]\ntrust = true'),
        ('"evil.py:value"', "trust = true"),
    ],
)
def test_an_evil_study_file_runs_nothing(trap, loss, more):
    study = trap.with_name("study.toml")
    study.write_text(EVIL.format(loss=loss, more=more))
    for words in (("run", "study.toml"), ("run", "study.toml", "--dry-run", "--json")):
        found = _run(*words, cwd=trap.parent)
        assert found.returncode == 2, found.stderr
        assert "--trust" in found.stderr
        assert found.stdout == ""
    assert not trap.exists()


def test_a_study_folder_of_someone_else_runs_nothing_when_it_is_reported(trap):
    study = Study.of(losses=["contrastive", "triplet"], seeds=2, epochs=1, tune=False, out="out")
    losscope.compare(**{"data": "digits", **study.model_dump(exclude_defaults=True, exclude={"data"})})
    kept = next((trap.parent / "out" / "studies").glob("*/study.json"))
    store = Store("out")
    name = str(kept.relative_to(trap.parent / "out"))
    found = store.read_json(name)
    found["study"]["plugins"] = ["evil.py"]
    store.write_json(name, found)
    found = _run("report", "out", cwd=trap.parent)
    assert found.returncode == 0, found.stderr
    assert not trap.exists()


def test_trust_on_the_command_line_lets_a_study_file_run_its_code(trap):
    study = trap.with_name("study.toml")
    study.write_text(EVIL.format(loss='"evil.py:value"', more=""))
    found = _run("run", "study.toml", "--trust", "--dry-run", "--json", cwd=trap.parent)
    assert found.returncode == 0, found.stderr
    assert trap.exists()
