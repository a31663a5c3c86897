"""The force of each loss by distance: what it says, and that a study keeps it for its page."""

from __future__ import annotations

import json

import numpy as np
import pytest

import losscope
from losscope.auditing import force
from losscope.auditing.force import force_by_distance
from losscope.auditing.subjects import subject
from losscope.comparing import forces
from losscope.core.spec import LossSpec
from losscope.run.store import Store

OURS = ("contrastive", "triplet", "info_nce", "sup_con", "n_pair", "arcface", "center_contrastive")


def test_the_force_of_a_contrastive_loss_is_that_of_its_formula():
    found = force_by_distance(subject("contrastive(margin=1.0)"))
    distance = np.array(found.distance)
    # On the sphere the part of a gradient that turns the anchor by a distance d is as large as the slope in d
    # times √(1 − d²/4): of d², and of the squared hinge on 1 − d.
    turn = np.sqrt(1 - distance**2 / 4)
    pull, push = 2 * distance * turn, 2 * np.maximum(1 - distance, 0) * turn
    np.testing.assert_allclose(np.array(found.pull) / found.pull[5], pull / pull[5], rtol=1e-6)
    np.testing.assert_allclose(np.array(found.push) / found.push[5], push / push[5], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", OURS)
def test_every_loss_of_ours_pulls_positives_and_pushes_negatives(name):
    found = forces.measured(LossSpec.parse(name))
    assert found is not None and len(found.distance) == len(found.pull) == len(found.push) == 40
    assert max(found.pull) > 0 and max(found.push) > 0
    assert min(found.pull) > -0.01 * max(found.pull) and min(found.push) > -0.01 * max(found.push)


@pytest.mark.parametrize("name", [*OURS, "triplet(tuples=hard)"])
def test_all_distances_at_once_are_each_alone(name):
    own = subject(name)
    asked = [(0.3, 1.0), (1.0, 0.7), (1.9, 1.0), (1.0, 1.1)]
    alone = [force._force(own, near, far, 1) for near, far in asked]
    np.testing.assert_allclose(force._forces(own, asked, 1).numpy(), alone, rtol=1e-12, atol=1e-15)


def test_a_loss_of_tuples_drawn_at_random_has_no_force():
    assert forces.measured(LossSpec.parse("triplet(tuples=random)")) is None


def test_a_study_keeps_its_forces_and_its_page_draws_them(tmp_path):
    result = losscope.compare(
        "digits", losses="contrastive,triplet", seeds=1, epochs=1, tune=False, out=tmp_path / "out"
    )
    read = losscope.load(tmp_path / "out")
    assert set(result.evidence.forces) == {"contrastive", "triplet"}
    assert read.evidence.forces == result.evidence.forces
    assert read.page() == result.page() and 'id="forces"' in read.page()
    store = Store(tmp_path / "out", create=False)
    [file] = (tmp_path / "out" / "studies").glob("*/forces.json")
    for text in ("", "[]", json.dumps({"triplet": {"distance": [1], "pull": ["x"], "push": [2]}})):
        file.write_text(text)
        assert forces.read(store, read.study) == {}
    file.unlink()
    assert 'id="forces"' not in losscope.load(tmp_path / "out").page()
