"""The claims of a multiverse as tables: in the terminal, as Markdown, and as tidy frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from losscope.core import wording
from losscope.core.results import Multiverse, MultiverseClaim
from losscope.core.wording import multiverses as said
from losscope.reporting.formats import escaped

if TYPE_CHECKING:
    import pandas as pd

HEADS = ("claim", "data", "holds", "one loss\ntwice", "reversed", "neither", "median", "p")


def rows(found: Multiverse) -> list[tuple[str, ...]]:
    """Each claim on each data set, a row of texts under ``HEADS``."""
    return [_row(claim) for claim in found.claims]


def _row(found: MultiverseClaim) -> tuple[str, ...]:
    return (
        found.claim,
        found.data,
        said.shared(found.everywhere.holds),
        wording.NOTHING if found.null is None else said.share(found.null.holds),
        said.shared(found.everywhere.reversed),
        said.share(found.everywhere.neither),
        said.effect(found.median.value, found.scale),
        wording.NOTHING if found.joint is None else wording.p_value(found.joint.p),
    )


def table(found: Multiverse) -> RenderableType:
    """The claims for a terminal: the headline, a row for each, what each says and where it holds."""
    made = Table(box=SIMPLE_HEAD, expand=False)
    shown = [place for place, head in enumerate(HEADS) if head != "neither"]  # the rest of the shares
    for place in shown:
        head = HEADS[place]
        if place < 2:
            made.add_column(head, overflow="fold", min_width=9)
        else:
            made.add_column(head, justify="right", no_wrap=True)
    for row in rows(found):
        names = [Text(wording.printable(text)) for text in row[:2]]
        made.add_row(
            *names, *(Text(text.replace(" (", "\n(")) for text in [row[place] for place in shown[2:]])
        )
    told = [Text(wording.printable(_told(claim))) for claim in found.claims]
    return Group(Text(f"{said.headline(found.claims)}.", style="bold"), made, *told)


def _told(found: MultiverseClaim) -> str:
    """What a claim says, and its rule where it has one."""
    rule = f" {said.rule(found.rule)}" if found.rule.branches else ""
    return f"{found.claim}: {found.statement}.{rule}"


def markdown(found: Multiverse) -> str:
    """The claims as a Markdown file: a table, then what is said of each."""
    lines = [
        f"**{escaped(said.headline(found.claims))}.**",
        "",
        f"| {' | '.join(HEADS)} |".replace("\n", " "),
        f"|{':--|' * 2}{'--:|' * (len(HEADS) - 2)}",
        *(f"| {' | '.join(escaped(text) for text in row)} |" for row in rows(found)),
    ]
    for claim in found.claims:
        lines += [
            "",
            f"## {escaped(claim.claim)} on {escaped(claim.data)}",
            "",
            f"{escaped(claim.statement)}.",
            "",
        ]
        lines += [f"- {escaped(text)}" for text in claim.summary]
    return "\n".join([*lines, ""])


def tidy(found: Multiverse) -> dict[str, pd.DataFrame]:
    """Frames for files: ``claims``, a row each; ``settings``, a row for each setting of each claim, with its
    choices; ``choices``, the shares of the variance. One without rows is left out."""
    import pandas as pd

    claims, settings, shares = [], [], []
    for claim in found.claims:
        head = {"claim": claim.claim, "data": claim.data}
        row: dict[str, object] = {
            **head,
            "statement": claim.statement,
            "a": claim.a,
            "b": claim.b,
            "measure": claim.measure,
            "direction": claim.direction,
            "scale": claim.scale,
            "delta": claim.delta,
            "settings": claim.everywhere.settings,
            "cells": claim.everywhere.cells,
        }
        for name in said.OUTCOMES:
            own = getattr(claim.everywhere, name)
            row |= {name: own.share, f"{name}_low": own.low, f"{name}_high": own.high}
        row |= {
            "median": claim.median.value,
            "median_low": claim.median.low,
            "median_high": claim.median.high,
            "p": claim.joint.p if claim.joint else None,
            "rule": said.where(claim.rule),
            "rule_balanced": claim.rule.balanced,
            "paper_quantile": claim.paper.quantile if claim.paper else None,
        }
        claims.append(row)
        shares += [{**head, **share.model_dump(mode="json")} for share in claim.decomposition.choices]
        settings += _settings(claim, head)
    made = {"claims": claims, "settings": settings, "choices": shares}
    return {name: pd.DataFrame(rows) for name, rows in made.items() if rows}


def _settings(claim: MultiverseClaim, head: dict[str, str]) -> list[dict[str, object]]:
    chosen = {choice.name: choice.numbers or choice.texts or () for choice in claim.choices}
    return [
        {**head, **setting.model_dump(mode="json"), **{name: own[place] for name, own in chosen.items()}}
        for place, setting in enumerate(claim.settings)
    ]
