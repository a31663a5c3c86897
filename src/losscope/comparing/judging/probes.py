"""The ends of trainings that ``losscope.Probe`` recorded, as runs."""

from __future__ import annotations

from pathlib import Path

from losscope.comparing.judging.runs import Runs, run_of
from losscope.probe.comparison import reservations, scores
from losscope.probe.record import load_probes

NOTE = (
    "The values are means over the last tenth of each training's steps, on its training batches: they say "
    "what the losses do to the embeddings, not which model is better on new items."
)


def from_probes(folder: Path) -> Runs:
    """The probes of a folder, a run for each loss and seed.

    Raises:
        LosscopeError: a probe without a seed, two of one loss and seed, or a file that is damaged.
    """
    records = load_probes(folder)
    found = scores(records)
    measured = [
        run_of(loss, seed, values, dict.fromkeys(values, "train")) for (loss, seed), values in found.items()
    ]
    alike = all("intra_inter_ratio" in run.values for run in measured)
    return Runs(
        tuple(measured), (NOTE, *reservations(records)), measure="intra_inter_ratio" if alike else None
    )
