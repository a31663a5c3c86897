"""What is audited: any loss as a scalar function of embeddings, labels and its own parameters."""

from __future__ import annotations

import copy
import functools
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from losscope.core import registry
from losscope.core.calls import Foreign, parse
from losscope.core.errors import LosscopeError, require
from losscope.core.facts import LossFacts
from losscope.core.spec import LossSpec
from losscope.losses.foreign.building import (
    FILLED,
    ForeignLoss,
    defaults,
    parameters_of,
)
from losscope.losses.foreign.sources import permit
from losscope.losses.foreign.state import load_plain_state, parts_of, plain_state
from losscope.pairs import KINDS, Pairs, Relation, normalise, pair_distances, reduce
from losscope.pairs.sampling import sample

CLASSES, DIMENSION = 8, 32
"""Classes and embedding size of the audit's batches, unless the loss fixes its own."""

DIMENSIONS = (DIMENSION, 64, 128, 256, 512, 16, 2)
"""Embedding sizes tried for a loss whose layers fix one without saying so."""

Parameters = Mapping[str, Tensor]
Value = Callable[[Tensor, Tensor, Parameters], Tensor]


@dataclass(frozen=True, eq=False)
class Subject:
    """A loss under audit.

    Attributes:
        name: as it was given.
        function: (embeddings (B, D), labels (B,), parameters) -> scalar.
        parameters: the loss's own, float64; class vectors are those with a dimension of size D.
        classes: the number of classes it is made for; None if any labels do.
        dimension: D of the audit's batches.
        hyper: its numeric arguments by name, defaults included.
        facts: what the registration of one of our own losses declares; None for others.
        reduction: the declared reduction of one of our own, None otherwise.
        rebuild: the same loss with some arguments changed, None where that is not possible.
    """

    name: str
    function: Value
    parameters: dict[str, Tensor] = field(default_factory=dict)
    classes: int | None = None
    dimension: int = DIMENSION
    hyper: dict[str, Any] = field(default_factory=dict)
    facts: LossFacts | None = None
    reduction: str | None = None
    rebuild: Callable[[dict[str, Any]], Subject] | None = None

    def value(self, z: Tensor, labels: Tensor, parameters: Parameters | None = None, seed: int = 0) -> Tensor:
        """The scalar loss; random draws start from ``seed`` at every call."""
        own = self.parameters if parameters is None else parameters
        own = {name: value.to(z.dtype) if value.is_floating_point() else value for name, value in own.items()}
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            return self.function(z, labels, own)

    def gradient(
        self, z: Tensor, labels: Tensor, parameters: Parameters | None = None
    ) -> tuple[Tensor, Tensor]:
        """The value and its gradient by the embeddings, detached; a loss without a graph has gradient 0."""
        z = z.detach().clone().requires_grad_()
        value = self.value(z, labels, parameters)
        if not value.requires_grad:
            return value.detach(), torch.zeros_like(z)
        (gradient,) = torch.autograd.grad(value, [z], allow_unused=True)
        return value.detach(), torch.zeros_like(z) if gradient is None else gradient

    def gradients(self, z: Tensor, labels: Tensor, parameters: Parameters) -> Tensor:
        """The gradients (A, B, D) by the embeddings, of a loss of ours, which takes A batches at once."""
        z = z.detach().clone().requires_grad_()
        value = self.value(z, labels, parameters)
        if not value.requires_grad:
            return torch.zeros_like(z)
        (gradient,) = torch.autograd.grad(value.sum(), [z], allow_unused=True)
        return torch.zeros_like(z) if gradient is None else gradient

    def autocast_gradient(
        self, z: Tensor, labels: Tensor, parameters: Parameters, dtype: torch.dtype, scale: float
    ) -> tuple[Tensor, Tensor]:
        """``gradient`` under autocast of this type, of the loss times ``scale``, divided by it again.

        The parameters come as they are, so in float32, as in a training with autocast.
        """
        z = z.detach().clone().requires_grad_()
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            with torch.autocast(z.device.type, dtype=dtype):
                value = self.function(z, labels, dict(parameters))
        if not value.requires_grad:
            return value.detach(), torch.zeros_like(z)
        (gradient,) = torch.autograd.grad(value.float() * scale, [z], allow_unused=True)
        return value.detach(), torch.zeros_like(z) if gradient is None else gradient.double() / scale

    @property
    def most(self) -> int:
        """The number of classes that a batch of the audit may have."""
        return CLASSES if self.classes is None else self.classes

    @functools.cached_property
    def tolerance(self) -> float:
        """Relative error of a float64 call: larger for a loss that falls back to float32 inside."""
        z, labels = cloud(self, 3, 4)
        return 1e-8 if self.value(z, labels).dtype == torch.float64 else 2e-4

    def vectors(self) -> dict[str, int]:
        """Names of the parameters with a dimension of size D, and that dimension."""
        return {
            name: list(value.shape).index(self.dimension)
            for name, value in self.parameters.items()
            if value.ndim and self.dimension in value.shape
        }

    def turned(self) -> tuple[Tensor, Tensor]:
        """The value on an ordinary batch, and with embeddings and class vectors rotated together."""
        z, labels = cloud(self, 6, 4)
        generator = torch.Generator().manual_seed(4)
        square = torch.randn(self.dimension, self.dimension, generator=generator, dtype=torch.float64)
        turn = torch.linalg.qr(square)[0]
        own = dict(self.parameters)
        for name, place in self.vectors().items():
            own[name] = (own[name].movedim(place, -1) @ turn).movedim(-1, place)
        return self.value(z, labels), self.value(z @ turn, labels, own)

    @property
    def one_vector_per_class(self) -> bool:
        """Whether each class has exactly one vector, so that a class's own can be told from the others."""
        counts = [self.parameters[name].numel() // self.dimension for name in self.vectors()]
        return len(counts) == 1 and counts[0] == self.classes

    def margins(self) -> dict[str, float]:
        """The arguments that are called a margin, with their values."""
        return {
            name: float(value)
            for name, value in self.hyper.items()
            if ("margin" in name or name == "m") and isinstance(value, int | float)
        }


def cloud(
    subject: Subject, classes: int, each: int, radius: float = 1.2, seed: int = 1
) -> tuple[Tensor, Tensor]:
    """Unit vectors of labelled classes in a cap, (classes · each, D) float64, at distances of all sizes."""
    generator = torch.Generator().manual_seed(seed)
    classes = min(classes, subject.classes or classes)
    rows, size = classes * each, subject.dimension
    centre = torch.randn(size, generator=generator, dtype=torch.float64)
    shift = torch.randn(classes, size, generator=generator, dtype=torch.float64).repeat_interleave(each, 0)
    noise = torch.randn(rows, size, generator=generator, dtype=torch.float64)
    spread = 0.3 + 0.7 * torch.rand(rows, 1, generator=generator, dtype=torch.float64)
    away = nn.functional.normalize(0.7 * shift + noise, dim=1) * spread * radius / 2
    labels = torch.arange(classes).repeat_interleave(each)
    return nn.functional.normalize(nn.functional.normalize(centre, dim=0) + away, dim=1), labels


def triple(subject: Subject, positive: float, negative: float, size: float = 1.0) -> tuple[Tensor, Tensor]:
    """An anchor, a positive and a negative at given distances, in planes of their own; labels 0, 0, 1."""
    rows = torch.zeros(3, subject.dimension, dtype=torch.float64)
    rows[0, 0] = 1
    for row, distance in ((1, positive), (2, negative)):
        cosine = max(-1.0, 1 - (distance / size) ** 2 / 2)
        rows[row, 0], rows[row, row] = cosine, math.sqrt(max(0.0, 1 - cosine**2))
    return size * rows, torch.tensor([0, 0, 1])


def at_angle(
    subject: Subject, angle: float, other: float | None = None
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """One row at an angle from its class vector; the other class vectors orthogonal, or one at ``other``."""
    axes = torch.eye(subject.dimension, dtype=torch.float64)
    own = dict(subject.parameters)
    for name, place in subject.vectors().items():
        shape = own[name].movedim(place, -1).shape
        flat = axes[2 + torch.arange(math.prod(shape[:-1])) % max(1, subject.dimension - 2)].clone()
        flat[0] = math.cos(angle) * axes[0] + math.sin(angle) * axes[1]
        if other is not None and len(flat) > 1:
            flat[1] = math.cos(other) * axes[0] + math.sin(other) * axes[2]
        own[name] = flat.reshape(shape).movedim(-1, place)
    return axes[:1], torch.zeros(1, dtype=torch.int64), own


def subject(
    loss: str | LossSpec | Callable[..., Any], *, protocol: str = "matched", trust: bool = False
) -> Subject:
    """A loss by its text, its spec, or itself, ready for the checks.

    Args:
        loss: ``triplet(margin=0.2)``, ``pml:…``, ``path/file.py:name``, or a callable of (embeddings,
            labels).
        protocol: whose defaults fill what is not given of our own losses.
        trust: whether code of a loss that is not on the list of ``losscope.losses.foreign.sources`` may run.

    Raises:
        LosscopeError: an unknown loss, one that is not trusted, or one that fails on an ordinary batch of
            every size tried.
    """
    if isinstance(loss, str):
        loss = LossSpec.parse(loss)
    if not isinstance(loss, LossSpec):
        require(callable(loss), f"a {type(loss).__name__} was given; a loss's text or a callable is wanted")
        name = getattr(loss, "__name__", type(loss).__name__)
        return _sized(functools.partial(_callable, loss), name, _sizes_of(loss))
    require(
        not loss.baseline, f"{loss.name!r} is a baseline that trains nothing; there is no loss to be audited"
    )
    if loss.foreign:
        permit(loss.name, trust)
        return _sized(functools.partial(_foreign, parse(loss.name)), loss.name)
    return _own(loss, protocol)


def _own(spec: LossSpec, protocol: str) -> Subject:
    resolved = spec.resolved(protocol)
    found = registry.entry("loss", spec.name)
    facts, function = found.facts, found.load()
    reduction, tuples = resolved.reduction or "valid_mean", resolved.tuples or "all"
    require(
        tuples in ("all", "hard", "semihard"),
        f"tuples {tuples!r} are drawn at random; an audit wants all, hard or semihard",
    )
    require(
        tuples == "all" or facts.takes != "anchors",
        f"{spec.name} takes every row of a batch; tuples {tuples!r} are for losses of pairs or triplets",
    )
    hyper = dict(resolved.hyperparameters)

    def value(z: Tensor, labels: Tensor, parameters: Parameters) -> Tensor:
        if facts.normalised:
            z = normalise(z)
        relation: Relation = Relation.from_labels(labels)
        if tuples != "all":
            into = KINDS.get(facts.takes, Pairs)
            relation = sample(relation, tuples, pair_distances(z.detach()), into=into)
        return reduce(function(z, relation, **hyper, **parameters), reduction)

    parameters = {}
    if facts.class_vectors:
        generator = torch.Generator().manual_seed(0)
        parameters["class_vectors"] = torch.randn(
            CLASSES, DIMENSION, generator=generator, dtype=torch.float64
        )
    return Subject(
        spec.label,
        value,
        parameters,
        CLASSES if parameters else None,
        DIMENSION,
        hyper,
        facts,
        reduction,
        lambda words: _own(spec.model_copy(update={"hyperparameters": {**hyper, **words}}), protocol),
    )


def _sizes_of(loss: Callable[..., Any]) -> tuple[int, ...]:
    """Embedding sizes that a module's own vectors may fix."""
    held = _held(loss).values() if isinstance(loss, nn.Module) else ()
    return tuple(dict.fromkeys(size for value in held for size in value.shape if size > 1))


def _sized(build: Callable[[int], Subject], name: str, more: tuple[int, ...] = ()) -> Subject:
    """The subject at the first embedding size at which the loss can be called, of ours and its own."""
    first: Exception | None = None
    for dimension in dict.fromkeys((*DIMENSIONS, *more)):
        made = build(dimension)
        try:
            made.gradient(*cloud(made, 3, 4))
            return made
        except LosscopeError:
            raise
        except Exception as error:
            first = first or error
    raise LosscopeError(
        f"{name!r} failed on a batch of 12 embeddings of 3 classes: {type(first).__name__}: {first}"
    ) from first


def _foreign(parsed: Foreign, dimension: int) -> Subject:
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        module = ForeignLoss(parsed, classes=CLASSES, embedding_size=dimension)

    def rebuild(words: dict[str, Any]) -> Subject:
        call = replace(parsed.loss, words={**parsed.loss.words, **words})
        return _foreign(replace(parsed, loss=call), dimension)

    sizes = {of: module.arguments[name] for name, of in FILLED.items() if module.arguments.get(name)}
    return replace(
        _callable(module, sizes.get("embedding_size", dimension)),
        name=parsed.text,
        classes=sizes.get("classes"),
        hyper=module.arguments,
        rebuild=rebuild,
    )


def _callable(loss: Callable[..., Any], dimension: int) -> Subject:
    """A callable of (embeddings, labels); a module's parameters are taken out and its state held still."""
    if not isinstance(loss, nn.Module):

        def plain(z: Tensor, labels: Tensor, parameters: Parameters) -> Tensor:
            return _scalar(loss(z, labels), z)

        def again(words: dict[str, Any]) -> Subject:
            return _callable(functools.partial(loss, **words), dimension)

        name = getattr(loss, "__name__", "loss")
        return Subject(name, plain, dimension=dimension, hyper=defaults(loss), rebuild=again)
    module = loss
    own_module = not isinstance(module, ForeignLoss)
    parameters = {
        name: value.detach().double()
        for name, value in (_held(module) if own_module else parts_of(module)).items()
    }
    kept = {
        name: state.clone() if isinstance(state, Tensor) else state
        for name, state in plain_state(module).items()
    }

    def value(z: Tensor, labels: Tensor, own: Parameters) -> Tensor:
        # A queue or a moving mean would make every call another loss.
        load_plain_state(module, kept)
        return _scalar(functional_call(module, dict(own), (z, labels)), z)

    classes = getattr(module, "num_classes", None)
    made = Subject(
        type(module).__name__,
        value,
        parameters,
        classes if isinstance(classes, int) and parameters else None,
        dimension,
        _attributes(module),
        rebuild=functools.partial(_with_attributes, module, dimension),
    )
    return replace(made, classes=_classes(made)) if own_module and made.classes is None else made


def _classes(subject: Subject) -> int | None:
    """The number C of classes whose vectors a module holds: it takes the label C − 1 and not C."""
    generator = torch.Generator().manual_seed(6)
    z = nn.functional.normalize(
        torch.randn(4, subject.dimension, generator=generator, dtype=torch.float64), dim=1
    )

    def takes(label: int) -> bool:
        try:
            subject.value(z, torch.tensor([0, 0, label, label]))
        except Exception:
            return False
        return True

    sizes = {size for value in subject.parameters.values() for size in value.shape if size > 1}
    return next((size for size in sorted(sizes) if takes(size - 1) and not takes(size)), None)


def _attributes(module: nn.Module) -> dict[str, Any]:
    """The arguments that a module was made with, where it keeps them under their names."""
    return {
        name: getattr(module, name)
        for name in parameters_of(type(module))
        if isinstance(getattr(module, name, None), int | float | bool | str)
    }


def _with_attributes(module: nn.Module, dimension: int, words: dict[str, Any]) -> Subject:
    other = copy.deepcopy(module)
    for name, value in words.items():
        setattr(other, name, value)
    return _callable(other, dimension)


def _held(module: nn.Module) -> dict[str, Tensor]:
    """A module's numbers by name: its parameters, frozen ones too, and buffers that are no counters."""
    held = dict(module.named_parameters()) | dict(module.named_buffers())
    require(
        not any(nn.parameter.is_lazy(value) for value in held.values()),
        f"{type(module).__name__!r} has layers that take their size from the first batch; wanted: a module "
        "that was called once",
    )
    return {name: value for name, value in held.items() if value.is_floating_point()}


def _scalar(value: Any, z: Tensor) -> Tensor:
    value = torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else z.dtype)
    if value.numel() != 1:
        raise LosscopeError(
            f"the loss gave a value of shape {tuple(value.shape)} for {len(z)} rows; one scalar is wanted"
        )
    return value.reshape(())
