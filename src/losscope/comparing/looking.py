"""How often the test split of a study's data has been looked at, in the store that keeps its runs.

A look is what was tested: which runs, of which seeds, for which goal, against which reference. The same
again, under whatever name, is the same look; another loss, goal, setting or number of seeds is one more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from losscope import stats
from losscope.comparing.stored import StoredStudy
from losscope.core import wording
from losscope.core.errors import LosscopeError
from losscope.run.looks import Look, history_of, number
from losscope.run.store import Store

if TYPE_CHECKING:
    from losscope.comparing.planning import Plan


def count(made: Plan) -> int:
    """The look at its data that this study is, counted now."""
    return made.store.look(history_of(made.source.digest), _tested(made))


def foreseen(made: Plan) -> int:
    """The look that this study would be; nothing is counted.

    Raises:
        Damaged: the count is not what was written.
    """
    return number(_before(made), _tested(made))


def said(made: Plan, look: int) -> str | None:
    """A sentence on the looks before this one, None for the first."""
    before = [str(past.get("said", "")) for past in _before(made)[: look - 1]]
    return wording.looks(look, before, stats.alpha_of(look)) if before else None


def judged(
    store: Store,
    kept: StoredStudy,
    goal: str,
    measure: str | None,
    reference: str | None,
    indifference: float | None = None,
) -> int:
    """The look that other verdicts on a stored study's runs are, counted where the store can be written."""
    if kept.data.digest is None:
        return kept.look + 1
    history, first = history_of(kept.data.digest), kept.study.first_seed
    seeds = range(first, first + kept.study.seeds)
    labels = [choice.label for choice in kept.losses]
    asked = [goal, reference, measure, *([] if indifference is None else [str(indifference)])]
    tested = _of(kept.name, kept.runs, seeds, asked, labels)
    try:
        return store.look(history, tested)
    except LosscopeError:  # a store that cannot be written counts nothing
        return number(store.looks(history, kept.name), tested)


def _before(made: Plan) -> list[dict[str, Any]]:
    return made.store.looks(history_of(made.source.digest), made.name)


def _tested(made: Plan) -> Look:
    given = made.study.given
    asked = [given.goal, given.reference, *([] if given.indifference is None else [str(given.indifference)])]
    return _of(made.name, made.ids, made.study.seeds, asked, [choice.label for choice in made.choices])


def _of(
    study: str, runs: Sequence[str], seeds: Sequence[int], asked: Sequence[str | None], labels: Sequence[str]
) -> Look:
    text = json.dumps([sorted(set(runs)), *asked])
    what = f"{wording.listing(labels)} for {asked[0]} over {wording.count(len(seeds), 'seed')}"
    return Look(tuple(seeds), hashlib.sha256(text.encode()).hexdigest()[:16], what, study)
