"""Specifications: strict, hashed, read back from TOML; names checked without importing torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.spec import DataSpec, LossSpec, Protocol, Run, Study, protocol, seed_of, split_losses


def test_a_loss_is_read_and_labelled_by_what_was_given():
    spec = LossSpec.parse("triplet(margin=0.2, tuples=semihard, reduction='active_mean')")
    assert spec.hyperparameters == {"margin": 0.2}
    assert (spec.tuples, spec.reduction) == ("semihard", "active_mean")
    assert LossSpec.parse(spec.label) == spec


def test_resolving_fills_the_protocols_defaults_and_keeps_what_was_given():
    assert LossSpec.parse("triplet").resolved("matched").hyperparameters["margin"] == 0.1
    assert LossSpec.parse("triplet").resolved("paper").hyperparameters["margin"] == 1.0
    assert LossSpec.parse("triplet(margin=0.3)").resolved("paper").hyperparameters["margin"] == 0.3
    assert LossSpec.parse("contrastive").resolved("matched").reduction == "valid_mean"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tripet", "did you mean 'triplet'"),
        ("triplet(margn=0.1)", "did you mean 'margin'"),
        ("triplet(margin=0)", "greater than 0"),
        ("triplet(margin=-1)", "greater than 0"),
        ("triplet(margin=nan)", "greater than 0"),
        ("triplet(margin='a')", "greater than 0"),
        ("triplet(0.1)", "cannot read the loss"),
        ("triplet(margin=", "cannot read the loss"),
        ("triplet(reduction=mean)", "reduction"),
        ("triplet(reduction=balanced)", "unknown reduction of triplet"),
        ("raw(margin=1)", "no hyperparameters"),
        ("__import__('os')", "cannot read the loss"),
    ],
)
def test_a_loss_that_cannot_be_is_refused_with_the_choices(text, said):
    with pytest.raises(LosscopeError, match="(?i)" + said.replace("(", r"\(")):
        LossSpec.parse(text)


def test_losses_are_split_outside_brackets_only():
    assert split_losses("a(b=1,c=2),d , e(f=[1,2])") == ["a(b=1,c=2)", "d", "e(f=[1,2])"]
    assert split_losses(["a,b", "c"]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"seeds": 0}, "seeds"),
        ({"epochs": -1}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"sedes": 3}, "did you mean 'seeds'"),
        ({"goal": "retrival"}, "did you mean 'retrieval'"),
        ({"protocol": "papr"}, "did you mean 'paper'"),
        ({"losses": ["triplet", "triplet"]}, "twice"),
        ({"reference": "n_pair"}, "reference loss"),
        ({"device": "gpu"}, "unknown device"),
        ({"losses": []}, "losses"),
        ({"losses": ["triplet", "raw"]}, "'raw' is no loss: raw and untrained stand beside"),
    ],
)
def test_a_study_that_cannot_be_is_refused(values, said):
    with pytest.raises(LosscopeError, match=said):
        Study.of(**values)


def test_every_mistake_is_named_at_once():
    with pytest.raises(LosscopeError, match="seeds.*epochs"):
        Study.of(seeds=0, epochs=0)


def test_a_study_comes_back_from_its_toml(tmp_path):
    study = Study.of(
        data="synthetic", losses="triplet(margin=0.2),contrastive", seeds=3, options={"subclusters": 4}
    )
    file = tmp_path / "study.toml"
    file.write_text(study.toml(), encoding="utf-8")
    assert Study.read(file) == study


@pytest.mark.parametrize(
    ("text", "said"),
    [("seeds = ", "not valid TOML"), ("sedes = 3", "did you mean 'seeds'"), ("seeds = 0", "seeds")],
)
def test_a_broken_study_file_is_one_sentence(tmp_path, text, said):
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(LosscopeError, match=said):
        Study.read(file)
    with pytest.raises(LosscopeError, match="cannot read the study file"):
        Study.read(tmp_path / "absent.toml")


def test_a_runs_id_changes_with_everything_that_changes_its_numbers():
    shape = protocol("matched", "vectors")
    run = Run(
        data=DataSpec(name="digits"),
        loss=LossSpec.parse("triplet").resolved("matched"),
        protocol=shape,
        seed=0,
    )
    ids = {
        run.id("a"),
        run.id("b"),
        run.id("a", "source"),
        run.model_copy(update={"seed": 1}).id("a"),
        run.model_copy(update={"loss": LossSpec.parse("triplet(margin=0.2)").resolved("matched")}).id("a"),
        run.model_copy(update={"protocol": protocol("matched", "vectors", epochs=3)}).id("a"),
    }
    assert len(ids) == 6
    assert run.id("a") == run.model_copy().id("a")


def test_members_of_one_family_differ_in_numbers_only():
    shape = protocol("matched", "vectors")

    def run(text, seed=0):
        loss = LossSpec.parse(text).resolved("matched")
        return Run(data=DataSpec(name="digits"), loss=loss, protocol=shape, seed=seed).family()

    assert run("triplet(margin=0.1)") == run("triplet(margin=0.9)", seed=4)
    assert run("triplet(squared=True)") != run("triplet")
    assert run("contrastive") != run("triplet")
    assert run("contrastive(reduction=balanced)") != run("contrastive")


@given(st.integers(0, 10**6), st.sampled_from(["init", "batches", "tuples"]))
def test_named_dimensions_give_unrelated_seeds(seed, dimension):
    here = seed_of(seed, dimension)
    assert 0 <= here < 2**64
    assert here == seed_of(seed, dimension)
    assert here not in {seed_of(seed + 1, dimension), seed_of(seed, "other"), seed_of(seed, dimension, 1)}


def test_protocol_numbers_are_those_of_the_definitions():
    paper = protocol("paper", "vectors")
    assert (paper.hidden, paper.embedding_size, paper.batch_size, paper.epochs) == ((64,), 32, 64, 100)
    assert (paper.geometry_split, paper.background, paper.tuples, paper.partners) == (
        "train",
        "class",
        "random",
        "set",
    )
    matched = protocol("matched", "vectors")
    assert (matched.hidden, matched.embedding_size, matched.epochs, matched.batch_size) == (
        (256,),
        64,
        60,
        128,
    )
    assert protocol("paper", "images", "cifar10").epochs == 50
    assert protocol("matched", "features").hidden == ()
    assert protocol("matched", "images").epochs == 15
    with pytest.raises(LosscopeError, match="unknown model"):
        protocol("matched", "vectors", model="mlpp")
    with pytest.raises(LosscopeError, match="unknown key"):
        protocol("matched", "vectors", epoch=3)
    assert isinstance(matched, Protocol)


def test_names_are_found_without_importing_torch():
    code = (
        "import sys, losscope.comparing.listing as l, losscope.core.registry as r;"
        "l.items(); r.entry('loss', 'triplet');"
        "from losscope.core.spec import Study; Study.of(losses='triplet(margin=0.2)');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_registry_reads_what_it_would_import():
    for kind in ("loss", "data", "model", "measure"):
        table = registry.entries(kind)
        assert table, kind
        for name, entry in table.items():
            assert callable(entry.load()), name
            assert entry.summary, name
            assert entry.load().__doc__.strip().startswith(entry.summary), name


def test_a_plugin_registers_and_a_broken_one_is_one_sentence(tmp_path):
    good = tmp_path / "mine.py"
    good.write_text(
        "from losscope.core.registry import register\n"
        "@register('loss', 'mine', hinge=False, normalised=True, takes='pairs', form='other')\n"
        "def mine(embeddings, relation, *, margin=0.5):\n    '''My loss.'''\n"
    )
    registry.load_plugin(good)
    try:
        assert LossSpec.parse("mine(margin=0.3)").hyperparameters == {"margin": 0.3}
        assert "My loss" in (registry.source_of("loss", "mine") or "")
        assert registry.source_of("loss", "triplet") is None
    finally:
        registry._plugins.clear()
        registry._plugin_sources.clear()
    bad = tmp_path / "bad.py"
    bad.write_text("1 / 0")
    with pytest.raises(LosscopeError, match="ZeroDivisionError"):
        registry.load_plugin(bad)
    with pytest.raises(LosscopeError, match="no plugin file"):
        registry.load_plugin(tmp_path / "absent.py")


MINE = '''
from losscope import Protocol, register


@register("protocol", "mine", title="my own protocol", tunes=("vectors",), like="paper",
          defaults={"triplet": {"margin": 0.25}})
def mine(kind, data=""):
    """One hidden layer, few epochs."""
    return Protocol(name="mine", model="mlp", hidden=(16,), embedding_size=8, epochs=2, batch_size=32,
                    batching="balanced")


@register("protocol", "misnamed", title="a protocol of another name")
def misnamed(kind, data=""):
    """Gives another protocol's numbers."""
    return mine(kind)
'''


@pytest.fixture
def own_protocol(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    with registry.forgetting():
        yield str(file)


def test_a_protocol_of_ones_own_is_one_function(own_protocol):
    study = Study.of(protocol="mine", losses="triplet,contrastive", plugins=[own_protocol], epochs=3)
    resolved = study.resolve("vectors")
    assert resolved.tunes and not study.resolve("images").tunes
    assert (resolved.protocol.hidden, resolved.protocol.epochs) == ((16,), 3)
    margins = [resolved.resolved(loss).hyperparameters["margin"] for loss in resolved.losses]
    assert margins == [0.25, 1.0], "the protocol's own, and those of the protocol that it is like"
    with pytest.raises(LosscopeError, match="'misnamed' gave .*of its own name is wanted"):
        protocol("misnamed", "vectors")
    with pytest.raises(LosscopeError, match="unknown kind of data of the protocol 'paper' 'sounds'"):
        protocol("paper", "sounds")


def test_a_study_is_resolved_once_into_a_value():
    study = Study.of(data="synthetic", losses="triplet(margin=0.2),contrastive", seeds=2, first_seed=3)
    resolved = study.resolve("vectors")
    assert resolved.seeds == (3, 4)
    assert [loss.label for loss in resolved.losses] == ["triplet(margin=0.2)", "contrastive"]
    assert resolved.tunes and not Study.of(tune=False).resolve("vectors").tunes
    assert not study.resolve("images").tunes
    assert resolved.runs() == study.expand("vectors")
    assert [run.loss.name for run in resolved.runs()][::2] == ["triplet", "contrastive", "raw", "untrained"]
    assert [loss.name for loss in study.resolve("pair").baselines] == ["untrained"]
    with pytest.raises(ValueError, match="frozen"):
        resolved.tunes = False


def test_the_ids_of_runs_are_what_they_were(monkeypatch):
    """An id changes with the numerics and with nothing else: these are of numerics 3, before this layout."""
    monkeypatch.setattr("losscope.core.spec.NUMERICS", 3)
    given = {"losses": "triplet,contrastive(margin=0.3)", "seeds": 1, "protocol": "paper"}
    runs = Study.of(data="digits", **given).expand("vectors")
    assert [run.id("digest", "source") for run in runs] == [
        "3fcf3cbc6e97e98f8ba3",
        "a0291624a3eabac1634c",
        "285670ffa23ea14424aa",
        "779d628ec6587305237a",
    ]
    runs = Study.of(data="cifar10", losses="triplet", seeds=1).expand("images")
    assert [run.id("digest", "source") for run in runs] == [
        "20e214ccd7d0f21a4b33",
        "b36ca2266fca28e96b08",
        "06567b793ad93e9d4b69",
    ]


def test_a_folder_may_be_given_as_a_path(tmp_path):
    assert Study.of(data="digits", out=tmp_path).out == str(tmp_path)
