"""What a multiverse says in words: shares, effects, what decides, a rule, and the paper's own setting."""

from __future__ import annotations

from collections.abc import Sequence

from losscope.core.results import (
    Choice,
    ChoiceShare,
    Condition,
    Decomposition,
    JointTest,
    MedianEffect,
    Multiverse,
    MultiverseClaim,
    PairScale,
    PaperSetting,
    Rule,
    SettingOutcome,
    Share,
    Shares,
)
from losscope.core.results.multiverses import FEWEST
from losscope.core.wording.numbers import (
    NOTHING,
    be,
    change,
    change_interval,
    count,
    indifference,
    listing,
    p_value,
)

OUTCOMES: dict[SettingOutcome, str] = {
    "holds": "holds",
    "reversed": "is reversed",
    "neither": "does neither",
    "failed": "has no value",
}
"""What a claim does in a setting."""
LEVEL = 0.05
"""The level of the joint test, in words."""
NAMED = 3
"""Choices that a sentence names."""
FEW = 5
"""Settings from which shares of competent ones are said."""


# --- names -----------------------------------------------------------------------------------------


def axis(name: str) -> str:
    """A choice in a sentence; one of a loss belongs to it.

    >>> axis("triplet.margin"), axis("learning_rate")
    ("triplet's margin", 'the learning rate')
    """
    loss, _, own = name.rpartition(".")
    return f"{loss}'s {_spaced(own)}" if loss else f"the {_spaced(own)}"


def axis_title(name: str) -> str:
    """A choice as a heading.

    >>> axis_title("triplet.margin"), axis_title("batch_size")
    ('triplet: margin', 'batch size')
    """
    loss, _, own = name.rpartition(".")
    return f"{loss}: {_spaced(own)}" if loss else _spaced(own)


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def value(choice: Choice, place: int) -> str:
    """What was chosen in the setting at a place.

    >>> value(Choice(name="margin", numbers=(0.41273, 2.0)), 0), value(Choice(name="t", texts=("all",)), 0)
    ('0.413', 'all')
    """
    if choice.numbers is not None:
        return chosen(choice.numbers[place])
    return (choice.texts or ())[place].replace("_", " ")


def chosen(number: float) -> str:
    """A chosen number, in three significant digits; whole ones as they are.

    >>> chosen(64.0), chosen(0.00031623)
    ('64', '0.000316')
    """
    return f"{number:,.0f}" if number == int(number) and abs(number) < 1e7 else f"{number:.3g}"


# --- shares ----------------------------------------------------------------------------------------


def share(found: Share) -> str:
    """A share in per cent; none and all are said of none and all alone.

    >>> share(Share(count=2, share=0.004)), share(Share(count=0, share=0.0)), share(Share(count=3, share=0.6))
    ('under 1 %', '0 %', '60 %')
    """
    return NOTHING if found.share is None else percent(found.share)


def percent(part: float) -> str:
    """A part of a whole in per cent; only none is 0 %, and only all is 100 %.

    >>> percent(0.996), percent(0.5), percent(1.0)
    ('over 99 %', '50 %', '100 %')
    """
    if 0 < part < 0.01:
        return "under 1 %"
    return "over 99 %" if 0.99 < part < 1 else f"{100 * part:.0f} %"


def spread(low: float | None, high: float | None) -> str:
    """The ends of an interval of a share in per cent, or nothing.

    >>> spread(0.541, 0.678), spread(None, None)
    ('54 to 68', '')
    """
    return "" if low is None or high is None else f"{100 * low:.0f} to {100 * high:.0f}"


def shared(found: Share) -> str:
    """A share with its interval: ``61 % (54 to 68)``."""
    ends = spread(found.low, found.high)
    return f"{share(found)} ({ends})" if ends else share(found)


def of_settings(found: Shares) -> str:
    """In how many settings a claim holds, is reversed, or neither.

    >>> some = Shares(settings=500, cells=40, holds=Share(count=305, share=0.61, low=0.54, high=0.68),
    ...               reversed=Share(count=60, share=0.12), neither=Share(count=135, share=0.27))
    >>> of_settings(some)
    'holds in 61 % of 500 settings (54 to 68), reversed in 12 %, neither in 27 %'
    """
    if not found.settings:
        return "there is no such setting"
    ends = spread(found.holds.low, found.holds.high)
    said = (
        f"holds in {share(found.holds)} of {count(found.settings, 'setting')}{f' ({ends})' if ends else ''}"
    )
    said += f", reversed in {shared(found.reversed)}, neither in {share(found.neither)}"
    return f"{said}, without a value in {share(found.failed)}" if found.failed.count else said


def no_interval(found: Shares) -> str:
    """Why shares have no interval, and what else there is not, as a sentence; nothing where they have."""
    if found.no_interval != "few_cells":
        return ""
    trained = f"{count(found.cells, 'cell')} {'was' if found.cells == 1 else 'were'} trained"
    return f"There are no intervals and nothing is said of what decides: {trained}, and {FEWEST} are wanted."


# --- effects ---------------------------------------------------------------------------------------


def effect(found: float | None, scale: PairScale) -> str:
    """An effect: a signed difference, or a ratio."""
    return NOTHING if found is None else change(found, scale)


def median(found: MedianEffect, scale: PairScale, delta: float) -> str:
    """The median effect as a sentence, beside the indifference."""
    if found.value is None:
        return "No setting has an effect."
    ends = ""
    if found.low is not None and found.high is not None:
        ends = f" ({change_interval(found.low, found.high, scale)})"
    said = f"The median effect is {change(found.value, scale)}{ends}"
    return f"{said}; {indifference(delta, scale)} is the size below which it does not matter."


def joint(found: JointTest | None, *, both_ways: bool = False) -> str:
    """What the test of "no effect in any setting" says.

    ``both_ways``: whether effects of either sign are more frequent than by luck; a median does not see them.

    >>> joint(JointTest(statistic=2.0, p=0.0001, smallest=0.0001, cells=40, exact=False))[:69]
    'Some effect exists somewhere (p = 0.00010, names swapped in 40 cells)'
    """
    if found is None:
        return ""
    tested = f"p = {p_value(found.p)}, names swapped in {count(found.cells, 'cell')}"
    if found.p <= LEVEL:
        return f"Some effect exists somewhere ({tested}), which is not to say that it holds."
    if found.smallest > LEVEL:
        few = f"{count(found.cells, 'cell')} {be(found.cells)} too few"
        return f"Whether there is any effect cannot be tested: {few}."
    if both_ways:
        return f"Effects of both signs are more frequent than by luck; in the median they cancel ({tested})."
    return f"The median effect does not rule out that no setting has any effect ({tested})."


def _both_ways(found: MultiverseClaim) -> bool:
    """Whether a claim holds, and is reversed, in more settings than luck gives, the intervals apart."""
    own, luck = found.everywhere, found.null
    pairs = () if luck is None else ((own.holds, luck.holds), (own.reversed, luck.reversed))
    return bool(pairs) and all(
        each.low is not None and null.high is not None and each.low > null.high for each, null in pairs
    )


# --- what decides ----------------------------------------------------------------------------------


def deciding(found: Decomposition) -> str:
    """Which choices the effect depends on, as a sentence."""
    match found.reason:
        case "few_cells":
            return f"Which choices decide it is not told: fewer than {FEWEST} cells have a value."
        case "one_seed":
            return (
                "Which choices decide it is not told: with one seed, seeds and choices cannot be told apart."
            )
        case "no_variance":
            return "Settings differ no more than seeds do: no choice decides it."
        case "no_choices":
            return "No choice varies."
        case "poor_fit":
            r2 = max(0.0, found.r2 or 0.0)
            return (
                "Which choices decide it is not told: of settings kept out, the choices predict "
                f"{100 * r2:.0f} % of the variance, and half is wanted."
            )
    first, *rest = [each for each in found.choices[:NAMED] if each is found.choices[0] or each.total >= 0.05]
    said = [f"{axis(first.name)} takes part in {_variance(first)}"]
    said += [f"{axis(each.name)} in {_variance(each)}" for each in rest]
    left = f"; the choices explain {100 * (found.explained or 0.0):.0f} % in all"
    return f"Of the variance between settings, {listing(said)}{left}."


def _variance(found: ChoiceShare) -> str:
    ends = spread(found.total_low, found.total_high)
    alone = f", {100 * found.first:.0f} % alone" if found.total - found.first >= 0.05 else ""
    return f"{100 * found.total:.0f} % ({ends}{alone})"


# --- the rule --------------------------------------------------------------------------------------


def condition(found: Condition) -> str:
    """One condition.

    >>> condition(Condition(name="triplet.margin", word="above", number=0.4))
    "triplet's margin is above 0.4"
    >>> condition(Condition(name="tuples", word="is_not", text="hard"))
    'the tuples are not hard'
    """
    name = axis(found.name)
    verb = "are" if name.endswith("s") and not name.endswith("ss") else "is"
    if found.number is not None:
        return f"{name} {verb} {'above' if found.word == 'above' else 'at most'} {chosen(found.number)}"
    text = (found.text or "").replace("_", " ")
    return f"{name} {verb} {'' if found.word == 'is' else 'not '}{text}"


def where(found: Rule) -> str:
    """Where a claim holds, without how well that is checked.

    >>> above = Condition(name="triplet.margin", word="above", number=0.4)
    >>> where(Rule(branches=({"conditions": (above,)},)))
    "triplet's margin is above 0.4"
    """
    return ", or where ".join(
        " and ".join(condition(each) for each in branch.conditions) for branch in found.branches
    )


def shortly(found: Rule) -> str:
    """Where a claim holds, in few words; nothing where no rule says it.

    >>> above = Condition(name="triplet.margin", word="above", number=0.4)
    >>> known = {"branches": ({"conditions": (above,)},), "accuracy": 0.6, "balanced": 0.7}
    >>> shortly(Rule(**known, majority=0.8)), shortly(Rule(**known, majority=0.5))
    ("more often where triplet's margin is above 0.4", "where triplet's margin is above 0.4")
    """
    if not found.branches:
        return ""
    return f"{'' if found.holds else 'more often '}where {where(found)}"


def rule(found: Rule) -> str:
    """Where a claim holds as a sentence, with how often it is right in settings that were kept out.

    A rule that is right less often than always saying the majority is told by both outcomes counted alike.

    >>> above = Condition(name="triplet.margin", word="above", number=0.4)
    >>> known = {"branches": ({"conditions": (above,)},), "checked": 150, "checked_cells": 12}
    >>> rule(Rule(**known, accuracy=0.87, majority=0.62, balanced=0.85)).split(";")[0]
    "It holds where triplet's margin is above 0.4: right in 87 % of the 150 settings (12 cells) kept out, \
62 % by always saying the majority"
    """
    match found.reason:
        case "few_cells":
            return f"There is no rule: fewer than {FEWEST} cells have a value."
        case "one_outcome":
            return "There is no rule: in a part of the cells it holds everywhere or nowhere."
        case "no_choices":
            return "There is no rule: no choice varies."
    if found.accuracy is None or found.majority is None or found.balanced is None:
        return ""
    cells = f" ({count(found.checked_cells, 'cell')})" if found.checked_cells else ""
    kept = f"the {count(found.checked, 'setting')}{cells} kept out"
    plainly = f"{100 * found.accuracy:.0f} %"
    most = f"{100 * found.majority:.0f} % by always saying the majority"
    alike = f"{100 * found.balanced:.0f} %"
    if found.reason == "no_simple_rule":
        told = (
            f"the best one is right in {plainly} of {kept}, {most}; with both outcomes counted alike, {alike}"
        )
        return f"No simple rule says where it holds ({told} and 50 %)."
    if found.holds:
        told = f"right in {plainly} of {kept}, {most}"
        return f"It holds where {where(found)}: {told}; with both outcomes counted alike, {alike} and 50 %."
    told = f"with both outcomes counted alike, right in {alike} of {kept}, 50 % by always saying the majority"
    more = f"; plainly, {plainly} and {100 * found.majority:.0f} %"
    return f"It holds more often where {where(found)}: {told}{more}."


# --- the paper -------------------------------------------------------------------------------------


def paper(found: PaperSetting | None, scale: PairScale) -> str:
    """Whether the paper's own setting is typical, as a sentence; nothing where it is not among them."""
    if found is None:
        return ""
    if found.effect is None:
        return "The paper's own setting has no value."
    does = f"the claim {OUTCOMES[found.outcome]} in it (effect {effect(found.effect, scale)})"
    if found.quantile is None:
        return f"In the paper's own setting {does}; no other has a value."
    word = "typical" if found.typical else "not typical"
    below = f"{percent(found.quantile)} of the others lie further against the claim"
    return f"The paper's own setting is {word}: {does}, and {below}."


# --- a claim, and all ------------------------------------------------------------------------------


def summary(found: MultiverseClaim) -> tuple[str, ...]:
    """What came out for one claim, in sentences."""
    first = of_settings(found.everywhere)
    said = [f"{first[:1].upper()}{first[1:]}.", no_interval(found.everywhere)]
    if found.null is not None and found.null.settings:
        said.append(f"{by_luck(found.null)}.")
    if found.competent is None or found.competent.settings < found.everywhere.settings:
        said.append(near_their_best(found.competent))
    said += [median(found.median, found.scale, found.delta), joint(found.joint, both_ways=_both_ways(found))]
    if found.everywhere.no_interval != "few_cells":
        said += [deciding(found.decomposition), rule(found.rule)]
    said.append(paper(found.paper, found.scale))
    return tuple(text for text in said if text)


def by_luck(found: Shares) -> str:
    """What luck alone gives: the shares of one loss under both names."""
    told = f"it holds in {share(found.holds)} and is reversed in {share(found.reversed)}"
    return f"By luck alone, one loss under both names, {told}"


def near_their_best(found: Shares | None) -> str:
    """What comes of a claim where each loss is near its best on validation; of few settings only how many."""
    if found is None:
        return "Where both losses are near their best on validation is not told: too few settings share data."
    if found.settings < FEW:
        some = count(found.settings, "setting") if found.settings else "no setting"
        return f"Both losses are near their best on validation in {some}{' only' * bool(found.settings)}."
    return f"Where both losses are near their best on validation it {of_settings(found)}."


def headline(claims: Sequence[MultiverseClaim]) -> str:
    """What most settings say of each claim: how many hold, are reversed, differ in nothing, or none of it.

    Most: the whole interval of the share is above one half; of too few cells for one, the share itself. Of a
    claim alone what it says itself.
    """
    if not claims:
        return "No claim was measured"
    if len(claims) == 1:
        return _told(claims[0])
    most = dict.fromkeys(("holds", "reversed", "neither"), 0)
    for found in claims:
        for name in most:
            own = getattr(found.everywhere, name)
            least = own.low if found.everywhere.no_interval is None else own.share
            most[name] += (least or 0.0) > 0.5
    open_ = len(claims) - sum(most.values())
    tried = any(found.everywhere.no_interval == "few_cells" for found in claims)
    told = [
        f"{most['holds']:,} of {len(claims):,} claims hold in most "
        f"{'of the settings tried' if tried else 'settings'}"
    ]
    if most["reversed"]:
        told.append(f"{most['reversed']:,} {be(most['reversed'])} reversed in most")
    if most["neither"]:
        told.append(f"{most['neither']:,} show{'s' * (most['neither'] == 1)} no difference in most")
    if open_:
        told.append(f"{open_:,} depend{'s' * (open_ == 1)} on the setting")
    return ", ".join(told)


def on_several(claims: Sequence[MultiverseClaim]) -> bool:
    """Whether claims are on more than one data set, so that each has to name its own."""
    return len({found.data for found in claims}) > 1


def of_several_pairs(found: MultiverseClaim, claims: Sequence[MultiverseClaim]) -> bool:
    """Whether a claim is of more than one pair of losses on its data, so that each has to name its own."""
    return sum((each.claim, each.data) == (found.claim, found.data) for each in claims) > 1


def named(found: MultiverseClaim, claims: Sequence[MultiverseClaim]) -> str:
    """A claim among others: its name, and its pair and its data where others have the same name."""
    pair = f", {found.a} and {found.b}" if of_several_pairs(found, claims) else ""
    return f"{found.claim}{pair}{f', {found.data}' if on_several(claims) else ''}"


def whole(found: Multiverse) -> tuple[str, ...]:
    """What came out of a multiverse, a sentence for each claim: what it says, and where it holds."""
    several = on_several(found.claims)
    return tuple(
        _told(
            each,
            f"{f' ({each.a}, {each.b})' * of_several_pairs(each, found.claims)}"
            f"{f', on {each.data}' * several}",
        )
        + "."
        for each in found.claims
    )


def _told(found: MultiverseClaim, which: str = "") -> str:
    return f"{found.statement}{which}: {of_settings(found.everywhere)}{_luck(found.null)}"


def _luck(found: Shares | None) -> str:
    if found is None or not found.settings:
        return ""
    return f" (by luck alone {share(found.holds)} and {share(found.reversed)})"
