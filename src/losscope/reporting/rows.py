"""What stands behind the words: rows of comparisons, claims, trials and failures, ready to be shown."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from losscope.core import wording
from losscope.reporting import tables
from losscope.reporting.figure import Ruler
from losscope.reporting.parts import Cell, Context, Grid


def forest_group(context: Context, measure: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One measure's tested pairs, with every place on a common scale in percent."""
    ratio = rows[0].get("scale") == "log_ratio"
    delta = wording.finite(rows[0].get("delta")) or 0.0
    keys = ("difference", "low", "high", "low_data", "high_data")
    ends = [wording.finite(row.get(key)) for row in rows for key in keys]
    ruler = Ruler.around([*ends, 0.0, delta, -delta])
    known = wording.measure(measure)
    shown = []
    for row in rows:
        middle, spread = wording.effect(row)
        wide = wording.effect({**row, "low": row.get("low_data"), "high": row.get("high_data")})[1]
        places = {key: ruler.at(wording.finite(row.get(key))) for key in keys}
        tip = f"for these data {spread or 'none'}; for data like these {wide or 'none'}; n = {row.get('n')}"
        shown.append(
            {
                "a": str(row["a"]),
                "b": str(row["b"]),
                "looks": [context.palette.look(str(row[key])) for key in "ab"],
                "at": places,
                "size": middle,
                "spread": spread,
                "wide": wide,
                "tip": tip,
                "p": wording.p_value(row.get("p_holm", row.get("p"))),
                "verdict": wording.verdict(row.get("verdict")),
                "code": str(row.get("verdict") or "none"),
                "better": {"a": "and better", "b": "and worse"}.get(str(row.get("better"))),
                "needed": row.get("seeds_needed"),
                "sentence": row.get("sentence"),
            }
        )
    baselines = {side.name for side in context.sides if side.kind == "baseline"}
    told = [one["sentence"] for one in shown if one["sentence"] and one["b"] not in baselines]
    others = [one["sentence"] for one in shown if one["sentence"] and one["b"] in baselines]
    return {
        "told": told,
        "others": others,
        "measure": wording.title(measure),
        "definition": known.definition,
        "rows": shown,
        "ratio": ratio,
        "zero": ruler.at(0.0),
        "band": (ruler.at(-delta), ruler.at(delta)),
        "ticks": ruler.ticks(5, ratio),
        "delta": f"{100 * math.expm1(delta):.0f} %" if ratio else f"{delta:g}",
        "caption": f"{wording.title(measure)}: {'ratio' if ratio else 'difference'} of each tested pair, "
        "with intervals, corrected p and verdict",
    }


def tally(claims: Sequence[Mapping[str, Any]]) -> str:
    """How many verdicts of each kind there are, as a sentence.

    >>> tally([{"verdict": "reproduced"}, {"verdict": "contradicted"}, {"verdict": "reproduced"}])
    'Of 3 verdicts on claims 2 are reproduced and 1 contradicted.'
    """
    # Where some rows sum up the others over the paper's data, those are the verdicts.
    claims = [one for one in claims if one.get("together")] or claims
    counts: dict[str, int] = {}
    for one in claims:
        word = wording.verdict(one.get("verdict"))
        counts[word] = counts.get(word, 0) + 1
    order = sorted(counts, key=lambda word: -counts[word])
    told = [
        f"{counts[word]}{(' is' if counts[word] == 1 else ' are') if not place else ''} {word}"
        for place, word in enumerate(order)
    ]
    return f"Of {wording.count(len(claims), 'verdict')} on claims {wording.listing(told)}."


def claim_tip(one: Mapping[str, Any]) -> str:
    """The numbers behind one verdict on a claim, for its tooltip."""
    parts = [
        f"expected {wording.number(one.get('expected'))}",
        f"measured {wording.number(one.get('measured'))}",
    ]
    spread = wording.interval(one.get("low"), one.get("high"))
    if spread:
        parts[-1] += f" ({spread})"
    if one.get("seeds_needed"):
        parts.append(f"{one['seeds_needed']} seeds needed")
    if one.get("reason"):
        parts.append(str(one["reason"]))
    return "; ".join(parts)


def claim_grid(found: Sequence[Mapping[str, Any]]) -> Grid:
    """Every claim as a row: expected, measured, interval, verdict, reason."""
    heads = [
        "claim",
        "source",
        "data",
        "protocol",
        "expected",
        "measured",
        "verdict",
        "seeds needed",
        "reason",
    ]
    rows = []
    for one in found:
        spread = wording.interval(one.get("low"), one.get("high"))
        rows.append(
            [
                Cell(str(one["id"]), str(one.get("statement", ""))),
                str(one.get("source") or ""),
                str(one.get("data") or ""),
                str(one.get("protocol") or ""),
                wording.number(one.get("expected")),
                Cell(wording.number(one.get("measured")), spread),
                wording.verdict(one.get("verdict")),
                wording.number(one.get("seeds_needed"), wording.Digits(0)) if one.get("seeds_needed") else "",
                str(one.get("reason") or ""),
            ]
        )
    return Grid("Every claim with its evidence", heads, rows, numeric=False)


def trial_rows(tried: Sequence[tables.Side]) -> list[list[str]]:
    """Every trial, best first within its loss: loss, settings, score, epoch, and what became of it."""
    rows = []
    for side in tried:
        scored = [(wording.finite(trial.get("score")), trial) for trial in side.facts["trials"]]
        best = max((score for score, _ in scored if score is not None), default=None)
        for score, trial in sorted(scored, key=lambda pair: math.inf if pair[0] is None else -pair[0]):
            mark = "failed" if score is None else "best" if score == best else ""
            epoch = "" if trial.get("epoch") is None else str(trial["epoch"])
            rows.append([side.name, settings(trial), wording.number(score, wording.Digits(3)), epoch, mark])
    return rows


_SETTINGS = ("hyperparameters", "reduction", "tuples", "learning_rate", "checkpoint")


def settings(values: Mapping[str, Any]) -> str:
    """The settings of a trial or a tuned loss in wording.

    >>> settings({"hyperparameters": {"margin": 0.5}, "reduction": "valid_mean", "score": 0.9})
    'margin 0.5, reduction valid mean'
    """
    chosen = {key: values[key] for key in _SETTINGS if values.get(key) is not None}
    return ", ".join(f"{name} {text.replace('_', ' ')}" for name, text in items(chosen) if text != "no")


def chosen_words(side: tables.Side) -> str:
    """What tuning chose for one loss, and whether it lies on the edge of what was tried."""
    tuned = side.facts.get("tuned")
    if not isinstance(tuned, Mapping):
        return f"{side.name}: nothing chosen, every trial failed"
    edge = tuned.get("edge") or ()
    told = (
        f"; on the edge of the search, so a wider one could do better: {', '.join(map(str, edge))}"
        if edge
        else ""
    )
    return f"{side.name}: {settings(tuned)}{told}"


def why_failed(side: tables.Side) -> str:
    """The reasons of a loss's failed runs in brackets, equal ones once.

    >>> why_failed(tables.Side("a", "loss", {}, 2, facts={"failures": ["seed 0: loss is nan", "seed 1: loss is nan"]}))
    ' (loss is nan, seeds 0, 1)'
    """
    reasons: dict[str, list[str]] = {}
    for one in side.facts.get("failures") or ():
        found = re.match(r"seed (\d+): (.*)", str(one), re.DOTALL)
        seed, reason = (found[1], found[2]) if found else ("", str(one))
        reasons.setdefault(reason, []).append(seed)
    said = []
    for reason, seeds in list(reasons.items())[:3]:
        known = [seed for seed in seeds if seed]
        where = f", {'seeds' if len(known) > 1 else 'seed'} {', '.join(known[:12])}" if known else ""
        said.append(f"{wording.shorten(reason, 200)}{where}")
    return f" ({'; '.join(said)}{'; …' if len(reasons) > 3 else ''})" if said else ""


def items(values: Any, before: str = "") -> list[tuple[str, str]]:
    """Nested facts as flat (name, text) pairs; what is absent is left out."""
    if not isinstance(values, Mapping):
        return [(before or "value", said(values))]
    out: list[tuple[str, str]] = []
    for key, value in values.items():
        name = "" if key == "hyperparameters" else f"{before} {key}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            out += items(value, name)
        elif value is not None and value != "" and value != []:
            out.append((name, said(value)))
    return out


def said(value: Any) -> str:
    """A fact as text: numbers short, lists joined, nothing as a dash."""
    if value is None:
        return wording.NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(said(one) for one in value) if len(value) <= 24 else f"{len(value)} values"
    return str(value) if isinstance(value, str | int) else json.dumps(value, default=str)
