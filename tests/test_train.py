"""The trainer: one member is a plain torch loop, a population its members alone, resumed is uninterrupted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.data import load
from losscope.measures import evaluate
from losscope.models.dense import LARGE, Parameters, dense
from losscope.pairs import normalise
from losscope.train import Population, measuring, train
from losscope.train.samplers import balanced


@pytest.fixture(scope="module")
def synthetic():
    return load("synthetic")


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def runs_of(loss: str, seeds: int, protocol: str = "matched", data: str = "digits", epochs: int = 2, **more):
    study = Study.of(data=data, losses=[loss], seeds=seeds, protocol=protocol, epochs=epochs, **more)
    return [run for run in study.expand("vectors") if not run.loss.baseline]


def population(source, runs):
    drawn = {run.seed: source.splits(run.seed) for run in runs}
    return Population(runs, [drawn[run.seed] for run in runs], torch.device("cpu"))


def test_one_member_is_what_a_plain_torch_loop_computes(synthetic):
    """The same batches through nn.Sequential and torch.optim.Adam give the same parameters."""
    runs = runs_of("triplet", 1, "paper", "synthetic")
    ours = population(synthetic, runs)
    network = torch.nn.Sequential(torch.nn.Linear(128, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32))
    with torch.no_grad():
        for layer, name in ((network[0], "0"), (network[2], "1")):
            layer.weight.copy_(ours.stack.network[f"{name}.weight"][0].T)
            layer.bias.copy_(ours.stack.network[f"{name}.bias"][0, 0])
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    twin = population(synthetic, runs)
    norms = []
    for step, (inputs, _) in enumerate(twin.batches.epoch(twin.embed)):
        z = torch.nn.functional.normalize(network(inputs[0]), dim=1)
        anchor, positive, negative = z.chunk(3)
        value = torch.relu((anchor - positive).norm(dim=1) - (anchor - negative).norm(dim=1) + 1.0).mean()
        optimiser.zero_grad()
        value.backward()
        norms.append(torch.cat([p.grad.flatten() for p in network.parameters()]).norm().item())
        optimiser.step()
        if step == 9:
            break
    for step, (inputs, relation) in enumerate(ours.batches.epoch(ours.embed)):
        ours.step(inputs, relation)
        if step == 9:
            break
    mine = [reading.norm.item() for readings in ours.instruments.readings.values() for reading in readings]
    np.testing.assert_allclose(mine, norms, rtol=1e-4)
    np.testing.assert_allclose(
        ours.stack.network["0.weight"][0].detach().T, network[0].weight.detach(), rtol=2e-3, atol=2e-6
    )


@pytest.mark.parametrize(
    ("loss", "protocol"), [("triplet", "paper"), ("contrastive", "paper"), ("triplet", "matched")]
)
def test_a_members_numbers_are_bitwise_those_of_training_it_alone(synthetic, loss, protocol):
    every = runs_of(loss, 10, protocol, "synthetic")
    whole = population(synthetic, every)
    whole.run_epoch()
    whole.run_epoch()
    for members in ([0], [3, 9], [2, 5, 6, 7]):
        part = population(synthetic, [every[member] for member in members])
        part.run_epoch()
        part.run_epoch()
        for place, member in enumerate(members):
            assert torch.equal(part.stack.flat[place], whole.stack.flat[member])
            assert part.curves.of(place) == whole.curves.of(member)


def test_a_population_sweeps_margins_and_rates_as_if_each_were_alone(digits):
    every = [
        runs_of(f"triplet(margin={margin}, learning_rate={rate})", 1)[0]
        for margin in (0.05, 0.2)
        for rate in (1e-3, 1e-4)
    ]
    whole = population(digits, every)
    whole.run_epoch()
    for member, run in enumerate(every):
        alone = population(digits, [run])
        alone.run_epoch()
        assert torch.equal(alone.stack.flat[0], whole.stack.flat[member])


def with_a_broken_second(source, runs):
    """A population whose second member breaks in the first epoch, and one where none does, both trained."""
    broken, sound = population(source, runs), population(source, runs)
    with torch.no_grad():
        broken.stack.network["0.weight"][1, 0, 0] = torch.nan
    broken.run_epoch()
    sound.run_epoch()
    assert broken.reasons[0] is None
    assert "not finite in epoch 1" in (broken.reasons[1] or "")
    assert torch.equal(broken.stack.flat[0], sound.stack.flat[0])
    return broken, sound


@pytest.fixture(scope="module")
def wide():
    """Vectors wide enough for a layer whose weight counts as large."""
    return load("synthetic", dimensions=600, points=30)


def margins_of(margins, seeds, purpose):
    """Runs of triplet at each margin, seed by seed."""
    runs = [
        run for margin in margins for run in runs_of(f"triplet(margin={margin})", seeds, data="synthetic")
    ]
    return [run.model_copy(update={"purpose": purpose}) for run in sorted(runs, key=lambda run: run.seed)]


@pytest.mark.parametrize("purpose", ["final", "trial"])
def test_large_members_that_share_batches_are_bitwise_themselves_alone(wide, purpose):
    every = margins_of((0.05, 0.2, 0.7), 2, purpose)
    whole = population(wide, every)
    assert whole.batches.share == 3
    assert whole.stack.network["0.weight"][0].numel() >= LARGE
    inputs, relation = next(whole.batches.epoch(whole.embed))
    assert len(inputs) == 2
    assert len(relation.labels) == 6
    whole = population(wide, every)
    whole.run_epoch()
    whole.run_epoch()
    for member in (0, 2, 4):
        alone = population(wide, [every[member]])
        alone.run_epoch()
        alone.run_epoch()
        assert torch.equal(alone.stack.flat[0], whole.stack.flat[member])
        assert alone.curves.of(0) == whole.curves.of(member)


@pytest.mark.parametrize("purpose", ["final", "trial"])
def test_layers_of_odd_widths_are_bitwise_themselves_alone(purpose):
    """Members whose matrices would not start on cache lines side by side."""
    source = load("synthetic", dimensions=13, points=30)
    study = Study.of(
        data="synthetic",
        losses=["triplet(margin=0.1)", "triplet(margin=0.4)"],
        seeds=2,
        epochs=2,
        embedding_size=5,
    )
    runs = [run for run in study.expand("vectors") if not run.loss.baseline]
    every = [run.model_copy(update={"purpose": purpose}) for run in sorted(runs, key=lambda run: run.seed)]
    whole = population(source, every)
    whole.run_epoch()
    for member, run in enumerate(every):
        alone = population(source, [run])
        alone.run_epoch()
        assert torch.equal(alone.stack.flat[0], whole.stack.flat[member])
        assert alone.curves.of(0) == whole.curves.of(member)


def test_convolutional_members_are_bitwise_themselves_alone(tmp_path):
    draw = np.random.default_rng(0)
    images = draw.integers(0, 255, (120, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "pictures.npz", images=images, labels=np.arange(120) % 4)
    source = load(str(tmp_path / "pictures.npz"))
    study = Study.of(data="pictures", losses=["contrastive"], seeds=2, epochs=1, batch_size=16)
    every = [run for run in study.expand("images") if not run.loss.baseline]
    whole = population(source, every)
    whole.run_epoch()
    for member, run in enumerate(every):
        alone = population(source, [run])
        alone.run_epoch()
        assert torch.equal(alone.stack.flat[0], whole.stack.flat[member])


def test_a_trial_that_breaks_is_frozen_and_the_others_go_on_unchanged(wide):
    with_a_broken_second(wide, margins_of((0.1, 0.5), 1, "trial"))


def test_members_that_draw_their_own_tuples_share_nothing(digits):
    every = [runs_of(f"triplet(margin={margin}, tuples='semihard')", 1)[0] for margin in (0.1, 0.2)]
    assert population(digits, every).batches.share == 1


def test_a_shared_layer_has_the_gradients_of_one_with_copies():
    draw = torch.Generator().manual_seed(0)
    shapes = (2, 5, 7), (6, 7, 3), (6, 1, 3)
    x, weight, bias = (
        torch.randn(shape, generator=draw, dtype=torch.float64, requires_grad=True) for shape in shapes
    )

    def layer(x, weight, bias):
        return dense(x, {"0.weight": weight, "0.bias": bias}, "0")

    assert torch.autograd.gradcheck(layer, (x, weight, bias))
    copied = torch.baddbmm(bias, x.repeat_interleave(3, 0), weight)
    torch.testing.assert_close(layer(x, weight, bias), copied)


@pytest.mark.parametrize("shape", [(6, 7, 300, 300)])
def test_a_layers_gradients_are_written_into_their_slots(shape):
    members, rows, wide, narrow = shape
    draw = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(size, generator=draw, requires_grad=True)
        for size in ((members, rows, wide), (members, wide, narrow), (members, 1, narrow))
    )
    slot = torch.full_like(weight, torch.nan)
    values = {"0.weight": weight, "0.bias": bias}
    found = torch.autograd.grad(dense(x, Parameters(values, {"0.weight": slot}), "0").square().sum(), weight)
    expected = torch.autograd.grad(torch.baddbmm(bias, x, weight).square().sum(), weight)
    assert found[0].data_ptr() == slot.data_ptr()
    torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-2)


def test_rows_that_several_seeds_draw_are_pooled_once(digits):
    seeds = runs_of("contrastive", 3)
    batches = population(digits, seeds).batches
    trains = [digits.splits(run.seed).train for run in seeds]
    assert len(batches.pool) == len(np.unique(np.concatenate([part.rows for part in trains])))
    for member, part in enumerate(trains):
        pooled = batches.pool.rows[batches.pool.places[member]].numpy()
        np.testing.assert_array_equal(pooled, part.inputs)


def test_all_losses_of_a_seed_start_alike_and_see_the_same_batches(digits):
    first = population(digits, runs_of("triplet", 2))
    second = population(digits, runs_of("contrastive", 2))
    assert torch.equal(first.stack.flat, second.stack.flat)
    for (one, _), (other, _) in zip(
        first.batches.epoch(first.embed),
        second.batches.epoch(second.embed),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_a_checkpointed_population_goes_on_as_if_uninterrupted(digits, tmp_path):
    runs = runs_of("triplet", 2, epochs=4, tuples="random")
    whole = population(digits, runs)
    for _ in range(4):
        whole.run_epoch()
    half = population(digits, runs)
    half.run_epoch()
    half.run_epoch()
    torch.save(half.state(), tmp_path / "state.pt")
    rest = population(digits, runs)
    rest.load(torch.load(tmp_path / "state.pt", weights_only=True))
    rest.run_epoch()
    rest.run_epoch()
    assert torch.equal(rest.stack.flat, whole.stack.flat)
    assert rest.curves.of(1) == whole.curves.of(1)


def test_a_member_that_breaks_is_frozen_and_the_others_go_on_unchanged(digits):
    broken, sound = with_a_broken_second(digits, runs_of("triplet", 3, epochs=1))
    assert torch.equal(broken.stack.flat[2], sound.stack.flat[2])
    assert broken.curves.of(0) == sound.curves.of(0)


def test_records_hold_measures_traces_and_what_is_kept(digits):
    runs = runs_of("contrastive", 2, epochs=3)
    splits = [digits.splits(run.seed) for run in runs]
    seen = []
    records = train(runs, splits, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    record = records[0]
    assert record.status == "complete"
    assert 0.5 < record.measures["test"]["recall_at_1"] <= 1
    for name in (
        "active_ratio",
        "gradient_norm",
        "update_norm",
        "greedy_share",
        "effective_active",
        "epochs_to_90_excess",
    ):
        assert name in record.measures["train"], name
    names = {name for _, _, name, _ in record.trace}
    assert {"loss", "active_ratio", "gradient_norm", "hard_share", "map_at_r"} <= names
    assert record.embeddings is not None
    assert record.weights is not None
    assert record.weights["0.weight"].shape == (64, 256)
    assert record.epochs is None
    assert train(runs[:1], splits[:1], keep="none")[0].weights is None


def test_keep_all_keeps_the_weights_after_every_epoch_and_through_a_checkpoint(digits, tmp_path):
    runs = runs_of("contrastive", 2, epochs=3)
    splits = [digits.splits(run.seed) for run in runs]
    started = Population(runs, splits, torch.device("cpu"), "all")
    started.run_epoch()
    torch.save(started.state(), tmp_path / "state.pt")
    records = train(runs, splits, keep="all", checkpoint=tmp_path / "state.pt")
    for record, whole in zip(records, train(runs, splits, keep="all"), strict=True):
        assert record.epochs is not None
        assert record.epochs["0.weight"].shape == (3, 64, 256)
        for name, values in record.epochs.items():
            np.testing.assert_array_equal(values[-1], record.weights[name])
            np.testing.assert_array_equal(values, whole.epochs[name])
        assert not np.array_equal(record.epochs["0.weight"][0], record.epochs["0.weight"][1])


def test_raw_rows_of_unseen_classes_are_measured_once_for_all_seeds(digits, monkeypatch):
    study = Study.of(data="digits", seeds=3)
    runs = [run for run in study.expand("vectors") if run.loss.name == "raw"]
    splits = [digits.splits(run.seed) for run in runs]
    unseen = [replace(split, facts=replace(split.facts, disjoint=True)) for split in splits]
    alone = train(runs[2:], unseen[2:])[0]
    seen = []
    monkeypatch.setattr(measuring, "evaluate", lambda *a, **k: seen.append(1) or evaluate(*a, **k))
    records = train(runs, unseen)
    assert len(seen) == 1
    assert [record.run.seed for record in records] == [0, 1, 2]
    assert records[2].measures["test"] == pytest.approx(alone.measures["test"], nan_ok=True)
    train(runs, splits)
    assert len(seen) == 4, "with training rows as neighbours each seed is measured"


def test_baselines_are_measured_without_training(digits):
    study = Study.of(data="digits", seeds=1)
    by_name = {run.loss.name: run for run in study.expand("vectors")}
    splits = digits.splits(0)
    raw = train([by_name["raw"]], [splits])[0]
    untrained = train([by_name["untrained"]], [splits])[0]
    assert raw.trace == untrained.trace == []
    assert raw.embeddings is not None
    expected = splits.test.inputs / np.linalg.norm(splits.test.inputs, axis=1, keepdims=True)
    np.testing.assert_allclose(raw.embeddings["embeddings"], expected, rtol=1e-5, atol=1e-6)
    start = population(digits, runs_of("triplet", 1))
    with torch.no_grad():
        z = normalise(
            start.architecture.forward(start.stack.network, torch.from_numpy(splits.test.inputs)[None])
        )[0]
    np.testing.assert_allclose(untrained.embeddings["embeddings"], z, rtol=1e-4, atol=1e-5)


def test_a_batch_larger_than_the_data_is_refused(digits):
    with pytest.raises(LosscopeError, match="batch size is 5000"):
        population(digits, runs_of("triplet", 1, batch_size=5000))


def test_a_batch_too_small_for_a_pair_is_refused(digits):
    with pytest.raises(LosscopeError, match="leave 1 rows a class"):
        population(digits, runs_of("triplet", 1, batch_size=10))


def test_balanced_batches_hold_p_classes_of_k_and_go_through_a_class_before_repeating():
    labels = np.repeat(np.arange(6), [3, 8, 8, 8, 8, 40])
    rows = balanced(labels, 20, 4, 4, np.random.default_rng(0)).reshape(20, 16)
    for batch in rows:
        assert np.bincount(labels[batch]).max() == 4
        # A row of another class stands where the class of three rows has no fourth.
        assert len(np.unique(labels[batch])) == 4 + (0 in labels[batch])
        assert len(set(batch.tolist())) == 16
    big = [row for batch in rows if (labels[batch] == 5).sum() == 4 for row in batch if labels[row] == 5][:40]
    assert len(set(big)) == len(big)


@pytest.mark.parametrize("tuples", ["random", "hard", "semihard"])
@pytest.mark.parametrize("loss", ["triplet", "contrastive"])
def test_every_way_of_choosing_tuples_trains(digits, loss, tuples):
    runs = runs_of(loss, 2, epochs=1, tuples=tuples)
    trained = population(digits, runs)
    trained.run_epoch()
    assert trained.reasons == [None, None]
    assert {name: v for _, _, name, v in trained.curves.of(0)}["loss"] > 0


@pytest.mark.parametrize(
    ("loss", "file"),
    [("contrastive", "pairs"), ("triplet", "triplets"), ("contrastive", "triplets"), ("info_nce", "pairs")],
)
def test_explicit_pairs_and_triplets_train(tmp_path, loss, file):
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 40)
    features = np.eye(4, 16)[labels] * 3 + generator.normal(size=(160, 16))
    np.savez(tmp_path / "mine.npz", features=features, labels=labels)
    anchor = np.arange(160)
    positive = (anchor // 40) * 40 + generator.integers(0, 40, 160)
    negative = (anchor + 40 * generator.integers(1, 4, 160)) % 160
    if file == "pairs":
        rows = [(i, j, 1) for i, j in zip(anchor, positive) if i != j] + [
            (i, j, 0) for i, j in zip(anchor, negative)
        ]
        text = "i,j,same\n" + "\n".join(",".join(map(str, row)) for row in rows)
    else:
        rows = [row for row in zip(anchor, positive, negative) if row[0] != row[1]]
        text = "anchor,positive,negative\n" + "\n".join(",".join(map(str, row)) for row in rows)
    (tmp_path / f"{file}.csv").write_text(text)
    source = load(str(tmp_path / "mine.npz"), **{file: str(tmp_path / f"{file}.csv")})
    study = Study.of(data="mine", losses=[loss], seeds=2, epochs=25)
    runs = [run for run in study.expand("features") if not run.loss.baseline]
    trained = population(source, runs)
    for _ in range(25):
        trained.run_epoch()
    losses = trained.curves.curve(0, "loss")
    assert losses[-1] < losses[0]
