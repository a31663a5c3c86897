"""What an atlas foretells of data that it has not seen, how well, and where it is said."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import atlas_fixture as made_up
import losscope
from losscope import stats
from losscope.atlases import kept
from losscope.atlases.asking import asked
from losscope.atlases.sketching import recall, sketch
from losscope.comparing.foreseeing import foresee, ready
from losscope.comparing.planning import Plan
from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.queries import Roles
from losscope.core.results import Atlas, AtlasPrior
from losscope.data import Part, load
from losscope.stats import likeness
from losscope.stats import prior as scoring

NULLS = 200
MOST = 17  # of 200 at 5 %: the binomial's upper end


# --- likeness --------------------------------------------------------------------------------------


def test_distance_is_of_the_declared_space():
    here = made_up.sketch(10, 1000, 64, 0.5)
    assert likeness.distance(here, here) == 0
    ten_times = made_up.sketch(100, 10_000, 64, 0.5)  # as many rows a class
    assert likeness.distance(here, ten_times) == pytest.approx(1)
    assert likeness.distance(here, made_up.sketch(10, 10_000, 640, 0.5)) == pytest.approx(math.sqrt(2))
    certain = 1 / (1 + math.exp(-2))
    assert likeness.distance(here, made_up.sketch(10, 1000, 64, certain)) == pytest.approx(1)
    assert likeness.distance(here, made_up.sketch(10, 1000, 64, 0.5, "features")) == 0
    assert likeness.distance(here, made_up.sketch(10, 1000, 64, 0.5, "images")) == 1
    assert likeness.distance(here, made_up.sketch(10, 1000, 64, 0.5, disjoint=True)) == 1


def test_data_without_a_raw_value_are_a_step_from_data_with_one():
    without = made_up.sketch(raw=None)
    assert likeness.distance(without, without) == 0
    assert likeness.distance(without, made_up.sketch(raw=0.9)) == 1
    assert likeness.distance(made_up.sketch(raw=0.0), made_up.sketch(raw=1.0)) < 5  # finite at the ends


def test_distance_is_symmetric():
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = made_up.random_sketch(rng), made_up.random_sketch(rng)
        assert likeness.distance(a, b) == likeness.distance(b, a) > 0


# --- the smoother ----------------------------------------------------------------------------------


def naive(atlas: Atlas, place: int | None, of, value) -> float:
    """What all families but that of an entry foretell of a value, by loops."""
    entries = [
        entry for entry in atlas.entries if place is None or entry.family != atlas.entries[place].family
    ]
    families = {entry.family for entry in entries}
    top = bottom = 0.0
    for family in families:
        own = [entry for entry in entries if entry.family == family]
        for entry in own:
            near = math.exp(-(likeness.distance(of, entry.sketch) ** 2) / 2) / len(own)
            far = 1 / (len(families) * len(own))
            top += (near + far) * value(entry)
            bottom += near + far
    return top / bottom


def gap(loss: str):
    def value(entry):
        goal = entry.goals[0]
        return goal.mean(loss) - max(goal.mean(name) for name in made_up.LOSSES)

    return value


def gain(entry) -> float:
    goal = entry.goals[0]
    best = max(goal.mean(name) for name in made_up.LOSSES)
    return best - max(side.mean for side in goal.sides if side.kind != "loss")


@pytest.mark.parametrize("variants", [1, 4])
def test_each_family_is_foretold_by_the_others_alone(variants):
    atlas = made_up.noise(3, variants=variants)
    folds = scoring.score(likeness.table(atlas, "retrieval")).folds
    for place, (entry, fold) in enumerate(zip(atlas.entries, folds, strict=True)):
        gaps = {loss: naive(atlas, place, entry.sketch, gap(loss)) for loss in made_up.LOSSES}
        assert fold.name == entry.name
        assert fold.foretold == max(gaps, key=lambda loss: gaps[loss])
        assert fold.regret == pytest.approx(-gap(fold.foretold)(entry))
        assert fold.foretold_gain == pytest.approx(naive(atlas, place, entry.sketch, gain))
        assert fold.pays == (gain(entry) > 0.01)
        others = [other for other in atlas.entries if other.family != entry.family]
        wins = dict.fromkeys(made_up.LOSSES, 0.0)
        for other in others:
            wins[other.goals[0].best] += 1 / sum(found.family == other.family for found in others)
        assert wins[fold.frequent] == pytest.approx(max(wins.values()))
        average = {loss: naive(atlas, place, far_away(), gap(loss)) for loss in made_up.LOSSES}
        assert fold.average == max(average, key=lambda loss: average[loss])


def far_away():
    return made_up.sketch(10**9, 10**9, 10**9, None, "elsewhere", True)


def test_what_is_foretold_of_new_data_is_the_loops_too():
    atlas, here = made_up.noise(4, variants=3), made_up.sketch(30, 900, 200, 0.8)
    found = stats.foretell(here, atlas)
    for loss in found.losses:
        assert loss.gap == pytest.approx(naive(atlas, None, here, gap(loss.loss)))
        assert loss.low <= loss.gap <= loss.high <= 0
    assert found.pay.gain == pytest.approx(naive(atlas, None, here, gain))
    assert found.foretold == found.losses[0].loss


def test_without_data_alike_the_answer_is_the_average_over_families():
    atlas = made_up.noise(5, variants=4)
    found = stats.foretell(far_away(), atlas)
    assert found.evidence < 1e-6
    for loss in found.losses:
        assert loss.gap == pytest.approx(loss.average)


def test_variants_of_a_family_count_as_one():
    atlas = made_up.noise(6)
    first, *others = atlas.entries
    copies = [first.model_copy(update={"name": f"copy {place}"}) for place in range(5)]
    here = made_up.sketch(30, 900, 200, 0.8)
    alone = stats.foretell(here, atlas)
    more = stats.foretell(here, made_up.atlas([first, *copies, *others]))
    assert [loss.gap for loss in more.losses] == pytest.approx([loss.gap for loss in alone.losses])
    assert [loss.low for loss in more.losses] == pytest.approx([loss.low for loss in alone.losses])
    assert (more.foretold, more.frequent) == (alone.foretold, alone.frequent)


def test_the_interval_holds_another_data_set():
    inside = []
    for seed in range(150):
        atlas = made_up.noise(seed, data_sets=15)
        new = likeness.table(made_up.atlas(atlas.entries[:1]), "retrieval").rows[0]
        known = likeness.table(made_up.atlas(atlas.entries[1:]), "retrieval")
        weights = known.weights(new.sketch)[0]
        for place in range(len(made_up.LOSSES)):
            _, low, high = known.spread(weights, known.gaps[:, place])
            inside.append(low <= new.gaps[place] <= high)
    assert 0.92 <= np.mean(inside) <= 0.99


def test_the_order_of_the_data_sets_changes_nothing():
    atlas = made_up.noise(7, variants=3)
    mixed = list(atlas.entries)
    random.Random(0).shuffle(mixed)
    here = made_up.sketch(30, 900, 200, 0.8)
    one_way, other = stats.foretell(here, atlas), stats.foretell(here, made_up.atlas(mixed))
    assert [loss.loss for loss in one_way.losses] == [loss.loss for loss in other.losses]
    assert one_way.score.hits == other.score.hits
    assert one_way.score.regret == pytest.approx(other.score.regret)


# --- the score -------------------------------------------------------------------------------------


def test_a_winner_that_depends_on_the_classes_is_foretold():
    for seed in range(5):
        atlas = made_up.by_classes(seed)
        score = scoring.score(likeness.table(atlas, "retrieval"))
        assert score.better and score.pay_better
        assert score.hits == score.data_sets == 16
        assert score.rival("hindsight").hits < score.hits
        few, many = made_up.sketch(4, 400), made_up.sketch(300, 30_000)
        assert stats.foretell(few, atlas).answer == "triplet"
        assert stats.foretell(many, atlas).answer == "arcface"
        assert stats.foretell(few, atlas).pay.pays and not stats.foretell(many, atlas).pay.pays


@pytest.mark.parametrize("given", [{}, {"lead": 0.02}, {"variants": 4}])
def test_chance_is_not_taken_for_foresight(given, monkeypatch):
    monkeypatch.setattr(scoring, "SHUFFLES", 199)
    found = [
        scoring.score(likeness.table(made_up.noise(seed, **given), "retrieval")) for seed in range(NULLS)
    ]
    assert sum(score.better for score in found) <= MOST
    assert sum(score.p <= 0.05 for score in found) <= MOST
    assert sum(score.pay_better for score in found) <= MOST


def test_too_few_families_are_said_to_show_nothing():
    few = scoring.score(likeness.table(made_up.noise(0, data_sets=9, variants=6), "retrieval"))
    assert few.families == 4 and not few.able and not few.better
    assert "so few families could not show otherwise" in wording.atlas_score(few)
    assert scoring.score(likeness.table(made_up.noise(0, data_sets=9), "retrieval")).able


def test_families_of_other_sizes_keep_their_sketches_when_shuffled():
    known = likeness.table(made_up.noise(1, variants=3), "retrieval")
    orders = known.shuffled(np.random.default_rng(0), 50)
    assert np.array_equal(orders[:, :3], np.tile([0, 1, 2], (50, 1)))
    assert np.array_equal(np.sort(orders, axis=1), np.tile(np.arange(14), (50, 1)))
    assert len(np.unique(orders[:, 3])) > 5


def test_a_measure_of_which_less_is_better_is_turned():
    means = dict.fromkeys(made_up.LOSSES, 0.2) | {"triplet": 0.1}
    entries = [
        made_up.entry(
            f"set {place}",
            means,
            of=made_up.sketch(10 + place),
            measure="intra_inter_ratio",
            still={"raw": 0.4},
        )
        for place in range(9)
    ]
    known = likeness.table(made_up.atlas(entries), "retrieval")
    assert known.rows[0].best == "triplet"
    assert known.rows[0].gaps.min() == pytest.approx(math.log(0.1 / 0.2))
    assert known.rows[0].gain == pytest.approx(math.log(4))


def test_losses_of_equal_means_share_a_win_whatever_rounding_says():
    means = dict.fromkeys(made_up.LOSSES, 0.5)
    tied = means | {"contrastive": 0.9684210526315791, "triplet": 0.968421052631579}
    entries = [made_up.entry(f"tied {n}", tied, of=made_up.sketch(10 + n)) for n in range(5)]
    entries += [
        made_up.entry(f"own {n}", means | {"arcface": 0.9}, of=made_up.sketch(90 + n)) for n in range(4)
    ]
    entries = [
        own.model_copy(update={"goals": (own.goals[0].model_copy(update={"best": "triplet"}),)})
        if own.name.startswith("tied")
        else own
        for own in entries
    ]
    known = likeness.table(made_up.atlas(entries), "retrieval")
    assert known.rows[0].best == "triplet"  # as the table of the atlas has it
    assert known.most_frequent == "arcface"  # 4, against 2.5 each
    assert known.wins == {"contrastive": 5, "triplet": 5, "arcface": 4}
    found = stats.foretell(made_up.sketch(), made_up.atlas(entries))
    assert found.data_sets == 9 and "arcface (4 of 9 data sets)" in wording.atlas_answer(found)


# --- what is said ----------------------------------------------------------------------------------


def test_a_useless_prior_says_so_first_and_gives_the_most_frequent_winner():
    found = stats.foretell(made_up.sketch(30, 900), made_up.noise(1))
    assert not found.score.better
    assert found.answer == found.frequent
    first, likely, second, *_, last = wording.atlas_prior(found)
    own = next(loss for loss in found.losses if loss.loss == found.frequent)
    assert first == (
        "The atlas cannot tell which loss suits these data; most often best, each family of data counted "
        f"once, is {found.frequent} ({own.best} of 14 data sets)."
    )
    assert likely.startswith(f"Likeness to its data points to {found.foretold}")
    frequent = found.score.rival("frequent")
    assert f"is among the best in {found.score.hits}," in second
    assert f"in {frequent.hits:.0f}, a random one" in second
    assert "no better than the most frequent winner" in second
    assert last.startswith(
        "Known of the data: 30 classes, 30 rows per class, 64 dimensions, raw Recall@1 .90 on validation rows"
    )


def test_a_prior_that_foretells_names_its_loss_first():
    first, second, pays, nearest = wording.atlas_prior(
        stats.foretell(made_up.sketch(300, 30_000), made_up.by_classes(1))
    )
    assert first.startswith("The atlas foretells arcface for data like these, expected ")
    assert "the atlas foretells better than the most frequent winner" in second
    assert pays.startswith("It foretells that training does not pay")
    assert "where arcface was best" in nearest


def test_what_it_cannot_tell_of_training_follows_from_what_it_can_tell_of_losses():
    found = stats.foretell(made_up.sketch(300, 30_000), made_up.by_classes(1))
    unsure = found.model_copy(update={"score": found.score.model_copy(update={"pay_better": False})})
    assert wording.atlas_prior(unsure)[2].startswith("It cannot tell whether training pays")
    neither = unsure.model_copy(update={"score": unsure.score.model_copy(update={"better": False})})
    assert any(text.startswith("Nor can it tell") for text in wording.atlas_prior(neither))


def test_the_sentences_are_made_from_the_fields():
    found = stats.foretell(made_up.sketch(30, 900), made_up.noise(1))
    again = AtlasPrior.from_json(found.json_text())
    assert wording.atlas_prior(again) == wording.atlas_prior(found)


def test_that_no_data_are_of_their_kind_is_said():
    pairs = made_up.sketch(kind="pair", raw=None)
    said = wording.atlas_answer(stats.foretell(pairs, made_up.noise(1)))
    assert said.endswith("; none of its data sets is of two modalities")
    first, *others = made_up.noise(1).entries
    found = stats.foretell(pairs, made_up.atlas([first.model_copy(update={"sketch": pairs}), *others]))
    assert found.alike == 1 and "two modalities" not in wording.atlas_answer(found)


# --- refused ---------------------------------------------------------------------------------------


def test_a_small_atlas_foretells_nothing():
    with pytest.raises(LosscopeError, match="7 data sets of 7 families .* at least 8"):
        asked("digits", atlas=made_up.noise(0, data_sets=7))
    with pytest.raises(LosscopeError, match="9 data sets of 1 families"):
        asked("digits", atlas=made_up.noise(0, data_sets=9, variants=9))
    with pytest.raises(LosscopeError, match="unknown goal"):
        asked("digits", atlas=made_up.noise(0), goal="retreival")
    with pytest.raises(LosscopeError, match="0 data sets"):
        asked("digits", atlas=made_up.noise(0), goal="detail")
    with pytest.raises(LosscopeError, match="unknown data"):
        asked("no_such_data", atlas=made_up.noise(0))


# --- the sketch ------------------------------------------------------------------------------------


def naive_recall(inputs, part: Part) -> float:
    right, asked_of = 0.0, 0
    for query in range(len(part)):
        if part.labels[query] < 0 or (part.retrieval is not None and not part.retrieval.query[query]):
            continue
        found = []
        for item in range(len(part)):
            if item == query:
                continue
            if part.retrieval is None and part.labels[item] < 0:
                continue
            if part.retrieval is not None and not part.retrieval.gallery[item]:
                continue
            cosine = float(inputs[query] @ inputs[item])
            cosine /= math.sqrt(float(inputs[query] @ inputs[query]) * float(inputs[item] @ inputs[item]))
            same = part.labels[query] == part.labels[item]
            if part.tags is not None:
                same = bool((part.tags[query] & part.tags[item]).any())
            found.append((round((2 - 2 * cosine) * 2**20), same))
        if not any(same for _, same in found):
            continue
        nearest = min(distance for distance, _ in found)
        tied = [same for distance, same in found if distance == nearest]
        right += sum(tied) / len(tied)
        asked_of += 1
    return right / asked_of


@pytest.mark.parametrize("what", ["plain", "ties", "background", "roles", "tags"])
def test_raw_is_recall_at_1_of_the_validation_rows(what):
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(60, 5))
    labels = rng.integers(0, 12, 60)
    more = {}
    if what == "ties":
        inputs = rng.integers(1, 3, size=(60, 3)).astype(float)
    if what == "background":
        labels = np.where(rng.random(60) < 0.2, -1, labels)
    if what == "roles":
        more["retrieval"] = Roles(rng.random(60) < 0.5, rng.random(60) < 0.6)
    if what == "tags":
        more["tags"] = rng.random((60, 6)) < 0.2
    part = Part(inputs, labels, **more)
    assert recall(inputs, part) == pytest.approx(naive_recall(inputs, part))


def test_many_rows_are_asked_of_some(monkeypatch):
    from losscope.atlases import sketching

    validation = load("digits").splits(0).validation
    whole = recall(validation.inputs, validation)
    monkeypatch.setattr(sketching, "PRODUCTS", 1)
    assert recall(validation.inputs, validation) == pytest.approx(whole, abs=0.03)


def test_the_sketch_of_data_is_what_they_are():
    digits = sketch(load("digits"))
    train = load("digits").splits(0).train
    assert (digits.kind, digits.classes, digits.rows, digits.dimension) == ("vectors", 10, len(train), 64)
    assert digits.raw > 0.9 and not digits.disjoint
    assert sketch(load("synthetic")).raw != digits.raw


def test_birds_are_sketched_in_seconds(data_root):
    found = sketch(load("cub200", root=data_root))
    assert found.disjoint and found.classes < 100 and 0.5 < found.raw < 1
    assert sketch(load("wiki", root=data_root)).raw is None


def test_asking_imports_no_torch():
    code = (
        "import sys, atlas_fixture as made_up; from losscope.atlases.asking import asked;"
        "print(asked('digits', atlas=made_up.noise(0)).said[0]); assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The atlas cannot tell which loss suits these data; ")


# --- compare ---------------------------------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Puts an atlas in the place of the package's own."""

    def put(atlas: Atlas | None) -> None:
        file = tmp_path / "atlas.json"
        if atlas is not None:
            file.write_text(atlas.json_text(), encoding="utf-8")
        monkeypatch.setattr(kept, "SHIPPED", file)
        kept.shipped.cache_clear()

    yield put
    kept.shipped.cache_clear()


def planned(tmp_path, **options) -> Plan:
    return ready(losscope.Study.of(data="digits", out=str(tmp_path / "runs"), **options), dry=True)


def test_a_dry_run_says_what_the_atlas_foretells(shipped, tmp_path):
    shipped(made_up.noise(1))
    found = foresee(losscope.Study.of(data="digits", out=str(tmp_path / "runs"), epochs=1))
    assert found.prior is not None
    assert found.notes[0] == wording.atlas_answer(found.prior)
    assert found.notes[0].startswith("The atlas cannot tell which loss ") and len(found.notes[-1]) < 200


def test_data_of_the_atlas_are_foretold_without_their_family(shipped, tmp_path):
    source = load("digits")
    entries = list(made_up.noise(1).entries)
    update = {"name": "digits, as ever", "sketch": sketch(source), "digest": source.digest}
    entries[0] = entries[0].model_copy(update=update)
    shipped(made_up.atlas(entries))
    made = planned(tmp_path)
    assert made.prior.known == "digits, as ever"
    assert "digits, as ever" not in {near.name for near in made.prior.near}
    assert made.notes[0].startswith("The atlas, with the family of digits, as ever left out, cannot tell")


@pytest.mark.parametrize(
    ("atlas", "options"),
    [
        (None, {}),
        (made_up.noise(0, data_sets=7), {}),
        (made_up.noise(0), {"goal": "detail"}),
        (made_up.noise(0), {"losses": "triplet,n_pair"}),
        (made_up.noise(0), {"tune": False}),
    ],
    ids=["absent", "few", "goal", "losses", "untuned"],
)
def test_nothing_is_foretold_where_the_atlas_cannot(shipped, tmp_path, atlas, options):
    shipped(atlas)
    made = planned(tmp_path, **options)
    assert made.prior is None
    assert not any("atlas" in note for note in made.notes)


def test_what_is_foretold_changes_no_run(shipped, tmp_path):
    shipped(None)
    before = planned(tmp_path)
    shipped(made_up.noise(1))
    after = planned(tmp_path)
    assert after.prior is not None
    assert (after.ids, after.name) == (before.ids, before.name)
