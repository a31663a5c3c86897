"""Every claim of a reproduction as a figure: expected against measured."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.reporting.claim_forest import forests as drawn
from losscope.reporting.items import card
from losscope.reporting.parts import Context, Section


@register("section", "forests", order=25.5, of="reproduction")
def forests(context: Context) -> Section | None:
    """Every claim on one axis: expected against measured with its interval, by data set and protocol."""
    found = drawn(context.reproduction.claims, context.reproduction.studies)
    tested = [claim for claim in found if any(mark.at is not None for mark in claim.marks)]
    if not tested:
        return None
    note = (
        "Point and line: what was measured, and its 95 % interval. Diamond: the number that the paper gives. "
        "Shaded: differences too small to matter. The arrow says where the claim lies; the name of each data "
        "set leads to its study. In brackets: beyond what the paper measured."
    )
    seen = {mark.code for claim in tested for mark in claim.marks}
    legend = [(code, sign, wording.verdict(code)) for code, sign in wording.SIGNS.items() if code in seen]
    return Section("Expected against measured", note, card("forests", tested, legend), wide=True)
