"""What a curve over one number of a loss says: the flat region, what tuning chose, what is lost."""

from __future__ import annotations

from collections.abc import Sequence

from losscope.core.results import Curve, FlatRegion, LossResult
from losscope.core.wording.numbers import Digits, brief, count, interval, label, number

COSTS = Digits(3)
"""Of a cost: a tenth of the usual indifference."""


def curve_number(number: str) -> str:
    """A number as sentences call it.

    >>> curve_number("learning_rate")
    'learning rate'
    """
    return number.replace("_", " ")


def flat(found: FlatRegion) -> str:
    """The range of a number in which it hardly matters.

    >>> flat(FlatRegion(number="margin", low=0.05, high=0.3, best=0.12, tried=3, within=0.01))
    'any margin from 0.05 to 0.3 is within 0.01 of the best'
    """
    name = curve_number(found.number)
    if found.tried == 1:
        return f"only {name} {found.best:g} is within {brief(found.within)} of the best"
    return f"any {name} from {found.low:g} to {found.high:g} is within {brief(found.within)} of the best"


def default_word(found: Curve) -> str:
    """What the default of a curve is called: the usual value, or the one that the user gave."""
    return "given" if found.given else "usual"


def curve(found: Curve) -> str:
    """A curve in words, without the name of its loss."""
    if found.flat is None:
        return f"fewer than two values of {curve_number(found.number)} have a mean on validation"
    best = found.at(found.flat.best)
    said = flat(found.flat)
    where = f"{found.flat.best:g}, " if found.flat.tried > 1 else ""
    told = "" if best is None else f" ({where}{label(found.measure)} {number(best.mean)} on validation)"
    parts = (_ends, _shown, _untrained, _chosen, _usual)
    return "; ".join([f"{said}{told}", *(words for part in parts for words in part(found))])


def _shown(found: Curve) -> list[str]:
    """For how many values of the flat region beside the best the interval of the cost says the same."""
    assert found.flat is not None
    if found.flat.tried == 1:
        return []
    sure = sum(found.flat.low <= own.value <= found.flat.high for own in found.sure)
    return [f"the 95 % interval says so of {sure} of {count(found.flat.tried - 1, 'other value')}"]


def _untrained(found: Curve) -> list[str]:
    """At how many values of the flat region no epoch is better than the start."""
    assert found.flat is not None
    inside = [own for own in found.points if found.flat.low <= own.value <= found.flat.high]
    untrained = sum(own.epoch == 0 for own in inside)
    where = f"at {untrained} of these {len(inside)} values" if len(inside) > 1 else "there"
    return [f"{where} training adds nothing: epoch 0, the start, is the best"] if untrained else []


def _ends(found: Curve) -> list[str]:
    """At which ends of what was tried the flat region ends, so that it may go on."""
    assert found.flat is not None
    low, high = found.flat.low == found.points[0].value, found.flat.high == found.points[-1].value
    if low and high:
        return ["that is every value that was tried"]
    return [f"no {'smaller' if low else 'larger'} one was tried"] if low or high else []


def _chosen(found: Curve) -> list[str]:
    return [] if found.tuned in (None, found.default) else [f"tuning chose {found.tuned:g}"]


def _usual(found: Curve) -> list[str]:
    usual = found.at(found.default)
    if usual is None or found.flat is None:
        return []
    chosen = ", which tuning chose," if found.tuned == found.default else ""
    called = f"the {default_word(found)} {usual.value:g}{chosen}"
    if usual.cost is None:
        return [f"{called} has no value: {usual.failed} of {len(found.seeds)} seeds diverged or failed"]
    if usual.value == found.flat.best or round(usual.cost, COSTS.decimals) == 0:
        return [f"{called} is as good as the best"]
    spread = interval(usual.cost_low, usual.cost_high, COSTS, signed=True)
    return [f"{called} costs {number(usual.cost, COSTS)}" + (f" ({spread})" if spread else "")]


def outside(losses: Sequence[LossResult]) -> list[str]:
    """A sentence on the values that cost more than their flat regions allow; none where none does."""
    found = [own for side in losses for own in side.curves if own.default_costs]
    if not found:
        return []
    held = "as tuned" if any(side.tuned is not None for side in losses) else "at the usual values"
    return [f"On validation, the other numbers {held}: {'; '.join(map(_lost, found))}."]


def _lost(found: Curve) -> str:
    usual = found.at(found.default)
    assert usual is not None and found.flat is not None
    what = f"{found.loss}'s {default_word(found)} {curve_number(found.number)} {usual.value:g}"
    if usual.cost is None:
        return f"{what} has no value ({flat(found.flat)})"
    return f"{what} costs {number(usual.cost, COSTS)} of {label(found.measure)} ({flat(found.flat)})"
