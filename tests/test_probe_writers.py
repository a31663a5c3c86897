"""Writers: what is read back from the real packages, offline, is the record; one that fails stops nothing."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import losscope
from losscope.core.errors import LosscopeError
from losscope.probe import writers

ROWS, STEPS = 8, 7
LABELS = torch.arange(ROWS) % 2


def pull(z, labels):
    return torch.pdist(z).mean()


def steps(probe, count=STEPS):
    layer = torch.nn.Linear(3, 4)
    for step in range(count):
        probe.epoch = 1 + step // 4
        probe(layer(torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(step))), LABELS).backward()
    with torch.no_grad():
        for step in range(2):
            probe(layer(torch.ones(ROWS, 3) * step), LABELS)


def rows_of(probe):
    """What was recorded, (step, name, value), without order."""
    return sorted((row.step, row.name, row.value) for row in probe.record().rows)


def test_a_function_is_given_every_step():
    given = []
    with losscope.Probe(pull, every=3, writers=[lambda *parts: given.append(parts)]) as probe:
        steps(probe)
    assert sorted(
        (step, name, value) for step, _, values in given for name, value in values.items()
    ) == rows_of(probe)
    assert [(step, epoch) for step, epoch, _ in given] == [
        *((step, 1 + (step - 1) // 4) for step in range(1, STEPS + 1) if step < STEPS),
        *[(STEPS, 2)] * 3,
    ]


def test_values_and_gradients_are_bitwise_the_same_with_writers():
    gradients = []
    for kept in ((), [lambda *_: None], [lambda *_: 1 / 0]):
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 4)
        with losscope.Probe(pull, every=2, writers=kept) as probe:
            for _ in range(5):
                probe(layer(torch.ones(ROWS, 3).cumsum(0)), LABELS).backward()
        gradients.append(layer.weight.grad)
    assert torch.equal(gradients[0], gradients[1]) and torch.equal(gradients[0], gradients[2])


@pytest.mark.parametrize("package", ["tensorboardX", "torch.utils.tensorboard"])
@pytest.mark.filterwarnings("ignore")  # of TensorBoard's reader
def test_tensorboard_reads_back_what_was_recorded(tmp_path, package):
    summary = pytest.importorskip(package).SummaryWriter(str(tmp_path))
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with losscope.Probe(pull, every=3, writers=[summary]) as probe:
        steps(probe)
    summary.close()
    events = reading.EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    found = sorted(
        (event.step, tag.removeprefix("losscope/"), event.value)
        for tag in events.Tags()["scalars"]
        for event in events.Scalars(tag)
    )
    wanted = rows_of(probe)
    assert all(tag.startswith("losscope/") for tag in events.Tags()["scalars"])
    assert [part[:2] for part in found] == [part[:2] for part in wanted]
    assert sorted(value for *_, value in found) == pytest.approx(sorted(v for *_, v in wanted), rel=1e-6)


def script(folder: Path, code: str, **more: str) -> list[tuple[int, str, float]]:
    """A training in a process of its own that may write below a folder only; what its probe recorded."""
    text = f"""
        import json, torch, losscope
        def train(writer):
            layer = torch.nn.Linear(3, 4)
            with losscope.Probe(lambda z, y: torch.pdist(z).mean(), every=3, writers=[writer]) as probe:
                for step in range({STEPS}):
                    probe.epoch = 1 + step // 4
                    x = torch.randn({ROWS}, 3, generator=torch.Generator().manual_seed(step))
                    probe(layer(x), torch.arange({ROWS}) % 2).backward()
            rows = [(row.step, row.name, row.value) for row in probe.record().rows]
            open("rows.json", "w").write(json.dumps(rows))
    """
    environment = os.environ | {
        "HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "home"),
        "XDG_CONFIG_HOME": str(folder / "home"),
        # Whoever asks the network finds a port that refuses.
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
        **more,
    }
    code = textwrap.dedent(text) + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    assert "losscope.probe" not in done.stderr and "The training goes on" not in done.stderr
    return sorted((step, name, value) for step, name, value in json.loads((folder / "rows.json").read_text()))


def test_mlflow_reads_back_what_was_recorded(tmp_path):
    pytest.importorskip("mlflow", reason="losscope[mlflow] is not installed")
    code = """
        import mlflow
        mlflow.set_tracking_uri("file:" + __import__("os").getcwd() + "/mlruns")
        mlflow.set_experiment("digits")
        with mlflow.start_run() as run:
            train(run)
    """
    recorded = script(tmp_path, code, MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_DISABLE_TELEMETRY="true")
    found = []
    for file in (tmp_path / "mlruns").glob("*/*/metrics/losscope/*"):
        lines = [line.split() for line in file.read_text().splitlines()]
        found += [(int(step), file.name, float(value)) for _, value, step, *_ in lines]
    assert sorted(found) == recorded


def logged(file: Path) -> Iterator[bytes]:
    """The records of wandb's file, a log of LevelDB: blocks of 32 KiB, heads of 7 bytes."""
    data, place, record = file.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield record
            record = b""


def test_wandb_offline_reads_back_what_was_recorded(tmp_path):
    pytest.importorskip("wandb", reason="losscope[wandb] is not installed")
    code = """
        import wandb
        with wandb.init(project="digits", dir=".", settings=wandb.Settings(silent=True)) as run:
            train(run)
            run.log({"mine": 1.0})
    """
    more = {"WANDB_MODE": "offline", "WANDB_CACHE_DIR": str(tmp_path), "WANDB_ERROR_REPORTING": "false"}
    recorded = script(tmp_path, code, **more)
    from wandb.proto import wandb_internal_pb2

    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    found, metrics = [], set()
    for data in logged(file):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        metrics |= {record.metric.glob_name, record.metric.name}
        row = {
            item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item
        }
        step = row.pop("losscope/step", None)
        own = {name.removeprefix("losscope/"): v for name, v in row.items() if name.startswith("losscope/")}
        if step is not None:
            assert own.pop("epoch") == 1 + (step - 1) // 4
        found += [(step, name, value) for name, value in own.items()]
    assert sorted(found) == recorded
    assert "losscope/*" in metrics


def test_a_writer_that_fails_is_said_once_and_stops_nothing(caplog):
    calls, given = [], []

    def failing(step, epoch, values):
        calls.append(step)
        raise OSError("disk full")

    with losscope.Probe(pull, every=2, writers=[failing, lambda *parts: given.append(parts)]) as probe:
        steps(probe)
    assert len(calls) == 1
    assert caplog.text.count("writing to failing failed: OSError: disk full. The training goes on") == 1
    assert probe.record().steps == STEPS and len(given) == STEPS + 2


def test_a_writer_that_hangs_keeps_nothing_waiting_for_long(caplog, monkeypatch):
    monkeypatch.setattr(writers, "PATIENCE", 0.2)
    monkeypatch.setattr(writers, "PENDING", 3)
    release = threading.Event()

    def hanging(step, epoch, values):
        release.wait(60)

    begun = time.monotonic()
    with losscope.Probe(pull, every=1, writers=[hanging]) as probe:
        steps(probe, 2)
    assert time.monotonic() - begun < 30
    assert "had not finished after" in caplog.text
    with losscope.Probe(pull, every=1, writers=[hanging]) as probe:
        steps(probe, 20)
    assert caplog.text.count("does not keep up with the training") == 1
    assert probe.record().steps == 20
    release.set()


def test_what_is_no_writer_is_one_sentence():
    for given in ("runs", 3, Path("boards"), dict, None):
        with pytest.raises(LosscopeError, match="the writer is .*; wanted: a SummaryWriter"):
            losscope.Probe(pull, writers=[given])
    with pytest.raises(LosscopeError, match="a list of writers is wanted"):
        losscope.Probe(pull, writers=print)


def test_nothing_of_the_packages_is_imported():
    code = """
        import sys, torch, losscope
        with losscope.Probe(lambda z: z.sum(), writers=[print]) as probe:
            probe(torch.ones(2, 2, requires_grad=True)).backward()
        names = {"mlflow", "wandb", "tensorboardX", "tensorboard", "lightning", "transformers"}
        print(sorted(names & sys.modules.keys()))
    """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[-1] == "[]"
