"""What a multiverse will cost and is made of, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from losscope.core.results import WorldPlan
from losscope.core.wording.multiverses import chosen
from losscope.core.wording.numbers import count, listing
from losscope.core.wording.work import duration


def price(worlds: Sequence[WorldPlan], seeds: int, left: int, seconds: float, cores: int) -> str:
    """How many settings and runs a multiverse has, and how long what is left of it takes.

    >>> own = WorldPlan(data="synthetic", claims=("retrieval",), settings=61, cells=21, populations=42,
    ...                 runs=549, runs_left=549, seconds=600)
    >>> price([own], 3, 549, 330, 2)
    '60 settings and the original in 21 cells, 3 seeds each, on synthetic: 549 runs in 42 populations, 0 \
stored; about 6 min on 2 cores, by a few populations tried on this machine.'
    """
    first = worlds[0]
    runs = sum(own.runs for own in worlds)
    populations = sum(own.populations for own in worlds)
    on = f"{'each of ' if len(worlds) > 1 else ''}{'; '.join(own.data for own in worlds)}"
    work = (
        f"{count(first.settings - 1, 'setting')} and the original in {count(first.cells, 'cell')}, "
        f"{count(seeds, 'seed')} each, on {on}: {count(runs, 'run')} in {count(populations, 'population')}"
    )
    if not left:
        return f"{work}, all stored."
    time = f"about {duration(max(1, seconds))} on {count(cores, 'core')}"
    return f"{work}, {runs - left:,} stored; {time}, by a few populations tried on this machine."


def seeds_unused(given: int, used: int) -> str:
    """That a study's own number of seeds is not that of each of many settings.

    >>> seeds_unused(10, 3)
    'the 10 seeds of the study are not used: each setting has 3; --seeds (seeds=) gives another number'
    """
    return (
        f"the {count(given, 'seed')} of the study are not used: each setting has {used}; --seeds (seeds=) "
        "gives another number"
    )


def described(data: Iterable[str], settings: int, seeds: int) -> str:
    """What a multiverse was made of."""
    return f"{'; '.join(data)}: {count(settings, 'setting')}, {count(seeds, 'seed')} each"


def named(value: object) -> str:
    """A level of an axis as a table shows it.

    >>> named(0.05), named(128), named("valid_mean"), named(False)
    ('0.05', '128', 'valid mean', 'no')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return chosen(value) if isinstance(value, int | float) else str(value).replace("_", " ")


def own_setting(settings: int) -> str:
    """How settings are counted.

    >>> own_setting(500)
    'Beside the 500 settings of the sample stands the original one; it counts in no share.'
    """
    return f"Beside the {settings:,} settings of the sample stands the original one; it counts in no share."


def luck(loss: str) -> str:
    """What stands beside the shares."""
    return (
        f"What luck alone gives is told by one loss under both names, {loss}: the same settings and data, "
        "with other weights and batches."
    )


def without_value(claims: Sequence[str]) -> str:
    """That some claims could not be read in any setting.

    >>> without_value(["retrieval on digits"])
    'No setting has a value for retrieval on digits.'
    """
    return f"No setting has a value for {listing(claims)}."
