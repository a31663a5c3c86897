"""The numbers of the losses that verdicts are conditional on, as sentences name them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from losscope.core.calls import is_foreign
from losscope.core.results import Comparison, Edge, Settings
from losscope.core.wording.numbers import be, listing


def settings_phrase(settings: Sequence[Settings]) -> str:
    """How a sentence ends that is conditional on the losses' numbers; empty where nothing is known of them.

    >>> given = [Settings(loss="triplet", name="triplet", hyperparameters={"margin": 0.1}, tuned=False)]
    >>> settings_phrase(given), settings_phrase([Settings(loss="mine", name="mine", tuned=False)])
    ('at margins triplet 0.1, untuned', 'untuned')
    >>> settings_phrase([given[0].model_copy(update={"tuned": True})]), settings_phrase([])
    ('at the tuned values triplet 0.1', '')
    >>> settings_phrase([*given, Settings(loss="mine", name="mine", tuned=False)])
    'at margins triplet 0.1 (mine has none), untuned'
    """
    known = [each for each in settings if each.tuned is not None]
    if not known:
        return ""
    numbered = [each for each in known if _numbers(each)]
    listed = settings_listing(numbered)
    bare = [each.name for each in known if not _numbers(each)]
    if numbered and bare:
        listed += f" ({listing(bare)} {'has' if len(bare) == 1 else 'have'} none)"
    untuned = [each.loss for each in known if each.tuned is False]
    if not untuned:
        return f"at the tuned values {listed}" if numbered else "tuned"
    which = "untuned" if len(untuned) == len(known) else f"{listing(untuned)} untuned"
    if not numbered:
        return which
    kind = "temperatures" if all("temperature" in each.hyperparameters for each in numbered) else "margins"
    return f"at {kind} {listed}, {which}"


def settings_listing(settings: Sequence[Settings]) -> str:
    """Each loss and its numbers: margin, temperature or base, and a reduction other than ``valid_mean``.

    >>> settings_listing([Settings(loss="info_nce", name="info_nce", hyperparameters={"temperature": 0.1})])
    'info_nce τ 0.1'
    """
    return ", ".join(f"{each.name}{_numbers(each)}" for each in settings)


def _numbers(settings: Settings) -> str:
    said = ""
    named: list[tuple[str, str]] = [("margin", ""), ("temperature", "τ "), ("base", "λ ")]
    if is_foreign(settings.name):  # what was searched of it, however it is called
        others = (name for name in settings.hyperparameters if name != "margin")
        named = [("margin", ""), *((name, f"{name.replace('_', ' ')} ") for name in others)]
    for name, mark in named:
        value = settings.hyperparameters.get(name)
        if isinstance(value, int | float) and math.isfinite(value):
            said += f" {mark}{value:g}"
    if settings.reduction not in (None, "valid_mean"):
        said += f" {str(settings.reduction).replace('_', ' ')}"
    return said


def untuned(settings: Sequence[Settings]) -> str:
    """A clause on the losses that were not tuned, after a semicolon; nothing where there are none.

    >>> own, other = (Settings(loss=name, name=name, tuned=name == "mine") for name in ("triplet", "mine"))
    >>> untuned([own]), untuned([own, other]), untuned([other])
    ('; the loss is untuned', '; triplet is untuned', '')
    """
    found = [each.loss for each in settings if each.tuned is False]
    if not found:
        return ""
    if len(found) == len(settings):
        return f"; the {'loss is' if len(found) == 1 else 'losses are'} untuned"
    return f"; {listing(found)} {be(len(found))} untuned"


def other_settings(settings: Sequence[Settings]) -> list[str]:
    """That other numbers of the losses would change an answer, where it is conditional on them."""
    phrase = settings_phrase(settings)
    what = "tuning" if any(each.tuned is False for each in settings) else "other settings"
    return [f"{what}, as all this is {phrase}"] if phrase else []


def edge(found: Edge) -> str:
    """A chosen number that lies on the edge of what was tried, in three digits.

    >>> edge(Edge(name="margin", value=0.3)), edge(Edge(name="margin", value=10 / 7))
    ('margin 0.3', 'margin 1.43')
    """
    return (
        f"{found.name} {found.value:.3g}" if isinstance(found.value, float) else f"{found.name} {found.value}"
    )


def at_start(start: str | None) -> str:
    """What a side is whose chosen epoch is 0.

    >>> at_start("whitened"), at_start("random")
    ('stopped at its start, whitened', 'stopped at its random start')
    """
    if start in (None, "random"):
        return f"stopped at its {'random ' if start else ''}start"
    return f"stopped at its start, {start}"


def training_adds_nothing(
    settings: Sequence[Settings], rows: Iterable[Comparison] = (), call: Callable[[str], str] = str
) -> list[str]:
    """A clause for each loss that training did not improve.

    It stopped at its start, as validation chose, or it is equivalent on test to the closed form that it
    started at. ``rows``: comparisons, the losses in them called as ``call`` says.

    >>> own = Settings(loss="triplet", name="triplet", tuned=True, start="whitened", stopped=True)
    >>> training_adds_nothing([own])
    ['triplet stopped at its start, whitened: training adds nothing']
    """
    equal = {frozenset((row.a, row.b)) for row in rows if row.verdict == "equivalent"}
    said = []
    for each in settings:
        name = call(each.loss)
        if each.stopped:
            said.append(f"{name} {at_start(each.start)}: training adds nothing")
        elif each.start is not None and frozenset((name, each.start)) in equal:
            said.append(f"{name} is equivalent to its start, {each.start}: training adds nothing")
    return said


def calls(settings: Sequence[Settings]) -> Callable[[str], str]:
    """How sentences call a side: by its name, or with its numbers where other validation would change them.

    >>> own = Settings(loss="triplet", name="triplet", hyperparameters={"margin": 0.1}, unsettled=True)
    >>> calls([own])("triplet"), calls([own])("raw")
    ('triplet at margin 0.1', 'raw')
    """
    known = {}
    for each, numbers in _unsettled(settings):
        told = listing(f"{name.replace('_', ' ')} {value:g}" for name, value in numbers)
        known[each.loss] = f"{each.loss} at {told}"
    return lambda name: known.get(name, name)


def exact_calls(settings: Sequence[Settings]) -> Callable[[str], str]:
    """How a headline calls a side: by its name, or as the loss is written with its numbers, as one word.

    The numbers are said of the losses of which ``calls`` says them.

    >>> own = Settings(loss="triplet", name="triplet", hyperparameters={"margin": 0.1}, unsettled=True)
    >>> exact_calls([own])("triplet"), exact_calls([own])("raw")
    ('triplet(margin=0.1)', 'raw')
    """
    known = {}
    for each, numbers in _unsettled(settings):
        if not is_foreign(each.name):
            told = ", ".join(f"{name}={value:g}" for name, value in numbers)
            known[each.loss] = f"{each.name}({told})"
    return lambda name: known.get(name, name)


def _unsettled(settings: Sequence[Settings]) -> Iterator[tuple[Settings, list[tuple[str, float]]]]:
    """The losses whose numbers other validation would change, with these numbers by name."""
    for each in settings:
        numbers = [
            (name, value)
            for name, value in each.hyperparameters.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        if each.unsettled and numbers:
            yield each, numbers
