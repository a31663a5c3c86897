"""The sections of the page, in their order. To add one is one function here, or in a plugin.

Each takes the Context and gives a dict, or None where it does not apply (see ``parts``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from losscope.core import wording
from losscope.core.registry import register
from losscope.reporting import plots, tables
from losscope.reporting import rows as evidence
from losscope.reporting.figure import Figure, Ruler
from losscope.reporting.maps import maps as embedding_maps
from losscope.reporting.parts import Cell, Context, Grid, fragment, headline

Section = dict[str, Any]


YOURS = "yours"
FEW_DATA = 3
"""Up to so many data sets the ledger has its verdicts in words; beyond, marks and a legend."""
"""The protocol's name where the runs were made elsewhere."""


@register("section", "verdict", order=10)
def verdict(context: Context) -> Section | None:
    """The recommendation in words, large, and what it rests on."""
    result = context.result
    sentences = (result.get("recommendation") or {}).get("sentences") or ()
    said = [str(one) for one in sentences if str(one).strip()]
    claims_found = list(result.get("claims") or ())
    plain = "No recommendation was asked for; here is what was measured."
    first = said[0] if said else evidence.tally(claims_found) if claims_found else plain
    claim, rest = headline(first)
    protocol = (result.get("protocol") or {}).get("name")
    about = [
        str(context.data.get("name") or ""),
        f"{protocol} protocol" if protocol and protocol != YOURS else "your runs" if protocol else "",
        _seeds(context) if context.seeds else "",
        f"goal: {tables.goal_of(result)}" if said and not result.get("claims") else "",
        "untuned" if any("untuned" in one for one in said) else "",
    ]
    known = [str(context.data[key]) for key in ("title", "edition") if context.data.get(key)]
    described = str(context.data.get("described") or ", ".join(known))
    notes = [str(one) for one in (*(context.data.get("notes") or ()), *(result.get("notes") or ()))]
    failed = [
        f"{side.name}: {tables.failed_of(side, context.seeds)}{evidence.why_failed(side)}"
        for side in context.sides
        if side.failed
    ]
    html = fragment("verdict", [one for one in about if one], claim, rest, said[1:], described, notes, failed)
    return {"title": "Verdict", "html": html, "hero": True}


@register("section", "summary", order=20)
def summary(context: Context) -> Section | None:
    """The goal's measure and a few of geometry and greediness, with intervals, for losses and baselines."""
    names = tables.columns(context.result, 8)
    if not names:
        return None
    chosen = (context.result.get("recommendation") or {}).get("loss")
    digits = {name: tables.digits_of(context.sides, name) for name in names}
    rulers = {
        name: Ruler.around(side.value(name, key) for side in context.sides for key in ("mean", "low", "high"))
        for name in names
    }
    rows = []
    for side in context.sides:
        strips = [
            {
                "cell": context.cell(side, name, digits[name]),
                "at": rulers[name].at(side.value(name)),
                "low": rulers[name].at(side.value(name, "low")),
                "high": rulers[name].at(side.value(name, "high")),
            }
            for name in names
        ]
        rows.append(
            {
                "side": side,
                "strips": strips,
                "look": context.palette.look(side.name),
                "failed": tables.failed_of(side, context.seeds),
                "chosen": side.name == chosen,
            }
        )
    note = (
        f"Mean over {_seeds(context)} and its 95 % interval. Each mark lies on its column's own scale, from the "
        "smallest to the largest interval end: compare marks within a column, not across. "
        "Losses and baselines are measured alike."
    )
    caption = "Final measures of each loss and baseline: mean and 95 % interval over seeds"
    return {
        "title": "At a glance",
        "note": note,
        "html": fragment("summary", caption, [context.head(name) for name in names], rows),
        "wide": True,
    }


@register("section", "forest", order=30)
def forest(context: Context) -> Section | None:
    """The tested comparisons: difference, both intervals, the band of indifference, p and verdict."""
    rows = tables.primary_rows(context.result)
    if not rows:
        return None
    groups = []
    for measure in dict.fromkeys(str(row["measure"]) for row in rows):
        groups.append(
            evidence.forest_group(context, measure, [row for row in rows if row["measure"] == measure])
        )
    first = rows[0]
    level = wording.finite(first.get("alpha"))
    tests = first.get("tests_in_family")
    note = [
        "Point: mean difference over seeds, paired by seed."
        if not tables.unpaired(context.result)
        else "Point: mean difference over seeds.",
        f"Thick line: {100 * (1 - level):.4g} % interval for these data."
        if level
        else "Thick line: interval for these data.",
        "Thin line: for data like these, with other classes or queries.",
        "Shaded: too small to matter. A verdict needs the thick line outside of zero, or inside the band.",
    ]
    if tests:
        note.append(f"p corrected (Holm) over {wording.count(tests, 'test')}.")
    if (first.get("look") or 1) > 1:
        note.append(f"This is look {first['look']} at growing data, tested at {level:g}.")
    return {
        "title": "What was tested",
        "note": " ".join(note),
        "html": fragment("forest", groups),
        "wide": True,
    }


@register("section", "seeds", order=40)
def seeds(context: Context) -> Section | None:
    """Each seed's values joined across the losses, for the measures of the summary."""
    if len(context.losses) < 2 or context.seeds < 2 or tables.unpaired(context.result):
        return None
    figures = []
    for measure in tables.columns(context.result, 6):
        values = {
            side.name: side.measures[measure].get("values") or ()
            for side in context.sides
            if side.kind == "loss" and measure in side.measures
        }
        figure = plots.seed_lines(
            {name: ones for name, ones in values.items() if ones}, measure, context.palette
        )
        if figure is not None and len(figure.series) > 1:
            figures.append(figure)
    if not figures:
        return None
    ours = (context.result.get("protocol") or {}).get("name") != YOURS
    shared = " Within a seed all losses start from the same weights and see the same batches." if ours else ""
    note = f"One line a seed.{shared} Lines that rise or fall together show what clouds of points would hide."
    return {"title": "Seed by seed", "note": note, "figures": figures, "key": context.losses, "columns": 3}


@register("section", "decay", order=50)
def decay(context: Context) -> Section | None:
    """Loss relative to its first epoch, and validation quality, by epoch."""
    figures = []
    loss = plots.courses(context.traces, "loss", context.palette, relative=True)
    drawn = plots.curves(
        loss,
        "Loss, relative to the first epoch",
        context.palette,
        log=True,
        target=(0.1, "90 % gone"),
    )
    if drawn is not None:
        figures.append(drawn)
    quality = plots.courses(context.traces, "map_at_r", context.palette, ("validation", "test"))
    drawn = plots.curves(quality, "MAP@R on validation", context.palette, "share", from_zero=False)
    if drawn is not None:
        figures.append(drawn)
    if not figures:
        return None
    note = (
        f"{_band_note(context)} The values of a squared and of a linear loss do not fall on one scale, and some "
        "losses cannot reach zero: the quality of the embeddings, MAP@R, can be compared."
    )
    return {
        "title": "How fast it learns",
        "note": note,
        "figures": figures,
        "key": _seen(figures),
        "columns": 2,
    }


_GREEDINESS = (
    ("active_ratio", True),
    ("effective_active", True),
    ("active_samples", True),
    ("gradient_norm", False),
    ("embedding_gradient_norm", False),
    ("update_norm", False),
    ("hard_share", True),
    ("greedy_share", True),
    ("greedy_share_positive", True),
    ("greedy_share_negative", True),
    ("gradient_gini", True),
    ("gradient_top_tenth", True),
)


@register("section", "greediness", order=60)
def greediness(context: Context) -> Section | None:
    """Where the training effort goes, by epoch: active terms, gradients, updates, hard and greedy shares."""
    figures, defined = [], []
    for name, share in _GREEDINESS:
        found = plots.courses(context.traces, name, context.palette)
        drawn = plots.curves(
            found,
            wording.title(name),
            context.palette,
            wording.measure(name).unit,
            share=share,
            log=not share,
        )
        if drawn is not None:
            figures.append(drawn)
            defined.append((wording.title(name), wording.measure(name).definition))
    if not figures:
        return None
    note = f"{_band_note(context)} Only hinge losses have an active ratio. Gradient norms carry a loss’s own factor."
    html = fragment("glossary", "What these are", defined)
    return {
        "title": "Where the effort goes",
        "note": note,
        "figures": figures,
        "html": html,
        "key": _seen(figures),
        "columns": 3,
    }


@register("section", "classes", order=70)
def classes(context: Context) -> Section | None:
    """Intra-class variance of every class."""
    figure = plots.class_bars(context.detail, context.class_names, context.palette)
    if figure is None:
        return None
    split = tables.split_of(context.sides, "intra_variance")
    note = (
        f"Mean squared distance of a class’s embeddings to their mean{f', {split} split' if split else ''}. "
        "Bars: mean over seeds. Whiskers: smallest to largest seed."
    )
    if any(row.get("verdict") == "not_comparable" for row in context.result.get("paired") or ()):
        note += " Raw variance between losses of unlike form is not compared; see intra/inter² for that."
    return {"title": "Class by class", "note": note, "figure": figure, "key": list(figure.series)}


@register("section", "maps", order=80)
def maps(context: Context) -> Section | None:
    """Maps of the test embeddings on two principal components, side by side."""
    figures = embedding_maps(context.maps, context.class_names, context.palette)
    if not figures:
        return None
    note = (
        "Test embeddings of one seed on each loss’s own two leading principal components. All maps have one "
        "scale, so tight and wide classes can be compared; directions cannot, and distances in two dimensions "
        "only hint at those in all."
    )
    return {
        "title": "The embedding space",
        "note": note,
        "figures": figures,
        "columns": 4 if len(figures) in (4, 7, 8, 11, 12) else min(len(figures), 3),
        "wide": True,
    }


@register("section", "tuning", order=90)
def tuning(context: Context) -> Section | None:
    """What was tried in tuning, and what was chosen: quality by margin or temperature, and every trial."""
    tried = [side for side in context.sides if side.facts.get("trials")]
    if not tried:
        return None
    scores = [
        score
        for side in tried
        for trial in side.facts["trials"]
        if (score := wording.finite(trial.get("score"))) is not None
    ]
    figures = [
        figure
        for side in tried
        if (figure := plots.tuning_lines(side.name, side.facts["trials"], context.palette, scores))
        is not None
    ]
    rows = evidence.trial_rows(tried)
    failed = sum(row[-1] == "failed" for row in rows)
    chosen = fragment("bullets", [evidence.chosen_words(side) for side in tried])
    said = [
        "Tuned on validation only, on seeds of their own, as many trials for each loss.",
        f"{failed} of {wording.count(len(rows), 'trial')} failed." if failed else "",
        "One line a learning rate and reduction, the smaller rate dashed; ringed: the best. All on one scale."
        if figures
        else "",
    ]
    grid = Grid(
        "Every trial, best first", ["loss", "settings", "MAP@R, validation", "epoch", ""], rows, numeric=False
    )
    return {
        "title": "Tuning",
        "note": " ".join(one for one in said if one),
        "figures": figures,
        "html": chosen,
        "table": grid,
        "fold": wording.count(len(rows), "trial"),
        "columns": 3,
    }


@register("section", "claims", order=25)
def claims(context: Context) -> Section | None:
    """The ledger of claims: what was said, what was expected, what was measured, and the verdict."""
    found = list(context.result.get("claims") or ())
    if not found:
        return None
    places = list(dict.fromkeys((str(one.get("data")), str(one.get("protocol"))) for one in found))
    ledger: dict[str, dict[str, Any]] = {}
    for one in found:
        row = ledger.setdefault(str(one["id"]), {"statement": str(one.get("statement", "")), "cells": {}})
        code = str(one.get("verdict") or "none")
        row["cells"][str(one.get("data")), str(one.get("protocol"))] = {
            "code": code,
            "word": wording.verdict(code),
            "tip": evidence.claim_tip(one),
            "sign": wording.sign(code, bool(one.get("beyond"))),
        }
    rows = [
        {"id": name, "statement": row["statement"], "cells": [row["cells"].get(place) for place in places]}
        for name, row in ledger.items()
    ]
    note = evidence.tally(found)
    if any(one.get("beyond") for one in found):
        note += " In brackets: beyond what the paper measured."
    columns: dict[str, list[str]] = {}
    for data, rule in places:
        columns.setdefault(data, []).append(rule)
    ordered = [(data, rule) for data, rules in columns.items() for rule in rules]
    for row in rows:
        row["cells"] = [row["cells"][places.index(place)] for place in ordered]
    codes = {str(one.get("verdict")) for one in found} if len(columns) > FEW_DATA else set()
    legend = [
        {"code": code, "sign": sign, "word": wording.verdict(code)}
        for code, sign in wording.SIGNS.items()
        if code in codes
    ]
    html = fragment("ledger", "Verdict on each claim, by data set and protocol", columns, rows, legend)
    return {
        "title": "The claims",
        "note": note,
        "html": html,
        "table": evidence.claim_grid(found),
        "fold": "Expected and measured",
        "wide": True,
    }


@register("section", "published", order=35)
def published(context: Context) -> Section | None:
    """The authors' single values beside the prediction interval of one further run of ours."""
    rows = tables.published_rows(context.result)
    if not rows:
        return None
    source = context.result["published"][0]["source"]
    note = (
        f"{source}, the training set as there. A published value is inside if it lies in our 95 % prediction "
        "interval of one further run; held out is our mean on fresh test points."
    )
    grid = Grid("The authors’ values beside ours", list(tables.PUBLISHED), rows, numeric=False)
    return {"title": "Beside the authors", "note": note, "table": grid}


@register("section", "controls", order=27)
def controls(context: Context) -> Section | None:
    """What explains the claims: the controls' numbers with their intervals, without verdicts."""
    found = [one for one in context.result.get("controls") or () if isinstance(one, Mapping)]
    if not found:
        return None
    keys = [key for key in dict.fromkeys(key for one in found for key in one) if key not in ("low", "high")]
    rows = [
        [
            Cell(
                evidence.said(one.get(key)),
                wording.interval(one.get("low"), one.get("high")) if key == "measured" else "",
            )
            for key in keys
        ]
        for one in found
    ]
    heads = [key.replace("_", " ") for key in keys]
    note = "Controls explain why a claim came out as it did: intervals, no verdicts."
    grid = Grid("Controls with their intervals", heads, rows, numeric=False)
    return {"title": "Controls", "note": note, "table": grid, "wide": True}


@register("section", "measures", order=110)
def measures(context: Context) -> Section | None:
    """Every measure of every loss and baseline, with its definition."""
    names = tables.present(context.result)
    if not names:
        return None
    groups: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        known = wording.measure(name)
        digits = tables.digits_of(context.sides, name)
        groups.setdefault(known.group, []).append(
            {
                "head": context.head(name),
                "unit": known.unit,
                "better": {"neither": ""}.get(known.better, f"{known.better} is better"),
                "cells": [context.cell(side, name, digits) for side in context.sides],
            }
        )
    heads = [{"name": side.name, "look": context.palette.look(side.name)} for side in context.sides]
    note = (
        f"{wording.count(len(names), 'measure')}: mean over {_seeds(context)} with its 95 % interval. Beyond those tested "
        "above they describe, and carry no verdict."
    )
    html = fragment("measures", "Every measure of every loss and baseline", heads, groups)
    return {
        "title": "Every measure",
        "note": note,
        "html": html,
        "fold": f"All {wording.count(len(names), 'measure')}",
        "wide": True,
    }


@register("section", "differences", order=115)
def differences(context: Context) -> Section | None:
    """Every paired difference, tested or descriptive."""
    found = list(context.result.get("paired") or ())
    if not found:
        return None
    rows = []
    for row in found:
        middle, spread = wording.effect(row)
        wide = wording.effect({**row, "low": row.get("low_data"), "high": row.get("high_data")})[1]
        sign = "/" if row.get("scale") == "log_ratio" else wording.MINUS
        known = wording.measure(str(row["measure"]))
        verdict = wording.verdict(row.get("verdict")) if row.get("verdict") else "descriptive"
        rows.append(
            [
                Cell(f"{row['a']} {sign} {row['b']}"),
                Cell(wording.label(str(row["measure"])), title=known.definition),
                middle,
                spread,
                wide,
                str(row.get("n") or ""),
                verdict,
            ]
        )
    heads = ["pair", "measure", "size", "for these data", "for data like these", "seeds", "verdict"]
    note = "Paired by seed. Differences carry a sign, ratios a ×. Only tested pairs have a verdict."
    grid = Grid("Every paired difference with both intervals", heads, rows)
    return {
        "title": "Every difference",
        "note": note,
        "table": grid,
        "fold": f"All {wording.count(len(rows), 'difference')}",
    }


@register("section", "provenance", order=120)
def provenance(context: Context) -> Section | None:
    """What was run: data, protocol, losses, versions, machine, and the run ids."""
    result = context.result
    lists = []
    skipped = ("class_names", "notes", "described", "mean", "std")
    facts = {key: value for key, value in context.data.items() if key not in skipped}
    for title, values in (
        ("Data", facts),
        ("Protocol", result.get("protocol")),
        ("Run", result.get("provenance")),
    ):
        if values:
            lists.append({"title": title, "items": evidence.items(values)})
    losses = [
        {
            "name": side.name,
            "look": context.palette.look(side.name),
            "items": evidence.items(side.facts.get("spec") or {}),
            "runs": list(zip(_seed_names(result, side), side.runs)),
        }
        for side in context.sides
        if side.kind == "loss"
    ]
    store = result.get("store")
    command = (result.get("provenance") or {}).get("command")
    html = fragment("provenance", lists, losses, str(command or ""), str(store or ""))
    note = "Every number on this page comes from the run folders named here and can be made again."
    return {"title": "Where this comes from", "note": note, "html": html}


def _seed_names(result: Mapping[str, Any], side: tables.Side) -> list[str]:
    seeds = result.get("seeds")
    known = [str(seed) for seed in seeds] if isinstance(seeds, Sequence) else []
    return known if len(known) == len(side.runs) else [str(place) for place in range(len(side.runs))]


def _seeds(context: Context) -> str:
    count = context.seeds
    return wording.count(count, "seed") if count else "the seeds"


def _band_note(context: Context) -> str:
    if context.seeds < 2:
        return "One seed: a line without a band."
    stopped = any(side.failed for side in context.sides)
    extra = " Thin dotted: seeds that stopped early, left out of both." if stopped else ""
    return f"Lines: mean over {_seeds(context)}. Bands: smallest to largest seed.{extra}"


def _seen(figures: Sequence[Figure]) -> list[str]:
    return list(dict.fromkeys(name for figure in figures for name in figure.series))
