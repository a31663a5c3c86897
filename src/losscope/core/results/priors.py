"""What an atlas foretells of data on which nothing was trained yet, and how far that can be trusted."""

from __future__ import annotations

from typing import ClassVar, Literal

from losscope.core.results.atlases import DataSketch
from losscope.core.results.base import Document, Frozen, Number

RivalKind = Literal["frequent", "average", "random", "hindsight"]


class ForetoldLoss(Frozen):
    """One loss on the data asked about.

    Attributes:
        gap: how far it is expected below the best loss, on the scale of the goal's measure; at most 0.
        low, high: where 95 % of data sets like these have it, from the spread between data sets; None where
            too few are alike.
        average: its gap averaged over the families of the atlas, whatever the data are like.
        best: data sets on which no mean is better than its own; of equal ones each counts.
        member: data sets on which it cannot be told from the best.
    """

    loss: str
    gap: Number
    low: Number | None
    high: Number | None
    average: Number
    best: int
    member: int


class NearData(Frozen):
    """A data set of the atlas near to the data asked about.

    ``distance`` in the declared space; ``weight``: its share of what is foretold. ``gain``: its best loss
    less the best side that trains nothing.
    """

    name: str
    family: str
    distance: Number
    weight: Number
    best: str
    members: tuple[str, ...]
    gain: Number | None


class PriorPay(Frozen):
    """Whether training is foretold to pay: the best loss less the best of raw inputs and closed forms.

    ``pays``: whether ``gain`` is above ``delta``, the measure's indifference. ``low``, ``high``: as of a
    loss. ``paid``: data sets of the atlas on which training does, of ``of`` that have both.
    """

    gain: Number
    low: Number | None
    high: Number | None
    delta: Number
    pays: bool
    paid: int
    of: int


class PriorRival(Frozen):
    """A rule that looks at no property of the data, scored on the same data sets as the prior.

    Attributes:
        kind: ``frequent``: the loss that is most often the best; ``average``: the loss whose gap is the
            smallest on average, both found without the family that they are tried on; ``random``: any loss,
            in expectation; ``hindsight``: the one loss that does best on all of them, which nobody could
            know before.
        losses: those that it took, each once.
        hits: data sets on which what it took cannot be told from the best; expected, of ``random``.
        regret: mean over families of the best loss's mean less that of the loss taken.
        saved: its regret less the prior's, mean over families; above 0 where the prior is better.
        low, high: the 95 % t interval of ``saved`` over families; None with one family.
        p: of no difference, by flipping the signs of families.
    """

    kind: RivalKind
    losses: tuple[str, ...]
    hits: Number
    regret: Number
    saved: Number
    low: Number | None
    high: Number | None
    p: Number


class PriorFold(Frozen):
    """One data set, foretold by the atlas without its family.

    ``gain``: its best loss less the best side that trains nothing; ``pays`` whether that is above the
    indifference of the measure. None where there is no such side.
    """

    name: str
    family: str
    foretold: str
    frequent: str
    average: str
    best: str
    members: tuple[str, ...]
    regret: Number
    regret_frequent: Number
    regret_average: Number
    gain: Number | None = None
    foretold_gain: Number | None = None
    pays: bool | None = None
    foretold_pays: bool | None = None


class PriorScore(Frozen):
    """How well the prior does on data that it has not seen: each family is left out once.

    Attributes:
        data_sets, families: that were foretold.
        hits: data sets on which the loss foretold cannot be told from the best.
        regret: mean over families of the best loss's mean less that of the loss foretold.
        rivals: rules that look at no property of the data.
        p: the share of shufflings of what is known of the data among families that foretell as well: of the
            hypothesis that which loss is the best has nothing to do with what is known of the data.
        better: whether the prior is shown better than the most frequent winner: both ``p`` and that rival's
            are at most .05, and its regret is smaller than this rival's and than that of the loss that is
            best on average.
        able: whether so many families could show that at all.
        pay_right: data sets on which it is foretold rightly whether training pays, of ``pay_of`` that say.
        pay_usual: the answer that is right on more of them, whatever the data are like; ``pay_usual_right``:
            on how many.
        pay_p: as ``p``, of the share that is right; None without any that say.
        pay_better: whether ``pay_p`` is at most .05 and ``pay_right`` is above ``pay_usual_right``.
    """

    data_sets: int
    families: int
    hits: int
    regret: Number
    rivals: tuple[PriorRival, ...]
    p: Number
    better: bool
    able: bool
    pay_right: int
    pay_of: int
    pay_usual: bool
    pay_usual_right: int
    pay_p: Number | None
    pay_better: bool
    folds: tuple[PriorFold, ...]

    def rival(self, kind: RivalKind) -> PriorRival:
        """The rule of a kind."""
        return next(rival for rival in self.rivals if rival.kind == kind)


class AtlasPrior(Document):
    """What an atlas foretells of data before anything trains. What ``losscope atlas DATA --json`` prints.

    Attributes:
        data: the data asked about.
        known: the data set of the atlas that they are, whose family is then left out; else None.
        losses: from the best foretold to the worst.
        foretold: the loss foretold by likeness.
        frequent: the loss that is most often the best, whatever the data are like.
        data_sets: of the atlas, by which it is foretold; ``alike``: those of them that are of the same kind.
        near: the nearest data sets, the nearest first.
        evidence: how much of what is foretold comes from data alike, the rest being the average over all.
        pay: None where too few data sets have sides that train nothing.
        score: on data that the atlas has not seen.
        said: the whole in sentences, the first being the answer.
    """

    kind: ClassVar[str] = "atlas prior"
    data: str
    goal: str
    measure: str
    sketch: DataSketch
    known: str | None = None
    losses: tuple[ForetoldLoss, ...]
    foretold: str
    frequent: str
    data_sets: int
    alike: int
    near: tuple[NearData, ...]
    evidence: Number
    pay: PriorPay | None
    score: PriorScore
    said: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """What to try first: the loss foretold, or the most frequent winner where likeness does no better."""
        return self.foretold if self.score.better else self.frequent
