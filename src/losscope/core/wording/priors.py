"""What an atlas foretells, in words, and how far that can be trusted."""

from __future__ import annotations

from losscope.core.quantities import unsplit
from losscope.core.results import AtlasPrior, DataSketch, NearData, PriorPay, PriorRival, PriorScore
from losscope.core.results.comparisons import PairScale
from losscope.core.wording.numbers import change, change_interval, count, label, listing, measure


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
    near = ", ".join(found.name for found in prior.near)
    where = (
        f"{prior.known} in the atlas, foretold without its family"
        if prior.known is not None
        else "Data like yours"
    )
    said = [
        f"{where} ({data_sketch(prior.sketch)}; nearest: {near}): {_answer(prior)}.",
        f"{atlas_score(prior.score)}.",
    ]
    if prior.pay is not None:
        said.append(f"{_pays(prior.pay, prior.score, prior.measure)}.")
    said.append(f"{_nearest(prior.near)}.")
    return tuple(said)


def _answer(prior: AtlasPrior) -> str:
    scale = _scale(prior.measure)
    own = next(loss for loss in prior.losses if loss.loss == prior.foretold)
    usual = next(loss for loss in prior.losses if loss.loss == prior.frequent)
    wins = f"best on {usual.best:,} of {_of(prior)}"
    ends = (
        ""
        if own.low is None or own.high is None
        else f", 95 % of such data sets {change_interval(own.low, own.high, scale)}"
    )
    expected = f"{change(own.gap, scale)} {label(prior.measure)} from the best{ends}"
    if prior.score.better:
        beside = (
            "" if prior.foretold == prior.frequent else f"; {prior.frequent}, most often the best, is {wins}"
        )
        return f"{prior.foretold} is foretold ({expected}){beside}"
    same = (
        "which likeness foretells too"
        if prior.foretold == prior.frequent
        else f"by likeness {prior.foretold}"
    )
    return (
        f"the atlas foretells no better than its most frequent winner: take {prior.frequent} ({wins}); "
        f"{same} ({expected})"
    )


def _of(prior: AtlasPrior) -> str:
    return count(sum(loss.best for loss in prior.losses), "data set")


def atlas_score(score: PriorScore) -> str:
    """How the prior does on data that it has not seen, beside the most frequent winner."""
    usual = score.rival("frequent")
    if score.better:
        verdict = "better than the most frequent winner"
    elif score.worse:
        verdict = "worse than a rule that looks at no data"
    else:
        verdict = "no better than the most frequent winner"
    return (
        f"On {count(score.data_sets, 'data set')} that it had not seen, the loss foretold is among the best "
        f"in {score.hits:,}, {_always(usual)} in {usual.hits:,.0f}, a random one in "
        f"{score.rival('random').hits:.1f}: the atlas foretells {verdict} ({_saved(usual)})"
    )


def _always(rival: PriorRival) -> str:
    if len(rival.losses) == 1:
        return f"always {rival.losses[0]}"
    return f"the most frequent winner of the others ({listing(rival.losses)})"


def _saved(rival: PriorRival) -> str:
    ends = (
        ""
        if rival.low is None or rival.high is None
        else f", {change_interval(rival.low, rival.high, 'difference')}"
    )
    return f"closer to the best by {change(rival.saved, 'difference')} on average{ends}"


def _pays(pay: PriorPay, score: PriorScore, name: str) -> str:
    scale = _scale(name)
    ends = (
        ""
        if pay.low is None or pay.high is None
        else f" (95 % of such data sets {change_interval(pay.low, pay.high, scale)})"
    )
    does = "pay" if pay.pays else "not pay"
    compared = "better" if score.pay_better else "no better"
    return (
        f"Training is foretold to {does}: its best loss {change(pay.gain, scale)} {label(name)} from the best "
        f"of raw inputs and closed forms{ends}; on unseen data this was right on {score.pay_right:,} of "
        f"{score.pay_of:,}, and what holds for most of the others on {score.pay_majority:,}: {compared}"
    )


def _nearest(near: tuple[NearData, ...]) -> str:
    return "Nearest: " + "; ".join(
        f"{found.name} at distance {found.distance:.1f}, where {found.best} was best" for found in near
    )


def _scale(name: str) -> PairScale:
    return "log_ratio" if measure(unsplit(name)[0]).scale == "log_ratio" else "difference"
