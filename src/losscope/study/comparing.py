"""What the commands do: compare, judge, report. A study in, one result out.

A result is the object that ``--json`` prints (DESIGN, schema 1); the table, the page and the sentences are
views of it. Everything is read back from the store, so that ``report`` makes the same page again.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from losscope import foreign, launch, registry, stats
from losscope.errors import LosscopeError, require
from losscope.spec import BASELINES, LossSpec, Run, Study
from losscope.store import Store, Stored, plain
from losscope.study import budget, published, tuning

DEFAULT_OUT = "losscope-runs"
Say = Callable[[str], None]


@dataclass
class Result:
    """A finished comparison: ``data`` is the JSON object, the rest are views of it."""

    data: dict[str, Any]
    traces: Any = None
    detail: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    maps: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def table(self, format: str = "rich") -> Any:
        """The summary table: ``rich``, ``md``, ``latex`` or ``csv``."""
        from losscope.report import tables

        return tables.summary(self.data) if format == "rich" else tables.render(self.data, format)

    def verdicts(self) -> list[dict[str, Any]]:
        """The paired rows of the goal's primary measure, each with its verdict and sentence."""
        return [row for row in self.data["paired"] if row.get("primary")]

    def page(self) -> str:
        """The HTML page."""
        from losscope.report import page

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


@dataclass
class Plan:
    """A study and where its runs go; ``choices`` are its losses once they are tuned, or as given."""

    study: Study
    source: Any
    store: Store
    device: str
    choices: list[tuning.Choice]

    @property
    def kind(self) -> str:
        """The kind of data: vectors, features, images or pair."""
        return self.source.facts.kind

    @property
    def tunes(self) -> bool:
        """Whether the losses are tuned: under ``matched``, except for images, unless the study says."""
        if self.study.tune is not None:
            return self.study.tune
        return self.study.protocol == "matched" and self.kind != "images"

    @cached_property
    def runs(self) -> list[Run]:
        """The final runs: losses and baselines, every seed."""
        return self.study.expand(self.kind, [choice.spec for choice in self.choices])

    @cached_property
    def ids(self) -> list[str]:
        """The ids of the final runs."""
        return [self.identify(one) for one in self.runs]

    @property
    def groups(self) -> list[launch.Group]:
        """The populations of the final runs."""
        return self.group(self.runs, self.ids)

    @property
    def trial_groups(self) -> list[launch.Group]:
        """The populations of tuning; none if this study does not tune."""
        if not self.tunes:
            return []
        table = tuning.trial_runs(
            self.study.loss_specs(), self.study.data_spec(), self.study.shape(self.kind)
        )
        runs = [run for rows in table.values() for row in rows for run in row]
        return self.group(runs, [self.identify(run) for run in runs])

    def identify(self, one: Run) -> str:
        """A run's id, with its data's content and the source of a plugin's or foreign loss."""
        if one.loss.foreign:
            return one.id(self.source.digest, self.foreign[one.loss.name])
        return one.id(self.source.digest, registry.source_of("loss", one.loss.name))

    @cached_property
    def foreign(self) -> dict[str, str]:
        """The source or version of each foreign loss by its name; read once a study."""
        return {spec.name: foreign.source(spec.name) for spec in self.study.loss_specs() if spec.foreign}

    def group(self, runs: list[Run], ids: list[str]) -> list[launch.Group]:
        """Runs as populations for this study's store, device and plugins."""
        return launch.group(
            runs,
            ids,
            store=str(self.store.root),
            data_root=self.study.data_root,
            device=self.device,
            keep=self.study.keep,
            plugins=tuple(self.study.plugins),
        )

    def tune(self, activity: launch.ACTIVITY | None = None, points: int | None = None) -> None:
        """Choose the losses' numbers, if this study tunes; ``points`` of each loss's space at most."""
        if not self.tunes:
            return
        self.choices = tuning.tune(
            self.study.loss_specs(),
            data=self.study.data_spec(),
            protocol=self.study.shape(self.kind),
            identify=self.identify,
            store=self.store,
            group=self.group,
            engine=self.study.engine,
            points=points,
            activity=activity,
        )
        self.__dict__.pop("runs", None)
        self.__dict__.pop("ids", None)

    @property
    def name(self) -> str:
        """The study's folder: data, protocol, and a hash of all that defines it but the seeds."""
        values = self.study.model_dump(
            mode="json", exclude={"seeds", "first_seed", "out", "engine", "keep", "device"}
        )
        text = json.dumps([values, self.source.digest], sort_keys=True)
        slug = re.sub(r"[^a-z0-9]+", "-", Path(self.study.data).stem.lower()).strip("-")
        return f"{slug}-{self.study.protocol}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def plan(study: Study, say: Say | None = None, compute: bool = True) -> Plan:
    """Load the data and open the store; nothing is trained yet.

    With a backbone its features are computed now, unless they are in the cache or ``compute`` is false.
    """
    from losscope.embed import load
    from losscope.train import pick_device

    for plugin in study.plugins:
        registry.load_plugin(plugin)
    study.check()
    device = pick_device(study.device)
    options = study.data_spec().options
    source = load(study.data, root=study.data_root, device=device, say=say, compute=compute, **options)
    _try_foreign(study, source)
    choices = tuning.as_given(study.loss_specs(), study.protocol)
    made = Plan(study, source, Store(study.out or DEFAULT_OUT), device, choices)
    if not made.tunes:
        _refuse_twins(choices, study.protocol)
    return made


def _refuse_twins(choices: Sequence[tuning.Choice], protocol: str) -> None:
    """Two names of the same numbers, such as ``triplet`` and ``triplet(margin=0.1)``, compare nothing."""
    seen: dict[str, str] = {}
    for choice in choices:
        twin = seen.setdefault(choice.spec.canonical(), choice.label)
        require(
            twin == choice.label,
            f"the losses {twin!r} and {choice.label!r} are the same at the numbers of the protocol {protocol!r}; "
            f"give one of them, or another margin",
        )


def _try_foreign(study: Study, source: Any) -> None:
    """Build each foreign loss and call it once, so that its mistakes show before anything is trained."""
    names = [spec.name for spec in study.loss_specs() if spec.foreign]
    if names:
        from losscope.losses.foreign import check

        size = study.shape(source.facts.kind).embedding_size
        for name in names:
            check(name, classes=source.facts.classes, embedding_size=size)


def dry_run(made: Plan) -> dict[str, Any]:
    """What a study would cost and what it could show, before it starts."""
    epochs, stored = launch.work_left(made.groups)
    baselines = {run.loss.name for run in made.runs if run.loss.baseline}
    trials = sum(
        len(tuning.grid(spec, made.study.protocol)) for spec in made.study.loss_specs() if not spec.foreign
    )
    return {
        "schema": 1,
        "data": made.source.describe(),
        "runs": len(made.runs),
        "stored": stored,
        "populations": len(made.groups),
        "epochs_left": epochs,
        "tuning_runs": len(tuning.SEEDS) * trials if made.tunes else 0,
        **stats.plan(made.study.seeds, len(made.study.losses), len(baselines)),
    }


def compare(data: str = "digits", *, losses: str | Iterable[str] = ("contrastive", "triplet"), seeds: int = 10,
            say: Say | None = None, activity: launch.ACTIVITY | None = None, **options: Any) -> Result:  # fmt: skip
    """Train losses side by side over paired seeds, measure them, and say which is better at what.

    Args:
        data: a registered data set or a path.
        losses: names with optional hyperparameters, as a list or one comma-separated string.
        seeds: paired seeds, 0 … seeds − 1.
        say: called with each sentence for a person; activity: called as epochs end.
        **options: any field of ``Study``: protocol, epochs, batch_size, goal, reference, out, data_root, …

    Returns:
        A Result; ``.data`` is what ``losscope compare --json`` prints.

    Raises:
        LosscopeError: for any mistake in what was given, before anything is trained.
    """
    study = Study.of(data=data, losses=losses, seeds=seeds, **options)
    return run(study, say=say, activity=activity)


def run(study: Study, *, say: Say | None = None, activity: launch.ACTIVITY | None = None) -> Result:
    """Run a study, what is stored already excepted, and return its result."""
    started = time.monotonic()
    made = plan(study, say)
    if say:
        say(made.source.describe())
        for note in made.source.facts.notes:
            say(note)
    points, notes = None, []
    if study.budget is not None:
        study, points, sentence = budget.fit(made, started)
        made = plan(study)
        notes = [sentence]
    made.tune(activity, points)
    launch.execute(made.groups, study.engine, activity)
    return conclude(made, say, notes)


def conclude(made: Plan, say: Say | None = None, notes: Sequence[str] = ()) -> Result:
    """Count the look, write the study's folder, and read the result from the store."""
    seeds = sorted({one.seed for one in made.runs})
    look = made.store.look(made.name, seeds)
    facts = made.source.facts
    made.store.write_json(
        f"studies/{made.name}/study.json",
        {
            "schema": 1,
            "name": made.name,
            "time": time.time(),
            "study": made.study.model_dump(mode="json"),
            "runs": made.ids,
            "look": look,
            "notes": list(notes),
            "losses": [
                {
                    "label": one.label,
                    "spec": one.spec.model_dump(mode="json"),
                    "tuned": one.tuned,
                    "trials": one.trials,
                }
                for one in made.choices
            ],
            "data": {
                "name": facts.name,
                "title": facts.title,
                "edition": facts.edition,
                "kind": facts.kind,
                "classes": facts.classes,
                "licence": facts.licence,
                "origin": facts.origin,
                "generated": facts.generated,
                "disjoint": facts.disjoint,
                "notes": list(facts.notes),
                "class_names": list(facts.class_names),
                "described": made.source.describe(),
                "digest": made.source.digest,
            },
        },
    )
    made.store.write_text(f"studies/{made.name}/study.toml", made.study.toml())
    result = read(made.store, made.name)
    if say:
        for note in result.data["notes"]:
            say(note)
    page = result.report(made.store.root / "studies" / made.name / "report.html")
    assert str(page) == result.data["report"]
    made.store.write_json(f"studies/{made.name}/result.json", result.data)
    return result


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
    untuned, tuned = tuning.phrase(choices)
    analysis = stats.analyse(
        measured,
        goal=study.goal,
        reference=study.reference,
        untuned=untuned,
        tuned=tuned,
        generated=kept["data"]["generated"],
        looks=kept["look"],
    )
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


def report(folder: str | Path, name: str | None = None) -> Result:
    """Read a study again from its folder and write its page; the newest study, or the one named."""
    path = Path(folder)
    if (path / "study.json").is_file() and path.parent.name == "studies":
        name, path = path.name, path.parent.parent
    store = Store(path, create=False)
    studies = {one.parent.name: one for one in (path / "studies").glob("*/study.json")}
    require(
        bool(studies),
        f"{str(path)!r} holds runs but no finished study; run losscope compare --out {path} again",
    )
    if name is None:
        name = max(studies, key=lambda one: json.loads(studies[one].read_text())["time"])
    elif name not in studies:
        from losscope.errors import unknown

        raise unknown("study", name, studies)
    result = read(store, name)
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
        form=facts.get("shape"),
        hinge=facts.get("hinge"),
        floor=facts.get("floor"),
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
    from losscope.report.plots import pca_map

    maps = {}
    for loss, own in runs_of.items():
        for one in own:
            kept = one.embeddings()
            if kept and loss not in BASELINES:
                maps[loss] = pca_map(kept["embeddings"], kept["labels"])
                break
    return maps
