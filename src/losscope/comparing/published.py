"""Published single values beside ours: inside the prediction interval of one further run, or by how much not.

The values are those that the registered papers name under their own protocols.
"""

from __future__ import annotations

from collections.abc import Sequence

from losscope import stats
from losscope.core.results import LossResult, PublishedValue
from losscope.papers.paper import published


def beside(data: str, protocol: str, losses: Sequence[LossResult]) -> tuple[PublishedValue, ...]:
    """A row for each published value that a study of these data under this protocol measured.

    Rows carry the 95 % prediction interval of a further run, and the mean on the test split as ``held_out``.
    """
    numbers = published(data, protocol)
    rows = []
    for loss in losses:
        for number in numbers:
            own = loss.measures.get(number.measure)
            if own is not None and loss.spec is not None and loss.spec.name == number.loss:
                rows.append(
                    PublishedValue(
                        loss=loss.name,
                        measure=number.measure,
                        held_out=loss.mean(f"{number.measure}@test"),
                        source=number.source,
                        **stats.published_value(own.values, number.value)._asdict(),
                    )
                )
    return tuple(rows)
