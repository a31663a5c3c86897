"""The authors' single values beside ours."""

from __future__ import annotations

from losscope.core.registry import register
from losscope.reporting.formats import PUBLISHED, published_rows
from losscope.reporting.parts import Context, Grid, Section


@register("section", "published", order=35)
def published(context: Context) -> Section | None:
    """The authors' single values beside the prediction interval of one further run of ours."""
    found = context.result.published
    if not found:
        return None
    note = (
        f"{found[0].source}, the training set as there. A published value is inside if it lies in our 95 % "
        "prediction interval of one further run; held out is our mean on fresh test points."
    )
    rows = published_rows(context.result)
    grid = Grid("The authors’ values beside ours", PUBLISHED, rows, numeric=False)
    return Section("Beside the authors", note, table=grid)
