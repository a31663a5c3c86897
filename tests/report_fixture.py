"""A made-up comparison in the shape of a real one, for the page's tests and screenshots.

Nothing here was measured: curves are exponentials with noise, and the page it makes says "synthetic
fixture" in its data's name. Numbers lie where real ones do, so that digits and axes are exercised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

import items_fixture
from losscope.comparing.judging import judge
from losscope.core import wording
from losscope.core.results import (
    BaselineResult,
    BestGroup,
    ClaimVerdict,
    Comparison,
    Control,
    ControlDescription,
    Curve,
    CurvePoint,
    DataDescription,
    DataVerdicts,
    Edge,
    EmbeddingMap,
    Evidence,
    Failure,
    Force,
    LossResult,
    MeasureValue,
    PairSize,
    Provenance,
    PublishedValue,
    Recommendation,
    Reproduction,
    Result,
    Settings,
    SideResult,
    StudyLink,
    Trial,
    Tuned,
)
from losscope.core.spec import LossSpec, Protocol
from losscope.stats import Analysis, with_costs

NAMES = (
    "triplet",
    "contrastive",
    "sup_con",
    "info_nce",
    "arcface",
    "n_pair",
    "center_contrastive",
    "triplet(margin=0.2, squared=True)",
    "contrastive(margin=0.7, reduction='balanced')",
    "pml:MultiSimilarityLoss(alpha=2, beta=50)",
    "pml:TripletMarginLoss(margin=0.1)+TripletMarginMiner(margin=0.2)",
    "mine.losses:Circle",
)
HINGE = ("triplet", "contrastive")

# measure -> (centre for each loss by position, spread between seeds, split, unit)
SHAPES: dict[str, tuple[float, float, float, str, str]] = {
    "recall_at_1": (0.981, -0.008, 0.0025, "test", "share"),
    "recall_at_5": (0.992, -0.003, 0.0012, "test", "share"),
    "recall_at_10": (0.995, -0.002, 0.0009, "test", "share"),
    "r_precision": (0.938, -0.015, 0.004, "test", "share"),
    "map_at_r": (0.921, -0.019, 0.005, "test", "share"),
    "knn_accuracy": (0.980, -0.004, 0.002, "test", "share"),
    "nmi": (0.93, -0.01, 0.008, "test", "share"),
    "eer": (0.021, 0.006, 0.002, "test", "share"),
    "tar_at_far_1e2": (0.962, -0.012, 0.004, "test", "share"),
    "threshold_spread": (0.031, 0.004, 0.003, "test", "share"),
    "intra_variance": (0.118, -0.071, 0.004, "test", "squared distance"),
    "intra_variance_std": (0.042, -0.018, 0.003, "test", "squared distance"),
    "inter_distance": (1.312, -0.11, 0.012, "test", "distance"),
    "inter_distance_std": (0.081, 0.03, 0.006, "test", "distance"),
    "intra_inter_ratio": (0.068, -0.033, 0.003, "test", "ratio"),
    "effective_rank": (21.4, -6.2, 0.5, "test", "dimensions"),
    "active_ratio": (0.081, 0.31, 0.004, "train", "share"),
    "active_samples": (0.71, 0.22, 0.01, "train", "share"),
    "effective_active": (0.36, 0.19, 0.009, "train", "share"),
    "gradient_norm": (0.34, -0.21, 0.02, "train", "gradient norm"),
    "embedding_gradient_norm": (0.0123, -0.0071, 0.0006, "train", "gradient norm"),
    "gradient_gini": (0.63, -0.14, 0.01, "train", "share"),
    "hard_share": (0.48, -0.22, 0.015, "probe", "share"),
    "greedy_share": (0.19, 0.33, 0.012, "probe", "share"),
    "update_norm": (0.101, -0.012, 0.003, "train", "parameter change"),
    "epochs_to_90": (21.0, -9.0, 2.1, "train", "epochs"),
    "epochs_to_90_quality": (7.0, -2.0, 0.9, "validation", "epochs"),
}
BASE = {
    "recall_at_1": (0.972, 0.948),
    "map_at_r": (0.68, 0.61),
    "knn_accuracy": (0.974, 0.951),
    "eer": (0.142, 0.171),
    "intra_variance": (0.238, 0.301),
    "inter_distance": (0.71, 0.62),
    "intra_inter_ratio": (0.472, 0.78),
    "effective_rank": (38.1, 29.4),
}


RATIOS = ("intra_variance", "inter_distance", "intra_inter_ratio", "effective_rank", "update_norm")
DESCRIBED = ("map_at_r", "intra_variance", "inter_distance", "intra_inter_ratio", "effective_rank")
TRIED = [(rate, margin) for rate in (1e-3, 1e-4) for margin in (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)]


def cell(values: Sequence[float | None], split: str | None, unit: str) -> MeasureValue:
    """One measure of one side from its value for each seed."""
    good = np.array([value for value in values if value is not None], dtype=float)
    if not len(good):
        return MeasureValue(mean=None, low=None, high=None, values=tuple(values), split=split, unit=unit)
    half = 2.26 * good.std(ddof=1) / math.sqrt(len(good)) if len(good) > 1 else None
    mean = float(good.mean())
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return MeasureValue(mean=mean, low=low, high=high, values=tuple(values), split=split, unit=unit)


def measures_of(
    place: int, seeds: int, failed: tuple[int, ...], rng: np.random.Generator
) -> dict[str, MeasureValue]:
    """All measures of the loss at a place in the list; losses alternate between two characters."""
    weight = (0.0, 1.0, 0.55, 0.8, 0.3)[place % 5] + 0.06 * (place // 5)
    out = {}
    common = rng.normal(size=seeds)
    for name, (start, step, spread, split, unit) in SHAPES.items():
        if name == "active_ratio" and place not in (0, 1, 7, 8):
            out[name] = cell([None] * seeds, split, unit)
            continue
        own = 0.7 * common + 0.7 * rng.normal(size=seeds)
        values = [float(max(start + weight * step + spread * noise, start * 0.05)) for noise in own]
        out[name] = cell(
            [None if seed in failed else value for seed, value in enumerate(values)], split, unit
        )
    return out


def paired_row(a: SideResult, b: SideResult, measure: str, primary: bool, tests: int) -> Comparison:
    """One paired comparison with plausible intervals; not a real test."""
    log = measure in RATIOS
    columns = [side.measures[measure].values if measure in side.measures else () for side in (a, b)]
    pairs = [(x, y) for x, y in zip(*columns) if x is not None and y is not None]
    differences = np.array([math.log(x / y) if log else x - y for x, y in pairs])
    n, delta = len(pairs), math.log(1.1) if log else 0.01
    middle = float(differences.mean()) if n else None
    half = 2.4 * float(differences.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    low, high = (None, None) if half is None or middle is None else (middle - half, middle + half)
    wide = None if half is None else 2.6 * half + 0.0015
    lost = len(columns[0]) - n
    verdict = _verdict(n, lost, low, high, delta) if primary else None
    word = {"higher": "higher than", "lower": "lower than", "equivalent": "equivalent to"}.get(str(verdict))
    sentence = f"{a.name} is {word} {b.name} in {measure}, untuned." if word else ""
    if primary and not sentence:
        sentence = f"{a.name} and {b.name} are not told apart in {measure}: {verdict}."
    return Comparison(
        a=a.name,
        b=b.name,
        measure=measure,
        scale="log_ratio" if log else "difference",
        primary=primary,
        family="retrieval" if primary else None,
        n=n,
        difference=middle,
        low=low,
        high=high,
        low_data=None if wide is None or middle is None else middle - wide,
        high_data=None if wide is None or middle is None else middle + wide,
        p=0.00195 if primary else None,
        p_holm=0.0098 if primary else None,
        p_attainable=0.0098 if primary else None,
        tests_in_family=tests if primary else None,
        look=1,
        alpha=0.04,
        delta=delta,
        verdict=verdict,
        better="a" if verdict == "higher" else None,
        scope="these_data",
        seeds_needed=34 if verdict == "unresolved" else None,
        runs=(len(columns[0]), len(columns[1])),
        sentence=sentence,
    )


def _verdict(n, lost, low, high, delta):
    if lost:
        return "failed"
    if low is None or high is None or n < 6:
        return "too_few_seeds"
    if -delta < low and high < delta:
        return "equivalent"
    if low > 0 or high < 0:
        return "higher" if low > 0 else "lower"
    return "unresolved"


def protocol(name: str = "matched") -> Protocol:
    """The protocol that the made-up runs claim to have had."""
    return Protocol(
        name=name,
        model="mlp",
        hidden=(256,),
        embedding_size=64,
        epochs=60,
        batch_size=120,
        batching="balanced",
        learning_rate=0.001,
    )


def data() -> DataDescription:
    """Data that say of themselves that they were not measured."""
    return DataDescription(
        name="digits",
        title="Handwritten digits (synthetic fixture: no number here was measured)",
        described="",
        edition="UCI test set, 1,797 images",
        kind="vectors",
        classes=10,
        licence="CC BY 4.0",
        class_names=tuple(map(str, range(10))),
        notes=("8 × 8 images, so accuracy says little about photographs.",),
    )


def loss_result(
    place: int, name: str, seeds: int, lost: tuple[int, ...], rng: np.random.Generator
) -> LossResult:
    """A loss with made-up measures."""
    margin = 0.1 if place % 2 == 0 else 0.5
    return LossResult(
        name=name,
        spec=LossSpec(
            name="triplet", hyperparameters={"margin": margin}, reduction="valid_mean", tuples="all"
        ),
        failed=len(lost),
        failures=tuple(Failure(seed=seed, reason="the loss was nan at step 12") for seed in lost),
        measures=measures_of(place, seeds, lost, rng),
        runs=tuple(f"{place:02x}{seed:02x}{'ab54c1e09f3d7768':.16}" for seed in range(seeds)),
    )


def result(losses: int = 2, seeds: int = 10, failed: int = 0, names: tuple[str, ...] | None = None) -> Result:
    """A result of ``losses`` losses (1 to 12) over paired seeds, ``failed`` runs of the second one lost."""
    rng = np.random.default_rng(7)
    names = (names or NAMES)[:losses]
    sides = []
    for place, name in enumerate(names):
        lost = tuple(range(failed)) if place == min(1, losses - 1) else ()
        sides.append(loss_result(place, name, seeds, lost, rng))
    baselines = []
    for column, name in enumerate(("raw", "untrained")):
        measures = {
            measure: cell(
                [float(value[column] + (0 if column == 0 else 0.004 * rng.normal())) for _ in range(seeds)],
                "test",
                SHAPES[measure][4],
            )
            for measure, value in BASE.items()
        }
        baselines.append(BaselineResult(name=name, measures=measures))
    reference = sides[min(1, losses - 1)]
    couples: list[tuple[SideResult, SideResult]] = [
        (side, reference) for side in sides if side is not reference
    ]
    couples += [(side, baseline) for side in sides for baseline in baselines]
    paired = []
    for a, b in couples:
        paired.append(paired_row(a, b, "recall_at_1", True, len(couples)))
        paired += [paired_row(a, b, measure, False, len(couples)) for measure in DESCRIBED]
    return Result(
        data=data(),
        protocol=protocol(),
        seeds=tuple(range(seeds)),
        goal="retrieval",
        losses=tuple(sides),
        baselines=tuple(baselines),
        settings=tuple(Settings(loss=name, name="triplet", tuned=False) for name in names),
        paired=tuple(paired),
        recommendation=Recommendation(
            goal="retrieval",
            loss=names[0],
            sentences=(
                f"For retrieval on digits, train with {names[0]}: Recall@1 0.981, 0.008 above {names[-1]}.",
                "Both losses were untuned, at margins 0.1 and 0.5; a tuned margin may change the order.",
                "Training is worth it: the raw pixels reach 0.972, and no untrained network does as well.",
            ),
        ),
        store="losscope-runs/digits-matched",
        report="losscope-runs/digits-matched/report.html",
        provenance=Provenance(
            command="losscope compare digits --seeds 10",
            losscope="0.1.0",
            python="3.11.2",
            torch="2.13.0",
            numpy=("2.3.0", "2.3.1"),
            machine="x86_64, 2 cores",
            device="cpu",
            threads="1",
            runs=40,
            seconds=93.4,
        ),
    )


def changed(value, **fields):
    """A frozen value with other fields, validated again."""
    given = {name: getattr(value, name) for name in type(value).model_fields}
    return type(value)(**{**given, **fields})


def with_losses(made: Result, *losses: LossResult) -> Result:
    """The result with other losses in the first places."""
    return changed(made, losses=(*losses, *made.losses[len(losses) :]))


def traces(result: Result, epochs: int = 60) -> pd.DataFrame:
    """Per-epoch rows of every loss and seed; a failed seed stops at a third of the epochs."""
    rng = np.random.default_rng(11)
    rows = []
    for place, loss in enumerate(result.losses):
        fast = 1 + place % 2
        for seed in result.seeds:
            lost = loss.measures["recall_at_1"].values[result.seeds.index(seed)] is None
            last = epochs // 3 if lost else epochs
            shift = rng.normal(0, 0.04)
            for epoch in range(last + 1):
                age = epoch / epochs
                decay = math.exp(-6 * fast * age**0.7) + 0.02 / fast
                wobble = 1 + 0.03 * rng.normal() + shift
                quality = 0.93 - 0.02 * place - 0.32 * math.exp(-14 * fast * age) + 0.004 * rng.normal()
                rows.append((loss.name, seed, "validation", epoch, "map_at_r", quality))
                if epoch == 0:
                    continue
                values = {
                    "loss": 0.09 * fast * decay * wobble,
                    "gradient_norm": (0.9 / fast) * (0.15 + decay) * wobble,
                    "embedding_gradient_norm": (0.03 / fast) * (0.15 + decay) * wobble,
                    "effective_active": min(1.0, (0.2 + 0.25 * fast * decay**0.3) * wobble),
                    "active_samples": min(1.0, (0.4 + 0.4 * fast * decay**0.4) * wobble),
                    "update_norm": 0.2 * (0.35 + decay) * wobble,
                    "gradient_gini": 0.75 - 0.3 * decay * wobble,
                    "hard_share": min(1.0, (0.55 / fast - 0.2 * decay) * wobble + 0.2),
                    "greedy_share": max(0.0, 0.25 * fast + 0.1 * (1 - decay) + 0.01 * rng.normal()),
                }
                if loss.mean("active_ratio") is not None:
                    values["active_ratio"] = min(1.0, (0.05 + 0.35 * (fast - 1) + 0.5 * decay) * wobble)
                for name, value in values.items():
                    split = "probe" if name.endswith("share") else "train"
                    rows.append((loss.name, seed, split, epoch, name, value))
    return pd.DataFrame(rows, columns=["loss", "seed", "split", "epoch", "name", "value"])


def detail(result: Result, classes: int = 10) -> dict[str, dict[str, np.ndarray]]:
    """Per-class intra-class variance of every loss over seeds."""
    rng = np.random.default_rng(13)
    base = rng.uniform(0.5, 1.6, size=classes)
    out = {}
    for loss in result.losses:
        mean = loss.mean("intra_variance") or 0.1
        noise = 1 + 0.12 * rng.normal(size=(len(result.seeds), classes))
        out[loss.name] = {
            "per_class/intra_variance": mean * base * noise,
            "per_class/label": np.arange(classes),
        }
    return out


def maps(result: Result, classes: int = 10, points: int = 540) -> dict[str, EmbeddingMap]:
    """A made-up projection of the test embeddings of every loss: one blob for each class."""
    rng = np.random.default_rng(17)
    labels = np.arange(points) % classes
    out = {}
    for place, loss in enumerate(result.losses):
        angle = np.arange(classes) * 2 * math.pi * 3 / classes + place
        centres = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(0.35, 0.95, size=(classes, 1))
        spread = 0.11 if place % 2 == 0 else 0.04
        xy = centres[labels] + spread * rng.normal(size=(points, 2))
        out[loss.name] = EmbeddingMap(xy, labels.astype(np.int64))
    return out


def evidence(result: Result, epochs: int = 60, classes: int = 10, points: int = 540) -> Evidence:
    """Traces, per-class detail, maps and forces of every loss, test items and scores of every class."""
    return Evidence(
        traces(result, epochs),
        detail(result, classes),
        maps(result, points=points) if points else {},
        items_fixture.examples(result, classes),
        items_fixture.scores(result, classes),
        forces=forces(result),
    )


def forces(result: Result) -> dict[str, Force]:
    """Made-up forces of every loss: a hinge, wider from loss to loss."""
    distances = tuple(0.1 * step for step in range(1, 20))
    return {
        loss.name: Force(
            distances,
            tuple(round(distance * math.sqrt(1 - distance**2 / 4), 6) for distance in distances),
            tuple(round(max(0.5 + 0.1 * place - distance, 0.0), 6) for distance in distances),
        )
        for place, loss in enumerate(result.losses)
    }


def judged(result: Result) -> Result:
    """The result with what anyone's own runs of three losses on two data sets have beside."""
    names = [side.name for side in result.losses]
    rows = tuple(row for row in result.verdicts() if {row.a, row.b} <= set(names))
    each = tuple(
        DataVerdicts(name=name, family=name, seeds=result.seeds, rows=rows) for name in ("cub", "sop")
    )
    matrix = tuple(
        PairSize(a=a, b=b, difference=0.01, low=0.0, high=0.02, n=10, scale="difference")
        for place, a in enumerate(names)
        for b in names[place + 1 :]
    )
    group = BestGroup(
        measure="recall_at_1",
        best=names[0],
        members=tuple(names[:2]),
        out=tuple(names[2:]),
        tests=len(names) - 1,
        alpha=0.04,
        able=True,
    )
    return changed(result, by_data=each, on_each=wording.on_each(each), matrix=matrix, group=group)


def tuned(result: Result) -> Result:
    """The result with tuning trials, and published values beside it."""
    rng = np.random.default_rng(3)
    losses = []
    for loss in result.losses:
        trials = [
            Trial(
                hyperparameters={"margin": margin},
                reduction="valid_mean",
                learning_rate=rate,
                score=float(0.9 - abs(np.log(margin / 0.2)) / 12 - 20 * (1e-3 - rate) + 0.01 * rng.normal()),
                epoch=40,
                epochs=60,
                runs=("aa", "bb"),
            )
            for rate, margin in TRIED
        ]
        trials[-1] = changed(trials[-1], score=None, epoch=None, failed=2)
        best = max(trials, key=lambda trial: trial.score or 0)
        chosen = Tuned(
            hyperparameters=best.hyperparameters,
            reduction=best.reduction,
            learning_rate=best.learning_rate,
            score=best.score,
            checkpoint=best.epoch,
            trials=len(trials),
            diverged=1,
            edge=(Edge(name="epoch", value=60),),
        )
        losses.append(changed(loss, trials=tuple(trials), tuned=chosen))
    return changed(result, losses=tuple(losses), published=PUBLISHED)


def curved(result: Result) -> Result:
    """The result with the measure over the first loss's margin."""
    heights = {0.05: 0.93, 0.1: 0.97, 0.2: 0.975, 0.4: 0.9}
    points = tuple(
        CurvePoint(value=value, mean=high, by_seed=(high - 0.01, high + 0.01))
        for value, high in heights.items()
    )
    first, *others = result.losses
    curve = Curve(
        loss=first.name, number="margin", measure="recall_at_1", points=points, seeds=(1, 2), default=0.1
    )
    return changed(result, losses=(changed(first, curves=(with_costs(curve, 0.01),)), *others))


PUBLISHED = (
    PublishedValue(
        loss="contrastive",
        measure="intra_variance",
        published=0.0118,
        mean=0.011,
        low=0.009,
        high=0.013,
        inside=True,
        outside_by=0.0,
        held_out=0.2,
        source="a made paper",
    ),
    PublishedValue(
        loss="triplet",
        measure="intra_variance",
        published=0.0329,
        mean=0.05,
        low=0.04,
        high=0.06,
        inside=False,
        outside_by=-0.0071,
        held_out=None,
        source="a made paper",
    ),
)
VERDICTS = (
    "reproduced",
    "contradicted",
    "inconclusive",
    "not_testable",
    "direction_only",
    "size_unresolved",
)
CLAIMS: Mapping[str, tuple[str, float | None, float]] = {
    "intra-variance": ("triplet keeps more intra-class variance", 2.4, 2.9),
    "inter-distance": ("triplet's class means lie further apart", 1.14, 1.19),
    "loss-decay": ("contrastive reaches 90 % loss reduction earlier", 27, 62),
    "active-ratio": ("contrastive keeps more of its terms active", 0.65, 0.78),
    "gradient-norm": ("triplet has the larger gradient norm", 0.27, 1.01),
    "recall": ("triplet has the higher Recall@1", None, 0.004),
}


def reproduction() -> Reproduction:
    """A ledger of claims on two data sets under two protocols."""
    claims = []
    for place, (name, (statement, expected, measured)) in enumerate(CLAIMS.items()):
        for other, where in enumerate(("synthetic", "mnist")):
            for third, rule in enumerate(("paper", "matched")):
                code = VERDICTS[(place + 2 * other + third) % 6]
                none = code == "not_testable"
                claims.append(
                    ClaimVerdict(
                        id=name,
                        statement=statement,
                        source="Zeng 2025, table 1",
                        data=where,
                        protocol=rule,
                        expected=expected,
                        measured=None if none else measured,
                        low=None if none else 0.9 * measured,
                        high=None if none else 1.1 * measured,
                        verdict=code,
                        seeds_needed=24 if code == "inconclusive" else None,
                        reason="a tenth of the paper's updates were made" if none else None,
                    )
                )
    controls = (
        Control(
            id="scale-free-variance",
            explains=("intra-variance",),
            data="synthetic",
            protocol="paper",
            label="triplet / contrastive",
            measure="intra_inter_ratio",
            scale="ratio",
            measured=2.1,
            low=1.9,
            high=2.3,
        ),
    )
    return Reproduction(
        paper="a made paper",
        data=DataDescription(name="made2026", title="A made paper", kind="paper", described="two data sets"),
        seeds=tuple(range(10)),
        losses=("contrastive", "triplet"),
        claims=tuple(claims),
        controls=controls,
        descriptions=(ControlDescription(id="scale-free-variance", title="Variance", note="Without scale."),),
        studies=(StudyLink(data="synthetic", protocol="paper", study="a", settings="untuned"),),
        provenance=Provenance(command="losscope reproduce made2026"),
    )


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """How much two colours stand out from each other, from 1 to 21, as WCAG 2 counts it."""
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def scored(names: Sequence[str]) -> Result:
    """A verdict on nine seeds of each name, whose values lie apart and vary a little."""
    rows = [
        (name, seed, "recall_at_1", 0.5 + place / 20 + (seed * (place + 3) % 7) / 1000)
        for place, name in enumerate(names)
        for seed in range(9)
    ]
    return judge(pd.DataFrame(rows, columns=["loss", "seed", "measure", "value"]))


def of_analysis(
    found: Analysis, settings: Sequence[Settings], seeds: Sequence[int] = range(10), **more: object
) -> Result:
    """The result of an analysis of planted values."""
    return Result(
        data=DataDescription(name="planted", title="planted", kind="runs", described=""),
        seeds=tuple(seeds),
        goal=found.recommendation.goal or "retrieval",
        losses=found.losses,
        baselines=found.baselines,
        settings=tuple(settings),
        paired=found.paired,
        recommendation=found.recommendation,
        **more,
    )
