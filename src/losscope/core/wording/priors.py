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


def data_sketch(sketch: DataSketch) -> str:
    """What is known of data before anything trains.

    >>> data_sketch(DataSketch(kind="vectors", classes=10, rows=1000, dimension=64, disjoint=True, raw=0.98))
    '10 classes, 100 rows per class, 64 dimensions, raw Recall@1 .98, test classes unseen in training'
    """
    each = sketch.rows_per_class
    rows = count(round(each), "row") if each >= 10 or each == round(each) else f"{each:.1f} rows"
    said = [count(sketch.classes, "class"), f"{rows} per class", count(sketch.dimension, "dimension")]
    if sketch.raw is not None:
        said.append(f"raw Recall@1 {_share(sketch.raw)}")
    if sketch.disjoint:
        said.append("test classes unseen in training")
    return ", ".join(said)


def _share(value: float) -> str:
    return f"{value:.2f}" if value >= 0.995 else f"{value:.2f}".removeprefix("0")


def atlas_prior(prior: AtlasPrior) -> tuple[str, ...]:
    """What an atlas foretells of data, in sentences: the answer first, then how it does on unseen data."""
    said = [f"{atlas_answer(prior)}.", f"{atlas_score(prior.score)}."]
    if prior.pay is not None and prior.score.pay_of:
        said.append(f"{_pays(prior.pay, prior.score, prior.measure)}.")
    said.append(f"{_nearest(prior.near)}.")
    return tuple(said)


def atlas_answer(prior: AtlasPrior) -> str:
    """What is foretold of data; or first that it is no better than the most frequent winner."""
    near = ", ".join(found.name for found in prior.near)
    where = "Data like yours"
    if prior.known is not None:
        where = f"These data are in the atlas as {prior.known}; foretold from its other families"
    return f"{where} ({data_sketch(prior.sketch)}; nearest: {near}): {_answer(prior)}"


def _answer(prior: AtlasPrior) -> str:
    own = next(loss for loss in prior.losses if loss.loss == prior.foretold)
    usual = next(loss for loss in prior.losses if loss.loss == prior.frequent)
    data_sets = count(sum(loss.best for loss in prior.losses), "data set")
    wins = f"best on {usual.best:,} of {data_sets}"
    scale = _scale(prior.measure)
    expected = f"{change(own.gap, scale)} {label(prior.measure)} from the best loss{_ends(own, scale)}"
    same = prior.foretold == prior.frequent
    if prior.score.better:
        beside = "" if same else f"; most often the best is {prior.frequent} ({wins})"
        return f"{prior.foretold} is foretold, {expected}{beside}"
    likely = (
        f"which likeness foretells too, {expected}" if same else f"by likeness {prior.foretold}, {expected}"
    )
    return f"the atlas foretells no better than its most frequent winner, {prior.frequent} ({wins}); {likely}"


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
        ends = f", in its favour by {change_interval(rival.low, rival.high, 'difference')}"
    return f"{number(score.regret)} from the best on average, against {number(rival.regret)}{ends}"


def _pays(pay: PriorPay, score: PriorScore, name: str) -> str:
    usual = "it pays" if score.pay_usual else "it does not pay"
    beside = (
        f"on {count(score.pay_of, 'data set')} that it had not seen this is right in {score.pay_right:,}, "
        f'always "{usual}" in {score.pay_usual_right:,}'
    )
    scale = _scale(name)
    gain = (
        f"the best loss {change(pay.gain, scale)} {label(name)} from the best of raw inputs and closed forms"
        f"{_ends(pay, scale)}"
    )
    does = "training pays" if pay.pays else "training does not pay"
    if score.pay_better:
        return f"Foretold that {does}: {gain}; {beside}"
    return f'Whether training pays is foretold no better than by always saying "{usual}": {beside}; {gain}'


def _nearest(near: tuple[NearData, ...]) -> str:
    return "Nearest: " + "; ".join(
        f"{found.name} at distance {found.distance:.1f}, where {found.best} was best" for found in near
    )


def _scale(name: str) -> PairScale:
    return "log_ratio" if measure(unsplit(name)[0]).scale == "log_ratio" else "difference"
