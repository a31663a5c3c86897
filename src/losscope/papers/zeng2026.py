"""The claims of the follow-up study, Zeng 2026: seven losses on frozen features with a 128-D head.

A claim about a group of losses holds only if it does for each pair of them (``Evidence.all_of``).
"""

from __future__ import annotations

from itertools import product

from losscope.core.registry import register
from losscope.papers.evidence import Direction, Evidence, Stated
from losscope.papers.zeng2025 import EARLY

LOSSES = ("contrastive", "triplet", "n_pair", "info_nce", "arcface", "sup_con", "center_contrastive")
DETAILED = ("triplet", "sup_con")
COMPACT = ("contrastive", "info_nce")


def _each(
    evidence: Evidence,
    some: tuple[str, ...],
    direction: Direction,
    others: tuple[str, ...],
    measure: str,
    during: tuple[float, float] | None = None,
) -> Stated | None:
    """Each of some losses is higher (or lower) than each of the others."""
    return evidence.all_of(
        [evidence.claim(a, direction, b, measure, during=during) for a, b in product(some, others)]
    )


def _but(*names: str) -> tuple[str, ...]:
    return tuple(name for name in LOSSES if name not in names)


@register(
    "claim",
    "seven-variance",
    paper="zeng2026",
    statement="Triplet and SupCon keep more within-class variance than Contrastive and InfoNCE",
    source="Zeng 2026, on fine-grained data",
    data=("cub200", "cars196"),
    measure="intra_variance",
)
def seven_variance(evidence: Evidence) -> Stated | None:
    """Triplet and SupCon each keep more within-class variance than Contrastive and InfoNCE."""
    return _each(evidence, DETAILED, "higher", COMPACT, "intra_variance")


@register(
    "claim",
    "seven-triplet-wins",
    paper="zeng2026",
    statement="Triplet retrieves better than every loss but SupCon (Recall@1)",
    source="Zeng 2026, on fine-grained data",
    data=("cub200", "cars196"),
    measure="recall_at_1",
)
def seven_triplet_wins(evidence: Evidence) -> Stated | None:
    """Triplet has a higher Recall@1 than each of the losses other than SupCon."""
    return _each(evidence, ("triplet",), "higher", _but(*DETAILED), "recall_at_1")


@register(
    "claim",
    "seven-supcon-wins",
    paper="zeng2026",
    statement="SupCon retrieves better than every loss but Triplet (Recall@1)",
    source="Zeng 2026, on fine-grained data",
    data=("cub200", "cars196"),
    measure="recall_at_1",
)
def seven_supcon_wins(evidence: Evidence) -> Stated | None:
    """SupCon has a higher Recall@1 than each of the losses other than Triplet."""
    return _each(evidence, ("sup_con",), "higher", _but(*DETAILED), "recall_at_1")


@register(
    "claim",
    "seven-compact",
    paper="zeng2026",
    statement="Contrastive and InfoNCE make compacter classes than Triplet and SupCon",
    source="Zeng 2026; by intra/inter²",
    data=("cub200", "cars196", "cifar10", "fashion_mnist"),
    measure="intra_inter_ratio",
)
def seven_compact(evidence: Evidence) -> Stated | None:
    """Contrastive and InfoNCE each have a smaller intra/inter² than Triplet and SupCon."""
    return _each(evidence, COMPACT, "lower", DETAILED, "intra_inter_ratio")


@register(
    "claim",
    "seven-quick",
    paper="zeng2026",
    statement="Contrastive and InfoNCE are quicker than Triplet and SupCon",
    source="Zeng 2026; by the epoch at 90 % of the gain in validation MAP@R",
    data=("cub200", "cars196", "cifar10", "fashion_mnist"),
    measure="epochs_to_90_quality",
    timing=True,
)
def seven_quick(evidence: Evidence) -> Stated | None:
    """Contrastive and InfoNCE each reach 90 % of their quality before Triplet and SupCon."""
    return _each(evidence, COMPACT, "lower", DETAILED, "epochs_to_90_quality")


@register(
    "claim",
    "seven-small-updates",
    paper="zeng2026",
    statement="Contrastive and InfoNCE make smaller updates early than Triplet and SupCon",
    source="Zeng 2026; the norm of an update in the first tenth of training",
    data=("cub200", "cars196", "cifar10", "fashion_mnist"),
    measure="update_norm",
)
def seven_small_updates(evidence: Evidence) -> Stated | None:
    """Contrastive's and InfoNCE's early updates are each smaller than Triplet's and SupCon's."""
    return _each(evidence, COMPACT, "lower", DETAILED, "update_norm", EARLY)


@register(
    "claim",
    "seven-many-updates",
    paper="zeng2026",
    statement="Contrastive and InfoNCE learn from more samples at once early than Triplet and SupCon",
    source="Zeng 2026; the effective active share in the first tenth of training",
    data=("cub200", "cars196", "cifar10", "fashion_mnist"),
    measure="effective_active",
)
def seven_many_updates(evidence: Evidence) -> Stated | None:
    """Contrastive's and InfoNCE's early effort is each spread over more samples."""
    return _each(evidence, COMPACT, "higher", DETAILED, "effective_active", EARLY)


@register(
    "claim",
    "seven-n-pair-large",
    paper="zeng2026",
    statement="N-pair separates the class means more than every other loss",
    source="Zeng 2026",
    data=("cub200", "cars196", "cifar10", "fashion_mnist"),
    measure="inter_distance",
)
def seven_n_pair_large(evidence: Evidence) -> Stated | None:
    """N-pair has the largest inter-class distance of the seven."""
    return _each(evidence, ("n_pair",), "higher", _but("n_pair"), "inter_distance")


@register(
    "claim",
    "seven-n-pair-uneven",
    paper="zeng2026",
    statement="N-pair's separation is less even than every other loss's",
    source="Zeng 2026",
    data=("cub200", "cars196", "cifar10", "fashion_mnist"),
    measure="inter_distance_std",
)
def seven_n_pair_uneven(evidence: Evidence) -> Stated | None:
    """N-pair's distances between class means vary the most of the seven."""
    return _each(evidence, ("n_pair",), "higher", _but("n_pair"), "inter_distance_std")
