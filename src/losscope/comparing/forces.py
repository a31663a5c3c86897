"""How each loss of a study pulls and pushes by distance: measured after the training, kept beside it.

The page is made from the store alone and without torch, so the forces lie in the study's folder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.results import Force
from losscope.core.spec import LossSpec
from losscope.run import launch
from losscope.run.store import Store


def of(specs: Mapping[str, LossSpec]) -> dict[str, Force] | None:
    """The forces of losses by name, measured where torch is; None where it is not.

    Losses of losscope's own alone, at the numbers they were trained with: another's code may do anything when
    it is called.
    """
    own = {name: spec for name, spec in specs.items() if not spec.foreign and _own(spec)}
    found: dict[str, Force] | None = launch.ask(_measured, own)
    return found


def keep(store: Store, study: str, found: Mapping[str, Force] | None) -> None:
    """Write forces into the study's folder; what lies there stays where none were measured."""
    if found is not None:
        store.write_json(_place(study), {name: asdict(force) for name, force in found.items()})


def _own(spec: LossSpec) -> bool:
    return bool(registry.entry("loss", spec.name).own)


def _measured(specs: Mapping[str, LossSpec]) -> dict[str, Force]:
    return {name: force for name, spec in specs.items() if (force := measured(spec)) is not None}


def measured(spec: LossSpec) -> Force | None:
    """The force of one of our losses to six decimals; None where it has none that can be drawn."""
    from losscope.auditing.force import force_by_distance
    from losscope.auditing.subjects import subject

    try:
        found = force_by_distance(subject(spec))
    except LosscopeError:  # such as tuples that are drawn at random
        return None
    if found is None:
        return None
    pull, push = (tuple(round(value, 6) for value in column) for column in (found.pull, found.push))
    return Force(found.distance, pull, push)


def read(store: Store, study: str) -> dict[str, Force]:
    """The forces that are kept of a study's losses; none where there is no such file, or not ours."""
    try:
        found = store.read_json(_place(study)) or {}
    except LosscopeError:
        return {}
    made = {}
    for name, fields in found.items():
        force = _force(fields)
        if force is not None:
            made[str(name)] = force
    return made


def _place(study: str) -> str:
    return f"studies/{study}/forces.json"


def _force(fields: object) -> Force | None:
    """A force from what was read; None for what is not one."""
    if not isinstance(fields, Mapping):
        return None
    columns = [fields.get(name) for name in ("distance", "pull", "push")]
    lists = [tuple(column) for column in columns if isinstance(column, list)]
    numbers = all(isinstance(value, int | float) and math.isfinite(value) for row in lists for value in row)
    if len(lists) != 3 or not numbers or len({len(row) for row in lists}) != 1 or not lists[0]:
        return None
    return Force(*lists)
