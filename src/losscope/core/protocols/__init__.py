"""The protocols, one file each: how a run is trained and measured, every number of it for every kind of data.

A protocol is one function of the kind of data (``vectors``, ``features``, ``images``, ``pair``) and the name
of the data set, in a file of its own. Its registration says what a comparison needs besides the numbers:

- ``title``: how a sentence calls it, after "under";
- ``tunes``: the kinds of data on which it tunes each loss before the final runs;
- ``like``: the protocol whose defaults a loss takes that declares none for this one;
- ``defaults``: hyperparameters of losses under this protocol, by the loss's name.
"""

from __future__ import annotations

from typing import Any

from losscope.core.errors import unknown


def of_kind(numbers: dict[str, dict[str, Any]], kind: str, protocol: str) -> dict[str, Any]:
    """The numbers for a kind of data.

    Raises:
        LosscopeError: the protocol has none for it; with the kinds that it has.
    """
    if kind not in numbers:
        raise unknown(f"kind of data of the protocol {protocol!r}", kind, numbers)
    return numbers[kind]
