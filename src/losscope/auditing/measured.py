"""Properties of a loss found by measuring: its reduction and the unit of its margin."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from losscope.auditing.lines import flaw, line
from losscope.auditing.subjects import Subject, at_angle, cloud, triple
from losscope.core.results import AuditLine

NEAR = 0.02
"""Relative deviation from an exact ratio that still counts as it."""
EXACT = 1e-3
"""The same of a margin, which bisection finds to many digits: an angle of 0.1 is a distance of 0.09996."""


def reduction(subject: Subject) -> AuditLine:
    """What the loss does with its terms, from a second batch beside the first that it shares no term with.

    The copy lies in orthogonal dimensions with new labels. A sum doubles; a mean over active terms stays,
    also when inert rows are added; a mean over anchors falls with those only; a mean over valid terms falls
    with both, since pairs between the two batches are valid and inactive.
    """
    if subject.parameters and subject.classes:
        return _reduction_of_rows(subject)
    for radius, size in ((0.35, 1.0), (0.1, 1.0), (0.35, 5.0), (0.35, 30.0)):
        half, labels = _cap(subject, radius, size)
        copy = torch.cat([half, half.roll(subject.dimension // 2, 1)])
        both = torch.cat([labels, labels + len(labels)])
        alone, joint = float(subject.value(half, labels)), float(subject.value(copy, both))
        tilted = torch.cat([half, _tilted(half.roll(subject.dimension // 2, 1))])
        cross = abs(float(subject.value(tilted, both)) - joint)
        if alone != 0 and cross <= 1e-3 * abs(joint):
            inert, names = _with_inert(subject, half, labels, size)
            return _name_reduction(subject, joint / alone, float(subject.value(inert, names)) / alone)
    return line(
        "reduction",
        None,
        "not found: terms between two unrelated batches stay active at every distance tried",
        "compare runs at one batch size only",
    )


def _name_reduction(subject: Subject, copy: float, inert: float) -> AuditLine:
    measured = f"a second batch beside it: × {copy:.2f}, inert rows: × {inert:.2f}"
    if copy > 1.5:
        said = f"a sum over terms, not a mean ({measured})"
        meaning = "the gradient grows with the batch; a learning rate fits one size only"
        return flaw("caution", "reduction", said, meaning)
    if copy > 1 + NEAR:
        return line(
            "reduction", None, f"not a plain sum or mean ({measured})", "compare runs at one batch size only"
        )
    if copy > 1 - NEAR and abs(inert - 1) <= NEAR:
        said = f"mean over active terms ({measured})"
        if subject.reduction == "active_mean":
            return line("reduction", True, f"{said}, as declared", _ACTIVE)
        return flaw("caution", "reduction", said, _ACTIVE)
    over = "anchors or positive pairs" if copy > 1 - NEAR else "valid pairs or triplets"
    said = f"mean over {over} ({measured})"
    if subject.reduction == "active_mean":
        return flaw(
            "wrong", "reduction", f"{said}, declared as a mean over active terms", "it is not as declared"
        )
    return line("reduction", True, said, "the gradient falls as terms are solved, whatever the batch size")


_ACTIVE = (
    "the gradient is multiplied by 1/active ratio: it does not fall as terms are solved, and the last few "
    "active terms get the whole step"
)


def _reduction_of_rows(subject: Subject) -> AuditLine:
    """With class vectors a row's terms are its own, so repeating the batch tells a sum from a mean."""
    z, labels = cloud(subject, 6, 4)
    alone = float(subject.value(z, labels))
    twice = float(subject.value(z.repeat(2, 1), labels.repeat(2)))
    if alone == 0:
        return line("reduction", None, "not found: the value is 0 on an ordinary batch", "")
    ratio = twice / alone
    said = f"the batch given twice: × {ratio:.2f}"
    if abs(ratio - 1) <= NEAR:
        return line(
            "reduction", True, f"mean over rows ({said})", "the gradient does not depend on the batch size"
        )
    if abs(ratio - 2) <= NEAR:
        return flaw(
            "caution",
            "reduction",
            f"a sum over rows, not a mean ({said})",
            "the gradient grows with the batch",
        )
    return line("reduction", None, f"not a plain sum or mean ({said})", "compare runs at one batch size only")


def _cap(subject: Subject, radius: float, size: float) -> tuple[Tensor, Tensor]:
    """12 vectors of length ``size`` and 3 classes near one another, in the first half of the dimensions."""
    generator = torch.Generator().manual_seed(2)
    half = torch.zeros(12, subject.dimension, dtype=torch.float64)
    way = torch.randn(12, subject.dimension // 2, generator=generator, dtype=torch.float64)
    shift = radius * torch.rand(12, 1, generator=generator, dtype=torch.float64)
    way = nn.functional.normalize(way, dim=1) * (0.1 * radius + 0.4 * shift)
    way[:, 0] += 1
    half[:, : subject.dimension // 2] = nn.functional.normalize(way, dim=1)
    return size * half, torch.arange(3).repeat_interleave(4)


def _tilted(copy: Tensor, angle: float = 0.1) -> Tensor:
    """The copy turned rigidly towards the first batch: only terms between the two can change."""
    middle = copy.shape[1] // 2
    turned = copy.clone()
    turned[:, middle] = math.cos(angle) * copy[:, middle] - math.sin(angle) * copy[:, 0]
    turned[:, 0] = math.sin(angle) * copy[:, middle] + math.cos(angle) * copy[:, 0]
    return turned


def _with_inert(subject: Subject, half: Tensor, labels: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """The batch with classes of two equal rows, orthogonal to all else: their terms are solved."""
    many = min(6, subject.dimension // 2)
    axes = size * torch.eye(subject.dimension, dtype=torch.float64)[subject.dimension // 2 :][:many]
    names = 100 + torch.arange(many)
    return torch.cat([half, axes.repeat_interleave(2, 0)]), torch.cat([labels, names.repeat_interleave(2)])


def margin_unit(subject: Subject) -> AuditLine:
    """In which unit the margin is: from the distance where the push on a negative ends."""
    declared = {name: value for name, value in subject.margins().items() if value != 0}
    if not declared:
        return line("margin", None, "it has no margin", "nothing to compare with other losses' margins")
    if subject.vectors():
        return _margin_of_class_vectors(subject, declared)
    too_large = _beyond(subject, declared)
    if too_large is not None:
        return too_large
    found = _units(subject, declared)
    if found is None:
        said = (
            "the push on a negative does not end below a right angle, so the margin's unit cannot be read off"
        )
        return line("margin", None, said, "on unit vectors every negative stays active at this margin")
    said, units = found
    if len(units) > 1 and subject.rebuild is not None:
        # At 1 a distance is its own square, and at ½ a cosine its own distance: another margin tells.
        name = units[0][1]
        other = subject.rebuild({name: 0.8 * declared[name]})
        again = _units(other, {name: 0.8 * declared[name]})
        same = {unit for unit, *_ in again[1]} if again else set()
        units = [reading for reading in units if reading[0] in same] or units
    if not units:
        said += ": no unit makes the declared margin of it"
        if subject.facts is not None:
            return flaw("wrong", "margin", said, _MISLEADING)
        return line("margin", True, said, "measured only")
    first, name, beyond = units[0]
    unit = " or ".join(dict.fromkeys(each for each, *_ in units))
    wanted = unit if subject.facts is None else subject.facts.units.get(name, unit)
    if not _agrees(first, wanted):
        said = f"{name} {declared[name]:g} is a {unit}, declared as {wanted}"
        return flaw("wrong", "margin", said, _MISLEADING)
    said = f"{name} {declared[name]:g} is a {unit}{beyond}: {said}"
    if declared[name] > MOST[first]:
        meaning = f"unit vectors are at most {MOST[first]:g} apart: on unit rows no term is ever solved"
        return flaw("caution", "margin", said, meaning)
    return line("margin", True, said, f"compare it with margins in {unit} only")


MOST = {
    "distance": 2.0,
    "squared distance": 4.0,
    "cosine similarity": 2.0,
    "cosine distance": 2.0,
    "radians": math.pi,
    "degrees": 180.0,
}
"""The largest difference that two unit vectors can have in a unit."""
SMALL = (0.5, 0.25, 0.05)
"""Margins at which the unit of one that is too large is looked for."""


def _beyond(subject: Subject, declared: dict[str, float]) -> AuditLine | None:
    """A margin that no pair of unit vectors can keep; None for one that can, or that cannot be told.

    Only where lengths do not count, and only if the opposite of an anchor is pushed still: its unit is then
    read off from the same loss with a smaller margin.
    """
    z, labels = cloud(subject, 6, 4)
    value, larger = subject.value(z, labels), subject.value(3 * z, labels)
    if subject.rebuild is None or abs(float(value - larger)) > 1e-4 * abs(float(value)):
        return None
    rows, names = triple(subject, 0.1, 1.99)
    if not subject.gradient(rows, names)[1][2].any():
        return None
    for name, margin in declared.items():
        units = next(filter(None, (_units_at(subject, name, small) for small in SMALL)), [])
        most = max((MOST[unit] for unit in units), default=math.inf)
        if margin > most:
            unit = " or ".join(units)
            said = f"{name} {margin:g} is a {unit} beyond any that unit vectors can have ({most:g})"
            return flaw(
                "wrong", "margin", said, "every negative is pushed for ever, and no term is ever solved"
            )
    return None


def _units_at(subject: Subject, name: str, margin: float) -> list[str]:
    """The units that explain the end of the push at another margin; none where it cannot be told."""
    assert subject.rebuild is not None
    try:
        found = _units(subject.rebuild({name: margin}), {name: margin})
    except Exception:
        # Its arguments may bind one another.
        return []
    return list(dict.fromkeys(unit for unit, *_ in found[1])) if found else []


def _agrees(unit: str, declared: str) -> bool:
    """Whether a declaration, such as "distance, or squared distance if squared", names this unit."""
    parts = [part.strip() for part in declared.replace(", or ", ",").split(",")]
    return any(part.startswith(unit) or unit.startswith(part) for part in parts)


_MISLEADING = "margins of this loss are not what they are called"
NEAREST = (0.1, 0.25)
"""Distances of the positive at which the end of the push is looked for."""


def _units(subject: Subject, declared: dict[str, float]) -> tuple[str, list[tuple[str, str, str]]] | None:
    """Where the push ends, and every (unit, argument, "beyond the positive" or "") that explains it."""
    for size in (1.0, 10.0):
        ends = [_end_of_push(subject, at, size) for at in NEAREST]
        if None not in ends:
            break
    else:
        return None
    known = [end for end in ends if end is not None]
    said = (
        f"the push on a negative ends at distance {known[0]:.3g} and {known[1]:.3g} "
        f"(positive at {NEAREST[0]:g} and {NEAREST[1]:g})"
    )
    reading = [_readings(end, size) for end in known]
    base = [_readings(at, size) for at in NEAREST]
    found = []
    for unit in reading[0]:
        for name, value in declared.items():
            absolute = max(abs(end[unit] - value) for end in reading)
            relative = max(
                abs(abs(end[unit] - at[unit]) - value) for end, at in zip(reading, base, strict=True)
            )
            found.append((absolute / value, unit, name, ""))
            if unit != "cosine distance":
                # Beyond the positive a cosine distance is the cosine similarity again.
                found.append((relative / value, unit, name, " beyond the positive"))
    return said, [(unit, name, beyond) for error, unit, name, beyond in found if error <= EXACT]


def _readings(distance: float, size: float) -> dict[str, float]:
    """A distance between two vectors of length ``size`` in every unit that a margin may have."""
    cosine = 1 - (distance / size) ** 2 / 2
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    return {
        "distance": distance,
        "squared distance": distance**2,
        "cosine similarity": cosine,
        "cosine distance": 1 - cosine,
        "radians": angle,
        "degrees": math.degrees(angle),
    }


def _end_of_push(subject: Subject, positive: float, size: float) -> float | None:
    """The distance of a negative from which on it is not pushed; the positive at a fixed distance."""

    def pushed(distance: float) -> bool:
        rows, labels = triple(subject, positive, distance, size)
        return float(subject.gradient(rows, labels)[1][2].norm()) > 0

    grid = [0.02 * size * step for step in range(1, 70)]
    last = next((place for place in reversed(range(len(grid))) if pushed(grid[place])), None)
    if last is None or last == len(grid) - 1:
        return None
    low, high = grid[last], grid[last + 1]
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if pushed(middle) else (low, middle)
    return low


def _margin_of_class_vectors(subject: Subject, declared: dict[str, float]) -> AuditLine:
    """The shift of the target's angle (or cosine) that the margin amounts to."""
    if not subject.one_vector_per_class:
        return line(
            "margin",
            None,
            "not measured: several vectors per class, or none",
            "measured for one vector per class",
        )
    if subject.rebuild is None:
        return line("margin", None, "not measured: the loss cannot be made without its margin", _UNKNOWN)
    name, value = next(iter(declared.items()))
    try:
        without = subject.rebuild({name: 1e-9 if subject.facts else 0})
        shifts, cosines = _shifts(subject, without)
    except Exception as error:
        return line("margin", None, f"not measured: without its margin it fails ({error})", _UNKNOWN)
    unit, errors = _nearest_unit(shifts, cosines, value)
    if errors > NEAR:
        # A margin towards other classes too adds a constant: what is above the value at angle 0 tells.
        shifts, cosines = _shifts(subject, without, above=0.0)
        unit, errors = _nearest_unit(shifts, cosines, value)
    said = "the margin shifts the target's angle by {:.3f}, {:.3f} and {:.3f} radians".format(*shifts)
    if errors > NEAR:
        found = f"{said}: no constant unit"
        if subject.facts is not None:
            return flaw("wrong", "margin", found, _MISLEADING)
        return line("margin", True, found, "its effect depends on the angle")
    wanted = unit if subject.facts is None else subject.facts.units.get(name, unit)
    if not _agrees(unit, wanted):
        return flaw("wrong", "margin", f"{name} {value:g} is in {unit}, declared as {wanted}", _MISLEADING)
    return line(
        "margin", True, f"{name} {value:g} is in {unit}: {said}", f"compare it with margins in {unit} only"
    )


_UNKNOWN = "its effect has to be found by training"


def _nearest_unit(shifts: list[float], cosines: list[float], value: float) -> tuple[str, float]:
    """The unit in which the shifts are nearest to the declared margin, and their relative error."""
    units = {
        "radians": shifts,
        "degrees": [math.degrees(shift) for shift in shifts],
        "cosine similarity": cosines,
    }
    return min(
        ((unit, max(abs(shift - value) / value for shift in measured)) for unit, measured in units.items()),
        key=lambda candidate: candidate[1],
    )


def _shifts(
    subject: Subject, without: Subject, above: float | None = None
) -> tuple[list[float], list[float]]:
    """How far the target's angle, and its cosine, are shifted by the margin, at three angles.

    From the angle at which the loss without a margin has the value that the loss has. ``above``: values are
    taken above each loss's own at this angle.
    """
    own, bare = (
        0.0 if above is None else float(each.value(*at_angle(each, above))) for each in (subject, without)
    )
    # Not nearer: there a sharp softmax is 0 to all digits.
    shifts, cosines = [], []
    for angle in (0.9, 1.1, 1.3):
        target = float(subject.value(*at_angle(subject, angle))) - own
        low, high = 0.0, math.pi
        for _ in range(50):
            middle = (low + high) / 2
            below = float(without.value(*at_angle(subject, middle))) - bare < target
            low, high = (middle, high) if below else (low, middle)
        shifts.append(low - angle)
        cosines.append(math.cos(angle) - math.cos(low))
    return shifts, cosines
