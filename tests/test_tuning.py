"""Tuning: the same budget for every loss, an optimum that is found, numbers that mean what they say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

import losscope
from losscope.comparing import candidates, halving, tuning
from losscope.core.errors import LosscopeError
from losscope.core.loss_spec import LossSpec
from losscope.core.results import Trial
from losscope.core.spec import DataSpec, Run, Study, protocol
from losscope.data import Part, Splits, load
from losscope.pairs import normalise
from losscope.train import Population, train
from losscope.train.closed import fit, sample_of
from losscope.train.optimiser import Adam, Stack
from losscope.train.pool import inputs_of
from losscope.train.transforms import Transform, transformed

CPU = torch.device("cpu")
LOSSES = ["contrastive", "triplet", "arcface", "pml:TripletMarginLoss(margin=0.1)"]


def features(folder, rows=12, classes=12, dimensions=16, seed=0):
    """A file of features whose classes differ in few directions, within noise of other ones."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), rows)
    noise = draw.normal(size=(len(labels), dimensions)) * np.linspace(3, 0.3, dimensions)
    values = draw.normal(size=(classes, dimensions))[labels] + noise + 1.0
    path = folder / "features.npz"
    np.savez(path, features=values.astype(np.float32), labels=labels)
    return str(path)


# --- candidates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("count", [3, 9, 18])
def test_candidates_are_as_many_for_every_loss_all_different_and_balanced(loss, count):
    found = candidates.candidates(LossSpec.parse(loss), "matched", count)
    assert len(found) == count == len({spec.canonical() for spec in found})
    times = Counter(spec.learning_rate for spec in found).values()
    assert max(times) - min(times) <= 1 and (count < 6 or len(times) == 6)
    for spec in found:
        spec.check()
    assert found == candidates.candidates(LossSpec.parse(loss), "matched", count)


def test_what_was_given_by_hand_is_not_varied():
    given = LossSpec.parse("triplet(margin=0.35, learning_rate=0.002)")
    found = candidates.candidates(given, "matched", 18)
    assert {spec.hyperparameters["margin"] for spec in found} == {0.35}
    assert {spec.learning_rate for spec in found} == {0.002}
    assert len(found) == len(candidates.DECAYS), "a space of fewer settings is taken whole"


def test_class_vectors_have_a_rate_of_their_own_and_other_losses_none():
    found = candidates.candidates(LossSpec.parse("arcface"), "matched", 18)
    ratios = {round(spec.class_rate / spec.learning_rate, 6) for spec in found}
    assert ratios == {1.0, 10.0, 100.0}
    with pytest.raises(LosscopeError, match="class_rate is the learning rate of class vectors"):
        LossSpec.parse("triplet(class_rate=0.1)")


@pytest.mark.parametrize(("margin", "upper"), [(0.05, False), (1.0, True), (0.2, None)])
def test_an_edge_is_an_end_of_what_was_tried_and_beyond_it_is_farther(margin, upper):
    tried = candidates.candidates(LossSpec.parse("triplet(learning_rate=0.001)"), "matched", 18)
    tried = [
        spec.model_copy(update={"hyperparameters": {"margin": value, "squared": False}})
        for spec, value in zip([tried[0]] * 6, (0.05, 0.1, 0.2, 0.4, 0.7, 1.0), strict=True)
    ]
    chosen = next(spec for spec in tried if spec.hyperparameters["margin"] == margin)
    found = candidates.edges(tried, chosen)
    assert found == ([] if upper is None else [("margin", margin, upper)])
    wider = [spec.hyperparameters["margin"] for spec in candidates.beyond(tried, [chosen], 6)]
    assert len(wider) == {False: 2, True: 1, None: 0}[upper], "beyond 2 a margin cannot act"
    assert all(value > 1.0 if upper else value < 0.05 for value in wider)


# --- the walk --------------------------------------------------------------------------------------


def walk(study, score, trials=None):
    """Every stage's candidates, and what the search found, where ``score`` tells a candidate's quality."""
    going = halving.search(study, trials)
    asked, stages = next(going), []
    while True:
        stages.append(asked)
        scored = [
            Trial(hyperparameters={}, learning_rate=each.spec.learning_rate, score=score(each), second=0.0)
            for each in asked
        ]
        try:
            asked = going.send(scored)
        except StopIteration as ended:
            return stages, ended.value


def resolved(kind="vectors", **more):
    return Study.of(losses=["contrastive", "triplet"], **more).resolve(kind)


def nearness(each):
    """Best at a rate of 3e-4 and a margin of 0.2, without decay."""
    margin = each.spec.hyperparameters.get("margin", 0.2)
    rate = each.spec.learning_rate or 1e-3
    return -abs(np.log(margin / 0.2)) - abs(np.log10(rate / 3e-4)) - each.spec.weight_decay / 100


def stages_of(count):
    """The (candidates, share of the epochs, seeds) of a loss's stages, the search widened."""
    number, made = count + count // 3, []
    for share in halving.SHARES:
        made.append((number, share, halving.FIRST))
        number = max(min(halving.LAST, number), -(-number // 2))
    return [*made, (min(halving.LAST, number), 1.0, len(halving.SEEDS))]


def effort(study, count):
    """The most trainings of a whole run that tuning a loss costs, the search widened."""
    whole = sum(number * share * seeds for number, share, seeds in stages_of(count)[:-1])
    whole += halving.LAST * (len(halving.SEEDS) - halving.FIRST)
    starts = len(halving._starts(study, count)) * len(halving.START_RATES)
    return whole + starts * halving.SHARES[0] * halving.FIRST


def test_every_stage_keeps_half_and_every_loss_has_the_same_budget():
    stages, found = walk(resolved(), nearness)
    for stage in stages:
        assert len(set(Counter(each.label for each in stage).values())) == 1
        assert len({(each.protocol.epochs, each.seeds) for each in stage}) == 1
    sizes: dict[tuple[int, int], int] = {}
    for stage in stages:  # those of a wider search join the first stage
        key = stage[0].protocol.epochs, len(stage[0].seeds)
        sizes[key] = sizes.get(key, 0) + len(stage) // 2
    sizes = list(sizes.values())
    assert sizes[0] in (18, 24) and sizes[-1] == 3
    assert all(later * 2 >= earlier for earlier, later in zip(sizes[:-1], sizes[1:], strict=True))
    assert [stage[0].protocol.epochs for stage in stages][-3:] == [30, 60, 60]
    assert len(stages[-1][0].seeds) == 4
    spent = sum(each.protocol.epochs * len(each.seeds) for stage in stages[:-1] for each in stage) / 2
    spent += 3 * 60 * 2  # of the last, two seeds are trained already
    assert stages_of(halving.TRIALS) == [(24, 0.25, 2), (12, 0.5, 2), (6, 1.0, 2), (3, 1.0, 4)]
    assert spent <= 60 * effort(resolved(), halving.TRIALS) <= 2 * 24 * 60
    assert list(found.agreement.values()) == pytest.approx([1.0, 1.0])


def test_the_search_finds_a_planted_optimum():
    _, found = walk(resolved(), nearness)
    for label in ("contrastive", "triplet"):
        spec, _ = max(found.last[label], key=lambda pair: pair[1].score)
        every = candidates.candidates(LossSpec(name=label), "matched", 10_000)
        best = max(every, key=lambda spec: nearness(halving.Candidate("", spec, found.protocol, ())))
        assert abs(np.log10(spec.learning_rate / best.learning_rate)) <= 0.6
        assert 0.4 <= spec.hyperparameters["margin"] / best.hyperparameters["margin"] <= 2.5


def test_each_third_of_the_rates_survives_the_first_stage():
    stages, _ = walk(resolved(), lambda each: -(each.spec.learning_rate or 0.0))
    second = next(own for own in stages if own[0].protocol.epochs == 30)
    rates = sorted(
        {each.spec.learning_rate for stage in stages for each in stage if each.protocol.epochs == 15}
    )
    kept = {each.spec.learning_rate for each in second if each.label == "triplet"}
    assert all(kept & set(part) for part in np.array_split(rates, 3))


def test_an_optimum_at_the_edge_widens_the_search_of_every_loss_alike():
    def far(each):
        return np.log10(each.spec.learning_rate or 1e-3) * (each.label == "triplet")

    def inside(each):
        margin = each.spec.hyperparameters.get("margin") or 1.0
        return -abs(np.log10((each.spec.learning_rate or 1e-3) / 1e-4)) - abs(np.log(margin / 0.5))

    stages, found = walk(resolved(), far)
    assert found.widened and Counter(each.label for each in stages[1]) == {"contrastive": 6, "triplet": 6}
    assert max(spec.learning_rate for spec, _ in found.trials["triplet"]) > max(candidates.RATES)
    _, found = walk(Study.of(losses=["contrastive"]).resolve("vectors"), inside)
    assert not found.widened


def test_the_transform_and_the_start_are_chosen_before_the_losses_for_all_alike():
    def score(each):
        worth = {"l2": 0.0, "sqrt": 0.1, "standardise": 0.05}[each.protocol.transform]
        return worth + 0.2 * (each.protocol.start == "whitened")

    stages, found = walk(resolved("features"), score)
    assert {each.spec.name for each in stages[0]} == {"pca", "whitened"}
    assert (found.protocol.transform, found.protocol.start) == ("sqrt", "whitened")
    assert {each.protocol.transform for stage in stages[1:] for each in stage} == {"sqrt"}
    assert {each.protocol.start for stage in stages[2:] for each in stage} == {"whitened"}
    stages, found = walk(resolved("features", start="random", transform="l2"), score)
    assert len(stages[0]) == 36 and found.protocol.start == "random"


def test_a_loss_that_always_diverges_has_no_say_in_the_start():
    def score(each):
        if each.label == "contrastive" and each.spec.name == "contrastive":
            return None
        return 0.2 * (each.protocol.start == "whitened")

    _, found = walk(resolved("features", transform="l2"), score)
    assert found.protocol.start == "whitened"


def test_a_trial_without_a_score_is_never_chosen_and_neither_is_a_near_tie_by_chance():
    none = Trial(hyperparameters={})
    assert halving.best([none, none]) is None
    scores = [(0.5, 0.1, 5), (0.4990, 0.3, 9), (0.4989, 0.3, 2), (0.4, 0.9, 1)]
    trials = [Trial(hyperparameters={}, score=a, second=b, epoch=e) for a, b, e in scores]
    assert halving.best([none, *trials]) == 3, "near ties: the second measure, then the earlier epoch"


def test_the_epoch_is_the_best_of_the_mean_smoothed_curve_and_may_be_the_start():
    epochs = np.array([0, 1, 2, 4, 8])
    falling = np.array([[[0.6, 0.5, 0.4, 0.3, 0.2]] * 2, [[0.1] * 5] * 2])
    assert tuning.at_best(falling, epochs)[0] == 0
    peak = np.array([[[0.1, 0.2, 0.6, 0.2, 0.1], [0.1, 0.4, 0.6, 0.8, 0.1]], [[0.0] * 5] * 2])
    epoch, values = tuning.at_best(peak, epochs)
    assert epoch == 2 and values[0] == pytest.approx([1.0 / 3, 0.6])
    assert tuning.at_best(np.full((2, 2, 5), np.nan), epochs)[0] is None


def test_how_often_the_choice_would_change_is_counted_over_all_draws_of_seeds():
    draw = np.random.default_rng(1)
    values = draw.random((3, 4))
    trials = [
        Trial(hyperparameters={}, score=row.mean(), second=0.0, by_seed=tuple(row), second_by_seed=(0.0,) * 4)
        for row in values
    ]
    place = halving.best(trials)
    changed = 0
    for code in range(256):
        own = [code // 4**power % 4 for power in range(4)]
        again = [trial.model_copy(update={"score": row[own].mean()}) for trial, row in zip(trials, values)]
        changed += halving.best(again) != place
    assert tuning.unstable(trials, place) == changed / 256 > 0


# --- starts, transforms, decay ---------------------------------------------------------------------


def member(path, seed=0, loss="triplet", **more):
    source = load(path)
    numbers = {"embedding_size": 8, "epochs": 2, "batch_size": 48, **more}
    shape = protocol("matched", "features", **numbers)
    spec = LossSpec.parse(loss).resolved("matched")
    return Run(data=DataSpec(name=path), loss=spec, protocol=shape, seed=seed), source.splits(seed)


@pytest.mark.parametrize("transform", ["none", "l2", "sqrt", "standardise"])
def test_a_transform_is_that_of_the_training_part(tmp_path, transform):
    run, splits = member(features(tmp_path), transform=transform)
    (found,) = transformed([splits], run.protocol)
    rows = splits.train.inputs.astype(np.float64)
    expected = splits.test.inputs.astype(np.float64)
    if transform == "sqrt":
        expected = np.sign(expected) * np.sqrt(np.abs(expected))
    if transform == "standardise":
        expected = (expected - rows.mean(0)) / rows.std(0)
    if transform != "none":
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(inputs_of(found.test, found, CPU).numpy(), expected, atol=2e-6)


def test_a_dimension_that_does_not_vary_is_only_centred():
    rows = np.array([[1.0, 5.0], [3.0, 5.0]], np.float32)
    made = Transform.fitted("standardise", rows)
    assert torch.equal(made(torch.from_numpy(rows)), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))


@pytest.mark.parametrize("start", ["pca", "whitened"])
@pytest.mark.parametrize("size", [8, 16])
def test_a_head_starts_as_its_closed_form(tmp_path, start, size):
    run, splits = member(features(tmp_path), start=start, embedding_size=size)
    population = Population([run], [splits], CPU)
    own = population.splits[0]
    form = fit(run.model_copy(update={"loss": LossSpec(name=start)}), own, sample_of(run, own))
    inputs = inputs_of(own.test, own, CPU)
    assert torch.allclose(population.embed(inputs[None])[0], form.embed(inputs), atol=1e-5)
    weight = population.stack.network["0.weight"][0].detach()
    assert float(weight.norm()) == pytest.approx(np.sqrt(size), rel=1e-5)


def test_members_with_transforms_of_their_own_are_what_they_are_alone(tmp_path):
    path = features(tmp_path)
    made = [member(path, seed, transform="standardise") for seed in range(3)]
    runs, splits = [run for run, _ in made], [split for _, split in made]
    together = train(runs, splits, keep="last")
    for run, split, record in zip(runs, splits, together, strict=True):
        (alone,) = train([run], [split], keep="last")
        for name, weight in alone.weights.items():
            assert np.array_equal(weight, record.weights[name]), name


def test_the_chosen_epoch_0_is_measured_at_the_start(tmp_path):
    run, splits = member(features(tmp_path))
    start = run.model_copy(update={"loss": run.loss.model_copy(update={"checkpoint": 0})})
    form = run.model_copy(update={"loss": LossSpec(name="pca")})
    (stopped,), (closed,), (trained,) = (train([each], [splits]) for each in (start, form, run))
    for name in ("recall_at_1", "map_at_r"):
        assert stopped.measures["test"][name] == pytest.approx(closed.measures["test"][name], abs=1e-3)
    assert stopped.measures["train"]["loss"] == trained.measures["train"]["loss"], (
        "it is trained all the same"
    )
    assert not np.array_equal(stopped.weights["0.weight"], trained.weights["0.weight"])


def test_weight_decay_and_the_rate_of_class_vectors_are_what_naive_adam_does():
    draw = np.random.default_rng(0)
    network = [{"w": draw.normal(size=(2, 3)).astype(np.float32)} for _ in range(3)]
    extra = [{"v": draw.normal(size=(2, 2)).astype(np.float32)} for _ in range(3)]
    rates, decays, class_rates = [0.1, 0.1, 0.01], [0.0, 2.0, 5.0], [None, 0.5, 0.03]
    stack = Stack(network, extra, CPU)
    adam = Adam(stack, rates, decays, class_rates)
    steps = draw.normal(size=(6, 3, 10))
    for step in steps:
        for place in range(3):
            stack.views(stack.grad)["w"][place] = torch.from_numpy(step[place, :6].reshape(2, 3))
            stack.views(stack.grad)["v"][place] = torch.from_numpy(step[place, 6:].reshape(2, 2))
        adam.step(torch.ones(3), measured=False)
    for place in range(3):
        for name, part, rate, decay in (
            ("w", slice(6), rates[place], decays[place]),
            ("v", slice(6, 10), class_rates[place] or rates[place], 0.0),
        ):
            value = (network if name == "w" else extra)[place][name].astype(np.float64).ravel()
            start, mean, square = value.copy(), 0.0, 0.0
            for count, step in enumerate(steps[:, place, part], 1):
                value = value + rates[place] * decay * (start - value)
                mean, square = 0.9 * mean + 0.1 * step, 0.999 * square + 0.001 * step**2
                value = value - rate * (mean / (1 - 0.9**count)) / (
                    np.sqrt(square / (1 - 0.999**count)) + 1e-8
                )
            found = stack.views(stack.flat)[name][place].detach().numpy().ravel()
            assert np.allclose(found, value, atol=1e-5), (name, place)


def test_ids_of_runs_without_the_newer_numbers_are_what_they_were():
    run = Study.of(losses=["triplet"], protocol="paper").expand("vectors")[0]
    text = run.canonical()
    assert "weight_decay" not in text and "start" not in text and "transform" not in text
    other = run.model_copy(update={"loss": run.loss.model_copy(update={"weight_decay": 1.0})})
    assert "weight_decay" in other.canonical() and other.id("x") != run.id("x")


# --- whole studies ---------------------------------------------------------------------------------


def test_a_study_of_features_is_tuned_from_its_start_and_says_so(tmp_path):
    path = features(tmp_path)
    options = {"seeds": 2, "epochs": 4, "out": str(tmp_path / "out"), "engine": "here"}
    plan = losscope.comparing.foresee(Study.of(data=path, **options))
    result = losscope.compare(path, **options)
    for side in result.losses:
        assert side.tuned.start in ("pca", "whitened") and side.tuned.measure == "recall_at_1"
        assert side.tuned.transform in ("l2", "sqrt", "standardise")
        assert side.tuned.trials == len(side.trials) and side.tuned.unstable is not None
        assert side.spec.checkpoint == side.tuned.checkpoint
    assert result.losses[0].tuned.trials == result.losses[1].tuned.trials
    assert "untrained" not in [side.name for side in result.baselines], "it is a closed form"
    assert "head starts as" in result.page()
    again = losscope.comparing.foresee(Study.of(data=path, **options))
    assert again.tuning_runs == again.tuning_stored and again.stored == again.runs
    assert plan.tuning_stored == 0 and plan.tuning_runs >= 0.7 * again.tuning_runs
    assert losscope.compare(path, **options).losses == result.losses


def test_no_trial_touches_the_test_split(tmp_path, monkeypatch):
    path = features(tmp_path)
    study = Study.of(data=path, seeds=2, epochs=2, out=str(tmp_path / "out"), engine="here")
    from losscope.comparing.planning import plan as planned

    made = planned(study)
    original = type(made.source).splits

    def poisoned(self, seed):
        split = original(self, seed)
        if seed < tuning.SEEDS[0]:
            return split
        test = Part(np.full_like(split.test.inputs, np.nan), split.test.labels)
        return Splits(split.train, split.validation, test, split.facts)

    monkeypatch.setattr(type(made.source), "splits", poisoned)
    chosen = made.tuned().choices
    monkeypatch.undo()
    assert [choice.spec for choice in chosen] == [choice.spec for choice in made.tuned(train=False).choices]
    assert all(choice.tuned is not None for choice in chosen)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"embedding_size": 17}, "the embedding size is 17 and the inputs have 16 dimensions"),
        ({"start": "identity"}, "start is 'identity'"),
        ({"transform": "root"}, "transform is 'root'"),
    ],
)
def test_what_cannot_be_started_is_refused_before_anything_trains(tmp_path, more, said):
    with pytest.raises(LosscopeError, match=said):
        losscope.compare(features(tmp_path), seeds=2, epochs=1, out=str(tmp_path / "out"), **more)
    assert not (tmp_path / "out" / "runs").exists() or not list((tmp_path / "out" / "runs").iterdir())


def test_a_transform_is_for_vectors(tmp_path):
    path, draw = tmp_path / "pictures.npz", np.random.default_rng(0)
    images = draw.integers(0, 255, (120, 16, 16), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(120) % 3)
    with pytest.raises(LosscopeError, match="the transform 'l2' is for vectors and features"):
        losscope.compare(str(path), transform="l2", seeds=2, epochs=1, out=str(tmp_path))


def test_unit_rows_are_what_a_head_is_given(tmp_path):
    run, splits = member(features(tmp_path))
    population = Population([run], [splits], CPU)
    rows = population.batches.pool.gather(torch.zeros(1, 3, dtype=torch.int64))
    assert torch.allclose(rows, normalise(rows), atol=1e-6)


def test_a_loss_that_no_epoch_improved_is_said_to_have_stopped_at_its_start(tmp_path):
    losses = [
        "triplet(learning_rate=1e-9, weight_decay=1)",
        "contrastive(learning_rate=1e-9, weight_decay=1)",
    ]
    study = Study.of(
        data=features(tmp_path),
        losses=[loss.replace("(", "(margin=0.4, ") for loss in losses],
        **{"seeds": 2, "epochs": 2, "batch_size": 32, "start": "pca", "transform": "l2", "embedding_size": 8},
        out=str(tmp_path / "runs"),
    )
    result = losscope.comparing.run(study)
    assert [side.tuned.checkpoint for side in result.losses] == [0, 0]
    assert [(each.start, each.stopped) for each in result.settings] == [("pca", True)] * 2
    said = "stopped at its start, pca"
    assert " ".join(result.recommendation.sentences).count(f"{said}: training adds nothing") == 2
    assert result.page().count(f'<span class="flag quiet">{said}</span>') == 2
    for form in ("md", "latex"):
        assert result.table(form).count(f"{said}") >= 2
    assert "stopped at its" in str(result.table("text"))


# --- images ----------------------------------------------------------------------------------------


def test_networks_on_images_are_halved_from_six_settings():
    study = Study.of(losses=["contrastive", "triplet"], tune=True).resolve("images")
    stages, found = walk(study, nearness)
    counts = [Counter(each.label for each in stage)["triplet"] for stage in stages]
    assert counts[0] == halving.TRIALS_OF_IMAGES == 6 and counts[-1] == halving.LAST
    assert {each.protocol.epochs for each in stages[-1]} == {study.protocol.epochs}
    assert {each.protocol.start for stage in stages for each in stage} == {"random"}
    assert set(found.last) == {"contrastive", "triplet"}


def test_a_study_of_small_images_is_tuned(tmp_path):
    draw = np.random.default_rng(0)
    labels = np.arange(72) % 3
    pictures = draw.integers(0, 160, (72, 3, 16, 16))
    pictures[np.arange(72), labels] += 40
    np.savez(tmp_path / "images.npz", images=pictures.astype(np.uint8), labels=labels)
    result = losscope.compare(
        str(tmp_path / "images.npz"),
        losses="triplet",
        **{"tune": True, "seeds": 2, "epochs": 2, "batch_size": 12, "augment": ["flip"]},
        **{"closed_forms": False, "engine": "here", "out": str(tmp_path / "runs")},
    )
    (side,) = result.losses
    assert side.tuned is not None and side.tuned.start == "random"
    whole = [trial for trial in side.trials if len(trial.runs) == len(halving.SEEDS)]
    assert len(whole) == halving.LAST and all(trial.epochs == 2 for trial in whole)
    first = [trial for trial in side.trials if trial.epochs == 1 and len(trial.runs) == halving.FIRST]
    assert len(first) >= halving.TRIALS_OF_IMAGES
    assert result.protocol.augment == ("flip",)


def test_augmentation_of_cached_features_is_one_sentence_before_anything_is_computed(tmp_path):
    study = Study.of(data="digits", backbone="no/such/file.pth", augment=["flip"], out=str(tmp_path / "runs"))
    with pytest.raises(LosscopeError, match="a backbone sees images as .*; leave out --augment or"):
        losscope.comparing.run(study)
    assert not (tmp_path / "runs").exists()
