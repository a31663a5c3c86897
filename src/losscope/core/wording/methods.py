"""The paragraph of a paper that says how a comparison was made, from the result's fields alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from losscope.core.finetuning import FineTune
from losscope.core.results import BaselineResult, Comparison, LossResult, Provenance, Result
from losscope.core.wording import parts
from losscope.core.wording.numbers import (
    brief,
    count,
    indifference,
    label,
    listing,
    lower,
    measure,
    percent,
    plural,
)
from losscope.core.wording.work import duration

SOFTWARE = (("losscope", "losscope"), ("python", "Python"), ("torch", "PyTorch"), ("numpy", "NumPy"))


@dataclass(frozen=True)
class Traced:
    """A sentence, and where its numbers stand.

    Attributes:
        text: the sentence.
        fields: the fields of the result that its numbers are made from, as paths.
        cites: what it cites, each ``loss/NAME``, ``closed_form/NAME``, ``quantity/NAME`` or a key.
    """

    text: str
    fields: tuple[str, ...]
    cites: tuple[str, ...] = ()


def method(result: Result) -> tuple[Traced, ...]:
    """How a comparison was made, as sentences whose numbers can be traced to the result's fields."""
    makers = (_what, _training, _tuning, _baselines, _measures, _tests, _intervals, _failures, _software)
    return tuple(sentence for maker in makers for sentence in maker(result))


def _what(result: Result) -> Iterator[Traced]:
    names = [side.name for side in result.losses]
    cites = tuple(f"loss/{_registered(side)}" for side in result.losses)
    data = result.data.described or result.data.name
    said = "we compared" if len(names) > 1 else "we trained"
    yield Traced(
        f"With losscope {said} {count(len(names), 'loss')}, {listing(names)}, on {data.rstrip('.')}.",
        ("losses", "losses.name", "data.described", "data.name"),
        ("losscope", *cites),
    )
    if result.seeds:
        where = "" if result.unpaired else f", so that runs are paired by {result.paired_by}"
        same = (
            "every side ran with the same ones" if not result.unpaired else "which differ between the losses"
        )
        span = _span(result.seeds) if result.paired_by == "seed" else ""
        yield Traced(
            f"There are {count(len(result.seeds), result.paired_by)}{span}; {same}{where}.",
            ("seeds", "paired_by", "unpaired"),
        )


def _registered(side: LossResult) -> str:
    return side.spec.name if side.spec is not None else side.name.split("(", 1)[0]


def _span(seeds: Sequence[int]) -> str:
    """``(0 to 9)`` where the seeds follow one another."""
    if len(seeds) < 2 or list(seeds) != list(range(seeds[0], seeds[0] + len(seeds))):
        return ""
    return f" ({seeds[0]} to {seeds[-1]})"


def _training(result: Result) -> Iterator[Traced]:
    own = result.protocol
    if own is None:
        yield Traced("The runs were trained elsewhere and are judged here as they are.", ())
        return
    widths = listing(str(width) for width in own.hidden) if own.hidden else ""
    hidden = f" with hidden layers of {widths} units" if len(own.hidden) > 1 else ""
    hidden = f" with a hidden layer of {widths} units" if len(own.hidden) == 1 else hidden
    batching = (
        f"batches of {own.batch_size:,} rows, balanced over at most {own.classes_per_batch} classes"
        if own.batching == "balanced"
        else f"shuffled batches of {own.batch_size:,} rows"
    )
    augmented = f", augmented by {listing(own.augment)}" if own.augment else ""
    yield Traced(
        f"Under the protocol {own.name} each loss trained the network {own.model}{hidden} and embeddings of "
        f"{count(own.embedding_size, 'dimension')} for at most {count(own.epochs, 'epoch')} in {batching}"
        f"{augmented}; tuples: {own.tuples}, partners from the {own.partners}.",
        tuple(
            f"protocol.{name}"
            for name in (
                *("name", "model", "hidden", "embedding_size", "epochs", "batch_size", "classes_per_batch"),
                *("tuples", "partners", "augment"),
            )
        ),
    )
    if own.finetunes:
        arithmetic = "" if own.precision == "float32" else f" in {own.precision}"
        yield Traced(
            f"The network takes features of a backbone; {FineTune.read(own.finetune).said} was trained with "
            f"it{arithmetic}, at {own.backbone_rate:g} times the other weights' learning rate and without "
            "dropout; closed forms and baselines are those of its frozen features.",
            ("protocol.finetune", "protocol.precision", "protocol.backbone_rate"),
        )
    numbers = [_numbers(side) for side in result.losses if side.spec is not None]
    if numbers:
        yield Traced(
            f"The final runs had: {'; '.join(numbers)}.",
            (
                *("losses.spec.hyperparameters", "losses.spec.reduction", "losses.spec.learning_rate"),
                *("losses.spec.weight_decay", "losses.spec.class_rate", "losses.tuned.checkpoint"),
                *("losses.tuned.start", "losses.tuned.transform", "protocol.learning_rate", "losses.name"),
            ),
        )


def _numbers(side: LossResult) -> str:
    spec = side.spec
    assert spec is not None
    said = [f"{name.replace('_', ' ')} {parts.fact(value)}" for name, value in spec.hyperparameters.items()]
    said.append(f"reduction {(spec.reduction or 'of its own').replace('_', ' ')}")
    if spec.learning_rate is not None:
        said.append(f"learning rate {spec.learning_rate:g}")
    if spec.weight_decay:
        said.append(f"weight decay {spec.weight_decay:g} towards the start")
    if spec.class_rate is not None:
        said.append(f"{spec.class_rate:g} times this rate for class vectors")
    if side.tuned is not None and side.tuned.checkpoint is not None:
        said.append(f"epoch {side.tuned.checkpoint}")
    if side.tuned is not None and side.tuned.start not in (None, "random"):
        said.append(f"started at {side.tuned.start}")
    if side.tuned is not None and side.tuned.transform not in (None, "none"):
        said.append(f"inputs transformed by {side.tuned.transform}")
    return f"{side.name} with {', '.join(said)}"


def _tuning(result: Result) -> Iterator[Traced]:
    tuned = [(side, side.tuned) for side in result.losses if side.tuned is not None]
    if not tuned:
        if any(each.tuned is False for each in result.settings):
            yield Traced("The losses were not tuned.", ("settings.tuned",))
        return
    budget = [
        f"{count(kept.trials, 'trial')} of {side.name}"
        + (f" ({count(kept.epochs, 'epoch')} of one seed)" if kept.epochs else "")
        for side, kept in tuned
    ]
    judged = {"draws": "validation rows", "folds": "folds of the classes", "rows": "rows of every class"}
    yield Traced(
        "These numbers were chosen by successive halving on validation alone, with seeds that no final run "
        f"has, by {label(tuned[0][1].measure)} on {judged[tuned[0][1].judged]}: {listing(budget)}.",
        ("losses.tuned.trials", "losses.tuned.epochs", "losses.tuned.measure", "losses.tuned.judged"),
        ("jamieson2016",),
    )


def _baselines(result: Result) -> Iterator[Traced]:
    shown = [side for side in result.baselines if not side.described]
    if not shown:
        return
    cites = tuple(f"closed_form/{side.name}" for side in shown if side.family == "closed form")
    told = [f"{side.name}{_dimensions(side)}" for side in shown]
    yield Traced(
        f"Beside them stand sides that no loss trains: {listing(told)}.",
        ("baselines.name", "baselines.dimensions"),
        cites,
    )


def _dimensions(side: BaselineResult) -> str:
    known = {value for value in side.dimensions if value is not None}
    return f" ({count(known.pop(), 'dimension')})" if len(known) == 1 else ""


def _measures(result: Result) -> Iterator[Traced]:
    rows = result.verdicts()
    names = tuple(dict.fromkeys(row.measure for row in rows))
    if not names:
        return
    told = [
        f"{label(name)} ({lower(measure(name).definition)}; better: {measure(name).better})" for name in names
    ]
    yield Traced(
        f"For the goal {result.goal} what decides is {listing(told)}.",
        ("goal", "paired.measure"),
        tuple(f"quantity/{name.split('@')[0]}" for name in names),
    )


def _tests(result: Result) -> Iterator[Traced]:
    rows = result.verdicts()
    if not rows:
        yield Traced("Nothing was tested.", ())
        return
    first = rows[0]
    candidate = result.recommendation.candidate
    if candidate is not None:
        by = f" in {label(result.recommendation.candidate_by)}" if result.recommendation.candidate_by else ""
        yield Traced(
            f"{candidate} led on validation{by}; it was named before the test split was measured and is "
            "tested against the other sides.",
            ("recommendation.candidate", "recommendation.candidate_by"),
        )
    units = listing(plural(unit) for unit in dict.fromkeys(_unit(row) for row in rows))
    how = f"two-sided sign-flip tests over {units}"
    if not first.paired:
        how = "two-sided permutation tests of Welch's t"
    tests = first.tests_in_family or len(rows)
    yield Traced(
        f"Differences were tested by {how} at level {brief(first.alpha)} (look {first.look} at these data), "
        f"corrected by Holm over {count(tests, 'test')}.",
        (
            "paired.unit",
            "paired.paired_by",
            "paired.alpha",
            "paired.look",
            "paired.tests_in_family",
            "paired",
        ),
        ("holm1979",),
    )
    bands = dict.fromkeys(f"{_band(row)} in {label(row.measure)}" for row in rows)
    yield Traced(
        f"Two sides are equivalent where two one-sided tests of a difference beyond {listing(bands)}, "
        f"corrected likewise, are each below {brief(first.alpha / 2)}.",
        ("paired.delta", "paired.alpha"),
        ("schuirmann1987",),
    )


def _band(row: Comparison) -> str:
    sign = "±" if row.scale == "difference" else ""
    return f"{sign}{indifference(row.delta, row.scale)}"


def _unit(row: Comparison) -> str:
    return row.paired_by if row.unit == "seed" else f"test {row.unit}"


def _intervals(result: Result) -> Iterator[Traced]:
    rows = result.verdicts()
    if not rows:
        return
    level = percent(1 - rows[0].alpha)
    wide = any(row.low_data is not None for row in rows)
    more = (
        "; those for data like these have 95 % and add the jackknife variance over test items or classes"
        if wide
        else ""
    )
    yield Traced(
        f"Intervals of differences invert the test at {level} and are not corrected{more}; means have 95 % t "
        f"intervals over {plural(result.paired_by)}.",
        ("paired.alpha", "paired_by"),
    )


def _failures(result: Result) -> Iterator[Traced]:
    failed = [side for side in result.sides if side.failed]
    if failed:
        told = [f"{count(side.failed, 'run')} of {side.name}" for side in failed]
        yield Traced(
            f"Did not end, and have no verdict: {listing(told)}.", ("losses.failed", "baselines.failed")
        )


def _software(result: Result) -> Iterator[Traced]:
    from_fields = result.provenance
    versions = [f"{title} {_told(from_fields, name)}" for name, title in SOFTWARE if _told(from_fields, name)]
    if not versions:
        return
    where = " on ".join(filter(None, (_told(from_fields, "machine"), _told(from_fields, "device"))))
    runs = [count(from_fields.runs, "run")] if from_fields.runs else []
    took = [f"{duration(from_fields.seconds)} in all"] if from_fields.seconds else []
    cost = f"; {', '.join([*runs, *took])}" if runs or took else ""
    yield Traced(
        f"Software: {', '.join(versions)}{f' ({where})' if where else ''}{cost}.",
        tuple(
            f"provenance.{name}"
            for name in ("losscope", "python", "torch", "numpy", "machine", "device", "runs", "seconds")
        ),
    )


def _told(found: Provenance, name: str) -> str:
    value = getattr(found, name)
    return " and ".join(value) if isinstance(value, tuple) else value or ""
