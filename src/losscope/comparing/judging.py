"""The same verdicts on anyone's runs: a table of scores, or saved embeddings. No training.

A CSV or Parquet table has columns loss, seed, measure, value. A pattern such as ``runs/{loss}/{seed}.npz``
names files with embeddings and labels, which are measured first.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from losscope import stats
from losscope.comparing.watching import ZEROS, zero_notes
from losscope.core import registry
from losscope.core.bounds import INTEGER
from losscope.core.errors import SHOWN, LosscopeError, require, unknown
from losscope.core.quantities import GOALS, QUANTITIES, Quantity, quantity
from losscope.core.results import DataDescription, Evidence, Provenance, Result, Settings
from losscope.core.spec import BASELINES
from losscope.data.labels import numbered
from losscope.data.readers.files import read_npz, read_table
from losscope.data.readers.gallery import joined, roles_of

COLUMNS = ("loss", "seed", "measure", "value")


def judge(
    runs: str,
    *,
    goal: str = "retrieval",
    measure: str | None = None,
    reference: str | None = None,
    unpaired: bool = False,
    look: int = 1,
    tuned: bool = True,
    same_camera: str | None = None,
    declare: Sequence[str] = (),
    say: Callable[[str], None] | None = None,
) -> Result:
    """Verdicts, table, page and JSON for runs that were trained elsewhere.

    Args:
        runs: a table of scores (CSV or Parquet: loss, seed, measure, value), or a pattern of npz files with
            ``{loss}`` and ``{seed}``, each holding ``embeddings`` (N, D) and ``labels`` (N,).
        goal: which measure is primary; ``measure`` names it directly.
        reference: the loss that the others are compared with.
        unpaired: the seeds of different losses have nothing in common.
        look: how often these runs were looked at before, plus one
                (docs/definitions.md, "Looks").
        tuned: whether each loss was tuned alike; said in the sentences otherwise.
        same_camera: where the files name queries, gallery and cameras, whether a query may find items of its
            camera: keep (yes), junk (not those of its class), skip (none); the files may say it themselves.
        declare: measures of your own, as ``name:better:scale:indifference``, such as
            ``accuracy:higher:difference:0.01``; known until the next call, never one of the package's names.

    Raises:
        LosscopeError: an unreadable file, a missing column, an unknown measure, seeds that do not pair.

    >>> import tempfile
    >>> rows = [f"{loss},{seed},recall_at_1,{value + seed / 1000}"
    ...         for loss, value in (("ours", 0.9), ("theirs", 0.8)) for seed in range(8)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder, "scores.csv")
    ...     _ = table.write_text("loss,seed,measure,value\\n" + "\\n".join(rows))
    ...     result = judge(str(table))
    >>> len(result.verdicts())
    1
    """
    try:
        _declare(declare)
        return _judged(runs, goal, measure, reference, unpaired, look, tuned, same_camera, say)
    except BaseException:
        _forget()
        raise


def _judged(
    runs: str,
    goal: str,
    measure: str | None,
    reference: str | None,
    unpaired: bool,
    look: int,
    tuned: bool,
    same_camera: str | None,
    say: Callable[[str], None] | None,
) -> Result:
    if goal not in GOALS:
        raise unknown("goal", goal, GOALS)
    require(look >= 1, f"look is {look}; it must be at least 1")
    pattern = "{" in runs
    measured = _from_embeddings(runs, same_camera, say) if pattern else _from_table(Path(runs))
    names = list(dict.fromkeys(run.loss for run in measured))
    require(
        len(names) >= 2,
        f"{runs!r} holds runs of {len(names)} loss ({', '.join(names)}); judging wants at least 2",
    )
    if reference is not None and reference not in names:
        raise unknown("reference loss", reference, names)
    if measure is not None:
        quantity(measure)
    # Of anyone's own runs nothing is known but whether they were tuned, and only a no is worth saying.
    settings = () if tuned else tuple(Settings(loss=name, name=name, tuned=False) for name in names)
    analysis = stats.analyse(
        measured,
        goal=goal,
        measure=measure or _primary(measured, goal),
        reference=reference,
        settings=settings,
        generated=False,
        looks=look,
        unpaired=unpaired,
    )
    data = DataDescription(name=runs, title=runs, kind="runs", described=f"{len(measured)} runs from {runs}")
    result = Result(
        data=data,
        protocol=None,
        seeds=tuple(sorted({run.seed for run in measured})),
        goal=goal,
        unpaired=unpaired,
        losses=analysis.losses,
        baselines=analysis.baselines,
        settings=settings,
        paired=analysis.paired,
        recommendation=analysis.recommendation,
        notes=zero_notes(measured),
        provenance=_provenance(),
    )
    return result.with_evidence(Evidence(detail=_detail(measured)))


def _provenance() -> Provenance:
    from losscope import __version__

    return Provenance(losscope=__version__, numpy=np.__version__)


def _primary(measured: Sequence[stats.Measured], goal: str) -> str:
    """The goal's measure if the runs have it, else the only one they have."""
    have = {name for run in measured for name in run.values}
    for name in GOALS[goal]:
        if name in have:
            return name
    known = sorted(name for name in have)
    require(
        len(known) == 1,
        f"the goal {goal!r} is judged by {' or '.join(GOALS[goal])} and the runs have "
        f"{', '.join(known) or 'no measure'}; name one with --measure",
    )
    return known[0]


_known: list[str] = []
"""The names that the last call declared, known until the next one: its result is shown by them."""


def _declare(texts: Sequence[str]) -> None:
    """Know the user's own measures, and none of the calls before."""
    _forget()
    for found in map(_declaration, texts):
        if found.name in QUANTITIES:
            kind = "declared twice" if found.name in _known else "one of ours"
            raise LosscopeError(
                f"the measure {found.name!r} is {kind}: {_orientation(QUANTITIES[found.name])}; "
                f"declare yours under another name"
            )
        QUANTITIES[found.name] = found
        _known.append(found.name)


def _forget() -> None:
    while _known:
        del QUANTITIES[_known.pop()]


def _orientation(found: Quantity) -> str:
    return "neither way is better" if found.better == "neither" else f"{found.better} is better"


def _declaration(text: str) -> Quantity:
    parts = text.split(":")
    choices = {"better": ("higher", "lower", "neither"), "scale": ("difference", "log_ratio")}
    try:
        name, better, scale, delta = (*parts, *["difference", "0.01"][len(parts) - 2 :])
        require(better in choices["better"] and scale in choices["scale"], "")
        size = float(delta)
        require(0 < size < float("inf"), "")
    except ValueError:
        raise LosscopeError(
            f"cannot read the declared measure {text!r}; it must be name:better[:scale[:indifference]] with "
            f"better one of {', '.join(choices['better'])} and scale one of {', '.join(choices['scale'])}, "
            f"such as 'accuracy:higher:difference:0.01'"
        ) from None
    return Quantity(name, "declared by the user", "", better, scale, size, "outcome")  # type: ignore[arg-type]


def _from_table(path: Path) -> list[stats.Measured]:
    import pandas as pd

    frame = read_table(path, text=("loss", "measure"))
    missing = [column for column in COLUMNS if column not in frame.columns]
    require(
        not missing,
        f"{str(path)!r} has no column {', '.join(missing)}; a table of scores has the columns "
        f"{', '.join(COLUMNS)}",
    )
    require(len(frame) > 0, f"{str(path)!r} has no rows; a row is one loss, seed, measure, value")
    empty = int(frame[list(COLUMNS[:3])].isna().any(axis=1).sum())
    require(
        not empty, f"{str(path)!r} has {empty:,} rows without a loss, a seed or a measure; wanted: all three"
    )
    frame = frame.assign(loss=frame["loss"].astype(str), measure=frame["measure"].astype(str))
    for name in frame["measure"].unique():
        if name not in QUANTITIES:
            raise unknown("measure", name, QUANTITIES, f"; or declare your own with --declare {name}:higher")
    try:
        seeds, values = pd.to_numeric(frame["seed"]), pd.to_numeric(frame["value"])
        whole = bool(((seeds >= 0) & (seeds < INTEGER) & (seeds % 1 == 0)).all())
    except (ValueError, TypeError, OverflowError) as error:
        raise LosscopeError(
            f"{str(path)!r}: seeds are whole numbers and values numbers: {str(error)[:SHOWN]}"
        ) from None
    require(whole, f"{str(path)!r}: seeds are whole numbers from 0 and values numbers; a seed is not")
    frame = frame.assign(value=values, seed=seeds.astype(int))
    twice = frame.duplicated(["loss", "seed", "measure"])
    if twice.any():
        row = frame[twice].iloc[0]
        raise LosscopeError(
            f"{str(path)!r} has {row['measure']} of {row['loss']}, seed {row['seed']}, more than once; "
            f"wanted: one row each"
        )
    splits = dict.fromkeys(frame["measure"].astype(str), "test")
    measured = []
    for (loss, seed), rows in frame.groupby(["loss", "seed"], sort=False):
        values = {
            str(name): None if pd.isna(value) else float(value)
            for name, value in zip(rows["measure"], rows["value"], strict=True)
        }
        measured.append(_measured(str(loss), int(seed), values, splits, {}))
    return measured


def _measured(
    loss: str,
    seed: int,
    values: Mapping[str, float | None],
    splits: Mapping[str, str],
    detail: Mapping[str, np.ndarray],
) -> stats.Measured:
    name = loss.split("(", 1)[0]
    known = registry.entries("loss")
    facts = known[name].facts if name in known else None
    return stats.Measured(
        loss=loss,
        seed=seed,
        values=values,
        splits=splits,
        failed=None,
        detail=detail,
        family="baseline" if loss in BASELINES else "loss",
        form=None if facts is None else facts.form,
        hinge=None if facts is None else facts.hinge,
        floor=None if facts is None else facts.floor,
    )


def _from_embeddings(
    pattern: str, same_camera: str | None, say: Callable[[str], None] | None
) -> list[stats.Measured]:
    for part in ("{loss}", "{seed}"):
        require(
            part in pattern,
            f"the pattern {pattern!r} has no {part}; it must be such as 'runs/{{loss}}/{{seed}}.npz'",
        )
        require(
            pattern.count(part) == 1,
            f"the pattern {pattern!r} has {part} {pattern.count(part)} times; wanted: once",
        )
    escaped = (
        re.escape(pattern).replace(r"\{loss\}", "(?P<loss>[^/]+)").replace(r"\{seed\}", "(?P<seed>[0-9]+)")
    )
    files: dict[tuple[str, int], str] = {}
    # Of a pattern only the two names are open: any other character stands for itself.
    wild = glob.escape(pattern).replace("{loss}", "*").replace("{seed}", "*")
    for path in sorted(glob.glob(wild)):
        match = re.fullmatch(escaped, path)
        if match:
            other = files.setdefault((match["loss"], int(match["seed"])), path)
            require(
                other == path,
                f"{other!r} and {path!r} are both seed {int(match['seed'])} of {match['loss']}; "
                f"wanted: one file each",
            )
    require(
        bool(files), f"no file matches {pattern!r}; {{loss}} stands for a name, {{seed}} for a whole number"
    )

    import torch

    from losscope.measures import evaluate

    measured = []
    for place, ((loss, seed), path) in enumerate(sorted(files.items())):
        embeddings, labels = load_embeddings(path)
        labels, roles = roles_of(joined(read_npz(Path(path)), Path(path)), labels, path, same_camera)
        values, detail = evaluate(torch.from_numpy(embeddings), torch.from_numpy(labels), roles=roles, seed=0)
        numbers = {name: None if not np.isfinite(float(v)) else float(v) for name, v in values.items()}
        arrays = {name: value.numpy() for name, value in detail.items()}
        arrays[ZEROS] = np.array([np.count_nonzero(~embeddings.any(axis=1)), len(embeddings)])
        measured.append(_measured(loss, seed, numbers, dict.fromkeys(numbers, "test"), arrays))
        if say:
            say(f"measured {place + 1} of {len(files)}: {path}")
    return measured


def load_embeddings(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read ``embeddings`` (N, D) and ``labels`` (N,) from an npz, checked; nothing is unpickled."""
    arrays = joined(read_npz(Path(path)), Path(path))
    if "embeddings" not in arrays and "features" in arrays and "role" in arrays:
        arrays = {**arrays, "embeddings": arrays["features"]}
    missing = [name for name in ("embeddings", "labels") if name not in arrays]
    require(not missing, f"{str(path)!r} has no array {', '.join(missing)}; it has {', '.join(arrays)}")
    embeddings, labels = arrays["embeddings"], arrays["labels"]
    require(
        embeddings.ndim == 2,
        f"{str(path)!r}: embeddings have shape {embeddings.shape}; wanted (rows, dimensions)",
    )
    require(
        labels.shape == embeddings.shape[:1],
        f"{str(path)!r}: {labels.shape} labels for {len(embeddings)} embeddings; wanted: one label per row",
    )
    require(
        embeddings.dtype.kind in "fiub" and labels.dtype.kind in "fiubUS",
        f"{str(path)!r}: embeddings are {embeddings.dtype} and labels {labels.dtype}; wanted: numbers, and "
        "numbers or text",
    )
    bad = int((~np.isfinite(embeddings.astype(np.float64)).all(axis=1)).sum())
    require(bad == 0, f"{str(path)!r}: {bad} of {len(embeddings)} embeddings are NaN or infinite")
    return embeddings.astype(np.float32), numbered(labels, ())[0]


def _detail(measured: Sequence[stats.Measured]) -> dict[str, dict[str, np.ndarray]]:
    """Per-class arrays over seeds, where the runs of a loss have the same classes."""
    name, found = "per_class/intra_variance", {}
    for loss in dict.fromkeys(run.loss for run in measured):
        arrays = [run.detail for run in measured if run.loss == loss and name in run.detail]
        if len({table[name].shape for table in arrays}) == 1:
            found[loss] = {
                name: np.stack([table[name] for table in arrays]),
                "per_class/label": np.asarray(arrays[0]["per_class/label"]),
            }
    return found
