"""Relations, distances and sampling: what every loss and measure stands on."""

from losscope.pairs.distances import normalise, pair_distances, row_distances, squared_distances, widened
from losscope.pairs.relation import Relation
from losscope.pairs.sampling import TUPLES, Partners, draw_partners, sample
from losscope.pairs.terms import REDUCTIONS, Terms, reduce

__all__ = [
    "REDUCTIONS",
    "TUPLES",
    "Partners",
    "Relation",
    "Terms",
    "draw_partners",
    "normalise",
    "pair_distances",
    "reduce",
    "row_distances",
    "sample",
    "squared_distances",
    "widened",
]
