"""``losscope.atlas`` as Python calls it: the table, or what it foretells of data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from losscope.atlases import kept
from losscope.core.errors import require, unknown
from losscope.core.quantities import GOALS
from losscope.core.results import Atlas, AtlasPrior


@overload
def atlas(
    data: None = None, *, goal: str = ..., files: Sequence[str | Path] = ..., data_root: None = None
) -> Atlas: ...


@overload
def atlas(
    data: str | Path,
    *,
    goal: str = ...,
    files: Sequence[str | Path] = ...,
    data_root: str | Path | None = ...,
    **options: Any,
) -> AtlasPrior: ...


def atlas(
    data: str | Path | None = None,
    *,
    goal: str = "retrieval",
    files: Sequence[str | Path] = (),
    data_root: str | Path | None = None,
    **options: Any,
) -> Atlas | AtlasPrior:
    """The same losses on many data sets; or what they foretell of your data, without training anything.

    Args:
        data: a registered data set or a path, of which is foretold; none for the atlas itself.
        goal: what the losses are for.
        files: tables of other atlases (``atlas.json``, or the folder of ``losscope atlas --make --out``),
            put together; ``"shipped"`` names the one of the package, which is taken where none is given.
        data_root: a folder with data sets in their original layouts; ``LOSSCOPE_DATA`` otherwise.
        **options: of the data set.

    Returns:
        An ``Atlas``; of data an ``AtlasPrior``, whose ``said`` are the sentences that the command prints.

    Raises:
        LosscopeError: a file that is no atlas, atlases of different losses, an unknown goal, data that cannot
            be read, or an atlas of too few data sets to foretell anything.

    >>> "triplet" in atlas().losses
    True
    """
    if goal not in GOALS:
        raise unknown("goal", goal, GOALS)
    given = [files] if isinstance(files, str | Path) else list(files)
    table = kept.of(given)
    if data is None:
        more = [*options, *(["data_root"] if data_root is not None else [])]
        require(not more, f"{', '.join(more)} is of data, and none are given; wanted: atlas(DATA, …)")
        return table
    from losscope.atlases.asking import asked

    return asked(data, atlas=table, goal=goal, data_root=data_root, **options)
