"""Tables of atlases that are kept: the one shipped with the package, a store's own, and any file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from losscope.core.bounds import regular
from losscope.core.errors import LosscopeError, require, shown
from losscope.core.results import Atlas
from losscope.core.wording import listing
from losscope.run.folders import ATLAS

SHIPPED = Path(__file__).with_name("atlas.json")
FILE = f"{ATLAS}/atlas.json"
PAGE = f"{ATLAS}/report.html"
OURS = "shipped"
"""What stands for the table of the package among files."""


@cache
def shipped() -> Atlas:
    """The atlas of the package."""
    return Atlas.from_json(SHIPPED.read_text(encoding="utf-8"), "the atlas of the package")


def read(path: str | Path) -> Atlas:
    """An atlas from a file, or from the store in a folder.

    Raises:
        LosscopeError: there is none, or it cannot be read.
    """
    given = file = Path(path)
    if given.is_dir():
        inside = given / Path(FILE).name  # of the folder that the table and its page lie in
        file = inside if inside.is_file() else given / FILE
    require(
        file.exists(),
        f"there is no atlas at {shown(str(path))}; wanted: the atlas.json of an atlas, or the folder that "
        "losscope atlas --make --out has written",
    )
    regular(file)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise LosscopeError(f"the atlas {shown(str(path))} cannot be read: {why}") from None
    return Atlas.from_json(text, f"the atlas {shown(str(path))}")


def of(files: Iterable[str | Path] = ()) -> Atlas:
    """The shipped atlas, or that of a file, or of several files put together; ``shipped`` names ours.

    Raises:
        LosscopeError: a file that is no atlas, or atlases of different losses.
    """
    tables = [shipped() if str(file) == OURS else read(file) for file in files]
    return together(tables) if tables else shipped()


def together(tables: Sequence[Atlas]) -> Atlas:
    """Atlases of the same losses as one; of two entries of one name the later one counts.

    Raises:
        LosscopeError: they are of different losses.
    """
    first, *others = tables
    for other in others:
        require(
            set(other.losses) == set(first.losses),
            f"an atlas of {listing(first.losses)} and one of {listing(other.losses)} cannot be put together; "
            "wanted: atlases of the same losses",
        )
    entries = {entry.name: entry for table in tables for entry in table.entries}
    lacking = {own.name: own for table in tables for own in table.left_out if own.name not in entries}
    update = {"entries": tuple(entries.values()), "left_out": tuple(lacking.values())}
    return first.model_copy(update=update)
