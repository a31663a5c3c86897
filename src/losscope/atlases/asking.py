"""Asking an atlas about data: what it foretells of them before anything trains, and how far to trust it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from losscope import stats
from losscope.atlases.sketching import sketch
from losscope.core import wording
from losscope.core.results import Atlas, AtlasPrior
from losscope.data import Source


def asked(
    data: str | Path,
    *,
    atlas: Atlas,
    goal: str = "retrieval",
    data_root: str | Path | None = None,
    **options: Any,
) -> AtlasPrior:
    """What an atlas foretells of data; nothing is trained.

    Args:
        data: a registered data set or a path, as ``losscope.compare`` takes it.
        atlas: many data sets with the same losses on each.
        goal: what the losses are for.
        data_root: a folder with data sets in their original layouts; ``LOSSCOPE_DATA`` otherwise.
        **options: of the data set; ``backbone`` for a frozen backbone's features of it.

    Raises:
        LosscopeError: data that cannot be read, an unknown goal or option, or an atlas of too few data sets.
    """
    from losscope.features import load

    stats.check_prior(atlas, goal)
    return of_source(load(str(data), root=data_root, **options), atlas, goal)


def of_source(source: Source, atlas: Atlas, goal: str = "retrieval") -> AtlasPrior:
    """What an atlas foretells of data that are loaded.

    Raises:
        LosscopeError: an unknown goal, or an atlas of too few data sets for it.
    """
    made = stats.foretell(sketch(source), atlas, goal, name=source.facts.name, digest=source.digest)
    return made.model_copy(update={"said": wording.atlas_prior(made)})
