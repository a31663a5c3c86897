"""Files for papers: tables, method, BibTeX, and what stands in their way."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

import report_fixture as fixture
from losscope.cli import app
from losscope.comparing import exporting
from losscope.comparing.judging import judge
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.results import BestGroup, Result
from losscope.core.wording import method
from losscope.reporting import files, frames, references, sheets, ties

HOSTILE = (
    r"a_b%c&d#e{f}g\h~i^j$k$",
    "[2]*bold*",
    "\x1b[31mred\x07",
    "=cmd()",
    "a|b <script>alert(1)</script>",
    "名前-é-العربية",
    "@x\r\n+1 --dash--",
    "`tick` \u202eabc",
)


@pytest.fixture(scope="module")
def hostile() -> Result:
    return fixture.scored(HOSTILE)


@pytest.fixture(scope="module")
def planted() -> Result:
    return fixture.tuned(fixture.result(3, failed=1))


# --- LaTeX -----------------------------------------------------------------------------------------

COMMANDS = re.compile(r"\\(?:[a-zA-Z]+|[{}$&#%_\\])")
KNOWN = {
    *("begin", "end", "centering", "small", "caption", "label", "toprule", "midrule", "bottomrule"),
    *("addlinespace", "endhead", "endfoot", "textbf", "textsuperscript", "textdagger", "scriptsize"),
    *("shortstack", "linewidth", "textbackslash", "textasciicircum", "textasciitilde", "textless"),
    *("textgreater", "textbar", "textasciigrave", "times", "rightarrow", "dots", "pm", "cdot", "cite"),
    *("usepackage",),
}


def check_latex(text: str) -> None:
    """That LaTeX would read a text: braces, mathematics and environments close, and nothing is left bare."""
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert not set(bare) & set("\x00\x07\x1b\r\u202e")
    names = {found[1:] for found in COMMANDS.findall(bare) if found[1:].isalpha()}
    assert names <= KNOWN, names - KNOWN
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", bare):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    for table in re.findall(r"\\begin\{(?:tabular|longtable)\}.*?\\end\{(?:tabular|longtable)\}", bare, re.S):
        rows = [line for line in table.splitlines() if line.endswith(r"\\") and "caption" not in line]
        shape = re.search(r"\\begin\{\w+\}\{((?:[lr]|p\{[^}]*\})+)\}", table)
        assert shape is not None
        wanted = len(re.sub(r"p\{[^}]*\}", "p", shape[1]))
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {wanted}
        # a line break takes what follows in brackets, or a star, for itself
        assert not re.search(r"(?:\\\\|\\(?:mid|top|bottom)rule|\\addlinespace)\s*[\[*]", table)
    plain = COMMANDS.sub("", bare)
    depth = 0
    for letter in plain:
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0
    assert depth == 0
    assert plain.count("$") % 2 == 0
    tables = re.sub(r"^.*&.*$", lambda found: found[0].replace("&", ""), plain, flags=re.M)
    assert not re.search(r"[#%_^\\<>|\"`]", tables)


@pytest.mark.parametrize("which", ["hostile", "planted"])
def test_every_latex_file_is_latex(which, request):
    result = request.getfixturevalue(which)
    made = {file.name: file.content.decode() for file in files.files(result, "latex")}
    assert {"sides.tex", "pairs.tex", "differences.tex", "method.tex", "references.bib"} <= set(made)
    for name, text in made.items():
        if name.endswith(".tex"):
            check_latex(text)


def test_the_check_of_latex_finds_what_is_wrong():
    head = "\\begin{tabular}{ll}\n"
    for wrong in ("a_b", "{", "}{", "$x", "5 %", r"\foo", head, head + "a \\\\\n\\end{tabular}"):
        with pytest.raises(AssertionError):
            check_latex(wrong)
    with pytest.raises(AssertionError):
        check_latex(head + "a & b \\\\\n  [2] & c \\\\\n\\end{tabular}")


def test_letters_of_any_script_stay_and_hyphens_stay_apart(hostile):
    text = files.files(hostile, "latex")[0].content.decode()
    assert "名前-é-العربية" in text and "-{}-dash-{}-" in text and "{[}2{]}{*}bold{*}" in text
    assert r"\textbackslash{}x1b{[}31mred" in text


# --- the best and its ties --------------------------------------------------------------------------


def test_ties_are_told_by_tests_and_not_by_eye(planted):
    (found,) = ties.marks(planted)
    tested = [row for row in planted.verdicts() if found.best in (row.a, row.b)]
    assert tested
    for row in tested:
        other = row.b if row.a == found.best else row.a
        if row.verdict in ("higher", "lower"):
            assert other in found.worse
        elif row.verdict in ("equivalent", "unresolved", "too_few_seeds"):
            assert other in found.ties
        else:  # a failed pair tells nothing
            assert other in found.untested
    means = {name: planted.side(name).mean(found.measure) for name in (found.best, *found.ties, *found.worse)}
    assert means[found.best] == max(means.values())


def test_the_group_of_the_best_tells_ties_where_no_pair_was_tested(hostile):
    assert hostile.group is not None
    (found,) = ties.marks(hostile)
    assert found.best == hostile.group.best
    assert set(found.ties) | {found.best} == set(hostile.group.members)
    assert set(found.worse) == set(hostile.group.out)
    other = hostile.model_copy(
        update={"group": BestGroup(**{**hostile.group.model_dump(), "members": HOSTILE, "out": ()})}
    )
    pairs = {
        row.a if row.b == found.best else row.b for row in hostile.verdicts() if found.best in (row.a, row.b)
    }
    assert set(ties.marks(other)[0].worse) == set(found.worse) & pairs  # a tested verdict comes first


def test_a_measure_without_a_direction_and_one_untested_have_no_marks(planted):
    rows = [
        row.model_copy(update={"measure": "intra_variance"}) if row.primary else row for row in planted.paired
    ]
    assert ties.marks(fixture.changed(planted, paired=tuple(rows))) == ()
    sheet = sheets.sides(planted)
    place = sheet.heads.index("Recall@1")
    marked = [[bool(cell.mark) for cell in cells] for _, cells in sheet.rows]
    assert any(row[place] for row in marked)
    assert not any(row[column] for row in marked for column in range(len(sheet.heads)) if column != place)


# --- tidy tables ------------------------------------------------------------------------------------


def test_csv_and_parquet_hold_one_row_for_each_side_measure_and_seed(planted, tmp_path):
    for format in ("csv", "parquet"):
        written = {path.stem: path for path in planted.export(tmp_path / format, format)}
        read: Any = pd.read_csv if format == "csv" else pd.read_parquet
        values = read(written["values"])
        assert list(values.columns) == ["on", "loss", "kind", "measure", "split", "seed", "value"]
        wanted = planted.frame()
        assert len(values) == len(wanted) == len(values.drop_duplicates(["loss", "measure", "seed"]))
        pd.testing.assert_series_equal(values["value"], wanted["value"], rtol=1e-14)
        trials = read(written["trials"])
        assert len(trials) == sum(len(side.trials) for side in planted.losses)
        assert len(read(written["runs"])) == sum(len(side.runs) for side in planted.sides)
        means = read(written["means"])
        assert len(means) == sum(len(side.measures) for side in planted.sides)
        assert len(read(written["verdicts"])) == len(planted.paired)


def test_no_cell_of_a_csv_is_a_formula(hostile):
    for file in files.files(hostile, "csv"):
        for row in csv.reader(io.StringIO(file.content.decode())):
            for cell in row:
                if cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
                    float(cell)
                assert "\x1b" not in cell


def test_values_of_a_csv_are_judged_again(tmp_path):
    result = judge(
        pd.DataFrame(
            [
                (name, seed, "recall_at_1", 0.9 + place / 50 + seed / 1000 * (1 + place))
                for place, name in enumerate(("a", "b"))
                for seed in range(9)
            ],
            columns=["loss", "seed", "measure", "value"],
        )
    )
    written = {path.stem: path for path in result.export(tmp_path, "csv")}
    again = judge(str(written["values"]))
    assert [row.verdict for row in again.verdicts()] == [row.verdict for row in result.verdicts()]
    assert again.verdicts()[0].p == result.verdicts()[0].p


# --- method and BibTeX ------------------------------------------------------------------------------


def leaves(value: Any, path: str) -> list[Any]:
    """The values at a path of a result; parts of tuples are looked into."""
    if isinstance(value, tuple | list):
        return [len(value), *(leaf for inner in value for leaf in leaves(inner, path))]
    if not path:
        return (
            [*value, *value.values()]
            if isinstance(value, dict)
            else []
            if isinstance(value, BaseModel)
            else [value]
        )
    name, _, rest = path.partition(".")
    assert value is None or (isinstance(value, BaseModel) and name in type(value).model_fields), path
    return [] if value is None else leaves(getattr(value, name), rest)


def written_as(value: Any) -> set[str]:
    if isinstance(value, bool) or value is None:
        return set()
    if isinstance(value, str):
        return set(re.findall(r"\d[\d,.]*\d|\d", value))
    forms = {f"{value:g}", f"{value:,}", f"{value / 2:g}", f"{100 * (1 - value):.4g}", f"{value:.0f}"}
    forms |= {f"{value / 60:.0f}", f"{value / 3600:.1f}", f"{2.718281828459045**value:.2f}"}
    return {number for form in forms for number in re.findall(r"\d[\d,.]*\d|\d", form)}


@pytest.mark.parametrize("which", ["planted", "hostile"])
def test_every_number_of_the_method_stands_in_the_fields_that_it_names(which, request):
    result = request.getfixturevalue(which)
    told = method(result)
    assert len(told) > 5
    always = {"95", "1", "5", "10"}  # the level of intervals, and the k of Recall@k
    for sentence in told:
        known = {
            form for path in sentence.fields for leaf in leaves(result, path) for form in written_as(leaf)
        }
        numbers = set(re.findall(r"\d[\d,.]*\d|\d", sentence.text))
        assert numbers <= known | always, (sentence.text, numbers - known)


def test_the_method_says_data_protocol_seeds_tuning_tests_and_versions(planted):
    text = planted.method()
    for part in ("on digits", "10 seeds", "protocol matched", "Holm", "96 %", "losscope", "PyTorch"):
        assert part in text
    check_latex(planted.method("latex"))
    assert r"\cite{losscope,schroff2015}" in planted.method("latex")
    assert "[@losscope;" in planted.method("md")
    with pytest.raises(LosscopeError, match="did you mean 'latex'"):
        planted.method("latx")


def test_everything_that_has_a_source_has_an_entry_or_says_none():
    items = {f"{kind}/{name}" for kind in ("loss", "closed_form") for name in registry.entries(kind)}
    items |= {
        f"quantity/{name}" for entry in registry.entries("measure").values() for name in entry.facts.gives
    }
    known = references.references()
    named = [name for found in known.values() for name in found.of]
    assert items == set(named) | set(references.WITHOUT)
    assert not set(named) & set(references.WITHOUT)


def test_bibtex_is_whole_and_balanced():
    known = references.references()
    text = references.bibtex()
    assert text.count("@") == len(known) == len(set(known))
    assert references.FILE.read_text(encoding="utf-8").count("\n@") == len(known)
    for key, found in known.items():
        assert found.text.count("{") == found.text.count("}")
        fields = set(re.findall(r"^  (\w+) = \{", found.text, re.M))
        assert {"author", "title"} <= fields and "of" not in fields
        assert "year" in fields or key == "losscope"
        if "year" in fields and key != "losscope":
            assert re.search(r"year = \{(\d{4})\}", found.text)[1] == key[-4:]  # type: ignore[index]
    assert text.isascii()


def test_sources_in_docstrings_agree_with_the_entries():
    for name, entry in registry.entries("loss").items():
        said = re.search(r"Source: (.*?)(?:\n\n|\Z)", entry.doc, re.S)
        assert said is not None
        for year in re.findall(r"\b(?:19|20)\d\d\b", said[1]):
            assert any(key.endswith(year) for key in references.keys_of(f"loss/{name}")), (name, year)
    for name, entry in registry.entries("closed_form").items():
        for year in re.findall(r"\b(?:19|20)\d\d\b", entry.facts.source):
            assert any(key.endswith(year) for key in references.keys_of(f"closed_form/{name}")), (name, year)


# --- the folder -------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", files.TABLES)
def test_files_have_the_same_bytes_each_time(planted, tmp_path, format):
    first = planted.export(tmp_path / "a", format)
    second = planted.export(tmp_path / "b", format)
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_file_of_someone_else_is_never_replaced(planted, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    (folder / "sides.tex").write_text("mine")
    with pytest.raises(LosscopeError, match=r"holds sides\.tex that losscope did not write"):
        planted.export(folder, "latex")
    assert sorted(path.name for path in folder.iterdir()) == ["mine.txt", "sides.tex"]
    (folder / "sides.tex").unlink()
    planted.export(folder, "latex")
    planted.export(folder, "md")
    planted.export(folder, "latex")  # what losscope wrote is replaced
    (folder / "pairs.tex").write_text("edited")
    with pytest.raises(LosscopeError, match=r"pairs\.tex"):
        planted.export(folder, "latex")
    assert (folder / "pairs.tex").read_text() == "edited" and (folder / "mine.txt").read_text() == "mine"
    (folder / "pairs.tex").unlink()
    (folder / "pairs.tex").symlink_to(folder / "mine.txt")
    with pytest.raises(LosscopeError, match=r"pairs\.tex"):
        planted.export(folder, "latex")
    (folder / "losscope-files.json").write_text("[]")
    with pytest.raises(LosscopeError, match=r"pairs\.tex"):
        planted.export(folder, "latex")


def test_a_folder_that_is_a_file_is_refused(planted, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(LosscopeError, match="cannot write into the folder"):
        planted.export(tmp_path / "file", "latex")
    with pytest.raises(LosscopeError, match="cannot write into the folder"):
        planted.export(tmp_path / "file" / "inner", "md")


# --- the command ------------------------------------------------------------------------------------


def run(*words: object) -> None:
    app([*map(str, words)], result_action="return_value", exit_on_error=False)


def test_a_json_file_has_the_same_files_as_its_result(planted, tmp_path, capsys):
    path = tmp_path / "verdict.json"
    path.write_text(planted.json())
    run("report", path, "--format", "latex", "--out", tmp_path / "a")
    named = capsys.readouterr().out.split()
    direct = planted.export(tmp_path / "b", "latex")
    assert [Path(name).read_bytes() for name in named] == [file.read_bytes() for file in direct]
    run("report", path, "--format", "parquet")
    assert (tmp_path / "paper" / "values.parquet").is_file()
    capsys.readouterr()
    run("report", path, "--format", "json")
    assert Result.from_json(capsys.readouterr().out) == planted


def test_text_formats_are_printed_without_a_folder(planted, tmp_path, capsys):
    path = tmp_path / "verdict.json"
    path.write_text(planted.json())
    for format in ("md", "latex", "csv"):
        run("report", path, "--format", format)
        assert capsys.readouterr().out == str(planted.table(format)).rstrip("\n") + "\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["verdict.json"]


def test_a_reproduction_has_its_ledger_and_its_claims(tmp_path, capsys):
    found = fixture.reproduction()
    path = tmp_path / "paper.json"
    path.write_text(found.json())
    run("report", path, "--format", "md")
    assert capsys.readouterr().out.startswith("# A made paper")
    run("report", path, "--format", "csv", "--out", tmp_path / "out")
    claims = pd.read_csv(tmp_path / "out" / "claims.csv")
    assert list(claims["id"]) == [row.id for row in found.claims]
    with pytest.raises(LosscopeError, match="a reproduction has no latex files; it has md, csv, json"):
        run("report", path, "--format", "latex")


def test_what_is_no_document_is_refused(tmp_path):
    path = tmp_path / "x.json"
    for text in ("", "[1]", "{}", '{"schema": 2}', '{"schema": 1}', "\x00"):
        path.write_text(text)
        with pytest.raises(LosscopeError, match=re.escape(str(path))):
            run("report", path, "--format", "md")
    path.write_text("[" * 100_000)
    with pytest.raises(LosscopeError):
        run("report", path, "--format", "md")
    with pytest.raises(LosscopeError, match="holds no losscope runs"):
        run("report", tmp_path / "absent", "--format", "md")


def test_an_unknown_format_is_one_sentence(planted):
    with pytest.raises(LosscopeError, match="unknown format 'pptx'"):
        planted.export("nowhere", "pptx")
    assert files.TABLES[:-1] == exporting.PRINTED
    assert json.loads(files.files(planted, "json")[0].content) == json.loads(planted.json())
    assert set(frames.KINDS) == {"values", "means", "verdicts", "trials", "runs", "curves"}
