"""A reproduction's page: what is counted in its head, and every claim on an axis."""

from __future__ import annotations

import math

from losscope.core.results import ClaimVerdict, StudyLink
from losscope.core.wording.reproductions import judged
from losscope.reporting.claim_forest import forests


def row(**more) -> ClaimVerdict:
    usual = {"id": "a", "statement": "a is more", "source": "table 1", "data": "digits", "protocol": "paper"}
    return ClaimVerdict(**{**usual, "verdict": "reproduced", **more})


def whole(verdict_run: str | None, **more) -> ClaimVerdict:
    """A row over all of the paper's data, of which not all were run."""
    return row(verdict="not_testable", verdict_run=verdict_run, together=True, **more)


def test_claims_are_counted_by_what_was_run_of_the_papers_data():
    rows = [whole("reproduced"), whole("reproduced"), whole("contradicted"), whole("inconclusive")]
    rows += [whole(None), whole("not_testable"), whole("reproduced", beyond=True), row(), row()]
    assert judged(rows) == ("2 of 4 judged claims reproduced, 1 contradicted; 2 could not be tested here")
    assert judged([whole(None), whole(None)]) == "2 could not be tested here"
    assert judged([row()]) == "1 of 1 judged claim reproduced"
    assert judged([]) == "No claim was judged"


def test_a_ratio_lies_at_its_logarithm_and_leads_to_its_study():
    claims = [
        row(scale="ratio", measured=2.0, low=1.0, high=4.0, expected=0.5, delta=math.log(1.1), study="s"),
        row(data="mnist", verdict="not_testable", reason="no such measure"),
        whole("reproduced"),
    ]
    links = [StudyLink(data="digits", protocol="paper", study="s", settings="", page="../s t/report.html")]
    (found,) = forests(claims, links)
    first, second = found.marks
    assert first.page == "../s%20t/report.html" and second.page == ""
    assert first.low == found.zero and first.low < first.at < first.high
    assert abs((first.at - first.low) - (first.low - first.expected)) < 0.05, "half is as far as twice"
    assert first.band[0] < found.zero < first.band[1]
    assert second.at is None and second.tip == "no such measure"
    assert "×1" in [text for _, text in found.ticks]


def test_the_side_of_a_claim_is_told_where_it_is_known():
    (found,) = forests([row(scale="difference", measured=-0.1, direction="lower")], [])
    assert found.claimed == "lower" and found.marks[0].at < found.zero
    (found,) = forests([row(scale="difference", measured=-0.1)], [])
    assert found.claimed == ""


def test_numbers_on_an_axis_have_room():
    claims = [row(data=str(place), scale="ratio", measured=1.0 + 0.1 * place) for place in range(9)]
    places = [at for at, _ in forests(claims, [])[0].ticks]
    assert len(places) > 1 and min(b - a for a, b in zip(places, places[1:])) >= 19
