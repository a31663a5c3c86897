"""The data of a multiverse and the claims that are read of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.facts import Value
from losscope.core.quantities import quantity
from losscope.papers.paper import CLAIMS, AllOf, Claim, Compared, Paper

DETAIL = "detail"
"""The group of measures that need labels finer than those trained on."""


@dataclass(frozen=True)
class World:
    """A data set with options of its own, and the claims that its runs are made for."""

    label: str
    data: str
    options: Mapping[str, Value | None | list[str]]
    claims: tuple[Claim, ...]


def worlds(paper: Paper, only: Iterable[str] = (), claims: Iterable[str] = ()) -> tuple[World, ...]:
    """The data sets named, else the first of the paper's, each with the claims named, else all that can be.

    Claims about detail need finer labels than those trained on: they have data of their own, and are read
    where they are named.

    Raises:
        LosscopeError: an unknown data set or claim, or a claim that is not of one loss above another.

    >>> from losscope.papers.paper import paper
    >>> [(world.label, len(world.claims)) for world in worlds(paper("zeng2025"), claims=["recommend-detail"])]
    [('synthetic, sub-clusters', 1)]
    """
    chosen = _claims(paper, list(claims))
    found = []
    for data in list(dict.fromkeys(only)) or [paper.cells[0].data]:
        if data not in {cell.data for cell in paper.cells}:
            raise unknown(f"data set of {paper.name}", data, {cell.data for cell in paper.cells})
        plain = tuple(claim for claim in chosen if not _of_detail(claim))
        fine = tuple(claim for claim in chosen if _of_detail(claim))
        if plain:
            found.append(World(data, data, _options(paper, data), plain))
        if fine:
            found.append(_finer(paper, data, fine))
    return tuple(found)


def parts(claim: Claim) -> tuple[Compared, ...]:
    """The pairs that a claim compares; none of an association."""
    match claim.asserts:
        case Compared() as pair:
            return (pair,)
        case AllOf(pairs):
            return pairs
        case _:
            return ()


def _options(paper: Paper, data: str) -> Mapping[str, Value]:
    """The options of the cell on which all claims on a data set are judged."""
    for cell in paper.cells:
        if (cell.data, cell.role, cell.protocol) == (data, CLAIMS, paper.own_protocol) and not cell.only:
            return cell.options
    return {}


def _of_detail(claim: Claim) -> bool:
    return bool(claim.measure) and quantity(claim.measure).group == DETAIL


def _claims(paper: Paper, names: list[str]) -> list[Claim]:
    able = [claim for claim in paper.claims if parts(claim)]
    require(bool(able), f"no claim of {paper.name} is of a loss above another")
    if not names:
        return [claim for claim in able if not _of_detail(claim)]
    for name in names:
        paper.claim(name)
        if name not in [claim.id for claim in able]:
            raise LosscopeError(
                f"the claim {name!r} is no comparison of two losses, and a multiverse is of these; choices: "
                f"{', '.join(claim.id for claim in able)}"
            )
    return [claim for claim in able if claim.id in names]


def _finer(paper: Paper, data: str, claims: tuple[Claim, ...]) -> World:
    """The data with finer labels than those trained on: as the paper's cell has them, else coarse labels."""
    for cell in paper.cells:
        if cell.data == data and cell.role == CLAIMS and {claim.id for claim in claims} & set(cell.only):
            return World(cell.label, data, cell.options, claims)
    return World(f"{data}, coarse labels", data, {"train_labels": "coarse"}, claims)
