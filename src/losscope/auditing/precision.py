"""Low precision, in value and gradient: embeddings in it as they are, and under autocast as in a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from losscope.auditing.growth import loops, step_cost
from losscope.auditing.lines import BROKEN, flaw, line, number
from losscope.auditing.subjects import Subject, cloud
from losscope.core.results import AuditLine

COSTLY, COSTLY_BYTES = 0.02, 2**20
"""Seconds and bytes of a step of 64 rows from which on 256 rows are not tried."""

VALUE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 1e-2}
"""Relative error of a value, of the margin's hundredth where the value is near 0."""
GRADIENT = {torch.float32: 1e-2, torch.float16: 5e-2, torch.bfloat16: 5e-2}
"""Relative error of a gradient, by its length: what training does not notice."""
HALVES = (torch.float16, torch.bfloat16)
SCALES = tuple(2.0**power for power in (16, 12, 8, 4, 0))
"""What torch's gradient scaler multiplies a loss by at first, and what it falls back to at an overflow."""

CAST = "cast to float32 before this loss"


def precision(subject: Subject) -> list[AuditLine]:
    """Are value and gradient in low precision those of float64 on the same rounded inputs?

    float16 and bfloat16 twice: without autocast, parameters rounded too; and under autocast, where a network
    gives half-precision embeddings, the loss's own parameters stay float32, and the loss is scaled.
    """
    many = 24 if loops(subject) else _rows(subject)
    classes = min(many // 8, subject.classes or many)
    z, labels = cloud(subject, classes, many // classes)
    lines = []
    for dtype in (torch.float32, *HALVES):
        rows = z.to(dtype)
        own = {key: value.to(dtype) for key, value in subject.parameters.items()}
        exact = _exact(subject, rows, labels, own)
        lines.append(_judged(subject, dtype, "", exact, partial(subject.gradient, rows, labels, own)))
    for dtype in HALVES:
        rows = z.to(dtype)
        own = {
            key: value.float() if value.is_floating_point() else value
            for key, value in subject.parameters.items()
        }
        exact = _exact(subject, rows, labels, own)
        lines.append(
            _judged(subject, dtype, " autocast", exact, partial(_scaled, subject, rows, labels, own, dtype))
        )
    return lines


def _rows(subject: Subject) -> int:
    small = step_cost(subject, 64)
    return 64 if small.seconds > COSTLY or small.bytes > COSTLY_BYTES else 256


Measured = tuple[Tensor, Tensor]
"""A value and its gradient by the embeddings."""


def _exact(subject: Subject, rows: Tensor, labels: Tensor, own: dict[str, Tensor]) -> Measured:
    wide = {key: value.double() if value.is_floating_point() else value for key, value in own.items()}
    return subject.gradient(rows.double(), labels, wide)


def _scaled(
    subject: Subject, rows: Tensor, labels: Tensor, own: dict[str, Tensor], dtype: torch.dtype
) -> Measured:
    """Under autocast, with the largest scale that does not overflow, as torch's scaler finds it."""
    value, gradient = torch.zeros(()), rows
    for scale in SCALES if dtype == torch.float16 else SCALES[-1:]:
        value, gradient = subject.autocast_gradient(rows, labels, own, dtype, scale)
        if torch.isfinite(gradient).all():
            break
    return value, gradient


def _judged(
    subject: Subject, dtype: torch.dtype, how: str, exact: Measured, measure: Callable[[], Measured]
) -> AuditLine:
    name = str(dtype).removeprefix("torch.") + how
    try:
        value, gradient = measure()
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else "no message"
        # Earlier torch raises a plain RuntimeError where a kernel is missing, which only its text tells.
        if isinstance(error, NotImplementedError) or (
            type(error) is RuntimeError and "not implemented for" in first
        ):
            return line(name, None, f"not supported on this device: {first}", CAST)
        return flaw("caution", name, f"raised {type(error).__name__}: {first}", CAST)
    wanted, slope = (part.double() for part in exact)
    off = abs(float(value) - float(wanted))
    margin = next(iter(subject.margins().values()), 1.0)
    bound = VALUE[dtype] * (abs(float(wanted)) + 1e-2 * abs(margin))
    size = float(slope.norm())
    turned = float((gradient.double() - slope).norm()) / size if size else math.nan
    said = f"{number(value)} against {number(wanted)} in float64, error {off:.1e}"
    if not torch.isfinite(gradient).all():
        return flaw("caution", name, f"{said}; gradient not finite", f"{BROKEN}: {CAST}")
    if size:
        said += f"; gradient off by {turned:.1e}"
    if not off <= bound:
        return flaw("caution", name, f"{said}; a value off by more than {bound:.1e}", CAST)
    if turned > GRADIENT[dtype]:
        return flaw("caution", name, f"{said}, more than {GRADIENT[dtype]:g} of its length", CAST)
    return line(name, True, said, "this precision may be used" + " with autocast" * bool(how))
