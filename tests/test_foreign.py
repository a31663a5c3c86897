"""Foreign losses: read without running code, built, called once a member, trained like our own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from losscope.core import calls
from losscope.core.errors import LosscopeError
from losscope.core.spec import LossSpec, Study
from losscope.data import load
from losscope.losses.foreign import sources
from losscope.losses.foreign.building import COLUMNS, ForeignLoss, _rounds, check
from losscope.pairs import Relation, normalise
from losscope.train import Population, train

pml = pytest.importorskip("pytorch_metric_learning")
from pytorch_metric_learning import losses, miners, reducers  # noqa: E402

# sentence-transformers itself warns of its renamed modules.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CONTRASTIVE = """
import torch

def contrastive(embeddings, labels, margin=0.5):
    i, j = torch.triu_indices(len(labels), len(labels), 1)
    d = (embeddings[i] - embeddings[j]).norm(dim=1)
    return torch.where(labels[i] == labels[j], d, (margin - d).clamp_min(0)).square().mean()

def rows(embeddings, labels):
    return embeddings.sum(1)

class Scaled(torch.nn.Module):
    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, embeddings, labels):
        return self.factor * contrastive(embeddings, labels)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(CONTRASTIVE)
    return path


@pytest.fixture(autouse=True)
def nothing_trusted(monkeypatch):
    monkeypatch.setattr(sources, "_trusted", set())


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    z = nn.functional.normalize(torch.randn(24, 8, generator=generator), dim=1)
    return z, torch.arange(24) // 4


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def population(source, loss, seeds, epochs=1):
    study = Study.of(data="digits", losses=[loss], seeds=seeds, epochs=epochs)
    runs = [run for run in study.expand("vectors") if not run.loss.baseline]
    return Population(runs, [source.splits(run.seed) for run in runs], torch.device("cpu"))


def test_a_text_is_read_into_names_and_literals():
    one = calls.parse("pml:TripletMarginLoss(0.1, swap=True, reducer=MeanReducer()) + MultiSimilarityMiner")
    assert (one.kind, one.where) == ("pml", "pytorch_metric_learning")
    assert one.loss == calls.Call("TripletMarginLoss", (0.1,), {"swap": True, "reducer": "MeanReducer()"})
    assert one.miner == calls.Call("MultiSimilarityMiner")
    assert calls.parse("a/b c.py:f(x=[1, 'y'])").where == "a/b c.py"
    assert calls.parse("a/b c.py:f(x=[1, 'y'])").loss.words == {"x": [1, "y"]}
    assert calls.parse("my.losses:Mine").kind == "module"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pml:", "cannot read the loss"),
        ("pml:X(a=__import__('os').getcwd())", "with literal arguments"),
        ("pml:X(a=1+x)", "with literal arguments"),
        ("pml:X(**{})", "with literal arguments"),
        ("pml:A+B+C", "at most one miner"),
        ("my.losses:A+B", "miners go with pml: only"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_by_the_study(text, said):
    with pytest.raises(LosscopeError, match=said.replace("(", r"\(")):
        Study.of(losses=["contrastive", text])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pml:TripletMarginLos", "did you mean 'TripletMarginLoss'"),
        ("pml:TripletMarginLoss+TripletMiner", "did you mean 'TripletMarginMiner'"),
        ("pml:TripletMarginLoss(margn=1)", r"TripletMarginLoss takes \(margin=0.05"),
        ("pml:TripletMarginLoss(reducer='MeanReduce')", "did you mean 'MeanReducer'"),
        ("sentence_transformers:BatchAllTriplet", "did you mean 'BatchAllTripletLoss'"),
        ("no.such.module:Loss", "module 'no.such.module', which cannot be imported"),
        ("nowhere/mine.py:f", "no file 'nowhere/mine.py'"),
        ("torch.nn:MSELos", "did you mean 'MSELoss'"),
        ("torch.nn:NoSuchLoss", "unknown name in torch.nn 'NoSuchLoss'"),
        ("math:pi", "'math:pi' is a float; a class or function is wanted"),
        ("torch.nn:Linear(3, 2)", "failed on 16 embeddings of 4 classes"),
    ],
)
def test_a_loss_that_cannot_be_made_or_called_says_what_there_is(text, said):
    sources.trust([text])
    with pytest.raises(LosscopeError, match=said):
        check(text, classes=4, embedding_size=8)


def test_a_missing_library_says_what_to_install(monkeypatch):
    def gone(name, *_):
        raise ImportError(name)

    monkeypatch.setattr("losscope.losses.foreign.building.importlib.import_module", gone)
    with pytest.raises(LosscopeError, match="pip install pytorch-metric-learning"):
        ForeignLoss("pml:TripletMarginLoss")
    with pytest.raises(LosscopeError, match="pip install sentence-transformers"):
        ForeignLoss("sentence_transformers:BatchAllTripletLoss")


def test_values_are_the_librarys_own(batch):
    z, y = batch
    both = ForeignLoss(
        "pml:TripletMarginLoss(margin=0.1, reducer=MeanReducer)+TripletMarginMiner(margin=0.2)"
    )
    chosen = miners.TripletMarginMiner(margin=0.2)(z, y)
    assert both(z, y) == losses.TripletMarginLoss(margin=0.1, reducer=reducers.MeanReducer())(z, y, chosen)
    assert both(z, Relation.from_labels(y)) == both(z, y)
    i, j = torch.triu_indices(24, 24, 1)
    pairs = Relation.from_pairs(i, j, y[i] == y[j], rows=24)
    plain = ForeignLoss("pml:ContrastiveLoss")
    torch.testing.assert_close(plain(z, pairs), plain(z, y))
    triplets = Relation.from_triplets(torch.tensor([0]), torch.tensor([1]), torch.tensor([9]), rows=24)
    expected = torch.relu((z[0] - z[1]).norm() - (z[0] - z[9]).norm() + 3)
    torch.testing.assert_close(ForeignLoss("pml:TripletMarginLoss(margin=3)")(z, triplets), expected)


def test_two_modalities_are_each_others_reference(batch):
    z, y = batch
    relation = Relation.from_labels(torch.cat([y[::2], y[::2]]), modality=torch.arange(24) // 12)
    loss = losses.ContrastiveLoss()
    # Two tensors of labels: one and the same would say that the references are the batch itself.
    a, b, own, other = z[:12], z[12:], y[::2], y[::2].clone()
    expected = (loss(a, own, ref_emb=b, ref_labels=other) + loss(b, own, ref_emb=a, ref_labels=other)) / 2
    assert ForeignLoss("pml:ContrastiveLoss")(z, relation) == expected
    with pytest.raises(LosscopeError, match="cannot use two modalities"):
        ForeignLoss("torch.nn:MSELoss")(z, relation)
    with pytest.raises(LosscopeError, match="cannot use explicit pairs"):
        ForeignLoss("torch.nn:MSELoss")(z, Relation.from_pairs(y[:1], y[:1], y[:1] == 0, rows=24))


def test_sentence_transformers_losses_see_the_same_pairs_and_triplets(batch):
    pytest.importorskip("sentence_transformers")
    z, y = batch
    ours = 0.0
    pairs = list(itertools.combinations(range(24), 2))
    for i, j in pairs:
        d = (z[i] - z[j]).norm()
        ours += 0.5 * (d**2 if y[i] == y[j] else torch.relu(0.5 - d) ** 2)
    text = "sentence_transformers:ContrastiveLoss(distance_metric='EUCLIDEAN')"
    # F.pairwise_distance adds 1e-6 to the difference.
    torch.testing.assert_close(ForeignLoss(text)(z, y), ours / len(pairs), rtol=1e-4, atol=1e-6)
    terms = [
        torch.relu((z[a] - z[p]).norm() - (z[a] - z[n]).norm() + 0.3)
        for a, p, n in itertools.product(range(24), repeat=3)
        if a != p and y[a] == y[p] and y[a] != y[n]
    ]
    expected = torch.stack(terms)
    value = ForeignLoss("sentence_transformers:BatchAllTripletLoss(margin=0.3)")(z, y)
    torch.testing.assert_close(value, expected.sum() / (expected > 0).sum(), rtol=1e-4, atol=1e-6)
    value = ForeignLoss("sentence_transformers:TripletLoss(triplet_margin=0.3, distance_metric='EUCLIDEAN')")(
        z, y
    )
    torch.testing.assert_close(value, expected.mean(), rtol=1e-4, atol=1e-6)
    for name in COLUMNS:
        assert torch.isfinite(ForeignLoss(f"sentence_transformers:{name}")(z, y))


def test_rounds_pair_rows_of_a_class_and_never_two_pairs_of_one():
    labels = torch.tensor([3, 1, 3, 3, 1, 2, 3, 3])
    rounds = [(a.tolist(), p.tolist()) for a, p in _rounds(labels)]
    assert rounds == [([1, 0], [4, 2]), ([3], [6])]


def test_sizes_are_filled_from_the_data_unless_given():
    loss = ForeignLoss("pml:CosFaceLoss", classes=5, embedding_size=7)
    assert loss.loss.W.shape == (7, 5)
    assert ForeignLoss("pml:ArcFaceLoss(9)", classes=5, embedding_size=7).loss.W.shape == (7, 9)
    # MarginLoss without classes has one beta for all, which is another loss.
    assert ForeignLoss("pml:MarginLoss(learn_beta=True)", classes=5).loss.beta.shape == (1,)


def test_the_users_file_is_a_loss_and_its_text_enters_the_run_id(file, batch):
    z, y = batch
    names = ("contrastive(margin=0.5)", "Scaled(factor=3)", "rows", "contrastive")
    sources.trust(f"{file}:{name}" for name in names)
    function, module = (
        ForeignLoss(f"{file}:{name}") for name in ("contrastive(margin=0.5)", "Scaled(factor=3)")
    )
    torch.testing.assert_close(module(z, y), 3 * function(z, y))
    with pytest.raises(LosscopeError, match=r"shape \(16,\) for 16 rows; one scalar is wanted"):
        check(f"{file}:rows", classes=4, embedding_size=8)
    before = sources.source(f"{file}:contrastive")
    file.write_text(CONTRASTIVE.replace("margin=0.5", "margin=2.0"))
    assert sources.source(f"{file}:contrastive") != before
    assert ForeignLoss(f"{file}:contrastive")(z, y) > function(z, y)
    run = Study.of(losses=[f"{file}:contrastive"], seeds=1).expand("vectors")[0]
    assert run.id("digest", before) != run.id("digest", sources.source(f"{file}:contrastive"))
    assert sources.source("pml:TripletMarginLoss") == f"pytorch_metric_learning=={pml.__version__}"
    assert "class Linear" in sources.source("torch.nn.modules.linear:Linear")
    file.write_text("raise RuntimeError('broken')")
    with pytest.raises(LosscopeError, match="RuntimeError: broken"):
        ForeignLoss(f"{file}:contrastive")
    file.unlink()
    # A stored study is read long after its file is gone.
    assert LossSpec.parse(f"{file}:contrastive").foreign


@pytest.mark.parametrize(
    "loss",
    [
        "pml:MultiSimilarityLoss(alpha=2)",
        "pml:ArcFaceLoss",
        "pml:CrossBatchMemory(loss='ContrastiveLoss', memory_size=256)",
        "pml:TripletMarginLoss(triplets_per_anchor=5)+DistanceWeightedMiner",
    ],
)
def test_a_member_is_alone_in_its_population_and_goes_on_from_a_checkpoint(digits, tmp_path, loss):
    whole, alone, resumed = (population(digits, loss, seeds, 2) for seeds in (2, 2, 2))
    alone = Population(alone.runs[1:], alone.splits[1:], torch.device("cpu"))
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    whole.run_epoch()
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    torch.save(whole.state(), tmp_path / "state.pt")
    resumed.load(torch.load(tmp_path / "state.pt", weights_only=True))
    for one in (whole, alone, alone, resumed):
        one.run_epoch()
    assert torch.equal(whole.stack.flat[1], alone.stack.flat[0])
    assert torch.equal(whole.stack.flat, resumed.stack.flat)
    assert whole.curves.of(1) == alone.curves.of(0) == resumed.curves.of(1)


def test_training_is_what_a_plain_torch_loop_with_the_library_computes(digits):
    """The same batches through nn.Linear layers, PML's ArcFace and torch.optim.Adam: class vectors too."""
    ours, twin = (population(digits, "pml:ArcFaceLoss(margin=20, scale=8)", 1) for _ in range(2))
    layers = [nn.Linear(64, 256), nn.Linear(256, 64)]
    arcface = losses.ArcFaceLoss(num_classes=10, embedding_size=64, margin=20, scale=8)
    with torch.no_grad():
        for place, layer in enumerate(layers):
            layer.weight.copy_(ours.stack.network[f"{place}.weight"][0].T)
            layer.bias.copy_(ours.stack.network[f"{place}.bias"][0, 0])
        arcface.W.copy_(ours.stack.extra["loss.loss.W"][0])
    start = arcface.W.detach().clone()
    own = [parameter for layer in layers for parameter in layer.parameters()]
    optimiser = torch.optim.Adam([*own, arcface.W], lr=1e-3)
    norms, values = [], []
    for inputs, relation in itertools.islice(twin.batches.epoch(twin.embed), 5):
        z = nn.functional.normalize(layers[1](layers[0](inputs[0]).relu()), dim=1)
        value = arcface(z, relation.labels[0])
        optimiser.zero_grad()
        value.backward()
        values.append(value.item())
        norms.append(torch.cat([parameter.grad.flatten() for parameter in own]).norm().item())
        optimiser.step()
    for inputs, relation in itertools.islice(ours.batches.epoch(ours.embed), 5):
        ours.step(inputs, relation)
    readings = [reading for group in ours.instruments.readings.values() for reading in group]
    np.testing.assert_allclose([one[0].item() for one in readings], values, rtol=1e-4)
    np.testing.assert_allclose([one[1].item() for one in readings], norms, rtol=1e-3)
    assert (arcface.W - start).abs().max() > 1e-3
    torch.testing.assert_close(ours.stack.extra["loss.loss.W"][0], arcface.W, rtol=1e-3, atol=1e-5)


def test_terms_are_a_share_of_the_scalar_a_row_and_nothing_is_counted(digits):
    one = population(digits, "pml:ContrastiveLoss", 2)
    inputs, relation = next(iter(one.batches.epoch(one.embed)))
    z = normalise(one.architecture.forward(one.stack.network, inputs))
    terms, loss = one.objective(z, relation, one.stack.extra)
    expected = torch.stack([losses.ContrastiveLoss()(z[m], relation.labels[m]) for m in range(2)])
    assert torch.equal(loss, expected)
    torch.testing.assert_close(terms.value.sum(-1), expected)
    assert terms.active is None
    assert (terms.valid == 1).all()
    one.run_epoch()
    names = {name for _, _, name, _ in one.curves.of(0)}
    assert {"loss", "gradient_norm", "effective_active", "map_at_r"} <= names
    assert not names & {"valid", "active", "active_ratio", "greedy_share", "gradient_norm_per_active"}


def test_lifted_structure_is_the_paper_s_formula(batch):
    """Song 2016, eq. 4: 1/(2|P|) Σ over positive pairs of max(0, J)², J by all negatives of both rows."""
    z, labels = batch
    z = z.double().requires_grad_()
    d = torch.cdist(z, z)
    terms = []
    for i, j in itertools.combinations(range(len(z)), 2):
        if labels[i] == labels[j]:
            negatives = [1 - d[row, k] for row in (i, j) for k in range(len(z)) if labels[k] != labels[row]]
            terms.append((torch.logsumexp(torch.stack(negatives), 0) + d[i, j]).clamp_min(0) ** 2)
    expected = sum(terms) / (2 * len(terms))
    found = ForeignLoss("pml:LiftedStructureLoss")(z, labels)
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(loss, z)[0] for loss in (found, expected)]
    # Theirs normalises inside, so its gradient has no part along a vector.
    along = (slopes[1] * z).sum(-1, keepdim=True) * z
    torch.testing.assert_close(slopes[0], (slopes[1] - along).detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", ["pml:SupConLoss", "pml:LiftedStructureLoss"])
def test_a_foreign_run_has_a_record_like_any_other(digits, loss):
    one = population(digits, loss, 1, 2)
    record = train(one.runs, one.splits)[0]
    assert record.status == "complete"
    assert record.measures["test"]["recall_at_1"] > 0.5
    assert "active_ratio" not in record.measures["train"]
    assert np.isnan(record.measures["train"]["epochs_to_90"])
    assert record.provenance["foreign"] == f"pytorch_metric_learning=={pml.__version__}"
