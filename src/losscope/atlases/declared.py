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
        epochs, model: instead of the protocol's, where these would take too long.
    """

    name: str
    family: str
    data: str
    options: dict[str, Value] = field(default_factory=dict)
    epochs: int | None = None
    model: str | None = None


def _synthetic(variant: str, **options: Value) -> Declared:
    return Declared(f"synthetic {variant}", "synthetic", "synthetic", options)


SMALL: dict[str, Value] = {"limit": 2000, "limit_test": 2000}
"""Of images, which train as rows of pixels; a convolutional network takes far longer."""
HALF = 15
"""Half of the epochs of features: at rates of 1e-3 the best one comes before (docs/tuning.md)."""
FEW = 10
"""Epochs of pairs of sounds and images, which take long."""
DECLARED = (
    Declared("digits", "digits", "digits"),
    Declared("synthetic", "synthetic", "synthetic"),
    _synthetic("clean", label_noise=0.0, outliers=0.0),
    _synthetic("noisy labels", label_noise=0.4),
    _synthetic("8 dimensions", dimensions=8),
    _synthetic("50 classes of 30", classes=50, points=30),
    *(
        Declared(name, name, name)
        for name in ("iris", "wine", "breast_cancer", "gaussian_blobs", "hypercube", "shells")
    ),
    Declared("mnist pixels", "MNIST", "mnist", SMALL, model="mlp"),
    Declared("cifar10 pixels", "CIFAR-10", "cifar10", SMALL, model="mlp"),
    Declared("wiki", "wiki", "wiki"),
    # The images of spoken_digits are MNIST's.
    Declared("spoken_digits", "MNIST", "spoken_digits", epochs=FEW),
    Declared("cub200", "birds", "cub200", epochs=HALF),
    Declared("cars196", "cars", "cars196", epochs=HALF),
)
"""Every data set of the atlas, those that take longest last."""
