"""The runs of a study that losscope stored."""

from __future__ import annotations

from pathlib import Path

from losscope.comparing import looking, reading
from losscope.comparing.judging.runs import Runs
from losscope.core.wording.work import newest


def from_store(folder: Path) -> Runs:
    """The final runs of a folder's newest study, with its settings and its count of looks.

    Raises:
        LosscopeError: a folder without a finished study, or a file that cannot be read.
    """
    store, name, notes = reading.find(folder, None)
    kept, measured, known = reading.measured(store, name)
    said = (
        f"The study {name} of {str(folder)!r}: the goal {kept.study.goal}, look {kept.look} when it was made."
    )
    settings = reading.settings_of(kept, known)

    def look(goal: str, measure: str | None, reference: str | None, indifference: float | None) -> int:
        usual = (kept.study.goal, kept.study.reference, kept.study.indifference)
        if measure is None and (goal, reference, indifference) == usual:
            return kept.look
        return looking.judged(store, kept, goal, measure, reference, indifference)

    others = reading.studies_of(store)
    if len(others) > 1 and folder.parent.name != "studies":
        said += " " + newest([other for other in others if other != name], str(store.root))
    return Runs(tuple(measured), (said, *notes, *kept.notes), look, settings, kept.data, known)
