"""The answer that is read in ten seconds: a headline, how sure it is, what to do next, and what to beware of.

Page and terminal print the same ``Headline``. The longer sentences, with every condition, are those of
``advice`` and ``contest``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from losscope.core.loss_spec import RAW
from losscope.core.results import BaselineResult, Comparison, Recommendation, Result
from losscope.core.wording.caveats import Caveat, caveat
from losscope.core.wording.comparisons import turned
from losscope.core.wording.contrasts import Contrast, contrasts
from losscope.core.wording.numbers import count, label, listing, measure, shorten, with_modalities
from losscope.core.wording.settings import exact_calls
from losscope.core.wording.steps import Step, next_step, seeds_wanted
from losscope.core.wording.sureness import sureness

HEADLINE_WORDS = 12
"""A headline has no more words. A name is one word, whatever is in it."""
HEADLINE_LETTERS = 34
"""A longer name is cut in its middle."""

_DOES: dict[str, tuple[str, str, str]] = {
    "recall_at_1": ("retrieve equally well", "retrieves better", "retrieve better"),
    "recall_at_1_across": ("match equally well", "matches better", "match better"),
    "eer": ("verify equally well", "verifies better", "verify better"),
    "knn_accuracy": ("classify equally well", "classifies better", "classify better"),
    "fine_recall_at_1": ("keep detail equally well", "keeps detail better", "keep detail better"),
    "intra_inter_ratio": ("are equally compact", "is more compact", "are more compact"),
}
"""What sides do that are equal, or better, in the measure of a goal: several, one, and several of them."""


@dataclass(frozen=True)
class Headline:
    """An answer in a few lines.

    Attributes:
        text: the answer, in at most twelve words.
        names: the names in it as they stand there; each counts as one word.
        sure: how sure it is: the two numbers, their difference and its interval, and whether it matters.
        step: what to do next.
        caveat: what to beware of most, where there is anything.
        contrasts: up to three measures in which the losses differ most, described and not tested.
    """

    text: str
    names: tuple[str, ...] = ()
    sure: str = ""
    step: Step | None = None
    caveat: Caveat | None = None
    contrasts: tuple[Contrast, ...] = ()

    @property
    def words(self) -> int:
        """How many words the headline has."""
        return len(_blanked(self.text, self.names).split())


@dataclass(frozen=True)
class _Case:
    """A recommendation beside what its headline names."""

    made: Recommendation
    rows: Mapping[tuple[str, str], Comparison]
    result: Result
    call: Callable[[str], str]

    @property
    def does(self) -> tuple[str, str, str]:
        """What equal and better sides do, for a text with places."""
        name = self.made.measure or ""
        if name == "map_audio_to_visual":
            way = _held(with_modalities("{first}→{second}"))  # one direction of two, and no more
            return f"retrieve {way} equally well", f"retrieves {way} better", f"retrieve {way} better"
        said = _held(label(name))
        other = f"are equal in {said}", f"is better in {said}", f"are better in {said}"
        return _DOES.get(name, other)

    @cached_property
    def focus(self) -> Comparison | None:
        """The pair that the answer rests on, told from the side of the answer, or of the better side."""
        if self.made.rests_on is None:
            return None
        row = self._foremost(self.rows[self.made.rests_on])
        answer = self.made.loss
        if answer in (row.a, row.b):
            other = row.b == answer
        elif row.better is not None:
            other = row.better == "b"
        else:
            other = row.mean_a is not None and self.leader((row.a, row.b)) == row.b
        return turned(row) if other else row

    def _foremost(self, row: Comparison) -> Comparison:
        """Of an open answer the pair of the best loss and the side that leads, where that is no loss."""
        undecided = ("too_few_seeds", "unresolved")
        if self.made.ground not in ("open", "single") or row.verdict not in (*undecided, "equivalent"):
            return row
        leader = self.leader([*dict.fromkeys(name for pair in self.rows for name in pair)])
        losses = [name for name in self.made.ranking if not self.result.side(name).failed]
        loss = self.leader(losses or (row.a,))
        found = self.rows.get((loss, leader)) or self.rows.get((leader, loss))
        if found is None:
            return row
        if row.verdict == "equivalent":
            return found if set(self.beaten(found)) == set(self.made.ranking) else row
        return found if found.verdict in undecided or self.beaten(found) else row

    def beaten(self, row: Comparison) -> tuple[str, ...]:
        """The losses that are shown worse than a side that is no loss, where the pair shows one to be."""
        better = {"a": row.a, "b": row.b}.get(row.better or "", "")
        losses = [side.name for side in self.result.losses]
        if self.made.loss is not None or not better or better in losses:
            return ()
        told = (own if own.a == better else turned(own) for own in self.rows.values())
        return tuple(own.b for own in told if own.a == better and own.better == "a" and own.b in losses)

    def better(self, name: str) -> str:
        """``retrieves better``; of the raw inputs, which are several, ``retrieve better``."""
        return self.does[2 if name == RAW else 1]

    def leader(self, names: Sequence[str]) -> str:
        """The side of the best mean."""
        sign = 1 if measure(self.made.measure or "").better == "lower" else -1
        means = {name: self.result.side(name).mean(self.made.measure or "") for name in names}
        known = [name for name in names if means[name] is not None]
        return min(known or names, key=lambda name: sign * (means[name] or 0.0))


def headline(result: Result) -> Headline:
    """The answer of a comparison, to be read in ten seconds.

    >>> from losscope.core.results import DataDescription
    >>> data = DataDescription(name="mine", title="", kind="vectors", described="")
    >>> headline(Result(data=data, protocol=None, seeds=(), goal="retrieval", losses=(), baselines=(),
    ...                 paired=(), recommendation=Recommendation(goal=None, loss=None))).text
    'No recommendation was asked for; here is what was measured'
    """
    made = result.recommendation
    exact = exact_calls(result.settings)

    def call(name: str) -> str:
        return " ".join(exact(name).split()) or "(blank)"  # a name stands on one line

    if made.ground is None:
        if made.loss is None:
            nothing = "No recommendation was asked for; here is what was measured"
            return Headline(nothing, contrasts=contrasts(result))
        shown = _shown(made.loss, call)
        return Headline(f"Use {shown}", (shown,), contrasts=contrasts(result))
    rows = {(row.a, row.b): row for row in result.verdicts() if row.measure == made.measure}
    case = _Case(made, rows, result, call)
    text, names = _fitting(_candidates(case), case)
    focus = case.focus
    return Headline(
        text,
        names,
        "" if focus is None else sureness(focus, call),
        _step(case),
        caveat(result, focus),
        contrasts(result),
    )


def _step(case: _Case) -> Step:
    """What to do next; where training is shown to harm, that no seed more is needed."""
    if case.focus is not None and case.made.ground != "undirected" and case.beaten(case.focus):
        return Step("Train nothing, or try another loss")
    return next_step(case.result, case.focus, _left(case))


def _left(case: _Case) -> tuple[str, ...]:
    """The sides among which nothing is decided; none where there is an answer."""
    made, row = case.made, case.focus
    if made.loss is not None or made.ground == "undirected":
        return ()
    return made.members or (() if row is None else (row.a, row.b))


_Said = tuple[str, tuple[str, ...]]
"""A text with a place ``{}`` for each name, and the names."""


def _fitting(candidates: Sequence[_Said], case: _Case) -> tuple[str, tuple[str, ...]]:
    """The first text that is short enough, its names called and cut."""
    for text, names in candidates:
        shown = tuple(_shown(name, case.call) for name in names)
        said = text.format(*shown)
        if len(_blanked(said, shown).split()) <= HEADLINE_WORDS:
            return said[0].upper() + said[1:] if text[:2] != "{}" else said, shown
    text, names = candidates[-1]
    shown = tuple(_shown(name, case.call) for name in names)
    return " ".join(text.split()[:HEADLINE_WORDS]).format(*shown), shown


def _held(text: str) -> str:
    """A name from elsewhere as it stands in a text with places."""
    return shorten(text, HEADLINE_LETTERS).replace("{", "{{").replace("}", "}}")


def _shown(name: str, call: Callable[[str], str]) -> str:
    if name == RAW:
        return "raw inputs"
    return shorten(call(name), HEADLINE_LETTERS)


def _blanked(text: str, names: Sequence[str]) -> str:
    """The text with one word for each name."""
    for name in sorted(names, key=len, reverse=True):
        if name != "raw inputs":
            text = text.replace(name, "x")
    return text


def _candidates(case: _Case) -> list[_Said]:
    """What could be said, from what says most to what fits always."""
    made = case.made
    if made.ground == "undirected":
        said = shorten(label(made.measure or ""), HEADLINE_LETTERS)
        return [("No recommendation: neither more nor less {} is better", (said,))]
    if made.loss is not None:
        return _use(case, made.loss)
    row = case.focus
    if row is None:
        return [("No answer: {} was compared with nothing", (made.reference or "it",))]
    if made.ground == "undecided":
        return _undecided(case, row)
    if made.ground != "single" and row.verdict == "equivalent":
        return _any_of(case, row)
    return _open(case, row)


def _any_of(case: _Case, row: Comparison) -> list[_Said]:
    """No side was named before the test, and the best are equivalent to the reference."""
    reference = case.made.reference
    told = [own if own.b == reference else turned(own) for own in case.rows.values()]
    equal = {own.a for own in told if own.b == reference and own.verdict == "equivalent"}
    better = any(own.better == "a" for own in told)
    names = [name for name in case.made.ranking if name == reference or name in equal]
    if len(names) < 3 or better or not {row.a, row.b} <= set(names):
        return [(f"Use either: {{}} and {{}} {case.does[0]}", (row.a, row.b))]
    if len(names) <= 4:
        listed = listing("{}" for _ in names)
        return [
            (f"Use any of {listed}: they {case.does[0]}", tuple(names)),
            (f"Use any of {listed}", tuple(names)),
        ]
    return [(f"Use any of {len(names)}: {{}} and its equals {case.does[0]}", (reference or names[0],))]


def _use(case: _Case, name: str) -> list[_Said]:
    """There is an answer."""
    made, row = case.made, case.focus
    assert row is not None
    side = case.result.side(name)
    form = isinstance(side, BaselineResult) and name != RAW
    opening = "Train nothing" if name == RAW else "Use {}"
    named: tuple[str, ...] = () if name == RAW else (name,)
    equal = [other for other in made.members if other != name]
    if equal:
        return _equal(case, name, equal, opening, named, form)
    worse = [] if made.candidate not in (None, name) else _shown_worse(case, name)
    subject = "raw inputs" if name == RAW else "it"
    free = ", training nothing" if form else ""
    losses = [own.name for own in case.result.losses if own.name != name]
    made_of = list[_Said]()
    if name not in [own.name for own in case.result.losses] and losses and set(losses) <= set(worse):
        all_of = {1: "the loss", 2: "both losses"}.get(len(losses), f"all {len(losses)} losses")
        made_of.append((f"{opening}: {subject} {case.better(name)} than {all_of}{free}", named))
    listed = listing("{}" for _ in worse)
    if 0 < len(worse) <= 4:
        made_of.append((f"{opening}: {subject} {case.better(name)} than {listed}{free}", (*named, *worse)))
    elif worse:
        all_of = f"all {len(worse)} others"
        made_of.append((f"{opening}: {subject} {case.better(name)} than {all_of}{free}", named))
    made_of.append((f"{opening}: {subject} {case.better(name)} than {{}}", (*named, row.b)))
    if row.verdict == "equivalent":
        made_of = [(f"{opening}: {{}} and {{}} {case.does[0]}", (*named, row.a, row.b))]
    elif row.better != "a":
        made_of = [(f"{opening}: no loss is shown better{free}", named)]
    return [*made_of, (f"{opening}{free}", named)]


def _shown_worse(case: _Case, name: str) -> list[str]:
    """The other sides that are shown worse than the answer, the best mean first."""
    found = [row for row in case.rows.values() if name in (row.a, row.b)]
    told = [row if row.a == name else turned(row) for row in found]
    if any(row.better != "a" for row in told) and case.made.candidate is None:
        return []
    sign = 1 if measure(case.made.measure or "").better == "lower" else -1
    worse = [row for row in told if row.better == "a"]
    return [row.b for row in sorted(worse, key=lambda row: sign * (row.mean_b or 0.0))]


def _equal(
    case: _Case, name: str, equal: Sequence[str], opening: str, named: tuple[str, ...], form: bool
) -> list[_Said]:
    """The answer is one of several that are equivalent."""
    does = case.does[0]
    if len(equal) == 1 and case.made.ground == "leads":
        return [
            (f"Use either: {{}} and {{}} {does}", (name, equal[0])),
            ("Use either: {} or {}", (name, equal[0])),
        ]
    others = ["{}" for _ in equal] if len(equal) <= 2 else [f"{len(equal)} others"]
    shown = tuple(equal) if len(equal) <= 2 else ()
    which = "raw inputs" if name == RAW else "it"
    if case.made.ground == "leads":
        either = f"{'either' if len(equal) == 2 else 'any'} of {listing(others)}"
        return [
            (f"{opening}, or {either}: they {does}", (*named, *shown)),
            (f"{opening}, or {either}", (*named, *shown)),
        ]
    free = ", training nothing" if form else ""
    return [
        (f"{opening}{free}: {listing([which, *others])} {does}", (*named, *shown)),
        (f"{opening}{free}: nothing is shown better", named),
    ]


def _undecided(case: _Case, row: Comparison) -> list[_Said]:
    """Several sides are left that validation named, or none."""
    made = case.made
    if made.open_by == "failed":
        return [("No answer: runs of {}, which led on validation, failed", (made.candidate or row.a,))]
    if made.open_by == "folds":
        return [("No verdict over folds: {} leads, described and not tested", (case.leader(made.members),))]
    if made.open_by == "measures" and made.second_on is not None:
        x, y = made.second_on
        first, second = (shorten(label(own or ""), HEADLINE_LETTERS) for own in (made.measure, made.second))
        return [("Undecided: {} favours {}, {} favours {}", (first, y, second, x))]
    if made.candidate not in made.members:
        listed = listing("{}" for _ in made.members)
        return [
            (f"Undecided: {listed} lead, untested against each other", made.members),
            (f"Undecided: {count(len(made.members), 'side')} lead, untested against each other", ()),
        ]
    if made.open_by == "saturated":
        return [("Undecided: all are near the best possible {}", (label(made.measure or ""),))]
    return _leads(case, row, case.leader(made.members))


def _open(case: _Case, row: Comparison) -> list[_Said]:
    """No side was named before the test, and nothing is shown."""
    if row.verdict == "failed":
        names = [name for name, lost in zip((row.a, row.b), row.failed, strict=True) if lost]
        if names:
            return [(f"No answer: runs of {listing('{}' for _ in names)} failed", tuple(names))]
        side = {name: case.result.side(name).measures.get(row.measure) for name in (row.a, row.b)}
        lacking = [name for name, own in side.items() if own is None or None in own.values]
        if lacking:
            return [
                (f"No answer: runs of {listing('{}' for _ in lacking)} have no value", tuple(lacking)),
            ]
        return [("No answer: runs of {} or {} have no value", (row.a, row.b))]
    if row.verdict == "not_comparable":
        if row.scope == "these_folds":
            return [
                ("No verdict over folds: {} leads, described and not tested", (case.leader((row.a, row.b)),))
            ]
        return [("No answer: {} and {} cannot be compared", (row.a, row.b))]
    worse = case.beaten(row)
    if len(worse) > 1 and len(worse) == len(case.result.losses):
        all_of = "both losses" if len(worse) == 2 else f"all {len(worse)} losses"
        return [(f"No gain: {{}} {case.better(row.a)} than {all_of}", (row.a,))]
    if (case.made.ground == "single" or worse) and row.better == "a":
        return [(f"Do not use {{}}: {{}} {case.better(row.a)}", (row.b, row.a))]
    if row.verdict == "equivalent":
        return [(f"No gain: {{}} and {{}} {case.does[0]}", (row.a, row.b))]
    if row.verdict in ("higher", "lower"):
        return [("No answer: no loss is shown better than every other", ())]
    return _leads(case, row, case.leader((row.a, row.b)))


def _leads(case: _Case, row: Comparison, leader: str) -> list[_Said]:
    """Nothing is shown yet: the leader, and what would decide."""
    lead = "lead" if leader == RAW else "leads"
    wanted = seeds_wanted(row)
    if wanted is not None and not row.spread_known:
        what = f"testing takes {count(wanted - row.n, f'more {row.paired_by}')}"
    elif wanted is not None:
        what = f"{count(wanted - row.n, f'more {row.paired_by}')} could decide"
    elif case.made.open_by == "data" or row.limit == "data":
        what = "more test data could decide"
    else:
        what = "and nothing is shown"
    return [(f"No answer yet: {{}} {lead}, {what}", (leader,)), (f"No answer yet: {{}} {lead}", (leader,))]
