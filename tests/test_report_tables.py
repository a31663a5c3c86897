"""The tables: readable at 100 columns, escaped in every format, and complete as CSV."""

from __future__ import annotations

import csv
import io
import math
import re
import tempfile

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from rich.console import Console

import report_fixture as fixture
from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.core.quantities import GOALS, QUANTITIES
from losscope.core.results import (
    DataDescription,
    Failure,
    LossResult,
    MeasureValue,
    Recommendation,
    Result,
)
from losscope.core.wording import parts
from losscope.reporting import columns, formats, tables

EMPTY = Result(
    data=DataDescription(name="a", title="a", kind="runs", described=""),
    protocol=None,
    seeds=(),
    goal="retrieval",
    losses=(),
    baselines=(),
    paired=(),
    recommendation=Recommendation(goal=None, loss=None),
)


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
    assert fine.isdisjoint(columns.columns(result))
    losses = [
        fixture.changed(side, measures={**side.measures, **dict.fromkeys(fine, side.measures["recall_at_1"])})
        for side in result.losses
    ]
    assert fine <= set(columns.columns(fixture.with_losses(result, *losses), 6))


def test_the_summary_holds_means_intervals_and_failures():
    result = fixture.result(2, failed=3)
    text = printed(tables.summary(result))
    for side in result.sides:
        assert f"{side.mean('recall_at_1'):.3f}" in text
    low, high = result.losses[0].interval("recall_at_1")
    assert f"{low:.3f}–{high:.3f}" in text
    assert "3 of 10 failed" in text
    assert "Recall@1" in text and "intra-class" in text


def test_names_are_text_and_not_markup():
    result = fixture.result(2, names=("[red]a[/red]", "[bold]b"))
    text = tables.render(result)
    assert "[red]a[/red]" in text and "[bold]b" in text


@pytest.mark.parametrize("goal", sorted(GOALS))
def test_the_first_column_is_the_goals(goal):
    result = fixture.changed(fixture.result(2), paired=(), goal=goal)
    first = columns.columns(result)[0]
    have = set(columns.present(result))
    wanted = [name for name in GOALS[goal] if name in have]
    assert first == wanted[0] if wanted else first in have


def test_the_tested_measure_leads_where_it_is_not_the_goals_first():
    result = fixture.result(2)
    rows = [fixture.changed(row, primary=row.measure == "map_at_r") for row in result.paired]
    assert columns.columns(fixture.changed(result, paired=tuple(rows)))[0] == "map_at_r"


def test_verdict_rows_between_losses_come_before_those_with_baselines():
    result = fixture.result(3)
    result = fixture.changed(result, paired=result.paired[::-1])
    kinds = [row.b for row in columns.tested(result)]
    assert kinds == ["contrastive"] * 2 + ["raw"] * 3 + ["untrained"] * 3


def test_a_result_without_tests_says_so():
    assert "nothing was tested" in printed(tables.verdicts(EMPTY))


def test_csv_is_long_and_exact():
    result = fixture.result(3, failed=2)
    frame = pd.read_csv(io.StringIO(tables.render(result, "csv")))
    assert list(frame.columns) == [
        "loss",
        "measure",
        "split",
        "mean",
        "low",
        "high",
        "unit",
        "n",
        *("seeds", "values"),
    ]
    wanted = {
        (side.name, name): value
        for side in result.sides
        for name, value in side.measures.items()
        if any(other.mean(name) is not None for other in result.sides)
    }
    assert len(frame) == len(wanted)
    for row in frame.itertuples():
        cell = wanted[row.loss, row.measure]
        assert row.n == sum(value is not None for value in cell.values)
        for key in ("mean", "low", "high"):
            got, known = getattr(row, key), getattr(cell, key)
            assert (math.isnan(got) and known is None) or got == pytest.approx(known, rel=1e-14)
    assert frame[frame["loss"] == "contrastive"]["n"].max() == 8


def cells_of(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line.strip())[1:-1]


def test_markdown_rows_have_equal_cells_whatever_the_names_hold():
    result = fixture.result(3, names=("a|b", "<script>*x*_y_", "back`tick`"))
    evil = Recommendation(goal="retrieval", loss=None, sentences=("<img src=x> | [a](javascript:b)",))
    result = fixture.changed(result, recommendation=evil)
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
    result = fixture.changed(result, data=fixture.changed(result.data, name="c_d & e"))
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
    bare = re.sub(r"\\[a-zA-Z]+|\\[{}$&#%_]", "", formats.tex(text))
    assert "\\" not in bare and not re.search(r"[#%_^~&]", bare)
    assert bare.count("{") == bare.count("}")


def test_another_format_is_refused_with_the_nearest():
    with pytest.raises(LosscopeError, match="did you mean 'latex'"):
        tables.render(fixture.result(1), "latx")


@pytest.mark.parametrize(
    "result",
    [EMPTY, fixture.changed(EMPTY, losses=(LossResult(name="a"),)), fixture.result(1, seeds=1)],
)
@pytest.mark.parametrize("format", tables.FORMATS)
def test_little_is_enough_for_every_format(result, format):
    text = tables.render(result, format)
    assert "nan" not in text.lower().replace("nanosecond", "") and "None" not in text


def test_a_small_variance_keeps_two_digits_and_a_small_share_does_not():
    value = MeasureValue(mean=0.00471, low=0.0045, high=0.0049, values=(0.00471,))
    side = LossResult(name="a", measures={"intra_variance": value, "eer": value})
    assert parts.value(side, "intra_variance", wording.Digits(3)) == ("0.0047", "0.0045–0.0049")
    assert parts.value(side, "eer", wording.Digits(3)) == ("0.005", "0.004–0.005")


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


def row_of(**fields):
    known = {"low": None, "high": None, "low_data": None, "high_data": None, "p_holm": None}
    return fixture.changed(fixture.result(2).paired[0], **{**known, **fields})


def test_effects_are_signed_differences_or_ratios():
    row = row_of(measure="recall_at_1", scale="difference", difference=0.0123, low=-0.004, high=0.0286)
    assert parts.size(row) == parts.Size("+0.012", "−0.004 to +0.029")
    logs = [math.log(value) for value in (2.4, 2.0, 2.9, 1.5, 3.5)]
    names = ("difference", "low", "high", "low_data", "high_data")
    ratio = row_of(measure="intra_variance", scale="log_ratio", **dict(zip(names, logs, strict=True)))
    assert parts.size(ratio) == parts.Size("×2.40", "2.00–2.90", "1.50–3.50")
    assert parts.size(row_of(difference=None)) == parts.Size("—")
    assert parts.size(row_of(scale="log_ratio", difference=1e6, low=1.0)).interval == ""


def test_every_quantity_has_words():
    for name in QUANTITIES:
        assert wording.title(name)[0].isupper() or wording.title(name)[:2] in ("k-", "mA")
        assert wording.label(f"{name}@test") == f"{wording.label(name)} (test)"
    assert wording.label("my_measure") == "my measure"


@pytest.mark.parametrize("code", wording.VERDICTS)
def test_verdicts_have_words(code):
    assert "_" not in wording.verdict(code)


def test_published_values_stand_beside_ours_and_say_by_how_much_they_miss():
    result = fixture.tuned(fixture.result(2))
    inside, outside = formats.published_rows(result)
    assert inside[-1] == "inside"
    assert outside[-1].startswith("outside by −0.0071")
    assert "0.0118" in printed(tables.published(result))
    assert tables.published(fixture.result(2)) is None


def test_failures_are_told_once_with_their_seeds():
    lost = fixture.result(2, failed=3).losses[1]
    assert parts.failures(lost.failures) == "the loss was nan at step 12, seeds 0, 1, 2"
    assert parts.failed(lost, 10) == "3 of 10 failed" and parts.failed(lost, 2) == "3 of 3 failed"
    kinds = [Failure(seed=seed, reason="nan", kind="diverged") for seed in range(3)]
    assert parts.failed(lost.model_copy(update={"failures": tuple(kinds)}), 10) == "3 of 10 diverged"
    mixed = (*kinds[:2], Failure(seed=2, reason="MemoryError"))
    assert parts.failed(lost.model_copy(update={"failures": mixed}), 10) == "3 of 10 diverged or failed"


def test_a_result_gives_its_own_tables():
    result = fixture.result(2)
    assert result.table("csv") == tables.render(result, "csv")
    assert "Recall@1" in printed(result.table())
    assert str(result) == " ".join(result.recommendation.sentences)
    assert Result.from_json(result.json()) == result
    assert fixture.reproduction().table("md").startswith("# A made paper")
    with pytest.raises(LosscopeError, match="format 'latex'"):
        fixture.reproduction().table("latex")


HOSTILE = ("<script>alert(1)</script>", "\x1b[31mred", "=cmd()", "a|b", "a & b", "\u202eabc", "@x\r\n+1")


@pytest.fixture(scope="module")
def hostile():
    """A result whose losses have names that steer terminals, spreadsheets, tables and pages."""
    import pandas as pd

    from losscope.comparing.judging import judge

    with tempfile.TemporaryDirectory() as folder:
        rows = [
            (name, seed, "recall_at_1", 0.5 + place / 20 + seed / 1000)
            for place, name in enumerate(HOSTILE)
            for seed in range(8)
        ]
        frame = pd.DataFrame(rows, columns=["loss", "seed", "measure", "value"])
        frame.to_parquet(f"{folder}/scores.parquet")
        yield judge(f"{folder}/scores.parquet")


@pytest.mark.parametrize("format", ["text", "md", "latex", "csv"])
def test_names_steer_nothing_in_any_format(hostile, format):
    shown = hostile.table(format)
    assert not set(shown) & {"\x1b", "\r", "\u202e"}
    assert r"\x1b" in shown or "x1b" in shown
    if format == "csv":
        cells = [cell for row in csv.reader(io.StringIO(shown)) for cell in row]
        assert {"'=cmd()", "'@x\\r\n+1"} <= set(cells)
        assert not any(cell[:1] in ("=", "+", "@") for cell in cells)
    if format == "md":
        assert "<script" not in shown and r"a\|b" in shown and "a &amp; b" in shown
        assert all(line.count("|") - line.count(r"\|") in (0, 3, 7) for line in shown.splitlines())
    if format == "latex":
        assert r"a \& b" in shown and r"\textless{}script" in shown


def test_names_steer_neither_terminal_nor_page(hostile, capsys, tmp_path):
    from losscope.cli.output import print_result, put, say_aside

    print_result(hostile, json=False)
    put("\x1b]0;title\x07")
    say_aside("\x9b31m\u202e")
    seen = capsys.readouterr()
    assert not set(seen.out + seen.err) & {"\x1b", "\x07", "\x9b", "\r", "\u202e"}
    assert "=cmd()" in seen.out and r"\x1b]0;title\x07" in seen.out
    page = hostile.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert not set(page) & {"\x1b", "\u202e"}
