"""Sentences on files of embeddings: what stands in one, and how two differ."""

from __future__ import annotations

from losscope.core.results import (
    Changed,
    ClassChanged,
    Duplicates,
    Inspected,
    InspectedPair,
    Inspection,
    Item,
    WrongLabels,
)
from losscope.core.wording.numbers import (
    be,
    brief,
    change,
    change_interval,
    count,
    interval,
    label,
    listing,
    number,
    shorten,
)

HARDLY = 0.3
"""A mean share of each other's neighbours from which two classes are hardly told apart."""
TOLD = 10
"""Queries of a class from which a sample tells that it is found badly."""
SCOPES = {"these_models": "these two models, these items", "these_classes": "these two models, these classes"}


def inspection(found: Inspection) -> str:
    """What a file holds and how well its classes are found, in a sentence or two."""
    what = f"{found.rows:,} items"
    if found.classes is not None:
        what += f"{' with labels' if found.several else ''} of {count(found.classes, 'class')}"
    said = f"{file_name(found.name)}: {what} in {count(found.dimensions, 'dimension')}."
    if found.searched:
        said += f" {found.searched[0].upper()}{found.searched[1:]}."
    own = next(
        (row for row in found.measures if row.measure == "recall_at_1" and row.value is not None), None
    )
    if own is None:
        return f"{said} {NO_LABELS if found.classes is None else NO_PAIR}"
    if found.classes == 1 and not found.searched:
        return f"{said} {ONE_CLASS}"
    precise = found.value("map_at_r")
    same = "shares a label" if found.several else "is of the same class"
    nearest = f"The nearest item {same} for {share(own.value)} of them"
    if found.searched:
        nearest = f"The nearest item is right for {share(own.value)} of the queries"
    return f"{said} {nearest}{_ends(own)}; MAP@R is {number(precise)}."


NO_LABELS = "Without labels only their geometry, copies and neighbours are told."
ONE_CLASS = "All are of one class, so that whatever is found is right: retrieval says nothing here."
NO_PAIR = "No class has two items, so that nothing can be found."


def _ends(row: Inspected) -> str:
    if row.low is None or row.high is None:
        return ""
    return f" (95 % interval {share(max(0.0, row.low))} to {share(min(1.0, row.high))})"


def share(value: float | None) -> str:
    """A share as per cent.

    >>> share(0.5113), share(1.0), share(0.0004)
    ('51.1 %', '100 %', '0.04 %')
    """
    if value is None:
        return "—"
    text = f"{100 * value:.1f}" if value >= 0.001 or value == 0 else f"{100 * value:.2g}"
    return f"{text.removesuffix('.0')} %"


def file_name(path: str) -> str:
    """The last part of a path."""
    return path.rstrip("/").rsplit("/", 1)[-1] or path


def inspection_findings(found: Inspection) -> tuple[str, ...]:
    """What to look at first, the most harmful first."""
    said = []
    if found.not_finite:
        said.append(f"{found.not_finite:,} of {found.rows:,} rows are NaN or infinite: left out.")
    said += _collapsed(found)
    if found.zeros:
        said.append(f"{count(found.zeros, 'row')} of zeros: equally near to all others.")
    said += _copies(found.duplicates, found.classes is not None)
    if found.wrong_labels is not None and found.wrong_labels.count:
        said.append(_wrong(found.wrong_labels))
    hard = [pair for pair in found.confused if (pair.a_to_b + pair.b_to_a) / 2 >= HARDLY]
    if hard:
        pairs = [f"{pair.a} and {pair.b} ({share((pair.a_to_b + pair.b_to_a) / 2)})" for pair in hard[:3]]
        more = f", and {count(len(hard) - 3, 'more pair')}" if len(hard) > 3 else ""
        said.append(
            f"Hardly told apart, by the share of each other's nearest items: {', '.join(pairs)}{more}."
        )
    overall = found.value("recall_at_1")
    worst = [
        f"{row.label} (Recall@1 {number(row.recall_at_1)})"
        for row in found.worst[:3]
        if overall is not None and row.recall_at_1 < overall / 2 and (row.asked >= TOLD or not found.sampled)
    ]
    if worst:
        said.append(f"Found worst: {listing(worst)}.")
    return tuple(said)


def _collapsed(found: Inspection) -> list[str]:
    state, rank = found.collapse, found.collapse.centred_rank
    if state.kind == "point":
        return [
            f"Collapsed: the mean cosine of two items is {number(state.cosine)}, so that nearly all lie in "
            "one point."
        ]
    if state.kind == "few_directions":
        return [
            f"Collapsed to few directions: the effective rank of the centred vectors is {number(rank)}, of "
            f"{found.dimensions:,} dimensions."
        ]
    return []


def _copies(found: Duplicates, labelled: bool) -> list[str]:
    across = _told(
        (found.across_equal, "", "stand outside of it too"), (found.across_near, "", "have a near copy there")
    )
    two_labels = _told(
        (found.two_labels, "item", "with equal vectors"),
        (found.near_two_labels if labelled else 0, "pair", "of near copies"),
    )
    copies = _told((found.equal, "row", "equal to an earlier one"), (found.near, "pair", "nearly equal"))
    said = []
    if across:
        said.append(f"Of {found.tests or 0:,} test items {across}: scores on these say little.")
    if two_labels:
        said.append(f"The same item under two labels: {two_labels}.")
    if copies:
        said.append(f"Copies: {copies}.")
    return said


def _told(*parts: tuple[int | None, str, str]) -> str:
    """Of (number, of what, what is said of them) those that there are, as a list."""
    return listing(
        f"{count(number, what) if what else f'{number:,}'} {said}" for number, what, said in parts if number
    )


def _wrong(found: WrongLabels) -> str:
    first = found.worst[0]
    return (
        f"{found.count:,} of {count(found.judged, 'label')} {be(found.count)} likely wrong "
        f"({share(found.count / found.judged)}), the surest that of {item(first.item)}: {first.item.label}, "
        f"while its neighbours say {first.suggested}."
    )


def item(found: Item) -> str:
    """A row by its id, else by its place."""
    return f"{found.part or ''} row {found.row:,}".lstrip() if found.id is None else shorten(found.id, 60)


def inspection_sample(found: Inspection) -> tuple[str, ...]:
    """What was measured on some rows only."""
    said = []
    kept = found.rows - found.not_finite - found.unlabelled
    if found.unlabelled:
        said.append(f"{count(found.unlabelled, 'row')} without a class left out")
    if found.sampled:
        said.append(
            f"{found.asked:,} of {found.able:,} rows asked the whole gallery, a sample of each class by its "
            "size; near copies are looked for among their nearest items; --exact asks all"
        )
        each = found.asked / found.classes if found.classes and not found.several else TOLD
        if each < TOLD:
            said.append(
                f"a class asked {each:.2g} times in the mean: what is said of single classes is rough; "
                f"--queries {TOLD * (found.classes or 1)} asks {TOLD} times for each"
            )
    if found.pair_rows < kept:
        named = {"verification": "eer", "NMI": "nmi", "silhouette": "silhouette", "uniformity": "uniformity"}
        named |= {"hubness": "hubness"} if found.sampled else {}
        of_pairs = [title for title, measure in named.items() if found.value(measure) is not None]
        said.append(f"{listing(of_pairs)} are those of {found.pair_rows:,} of {kept:,} rows")
    if found.classes is not None and found.value("nmi") is None and found.value("silhouette") is not None:
        said.append("NMI is left out, whose clustering would take minutes; --exact measures it")
    judged = found.wrong_labels
    if judged is not None and judged.undecided:
        said.append(
            f"{count(judged.undecided, 'row')} whose neighbours are equally near by the dozen: their labels "
            "are not judged"
        )
    elif judged is not None and not judged.judged and (found.classes or 0) > 1:
        said.append(
            "no label is judged: the nearest items do not follow the labels, or fewer than 20 rows have one"
        )
    return tuple(said)


def inspected_pair(found: InspectedPair) -> str:
    """Which of two files finds its classes better, with the interval and what it speaks of."""
    a, b = pair_names(found)
    row = next((row for row in found.changes if row.primary and row.difference is not None), None)
    if row is None:
        return f"{_alike(found, f'{a} and {b}')} Without labels none of them is better."
    return f"{_claim(row, a, b)}: {_numbers(row, found.scope)}; {SCOPES[found.scope]}."


def _alike(found: InspectedPair, both: str) -> str:
    """How alike the two files are, whatever their classes."""
    return (
        f"{share(found.overlap)} of an item's {found.neighbours} nearest items are the same in {both} (by "
        f"chance {share(found.overlap_by_chance)}); linear CKA {number(found.cka)}."
    )


def pair_names(found: InspectedPair) -> tuple[str, str]:
    """What the two files are called: the last parts of their paths, where these differ."""
    a, b = file_name(found.a.name), file_name(found.b.name)
    return (found.a.name, found.b.name) if a == b else (a, b)


def _claim(row: Changed, a: str, b: str) -> str:
    name = label(row.measure)
    if row.verdict == "equivalent":
        return f"{a} and {b} are equivalent in {name}, within ±{brief(row.delta)}"
    if row.verdict in ("higher", "lower"):
        good = {"b": " (better)", "a": " (worse)", None: ""}[row.better]
        return f"{b} has a {row.verdict} {name} than {a}{good}"
    return f"No difference found in {name} between {a} and {b}"


def _numbers(row: Changed, scope: str) -> str:
    said = f"{number(row.b)} against {number(row.a)}, {change(row.difference or 0.0, row.scale)}"
    if row.class_low is None or row.class_high is None:
        return said
    queries = "queries of these classes" if scope == "these_classes" else "queries"
    over = "classes" if row.unit == "class" else queries
    return f"{said} (95 % interval over {over} {change_interval(row.class_low, row.class_high, row.scale)})"


def inspected_pair_findings(found: InspectedPair) -> tuple[str, ...]:
    """What else differs, the most useful first."""
    said = []
    a, b = pair_names(found)
    for rows, sure, word in (
        (found.gained, found.sure_gained, "better"),
        (found.lost, found.sure_lost, "worse"),
    ):
        if sure:
            named = [_class(row) for row in rows if row.sure]
            more = f", and {sure - len(named[:3]):,} more" if sure > 3 else ""
            said.append(f"{b} finds {count(sure, 'class')} {word}, by MAP@R: {', '.join(named[:3])}{more}.")
    if (found.gained or found.lost) and not (found.sure_gained or found.sure_lost):
        said.append("No single class changed beyond doubt.")
    if any(row.primary and row.difference is not None for row in found.changes):
        said.append(_alike(found, "both"))
    if found.confused:
        pairs = [f"{row.first} and {row.second} ({share(row.a)} to {share(row.b)})" for row in found.confused]
        said.append(f"Newly confused in {b}: {', '.join(pairs[:3])}.")
    for side, name in ((found.a, a), (found.b, b)):
        said += [f"{name}: {text}" for text in _collapsed(side)]
    return tuple(said)


def _class(row: ClassChanged) -> str:
    return f"{row.label} ({number(row.a)} to {number(row.b)})"


def inspected_pair_notes(found: InspectedPair) -> tuple[str, ...]:
    """How the files were paired, and what the numbers cannot say."""
    how = (
        "the items were paired by their ids"
        if found.paired_by == "id"
        else "the items were paired by their order: the files have equal length, and equal labels where they "
        "have labels, but not ids"
    )
    left = (
        f"{found.left_out:,} of {found.items + found.left_out:,} items are left out: in one of the files "
        "they are NaN or infinite, or without a class"
    )
    alone = "one run a side cannot speak for another training"
    return (how, left, alone) if found.left_out else (how, alone)


def inspected_change(row: Changed) -> tuple[str, str, str, str, str]:
    """A measure of two files as cells: a, b, the change, its intervals over queries and over classes."""

    def ends(low: float | None, high: float | None) -> str:
        return "" if low is None or high is None else change_interval(low, high, row.scale)

    middle = "—" if row.difference is None else change(row.difference, row.scale)
    by_class = ends(row.class_low, row.class_high)
    return number(row.a), number(row.b), middle, ends(row.query_low, row.query_high), by_class


def inspected_value(row: Inspected) -> tuple[str, str]:
    """A measure of a file and its interval as cells."""
    return number(row.value), interval(row.low, row.high)
