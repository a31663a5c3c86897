"""Where a foreign loss lies, and whether its code may run. Imports nothing that a text names, and no torch.

**Nothing runs because a text says so.** Loss classes of three libraries (``LISTED``) may be built from their
name alone. Any other code, a module's or a file's, is neither imported nor called before the user's own word:
``--trust`` on the command line, ``trust=True`` in Python. A study file cannot give it. The rule is the same
for a name typed on the command line, so that a copied command runs nothing by surprise either.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from losscope.core.calls import Foreign, is_foreign, parse
from losscope.core.errors import LosscopeError
from losscope.core.registry import python_text

LISTED = {
    "pml": "pytorch_metric_learning",
    "sentence_transformers": "sentence_transformers",
    "module": "torch.nn",
}
"""Kinds of foreign loss that need no trust, and the package that their classes must be of."""

TORCH = ("torch.nn", "torch.nn.modules.loss")
"""Modules of torch whose losses need no trust."""

DISTRIBUTIONS = {
    "pytorch_metric_learning": "pytorch-metric-learning",
    "sentence_transformers": "sentence-transformers",
}
"""What pip calls a package whose losses can be named."""

GIVEN = "given"
"""Where objects lie that were given in this process (``losscope.losses.foreign.given``)."""

_trusted: set[str] = set()


def listed(foreign: Foreign) -> bool:
    """Whether a loss is, by its name, one of a library on the list.

    That it is a class of losses is seen when it is built.

    >>> listed(parse("torch.nn:CosineEmbeddingLoss")), listed(parse("os:system"))
    (True, False)
    """
    calls = [foreign.loss, *([foreign.miner] if foreign.miner else [])]
    if any(call.name.startswith("_") for call in calls):
        return False
    if foreign.kind == "module":
        return foreign.where in TORCH and foreign.loss.name.endswith("Loss")
    return foreign.kind in LISTED


def trust(texts: Iterable[str]) -> None:
    """Keep the user's word that the code of these losses may run in this process."""
    _trusted.update(texts)


def trusted(text: str) -> bool:
    """Whether the user gave their word for a loss."""
    return text in _trusted


def permit(text: str, given: bool = False) -> None:
    """Pass over a loss of ours or of the list, or one that is trusted now (``given``) or was before.

    Raises:
        LosscopeError: a loss whose code may not run; it was neither imported nor called.

    >>> permit("torch.nn:CosineEmbeddingLoss")
    >>> try:
    ...     permit("os:system")
    ... except LosscopeError as error:
    ...     "--trust" in str(error)
    True
    """
    if not is_foreign(text):
        return
    if given:
        trust([text])
    foreign = parse(text)
    if listed(foreign) or trusted(text):
        return
    if foreign.kind == "module" and foreign.where not in TORCH:
        what = f"code of {foreign.where}, which losscope does not know"
    elif foreign.kind == "file":
        file_of(foreign)
        what = f"the file {foreign.where}"
    else:
        what = f"{foreign.loss.name} of {foreign.where}, which is not one of its losses"
    raise LosscopeError(
        f"{text!r} would run {what}; if you trust it, say so yourself with --trust (trust=True in Python)"
    )


def source(text: str) -> str:
    """What a run's id must hold of a foreign loss beside its text: its file, or its library's version.

    Raises:
        LosscopeError: a file that is not there, a library or module that is not installed.
    """
    foreign = parse(text)
    if foreign.kind == "file":
        return python_text(file_of(foreign))
    if foreign.where == GIVEN:  # the text holds the checksum of all that the object is
        return GIVEN
    if foreign.kind != "module":
        return f"{foreign.where}=={version(foreign.where)}"
    origin = _file_of_module(foreign.where, text)
    return foreign.where if origin is None else python_text(origin)


def _file_of_module(name: str, text: str) -> Path | None:
    """The source file of a module, None if it has none; neither it nor its parents are imported."""
    first, *rest = name.split(".")
    try:
        found = importlib.util.find_spec(first) if first else None
        for place, _ in enumerate(rest, start=2):
            if found is None or found.submodule_search_locations is None:
                raise missing(name, text)
            inner = ".".join(name.split(".")[:place])
            found = importlib.machinery.PathFinder.find_spec(inner, found.submodule_search_locations)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise missing(name, text)
    return Path(found.origin) if found.origin and found.origin.endswith(".py") else None


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
        f"{text!r} needs the module {package!r}, which cannot be imported; install its package, or give the "
        f"file as path/file.py:name"
    )
