"""Gradient caching: value, gradients and training of the whole batch, for every loss, network and setting.

A network without dropout is held against its whole batch in one pass. One with dropout draws its masks by
micro-batch, so it is held against its micro-batches embedded with their graphs, joined, and one loss of all.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import large_batches
import losscope
from loss_cases import CLASSES, FREE, LOSSES, PROXY, SIZE, seeded
from losscope.core.errors import LosscopeError

INPUTS, ROWS = 12, 32
EXACT = {torch.float32: 1e-5, torch.float64: 1e-12}
FAMILIES = (
    "contrastive(margin=0.9)",
    "triplet(margin=0.2)",
    "n_pair",
    "info_nce(temperature=0.2)",
    "multi_similarity",
    "circle",
    "arcface(scale=16)",
    "proxy_anchor",
)


def network(dropout: float = 0.2, seed: int = 3, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = (
            nn.Linear(INPUTS, 24),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(24, SIZE),
            nn.Dropout(dropout),
        )
        return nn.Sequential(*layers).to(dtype)


def batch(count: int, dtype: torch.dtype = torch.float32, seed: int = 2) -> tuple[Tensor, Tensor]:
    labels = torch.randint(CLASSES, (count,), generator=seeded(1))
    centre = torch.randn(CLASSES, INPUTS, generator=seeded(seed), dtype=torch.float64)
    noise = torch.randn(count, INPUTS, generator=seeded(seed + 1), dtype=torch.float64)
    return (centre[labels] + noise).to(dtype), labels


def made(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    return losscope.loss(name, num_classes=CLASSES, embedding_size=SIZE).to(dtype)


def joined(net: Callable[[Any], Tensor], inputs: Tensor, rows: int = ROWS) -> Tensor:
    """The micro-batches' embeddings with all their graphs."""
    return torch.cat([net(part) for part in inputs.split(rows)])


def slopes(*modules: nn.Module) -> list[Tensor]:
    found = [parameter.grad for module in modules for parameter in module.parameters()]
    assert found and all(gradient is not None for gradient in found)
    return found


def apart(found: list[Tensor], wanted: list[Tensor]) -> float:
    """Length of the difference, of all tensors together, over that of what is wanted."""
    both = zip(found, wanted, strict=True)
    away = sum(float((a.detach().double() - b.detach().double()).square().sum()) for a, b in both)
    return (away / sum(float(b.detach().double().square().sum()) for b in wanted)) ** 0.5


def same(a: Tensor, b: Tensor, allowed: float) -> None:
    assert float(a.detach().double()) == pytest.approx(float(b.detach().double()), rel=allowed)


@pytest.mark.parametrize("name", LOSSES)
class TestEveryLoss:
    def test_it_is_the_loss_of_the_whole_batch(self, name: str) -> None:
        inputs, labels = batch(96)
        nets, losses = [network(dropout=0) for _ in range(2)], [made(name) for _ in range(2)]
        wanted = losses[0](nets[0](inputs), labels)
        wanted.backward()
        found = losscope.cached(nets[1], losses[1], inputs, labels, rows=ROWS)
        assert not found.requires_grad
        same(found, wanted, 1e-5)
        assert apart(slopes(nets[1], losses[1]), slopes(nets[0], losses[0])) <= 1e-5

    @pytest.mark.parametrize("dtype", EXACT, ids=str)
    def test_dropout_is_drawn_again(self, name: str, dtype: torch.dtype) -> None:
        inputs, labels = batch(97, dtype)  # the last micro-batch is one row
        nets = [network(dtype=dtype) for _ in range(2)]
        losses = [made(name, dtype) for _ in range(2)]
        torch.manual_seed(7)
        wanted = losses[0](joined(nets[0], inputs), labels)
        wanted.backward()
        drawn = torch.rand(3)
        torch.manual_seed(7)
        found = losscope.cached(nets[1], losses[1], inputs, labels, rows=ROWS)
        assert torch.equal(torch.rand(3), drawn)
        assert torch.equal(found, wanted.detach()), "the same embeddings, bit for bit"
        assert apart(slopes(nets[1], losses[1]), slopes(nets[0], losses[0])) <= EXACT[dtype]


@pytest.mark.parametrize("name", FAMILIES)
def test_three_steps_of_adam(name: str) -> None:
    """In float64, since Adam divides what is near 0, rounding too, by its own size."""
    inputs, labels = batch(96, torch.float64)
    changes = []
    for caching in (False, True):
        torch.manual_seed(11)
        net, loss = network(dtype=torch.float64), made(name, torch.float64)
        parameters = [*net.parameters(), *loss.parameters()]
        before = [parameter.detach().clone() for parameter in parameters]
        adam = torch.optim.Adam(parameters, lr=1e-2)
        for _ in range(3):
            adam.zero_grad()
            if caching:
                losscope.cached(net, loss, inputs, labels, rows=ROWS)
            else:
                loss(joined(net, inputs), labels).backward()
            adam.step()
        changes.append([after.detach() - old for after, old in zip(parameters, before, strict=True)])
    assert apart(changes[1], changes[0]) <= 1e-9


@pytest.mark.parametrize("rows", [1, np.int64(7), 95, 96, 1000])
def test_any_number_of_rows(rows: int) -> None:
    inputs, labels = batch(96)
    nets = [network() for _ in range(2)]
    torch.manual_seed(0)
    made("triplet")(joined(nets[0], inputs, int(rows)), labels).backward()
    torch.manual_seed(0)
    losscope.cached(nets[1], made("triplet"), inputs, labels, rows=rows)
    assert apart(slopes(nets[1]), slopes(nets[0])) <= 1e-5


def test_gradients_are_added_to_what_is_there() -> None:
    inputs, labels = batch(64)
    net = network(dropout=0)
    losscope.cached(net, made("triplet"), inputs, labels, rows=ROWS)
    first = [gradient.clone() for gradient in slopes(net)]
    losscope.cached(net, made("triplet"), inputs, labels, rows=ROWS)
    assert apart(slopes(net), [2 * gradient for gradient in first]) <= 1e-6


def test_without_gradient_it_is_the_value_alone() -> None:
    inputs, labels = batch(64)
    net, loss = network(dropout=0), made("arcface")
    wanted = loss(net(inputs), labels).detach()
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            same(losscope.cached(net, loss, inputs, labels, rows=ROWS), wanted, 1e-6)
    assert all(parameter.grad is None for parameter in (*net.parameters(), *loss.parameters()))


class TestTowers:
    @pytest.mark.parametrize("name", ["info_nce(temperature=0.2)", "triplet(margin=0.2)", "contrastive"])
    def test_queries_and_documents(self, name: str) -> None:
        """Two networks, nested inputs of different widths, and an anchor's partners in the other tower."""
        documents, labels = batch(81)
        queries = {"x": documents.flip(-1)[:, :8].contiguous(), "half": True}

        def embed(net: nn.Module, part: dict[str, Any]) -> Tensor:
            assert part["half"] is True
            return net(torch.cat((part["x"], part["x"][:, :4]), -1))

        loss = made(name)
        nets = [[network(seed=4), network(seed=5)] for _ in range(2)]
        torch.manual_seed(0)
        rows = [{"x": part, "half": True} for part in queries["x"].split(ROWS)]
        q = torch.cat([embed(nets[0][0], part) for part in rows])
        wanted = loss(q, labels, None, joined(nets[0][1], documents), labels)
        wanted.backward()
        torch.manual_seed(0)
        found = losscope.cached(
            [lambda part: embed(nets[1][0], part), nets[1][1]],
            lambda q, d: loss(q, labels, None, d, labels),
            (queries, documents),
            rows=ROWS,
        )
        same(found, wanted, 1e-6)
        assert apart(slopes(*nets[1]), slopes(*nets[0])) <= 1e-5

    def test_one_network_for_both_and_towers_of_unlike_length(self) -> None:
        queries, labels = batch(40)
        documents, others = batch(90, seed=8)
        loss, nets = made("info_nce(temperature=0.2)"), [network(dropout=0) for _ in range(2)]
        loss(nets[0](queries), labels, None, nets[0](documents), others).backward()
        losscope.cached(
            [nets[1]] * 2, lambda q, d: loss(q, labels, None, d, others), [queries, documents], rows=ROWS
        )
        assert apart(slopes(nets[1]), slopes(nets[0])) <= 1e-5

    def test_a_frozen_tower_and_one_that_the_loss_does_not_follow(self) -> None:
        inputs, labels = batch(64)
        loss, frozen = made("triplet"), network(dropout=0, seed=5).requires_grad_(False)
        nets = [network(dropout=0) for _ in range(2)]
        loss(nets[0](inputs), labels, None, frozen(inputs), labels).backward()
        losscope.cached(
            [nets[1], frozen], lambda a, b: loss(a, labels, None, b, labels), [inputs] * 2, rows=ROWS
        )
        assert apart(slopes(nets[1]), slopes(nets[0])) <= 1e-5
        teacher = network(dropout=0, seed=5)
        losscope.cached(
            [nets[1], teacher],
            lambda a, b: loss(a, labels, None, b.detach(), labels),
            [inputs] * 2,
            rows=ROWS,
        )
        assert apart(slopes(nets[1]), [2 * gradient for gradient in slopes(nets[0])]) <= 1e-5
        assert all(parameter.grad is None for parameter in teacher.parameters())


class TestPrecision:
    @pytest.mark.parametrize(
        "name", ["triplet(margin=0.2)", "info_nce(temperature=0.2)", "arcface(scale=16)"]
    )
    def test_autocast(self, name: str) -> None:
        """No further from float32 than twice what the whole batch under autocast is."""
        inputs, labels = batch(96)
        kept = {}
        for way in ("exact", "whole", "cached"):
            net, loss = network(), made(name)
            torch.manual_seed(5)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=way != "exact"):
                if way == "cached":
                    value = losscope.cached(net, loss, inputs, labels, rows=ROWS)
                else:
                    value = loss(joined(net, inputs), labels)
            if way != "cached":
                value.backward()
            kept[way] = value, slopes(net, loss)
        assert kept["cached"][0].dtype == torch.float32
        same(kept["cached"][0], kept["whole"][0], 1e-6)
        assert apart(kept["cached"][1], kept["exact"][1]) <= 2 * apart(kept["whole"][1], kept["exact"][1])

    def test_weights_cast_before_are_not_taken_for_those_with_a_graph(self) -> None:
        """Autocast keeps casts of weights; one made without a graph would leave them without a gradient."""
        inputs, labels = batch(64)
        net = network(dropout=0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.no_grad():
                net(inputs)
            losscope.cached(net, made("triplet"), inputs, labels, rows=ROWS)
        assert all(float(gradient.abs().sum()) > 0 for gradient in slopes(net))

    def test_a_scaler(self) -> None:
        inputs, labels = batch(64)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        nets = [network(dropout=0) for _ in range(2)]
        plain = losscope.cached(nets[0], made("triplet"), inputs, labels, rows=ROWS)
        adam = torch.optim.SGD(nets[1].parameters(), lr=0.5)
        value = losscope.cached(nets[1], made("triplet"), inputs, labels, rows=ROWS, scale=scaler.scale)
        assert torch.equal(value, plain)
        assert apart(slopes(nets[1]), [1024 * gradient for gradient in slopes(nets[0])]) <= 1e-5
        scaler.step(adam)
        scaler.update()
        for found, net in zip(nets[1].parameters(), nets[0].parameters(), strict=True):
            assert torch.allclose(found, net - 0.5 * net.grad, atol=1e-6)


class TestOthersLosses:
    def held(self, theirs: Callable[..., Tensor], whole: Callable[..., Tensor] | None = None) -> None:
        inputs, labels = batch(96)
        nets = [network(dropout=0) for _ in range(2)]
        wanted = (whole or theirs)(nets[0](inputs), labels)
        wanted.backward()
        same(losscope.cached(nets[1], theirs, inputs, labels, rows=ROWS), wanted, 1e-5)
        assert apart(slopes(nets[1]), slopes(nets[0])) <= 1e-5

    def test_of_pytorch_metric_learning_with_a_miner(self) -> None:
        pytest.importorskip("pytorch_metric_learning", reason="a peer, installed with losscope[peers]")
        from pytorch_metric_learning import losses, miners

        loss, miner = losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()
        self.held(lambda z, labels: loss(z, labels, miner(z, labels)))
        memory = [losses.CrossBatchMemory(losses.NTXentLoss(), SIZE, memory_size=128) for _ in range(2)]
        self.held(*memory)

    def test_of_sentence_transformers(self) -> None:
        pytest.importorskip("sentence_transformers", reason="a peer, installed with losscope[peers]")
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

        anchors, _ = batch(96)
        positives = anchors.flip(0)
        nets = [network(dropout=0) for _ in range(2)]
        loss = MultipleNegativesRankingLoss(nn.Identity())
        loss.compute_loss_from_embeddings([nets[0](anchors), nets[0](positives)], None).backward()
        losscope.cached(
            [nets[1]] * 2,
            lambda *columns: loss.compute_loss_from_embeddings([*columns], None),
            [anchors, positives],
            rows=ROWS,
        )
        assert apart(slopes(nets[1]), slopes(nets[0])) <= 1e-5

    def test_any_function(self) -> None:
        self.held(lambda z, labels: (z @ z.T).logsumexp(-1).mean() + z.square().sum() * labels.float().mean())

    def test_with_a_probe(self) -> None:
        inputs, labels = batch(96)
        records = []
        for caching in (False, True):
            net = network(dropout=0)
            probe = losscope.Probe(made("triplet(margin=0.2)"), model=net, every=1)
            sgd = torch.optim.SGD(net.parameters(), lr=0.1)
            for _ in range(2):
                sgd.zero_grad()
                if caching:
                    losscope.cached(net, probe, inputs, labels, rows=ROWS)
                else:
                    probe(net(inputs), labels).backward()
                sgd.step()
            records.append(probe.record())
        names = {row.name for row in records[0].rows}
        assert names == {row.name for row in records[1].rows} and len(names) > 8
        for name in (
            "loss",
            "active_samples",
            "embedding_gradient_norm",
            "parameter_gradient_norm",
            "update_norm",
        ):
            assert records[1].curve(name)[1] == pytest.approx(records[0].curve(name)[1], rel=1e-4)


class Pair(NamedTuple):
    """Two entries, as some loaders have them."""

    x: Any
    y: Any


class TestInputs:
    def test_all_that_is_nested_is_cut(self) -> None:
        inputs, labels = batch(70)
        texts = [str(number) for number in range(70)]
        given = {
            "pair": Pair(inputs, inputs.numpy()),
            "texts": texts,
            "both": (inputs, {"again": inputs}),
            "temperature": 2.0,
            "mode": "dense",
            "nothing": None,
            "zero": torch.tensor(3.0),
            "number": np.array(3.0),
        }
        net, seen = network(dropout=0), []

        def embed(part: dict[str, Any]) -> Tensor:
            seen.extend(part["texts"])
            x = part["pair"].x
            assert torch.equal(x, inputs[[int(text) for text in part["texts"]]])
            assert np.array_equal(part["pair"].y, x) and torch.equal(part["both"][1]["again"], x)
            assert part["temperature"] == 2.0 and part["mode"] == "dense" and part["nothing"] is None
            assert part["zero"] == part["number"] == 3
            return net(x)

        losscope.cached(embed, made("triplet"), given, labels, rows=ROWS)
        assert seen == texts * 2

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ([torch.zeros(4, 3), torch.zeros(4, 3)], None),
            ((torch.zeros(4, 3), torch.zeros(5, 3)), "inputs[0] has 4, inputs[1] has 5"),
            ({"<b>": [1, 2], "n": np.zeros(3)}, "inputs['<b>'] has 2, inputs['n'] has 3"),
            (torch.zeros(0, 3), "the inputs have no rows"),
            ({}, "the inputs have no rows"),
            (None, "the inputs have no rows"),
            ({"x": {1, 2}}, "inputs['x'] is a set, which cannot be cut into rows"),
            (torch.zeros(4, 3, requires_grad=True) * 2, "the outcome of a computation with a graph"),
        ],
    )
    def test_what_cannot_be_cut(self, given: Any, said: str | None) -> None:
        with pytest.raises(LosscopeError if said else RuntimeError, match=said and re.escape(said)):
            losscope.cached(lambda part: torch.stack(part) @ torch.zeros(9), made("triplet"), given, [0, 1])

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"rows": 0}, "rows is 0"),
            ({"rows": True}, "rows is True"),
            ({"rows": 2.5}, "rows is 2.5"),
            ({"scale": 3.0}, "scale is 3.0, which cannot be called; a function of the loss, such as"),
            ({"loss": "triplet"}, "loss is 'triplet', which cannot be called"),
            ({"network": "resnet"}, "network is 'resnet'"),
            ({"network": []}, "network is []"),
            (
                {"network": [torch.relu] * 3},
                "3 networks were given, and inputs that are a tensor of shape (64, 12)",
            ),
            (
                {"network": lambda x: {"embedding": x}},
                "the network returned dict with the keys ['embedding']",
            ),
            ({"network": lambda x: x.long()}, "the network returned a tensor of shape (32, 12) of int64"),
            ({"network": lambda x: x[:5]}, "of shape (5, 12) for 32 rows; one row for each is wanted"),
            ({"network": lambda x: x[:, : 5 + (x[0, 0] > 0)]}, "rows of shapes (5,) and (6,)"),
            ({"loss": lambda z, y: z.sum(-1)}, "the loss returned a tensor of shape (64,) of float32"),
            ({"loss": lambda z, y: 1.0}, "the loss returned float"),
            ({"loss": lambda z, y: z.detach().sum()}, "does not depend on the embeddings"),
        ],
    )
    def test_bad_words(self, more: dict[str, Any], said: str) -> None:
        inputs, labels = batch(64)
        inputs[0, 0], inputs[40, 0], inputs[32, 0] = 1, 1, -1
        words = {"network": network(), "loss": made("triplet"), "rows": ROWS, **more}
        with pytest.raises(LosscopeError, match=re.escape(said)):
            losscope.cached(words.pop("network"), words.pop("loss"), inputs, labels, **words)


def normed(momentum: float | None = 0.1) -> nn.Sequential:
    net = network(dropout=0)
    return nn.Sequential(net[0], nn.BatchNorm1d(24, momentum=momentum), net[1], net[3])


class TestBatchNorm:
    @pytest.mark.parametrize("hidden", [False, True], ids=["module", "function"])
    def test_it_is_refused_in_training_mode(self, hidden: bool) -> None:
        inputs, labels = batch(96)
        net = normed()
        embed = (lambda part: net(part)) if hidden else net
        before = copy.deepcopy(net.state_dict())
        with pytest.raises(LosscopeError, match="BatchNorm1d in training mode"):
            losscope.cached(embed, made("triplet"), inputs, labels, rows=ROWS)
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        losscope.cached(embed, made("triplet"), inputs, labels, rows=96)
        net[1].eval()
        losscope.cached(embed, made("triplet"), inputs, labels, rows=ROWS)
        assert not nn.modules.module._global_forward_pre_hooks

    @pytest.mark.parametrize("hidden", [False, True], ids=["module", "function"])
    @pytest.mark.parametrize("momentum", [0.1, None])
    def test_allowed_it_counts_each_micro_batch_once(self, hidden: bool, momentum: float | None) -> None:
        inputs, labels = batch(96)
        nets = [normed(momentum) for _ in range(2)]
        made("triplet")(joined(nets[0], inputs), labels).backward()
        embed = (lambda part: nets[1](part)) if hidden else nets[1]
        losscope.cached(embed, made("triplet"), inputs, labels, rows=ROWS, batch_norm=True)
        assert apart(slopes(nets[1]), slopes(nets[0])) <= 1e-5
        for name, value in nets[0].state_dict().items():
            assert torch.equal(nets[1].state_dict()[name], value), name


class TestRandomState:
    def test_numpy_s_and_python_s_draws_are_replayed(self) -> None:
        inputs, labels = batch(96)
        net = network(dropout=0)

        def embed(part: Tensor) -> Tensor:
            noise = torch.from_numpy(np.random.normal(size=part.shape)).float()
            return net(part + noise) * (1 + random.random())

        kept = []
        for caching in (False, True):
            np.random.seed(3)
            random.seed(3)
            net.zero_grad()
            if caching:
                losscope.cached(embed, made("n_pair"), inputs, labels, rows=ROWS)
            else:
                made("n_pair")(joined(embed, inputs), labels).backward()
            kept.append(([gradient.clone() for gradient in slopes(net)], np.random.random(), random.random()))
        assert apart(kept[1][0], kept[0][0]) <= 1e-5
        assert kept[0][1:] == kept[1][1:]

    def test_what_cannot_be_replayed_is_refused(self) -> None:
        inputs, labels = batch(96)
        net, own = network(dropout=0), torch.Generator().manual_seed(0)
        with pytest.raises(LosscopeError, match="otherwise the second time"):
            losscope.cached(
                lambda part: net(part * torch.empty_like(part).bernoulli_(0.5, generator=own)),
                made("triplet"),
                inputs,
                labels,
                rows=ROWS,
            )
        assert all(parameter.grad is None for parameter in net.parameters())

    @pytest.mark.parametrize("hidden", [False, True], ids=["module", "function"])
    def test_a_power_iteration_goes_on_from_the_same_vector(self, hidden: bool) -> None:
        inputs, labels = batch(96)
        nets = [network(dropout=0) for _ in range(2)]
        for net in nets:
            with torch.random.fork_rng():
                torch.manual_seed(4)
                nn.utils.parametrizations.spectral_norm(net[0])
        made("n_pair")(joined(nets[0], inputs), labels).backward()
        embed = (lambda part: nets[1](part)) if hidden else nets[1]
        losscope.cached(embed, made("n_pair"), inputs, labels, rows=ROWS)
        assert apart(slopes(nets[1]), slopes(nets[0])) <= 1e-5
        assert apart(list(nets[1].buffers()), list(nets[0].buffers())) <= 1e-6

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="wants a CUDA device")
    @pytest.mark.parametrize("name", FREE + PROXY)
    def test_on_cuda(self, name: str) -> None:
        inputs, labels = (part.cuda() for part in batch(97))
        nets, losses = [network().cuda() for _ in range(2)], [made(name).cuda() for _ in range(2)]
        torch.manual_seed(7)
        losses[0](joined(nets[0], inputs), labels).backward()
        drawn = torch.rand(3, device="cuda")
        torch.manual_seed(7)
        losscope.cached(nets[1], losses[1], inputs, labels, rows=ROWS)
        assert torch.equal(torch.rand(3, device="cuda"), drawn)
        assert apart(slopes(nets[1], losses[1]), slopes(nets[0], losses[0])) <= 1e-5


@pytest.mark.slow
def test_a_transformer_of_hugging_face(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its dropout, and its nested batch."""
    transformers = pytest.importorskip("transformers", reason="installed with losscope[text]")
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    torch.manual_seed(1)
    nets = [transformers.BertModel(config).train()]
    nets.append(copy.deepcopy(nets[0]))
    ids = torch.randint(50, (41, 9), generator=seeded(1))
    words = {"input_ids": ids, "attention_mask": (ids > 9).long().index_fill(1, torch.tensor([0]), 1)}
    given = transformers.BatchEncoding(words)
    labels = torch.arange(41) % 5
    loss = losscope.loss("info_nce(temperature=0.2)")
    torch.manual_seed(2)
    parts = [{name: value[start : start + 8] for name, value in given.items()} for start in range(0, 41, 8)]
    wanted = loss(torch.cat([nets[0](**part).pooler_output for part in parts]), labels)
    wanted.backward()
    torch.manual_seed(2)
    found = losscope.cached(lambda part: nets[1](**part).pooler_output, loss, given, labels, rows=8)
    same(found, wanted, 1e-5)
    assert apart(slopes(nets[1]), slopes(nets[0])) <= 1e-5


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    inputs, labels = batch(100)
    mine = slice(0, 40) if rank == 0 else slice(40, 100)  # two micro-batches here, three there
    net = DistributedDataParallel(network(dropout=0))
    calls: list[int] = []
    net.register_comm_hook(calls, _counted)
    losscope.cached([net] * 2, _across, [inputs[mine], inputs[mine].flip(0)], labels[mine], rows=24)
    torch.save((slopes(net), len(calls)), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def _across(first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
    return made("triplet(margin=0.2)")(first, labels, None, second, labels.flip(0))


def _counted(calls, bucket):  # torch wants its own annotations or none
    calls.append(1)
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

    return allreduce_hook(torch.distributed.group.WORLD, bucket)


@pytest.mark.slow
def test_processes_average_their_gradients_once(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_rank, (str(tmp_path),), nprocs=2)
    inputs, labels = batch(100)
    net = network(dropout=0)
    for mine in (slice(0, 40), slice(40, 100)):
        (_across(net(inputs[mine]), net(inputs[mine].flip(0)), labels[mine]) / 2).backward()
    for rank in range(2):
        found, calls = torch.load(tmp_path / f"{rank}.pt")
        assert apart(found, slopes(net)) <= 1e-5
        assert calls == 1


@pytest.mark.slow
class TestMemory:
    """The machine's own count of a process's memory; the figures of docs/large-batches.md, coarsely."""

    @pytest.fixture(autouse=True)
    def a_machine_that_tells(self) -> None:
        if not large_batches.TELLS:
            pytest.skip("this system does not say the most memory that a process held")
        large_batches.warm()

    def test_the_batch_of_8192_at_the_memory_of_its_micro_batch(self) -> None:
        whole = large_batches.convolutional(None)
        cached = large_batches.convolutional(256)
        bound = 850 * 2**20
        assert cached.bytes < bound < whole.bytes / 3
        assert cached.value == pytest.approx(whole.value, rel=1e-5)
        assert np.linalg.norm(cached.gradient - whole.gradient) <= 1e-5 * np.linalg.norm(whole.gradient)

    @pytest.mark.parametrize("name", LOSSES)
    def test_a_loss_of_8192_rows_is_bounded(self, name: str) -> None:
        """By a matrix (B, B) of float32 and two masks, or little more; the faulty form takes eight."""
        matrices = 10 if name == "contrastive_label_blind" else 4 if name == "n_pair" else 2.2
        assert large_batches.loss(name).bytes < matrices * 4 * 8192**2


def test_the_page_is_run_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[1] / "docs" / "large-batches.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        for block in re.findall(r"^```python\n(.*?)^```$", page, flags=re.S | re.M):
            exec(compile(block, "large-batches.md", "exec"), names)
    assert capsys.readouterr().out.splitlines() == ["True"] * 4 + ["torch.float32"]
