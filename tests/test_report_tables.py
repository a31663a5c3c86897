"""The tables: readable at 100 columns, escaped in every format, and complete as CSV."""

from __future__ import annotations

import io
import math
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from rich.console import Console

import report_fixture as fixture
from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.quantities import GOALS, QUANTITIES
from losscope.reporting import tables


def printed(thing, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(thing)
    return console.file.getvalue()


@pytest.mark.parametrize("losses", [1, 2, 3, 7, 12])
def test_terminal_tables_fit_a_hundred_columns(losses):
    result = fixture.result(losses, failed=2)
    for thing in (tables.summary(result), tables.verdicts(result)):
        lines = printed(thing, 400).splitlines()
        table = [line.rstrip() for line in lines if not line.startswith("·")]
        assert max(map(len, table)) <= 100
    assert max(map(len, tables.render(result).splitlines())) <= 100


def test_detail_has_columns_where_the_data_have_finer_labels():
    result = fixture.result(2)
    fine = {"fine_recall_at_1", "fine_variance_share"}
    without = tables.columns(result)
    for side in (*result["losses"], *result["baselines"]):
        for name in fine:
            side["measures"][name] = {**side["measures"]["recall_at_1"]}
    assert fine.isdisjoint(without)
    assert fine <= set(tables.columns(result, 6))


def test_the_summary_holds_means_intervals_and_failures():
    result = fixture.result(2, failed=3)
    text = printed(tables.summary(result))
    for side in (*result["losses"], *result["baselines"]):
        assert f"{side['measures']['recall_at_1']['mean']:.3f}" in text
    low, high = (result["losses"][0]["measures"]["recall_at_1"][key] for key in ("low", "high"))
    assert f"{low:.3f}–{high:.3f}" in text
    assert "3 of 10 failed" in text
    assert "Recall@1" in text and "intra-class" in text


def test_names_are_text_and_not_markup():
    result = fixture.result(2, names=("[red]a[/red]", "[bold]b"))
    text = tables.render(result)
    assert "[red]a[/red]" in text and "[bold]b" in text


@pytest.mark.parametrize("goal", sorted(GOALS))
def test_the_first_column_is_the_goals(goal):
    result = fixture.result(2)
    result["paired"] = []
    result["recommendation"]["goal"] = goal
    first = tables.columns(result)[0]
    have = set(tables.present(result))
    wanted = [name for name in GOALS[goal] if name in have]
    assert first == wanted[0] if wanted else first in have


def test_the_tested_measure_leads_where_it_is_not_the_goals_first():
    result = fixture.result(2)
    for row in result["paired"]:
        row["primary"] = row["measure"] == "map_at_r"
    assert tables.columns(result)[0] == "map_at_r"


def test_verdict_rows_between_losses_come_before_those_with_baselines():
    result = fixture.result(3)
    result["paired"].reverse()
    kinds = [row["b"] for row in tables.primary_rows(result)]
    assert kinds == ["contrastive"] * 2 + ["raw"] * 3 + ["untrained"] * 3


def test_a_result_without_tests_says_so():
    assert "nothing was tested" in printed(tables.verdicts({"losses": []}))


def test_csv_is_long_and_exact():
    result = fixture.result(3, failed=2)
    frame = pd.read_csv(io.StringIO(tables.render(result, "csv")))
    assert list(frame.columns) == ["loss", "measure", "split", "mean", "low", "high", "unit", "n"]
    sides = [*result["losses"], *result["baselines"]]
    wanted = {
        (side["name"], name): cell
        for side in sides
        for name, cell in side["measures"].items()
        if any(other["measures"].get(name, {}).get("mean") is not None for other in sides)
    }
    assert len(frame) == len(wanted)
    for row in frame.itertuples():
        cell = wanted[row.loss, row.measure]
        assert row.n == sum(value is not None for value in cell["values"])
        for key in ("mean", "low", "high"):
            got = getattr(row, key)
            assert (math.isnan(got) and cell[key] is None) or got == pytest.approx(cell[key], rel=1e-14)
    assert frame[frame["loss"] == "contrastive"]["n"].max() == 8


def cells_of(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line.strip())[1:-1]


def test_markdown_rows_have_equal_cells_whatever_the_names_hold():
    result = fixture.result(3, names=("a|b", "<script>*x*_y_", "back`tick`"))
    result["recommendation"]["sentences"] = ["<img src=x> | [a](javascript:b)"]
    text = tables.render(result, "md")
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(blocks) == 2
    for block in blocks:
        counts = {len(cells_of(line)) for line in block.splitlines()}
        assert len(counts) == 1
    assert "<script" not in text and "<img" not in text
    assert r"a\|b" in text and r"\*x\*" in text and r"\[a\]" in text


def test_latex_escapes_and_balances():
    result = fixture.result(2, names=(r"a_b & 50% #1 $x$ {y} \z ^~ <b> \"q\"", "contrastive"), failed=1)
    result["data"]["name"] = "c_d & e"
    text = tables.render(result, "latex")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("% needs"))
    bare = re.sub(r"\\[a-zA-Z]+|\\[{}$&#%_\\]", "", body)
    assert not re.search(r"[#%_^~<>\"²×→–—−±]", bare)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert r"a\_b \& 50\% \#1 \$x\$ \{y\} \textbackslash{}z" in text
    assert r"c\_d \& e" in text
    for block in re.findall(r"\\toprule.*?\\bottomrule", text, re.DOTALL):
        rows = [line for line in block.splitlines() if line.endswith(r"\\")]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2


@given(some.text(max_size=40))
def test_every_text_is_printable_latex(text):
    bare = re.sub(r"\\[a-zA-Z]+|\\[{}$&#%_]", "", tables.tex(text))
    assert "\\" not in bare and not re.search(r"[#%_^~&]", bare)
    assert bare.count("{") == bare.count("}")


def test_another_format_is_refused_with_the_nearest():
    with pytest.raises(LosscopeError, match="did you mean 'latex'"):
        tables.render(fixture.result(1), "latx")


@pytest.mark.parametrize(
    "result", [{}, {"losses": [{"name": "a", "measures": {}}]}, fixture.result(1, seeds=1)]
)
@pytest.mark.parametrize("format", tables.FORMATS)
def test_little_is_enough_for_every_format(result, format):
    text = tables.render(result, format)
    assert "nan" not in text.lower().replace("nanosecond", "") and "None" not in text


def test_a_small_variance_keeps_two_digits_and_a_small_share_does_not():
    measures = {name: {"mean": 0.00471, "low": 0.0045, "high": 0.0049} for name in ("intra_variance", "eer")}
    side = tables.Side("a", "loss", measures)
    assert tables.texts(side, "intra_variance", wording.Digits(3)) == ("0.0047", "0.0045–0.0049")
    assert tables.texts(side, "eer", wording.Digits(3)) == ("0.005", "0.004–0.005")


# --- numbers in words ------------------------------------------------------------------------------

finite = some.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)


def value_of(text: str) -> float:
    plain = text.replace("−", "-").replace(",", "")
    if "×10" in plain:
        mantissa, power = plain.split("×10")
        digits = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
        return float(mantissa) * 10.0 ** int(digits)
    return float(plain)


@given(finite)
def test_a_number_reads_back_to_two_digits(value):
    got = value_of(wording.number(value))
    assert got == pytest.approx(value, rel=0.051)


@given(finite, finite, some.integers(0, 4))
def test_an_interval_keeps_its_order(a, b, decimals):
    low, high = sorted((a, b))
    text = wording.interval(low, high, wording.Digits(decimals))
    if text:
        ends = [value_of(end) for end in re.split(r" to |–", text)]
        assert ends[0] < ends[1]


@given(some.lists(some.tuples(some.floats(0.001, 1), some.floats(1e-5, 0.1)), min_size=1, max_size=6))
def test_digits_of_shares_stop_at_a_tenth_of_what_matters(pairs):
    assert wording.digits_for(pairs, "recall_at_1").decimals <= 3
    assert wording.digits_for(pairs, "recall_at_1@test").decimals <= 3


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf"), "x", True])
def test_what_is_no_number_is_a_dash(value):
    assert wording.number(value) == "—"
    assert wording.p_value(value) == "—"
    assert wording.interval(value, 1.0) == ""


def test_effects_are_signed_differences_or_ratios():
    row = {
        "measure": "recall_at_1",
        "scale": "difference",
        "difference": 0.0123,
        "low": -0.004,
        "high": 0.0286,
    }
    assert wording.effect(row) == ("+0.012", "−0.004 to +0.029")
    ratio = {
        "measure": "intra_variance",
        "scale": "log_ratio",
        "difference": math.log(2.4),
        "low": math.log(2.0),
        "high": math.log(2.9),
    }
    assert wording.effect(ratio) == ("×2.40", "2.00–2.90")
    assert wording.effect({"difference": None}) == ("—", "")
    assert wording.effect({"scale": "log_ratio", "difference": 1e6, "low": 1.0, "high": None})[1] == ""


def test_every_quantity_has_words():
    for name in QUANTITIES:
        assert wording.title(name)[0].isupper() or wording.title(name)[:2] in ("k-", "mA")
        assert wording.label(f"{name}@test") == f"{wording.label(name)} (test)"
    assert wording.label("my_measure") == "my measure"


@pytest.mark.parametrize("code", wording.VERDICTS)
def test_verdicts_have_words(code):
    assert "_" not in wording.verdict(code)


def test_published_values_stand_beside_ours_and_say_by_how_much_they_miss():
    result = fixture.with_claims(fixture.result(2))
    inside, outside = tables.published_rows(result)
    assert inside[-1] == "inside"
    assert outside[-1].startswith("outside by −0.0071")
    assert tables.published(fixture.result(2)) is None
