"""What makes training fast changes no number: the fused kernel, its stand-in and torch's Adam agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from losscope.train import fast
from losscope.train.optimiser import Adam, Stack, on_line

SHAPES = {"a.weight": (7, 5), "a.bias": (1, 5)}
RATES = [1e-3, 1e-2, 1e-3]


@pytest.fixture(params=["fused", "absent", "other signature"])
def kernel(request, monkeypatch):
    monkeypatch.setattr(fast, "_tried", {})
    if request.param == "absent":
        monkeypatch.delattr(torch, "_fused_adam_")
    elif request.param == "other signature":
        monkeypatch.setattr(torch, "_fused_adam_", lambda params, grads: None)
    assert fast.has_fused(torch.device("cpu")) == (request.param == "fused")
    return request.param


def stack_of(members):
    draw = np.random.default_rng(0)
    network = [
        {name: draw.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
        for _ in range(members)
    ]
    return Stack(network, [{} for _ in range(members)], torch.device("cpu"))


def test_adam_is_torchs_with_a_rate_for_each_member(kernel):
    stack = stack_of(3)
    twins = [
        [torch.nn.Parameter(value[member].detach().clone()) for value in stack.network.values()]
        for member in range(3)
    ]
    theirs = [torch.optim.Adam(own, lr=rate) for own, rate in zip(twins, RATES, strict=True)]
    ours = Adam(stack, RATES)
    draw = torch.Generator().manual_seed(0)
    for step in range(30):
        gradients = [torch.randn(value.shape, generator=draw) * 10.0**-step for value in stack.leaves]
        stack.take(gradients)
        ours.step(stack.gradient_norm())
        for member, (own, optimiser) in enumerate(zip(twins, theirs, strict=True)):
            for parameter, gradient in zip(own, gradients, strict=True):
                parameter.grad = gradient[member].clone()
            optimiser.step()
    for member, own in enumerate(twins):
        for value, parameter in zip(stack.leaves, own, strict=True):
            torch.testing.assert_close(value[member], parameter, rtol=1e-5, atol=1e-6)


def test_every_parameter_of_every_member_starts_on_a_cache_line():
    stack = stack_of(3)
    assert stack.flat.shape == (3, on_line(35) + on_line(5))
    for value in stack.network.values():
        assert all(own.data_ptr() % 64 == 0 for own in value)
    assert stack.flat.count_nonzero() == 3 * 40, "between them are zeros"
    assert stack.gradient_norm().shape == (3,)


def test_keeping_freed_memory_is_nothing_where_the_library_is_another(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(fast.ctypes, "CDLL", missing)
    fast.keep_freed_memory()
