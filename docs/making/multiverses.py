"""What the multiverses of the papers found: ``losscope multiverse PAPER --json``, kept small, and their page.

``python -m making.multiverses RESULT.json …`` in ``docs`` keeps each result without its single settings in
``docs/ledger/multiverses``. No number of the page is typed.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from losscope.core import wording
from losscope.core.registry import entries
from losscope.core.results import Multiverse, MultiverseClaim
from losscope.core.wording import multiverses as said
from losscope.reporting.formats import escaped

from .drawing import Panel, figure, text

KEPT = Path(__file__).parent.parent / "ledger" / "multiverses"
WIDE, ROW, ROOM = 430.0, 19.0, 170.0
"""Units of a bar, the height of a row, and the room of the names."""
COLOURS = {"holds": 1, "reversed": 2}
DIGITS = 4
FEW = 3
"""Up to so many claims README tells each."""


def keep(result: Path) -> Path:
    """A multiverse as a small file: its claims without their single settings; where it lies."""
    found = Multiverse.from_json(result.read_text(encoding="utf-8"), result.name)
    if not found.claims:
        raise SystemExit(f"{result} has no claims")
    derived = {"settings": (), "choices": (), "summary": ()}  # sentences are made anew from the numbers
    bare = [claim.model_copy(update=derived) for claim in found.claims]
    hidden = {"space": (), "store": None, "report_file": None}
    small = found.model_copy(update={**hidden, "claims": tuple(bare)}).model_dump(mode="json")
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{re.sub(r'[^a-z0-9]+', '-', f'{found.paper}-{_data(found)}')}.json"
    path.write_text(json.dumps(_short(small), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _short(own) for key, own in value.items()}
    return [_short(own) for own in value] if isinstance(value, list) else value


def _data(found: Multiverse) -> str:
    return wording.listing(list(dict.fromkeys(claim.data for claim in found.claims)))


def multiverses() -> list[Multiverse]:
    """Those that are kept, by name."""
    return [
        Multiverse.from_json(path.read_text(encoding="utf-8"), path.name)
        for path in sorted(KEPT.glob("*.json"))
    ]


def page() -> str:
    """The page of all of them."""
    parts = [
        "# The papers' claims over many settings",
        "A paper shows a claim at one setting. Here each claim is held against hundreds of settings that "
        "another careful person could have chosen: the [space](../multiverse.md) was declared before "
        "anything was trained, and [Reading a multiverse](../reading-a-multiverse.md) explains each line.",
    ]
    for found in multiverses():
        parts += _one(found)
    return "\n\n".join(parts) + "\n"


def _one(found: Multiverse) -> Iterator[str]:
    yield f"## {title(found)}"
    made = found.provenance
    work = f", {made.runs:,} runs" if made.runs else ""
    work += f", {made.seconds / 3600:.1f} hours of one core" if made.seconds else ""
    yield f"As run: `{command(found)}`{work}, losscope {made.losscope}, torch {made.torch}."
    yield f"**{said.headline(found.claims)}.**{decided(found)}"
    yield bars(found)
    yield table(found)
    for match in found.matches:
        yield "### Which settings give the published numbers?"
        yield "\n".join(f"- {escaped(line)}" for line in match.summary)


def paper_title(name: str | None) -> str:
    """The title of a paper; that of one that is not registered here is its name."""
    known = entries("paper")
    return str(known[name].facts.title) if name in known else str(name)


def title(found: Multiverse) -> str:
    """The paper's title, and the data."""
    return f"{paper_title(found.paper)}, on {_data(found)}"


def command(found: Multiverse) -> str:
    """The command, without the folder of the machine that it ran on."""
    words = list(found.provenance.arguments)
    for option in ("--out", "--data-root"):
        if option in words:
            place = words.index(option)
            del words[place : place + 2]
    return " ".join(words)


def decided(found: Multiverse) -> str:
    """Which choice the rules name most, where several have a rule."""
    rules = [claim.rule for claim in found.claims if claim.rule.branches]
    names = Counter(
        name
        for rule in rules
        for name in {condition.name for branch in rule.branches for condition in branch.conditions}
    )
    if len(rules) < 2:
        return ""
    name, times = max(names.items(), key=lambda pair: (pair[1], pair[0]))  # the order of a set is luck
    where = said.axis(name)
    return (
        f" What decides most often: {where}, which {wording.be(2 if name.endswith('s') else 1)} in the rules "
        f"of {times} of the {len(found.claims)} claims."
    )


def bars(found: Multiverse) -> str:
    """Each claim as a bar: where it holds, does neither, or is reversed, and what one loss twice gives."""
    rows = found.claims
    panel = Panel(x=(0.0, 1.0), y=(len(rows) - 0.5, -0.5), width=WIDE, height=ROW * len(rows))
    told = []
    for place, claim in enumerate(rows):
        at = 0.0
        for name in ("holds", "neither", "reversed"):
            share = getattr(claim.everywhere, name).share or 0.0
            (left, top), (right, bottom) = panel.at(at, place - 0.38), panel.at(at + share, place + 0.38)
            faint = "" if name in COLOURS else ' fill-opacity=".15"'
            panel.parts.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0):.1f}" '
                f'height="{bottom - top:.1f}" class="fill-{COLOURS.get(name, 0)}"{faint}/>'
            )
            at += share
        y = panel.at(0.0, place)[1] + 4
        name = said.named(claim, rows)
        panel.parts.append(text(-8, y, wording.shorten(name, 30), "small", "end"))
        if claim.null is not None and claim.null.holds.share is not None:
            luck = claim.null.holds.share
            panel.line([(luck, place - 0.5), (luck, place + 0.5)], 0, "", 1.8)
        told.append(f"{name} {said.of_settings(claim.everywhere)}")
    caption = (
        "The share of settings in which each claim holds (first part of a bar), does neither, and is "
        "reversed (last part). The upright line: the share in which it holds where both names are one loss."
    )
    return figure([panel], "; ".join(told), caption, room=ROOM)


def table(found: Multiverse) -> str:
    """A line for each claim."""
    several = said.on_several(found.claims)
    lines = [
        "| claim | holds | one loss twice | reversed | median | where it holds, and how that was checked |",
        "|---|---|---|---|---|---|",
        *(_line(claim, several) for claim in found.claims),
    ]
    return "\n".join(lines)


def _line(claim: MultiverseClaim, several: bool) -> str:
    cells = (
        f"{claim.statement}{f' ({claim.data})' if several else ''}",
        said.shared(claim.everywhere.holds),
        wording.NOTHING if claim.null is None else said.share(claim.null.holds),
        said.shared(claim.everywhere.reversed),
        said.effect(claim.median.value, claim.scale),
        said.rule(claim.rule),
    )
    return f"| {' | '.join(escaped(cell) for cell in cells)} |"


def sentences() -> list[str]:
    """What README says of them, a line for each."""
    return [
        f"**{title(found)}, over {found.settings} settings** (`{command(found)}`): "
        f"{said.headline(found.claims)}.{decided(found)}{''.join(_each(found))}"
        for found in multiverses()
    ]


def _each(found: Multiverse) -> Iterator[str]:
    """A sentence for each claim, where there are few; of one alone its rule, as the headline is the rest."""
    if 1 < len(found.claims) <= FEW:
        yield from (f" {escaped(line[:1].upper() + line[1:])}" for line in said.whole(found))
    elif len(found.claims) == 1 and found.claims[0].rule.branches:
        yield f" {escaped(said.rule(found.claims[0].rule))}"


if __name__ == "__main__":
    if not sys.argv[1:]:
        raise SystemExit("give the results of losscope multiverse PAPER --json: RESULT.json …")
    for given in sys.argv[1:]:
        print(keep(Path(given)))
