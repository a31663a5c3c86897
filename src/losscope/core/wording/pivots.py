"""How each side stands beside the one that the others are tested against, in a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from losscope.core.results import Comparison, Result
from losscope.core.wording.comparisons import turned, verdict_word
from losscope.core.wording.numbers import be, count, listing, percent


@dataclass(frozen=True)
class Beside:
    """The side that others are held against, and of each of these what was shown.

    ``pivot``: empty where nothing was tested. ``words``: of a side, such as ``worse``; sides that were not
    tested against the pivot have none. ``rows``: of a side, the test, told from that side.
    """

    pivot: str
    words: Mapping[str, str]
    rows: Mapping[str, Comparison]


def beside(result: Result) -> Beside:
    """How the sides stand beside the candidate, or else beside the answer, or the reference.

    Beside the answer only where every other side was tested against it.
    """
    made = result.recommendation
    rows = [row for row in result.verdicts() if row.measure == made.measure] or list(result.verdicts())
    tested = {name for row in rows for name in (row.a, row.b)}
    held = {name for row in rows if made.loss in (row.a, row.b) for name in (row.a, row.b)}
    answer = made.loss if held == tested else None
    firsts = (name for row in rows[:1] for name in (row.b, row.a))
    asked = (made.candidate, answer, made.reference, *firsts)
    pivot = next((name for name in asked if name in tested), "")
    own = {
        (row.b if row.a == pivot else row.a): turned(row) if row.a == pivot else row
        for row in rows
        if pivot in (row.a, row.b)
    }
    return Beside(pivot, {name: _word(row) for name, row in own.items()}, own)


def shared_error(row: Comparison) -> str:
    """Why the level of a test is not the usual 95 %; nothing where it is.

    The level of the first look is .96 (docs/definitions.md, "Looks").
    """
    return "" if abs(row.alpha - 0.05) < 1e-9 else "all looks at these data share 5 % of error"


def how_to_read(found: Beside) -> tuple[str, ...]:
    """What the words beside the sides mean: beside whom, at which level, and what open is."""
    if not found.pivot:
        return ()
    head = f"Verdicts: beside {found.pivot}, the reference"
    row = next((row for row in found.rows.values() if row.low is not None), None)
    if row is not None and (why := shared_error(row)):
        head += f", by {percent(1 - row.alpha)} intervals of the differences, since {why}"
    unresolved = {name: row for name, row in found.rows.items() if found.words[name] == "open"}
    if not unresolved:
        return (f"{head}.",)
    said = "Open: neither a difference nor equality is shown"
    near = [name for name, row in unresolved.items() if row.undecided == "corrected_outside"]
    if near:
        tests = count(unresolved[near[0]].tests_in_family or 1, "test")
        said += f"; {listing(near)} {be(len(near))} probably equivalent, but not once corrected for {tests}"
    return f"{head}.", f"{said}."


def _word(row: Comparison) -> str:
    """The verdict, and whether the whole interval lies inside what does not matter: ``slightly worse``."""
    word = verdict_word(row)
    ends = (row.low, row.high)
    small = all(end is not None and abs(end) <= row.delta for end in ends)
    return f"slightly {word}" if small and word in ("better", "worse") else word
