"""A study read back from its store: the one object that ``--json`` prints (schema 1).

The table, the page and the sentences are views of it, so that ``report`` makes the same page again. Nothing
here imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from losscope import stats
from losscope.comparing import published, tuning
from losscope.core.errors import LosscopeError, require, unknown
from losscope.core.spec import BASELINES, LossSpec, Study
from losscope.run.store import Store, Stored, plain


@dataclass
class Result:
    """A finished comparison: ``data`` is the JSON object, the rest are views of it.

    >>> Result({"paired": [], "recommendation": {"sentences": ["Train nothing."]}}).verdicts()
    []
    """

    data: dict[str, Any]
    traces: Any = None
    detail: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    maps: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def table(self, format: str = "rich") -> Any:
        """The summary table: ``rich``, ``md``, ``latex`` or ``csv``."""
        from losscope.reporting import tables

        return tables.summary(self.data) if format == "rich" else tables.render(self.data, format)

    def verdicts(self) -> list[dict[str, Any]]:
        """The paired rows of the goal's primary measure, each with its verdict and sentence."""
        return [row for row in self.data["paired"] if row.get("primary")]

    def page(self) -> str:
        """The HTML page."""
        from losscope.reporting import page

        return page.render(self.data, self.traces, self.detail, self.maps)

    def report(self, path: str | Path) -> Path:
        """Write the HTML page to a file."""
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.page(), encoding="utf-8")
        except OSError as error:
            raise LosscopeError(f"cannot write the page {str(path)!r}: {error.strerror}") from None
        return path

    def json(self) -> str:
        """The JSON text."""
        return json.dumps(plain(self.data), indent=1, ensure_ascii=False, allow_nan=False)

    def __str__(self) -> str:
        return " ".join((self.data.get("recommendation") or {}).get("sentences", []))


def read(store: Store, name: str) -> Result:
    """The result of a study from its store alone; imports no torch."""
    kept = store.read_json(f"studies/{name}/study.json")
    require(kept is not None, f"the store {str(store.root)!r} has no study {name!r}")
    study = Study(**kept["study"])
    stored = store.many(dict.fromkeys(kept["runs"]))
    choices = [
        tuning.Choice(one["label"], LossSpec(**one["spec"]), one["tuned"], one["trials"])
        for one in kept["losses"]
    ]
    # Two losses may have been tuned to the same numbers; then their runs are the same runs.
    names: dict[str, list[str]] = {LossSpec(name=name).canonical(): [name] for name in BASELINES}
    for choice in choices:
        names.setdefault(choice.spec.canonical(), []).append(choice.label)
    measured = [measured_of(one, label) for one in stored for label in names[one.run.loss.canonical()]]
    found = stats.analyse(
        measured,
        goal=study.goal,
        reference=study.reference,
        settings=tuning.settings(choices),
        generated=kept["data"]["generated"],
        looks=kept["look"],
    )
    analysis = plain_analysis(found)
    runs_of = _by_loss(stored, names)
    for entry in [*analysis["losses"], *analysis["baselines"]]:
        own = runs_of.get(entry["name"], [])
        entry["runs"] = [one.id for one in own]
        for choice in choices:
            if choice.label == entry["name"]:
                entry |= {
                    "spec": choice.spec.model_dump(mode="json"),
                    "tuned": choice.tuned,
                    "trials": choice.trials,
                }
                entry["failures"] = [f"seed {one.run.seed}: {one.failed}" for one in own if one.failed]
    first = stored[0] if stored else None
    data = {
        "schema": 1,
        "data": kept["data"],
        "protocol": first.run.protocol.model_dump(mode="json") if first else {},
        "seeds": sorted({one.run.seed for one in stored}),
        "goal": study.goal,
        "unpaired": False,
        **analysis,
        "published": published.beside(study.data, study.protocol, analysis["losses"]),
        "notes": [*kept.get("notes", []), *_notes(stored)],
        "store": str(store.root),
        "study": name,
        "report": str(store.root / "studies" / name / "report.html"),
        "provenance": {
            "command": f"losscope run {store.root / 'studies' / name / 'study.toml'}",
            **provenance_of(stored),
        },
    }
    losses = {key: own for key, own in runs_of.items() if own and not own[0].run.loss.baseline}
    return Result(plain(data), traces_of(losses), detail_of(losses), maps_of(runs_of))


def load(folder: str | Path, study: str | None = None) -> Result:
    """Read a finished study from the folder that its runs are kept in; nothing is trained or written.

    Args:
        folder: what was given as ``out``, or one study's folder in it.
        study: which study, where there are several; the newest otherwise.

    Raises:
        LosscopeError: the folder is not a store, or has no such study.

    >>> load("absent")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: 'absent' holds no losscope runs (there is no store.json); ...
    """
    path = Path(folder)
    if (path / "study.json").is_file() and path.parent.name == "studies":
        study, path = path.name, path.parent.parent
    store = Store(path, create=False)
    studies = {one.parent.name: one for one in (path / "studies").glob("*/study.json")}
    require(
        bool(studies),
        f"{str(path)!r} holds runs but no finished study; run losscope compare --out {path} again",
    )
    if study is None:
        study = max(studies, key=lambda name: json.loads(studies[name].read_text())["time"])
    elif study not in studies:
        raise unknown("study", study, studies)
    return read(store, study)


def report(folder: str | Path, study: str | None = None) -> Result:
    """Read a study again from its folder, as ``load`` does, and write its page.

    >>> report("absent")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    losscope.core.errors.LosscopeError: 'absent' holds no losscope runs (there is no store.json); ...
    """
    result = load(folder, study)
    result.report(result.data["report"])
    return result


def values_of(stored: Stored) -> tuple[dict[str, float | None], dict[str, str]]:
    """A run's final numbers by name, and the split that each is from."""
    values: dict[str, float | None] = {}
    splits: dict[str, str] = {}
    for split in ("train", "test"):
        for name, value in stored.measures.get(split, {}).items():
            if name in values:
                name = f"{name}@{split}"
            values[name], splits[name] = value, "validation" if name == "epochs_to_90_quality" else split
    return values, splits


def plain_analysis(found: stats.Analysis) -> dict[str, Any]:
    """The analysis as the keys of ``--json``."""
    return {
        "losses": [each.model_dump(mode="json") for each in found.losses],
        "baselines": [each.model_dump(mode="json") for each in found.baselines],
        "paired": [each.model_dump(mode="json") for each in found.paired],
        "recommendation": found.recommendation.model_dump(mode="json"),
    }


def measured_of(stored: Stored, label: str) -> stats.Measured:
    """One run's final numbers, each from the split where its protocol measures it.

    Geometry comes from the protocol's split, and where that is the training set the test value stands
    beside it as ``name@test``.
    """
    run = stored.run
    values, splits = values_of(stored)
    facts = run.loss.facts
    return stats.Measured(
        loss=label,
        seed=run.seed,
        values=values,
        splits=splits,
        failed=stored.failed,
        detail=stored.arrays() if stored.failed is None else {},
        family="baseline" if run.loss.baseline else "loss",
        form=None if facts is None else facts.form,
        hinge=None if facts is None else facts.hinge,
        floor=None if facts is None else facts.floor,
    )


def _by_loss(stored: Sequence[Stored], names: dict[str, list[str]]) -> dict[str, list[Stored]]:
    grouped: dict[str, list[Stored]] = {}
    for one in sorted(stored, key=lambda one: one.run.seed):
        for label in names[one.run.loss.canonical()]:
            grouped.setdefault(label, []).append(one)
    return grouped


def _notes(stored: Sequence[Stored]) -> list[str]:
    said = [note for one in stored for note in one.provenance.get("notes", [])]
    return list(dict.fromkeys(said))


def provenance_of(stored: Sequence[Stored]) -> dict[str, Any]:
    """Versions and machines of a study's runs; a list where they differ."""
    keys = ("losscope", "python", "torch", "numpy", "machine", "host", "device", "threads")
    merged: dict[str, Any] = {}
    for key in keys:
        values = sorted({str(one.provenance[key]) for one in stored if key in one.provenance})
        merged[key] = values[0] if len(values) == 1 else values
    merged["runs"] = len(stored)
    merged["seconds"] = sum(one.provenance.get("train_seconds", 0.0) for one in stored)
    return merged


def traces_of(losses: dict[str, list[Stored]]) -> Any:
    """All epoch traces as one frame: loss, seed, split, epoch, name, value."""
    import pandas as pd

    frames = [
        one.trace().assign(loss=loss, seed=one.run.seed)
        for loss, own in losses.items()
        for one in own
        if (one.path / "trace.parquet").exists()
    ]
    columns = ["loss", "seed", "split", "epoch", "name", "value"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def detail_of(losses: dict[str, list[Stored]]) -> dict[str, dict[str, np.ndarray]]:
    """Per-class arrays over seeds, (S, C); labels once, (C,). The protocol's geometry split where it is train."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for loss, own in losses.items():
        arrays = [one.arrays() for one in own if one.failed is None]
        if not arrays:
            continue
        prefix = "train/" if "train/per_class/label" in arrays[0] else ""
        labels = arrays[0].get(f"{prefix}per_class/label")
        kept: dict[str, np.ndarray] = {}
        for name in arrays[0]:
            if name.startswith(f"{prefix}per_class/") and not name.endswith("/label"):
                rows = [one[name] for one in arrays if one[name].shape == arrays[0][name].shape]
                kept[name.removeprefix(prefix)] = np.stack(rows)
        if labels is not None:
            kept["per_class/label"] = labels
        found[loss] = kept
    return found


def maps_of(runs_of: dict[str, list[Stored]]) -> dict[str, dict[str, np.ndarray]]:
    """A PCA map of each loss's kept test embeddings, of the first seed that has them."""
    from losscope.reporting.maps import pca_map

    maps = {}
    for loss, own in runs_of.items():
        for one in own:
            kept = one.embeddings()
            if kept and loss not in BASELINES:
                maps[loss] = pca_map(kept["embeddings"], kept["labels"])
                break
    return maps
