"""What an atlas foretells, in words, and how far that can be trusted."""

from __future__ import annotations

from losscope.core.quantities import unsplit
from losscope.core.results import (
    AtlasPrior,
    DataSketch,
    ForetoldLoss,
    NearData,
    PriorPay,
    PriorRival,
    PriorScore,
)
from losscope.core.results.comparisons import PairScale
from losscope.core.wording.numbers import change, change_interval, count, label, measure, number, p_value

KINDS = {"vectors": "vectors", "features": "vectors", "images": "images", "pair": "two modalities"}


def data_sketch(sketch: DataSketch) -> str:
    """What is known of data before anything trains.

    >>> data_sketch(DataSketch(kind="vectors", classes=10, rows=1000, dimension=64, disjoint=False, raw=0.98))
    '10 classes, 100 rows per class, 64 dimensions, raw Recall@1 .98 on validation rows'
    """
    each = sketch.rows_per_class
    rows = count(round(each), "row") if each >= 10 or each == round(each) else f"{each:.1f} rows"
    said = [count(sketch.classes, "class"), f"{rows} per class", count(sketch.dimension, "dimension")]
    if sketch.raw is not None:
        said.append(f"raw Recall@1 {_share(sketch.raw)} on validation rows")
    if sketch.disjoint:
        said.append("test classes unseen in training")
    return ", ".join(said)


def _share(value: float) -> str:
    return f"{value:.2f}" if value >= 0.995 else f"{value:.2f}".removeprefix("0")


def atlas_prior(prior: AtlasPrior) -> tuple[str, ...]:
    """What an atlas foretells of data, in sentences: the answer first, then how it does on unseen data."""
    said = [f"{atlas_answer(prior)}."]
    if not prior.score.better:
        said.append(f"{_by_likeness(prior)}.")
    said.append(f"{atlas_score(prior.score)}.")
    if prior.pay is not None and prior.score.pay_of:
        said.append(f"{_pays(prior.pay, prior.score, prior.measure)}.")
    said.append(f"Known of the data: {data_sketch(prior.sketch)}. {_nearest(prior.near)}.")
    return tuple(said)


def atlas_answer(prior: AtlasPrior) -> str:
    """What is foretold of data in one short sentence, or that the atlas cannot tell."""
    own = next(loss for loss in prior.losses if loss.loss == prior.frequent)
    usual = (
        f"most often best, each family of data counted once, is {prior.frequent} "
        f"({own.best:,} of {count(prior.data_sets, 'data set')})"
    )
    without = "" if prior.known is None else f", with the family of {prior.known} left out,"
    alone = (
        "" if prior.alike else f"; none of its data sets is of {KINDS.get(prior.sketch.kind, 'this kind')}"
    )
    if not prior.score.better:
        return f"The atlas{without} cannot tell which loss suits these data; {usual}{alone}"
    beside = "" if prior.foretold == prior.frequent else f"; {usual}"
    told = f"foretells {prior.foretold} for data like these, {_expected(prior)}"
    return f"The atlas{without} {told}{beside}{alone}"


def _by_likeness(prior: AtlasPrior) -> str:
    """Which loss likeness points to, where that is not shown to be better."""
    if prior.foretold == prior.frequent:
        return f"Likeness to its data points to {prior.foretold} too, {_expected(prior)}"
    return f"Likeness to its data points to {prior.foretold}, {_expected(prior)}"


def _expected(prior: AtlasPrior) -> str:
    own = next(loss for loss in prior.losses if loss.loss == prior.foretold)
    scale = _scale(prior.measure)
    return f"expected {change(own.gap, scale)} {label(prior.measure)} from the best loss{_ends(own, scale)}"


def _ends(found: ForetoldLoss | PriorPay, scale: PairScale) -> str:
    if found.low is None or found.high is None:
        return ""
    return f" (95 % of such data sets: {change_interval(found.low, found.high, scale)})"


def atlas_score(score: PriorScore) -> str:
    """How the prior does on data that it has not seen, beside the most frequent winner."""
    usual = score.rival("frequent")
    verdict = "better" if score.better else "no better"
    unable = "" if score.better or score.able else ", and so few families could not show otherwise"
    return (
        f"On {count(score.data_sets, 'data set')} that it had not seen, the loss foretold is among the best "
        f"in {score.hits:,}, {_always(usual)} in {usual.hits:,.0f}, a random one in "
        f"{score.rival('random').hits:.1f}: the atlas foretells {verdict} than the most frequent winner"
        f"{unable} ({_apart(score, usual)}; p {p_value(score.p)} with what is known of the data shuffled)"
    )


def _always(rival: PriorRival) -> str:
    if len(rival.losses) == 1:
        return f"always {rival.losses[0]}"
    return f"the most frequent winner of the others ({' or '.join(rival.losses)})"


def _apart(score: PriorScore, rival: PriorRival) -> str:
    ends = ""
    if rival.low is not None and rival.high is not None:
        ends = f", nearer by {change_interval(rival.low, rival.high, 'difference')} at 95 %"
    return f"{number(score.regret)} from the best on average, against {number(rival.regret)}{ends}"


def _pays(pay: PriorPay, score: PriorScore, name: str) -> str:
    usual = "it pays" if score.pay_usual else "it does not pay"
    beside = (
        f"on {count(score.pay_of, 'data set')} that it had not seen it is right in {score.pay_right:,}, "
        f'always saying "{usual}" in {score.pay_usual_right:,}'
    )
    scale = _scale(name)
    gain = (
        f"the best loss {change(pay.gain, scale)} {label(name)} from the best of raw inputs and closed forms"
        f"{_ends(pay, scale)}"
    )
    does = "training pays" if pay.pays else "training does not pay"
    if score.pay_better:
        return f"It foretells that {does}: {gain}; {beside}"
    unable = "It cannot tell" if score.better else "Nor can it tell"
    return f"{unable} whether training pays: {beside}; expected is {gain}"


def _nearest(near: tuple[NearData, ...]) -> str:
    return "Nearest: " + "; ".join(
        f"{found.name} at distance {found.distance:.1f}, where {found.best} was best" for found in near
    )


def _scale(name: str) -> PairScale:
    return "log_ratio" if measure(unsplit(name)[0]).scale == "log_ratio" else "difference"
