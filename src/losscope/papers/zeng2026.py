"""The follow-up study, Zeng 2026: seven losses on frozen features with a 128-D head.

Under the paper's protocol Adam at 1e-4, 100 epochs, batches of 512 and all tuples. Images go through a
backbone, only at full size, and then as many as a CPU can take.
"""

from __future__ import annotations

from collections.abc import Iterator

from losscope.core.registry import register
from losscope.papers.paper import Baselines, Cell, Claim, Paper, RestingPoints, Size, each, scale_free

LOSSES = ("contrastive", "triplet", "n_pair", "info_nce", "arcface", "sup_con", "center_contrastive")
DETAILED = ("triplet", "sup_con")
COMPACT = ("contrastive", "info_nce")
BIRDS_CARS = ("cub200", "cars196")
ALL = (*BIRDS_CARS, "cifar10", "fashion_mnist")
EARLY = (0.0, 0.1)
"""The first tenth of training."""

IMAGES = {"cifar10": Size(50_000, 9_800), "fashion_mnist": Size(60_000, 11_800)}
"""The paper's images and updates: 100 epochs of batches of 512."""
LOCAL = "mobilenetv2*.npz"
"""The frozen backbone that stands in the data root."""
REDUCED = {"limit": 2500, "limit_test": 2000}
"""Of images what a CPU can take through a backbone."""


@register("paper", "zeng2026", title="Zeng 2026, seven losses on frozen features")
def zeng2026() -> Paper:
    """Seven losses on frozen features with a 128-D head, compared pair by pair."""
    return Paper(
        losses=LOSSES,
        cells=tuple(_cells(())),
        full_cells=tuple(_cells(tuple(IMAGES))),
        claims=STATEMENTS,
        controls=CONTROLS,
    )


def _but(*names: str) -> tuple[str, ...]:
    return tuple(name for name in LOSSES if name not in names)


STATEMENTS = (
    Claim(
        "seven-variance",
        "Triplet and SupCon keep more within-class variance than Contrastive and InfoNCE",
        "Zeng 2026, on fine-grained data",
        "intra_variance",
        each(DETAILED, "higher", COMPACT),
        BIRDS_CARS,
    ),
    Claim(
        "seven-triplet-wins",
        "Triplet retrieves better than every loss but SupCon (Recall@1)",
        "Zeng 2026, on fine-grained data",
        "recall_at_1",
        each(("triplet",), "higher", _but(*DETAILED)),
        BIRDS_CARS,
    ),
    Claim(
        "seven-supcon-wins",
        "SupCon retrieves better than every loss but Triplet (Recall@1)",
        "Zeng 2026, on fine-grained data",
        "recall_at_1",
        each(("sup_con",), "higher", _but(*DETAILED)),
        BIRDS_CARS,
    ),
    Claim(
        "seven-compact",
        "Contrastive and InfoNCE make more compact classes than Triplet and SupCon",
        "Zeng 2026; by intra/inter²",
        "intra_inter_ratio",
        each(COMPACT, "lower", DETAILED),
        ALL,
    ),
    Claim(
        "seven-quick",
        "Contrastive and InfoNCE are quicker than Triplet and SupCon",
        "Zeng 2026; by the epoch at 90 % of the gain in validation MAP@R",
        "epochs_to_90_quality",
        each(COMPACT, "lower", DETAILED),
        ALL,
        timing=True,
    ),
    Claim(
        "seven-small-updates",
        "Contrastive and InfoNCE make smaller updates early than Triplet and SupCon",
        "Zeng 2026; the norm of an update in the first tenth of training",
        "update_norm",
        each(COMPACT, "lower", DETAILED, EARLY),
        ALL,
    ),
    Claim(
        "seven-many-updates",
        "Contrastive and InfoNCE learn from more samples at once early than Triplet and SupCon",
        "Zeng 2026; the effective active share in the first tenth of training",
        "effective_active",
        each(COMPACT, "higher", DETAILED, EARLY),
        ALL,
    ),
    Claim(
        "seven-n-pair-large",
        "N-pair separates the class means more than every other loss",
        "Zeng 2026",
        "inter_distance",
        each(("n_pair",), "higher", _but("n_pair")),
        ALL,
    ),
    Claim(
        "seven-n-pair-uneven",
        "N-pair's separation is less even than every other loss's",
        "Zeng 2026",
        "inter_distance_std",
        each(("n_pair",), "higher", _but("n_pair")),
        ALL,
    ),
)

CONTROLS = (
    scale_free("triplet", "contrastive", ("seven-variance", "seven-compact")),
    RestingPoints(("contrastive",), ("seven-n-pair-large",)),
    Baselines(("seven-triplet-wins", "seven-supcon-wins")),
)


def _cells(images: tuple[str, ...]) -> Iterator[Cell]:
    own = tuple(f"{name}(learning_rate=0.0001)" for name in LOSSES)
    for data in BIRDS_CARS:
        yield Cell(data, "paper", own, epochs=100, batch_size=512, tuples="all")
        yield Cell(data, "matched", LOSSES)
    for data in images:
        size = IMAGES[data]
        yield Cell(
            data,
            "paper",
            own,
            options=REDUCED,
            size=size,
            epochs=100,
            batch_size=512,
            tuples="all",
            backbone=LOCAL,
        )
        yield Cell(data, "matched", LOSSES, options=REDUCED, size=size, tune=True, backbone=LOCAL)
