"""The head of a comparison's page: the recommendation, and what it rests on."""

from __future__ import annotations

from losscope.core import wording
from losscope.core.registry import register
from losscope.core.results import Result
from losscope.core.wording import parts
from losscope.reporting.parts import Context, Section, fragment


@register("section", "verdict", order=10)
def verdict(context: Context) -> Section:
    """The recommendation in words, large, and what it rests on."""
    result = context.result
    sentences = [sentence for sentence in result.recommendation.sentences if sentence.strip()]
    nothing = "No recommendation was asked for; here is what was measured."
    claim, rest = wording.answer(result)
    data = result.data
    described = data.described or ", ".join(text for text in (data.title, data.edition) if text)
    failed = [
        f"{side.name}: {parts.failed(side, context.seeds)}"
        + (f" ({parts.failures(side.failures)})" if side.failures else "")
        for side in result.sides
        if side.failed
    ]
    html = fragment(
        "verdict",
        _about(context, result, bool(sentences)),
        claim or (sentences[0] if sentences else nothing),
        rest.lstrip(" :;,"),
        sentences[1:],
        described,
        [*data.notes, *result.notes],
        failed,
    )
    return Section("Verdict", html=html, hero=True)


def _about(context: Context, result: Result, recommended: bool) -> list[str]:
    """Data, protocol, seeds and goal in a few words each."""
    untuned = any(settings.tuned is False for settings in result.settings)
    about = [
        result.data.name,
        f"{result.protocol.name} protocol" if result.protocol else "your runs",
        context.counted_seeds if context.seeds else "",
        f"goal: {result.goal}" if recommended else "",
        "untuned" if untuned else "",
    ]
    return [text for text in about if text]
