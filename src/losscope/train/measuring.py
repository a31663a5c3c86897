"""What is measured of a run when its training is over, and of the sides that no loss trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.core import registry
from losscope.core.loss_spec import RAW
from losscope.core.queries import arrays_of
from losscope.core.spec import Run, seed_of
from losscope.data import Part, Splits
from losscope.data.rows import items_shown
from losscope.measures import evaluate
from losscope.models.closed import Sample
from losscope.models.networks import Architecture
from losscope.models.paired import PairSample
from losscope.pairs import normalise
from losscope.run.store import Record
from losscope.train.closed import fit, sample_of
from losscope.train.pool import inputs_of
from losscope.train.starting import starts
from losscope.train.transforms import transformed

EMBED_ROWS = 2048
"""Rows embedded at once."""


def architecture(run: Run, splits: Splits) -> Architecture:
    """The network of a run, for the shape of its data."""
    part = splits.train
    protocol = run.protocol
    build = registry.get("model", protocol.model)
    shape: Any = part.inputs.shape[1:]
    if part.second is not None:
        shape = (shape, part.second.shape[1:])
    return build(shape, protocol.hidden, protocol.embedding_size)


def baseline(run: Run, splits: Splits, device: torch.device, keep: str) -> Record:
    """The record of ``raw`` (L2-normalised inputs) or ``untrained`` (the seed's initial network)."""
    record = Record(run)
    if run.loss.name == RAW:
        paired, width = splits.train.second is not None, math.prod(splits.facts.shape)

        def embed(inputs: Tensor) -> Tensor:
            flat = inputs.flatten(1)
            # Both modalities of a joint space stand side by side, and are embedded one below the other.
            return normalise(torch.cat([flat[:, :width], flat[:, width:]]) if paired else flat)
    else:
        shape = architecture(run, splits)
        (first,) = starts(shape, [run], [splits])
        parameters = {name: torch.from_numpy(value)[None].to(device) for name, value in first.items()}

        def embed(inputs: Tensor) -> Tensor:
            with torch.no_grad():
                return normalise(shape.forward(parameters, inputs[None]))[0]

    measure(record, splits, embed, device, keep)
    return record


def baselines(runs: Sequence[Run], splits: Sequence[Splits], device: torch.device, keep: str) -> list[Record]:
    """The records of runs that train nothing; what no seed changes is measured once.

    That is ``raw`` on a fixed test part whose classes no training row has, so that no training row is a
    neighbour either.
    """
    if runs[0].loss.name != RAW:  # the raw row is always that of the inputs as they are
        splits = transformed(splits, runs[0].protocol)
    if runs[0].loss.closed_form:
        return closed_forms(runs, splits, device, keep)
    records: list[Record] = []
    for run, split in zip(runs, splits, strict=True):
        fixed = run.loss.name == RAW and split.facts.disjoint and run.protocol.geometry_split == "test"
        if records and fixed and split.test is splits[0].test:
            records.append(replace(records[0], run=run))
        else:
            records.append(baseline(run, split, device, keep))
    return records


def closed_forms(
    runs: Sequence[Run], splits: Sequence[Splits], device: torch.device, keep: str
) -> list[Record]:
    """The records of closed forms, those of one seed beside each other: they share its covariances."""
    records: list[Record] = []
    held: tuple[Splits, Sample | PairSample] | None = None
    for run, split in zip(runs, splits, strict=True):
        if held is None or held[0] is not split:
            held = split, sample_of(run, split)
        made = fit(run, split, held[1])
        record = Record(run)
        if run.purpose == "trial":  # it never touches the test split
            record.measures["validation"] = made.validation
            records.append(record)
            continue
        measure(record, split, made.embed, device, keep)
        record.measures["validation"] = made.validation
        record.provenance = {
            "train_seconds": made.seconds,
            "parameters": sum(value.size for value in made.weights.values()),
            "notes": list(made.notes),
            "closed_form": made.chosen,
        }
        if keep != "none" and not registry.entry("closed_form", run.loss.name).facts.of:
            record.weights = made.weights
        records.append(record)
    return records


def embed_part(
    part: Part, splits: Splits, embed: Callable[[Tensor], Tensor], device: torch.device
) -> tuple[Tensor, np.ndarray | None]:
    """Embeddings of a whole part in bounded memory, and each row's modality (None with one modality).

    With two modalities the rows are the items of the first, then those of the second, each once.
    """
    pieces = []
    for start in range(0, len(part.labels), EMBED_ROWS):
        rows = slice(start, start + EMBED_ROWS)
        piece = Part(
            inputs=part.inputs[rows],
            labels=part.labels[rows],
            second=None if part.second is None else part.second[rows],
        )
        pieces.append(embed(inputs_of(piece, splits, device)))
    if part.second is None:
        return torch.cat(pieces), None
    halves = [piece.chunk(2) for piece in pieces]
    both = torch.cat([half[0] for half in halves] + [half[1] for half in halves])
    modality = np.repeat([0, 1], len(part.labels))
    if part.items is None:
        return both, modality
    shown = items_shown(part.items)
    return both[torch.from_numpy(shown).to(both.device)], modality[shown]


BY_ITEM = (
    "recall_at_1_across",
    "recall_at_1_audio_to_visual",
    "recall_at_1_visual_to_audio",
    "recall_at_5_audio_to_visual",
    "recall_at_5_visual_to_audio",
    "recall_at_10_audio_to_visual",
    "recall_at_10_visual_to_audio",
    "mrr_audio_to_visual",
    "mrr_visual_to_audio",
    "median_rank_audio_to_visual",
    "median_rank_visual_to_audio",
    "modality_gap",
    "effective_rank",
)
"""What is measured where each item is its own class: geometry and scores of classes have no meaning there."""


def _of_rows(part: Part, labels: Any) -> Any:
    """Labels (N,) of a part as those of the rows of its embeddings; None stays None."""
    if labels is None or part.second is None:
        return labels
    both = np.concatenate([labels, labels])
    return both if part.items is None else both[items_shown(part.items)]


def _rows_of(part: Part, kept: np.ndarray) -> np.ndarray:
    """Positions, among the rows of a part's embeddings, of those of its rows ``kept``.

    Of one modality in their order. Of pairs each item is one row, and stays where one of its pairs is kept.
    """
    if part.second is None:
        return kept
    both = np.concatenate([kept, len(part) + kept])
    if part.items is None:
        return both
    first, second = part.items.T
    item = np.concatenate([first, first.max() + 1 + second - second.min()])
    return np.flatnonzero(np.isin(item[items_shown(part.items)], item[both]))


@dataclass(frozen=True)
class Embedded:
    """What a run is measured by: embeddings of its test part, and of its training part where it is asked.

    ``modality`` and ``train_modality``: of each row, None with one modality. ``referred``: whether test rows
    have neighbours in the training part.
    """

    test: Tensor
    modality: np.ndarray | None
    referred: bool
    train: Tensor | None = None
    train_modality: np.ndarray | None = None


def embedded(run: Run, splits: Splits, embed: Callable[[Tensor], Tensor], device: torch.device) -> Embedded:
    """Embed all rows that a run is measured by, the same rows in the same order on every process."""
    test, modality = embed_part(splits.test, splits, embed, device)
    # Rows of other classes, and pairs across modalities, say nothing of a test row's class.
    referred = not splits.facts.disjoint and modality is None and not splits.facts.several
    if not referred and run.protocol.geometry_split == "test":
        return Embedded(test, modality, referred)
    return Embedded(test, modality, referred, *embed_part(splits.train, splits, embed, device))


def measure(
    record: Record, splits: Splits, embed: Callable[[Tensor], Tensor], device: torch.device, keep: str
) -> None:
    """Final measures: the outcome on test, the geometry on the protocol's split, test values beside."""
    protocol, seed = record.run.protocol, seed_of(record.run.seed, "measures")
    found = embedded(record.run, splits, embed, device)
    test, modality, train = found.test, found.modality, found.train
    by_item = splits.facts.by_item
    reference = None
    if found.referred and train is not None:
        reference = train, torch.from_numpy(splits.train.labels)
    labels = _of_rows(splits.test, splits.test.labels)
    fine = _of_rows(splits.test, splits.test.fine_labels)
    tags = _of_rows(splits.test, splits.test.tags)
    values, detail = evaluate(
        test,
        torch.from_numpy(labels),
        names=BY_ITEM if by_item else None,
        reference=reference,
        fine_labels=_tensor(fine),
        modality=_tensor(modality),
        roles=splits.test.retrieval,
        tags=tags,
        seed=seed,
    )
    record.measures["test"] = {name: float(value) for name, value in values.items()}
    record.arrays = {name: value.cpu().numpy() for name, value in detail.items()}
    kept = _unseen(splits)
    if kept is not None:
        rows = _rows_of(splits.test, kept)
        part = splits.test.take(kept)
        values, _ = evaluate(
            test[torch.from_numpy(rows).to(test.device)],
            torch.from_numpy(np.asarray(labels)[rows]),
            names=BY_ITEM if by_item else None,
            reference=reference,
            fine_labels=None if fine is None else _tensor(fine[rows]),
            modality=None if modality is None else _tensor(modality[rows]),
            roles=part.retrieval,
            tags=None if tags is None else tags[rows],
            seed=seed,
        )
        record.measures["unseen"] = {name: float(value) for name, value in values.items()}
    if protocol.geometry_split == "train" and train is not None:
        values, detail = evaluate(
            train,
            torch.from_numpy(_of_rows(splits.train, splits.train.labels)),
            # What is linear in the rows: the rest compares all pairs, a minute for 60,000 rows.
            names=["spectrum"] if by_item or tags is not None else ["geometry", "spectrum"],
            modality=_tensor(found.train_modality),
            seed=seed,
            background=protocol.background,
        )
        record.measures.setdefault("train", {}).update({name: float(value) for name, value in values.items()})
        record.arrays |= {f"train/{name}": value.cpu().numpy() for name, value in detail.items()}
    if keep != "none":
        told = np.asarray(labels) if tags is None else tags.astype(np.int8)
        record.embeddings = {"embeddings": test.cpu().numpy(), "labels": told}
        if modality is not None:
            record.embeddings["modality"] = modality
        if splits.test.retrieval is not None:
            record.embeddings |= arrays_of(splits.test.retrieval)


def _unseen(splits: Splits) -> np.ndarray | None:
    """Positions of the test rows that stand nowhere else; None where all are such, or too few are left."""
    health, rows = splits.facts.health, splits.test.rows
    if health is None or not health.not_new or rows is None:
        return None
    unseen = np.flatnonzero(~np.isin(rows, health.not_new))
    labels = splits.test.labels[unseen]
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        return None
    if splits.test.retrieval is None:
        return unseen
    roles = splits.test.retrieval.take(unseen)
    return unseen if roles is not None and roles.relevant(labels).any() else None


def _tensor(array: np.ndarray | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)
