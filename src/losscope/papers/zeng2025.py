"""Zeng 2025 on contrastive and triplet loss: cells, claims, published numbers and controls.

The numbers are the paper's text's and those of the authors' notebooks (training set, ± over classes). Two
losses on all of the paper's data and more, under the paper's protocol and a fair one. On two cores and
features a cell costs seconds to minutes, on images of the paper's size hours; without ``--full`` images are a
part of the paper's.
"""

from __future__ import annotations

from collections.abc import Iterator

from losscope.core.facts import Value
from losscope.core.registry import register
from losscope.papers.paper import (
    CLAIMS,
    GRID,
    Baselines,
    Beside,
    Cell,
    Claim,
    Compared,
    Curves,
    Paper,
    PublishedNumber,
    RestingPoints,
    Rises,
    Runs,
    Size,
    scale_free,
)

PAIR = ("contrastive", "triplet")
BLIND = "contrastive_label_blind"
STRUCTURE = ("synthetic", "mnist", "cifar10")
"""The data sets of the paper's structure study."""
EARLY = (0.0, 0.1)
"""The first tenth of training."""
LATE = (0.5, 1.0)
"""The second half of training."""

MARGINS = (0.1, 0.3, 0.5, 1.0, 1.4)
"""The margins of the control; the sphere's diameter is 2."""
FEW = (0.3, 0.5, 1.4)
"""Where a run costs more."""
IMAGES = {"mnist": Size(60_000, 4_700), "cifar10": Size(50_000, 9_800), "fashion_mnist": Size(60_000, 4_700)}
"""The paper's images and updates: 20 epochs (CIFAR-10: 50) of batches of 256."""
REDUCED = {"limit": 2500, "limit_test": 2000}
"""Of images, for two cores: 2,000 to train, 500 to validate, 2,000 to test."""
REDUCED_EPOCHS = 12
"""Of reduced images, under both protocols."""
ON_IMAGES = (
    "On images all claims are of the paper's structure study (two convolutions, batches of 256); its scripts "
    "for classification and retrieval have a third convolution and batches of 64."
)
UNTUNED_IMAGES = "Images are not tuned without --full: margins there are the protocol's."
NOTEBOOKS, TEXT = "Zeng 2025, the authors' notebooks", "Zeng 2025, text"

DETAIL = (
    "recommend-detail",
    "variance-is-detail",
    "variance-is-detail-contrastive",
    "variance-is-detail-triplet",
)
"""The claims that need labels finer than those trained on."""
VARIANCE = ("intra_variance@test", "intra_variance")
"""Variance where detail is measured: on the test split, if the runs have it there."""


@register("paper", "zeng2025", title="Zeng 2025, contrastive and triplet loss")
def zeng2025() -> Paper:
    """Contrastive and triplet loss: what each does to embeddings and gradients, and which one to take."""
    return Paper(
        losses=PAIR,
        cells=tuple(_cells(full=False)),
        full_cells=tuple(_cells(full=True)),
        claims=STATEMENTS,
        published=PUBLISHED,
        stated=STATED,
        controls=CONTROLS,
    )


STATEMENTS = (
    Claim(
        "intra-variance",
        "triplet keeps more intra-class variance than contrastive",
        "text, 2.4 times on synthetic data; MNIST's ratio from the authors' notebooks",
        "intra_variance",
        Compared("triplet", "higher", "contrastive", {"synthetic": 2.4, "mnist": 0.0059 / 0.0030}),
        STRUCTURE,
    ),
    Claim(
        "inter-distance",
        "triplet's class means lie further apart",
        "text; numbers from the authors' notebooks",
        "inter_distance",
        Compared(
            "triplet", "higher", "contrastive", {"synthetic": 1.4418 / 1.2611, "mnist": 1.4840 / 1.0347}
        ),
        STRUCTURE,
    ),
    Claim(
        "inter-consistency",
        "triplet's class means are more evenly apart",
        "text; numbers from the authors' notebooks",
        "inter_distance_std",
        Compared("triplet", "lower", "contrastive", {"synthetic": 0.1992 / 0.3073, "mnist": 0.0685 / 0.0800}),
        STRUCTURE,
    ),
    Claim(
        "loss-decay",
        "contrastive loses 90 % of its loss earlier than triplet",
        "text, epochs 27 and 43; set against synthetic data, the text names none",
        "epochs_to_90",
        Compared("contrastive", "lower", "triplet", {"synthetic": 27 / 43}),
        STRUCTURE,
        timing=True,
    ),
    Claim(
        "quality-decay",
        "contrastive reaches 90 % of its quality earlier than triplet",
        "the text's loss decay, by validation MAP@R, which losses of unlike form share",
        "epochs_to_90_quality",
        Compared("contrastive", "lower", "triplet"),
        STRUCTURE,
        timing=True,
    ),
    Claim(
        "active-ratio",
        "contrastive keeps more of its terms active",
        "text, 65 % and 38 %; set against synthetic data, the text names none",
        "active_ratio",
        Compared("contrastive", "higher", "triplet", {"synthetic": 0.65 - 0.38}),
        STRUCTURE,
    ),
    Claim(
        "gradient-norm",
        "triplet has the larger gradient norm",
        "text, 0.12 and 0.27; set against synthetic data, the text names none",
        "gradient_norm",
        Compared("triplet", "higher", "contrastive", {"synthetic": 0.27 / 0.12}),
        STRUCTURE,
    ),
    Claim(
        "classification",
        "triplet classifies better",
        "text, MNIST accuracy 0.9933 and 0.9869; here by 5 nearest neighbours",
        "knn_accuracy",
        Compared("triplet", "higher", "contrastive", {"mnist": 0.9933 - 0.9869}),
        ("mnist", "cifar10"),
    ),
    Claim(
        "retrieval",
        "triplet retrieves better (Recall@1)",
        "text",
        "recall_at_1",
        Compared("triplet", "higher", "contrastive"),
        ("cifar10", "cars196", "cub200"),
    ),
    Claim(
        "greedy-positives",
        "contrastive keeps pulling on positives that are near enough",
        "text, made a number: the share of the pull on positives nearer than all negatives",
        "greedy_share_positive",
        Compared("contrastive", "higher", "triplet"),
        STRUCTURE,
    ),
    Claim(
        "greedy-negatives",
        "contrastive keeps pushing on negatives that are far enough",
        "text, made a number: the share of the push on negatives farther than all positives",
        "greedy_share_negative",
        Compared("contrastive", "higher", "triplet"),
        STRUCTURE,
    ),
    Claim(
        "hard-longer",
        "triplet keeps learning on hard examples longer",
        "text, made a number: the hard share in the second half of training",
        "hard_share",
        Compared("triplet", "higher", "contrastive", during=LATE),
        STRUCTURE,
    ),
    Claim(
        "early-small-updates",
        "contrastive makes smaller updates early",
        "text, made a number: the norm of an update in the first tenth of training",
        "update_norm",
        Compared("contrastive", "lower", "triplet", during=EARLY),
        STRUCTURE,
    ),
    Claim(
        "early-many-updates",
        "contrastive learns from many samples at once early",
        "text, made a number: the effective active share in the first tenth of training",
        "effective_active",
        Compared("contrastive", "higher", "triplet", during=EARLY),
        STRUCTURE,
    ),
    Claim(
        "gradient-gini",
        "triplet's gradient is on fewer samples (Gini)",
        "text, made a number",
        "gradient_gini",
        Compared("triplet", "higher", "contrastive"),
        STRUCTURE,
    ),
    Claim(
        "effective-rank",
        "triplet uses more dimensions (effective rank)",
        "text, made a number",
        "effective_rank",
        Compared("triplet", "higher", "contrastive"),
        STRUCTURE,
    ),
    Claim(
        "recommend-compactness",
        "contrastive is the one to take for compact classes",
        "the paper's recommendation, by intra/inter²",
        "intra_inter_ratio",
        Compared("contrastive", "lower", "triplet"),
        STRUCTURE,
    ),
    # Beyond the paper's own data from here on.
    Claim(
        "recommend-detail",
        "triplet is the one to take for detail within classes",
        "the paper's recommendation; measured here by finer labels, which the paper does not",
        "fine_recall_at_1",
        Compared("triplet", "higher", "contrastive"),
    ),
    Claim(
        "variance-is-detail",
        "more intra-class variance keeps more detail, over losses and margins",
        "the paper infers it; measured here by finer labels",
        "fine_recall_at_1",
        Rises(VARIANCE),
    ),
    Claim(
        "variance-is-detail-contrastive",
        "more intra-class variance keeps more detail, over contrastive's margins",
        "the paper infers it; measured here by finer labels",
        "fine_recall_at_1",
        Rises(VARIANCE, "contrastive"),
    ),
    Claim(
        "variance-is-detail-triplet",
        "more intra-class variance keeps more detail, over triplet's margins",
        "the paper infers it; measured here by finer labels",
        "fine_recall_at_1",
        Rises(VARIANCE, "triplet"),
    ),
    Claim(
        "audio-to-visual",
        "triplet retrieves better across modalities, by first-modality queries",
        "beyond the paper: its retrieval claim on two modalities",
        "map_audio_to_visual",
        Compared("triplet", "higher", "contrastive"),
    ),
    Claim(
        "visual-to-audio",
        "triplet retrieves better across modalities, by second-modality queries",
        "beyond the paper: its retrieval claim on two modalities",
        "map_visual_to_audio",
        Compared("triplet", "higher", "contrastive"),
    ),
)

PUBLISHED = tuple(
    PublishedNumber(data, loss, measure, value, NOTEBOOKS)
    for data, loss, measure, value in (
        ("synthetic", "contrastive", "intra_variance", 0.0118),
        ("synthetic", "contrastive", "inter_distance", 1.2611),
        ("synthetic", "triplet", "intra_variance", 0.0329),
        ("synthetic", "triplet", "inter_distance", 1.4418),
        ("mnist", "contrastive", "intra_variance", 0.0030),
        ("mnist", "contrastive", "inter_distance", 1.0347),
        ("mnist", "triplet", "intra_variance", 0.0059),
        ("mnist", "triplet", "inter_distance", 1.4840),
    )
)

STATED = (
    PublishedNumber("synthetic", "contrastive", "epochs_to_90", 27, TEXT),
    PublishedNumber("synthetic", "triplet", "epochs_to_90", 43, TEXT),
    PublishedNumber("synthetic", "contrastive", "active_ratio", 0.65, TEXT),
    PublishedNumber("synthetic", "triplet", "active_ratio", 0.38, TEXT),
    PublishedNumber("synthetic", "contrastive", "gradient_norm", 0.12, TEXT),
    PublishedNumber("synthetic", "triplet", "gradient_norm", 0.27, TEXT),
    PublishedNumber("synthetic", "triplet", "intra_variance", 2.4, TEXT, over="contrastive"),
)
"""The numbers of the text, set against synthetic data."""

TABLES = (
    "intra_variance",
    "inter_distance",
    "inter_distance_std",
    "intra_inter_ratio",
    "knn_accuracy",
    "recall_at_1",
    "map_at_r",
)
"""What the paper's tables show."""

CONTROLS = (
    scale_free("triplet", "contrastive", ("intra-variance", "inter-distance", "recommend-compactness")),
    Curves(("intra_inter_ratio",)),
    Beside(
        "equal-images",
        "Equal images, equal updates",
        "A pair holds two images and a triplet three, so with as many updates triplet sees half as many "
        "images again. Triplet against contrastive with as many updates, then with as many images.",
        (*TABLES, "effective_rank", "active_ratio", "gradient_norm", "epochs_to_90"),
        (
            ("equal updates", Runs("triplet"), Runs("contrastive")),
            ("equal images", Runs("triplet"), Runs("contrastive", "images")),
        ),
    ),
    RestingPoints(("contrastive",), ("inter-distance",)),
    Baselines(("retrieval",)),
    Beside(
        "label-blind",
        "The fault in the authors' scripts",
        "There a (B, 1) distance meets (B,) labels and becomes B × B: a contrastive loss that never sees a "
        "label. This is what the tables become with it.",
        TABLES,
        (
            ("triplet against contrastive", Runs("triplet"), Runs("contrastive")),
            (f"triplet against {BLIND}: the table with the fault", Runs("triplet"), Runs(BLIND, "blind")),
            (f"{BLIND} against contrastive: the fault itself", Runs(BLIND, "blind"), Runs("contrastive")),
        ),
    ),
)


def _cells(full: bool) -> Iterator[Cell]:
    """Two losses on everything that the paper has and more, two protocols, and the cells of the controls."""
    everything = (
        "synthetic",
        "mnist",
        "cifar10",
        "cub200",
        "cars196",
        "digits",
        "fashion_mnist",
        "wiki",
        "spoken_digits",
    )
    both = ("paper", "matched")
    for data in everything:
        yield _cell(data, "paper", full)
        yield _cell(data, "matched", full, tune_images=True)
    subclusters: dict[str, Value] = {"subclusters": 4}
    coarse: dict[str, Value] = {"train_labels": "coarse"}
    names = {"synthetic": "synthetic, sub-clusters", "cub200": "cub200, coarse labels"}
    for data, options, protocols in (
        ("synthetic", subclusters, both),
        ("cub200", coarse, both if full else ("matched",)),
    ):
        for protocol in protocols:
            yield Cell(data, protocol, PAIR, name=names[data], options=options, only=DETAIL, goal="detail")
    for data, name, options, protocols, margins in (
        ("synthetic", "synthetic", {}, both, MARGINS),
        ("synthetic", names["synthetic"], subclusters, both, MARGINS),
        ("cub200", names["cub200"], coarse, ("matched",), MARGINS if full else FEW),
    ):
        grid = tuple(f"{loss}(margin={margin})" for loss in PAIR for margin in margins)
        for protocol in protocols:
            yield Cell(data, protocol, grid, GRID, name=name, options=options, tune=False)
    # One pair holds two images and one triplet three: 3/2 of the epochs show contrastive as many.
    for data, epochs in (("synthetic", 150), ("cub200", 45)):
        yield Cell(data, "paper", ("contrastive",), "images", epochs=epochs)
    for data in ("synthetic", "mnist", "cub200", *(("cifar10", "cars196") if full else ())):
        yield _cell(data, "paper", full, (BLIND,), "blind")


def _cell(
    data: str,
    protocol: str,
    full: bool,
    losses: tuple[str, ...] = PAIR,
    role: str = CLAIMS,
    tune_images: bool | None = None,
) -> Cell:
    """A cell on a data set, images at the paper's size if ``full``; only these are ever tuned."""
    if data not in IMAGES:
        return Cell(data, protocol, losses, role)
    size = IMAGES[data]
    if full:
        return Cell(data, protocol, losses, role, size=size, notes=(ON_IMAGES,), tune=tune_images)
    return Cell(
        data,
        protocol,
        losses,
        role,
        options=REDUCED,
        size=size,
        notes=(ON_IMAGES, UNTUNED_IMAGES),
        epochs=REDUCED_EPOCHS,
    )
