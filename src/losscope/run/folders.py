"""The folders of a store in which every document has a folder of its own, by its name."""

from __future__ import annotations

REPRODUCTIONS = "reproductions"
ACROSS = "across"
"""Of answers over several data sets."""
MULTIVERSES = "multiverses"
OVER_STUDIES = {
    REPRODUCTIONS: "run losscope reproduce again with this folder",
    ACROSS: "run losscope compare again on its data sets with this folder",
    MULTIVERSES: "run losscope multiverse again with this folder",
}
"""What stands over several studies or runs, each with what makes it again."""
NAMED = ("studies", *OVER_STUDIES)
ATLAS = "atlas"
"""The folder of a store's one table of many data sets."""
