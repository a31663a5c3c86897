"""Seeds for named dimensions, derived from the seed of a run."""

from __future__ import annotations

import hashlib
import json


def seed_of(seed: int, dimension: str, *more: object) -> int:
    """A 64-bit seed: the hash of a study seed and the named dimension that it is for.

    >>> seed_of(0, "init") == seed_of(0, "init"), seed_of(0, "init") == seed_of(0, "batches")
    (True, False)
    """
    text = json.dumps([seed, dimension, *map(str, more)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
