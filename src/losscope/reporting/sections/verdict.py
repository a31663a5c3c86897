"""The head of a comparison's page: the answer, the figure that shows it, and what to do next."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import Result
from losscope.core.wording import parts
from losscope.reporting.columns import more_said
from losscope.reporting.parts import Context, Section, fragment
from losscope.reporting.standing import standing


@register("section", "verdict", order=10)
def verdict(context: Context) -> Section:
    """The recommendation in a headline, how sure it is, what differs besides, what to beware of and to do."""
    result = context.result
    found = wording.headline(result)
    html = fragment(
        "first_screen",
        found,
        [(context.palette.look(own.name), own) for own in found.contrasts],
        standing(result, context.palette, context.counted_seeds),
        result.provenance.command or "",
        _details(context, result),
    )
    return Section("Verdict", html=html, hero=True)


def _details(context: Context, result: Result) -> dict[str, list[str]]:
    """What is told in full below the answer: every sentence, the data, notes and failed runs."""
    sentences = [sentence for sentence in result.recommendation.sentences if sentence.strip()]
    data = result.data
    described = data.described or ", ".join(text for text in (data.title, data.edition) if text)
    failed = [
        f"{side.name}: {parts.failed(side, context.seeds)}"
        + (f" ({parts.failures(side.failures)})" if side.failures else "")
        for side in result.sides
        if side.failed
    ]
    return {
        "sentences": [*sentences, *more_said(result)],
        "data": [text for text in (described, *data.notes, *result.notes) if text],
        "failed": failed,
    }
