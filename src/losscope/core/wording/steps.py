"""What to do next after an answer: a line to use it, or the command that would decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from losscope.core import commands
from losscope.core.loss_spec import RAW
from losscope.core.results import BaselineResult, Comparison, LossResult, Result
from losscope.core.wording.numbers import count, label, listing, measure
from losscope.core.wording.work import duration

OTHER_GOALS = {"retrieval": "verification"}


@dataclass(frozen=True)
class Step:
    """What to do next.

    Attributes:
        text: what it is, without a full stop.
        line: a command as it stands, or a line of Python; empty where there is none.
        python: whether the line is Python.
    """

    text: str
    line: str = ""
    python: bool = False

    def __str__(self) -> str:
        return f"{self.text}: {self.line}" if self.line else f"{self.text}."


def next_step(result: Result, focus: Comparison | None, left: Sequence[str]) -> Step:
    """What to do next: use what is recommended, or what would decide between the sides that are ``left``."""
    made = result.recommendation
    if made.loss is not None:
        return _use(result, made.loss)
    if focus is None or made.ground == "undirected":
        if made.ground == "undirected":
            directed = "Choose a measure of which more or less is better"
            # A judgement has such a measure only where it was named, and then no goal replaces it.
            return Step(directed) if result.protocol is None else _again(result, directed, goal="retrieval")
        return _again(result, "Compare it with another loss")
    by = made.open_by or focus.limit
    if focus.verdict == "failed" or by == "failed":
        if result.protocol is None:
            return _again(result, "Run those trainings again, and judge again")
        return _again(result, "Run it again, which tries the failed runs again")
    if by == "measures" and made.second is not None:
        return _second(result, made.second)
    if focus.scope == "these_folds" or by == "folds":
        return Step("Hold out one test part instead of folds, over which nothing can be tested")
    if focus.verdict == "not_comparable":
        return _comparable(result, focus)
    if made.ground == "undecided" and made.candidate not in made.members:
        return _alone(result, left)
    if by == "saturated":
        return Step("Try harder data, or choose by price and by what differs below")
    if made.ground == "single":
        if focus.better is not None or focus.verdict == "equivalent":
            return Step("Train nothing, or try another loss")
    elif focus.verdict == "equivalent":
        return Step(f"Take the one that costs {'less' if len(made.members) < 3 else 'least'}")
    elif focus.better is not None:
        return _again(result, "Name the loss to hold the others against", reference=focus.a)
    return _more(result, focus, by == "data")


def _use(result: Result, name: str) -> Step:
    side = result.side(name)
    if name == RAW:
        return Step(
            "Use the inputs at unit length", "x / numpy.linalg.norm(x, axis=1, keepdims=True)", python=True
        )
    if isinstance(side, BaselineResult):
        if result.store and side.runs and len(result.data.modalities) < 2:
            line = f"embed = losscope.embedder({result.store!r}, {name!r})"
            return Step(f"Use {name} as it was fitted", line, python=True)
        return Step(f"Fit {name} to your training rows, and train nothing")
    if isinstance(side, LossResult) and side.spec is not None and result.protocol is not None:
        text = loss_text(side)
        made = result.recommendation
        alone = set(made.members) <= {name}
        led = ", which led on validation" if name == made.candidate else ""
        said = "Train with it" if alone else f"Train with {side.spec.name}{led}"
        return Step(said, f"loss = losscope.loss({text!r})", python=True)
    return Step(f"Keep {name}, as these runs trained it")


def loss_text(side: LossResult) -> str:
    """A loss with its numbers, as ``losscope.loss`` reads it."""
    assert side.spec is not None
    usual = {"learning_rate": None, "checkpoint": None, "weight_decay": 0.0, "class_rate": None}
    if side.spec.reduction == "valid_mean":
        usual["reduction"] = None
    return side.spec.model_copy(update=usual).label


def _again(result: Result, text: str, **options: str) -> Step:
    words = result.provenance.arguments
    return Step(text, commands.said(commands.changed(words, **options))) if words else Step(text)


def _second(result: Result, second: str) -> Step:
    own = result.recommendation.measure or ""
    text = f"Decide whether {label(own)} or {label(second)} matters to you"
    words = result.provenance.arguments
    if result.protocol is not None and result.store:
        return Step(text, commands.said(("losscope", "judge", result.store, "--measure", second)))
    return Step(text, commands.said(commands.changed(words, measure=second))) if words else Step(text)


def _comparable(result: Result, row: Comparison) -> Step:
    """Another goal; of runs from elsewhere another measure that both sides have, or the values that lack."""
    if result.protocol is not None:
        return _again(result, "Choose another goal", goal=OTHER_GOALS.get(result.goal, "retrieval"))
    sides = result.side(row.a), result.side(row.b)
    for name in sides[0].measures:
        shared = all(side.mean(name) is not None for side in sides)
        if shared and name != row.measure and measure(name).better != "neither":
            return _again(result, f"Choose another measure, such as {label(name)}", measure=name)
    lacking = [side.name for side in sides if side.mean(row.measure) is None]
    what = (
        f"{listing(lacking)} values of {label(row.measure)}"
        if lacking
        else "both values that can be compared"
    )
    return _again(result, f"Give {what}, and judge again")


def _alone(result: Result, left: Sequence[str]) -> Step:
    losses = [own.name for own in result.losses if own.name in left]
    if len(losses) > 1 and result.protocol is not None:
        return _again(result, "Compare these alone", losses=",".join(losses), reference=losses[0])
    return Step(f"Compare {listing(left)} alone, since they were not tested against each other")


def _more(result: Result, focus: Comparison, data: bool) -> Step:
    """More seeds, or more data."""
    needed = seeds_wanted(focus)
    if needed is None:
        if data:
            return Step("Test on more items: other test items would move it more than seeds do")
        return Step("Run more seeds, or accept that no difference was found")
    more = needed - focus.n
    said = f"Run {count(more, f'more {focus.paired_by}')}"
    if result.protocol is None:
        return Step(f"{said}, {needed:,} in all, and judge again")
    seconds = more_seconds(result, more)
    return _again(result, said + (f", about {duration(seconds)}" if seconds else ""), seeds=str(needed))


def seeds_wanted(row: Comparison) -> int | None:
    """How many seeds in all would decide a pair that is open: that can be tested, and show what matters.

    None where seeds are not what is lacking.
    """
    wanted = max(row.seeds_needed or 0, row.seeds_testable or 0)
    return wanted if row.unit == "seed" and wanted > row.n else None


def more_seconds(result: Result, seeds: int) -> float | None:
    """Seconds of one core that so many more seeds of every side take; None where it is not known."""
    known = [side.price.seconds for side in result.losses if side.price is not None and side.price.seconds]
    return seeds * sum(known) if len(known) == len(result.losses) and known else None
