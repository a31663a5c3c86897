"""``--devices`` and torchrun: the same store, and one sentence where a process is lost, raises or hangs."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import losscope
from embed_fixture import photos, small_vit
from losscope.comparing import running
from losscope.core import registry
from losscope.core.device import Seat, told
from losscope.core.errors import LosscopeError
from losscope.core.results import Result
from losscope.core.spec import Study
from losscope.run import devices, launch
from losscope.run.store import Store

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "losscope"]
FAULTY = '''
import os, signal, time
from pathlib import Path
from torch import distributed
from losscope.core.registry import register
from losscope.losses.tuples import triplet

calls = 0

@register("loss", "faulty", hinge=True, normalised=True, takes="triplets", form="linear hinge")
def faulty(embeddings, relation, *, margin: float = 0.1):
    """Does what FAULT says at its sixth call, in the processes that it names."""
    global calls
    calls += 1
    what, _, where = os.environ.get("FAULT", "").partition(":")
    here = distributed.is_initialized() and str(distributed.get_rank()) in where
    if what == "slow":
        time.sleep(0.05)
        Path(os.environ["SEEN"]).touch()
    elif here and calls == 6:
        if what == "exit":
            os._exit(9)
        if what == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if what == "raise":
            raise ValueError("a number is odd")
    return triplet(embeddings, relation, margin=margin)
'''


NORMED = '''
from losscope.core.registry import register
from losscope.models.networks import Architecture


@register("model", "normed", inputs="vectors")
def normed(inputs, hidden, embedding_size):
    """A linear layer and normalisation over the rows of a batch."""

    def forward(parameters, x):
        x = x.flatten(2) @ parameters["weight"]
        return (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-5)

    return Architecture({"weight": (inputs[0], embedding_size)}, {"weight": inputs[0]}, forward)
'''


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    with registry.forgetting():
        yield
    assert devices._joined is None


def study(out: Path, **more: Any) -> Study:
    fixed = {"options": {"classes": 4, "points": 16}, "protocol": "paper", "seeds": 2, "epochs": 3}
    numbers = {"batch_size": 16, "closed_forms": False, "engine": "auto", "keep": "none"}
    return Study.of(**{"data": "synthetic", **fixed, **numbers, "out": str(out), **more})


def same(one: Path, two: Path) -> None:
    """The same runs are complete, with the same numbers up to rounding."""
    first, second = ({run.id: run for run in Store(out, create=False).runs()} for out in (one, two))
    assert first.keys() == second.keys() and len(first) >= 2
    for run_id, run in first.items():
        near = second[run_id]
        assert run.status == near.status == "complete"
        for split, own in run.measures.items():
            values, along = (
                np.array([found.get(name) for name in own], dtype=float)
                for found in (own, near.measures[split])
            )
            np.testing.assert_allclose(along, values, rtol=1e-2, atol=1e-2)
        if not run.run.loss.baseline:
            traces = [found.trace()["value"].to_numpy(float) for found in (run, near)]
            np.testing.assert_allclose(*traces, rtol=1e-3, atol=1e-5)
            assert near.provenance["device"] == "2 × cpu" and run.provenance["device"] == "cpu"


def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, **more: Any) -> Study:
    (tmp_path / "faulty.py").write_text(FAULTY)
    monkeypatch.setenv("FAULT", fault)
    words = {"losses": ["faulty", "contrastive"], "plugins": [str(tmp_path / "faulty.py")], "devices": 2}
    return study(tmp_path / "out", **words, **more)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Result:
    """A study of one process."""
    return running.run(study(tmp_path_factory.mktemp("alone")))


def test_compare_on_two_devices_is_compare_on_one(alone, tmp_path):
    several = running.run(study(tmp_path / "two", devices=2))
    assert alone.study == several.study
    assert "--devices 2" in several.provenance.command and "--engine" not in several.provenance.command
    same(Path(alone.store), tmp_path / "two")
    # Nothing is left to train: no process is started, and what is stored is read by any number.
    again = running.run(study(tmp_path / "two", devices=3))
    assert again.losses == several.losses


def test_torchrun_runs_a_study_file(alone, tmp_path):
    (tmp_path / "study.toml").write_text(study(tmp_path / "two").toml())
    call = [*TORCHRUN, "run", str(tmp_path / "study.toml"), "--json"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["provenance"]["runs"] == 8, "process 0 alone prints"
    same(Path(alone.store), tmp_path / "two")


def test_a_process_that_dies_ends_all_with_one_sentence_and_the_next_command_goes_on(tmp_path, monkeypatch):
    asked = faulty(tmp_path, monkeypatch, "exit:1")
    with pytest.raises(LosscopeError, match="process 1 of 2 was ended with code 9; what is finished is kept"):
        running.run(asked)
    assert all(run.run.loss.name != "faulty" for run in Store(tmp_path / "out").runs())
    # What is left is trained by any number of devices.
    result = running.run(asked.model_copy(update={"devices": 1}))
    assert result.unfinished is None and len(result.losses) == 2


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_process_raises_is_said(tmp_path, monkeypatch, rank):
    monkeypatch.setattr(devices, "ECHO", 1.0)
    said = f"process {rank} of 2 stopped: ValueError: a number is odd; what is finished is kept"
    with pytest.raises(LosscopeError, match=said):
        running.run(faulty(tmp_path, monkeypatch, f"raise:{rank}"))


@pytest.mark.slow
def test_what_all_raise_fails_their_runs_and_the_study_goes_on(tmp_path, monkeypatch):
    result = running.run(faulty(tmp_path, monkeypatch, "raise:01"))
    assert result.unfinished is not None
    runs = {run.run.loss.name: run for run in Store(tmp_path / "out").runs()}
    assert runs["faulty"].failed == "ValueError: a number is odd"
    assert runs["contrastive"].status == "complete"


@pytest.mark.slow
def test_a_process_that_hangs_is_not_waited_for_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "PATIENCE", timedelta(seconds=3))
    with pytest.raises(LosscopeError, match="one of 2 processes ended or did not answer"):
        running.run(faulty(tmp_path, monkeypatch, "stop:1"))


@pytest.mark.slow
def test_ctrl_c_keeps_the_unfinished_state_and_ends_all(tmp_path, monkeypatch):
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    asked = faulty(tmp_path, monkeypatch, "slow:", seeds=1, epochs=40)
    call = ["compare", "synthetic", "--option", "classes=4", "--option", "points=16", "--protocol", "paper"]
    call += ["--seeds", "1", "--epochs", "40", "--batch-size", "16", "--no-closed-forms", "--keep", "none"]
    call += ["--losses", "faulty,contrastive", "--plugin", asked.plugins[0], "--devices", "2"]
    driver = subprocess.Popen(
        [sys.executable, "-m", "losscope", *call, "--out", str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    until = time.monotonic() + 120
    while not (tmp_path / "seen").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(3)
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 130, said
    assert said.splitlines()[-1].startswith("losscope: stopped; what is finished is kept")
    kept = list((tmp_path / "out" / "checkpoints").glob("*.pt"))
    assert len(kept) == 1
    monkeypatch.setenv("FAULT", "")
    seen: list[int] = []

    def note(group: launch.Group, done: int, total: int) -> None:
        seen.extend([done] * (group.runs[0].loss.name == "faulty"))

    running.run(asked, activity=note)
    assert min(seen) > 1, "it went on in the middle"
    assert not kept[0].exists()
    running.run(asked.model_copy(update={"out": str(tmp_path / "one"), "devices": 1}))
    same(tmp_path / "one", tmp_path / "out")


@pytest.mark.slow
def test_a_backbone_that_trains_on_two_devices(tmp_path, cache):
    pytest.importorskip("transformers")
    photos(tmp_path / "photos")
    small_vit(tmp_path / "vit")
    for out, several in (("one", 1), ("two", 2)):
        words = {"data": str(tmp_path / "photos"), "backbone": str(tmp_path / "vit"), "finetune": "last:1"}
        numbers = {"losses": ["contrastive"], "seeds": 1, "batch_size": 8, "embedding_size": 8, "tune": False}
        fixed = {"protocol": "matched", "options": {}, "devices": several, "engine": "here"}
        running.run(study(tmp_path / out, **{**words, **numbers, **fixed}))
    same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_a_plugins_network_that_normalises_over_the_batch_is_refused(tmp_path):
    (tmp_path / "normed.py").write_text(NORMED)
    asked = study(tmp_path / "out", plugins=[str(tmp_path / "normed.py")], model="normed", devices=2)
    with pytest.raises(LosscopeError, match="the model 'normed' embeds a row otherwise beside other rows"):
        running.run(asked)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"devices": 17}, "17 devices were asked for and a batch has 16 rows"),
        ({"devices": 0}, "devices is 0; it must be greater than 0"),
        ({"devices": 2, "engine": "processes"}, "the engine processes trains several side by side"),
        ({"devices": 2, "engine": "dask"}, "the engine dask trains several side by side"),
        ({"devices": 2, "address": "tcp://localhost:1"}, "the engine dask trains several side by side"),
        ({"devices": 2, "run_limit": 60.0}, "a run limit ends the work of one of them"),
        ({"devices": 2, "device": "cuda:1"}, "the device cuda:1 is one GPU and 2 devices were asked for"),
        ({"devices": 2000}, "devices is 2000; it must be less than or equal to 1024"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, words, said):
    with pytest.raises(LosscopeError, match=said):
        running.run(study(tmp_path, **words))


def test_a_multiverse_trains_its_many_runs_on_one_device_each(tmp_path):
    from losscope.varying import own

    with pytest.raises(LosscopeError, match="2 devices train one run together, and a multiverse has many"):
        own.prepare(study(tmp_path, devices=2), settings=4, seeds=2)


def test_a_loss_as_an_object_is_known_to_one_process(tmp_path):
    with pytest.raises(LosscopeError, match="devices is 2, and a loss that is a Python object"):
        losscope.compare(losses=[lambda rows, labels: rows.sum()], devices=2, out=str(tmp_path))


def test_what_torchrun_says():
    said = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "a"}
    assert told(said) == Seat(rank=1, size=4, local=1, local_size=2)
    assert told({**said, "WORLD_SIZE": "1"}) is None
    assert told({name: value for name, value in said.items() if name != "MASTER_ADDR"}) is None
    with pytest.raises(LosscopeError, match="RANK='one', WORLD_SIZE='4'"):
        told({**said, "RANK": "one"})


def test_a_group_is_the_same_as_text(tmp_path):
    from pydantic import TypeAdapter

    from losscope.comparing import plan

    as_text = TypeAdapter(launch.Group)
    for group in plan(study(tmp_path, losses=["triplet(margin=0.30000000000000004)", "arcface"])).groups:
        assert as_text.validate_json(as_text.dump_json(group)) == group


def test_the_commands_of_the_page_are_commands():
    from losscope.cli import app

    page = (Path(__file__).parents[1] / "docs" / "distributed.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(?:torchrun .* -m )?(losscope (?:run|compare) .*)$", page, flags=re.M)
    assert len(lines) == 3
    for line in lines:
        app.parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)
