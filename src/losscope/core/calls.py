"""How a loss that is not losscope's own is written and where its source lies. Imports no torch.

``pml:Class(...)`` and ``sentence_transformers:Class(...)`` are those libraries' losses,
``package.module:name(...)`` and ``path/file.py:name(...)`` the user's own. Arguments are literals and are
never run as code; ``losscope.losses.foreign.building`` builds what is read here.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from losscope.core.errors import LosscopeError

LIBRARIES = {"pml": "pytorch_metric_learning", "sentence_transformers": "sentence_transformers"}
"""Short names of known libraries, and their packages."""

DISTRIBUTIONS = {
    "pytorch_metric_learning": "pytorch-metric-learning",
    "sentence_transformers": "sentence-transformers",
}
"""What pip calls a package whose losses can be named."""


@dataclass(frozen=True)
class Call:
    """A name with literal arguments."""

    name: str
    arguments: tuple[Any, ...] = ()
    words: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Foreign:
    """A foreign loss as written.

    Attributes:
        text: the whole text, the loss's name everywhere.
        kind: ``pml``, ``sentence_transformers``, ``module`` or ``file``.
        where: the package, module or file.
        loss: the class or function, with its arguments.
        miner: a pytorch-metric-learning miner, or None.
    """

    text: str
    kind: str
    where: str
    loss: Call
    miner: Call | None = None


def parse(text: str) -> Foreign:
    """Read ``where:name(arguments)``, for pytorch-metric-learning with ``+miner(arguments)``.

    Raises:
        LosscopeError: a text that cannot be read, an argument that is not a literal.

    >>> one = parse("pml:TripletMarginLoss(margin=0.1)+TripletMarginMiner(margin=0.2)")
    >>> one.loss.name, one.loss.words, one.miner.name
    ('TripletMarginLoss', {'margin': 0.1}, 'TripletMarginMiner')
    """
    head, colon, call = text.partition(".py:")
    where = f"{head}.py" if colon else ""
    if not colon:
        where, _, call = text.partition(":")
    where = where.strip()
    kind = "file" if colon else _kind(where)
    calls = _calls(text, call)
    if len(calls) > (2 if kind == "pml" else 1):
        wanted = "one loss and at most one miner" if kind == "pml" else "one loss; miners go with pml: only"
        raise LosscopeError(f"{text!r} joins {len(calls)} parts with '+'; {wanted} are wanted")
    where = LIBRARIES.get(where, where)
    return Foreign(text, kind, where, calls[0], calls[1] if len(calls) == 2 else None)


def _kind(where: str) -> str:
    for short, package in LIBRARIES.items():
        if where in (short, package):
            return short
    return "module"


def _calls(text: str, call: str) -> list[Call]:
    try:
        node = ast.parse(call.strip(), mode="eval").body
        parts: list[ast.expr] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            parts.append(node.right)
            node = node.left
        return [_call(part) for part in [node, *reversed(parts)]]
    except (SyntaxError, ValueError, TypeError):
        raise LosscopeError(
            f"cannot read the loss {text!r}; it must be 'pml:MultiSimilarityLoss(alpha=2)', "
            f"'package.module:Class(name=literal)' or 'path/file.py:function', with literal arguments"
        ) from None


def _call(node: ast.expr) -> Call:
    if isinstance(node, ast.Name):
        return Call(node.id)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise ValueError(ast.unparse(node))
    if any(word.arg is None for word in node.keywords):
        raise ValueError("**")
    words = {str(word.arg): _literal(word.value) for word in node.keywords}
    return Call(node.func.id, tuple(_literal(one) for one in node.args), words)


def _literal(node: ast.expr) -> Any:
    """A literal; a bare name or call, such as ``reducer=MeanReducer()``, stays its text."""
    if isinstance(node, ast.Name) or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return ast.unparse(node)
    return ast.literal_eval(node)


def nested(text: str) -> Call:
    """Read an argument that names a part, such as ``MeanReducer()`` or ``LpDistance(power=2)``.

    >>> nested("LpDistance(power=2)")
    Call(name='LpDistance', arguments=(), words={'power': 2})
    """
    return _calls(text, text)[0]


def source(text: str) -> str:
    """What a run's id must hold of a foreign loss beside its text: its file, or its library's version.

    Raises:
        LosscopeError: a file that is not there, a library or module that is not installed.
    """
    foreign = parse(text)
    if foreign.kind == "file":
        return file_of(foreign).read_text(encoding="utf-8")
    if foreign.kind != "module":
        return f"{foreign.where}=={version(foreign.where)}"
    try:
        found = importlib.util.find_spec(foreign.where)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise missing(foreign.where, text)
    if found.origin is None or not found.origin.endswith(".py"):
        return foreign.where
    return Path(found.origin).read_text(encoding="utf-8")


def origin(text: str) -> str:
    """Where a foreign loss comes from, short enough to be shown: ``package==version``, or file and checksum.

    >>> origin("torch.nn:Linear").startswith("torch.nn sha256:")
    True
    """
    found, where = source(text), parse(text).where
    if found.startswith(f"{where}=="):
        return found
    return f"{where} sha256:{hashlib.sha256(found.encode()).hexdigest()[:16]}"


def file_of(foreign: Foreign) -> Path:
    """The user's file. Not looked for before it is needed: stored results outlive it.

    Raises:
        LosscopeError: there is no such file.
    """
    path = Path(foreign.where)
    if not path.is_file():
        raise LosscopeError(
            f"no file {foreign.where!r}; {foreign.text!r} wants a Python file and a name in it"
        )
    return path


def version(package: str) -> str:
    """The installed version of a library.

    Raises:
        LosscopeError: it is not installed; with what to install.
    """
    try:
        return importlib.metadata.version(DISTRIBUTIONS.get(package, package))
    except importlib.metadata.PackageNotFoundError:
        raise missing(package, package) from None


def missing(package: str, text: str) -> LosscopeError:
    """The error for a package that is not there, with what to install."""
    pip = DISTRIBUTIONS.get(package)
    if pip:
        return LosscopeError(f"{text!r} needs {pip}, which is not installed; pip install {pip}")
    return LosscopeError(
        f"{text!r} needs the module {package!r}, which cannot be imported; install its package, or give the file "
        f"as path/file.py:name"
    )
