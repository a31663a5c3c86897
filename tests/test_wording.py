"""Numbers, names and sentences: made from fields, complete, and never read back."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as some

import losscope
from losscope.core import wording
from losscope.core.results import (
    ClaimReason,
    Comparison,
    DesignPlan,
    Edge,
    Ground,
    NotComparable,
    Recommendation,
    Settings,
)
from losscope.stats import Measured, Standing, analyse
from report_fixture import of_analysis

SOURCE = Path(losscope.__file__).parent
SHIFTS = (0.3, -0.8, 0.5, 1.2, -0.4, 0.9, -1.1, -0.2, 0.1, -0.5)


def shifted(mean: float, size: float = 0.01, n: int = 10) -> list[float | None]:
    return [0.9 + mean + size * shift for shift in SHIFTS[:n]]


FLAT = shifted(0.0, 0.0)
LABELS = {
    "recall_at_1": "Recall@1",
    "intra_variance": "intra-class variance",
    "epochs_to_90": "epochs to 90 %",
}


def analysed(losses, baselines=None, measure="recall_at_1", tuned=True, facts=None, closed=None, **options):
    """Planted runs, each loss at margin 0.1, None being a run that failed."""
    made = [
        Measured(
            loss,
            seed,
            {measure: value},
            {measure: "test"},
            failed="diverged" if value is None and measure == "recall_at_1" else None,
            family=family,
            **(facts or {}).get(loss, {}),
        )
        for family, sides in (
            ("loss", losses),
            ("baseline", baselines or {}),
            ("closed form", closed or {}),
        )
        for loss, values in sides.items()
        for seed, value in enumerate(values)
    ]
    settings = [
        Settings(loss=name, name=name, hyperparameters={"margin": 0.1}, tuned=tuned) for name in losses
    ]
    return analyse(made, measure=measure, settings=settings, **options), settings


HIGHER, LOWER = shifted(0.03), shifted(-0.03)
FORMS = {"contrastive": {"form": "squared hinge"}, "triplet": {"form": "linear hinge"}}
TWO = {"contrastive": FLAT, "triplet": HIGHER}
STOOD = [Standing("contrastive", {"recall_at_1": 0.5}), Standing("triplet", {"recall_at_1": 0.6})]
PLANTED = {
    "higher": analysed({"contrastive": FLAT, "triplet": HIGHER}, {"raw": LOWER}),
    "lower": analysed({"contrastive": HIGHER, "triplet": FLAT}, {"raw": LOWER}),
    "raw": analysed({"contrastive": FLAT, "triplet": LOWER}, {"raw": HIGHER}),
    "equivalent": analysed({"contrastive": FLAT, "triplet": shifted(0.001, 0.002)}, {"raw": LOWER}),
    "unresolved": analysed({"contrastive": FLAT, "triplet": shifted(0.001, 0.03)}, {"raw": LOWER}),
    "few": analysed({"contrastive": FLAT[:4], "triplet": HIGHER[:4]}),
    "failed": analysed({"contrastive": FLAT, "triplet": [None, *HIGHER[1:]]}),
    "three": analysed({"contrastive": FLAT, "triplet": HIGHER, "sup_con": shifted(0.05)}, tuned=False),
    "second look": analysed({"contrastive": FLAT, "triplet": HIGHER}, looks=2),
    "unpaired": analysed({"contrastive": FLAT, "triplet": HIGHER}, unpaired=True),
    "generated": analysed({"contrastive": FLAT, "triplet": HIGHER}, generated=True),
    "forms": analysed({"contrastive": FLAT, "triplet": HIGHER}, measure="intra_variance", facts=FORMS),
    "ratio": analysed({"contrastive": FLAT, "triplet": HIGHER}, measure="intra_variance"),
    "order": analysed({"contrastive": [20] * 8, "triplet": [None] * 8}, measure="epochs_to_90"),
    "closed form": analysed(
        {"contrastive": FLAT, "triplet": shifted(-0.02)},
        {"raw": LOWER},
        closed={"whitened": HIGHER},
        generated=True,
    ),
    "open": analysed(
        {"contrastive": FLAT, "triplet": HIGHER}, {"raw": LOWER}, closed={"pca": shifted(0.033)}
    ),
    "single": analysed({"triplet": HIGHER}, {"raw": LOWER}),
    "leads": analysed(TWO, {"raw": LOWER}, standings=STOOD),
    "cheapest": analysed(TWO, {"raw": shifted(0.031, 0.002)}, standings=STOOD),
    "undecided": analysed(
        {"contrastive": FLAT, "triplet": shifted(0.001, 0.03)}, {"raw": LOWER}, standings=STOOD
    ),
    "alone": analysed({"triplet": HIGHER}),
}


def named(row: Comparison) -> list[str]:
    """What the sentence of a row has to hold, written here from the fields."""
    words = [row.a, row.b, LABELS[row.measure]]
    if row.verdict == "not_comparable":
        return [*words, "different scales"]
    if row.verdict == "failed":
        return [*words, *(f"{lost} of {runs} runs" for lost, runs in zip(row.failed, row.runs) if lost)]
    if row.order is None:
        words += [f"{row.mean_a:.3f}", f"{row.mean_b:.3f}"]
        change = abs(row.difference) if row.scale == "difference" else math.exp(row.difference)
        words.append(f"{change:.4f}" if change < 0.01 else f"{change:.3f}"[:4])
    else:
        words += [f"later in {row.order[0]}", f"{row.order[2]} of {row.n} seeds"]
    if row.low is not None:
        same = row.low == row.high
        words.append("no interval" if same else f"{100 * (1 - row.alpha):.4g} % interval")
    equal = row.verdict == "equivalent"
    p = f"p = {wording.p_value(row.p_outside if equal else row.p_holm)}"
    words += [p] if row.primary else ["described, not tested"]
    words += ["for a difference beyond"] if equal and row.primary else []
    if row.primary and row.tests_in_family > 1:
        words.append(f"corrected for {row.tests_in_family} tests")
    words.append(f"{row.n} paired seeds" if row.paired else f"{row.runs[0]} and {row.runs[1]} unpaired seeds")
    words += ["redrawn"] if row.scope == "data_like_these" else ["these data"]
    words += [f"look {row.look}"] if row.look > 1 else []
    words += [f"{row.seeds_needed:,}"] if row.verdict == "unresolved" else []
    words += [f"needs at least {row.seeds_testable} seeds"] if row.verdict == "too_few_seeds" else []
    return words


@pytest.mark.parametrize("name", PLANTED)
def test_no_field_is_missing_in_a_sentence(name):
    found, settings = PLANTED[name]
    phrase = wording.settings_phrase(settings)
    for row in found.paired:
        for word in (*named(row), phrase):
            assert word in row.sentence
        assert row.sentence == wording.sentence(row, settings)
    first, second, third = found.recommendation.sentences
    assert first.endswith(f", {phrase}.")
    assert phrase in third
    for losses in found.losses:
        assert losses.name in first + second
    for base in found.baselines:
        assert f"{base.name} ({base.mean('recall_at_1'):.3f})" in second
    if found.recommendation.rests_on:
        row = next(row for row in found.paired if (row.a, row.b) == found.recommendation.rests_on)
        p = row.p_outside if row.verdict == "equivalent" else row.p_holm
        assert row.p is None or f"p = {wording.p_value(p)}" in first
    for sentence in (*found.recommendation.sentences, *(row.sentence for row in found.paired)):
        assert not re.search(r"None|nan|inf\b|  |,,|;;|\(\)|\.\.|[{}]", sentence)
        assert sentence[0] == sentence[0].upper() or sentence.startswith(
            tuple(LABELS.values()) + row_names(found)
        )


@pytest.mark.parametrize("name", PLANTED)
def test_the_parts_of_a_sentence_are_the_sentence_and_hold_what_they_say(name):
    found, settings = PLANTED[name]
    for row in found.paired:
        parts = wording.sentence_parts(row, settings)
        assert str(parts) == row.sentence == parts.before_evidence + parts.bracket + parts.rest
        assert "interval" not in parts.before_evidence and "p = " not in parts.before_evidence
        assert wording.evidence(row) in parts.evidence or row.verdict in ("failed", "not_comparable")
    claim, rest = wording.answer(of_analysis(found, settings, protocol=None))
    assert claim + rest == found.recommendation.sentences[0]
    assert 10 < len(claim) < 120 and "(0." not in claim and "p = " not in claim


def test_no_recommendation_has_no_answer():
    found, settings = PLANTED["higher"]
    result = of_analysis(found, settings, protocol=None)
    nothing = result.model_copy(update={"recommendation": Recommendation(goal=None, loss=None)})
    assert wording.answer(nothing) == ("", "")


def row_names(found) -> tuple[str, ...]:
    return tuple(side.name for side in (*found.losses, *found.baselines))


def test_the_planted_results_reach_every_verdict_and_every_ground():
    verdicts = {row.verdict for found, _ in PLANTED.values() for row in found.paired if row.primary}
    assert verdicts == {
        "failed",
        "not_comparable",
        "too_few_seeds",
        "equivalent",
        "higher",
        "lower",
        "unresolved",
    }
    grounds = {found.recommendation.ground for found, _ in PLANTED.values()}
    assert grounds == set(get_args(Ground))


def test_a_recommendation_says_what_its_fields_say():
    chosen = {name: found.recommendation for name, (found, _) in PLANTED.items()}
    assert chosen["higher"].loss == "triplet"
    assert chosen["higher"].rests_on == ("triplet", "contrastive")
    assert (
        chosen["lower"]
        .sentences[0]
        .startswith(
            "Use contrastive: its Recall@1 is higher than that of triplet, 0.930 against 0.900, +0.030"
        )
    )
    assert chosen["raw"].ranking == ("contrastive", "triplet")
    assert re.search("better than every loss, .* of the best loss, contrastive ", chosen["raw"].sentences[0])
    assert chosen["three"].sentences[1].endswith("; the losses are untuned.")
    assert (
        chosen["alone"]
        .sentences[0]
        .startswith("No answer: triplet was compared with nothing; its Recall@1 is 0.930, at")
    )


def test_raw_is_said_to_be_better_than_every_loss_only_where_it_is():
    found, _ = analysed({"contrastive": FLAT, "triplet": shifted(-0.05, 0.3)}, {"raw": shifted(0.03)})
    assert [row.verdict for row in found.paired if row.b == "raw"] == ["lower", "unresolved"]
    assert found.recommendation.loss is None  # one of them may still be better
    found, _ = analysed({"contrastive": FLAT, "triplet": shifted(0.03)}, {"raw": shifted(0.03)})
    assert [row.verdict for row in found.paired if row.b == "raw"] == ["lower", "equivalent"]
    assert "the raw inputs are beaten by no loss" in found.recommendation.sentences[0]


def test_unpaired_runs_without_a_value_are_counted_among_all():
    found, _ = analysed({"contrastive": FLAT, "triplet": [math.nan, *HIGHER[1:]]}, unpaired=True)
    assert (found.paired[0].verdict, found.paired[0].missing) == ("failed", 1)
    assert "no value in 1 of 20 runs" in found.paired[0].sentence


def values_of(model, field: str) -> tuple[str, ...]:
    return get_args(model.model_fields[field].annotation)


@pytest.mark.parametrize("why", values_of(NotComparable, "why"))
def test_every_bar_has_words(why):
    text = wording.why_not(NotComparable(why=why, names=("a", "b")), "epochs_to_90")
    assert len(text) > 5 and "_" not in text
    assert text != wording.why_not(NotComparable(why="no_value"), "epochs_to_90")


@pytest.mark.parametrize("why", values_of(ClaimReason, "why"))
@pytest.mark.parametrize("scale", ["difference", "log_ratio"])
def test_every_reason_of_a_claim_has_words(why, scale):
    bar = NotComparable(why="unreached")
    reason = ClaimReason(
        why=why,
        text="as it says",
        count=1,
        total=9,
        bar=bar,
        scale=scale,
        delta=0.1,
        published=2,
        low=0,
        high=1,
    )
    text = wording.claim_reason(reason)
    assert text and "None" not in text and "_" not in text
    if why in ("outside", "too_wide"):
        assert ("×1.00 to ×2.72" if scale == "log_ratio" else "0 to 1.00") in text


def test_the_edge_of_a_search():
    assert wording.edge(Edge(name="epoch", value=60)) == "epoch 60"
    assert wording.edge(Edge(name="tuples", value="all")) == "tuples all"


# --- numbers ---------------------------------------------------------------------------------------


def value_of(text: str) -> float:
    plain = text.replace("−", "-").replace(",", "").replace("+", "")
    mantissa, _, power = plain.partition("×10")
    return float(f"{mantissa}e{power.translate(str.maketrans('⁻⁰¹²³⁴⁵⁶⁷⁸⁹', '-0123456789')) or 0}")


@given(some.floats(allow_nan=False, allow_infinity=False))
def test_a_number_alone_reads_back_to_three_digits(value):
    text = wording.number(value)
    assert value_of(text) == pytest.approx(value, rel=0.0051, abs=0.0)
    assert len(text) < 14


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5e-324, "4.94×10⁻³²⁴"),
        (-2e-310, "−2.00×10⁻³¹⁰"),
        (9.9996e-5, "1.00×10⁻⁴"),
        (1.7e308, "1.70×10³⁰⁸"),
        (12345678, "1.23×10⁷"),
        (1e6, "1,000,000"),
        (0.0, "0"),
    ],
)
def test_numbers_at_the_edges(value, text):
    assert wording.number(value) == text


@given(some.floats(1.9e-6, 1.0))
def test_a_p_value_reads_back_to_two_digits(p):
    assert float(wording.p_value(p)) == pytest.approx(p, rel=0.051)
    assert len(wording.p_value(p)) <= 9


def test_a_p_value_is_written_alike_in_sentence_plan_and_claim():
    for p in (0.0098, 0.002, 0.25):
        plan = DesignPlan(
            tests_in_family=5,
            look=1,
            alpha=0.04,
            seeds=9,
            p_attainable=p,
            minimal_seeds=9,
            enough=True,
            sentence="",
        )
        assert f"reach is {wording.p_value(p)}," in wording.design(plan)
    found, _ = PLANTED["higher"]
    assert all(f"p = {wording.p_value(row.p_holm)} " in row.sentence for row in found.paired)


@given(some.floats(-0.5, 0.5))
def test_a_change_in_a_sentence_is_signed_and_exact_to_its_decimals(difference):
    text = wording.change(difference, "difference")
    assert value_of(text) == pytest.approx(difference, abs=0.00051)
    assert text.startswith("+") == (difference > 0)


def test_effects_in_a_table_are_signed_differences_or_ratios():
    row = PLANTED["higher"][0].paired[0]

    def effect(scale, difference, low=None, high=None, measure="recall_at_1"):
        change = {"scale": scale, "difference": difference, "low": low, "high": high, "measure": measure}
        return wording.effect(row.model_copy(update=change))

    assert effect("difference", 0.0123, -0.004, 0.0286) == ("+0.012", "−0.004 to +0.029")
    ends = math.log(2.4), math.log(2.0), math.log(2.9)
    assert effect("log_ratio", *ends, measure="intra_variance") == ("×2.40", "2.00–2.90")
    assert effect("difference", None) == ("—", "")
    assert effect("log_ratio", 1e6, 1.0)[1] == ""
    assert effect("log_ratio", -1e6) == ("×0", "")


def test_ratios_beyond_floats_are_written():
    assert wording.change(1e6, "log_ratio").endswith("×10³⁰⁴ times")
    assert wording.change_interval(-1e6, 1.0, "log_ratio") == "0 to 2.72 times"


# --- sentences are never read back -----------------------------------------------------------------

SPOKEN = {"sentence", "sentences", "phrase", "settings_phrase", "reason"}
READERS = {
    "startswith",
    "endswith",
    "split",
    "partition",
    "find",
    "index",
    "removeprefix",
    "removesuffix",
}
SEARCHES = {"search", "match", "fullmatch", "findall", "sub"}


def spoken(node: ast.expr) -> bool:
    """Whether an expression names something that was said."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in SPOKEN
        case ast.Subscript(slice=ast.Constant(value=str() as name)):
            return name in SPOKEN
        case ast.Subscript(value=inner) | ast.Call(func=ast.Name(id="str"), args=[inner]):
            return spoken(inner)
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=name), *_]):
            return name in SPOKEN
    return False


def read_back(node: ast.AST) -> bool:
    match node:
        case ast.Compare(left=ast.Constant(value=str()), ops=[ast.In() | ast.NotIn()], comparators=[right]):
            return spoken(right)
        case ast.Call(func=ast.Attribute(value=text, attr=name)) if name in READERS:
            return spoken(text)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=name), args=arguments) if (
            name in SEARCHES
        ):
            return any(map(spoken, arguments))
    return False


@pytest.mark.parametrize(
    "code",
    [
        '"untuned" in row["sentence"]',
        'x = "untuned" not in str(row.get("sentence", ""))',
        "row.sentence.startswith('No ')",
        "re.search('p = (.*)', row.sentences[0])",
        "verdict.reason.partition(': ')",
    ],
)
def test_the_search_finds_what_it_is_for(code):
    assert any(map(read_back, ast.walk(ast.parse(code))))


def test_nothing_is_recovered_from_a_sentence():
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if read_back(node)
    ]
    assert found == []


def test_statistics_write_no_sentence_and_return_no_dictionary():
    """Numbers are formatted in wording alone; a public function of statistics gives values."""
    for path in sorted((SOURCE / "stats").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FormattedValue):
                assert node.format_spec is None, f"{path.name}:{node.lineno} formats a number"
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                given = "" if node.returns is None else ast.unparse(node.returns)
                assert "dict[" not in given and "Any" not in given, f"{path.name}: {node.name} gives {given}"


def test_a_recommendation_of_nothing_measured_can_be_said():
    made = Recommendation(goal="retrieval", loss=None, measure="recall_at_1", ground="single", reference="a")
    assert wording.recommendation(made, losses=[], baselines=[], rows=[])[0] == (
        "No answer: a was compared with nothing; it has no value."
    )
