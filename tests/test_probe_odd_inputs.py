"""``losscope.Probe`` given what is rare: no word too few, no number wrong, no training ended."""

from __future__ import annotations

import logging
import re
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import losscope
from losscope.core.errors import LosscopeError
from losscope.probe import record

ROWS, CLASSES, SIZE = 24, 4, 8
LABELS = torch.arange(ROWS) % CLASSES


def embeddings(seed: int = 0, rows: int = ROWS) -> torch.Tensor:
    return torch.randn(rows, SIZE, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def by_name(probe: losscope.Probe) -> dict[str, float]:
    return {row.name: row.value for row in probe.record().rows}


def test_layers_that_are_set_free_later_are_in_the_norms_from_then_on():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(SIZE, 16), nn.ReLU(), nn.Linear(16, SIZE))
    network[0].requires_grad_(False)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    probe = losscope.Probe(losscope.loss("info_nce"), model=network)
    wanted = []
    for step in range(4):
        if step == 2:
            network[0].requires_grad_(True)
        optimiser.zero_grad()
        probe(network(embeddings(step).detach()), LABELS).backward()
        free = [each for each in network.parameters() if each.requires_grad]
        before = torch.cat([each.detach().flatten() for each in free])
        gradient = torch.cat([each.grad.flatten() for each in free])
        optimiser.step()
        after = torch.cat([each.detach().flatten() for each in free])
        wanted.append([float(each.norm()) for each in (gradient, after - before, before)])
    names = ("parameter_gradient_norm", "update_norm", "weight_norm")
    found = np.transpose([probe.record().curve(name)[1] for name in names])
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("name", ["triplet(margin=0.2)", "info_nce", "multi_similarity"])
@pytest.mark.parametrize("rows", [0, 1])
def test_a_batch_of_nothing_or_one_row_ends_no_training(name, rows):
    alone = losscope.loss(name)(embeddings(rows=rows), LABELS[:rows])
    probe = losscope.Probe(losscope.loss(name), every=1)
    value = probe(embeddings(rows=rows), LABELS[:rows])
    value.backward()
    assert value.item() == alone.item() == by_name(probe)["loss"]


@pytest.mark.parametrize("given", ["1", 1.5, float("nan"), [1]])
def test_an_epoch_that_is_no_whole_number_is_refused_where_it_is_set(given):
    probe = losscope.Probe(losscope.loss("info_nce"))
    with pytest.raises(LosscopeError, match=r"the epoch is .*; a whole number or None is wanted"):
        probe.epoch = given


def test_epochs_of_any_whole_kind_are_written(tmp_path):
    with losscope.Probe(losscope.loss("info_nce"), out=tmp_path) as probe:
        for epoch in (None, True, np.int64(2), torch.tensor(3)):
            probe.epoch = epoch
            probe(embeddings(), LABELS).backward()
    rows = losscope.load_probe(tmp_path).rows
    assert {row.step: row.epoch for row in rows} == {1: None, 2: 1, 3: 2, 4: 3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"every": 2.5}, "every is 2.5; a number of steps from 1 on is wanted"),
        ({"every": "a"}, "every is 'a'; a number of steps"),
        ({"every": True}, "every is True; a number of steps"),
        ({"name": 5}, "name is 5; a text is wanted"),
        ({"seed": "a"}, "seed is 'a'; a whole number is wanted"),
        ({"model": []}, "model is []; an nn.Module is wanted"),
        ({"ask": "no"}, "ask is 'no'; True or False is wanted"),
        ({"unit_rows": 1}, "unit_rows is 1; True or False is wanted"),
    ],
)
def test_what_an_option_cannot_be_is_one_sentence(given, message):
    with pytest.raises(LosscopeError, match=re.escape(message)):
        losscope.Probe(losscope.loss("info_nce"), **given)


def test_a_folder_that_cannot_be_written_any_more_ends_no_training(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(record, "SECONDS", 0.0)
    monkeypatch.setattr(record, "SHARE", 0.0)
    probe = losscope.Probe(losscope.loss("info_nce"), out=tmp_path / "runs", name="full")
    folder = probe.folder
    with caplog.at_level(logging.WARNING, "losscope.probe"):
        for step in range(6):
            if step == 3:
                shutil.rmtree(folder)
                folder.write_text("in the way")
            probe(embeddings(step), LABELS).backward()
        assert len(probe._recorder.writer.rows) > 0
    assert caplog.text.count("The training goes on; what was recorded is kept in memory") == 1
    folder.unlink()
    folder.mkdir()
    probe.close()
    kept = losscope.load_probe(tmp_path / "runs", "full")
    assert kept.closed and kept.steps == 6


def test_a_probe_that_can_write_nothing_closes_all_the_same(tmp_path, caplog):
    with losscope.Probe(losscope.loss("info_nce"), out=tmp_path / "runs") as probe:
        probe(embeddings(), LABELS).backward()
        shutil.rmtree(tmp_path / "runs")
        (tmp_path / "runs").write_text("in the way")
    assert "cannot be written" in caplog.text


CLASSES_OF = {"classes", "rows_with_positive", "merged_pairs", "intra_inter_ratio", "label_effect"}


@pytest.mark.parametrize("kind", ["list", "array", "names"])
def test_labels_in_a_list_or_an_array_are_labels(kind):
    whole = losscope.Probe(losscope.loss("triplet"), every=1)
    whole(embeddings(), LABELS).backward()
    given = {"list": LABELS.tolist(), "array": LABELS.numpy(), "names": [f"c{at}" for at in LABELS.tolist()]}
    probe = losscope.Probe(losscope.loss("triplet"), every=1)
    probe(embeddings(), given[kind]).backward()
    assert by_name(probe) == by_name(whole) and by_name(probe).keys() >= CLASSES_OF


def test_of_several_vectors_of_integers_the_named_one_is_the_labels():
    def mine(z, items, labels):
        return losscope.loss("triplet")(z, labels)

    probe = losscope.Probe(mine, every=1)
    probe(embeddings(), torch.arange(ROWS), LABELS).backward()
    assert not by_name(probe).keys() & CLASSES_OF
    probe = losscope.Probe(mine, every=1)
    probe(embeddings(), torch.arange(ROWS), labels=LABELS).backward()
    assert by_name(probe)["classes"] == CLASSES


def test_texts_given_to_a_strangers_loss_are_no_labels():
    probe = losscope.Probe(lambda z, texts: z.square().mean(), every=1)
    probe(embeddings(), [f"text {at}" for at in range(ROWS)]).backward()
    assert not by_name(probe).keys() & CLASSES_OF


def test_a_name_with_control_characters_is_one_line_of_the_log(caplog):
    probe = losscope.Probe(losscope.loss("info_nce"), name="a\x1b[31m\nb", every=1)
    rows = embeddings().detach()
    rows[0] = float("nan")
    probe(rows.requires_grad_(), LABELS).backward()
    assert probe.record().mark.name == "a\x1b[31m\nb"
    (line,) = [entry.getMessage() for entry in caplog.records if "not finite" in entry.getMessage()]
    assert (
        line.startswith(r"a\x1b[31m\nb: step 1, not finite: 1 row of the embeddings is NaN")
        and "\n" not in line
    )
