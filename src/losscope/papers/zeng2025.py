"""The claims of Zeng 2025 on contrastive and triplet loss (DEFINITIONS 6; the numbers' sources are named).

``data`` are the paper's own cells; on any other data set the same claim is judged and marked as beyond the
paper. ``measure`` is the claim's quantity, which the margin control draws as a curve.
"""

from __future__ import annotations

from losscope.core.registry import register
from losscope.papers.evidence import Evidence, Stated

EARLY = (0.0, 0.1)
"""The first tenth of training."""
LATE = (0.5, 1.0)
"""The second half of training."""


@register(
    "claim",
    "intra-variance",
    paper="zeng2025",
    statement="triplet keeps more intra-class variance than contrastive",
    source="text, 2.4 times on synthetic data; MNIST's ratio from the authors' notebooks",
    data=("synthetic", "mnist", "cifar10"),
    measure="intra_variance",
)
def intra_variance(evidence: Evidence) -> Stated | None:
    """Triplet keeps more intra-class variance (2.4 times on synthetic data)."""
    value = {"synthetic": 2.4, "mnist": 0.0059 / 0.0030}.get(evidence.data)
    return evidence.claim("triplet", "higher", "contrastive", "intra_variance", value=value)


@register(
    "claim",
    "inter-distance",
    paper="zeng2025",
    statement="triplet's class means lie further apart",
    source="text; numbers from the authors' notebooks",
    data=("synthetic", "mnist", "cifar10"),
    measure="inter_distance",
)
def inter_distance(evidence: Evidence) -> Stated | None:
    """Triplet's class means lie further apart."""
    value = {"synthetic": 1.4418 / 1.2611, "mnist": 1.4840 / 1.0347}.get(evidence.data)
    return evidence.claim("triplet", "higher", "contrastive", "inter_distance", value=value)


@register(
    "claim",
    "inter-consistency",
    paper="zeng2025",
    statement="triplet's class means are more evenly apart",
    source="text; numbers from the authors' notebooks",
    data=("synthetic", "mnist", "cifar10"),
    measure="inter_distance_std",
)
def inter_consistency(evidence: Evidence) -> Stated | None:
    """The distances of triplet's class means vary less over pairs of classes."""
    value = {"synthetic": 0.1992 / 0.3073, "mnist": 0.0685 / 0.0800}.get(evidence.data)
    return evidence.claim("triplet", "lower", "contrastive", "inter_distance_std", value=value)


@register(
    "claim",
    "loss-decay",
    paper="zeng2025",
    statement="contrastive loses 90 % of its loss earlier than triplet",
    source="text, epochs 27 and 43; set against synthetic data, the text names none",
    data=("synthetic", "mnist", "cifar10"),
    measure="epochs_to_90",
    timing=True,
)
def loss_decay(evidence: Evidence) -> Stated | None:
    """Contrastive reaches 90 % loss reduction earlier (epoch 27 against 43)."""
    value = 27 / 43 if evidence.data == "synthetic" else None
    return evidence.claim("contrastive", "lower", "triplet", "epochs_to_90", value=value)


@register(
    "claim",
    "quality-decay",
    paper="zeng2025",
    statement="contrastive reaches 90 % of its quality earlier than triplet",
    source="the text's loss decay, by validation MAP@R, which losses of unlike form share",
    data=("synthetic", "mnist", "cifar10"),
    measure="epochs_to_90_quality",
    timing=True,
)
def quality_decay(evidence: Evidence) -> Stated | None:
    """Contrastive is earlier at 90 % of its own best gain in validation MAP@R."""
    return evidence.claim("contrastive", "lower", "triplet", "epochs_to_90_quality")


@register(
    "claim",
    "active-ratio",
    paper="zeng2025",
    statement="contrastive keeps more of its terms active",
    source="text, 65 % and 38 %; set against synthetic data, the text names none",
    data=("synthetic", "mnist", "cifar10"),
    measure="active_ratio",
)
def active_ratio(evidence: Evidence) -> Stated | None:
    """More of contrastive's terms are active (65 % against 38 %)."""
    value = 0.65 - 0.38 if evidence.data == "synthetic" else None
    return evidence.claim("contrastive", "higher", "triplet", "active_ratio", value=value)


@register(
    "claim",
    "gradient-norm",
    paper="zeng2025",
    statement="triplet has the larger gradient norm",
    source="text, 0.12 and 0.27; set against synthetic data, the text names none",
    data=("synthetic", "mnist", "cifar10"),
    measure="gradient_norm",
)
def gradient_norm(evidence: Evidence) -> Stated | None:
    """Triplet's gradient is larger (norm 0.27 against 0.12)."""
    value = 0.27 / 0.12 if evidence.data == "synthetic" else None
    return evidence.claim("triplet", "higher", "contrastive", "gradient_norm", value=value)


@register(
    "claim",
    "classification",
    paper="zeng2025",
    statement="triplet classifies better",
    source="text, MNIST accuracy 0.9933 and 0.9869; here by 5 nearest neighbours",
    data=("mnist", "cifar10"),
    measure="knn_accuracy",
)
def classification(evidence: Evidence) -> Stated | None:
    """Triplet has the higher classification accuracy."""
    value = 0.9933 - 0.9869 if evidence.data == "mnist" else None
    return evidence.claim("triplet", "higher", "contrastive", "knn_accuracy", value=value)


@register(
    "claim",
    "retrieval",
    paper="zeng2025",
    statement="triplet retrieves better (Recall@1)",
    source="text",
    data=("cifar10", "cars196", "cub200"),
    measure="recall_at_1",
)
def retrieval(evidence: Evidence) -> Stated | None:
    """Triplet has the higher Recall@1."""
    return evidence.claim("triplet", "higher", "contrastive", "recall_at_1")


@register(
    "claim",
    "greedy-positives",
    paper="zeng2025",
    statement="contrastive keeps pulling on positives that are near enough",
    source="text, made a number: the share of the pull on positives nearer than all negatives",
    data=("synthetic", "mnist", "cifar10"),
    measure="greedy_share_positive",
)
def greedy_positives(evidence: Evidence) -> Stated | None:
    """More of contrastive's pull goes to satisfied positives than of triplet's."""
    return evidence.claim("contrastive", "higher", "triplet", "greedy_share_positive")


@register(
    "claim",
    "greedy-negatives",
    paper="zeng2025",
    statement="contrastive keeps pushing on negatives that are far enough",
    source="text, made a number: the share of the push on negatives farther than all positives",
    data=("synthetic", "mnist", "cifar10"),
    measure="greedy_share_negative",
)
def greedy_negatives(evidence: Evidence) -> Stated | None:
    """More of contrastive's push goes to satisfied negatives than of triplet's."""
    return evidence.claim("contrastive", "higher", "triplet", "greedy_share_negative")


@register(
    "claim",
    "hard-longer",
    paper="zeng2025",
    statement="triplet keeps learning on hard examples longer",
    source="text, made a number: the hard share in the second half of training",
    data=("synthetic", "mnist", "cifar10"),
    measure="hard_share",
)
def hard_longer(evidence: Evidence) -> Stated | None:
    """In the second half of training more of triplet's force is on the hardest tenth."""
    return evidence.claim("triplet", "higher", "contrastive", "hard_share", during=LATE)


@register(
    "claim",
    "early-small-updates",
    paper="zeng2025",
    statement="contrastive makes smaller updates early",
    source="text, made a number: the norm of an update in the first tenth of training",
    data=("synthetic", "mnist", "cifar10"),
    measure="update_norm",
)
def early_small_updates(evidence: Evidence) -> Stated | None:
    """Contrastive's updates are smaller than triplet's in the first tenth of training."""
    return evidence.claim("contrastive", "lower", "triplet", "update_norm", during=EARLY)


@register(
    "claim",
    "early-many-updates",
    paper="zeng2025",
    statement="contrastive learns from many samples at once early",
    source="text, made a number: the effective active share in the first tenth of training",
    data=("synthetic", "mnist", "cifar10"),
    measure="effective_active",
)
def early_many_updates(evidence: Evidence) -> Stated | None:
    """Contrastive's effort is spread over more samples in the first tenth of training."""
    return evidence.claim("contrastive", "higher", "triplet", "effective_active", during=EARLY)


@register(
    "claim",
    "gradient-gini",
    paper="zeng2025",
    statement="triplet's gradient is on fewer samples (Gini)",
    source="text, made a number",
    data=("synthetic", "mnist", "cifar10"),
    measure="gradient_gini",
)
def gradient_gini(evidence: Evidence) -> Stated | None:
    """The Gini coefficient of the samples' gradient norms is larger for triplet."""
    return evidence.claim("triplet", "higher", "contrastive", "gradient_gini")


@register(
    "claim",
    "effective-rank",
    paper="zeng2025",
    statement="triplet uses more dimensions (effective rank)",
    source="text, made a number",
    data=("synthetic", "mnist", "cifar10"),
    measure="effective_rank",
)
def effective_rank(evidence: Evidence) -> Stated | None:
    """The effective rank of the embeddings is larger for triplet."""
    return evidence.claim("triplet", "higher", "contrastive", "effective_rank")


@register(
    "claim",
    "recommend-compactness",
    paper="zeng2025",
    statement="contrastive is the one to take for compact classes",
    source="the paper's recommendation, by intra/inter²",
    data=("synthetic", "mnist", "cifar10"),
    measure="intra_inter_ratio",
)
def recommend_compactness(evidence: Evidence) -> Stated | None:
    """Contrastive has the smaller intra/inter², so classes compact against their separation."""
    return evidence.claim("contrastive", "lower", "triplet", "intra_inter_ratio")


@register(
    "claim",
    "recommend-detail",
    paper="zeng2025",
    statement="triplet is the one to take for detail within classes",
    source="the paper's recommendation; measured here by finer labels, which the paper does not",
    data=(),
    measure="fine_recall_at_1",
)
def recommend_detail(evidence: Evidence) -> Stated | None:
    """Triplet has the higher Recall@1 by labels finer than those trained on."""
    return evidence.claim("triplet", "higher", "contrastive", "fine_recall_at_1")


def _on_test(evidence: Evidence) -> str:
    """Variance where detail is measured: on the test split."""
    beside = "intra_variance@test"
    return beside if any(beside in side.values for side in evidence.grid) else "intra_variance"


@register(
    "claim",
    "variance-is-detail",
    paper="zeng2025",
    statement="more intra-class variance keeps more detail, over losses and margins",
    source="the paper infers it; measured here by finer labels",
    data=(),
    measure="fine_recall_at_1",
)
def variance_is_detail(evidence: Evidence) -> Stated | None:
    """Fine Recall@1 rises with intra-class variance over losses and margins."""
    return evidence.rises(_on_test(evidence), "fine_recall_at_1")


@register(
    "claim",
    "variance-is-detail-contrastive",
    paper="zeng2025",
    statement="more intra-class variance keeps more detail, over contrastive's margins",
    source="the paper infers it; measured here by finer labels",
    data=(),
    measure="fine_recall_at_1",
)
def variance_is_detail_contrastive(evidence: Evidence) -> Stated | None:
    """Fine Recall@1 rises with intra-class variance over contrastive's margins."""
    return evidence.rises(_on_test(evidence), "fine_recall_at_1", loss="contrastive")


@register(
    "claim",
    "variance-is-detail-triplet",
    paper="zeng2025",
    statement="more intra-class variance keeps more detail, over triplet's margins",
    source="the paper infers it; measured here by finer labels",
    data=(),
    measure="fine_recall_at_1",
)
def variance_is_detail_triplet(evidence: Evidence) -> Stated | None:
    """Fine Recall@1 rises with intra-class variance over triplet's margins."""
    return evidence.rises(_on_test(evidence), "fine_recall_at_1", loss="triplet")


@register(
    "claim",
    "audio-to-visual",
    paper="zeng2025",
    statement="triplet retrieves better across modalities, by first-modality queries",
    source="beyond the paper: its retrieval claim on two modalities",
    data=(),
    measure="map_audio_to_visual",
)
def audio_to_visual(evidence: Evidence) -> Stated | None:
    """Triplet has the higher mean average precision from the first modality to the second."""
    return evidence.claim("triplet", "higher", "contrastive", "map_audio_to_visual")


@register(
    "claim",
    "visual-to-audio",
    paper="zeng2025",
    statement="triplet retrieves better across modalities, by second-modality queries",
    source="beyond the paper: its retrieval claim on two modalities",
    data=(),
    measure="map_visual_to_audio",
)
def visual_to_audio(evidence: Evidence) -> Stated | None:
    """Triplet has the higher mean average precision from the second modality to the first."""
    return evidence.claim("triplet", "higher", "contrastive", "map_visual_to_audio")
