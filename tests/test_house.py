"""How the code is laid out: what may import what, how long a file may be, and which names may meet.

``lint-imports`` checks the layers between rooms. Here are the rules that it does not know.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import losscope

ROOT = Path(__file__).parents[1]
HOME = ROOT / "src" / "losscope"
FILES = {
    ".".join(path.relative_to(HOME.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(HOME.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
WRITTEN = [
    *HOME.rglob("*.py"),
    *HOME.rglob("*.pyi"),
    *(ROOT / "tests").glob("*.py"),
    *ROOT.glob("examples/*.py"),
]
LONGEST = 450
TYPED_ROOMS = ("comparing", "papers", "reporting", "stats")
"""Rooms whose public functions pass values, never dictionaries of anything."""
UNTYPED = re.compile(r"\b(dict|Dict|Mapping|MutableMapping)\[str, (Any|object)\]")


def imports(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import of a file: at its top, for types only, and inside functions.

    An import that waits in a function does not fail where files need each other, and hides that they do.
    """
    return (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


def imported(tree: ast.Module) -> set[str]:
    """The files of the package that a file takes names from; a name is looked for as a file first.

    A file takes none from the ``__init__`` of the packages that it lies in, though importing it runs them: an
    ``__init__`` gathers names of its files, and is in a circle only with those that take names from it.
    """
    found = set()
    for node in imports(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in FILES}
        else:
            assert node.level == 0, f"a relative import: {ast.unparse(node)}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found |= {name for name in [inner if inner in FILES else str(node.module)] if name in FILES}
    return found


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Files that import each other in a circle, or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other_in_a_circle():
    graph = {name: imported(tree) for name, tree in TREES.items()}
    assert sum(map(len, graph.values())) > len(graph)
    assert cycle(graph) == []


def test_a_circle_is_seen():
    graph = {name: imported(tree) for name, tree in TREES.items()}
    assert "losscope.core.errors" in graph["losscope.core.spec"]
    planted = graph | {"losscope.core.errors": {"losscope.core.spec"}}
    assert {"losscope.core.errors", "losscope.core.spec"} <= set(cycle(planted))


def test_every_import_counts():
    text = """
from typing import TYPE_CHECKING
import losscope.core.spec
from losscope.core import errors, wording
from losscope.core.results import Result
if TYPE_CHECKING:
    from losscope.core import device
def later():
    from losscope.core import facts
"""
    names = ("spec", "errors", "wording", "results", "device", "facts")
    assert imported(ast.parse(text)) == {f"losscope.core.{name}" for name in names}


def test_no_file_is_long():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES.values()}
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > LONGEST} == {}


def test_nothing_is_left_unformatted_or_unchecked():
    marks = ["# " + mark for mark in ("fmt: skip", "fmt: off", "noqa: E501")]
    found = {path.name for path in WRITTEN if any(mark in path.read_text(encoding="utf-8") for mark in marks)}
    assert found == set()


def test_no_room_or_file_has_the_name_of_what_is_public():
    """A package's attribute of a file's name is that file once it is imported, whatever else was there."""
    rooms = {path.parent.name for path in HOME.glob("*/__init__.py")}
    assert "stats" in rooms
    assert rooms & set(losscope.__all__) == set()
    for name in FILES:
        package, _, last = name.rpartition(".")
        if package and last != "__main__":
            public = importlib.import_module(package)
            callables = {item for item, value in vars(public).items() if callable(value)}
            assert last not in callables | set(getattr(public, "__all__", ())), name


def signatures(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, str]]:
    """Each annotation of a public function, method or field, with where it stands."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from signatures(node.body, f"{owner}.{node.name}")
            for field in node.body:
                if isinstance(field, ast.AnnAssign):
                    yield f"{owner}.{node.name}.{ast.unparse(field.target)}", ast.unparse(field.annotation)
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
            given = node.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            kept = [argument.annotation for argument in every if argument is not None and argument.annotation]
            for annotation in [*kept, *([node.returns] if node.returns else [])]:
                yield f"{owner}.{node.name}", ast.unparse(annotation)


@pytest.mark.parametrize("room", TYPED_ROOMS)
def test_public_signatures_pass_values(room):
    found = [
        (where, annotation)
        for name, tree in TREES.items()
        if name == f"losscope.{room}" or name.startswith(f"losscope.{room}.")
        for where, annotation in signatures(tree.body, name)
    ]
    assert len(found) > 20
    assert [pair for pair in found if UNTYPED.search(pair[1])] == []


def test_variables_have_names():
    """``one`` says nothing of what it is."""
    found = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "one")
        or (isinstance(node, ast.arg) and node.arg == "one")
    }
    assert found == set()
