"""What every measured quantity is: its meaning, unit, scale, orientation and indifference.

The table is the only place where a quantity's meaning is declared; measures compute, statistics and the
page read. ``scale`` is how two losses are compared (a difference, or the log of a ratio), ``delta`` the
size below which a difference does not matter on that scale, ``better`` the direction that is better, if
any: more variance is not better or worse than less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from losscope.core.errors import unknown

Scale = Literal["difference", "log_ratio"]
Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Quantity:
    """The declaration of one measure.

    ``limits`` says between which losses a comparison has no meaning: ``hinge`` (only hinge losses have
    the quantity), ``form`` (only losses of one form can be compared), or nothing.
    """

    name: str
    definition: str
    unit: str
    better: Better
    scale: Scale
    delta: float
    group: Literal["geometry", "greediness", "outcome", "detail", "cross-modal", "verification"]
    limits: Literal["", "hinge", "form"] = ""

    @property
    def label(self) -> str:
        """The name as people read it."""
        return SPOKEN.get(self.name, self.name.replace("_", " "))


QUANTITIES: dict[str, Quantity] = {}

SPOKEN = {
    "intra_variance": "intra-class variance",
    "intra_variance_std": "intra-class variance, deviation",
    "inter_distance": "inter-class distance",
    "inter_distance_std": "inter-class distance, deviation",
    "intra_inter_ratio": "intra/inter²",
    "knn_accuracy": "k-NN accuracy",
    "recall_at_1": "Recall@1",
    "recall_at_5": "Recall@5",
    "recall_at_10": "Recall@10",
    "r_precision": "R-precision",
    "map_at_r": "MAP@R",
    "greedy_share_positive": "greedy share of positives",
    "greedy_share_negative": "greedy share of negatives",
    "gradient_gini": "gradient Gini",
    "gradient_top_tenth": "gradient on the top tenth",
    "epochs_to_90": "epochs to 90 %",
    "epochs_to_90_quality": "epochs to 90 % quality",
    "eer": "EER",
    "nmi": "NMI",
    "nc1": "NC1",
    "fine_recall_at_1": "fine Recall@1",
    "map_audio_to_visual": "mAP audio→visual",
    "map_visual_to_audio": "mAP visual→audio",
    "tar_at_far_1e2": "TAR at FAR 0.01",
    "tar_at_far_1e3": "TAR at FAR 0.001",
}

RATE = ("difference", 0.01)
RATIO = ("log_ratio", math.log(1.10))
INDEX = ("difference", 0.05)


def _declare(group, scale, better, unit, *rows, limits=""):
    for name, definition in rows:
        QUANTITIES[name] = Quantity(name, definition, unit, better, scale[0], scale[1], group, limits)


_declare(
    "geometry",
    RATIO,
    "neither",
    "squared distance",
    (
        "intra_variance",
        "mean over classes of the mean squared distance of a class's embeddings to their mean",
    ),
    limits="form",
)
_declare(
    "geometry",
    RATIO,
    "neither",
    "squared distance",
    ("intra_variance_std", "standard deviation over classes of intra-class variance"),
    limits="form",
)
_declare(
    "geometry",
    RATIO,
    "neither",
    "distance",
    ("inter_distance", "mean distance between two class means"),
    ("inter_distance_std", "standard deviation over pairs of classes of the distance of their means"),
)
_declare(
    "geometry",
    RATIO,
    "lower",
    "ratio",
    (
        "intra_inter_ratio",
        "intra-class variance / inter-class distance squared: spread common to all classes removed",
    ),
    ("nc1", "tr(within covariance times pseudo-inverse of between covariance) / classes: neural collapse"),
)
_declare(
    "geometry",
    RATIO,
    "neither",
    "dimensions",
    ("effective_rank", "exp of the entropy of the singular values (RankMe)"),
)
_declare(
    "geometry",
    RATIO,
    "neither",
    "nats",
    (
        "spectral_decay",
        "KL divergence from uniform to the normalised singular values; null if rank-deficient",
    ),
)
_declare("geometry", INDEX, "neither", "nats", ("uniformity", "log of the mean over pairs of exp(-2 d²)"))
_declare(
    "geometry",
    RATIO,
    "lower",
    "squared distance",
    ("alignment", "mean squared distance of explicit positive pairs"),
)
_declare("geometry", INDEX, "higher", "index", ("silhouette", "mean silhouette coefficient"))
_declare("geometry", INDEX, "lower", "skewness", ("hubness", "skewness of the 10-occurrence"))

_declare(
    "greediness",
    RATIO,
    "neither",
    "loss",
    ("loss", "mean loss of the epoch's steps, by the loss's own reduction"),
    limits="form",
)
_declare(
    "greediness",
    RATIO,
    "lower",
    "epochs",
    ("epochs_to_90", "first epoch whose mean loss is at most 0.1 of the first epoch's"),
    ("epochs_to_90_excess", "the same after subtracting the run's smallest loss"),
    ("half_life", "first epoch whose mean loss is at most half of the first epoch's"),
    (
        "epochs_to_90_quality",
        "first epoch at 90 % of the run's own best gain in validation MAP@R over epoch 0",
    ),
)
_declare(
    "greediness",
    RATE,
    "neither",
    "share",
    ("active_ratio", "share of the valid terms whose derivative by the distance is not 0"),
    limits="hinge",
)
_declare(
    "greediness",
    RATE,
    "neither",
    "share",
    ("active_samples", "share of rows whose gradient is above 1e-6 of the largest"),
    ("effective_active", "(sum of gradient norms)² / (rows · sum of squares): 1 when effort is even"),
    ("gradient_gini", "Gini coefficient of the rows' gradient norms"),
    ("gradient_top_tenth", "share of the gradient norm on the tenth of rows with most"),
    ("greedy_share", "share of the pull and push on pairs that already satisfy the ranking"),
    ("greedy_share_positive", "share of the pull on positives nearer than all of the anchor's negatives"),
    ("greedy_share_negative", "share of the push on negatives farther than all of the anchor's positives"),
    ("hard_share", "share of the force on the farthest tenth of positives and nearest tenth of negatives"),
)
_declare(
    "greediness",
    RATIO,
    "neither",
    "gradient norm",
    ("gradient_norm", "norm of the gradient of the loss by the network's parameters"),
    ("embedding_gradient_norm", "norm of the gradient of the loss by the embeddings"),
    ("gradient_norm_per_active", "parameter gradient norm per active term"),
    ("embedding_gradient_norm_per_active", "embedding gradient norm per active term"),
    limits="form",
)
_declare(
    "greediness",
    RATIO,
    "neither",
    "ratio",
    ("relative_gradient_norm", "parameter gradient norm relative to the first epoch's mean"),
)
_declare(
    "greediness",
    RATIO,
    "neither",
    "parameter change",
    ("update_norm", "norm of one step's change of the parameters"),
)

_declare(
    "outcome",
    RATE,
    "higher",
    "share",
    ("knn_accuracy", "accuracy of 5-nearest-neighbour classification, training embeddings as reference"),
    ("linear_accuracy", "accuracy of L2 logistic regression on standardised embeddings, C = 1"),
    ("recall_at_1", "share of queries with an item of their class among the 1 nearest"),
    ("recall_at_5", "share of queries with an item of their class among the 5 nearest"),
    ("recall_at_10", "share of queries with an item of their class among the 10 nearest"),
    ("r_precision", "share of a query's R nearest that are of its class, R its class's other items"),
    ("map_at_r", "mean average precision over a query's R nearest"),
    ("nmi", "normalised mutual information of k-means clusters and classes"),
)
_declare(
    "detail", RATE, "higher", "share", ("fine_recall_at_1", "Recall@1 by labels finer than those trained on")
)
_declare(
    "detail",
    RATE,
    "neither",
    "share",
    ("fine_variance_share", "share of the within-coarse-class variance that lies between fine classes"),
)
_declare(
    "verification",
    RATE,
    "lower",
    "share",
    ("eer", "error rate of verification where false accepts and false rejects are equal"),
    ("threshold_spread", "standard deviation over classes of TAR at the one threshold of FAR 0.01"),
)
_declare(
    "verification",
    RATE,
    "higher",
    "share",
    ("tar_at_far_1e2", "true accept rate at a false accept rate of 0.01"),
    ("tar_at_far_1e3", "true accept rate at a false accept rate of 0.001"),
)
_declare(
    "cross-modal",
    RATE,
    "higher",
    "share",
    ("map_audio_to_visual", "mean average precision of second-modality items by first-modality queries"),
    ("map_visual_to_audio", "mean average precision of first-modality items by second-modality queries"),
    ("recall_at_1_audio_to_visual", "Recall@1 of the second modality by first-modality queries"),
    ("recall_at_1_visual_to_audio", "Recall@1 of the first modality by second-modality queries"),
    ("recall_at_10_audio_to_visual", "Recall@10 of the second modality by first-modality queries"),
    ("recall_at_10_visual_to_audio", "Recall@10 of the first modality by second-modality queries"),
)
_declare(
    "cross-modal",
    RATIO,
    "lower",
    "ratio",
    ("modality_gap", "distance of the modalities' means / root of the mean within-modality variance"),
)
_declare(
    "cross-modal",
    RATIO,
    "neither",
    "squared distance",
    ("intra_variance_audio", "intra-class variance of the first modality"),
    ("intra_variance_visual", "intra-class variance of the second modality"),
    limits="form",
)

GOALS: dict[str, tuple[str, ...]] = {
    "retrieval": ("map_audio_to_visual", "recall_at_1"),
    "verification": ("eer",),
    "classification": ("knn_accuracy",),
    "detail": ("fine_recall_at_1",),
    "compactness": ("intra_inter_ratio",),
}
"""The primary measure of each goal: the first that the data yield."""


def quantity(name: str) -> Quantity:
    """The declaration of a measure, or an error that lists the nearest names."""
    if name not in QUANTITIES:
        raise unknown("measure", name, QUANTITIES)
    return QUANTITIES[name]
