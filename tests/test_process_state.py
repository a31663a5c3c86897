"""A run's numbers are those of its specification, whatever the process did, set or left in memory before."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from losscope.comparing import plan
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.data import loading
from losscope.run import agreed, code, launch
from losscope.run.arithmetic import fixed_arithmetic
from losscope.run.store import Store
from losscope.train import checkpoints

HERE = Path(__file__).parent
STUDY = """
import json, sys
from losscope.comparing import plan
from losscope.core.spec import Study
from losscope.run import launch
from losscope.run.store import Store

LOSSES = ["contrastive", "triplet", "info_nce", "sup_con", "arcface"]


def numbers(out, **more):
    words = dict(data="digits", losses=LOSSES, seeds=2, epochs=1, tune=False, keep="last", **more)
    found = {}
    for protocol in ("paper", "matched"):
        made = plan(Study.of(out=out, protocol=protocol, **words))
        launch.execute(made.groups, "here")
        for run in Store(out).many(made.ids):
            assert run.failed is None, run.failed
            trace = run.trace().values.tolist() if run.has_trace else []
            weights = run.head["files"].get("model.safetensors", {}).get("sha256")
            found[run.id] = [run.measures, trace, weights]
    return json.loads(json.dumps(found))
"""
PLAIN = STUDY + "\nprint(json.dumps(numbers(sys.argv[1])))"
USED = (
    STUDY
    + """
import torch
from losscope.core import registry

# What the tests of plugins leave behind: our losses were first imported where registrations are forgotten.
with registry.forgetting():
    registry.entry("loss", "triplet").load()
    registry.entry("loss", "contrastive").load()
torch.set_num_threads(3)
torch.set_default_dtype(torch.float64)
torch.set_flush_denormal(True)
torch.set_float32_matmul_precision("medium")
with torch.autocast("cpu"), torch.no_grad():
    print(json.dumps(numbers(sys.argv[1])))
"""
)


def run(script: str, out: Path, **settings: str) -> dict[str, list[object]]:
    done = subprocess.run(
        [sys.executable, "-c", script, str(out)],
        env={**os.environ, "PYTHONWARNINGS": "ignore", **settings},
        capture_output=True,
        text=True,
        cwd=HERE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[object]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """The numbers of a process that did nothing before."""
    return run(PLAIN, tmp_path_factory.mktemp("plain"))


def test_a_process_that_was_used_before_gives_the_numbers_of_a_new_one(
    tmp_path: Path, plain: dict[str, list[object]]
) -> None:
    shares = [measures["train"].get("greedy_share") for measures, trace, _ in plain.values() if trace]
    assert any(share is not None for share in shares), "otherwise their loss could not show"
    assert run(USED, tmp_path / "used", OMP_NUM_THREADS="2") == plain


@pytest.fixture(scope="module")
def allocator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An allocator that fills new memory and starts it anywhere."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("it is compiled with cc, for Linux")
    library = tmp_path_factory.mktemp("allocator") / "allocator.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "allocator.c")]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this C library has another allocator")
    return library


def test_the_allocator_moves_and_fills_memory(allocator: Path) -> None:
    """Otherwise the next test would show nothing."""
    script = (
        "import json, numpy as np\n"
        "arrays = [np.empty(1000 + 100 * k) for k in range(40)]\n"
        "print(json.dumps({'places': [len({a.ctypes.data % 64 for a in arrays})],"
        " 'nan': [bool(np.isnan(arrays[-1]).all())]}))"
    )
    assert run(script, HERE, LD_PRELOAD=str(allocator), FILL="255") == {"places": [4], "nan": [True]}


@pytest.mark.parametrize("seed", [1, 2])
def test_numbers_depend_neither_on_where_arrays_lie_nor_on_memory_that_nobody_wrote(
    tmp_path: Path, plain: dict[str, list[object]], allocator: Path, seed: int
) -> None:
    fill = {1: "255", 2: "66"}[seed]  # NaN, and 48.6 in float32
    assert run(PLAIN, tmp_path / "moved", LD_PRELOAD=str(allocator), SEED=str(seed), FILL=fill) == plain


def test_settings_of_a_program_around_are_put_aside_and_put_back() -> None:
    before = torch.get_num_threads()
    tiny = torch.tensor([1e-40], dtype=torch.float32)
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    torch.set_flush_denormal(True)
    try:
        with torch.autocast("cpu"), torch.inference_mode():
            with fixed_arithmetic():
                assert torch.get_default_dtype() == torch.float32
                assert torch.get_num_threads() == 1
                assert (tiny * 1).item() > 0
                assert not torch.is_autocast_enabled("cpu")
                assert torch.is_grad_enabled()
                wide, square = torch.randn(512, 512), torch.randn(512, 512)
                exact = wide @ square
            assert torch.is_autocast_enabled("cpu")
            assert torch.is_inference_mode_enabled()
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_float32_matmul_precision() == "medium"
        assert (tiny * 1).item() == 0
        with fixed_arithmetic():
            assert torch.equal(wide @ square, exact)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
        torch.set_flush_denormal(False)
    assert torch.get_num_threads() == before


def test_the_forces_of_our_losses_outlive_what_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("losscope.losses.tuples")]:
        monkeypatch.delitem(sys.modules, module)  # as in a process that has not used it yet
    with registry.forgetting():
        assert registry.entry("loss", "triplet").force() is not None
    assert registry.entry("loss", "triplet").force() is not None


def test_a_worker_with_other_code_refuses_to_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    own = code.code_digest()
    agreed.check_code(own)
    home = Path(agreed.__file__).parent.parent
    found = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: found(path) + b"#" * (path == home / "core" / "spec.py")
    )
    code.code_digest.cache_clear()
    with contextlib.ExitStack() as kept:
        kept.callback(code.code_digest.cache_clear)
        with pytest.raises(LosscopeError, match="another losscope than the command began with"):
            agreed.check_code(own)


@pytest.mark.parametrize("engine", ["here", "processes"])
def test_data_that_changed_since_the_plan_are_not_trained_on(tmp_path: Path, engine: str) -> None:
    """A folder's own time does not change with a file in it, and a study may train for hours."""
    draw, folder = np.random.default_rng(0), tmp_path / "pictures"
    for label in "abc":
        (folder / label).mkdir(parents=True)
        for number in range(8):
            pixels = draw.integers(0, 255, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    words = {"seeds": 2, "epochs": 1, "batch_size": 8, "tune": False, "losses": ["contrastive"]}
    made = plan(Study.of(data=str(folder), out=str(tmp_path / "out"), **words))
    loading._cache.clear()  # as in a worker, and in a driver that has read other data meanwhile
    Image.fromarray(np.zeros((12, 12, 3), np.uint8)).save(folder / "a" / "0.png")
    with pytest.raises(LosscopeError, match="were changed after the command began"):
        launch.execute(made.groups, engine)
    assert not list(Store(tmp_path / "out").runs())


def test_two_models_of_gpu_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their numbers differ, so a training does not go on from the other's checkpoint."""
    names = []
    for model in ("NVIDIA H100", "NVIDIA H200"):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, model=model: model)
        names.append(checkpoints._device_name(torch.device("cuda")))
    assert len(set(names)) == 2
    assert checkpoints._device_name(torch.device("cpu")) == "cpu"
