"""What tuning tries of a loss's numbers, as a study gives it: for our losses and for foreign ones."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

import losscope
from losscope.cli import main
from losscope.comparing import candidates, spaces
from losscope.comparing.foreseeing import ready
from losscope.core.errors import LosscopeError
from losscope.core.spaces import Dimension, numbers_of, of_loss
from losscope.core.spec import Study
from losscope.core.wording.settings import settings_phrase
from losscope.losses.foreign import sources
from losscope.run.store import Store

OWN = """
import torch

def hinge(z, labels, margin=0.2, power=1, sign=1.0):
    distance = torch.cdist(z, z)
    same = labels[:, None] == labels[None, :]
    return sign * torch.where(same, distance, (margin - distance).clamp(min=0) ** power).mean()
{more}
"""


def features(folder, rows=12, classes=12, dimensions=16):
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), rows)
    noise = draw.normal(size=(len(labels), dimensions))
    values = draw.normal(size=(classes, dimensions))[labels] + 2 * noise
    path = folder / "features.npz"
    np.savez(path, features=values.astype(np.float32), labels=labels)
    return str(path)


def own_loss(folder, more=""):
    path = folder / "mine.py"
    path.write_text(OWN.format(more=more))
    return f"{path}:hinge"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("margin=0.05,0.1,0.2", (None, "margin", (0.05, 0.1, 0.2))),
        ("triplet:margin=0.1", ("triplet", "margin", (0.1,))),
        ("triplet(squared=True):margin=0.1,1", ("triplet(squared=True)", "margin", (0.1, 1))),
        ("pml:CircleLoss(m=0.4):gamma=80,256", ("pml:CircleLoss(m=0.4)", "gamma", (80, 256))),
        ("a/b.py:fn:squared=True,False", ("a/b.py:fn", "squared", (True, False))),
        ("reduction=balanced,'valid_mean'", (None, "reduction", ("balanced", "valid_mean"))),
        ("margin=-1,1e-3", (None, "margin", (-1, 1e-3))),
    ],
)
def test_a_space_is_read_as_it_is_written(text, found):
    own = Dimension.read(text)
    assert (own.loss, own.name, own.values) == found
    assert [type(value) for value in own.values] == [type(value) for value in found[2]]


@pytest.mark.parametrize(
    ("losses", "space", "said"),
    [
        ("triplet", ["margin="], "has no values"),
        ("triplet", ["margin=0.1,,0.2"], "has an empty value"),
        ("triplet", ["margin"], "cannot read the space 'margin'"),
        ("triplet", ["=0.1"], "cannot read the space"),
        ("triplet", ["margin=[0.1]"], "a number, True, False or a text is wanted"),
        ("triplet", ["margin=0.1,0.1"], "has 0.1 twice"),
        ("triplet", ["margin=" + ",".join(map(str, range(1, 102)))], "has 101 values; at most 100"),
        ("triplet", ["margin=wide"], "margin of triplet is 'wide'; it must be a finite number"),
        ("triplet", ["margin=0.1,3"], "margin of triplet is 3; at most 2 is wanted"),
        ("triplet", ["learning_rate=0.1,100"], "learning rate of triplet is 100; at most 10"),
        ("triplet", ["learning_rate=-1"], "learning_rate"),
        ("triplet", ["reduction=median"], "reduction"),
        ("triplet", ["class_rate=0.1"], "unknown hyperparameter in the space 'class_rate=0.1' of triplet"),
        ("triplet,contrastive", ["temperature=0.1"], "unknown hyperparameter in the space 'temperature=0.1'"),
        ("triplet", ["arcface:margin=0.1"], "unknown loss of the space 'arcface:margin=0.1'"),
        ("triplet(margin=0.3)", ["margin=0.1"], "varies margin, which triplet(margin=0.3) gives by hand"),
        ("triplet", ["margin=0.1", "margin=0.2"], "space of margin of triplet is given twice"),
        ("pml:TripletMarginLoss", ["margn=0.1"], "did you mean 'margin'?"),
        ("pml:TripletMarginLoss", ["margin=wide"], "margin of pml:TripletMarginLoss is 'wide'"),
        ("pml:TripletMarginLoss(margin=0.3)", ["margin=0.1"], "gives by hand"),
        ("pml:TripletMarginLoss", ["learning_rate=100"], "at most 10"),
    ],
)
def test_a_space_that_cannot_be_searched_is_one_sentence(losses, space, said):
    with pytest.raises(LosscopeError) as error:
        spaces.dimensions(Study.of(losses=losses, space=space))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_study_that_tunes_nothing_refuses_a_space_with_exit_code_2(tmp_path, capsys):
    asked = [
        "compare",
        "synthetic",
        "--no-tune",
        "--space",
        "margin=0.1",
        "--dry-run",
        "--out",
        str(tmp_path),
    ]
    with pytest.raises(SystemExit) as ended:
        main(asked)
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "this study tunes nothing; give --tune or leave out --space" in said


def test_a_given_space_replaces_the_declared_points_and_a_named_one_goes_before():
    study = Study.of(losses="triplet,contrastive", space=["margin=0.15,0.25", "contrastive:margin=1.5"])
    found = spaces.dimensions(study)
    triplet, contrastive = study.loss_specs()
    assert [own.values for own in of_loss(found, triplet)] == [(0.15, 0.25)]
    assert [own.values for own in of_loss(found, contrastive)] == [(1.5,)]
    made = candidates.candidates(triplet, "matched", 18, found[:1])
    assert {spec.hyperparameters["margin"] for spec in made} == {0.15, 0.25}
    made = candidates.candidates(contrastive, "matched", 18, of_loss(found, contrastive))
    assert {spec.hyperparameters["margin"] for spec in made} == {1.5}, "one value is taken, too"
    assert {spec.reduction for spec in made} == {contrastive.resolved("matched").reduction}
    assert len(made) == 18 == len({spec.canonical() for spec in made}), "the budget stays that of any loss"


def test_every_value_of_a_foreign_loss_is_written_into_its_text():
    study = Study.of(losses="pml:TripletMarginLoss", space="margin=0.05,0.1,0.2")
    (spec,) = study.loss_specs()
    space = of_loss(spaces.dimensions(study), spec)
    made = candidates.candidates(spec, "matched", 18, space)
    assert {each.name for each in made} == {
        f"pml:TripletMarginLoss(margin={own})" for own in (0.05, 0.1, 0.2)
    }
    assert len(made) == 18 == len({each.canonical() for each in made})
    upper = next(each for each in made if each.name.endswith("0.2)") and each.learning_rate == 3e-4)
    assert [name for name, _, _ in candidates.edges(made, upper)] == ["margin"], "an edge is said"
    assert candidates.beyond(made, [upper], 6, space) == [], "and nothing is tried that was not given"
    assert numbers_of(made[0], spec.label)["margin"] in (0.05, 0.1, 0.2)


def test_a_miner_and_what_is_given_by_hand_stay():
    miner = "TripletMarginMiner(margin=0.2)"
    text = f"pml:TripletMarginLoss(swap=True)+{miner}"
    study = Study.of(losses=[text], space=["margin=0.3", "triplets_per_anchor='all',10"])
    (spec,) = study.loss_specs()
    wanted = [
        f"pml:TripletMarginLoss(swap=True, margin=0.3, triplets_per_anchor={own!r}) + {miner}"
        for own in ("all", 10)
    ]
    # The default 'all' is a text, so that 10 is refused, as it would be of a loss of ours.
    with pytest.raises(LosscopeError, match="it must be a text"):
        spaces.dimensions(study)
    found = [Dimension(loss=spec.label, name="margin", values=(0.3,))]
    found.append(Dimension(loss=spec.label, name="triplets_per_anchor", values=("all", 10)))
    assert spaces.texts(spec, found) == [text, *wanted]


def test_code_that_is_not_trusted_stays_so_and_each_text_of_a_trusted_one_may_run(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_trusted", set())
    loss = own_loss(tmp_path)
    values = {"data": features(tmp_path), "losses": ["triplet", loss], "out": str(tmp_path / "runs")}
    with pytest.raises(LosscopeError, match="--trust"):
        ready(Study.of(**values, space="power=1,2"), dry=True)
    made = ready(Study.of(**values, space="power=1,2", trust=True), dry=True)
    assert sources.trusted(f"{loss}(power=2)") and not sources.trusted(f"{loss}(power=3)")
    other = f"{tmp_path / 'mine.py'}:other"
    assert not sources.trusted(other)
    run = next(run for run in made.runs if run.loss.foreign)
    spec = made.study.losses[1]
    derived = [
        run.model_copy(update={"loss": run.loss.model_copy(update={"name": text})})
        for text in spaces.texts(spec, made.study.spaces)
    ]
    ids = [made.identify(each) for each in derived]
    assert len(set(ids)) == 3, "each text is a run of its own"
    (tmp_path / "mine.py").write_text(OWN.format(more="# changed"))
    again = ready(Study.of(**values, space="power=1,2", trust=True), dry=True)
    assert all(again.identify(each) not in ids for each in derived), "and the file's text is part of each id"


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("hinge.space = {'margin': [0.1, 0.3], 'power': [1, 2]}", {"margin": (0.1, 0.3), "power": (1, 2)}),
        ("", {}),
    ],
)
def test_a_loss_of_ones_own_may_declare_its_space(tmp_path, more, found):
    loss = own_loss(tmp_path, more)
    sources.trust([loss])
    declared = spaces.dimensions(Study.of(losses=[loss], trust=True))
    assert {own.name: own.values for own in declared} == found
    given = spaces.dimensions(Study.of(losses=[loss], space="margin=0.7", trust=True))
    assert {own.name: own.values for own in given} == {"margin": (0.7,)}, "what is given goes before"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("hinge.space = {'margn': [0.1]}", "did you mean 'margin'"),
        ("hinge.space = {'margin': 0.1}", "a list of values is wanted"),
        ("hinge.space = {'margin': [None]}", "a number, True, False or a text is wanted"),
    ],
)
def test_a_declared_space_that_cannot_be_read_is_one_sentence(tmp_path, more, said):
    loss = own_loss(tmp_path, more)
    sources.trust([loss])
    with pytest.raises(LosscopeError, match=said):
        spaces.dimensions(Study.of(losses=[loss], trust=True))


def test_a_foreign_loss_is_tuned_over_its_space_and_keeps_its_name(tmp_path):
    """Of a loss and its negative, which pushes apart what belongs together, tuning takes the loss."""
    loss, out = own_loss(tmp_path), tmp_path / "runs"
    study = Study.of(
        data=features(tmp_path),
        losses=[loss, "triplet(margin=0.1)"],
        space=["sign=-1.0,1.0", f"{loss}:margin=1.0", "learning_rate=1e-2", "weight_decay=0"],
        **{"epochs": 8, "batch_size": 32, "embedding_size": 8, "seeds": 2, "closed_forms": False},
        **{"start": "random", "transform": "none", "out": str(out), "trust": True},
    )
    result = losscope.comparing.run(study)
    mine = next(side for side in result.losses if side.name == loss)
    assert {trial.hyperparameters["sign"] for trial in mine.trials} == {-1.0, 1.0}
    assert mine.tuned.hyperparameters == {"margin": 1.0, "sign": 1.0}
    assert mine.spec.name == f"{loss}(margin=1.0, sign=1.0)"
    assert f"at the tuned values {loss} 1 sign 1" in settings_phrase(result.settings)
    runs = {run.run.loss.name for run in Store(out).many(mine.runs)}
    assert runs == {mine.spec.name}
    assert losscope.load(out).json() == result.json(), "read back without running the code"


def test_a_space_stands_in_a_study_file_and_changes_its_name_only_where_it_is_given(tmp_path):
    given = Study.of(losses="triplet", space=["margin=0.1,0.2"], data="synthetic")
    (tmp_path / "study.toml").write_text(given.toml())
    assert Study.read(tmp_path / "study.toml") == given
    names = {
        ready(
            Study.of(losses="triplet", space=own, data="synthetic", out=str(tmp_path / "runs")), dry=True
        ).name
        for own in ([], ["margin=0.1,0.2"])
    }
    assert len(names) == 2


@pytest.mark.parametrize("loss", ["triplet", "pml:TripletMarginLoss"])
def test_all_combinations_of_a_space_are_tried_where_the_budget_allows(loss):
    study = Study.of(losses=loss, space=["margin=0.1,0.2", "learning_rate=1e-4,1e-3", "weight_decay=0"])
    (spec,) = study.loss_specs()
    made = candidates.candidates(spec, "matched", 18, of_loss(spaces.dimensions(study), spec))
    found = {(numbers_of(each)["margin"], each.learning_rate) for each in made}
    assert found == set(product((0.1, 0.2), (1e-4, 1e-3))) and len(made) == 4


def test_a_foreign_loss_without_a_space_is_said_to_have_none(tmp_path):
    study = Study.of(losses="pml:TripletMarginLoss,triplet", data="synthetic", out=str(tmp_path / "runs"))
    said = [note for note in ready(study, dry=True).notes if "--space" in note]
    assert len(said) == 1 and said[0].startswith("pml:TripletMarginLoss declares no values")
    given = study.model_copy(update={"space": ["margin=0.1,0.2"]})
    assert not [note for note in ready(given, dry=True).notes if "--space" in note]
    assert json.loads(json.dumps(given.model_dump()))["space"] == ["margin=0.1,0.2"]
