"""A loss over the rows of several processes is the loss of one process with the whole batch."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import losscope
from gloo import on_processes
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.losses.distributed import gather

LOSSES = [
    *registry.entries("loss"),
    "triplet(reduction=active_mean)",
    "contrastive(reduction=balanced)",
    "triplet(tuples=hard)",
    "contrastive(tuples=random)",
]
CLASSES, INPUTS, SIZE, STEPS = 8, 10, 8, 10
WHOLE = (64, 61)
CUTS = {
    64: {2: (32, 32), 3: (22, 21, 21), 4: (16, 16, 16, 16)},
    61: {2: (41, 20), 3: (40, 21, 0), 4: (30, 15, 0, 16)},
}
"""Rows of each process: equal, nearly, far from it, and none."""


def batches(rows: int, positives: bool = True) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and labels of whole batches, float64; without positives process 0 has each class once."""
    generator = torch.Generator().manual_seed(rows)
    while True:
        labels = torch.randint(CLASSES, (rows,), generator=generator)
        if not positives:
            labels = torch.arange(rows) % CLASSES
        yield torch.randn(rows, INPUTS, generator=generator, dtype=torch.float64), labels


class Trained:
    """A small network and a loss; on several processes both as one would have them there."""

    def __init__(self, text: str, world: int, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        self.network: nn.Module = nn.Sequential(nn.Linear(INPUTS, 16), nn.Tanh(), nn.Linear(16, SIZE))
        self.loss: nn.Module = losscope.Distributed(
            losscope.loss(text, num_classes=CLASSES, embedding_size=SIZE)
        )
        self.network.to(dtype)
        self.loss.to(dtype)
        self.parameters = [*self.network.parameters(), *self.loss.parameters()]
        if world > 1:
            self.network = DistributedDataParallel(self.network)
            if list(self.loss.parameters()):
                self.loss = DistributedDataParallel(self.loss)

    def value(self, inputs: Tensor, labels: Tensor, half: bool = False) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return self.loss(self.network(inputs), labels)

    def slopes(self, inputs: Tensor, labels: Tensor, half: bool = False) -> tuple[Tensor, Tensor]:
        """The value, and the gradient by all parameters in one row."""
        value = self.value(inputs, labels, half)
        for parameter in self.parameters:
            parameter.grad = None
        value.backward()
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        return value.detach(), torch.cat([grad.flatten() for grad in grads])


def own(rank: int, cuts: tuple[int, ...], *tensors: Tensor) -> list[Tensor]:
    edges = list(pairwise([0, *torch.tensor(cuts).cumsum(0).tolist()]))
    return [tensor[slice(*edges[rank])] for tensor in tensors]


def everything(rank: int, world: int) -> dict[str, Any]:
    """Ten steps of each loss in float64, one step in float32 and in bfloat16, for each whole batch."""
    found: dict[str, Any] = {}
    for text in LOSSES:
        for rows in WHOLE:
            cuts = CUTS[rows].get(world, (rows,))
            trained = Trained(text, world, torch.float64)
            optimiser = torch.optim.Adam(trained.parameters, lr=1e-2)
            for _, batch in zip(range(STEPS), batches(rows)):
                trained.slopes(*own(rank, cuts, *batch))
                optimiser.step()
            found[f"{text}/{rows}/ten"] = torch.cat([p.detach().flatten() for p in trained.parameters])
            inputs, labels = own(rank, cuts, *next(batches(rows)))
            single = Trained(text, world, torch.float32)
            found[f"{text}/{rows}/float"] = single.slopes(inputs.float(), labels)
            found[f"{text}/{rows}/half"] = single.slopes(inputs.float(), labels, half=True)
        inputs, labels = own(rank, (8, 24, 0, 0)[:world] if world > 1 else (32,), *next(batches(32, False)))
        found[f"{text}/lone"] = Trained(text, world, torch.float64).slopes(inputs, labels)
    return found


SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return everything(0, 1)


@pytest.fixture(scope="module", params=[3, pytest.param(2, marks=SLOW), pytest.param(4, marks=SLOW)])
def apart(request, tmp_path_factory) -> list[dict[str, Any]]:
    return on_processes(request.param, tmp_path_factory.mktemp("gloo"), everything)


def test_ten_steps_are_those_of_one_process(whole, apart) -> None:
    for name, parameters in whole.items():
        if name.endswith("/ten"):
            for process in apart:
                assert (process[name] - parameters).abs().max() < 1e-9, name


def test_loss_and_gradient_in_float32(whole, apart) -> None:
    for name, (value, slopes) in ((name, pair) for name, pair in whole.items() if name.endswith("/float")):
        for process in apart:
            near, along = process[name]
            assert abs(near - value) <= 1e-5 * abs(value), name
            assert (along - slopes).norm() <= 1e-5 * slopes.norm(), name


def test_half_precision_within_twice_its_own_error(whole, apart) -> None:
    for name, (value, slopes) in ((name, pair) for name, pair in whole.items() if name.endswith("/half")):
        exact, exactly = whole[name.replace("/half", "/float")]
        for process in apart:
            near, along = process[name]
            assert near.dtype == torch.float32
            # A value may be right by luck, to fewer digits than bfloat16 has.
            allowed = max(2 * abs(value - exact), 2**-8 * abs(exact))
            assert abs(near - exact) <= allowed, name
            assert (along - exactly).norm() <= 2 * (slopes - exactly).norm(), name


def test_a_process_without_positives(whole, apart) -> None:
    for name, (value, slopes) in ((name, pair) for name, pair in whole.items() if name.endswith("/lone")):
        for process in apart:
            near, along = process[name]
            assert torch.isclose(near, value, rtol=1e-12, atol=0), name
            assert (along - slopes).norm() <= 1e-12 * slopes.norm().clamp_min(1e-9), name


def test_what_is_compared_is_not_nothing(whole) -> None:
    lazy = {name for name, found in whole.items() if isinstance(found, tuple) and not found[1].any()}
    assert lazy == set()


def odd(rank: int, world: int) -> dict[str, Any]:
    """Names of classes, references, a subgroup, and mistakes of one process."""
    z = torch.nn.functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    mine = z[rank::world].clone().requires_grad_()
    names = np.array(["owl", "wren", "owl", "tit", "wren", "tit"])[rank::world]
    loss = losscope.Distributed(losscope.loss("triplet"))
    found: dict[str, Any] = {}
    found["names"] = loss(mine, names.tolist()).item(), loss(mine, names).item()
    gathered, numbers = gather(mine.bfloat16(), names)
    found["order"] = gathered.dtype, gathered.shape, numbers
    labels = torch.arange(6)[rank::world] % 3
    found["references"] = loss(mine, labels, ref_emb=z[rank::world] + 0.1, ref_labels=labels).item()
    groups = [torch.distributed.new_group([each]) for each in range(world)]
    alone = losscope.Distributed(losscope.loss("triplet"), groups[rank])
    found["alone"] = alone(z, torch.arange(6) % 2).item()
    said = []
    for rows, kind, given in (
        (4, torch.float32, labels[:1] if rank else labels),
        (4 + rank, torch.float32, labels),
        (4, torch.float64 if rank else torch.float32, labels),
        (4, torch.float32, labels.float() if rank else labels),
        (4, torch.int64 if rank else torch.float32, labels),
    ):
        try:
            loss(torch.ones(len(labels), rows, dtype=kind), given)
        except LosscopeError as error:
            said.append(str(error))
    found["said"] = said
    found["after"] = loss(mine, labels).item()
    value = loss(mine, labels)
    value.backward()
    found["slopes"] = mine.grad / world
    return found


def test_names_references_groups_and_mistakes(tmp_path) -> None:
    world = 2
    one, two = on_processes(world, tmp_path, odd)
    z = torch.nn.functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    order = torch.cat([torch.arange(6)[rank::world] for rank in range(world)])
    names = np.array(["owl", "wren", "owl", "tit", "wren", "tit"])[order]
    triplet = losscope.loss("triplet")
    rows, labels = z[order].clone().requires_grad_(), order % 3
    whole = triplet(rows, names)
    assert one["names"] == two["names"] == pytest.approx((whole.item(), whole.item()), rel=1e-6)
    kind, shape, numbers = one["order"]
    assert kind == torch.float32 and shape == (6, 4) and torch.equal(numbers, two["order"][2])
    assert len(set(numbers.tolist())) == 3
    with_references = triplet(rows, labels, ref_emb=rows + 0.1, ref_labels=labels).item()
    assert one["references"] == two["references"] == pytest.approx(with_references, rel=1e-5)
    assert one["alone"] == triplet(z, torch.arange(6) % 2).item()
    for found in (one, two):
        assert len(found["said"]) == 5
        assert found["after"] == pytest.approx(triplet(rows, labels).item(), rel=1e-6)
    assert "process 1 was given what it cannot use" in one["said"][0]
    assert "one label per row is wanted" in two["said"][0]
    assert "process 1 has rows of 5 numbers in float32, process 0 of 4" in one["said"][1] == two["said"][1]
    assert "process 1 has rows of 4 numbers in float64" in one["said"][2] == two["said"][2]
    assert "integers are wanted" in two["said"][3] and "floating type is wanted" in two["said"][4]
    triplet(rows, labels).backward()
    assert torch.allclose(torch.cat([one["slopes"], two["slopes"]]), rows.grad, rtol=1e-5, atol=1e-7)


def test_on_one_process_it_is_the_loss_itself() -> None:
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 2
    for text in LOSSES:
        loss = losscope.loss(text, num_classes=2, embedding_size=4)
        everywhere = pickle.loads(pickle.dumps(losscope.Distributed(loss)))
        if "random" not in text:
            assert everywhere(z, labels).item() == loss(z, labels).item()
    assert losscope.Distributed(lambda rows, own: rows.sum() + own.sum())(z, labels) == z.sum() + 4


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda z, y: losscope.Distributed("triplet"), r"'triplet' was given; a loss is wanted"),
        (
            lambda z, y: losscope.Distributed(losscope.loss("triplet"))(z, y, (y, y, y)),
            "a miner called on the rows",
        ),
        (lambda z, y: losscope.Distributed(losscope.loss("triplet"))(z), "no labels were given"),
        (
            lambda z, y: losscope.Distributed(losscope.loss("triplet"))(z[None], y),
            r"shape \(1, 8, 4\) and type float32; \(rows, size\)",
        ),
        (
            lambda z, y: losscope.Distributed(losscope.loss("arcface", num_classes=2, embedding_size=4))(
                z, ["a"] * 8
            ),
            "arcface has one vector per class and wants the numbers",
        ),
        (
            lambda z, y: losscope.Distributed(losscope.loss("triplet"))(z, ["a"] * 7),
            "one label per row is wanted",
        ),
    ],
)
def test_mistakes_are_one_sentence(call, said) -> None:
    with pytest.raises(LosscopeError, match=said):
        call(torch.ones(8, 4), torch.arange(8) % 2)


def test_the_page_is_run_as_it_stands(capsys) -> None:
    page = (Path(__file__).parents[1] / "docs" / "distributed.md").read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", page, flags=re.S | re.M)
    assert len(found) == page.count("```python") == 2
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        for code, said in found:
            exec(compile(code, "distributed.md", "exec"), names)
            assert capsys.readouterr().out == said
