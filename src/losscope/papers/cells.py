"""The papers that can be reproduced: each a list of cells, a cell being one study and what it is for.

On two cores and features a cell costs seconds to minutes, on images of the papers' size hours; ``full``
says which. Numbers of the papers' own runs stand beside ours wherever the data are reduced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from losscope.core import registry
from losscope.core.errors import unknown
from losscope.papers.zeng2026 import LOSSES as SEVEN

Role = Literal["claims", "margins", "images", "blind"]
BLIND = "contrastive_label_blind"
MARGINS = (0.1, 0.3, 0.5, 1.0, 1.4)
"""The margins of the control; the sphere's diameter is 2."""
FEW = (0.3, 0.5, 1.4)
"""Where a run costs more."""
PAIR = ("contrastive", "triplet")
DETAIL = (
    "recommend-detail",
    "variance-is-detail",
    "variance-is-detail-contrastive",
    "variance-is-detail-triplet",
)

IMAGES = {"mnist": (60_000, 4_700), "cifar10": (50_000, 9_800), "fashion_mnist": (60_000, 4_700)}
"""The papers' images and updates: 20 epochs (CIFAR-10 50) of batches of 256."""
LOCAL = "mobilenetv2*.npz"
"""The frozen backbone that stands in the data root, for images in the follow-up study."""
REDUCED = {"limit": 2500, "limit_test": 2000}
"""Of images, for two cores: 2,000 train, 500 validate, 2,000 test."""
REDUCED_EPOCHS = 12
"""Of reduced images, under both protocols."""

ON_IMAGES = (
    "On images all claims are of the paper's structure study (two convolutions, batches of 256); its scripts for "
    "classification and retrieval have a third convolution and batches of 64."
)
UNTUNED_IMAGES = "Images are not tuned without --full: margins there are the protocol's."


@dataclass(frozen=True)
class Cell:
    """One study of a paper: its name in the ledger, its fields, and what its runs are for.

    ``claims`` are judged; ``margins`` are a grid of losses × margins, ``images`` contrastive trained on as
    many images as triplet, ``blind`` the faulty loss: controls. ``only``: the claims it is for, empty for
    all. ``paper``: the paper's (images, updates), where the cell may be a part of them.
    """

    data: str
    protocol: str
    role: Role
    study: dict[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    paper: tuple[int, int] | None = None

    @property
    def known(self) -> str:
        """The registered data set."""
        return self.study["data"]


@dataclass(frozen=True)
class Paper:
    """A paper: its name in words, its cells, and the losses that its claims are about."""

    title: str
    cells: Callable[[bool], Iterator[Cell]]
    losses: tuple[str, ...]
    protocols: tuple[str, ...] = ("paper", "matched")


def zeng2025(full: bool) -> Iterator[Cell]:
    """Two losses on everything that the paper has and more, two protocols, and the controls."""
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
    for data in everything:
        for protocol in ("paper", "matched"):
            yield _cell(data, protocol, "claims", full, losses=PAIR)
    subclusters = {"subclusters": 4}
    coarse = {"train_labels": "coarse"}
    variants = (
        ("synthetic", "synthetic, sub-clusters", subclusters, ("paper", "matched")),
        ("cub200", "cub200, coarse labels", coarse, ("paper", "matched") if full else ("matched",)),
    )
    for data, name, options, protocols in variants:
        for protocol in protocols:
            yield _cell(
                data,
                protocol,
                "claims",
                full,
                name=name,
                only=DETAIL,
                options=options,
                losses=PAIR,
                goal="detail",
            )
    yield from _margins("synthetic", "synthetic", ("paper", "matched"), {}, full)
    yield from _margins("synthetic", "synthetic, sub-clusters", ("paper", "matched"), subclusters, full)
    yield from _margins(
        "cub200", "cub200, coarse labels", ("matched",), coarse, full, MARGINS if full else FEW
    )
    # One pair holds two images and one triplet three: 3/2 of the epochs show contrastive as many.
    for data, epochs in (("synthetic", 150), ("cub200", 45)):
        yield _cell(data, "paper", "images", full, losses=("contrastive",), epochs=epochs)
    if BLIND in registry.entries("loss"):
        for data in ("synthetic", "mnist", "cub200", *(["cifar10", "cars196"] if full else [])):
            yield _cell(data, "paper", "blind", full, losses=(BLIND,))


def zeng2026(full: bool) -> Iterator[Cell]:
    """Seven losses on frozen features with a 128-D head; images go through a backbone, only if ``full``."""
    losses = tuple(name for name in SEVEN if name in registry.entries("loss"))
    own = tuple(f"{name}(learning_rate=0.0001)" for name in losses)
    images = ("cifar10", "fashion_mnist") if full else ()
    for data in ("cub200", "cars196", *images):
        # Of images what a CPU can take through a backbone, and no tuning beyond what features get.
        more: dict[str, Any] = {"backbone": LOCAL, "options": REDUCED} if data in images else {}
        yield _cell(
            data, "paper", "claims", full, losses=own, epochs=100, batch_size=512, tuples="all", **more
        )
        yield _cell(data, "matched", "claims", full, losses=losses, **more)


def _cell(
    data: str,
    protocol: str,
    role: Role,
    full: bool,
    *,
    name: str = "",
    only: tuple[str, ...] = (),
    options: dict[str, Any] | None = None,
    **study: Any,
) -> Cell:
    paper = IMAGES.get(data)
    if paper is not None:
        options = {**({} if full else REDUCED), **(options or {})}
        if not full:
            study.setdefault("epochs", REDUCED_EPOCHS)
        if full and protocol == "matched":
            study["tune"] = True
    study["losses"] = list(study["losses"])
    return Cell(
        name or data,
        protocol,
        role,
        {"data": data, "protocol": protocol, "options": options or {}, **study},
        only,
        paper,
    )


def _margins(
    data: str,
    name: str,
    protocols: Iterable[str],
    options: dict[str, Any],
    full: bool,
    margins: tuple[float, ...] = MARGINS,
) -> Iterator[Cell]:
    losses = [f"{loss}(margin={margin})" for loss in PAIR for margin in margins]
    for protocol in protocols:
        yield _cell(data, protocol, "margins", full, name=name, options=options, losses=losses, tune=False)


PAPERS = {
    "zeng2025": Paper("Zeng 2025, contrastive and triplet loss", zeng2025, PAIR),
    "zeng2026": Paper("Zeng 2026, seven losses on frozen features", zeng2026, SEVEN),
}


def paper(name: str) -> Paper:
    """A paper by its name, or an error with the choices."""
    if name not in PAPERS:
        raise unknown("paper", name, PAPERS)
    return PAPERS[name]


def cells_of(name: str, only: Iterable[str] = (), full: bool = False) -> list[Cell]:
    """The cells of a paper, of some data sets only if ``only`` names any.

    >>> {cell.data for cell in cells_of("zeng2025", ["synthetic"])} == {"synthetic", "synthetic, sub-clusters"}
    True
    """
    cells = list(paper(name).cells(full))
    wanted = list(only)
    known = {cell.known for cell in cells}
    for one in wanted:
        if one not in known:
            raise unknown(f"data set of {name}", one, known)
    return [cell for cell in cells if not wanted or cell.known in wanted]
