"""A probe in transformers' ``Trainer`` and sentence-transformers': nothing changes, and all is recorded."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import pytest
import torch
from torch import nn

import losscope
import text_fixture
from losscope.core.errors import LosscopeError

transformers = pytest.importorskip("transformers", reason="losscope[hf] is not installed")
pytest.importorskip("accelerate", reason="transformers' Trainer needs it")

pytestmark = pytest.mark.filterwarnings("ignore")  # of the frameworks, about each other and torch

ROWS, BATCHES = 8, 6
VECTORS = torch.randn(ROWS * BATCHES, 6, generator=torch.Generator().manual_seed(0))
ITEMS = [{"x": row, "labels": number % 4} for number, row in enumerate(VECTORS)]
OFF = {
    "use_cpu": True,
    "disable_tqdm": True,
    "report_to": [],
    "save_strategy": "no",
    "logging_strategy": "no",
}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.other = nn.Linear(6, 8), nn.Linear(8, 8)

    def forward(self, x):
        unused = self.other(self.layer(x).detach())
        return {
            "unused": unused,
            "embeddings": nn.functional.normalize(first := self.layer(x)),
            "first": first,
        }


class WithLoss(Net):
    def __init__(self) -> None:
        super().__init__()
        self.criterion = losscope.loss("arcface", num_classes=4, embedding_size=8)

    def forward(self, x, labels):
        return {"loss": self.criterion(super().forward(x)["embeddings"], labels)}


def mean_pull(outputs, labels, num_items_in_batch=None):
    z = outputs["embeddings"]
    same = labels[:, None] == labels
    return torch.where(same, 1.0, -1.0).mul(torch.cdist(z, z)).mean()


class Criterion:
    """A loss that is held by the object whose method is the trainer's function."""

    def __init__(self) -> None:
        self.triplet = losscope.loss("triplet(margin=0.2)")

    def compute(self, outputs, labels, num_items_in_batch=None):
        return self.triplet(outputs["embeddings"], labels)


def trainer(folder, model, function=None, kind=None, **more):
    args = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=ROWS,
        num_train_epochs=2,
        label_names=["labels"],
        learning_rate=0.01,
        **{**OFF, **more},
    )
    kind = kind or transformers.Trainer
    return kind(model=model, args=args, train_dataset=ITEMS, compute_loss_func=function)


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("function", [mean_pull, Criterion().compute, partial(Criterion().compute)])
@pytest.mark.parametrize("settings", [{"gradient_accumulation_steps": 2}, {"bf16": True}])
def test_a_function_of_the_trainer_is_bitwise_the_same(tmp_path, function, settings):
    alone, probed = Net(), Net()
    trainer(tmp_path, alone, function, **settings).train()
    with losscope.probing(fit := trainer(tmp_path, probed, function, **settings), every=2) as watched:
        fit.train()
    assert equal(alone, probed) and fit.compute_loss_func is function
    found = watched.probes[""].record()
    assert found.closed and found.steps == 2 * BATCHES
    parts = settings.get("gradient_accumulation_steps", 1)
    assert found.curve("update_norm")[0] == list(range(parts, 2 * BATCHES + 1, parts))
    # With a function of the user's, transformers leaves the division by the number of parts to it.
    assert set(found.curve("loss_factor")[1]) == {1.0}
    # One of three outputs is the loss's: not that which leads to it, nor that which it never sees.
    assert set(found.curve("rows")[1]) == {ROWS}
    assert found.curve("embedding_norm")[1] == pytest.approx([1.0] * 2 * BATCHES, abs=1e-2)
    assert min(found.curve("rows_with_positive")[1]) > 0.5
    assert ("active_ratio" in set(found.frame()["name"])) == (function is not mean_pull)
    assert found.frame().query("name == 'loss'")["epoch"].tolist() == [1] * BATCHES + [2] * BATCHES


def test_the_loss_of_a_model_has_its_factor_and_its_checkpoint(tmp_path):
    alone, probed = WithLoss(), WithLoss()
    settings = {"gradient_accumulation_steps": 2}
    trainer(tmp_path / "alone", alone, **settings).train()
    with losscope.probing(
        fit := trainer(tmp_path, probed, **{**settings, "save_strategy": "epoch"}), out=tmp_path / "runs"
    ) as watched:
        fit.train()
    assert equal(alone, probed)
    found = losscope.load_probe(tmp_path / "runs")
    assert found.rows == watched.probes[""].record().rows
    assert set(found.curve("loss_factor")[1]) == {0.5}
    assert found.curve("update_norm")[0] == [2, 4, 6, 8, 10, 12]
    saved = next(tmp_path.glob("checkpoint-*"))
    from safetensors.torch import load_file

    assert set(load_file(saved / "model.safetensors")) == set(WithLoss().state_dict())
    with losscope.probing(fit := trainer(tmp_path, WithLoss(), **settings)) as watched:
        fit.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert watched.probes[""].record().curve("loss")[0] == [7, 8, 9, 10, 11, 12]
    assert set(watched.probes[""].record().frame()["epoch"]) == {2}


def test_the_loss_function_of_a_model_of_transformers_is_found_by_its_name(tmp_path):
    config = transformers.ViTConfig(
        image_size=4, patch_size=2, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, num_labels=4
    )

    def fit():
        torch.manual_seed(0)
        made = trainer(tmp_path, transformers.ViTForImageClassification(config))
        pixels = torch.randn(2 * ROWS, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        made.train_dataset = [{"pixel_values": x, "labels": number % 4} for number, x in enumerate(pixels)]
        return made

    (alone := fit()).train()
    before = (probed := fit()).model.loss_function
    with losscope.probing(probed, loss="loss_function") as watched:
        probed.train()
    assert equal(alone.model, probed.model) and probed.model.loss_function is before
    found = watched.probes[""].record()
    assert found.steps == 4 and set(found.curve("rows")[1]) == {ROWS}


def test_a_scaler_in_a_loop_with_a_fused_optimiser():
    """A fused optimiser is given scaled gradients, and skips a step that overflows by itself."""
    torch.manual_seed(0)
    layer, loss = nn.Linear(6, 8), losscope.loss("triplet(margin=0.2)")
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.01, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    probe = losscope.Probe(loss, model=layer)
    norms = []
    for step in range(4):
        value = probe(layer(VECTORS[:ROWS]), torch.arange(ROWS) % 4)
        optimiser.zero_grad()
        scaler.scale(value * (float("inf") if step == 2 else 1.0)).backward()
        scale = scaler.get_scale()
        norms.append(float(torch.stack([part.grad.norm() for part in layer.parameters()]).norm()) / scale)
        scaler.step(optimiser)
        scaler.update()
    steps, found = probe.record().curve("parameter_gradient_norm")
    assert steps == [1, 2, 4]
    assert found == pytest.approx([norms[0], norms[1], norms[3]], rel=1e-5)


def test_an_exception_closes_the_record_and_gives_the_function_back(tmp_path):
    calls = []

    def falling(outputs, labels, num_items_in_batch=None):
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("no memory left")
        return mean_pull(outputs, labels)

    fit = trainer(tmp_path, Net(), falling)
    with pytest.raises(RuntimeError, match="no memory left"), losscope.probing(fit, out=tmp_path / "runs"):
        fit.train()
    found = losscope.load_probe(tmp_path / "runs")
    assert found.closed and found.steps == 3 and found.mark.name == "falling"
    assert fit.compute_loss_func is falling
    assert not any(type(callback).__name__ == "TrainerProbe" for callback in fit.callback_handler.callbacks)


def test_a_callback_and_a_subclass_with_a_loss_of_its_own(tmp_path):
    from losscope.probe.callbacks import TrainerProbe

    class Own(transformers.Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            return self.criterion(model(inputs["x"])["embeddings"], inputs["labels"])

    fit = trainer(tmp_path, Net(), kind=Own)
    fit.criterion = losscope.loss("triplet(margin=0.2)")
    fit.add_callback(callback := TrainerProbe(fit, every=2))
    fit.train()
    first = callback.probes[""].record()
    assert first.closed and first.steps == 2 * BATCHES and "forward" not in vars(fit.criterion)
    fit.train()
    assert callback.probes[""].record().mark.id != first.mark.id
    assert callback.probes[""].record().steps == 2 * BATCHES


def test_a_function_that_makes_the_embeddings_calls_a_probe_inside(tmp_path, caplog):
    probe = losscope.Probe(mean_pull)

    def pooled(outputs, labels, num_items_in_batch=None):
        z = outputs["embeddings"][:, None].expand(-1, 3, -1).mean(1)
        return probe({"embeddings": z}, labels)

    with losscope.probing(fit := trainer(tmp_path, Net(), pooled), loss=probe):
        fit.train()
    found = probe.record()
    assert found.closed and found.steps == 2 * BATCHES and set(found.frame()["epoch"]) == {1, 2}
    assert len(found.curve("embedding_gradient_norm")[0]) == len(found.curve("update_norm")[0]) == 2 * BATCHES


def test_a_loss_that_sees_no_embeddings_says_so_once(tmp_path, caplog):
    class Deep(Net):
        def forward(self, x):
            return {"hidden": self.layer(x)[:, None], "pooled": self.other(self.layer(x))}

    def deep(outputs, labels, num_items_in_batch=None):
        return outputs["hidden"][:, 0].square().mean()

    with losscope.probing(fit := trainer(tmp_path, Deep(), deep)) as watched:
        fit.train()
    found = watched.probes[""].record()
    assert "rows" not in set(found.frame()["name"]) and len(found.curve("loss")[0]) == 2 * BATCHES
    assert caplog.text.count("was given no embeddings") == 1


def test_bad_input_is_one_sentence(tmp_path):
    with pytest.raises(LosscopeError, match="is no trainer; wanted"), losscope.probing(Net()):
        pass
    with pytest.raises(LosscopeError, match="loss is 3; wanted"), losscope.probing(Net(), loss=3):
        pass
    with pytest.raises(LosscopeError, match="every is 0"), losscope.probing(Net(), every=0):
        pass
    probe = losscope.Probe(mean_pull)
    with pytest.raises(LosscopeError, match="give them to it"), losscope.probing(Net(), loss=probe, name="x"):
        pass
    fit = trainer(tmp_path, Net())
    said = "Trainer and Net: there is no loss that is known as one"
    with losscope.probing(fit), pytest.raises(LosscopeError, match=said):
        fit.train()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda loss: pickle.loads(pickle.dumps(loss))])
def test_a_copy_of_a_loss_that_a_probe_is_on_is_the_loss_alone(again):
    loss = losscope.loss("arcface", num_classes=4, embedding_size=6)
    detach = (probe := losscope.Probe(loss)).attach()
    z = VECTORS[:ROWS].clone().requires_grad_()
    value, labels = loss(z, torch.arange(ROWS) % 4), torch.arange(ROWS) % 4
    other = again(loss)
    with torch.no_grad():
        loss.class_vectors.add_(1.0)
    assert torch.equal(other(z, labels), value) and probe.record().steps == 1
    detach()
    loss(z, labels)
    assert probe.record().steps == 1 and "forward" not in vars(loss)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    pytest.importorskip("sentence_transformers", reason="losscope[peers] is not installed")
    pytest.importorskip("datasets")
    return text_fixture.encoder(tmp_path_factory.mktemp("encoder") / "bert")


def sentences(encoder, folder, made, data, **more):
    """sentence-transformers' trainer of a new model and the losses that are made for it."""
    import sentence_transformers as st

    torch.manual_seed(0)
    model = st.SentenceTransformer(str(encoder), device="cpu")
    args = st.SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=ROWS,
        learning_rate=1e-3,
        **OFF,
        **more,
    )
    return st.SentenceTransformerTrainer(model=model, args=args, train_dataset=data, loss=made(model))


def singles():
    from datasets import Dataset

    texts, topics = text_fixture.sentences(32)
    return Dataset.from_dict({"sentence": texts, "label": [sorted(set(topics)).index(t) for t in topics]})


def pairs():
    from datasets import Dataset

    texts, _ = text_fixture.sentences(32)
    return Dataset.from_dict({"anchor": texts[:16], "positive": texts[16:]})


def test_a_loss_of_sentence_transformers_is_bitwise_the_same(encoder, tmp_path, monkeypatch):
    from sentence_transformers.sentence_transformer.losses import BatchAllTripletLoss

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    settings = {"gradient_accumulation_steps": 2}
    alone = sentences(encoder, tmp_path, BatchAllTripletLoss, singles(), **settings)
    alone.train()
    probed = sentences(encoder, tmp_path, BatchAllTripletLoss, singles(), **settings)
    with losscope.probing(probed) as watched:
        probed.train()
    assert equal(alone.model, probed.model) and type(probed.loss) is BatchAllTripletLoss
    found = watched.probes[""].record()
    assert found.curve("update_norm")[0] == [2, 4] and set(found.curve("loss_factor")[1]) == {0.5}
    assert set(found.curve("rows")[1]) == {ROWS} and min(found.curve("rows_with_positive")[1]) > 0
    assert min(found.curve("embedding_gradient_norm")[1]) > 0


def test_a_dictionary_of_losses_has_a_record_each(encoder, tmp_path, monkeypatch):
    from sentence_transformers.sentence_transformer import losses

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def made(model):
        return {
            "topics": losses.BatchAllTripletLoss(model),
            "pairs": losses.MultipleNegativesRankingLoss(model),
        }

    data = {"topics": singles(), "pairs": pairs()}
    alone = sentences(encoder, tmp_path, made, data)
    alone.train()
    probed = sentences(encoder, tmp_path, made, data)
    with losscope.probing(probed, out=tmp_path / "runs", name="both") as watched:
        probed.train()
    assert equal(alone.model, probed.model) and set(watched.probes) == {"topics", "pairs"}
    for name, steps in (("topics", 4), ("pairs", 2)):
        found = losscope.load_probe(tmp_path / "runs", f"both, {name}")
        assert found.closed and found.steps == steps
        # Each step of the optimiser is in the record of the loss that it came from, and in no other.
        assert found.curve("update_norm")[0] == found.curve("loss")[0] == list(range(1, steps + 1))

    def shared(model):
        return dict.fromkeys(("first", "second"), losses.MultipleNegativesRankingLoss(model))

    both = sentences(encoder, tmp_path, shared, {"first": pairs(), "second": pairs()})
    with losscope.probing(both) as watched:
        both.train()
    assert watched.probes["first and second"].record().steps == 4


def test_a_loss_in_parts_is_their_sum_and_one_in_chunks_its_value(encoder, tmp_path, monkeypatch, caplog):
    from sentence_transformers.sentence_transformer import losses

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    parts = sentences(encoder, tmp_path, losses.GlobalOrthogonalRegularizationLoss, pairs())
    with losscope.probing(parts) as watched:
        parts.train()
    found = watched.probes[""].record()
    assert set(found.curve("rows")[1]) == {2 * ROWS} and min(found.curve("embedding_gradient_norm")[1]) > 0
    assert "no embeddings" not in caplog.text
    chunks = sentences(encoder, tmp_path, losses.CachedMultipleNegativesRankingLoss, pairs())
    with losscope.probing(chunks) as watched:
        chunks.train()
    found = watched.probes[""].record()
    assert len(found.curve("loss")[0]) == len(found.curve("update_norm")[0]) == 2
    assert caplog.text.count("was given no embeddings") == 1
