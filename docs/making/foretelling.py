"""How well the atlas of the package foretells data that it has not seen, and what it says of some data."""

from __future__ import annotations

from losscope import stats
from losscope.atlases import kept
from losscope.atlases.asking import asked
from losscope.core import wording
from losscope.core.results import PriorFold, PriorScore
from losscope.stats.likeness import FEWEST

GOAL = "retrieval"
RULES = {
    "frequent": "the loss that is most often the best on the others",
    "average": "the loss that is the best on average on the others",
    "hindsight": "the best single loss in hindsight",
    "random": "a loss at random",
}


def scored() -> str:
    """The score beside that of rules that look at no data, in Markdown."""
    score = _score()
    if score is None:
        return _too_few()
    rows = [("the loss foretold by likeness", f"{score.hits}", score.regret)]
    for kind, rule in RULES.items():
        rival = next(rival for rival in score.rivals if rival.kind == kind)
        hits = f"{rival.hits:.1f}" if kind == "random" else f"{rival.hits:.0f}"
        rows.append((rule, hits, rival.regret))
    lines = [
        f"| what is taken | among the best, of {score.data_sets} | behind the best, on average |",
        "|---|---|---|",
        *(f"| {rule} | {hits} | {wording.number(regret)} |" for rule, hits, regret in rows),
        "",
        f"{wording.atlas_score(score)}.",
    ]
    return "\n".join(lines)


def folds() -> str:
    """Each data set as all other families foretell it, in Markdown."""
    score = _score()
    if score is None:
        return ""
    lines = [
        "| data | foretold | most frequent elsewhere | among the best | training pays: foretold, found |",
        "|---|---|---|---|---|",
        *(_row(fold) for fold in score.folds),
    ]
    return "\n".join(lines)


def _row(fold: PriorFold) -> str:
    told = "—" if fold.pays is None else f"{_yes(fold.foretold_pays)}, {_yes(fold.pays)}"
    taken = (_marked(loss, fold) for loss in (fold.foretold, fold.frequent))
    return f"| {fold.name} | {' | '.join(taken)} | {', '.join(fold.members)} | {told} |"


def _marked(loss: str, fold: PriorFold) -> str:
    return f"**{loss}**" if loss in fold.members else loss


def _yes(found: bool | None) -> str:
    return "—" if found is None else "yes" if found else "no"


def answered() -> str:
    """What the atlas says of digits, which it leaves out."""
    if _score() is None:
        return _too_few()
    return "\n".join(["```text", *asked("digits", atlas=kept.shipped(), goal=GOAL).said, "```"])


def _score() -> PriorScore | None:
    table = kept.shipped()
    return stats.prior_score(table, GOAL) if stats.foretells(table, GOAL) else None


def _too_few() -> str:
    found = len(kept.shipped().entries)
    return (
        f"The atlas of this version has {wording.count(found, 'data set')}. It foretells nothing before it "
        f"has {FEWEST}."
    )
