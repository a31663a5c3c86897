"""Our losses in other people's loops: every loss in every setting, against naive loops in float64.

The loops are given the embeddings as the loss was given them, rounded to half precision or not, so that what
is left is the error of the loss itself.
"""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import losscope
import oracles
from loss_cases import CLASSES, DEFINED, FREE, HINGES, LOSSES, PROXY, SOUND, seeded
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.losses.drop_in import LossModule
from losscope.losses.opaque import loss_and_slopes
from oracles import Case

ROWS, SIZE, INPUTS = 12, 8, 12
HALVES = (torch.bfloat16, torch.float16)
EXACT = 2e-5
"""Relative error of a value, and of a gradient by its length, that is accumulated in float32."""
ROUNDED = {torch.float32: EXACT, torch.bfloat16: 2**-8, torch.float16: 2**-10}
"""The same of a gradient that is then rounded to the type of the embeddings."""
WITH_ORACLE = [name for name in LOSSES if name in DEFINED or name not in SOUND]


@pytest.fixture(autouse=True)
def nothing_compiled_before() -> Iterator[None]:
    """Every module is compiled anew, and torch gives up after eight of one class."""
    yield
    torch.compiler.reset()


def made(name: str, **more: Any) -> LossModule:
    return losscope.loss(name, num_classes=CLASSES, embedding_size=SIZE, **more)


def labels_of(rows: int = ROWS) -> Tensor:
    return torch.randint(CLASSES, (rows,), generator=seeded(1))


def inputs_of(rows: int = ROWS) -> Tensor:
    return torch.randn(rows, INPUTS, generator=seeded(2))


def network() -> nn.Linear:
    """Embeddings with lengths around 0.6, so that the forms which do not normalise have ordinary values."""
    net = nn.Linear(INPUTS, SIZE, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.randn(SIZE, INPUTS, generator=seeded(3)) * 0.1)
    return net


def by_loops(loss: LossModule, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Value and gradients by embeddings and class vectors of the naive loops in float64."""
    assert loss.spec.reduction in (None, "valid_mean")
    key = (loss.spec.label, *(tuple(x.detach().flatten().tolist()) for x in (z, labels, *loss.parameters())))
    if key not in _by_loops:
        _by_loops[key] = _loops(loss, z, labels, loss.class_vectors)
    return _by_loops[key]


_by_loops: dict[tuple[Any, ...], tuple[Tensor, Tensor, Tensor | None]] = {}
"""What the loops gave, since some take a second for twelve rows."""


def _loops(
    loss: LossModule, z: Tensor, labels: Tensor, vectors: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    z = z.detach().double().requires_grad_()
    points = z / z.norm(dim=-1, keepdim=True) if loss.spec.facts.normalised else z
    words = {word: value for word, value in loss.spec.hyperparameters.items() if word != "in_batch"}
    leaves = [z]
    if vectors is not None:
        leaves.append(vectors.detach().double().requires_grad_())
        words["class_vectors"] = leaves[1]
    case = Case(len(labels), labels=labels.tolist())
    terms, _, valid = getattr(oracles, loss.spec.name)(points, case, **words)
    value = terms.sum() / torch.tensor(valid).sum()
    slopes = torch.autograd.grad(value, leaves)
    return value.detach(), slopes[0], slopes[1] if len(slopes) > 1 else None


def close(found: Tensor | None, wanted: Tensor | None, allowed: float) -> None:
    assert (found is None) == (wanted is None)
    if found is not None and wanted is not None:
        error = float((found.detach().double() - wanted).norm() / wanted.norm())
        assert error <= allowed, f"relative error {error:.1e}, {allowed:.1e} allowed"


def holds(loss: LossModule, value: Tensor, z: Tensor, labels: Tensor) -> None:
    """A value, and the gradients that its backward left, are those of the loops."""
    wanted, slope, vector_slope = by_loops(loss, z, labels)
    assert value.dtype == torch.float32 and value.shape == ()
    close(value, wanted, EXACT)
    close(z.grad, slope, ROUNDED[z.dtype])
    if loss.class_vectors is not None:
        close(loss.class_vectors.grad, vector_slope, ROUNDED[loss.class_vectors.dtype])


def leaf(dtype: torch.dtype = torch.float32) -> Tensor:
    with torch.no_grad():
        return network()(inputs_of()).to(dtype).requires_grad_()


@pytest.mark.parametrize("name", WITH_ORACLE)
class TestEveryLoss:
    @pytest.mark.parametrize("dtype", [torch.float32, *HALVES], ids=str)
    def test_embeddings_of_every_precision(self, name: str, dtype: torch.dtype) -> None:
        loss, z = made(name), leaf(dtype)
        value = loss(z, labels_of())
        value.backward()
        holds(loss, value, z, labels_of())

    @pytest.mark.parametrize("dtype", HALVES, ids=str)
    def test_a_module_cast_to_half_precision(self, name: str, dtype: torch.dtype) -> None:
        loss, z = made(name).to(dtype), leaf(dtype)
        value = loss(z, labels_of())
        value.backward()
        holds(loss, value, z, labels_of())

    @pytest.mark.parametrize("backward_inside", [False, True])
    @pytest.mark.parametrize("dtype", HALVES, ids=str)
    def test_autocast(self, name: str, dtype: torch.dtype, backward_inside: bool) -> None:
        loss, net = made(name), network()
        with torch.autocast("cpu", dtype=dtype):
            z = net(inputs_of())
            assert z.dtype == dtype
            z.retain_grad()
            value = loss(z, labels_of())
            if backward_inside:
                value.backward()
        if not backward_inside:
            value.backward()
        holds(loss, value, z, labels_of())
        assert net.weight.grad is not None and net.weight.grad.any()

    def test_autocast_of_float32_embeddings_changes_no_bit(self, name: str) -> None:
        loss, z = made(name), leaf()
        plain = loss(z, labels_of())
        (slope,) = torch.autograd.grad(plain, z)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = loss(z, labels_of())
            (cast_slope,) = torch.autograd.grad(cast, z)
        assert torch.equal(plain, cast) and torch.equal(slope, cast_slope)

    @pytest.mark.parametrize("dtype", HALVES, ids=str)
    def test_gradient_scaling(self, name: str, dtype: torch.dtype) -> None:
        """A loss so small that its gradients leave float16, scaled as a gradient scaler does."""
        loss, net = made(name), network()
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
        with torch.autocast("cpu", dtype=dtype):
            z = net(inputs_of())
            z.retain_grad()
            value = loss(z, labels_of()) * 2**-14
        scaler.scale(value).backward()
        assert z.grad is not None
        _, slope, _ = by_loops(loss, z, labels_of())
        close(z.grad.double() * 4, slope, ROUNDED[dtype])

    def test_the_operator_is_as_it_promises_a_compiler(self, name: str) -> None:
        """Types, shapes, strides and what shares memory, of embeddings by columns of memory too."""
        loss, labels = made(name), labels_of()
        vectors = loss.class_vectors
        columns = leaf(torch.bfloat16).detach().T.contiguous().T.requires_grad_()
        refs = (None, None) if vectors is not None else (leaf().detach(), labels)
        for z in (leaf(), leaf(torch.float16), columns):
            for ref, slopes in ((refs, True), (refs, False), ((None, None), True)):
                call = (loss._number, z, labels, [], *ref, vectors, slopes)
                checks = ("test_schema", "test_autograd_registration", "test_faketensor")
                torch.library.opcheck(loss_and_slopes, call, test_utils=checks)

    # Torch's own warning, as its inductor is imported.
    @pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
    @pytest.mark.parametrize("half", [None, torch.bfloat16], ids=["float32", "autocast"])
    @pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
    def test_compiled_as_one_graph(self, name: str, backend: str, half: torch.dtype | None) -> None:
        if backend == "inductor" and not shutil.which("cc"):
            pytest.skip("torch's inductor wants a C compiler, and there is no cc")
        loss, net = made(name), network()

        def step(x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            z = net(x)
            return loss(z, labels), z

        compiled = torch.compile(step, fullgraph=True, backend=backend)
        with torch.autocast("cpu", dtype=half) if half else nullcontext():
            value, z = compiled(inputs_of(), labels_of())
            value.backward()
            plain, _ = step(inputs_of(), labels_of())
        close(value, plain.detach().double(), EXACT)
        found = [part.grad.clone() for part in (net.weight, *loss.parameters()) if part.grad is not None]
        net.zero_grad()
        loss.zero_grad()
        plain.backward()
        wanted = [part.grad for part in (net.weight, *loss.parameters())]
        for ours, eager in zip(found, wanted, strict=True):
            assert eager is not None
            close(ours, eager.double(), ROUNDED[half or torch.float32])
        z = z.detach().requires_grad_()
        loss.zero_grad()
        again = torch.compile(loss, fullgraph=True, backend=backend)(z, labels_of())
        again.backward()
        holds(loss, again, z, labels_of())

    def test_copies_and_files(self, name: str, tmp_path: Path) -> None:
        loss, z = made(name, seed=3), leaf()
        torch.save(loss, tmp_path / "loss.pt")
        copies = [
            copy.deepcopy(loss),
            pickle.loads(pickle.dumps(loss)),
            torch.load(tmp_path / "loss.pt", weights_only=False),
        ]
        for other in copies:
            assert all(a is not b for a, b in zip(loss.parameters(), other.parameters(), strict=True))
            z.grad = None
            value = other(z, labels_of())
            value.backward()
            assert torch.equal(value, loss(z, labels_of()))
            holds(other, value, z, labels_of())
        if loss.class_vectors is not None:
            with torch.no_grad():
                copies[0].class_vectors.neg_()
            compiled = torch.compile(copies[0], fullgraph=True, backend="aot_eager")
            assert torch.equal(compiled(z, labels_of()), copies[0](z, labels_of()))
            assert not torch.equal(copies[0](z, labels_of()), loss(z, labels_of()))

    def test_a_state_dict_and_back(self, name: str, tmp_path: Path) -> None:
        loss, other, z = made(name, seed=3), made(name, seed=4), leaf()
        torch.save(loss.state_dict(), tmp_path / "state.pt")
        other.load_state_dict(torch.load(tmp_path / "state.pt"))
        value = other(z, labels_of())
        value.backward()
        assert torch.equal(value, loss(z, labels_of()))
        holds(other, value, z, labels_of())

    def test_gradient_accumulation(self, name: str) -> None:
        """The gradients of two halves of a batch add up to the mean loss's."""
        loss, z = made(name), leaf()
        for part in range(2):
            rows = slice(part * ROWS // 2, (part + 1) * ROWS // 2)
            (loss(z[rows], labels_of()[rows]) / 2).backward()
        close_to_two_halves(loss, z.detach(), z.grad, loss.class_vectors)

    def test_one_process(self, name: str, one_process: None) -> None:
        loss, net = made(name), DistributedDataParallel(network())
        module = DistributedDataParallel(loss) if loss.class_vectors is not None else loss
        z = net(inputs_of())
        z.retain_grad()
        value = module(z, labels_of())
        value.backward()
        holds(loss, value, z, labels_of())

    @pytest.mark.slow
    def test_two_processes(self, name: str, two_processes: dict[str, list[Any]]) -> None:
        """DistributedDataParallel averages the gradients of two losses, each of its half of the batch."""
        loss = made(name)
        for weight, vectors in two_processes[name]:
            with torch.no_grad():
                z = network()(inputs_of())
            slopes = close_to_two_halves(loss, z, None, None, vectors)
            close(weight, slopes.mT @ inputs_of().double(), EXACT)

    def test_the_registry_is_not_read_in_a_step(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        loss, z = made(name), leaf()

        def refuse(*_: object) -> None:
            raise AssertionError("the registry was read in a step")

        for reader in ("entry", "entries"):
            monkeypatch.setattr(registry, reader, refuse)
        monkeypatch.setattr(registry.Entry, "load", refuse)
        loss(z, labels_of()).backward()
        torch.compile(loss, fullgraph=True, backend="aot_eager")(z, labels_of()).backward()


def close_to_two_halves(
    loss: LossModule,
    z: Tensor,
    slope: Tensor | None,
    vectors: Tensor | None,
    vector_slope: Tensor | None = None,
) -> Tensor:
    """Check gradients against the mean of the losses of a batch's halves; gives that by the embeddings."""
    parts = [slice(0, ROWS // 2), slice(ROWS // 2, ROWS)]
    found = [by_loops(loss, z[rows], labels_of()[rows]) for rows in parts]
    wanted = torch.cat([part[1] for part in found]) / 2
    if slope is not None:
        close(slope, wanted, EXACT)
    given = vectors.grad if vectors is not None else vector_slope
    if given is not None:
        close(given, torch.stack([part[2] for part in found if part[2] is not None]).mean(0), EXACT)
    return wanted


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    file = tmp_path_factory.mktemp("group") / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    rows = slice(rank * ROWS // 2, (rank + 1) * ROWS // 2)
    kept = {}
    for name in WITH_ORACLE:
        loss, net = made(name), DistributedDataParallel(network())
        module = DistributedDataParallel(loss) if loss.class_vectors is not None else loss
        module(net(inputs_of()[rows]), labels_of()[rows]).backward()
        vectors = None if loss.class_vectors is None else loss.class_vectors.grad
        kept[name] = (net.module.weight.grad, vectors)
    torch.save(kept, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    folder = str(tmp_path_factory.mktemp("processes"))
    start = multiprocessing.get_context("fork" if torch.get_num_threads() == 1 else "spawn").Process
    processes = [start(target=_process, args=(rank, folder)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    ranks = [torch.load(f"{folder}/{rank}.pt") for rank in range(2)]
    return {name: [rank[name] for rank in ranks] for name in WITH_ORACLE}


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in WITH_ORACLE])
def test_a_loss_without_loops_is_as_in_float64(name: str) -> None:
    """A loss of an installed package: autocast and one graph, beside itself in float64."""
    loss, z = made(name), leaf(torch.bfloat16)
    exact = loss.double()(z.double(), labels_of())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        close(loss.float()(z, labels_of()), exact.detach(), 1e-4)
        close(torch.compile(loss, fullgraph=True, backend="aot_eager")(z, labels_of()), exact.detach(), 1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_may_be_multiplied_in_place(name: str) -> None:
    """transformers' Trainer does so with the loss of a ``compute_loss_func``."""
    plain, z = leaf(torch.float32), leaf(torch.float32)
    loss = made(name)
    (2 * loss(plain, labels_of())).backward()
    value = loss(z, labels_of())
    value *= 2
    value.backward()
    assert torch.equal(z.grad, plain.grad)


@pytest.mark.parametrize("name", HINGES)
@pytest.mark.parametrize("tuples", ["random", "hard", "semihard", "distance_weighted"])
def test_chosen_tuples_under_autocast_and_in_one_graph(name: str, tuples: str) -> None:
    z = leaf(torch.bfloat16)
    plain = made(name, tuples=tuples, seed=5)(z, labels_of())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(made(name, tuples=tuples, seed=5)(z, labels_of()), plain)
    compiled = torch.compile(made(name, tuples=tuples, seed=5), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(z, labels_of()), plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="wants a CUDA device")
@pytest.mark.parametrize("name", WITH_ORACLE)
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_autocast_on_cuda(name: str, dtype: torch.dtype) -> None:
    loss, net, labels = made(name).cuda(), network().cuda(), labels_of().cuda()
    for run in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        loss.zero_grad()
        with torch.autocast("cuda", dtype=dtype):
            z = net(inputs_of().cuda())
            z.retain_grad()
            value = run(z, labels)
        value.backward()
        wanted, slope, _ = by_loops(loss.cpu(), z.cpu(), labels_of())
        loss.cuda()
        close(value.cpu(), wanted, 5e-5)
        assert z.grad is not None
        close(z.grad.cpu(), slope, ROUNDED[dtype])


PEERS = {
    "triplet(margin=0.2)": "TripletMarginLoss(margin=0.2, reducer=MeanReducer())",
    "triplet(margin=0.2, reduction=active_mean)": "TripletMarginLoss(margin=0.2)",
    "info_nce(temperature=0.2)": "NTXentLoss(temperature=0.2)",
    "sup_con(temperature=0.2)": "SupConLoss(temperature=0.2)",
    "multi_similarity": "MultiSimilarityLoss()",
    "circle": "CircleLoss()",
    "arcface(margin=0.5, scale=16)": "ArcFaceLoss(4, 8, margin=28.64788975654116, scale=16)",
    "center_contrastive(margin=0.2, scale=16)": "CosFaceLoss(4, 8, margin=0.2, scale=16)",
    "proxy_nca": "ProxyNCALoss(4, 8, softmax_scale=9)",
}
MINERS = (
    "TripletMarginMiner(margin=0.3)",
    "MultiSimilarityMiner(epsilon=0.3)",
    "BatchHardMiner()",
    "BatchEasyHardMiner()",
)


class TestTheCallOfPytorchMetricLearning:
    @pytest.fixture
    def pml(self) -> Any:
        return pytest.importorskip("pytorch_metric_learning", reason="a peer, installed with losscope[peers]")

    def pair(self, name: str) -> tuple[LossModule, Any]:
        from pytorch_metric_learning import distances, losses, reducers

        ours = made(name)
        peer = eval(PEERS[name], {**vars(losses), **vars(reducers), **vars(distances)})
        if ours.class_vectors is not None:
            parameter = peer.W if hasattr(peer, "W") else peer.proxies
            vectors = ours.class_vectors.data
            parameter.data = (vectors.T if hasattr(peer, "W") else vectors).clone()
        return ours, peer

    @pytest.mark.parametrize("miner", MINERS)
    @pytest.mark.parametrize("name", PEERS)
    def test_a_miner_s_tuples(self, pml: Any, name: str, miner: str) -> None:
        from pytorch_metric_learning import miners

        z = leaf()
        mined = eval(miner, vars(miners))(z, labels_of())
        if name == "proxy_nca":
            pytest.skip("there rows weigh by how often they are anchors, unlike its other losses")
        if name.startswith("info_nce") and "Triplet" in miner:
            pytest.skip("there a pair that many triplets name counts many times, here once")
        ours, peer = self.pair(name)
        self.same(ours(z, labels_of(), mined), peer(z, labels_of(), mined), z)

    @pytest.mark.parametrize("name", [name for name in PEERS if name.split("(")[0] in FREE])
    def test_a_miner_s_tuples_between_a_batch_and_references(self, pml: Any, name: str) -> None:
        from pytorch_metric_learning import miners

        z, ref, ref_labels = leaf(), leaf().detach().flip(-1)[:8], labels_of().flip(0)[:8]
        mined = miners.MultiSimilarityMiner(epsilon=0.3)(z, labels_of(), ref, ref_labels)
        ours, peer = self.pair(name)
        call = (z, labels_of(), mined, ref, ref_labels)
        self.same(ours(*call), peer(*call), z)
        again = torch.compile(ours, fullgraph=True, backend="aot_eager")(*call)
        self.same(again, peer(*call), z)

    @pytest.mark.parametrize("name", [name for name in PEERS if name.split("(")[0] in FREE])
    def test_a_batch_that_is_its_own_reference(self, pml: Any, name: str) -> None:
        z, labels = leaf(), labels_of()
        ours, peer = self.pair(name)
        self.same(ours(z, labels, None, z, labels), peer(z, labels, None, z, labels), z)

    @pytest.mark.parametrize("name", [name for name in PEERS if name.split("(")[0] in FREE])
    def test_cross_batch_memory(self, pml: Any, name: str) -> None:
        from pytorch_metric_learning.losses import CrossBatchMemory

        memories = [
            CrossBatchMemory(loss, SIZE, memory_size=40)
            for loss in (self.pair(name)[0].pml(), self.pair(name)[1])
        ]
        for step in range(4):
            z = torch.randn(16, SIZE, generator=seeded(step)).requires_grad_()
            labels = torch.randint(CLASSES, (16,), generator=seeded(step))
            ours, theirs = (memory(z, labels) for memory in memories)
            self.same(ours, theirs, z)

    def same(self, ours: Tensor, theirs: Tensor, z: Tensor) -> None:
        close(ours, theirs.detach().double(), 1e-5)
        slopes = [torch.autograd.grad(value, z)[0] for value in (ours, theirs)]
        close(slopes[0], slopes[1].double(), 1e-4)

    def test_wrapped_losses_are_copied_and_saved(self, pml: Any) -> None:
        loss, z = made("arcface").pml(), leaf()
        for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
            assert torch.equal(other(z, labels_of()), loss(z, labels_of()))
        assert "arcface" in repr(loss)

    def test_the_distributed_wrapper(self, pml: Any, one_process: None) -> None:
        from pytorch_metric_learning.utils.distributed import DistributedLossWrapper

        loss, z = made("triplet"), leaf()
        assert torch.equal(DistributedLossWrapper(loss.pml())(z, labels_of()), loss(z, labels_of()))

    @pytest.mark.parametrize("name", LOSSES)
    @pytest.mark.parametrize("size", [3, 4])
    def test_no_tuple_is_no_loss(self, name: str, size: int) -> None:
        """Of a loss against class vectors every row counts then, as in pytorch-metric-learning."""
        loss, z = made(name), leaf()
        value = loss(z, labels_of(), tuple(torch.tensor([]) for _ in range(size)))
        value.backward()
        assert z.grad is not None and torch.isfinite(z.grad).all()
        if name in PROXY:
            assert torch.equal(value, loss(z, labels_of()))
        elif name != "n_pair":
            assert value == 0 and not z.grad.any()

    @pytest.mark.parametrize("name", FREE)
    def test_tuples_without_labels(self, name: str) -> None:
        loss, z = made(name), leaf()
        mined = tuple(torch.tensor(rows) for rows in ([0, 1], [2, 3], [4, 5]))
        assert torch.equal(loss(z, None, mined), loss(z, labels_of(), mined))


ZERO = torch.zeros(1, dtype=torch.int64)


class TestLabels:
    @pytest.mark.parametrize("name", FREE)
    @pytest.mark.parametrize("kind", [list, tuple, np.array])
    def test_names_of_classes(self, name: str, kind: Callable[[list[str]], Any]) -> None:
        loss, z = made(name), leaf()
        names = kind([f"bird {number}" for number in labels_of().tolist()])
        assert torch.equal(loss(z, names), loss(z, labels_of()))
        ref, numbers = leaf().detach().flip(-1), labels_of().flip(0)
        ref_names = kind([f"bird {number}" for number in numbers.tolist()])
        assert torch.equal(
            loss(z, names, ref_emb=ref, ref_labels=ref_names), loss(z, labels_of(), None, ref, numbers)
        )

    def test_lists_of_integers(self) -> None:
        loss, z = made("arcface"), leaf()
        assert torch.equal(loss(z, labels_of().tolist()), loss(z, labels_of()))

    @pytest.mark.parametrize(
        ("name", "call", "said"),
        [
            ("arcface", {"labels": ["a"] * ROWS}, "texts such as 'a'; arcface has one vector per"),
            ("triplet", {"labels": ["a", 1] * (ROWS // 2)}, "all integers or all texts"),
            ("triplet", {"labels": [["a"], ["a", "b"]]}, "no flat list"),
            ("triplet", {"labels": ["a"]}, r"labels have shape \(1,\), embeddings \("),
            ("triplet", {}, "neither labels nor indices_tuple"),
            ("triplet", {"indices_tuple": torch.zeros(3)}, "a Tensor; a miner's"),
            ("triplet", {"indices_tuple": [ZERO] * 2}, "2 tensors; a miner's"),
            ("triplet", {"indices_tuple": [torch.zeros(1)] * 3}, "dtype float32; row numbers"),
            ("triplet", {"indices_tuple": [ZERO, ZERO, ZERO.repeat(2)]}, "as many of anchors"),
            ("triplet", {"indices_tuple": [ZERO + 90] * 3}, "rows 90 to 90; the embeddings have rows 0"),
            ("triplet", {"labels": labels_of(), "ref_emb": leaf(), "ref_labels": [1]}, "ref_labels have"),
            ("arcface", {"indices_tuple": [ZERO] * 3}, "labels are wanted beside indices_tuple"),
            ("triplet(tuples=hard)", {"indices_tuple": [ZERO] * 3}, "itself chooses hard tuples"),
        ],
    )
    def test_mistakes_are_told(self, name: str, call: dict[str, Any], said: str) -> None:
        with pytest.raises(LosscopeError, match=said):
            made(name)(leaf(), **call)


@pytest.mark.parametrize("name", LOSSES)
def test_rows_that_are_said_to_be_unit_rows(name: str) -> None:
    z, wants = leaf(), made(name).spec.facts.normalised
    unit = torch.nn.functional.normalize(z.detach(), dim=-1)
    loss = made(name, normalise=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        close(loss(unit, labels_of()), made(name)(unit, labels_of()).detach().double(), EXACT)
        loss(unit.bfloat16(), labels_of())
    if not wants:
        assert torch.equal(loss(z, labels_of()), made(name)(z, labels_of()))
        return
    with pytest.warns(RuntimeWarning, match=r"wants unit rows .* lengths 0\.\d+ to"):
        loss(z, labels_of())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(z, labels_of())


def test_the_page_for_loops_is_run_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pytorch_metric_learning", reason="a peer, installed with losscope[peers]")
    page = (Path(__file__).parents[1] / "docs" / "loops.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        for block in re.findall(r"^```python\n(.*?)^```$", page, flags=re.S | re.M):
            exec(compile(block, "loops.md", "exec"), names)
    assert capsys.readouterr().out.splitlines() == ["True", "torch.bfloat16 torch.float32"]
