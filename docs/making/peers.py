"""Which loss of another library is which of ours, and where the conventions differ.

``equal`` rows are computed by ``tests/test_site_peers.py``: value and gradient are the same to 1e-5
(the value times ``factor``). ``another form`` rows are computed too, and differ. ``read`` rows come from
reading the source of the version that is named, and were not computed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

Kind = Literal["equal", "another form", "read"]

PML, ST, TORCH = "pytorch-metric-learning", "sentence-transformers", "torch"
OML, LIGHTLY = "open-metric-learning", "lightly"
ADDONS, SIMILARITY = "tensorflow-addons", "tensorflow-similarity"

READ = {OML: "4.0.0", LIGHTLY: "1.6.0", ADDONS: "0.23.0", SIMILARITY: "0.17.1"}
"""Versions whose source was read; their packages are not needed to build the site."""


@dataclass(frozen=True)
class Peer:
    """A loss of another library beside one of ours.

    Attributes:
        ours: as ``losscope.loss`` takes it. package, theirs: the library, and the call in it.
        differs: the convention that differs, in words.
        kind: how it is known; see above. factor: theirs is ours times this number.
        pairs: whether both are given explicit pairs, row i and row i + B/2, in the place of labels.
    """

    ours: str
    package: str
    theirs: str
    differs: str
    kind: Kind = "equal"
    factor: float = 1.0
    pairs: bool = False

    @property
    def loss(self) -> str:
        """The name of our loss."""
        return self.ours.partition("(")[0]

    @property
    def known(self) -> str:
        """How it is known, in words."""
        if self.kind == "read":
            return f"read in {READ[self.package]}"
        if self.kind == "another form":
            return "another form, computed"
        return "equal" if self.factor == 1 else f"theirs is {self.factor:g} × ours"


PEERS = (
    Peer(
        "contrastive(margin=1.0)",
        ST,
        "ContrastiveLoss(margin=1.0, distance_metric='EUCLIDEAN')",
        "has the ½ of the paper's text; its default distance is 1 − cosine, on which 0.5 is another margin; "
        "embeddings are not normalised inside",
        factor=0.5,
        pairs=True,
    ),
    Peer(
        "contrastive(margin=1.0)",
        PML,
        "ContrastiveLoss(neg_margin=1.0)",
        "linear, d and max(0, m − d), no square; the mean is over active terms, of positives and "
        "negatives apart",
        kind="another form",
    ),
    Peer(
        "contrastive(margin=1.0)",
        ADDONS,
        "ContrastiveLoss(margin=1.0)",
        "the same term, without ½; takes distances that you compute, and labels of pairs",
        kind="read",
    ),
    Peer(
        "triplet(margin=0.2)",
        PML,
        "TripletMarginLoss(margin=0.2, reducer=MeanReducer)",
        "without the reducer its mean is over active triplets only; its default margin is 0.05",
    ),
    Peer(
        "triplet(margin=0.2, reduction=active_mean)",
        PML,
        "TripletMarginLoss(margin=0.2)",
        "its default reducer, AvgNonZeroReducer, is our `active_mean`",
    ),
    Peer(
        "triplet(margin=0.2, squared=True)",
        PML,
        "TripletMarginLoss(margin=0.2, distance=LpDistance(power=2), reducer=MeanReducer)",
        "FaceNet's squared distance: the same number is a larger margin",
    ),
    Peer(
        "triplet(margin=0.3, reduction=active_mean)",
        ST,
        "BatchAllTripletLoss(margin=0.3)",
        "its default margin 5 is beyond any distance of unit vectors; embeddings are not normalised inside",
    ),
    Peer(
        "triplet(margin=0.3)",
        ST,
        "TripletLoss(triplet_margin=0.3, distance_metric='EUCLIDEAN')",
        "of given triplets; its default margin is 5",
    ),
    Peer(
        "triplet(margin=0.2)",
        OML,
        "TripletLoss(margin=0.2)",
        "the mean over given triplets; margin None is a soft margin, log(1 + exp(d_ap − d_an))",
        kind="read",
    ),
    Peer(
        "triplet(margin=0.2)",
        ADDONS,
        "TripletSemiHardLoss(margin=0.2)",
        "one semi-hard negative for each positive pair, the mean over positive pairs; default margin 1",
        kind="read",
    ),
    Peer(
        "triplet(margin=0.2)",
        SIMILARITY,
        "TripletLoss(margin=0.2, distance='euclidean')",
        "the hardest positive and a semi-hard negative of each anchor; its default distance is 1 − cosine, "
        "its default margin a soft one",
        kind="read",
    ),
    Peer(
        "n_pair(l2_weight=0.0)",
        PML,
        "NPairsLoss(distance=DotProductSimilarity(normalize_embeddings=False), reducer=MeanReducer)",
        "takes one pair of each class; normalises unless told not to",
        pairs=True,
    ),
    Peer("info_nce(temperature=0.2)", PML, "NTXentLoss(temperature=0.2)", "its default temperature is 0.07"),
    Peer(
        "info_nce(temperature=0.05)",
        ST,
        "MultipleNegativesRankingLoss(scale=20.0)",
        "scale is 1 / temperature; pairs without classes, one direction",
        pairs=True,
    ),
    Peer(
        "info_nce(temperature=0.2)",
        LIGHTLY,
        "NTXentLoss(temperature=0.2)",
        "two views without classes: every other row of both views is a negative; default temperature 0.5",
        kind="read",
    ),
    Peer(
        "sup_con(temperature=0.2)",
        PML,
        "SupConLoss(temperature=0.2)",
        "the form outside the logarithm, as here; the authors' own code multiplies by temperature / 0.07",
    ),
    Peer(
        "arcface(margin=0.5, scale=16)",
        PML,
        "ArcFaceLoss(margin=28.64788975654116, scale=16)",
        "its margin is in degrees: 28.65 there is 0.5 here",
    ),
    Peer(
        "arcface(margin=0.5, scale=16)",
        OML,
        "ArcFaceLoss(m=0.5, s=16)",
        "radians, as here; label smoothing can be added",
        kind="read",
    ),
    Peer(
        "center_contrastive(margin=0.2, scale=16)",
        PML,
        "CosFaceLoss(margin=0.2, scale=16)",
        "the margin is taken off the cosine in both",
    ),
    Peer(
        "multi_similarity(alpha=2, beta=50, base=0.5)",
        PML,
        "MultiSimilarityLoss(alpha=2, beta=50, base=0.5)",
        "the paper's mining is a miner of its own there (`MultiSimilarityMiner`), and not part of "
        "either loss",
    ),
    Peer(
        "multi_similarity(alpha=2, beta=50, base=0.5)",
        SIMILARITY,
        "MultiSimilarityLoss(alpha=2, beta=50, lmda=0.5)",
        "the paper's mining is part of it (`epsilon`); its default beta is 40",
        kind="read",
    ),
    Peer("circle(margin=0.25, scale=16)", PML, "CircleLoss(m=0.25, gamma=16)", "scale is called gamma"),
    Peer(
        "circle(margin=0.25, scale=16)",
        SIMILARITY,
        "CircleLoss(margin=0.25, gamma=16)",
        "the log-sums of positives and of negatives are added, and the weights take part in the gradient",
        kind="read",
    ),
    Peer(
        "proxy_anchor(margin=0.2, scale=8)",
        PML,
        "ProxyAnchorLoss(margin=0.2, alpha=8)",
        "scale is called alpha",
    ),
    Peer(
        "proxy_nca(temperature=0.5)",
        PML,
        "ProxyNCALoss(softmax_scale=2)",
        "softmax_scale is 1 / temperature; its default 1 is the temperature 1",
    ),
)


def table(loss: str) -> str:
    """The equivalents of a loss as a table in Markdown; empty where there are none."""
    rows = list(lines(loss))
    if not rows:
        return ""
    head = "| ours | elsewhere | how it is known | what differs |\n|---|---|---|---|\n"
    return head + "\n".join(rows)


def lines(loss: str) -> Iterator[str]:
    """The rows of the table."""
    for peer in PEERS:
        if peer.loss == loss:
            yield f"| `{peer.ours}` | {peer.package}<br>`{peer.theirs}` | {peer.known} | {peer.differs} |"


def installed(package: str) -> str | None:
    """The version of a library beside which the rows are computed; None without it."""
    module = package.replace("-", "_")
    return version(package) if importlib.util.find_spec(module) else None


def versions() -> str:
    """What the tables were computed beside, in one sentence."""
    found = [f"{package} {number}" for package in (PML, ST) if (number := installed(package))]
    beside = f" (here {', '.join(found)})" if found else ""
    return (
        f"Rows that are *equal* or of *another form* are computed by the tests beside the installed "
        f"library{beside}: "
        "value and gradient to 1e-5. Rows that were *read* come from the source of the version named."
    )
