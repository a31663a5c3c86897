"""The ledgers of the papers: what ``losscope reproduce PAPER --json`` found, kept small, and their page.

``python docs/ledger.py RESULT.json …`` keeps each result's ledger in ``docs/ledger/PAPER.json``, from
which the site's page and the two sentences in README are made. No number of them is typed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from losscope.core import wording
from losscope.core.wording.numbers import listing
from losscope.papers.shortcuts.command import kept as kept_shortcuts
from making import atlas, multiverses, shortcuts
from making.drawing import Panel, figure

HERE = Path(__file__).parent
KEPT = HERE / "ledger"
README = HERE.parent / "README.md"
FIELDS = ("id", "data", "protocol", "verdict", "expected", "measured", "low", "high", "scale", "n")
FIELDS += ("reason", "beyond", "together", "cells", "run", "verdict_run")
"""Of each claim's row, what is kept; its statement and source are kept once."""
OPEN = ("inconclusive", "not_testable")
"""Verdicts that are told with their reason."""

WORDS = {
    "reproduced": "reproduced",
    "direction_only": "direction only",
    "size_unresolved": "direction, size open",
    "contradicted": "contradicted",
    "inconclusive": "inconclusive",
    "not_testable": "not testable",
}
"""The verdicts in the order of the page."""

STAR = r" \*"
"""Marks data beyond the paper."""

Row = Mapping[str, Any]


def keep(result: Path) -> Path:
    """The ledger of a result as a small file; where it lies."""
    document = json.loads(result.read_text(encoding="utf-8"))
    if not {"paper", "claims", "provenance"} <= document.keys():
        raise SystemExit(f"{result} is no result of losscope reproduce PAPER --json")
    made = document["provenance"]
    small = {
        "paper": document["paper"],
        "command": made["command"],
        "losscope": made["losscope"],
        "torch": made["torch"],
        "device": made["device"],
        "runs": made["runs"],
        "seeds": len(document["seeds"]),
        "full": document["full"],
        "notes": document["notes"],
        "statements": {row["id"]: [row["statement"], row["source"]] for row in document["claims"]},
        "claims": [kept(row) for row in document["claims"]],
    }
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{document['paper']}.json"
    rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in small.pop("claims"))
    head = json.dumps(small, ensure_ascii=False, indent=1).removesuffix("\n}")
    path.write_text(f'{head},\n "claims": [\n  {rows}\n ]\n}}\n', encoding="utf-8")
    return path


def kept(row: Row) -> dict[str, Any]:
    """What is kept of a row, its numbers to four digits."""
    found = {key: row[key] for key in FIELDS if row.get(key) not in (None, "", [], False)}
    if row["verdict"] not in OPEN:
        found.pop("reason", None)
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in found.items()}


def ledgers() -> list[dict[str, Any]]:
    """The ledgers that are kept, by the name of the paper."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(KEPT.glob("*.json"))]


def page() -> str:
    """The page of all ledgers."""
    parts = [
        "# What the papers claim, and what came out",
        "Each claim of a paper, set against measurements on the paper's data where they are to be had, "
        "under the "
        "paper's own protocol and under one that treats both losses alike (`matched`). The verdicts are "
        "tests over "
        "paired seeds; [verdicts of a claim](../definitions.md#verdicts-of-a-claim) has their "
        "conditions, and "
        "[published numbers](../definitions.md#published-numbers) what was known before.",
    ]
    for found in ledgers():
        parts += paper(found)
    return "\n\n".join(parts) + "\n"


def paper(found: Row) -> Iterator[str]:
    """One paper: how it was run, what came out, each claim, and its rows on each data set."""
    yield f"## {title(found)}"
    work = f"{found['runs']:,} runs, " if found["runs"] else ""
    made = f"losscope {found['losscope']}, torch {found['torch']}, {found['device']}"
    yield f"As run: `{found['command']}`, {found['seeds']} seeds, {work}{made}."
    yield sentence(found)
    rows = found["claims"]
    sums = [row for row in rows if row.get("together") and row.get("run")]
    if sums:
        yield tally(sums)
        yield "### Claim by claim"
        yield "Over all of the paper's data that were run: a claim holds only if it does on each data set."
        yield claims(sums, found["statements"])
    yield "### Every data set"
    yield (
        "Measured is the difference or the ratio of the two sides, with its interval; expected is the "
        "paper's number, "
        "where it has one. A star marks data on which the paper does not make the claim."
    )
    yield each([row for row in rows if not row.get("together")])
    if found["notes"]:
        yield "### What to know of this run"
        yield "\n".join(f"- {escaped(note)}" for note in found["notes"])


def title(found: Row) -> str:
    """The title of its paper."""
    return multiverses.paper_title(found["paper"])


def verdict_of(row: Row) -> str:
    """The verdict of a row, on what was run where it sums up."""
    return str(row.get("verdict_run") or row["verdict"])


def tally(rows: Sequence[Row]) -> str:
    """How many claims had each verdict, as bars, a panel for each protocol."""
    protocols = list(dict.fromkeys(row["protocol"] for row in rows))
    panels, said = [], []
    for protocol in protocols:
        verdicts = [verdict_of(row) for row in rows if row["protocol"] == protocol and not row.get("beyond")]
        most = max(len(verdicts), 1)
        panel = Panel(f"protocol {protocol}", x=(0, most), y=(len(WORDS) - 0.4, -0.6), width=300, height=130)
        for place, (code, word) in enumerate(WORDS.items()):
            count = verdicts.count(code)
            left, top = panel.at(0, place - 0.35)
            right, bottom = panel.at(count * 0.5, place + 0.35)
            panel.parts.append(
                f'<rect x="{left + 120:.1f}" y="{top:.1f}" '
                f'width="{right - left:.1f}" height="{bottom - top:.1f}" '
                f'class="fill-{2 if code == "contradicted" else 1 if place < 3 else 0}"/>'
            )
            panel.parts.append(
                f'<text x="112" y="{(top + bottom) / 2 + 4:.1f}" text-anchor="end">{word}</text>'
            )
            panel.parts.append(f'<text x="{right + 126:.1f}" y="{(top + bottom) / 2 + 4:.1f}">{count}</text>')
            said.append(f"{protocol}, {word}: {count}")
        panels.append(panel)
    return figure(panels, "; ".join(said), "Claims on the paper's own data, by their verdict.")


def claims(rows: Sequence[Row], statements: Mapping[str, Sequence[str]]) -> str:
    """A line for each claim with its verdict under each protocol."""
    protocols = list(dict.fromkeys(row["protocol"] for row in rows))
    verdicts = {(row["id"], row["protocol"]): WORDS[verdict_of(row)] for row in rows}
    head = f"| claim | {' | '.join(protocols)} |\n|---|{'---|' * len(protocols)}\n"
    return head + "\n".join(
        f"| {escaped(statements[name][0])} ({escaped(statements[name][1])}) | "
        + " | ".join(verdicts.get((name, protocol), "–") for protocol in protocols)
        + " |"
        for name in dict.fromkeys(row["id"] for row in rows)
    )


def each(rows: Sequence[Row]) -> str:
    """A line for each claim, data set and protocol."""
    head = (
        "| claim | data | protocol | expected | measured | seeds | verdict |\n|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(
        f"| `{row['id']}` | {escaped(row['data'])}{STAR if row.get('beyond') else ''} | {row['protocol']} | "
        f"{number(row.get('expected'))} | {interval(row)} | {row.get('n', '–')} | "
        f"{WORDS[row['verdict']]}{reason(row)} |"
        for row in rows
    )


def number(value: float | None) -> str:
    """A number as everywhere in losscope; a dash for none."""
    return "–" if value is None else wording.number(value)


def interval(row: Row) -> str:
    """What was measured, with its interval."""
    if row.get("measured") is None:
        return "–"
    times = " ×" if row.get("scale") == "ratio" else ""
    ends = "" if row.get("low") is None else f" ({number(row['low'])} to {number(row['high'])})"
    return f"{number(row['measured'])}{times}{ends}"


def reason(row: Row) -> str:
    """Why a row has no verdict of a direction."""
    told = row.get("reason")
    return f": {escaped(told)}" if told else ""


def escaped(text: str) -> str:
    """A text as plain words in a table of Markdown."""
    return re.sub(r"([|*_`<])", r"\\\1", " ".join(text.split()))


BEGIN, END = "<!-- ledger -->", "<!-- end of the ledger -->"
"""Between these two lines of README stands what the ledgers say."""


def sentences() -> str:
    """What README says was found: a line for each ledger and multiverse, the atlas and the shortcuts."""
    papers = (*map(sentence, ledgers()), *multiverses.sentences())
    beside = (atlas.sentence(), shortcuts.sentence(kept_shortcuts()))
    return "\n".join(f"- {said}" for said in (*papers, *beside))


HELD = ("reproduced", "direction_only", "size_unresolved")
"""Verdicts of claims whose direction was resolved as claimed."""
UNDER = {"paper": "under its own protocol", "matched": "under one that treats its losses alike"}


def sentence(found: Row) -> str:
    """How many claims of a paper came out how, under each protocol, and on what data."""
    rows = [
        row for row in found["claims"] if row.get("together") and row.get("run") and not row.get("beyond")
    ]
    parts = []
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        verdicts = [verdict_of(row) for row in rows if row["protocol"] == protocol]
        held, against = sum(verdict in HELD for verdict in verdicts), verdicts.count("contradicted")
        untested = verdicts.count("not_testable")
        counts = [
            *([f"{held} hold{'s' * (held == 1)} at least in direction"] if held else ["none holds"]),
            *([f"{against} {'is' if against == 1 else 'are'} contradicted"] if against else []),
            *(
                [f"{left} {'is' if left == 1 else 'are'} open"]
                if (left := verdicts.count("inconclusive"))
                else []
            ),
            *([f"{untested} cannot be tested"] if untested else []),
        ]
        parts.append(
            f"{UNDER.get(protocol, f'under {protocol}')}, of {len(verdicts)} claims, {listing(counts)}"
        )
    return f"**{title(found)}** ({how(found, rows)}): {'; '.join(parts)}."


def how(found: Row, rows: Sequence[Row]) -> str:
    """The command, the seeds, and what of the paper's data was run."""
    run, all_ = ({name for row in rows for name in row.get(key, [])} for key in ("run", "cells"))
    data = f" on {listing(sorted(run))}, {len(run)} of its {len(all_)} data sets" if run < all_ else ""
    part = "" if found["full"] else ", without `--full`"
    return f"`losscope reproduce {found['paper']}`, {found['seeds']} seeds{data}{part}"


def into_readme() -> None:
    """The sentences of README, written between their two lines."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{sentences()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    if not sys.argv[1:]:
        raise SystemExit(
            "give the results of losscope reproduce PAPER --json: python docs/ledger.py RESULT.json …"
        )
    for given in sys.argv[1:]:
        print(keep(Path(given)))
    if BEGIN in README.read_text(encoding="utf-8"):
        into_readme()
