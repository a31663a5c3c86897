"""The tables of ``docs/shortcuts.md``, from the numbers that come with the package.

    losscope reproduce shortcuts --from STORE … --out DIR
    python docs/making/shortcuts.py DIR/shortcuts.json

keeps the file with the package and writes the tables; without a file the tables are written again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from losscope.core.results import EVERY_DATA, FewSeeds, ShortcutRow, Shortcuts
from losscope.core.wording import count, label, listing
from losscope.core.wording.shortcuts import ORDERS, bounds, moved, share
from losscope.papers.shortcuts.command import KEPT, kept

PAGE = Path(__file__).parents[1] / "shortcuts.md"
SHOWN = "recall_at_1"
EPOCHS = {"test_epoch": "best on test", "last_epoch": "last"}


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first column to the left."""
    lines = [heads, [":---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def only(rows: Sequence[ShortcutRow], **fields: object) -> ShortcutRow:
    """The one row with these fields."""
    (row,) = [row for row in rows if all(getattr(row, name) == value for name, value in fields.items())]
    return row


def measured(found: Shortcuts) -> str:
    """What the numbers are of."""
    each = [f"{data.name} ({count(len(data.losses), 'loss')}, {data.seeds} seeds)" for data in found.data]
    return f"Data: {', '.join(each)}. From `{found.command}`, losscope {found.losscope}."


def epochs(found: Shortcuts) -> str:
    """The best epoch on test and the last, against the best on validation."""
    rows = []
    for data in found.data:
        for name, words in EPOCHS.items():
            own = [
                row for row in found.rows if (row.data, row.shortcut, row.measure) == (data.name, name, SHOWN)
            ]
            alone = [row for row in own if row.quantity == "inflation"]
            if not alone:
                continue
            least, most = (pick(alone, key=lambda row: row.value) for pick in (min, max))
            turned = only(own, quantity="reordered")
            rows.append(
                [
                    f"{data.name}, {words}",
                    f"{moved(least)} {least.losses[0]}",
                    f"{moved(most)} {most.losses[0]}",
                    moved(only(own, quantity="size")).lstrip("+"),
                    share(only(own, quantity="reversed")),
                    f"{turned.count} of {turned.of}",
                    f"{only(own, quantity='opposed').count}",
                ]
            )
    heads = ["data, epoch", "least", "most", "differences move by"]
    return table([*heads, "other loss better, one seed", "… by means", "… told apart both times"], rows)


def batches(found: Shortcuts) -> str:
    """Without the incomplete last batch."""
    rows = []
    for data in found.data:
        own = [row for row in found.found("drop_last", "inflation", data.name) if row.measure == SHOWN]
        for row in own:
            batch = row.batch
            assert batch is not None
            same = [other for other in found.rows if other.batch == batch and other.measure == SHOWN]
            same = [other for other in same if other.data == data.name]
            rows.append(
                [
                    f"{data.name}, {ORDERS[batch.order]}, {batch.batch_size}",
                    f"{100 * batch.dropped / batch.rows:.1f} %",
                    f"{batch.classes / row.seeds:.1f}",
                    moved(row),
                    moved(only(same, quantity="by_gallery")),
                    share(only(same, quantity="reversed")),
                ]
            )
    heads = ["data, rows, batch size", "rows dropped", "classes gone", f"{label(SHOWN)} changes by"]
    return table([*heads, "… by the smaller gallery", "other loss better, one seed"], rows)


def usual(found: Shortcuts) -> str:
    """Usual numbers against tuned ones."""
    rows = []
    for data in [*(data.name for data in found.data), EVERY_DATA]:
        own = [
            row
            for row in found.rows
            if (row.data, row.shortcut, row.measure) == (data, "usual_numbers", SHOWN)
        ]
        if not own:
            continue
        turned = only(own, quantity="reordered")
        alone = [row for row in own if row.quantity == "inflation"]
        size = [row for row in own if row.quantity == "size"]
        least, most = "—", "—"
        if alone:
            ends = [pick(alone, key=lambda row: row.value) for pick in (min, max)]
            least, most = (f"{moved(row)} {row.losses[0]}" for row in ends)
        rows.append(
            [
                data,
                least,
                most,
                moved(size[0]).lstrip("+") if size else "—",
                f"{turned.count} of {turned.of}: {share(turned)}",
                f"{only(own, quantity='opposed').count}",
            ]
        )
    heads = ["data", "least", "most", "differences move by", "pairs in another order"]
    return table([*heads, "… told apart both times"], rows)


def few(found: Shortcuts) -> str:
    """Wrong signs at one, two and three seeds."""
    rows = []
    for data in [*(data.name for data in found.data), EVERY_DATA]:
        for numbers in ("tuned", "usual"):
            own = [
                row
                for row in found.rows
                if (row.data, row.shortcut, row.numbers, row.measure) == (data, "few_seeds", numbers, SHOWN)
            ]
            wrong = [row for row in own if row.few is not None]
            for size in dict.fromkeys(bounds(row) for row in wrong):
                same = [row for row in wrong if bounds(row) == size]
                apart = only(own, quantity="told_apart")
                pairs = f"{same[0].pairs} of {apart.of}"
                cells = [share(row) for row in same]
                rows.append([f"{data}, {numbers}", size, pairs, *cells])
    heads = ["data, numbers", "difference over all seeds", "pairs"]
    return table([*heads, "1 seed", "2 seeds", "3 seeds"], rows)


def sentence(found: Shortcuts) -> str:
    """What README says of them: untuned losses, and one seed."""
    whole = [row for row in found.rows if (row.data, row.measure) == (EVERY_DATA, SHOWN)]
    turned = only(whole, shortcut="usual_numbers", quantity="reordered")
    few = [row for row in whole if (row.shortcut, row.numbers) == ("few_seeds", "tuned")]
    apart = only(few, quantity="told_apart")
    wrong = only(few, few=FewSeeds(seeds=1))
    data = listing([data.name for data in found.data])
    return (
        f"**Shortcuts** (`losscope reproduce shortcuts`): of {turned.of} pairs of losses on {data}, "
        f"{turned.count}, {share(turned)}, have another order at their usual numbers than tuned; of the "
        f"{apart.count} that {apart.seeds} seeds tell apart, one seed shows the wrong order in "
        f"{share(wrong)}."
    )


def tables(found: Shortcuts) -> dict[str, str]:
    """Every table of the page by its name."""
    return {
        "data": measured(found),
        "epochs": epochs(found),
        "batches": batches(found),
        "usual": usual(found),
        "few": few(found),
        "said": "\n".join(f"- {sentence}" for sentence in found.said),
    }


def written(page: str, made: dict[str, str]) -> str:
    """The page with what was made between ``<!-- shortcuts: NAME -->`` and ``<!-- end -->``."""
    for name, text in made.items():
        mark = rf"(<!-- shortcuts: {name} -->\n).*?(<!-- end -->)"
        page, places = re.subn(mark, lambda old, text=text: f"{old[1]}{text}\n{old[2]}", page, flags=re.S)
        assert places == 1, f"{places} places for {name}"
    return page


if __name__ == "__main__":
    for given in sys.argv[1:2]:
        text = Path(given).read_text(encoding="utf-8")
        Shortcuts.from_json(text, given)
        KEPT.write_text(text, encoding="utf-8")
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), tables(kept())), encoding="utf-8")
