"""How a loss is written: ``name(key=value)``, with ``where:`` before it if it is not losscope's own.

``pml:Class(...)`` and ``sentence_transformers:Class(...)`` are those libraries' losses,
``package.module:name(...)`` and ``path/file.py:name(...)`` anyone's. Arguments are literals. Nothing is
looked up, imported or run here; ``losscope.losses.foreign`` finds and builds what is read.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from losscope.core.bounds import INTEGER, LETTERS
from losscope.core.errors import LosscopeError, require, shown

LIBRARIES = {
    "pml": "pytorch_metric_learning",
    "pytorch_metric_learning": "pytorch_metric_learning",
    "pytorch_metric_learning.losses": "pytorch_metric_learning",
    "sentence_transformers": "sentence_transformers",
    "sentence_transformers.losses": "sentence_transformers",
}
"""How known libraries are written, and their packages."""

KINDS = {"pytorch_metric_learning": "pml", "sentence_transformers": "sentence_transformers"}
"""What a loss of a known package is called, as a kind of foreign loss."""

UNREADABLE = (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError)
"""What Python raises for a text that is no expression, or one too deep to be read."""


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


def is_foreign(text: str) -> bool:
    """Whether a text names a loss that is not losscope's own: it has a colon before any bracket.

    >>> is_foreign("pml:TripletMarginLoss(margin=0.1)"), is_foreign("triplet(margin=0.2)")
    (True, False)
    """
    return ":" in text.split("(", 1)[0]


def named(text: str) -> Call:
    """Read ``name`` or ``name(key=value)``; a word without quotes is a string.

    Raises:
        LosscopeError: a text that cannot be read, a positional argument, a value that is not a literal.

    >>> named("triplet(margin=0.2, tuples=semihard)")
    Call(name='triplet', arguments=(), words={'margin': 0.2, 'tuples': 'semihard'})
    """
    _refuse_long(text)
    try:
        call = _call(ast.parse(text, mode="eval").body, only_words=True)
        if call.arguments:
            raise ValueError("a positional argument")
        return call
    except UNREADABLE:
        raise LosscopeError(
            f"cannot read the loss {shown(text)}; it must be a name such as 'triplet', or "
            f"'triplet(margin=0.2)' with named hyperparameters, or 'pml:MultiSimilarityLoss(alpha=2)'"
        ) from None


def parse(text: str) -> Foreign:
    """Read ``where:name(arguments)``, for pytorch-metric-learning with ``+miner(arguments)``.

    Raises:
        LosscopeError: a text that cannot be read, an argument that is not a literal.

    >>> one = parse("pml:TripletMarginLoss(margin=0.1)+TripletMarginMiner(margin=0.2)")
    >>> one.loss.name, one.loss.words, one.miner.name
    ('TripletMarginLoss', {'margin': 0.1}, 'TripletMarginMiner')
    """
    where, call, in_file = _halves(text)
    package = None if in_file else LIBRARIES.get(where)
    kind = "file" if in_file else KINDS[package] if package else "module"
    calls = _calls(text, call)
    if len(calls) > (2 if kind == "pml" else 1):
        wanted = "one loss and at most one miner" if kind == "pml" else "one loss; miners go with pml: only"
        raise LosscopeError(f"{shown(text)} joins {len(calls)} parts with '+'; {wanted} are wanted")
    return Foreign(text, kind, package or where, calls[0], calls[1] if len(calls) == 2 else None)


def _halves(text: str) -> tuple[str, str, bool]:
    """Where a foreign loss lies, how it is called, and whether it lies in a file."""
    head, colon, call = text.partition(".py:")
    if colon:
        return f"{head}.py".strip(), call, True
    where, _, call = text.partition(":")
    return where.strip(), call, False


def with_words(text: str, words: Mapping[str, Any]) -> str:
    """A foreign loss's text with these arguments of the loss set, its other arguments and miner as they are.

    >>> with_words("pml:TripletMarginLoss(swap=True)+TripletMarginMiner(margin=0.2)", {"margin": 0.05})
    'pml:TripletMarginLoss(swap=True, margin=0.05) + TripletMarginMiner(margin=0.2)'
    """
    parse(text)  # so that a text that cannot be read is one sentence
    where, call, _ = _halves(text)
    above, node = None, ast.parse(call.strip(), mode="eval").body
    while isinstance(node, ast.BinOp):
        above, node = above or node, node.left
    assert isinstance(node, ast.Name | ast.Call)
    made = node if isinstance(node, ast.Call) else ast.Call(func=node, args=[], keywords=[])
    kept = [word for word in made.keywords if word.arg not in words]
    new = [ast.keyword(arg=name, value=ast.Constant(value=value)) for name, value in words.items()]
    own = ast.unparse(ast.Call(func=made.func, args=made.args, keywords=[*kept, *new]))
    miner = "" if above is None else f" + {ast.unparse(above.right)}"
    return f"{where}:{own}{miner}"


def literal(text: str, where: str) -> Any:
    """One value as it is written in a call; a word without quotes is a string.

    >>> literal("0.1", "the space"), literal("balanced", "the space")
    (0.1, 'balanced')
    """
    try:
        return _literal(ast.parse(text, mode="eval").body, only_words=True)
    except UNREADABLE:
        raise LosscopeError(
            f"{where} has the value {shown(text)}; a number, True, False or a text is wanted"
        ) from None


def _refuse_long(text: str) -> None:
    require(
        len(text) <= LETTERS,
        f"the loss {shown(text)} is {len(text):,} letters long; at most {LETTERS:,} are read",
    )


def _calls(text: str, call: str) -> list[Call]:
    _refuse_long(text)
    try:
        node = ast.parse(call.strip(), mode="eval").body
        parts: list[ast.expr] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            parts.append(node.right)
            node = node.left
        return [_call(part) for part in [node, *reversed(parts)]]
    except UNREADABLE:
        raise LosscopeError(
            f"cannot read the loss {shown(text)}; it must be 'pml:MultiSimilarityLoss(alpha=2)', "
            f"'package.module:Class(name=literal)' or 'path/file.py:function', with literal arguments"
        ) from None


def _call(node: ast.expr, only_words: bool = False) -> Call:
    if isinstance(node, ast.Name):
        return Call(node.id)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise ValueError(ast.unparse(node))
    if any(word.arg is None for word in node.keywords):
        raise ValueError("**")
    words = {str(word.arg): _literal(word.value, only_words) for word in node.keywords}
    return Call(node.func.id, tuple(_literal(argument) for argument in node.args), words)


def _literal(node: ast.expr, only_words: bool = False) -> Any:
    """A literal; a bare name, or a call as ``MeanReducer()`` unless ``only_words``, stays its text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not only_words:
        return ast.unparse(node)
    value = ast.literal_eval(node)
    if isinstance(value, int) and abs(value) >= INTEGER:
        raise ValueError("a whole number of more than 64 bits")
    return value


def nested(text: str) -> Call:
    """Read an argument that names a part, such as ``MeanReducer()`` or ``LpDistance(power=2)``.

    >>> nested("LpDistance(power=2)")
    Call(name='LpDistance', arguments=(), words={'power': 2})
    """
    return _calls(text, text)[0]
