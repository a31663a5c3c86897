"""What a call of a loss is given: embeddings, labels, tuples; and what is known of the loss itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losscope.losses.drop_in import LossModule
from losscope.pairs import Relation, Terms

FROM_EMBEDDINGS = "compute_loss_from_embeddings"
"""The method of sentence-transformers' losses that is given the embeddings which they have the model make."""
LABELS = ("labels", "label", "targets", "target", "y")
REFERENCES = ("ref_emb", "ref_labels")


@dataclass(frozen=True)
class Compared:
    """What a loss of ours compares in a call: the embeddings as it takes them, their relation, the terms."""

    embeddings: Tensor
    relation: Relation
    terms: Terms


@dataclass
class Given:
    """What a call of a loss is given.

    Attributes:
        embeddings: the tensors (rows, D) that take a gradient, each once.
        labels: (rows,) integers: of the argument that is named as labels are, or of the only such argument;
            None where there are several, or none.
        tuples: how many tuples a miner chose; None without one.
        compared: what a loss of ours makes of it.
        mapped: whether a dictionary was given, such as the output of a model of transformers, of which a loss
            may use only a part.
        arguments, named: the call itself.
        given_labels: the argument that ``labels`` was read from.
        class_names: whether a list of texts is one of classes, as it is for a loss of ours.
        inner: what the call goes to, where that is a method of the loss.
    """

    embeddings: list[Tensor] = field(default_factory=list)
    labels: Tensor | None = None
    tuples: int | None = None
    compared: Compared | None = None
    mapped: bool = False
    arguments: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)
    given_labels: Any = None
    class_names: bool = False
    inner: Callable[..., Any] | None = None
    _candidates: tuple[list[Any], list[Any]] = field(default_factory=lambda: ([], []))

    def read(self, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Look through the arguments of a call."""
        self.arguments, self.named = arguments, named
        parts = [*arguments, *named.values()]
        found = {id(part): part for part in _tensors(parts) if _is_embeddings(part)}
        self.embeddings = list(found.values())
        self.mapped = any(isinstance(part, Mapping) for part in parts)
        self.tuples = _tuples([*arguments[1:], named.get("indices_tuple")])
        across = any(named.get(name) is not None for name in REFERENCES) or len(arguments) > 3
        by_name = [named[name] for name in LABELS if name in named]
        self._candidates = ([], []) if across else (by_name, list(arguments[1:]))
        self._find_labels()

    def _find_labels(self) -> None:
        self.labels = None
        if len(self.embeddings) != 1:
            return
        for parts in self._candidates:
            found = [(part, read) for part in parts if (read := self._as_labels(part)) is not None]
            if found:
                # Of several, such as labels and numbers of items, none is known to be the classes.
                if len(found) == 1:
                    self.given_labels, self.labels = found[0]
                return

    def _as_labels(self, part: Any) -> Tensor | None:
        """(rows,) integers, beside the embeddings; None for what is no label of each row."""
        like = self.embeddings[0]
        if isinstance(part, np.ndarray) and part.dtype.kind in "iu":
            part = torch.from_numpy(part.astype(np.int64))
        elif isinstance(part, list) and len(part) == len(like):
            kinds = {type(each) for each in part}
            if kinds == {int} or (self.class_names and kinds == {str}):
                part = torch.from_numpy(np.unique(part, return_inverse=True)[1])
        if isinstance(part, Tensor) and part.shape == (len(like),) and not part.is_floating_point():
            return part.detach().to(like.device)
        return None

    def keep_what_leads_to(self, values: Sequence[Tensor]) -> None:
        """Of a dictionary's tensors keep those that the loss was computed from, and is nearest to."""
        if self.mapped and self.embeddings and any(value.requires_grad for value in values):
            self.embeddings = _met_first(values, self.embeddings)
            self._find_labels()


def _met_first(values: Sequence[Tensor], parts: list[Tensor]) -> list[Tensor]:
    """The parts that a walk back from values meets, with no other part between."""
    by_node = {(part.grad_fn, part.output_nr): part for part in parts if part.grad_fn is not None}
    leaves = {id(part): part for part in parts if part.grad_fn is None}
    met: dict[int, Tensor] = {}
    waiting, seen = [(value.grad_fn, value.output_nr) for value in values], set()
    while waiting:
        node, output = waiting.pop()
        part = by_node.get((node, output)) if node is not None else None
        if part is None and (variable := getattr(node, "variable", None)) is not None:
            part = leaves.get(id(variable))
        if part is not None:
            met[id(part)] = part
        elif node is not None and node not in seen:
            seen.add(node)
            waiting += node.next_functions
    return [part for part in parts if id(part) in met]


def _is_embeddings(part: Tensor) -> bool:
    return part.ndim == 2 and part.is_floating_point() and part.requires_grad


def _tensors(parts: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among some arguments, and in lists, tuples and dictionaries of them."""
    for part in parts:
        if isinstance(part, Tensor):
            yield part
        elif isinstance(part, list | tuple):
            yield from _tensors(part)
        elif isinstance(part, Mapping):
            yield from _tensors(part.values())


def _tuples(parts: Iterable[Any]) -> int | None:
    """How many tuples pytorch-metric-learning's ``indices_tuple`` holds: triplets, or pairs of both kinds."""
    for part in parts:
        if (
            isinstance(part, tuple)
            and len(part) in (3, 4)
            and all(isinstance(column, Tensor) for column in part)
        ):
            return sum(len(column) for column in part[:: 3 if len(part) == 3 else 2])
    return None


@contextlib.contextmanager
def watching(loss: Callable[..., Any], given: Given) -> Iterator[None]:
    """Note what a loss makes of a call while it lasts; the loss is as before afterwards."""
    if isinstance(loss, LossModule):
        before = loss.watch

        def watch(embeddings: Tensor, relation: Relation, terms: Terms) -> None:
            # Without gradient it is the question of another probe, or nothing that is recorded.
            if torch.is_grad_enabled():
                given.compared = Compared(embeddings.detach(), relation, terms)
            if before is not None:
                before(embeddings, relation, terms)

        give_back = put(loss, "watch", watch)
    elif isinstance(loss, nn.Module) and callable(own := getattr(loss, FROM_EMBEDDINGS, None)):

        def from_embeddings(*arguments: Any, **named: Any) -> Any:
            if torch.is_grad_enabled():
                given.read(arguments, named)
                given.inner = own
            return own(*arguments, **named)

        give_back = put(loss, FROM_EMBEDDINGS, from_embeddings)
    else:
        yield
        return
    try:
        yield
    finally:
        give_back()


def put(owner: object, name: str, value: Any) -> Callable[[], None]:
    """Have an object itself hold a value, as no submodule of it; returns what makes it as it was.

    >>> class Owner:
    ...     criterion = "of the class"
    >>> owner = Owner()
    >>> give_back = put(owner, "criterion", "its own")
    >>> held = owner.criterion
    >>> give_back()
    >>> held, owner.criterion, vars(owner)
    ('its own', 'of the class', {})
    """
    was_there, before = name in vars(owner), vars(owner).get(name)
    vars(owner)[name] = value

    def give_back() -> None:
        if was_there:
            vars(owner)[name] = before
        else:
            vars(owner).pop(name, None)

    return give_back
