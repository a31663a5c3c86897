"""Several probes: drawn together, described, and judged where they have seeds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import losscope
from losscope.cli import app
from losscope.comparing.judging import judge
from losscope.core.errors import LosscopeError
from losscope.probe.comparison import comparison, scores, sides_of
from losscope.probe.record import load_probes

CLASSES, SIZE = 4, 6
LABELS = torch.arange(24) % CLASSES


def trained(
    loss: str, out: Path, name: str, seed: int, *, steps: int = 30, said: bool = False
) -> losscope.Probe:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLASSES, 8, generator=torch.Generator().manual_seed(9))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Linear(8, SIZE)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    with losscope.Probe(
        losscope.loss(loss), out=out, name=name, every=5, seed=seed if said else None
    ) as probe:
        for _ in range(steps):
            rows = centres[LABELS] + torch.randn(24, 8, generator=generator)
            value = probe(network(rows), LABELS)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
    return probe


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("seeded")
    for seed in range(8):
        trained("triplet(margin=0.2)", out, f"triplet/{seed}", seed)
        trained("contrastive(margin=0.5)", out, "contrastive", seed, said=True)
    return out


@pytest.mark.parametrize(
    ("name", "seed", "side"),
    [
        ("triplet/3", None, ("triplet", 3)),
        ("a/b/seed-12", None, ("a/b", 12)),
        ("triplet", 3, ("triplet", 3)),
        ("triplet/3", 7, ("triplet/3", 7)),
        ("triplet(margin=0.2)", None, ("triplet(margin=0.2)", None)),
        ("/3", None, ("/3", None)),
    ],
)
def test_the_seed_is_given_or_read_from_the_name(name, seed, side):
    probe = losscope.Probe(losscope.loss("triplet"), name=name, seed=seed)
    assert probe.record().mark.side == side


def test_the_end_of_a_training_is_the_mean_of_its_last_tenth(tmp_path):
    record = trained("triplet(margin=0.2)", tmp_path, "triplet", 0, steps=40).record()
    steps, values = record.curve("loss")
    assert record.endings()["loss"] == pytest.approx(np.mean(values[36:])) and steps[36] == 37
    assert record.endings()["spread"] == record.curve("spread")[1][-1]  # looked at in step 36, not since


def test_judge_gives_the_verdicts_of_a_table_with_the_same_numbers(seeded, tmp_path):
    found = judge(str(seeded / "probes"))
    rows = [
        f"{loss},{seed},{name},{value!r}"
        for (loss, seed), values in scores(load_probes(seeded)).items()
        for name, value in values.items()
        if name == "intra_inter_ratio"
    ]
    table = tmp_path / "scores.csv"
    table.write_text("loss,seed,measure,value\n" + "\n".join(rows))
    other = judge(str(table), measure="intra_inter_ratio")
    assert [
        (row.a, row.b, row.p, row.verdict) for row in found.paired if row.measure == "intra_inter_ratio"
    ] == [(row.a, row.b, row.p, row.verdict) for row in other.paired]
    assert found.seeds == tuple(range(8)) and {side.name for side in found.losses} == {
        "triplet",
        "contrastive",
    }
    assert any("on its training batches" in note for note in found.notes)
    assert judge(str(seeded), measure="effective_rank").recommendation.measure == "effective_rank"


def test_what_cannot_be_judged_is_one_sentence(tmp_path):
    trained("triplet(margin=0.2)", tmp_path, "triplet", 0)
    with pytest.raises(LosscopeError, match="'triplet' says no seed"):
        judge(str(tmp_path))
    other = tmp_path / "twice"
    for _ in range(2):
        trained("triplet(margin=0.2)", other, "triplet/1", 1, steps=3)
    with pytest.raises(LosscopeError, match="two probes are of 'triplet' and seed 1"):
        judge(str(other))
    empty = tmp_path / "empty"
    losscope.Probe(losscope.loss("triplet"), out=empty, name="triplet/1").close()
    with pytest.raises(LosscopeError, match="'triplet/1' has no step"):
        judge(str(empty))
    with pytest.raises(LosscopeError, match="holds no probe"):
        load_probes(tmp_path / "absent")


def test_a_training_that_goes_on_is_said(tmp_path):
    for seed in range(2):
        trained("contrastive(margin=0.5)", tmp_path, "contrastive", seed, said=True)
    open_ones = [
        losscope.Probe(losscope.loss("triplet"), out=tmp_path, name=f"triplet/{n}", every=1) for n in (0, 1)
    ]
    for probe in open_ones:
        probe(torch.randn(24, SIZE, requires_grad=True), LABELS).backward()
        probe._recorder.digest()
        probe._recorder.writer.write()
    notes = " ".join(judge(str(tmp_path)).notes)
    assert (
        "triplet/0 and triplet/1 were not closed" in notes and "They differ in length: 1 to 30 steps" in notes
    )


def test_the_page_of_several_draws_them_together(seeded, capsys):
    app(["report", str(seeded)], result_action="return_value")
    said = capsys.readouterr().out
    assert "triplet/0: No alarm in 30 steps." in said and "losscope judge gives the verdicts" in said
    page = (seeded / "probes" / "probes.html").read_text()
    for heading in ("What the doctor says", "At the end of training", "The loss", "How the batches lie"):
        assert f">{heading}</h2>" in page
    assert "No alarm in 16 trainings." in page
    loaded = re.findall(r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=["']?([^"' >]+)""", page)
    assert [address for address in loaded if not address.startswith("data:")] == []
    sides = sides_of(load_probes(seeded))
    assert {name: len(own) for name, own in sides.items()} == {"triplet": 8, "contrastive": 8}
    own = [record.endings()["effective_rank"] for record in sides["triplet"]]
    assert f"{np.mean(own):.2f}" in page and f"{min(own):.2f} – {max(own):.2f}" in page


def test_one_training_of_each_loss_is_described_and_not_judged(tmp_path):
    trained("triplet(margin=0.2)", tmp_path, "a <b>", 0)
    trained("contrastive(margin=0.5)", tmp_path, "other", 0, steps=20)

    def pull(z: Tensor, labels: Tensor) -> Tensor:
        return z.square().mean() * math_nan

    math_nan = float("nan")
    with losscope.Probe(pull, out=tmp_path, name="ill") as probe:
        probe(torch.ones(4, 2, requires_grad=True), torch.tensor([0, 0, 1, 1])).backward()
    page = comparison(load_probes(tmp_path))
    assert "An alarm in 1 of 3 trainings: ill." in page
    assert (
        "with another seed the order may be another one" in page and "They differ in length: 1 to 30" in page
    )
    assert "a &lt;b&gt;" in page and "a <b>" not in page


def test_the_probe_of_one_name_has_its_own_page(seeded, capsys):
    app(["report", str(seeded), "--study", "triplet/2"], result_action="return_value")
    said = capsys.readouterr().out
    assert "triplet/2: No alarm in 30 steps." in said and "probe.html" in said and "triplet/3" not in said


def test_reading_and_drawing_import_no_torch(seeded):
    code = (
        "import sys; from losscope.probe.comparison import comparison; from losscope.probe.record import "
        f"load_probes; comparison(load_probes({str(seeded)!r})); print('torch' in sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "False"
