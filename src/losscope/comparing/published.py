"""The authors' single values beside ours: inside the prediction interval of one further run, or by how much not.

From the notebooks of Zeng 2025 (training set, ± over classes), DEFINITIONS 6.
"""

from __future__ import annotations

from typing import Any

from losscope import stats

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


def beside(data: str, protocol: str, losses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each published value that a study of the paper's protocol measured.

    Rows: loss, measure, published, mean, low, high (the 95 % prediction interval of one further run),
    inside, outside_by, held_out (the mean on the test split), source.
    """
    if protocol != "paper":
        return []
    rows = []
    for loss in losses:
        for measure, value in VALUES.get(data, {}).get(loss["spec"].get("name", ""), {}).items():
            own = loss["measures"].get(measure)
            if own is None:
                continue
            other = loss["measures"].get(f"{measure}@test") or {}
            found = stats.published_value([one for one in own["values"] if one is not None], value)
            rows.append(
                {
                    "loss": loss["name"],
                    "measure": measure,
                    **found._asdict(),
                    "held_out": other.get("mean"),
                    "source": SOURCE,
                }
            )
    return rows
