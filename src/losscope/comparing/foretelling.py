"""What the shipped atlas foretells of a study's data, before anything trains. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from losscope.atlases import kept
from losscope.core.results import AtlasPrior

if TYPE_CHECKING:
    from losscope.comparing.planning import Plan


def foretold(made: Plan) -> AtlasPrior | None:
    """What the atlas of the package foretells of the data of a plan.

    None where it has too few data sets for the goal, or was not made as this study is: with these losses,
    tuned, of data that are there.
    """
    facts = made.source.facts
    if facts.pending or not made.tunes or not kept.SHIPPED.is_file():
        return None
    from losscope import stats
    from losscope.atlases.asking import of_source

    atlas, goal = kept.shipped(), made.study.given.goal
    if any(loss.name not in atlas.losses for loss in made.study.losses) or not stats.foretells(atlas, goal):
        return None
    return of_source(made.source, atlas, goal)
