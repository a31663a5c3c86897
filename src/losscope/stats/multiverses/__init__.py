"""What a multiverse says: where a claim holds, which choices decide it, whether there is any effect.

Its rules stand in docs/definitions.md, "Multiverse".

>>> import numpy as np
>>> draw, margins = np.random.default_rng(0), np.resize([0.2, 0.6], 60)
>>> effects = (margins > 0.4)[:, None] * 0.1 + draw.normal(scale=0.005, size=(60, 3))
>>> (found,) = analyse([
...     Universe("wins", "triplet retrieves better", "digits", ("triplet", "contrastive"), 0.01, 1,
...              tuple(map(str, range(60))), np.repeat(np.arange(20), 3), {"margin": margins}, effects,
...              np.ones(60, bool), None, None)
... ])
>>> round(found.everywhere.holds.share, 2)
0.5
"""

from __future__ import annotations

from losscope.core.results.multiverses import FEWEST
from losscope.stats.multiverses.cells import Universe
from losscope.stats.multiverses.claims import analyse

__all__ = ["FEWEST", "Universe", "analyse"]
