"""What a multiverse says: where a claim holds, which choices decide it, whether there is any effect.

Its rules stand in docs/definitions.md, "Multiverse".
"""

from __future__ import annotations

from losscope.stats.multiverses.cells import FEWEST, Universe
from losscope.stats.multiverses.claims import analyse

__all__ = ["FEWEST", "Universe", "analyse"]
