"""Measures by the names that people write: ``R@1``, ``mAP@R (%)``, ``TAR@FAR=1e-3``, ``test/recall_at_1``.

A name that is declared is taken as it is. Then come the names and labels of the declared quantities,
whatever their case, blanks and hyphens, then the table ``ALIASES``, then the field's own measures that
losscope does not take but can judge (``FAMILIES``).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from losscope.core.quantities import QUANTITIES, SPLITS, Quantity, unsplit

ALIASES: dict[str, tuple[str, ...]] = {
    "map_at_r": ("mapr", "map_r"),
    "r_precision": ("rp", "rprecision", "r_prec"),
    "eer": ("equal_error_rate",),
    "nmi": ("normalized_mutual_information", "normalised_mutual_information", "nmi_score"),
    "silhouette": ("silhouette_score",),
    "knn_accuracy": ("knn", "knn_acc", "k_nn_accuracy", "k_nn", "k_nn_acc", "knn_top1"),
    "linear_accuracy": ("linear", "linear_acc", "linear_probe", "linear_probe_accuracy", "linear_probing"),
    "map_audio_to_visual": ("map_a2v", "a2v_map", "audio_to_visual_map"),
    "map_visual_to_audio": ("map_v2a", "v2a_map", "visual_to_audio_map"),
}
"""Other names of our measures, folded."""

RANKED = re.compile(r"(?:r|recall|rank|cmc|hits?|hit_rate)(?:_at_|_top_?|_)?([0-9]+)")
"""Recall@k: whether an item of the query's class is among the k nearest."""
PRECISION = re.compile(r"(?:p|prec|precision)(?:_at_|_)?1")
"""Of one neighbour, precision and recall in this sense are the same."""
ACCEPTS = re.compile(
    r"(?:tar|tpr|gar|vr)[\s_@]*(?:at[\s_]*)?(?:far|fpr|fmr)?[\s_=:@]*"
    r"([0-9]+(?:\.[0-9]*)?(?:e[-+]?[0-9]+)?)[\s_]*(%?)"
)
"""The true accept rate at a false accept rate."""

FAMILIES = (
    (RANKED, "Recall@{}"),
    (re.compile(r"(?:p|prec|precision)(?:_at_|_)([0-9]+)"), "Precision@{}"),
    (re.compile(r"(?:m_?ap|mean_average_precision)(?:_at_|_)([0-9]+)"), "mAP@{}"),
    (re.compile(r"m_?ap|mean_average_precision"), "mAP"),
    (re.compile(r"(?:acc|accuracy|top)(?:_at_|_top_?|_)?([0-9]+)(?:_acc|_accuracy)?"), "accuracy@{}"),
    (re.compile(r"acc|accuracy"), "accuracy"),
    (re.compile(r"n?dcg(?:_at_|_)([0-9]+)"), "NDCG@{}"),
    (re.compile(r"mrr(?:_at_|_)([0-9]+)"), "MRR@{}"),
    (re.compile(r"mrr|mean_reciprocal_rank"), "MRR"),
    (re.compile(r"(?:roc_?)?auc|auroc"), "AUC"),
    (re.compile(r"f1|f1_score"), "F1"),
    (re.compile(r"ami|adjusted_mutual_information"), "AMI"),
)
"""Measures of the field that losscope does not take: shares of which more is better."""


@dataclass(frozen=True)
class Named:
    """What a written name of a measure means.

    Attributes:
        name: the measure, with its split where the name says one.
        percent: whether the name says that the values are percentages.
        own: the quantity to declare where it is none of losscope's.
    """

    name: str
    percent: bool = False
    own: Quantity | None = None


def folded(name: str) -> str:
    """A name without case, blanks, hyphens and signs, so that spellings of one name are equal.

    >>> folded("Recall@1"), folded("mAP audio→visual"), folded(" k-NN accuracy ")
    ('recall_at_1', 'map_audio_to_visual', 'k_nn_accuracy')
    """
    text = name.casefold().replace("→", " to ").replace("@", "_at_")
    return re.sub(r"[\s_\-./:]+", "_", text).strip("_")


PERCENT = re.compile(
    r"\s*(?:[(\[]\s*(?:%|in %|percent|in percent)\s*[)\]]|%|_percent|_pct)\s*$", re.IGNORECASE
)
PART = re.compile(r"^(test|eval|val|valid|validation|train|training)[/_.\s]+(?=.)", re.IGNORECASE)
PARTS = {"val": "validation", "valid": "validation", "training": "train", "eval": "test"}


def meant(written: str) -> Named | None:
    """The measure that a written name means, or None.

    >>> meant("R@1 (%)")
    Named(name='recall_at_1', percent=True, own=None)
    >>> meant("val/mAP@R").name, meant("tar@far=0.1%").name, meant("mAP@10").own.better
    ('map_at_r@validation', 'tar_at_far_1e3', 'higher')
    >>> meant("agreement")
    """
    written = written.strip()
    if unsplit(written)[0] in QUANTITIES:
        return Named(written)
    found = _meant(written)
    if found is not None:
        return found
    shorter = PERCENT.sub("", written)
    if shorter != written and (found := _meant(shorter)) is not None:
        return Named(found.name, True, found.own)
    return None


def _meant(written: str) -> Named | None:
    base, split = unsplit(written)
    part = PART.match(base)
    candidates = [(base, split)]
    if part is not None and not split:
        word = part[1].casefold()
        candidates.append((base[part.end() :], PARTS.get(word, word)))
    for text, side in candidates:
        name = _ours(text)
        own = None if name is not None else _of_the_field(text)
        name = own.name if own is not None else name
        if name is not None:
            assert side in ("", *SPLITS)
            return Named(name if side in ("", "test") and not split else f"{name}@{side}", own=own)
    return None


def _ours(text: str) -> str | None:
    if text in QUANTITIES:
        return text
    short = folded(text)
    spoken = {name for name, known in QUANTITIES.items() if short in (folded(name), folded(known.label))} or {
        name for name, others in ALIASES.items() if short in others
    }
    if len(spoken) == 1:
        return next(iter(spoken))
    ranked = RANKED.fullmatch(short)
    if ranked and f"recall_at_{ranked[1]}" in QUANTITIES:
        return f"recall_at_{ranked[1]}"
    if PRECISION.fullmatch(short):
        return "recall_at_1"
    rate = _rate(text)
    known_rates = {1e-2: "tar_at_far_1e2", 1e-3: "tar_at_far_1e3"}
    return next((name for at, name in known_rates.items() if rate and math.isclose(at, rate)), None)


def _rate(text: str) -> float | None:
    """The false accept rate that a name says."""
    found = ACCEPTS.fullmatch(text.strip().casefold())
    rate = None if found is None else float(found[1]) / (100 if found[2] else 1)
    return rate if rate is not None and 0 < rate < 1 else None


def _of_the_field(text: str) -> Quantity | None:
    rate = _rate(text)
    short = folded(text)
    name = None if rate is None else f"TAR@FAR={rate:g}"
    for pattern, form in FAMILIES:
        if name is None and (found := pattern.fullmatch(short)):
            name = form.format(*found.groups())
    if name is None:
        return None
    return Quantity(
        name, "of the field, not measured by losscope", "share", "higher", "difference", label=name
    )
