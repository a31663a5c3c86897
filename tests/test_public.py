"""What ``import losscope`` gives: the names, their types, their examples, and no name for two things."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import losscope
from losscope.cli import app

HOME = Path(losscope.__file__).parent
NAMES = [name for name in losscope.__all__ if name != "__version__"]
PACKAGES = ["losscope", *(m.name for m in pkgutil.walk_packages([str(HOME)], "losscope.") if m.ispkg)]
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(losscope, name))]
NOT_IN_PYTHON = {"run", "list", "store"}
"""Commands without a function: a study in a file, the lists that are for reading, the care of a folder."""


def members(package: str) -> set[str]:
    """The names of the modules and packages in a package."""
    place = importlib.import_module(package).__path__
    return {module.name for module in pkgutil.iter_modules(place)}


def test_it_imports_neither_torch_nor_pandas() -> None:
    code = (
        "import sys, losscope; print(dir(losscope)); print(sys.modules.keys() & {'torch', 'pandas', 'numpy'})"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names, heavy = said.splitlines()
    assert ast.literal_eval(names) == sorted(losscope.__all__)
    assert heavy == "set()"


def test_the_stub_says_what_the_package_gives() -> None:
    stub = ast.parse((HOME / "__init__.pyi").read_text(encoding="utf-8"))
    given = {
        name.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.name == name.asname
    }
    assert given == losscope._PUBLIC
    (listed,) = (node.value for node in stub.body if isinstance(node, ast.Assign))
    assert sorted(ast.literal_eval(listed)) == sorted(losscope.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'compere'"):
        losscope.compere  # noqa: B018


def test_there_is_a_function_for_every_command() -> None:
    commands = {name for command in app if (name := command).isidentifier()}
    assert commands - NOT_IN_PYTHON <= set(FUNCTIONS)
    assert {"compare", "judge", "audit", "reproduce", "report", "embed", "bench"} <= commands


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_an_example_that_is_run(name: str) -> None:
    """``--doctest-modules src`` runs what stands in the module that defines the name."""
    item = getattr(losscope, name)
    assert vars(item).get("__doc__", item.__doc__) if inspect.isclass(item) else item.__doc__
    assert item.__module__.startswith("losscope.")
    examples = doctest.DocTestFinder(recurse=False).find(item, name, module=sys.modules[item.__module__])
    assert any(test.examples for test in examples)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_bears_the_name_of_what_its_package_gives(package: str) -> None:
    """Importing such a module would put it in the place of the function or class, at some later time."""
    room = importlib.import_module(package)
    public = set(getattr(room, "__all__", ())) | {
        name for name, item in vars(room).items() if not isinstance(item, ModuleType) and name[0] != "_"
    }
    assert public & members(package) == set()


def test_no_room_bears_the_name_of_a_public_function() -> None:
    rooms = {name for package in PACKAGES for name in (*members(package), package.rpartition(".")[2])}
    assert rooms & set(FUNCTIONS) == set()


def test_a_loss_is_made_again_and_again() -> None:
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 2
    values = []
    for _ in range(3):
        importlib.import_module("losscope.losses.drop_in")
        loss = losscope.loss("triplet(margin=0.2)")
        assert isinstance(loss, torch.nn.Module)
        values.append(loss(z, labels).item())
    assert values[0] > 0 and len(set(values)) == 1
    assert not hasattr(losscope.losses, "module")  # type: ignore[attr-defined]


def test_measures_take_lists_arrays_and_tensors() -> None:
    points = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(12) % 3
    sides: dict[str, tuple[Any, ...]] = {
        "geometry": (),
        "retrieval": (),
        "verification": (),
        "classification": (points, labels),
        "cross_modal": (torch.arange(12) // 6,),
    }
    for name, more in sides.items():
        measure = getattr(losscope, name)
        found = measure(points, labels, *more)
        assert found and all(type(value) is float for value in found.values())
        for change in (torch.Tensor.numpy, torch.Tensor.tolist):
            again = measure(*(change(part) for part in (points, labels, *more)))
            assert again == pytest.approx(found, rel=1e-5, abs=1e-9, nan_ok=True)
        with pytest.raises(losscope.LosscopeError, match="NaN or infinity"):
            measure(points / 0, labels, *more)


REVEALED = {
    'losscope.loss("triplet")': r"LossModule",
    'losscope.compare("digits")': r"Result",
    'losscope.load("runs")': r"Result",
    'losscope.judge("scores.csv")': r"Result",
    'losscope.read("digits")': r"Source",
    'losscope.audit("triplet").lines': r"AuditLine|Line",
    'losscope.reproduce("zeng2025")': r"Reproduction",
    "losscope.geometry([[1.0]], [0])": r"dict\[str, float\]",
    "losscope.verification([[1.0]], [0])": r"dict\[str, float\]",
    "losscope.classification([[1.0]], [0], [[1.0]], [0])": r"dict\[str, float\]",
    "losscope.cross_modal([[1.0]], [0], [0])": r"dict\[str, float\]",
    "losscope.Relation.from_triples(2)": r"Triplets",
    "losscope.Relation.from_triples(2).as_pairs().same": r"Tensor",
    'losscope.LossSpec.parse("triplet").label': r"str",
}


def test_the_types_are_there_for_editors(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """mypy, told to reveal; its cache is pytest's, so that only the first run takes ten seconds."""
    api = pytest.importorskip("mypy.api", reason="a tool, installed with losscope[test]")
    assert request.config.cache is not None
    lines = ["import losscope", *(f"reveal_type({text})" for text in REVEALED), "losscope.compere"]
    file = tmp_path / "revealing.py"
    file.write_text("\n".join(lines))
    cache = request.config.cache.mkdir("mypy")
    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    said, errors, _ = api.run([*options, f"--cache-dir={cache}", str(file)])
    assert errors == ""
    revealed = re.findall(r'note: Revealed type is "(.*)"', said)
    assert len(revealed) == len(REVEALED), said
    for kind, wanted in zip(revealed, REVEALED.values(), strict=True):
        assert re.search(wanted, kind), kind
        assert "Any" not in kind
    assert 'Module has no attribute "compere"' in said
