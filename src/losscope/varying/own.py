"""The space of a comparison of one's own, made from its protocol and its losses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from losscope.comparing import planning
from losscope.core import commands, registry
from losscope.core.errors import LosscopeError, require
from losscope.core.facts import Value
from losscope.core.loss_spec import LossSpec, defaults
from losscope.core.quantities import GOALS, quantity
from losscope.core.spec import Protocol, Study
from losscope.core.wording.varying import seeds_unused
from losscope.papers.paper import Cell, Claim, Compared, Paper
from losscope.varying.planning import SEEDS, Planned, lay
from losscope.varying.space import Axis, Even, Level, Space, chosen, drawn
from losscope.varying.worlds import World

KINDS = ("vectors", "features")
"""Data whose networks train as one population on a CPU."""
RATIO = 4.0
"""Numbers that go from some to so many times of it are drawn evenly by their logarithms."""
TRANSFORMS = ("none", "l2", "sqrt", "standardise")
NOISE = 0.1
NAME = "comparison"
"""What stands for the name of a paper."""


def prepare(
    study: Study,
    *,
    settings: int,
    seeds: int | None,
    out: str | Path | None = None,
    data_root: str | None = None,
    path: str | None = None,
    dry: bool = False,
) -> Planned:
    """Lay out the settings around a comparison: which of its losses is better, and where?

    Each pair of losses is compared on the goal's measure. Nothing is tuned: the settings are what tuning
    would choose among, and more. ``seeds``: of each setting; a few where None, whatever the study says of
    its own, and a note says so. ``out``, ``data_root``: instead of the study's own, where given. ``path``:
    the study's file, if it has one.

    Raises:
        LosscopeError: losses or data that cannot be varied so, or any mistake of the study.
    """
    notes: tuple[str, ...] = ()
    if seeds is None:
        seeds = SEEDS
        if "seeds" in study.model_fields_set and study.seeds != seeds:
            notes = (seeds_unused(study.seeds, seeds),)
    instead = {"out": None if out is None else str(out), "data_root": data_root}
    study = study.model_copy(update={name: value for name, value in instead.items() if value is not None})
    specs = study.loss_specs()
    names = [spec.name for spec in specs]
    foreign = [spec.name for spec in specs if spec.foreign]
    require(not foreign, f"{', '.join(foreign)} declares no settings; a multiverse wants registered losses")
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"the loss {', '.join(twice)} is given twice; a multiverse varies its numbers itself")
    require(
        study.devices == 1,
        f"{study.devices} devices train one run together, and a multiverse has many small ones; leave out "
        "--devices",
    )
    require(len(names) > 1, f"{names[0]} is the only loss given; a multiverse compares two at least")
    paper = Paper(
        losses=tuple(study.losses),
        cells=(Cell(study.data, study.protocol, tuple(study.losses)),),
        claims=tuple(_claims(names, study.goal)),
        own_protocol=study.protocol,
        name=NAME,
        title="a comparison of your own",
    )
    folder = str(study.out or planning.DEFAULT_OUT)
    given = {
        **study.model_dump(
            exclude={"data", "options", "budget", "reference", "first_seed", "space", "curves"}
        ),
        "out": folder,
        "trust": study.trust,
    }
    label = Path(study.data).stem
    world = World(label, study.data, study.options, paper.claims)
    planned = lay(paper, (world,), space_of, given, settings=settings, seeds=seeds, named=True, dry=dry)
    if path is None:
        spent = study.model_copy(update={"seeds": seeds})
        words = [*commands.arguments(spent, folder), "--multiverse", str(settings)]
    else:
        words = ["losscope", "multiverse", path, "--settings", str(settings), "--seeds", str(seeds)]
        words += ["--out", folder]
    return replace(planned, words=tuple(words), notes=notes)


def _claims(names: Sequence[str], goal: str) -> Iterator[Claim]:
    """That each loss is better than each after it at the goal."""
    measure = "recall_at_1" if goal == "retrieval" else GOALS[goal][0]
    better = quantity(measure).better
    for a, b in combinations(names, 2):
        yield Claim(
            f"{a}-or-{b}",
            f"{a} is better than {b} at {goal}",
            "the comparison",
            measure,
            Compared(a, "lower" if better == "lower" else "higher", b),
        )


def space_of(plan: planning.Plan) -> Space:
    """The settings around a study's own, on its data.

    Raises:
        LosscopeError: data whose networks do not train as one population, or without classes.
    """
    facts, base, given = plan.source.facts, plan.study.protocol, plan.study.given
    require(
        facts.kind in KINDS and base.model == "mlp",
        f"{given.data} has {facts.kind}, trained by {base.model}; a multiverse is of {' or '.join(KINDS)}, "
        "trained by mlp",
    )
    require(
        not (facts.tuples or facts.by_item or facts.several),
        f"{given.data} has no single class for each row; a multiverse wants one",
    )
    axes = [*_of_protocol(base, facts.classes)]
    if not facts.generated and "label_noise" not in given.options:
        axes.append(
            chosen("label_noise", "data", (0.0, NOISE), 0.0, "none, or a tenth of the training labels")
        )
    for spec in plan.study.losses:
        axes += _of_loss(spec, base.name)
    names = tuple(spec.name for spec in plan.study.losses)
    return Space(NAME, facts.kind, base.name, names, tuple(axes), given=plan.study.losses)


def _of_protocol(base: Protocol, classes: int) -> Iterator[Axis]:
    rate, third = base.learning_rate, math.sqrt(10)
    yield drawn(
        "learning_rate",
        "protocol",
        Even(rate / third, rate * third, logarithmic=True),
        rate,
        "the protocol's, a third and three times of it",
    )
    per_batch = min(base.classes_per_batch, classes) if base.batching == "balanced" else 1
    around = "the protocol's, half and twice of it"
    sizes = [size for size in _around(base.batch_size) if size // per_batch >= 2]
    yield chosen("batch_size", "protocol", sizes, base.batch_size, around)
    yield chosen("embedding_size", "protocol", _around(base.embedding_size), base.embedding_size, around)
    half = max(1, base.epochs // 2)
    yield chosen("epochs", "protocol", sorted({half, base.epochs}), base.epochs, "the protocol's, or half")
    yield _network(base)
    yield chosen("transform", "protocol", TRANSFORMS, base.transform, "what tuning chooses among")


def _around(size: int) -> list[int]:
    return sorted({max(2, size // 2), size, 2 * size})


def _network(base: Protocol) -> Axis:
    """The protocol's network, a linear head at its starts, and one hidden layer."""
    shapes = dict.fromkeys(
        [(base.hidden, base.start), ((), "pca"), ((), "whitened"), (base.hidden or (256,), "random")]
    )
    levels = tuple(
        Level(_named(hidden, start), (("hidden", hidden), ("start", start))) for hidden, start in shapes
    )
    own = _named(base.hidden, base.start)
    return Axis("network", "protocol", own, "the protocol's, a linear head, a hidden layer", levels)


def _named(hidden: tuple[int, ...], start: str) -> str:
    return f"{'-'.join(map(str, hidden))} wide" if hidden else f"linear ({start})"


def _of_loss(spec: LossSpec, protocol: str) -> Iterator[Axis]:
    """What a loss declares for tuning, but for what was given with it."""
    points = registry.entry("loss", spec.name).facts.space
    usual = {**defaults(spec.name, protocol)}
    usual.setdefault("reduction", "valid_mean")
    for name in dict.fromkeys(name for point in points for name in point):
        fixed = spec.reduction is not None if name == "reduction" else name in spec.hyperparameters
        if fixed:
            continue
        values: list[Value] = list(
            dict.fromkeys([*(point[name] for point in points if name in point), usual[name]])
        )
        source = "what the loss declares for tuning"
        numbers = [value for value in values if isinstance(value, float)]
        if len(numbers) == len(values) and min(numbers) < max(numbers):
            low, high = min(numbers), max(numbers)
            even = Even(low, high, logarithmic=low > 0 and high / low >= RATIO)
            yield drawn(name, "loss", even, float(usual[name]), source, loss=spec.name)
        elif len(values) > 1:
            yield chosen(name, "loss", values, usual[name], source, loss=spec.name)


def study_of(path: str, *, trust: bool) -> Study:
    """The study of a file, or an error that says what else a multiverse is of."""
    if not Path(path).is_file():
        raise LosscopeError(
            f"{path!r} is no file; a multiverse is of a paper or of a study's file (STUDY.toml)"
        )
    return Study.read(path, trust=trust)
