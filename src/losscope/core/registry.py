"""One table a kind: losses, data sets, models, measures, claims, page sections.

An item is one function under its decorator, found without importing anything: the decorators of the
package's own files are read as text, so that ``losscope list``, ``--help`` and the check of a name never
import torch, and ``get`` imports only the file that defines the name asked for. Decorator arguments are
therefore literals.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from losscope.core.errors import LosscopeError, unknown

ROOMS = {
    "loss": "losses",
    "data": "data",
    "model": "models",
    "measure": "measures",
    "claim": "papers",
    "section": "reporting/sections.py",
}
"""Where each kind of item lives, inside the package."""


@dataclass(frozen=True)
class Entry:
    """A registered item: what it is and where its function lives."""

    kind: str
    name: str
    module: str
    function: str
    doc: str
    facts: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    """Its keyword-only parameters that have a default: a loss's hyperparameters."""

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.strip().split("\n", 1)[0]

    def load(self) -> Callable[..., Any]:
        """The function itself; its module is imported now if it was not yet."""
        return getattr(importlib.import_module(self.module), self.function)


_plugins: dict[tuple[str, str], Entry] = {}
_plugin_sources: dict[str, str] = {}


def register(kind: str, name: str, **facts: Any) -> Callable[[Callable], Callable]:
    """Decorate a function as the item ``name`` of a kind; ``facts`` are literals that ``list`` shows.

    The package's own items are found by reading the decorators, those of plugins by running them.
    """
    if kind not in ROOMS:
        raise unknown("kind of item", kind, ROOMS)

    def mark(function: Callable) -> Callable:
        if not function.__module__.startswith("losscope."):
            words = {
                word.name: word.default
                for word in inspect.signature(function).parameters.values()
                if word.kind is word.KEYWORD_ONLY and word.default is not word.empty
            }
            _plugins[kind, name] = Entry(
                kind, name, function.__module__, function.__name__, function.__doc__ or "", facts, words
            )
        return function

    return mark


@cache
def _own() -> dict[tuple[str, str], Entry]:
    home = Path(__file__).parent.parent
    found: dict[tuple[str, str], Entry] = {}
    for room in set(ROOMS.values()):
        place = home / room
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place] if place.exists() else []
        for path in files:
            module = ".".join(["losscope", *path.relative_to(home).with_suffix("").parts])
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    for entry in _entries(node, module):
                        if (entry.kind, entry.name) in found:
                            raise RuntimeError(f"{entry.kind} {entry.name!r} is registered twice")
                        found[entry.kind, entry.name] = entry
    return found


def _entries(node: ast.FunctionDef | ast.ClassDef, module: str) -> list[Entry]:
    entries = []
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("register", "registry.register"):
            kind, name = (ast.literal_eval(argument) for argument in call.args)
            facts = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
            words = {}
            if isinstance(node, ast.FunctionDef):
                for word_, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
                    if default is not None:
                        words[word_.arg] = ast.literal_eval(default)
            doc = ast.get_docstring(node) or ""
            entries.append(Entry(kind, name, module, node.name, doc, facts, words))
    return entries


def entries(kind: str) -> dict[str, Entry]:
    """All items of a kind by name, in the order of their files, plugins last. Imports nothing."""
    if kind not in ROOMS:
        raise unknown("kind of item", kind, ROOMS)
    both = {**_own(), **_plugins}
    return {name: entry for (of, name), entry in both.items() if of == kind}


def entry(kind: str, name: str) -> Entry:
    """The entry of a name, or an error that lists the nearest names."""
    table = entries(kind)
    if name not in table:
        raise unknown({"data": "data set"}.get(kind, kind), name, table)
    return table[name]


def get(kind: str, name: str) -> Callable[..., Any]:
    """The function registered under a name; its module is imported at the first look-up."""
    return entry(kind, name).load()


def load_plugin(path: str | Path) -> ModuleType:
    """Run a user's file, so that the items it registers can be named. Its source enters the run ids."""
    path = Path(path)
    if not path.is_file():
        raise LosscopeError(
            f"no plugin file {str(path)!r}; --plugin wants a Python file that registers items"
        )
    name = f"losscope_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except LosscopeError:
        raise
    except Exception as error:
        raise LosscopeError(f"the plugin {str(path)!r} failed: {type(error).__name__}: {error}") from error
    _plugin_sources[str(path.resolve())] = path.read_text(encoding="utf-8")
    return module


def load_entry_points() -> None:
    """Load installed plugins, the entry points of group ``losscope.plugins``."""
    for point in importlib.metadata.entry_points(group="losscope.plugins"):
        point.load()


def plugin_files() -> list[str]:
    """The plugin files loaded so far, for workers to load again."""
    return list(_plugin_sources)


def source_of(kind: str, name: str) -> str | None:
    """The source text of a plugin's item, part of a run's id; None for the package's own items."""
    found = _plugins.get((kind, name))
    if found is None:
        return None
    file = sys.modules[found.module].__file__
    return Path(file).read_text(encoding="utf-8") if file else None
