"""Losses that are given as Python objects: instances of pytorch-metric-learning, functions, any module.

An instance of pytorch-metric-learning becomes the text that builds its equal, so that its run is that of the
text. Any other object is known by a checksum of its source, its arguments, what it holds and what it names,
which is part of the run's id; it trains in this process alone.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import keyword
import logging
import math
import sys
import textwrap
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from torch import Tensor, nn

from losscope.core.calls import parse
from losscope.core.codes import INSTALLED, globals_in, is_empty, names_in
from losscope.core.errors import LosscopeError, require
from losscope.losses.drop_in import LossModule
from losscope.losses.foreign.building import FILLED, PARTS, ForeignLoss, parameters_of
from losscope.losses.foreign.objects import OBJECTS
from losscope.losses.foreign.sources import GIVEN, trust
from losscope.losses.foreign.state import parts_of

WANTED = (
    "a text such as 'triplet(margin=0.2)', an instance such as TripletMarginLoss(margin=0.1), a pair of it "
    "and its miner, or a function of (embeddings, labels)"
)


def text_of(loss: Any) -> str:
    """The text by which a loss is known: a text as it is.

    Raises:
        LosscopeError: a class without its instance, something that cannot be called, an object whose code
            cannot be read, so that no id of a run could hold it.
    """
    if isinstance(loss, str):
        return loss
    require(not isinstance(loss, type), f"the loss {_named(loss)} is a class; wanted: its instance, {WANTED}")
    if isinstance(loss, LossModule):
        return loss.spec.label
    pair = loss if isinstance(loss, tuple) else (loss,)
    require(
        len(pair) in (1, 2) and all(map(callable, pair)),
        f"a loss is a {type(loss).__name__}; wanted: {WANTED}",
    )
    texts = [_library(part, place) for place, part in enumerate(pair)]
    if all(texts):
        return f"pml:{'+'.join(text for text in texts if text)}"
    require(len(pair) == 1, f"the loss {_named(pair[0])} goes with no miner; wanted: {WANTED}")
    return _kept(pair[0])


def own_parameters(texts: list[str]) -> list[str]:
    """Those of the texts whose objects bring trainable parameters, which all seeds start from."""
    named = [(text, parse(text)) for text in texts if text.startswith(f"{GIVEN}:")]
    found = [(text, OBJECTS.get(foreign.loss.words.get("digest", ""))) for text, foreign in named]
    return [text for text, own in found if isinstance(own, nn.Module) and parts_of(own)]


def _named(loss: Any) -> str:
    return getattr(loss, "__qualname__", type(loss).__name__)


# --- instances of pytorch-metric-learning ----------------------------------------------------------


def _library(part: Any, place: int) -> str | None:
    """The call that builds the equal of a library's loss (or, second, its miner); None where none does."""
    module = f"pytorch_metric_learning.{('losses', 'miners')[place]}."
    if not f"{type(part).__module__}.".startswith(module):
        return None
    for words in _numbers(part):
        made = _made(part, words, place)
        for own in ({}, *([] if made is None else _parts(made, part))):
            whole = {**words, **own}
            if _same(made if not own else _made(part, whole, place), part):
                return _call(part, whole)
    return None


def _call(part: Any, words: dict[str, str]) -> str:
    return f"{type(part).__name__}({', '.join(f'{name}={value}' for name, value in words.items())})"


def _made(part: Any, words: dict[str, str], place: int) -> Any:
    """What the text of a call builds, None where it cannot be built."""
    call = _call(part, words)
    try:
        made = ForeignLoss(f"pml:{call}" if place == 0 else f"pml:TripletMarginLoss()+{call}", **_sizes(part))
    except LosscopeError:
        return None
    return made.loss if place == 0 else made.miner


def _sizes(part: Any) -> dict[str, int]:
    """The sizes of an instance with class vectors; in a study they are those of its data."""
    classes = getattr(part, "num_classes", None)
    shapes = [tuple(own.shape) for own in part.parameters()] if classes is not None else []
    own = next((shape for shape in shapes if len(shape) == 2 and classes in shape), None)
    if own is None:
        return {}
    return {"classes": classes, "embedding_size": own[1] if own[0] == classes else own[0]}


def _numbers(part: Any) -> Iterator[dict[str, str]]:
    """Arguments that may build an equal: those that differ from the defaults; an angle in degrees too."""
    own, switched = {}, set()
    for name, parameter in parameters_of(type(part)).items():
        value = getattr(part, name, parameter.default)
        if name in FILLED or name in PARTS or not isinstance(value, bool | int | float | str):
            continue
        if value != parameter.default:
            own[name] = repr(value)
            if parameter.default is None and isinstance(value, bool):  # what the library itself chose
                switched.add(name)
    plain = {name: value for name, value in own.items() if name not in switched}
    yield plain
    yield own
    angle = getattr(part, "margin", None)
    if isinstance(angle, float):
        yield {name: value for name, value in plain.items() if name != "margin"}
        yield {**plain, "margin": repr(round(math.degrees(angle), 9))}


def _parts(made: Any, part: Any) -> Iterator[dict[str, str]]:
    """The parts of an instance that another has not, by their names alone, then with their numbers."""
    other = {
        name: value
        for name in PARTS
        if isinstance(value := getattr(part, name, None), nn.Module)
        and not _same(getattr(made, name, None), value)
    }
    if other:
        yield {name: f"{type(value).__name__}()" for name, value in other.items()}
        for words in zip(*(list(_numbers(value)) for value in other.values())):
            yield {name: _call(value, own) for (name, value), own in zip(other.items(), words, strict=True)}


def _same(a: Any, b: Any) -> bool:
    """Whether two modules are of one class and hold the same; of trainable parameters only their shapes."""
    if type(a) is not type(b):
        return False
    return list(_held(a, False, {})) == list(_held(b, False, {}))


# --- what an object is -------------------------------------------------------------------------------


def _kept(loss: Any) -> str:
    """The text of an object that is kept in this process, with the checksum of all that it is."""
    digest = hashlib.sha256("\n".join(_held(loss, True, {})).encode()).hexdigest()[:12]
    name = "".join(letter if letter.isalnum() else "_" for letter in _named(loss).strip("<>").split(".")[-1])
    name = f"{name}_" if keyword.iskeyword(name) else name
    text = f"{GIVEN}:{name}(digest='{digest}')"
    OBJECTS[digest] = loss
    trust([text])
    return text


_OF_MODULES = frozenset(vars(nn.Module()))


def _held(value: Any, parameters: bool, known: dict[int, int]) -> Iterator[str]:
    """What tells a value from others, as lines: its code, and recursively what it holds.

    ``known``: the objects and functions that were told before, each by its number.
    """
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield repr(value)
    elif isinstance(value, Tensor):
        yield f"tensor {tuple(value.shape)} {value.dtype}"
        if parameters or not value.requires_grad:
            yield hashlib.sha256(value.detach().cpu().contiguous().float().numpy().tobytes()).hexdigest()
    elif isinstance(value, list | tuple | set | frozenset):
        yield type(value).__name__
        for part in sorted(value, key=repr) if isinstance(value, set | frozenset) else value:
            yield from _held(part, parameters, known)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield repr(key)
            yield from _held(part, parameters, known)
    elif isinstance(value, functools.partial):
        for part in (value.func, value.args, value.keywords):
            yield from _held(part, parameters, known)
    elif isinstance(value, MethodType):
        yield value.__func__.__qualname__
        yield from _held(value.__self__, parameters, known)
    elif id(value) in known:
        yield f"again {known[id(value)]}"
    elif isinstance(value, FunctionType):
        known[id(value)] = len(known)
        yield from _of_function(value, parameters, known)
    elif isinstance(value, type):
        yield f"{value.__module__}.{value.__qualname__}"
        if parameters:
            yield from _of_class(value, parameters, known)
    elif hasattr(value, "tobytes") and hasattr(value, "shape"):
        yield f"array {value.shape} {value.dtype} {hashlib.sha256(value.tobytes()).hexdigest()}"
    else:
        known[id(value)] = len(known)
        yield from _of_object(value, parameters, known)


def _of_function(value: FunctionType, parameters: bool, known: dict[int, int]) -> Iterator[str]:
    """A function's code, its defaults, what it closes over, and what it names that is no library's."""
    yield _code(value)
    yield from _held([value.__defaults__, value.__kwdefaults__], parameters, known)
    for cell in value.__closure__ or ():
        if not is_empty(cell):
            yield from _held(cell.cell_contents, parameters, known)
    yield from _of_names(value, parameters, known)


def _of_names(function: FunctionType, parameters: bool, known: dict[int, int]) -> Iterator[str]:
    """The globals that a function names, those of the functions in it too, without what is a library's."""
    for name in globals_in(function.__code__):
        own = function.__globals__.get(name)
        if own is None or own is function or isinstance(own, logging.Logger):
            continue
        if isinstance(own, ModuleType):
            if not _installed(own.__name__):
                there = [(part, getattr(own, part, None)) for part in sorted(names_in(function.__code__))]
                yield name
                yield from _held([pair for pair in there if _tells(pair[1])], parameters, known)
        elif _tells(own):
            yield name
            yield from _held(own, parameters, known)


def _tells(value: Any) -> bool:
    """Whether a value that a function names may differ from one run to another: not a library's code."""
    if isinstance(value, FunctionType | type):
        return not _installed(value.__module__)
    return not isinstance(value, ModuleType | BuiltinFunctionType)


def _of_class(kind: type, parameters: bool, known: dict[int, int]) -> Iterator[str]:
    """The code of a class and of those that it is made from, and what their methods name."""
    for own in kind.__mro__:
        if _installed(own.__module__) or id(own) in known:
            continue
        known[id(own)] = len(known)
        yield _code(own)
        for name, part in vars(own).items():
            method = part.__func__ if isinstance(part, staticmethod | classmethod) else part
            if isinstance(method, FunctionType):
                yield from _of_names(method, parameters, known)
            elif isinstance(part, bool | int | float | str) and not name.startswith("__"):
                yield f"{name} {part!r}"


def _of_object(value: Any, parameters: bool, known: dict[int, int]) -> Iterator[str]:
    kind = type(value)
    yield f"{kind.__module__}.{kind.__qualname__}"
    if parameters:
        yield from _of_class(kind, parameters, known)
    held = vars(value) if hasattr(value, "__dict__") else {}
    for name in sorted(held):
        if isinstance(value, nn.Module) and name in _OF_MODULES:
            continue
        yield name
        yield from _held(held[name], parameters, known)
    if isinstance(value, nn.Module):
        for group in (value._parameters, value._buffers, value._modules):
            yield from _held(dict(group), parameters, known)


def _installed(module: str | None) -> bool:
    """Whether a module is of Python, of this package, or installed: its version tells what it is."""
    root = (module or "").partition(".")[0]
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return root in ("losscope", *sys.stdlib_module_names) or any(place in file for place in INSTALLED)


def _code(item: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(item))
    except (OSError, TypeError):
        raise LosscopeError(
            f"the code of {_named(item)} cannot be read, so that no id of a run could hold it; wanted: a "
            "function or class that stands in a file or a notebook"
        ) from None
