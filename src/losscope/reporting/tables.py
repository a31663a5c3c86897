"""A result as tables for the terminal. Tables for files are in ``formats``."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from losscope.core import wording
from losscope.core.errors import unknown
from losscope.core.results import Comparison, Result, SideResult
from losscope.core.wording import parts
from losscope.reporting.columns import columns, digits_of, halved, is_loss, more_said, tested
from losscope.reporting.formats import PUBLISHED, latex, long_csv, markdown, published_rows

WIDTH = 100
FORMATS = ("text", "md", "latex", "csv")
MANY_TESTS = 12
"""With more tests than this, only the sentences about two losses are printed."""
_NAME = 24
"""Columns that names may have at any width."""
_VERDICT = "verdict"


def answer(result: Result) -> list[Text]:
    """The answer in three lines: what to use, how sure that is, and what to do next."""
    made = wording.headline(result)
    lines = [Text(made.text, style="bold")]
    if made.sure:
        lines.append(Text(made.sure))
    if made.step is not None:
        lines.append(Text(f"Next: {wording.lower(str(made.step))}"))
    return lines


def summary(result: Result, width: int = WIDTH) -> Table:
    """Losses and baselines by the measures that matter, as many as fit into ``width`` columns.

    Means, with the 95 % interval over seeds below each, then what was shown beside the side that the others
    are tested against. Names are never squeezed: a long one goes on below itself.
    """
    sides, beside = result.sides, wording.beside(result)
    told = [parts.failed(side, len(result.seeds)) for side in sides]
    name = _name_width([*(side.name for side in sides), *told], width)
    verdict = max([len(word) for word in beside.words.values()] + [len(_VERDICT)]) if beside.words else -2
    names = columns(result)
    heads, body = _fit(sides, names, width - name - 2 - (verdict + 2))
    table = _bare()
    table.add_column("", overflow="fold", min_width=name, max_width=name)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    if beside.words:
        table.add_column(Text(f"\n{_VERDICT}"), no_wrap=True, min_width=verdict)
    seeds = len(result.seeds)
    chosen = result.recommendation.loss
    for side, cells in zip(sides, body, strict=True):
        label = Text(side.name, style="bold" if side.name == chosen else "" if is_loss(side) else "dim")
        if side.failed:
            label.append(f"\n{parts.failed(side, seeds)}", style="red")
        if stopped := parts.stopped(side):
            label.append(f"\n{stopped}", style="dim not bold")
        row: list[Text] = []
        for mean, spread in cells:
            cell = Text(mean, style="bold" if side.name == chosen else "", justify="right")
            row.append(cell.append(f"\n{spread}", style="dim not bold") if spread else cell)
        if beside.words:
            word = "·" if side.name == beside.pivot else beside.words.get(side.name, "")
            row.append(Text(word, style="bold" if word in ("better", "worse") else "dim"))
        table.add_row(label, *row, end_section=True)
    noun = wording.plural(result.paired_by)
    count = wording.count(seeds, result.paired_by) if seeds else noun
    said = f"mean over {count}"
    if any(spread for cells in body for _, spread in cells):
        said += f", below it the 95 % interval over {noun}"
    if beside.words:
        said += f"; {_VERDICT}: beside {beside.pivot} (·)"
    if len(heads) < len(names):
        said += f"; {len(heads)} of {wording.count(len(names), 'measure')} fit here"
    table.caption = Text(said, style="dim italic")
    table.caption_justify = "left"
    return table


def _bare() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _name_width(names: Sequence[str], width: int) -> int:
    """The columns of the names: what the longest takes, at most two fifths of the width."""
    return min(max([cell_len(wording.printable(name)) for name in names] + [12]), max(_NAME, 2 * width // 5))


def _fit(
    sides: Sequence[SideResult], names: Sequence[str], left: int
) -> tuple[list[Text], list[list[tuple[str, str]]]]:
    """Headings and cells of as many measures as fit into the columns that are left."""
    heads: list[Text] = []
    body: list[list[tuple[str, str]]] = [[] for _ in sides]
    for name in names:
        digits = digits_of(sides, name)
        cells = [parts.value(side, name, digits) for side in sides]
        head = "\n".join(halved(wording.label(name)))
        width = max([len(line) for line in head.split("\n")] + [len(text) for cell in cells for text in cell])
        left -= width + 2 * bool(heads)
        if left < 0:
            break
        heads.append(Text(head, justify="right"))
        for row, cell in zip(body, cells, strict=True):
            row.append(cell)
    return heads, body


def verdicts(result: Result, sentences: bool = True) -> RenderableType:
    """The tested comparisons as a table, their sentences below, for 100 columns.

    With more than a dozen, only the sentences about two losses; none without ``sentences``.
    """
    rows = tested(result)
    if not rows:
        return Text("nothing was tested: no pair of losses has the goal's measure", style="dim")
    table = _bare()
    table.add_column("compared", overflow="fold", max_width=40)
    table.add_column("measure", overflow="fold", max_width=18)
    table.add_column(_effect_head(rows), justify="right", overflow="fold", max_width=22)
    table.add_column("p (Holm)", justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for row in rows:
        size = parts.size(row)
        effect = Text(size.middle, justify="right")
        if size.interval:
            effect.append(f"\n{size.interval}", style="dim")
        a, sign, b = parts.pair(row)
        compared = Text(a).append(f" {sign} ", style="dim").append(b)
        word = Text(wording.verdict_word(row), style=_style(row))
        table.add_row(compared, Text(wording.label(row.measure)), effect, Text(parts.corrected_p(row)), word)
    baselines = {side.name for side in result.baselines}
    told = rows if len(rows) <= MANY_TESTS else [row for row in rows if row.b not in baselines]
    printed = [Text(f"· {row.sentence}") for row in told if row.sentence] if sentences else []
    return Group(table, Text(""), *printed)


def _style(row: Comparison) -> str:
    if row.verdict in ("higher", "lower"):
        return "bold"
    return (
        "red"
        if row.verdict == "failed"
        else "dim"
        if row.verdict in ("too_few_seeds", "not_comparable")
        else ""
    )


def _effect_head(rows: Sequence[Comparison]) -> str:
    return "difference" if "difference" in {row.scale for row in rows} else "ratio"


def published(result: Result) -> Table | None:
    """The authors' single values beside ours, for the terminal; None where none were published."""
    rows = published_rows(result)
    if not rows:
        return None
    table = _bare()
    for column in PUBLISHED:
        table.add_column(column)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def by_data(result: Result) -> Table | None:
    """The verdicts on each of several data sets; None where there is one."""
    if not result.by_data:
        return None
    table = _bare()
    for column in ("on", "compared", "means", "size", "p (Holm)", "verdict"):
        table.add_column(
            column, overflow="fold", justify="right" if column in ("size", "p (Holm)") else "left"
        )
    for own in result.by_data:
        for row in own.rows:
            a, sign, b = parts.pair(row)
            cells = (own.name, f"{a} {sign} {b}", wording.means(row), parts.size(row).middle)
            word = Text(wording.verdict_word(row), style=_style(row))
            table.add_row(*map(Text, cells), Text(parts.corrected_p(row)), word)
    return table


def recommendation(result: Result) -> Text:
    """The recommendation's sentences, the first in bold, then the group of the best and each data set."""
    text = Text()
    for place, sentence in enumerate(result.recommendation.sentences):
        text.append(f"{' ' if place else ''}{sentence}", style="" if place else "bold")
    for sentence in more_said(result):
        text.append(f" {sentence}")
    return text


def render(result: Result, format: str = "text") -> str:
    """The result in a format: ``text`` as in the terminal, ``md``, ``latex`` or ``csv``.

    Raises:
        LosscopeError: another format.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    return {"text": _text, "md": markdown, "latex": latex, "csv": long_csv}[format](result)


def _text(result: Result) -> str:
    file = io.StringIO()
    console = Console(width=WIDTH, file=file, color_system=None, legacy_windows=False)
    console.print(Group(*answer(result), ""))
    console.print(summary(result))
    several = by_data(result)
    each: list[RenderableType] = [] if several is None else ["", several]
    console.print(Group("", verdicts(result), *each, "", recommendation(result)))
    return wording.printable(file.getvalue())
