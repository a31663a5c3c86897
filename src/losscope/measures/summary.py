"""Measure a population: choose the measures that apply, and take one pass over the pairs for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.facts import MeasureFacts
from losscope.core.queries import BACKGROUND, Roles
from losscope.core.registry import Entry, entries
from losscope.measures import overlapping
from losscope.measures.searching import Search
from losscope.measures.space import ROWWISE, Measured, Measurement, Space, Values, over_members, run

LABELS = {
    "label": None,
    "nearest_label": "recall_at_1",
    "nearest_label_across": "recall_at_1_across",
}
"""Labels in the detail of queries, and the measure that each is of; None of no measure alone."""
Background = Literal["exclude", "class"]


def evaluate(
    embeddings: Tensor,
    labels: Tensor,
    *,
    names: Iterable[str] | None = None,
    reference: tuple[Tensor, Tensor] | None = None,
    fine_labels: Tensor | None = None,
    modality: Tensor | None = None,
    positive_pairs: tuple[Tensor, Tensor] | None = None,
    roles: Roles | None = None,
    tags: np.ndarray | None = None,
    background: Background = "exclude",
    seed: int = 0,
) -> tuple[Values, dict[str, Tensor]]:
    """Measure one set of embeddings, or a population of them.

    A member's numbers are bitwise the same alone and in any population. A member with an embedding that is
    not finite has NaN values.

    Args:
        embeddings: (..., N, D), L2-normalised inside by our measures; a plugin's is given them as they are.
        labels: (N,) for all members, or (..., N), integers; -1 is background.
        names: measures, or values that a measure gives; None for every default measure whose needs are met.
        reference: training embeddings (R, D) or (..., R, D) and labels (R,) or (..., R), for k-NN and linear
            accuracy; its background is treated like the rest.
        fine_labels: (N,) or (..., N) labels finer than ``labels``.
        modality: (N,) or (..., N), 0 for the first modality and 1 for the second.
        positive_pairs: indices (P,) or (..., P) of the first and second items of pairs that belong together.
        roles: which rows are queries and which the gallery, for all members: retrieval is then by these, and
            a gallery row with label -1 is ranked, as a distractor. All else is measured over all rows.
        tags: (N, C), 0 and 1, the labels of items that have several each, for all members: right is what
            shares one. ``labels`` are not looked at then, and what needs one class for each item is not
            measured.
        background: "exclude" leaves rows with label -1 out (``count/background`` says how many), "class"
            keeps them as one more class.
        seed: of k-means and of the sample of class pairs.

    Returns:
        values: float64 (...,) by name; NaN for null.
        detail: ``per_class/label`` (C,) and ``per_class/<value>`` (..., C); ``per_query/label`` (..., Q) and
            ``per_query/<value>`` (..., Q), the queries being the kept rows in their order, with NaN for a
            query that a measure leaves out; ``per_query/nearest_label`` (..., Q) the label of the nearest
            item, -1 where there is none or where several are equally near; ``count/<what>`` (..., 1). Where
            members keep different numbers of rows the shorter end in NaN and label -1.

    Raises:
        LosscopeError: an unknown name, a named measure whose needs are not given, shapes that do not agree,
            labels that are not integers, no row but background.

    >>> points = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> values, detail = evaluate(points, torch.tensor([0, 0, 1, 1]), names=["map_at_r"])
    >>> values["map_at_r"].item(), detail["per_query/map_at_r"].tolist()
    (1.0, [1.0, 1.0, 1.0, 1.0])
    """
    if background not in ("exclude", "class"):
        raise unknown("background", background, ("exclude", "class"))
    embeddings = torch.as_tensor(embeddings)
    given: dict[str, Any] = {
        "reference": reference,
        "fine_labels": fine_labels,
        "modality": modality,
        "positive_pairs": positive_pairs,
    }
    if roles is not None:
        require(
            len(roles) == embeddings.shape[-2],
            f"there are roles of {len(roles)} rows; one for each of {embeddings.shape[-2]} is wanted",
        )
        given["roles"] = roles
    given = {name: need for name, need in given.items() if need is not None} | {"seed": seed}
    if tags is not None:
        given["tags"] = tags = overlapping.checked(tags, embeddings.shape[-2])
        names = overlapping.names_of(names, paired=modality is not None)
        if modality is None:
            roles = given["roles"] = overlapping.all_search_all(tags) if roles is None else roles
            require(
                roles.same_camera != "junk",
                "same_camera is 'junk', of the query's class and camera, and items have several labels; "
                "wanted: keep or skip",
            )
        labels = torch.from_numpy(np.where(tags.any(1), 0, BACKGROUND))
    chosen, wanted = _choose(names, given)
    given["wanted"] = wanted
    loaded = [(found, found.load()) for found in chosen]

    def member_of(rows: Tensor, classes: np.ndarray, own: Mapping[str, Any]) -> Measurement:
        dropped = 0
        if roles is not None:
            exclude, fine = background == "exclude", own.get("fine_labels")
            search = Search.of(rows, classes, roles, exclude=exclude, fine_labels=fine, tags=tags)
            own = {**own, "roles": search}
        if background == "exclude":
            rows, classes, own, dropped = _without_background(rows, classes, own)
        values, detail = _measure(loaded, rows, classes, own)
        if background == "exclude":
            detail["count/background"] = np.array([dropped])
        return values, detail

    values, detail = over_members(embeddings, labels, given, member_of)
    if wanted is None:
        return values, detail
    kept = {name: part for name, part in detail.items() if _belongs(name, wanted)}
    return {name: value for name, value in values.items() if name in wanted}, kept


def _belongs(name: str, wanted: set[str]) -> bool:
    kind, what = name.split("/", 1)
    return kind == "count" or what == "label" or LABELS.get(what, what) in wanted


def _choose(
    names: Iterable[str] | None, given: Mapping[str, Any]
) -> tuple[list[Entry[MeasureFacts]], set[str] | None]:
    """The measures to run and the values to return (None for all they give)."""
    table = entries("measure")
    if names is None:
        return [e for e in table.values() if e.facts.default and set(e.facts.needs) <= set(given)], None
    givers = {value: found for found in table.values() for value in found.facts.gives}
    chosen: dict[str, Entry[MeasureFacts]] = {}
    wanted: set[str] = set()
    for name in [names] if isinstance(names, str) else names:
        found = givers.get(name) or table.get(name)
        if found is None:
            raise unknown("measure", name, {*givers, *table})
        lacking = [need for need in found.facts.needs if need not in given]
        if name.startswith("fine_") and "fine_labels" not in given:
            lacking = ["fine_labels"]
        if lacking:
            raise LosscopeError(
                f"measure {name!r} was asked for without {' and '.join(lacking)}, which it needs"
            )
        chosen[found.name] = found
        wanted |= {name} if name in givers else set(found.facts.gives)
    return list(chosen.values()), wanted


def _without_background(
    rows: Tensor, classes: np.ndarray, own: Mapping[str, Any]
) -> tuple[Tensor, np.ndarray, Mapping[str, Any], int]:
    own = dict(own)
    if "reference" in own:
        known, of_known = own["reference"]
        keep = np.flatnonzero(of_known != BACKGROUND)
        own["reference"] = known[torch.from_numpy(keep).to(known.device)], of_known[keep]
    kept = classes != BACKGROUND
    if kept.all():
        return rows, classes, own, 0
    if not kept.any():
        raise LosscopeError("every label is -1 (background); at least one row of a class is wanted")
    for name in (ROWWISE | {"tags"}) & own.keys():
        own[name] = own[name][kept]
    if "positive_pairs" in own:
        first, second = own["positive_pairs"]
        both = kept[first] & kept[second]
        place = np.cumsum(kept) - 1
        own["positive_pairs"] = place[first[both]], place[second[both]]
    places = np.flatnonzero(kept)
    return rows[torch.from_numpy(places).to(rows.device)], classes[kept], own, len(kept) - len(places)


def _measure(
    loaded: list[tuple[Entry[MeasureFacts], Any]], rows: Tensor, classes: np.ndarray, own: Mapping[str, Any]
) -> Measurement:
    """All measures of one member: the package's on one shared space, plugins' by the public contract."""
    jobs, plugins = [], []
    for found, function in loaded:
        takes = {*found.facts.needs, *found.facts.uses}
        needs = {name: need for name, need in own.items() if name in takes}
        if isinstance(function, Measured):
            jobs.append((function.of_space, needs))
        else:
            plugins.append((found, function, needs))
    values, detail = run(Space.of(rows, classes), jobs)
    for found, function, needs in plugins:
        given = {name: _as_tensors(name, need) for name, need in needs.items()}
        some, more = _answer(found, function(rows, torch.from_numpy(classes), **given))
        values |= {name: float(value) for name, value in some.items()}
        detail |= {name: np.asarray(part) for name, part in more.items()}
    return values, detail


def _as_tensors(name: str, need: Any) -> Any:
    """What a plugin's measure needs, as it is given the embeddings and labels: as tensors."""
    match name, need:
        case "reference", (rows, labels):
            return rows, torch.from_numpy(labels)
        case "roles", Search():
            return need.roles_told
        case "positive_pairs", (first, second):
            return torch.from_numpy(first), torch.from_numpy(second)
        case _, np.ndarray():
            return torch.from_numpy(need)
    return need


def _answer(found: Entry[MeasureFacts], given: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What a plugin's measure returns: values by name, alone or with detail by name."""
    values, detail = given if isinstance(given, tuple) and len(given) == 2 else (given, {})
    if not (isinstance(values, Mapping) and isinstance(detail, Mapping)):
        raise LosscopeError(
            f"the measure {found.name!r} gave a {type(given).__name__}; it must give a dictionary of values "
            f"by name, or a pair of it and a dictionary of arrays"
        )
    if set(values) != set(found.facts.gives):
        raise LosscopeError(
            f"the measure {found.name!r} gave {', '.join(map(str, values)) or 'nothing'}; it is registered "
            f"with the quantities {', '.join(found.facts.gives)}"
        )
    return values, detail


def try_plugins() -> None:
    """Call each plugin's measure on a small set, so that a mistake shows before anything is trained.

    Those that are measured only when named are left out.

    Raises:
        LosscopeError: a measure that fails on 12 embeddings of 3 classes, or gives what it did not declare.
    """
    rows = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(12) % 3
    for found in entries("measure").values():
        if found.own or not found.facts.default:
            continue
        needs: dict[str, Any] = {
            "reference": (rows, labels),
            "fine_labels": torch.arange(12) % 6,
            "modality": torch.arange(12) % 2,
            "positive_pairs": (torch.arange(3), torch.arange(3) + 3),
            "roles": Roles(np.arange(12) < 6, np.arange(12) >= 6),
        }
        try:
            evaluate(rows, labels, names=[found.name], **needs)
        except LosscopeError:
            raise
        except Exception as error:
            raise LosscopeError(
                f"the measure {found.name!r} failed on 12 embeddings of 3 classes: {type(error).__name__}: "
                f"{error}"
            ) from error
