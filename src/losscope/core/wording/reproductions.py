"""What reproductions say in words: reasons, what came out, and notes, each made from its fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from losscope.core.results import ClaimVerdict, ClaimWord, Edge, RiskRow, Settings
from losscope.core.wording.numbers import count, listing
from losscope.core.wording.settings import edge, settings_listing, settings_phrase
from losscope.core.wording.work import duration

OUTCOMES: dict[ClaimWord, tuple[str, str]] = {
    "reproduced": ("holds", "hold"),
    "direction_only": ("holds in direction only", "hold in direction only"),
    "size_unresolved": ("holds in direction, its size open", "hold in direction, their size open"),
    "contradicted": ("is contradicted", "are contradicted"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
    "not_testable": ("is not testable", "are not testable"),
}
"""How one claim, and several, came out."""


def outcomes(rows: Sequence[ClaimVerdict], protocols: Mapping[str, str]) -> tuple[str, ...]:
    """What came out: for each protocol how many claims hold, then which, on the data that were run.

    Args:
        rows: those that sum up over the paper's data; others are passed over.
        protocols: how a sentence calls each protocol, after "under".
    """
    said: list[str] = []
    for protocol, title in protocols.items():
        judged = [
            row for row in rows if row.together and row.protocol == protocol and row.run and not row.beyond
        ]
        named: dict[str, list[str]] = {}
        for row in judged:
            named.setdefault(str(row.verdict_run), []).append(row.id)
        if not named:
            continue
        counts = [
            f"{len(named[code])} {words[len(named[code]) > 1]}"
            for code, words in OUTCOMES.items()
            if code in named
        ]
        run = dict.fromkeys(data for row in judged for data in row.run)
        data = (
            "all of the paper's data"
            if all(row.run == row.cells for row in judged)
            else f"what was run of the paper's data ({', '.join(run)})"
        )
        said.append(f"Under {title}, of {len(judged)} claims on {data}, {listing(counts)}.")
        said += [
            f"{code.replace('_', ' ').capitalize()}: {', '.join(named[code])}."
            for code in OUTCOMES
            if code in named
        ]
    return tuple(said)


def judged(rows: Sequence[ClaimVerdict]) -> str:
    """How many of the judged claims came out, as a headline; what could not be tested is counted apart.

    Args:
        rows: of a reproduction. Those that sum up over the paper's data are counted, by what was run of
            these; where there are none, all.

    >>> row = {"id": "a", "statement": "", "source": "", "data": "digits", "protocol": "paper"}
    >>> judged([ClaimVerdict(**row, verdict="reproduced"), ClaimVerdict(**row, verdict="not_testable")])
    '1 of 1 judged claim reproduced; 1 could not be tested here'
    """
    verdicts = [verdict_of(row) for row in counted(rows)]
    tested = [verdict for verdict in verdicts if verdict != "not_testable"]
    apart = len(verdicts) - len(tested)
    left = f"{apart:,} could not be tested here" if apart else ""
    if not tested:
        return left[:1].upper() + left[1:] or "No claim was judged"
    told = [f"{tested.count('reproduced'):,} of {count(len(tested), 'judged claim')} reproduced"]
    told += [f"{tested.count('contradicted'):,} contradicted"] if "contradicted" in tested else []
    return "; ".join(part for part in (", ".join(told), left) if part)


def counted(rows: Sequence[ClaimVerdict]) -> list[ClaimVerdict]:
    """The rows that a count of claims is of: those that sum up over the paper's data, else all."""
    return [row for row in rows if row.together and not row.beyond] or list(rows)


def verdict_of(row: ClaimVerdict) -> ClaimWord:
    """The verdict of a row: of one that sums up, that on what was run of the paper's data."""
    return (row.verdict_run or "not_testable") if row.together else row.verdict


def says(a: str, direction: str, b: str, rises: bool = False) -> str:
    """What a claim says, shortly.

    >>> says("triplet", "higher", "contrastive"), says("fine Recall@1", "higher", "variance", rises=True)
    ('triplet higher than contrastive', 'fine Recall@1 rises with variance')
    """
    if not a:
        return direction
    return f"{a} rises with {b}" if rises else f"{a} {direction} than {b}"


def reasons(*parts: str | None) -> str | None:
    """Several reasons as one, each once; None where there is none.

    >>> reasons("too few seeds", None, "", "too few seeds", "a part")
    'too few seeds; a part'
    """
    return "; ".join(dict.fromkeys(part for part in parts if part)) or None


def not_run(loss: str) -> str:
    """A loss that a claim is about was not run."""
    return f"the loss {loss} was not run"


def lacks(loss: str, measure: str) -> str:
    """A loss that a claim is about has no value of the measure."""
    return f"{loss} has no {measure}"


def no_measure(measure: str) -> str:
    """The data have nothing that the claim could be judged on."""
    return f"these data have no {measure or 'value for it'}"


def direction_only(reduced: bool) -> str:
    """Why the published number itself is not tested."""
    why = "the data are reduced" if reduced else "it is of the paper's own protocol"
    return f"direction only, the number is not testable here: {why}"


def timing_on(reduced: str) -> str:
    """Why a claim about the speed of training is not tested."""
    return f"how fast is not testable on reduced data: {reduced}"


def weakest(parts: int, a: str, b: str) -> str:
    """Which part of a claim about several pairs decides."""
    return f"the weakest of {parts}: {a} against {b}" if parts > 1 else ""


def by_order(a: str, b: str, order: tuple[int, int, int] | None) -> str:
    """How epochs that not every run reached were compared: in how many pairs each side came later."""
    if order is None:
        return ""
    later, earlier, ties = order
    pairs = f"{a} later in {later}, {b} in {earlier}, neither in {ties}"
    return f"by order, since some runs never get there: {pairs}"


def settings(chosen: Sequence[Settings], edges: Sequence[tuple[str, Edge]]) -> str:
    """The numbers that verdicts are conditional on, and which of them lie on the edge of the search.

    >>> known = [Settings(loss="triplet", name="triplet", hyperparameters={"margin": 0.7}, tuned=True)]
    >>> settings(known, [("triplet", Edge(name="margin", value=0.7))])
    'tuned: triplet 0.7 (on the edge of the search: triplet margin 0.7)'
    """
    if any(not each.tuned for each in chosen):
        return settings_phrase(chosen)
    listed = f"tuned: {settings_listing(chosen)}"
    found = ", ".join(f"{loss} {edge(value)}" for loss, value in edges)
    return f"{listed} (on the edge of the search: {found})" if edges else listed


def reduced_to(images: int, of: int, updates: int, theirs: int) -> str:
    """What part of the paper's images and updates a cell is."""
    return f"{images:,} of {of:,} images and {updates:,} updates, the paper's own run has {theirs:,}"


def described(data: Sequence[str], seeds: int, only: Sequence[str]) -> str:
    """What a reproduction was run on.

    >>> described(["digits"], 10, ["digits"])
    '1 data set (digits), 10 paired seeds; only digits'
    """
    whole = f"only {', '.join(only)}" if only else "the whole of what is on this machine"
    return f"{count(len(data), 'data set')} ({', '.join(data)}), {count(seeds, 'paired seed')}; {whole}"


def absent(data: str) -> str:
    """Data that are not on this machine."""
    return f"{data} is not on this machine and is left out; see `losscope list data`."


def pending(data: Iterable[str]) -> str:
    """Data whose features are to be computed before anything can be timed."""
    return (
        f"Features of {listing(data)} are to be computed first; how long runs on them take is known then, "
        "and left out of the time."
    )


def unregistered(loss: str) -> str:
    """A loss of the paper that nothing registers."""
    return f"The loss {loss} is not registered and is left out."


def no_backbone(pattern: str, data: Iterable[str]) -> str:
    """A frozen backbone that is not on this machine, and the data that need it."""
    names = list(dict.fromkeys(data))
    verb = "is" if len(names) == 1 else "are"
    return f"No backbone {pattern} is in the data root, so {listing(names)} {verb} left out."


def control_label(label: str, *, held_out: bool = False, longer: tuple[str, int] | None = None) -> str:
    """What a row of a control shows. ``longer``: a loss that was trained for another number of epochs.

    >>> control_label("equal images", longer=("contrastive", 150))
    'equal images, contrastive for 150 epochs'
    """
    if longer is not None:
        label += f", {longer[0]} for {count(longer[1], 'epoch')}"
    return label + (" on held-out points" if held_out else "")


def against(a: str, b: str) -> str:
    """Two sides that a control compares."""
    return f"{a} against {b}"


def resting(margin: float | None, classes: int) -> str:
    """Why the class means come to rest where theory says."""
    return (
        f"a simplex of {classes} class means" if margin is None else f"negatives rest at the margin {margin}"
    )


def work(runs: int, populations: int, stored: int, seconds: float, cores: int) -> str:
    """What a reproduction will cost."""
    return (
        f"{count(runs, 'run')} in {count(populations, 'population')}, {stored:,} stored; about "
        f"{duration(seconds)} on {count(cores, 'core')}, by this machine's measured speed."
    )


def told_apart(rows: Sequence[RiskRow]) -> str:
    """How often one loss under two names was told apart."""
    said = "; ".join(
        f"{row.label}: {row.directional} of {row.studies} studies told the two names apart" for row in rows
    )
    return f"{said[:1].upper()}{said[1:]}."
