"""What shortcuts do to a comparison, in sentences made from their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from losscope.core.results import (
    EVERY_DATA,
    RowOrder,
    ShortcutData,
    ShortcutRow,
    StudyPlan,
)
from losscope.core.wording.numbers import change, change_interval, count, label, listing
from losscope.core.wording.work import duration

ORDERS: dict[RowOrder, str] = {
    "stored": "as they are stored",
    "by_class": "sorted by class",
    "shuffled": "shuffled",
}
SHOWN = "recall_at_1"
NO_BATCHES = (
    "Without the last batch nothing was measured: that needs kept test embeddings with one label each."
)


def seeds(number: int) -> str:
    """So many paired seeds.

    >>> seeds(1)
    '1 paired seed'
    """
    return count(number, "paired seed")


def share(row: ShortcutRow) -> str:
    """A share with its interval, in per cent.

    >>> own = {"shortcut": "few_seeds", "quantity": "wrong_sign", "data": "digits", "measure": "recall_at_1"}
    >>> share(ShortcutRow(**own, value=0.123, low=0.05, high=0.2, seeds=10))
    '12 % (5 to 20 %)'
    """
    ends = ""
    if row.low is not None and row.high is not None:
        ends = f" ({_percent(row.low)} to {_percent(row.high)} %)"
    return f"{_percent(row.value)} %{ends}"


def _percent(value: float) -> str:
    per_cent = 100 * value
    return f"{per_cent:.1f}" if 0 < per_cent < 0.95 else f"{per_cent:.0f}"


def moved(row: ShortcutRow) -> str:
    """A change of a measure with its interval.

    >>> own = {"shortcut": "test_epoch", "quantity": "inflation", "data": "digits", "measure": "recall_at_1"}
    >>> moved(ShortcutRow(**own, value=0.0042, low=0.003, high=0.0051, seeds=10))
    '+0.0042 (0.0030 to 0.0051)'
    """
    ends = ""
    if row.low is not None and row.high is not None:
        ends = f" ({change_interval(row.low, row.high, 'difference')})"
    return change(row.value, "difference") + ends


def passed_over(study: str, why: str) -> str:
    """A study of a store that is not used."""
    return f"The study {study} is passed over: {why}."


def other_study(data: str, used: str) -> str:
    """Why a study is not used where another of data of that name is."""
    return f"one study of each data set is used, and of {data} that is {used}"


def studied(data: str, losses: Sequence[str], number: int) -> str:
    """What is compared first."""
    return f"{data}: {count(len(losses), 'loss')} at {seeds(number)}, tuned and at their usual numbers."


def following(data: str, losses: int) -> str:
    """What is trained once more."""
    return f"{data}: {count(losses, 'loss')}, measured on test after every epoch and without the last batch."


def left_out(loss: str) -> str:
    """A loss without all values."""
    return f"{loss} is left out: not every run of it has a value."


def diverged(loss: str) -> str:
    """A loss whose curve is not whole."""
    return f"{loss} is left out of the choice of epochs: a value is missing."


def no_epochs(why: str) -> str:
    """Why nothing was trained once more."""
    return f"The choice of the epoch was not measured: {why}."


def whole_batches(sizes: Sequence[int]) -> str:
    """Why leaving out the last batch was not measured."""
    return (
        "Without the last batch nothing was measured: batches of "
        f"{listing([str(size) for size in sizes])} test rows leave none that is incomplete after a whole one."
    )


def price(data: Sequence[str], plans: Sequence[StudyPlan], again: int) -> str:
    """What the studies and the passes over their epochs cost."""
    known = [plan.core_seconds for plan in plans]
    time = "a time that is known once features are computed"
    if all(seconds is not None for seconds in known):
        time = f"about {duration(sum(seconds or 0.0 for seconds in known))} of one core"
    runs = sum(plan.runs + plan.tuning_runs - plan.stored - plan.tuning_stored for plan in plans)
    return (
        f"{listing(data)}: {count(runs, 'run')} to train for the studies themselves, {time}; and "
        f"{count(again, 'run')} to train once more and measure on test after every epoch."
    )


def sentences(data: Sequence[ShortcutData], rows: Sequence[ShortcutRow]) -> tuple[str, ...]:
    """What was found, on each data set and over all of them."""
    said: list[str] = []
    for each in data:
        own = [row for row in rows if row.data == each.name and row.measure == SHOWN]
        said += [*_epochs(each.name, own), *_batches(each.name, own), *_usual(each.name, own)]
        said += [*_few(f"On {each.name}", own), *each.notes]
    own = [row for row in rows if row.data == EVERY_DATA and row.measure == SHOWN]
    return (*said, *_usual("all data sets", own), *_few("Over all data sets", own), *_sizes(own))


def _epochs(data: str, rows: Sequence[ShortcutRow]) -> Iterator[str]:
    """What choosing the epoch on test, or taking the last, does to losses and to the differences of two."""
    for numbers in ("tuned", "usual"):
        for shortcut, what in (
            ("test_epoch", "choosing the epoch on test instead of validation"),
            ("last_epoch", "taking the last epoch instead"),
        ):
            own = [row for row in rows if row.shortcut == shortcut and row.numbers == numbers]
            alone = [row for row in own if row.quantity == "inflation"]
            if not alone:
                continue
            least, most = (pick(alone, key=lambda row: row.value) for pick in (min, max))
            found = {row.quantity: row for row in own if not row.losses}
            turned = found["reordered"]
            yield (
                f"On {data}, at {numbers} numbers, {what} changes {label(SHOWN)} by {moved(least)} for "
                f"{least.losses[0]} to {moved(most)} for {most.losses[0]}; differences between two losses "
                f"move by {moved(found['size']).lstrip('+')} on average, the other loss is better in "
                f"{share(found['reversed'])} of comparisons at one seed, and by the means of all seeds in "
                f"{turned.count} of {count(turned.of or 0, 'pair')}."
            )


def _batches(data: str, rows: Sequence[ShortcutRow]) -> Iterator[str]:
    """What dropping the last batch of test rows does, by their order, at the largest batch size."""
    size = max((row.batch.batch_size for row in rows if row.batch is not None), default=0)
    own = [row for row in rows if row.batch is not None and row.batch.batch_size == size]
    parts = []
    for order, words in ORDERS.items():
        found = {row.quantity: row for row in own if row.batch is not None and row.batch.order == order}
        if found:
            parts.append(
                f"{moved(found['inflation'])} with rows {words}, where the other loss is then better in "
                f"{share(found['reversed'])} of comparisons at one seed"
            )
    if parts:
        batch = own[0].batch
        assert batch is not None
        dropped = _percent(batch.dropped / batch.rows)
        yield (
            f"On {data}, leaving out the incomplete last batch of {size} test rows ({dropped} % of them) "
            f"changes {label(SHOWN)} by {'; by '.join(parts)}."
        )


def _usual(data: str, rows: Sequence[ShortcutRow]) -> Iterator[str]:
    """How often the order at usual numbers is not the order at tuned ones."""
    own = {row.quantity: row for row in rows if row.shortcut == "usual_numbers" and not row.losses}
    if "reordered" in own:
        turned, opposed = own["reordered"], own["opposed"]
        size = own.get("size")
        moves = "" if size is None else f"; differences move by {moved(size).lstrip('+')} on average"
        yield (
            f"On {data}, {turned.count} of {count(turned.of or 0, 'pair')} of losses have another order at "
            f"their usual numbers than at tuned ones, {share(turned)}; {opposed.count} are told apart both "
            f"times, to opposite sides{moves}."
        )


def _few(where: str, rows: Sequence[ShortcutRow]) -> Iterator[str]:
    """How often a comparison at a few seeds shows the wrong order."""
    for numbers in ("tuned", "usual"):
        own = [row for row in rows if row.shortcut == "few_seeds" and row.numbers == numbers]
        apart = next((row for row in own if row.quantity == "told_apart"), None)
        if apart is None:
            continue
        told = f"{where}, at {numbers} numbers, {seeds(apart.seeds)} tell {apart.count} of "
        told += f"{count(apart.of or 0, 'pair')} of losses apart"
        parts = [f"{count(row.few.seeds, 'seed')} in {share(row)}" for row in own if row.few and _whole(row)]
        yield f"{told}; of these, the sign is wrong at {listing(parts)}." if parts else f"{told}."


def _sizes(rows: Sequence[ShortcutRow]) -> Iterator[str]:
    """How often one seed shows the wrong order, by the size of the difference over all seeds."""
    for numbers in ("tuned", "usual"):
        own = [
            row
            for row in rows
            if row.few is not None and row.few.seeds == 1 and row.numbers == numbers and not _whole(row)
        ]
        if own:
            parts = [f"{share(row)} where it is {bounds(row)} ({count(row.pairs, 'pair')})" for row in own]
            yield (
                f"By the size of the difference over all seeds, at {numbers} numbers one seed shows the "
                f"wrong order in {listing(parts)}."
            )


def bounds(row: ShortcutRow) -> str:
    """Between which sizes of the difference over all seeds a row counts.

    >>> own = {"shortcut": "few_seeds", "quantity": "wrong_sign", "data": "all", "measure": "recall_at_1"}
    >>> bounds(ShortcutRow(**own, value=0.1, seeds=10, few={"seeds": 1, "above": 0.005, "up_to": 0.01}))
    '0.005 to 0.01'
    """
    few = row.few
    if few is None or _whole(row):
        return "of any size"
    if few.above is None:
        return f"at most {few.up_to:g}"
    return f"above {few.above:g}" if few.up_to is None else f"{few.above:g} to {few.up_to:g}"


def _whole(row: ShortcutRow) -> bool:
    """Whether a row counts differences of every size."""
    return row.few is not None and row.few.above is None and row.few.up_to is None
