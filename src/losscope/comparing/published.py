"""The authors' single values beside ours: inside the prediction interval of one further run, or by how much not.

From the notebooks of Zeng 2025 (training set, ± over classes).
"""

from __future__ import annotations

from collections.abc import Sequence

from losscope import stats
from losscope.core import registry
from losscope.core.results import LossResult, PublishedValue

SOURCE = "Zeng 2025, the authors' notebooks"
VALUES: dict[str, dict[str, dict[str, float]]] = {
    "synthetic": {
        "contrastive": {"intra_variance": 0.0118, "inter_distance": 1.2611},
        "triplet": {"intra_variance": 0.0329, "inter_distance": 1.4418},
    },
    "mnist": {
        "contrastive": {"intra_variance": 0.0030, "inter_distance": 1.0347},
        "triplet": {"intra_variance": 0.0059, "inter_distance": 1.4840},
    },
}


def beside(data: str, protocol: str, losses: Sequence[LossResult]) -> tuple[PublishedValue, ...]:
    """A row for each published value that a study of these data measured, under a protocol that may be held to it.

    Rows carry the 95 % prediction interval of one further run, and the mean on the test split as ``held_out``.
    """
    if not registry.entry("protocol", protocol).facts.published:
        return ()
    rows = []
    for loss in losses:
        for measure, value in VALUES.get(data, {}).get(loss.spec.name if loss.spec else "", {}).items():
            own = loss.measures.get(measure)
            if own is not None:
                rows.append(
                    PublishedValue(
                        loss=loss.name,
                        measure=measure,
                        held_out=loss.mean(f"{measure}@test"),
                        source=SOURCE,
                        **stats.published_value(own.values, value)._asdict(),
                    )
                )
    return tuple(rows)
