"""The controls of a reproduction: they explain what the claims show, with intervals and without verdicts.

- ``scale-free-variance``: intra-class variance beside intra/inter², which removes spread that all classes
  share, and both on held-out points where the protocol measures the training set.
- ``margin-sensitivity``: every claim's quantity as a curve over each loss's margin.
- ``equal-images``: contrastive trained on as many images as triplet, beside as many updates.
- ``fixed-points``: where theory says that the class means come to rest, beside where they do.
- ``train-nothing``: each loss against the raw inputs and the untrained network.
- ``label-blind``: what the fault in the authors' scripts would have made of the tables.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losscope import papers as claims
from losscope import stats
from losscope.papers import Evidence, Side
from losscope.papers.cells import BLIND

if TYPE_CHECKING:
    from losscope.papers.pieces import Piece

Row = dict[str, Any]
TABLES = (
    "intra_variance",
    "inter_distance",
    "inter_distance_std",
    "intra_inter_ratio",
    "knn_accuracy",
    "recall_at_1",
    "map_at_r",
)
"""What the papers' tables show."""
RISK = Path(__file__).with_name("tuning_risk.json")
"""Measured by ``losscope reproduce aa``; the file names its command."""


def controls(
    paper: str, pieces: Sequence[Piece], evidences: Sequence[Evidence], sides: Mapping[int, Sequence[Side]]
) -> list[Row]:
    """All control rows. ``sides``: the losses of each piece, by the piece's id.

    A row has ``id``, ``explains`` (the claims), ``data``, ``protocol``, ``label`` (what is shown), ``measure``,
    ``scale`` ("ratio", "difference" or "value"), ``measured``, ``low``, ``high``, ``n``, and by control also
    ``loss``, ``margin``, ``a``, ``b``, ``expected``, ``note``.
    """
    main = {(one.data, one.protocol): one for one in evidences}
    rows = [row for one in evidences if not one.only for row in _scale_free(one)]
    for piece in pieces:
        own = sides[id(piece)]
        beside = main.get((piece.cell.data, piece.cell.protocol))
        if piece.cell.role == "margins":
            rows += _margins(paper, piece, own)
        elif piece.cell.role == "images" and beside is not None:
            rows += _equal_images(piece, own[0], beside)
        elif piece.cell.role == "blind" and beside is not None:
            rows += _blind(piece, own[0], beside)
        elif piece.cell.role == "claims" and not piece.cell.only:
            rows += [*_fixed_points(piece, own), *_train_nothing(piece)]
    return rows + _tuning_risk()


def tuning_risk() -> dict[str, Any] | None:
    """How often two names of one loss, tuned apart, were told apart: the kept measurement."""
    return json.loads(RISK.read_text(encoding="utf-8")) if RISK.is_file() else None


def _tuning_risk() -> list[Row]:
    return [
        {
            "id": "tuning-risk",
            "explains": [],
            "data": row["data"],
            "protocol": "matched",
            "label": row["label"],
            "measure": "share of directional verdicts between two names of one loss",
            "scale": "value",
            "measured": row["rate"],
            "low": row["low"],
            "high": row["high"],
            "n": row["studies"],
            "note": row["command"],
        }
        for row in (tuning_risk() or {}).get("rows", [])
    ]


def _base(control: str, data: str, protocol: str, explains: Sequence[str], label: str, measure: str) -> Row:
    return {
        "id": control,
        "explains": list(explains),
        "data": data,
        "protocol": protocol,
        "label": label,
        "measure": measure,
    }


def _paired(row: Row, a: Side, b: Side, measure: str, alpha: float) -> Row | None:
    """The row filled with the paired difference or ratio of a and b; None where there is none."""
    if not (a.has(a.of(measure)) and b.has(b.of(measure))):
        return None
    found = stats.compare(a.of(measure), b.of(measure), measure, alpha=alpha, failed=(a.failed, b.failed))
    if found.difference is None:
        return None
    ratio = found.scale == "log_ratio"
    ends = [
        None if v is None else math.exp(v) if ratio else v for v in (found.difference, found.low, found.high)
    ]
    return {
        **row,
        "scale": "ratio" if ratio else "difference",
        "a": a.label,
        "b": b.label,
        "mean_a": found.mean_a,
        "mean_b": found.mean_b,
        "measured": ends[0],
        "low": ends[1],
        "high": ends[2],
        "n": found.n,
    }


def _scale_free(evidence: Evidence) -> list[Row]:
    if not {"contrastive", "triplet"} <= set(evidence.sides):
        return []
    a, b = evidence.sides["triplet"], evidence.sides["contrastive"]
    explains = ("intra-variance", "inter-distance", "recommend-compactness")
    rows = []
    for measure in ("intra_variance", "intra_inter_ratio"):
        for name in (measure, f"{measure}@test"):
            label = "triplet / contrastive" + (" on held-out points" if name.endswith("@test") else "")
            row = _base("scale-free-variance", evidence.data, evidence.protocol, explains, label, name)
            rows.append(_paired(row, a, b, name, evidence.alpha))
    return [row for row in rows if row is not None]


def _margins(paper: str, piece: Piece, own: Sequence[Side]) -> list[Row]:
    explained: dict[str, list[str]] = {"intra_inter_ratio": []}
    for name, entry in claims.claims_of(paper).items():
        if entry.facts.measure:
            explained.setdefault(entry.facts.measure, []).append(name)
    if piece.plan.source.facts.fine_names:
        explained["intra_variance@test"] = ["variance-is-detail"]
    rows = []
    for measure, names in explained.items():
        for side in own:
            found = stats.summary(side.of(measure), measure)
            if found.mean is None:
                continue
            margin = side.hyperparameters.get("margin")
            rows.append(
                {
                    **_base(
                        "margin-sensitivity",
                        piece.cell.data,
                        piece.cell.protocol,
                        names,
                        f"{side.loss}, margin {margin}",
                        measure,
                    ),
                    "scale": "value",
                    "loss": side.loss,
                    "margin": margin,
                    "measured": found.mean,
                    "low": found.low,
                    "high": found.high,
                    "n": sum(value is not None for value in side.of(measure)),
                }
            )
    return rows


def _equal_images(piece: Piece, longer: Side, beside: Evidence) -> list[Row]:
    """Triplet against contrastive: as many updates, then as many images."""
    triplet, contrastive = beside.sides["triplet"], beside.sides["contrastive"]
    epochs = piece.plan.study.epochs
    rows = []
    for measure in (*TABLES, "effective_rank", "active_ratio", "gradient_norm", "epochs_to_90"):
        for label, other in (
            ("equal updates", contrastive),
            (f"equal images, contrastive for {epochs} epochs", longer),
        ):
            row = _base("equal-images", beside.data, beside.protocol, _about(measure), label, measure)
            rows.append(_paired(row, triplet, other, measure, beside.alpha))
    return [row for row in rows if row is not None]


def _blind(piece: Piece, blind: Side, beside: Evidence) -> list[Row]:
    """Triplet against contrastive, then against the faulty contrastive that never sees a label."""
    triplet, contrastive = beside.sides["triplet"], beside.sides["contrastive"]
    rows = []
    for measure in TABLES:
        for label, pair in (
            ("triplet against contrastive", (triplet, contrastive)),
            (f"triplet against {BLIND}: the table with the fault", (triplet, blind)),
            (f"{BLIND} against contrastive: the fault itself", (blind, contrastive)),
        ):
            row = _base("label-blind", beside.data, beside.protocol, _about(measure), label, measure)
            rows.append(_paired(row, *pair, measure, beside.alpha))
    return [row for row in rows if row is not None]


def _about(measure: str) -> list[str]:
    """The claims of the first paper about a measure."""
    return [name for name, entry in claims.claims_of("zeng2025").items() if entry.facts.measure == measure]


def _fixed_points(piece: Piece, own: Sequence[Side]) -> list[Row]:
    """The separation of class means that theory foresees: a simplex, or contrastive's margin before it."""
    classes = _classes(piece)
    if classes is None or classes - 1 > piece.plan.study.protocol.embedding_size:
        return []
    simplex = math.sqrt(2 * classes / (classes - 1))
    rows = []
    for side in own:
        found = stats.summary(side.of("inter_distance"), "inter_distance")
        margin = side.hyperparameters.get("margin")
        stops = side.loss == "contrastive" and isinstance(margin, int | float)
        expected = min(float(margin), simplex) if stops and isinstance(margin, int | float) else simplex
        why = f"negatives rest at the margin {margin}" if stops else f"a simplex of {classes} class means"
        if found.mean is not None:
            rows.append(
                {
                    **_base(
                        "fixed-points",
                        piece.cell.data,
                        piece.cell.protocol,
                        ["inter-distance"],
                        side.label,
                        "inter_distance",
                    ),
                    "scale": "value",
                    "loss": side.loss,
                    "margin": margin,
                    "expected": expected,
                    "measured": found.mean,
                    "low": found.low,
                    "high": found.high,
                    "n": len(side.failed),
                    "note": why,
                }
            )
    return rows


def _train_nothing(piece: Piece) -> list[Row]:
    """Each loss against ``raw`` and ``untrained`` on retrieval, from the study's own result."""
    result = piece.plan.store.read_json(f"studies/{piece.plan.name}/result.json") or {}
    baselines = [one["name"] for one in result.get("baselines", [])]
    return [
        {
            **_base(
                "train-nothing",
                piece.cell.data,
                piece.cell.protocol,
                ["retrieval"],
                f"{row['a']} against {row['b']}",
                row["measure"],
            ),
            "scale": row["scale"],
            "a": row["a"],
            "b": row["b"],
            "measured": row["difference"],
            "low": row["low"],
            "high": row["high"],
            "n": row["n"],
        }
        for row in result.get("paired", [])
        if row["primary"] and row["b"] in baselines
    ]


def _classes(piece: Piece) -> int | None:
    """How many classes the geometry of these runs is measured on, background included where it is a class."""
    store = piece.plan.store
    for run, run_id in zip(piece.plan.runs, piece.plan.ids, strict=True):
        if not run.loss.baseline and store.has(run_id) and store.get(run_id).failed is None:
            arrays = store.get(run_id).arrays()
            for name in ("train/per_class/label", "per_class/label"):
                if name in arrays:
                    return len(arrays[name])
    return None
