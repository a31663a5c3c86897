"""Which files of a folder are read; what tools left there is passed over, and counted."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from losscope.core.errors import LosscopeError, require
from losscope.data.base import TEST, TRAIN, VALIDATION, LeftOut
from losscope.data.readers.pictures import SUFFIXES
from losscope.data.readers.sounds import SOUNDS
from losscope.data.roles import role_of
from losscope.data.searching import WORDS

TOOLS = (
    "__macosx",
    "@eadir",
    "lost+found",
    "__pycache__",
    "$recycle.bin",
    "system volume information",
    "#recycle",
    "#snapshot",
    "@recycle",
)
"""Folders that systems and tools make, in lower case; those that begin with a dot are passed over too."""
SYSTEM = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")
"""Files that systems make, in lower case; those that begin with a dot (AppleDouble's too) are passed over."""
UNLABELLED, QUERY, GALLERY = "unlabelled", "query", "gallery"
OTHER_SPLITS = {
    "unlabeled": UNLABELLED,
    "unlabelled": UNLABELLED,
    "unsup": UNLABELLED,
    "unsupervised": UNLABELLED,
    "query": QUERY,
    "queries": QUERY,
    "probe": QUERY,
    "gallery": GALLERY,
}
"""Names of folders that are neither training nor validation nor plain test."""
PARTS = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
_AFFIXES = re.compile(r"[\s_.-]*(set|split|images|data)?[\s_.-]*((19|20)\d\d)?$")


def split_named(folder: str) -> str | None:
    """The word for the split that a folder's name means, or None for every other name.

    Names of two letters are none: languages have such names. Nor are words that only a column can mean so,
    such as index and junk.

    >>> split_named("Train2017"), split_named("test_set"), split_named("cats"), split_named("tr")
    ('train', 'test', None, None)
    """
    word = folder.strip().lower().removeprefix("bounding_box_")
    for name in (word, _AFFIXES.sub("", word)):
        if name in OTHER_SPLITS:
            return OTHER_SPLITS[name]
        part = role_of(name) if len(name) > 2 and name not in WORDS else None
        if part is not None:
            return PARTS[part]
    return None


def passed_over(folder: str) -> bool:
    """Whether a folder of this name is hidden or made by a tool or a system."""
    return folder.startswith(".") or folder.lower() in TOOLS


@dataclass
class Walked:
    """The images and sounds below a folder, in the order of their paths, and what was passed over.

    ``places`` are the files' folders, as names from the top; ``folders`` all folders that were looked into.
    """

    top: Path
    files: list[Path] = field(default_factory=list)
    places: list[tuple[str, ...]] = field(default_factory=list)
    folders: list[tuple[str, ...]] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    system: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    links: int = 0

    def left_out(self) -> list[LeftOut]:
        """What was passed over, counted."""
        counts = ", ".join(f"{count:,} {suffix}" for suffix, count in self.others.most_common(4))
        more = ", …" if len(self.others) > 4 else ""
        found = [
            LeftOut(len(self.tools), "folders", f"hidden or made by tools ({_examples(self.tools)})"),
            LeftOut(len(self.system), "files", f"hidden or made by the system ({_examples(self.system)})"),
            LeftOut(self.others.total(), "files", f"neither images nor sounds ({counts}{more})"),
            LeftOut(self.links, "links", "to folders that are read already"),
        ]
        return [part for part in found if part.count]

    def keep(self, kept: Sequence[bool]) -> None:
        """Only the files for which ``kept`` is true."""
        self.files = [file for file, keep in zip(self.files, kept, strict=True) if keep]
        self.places = [place for place, keep in zip(self.places, kept, strict=True) if keep]


def _examples(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(name.strip() for name in names))
    return ", ".join(distinct[:3]) + (", …" if len(distinct) > 3 else "")


def walked(top: Path) -> Walked:
    """All images and sounds below a folder; links to folders are followed, but none in a circle.

    Raises:
        LosscopeError: a class folder is a link to a folder that it lies in.
    """
    found = Walked(top)
    _walk(found, top, (), [os.path.realpath(top)], set())
    order = sorted(range(len(found.files)), key=lambda place: found.files[place].parts)
    found.files = [found.files[place] for place in order]
    found.places = [found.places[place] for place in order]
    return found


CLASS_DEPTH = 2
"""Links at most so deep, to split or class folders, are followed even to a folder that is read elsewhere."""


def _walk(found: Walked, here: Path, place: tuple[str, ...], chain: list[str], linked: set[str]) -> None:
    """Add what lies in one folder; ``chain`` are the real paths of the folders that lead here."""
    try:
        with os.scandir(here) as entries:
            every = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise LosscopeError(f"cannot read the folder {str(here)!r}: {error.strerror}") from None
    for entry in every:
        name = entry.name
        inner = (*place, name)
        if _is_folder(entry):
            if passed_over(name):
                found.tools.append(name)
                continue
            real = os.path.realpath(entry.path)
            if entry.is_symlink():
                loop = real in chain
                require(
                    not (loop and len(inner) == 1),
                    f"{entry.path!r} is a link to a folder that it lies in itself; remove the link",
                )
                if loop or (real in linked and len(inner) > CLASS_DEPTH):
                    found.links += 1
                    continue
                linked.add(real)
            found.folders.append(inner)
            _walk(found, here / name, inner, [*chain, real], linked)
        elif name.startswith(".") or name.lower() in SYSTEM:
            found.system.append(name)
        elif (suffix := os.path.splitext(name)[1].lower()) in SUFFIXES or suffix in SOUNDS:
            found.files.append(here / name)
            found.places.append(place)
        else:
            found.others[suffix or "without suffix"] += 1


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder; a link that leads to itself is a file, which cannot be read."""
    try:
        return entry.is_dir()
    except OSError:
        return False
