"""What makes each measure rise and fall: a sentence, and a figure of planted cases with its value on each."""

from __future__ import annotations

from collections.abc import Callable

from losscope.core import wording
from losscope.core.quantities import QUANTITIES

from . import planted
from .drawing import figure

Scene = Callable[[], tuple[planted.Shot, ...]]

ASKING = "Hollow points ask and filled ones are searched."
REFERENCE = "Filled points are the training embeddings, hollow ones are judged."
BARS = "Bars: the norm of the gradient of each row of a batch."
FORCES = "Bars: the force on the positives (blue) and the negatives (orange) of one anchor."
LOSSES = "The mean loss of each epoch over that of the first; dotted: a tenth."
ADAM = "Adam, 40 steps. Blue: the gradient's norm; orange: the update's; each over its largest."
SIDES = "Filled: the first modality, hollow: the second."

SHOWN: dict[str, tuple[Scene, str]] = {
    "intra_variance": (
        planted.spread,
        "Rises with the spread within classes; distances between classes do not count.",
    ),
    "intra_variance_std": (planted.spread, "Rises where classes are spread unequally."),
    "inter_distance": (
        planted.apart,
        "Rises as class means move apart; wide classes have means nearer to the origin, and so to each "
        "other.",
    ),
    "inter_distance_std": (planted.apart, "Rises where some classes are neighbours and others are not."),
    "intra_inter_ratio": (
        planted.scales,
        "Rises with the spread in units of the classes' distance: a space that is shrunk as a whole "
        "keeps its value.",
    ),
    "nc1": (
        planted.scales,
        "Rises with the spread in the directions in which class means differ; 0 where every class is a "
        "point.",
    ),
    "effective_rank": (planted.filled, "Rises with the number of directions that are used alike."),
    "spectral_decay": (
        planted.filled,
        "Falls to 0 where all directions are used alike, rises where few hold all.",
    ),
    "uniformity": (planted.filled, "Falls, to more negative values, as the points fill the sphere."),
    "alignment": (planted.partners, "Rises with the distance of partners, given as explicit pairs."),
    "silhouette": (planted.spread, "Rises where the own class is nearer than the next one."),
    "hubness": (planted.hubs, "Rises where few items are among the ten nearest of many."),
    "loss": (
        planted.decays,
        "Falls in training. Losses of another form have another scale. Below: the last epoch's. " + LOSSES,
    ),
    "epochs_to_90": (
        planted.decays,
        "Rises with slow decay; a loss with a floor may never get there. " + LOSSES,
    ),
    "epochs_to_90_excess": (
        planted.decays,
        "The same above the smallest loss, so that a floor does not count. " + LOSSES,
    ),
    "half_life": (planted.decays, "Rises with slow decay. " + LOSSES),
    "epochs_to_90_quality": (
        planted.gains,
        "Rises where the gain in validation MAP@R comes late; none where there is hardly any gain.",
    ),
    "active_ratio": (
        planted.terms,
        "Falls as triplets satisfy the margin and stop to pull. Triplet loss, margin 0.2, on these points.",
    ),
    "active_samples": (planted.effort, "Falls with the rows that have no gradient at all. " + BARS),
    "effective_active": (
        planted.effort,
        "Falls with any unevenness: 1 when all rows are alike, 1/B when one has it all. " + BARS,
    ),
    "gradient_gini": (planted.effort, "Rises with unevenness. " + BARS),
    "gradient_top_tenth": (planted.effort, "Rises with what the tenth of the rows with most has. " + BARS),
    "greedy_share": (planted.force, "Rises with force on pairs that are in order already. " + FORCES),
    "greedy_share_positive": (
        planted.force,
        "Rises with the pull on positives nearer than all negatives. " + FORCES,
    ),
    "greedy_share_negative": (
        planted.force,
        "Rises with the push on negatives farther than all positives. " + FORCES,
    ),
    "hard_share": (
        planted.force,
        "Rises with force on the farthest positive and the nearest negative. " + FORCES,
    ),
    "gradient_norm": (planted.trainings, "Grows with any factor on the loss. " + ADAM),
    "embedding_gradient_norm": (planted.trainings, "Grows with any factor on the loss. " + ADAM),
    "gradient_norm_per_active": (
        planted.trainings,
        "Grows with any factor, and as fewer terms are active. " + ADAM,
    ),
    "embedding_gradient_norm_per_active": (
        planted.trainings,
        "Grows with any factor, and as fewer terms are active. " + ADAM,
    ),
    "relative_gradient_norm": (
        planted.trainings,
        "Falls as training comes to rest; a factor on the loss changes nothing. " + ADAM,
    ),
    "update_norm": (
        planted.trainings,
        "What the optimiser made of the gradient: Adam removes a factor on the loss. " + ADAM,
    ),
    "knn_accuracy": (
        planted.found,
        "Needs no straight border: classes may lie in several places. " + REFERENCE,
    ),
    "linear_accuracy": (planted.found, "Falls where no straight borders part the classes. " + REFERENCE),
    "nmi": (
        planted.found,
        "Falls where clusters are not the classes: a class in several places is several clusters.",
    ),
    "recall_at_1": (planted.found, "Only the nearest item counts: classes in two places keep it."),
    "recall_at_5": (planted.found, "One right item among five is enough."),
    "recall_at_10": (
        planted.found,
        "One right item among ten is enough, which is soon had with few classes.",
    ),
    "r_precision": (planted.found, "Falls where some of a class's items lie behind others' items."),
    "map_at_r": (planted.found, "As R-precision, and right items count more where they come first."),
    "mean_average_precision": (
        planted.found,
        "Falls with every wrong item before a right one, down to the last. " + ASKING,
    ),
    "mean_reciprocal_rank": (planted.found, "Only the first right item counts, by its rank. " + ASKING),
    "fine_recall_at_1": (
        planted.fine,
        "Falls where a coarse class forgets its fine classes. Hollow and filled: two fine classes of each.",
    ),
    "fine_variance_share": (
        planted.fine,
        "Rises with the share of a class's spread that lies between its fine classes. Hollow and "
        "filled: the fine classes.",
    ),
    "eer": (planted.thresholds, "Rises where one threshold cannot part pairs of one class from others."),
    "threshold_spread": (
        planted.thresholds,
        "Rises where a threshold that fits one class does not fit another.",
    ),
    "tar_at_far_1e2": (planted.thresholds, "Falls where few false accepts cost many true ones."),
    "tar_at_far_1e3": (
        planted.thresholds,
        "The same at a tenth of the false accepts: fewer pairs decide it.",
    ),
    "modality_gap": (planted.modalities, "Rises with the distance of the two modalities' means. " + SIDES),
    "recall_at_1_across": (
        planted.modalities,
        "Falls where the nearest item of the other modality is of another class. " + SIDES,
    ),
    "intra_variance_audio": (
        planted.modalities,
        "Rises with the spread within classes of the first modality. " + SIDES,
    ),
    "intra_variance_visual": (
        planted.modalities,
        "Rises with the spread within classes of the second modality. " + SIDES,
    ),
}
"""The scene of each measure, and what to see in it."""

BOTH_WAYS = {
    "map": "Falls with every wrong item of the other modality before a right one.",
    "recall_at_1": "Falls where the nearest item of the other modality is of another class.",
    "recall_at_5": "One right item of the other modality among five is enough.",
    "recall_at_10": "One right item of the other modality among ten is enough.",
    "mrr": "Only the first right item of the other modality counts, by its rank.",
    "median_rank": "Rises where half of the queries have to go further down their list.",
}
"""What to see of a measure that is taken from either modality into the other."""


def shown(name: str) -> tuple[Scene, str]:
    """The scene of a measure and its sentence.

    >>> shown("map_audio_to_visual")[1].split(".")[0]
    'Falls with every wrong item of the other modality before a right one'
    """
    if name in SHOWN:
        return SHOWN[name]
    for start, sentence in BOTH_WAYS.items():
        if name in (f"{start}_audio_to_visual", f"{start}_visual_to_audio"):
            return planted.modalities, f"{sentence} {SIDES}"
    raise KeyError(name)


def drawn(name: str) -> str:
    """The figure of a measure."""
    scene, sentence = shown(name)
    label = wording.measure(name).label if name in QUANTITIES else name
    panels = [shot.of(name) for shot in scene()]
    says = "; ".join(f"{panel.title}: {panel.below}" for panel in panels)
    return figure(panels, f"{label} of planted cases: {says}", sentence)
