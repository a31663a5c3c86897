"""Which settings give the published numbers, in sentences."""

from __future__ import annotations

from losscope.core.results import Matches, NearSetting, NumberMatch
from losscope.core.wording.multiverses import axis
from losscope.core.wording.numbers import brief, count, label


def number(found: NumberMatch) -> str:
    """What a published number is of: ``contrastive's epochs to 90 %``.

    >>> number(NumberMatch(loss="triplet", measure="epochs_to_90", value=43, inside=0, matches=0))
    "triplet's epochs to 90 %"
    """
    if found.over is not None:
        return f"{label(found.measure)} of {found.loss} over {found.over}"
    return f"{found.loss}'s {label(found.measure)}"


def of_number(found: NumberMatch, settings: int) -> str:
    """How many settings give one number, and how many chance would.

    >>> own = NumberMatch(loss="triplet", measure="epochs_to_90", value=43, inside=40, matches=3, chance=2.2)
    >>> of_number(own, 500)
    "triplet's epochs to 90 %, 43 in the paper: 3 of 500 settings match (40 before asking for a narrow \
interval; about 2.2 would by chance)."
    """
    wide = f"{found.inside:,} before asking for a narrow interval"
    chance = "" if found.chance is None else f"; about {brief(found.chance)} would by chance"
    return (
        f"{number(found)}, {brief(found.value)} in the paper: {found.matches:,} of "
        f"{count(settings, 'setting')} match{'es' if found.matches == 1 else ''} ({wide}{chance})."
    )


def together(found: Matches) -> str:
    """Whether any setting gives all the numbers at once."""
    numbers, settings = len(found.numbers), count(found.settings, "setting")
    chance = f"about {brief(found.chance)} would by chance"
    if not found.together:
        return f"None of {settings} gives all {numbers} published numbers at once; {chance}."
    return f"{found.together:,} of {settings} give all {numbers} published numbers at once; {chance}."


def nearest(found: Matches, near: NearSetting) -> str:
    """The setting nearest to all numbers, and how far it is."""
    worst = found.numbers[near.worst]
    mean = near.means[near.worst]
    gives = "never gets there" if mean is None else f"gives {brief(mean)}"
    named = "the original setting" if near.id == "paper" else f"setting {near.id}"
    return (
        f"The nearest, {named}, is off by a factor of {near.off:.2f} at most ({number(worst)}: "
        f"it {gives}, {brief(worst.value)} in the paper) and matches {near.matched:,} of "
        f"{len(found.numbers)}."
    )


def choices(near: NearSetting) -> str:
    """The choices of a setting, in a row."""
    return ", ".join(f"{axis(name).removeprefix('the ')} {value}" for name, value in near.choices.items())


def summary(found: Matches) -> tuple[str, ...]:
    """What the match with the published numbers came to."""
    said = [together(found)]
    if found.nearest:
        said += [nearest(found, found.nearest[0]), f"Its choices: {choices(found.nearest[0])}."]
    return (*said, *(of_number(own, found.settings) for own in found.numbers))
