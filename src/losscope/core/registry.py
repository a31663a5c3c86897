"""One table for each kind of item: losses, data sets, models, closed forms, measures, and more.

An item is one function under its decorator. The package's own items are found without importing anything: the
decorators of its files are read as text, so that ``losscope list``, ``--help`` and the check of a name never
import torch, and ``get`` imports only the file that defines the name asked for. Decorator arguments are
therefore literals. A plugin's items are found by running the plugin.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import tokenize
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar, overload

from losscope.core.errors import LosscopeError, unknown
from losscope.core.facts import (
    FACTS,
    ClaimFacts,
    ClosedFormFacts,
    DataFacts,
    Facts,
    LossFacts,
    MeasureFacts,
    ModelFacts,
    PaperFacts,
    ProtocolFacts,
    SectionFacts,
    facts_of,
)

ROOMS = {
    "loss": "losses",
    "data": "data/sets",
    "model": "models",
    "closed_form": "models",
    "measure": "measures",
    "protocol": "core/protocols",
    "claim": "papers",
    "paper": "papers",
    "section": "reporting/sections",
}
"""The folder of each kind of item, inside the package. Files of its subfolders are read too."""

Function = TypeVar("Function", bound=Callable[..., Any])
Own = TypeVar("Own", bound=Facts)


@dataclass(frozen=True)
class Entry(Generic[Own]):
    """A registered item: what it is and where its function lives."""

    kind: str
    name: str
    module: str
    function: str
    doc: str
    facts: Own
    parameters: dict[str, Any] = field(default_factory=dict)
    """Its keyword-only parameters that have a default: a loss's hyperparameters."""

    @property
    def own(self) -> bool:
        """Whether the package itself defines it."""
        return self.module.startswith("losscope.")

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.strip().split("\n", 1)[0]

    def load(self) -> Callable[..., Any]:
        """The function itself; its module is imported now if it was not yet."""
        return getattr(importlib.import_module(self.module), self.function)  # type: ignore[no-any-return]

    def force(self) -> Callable[..., Any] | None:
        """The force of a loss, ``|∂L/∂d|`` of each pair, as ``force_of`` registered it; None without one."""
        self.load()
        found: Callable[..., Any] | None = vars(sys.modules[self.module]).get(FORCES, {}).get(self.name)
        return found


_plugins: dict[tuple[str, str], Entry[Any]] = {}
_plugin_sources: dict[Path, tuple[str, ModuleType]] = {}
_broken: dict[str, str] | None = None
"""Installed plugins that failed, and how; None before they were looked for."""

FORCES = "__losscope_forces__"
"""The name under which a module keeps the forces of its losses, loss -> function. They come and go with the
module: a table here could lose those of a module that stays, which is run only once."""

ENTRY_POINTS = "losscope.plugins"
"""The entry-point group of installed plugins."""

CALLED = {
    "loss": ("embeddings", "relation"),
    "measure": ("embeddings", "labels"),
    "data": ("root",),
    "model": ("inputs", "hidden", "embedding_size"),
    "closed_form": ("sample", "size"),
    "protocol": ("kind", "data"),
    "claim": ("evidence",),
    "paper": (),
    "section": ("context",),
}
"""What the function of each kind of item is called with by place."""


def register(kind: str, name: str, **facts: Any) -> Callable[[Function], Function]:
    """Decorate a function as the item ``name`` of a kind; ``facts`` are what ``losscope.core.facts`` lists.

    Raises:
        LosscopeError: an unknown kind, a fact that is misspelt, missing or wrong, a name that is taken.

    >>> entry("loss", "triplet").facts.takes
    'triplets'
    """
    if kind not in ROOMS:
        raise unknown("kind of item", kind, ROOMS)

    def mark(function: Function) -> Function:
        if not function.__module__.startswith("losscope."):
            _add_plugin(kind, name, function, facts)
        return function

    return mark


def _add_plugin(kind: str, name: str, function: Callable[..., Any], facts: Mapping[str, Any]) -> None:
    signature = inspect.signature(function)
    words = {
        word.name: word.default
        for word in signature.parameters.values()
        if word.kind is word.KEYWORD_ONLY and word.default is not word.empty
    }
    typed = facts_of(kind, name, facts, words)
    _check_call(typed, name, signature, CALLED[kind])
    module, qualified = function.__module__, function.__name__
    taken = _own(kind).get(name) or _plugins.get((kind, name))
    if taken is not None and (taken.module, taken.function) != (module, qualified):
        raise LosscopeError(
            f"the {typed.noun} {name!r} of {module} has the name of one in {taken.module}; "
            f"give it another name, or, if the two are the same, leave out the plugin"
        )
    _plugins[kind, name] = Entry(kind, name, module, qualified, function.__doc__ or "", typed, words)


def _check_call(facts: Facts, name: str, signature: inspect.Signature, places: tuple[str, ...]) -> None:
    """Raise for a function that cannot be called as items of its kind are."""
    words = facts.called_with()
    try:
        signature.bind(*places, **dict.fromkeys(words))
    except TypeError as error:
        call = ", ".join([*places, *(f"{word}=…" for word in words)])
        raise LosscopeError(
            f"the {facts.noun} {name!r} is called as {name}({call}), but its function takes {signature}: "
            f"{error}"
        ) from None


@contextmanager
def forgetting() -> Iterator[None]:
    """Forget afterwards what is registered inside: for tests and examples."""
    load_installed()  # once in a process, so that it must not be forgotten
    items, sources = dict(_plugins), dict(_plugin_sources)
    try:
        yield
    finally:
        for table, before in ((_plugins, items), (_plugin_sources, sources)):
            table.clear()
            table.update(before)  # type: ignore[arg-type]


def force_of(loss: str) -> Callable[[Function], Function]:
    """Decorate a function of a loss's own file as the loss's force on each pair.

    ``force(distances (..., B, B), relation, *, embeddings, **hyperparameters) -> (..., B, B)``, up to a
    constant factor: ``|∂L/∂d_ij|`` of anchor i's terms with j.
    """

    def mark(function: Function) -> Function:
        vars(sys.modules[function.__module__]).setdefault(FORCES, {})[loss] = function
        return function

    return mark


@cache
def _own(kind: str) -> dict[str, Entry[Any]]:
    """The package's own items of a kind, in the order of their files."""
    home = Path(__file__).parent.parent
    place = home / ROOMS[kind]
    found: dict[str, Entry[Any]] = {}
    for path in sorted(place.rglob("*.py")):
        module = ".".join(["losscope", *path.relative_to(home).with_suffix("").parts])
        for node in _definitions(path):
            for made in _entries(node, kind, module, path):
                if made.name in found:
                    raise LosscopeError(f"the {made.facts.noun} {made.name!r} is registered twice")
                found[made.name] = made
    return found


@cache
def _definitions(path: Path) -> list[ast.FunctionDef | ast.ClassDef]:
    """The functions and classes of a file that have a decorator."""
    text = path.read_text(encoding="utf-8")
    if "register(" not in text:
        return []
    nodes = ast.parse(text).body
    return [
        node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.decorator_list
    ]


def _entries(node: ast.FunctionDef | ast.ClassDef, kind: str, module: str, path: Path) -> list[Entry[Any]]:
    entries = []
    for call in node.decorator_list:
        if not (isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == "register"):
            continue
        own, name = (_literal(argument, path) for argument in call.args)
        if own not in ROOMS:
            raise unknown("kind of item", own, ROOMS)
        if own != kind:
            continue
        given = {word.arg: _literal(word.value, path) for word in call.keywords if word.arg}
        words = {}
        if isinstance(node, ast.FunctionDef):
            for word_, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
                if default is not None:
                    words[word_.arg] = _literal(default, path)
        facts = facts_of(kind, name, given, words)
        entries.append(Entry(kind, name, module, node.name, ast.get_docstring(node) or "", facts, words))
    return entries


def _literal(node: ast.expr, path: Path) -> Any:
    """The value of an expression in one of the package's own files, which are read and not run."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise LosscopeError(
            f"{path}, line {node.lineno}: {ast.unparse(node)!r} is not a literal; the facts and the defaults "
            f"of an item in the package's own files are literals, since they are read without importing them"
        ) from None


@overload
def entries(kind: Literal["loss"]) -> dict[str, Entry[LossFacts]]: ...
@overload
def entries(kind: Literal["data"]) -> dict[str, Entry[DataFacts]]: ...
@overload
def entries(kind: Literal["model"]) -> dict[str, Entry[ModelFacts]]: ...
@overload
def entries(kind: Literal["closed_form"]) -> dict[str, Entry[ClosedFormFacts]]: ...
@overload
def entries(kind: Literal["measure"]) -> dict[str, Entry[MeasureFacts]]: ...
@overload
def entries(kind: Literal["protocol"]) -> dict[str, Entry[ProtocolFacts]]: ...
@overload
def entries(kind: Literal["claim"]) -> dict[str, Entry[ClaimFacts]]: ...
@overload
def entries(kind: Literal["paper"]) -> dict[str, Entry[PaperFacts]]: ...
@overload
def entries(kind: Literal["section"]) -> dict[str, Entry[SectionFacts]]: ...
@overload
def entries(kind: str) -> dict[str, Entry[Any]]: ...
def entries(kind: str) -> dict[str, Entry[Any]]:
    """All items of a kind by name, in the order of their files, plugins last.

    None of the package's own is imported.
    """
    if kind not in ROOMS:
        raise unknown("kind of item", kind, ROOMS)
    load_installed()
    more = {name: found for (of, name), found in _plugins.items() if of == kind}
    return {**_own(kind), **more}


@overload
def entry(kind: Literal["loss"], name: str) -> Entry[LossFacts]: ...
@overload
def entry(kind: Literal["data"], name: str) -> Entry[DataFacts]: ...
@overload
def entry(kind: Literal["model"], name: str) -> Entry[ModelFacts]: ...
@overload
def entry(kind: Literal["closed_form"], name: str) -> Entry[ClosedFormFacts]: ...
@overload
def entry(kind: Literal["measure"], name: str) -> Entry[MeasureFacts]: ...
@overload
def entry(kind: Literal["protocol"], name: str) -> Entry[ProtocolFacts]: ...
@overload
def entry(kind: Literal["claim"], name: str) -> Entry[ClaimFacts]: ...
@overload
def entry(kind: Literal["paper"], name: str) -> Entry[PaperFacts]: ...
@overload
def entry(kind: Literal["section"], name: str) -> Entry[SectionFacts]: ...
@overload
def entry(kind: str, name: str) -> Entry[Any]: ...
def entry(kind: str, name: str) -> Entry[Any]:
    """The entry of a name, or an error that lists the nearest names."""
    table = entries(kind)
    if name not in table:
        failed = "".join(f"; {said}" for said in load_installed().values())
        raise unknown(FACTS[kind].noun, name, table, failed)
    return table[name]


def get(kind: str, name: str) -> Callable[..., Any]:
    """The function registered under a name; its module is imported at the first look-up."""
    return entry(kind, name).load()


def source_of(kind: str, name: str) -> str | None:
    """The source text of a plugin's item, part of a run's id; None for the package's own items."""
    found = _plugins.get((kind, name))
    if found is None:
        return None
    module = sys.modules[found.module]
    for text, loaded in _plugin_sources.values():  # what ran, whatever the file holds by now
        if loaded is module:
            return text
    return python_text(Path(module.__file__)) if module.__file__ else None


def python_text(path: Path) -> str:
    """The text of a Python file, in the encoding that it declares.

    Raises:
        LosscopeError: it cannot be read, or is no text of its encoding.
    """
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise LosscopeError(f"cannot read the Python file {str(path)!r}: {error}") from None


def sources_of_run(loss: str, model: str) -> str:
    """The source text of the plugins that make a run's numbers: of its side, its network and its measures.

    Empty where they are all the package's own. A file that registers several of them counts once.
    """
    measures = [name for of, name in _plugins if of == "measure" and _plugins[of, name].facts.default]
    items = [
        ("loss", loss),
        ("closed_form", loss),
        ("model", model),
        *(("measure", name) for name in sorted(measures)),
    ]
    return "".join(dict.fromkeys(source_of(kind, name) or "" for kind, name in items))


def load_plugin(path: str | Path) -> ModuleType:
    """Run a user's file, so that the items it registers can be named. Its source enters the run ids.

    A file that was run before and has not changed is not run again.

    Raises:
        LosscopeError: there is no such file, or it fails; none of its items is kept then.
    """
    path = Path(path)
    if not path.is_file():
        raise LosscopeError(
            f"no plugin file {str(path)!r}; --plugin wants a Python file that registers items"
        )
    where, text = path.resolve(), python_text(path)
    known = _plugin_sources.get(where)
    if known is not None and known[0] == text:
        return known[1]
    name = f"losscope_plugin_{path.stem}_{hashlib.sha256(str(where).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, where)
    if spec is None or spec.loader is None:
        raise LosscopeError(
            f"the plugin {str(path)!r} is not a Python file; --plugin wants one, ending in .py"
        )
    module = importlib.util.module_from_spec(spec)
    _plugin_sources.pop(where, None)  # should it fail now, the same text as before is run again
    _forget_module(name)
    sys.modules[name] = module
    try:
        exec(compile(text, str(where), "exec"), module.__dict__)  # this text, and no cached code of another
    except Exception as error:
        _forget_module(name)
        said = str(error) if isinstance(error, LosscopeError) else f"{type(error).__name__}: {error}"
        raise LosscopeError(f"the plugin {str(path)!r} failed: {said}") from error
    _plugin_sources[where] = text, module
    return module


def plugin_files() -> tuple[Path, ...]:
    """The plugin files that were run in this process, for a worker that has to run them too."""
    return tuple(_plugin_sources)


def plugin_digest(path: str | Path) -> str:
    """The checksum of the text of a plugin as it ran in this process."""
    return hashlib.sha256(_plugin_sources[Path(path).resolve()][0].encode()).hexdigest()


def has_plugin(path: str | Path) -> bool:
    """Whether a file of this name was run, wherever it lay."""
    return any(known.name == Path(path).name for known in _plugin_sources)


def of_program() -> bool:
    """Whether the running program registered items itself, in no plugin file."""
    files = {module.__name__ for _, module in _plugin_sources.values()}
    return any(entry.module not in files for entry in _plugins.values())


def load_installed() -> dict[str, str]:
    """Load installed plugins, the entry points of the group ``losscope.plugins``, at the first look-up.

    One that fails is a warning that names it; the others, and the command, go on.

    Returns:
        The sentences about those that failed, by name.
    """
    global _broken
    if _broken is None:
        _broken = {}
        for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
            try:
                point.load()
            except Exception as error:
                _forget_module(point.module)
                said = str(error) if isinstance(error, LosscopeError) else f"{type(error).__name__}: {error}"
                _broken[point.name] = f"the installed plugin {point.name!r} ({point.value}) failed: {said}"
                warnings.warn(f"{_broken[point.name]}; its items are missing", RuntimeWarning, stacklevel=2)
    return _broken


def _forget_module(module: str) -> None:
    for key in [key for key, found in _plugins.items() if found.module == module]:
        del _plugins[key]
