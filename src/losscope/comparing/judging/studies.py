"""The runs of a study that losscope stored."""

from __future__ import annotations

from pathlib import Path

from losscope.comparing import reading
from losscope.comparing.judging.runs import Runs


def from_store(folder: Path) -> Runs:
    """The final runs of a folder's newest study, with its settings and its count of looks.

    Raises:
        LosscopeError: a folder without a finished study, or a file that cannot be read.
    """
    store, name, notes = reading.find(folder, None)
    kept, measured, known = reading.measured(store, name)
    said = f"The study {name} of {str(folder)!r}, look {kept.look}."
    settings = reading.settings_of(kept, known)
    return Runs(tuple(measured), (said, *notes, *kept.notes), kept.look, settings, kept.data, known)
