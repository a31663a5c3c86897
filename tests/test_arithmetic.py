"""A member's numbers do not depend on its neighbours, the library's kernel, the engine or an interruption."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from losscope.comparing import plan
from losscope.core.spec import Study
from losscope.models import dense as layers
from losscope.pairs import products
from losscope.pairs.products import alike, product
from losscope.run import launch
from losscope.run.store import Store

HERE = Path(__file__).parent
POPULATIONS = [
    "test_train.py::test_a_population_sweeps_margins_and_rates_as_if_each_were_alone",
    "test_train.py::test_a_members_numbers_are_bitwise_those_of_training_it_alone",
    "test_train.py::test_large_members_that_share_batches_are_bitwise_themselves_alone",
    "test_train.py::test_layers_of_odd_widths_are_bitwise_themselves_alone",
    "test_train.py::test_convolutional_members_are_bitwise_themselves_alone",
]


def has_avx512() -> bool:
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(
    "kernel",
    [
        None,
        "Haswell",
        "Zen",
        pytest.param(
            "SkylakeX", marks=pytest.mark.skipif(not has_avx512(), reason="this processor has no AVX-512")
        ),
    ],
)
def test_populations_are_bitwise_their_members_under_each_kernel_of_numpys_library(kernel):
    settings = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    if kernel:
        settings["OPENBLAS_CORETYPE"] = kernel
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *POPULATIONS]
    done = subprocess.run(command, cwd=HERE, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.fixture
def rounding_by_batch(monkeypatch):
    """A library that rounds a batch of several matrices otherwise than one of them."""
    bmm, baddbmm = torch.bmm, torch.baddbmm

    def other_order(first, second):
        return bmm(first.flip(-1), second.flip(-2)) if len(first) > 1 else bmm(first, second)

    def other_order_and_bias(bias, first, second):
        return bias + other_order(first, second) if len(first) > 1 else baddbmm(bias, first, second)

    monkeypatch.setattr(torch, "bmm", other_order)
    monkeypatch.setattr(torch, "baddbmm", other_order_and_bias)
    alike.cache_clear()
    yield
    alike.cache_clear()


def test_a_library_that_rounds_a_batch_otherwise_is_noticed(rounding_by_batch):
    draw = torch.Generator().manual_seed(0)
    first, second = torch.randn(5, 48, 64, generator=draw), torch.randn(5, 64, 16, generator=draw)
    assert not alike(5, 48, 64, 16, True, True, torch.float32, 1)
    alone = torch.cat([product(first[m : m + 1], second[m : m + 1]) for m in range(5)])
    assert torch.equal(product(first, second), alone)
    assert not torch.equal(torch.bmm(first, second), alone)


def test_layers_multiply_member_by_member_where_a_batch_rounds_otherwise(rounding_by_batch):
    draw = torch.Generator().manual_seed(0)
    x, weight, bias, toward = (
        torch.randn(shape, generator=draw, requires_grad=True)
        for shape in ((4, 48, 64), (4, 64, 16), (4, 1, 16), (4, 48, 16))
    )

    def gradients(members):
        own = [part[members].detach().clone().requires_grad_() for part in (x, weight, bias)]
        out = layers.dense(own[0], {"0.weight": own[1], "0.bias": own[2]}, "0")
        return out, *torch.autograd.grad(out, own, toward[members].detach())

    whole = gradients(slice(None))
    for member in range(4):
        for every, alone in zip(whole, gradients(slice(member, member + 1)), strict=True):
            assert torch.equal(every[member], alone[0])


def test_members_that_start_between_cache_lines_are_multiplied_from_copies():
    draw = torch.Generator().manual_seed(0)
    first, second = torch.randn(3, 7, 5, generator=draw), torch.randn(3, 5, 9, generator=draw)
    assert not products.on_lines(first)
    for member in range(3):
        alone = product(first[member : member + 1].clone(), second[member : member + 1].clone())
        assert torch.equal(product(first, second)[member], alone[0])


def test_a_member_between_cache_lines_is_copied_alone_as_in_a_population():
    draw = torch.Generator().manual_seed(0)
    first = torch.randn(3 * 35 + 1, generator=draw)[1:].view(3, 7, 5)
    second = torch.randn(3, 5, 9, generator=draw)
    assert not products.on_lines(first[:1])
    assert not products.stackable(first[:1], second[:1])
    assert not layers._stackable(first[:1], second[:1])
    for member in range(3):
        alone = product(first[member : member + 1], second[member : member + 1])
        assert torch.equal(product(first, second)[member], alone[0])


@pytest.fixture
def many_threads():
    """As many threads as a machine of several cores would use, where the tests use one."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_a_convolutional_net_has_one_set_of_numbers_here_in_processes_and_resumed(tmp_path, many_threads):
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 255, (240, 16, 16), dtype=np.uint8), np.arange(240) % 4
    np.savez(tmp_path / "pictures.npz", images=images, labels=labels)

    def planned(name):
        study = Study.of(
            data=str(tmp_path / "pictures.npz"),
            losses=["contrastive"],
            seeds=2,
            epochs=2,
            batch_size=64,
            tune=False,
            keep="last",
            out=str(tmp_path / name),
        )
        return plan(study)

    for engine in ("here", "processes"):
        launch.execute(planned(engine).groups, engine)
    resumed = planned("resumed")
    assert not resumed.groups[-1].stacks
    assert "convnet" in {run.protocol.model for run in resumed.groups[-1].runs}

    def interrupt(done, total):
        raise KeyboardInterrupt

    trained = [group for group in resumed.groups if not group.runs[0].loss.baseline]
    assert trained
    for group in trained:
        with pytest.raises(KeyboardInterrupt):
            launch.run_group(group, interrupt)
    assert len(list((tmp_path / "resumed").rglob("*.pt"))) == len(trained)
    launch.execute(resumed.groups, "here")
    stores = {name: Store(tmp_path / name) for name in ("here", "processes", "resumed")}
    for own in stores["here"].many(resumed.ids):
        assert own.failed is None
        for name in ("processes", "resumed"):
            other = stores[name].get(own.id)
            assert other.measures == own.measures, name
            assert other.provenance["threads"] == own.provenance["threads"] == 1
            assert other.has_trace == own.has_trace
            assert not own.has_trace or other.trace().equals(own.trace()), name
