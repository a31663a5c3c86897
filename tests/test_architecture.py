"""docs/architecture.md: its examples are items that work, its layers are those that are enforced."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import losscope
from losscope.cli import app
from losscope.cli.items import list_items
from losscope.comparing.listing import Listing, items
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.facts import FACTS
from losscope.reporting import Context
from losscope.testing import check_data, check_loss, check_measure, check_model

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, flags=re.S | re.M)
KINDS = ("loss", "measure", "data", "model", "closed_form", "protocol", "claim", "paper", "section")
TINY = {"losses": "contrastive,triplet", "seeds": 2, "epochs": 1, "tune": False, "out": "out"}


def examples() -> dict[str, str]:
    """The example files by name; a block that continues a file stands after it."""
    found: dict[str, str] = {}
    for kind, text in BLOCKS:
        if kind == "python":
            name = re.match(r"# (\w+\.py)(, continued)?\n", text)
            assert name is not None, text[:60]
            assert bool(name[2]) == (name[1] in found), name[0]
            found[name[1]] = found.get(name[1], "") + text
    return found


FILES = examples()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The examples as files in the working folder; what they register is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text, encoding="utf-8")
    with registry.forgetting():
        yield tmp_path


def test_there_is_an_example_of_each_kind_and_it_is_one_function(here):
    kinds = []
    for text in (text for kind, text in BLOCKS if kind == "python"):
        functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
        assert len(functions) == 1
        call = functions[0].decorator_list[0]
        assert isinstance(call, ast.Call)
        if ast.unparse(call.func) == "register":
            kinds.append(ast.literal_eval(call.args[0]))
    assert sorted(kinds) == sorted(KINDS)


def test_the_loss_keeps_the_contract_and_trains_under_both_protocols(here):
    registry.load_plugin("linear_pairs.py")
    check_loss("linear_pairs")
    assert not losscope.audit("linear_pairs").failed
    assert "margin=1.0" in repr(losscope.loss("linear_pairs(margin=1.0)"))
    for protocol in ("matched", "paper"):
        options = {**TINY, "losses": "linear_pairs,triplet", "protocol": protocol}
        result = losscope.compare("synthetic", plugins=["linear_pairs.py"], **options)
        own = result.losses[0]
        assert own.failed == 0
        assert own.mean("greedy_share") is not None
        assert 0 < own.mean("active_ratio") <= 1


def test_the_measure_has_a_column_and_is_compared(here):
    registry.load_plugin("reach.py")
    check_measure("reach")
    result = losscope.compare("digits", plugins=["reach.py"], **TINY)
    assert "mean reach" in result.table("md").splitlines()[2]
    assert re.search(r"\breach\b", result.table("text"))
    assert "mean reach" in result.page()
    assert any(row.measure == "mean_reach" and row.delta == 0.02 for row in result.paired)


def test_the_data_set_the_model_and_the_protocol_train(here):
    plugins = ["rings.py", "narrow.py", "brief.py"]
    for plugin in plugins:
        registry.load_plugin(plugin)
    check_data("rings")
    check_model("narrow")
    options = {key: value for key, value in TINY.items() if key not in ("epochs", "tune")}
    result = losscope.compare("rings", model="narrow", protocol="brief", plugins=plugins, **options)
    assert result.data.title == "Four noisy rings"
    assert result.protocol is not None
    assert (result.protocol.model, result.protocol.name, result.protocol.epochs) == ("narrow", "brief", 2)
    assert result.protocol.hidden == (8,)
    assert [side.failed for side in result.losses] == [0, 0]


def test_the_closed_form_stands_beside_the_losses(here):
    result = losscope.compare("digits", plugins=["standardised.py"], **TINY)
    own = result.side("standardised")
    assert own.failed == 0 and own.family == "closed form" and own.dimensions == (64, 64)
    assert own.mean("recall_at_1") > 0.9


def test_the_paper_is_reproduced_with_the_claim_that_was_added(here):
    plugins = ["spread_paper.py", "spread_claim.py"]
    result = losscope.reproduce("spread", seeds=2, engine="here", out="out", plugins=plugins)
    rows = {row.id: row for row in result.claims if row.data == "synthetic"}
    assert list(rows) == ["wider", "finds-neighbours"]
    assert all(row.verdict == "inconclusive" and row.measured is not None for row in rows.values())
    ledger = Path(result.ledger).read_text(encoding="utf-8")
    assert "Triplet keeps more variance within the classes than contrastive" in ledger
    assert "Triplet finds the nearest neighbour more often than contrastive" in ledger


def test_the_section_stands_on_the_page(here):
    result = losscope.compare("digits", plugins=["ranges.py"], **TINY)
    page = result.page()
    assert "How far the seeds lie apart" in page
    assert "This section failed" not in page
    assert "Recall@1 by seed" in page


def test_an_installed_package_of_these_files_takes_part(tmp_path):
    (block,) = (text for kind, text in BLOCKS if kind == "toml")
    points = tomllib.loads(block)["project"]["entry-points"]["losscope.plugins"]
    assert {value.removeprefix("myscope.") + ".py" for value in points.values()} == set(FILES)
    site, info = tmp_path / "site" / "myscope", tmp_path / "site" / "myscope-1.0.dist-info"
    site.mkdir(parents=True)
    info.mkdir()
    (site / "__init__.py").write_text("")
    for name, text in FILES.items():
        (site / name).write_text(text, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: myscope\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = {value}" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[losscope.plugins]\n{lines}\n")

    made = answer(
        "compare rings --losses linear_pairs,triplet --model narrow --protocol brief --seeds 2 --out out",
        site.parent,
        tmp_path,
    )
    assert [loss["name"] for loss in made["losses"]] == ["linear_pairs", "triplet"]
    assert None not in made["losses"][0]["measures"]["mean_reach"]["values"]
    assert "How far the seeds lie apart" in Path(tmp_path, made["report"]).read_text(encoding="utf-8")
    claims = answer("reproduce spread --seeds 2 --engine here --out out", site.parent, tmp_path)["claims"]
    assert {claim["id"] for claim in claims} == {"wider", "finds-neighbours"}


def answer(words: str, first: Path, cwd: Path) -> dict:
    """What a command prints with --json, where ``first`` is searched for packages before all else."""
    found = subprocess.run(
        [sys.executable, "-m", "losscope", *words.split(), "--json"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(first), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


@pytest.fixture(scope="module")
def with_ours(tmp_path_factory) -> Path:
    """A copy of the package with each example as a new file in the folder of its kind."""
    source = tmp_path_factory.mktemp("copy")
    home = source / "losscope"
    shutil.copytree(ROOT / "src" / "losscope", home, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        place = home / registry.ROOMS[re.search(r'@register\(\s*"(\w+)"', text)[1]] / name
        assert not place.exists()
        place.write_text(text, encoding="utf-8")
    return source


def test_the_same_files_are_listed_as_ours(with_ours, tmp_path):
    listed = answer("list", with_ours, tmp_path)
    names = {kind: {row["name"] for row in rows} for kind, rows in listed.items()}
    assert list(names) == [facts.listed for facts in FACTS.values()]
    assert {kind: names[kind] - {row.name for row in rows} for kind, rows in items().kinds.items()} == {
        "losses": {"linear_pairs"},
        "data": {"rings"},
        "models": {"narrow"},
        "closed_forms": {"standardised"},
        "measures": {"mean_reach"},
        "protocols": {"brief"},
        "claims": {"wider", "finds-neighbours"},
        "papers": {"spread"},
        "sections": {"ranges"},
    }


def test_the_same_files_take_part_as_ours(with_ours, tmp_path):
    made = answer(
        "compare rings --losses linear_pairs,triplet --model narrow --protocol brief --seeds 2 --out out",
        with_ours,
        tmp_path,
    )
    own = made["losses"][0]
    assert (own["name"], made["protocol"]["name"], made["protocol"]["model"]) == (
        "linear_pairs",
        "brief",
        "narrow",
    )
    assert None not in own["measures"]["mean_reach"]["values"]
    assert None not in own["measures"]["greedy_share"]["values"]
    page = Path(tmp_path, made["report"]).read_text(encoding="utf-8")
    assert "How far the seeds lie apart" in page
    summary = page[page.index('id="summary"') : page.index('id="forest"')]
    assert "mean\u00a0reach" in summary or "mean reach" in summary
    claims = answer("reproduce spread --seeds 2 --engine here --out out", with_ours, tmp_path)["claims"]
    assert {claim["id"] for claim in claims} == {"wider", "finds-neighbours"}


def test_each_kind_has_the_folder_and_the_facts_that_are_told():
    told = re.findall(r"^\| (\w+) \| `([\w/]+)` \| `(\w+)` \|$", TEXT, flags=re.M)
    assert told == [(kind, place, FACTS[kind].__name__) for kind, place in registry.ROOMS.items()]
    assert all((ROOT / "src" / "losscope" / place).is_dir() for _, place, _ in told)


def test_the_command_line_offers_every_kind():
    (choices, _) = get_args(get_type_hints(list_items)["what"])
    assert list(get_args(choices)) == [facts.listed for facts in FACTS.values()] == list(Listing.model_fields)


def test_a_fact_of_ours_that_is_no_literal_is_one_sentence_with_its_place(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text('PLACE = 3\n\n\n@register("section", "mine",\n    order=PLACE)\ndef mine(context): ...\n')
    (node,) = registry._definitions(file)
    with pytest.raises(LosscopeError, match=r"mine\.py, line 5: 'PLACE' is not a literal; the facts"):
        registry._entries(node, "section", "losscope.mine", file)


def test_what_a_section_is_handed_is_told():
    told = TEXT[TEXT.index("What a `Context` has:") : TEXT.index("## Results and wording")]
    public = {name for name in [*vars(Context), *Context.__dataclass_fields__] if not name.startswith("_")}
    assert set(re.findall(r"`\.(\w+)", told)) == public


def test_our_own_items_lie_in_the_folder_of_their_kind():
    home = ROOT / "src" / "losscope"
    for path in sorted(home.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for call in getattr(node, "decorator_list", ()):
                if isinstance(call, ast.Call) and ast.unparse(call.func) in ("register", "registry.register"):
                    place = registry.ROOMS[ast.literal_eval(call.args[0])]
                    assert path.is_relative_to(home / place), f"{path}: its kind has the folder {place}"


def test_the_rooms_and_layers_are_those_of_the_code():
    home = ROOT / "src" / "losscope"
    rooms = {path.parent.name for path in home.glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.M)) == rooms
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    told = [text.splitlines() for kind, text in BLOCKS if kind == "text" and text.startswith("losscope.")]
    assert told == layers


def test_the_files_that_are_named_exist():
    for name in re.findall(r"`((?:\w+/)*\w+\.py)`", TEXT):
        if name not in FILES:
            assert any((ROOT / base / name).is_file() for base in ("", "src/losscope")), name
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / link).exists(), link


@pytest.mark.parametrize("line", re.findall(r"`(losscope [a-z]+ [^`]*)`", TEXT))
def test_every_command_parses(line):
    command, bound, *_ = app.parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)
    assert callable(command)
    assert bound is not None
