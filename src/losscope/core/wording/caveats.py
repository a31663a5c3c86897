"""The one thing to beware of most in an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from losscope.core import commands
from losscope.core.errors import LosscopeError
from losscope.core.loss_spec import UNTRAINED
from losscope.core.results import Comparison, Edge, LossResult, Result
from losscope.core.spaces import Dimension
from losscope.core.spec import LossSpec
from losscope.core.wording.contest import fault
from losscope.core.wording.numbers import (
    be,
    change_interval,
    count,
    indifference,
    label,
    listing,
    measure,
    number,
    p_value,
    percent,
)
from losscope.core.wording.settings import edge
from losscope.core.wording.steps import more_seconds, seeds_wanted
from losscope.core.wording.work import duration

STEPS = (1.0, 0.5, 0.25)
"""How far beyond the edge a wider search goes, in steps of the search: less far before a bound."""


@dataclass(frozen=True)
class Caveat:
    """What to beware of.

    Attributes:
        kind: ``failed``, ``fault``, ``harm``, ``rivals``, ``seeds``, ``edge``, ``unsettled``, ``untuned`` or
            ``scope``.
        text: one sentence.
        line: a command that would do away with it; empty where there is none.
    """

    kind: str
    text: str
    line: str = ""


def caveat(result: Result, focus: Comparison | None) -> Caveat | None:
    """The caveat that matters most, in a fixed order; None where there is nothing to say.

    Failed runs, losses that learned nothing, an untrained network of a better mean, losses that were not told
    from the one to use, too few seeds with the price of an answer, a choice on the edge of the search, a
    choice that other validation data would change, losses that were not tuned, and other data, on which the
    difference may be another one.
    """
    writers: tuple[Callable[[], Caveat | None], ...] = (
        lambda: _failed(result),
        lambda: _fault(result),
        lambda: _harm(result),
        lambda: _rivals(result),
        lambda: _seeds(result, focus),
        lambda: _edge(result),
        lambda: _unsettled(result),
        lambda: _untuned(result),
        lambda: _scope(focus),
    )
    return next((found for write in writers if (found := write()) is not None), None)


def _failed(result: Result) -> Caveat | None:
    lost = [
        f"{side.failed} of {max(len(result.seeds), side.failed)} runs of {side.name}"
        for side in result.sides
        if side.failed
    ]
    if not lost:
        return None
    said = f"{listing(lost)} failed: a loss with a failed run has no verdict."
    again = result.provenance.arguments if result.protocol is not None else ()  # judging again trains nothing
    return Caveat("failed", said, commands.said(again))


def _fault(result: Result) -> Caveat | None:
    found = [own for side in result.sides for own in side.faults]
    return Caveat("fault", f"{fault(found[0])}.") if found else None


def _harm(result: Result) -> Caveat | None:
    """An untrained network that is better than the loss to use by what matters, where no test holds them."""
    name, by = result.recommendation.loss, result.recommendation.measure
    sides = {side.name: side for side in result.sides}
    if by is None or name not in [side.name for side in result.losses] or UNTRAINED not in sides:
        return None
    ours, other, known = sides[name].mean(by), sides[UNTRAINED].mean(by), measure(by)
    tested = any({row.a, row.b} == {name, UNTRAINED} and row.measure == by for row in result.verdicts())
    if ours is None or other is None or tested or known.better == "neither":
        return None
    more = ours - other if known.better == "lower" else other - ours
    if more <= 0 or (known.scale == "difference" and more <= known.delta):
        return None
    told = f"{label(by)} {number(other)}, {name} {number(ours)}"
    return Caveat("harm", f"The untrained network is better: {told}; described, not tested.")


def _rivals(result: Result) -> Caveat | None:
    """The other losses of the group of the best, where the answer is tested against another side alone."""
    group, made = result.group, result.recommendation
    if group is None or not group.able or made.loss not in group.members or len(made.members) > 1:
        return None
    others = [name for name in group.members if name != made.loss]
    if not others:
        return None
    return Caveat("rivals", f"Not told from {made.loss} in {label(group.measure)}: {listing(others)}.")


def _seeds(result: Result, focus: Comparison | None) -> Caveat | None:
    """Too few seeds, with the price of an answer."""
    if focus is None or focus.unit != "seed" or focus.verdict not in ("too_few_seeds", "unresolved"):
        return None
    if result.recommendation.loss is not None or focus.limit == "saturated":
        return None
    seeds = count(focus.n, focus.paired_by)
    needed = seeds_wanted(focus)
    if focus.verdict == "too_few_seeds":
        said = f"{seeds} {be(focus.n)} too few: the smallest p in reach is {p_value(focus.p_attainable)}"
    else:
        said = f"{seeds} do not tell"
    if needed is not None:
        seconds = more_seconds(result, needed - focus.n)
        time = f", about {duration(seconds)} more to train" if seconds else ""
        shows = "can be tested"
        if focus.spread_known:
            shows = f"would show a difference of {indifference(focus.delta, focus.scale)}, if there is one"
        said += f"; {needed:,} in all {shows}{time}"
    return Caveat("seeds", f"{said}.")


def _first_of(result: Result) -> list[LossResult]:
    """The losses, those first that the answer is about."""
    named = (result.recommendation.loss, *result.recommendation.members)
    return sorted(result.losses, key=lambda side: side.name not in named)


def _edge(result: Result) -> Caveat | None:
    for side in _first_of(result):
        for found in side.tuned.edge if side.tuned is not None else ():
            if found.name == "epoch":
                words = result.provenance.arguments
                longer = commands.changed(words, epochs=str(2 * int(found.value))) if words else ()
                said = (
                    f"{side.name} was best at its last epoch, {found.value}: longer training could do better."
                )
                return Caveat("edge", said, commands.said(longer))
            tried = _tried(side, found.name)
            where = "one end of what was tried"
            if tried and isinstance(found.value, int | float):
                where = f"the {'smallest' if found.value <= tried[0] else 'largest'} that was tried"
            best = edge(found).replace("_", " ")
            said = f"{side.name}'s best {best} is {where}: a wider search could do better."
            return Caveat("edge", said, commands.said(_wider(result, side, found, tried)))
    return None


def _tried(side: LossResult, name: str) -> list[float]:
    values = [trial.hyperparameters.get(name, getattr(trial, name, None)) for trial in side.trials]
    return sorted(
        {float(own) for own in values if isinstance(own, int | float) and not isinstance(own, bool)}
    )


def _wider(result: Result, side: LossResult, found: Edge, tried: list[float]) -> tuple[str, ...]:
    """The command with one more value beyond the edge; nothing where the loss has no such option or value."""
    words, spec = result.provenance.arguments, side.spec
    if (
        not words
        or spec is None
        or len(tried) < 2
        or found.name not in spec.hyperparameters
        or not tried[0] > 0
    ):
        return ()
    low = float(found.value) <= tried[0]
    last, step = (tried[0], tried[0] / tried[1]) if low else (tried[-1], tried[-1] / tried[-2])
    further = [last * step**part for part in STEPS]
    more = next((f"{value:.3g}" for value in further if _allowed(spec.name, found.name, value)), "")
    if not more:
        return ()
    kept = [f"{value:.3g}" for value in tried]
    values = dict.fromkeys([more, *kept] if low else [*kept, more])
    return (*_unspaced(words, spec, found.name), "--space", f"{spec.name}:{found.name}={','.join(values)}")


def _unspaced(words: Sequence[str], spec: LossSpec, name: str) -> list[str]:
    """A command without the space that it gives for a number of one loss: it takes one alone."""
    kept = list[str]()
    for word in words:
        if kept[-1:] == ["--space"]:
            space = Dimension.read(word)
            if space.name == name and space.loss is not None and space.of(spec):
                kept.pop()
                continue
        kept.append(word)
    return kept


def _allowed(loss: str, name: str, value: float) -> bool:
    """Whether the loss can act with a number of that value."""
    try:
        LossSpec.parse(f"{loss}({name}={value:.3g})")
    except LosscopeError:
        return False
    return True


def _unsettled(result: Result) -> Caveat | None:
    unsettled = {own.loss for own in result.settings if own.unsettled}
    for side in _first_of(result):
        if side.name in unsettled and side.tuned is not None and side.tuned.unstable is not None:
            share = percent(round(side.tuned.unstable, 2))
            said = (
                f"{share} of other draws of the validation data would choose other numbers for {side.name}."
            )
            return Caveat("unsettled", said)
    return None


def _untuned(result: Result) -> Caveat | None:
    found = [own.loss for own in result.settings if own.tuned is False]
    if not found:
        return None
    every = len(found) == len(result.settings) > 1
    who = "The losses were" if every else f"{listing(found)} {'was' if len(found) == 1 else 'were'}"
    words = result.provenance.arguments
    line = (*(word for word in words if word != "--no-tune"), "--tune") if words and result.protocol else ()
    return Caveat("untuned", f"{who} not tuned: tuned numbers could change the order.", commands.said(line))


def _scope(focus: Comparison | None) -> Caveat | None:
    if (
        focus is None
        or focus.low_data is None
        or focus.high_data is None
        or focus.low_data >= focus.high_data
    ):
        return None
    ends = change_interval(focus.low_data, focus.high_data, focus.scale)
    vanish = focus.better is not None and focus.low_data <= 0 <= focus.high_data
    matter = focus.verdict == "equivalent" and max(-focus.low_data, focus.high_data) > focus.delta
    if vanish:
        return Caveat("scope", f"On other data like these it may vanish: {ends}.")
    if matter:
        return Caveat("scope", f"On other data like these it may matter: {ends}.")
    return None
