"""Relations, distances and sampling: what every loss and measure stands on."""

from losscope.pairs.distances import normalise, pair_distances, row_distances, squared_distances, widened
from losscope.pairs.kernels.aligned import per_member
from losscope.pairs.overlap import Overlap
from losscope.pairs.relation import KINDS, Labels, Pairs, Relation, Triplets, Tuples
from losscope.pairs.sampling import TUPLES, Partners, sample
from losscope.pairs.terms import REDUCTIONS, Terms, reduce

__all__ = [
    "KINDS",
    "REDUCTIONS",
    "TUPLES",
    "Labels",
    "Overlap",
    "Pairs",
    "Partners",
    "Relation",
    "Terms",
    "Triplets",
    "Tuples",
    "normalise",
    "pair_distances",
    "per_member",
    "reduce",
    "row_distances",
    "sample",
    "squared_distances",
    "widened",
]
