"""The page: one self-contained HTML file that works offline.

The sections come from the registry in their order; the page knows none of them by name. Everything a user
wrote is escaped, figures are JSON beside the place where they are drawn, and Plotly's script is embedded
once, only where there is a figure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from losscope import __version__
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.reporting.figure import Figure
from losscope.reporting.maps import pca_map
from losscope.reporting.parts import FIELDS, HOME, TRACE_COLUMNS, Context, environment, grid_of

__all__ = ["Context", "pca_map", "render"]

SectionFunction = Callable[[Context], Mapping[str, Any] | None]
_AFTER_ALL_BUT_TABLES = 100


def render(
    result: Mapping[str, Any],
    traces: pd.DataFrame | None = None,
    detail: Mapping[str, Mapping[str, Any]] | None = None,
    maps: Mapping[str, Mapping[str, Any]] | None = None,
    extra_sections: Iterable[SectionFunction | Mapping[str, Any]] = (),
) -> str:
    """The whole page as HTML text.

    ``result`` is the ``--json`` object; ``traces`` has the columns loss, seed, split, epoch, name, value;
    ``detail`` is {loss: {"per_class/intra_variance": (seeds, classes), "per_class/label": (classes,)}};
    ``maps`` is {loss: {"xy": (n, 2), "labels": (n,)}} as ``pca_map`` makes it. ``extra_sections`` are
    sections (see ``parts``), or functions of the Context that return one, placed by their ``order``.

    Raises LosscopeError for traces without a needed column.
    """
    context = Context(result, _checked(traces), detail or {}, maps or {})
    sections = [_finished(name, section, context) for name, section in _collected(context, extra_sections)]
    _set_apart(sections)
    figures = sum(len(section.figures) for section in sections)
    names = [*context.losses[:4], *(["…"] if len(context.losses) > 4 else [])]
    about = str(context.data.get("name") or "comparison")
    return (
        environment()
        .get_template("page.html")
        .render(
            title=f"{about}: {' / '.join(names)} · losscope" if names else f"{about} · losscope",
            version=__version__,
            sections=sections,
            palette=context.palette,
            style=Markup((HOME / "page.css").read_text(encoding="utf-8")),
            script=Markup((HOME / "page.js").read_text(encoding="utf-8")),
            plotly=_plotly() if figures else "",
            drawn=figures > 0,
            json=embedded,
        )
    )


def embedded(value: Any) -> Markup:
    r"""JSON that is safe inside a script element, with null for what is not a number.

    >>> print(embedded({"a": ["</script>", float("nan")]}))
    {"a":["\u003c/script\u003e",null]}
    """
    text = json.dumps(_clean(value), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return _clean(value.tolist())
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _plotly() -> Markup:
    from plotly.offline import get_plotlyjs

    # a closing tag inside the library would end the element
    return Markup(re.sub(r"</(script)", r"<\\/\1", get_plotlyjs(), flags=re.IGNORECASE))


def _checked(traces: pd.DataFrame | None) -> pd.DataFrame:
    if traces is None:
        return pd.DataFrame(columns=list(TRACE_COLUMNS))
    missing = [name for name in TRACE_COLUMNS if name not in traces.columns]
    if missing:
        raise LosscopeError(
            f"the traces have no column {', '.join(missing)}; a page wants the columns {', '.join(TRACE_COLUMNS)}"
        )
    return traces


def _collected(
    context: Context, extra: Iterable[SectionFunction | Mapping[str, Any]]
) -> list[tuple[str, Mapping[str, Any]]]:
    """(name, section) of all sections that apply, in order. A plugin's that fails says so on the page."""
    found: list[tuple[float, str, Mapping[str, Any]]] = []
    for name, entry in registry.entries("section").items():
        own = entry.module.startswith("losscope.")
        section = _called(name, entry.load(), context, own)
        if section is not None:
            found.append((entry.facts.order, name, section))
    for place, item in enumerate(extra):
        name = getattr(item, "__name__", f"extra-{place + 1}")
        section = _called(name, item, context, False) if callable(item) else item
        if section is not None:
            found.append((float(section.get("order", _AFTER_ALL_BUT_TABLES)), name, section))
    found.sort(key=lambda one: one[0])
    return [(name, section) for _, name, section in found]


def _called(name: str, function: SectionFunction, context: Context, own: bool) -> Mapping[str, Any] | None:
    try:
        return function(context)
    except Exception as error:
        if own:
            raise
        return {"title": name, "note": f"This section failed: {type(error).__name__}: {error}"}


def _finished(name: str, section: Mapping[str, Any], context: Context) -> SimpleNamespace:
    """A section with every field there, its name as a fragment identifier, its table as a Grid."""
    unknown = sorted(set(section) - FIELDS)
    if unknown:
        raise LosscopeError(
            f"section {name!r} has the field {unknown[0]!r}; its fields are {', '.join(sorted(FIELDS))}"
        )
    figures: list[Figure] = [*section.get("figures", ())]
    if section.get("figure") is not None:
        figures.insert(0, section["figure"])
    table = section.get("table")
    key = context.palette.ordered(section.get("key") or ())
    return SimpleNamespace(
        id=re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "section",
        title=str(section.get("title") or name),
        note=section.get("note"),
        html=section.get("html"),
        figures=figures,
        table=None if table is None else grid_of(table),
        key=key if figures else [],
        columns=max(1, min(4, int(section.get("columns", 1)))),
        wide=bool(section.get("wide")),
        fold=section.get("fold"),
        hero=bool(section.get("hero")),
    )


def _set_apart(sections: list[SimpleNamespace]) -> None:
    """Give sections of one name different fragment identifiers."""
    seen: set[str] = set()
    for section in sections:
        bare, count = section.id, 1
        while section.id in seen:
            count += 1
            section.id = f"{bare}-{count}"
        seen.add(section.id)
