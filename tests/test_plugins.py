"""Items of other people's packages: one of each kind, from an installed package and from a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import losscope
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.quantities import QUANTITIES, quantity
from losscope.core.spec import Study
from losscope.measures import evaluate
from losscope.run.launch import Group, Where, run_group
from losscope.testing import check_data, check_loss, check_measure, check_model

RESTORED = """
from losscope.core.registry import force_of, register

@register("loss", "restored", hinge=False, normalised=True, takes="pairs", form="other")
def restored(embeddings, relation):
    "A loss."

@force_of("restored")
def force(distances, relation, **words):
    return distances
"""


def test_a_file_that_was_broken_for_a_while_has_its_items_again(tmp_path):
    file = tmp_path / "restored.py"
    with registry.forgetting():
        file.write_text(RESTORED)
        registry.load_plugin(file)
        assert registry.entry("loss", "restored").force() is not None
        file.write_text(RESTORED + "1 / 0")
        with pytest.raises(LosscopeError, match="ZeroDivisionError"):
            registry.load_plugin(file)
        assert ("loss", "restored") not in registry._plugins
        file.write_text(RESTORED)
        registry.load_plugin(file)
        assert registry.entry("loss", "restored").force() is not None
    assert ("loss", "restored") not in registry._plugins


TOY = '''
"""One item of each kind."""

import numpy as np
from losscope import Protocol, Terms, register
from losscope.core.registry import force_of


@register("loss", "pull", hinge=False, normalised=True, takes="pairs", form="pull", positive=("power",),
          space=[{"power": 1.0}, {"power": 2.0}])
def pull(embeddings, relation, *, power: float = 2.0):
    """Pulls positives together, and nothing else."""
    positive, _ = relation.masks()
    distances = (embeddings.unsqueeze(-2) - embeddings.unsqueeze(-3)).square().sum(-1)
    power = power if isinstance(power, float) else power[..., None, None]
    value = (distances.clamp_min(1e-12) ** (power / 2) * positive).sum(-1)
    return Terms(value, None, positive.sum(-1).expand(value.shape))


@force_of("pull")
def pull_force(distances, relation, *, power=2.0, **_):
    """Pulls each positive, the more the further."""
    power = power if isinstance(power, float) else power[..., None, None]
    return power * distances ** (power - 1) * relation.masks()[0]


@register("measure", "lengths", quantities=[
    {"name": "mean_reach", "definition": "mean largest coordinate", "unit": "length", "better": "higher",
     "scale": "difference", "delta": 0.02, "label": "mean reach", "column": 10}])
def lengths(embeddings, labels):
    """How far the embeddings reach along one axis."""
    return {"mean_reach": embeddings.abs().amax(-1).mean()}


@register("data", "blobs", title="Toy blobs", n=240, classes=4, modality="vectors", bundled=True)
def blobs(root):
    """Four clouds of sixty points."""
    from losscope.data.base import Draft

    draw = np.random.default_rng(0)
    labels = np.arange(240) % 4
    points = draw.standard_normal((4, 8))[labels] + 0.5 * draw.standard_normal((240, 8))
    return Draft("blobs", "Toy blobs", "vectors", points.astype(np.float32), labels)


@register("model", "line", inputs="vectors")
def line(inputs, hidden, embedding_size):
    """One linear layer without bias."""
    from losscope.models.networks import Architecture

    def forward(parameters, x):
        return x.flatten(2) @ parameters["weight"]

    size = int(np.prod(inputs))
    return Architecture({"weight": (size, embedding_size)}, {"weight": size}, forward)


@register("protocol", "quick", title="the quick protocol", like="matched")
def quick(kind, data):
    """Two epochs of a small network."""
    return Protocol(name="quick", model="line", hidden=(), embedding_size=4, epochs=2, batch_size=32,
                    classes_per_batch=4, batching="balanced")


@register("claim", "toy-claim", paper="zeng2025", statement="triplet reaches further", source="made up",
          data=("blobs",), measure="mean_reach")
def reaches(evidence):
    """Triplet reaches further than contrastive."""
    return evidence.claim("triplet", "higher", "contrastive", "mean_reach")


@register("paper", "toy-paper", title="A toy paper")
def paper():
    """Which loss keeps more variance?"""
    from losscope.papers.paper import Cell, Claim, Compared, Paper

    losses = ("contrastive", "triplet")
    return Paper(
        losses=losses,
        cells=(Cell("blobs", "paper", losses, epochs=3, batch_size=32),),
        claims=(Claim("toy-true", "triplet keeps more variance", "made up", "intra_variance",
                      Compared("triplet", "higher", "contrastive"), ("blobs",)),),
        protocols=("paper",),
    )


@register("section", "toy-section", order=95)
def seen(context):
    """Says that it was there."""
    from losscope.reporting.parts import Section

    return Section("A section of the toy package", note="Nothing is shown here.")
'''

COMPARE = ("compare", "blobs", "--losses", "pull,triplet", "--seeds", "2", "--epochs", "2", "--no-tune")
KINDS = ("loss", "measure", "data", "model", "protocol", "claim", "paper", "section")


@pytest.fixture
def package(tmp_path):
    """The folder of an installed package: a module, and the entry point that pip would write."""
    site = tmp_path / "site"
    info = site / "toyscope-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "toyscope.py").write_text(TOY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toyscope\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[losscope.plugins]\ntoy = toyscope\n")
    return site


@pytest.fixture
def toy(tmp_path):
    """The same as a file, its items registered while the test runs."""
    file = tmp_path / "toy.py"
    file.write_text(TOY)
    with registry.forgetting():
        registry.load_plugin(file)
        yield file


def losscope_in(site: Path | None, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = [str(site)] if site else []
    path += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-m", "losscope", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def answer(found: subprocess.CompletedProcess[str]) -> dict:
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


@pytest.mark.parametrize("engine", ["here", "processes"])
def test_an_installed_package_takes_part_in_every_command(package, tmp_path, engine):
    made = answer(
        losscope_in(
            package, *COMPARE, "--model", "line", "--engine", engine, "--out", "out", "--json", cwd=tmp_path
        )
    )
    names = [loss["name"] for loss in made["losses"]]
    assert names == ["pull", "triplet"]
    assert [loss["failed"] for loss in made["losses"]] == [0, 0]
    assert "greedy_share" in made["losses"][0]["measures"]
    reach = made["losses"][0]["measures"]["mean_reach"]
    assert reach["unit"] == "length"
    assert None not in reach["values"]
    assert made["protocol"]["model"] == "line"
    assert any(row["measure"] == "mean_reach" and row["delta"] == 0.02 for row in made["paired"])

    again = losscope_in(package, "report", "out", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    (page,) = (tmp_path / "out" / "studies").glob("*/report.html")
    text = page.read_text(encoding="utf-8")
    assert "A section of the toy package" in text
    assert "mean reach" in text

    rows = [
        f"{loss},{seed},mean_reach,{0.5 + 0.1 * place}" for place, loss in enumerate("ab") for seed in (0, 1)
    ]
    (tmp_path / "scores.csv").write_text("\n".join(["loss,seed,measure,value", *rows]))
    judged = answer(losscope_in(package, "judge", "scores.csv", "--json", cwd=tmp_path))
    assert judged["paired"][0]["measure"] == "mean_reach"

    listed = answer(losscope_in(package, "list", "--json", cwd=tmp_path))
    own = {"losses": "pull", "data": "blobs", "models": "line", "measures": "mean_reach"}
    assert all(name in {row["name"] for row in listed[plural]} for plural, name in own.items())


def test_a_file_takes_part_too_and_its_text_enters_the_ids_of_its_runs(tmp_path):
    (tmp_path / "toy.py").write_text(TOY)
    words = (*COMPARE, "--plugin", "toy.py", "--out", "out", "--json")
    first = answer(losscope_in(None, *words, cwd=tmp_path))
    assert None not in first["losses"][0]["measures"]["mean_reach"]["values"]
    listed = answer(losscope_in(None, "list", "losses", "--plugin", "toy.py", "--json", cwd=tmp_path))
    assert listed["losses"][-1]["name"] == "pull"
    again = answer(losscope_in(None, "report", "out", "--plugin", "toy.py", "--json", cwd=tmp_path))
    assert again["losses"] == first["losses"]
    table = losscope_in(None, "report", "out", "--plugin", "toy.py", "--format", "md", cwd=tmp_path)
    assert "| mean reach |" in table.stdout, table.stderr
    without = losscope_in(None, "report", "out", cwd=tmp_path)
    assert without.returncode == 2
    assert "made with the plugins toy.py: if you trust them, give them again with --plugin" in without.stderr
    (tmp_path / "toy.py").write_text(TOY.replace(".abs().amax(-1).mean()", ".abs().amax(-1).mean() + 1"))
    second = answer(losscope_in(None, *words, cwd=tmp_path))
    for before, after in zip(first["losses"], second["losses"], strict=True):
        assert set(before["runs"]).isdisjoint(after["runs"])
        reach = [side["measures"]["mean_reach"]["mean"] for side in (before, after)]
        assert reach[1] == pytest.approx(reach[0] + 1, abs=1e-6)


def test_a_protocol_of_a_package_trains(package, tmp_path):
    made = answer(
        losscope_in(package, *COMPARE, "--protocol", "quick", "--out", "out", "--json", cwd=tmp_path)
    )
    assert made["protocol"]["name"] == "quick"
    assert made["protocol"]["embedding_size"] == 4


def test_a_paper_of_a_package_is_reproduced(package, tmp_path):
    words = ("reproduce", "toy-paper", "--seeds", "2", "--engine", "here", "--out", "out", "--json")
    made = answer(losscope_in(package, *words, cwd=tmp_path))
    assert next(claim["id"] for claim in made["claims"]) == "toy-true"


def test_every_kind_is_registered_by_a_file(toy):
    for kind in KINDS:
        entries = registry.entries(kind)
        assert any(entry.module.startswith("losscope_plugin_toy") for entry in entries.values()), kind
        assert kind not in ("loss", "measure") or all(entry.facts for entry in entries.values())
    assert registry.entry("loss", "pull").force().__name__ == "pull_force"
    assert quantity("mean_reach").label == "mean reach"
    assert "mean_reach" in QUANTITIES


def test_the_items_keep_the_contracts(toy):
    check_loss("pull")
    check_measure("lengths")
    check_data("blobs")
    check_model("line")


def test_a_file_is_run_once_and_again_when_it_has_changed(tmp_path):
    file, count = tmp_path / "mine.py", tmp_path / "count"
    code = f"import pathlib\nwith open({str(count)!r}, 'a') as f: f.write('x')\n"
    file.write_text(code)
    with registry.forgetting():
        for _ in range(3):
            registry.load_plugin(file)
        assert count.read_text() == "x"
        file.write_text(code + "# changed\n")
        registry.load_plugin(file)
        assert count.read_text() == "xx"


SEEN = """
from losscope import register


@register("measure", "seen", needs=("reference", "fine_labels", "positive_pairs"), quantities=[
    {"name": "longest", "definition": "d", "unit": "u", "better": "neither", "scale": "difference"}])
def seen(embeddings, labels, *, reference, fine_labels, positive_pairs):
    known, classes = reference
    assert known[classes == 0].shape[-1] == embeddings.shape[-1]
    assert fine_labels.add(labels).shape == labels.shape
    first, second = positive_pairs
    assert embeddings[first].shape == embeddings[second].shape
    return {"longest": max(rows.norm(dim=-1).max() for rows in (embeddings, known))}
"""


def test_a_measure_is_given_what_it_needs_as_tensors(tmp_path):
    import torch

    file = tmp_path / "seen.py"
    file.write_text(SEEN)
    with registry.forgetting():
        registry.load_plugin(file)
        labels = torch.arange(6) % 2
        values, _ = evaluate(
            torch.eye(6),
            labels,
            names=["longest"],
            reference=(5 * torch.eye(6), labels),
            fine_labels=torch.arange(6),
            positive_pairs=(torch.tensor([0]), torch.tensor([2])),
        )
    assert values["longest"].item() == 5.0


def test_a_data_set_whose_file_has_changed_is_read_again(toy):
    before = losscope.read("blobs").digest
    toy.write_text(TOY.replace("default_rng(0)", "default_rng(1)"))
    registry.load_plugin(toy)
    assert losscope.read("blobs").digest != before


HEAD = "from losscope.core.registry import register\n"
LOSS = "@register('loss', 'mine', hinge=False, normalised=True, takes='pairs', form='mine'"
MEASURE = (
    "@register('measure', 'mine', quantities=[{'name': 'mine', 'definition': 'd', 'unit': 'u', "
    "'better': 'higher', 'scale': 'difference'}]"
)
PLAIN = "def mine(e, r): ..."
WORD = "def mine(e, r, *, m=1.0): ..."


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("@register('lost', 'mine')\ndef mine(): ...", "unknown kind of item 'lost'; did you mean 'loss'"),
        (LOSS + ", hing=True)\n" + PLAIN, "loss 'mine': unknown fact 'hing'; did you mean 'hinge'"),
        (
            "@register('loss', 'mine', hinge=True)\n" + PLAIN,
            "registered without normalised, takes and form; a loss wants hinge, normalised, takes and form",
        ),
        (
            LOSS.replace("'pairs'", "'pair'") + ")\n" + PLAIN,
            "takes is 'pair'; .*'pairs', 'triplets'",
        ),
        (LOSS + ", positive=('margin',))\n" + WORD, "in positive 'margin'; choices: m"),
        (LOSS + ", space=[{'mm': 1}])\n" + WORD, "hyperparameter in space 'mm'"),
        (LOSS + ", reductions=('active_mean',))\n" + PLAIN, "active_mean is for hinge losses"),
        (LOSS + ", reductions=('mean',))\n" + PLAIN, "reductions.0 is 'mean'"),
        (
            LOSS + ")\ndef mine(e): ...",
            r"called as mine\(embeddings, relation\), but its function takes \(e\)",
        ),
        (LOSS + ")\ndef mine(e, r, *, margin): ...", "missing a required"),
        (MEASURE + ")\ndef mine(e): ...", r"the measure 'mine' is called as mine\(embeddings, labels\)"),
        (MEASURE + ", needs=('reference',))\n" + PLAIN, r"mine\(embeddings, labels, reference=…\)"),
        (MEASURE + ", needs=('references',))\n" + PLAIN, "unknown need 'references'; did you mean"),
        (MEASURE.replace("'higher'", "'up'") + ")\n" + PLAIN, "better is 'up'"),
        ("@register('measure', 'mine')\n" + PLAIN, "registered without quantities"),
        (
            LOSS.replace("mine", "triplet", 1) + ")\n" + PLAIN,
            "has the name of one in losscope.losses.tuples; give it another name, or, if the two are "
            "the same, leave out the plugin",
        ),
        ("@register('section', 'mine', order='first')\ndef mine(c): ...", "section 'mine': order is 'first'"),
        (
            "@register('claim', 'mine', paper='p', statement='s')\ndef mine(e): ...",
            "registered without source",
        ),
        ("@register('data', 'mine', title='t', n=0, classes=2, modality='m')\ndef mine(r): ...", "n is 0"),
        ("@register('model', 'mine', inputs='sounds')\ndef mine(a, b, c): ...", "inputs is 'sounds'"),
    ],
)
def test_a_wrong_registration_is_one_sentence_with_the_choices(tmp_path, code, said):
    file = tmp_path / "mine.py"
    file.write_text(HEAD + code)
    with registry.forgetting():
        with pytest.raises(LosscopeError, match=said) as error:
            registry.load_plugin(file)
        assert len(str(error.value).splitlines()) == 1
        assert not any(
            entry.module.startswith("losscope_plugin_mine") for entry in registry._plugins.values()
        )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 3", "gave a int; it must give a dictionary"),
        ("return {'other': 1.0}", "gave other; it is registered with the quantities mine"),
        ("return 1 / 0", "failed on 12 embeddings of 3 classes: ZeroDivisionError"),
    ],
)
def test_a_measure_that_does_not_work_is_refused_before_training(tmp_path, body, said):
    file = tmp_path / "mine.py"
    file.write_text(f"{HEAD}{MEASURE})\ndef mine(embeddings, labels):\n    {body}\n")
    with registry.forgetting(), pytest.raises(LosscopeError, match=said):
        losscope.compare("digits", seeds=2, plugins=[str(file)], out=str(tmp_path / "out"))
    assert not list((tmp_path / "out").glob("runs/*"))


def test_a_broken_installed_package_is_a_sentence_and_stops_nothing(package, tmp_path):
    (package / "toyscope.py").write_text(TOY + "\nraise RuntimeError('half way')\n")
    made = losscope_in(package, "list", "losses", "--json", cwd=tmp_path)
    names = {row["name"] for row in answer(made)["losses"]}
    assert "triplet" in names
    assert "pull" not in names
    assert "the installed plugin 'toy' (toyscope) failed: RuntimeError: half way" in made.stderr
    wanted = losscope_in(package, *COMPARE, "--out", "out", cwd=tmp_path)
    assert wanted.returncode == 2
    assert "unknown loss 'pull'" in wanted.stderr.splitlines()[-1]
    assert "failed: RuntimeError: half way" in wanted.stderr.splitlines()[-1]


def test_the_loss_of_a_plugin_is_a_module(toy):
    import torch

    from losscope.losses import loss

    module = loss("pull(power=1.0)")
    value = module(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]), torch.tensor([0, 1, 1]))
    assert value.item() == pytest.approx(2**0.5 * (1 - 0.6) ** 0.5, rel=1e-5)


def test_a_measure_may_give_detail_and_is_measured_by_name(toy):
    import torch

    values, _ = evaluate(torch.eye(4), torch.tensor([0, 0, 1, 1]), names=["mean_reach"])
    assert values["mean_reach"].item() == pytest.approx(1.0)


def test_what_ran_is_the_source_though_the_file_changes_and_a_worker_refuses_another_text(tmp_path):
    file = tmp_path / "restored.py"
    with registry.forgetting():
        text = "# -*- coding: latin-1 -*-\n# é\n" + RESTORED
        file.write_bytes(text.encode("latin-1"))
        study = Study.of(
            data="synthetic",
            losses=["restored"],
            plugins=[str(file)],
            trust=True,
            tune=False,
            seeds=2,
            out=str(tmp_path / "out"),
        )
        groups = [
            Group((run,), ("x",), Where(str(tmp_path / "out"), None, "cpu", "none", (str(file),), (digest,)))
            for run in study.resolve("vectors", "cpu").runs()
            for digest in [registry.plugin_digest(file)]
        ]
        file.write_text(RESTORED + "# changed")
        assert registry.source_of("loss", "restored") == text
        with pytest.raises(LosscopeError, match="was changed after the command began"):
            run_group(groups[0])
        file.write_bytes(b"\xff\xfe\xff")
        with pytest.raises(LosscopeError, match="cannot read the Python file"):
            registry.load_plugin(file)
