"""The declared spaces: what a careful person could have chosen instead of what a paper chose.

They were written down before any run of them was seen. A space is changed by adding an axis or a level here,
which makes it another multiverse; nothing else names its axes.
"""

from __future__ import annotations

from losscope.core.errors import LosscopeError, unknown
from losscope.varying.space import Axis, Even, Level, Space, chosen, drawn

CONTRASTIVE, TRIPLET = "contrastive", "triplet"
SHUFFLED = "shuffled"

OF_LOSSES = (
    drawn(
        "learning_rate",
        "protocol",
        Even(3e-4, 3e-3, logarithmic=True),
        1e-3,
        "Adam's usual 1e-3 (Kingma, Ba 2015), a third and three times of it",
    ),
    drawn(
        "margin",
        "loss",
        Even(0.3, 1.5),
        1.0,
        "0.4–0.8 tuned (Musgrave 2020), 1.0 in the paper; on the unit sphere no distance is above 2",
        loss=CONTRASTIVE,
    ),
    drawn(
        "margin",
        "loss",
        Even(0.05, 1.5, logarithmic=True),
        1.0,
        "0.05–0.14 tuned (Musgrave 2020), 0.2 (FaceNet), 1.0 in the paper",
        loss=TRIPLET,
    ),
    chosen(
        "reduction",
        "loss",
        ("valid_mean", "balanced", "active_mean"),
        "valid_mean",
        "the mean over all terms, over positives and negatives apart, or over the active ones "
        "(pytorch-metric-learning)",
        loss=CONTRASTIVE,
    ),
    chosen(
        "reduction",
        "loss",
        ("valid_mean", "active_mean"),
        "valid_mean",
        "the mean over all terms, or over the active ones (pytorch-metric-learning)",
        loss=TRIPLET,
    ),
    Axis(
        f"{TRIPLET}.distance",
        "loss",
        "plain",
        "plain distances, or FaceNet's squared ones (Schroff 2015), of which the margin is one too",
        (Level("plain", (("squared", False),)), Level("squared", (("squared", True),))),
        loss=TRIPLET,
    ),
)
"""The choices that a loss brings, on any data."""


def batches(*classes: int) -> Axis:
    """Shuffled batches, or so many classes in each, with equally many rows."""
    balanced = (
        Level(f"{count} classes", (("batching", "balanced"), ("classes_per_batch", count)))
        for count in classes
    )
    return Axis(
        "batch",
        "protocol",
        SHUFFLED,
        "the paper shuffles; P classes of K rows (Hermans 2017)",
        (Level(SHUFFLED, (("batching", "shuffled"),)), *balanced),
    )


TUPLES = chosen(
    "tuples",
    "protocol",
    ("random", "all", "hard"),
    "random",
    "one random partner for each anchor (the paper), all of the batch, or its hardest (Hermans 2017)",
)
NOISE = chosen(
    "label_noise",
    "data",
    (0.0, 0.05, 0.1, 0.2),
    0.1,
    "the paper redraws a tenth of the labels; none, half and twice of that",
)


def _network(paper: str, source: str, *levels: tuple[str, tuple[int, ...], str]) -> Axis:
    return Axis(
        "network",
        "protocol",
        paper,
        source,
        tuple(Level(name, (("hidden", hidden), ("start", start))) for name, hidden, start in levels),
    )


ON_VECTORS = (
    chosen("batch_size", "protocol", (32, 64, 128), 64, "64 in the paper, half and twice of it"),
    batches(4, 8),
    TUPLES,
    chosen("embedding_size", "protocol", (16, 32, 64, 128), 32, "32 in the paper, half to four times of it"),
    _network(
        "64 wide",
        "a linear head at a fitted start, or one or two hidden layers of these widths",
        ("linear (PCA)", (), "pca"),
        ("linear (whitened)", (), "whitened"),
        ("64 wide", (64,), "random"),
        ("128 wide", (128,), "random"),
        ("64-64 wide", (64, 64), "random"),
        ("128-64 wide", (128, 64), "random"),
    ),
    chosen(
        "transform",
        "protocol",
        ("none", "sqrt", "standardise"),
        "none",
        "the rows as they are (of length 1), a signed square root, or standardised",
    ),
    chosen("epochs", "protocol", (20, 30, 50, 100), 100, "100 in the paper, down to a fifth of them"),
    NOISE,
    chosen(
        "outliers", "data", (0.0, 0.05, 0.1), 0.05, "5 % of the rows in the paper, none and twice as many"
    ),
    *OF_LOSSES,
)
ON_FEATURES = (
    chosen("batch_size", "protocol", (32, 64, 128), 64, "64 in the paper, half and twice of it"),
    batches(8, 16),
    TUPLES,
    chosen(
        "embedding_size", "protocol", (32, 64, 128, 256), 128, "128 in the paper, a quarter to twice of it"
    ),
    _network(
        "linear",
        "a linear head at a random or a fitted start, or a hidden layer of this width",
        ("linear", (), "random"),
        ("linear (PCA)", (), "pca"),
        ("linear (whitened)", (), "whitened"),
        ("256 wide", (256,), "random"),
    ),
    chosen(
        "transform",
        "protocol",
        ("none", "l2", "sqrt", "standardise"),
        "none",
        "the features as they are, of length 1, a signed square root, or standardised",
    ),
    chosen("epochs", "protocol", (10, 20, 30), 30, "30 in the paper, a third and two thirds of them"),
    chosen("label_noise", "data", (0.0, 0.1), 0.0, "none in the paper, which has a tenth on synthetic data"),
    *OF_LOSSES,
)
SPACES = (
    Space("zeng2025", "vectors", "paper", (CONTRASTIVE, TRIPLET), ON_VECTORS, data="synthetic"),
    Space("zeng2025", "features", "paper", (CONTRASTIVE, TRIPLET), ON_FEATURES),
)
"""Every declared space, one for a paper and a kind of data, or a data set."""


def spaces_of(paper: str) -> tuple[Space, ...]:
    """The declared spaces of a paper.

    Raises:
        LosscopeError: it declares none; with the papers that do.
    """
    found = tuple(space for space in SPACES if space.paper == paper)
    if not found:
        raise unknown("paper with declared settings", paper, {space.paper for space in SPACES})
    return found


def space_of(paper: str, kind: str, data: str) -> Space:
    """The declared space of a paper on a data set of some kind.

    Raises:
        LosscopeError: the paper declares none, or none for these data; with those that there are.
    """
    found = spaces_of(paper)
    for space in found:
        if space.kind == kind and space.data in ("", data):
            return space
    raise LosscopeError(
        f"{paper} declares no settings for {data}, whose data are {kind}; choices: "
        f"{', '.join(space.data or f'data of {space.kind}' for space in found)}"
    )
