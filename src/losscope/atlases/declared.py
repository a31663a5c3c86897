"""The data sets of the atlas. Who adds one adds a line here; nothing else names them."""

from __future__ import annotations

from dataclasses import dataclass, field

from losscope.core.facts import Value

LOSSES = ("contrastive", "triplet", "info_nce", "sup_con", "arcface", "proxy_anchor", "multi_similarity")
"""The losses of the atlas, in the order in which they are compared."""
SEEDS = 10
"""Paired seeds of every data set."""


@dataclass(frozen=True)
class Declared:
    """One data set of the atlas.

    Attributes:
        name: what it is called in the atlas; no two share it, and it has no comma.
        family: what it is left out with when the atlas is tried on data that it has not seen.
        data: a registered name or a path, as ``losscope compare`` takes it.
        options: of its loader, as ``-o`` gives them.
    """

    name: str
    family: str
    data: str
    options: dict[str, Value] = field(default_factory=dict)


def _synthetic(variant: str, **options: Value) -> Declared:
    return Declared(f"synthetic {variant}", "synthetic", "synthetic", options)


SMALL: dict[str, Value] = {"limit": 2000, "limit_test": 2000}
"""Of images, which train a convolutional network: so they take half an hour each instead of a day."""
DECLARED = (
    Declared("digits", "digits", "digits"),
    Declared("synthetic", "synthetic", "synthetic"),
    _synthetic("clean", label_noise=0.0, outliers=0.0),
    _synthetic("noisy labels", label_noise=0.4),
    _synthetic("8 dimensions", dimensions=8),
    _synthetic("50 classes of 30", classes=50, points=30),
    _synthetic("subclusters", subclusters=4),
    *(
        Declared(name, name, name)
        for name in ("iris", "wine", "breast_cancer", "gaussian_blobs", "hypercube", "shells")
    ),
    Declared("cub200", "birds", "cub200"),
    Declared("cub200 coarse", "birds", "cub200", {"train_labels": "coarse"}),
    Declared("cars196", "cars", "cars196"),
    Declared("wiki", "wiki", "wiki"),
    # The images of spoken_digits are MNIST's.
    Declared("spoken_digits", "MNIST", "spoken_digits"),
    Declared("mnist 2000", "MNIST", "mnist", SMALL),
    Declared("cifar10 2000", "CIFAR-10", "cifar10", SMALL),
)
"""Every data set of the atlas, those that take longest last."""
