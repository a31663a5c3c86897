"""The BibTeX of losscope and of what its losses, closed forms and measures come from.

The entries stand in ``references.bib``. The field ``of`` of an entry names its items, as ``loss/triplet``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("references.bib")

_MEDIANS = ("median_rank_audio_to_visual", "median_rank_visual_to_audio")
_ACROSS = (
    *(f"recall_at_{k}_{way}" for k in (1, 5, 10) for way in ("audio_to_visual", "visual_to_audio")),
    "recall_at_1_across",
)
WITHOUT: dict[str, str] = {
    **dict.fromkeys(
        (f"quantity/{name}" for name in (*_MEDIANS, *_ACROSS)),
        "Recall@k and ranks as usual across modalities",
    ),
    **dict.fromkeys(
        ("quantity/knn_accuracy", "quantity/linear_accuracy", "quantity/nmi"),
        "textbook classification and clustering",
    ),
    **dict.fromkeys(
        ("quantity/eer", "quantity/tar_at_far_1e2", "quantity/tar_at_far_1e3"), "textbook verification"
    ),
    **dict.fromkeys(
        (
            f"quantity/{name}"
            for name in (
                *("intra_variance", "intra_variance_std", "inter_distance", "inter_distance_std"),
                *("intra_inter_ratio", "intra_variance_audio", "intra_variance_visual"),
                *("fine_recall_at_1", "fine_variance_share", "threshold_spread"),
            )
        ),
        "defined in losscope's definitions",
    ),
}
"""Items without a source of their own, and why."""


@dataclass(frozen=True)
class Reference:
    """An entry: its key, its BibTeX text, and the items that come from it."""

    key: str
    text: str
    of: tuple[str, ...]


@cache
def references() -> dict[str, Reference]:
    """Every entry by its key, in the order of the file."""
    made = {}
    for text in re.findall(r"^@\w+\{.*?^\}$", FILE.read_text(encoding="utf-8"), flags=re.S | re.M):
        key = text.split("{", 1)[1].split(",", 1)[0]
        found = re.search(r"^  of = \{(.*?)\},\n", text, flags=re.S | re.M)
        of = tuple(re.split(r",\s*", found[1])) if found else ()
        # the field is ours and means nothing to others
        made[key] = Reference(key, text.replace(found[0], "") if found else text, of)
    return made


def keys_of(cited: str) -> tuple[str, ...]:
    """The keys of what is cited: an item such as ``loss/triplet``, or a key; none where it has no entry.

    >>> keys_of("loss/proxy_nca"), keys_of("losscope"), keys_of("loss/mine")
    (('movshovitz2017', 'teh2020'), ('losscope',), ())
    """
    known = references()
    return (cited,) if cited in known else tuple(key for key, found in known.items() if cited in found.of)


def bibtex(cited: Iterable[str] | None = None) -> str:
    """The BibTeX of what is cited, in the order of the file; of everything where nothing is given.

    >>> print(bibtex(["loss/sup_con"]).splitlines()[0])
    @inproceedings{khosla2020,
    """
    known = references()
    wanted = set(known) if cited is None else {key for name in cited for key in keys_of(name)}
    return "\n\n".join(found.text for key, found in known.items() if key in wanted) + "\n"
