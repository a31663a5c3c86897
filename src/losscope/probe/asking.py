"""Questions to a loss at a look: would it be another one with other labels, equal rows, turned classes?

They are put to a copy, without gradient and from a saved random state, so that the training is the same bit
for bit. Nothing is asked where the loss cannot be copied, where a miner has chosen the tuples by the labels
already, or where several processes train one model, which might have to call the loss together.
"""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.probe.copying import copy_of
from losscope.probe.inputs import Given
from losscope.probe.thresholds import ALONE, AROUND_MARGIN, EFFECT

ANGLE = 0.1
"""By which each class is turned in a plane of its own, in radians."""
LONGER = 2.0
"""Times the length of rows, to see whether the loss normalises them."""
MOVED = 0.1
"""How far each coordinate of rows is moved, by their length, to see whether they are compared."""
TELLS = 1e-6
"""Relative change of the loss that such a move must make, or it tells nothing."""
PATIENCE = 5
"""Looks without an effect after which a question is not asked again."""


class Questions:
    """What is asked of a loss, look after look; a question that is answered is not asked again.

    Args:
        loss: what is probed.
        compares_rows: whether rows are compared with each other.
    """

    def __init__(self, loss: Callable[..., Any], compares_rows: bool) -> None:
        compiled = getattr(loss, "_orig_mod", None) or getattr(loss, "_torchdynamo_orig_callable", None)
        self._loss = compiled or loss
        self._compares_rows = compares_rows
        # The looks at which a question is still asked.
        self._left = {
            "pair_effect": PATIENCE if compares_rows else 0,
            "length_effect": 1,
            "label_effect": PATIENCE,
            "turning_effect": PATIENCE,
        }
        self._silent = False
        self._narrow: bool | None = None

    def ask(self, step: int, given: Given) -> dict[str, float]:
        """The answers at one step: relative changes of the loss, and the loss of equal rows.

        ``label_effect``: with labels shuffled. ``turning_effect``: with each class turned as a whole, which
        leaves the distances within classes. ``length_effect``: with rows of twice their length.
        ``pair_effect``: what moving two halves of the rows together changes beyond what each changes alone.
        ``loss_of_equal_rows``: with every row the first one.
        """
        labels = given.labels
        if self._silent or labels is None or given.tuples is not None or len(given.embeddings) != 1:
            return {}
        try:
            with _apart(given.embeddings[0]) as again, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call, rows = _Call(self._loss, given, again), given.embeddings[0].detach()
                # In float64, so that no change is told from a small one; a loss may have float32 of its own.
                with contextlib.suppress(Exception):
                    return self._answers(step, call, rows.double(), labels)
                return self._answers(step, call, rows, labels)
        except Exception:  # a stranger's loss may refuse what the training never gives it
            self._silent = True
            return {}

    def _answers(self, step: int, call: _Call, rows: Tensor, labels: Tensor) -> dict[str, float]:
        # Kept when all is answered: a loss that fails midway in float64 is asked the same again in its own.
        left, compares_rows = dict(self._left), self._compares_rows
        own = call(rows, labels)
        found: dict[str, float] = {}
        if left["pair_effect"]:
            across = _across(step, call, rows, labels, own)
            left["pair_effect"] -= 1
            if across is not None:
                left["pair_effect"] = 0
                compares_rows = abs(across) > ALONE
                found["pair_effect"] = across
        if compares_rows:
            found["loss_of_equal_rows"] = self._of_equal_rows(call, rows, labels)
        others = {
            "length_effect": lambda: (rows * LONGER, labels),
            "label_effect": lambda: _shuffled(rows, labels, step),
            "turning_effect": lambda: _turned(rows, labels, step) if compares_rows else None,
        }
        equal = found.get("loss_of_equal_rows", 0.0)
        if equal > 0 and abs(own / equal - 1) <= AROUND_MARGIN:
            left["label_effect"] = max(left["label_effect"], 1)
        asked = {name: other() for name, other in others.items() if left[name]}
        for name, other in asked.items():
            if other is None:
                continue
            value = call(*other)
            effect = (value - own) / max(abs(value), abs(own), 1e-30)
            found[name] = effect
            left[name] = 0 if abs(effect) > EFFECT else left[name] - 1
        self._left, self._compares_rows = left, compares_rows
        return {name: value for name, value in found.items() if np.isfinite(value)}

    def _of_equal_rows(self, call: _Call, rows: Tensor, labels: Tensor) -> float:
        """In two dimensions, where that gives the same: distances of equal rows take long in many."""
        narrow = torch.zeros_like(rows[:, :2])
        narrow[:, 0] = torch.linalg.vector_norm(rows[0])
        if self._narrow:
            return call(narrow, labels)
        value = call(rows[:1].expand_as(rows), labels)
        if self._narrow is None:
            self._narrow = False
            with contextlib.suppress(Exception):  # a loss may hold tensors of the embeddings' dimension
                self._narrow = abs(call(narrow, labels) - value) <= 1e-6 * abs(value)
        return value


class _Call:
    """A call like the one that was given, of a fresh copy, with other rows and labels."""

    def __init__(self, loss: Callable[..., Any], given: Given, again: Callable[[], None]) -> None:
        self._loss = loss
        self._given = given
        self._again = again

    def __call__(self, rows: Tensor, labels: Tensor) -> float:
        given = self._given
        # A loss of sentence-transformers keeps nothing between calls, and holds the whole model.
        loss = copy_of(self._loss) if given.inner is None else given.inner
        if loss is None:
            raise TypeError("no copy")
        instead = {id(given.embeddings[0]): rows, id(given.given_labels): labels}
        arguments = [_replaced(part, instead) for part in given.arguments]
        named = {name: _replaced(part, instead) for name, part in given.named.items()}
        self._again()
        with torch.no_grad():
            return float(loss(*arguments, **named))


def _across(step: int, call: _Call, rows: Tensor, labels: Tensor, own: float) -> float | None:
    """Whether rows are compared at all: a sum of terms of one row each, as a classifier's, does not.

    None where nothing is active, as where no row has a positive, and it cannot be told.
    """
    draw = np.random.default_rng(step)
    half = torch.from_numpy(draw.permutation(len(rows)) < len(rows) // 2).to(rows.device)[:, None]
    # All in one direction too, so that what pairs change does not cancel over many of them.
    noise = draw.standard_normal(tuple(rows.shape)) + draw.standard_normal((1, rows.shape[1]))
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    moved = rows + MOVED * lengths * torch.from_numpy(noise).to(rows)
    parts = torch.where(half, moved, rows), torch.where(half, rows, moved), moved
    first, second, both = (call(part, labels) for part in parts)
    size = max(abs(own), abs(first), abs(second), abs(both))
    change = min(abs(first - own), abs(second - own))
    return (both - first - second + own) / change if change > TELLS * size else None


def _replaced(part: Any, instead: Mapping[int, Tensor]) -> Any:
    if id(part) in instead or isinstance(part, Tensor):
        return instead.get(id(part), part)
    if type(part) in (list, tuple):
        return type(part)(_replaced(inner, instead) for inner in part)
    if isinstance(part, Mapping):
        return {key: _replaced(inner, instead) for key, inner in part.items()}
    return part


def _shuffled(rows: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor] | None:
    """Labels in another order by which other rows belong together; None where there is no such order."""
    known = labels.cpu().numpy()
    same = known[:, None] == known
    for attempt in range(4):
        order = np.random.default_rng((seed, attempt)).permutation(len(known))
        if (known[order][:, None] == known[order]).tobytes() != same.tobytes():
            return rows, labels[torch.from_numpy(order).to(labels.device)]
    return None


def _turned(rows: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor] | None:
    """Each class turned in a plane of its own; None with one class, or in one dimension."""
    classes, place = torch.unique(labels, return_inverse=True)
    if len(classes) < 2 or rows.shape[1] < 2:
        return None
    draw = np.random.default_rng(seed).standard_normal((2, len(classes), rows.shape[1]))
    first, second = torch.from_numpy(draw).to(rows)
    first = first / torch.linalg.vector_norm(first, dim=1, keepdim=True)
    second = second - (second * first).sum(1, keepdim=True) * first
    second = second / torch.linalg.vector_norm(second, dim=1, keepdim=True)
    u, v = first[place], second[place]
    a, b = (rows * u).sum(1, keepdim=True), (rows * v).sum(1, keepdim=True)
    cos, sin = float(np.cos(ANGLE)), float(np.sin(ANGLE))
    return rows + ((cos - 1) * a - sin * b) * u + (sin * a + (cos - 1) * b) * v, labels


@contextlib.contextmanager
def _apart(rows: Tensor) -> Iterator[Callable[[], None]]:
    """Random states as they were, at the end and whenever what is yielded is called."""
    device = rows.device if rows.device.type == "cuda" else None
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_device = None if device is None else torch.cuda.get_rng_state(device)

    def again() -> None:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if device is not None and on_device is not None:
            torch.cuda.set_rng_state(on_device, device)

    try:
        yield again
    finally:
        again()
