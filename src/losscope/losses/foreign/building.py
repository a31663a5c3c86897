"""Losses of other libraries and of users, built from their text and called on one batch.

A foreign loss is a scalar: how it chooses tuples, what it counts and how it reduces are its own, so that
counts and shares are null for it. It is given L2-normalised embeddings, as our own losses are. Code that is
not on the list of ``sources`` is not touched here before the user gave their word for it.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from losscope.core.calls import Call, Foreign, nested, parse
from losscope.core.errors import LosscopeError, require, unknown
from losscope.losses.foreign.objects import built
from losscope.losses.foreign.sources import GIVEN, LISTED, TORCH, file_of, missing, permit, trusted
from losscope.pairs import KINDS, Labels, Pairs, Relation, Triplets, Tuples

FILLED = {"num_classes": "classes", "embedding_size": "embedding_size", "descriptors_dim": "embedding_size"}
"""Arguments taken from the data when the signature has them and they are not given."""

PARTS = {
    "reducer": "reducers",
    "distance": "distances",
    "embedding_regularizer": "regularizers",
    "weight_regularizer": "regularizers",
    "loss": "losses",
    "miner": "miners",
}
"""pytorch-metric-learning's arguments that are objects, given by name, and the module they are in."""

COLUMNS = {
    "BatchAllTripletLoss": "labels",
    "BatchHardTripletLoss": "labels",
    "BatchHardSoftMarginTripletLoss": "labels",
    "BatchSemiHardTripletLoss": "labels",
    "ContrastiveLoss": "pairs",
    "OnlineContrastiveLoss": "pairs",
    "CosineSimilarityLoss": "pairs",
    "CoSENTLoss": "pairs",
    "AnglELoss": "pairs",
    "TripletLoss": "triplets",
    "MultipleNegativesRankingLoss": "rounds",
    "MultipleNegativesSymmetricRankingLoss": "rounds",
}
"""What sentence-transformers' losses are given of a labelled batch: see ``_columns``."""

WRAPPERS = {"DistributedLossWrapper": "utils.distributed"}
"""A loss of pytorch-metric-learning that lies apart from the others, around the loss given as ``loss``."""

MANY = 30
"""Names of a module listed whole in an error; of more, the nearest only."""

TRIED = (4, 4)
"""Classes and rows a class of the batch that a foreign loss is tried on."""


class ForeignLoss(nn.Module):
    """A foreign loss as ``loss(embeddings (B, D), labels or relation) -> scalar``.

    Args:
        text: as ``losscope.core.calls.parse`` reads it, or what it gives.
        classes, embedding_size: fill ``num_classes`` and ``embedding_size`` where the loss wants them.

    Attributes:
        loss, miner: the library's objects, miner None without one.
        arguments: what the loss was made with by name, its defaults included.

    Raises:
        LosscopeError: a library that is not installed, an unknown name (with the nearest), wrong arguments;
            code that is not on the list and that the user did not vouch for: it is neither imported nor
            called.

    >>> loss = ForeignLoss("torch.nn:MSELoss(reduction='sum')")
    >>> loss(torch.ones(3, 2), torch.zeros(3, 2)).item()
    6.0
    """

    def __init__(self, text: str | Foreign, *, classes: int | None = None, embedding_size: int | None = None):
        super().__init__()
        self.foreign = parse(text) if isinstance(text, str) else text
        permit(self.foreign.text)
        fill = {"classes": classes, "embedding_size": embedding_size}
        build = {"pml": _pml, "sentence_transformers": _sentence_transformers}.get(self.foreign.kind, _own)
        self.loss, self.miner, self.arguments = build(self.foreign, fill)
        self.call = {"pml": _call_pml, "sentence_transformers": _call_columns}.get(
            self.foreign.kind, _call_plain
        )

    def forward(self, embeddings: Tensor, relation: Relation | Tensor) -> Tensor:
        """The scalar loss of embeddings (B, D) with labels (B,) or a relation.

        Raises:
            LosscopeError: a relation that the loss cannot use, or a result that is not a scalar.
        """
        value = self.call(self, embeddings, relation)
        if not isinstance(value, Tensor):
            value = torch.as_tensor(value, dtype=embeddings.dtype, device=embeddings.device)
        if value.numel() != 1:
            raise LosscopeError(
                f"{self.foreign.text!r} gave a value of shape {tuple(value.shape)} "
                f"for {len(embeddings)} rows; one scalar is wanted"
            )
        return value.reshape(())


def check(
    text: str, *, classes: int, embedding_size: int, paired: bool = False, by_item: bool = False
) -> None:
    """Build a foreign loss and try it on one small batch, so that a mistake shows before anything is trained.

    ``paired``: the data have two modalities; ``by_item``: these have no classes.

    Raises:
        LosscopeError: it cannot be built, fails on 16 unit vectors of 4 classes, or has one vector per class
            where there are no classes.
    """
    generator = torch.Generator().manual_seed(0)
    many, each = min(TRIED[0], classes), TRIED[1]
    z = nn.functional.normalize(torch.randn(many * each, embedding_size, generator=generator), dim=-1)
    labels = torch.arange(many).repeat_interleave(each)
    with torch.random.fork_rng(devices=[]):
        loss = ForeignLoss(text, classes=classes, embedding_size=embedding_size)
        require(
            not (by_item and hasattr(loss.loss, "num_classes")),
            f"{text!r} learns one vector per class, and the data are pairs without classes; wanted: a loss "
            "of pairs, triplets or in-batch negatives, or data with labels",
        )
        relation: Any = labels
        if paired:
            relation = Relation.from_labels(labels, modality=torch.arange(len(labels)) % 2)
        try:
            loss(z.requires_grad_(), relation)
        except LosscopeError:
            raise
        except Exception as error:
            raise LosscopeError(
                f"{text!r} failed on {len(z)} embeddings of {many} classes: {type(error).__name__}: {error}"
            ) from error


Fill = dict[str, int | None]
Built = tuple[Any, Any, dict[str, Any]]


def _pml(foreign: Foreign, fill: Fill) -> Built:
    kind = _pick(foreign, "losses", foreign.loss.name, "loss")
    loss, arguments = _construct(kind, foreign.loss, foreign, fill)
    if foreign.miner is None:
        return loss, None, arguments
    kind = _pick(foreign, "miners", foreign.miner.name, "miner")
    return loss, _construct(kind, foreign.miner, foreign, fill)[0], arguments


def _pick(foreign: Foreign, module: str, name: str, what: str) -> Any:
    """A class of one of pytorch-metric-learning's modules, or the nearest names."""
    try:
        room = importlib.import_module(f"{foreign.where}.{WRAPPERS.get(name, module)}")
    except ImportError as error:
        raise missing(foreign.where, foreign.text) from error
    classes = {
        key: value
        for key, value in vars(room).items()
        if _module_of(value, foreign.where) and not key.startswith("Base") and "Mixin" not in key
    }
    if name not in classes:
        raise unknown(f"pytorch-metric-learning {what}", name, classes)
    return classes[name]


def _module_of(item: Any, package: str) -> bool:
    """Whether something is a class of modules that a package defines."""
    return (
        inspect.isclass(item)
        and issubclass(item, nn.Module)
        and f"{item.__module__}.".startswith(f"{package}.")
    )


def _sentence_transformers(foreign: Foreign, fill: Fill) -> Built:
    name = foreign.loss.name
    if name not in COLUMNS:
        raise unknown("sentence-transformers loss usable on labelled embeddings", name, COLUMNS)
    room = None
    # The older path warns of its end where the newer one exists.
    for path in ("sentence_transformers.sentence_transformer.losses", "sentence_transformers.losses"):
        try:
            room = importlib.import_module(path)
            break
        except ImportError:
            continue
    if room is None:
        raise missing(foreign.where, foreign.text)
    words = {"model": nn.Identity(), **foreign.loss.words}
    metric = words.get("distance_metric")
    if isinstance(metric, str):
        words["distance_metric"] = _metric(room, metric)
    call = Call(name, foreign.loss.arguments, words)
    loss, arguments = _construct(getattr(room, name), call, foreign, fill)
    return loss, None, arguments


def _metric(room: ModuleType, name: str) -> Any:
    """A distance function of sentence-transformers by its name, ``euclidean_distance`` or ``EUCLIDEAN``."""
    known: dict[str, Any] = {}
    for owner in ("BatchHardTripletLossDistanceFunction", "SiameseDistanceMetric", "TripletDistanceMetric"):
        holder = getattr(room, owner, None)
        # Two of them are enumerations without members: dir() does not list their functions.
        known |= {
            key: getattr(holder, key)
            for key in vars(holder or object)
            if not key.startswith("_") and callable(getattr(holder, key))
        }
    if name not in known:
        raise unknown("distance metric", name, known)
    return known[name]


def _own(foreign: Foreign, fill: Fill) -> Built:
    """A class, function or object of the user's module or file, or one that was given in this process."""
    if foreign.where == GIVEN:
        return built(foreign)
    room = _load_file(foreign) if foreign.kind == "file" else _load_module(foreign)
    name = foreign.loss.name
    if not hasattr(room, name):
        own = [key for key, value in vars(room).items() if callable(value) and not key.startswith("_")]
        near = difflib.get_close_matches(name, own, n=8, cutoff=0.4)
        raise unknown(f"name in {foreign.where}", name, own if len(own) <= MANY else near or own[:MANY])
    item = getattr(room, name)
    if not trusted(foreign.text) and not _module_of(item, TORCH[1]):
        raise LosscopeError(
            f"{foreign.text!r} is not a loss of {LISTED['module']}; give a class ending in Loss"
        )
    if inspect.isclass(item):
        made, arguments = _construct(item, foreign.loss, foreign, fill)
        return made, None, arguments
    require(callable(item), f"{foreign.text!r} is a {type(item).__name__}; a class or function is wanted")
    if foreign.loss.words or foreign.loss.arguments:
        require(
            not foreign.loss.arguments,
            f"{foreign.text!r} gives positional arguments to a function; name them, as in margin=0.5",
        )
        item = functools.partial(item, **foreign.loss.words)
    return item, None, {**defaults(item), **foreign.loss.words}


@functools.cache
def _file_module(path: str, changed: int) -> ModuleType:
    # A file is run once, and again only if it was changed.
    name = f"losscope_foreign_{Path(path).stem}_{changed}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _load_file(foreign: Foreign) -> ModuleType:
    path = file_of(foreign).resolve()
    try:
        return _file_module(str(path), path.stat().st_mtime_ns)
    except LosscopeError:
        raise
    except Exception as error:
        raise LosscopeError(f"the file {foreign.where!r} failed: {type(error).__name__}: {error}") from error


def _load_module(foreign: Foreign) -> ModuleType:
    try:
        return importlib.import_module(foreign.where)
    except ImportError as error:
        if error.name and not foreign.where.startswith(error.name):
            raise LosscopeError(f"{foreign.text!r} failed to import: {error}") from error
        raise missing(foreign.where, foreign.text) from error


def _construct(kind: Any, call: Call, foreign: Foreign, fill: Fill) -> tuple[Any, dict[str, Any]]:
    """An object of a class, its sizes filled from the data and its parts looked up by name; its arguments,
    with the sizes of a loss that it wraps."""
    words = dict(call.words)
    signature = parameters_of(kind)
    given = list(signature)[: len(call.arguments)]
    for name, of in FILLED.items():
        parameter = signature.get(name)
        # A default of None means "without": filling it would switch something on.
        if parameter is None or name in words or name in given or parameter.default is None:
            continue
        if fill[of] is not None:
            words[name] = fill[of]
    sizes: dict[str, Any] = {}
    for name, module in PARTS.items():
        if foreign.kind == "pml" and isinstance(words.get(name), str):
            inner = nested(words[name])
            part = _pick(foreign, module, inner.name, name.replace("_", " "))
            words[name], within = _construct(part, inner, foreign, fill)
            sizes |= {key: value for key, value in within.items() if key in FILLED and name == "loss"}
    try:
        made = kind(*call.arguments, **words)
    except Exception as error:
        shape = ", ".join(str(parameter) for parameter in signature.values())
        raise LosscopeError(
            f"{foreign.text!r} cannot be made: {type(error).__name__}: {error}; "
            f"{call.name} takes ({shape or 'no arguments'})"
        ) from error
    require(callable(made), f"{foreign.text!r} makes a {type(made).__name__} that cannot be called")
    return made, {**sizes, **defaults(made), **dict(zip(signature, call.arguments)), **words}


def defaults(item: Any) -> dict[str, Any]:
    """The arguments of a function, or of the class of an object, that have a default."""
    if isinstance(item, functools.partial):
        return {**defaults(item.func), **item.keywords}
    known = inspect.signature(item).parameters if inspect.isfunction(item) else parameters_of(type(item))
    return {
        name: parameter.default
        for name, parameter in known.items()
        if parameter.default is not parameter.empty
    }


def parameters_of(kind: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class, those that it hands on to its bases by ``*args, **kwargs`` included."""
    found: dict[str, inspect.Parameter] = {}
    for base in inspect.getmro(kind):
        if base in (nn.Module, object) or "__init__" not in vars(base):
            continue
        own = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        for parameter in own:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                found.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
            break
    return found


def _labels(loss: ForeignLoss, relation: Relation | Tensor) -> Tensor:
    if isinstance(relation, Tensor):
        return relation
    if isinstance(relation, Labels) and relation.modality is None and relation.anchors is None:
        return relation.labels
    what = "two modalities" if isinstance(relation, Labels) else f"explicit {relation}"
    raise LosscopeError(
        f"{loss.foreign.text!r} is called with embeddings and class labels, and cannot use {what}"
    )


def _call_plain(loss: ForeignLoss, embeddings: Tensor, relation: Relation | Tensor) -> Any:
    return loss.loss(embeddings, _labels(loss, relation))


def _call_pml(loss: ForeignLoss, embeddings: Tensor, relation: Relation | Tensor) -> Any:
    """Labels, explicit pairs and triplets, and two modalities as references of each other."""
    if isinstance(relation, Tuples):
        return loss.loss(embeddings, indices_tuple=_indices(relation))
    if isinstance(relation, Labels):
        # A loss over class vectors makes no pairs, so that modalities and anchors do not matter to it.
        if relation.modality is not None and not hasattr(loss.loss, "num_classes"):
            return _across(loss, embeddings, relation.labels, relation.modality)
        relation = relation.labels
    chosen = None if loss.miner is None else loss.miner(embeddings, relation)
    return loss.loss(embeddings, relation, chosen)


def _indices(relation: Tuples) -> tuple[Tensor, ...]:
    columns, valid = relation.columns, relation.valid
    keep = torch.ones_like(columns[0], dtype=torch.bool) if valid is None else valid
    if not isinstance(relation, Pairs):
        return tuple(column[keep] for column in columns)
    positive, negative = keep & relation.same, keep & ~relation.same
    i, j = columns
    return i[positive], j[positive], i[negative], j[negative]


def _across(loss: ForeignLoss, embeddings: Tensor, labels: Tensor, modality: Tensor) -> Any:
    """The mean of both directions between two modalities."""
    second = modality.bool()
    halves = [(embeddings[~second], labels[~second]), (embeddings[second], labels[second])]
    values = []
    for (z, y), (ref, ref_y) in (halves, reversed(halves)):
        chosen = None if loss.miner is None else loss.miner(z, y, ref, ref_y)
        values.append(loss.loss(z, y, chosen, ref_emb=ref, ref_labels=ref_y))
    return sum(values) / len(values)


def _call_columns(loss: ForeignLoss, embeddings: Tensor, relation: Relation | Tensor) -> Any:
    """sentence-transformers' losses take columns of embeddings.

    ``labels``: one column and its labels. ``pairs``: all pairs of rows, 1 where alike. ``triplets``: all
    triplets. ``rounds``: pairs of one class side by side, one class once a call, so that no in-batch
    negative is a positive; the mean over the calls.
    """
    columns = COLUMNS[loss.foreign.loss.name]
    if columns == "labels":
        return loss.loss.compute_loss_from_embeddings([embeddings], _labels(loss, relation))
    if columns in KINDS:
        listed, same = _tuples(loss, relation, KINDS[columns])
        if not len(listed[0]):
            return embeddings.sum() * 0
        parts = [embeddings.index_select(0, column) for column in listed]
        return loss.loss.compute_loss_from_embeddings(parts, same)
    values = [
        loss.loss.compute_loss_from_embeddings([embeddings[a], embeddings[p]], None)
        for a, p in _rounds(_labels(loss, relation))
    ]
    return sum(values) / len(values) if values else embeddings.sum() * 0


def _tuples(
    loss: ForeignLoss, relation: Relation | Tensor, kind: type[Pairs] | type[Triplets]
) -> tuple[Sequence[Tensor], Tensor | None]:
    if isinstance(relation, kind):
        columns, keep = relation.columns, relation.valid
        if keep is not None:
            columns = tuple(column[keep] for column in columns)
        same = relation.same if isinstance(relation, Pairs) else None
        return columns, None if same is None else (same if keep is None else same[keep]).float()
    labels = _labels(loss, relation)
    alike = labels[:, None] == labels[None, :]
    if kind is Pairs:
        i, j = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
        return (i, j), alike[i, j].float()
    positive = alike & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return (positive[:, :, None] & ~alike[:, None, :]).nonzero(as_tuple=True), None


def _rounds(labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Round r pairs the rows 2r and 2r + 1 of every class that has them."""
    order = labels.argsort(stable=True)
    _, counts = labels[order].unique_consecutive(return_counts=True)
    rank = torch.arange(len(labels), device=labels.device)
    rank = rank - (counts.cumsum(0) - counts).repeat_interleave(counts)
    size = counts.repeat_interleave(counts)
    found = []
    for first in range(0, int(counts.max()) - 1, 2):
        has = size > first + 1
        found.append((order[has & (rank == first)], order[has & (rank == first + 1)]))
    return found
