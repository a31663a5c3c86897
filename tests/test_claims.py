"""Claims and the ledger: planted truths, numbers, reduced data, conjunctions, families; without training."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from losscope import stats
from losscope.comparing.listing import items
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.papers.evidence import Evidence, Side, Stated
from losscope.papers.ledger import TOGETHER, judge, together
from losscope.papers.paper import Asked, Cell, Claim, Compared, Paper, each, paper, published

rng = np.random.default_rng(3)
SEEDS = 10


def side(loss, margin=None, curves=(), failed=(), seeds=SEEDS, **measures):
    """A loss whose measures have these means, with a little noise by seed."""
    values = {
        name: tuple(
            None if mean is None else mean * (1 + 0.001 * rng.standard_normal()) for _ in range(seeds)
        )
        for name, mean in measures.items()
    }
    lost = tuple(seed in failed for seed in range(seeds))
    values = {
        name: tuple(None if gone else value for value, gone in zip(own, lost)) for name, own in values.items()
    }
    return Side(loss, loss, lost, values, dict(curves), {} if margin is None else {"margin": margin})


def evidence(*sides, data="synthetic", protocol="paper", **more):
    return Evidence(
        data,
        protocol,
        {one.loss: one for one in sides},
        alpha=stats.alpha_of(more.get("look", 1)),
        own_protocol=protocol == "paper",
        **more,
    )


def row_of(rows, name, **where):
    found = [
        row
        for row in rows
        if row.id == name and all(getattr(row, key) == value for key, value in where.items())
    ]
    assert len(found) == 1
    return found[0]


def planted(*claims):
    return Paper(losses=("contrastive", "triplet"), cells=(), claims=claims, name="planted")


def claim_of(name, asserts, data=("synthetic",), measure="intra_variance"):
    return Claim(name, name, "planted", measure, asserts, data)


def planted_pair():
    return planted(
        claim_of("true", Compared("triplet", "higher", "contrastive")),
        claim_of("false", Compared("contrastive", "higher", "triplet")),
    )


def test_a_planted_true_claim_is_reproduced_and_a_false_one_contradicted():
    rows = judge(
        planted_pair(),
        [evidence(side("contrastive", intra_variance=0.1), side("triplet", intra_variance=0.24))],
    )
    true, false = row_of(rows, "true"), row_of(rows, "false")
    assert (true.verdict, false.verdict) == ("reproduced", "contradicted")
    assert true.measured == pytest.approx(2.4, rel=0.01) and false.measured == pytest.approx(
        1 / 2.4, rel=0.01
    )
    assert true.low <= true.measured <= true.high
    assert (
        true.scale == "ratio" and true.tests_in_family == 2 and true.says == "triplet higher than contrastive"
    )
    assert true.p_holm == pytest.approx(2 * true.p) and true.p == 2 / 2**SEEDS


def test_five_seeds_are_inconclusive_with_the_seeds_needed():
    few = [side("contrastive", seeds=5, intra_variance=0.1), side("triplet", seeds=5, intra_variance=0.24)]
    for row in judge(planted_pair(), [evidence(*few)]):
        assert row.verdict == "inconclusive" and row.seeds_needed >= 6 and row.reason == "too few seeds"


def test_equal_losses_contradict_both_directions():
    rows = judge(
        planted_pair(),
        [evidence(side("contrastive", intra_variance=0.1), side("triplet", intra_variance=0.1))],
    )
    assert [row.verdict for row in rows] == ["contradicted"] * 2
    assert all("no difference" in row.reason for row in rows)


@pytest.mark.parametrize(
    ("ratio", "protocol", "reduced", "word"),
    [
        (2.4, "paper", None, "reproduced"),
        (1.5, "paper", None, "direction_only"),
        (0.5, "paper", None, "contradicted"),
        (1.5, "matched", None, "reproduced"),
        (1.5, "paper", "2,000 of 60,000 images", "reproduced"),
    ],
)
def test_the_papers_number_is_tested_on_its_own_protocol_and_whole_data_only(ratio, protocol, reduced, word):
    losses = side("contrastive", intra_variance=0.1), side("triplet", intra_variance=0.1 * ratio)
    rows = judge(paper("zeng2025"), [evidence(*losses, protocol=protocol, reduced=reduced)])
    row = row_of(rows, "intra-variance")
    assert row.verdict == word and row.expected == pytest.approx(2.4)
    if reduced:
        assert "direction only" in row.reason and reduced in row.reason
    if protocol == "matched":
        assert "the paper's own protocol" in row.reason


def test_a_noisy_size_is_unresolved():
    contrastive = side("contrastive", intra_variance=0.1)
    noisy = tuple(0.24 * math.exp(0.3 * rng.standard_normal()) for _ in range(SEEDS))
    triplet = Side("triplet", "triplet", (False,) * SEEDS, {"intra_variance": noisy})
    assert (
        row_of(judge(paper("zeng2025"), [evidence(contrastive, triplet)]), "intra-variance").verdict
        == "size_unresolved"
    )


def test_speed_is_not_testable_on_reduced_data_nor_what_was_not_measured():
    losses = side("contrastive", epochs_to_90=27), side("triplet", epochs_to_90=43)
    assert row_of(judge(paper("zeng2025"), [evidence(*losses)]), "loss-decay").verdict == "reproduced"
    rows = judge(paper("zeng2025"), [evidence(*losses, data="mnist", reduced="a part")])
    for name in ("loss-decay", "quality-decay"):
        row = row_of(rows, name)
        assert row.verdict == "not_testable" and "reduced" in row.reason and row.measured is None
    assert row_of(rows, "active-ratio").reason == "these data have no active_ratio"
    # Beyond the paper's cells a claim that the data cannot speak to has no row at all.
    beyond = judge(
        paper("zeng2025"),
        [evidence(side("contrastive", recall_at_1=0.5), side("triplet", recall_at_1=0.6), data="digits")],
    )
    assert {row.id for row in beyond} == {"retrieval"} and beyond[0].beyond


def test_unreached_epochs_are_compared_by_order():
    late = Side("triplet", "triplet", (False,) * SEEDS, {"epochs_to_90": (None,) * 9 + (40.0,)})
    losses = side("contrastive", epochs_to_90=27), late
    row = row_of(judge(paper("zeng2025"), [evidence(*losses)]), "loss-decay")
    assert row.verdict == "size_unresolved" and row.measured is None  # an order has no size
    row = row_of(judge(paper("zeng2025"), [evidence(*losses, data="mnist")]), "loss-decay")
    assert row.verdict == "reproduced" and row.measured is None
    assert "triplet in 10" in row.reason


def test_a_failed_run_leaves_no_verdict():
    losses = side("contrastive", recall_at_1=0.5, failed=[3]), side("triplet", recall_at_1=0.6)
    row = row_of(judge(paper("zeng2025"), [evidence(*losses, data="cub200")]), "retrieval")
    assert row.verdict == "not_testable" and "1 of 20 runs diverged or failed" in row.reason


def test_part_of_training():
    """The first tenth and the second half of 20 epochs, epochs without a value left out."""
    curve = np.arange(1.0, 21.0)
    gap = np.where(np.arange(20) % 2, np.nan, curve)
    one = side("triplet", seeds=2, curves={"hard_share": [curve, gap]})
    assert one.during("hard_share", 0.0, 0.1) == (1.5, 1.0)
    assert one.during("hard_share", 0.5, 1.0) == (15.5, 15.0)
    assert one.during("update_norm", 0.0, 0.1) == (None, None)
    empty = side("triplet", seeds=1, curves={"hard_share": [np.full(20, np.nan)]})
    assert empty.during("hard_share", 0.5, 1.0) == (None,)
    # Fewer epochs than ten still have a first tenth.
    assert side("a", seeds=1, curves={"x": [np.array([3.0, 9.0])]}).during("x", 0.0, 0.1) == (3.0,)


def test_claims_on_parts_of_training_read_the_curves():
    early = [np.where(np.arange(20) < 2, 0.1, 5.0) + 0.001 * rng.standard_normal(20) for _ in range(SEEDS)]
    late = [np.full(20, 1.0) + 0.001 * rng.standard_normal(20) for _ in range(SEEDS)]
    contrastive, triplet = (
        side("contrastive", curves={"update_norm": early}),
        side("triplet", curves={"update_norm": late}),
    )
    row = row_of(judge(paper("zeng2025"), [evidence(contrastive, triplet)]), "early-small-updates")
    assert row.verdict == "reproduced" and row.measured == pytest.approx(0.1, rel=0.05)


def grid(relation):
    cells = []
    for loss in ("contrastive", "triplet"):
        for margin in (0.1, 0.3, 0.5, 0.7):
            cells.append(side(loss, margin, intra_variance=margin, fine_recall_at_1=relation(loss, margin)))
    return tuple(cells)


def test_association_over_losses_and_margins_and_within_each_loss():
    losses = side("contrastive", fine_recall_at_1=0.5), side("triplet", fine_recall_at_1=0.6)
    cells = grid(lambda loss, margin: 0.5 + margin / 2 if loss == "triplet" else 0.9 - margin / 2)
    rows = judge(paper("zeng2025"), [evidence(*losses, data="somewhere", grid=cells)])
    assert row_of(rows, "variance-is-detail-triplet").verdict == "reproduced"
    assert row_of(rows, "variance-is-detail-triplet").measured == pytest.approx(1.0)
    assert row_of(rows, "variance-is-detail-contrastive").verdict == "contradicted"
    assert row_of(rows, "variance-is-detail-contrastive").measured == pytest.approx(-1.0)
    assert abs(row_of(rows, "variance-is-detail").measured) < 0.5
    assert row_of(rows, "recommend-detail").verdict == "reproduced"
    assert row_of(rows, "variance-is-detail").says == "fine Recall@1 rises with intra-class variance"


def test_variance_is_taken_where_detail_is_measured():
    """Under the paper's protocol variance is the training set's; detail is set against the test split's."""
    cells = tuple(
        side(
            "triplet",
            margin,
            **{"intra_variance": 1 - margin, "intra_variance@test": margin, "fine_recall_at_1": margin},
        )
        for margin in (0.1, 0.3, 0.5)
    )
    rows = judge(paper("zeng2025"), [evidence(side("contrastive"), side("triplet"), grid=cells)])
    assert row_of(rows, "variance-is-detail").measured == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("low", "word"), [(0.20, "reproduced"), (0.1, "contradicted"), (0.05, "contradicted")]
)
def test_a_claim_about_a_group_is_as_good_as_its_weakest_pair(low, word):
    """SupCon at ``low`` against InfoNCE at 0.1: above, equal, below."""
    losses = [
        side(name, intra_variance=mean)
        for name, mean in {"triplet": 0.3, "sup_con": low, "contrastive": 0.05, "info_nce": 0.1}.items()
    ]
    row = row_of(judge(paper("zeng2026"), [evidence(*losses, data="cub200")]), "seven-variance")
    assert row.verdict == word
    assert (row.a, row.b) == ("sup_con", "info_nce") and "weakest of 4" in row.reason
    assert row.tests_in_family == 1


def test_a_part_that_points_the_other_way_counts_for_all_parts():
    losses = [
        side(name, recall_at_1=mean)
        for name, mean in {
            "triplet": 0.5,
            "contrastive": 0.6,
            "n_pair": 0.4,
            "info_nce": 0.4,
            "arcface": 0.4,
            "center_contrastive": 0.4,
        }.items()
    ]
    row = row_of(judge(paper("zeng2026"), [evidence(*losses, data="cub200")]), "seven-triplet-wins")
    assert row.verdict == "contradicted" and row.p == pytest.approx(5 * 2 / 2**SEEDS)
    lacking = row_of(judge(paper("zeng2026"), [evidence(*losses, data="cub200")]), "seven-variance")
    assert lacking.verdict == "not_testable" and "not run" in str(lacking.reason)


def test_a_claim_holds_only_if_it_does_on_each_of_the_papers_data():
    def cell(data, ratio):
        return evidence(
            side("contrastive", inter_distance=1.0),
            side("triplet", inter_distance=ratio),
            data=data,
            protocol="matched",
        )

    def whole(*cells):
        rows = judge(paper("zeng2025"), cells)
        return row_of(together(paper("zeng2025"), rows), "inter-distance")

    everywhere = [cell("synthetic", 1.3), cell("mnist", 1.3), cell("cifar10", 1.3)]
    assert whole(*everywhere).verdict == "reproduced" and whole(*everywhere).data == TOGETHER
    row = whole(*everywhere[:2], cell("cifar10", 0.7))
    assert row.verdict == "contradicted" and row.reason.startswith("cifar10:")
    row = whole(*everywhere[:2])
    assert row.verdict == "not_testable" and row.reason == "cifar10: not run"
    assert row.run == ("synthetic", "mnist") and row.verdict_run == "reproduced"
    # Data beyond the paper's do not change what holds on the paper's.
    assert whole(*everywhere, cell("digits", 0.7)).verdict == "reproduced"


def test_families_are_a_data_set_under_a_protocol():
    one = evidence(side("contrastive", intra_variance=0.1), side("triplet", intra_variance=0.24))
    other = evidence(
        side("contrastive", intra_variance=0.1), side("triplet", intra_variance=0.24), data="mnist"
    )
    assert {row.tests_in_family for row in judge(planted_pair(), [one, other])} == {2}
    assert [row.beyond for row in judge(planted_pair(), [one, other])] == [False, False, True, True]
    assert {row.id for row in judge(planted_pair(), [evidence(*one.sides.values(), only=("true",))])} == {
        "true"
    }


def test_a_later_look_is_tested_more_strictly():
    losses = side("contrastive", intra_variance=0.1), side("triplet", intra_variance=0.24)
    row = row_of(judge(planted_pair(), [evidence(*losses, look=2)]), "true")
    assert row.alpha == pytest.approx(0.008) and row.look == 2 and row.verdict == "reproduced"
    row = row_of(judge(planted_pair(), [evidence(*losses, look=3)]), "true")
    assert row.verdict == "inconclusive"


def test_a_claim_that_returns_something_else_is_told_so():
    odd = planted(claim_of("odd", Asked(lambda evidence: True)))
    with pytest.raises(LosscopeError, match="'odd' returned bool"):
        judge(odd, [evidence(side("triplet"))])


def test_a_function_that_returns_a_plain_claim_is_judged_too():
    def plain(one):
        row = stats.compare(
            [0.9] * SEEDS, [0.8 + seed / 1000 for seed in range(SEEDS)], "recall_at_1", alpha=one.alpha
        )
        return stats.Claim(row, "higher")

    rows = judge(planted(claim_of("plain", Asked(plain))), [evidence(side("triplet"))])
    assert rows[0].verdict == "reproduced"


ADDED = '''
from losscope.core.registry import register


@register("claim", "added", paper="zeng2025", statement="triplet has the higher MAP@R", source="mine",
          data=("synthetic",), measure="map_at_r")
def added(evidence):
    """A claim of a plugin on a paper that is there."""
    return evidence.claim("triplet", "higher", "contrastive", "map_at_r")
'''


def test_a_plugin_adds_a_claim_to_a_paper(tmp_path):
    file = tmp_path / "added.py"
    file.write_text(ADDED)
    with registry.forgetting():
        registry.load_plugin(file)
        found = paper("zeng2025")
        assert found.claims[-1].id == "added" and found.about("map_at_r") == ("added",)
        losses = side("contrastive", map_at_r=0.5), side("triplet", map_at_r=0.6)
        assert row_of(judge(found, [evidence(*losses)]), "added").verdict == "reproduced"
        assert [claim.name for claim in items("claims").claims].count("added") == 1
    assert "added" not in [claim.id for claim in paper("zeng2025").claims]


def test_every_claim_declares_what_the_ledger_shows():
    for name in ("zeng2025", "zeng2026"):
        found = paper(name)
        assert found.name == name and found.title and len(found.claims) >= 9
        for claim in found.claims:
            assert claim.id == claim.id.lower() and " " not in claim.id
            assert claim.statement and claim.source
            stats.declared(claim.measure)
        for control in found.controls:
            for explained in getattr(control, "explains", None) or ():
                found.claim(explained)
    # What ten seeds can carry: 2/2¹⁰ × 20 ≤ .04 (two modalities with finer labels have 20).
    nothing = Stated(None, "higher")
    assert nothing.delta is None
    assert stats.attainable_p(10, 20) <= stats.alpha_of(1)


def test_each_makes_all_pairs():
    pairs = each(("a", "b"), "lower", ("c", "d"), during=(0.0, 0.1)).parts
    assert [(pair.a, pair.b) for pair in pairs] == [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")]
    assert {(pair.direction, pair.during) for pair in pairs} == {("lower", (0.0, 0.1))}


def test_a_paper_that_contradicts_itself_is_refused():
    true = claim_of("true", Compared("triplet", "higher", "contrastive"))
    with pytest.raises(LosscopeError, match="two claims have the id true"):
        planted(true, true)
    cell = Cell("synthetic", "paper", ("triplet",), only=("ture",))
    with pytest.raises(LosscopeError, match="did you mean 'true'"):
        Paper(losses=("triplet",), cells=(cell,), claims=(true,))
    with pytest.raises(LosscopeError, match="unknown claim of planted 'ture'"):
        planted(true).claim("ture")


def test_published_values_are_of_the_papers_own_protocol():
    triplet = {
        number.measure: number.value for number in published("synthetic", "paper") if number.loss == "triplet"
    }
    assert triplet == {"intra_variance": 0.0329, "inter_distance": 1.4418}
    assert not published("synthetic", "matched") and not published("digits", "paper")


def test_claims_import_no_torch():
    code = (
        "import sys; from losscope.papers.paper import papers; list(papers()); print('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    )
