"""Multiverses at the level of effects: nothing is trained, and what decides each is planted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from losscope.core.results import DataDescription, Multiverse, SpaceAxis
from losscope.core.wording import multiverses as wording
from losscope.stats.multiverses import Universe, analyse

Effect = Callable[[Mapping[str, np.ndarray], np.random.Generator], np.ndarray]
DELTA = 0.01


def space(settings: int, cells: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The cell of each setting, and its choices: some by cell, as those that change shapes, others free."""
    rng = np.random.default_rng(seed)
    cell = np.sort(np.arange(settings) % cells)
    of_cell = {
        "batch_size": rng.choice([32, 64, 128], cells),
        "embedding_size": rng.choice([8, 16, 32, 64], cells),
        "start": rng.choice(np.array(["pca", "random"]), cells),
    }
    choices = {name: values[cell] for name, values in of_cell.items()}
    choices["triplet.margin"] = rng.uniform(0.05, 1.5, settings)
    choices["contrastive.margin"] = rng.uniform(0.05, 1.5, settings)
    choices["learning_rate"] = 10 ** rng.uniform(-4, -2, settings)
    choices["reduction"] = rng.choice(np.array(["valid_mean", "active_mean", "balanced"]), settings)
    choices["label_noise"] = rng.uniform(0, 0.3, settings)
    choices["normalise"] = rng.choice(np.array([True, False]), settings)
    return cell, choices


def margin_rule(choices: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Triplet is higher only where its margin is above 0.4."""
    return np.where(choices["triplet.margin"] > 0.4, 0.05, -0.004)


def nothing(choices: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """No choice does anything; settings differ by chance."""
    return rng.normal(0, 0.02, len(choices["reduction"]))


def mixed(choices: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A smooth effect of the margin, with the reduction and the learning rate beside it."""
    rate = np.log10(choices["learning_rate"]) + 3
    mean = np.where(choices["reduction"] == "active_mean", 0.02, 0.0)
    return 0.05 * (choices["triplet.margin"] - 0.6) + mean + 0.012 * rate * (choices["batch_size"] / 64)


def universe(
    effect: Effect = margin_rule,
    *,
    settings: int = 120,
    cells: int = 30,
    seeds: int = 3,
    noise: float = 0.004,
    seed: int = 0,
    failed: int = 0,
    paper: int | None = None,
    null: bool = True,
    claim: str = "retrieval",
    data: str = "synthetic",
) -> Universe:
    """A claim that triplet is above contrastive in Recall@1, whose effect is known but for its seeds."""
    rng = np.random.default_rng([seed, 1])
    cell, choices = space(settings, cells, seed)
    effects = effect(choices, rng)[:, None] + rng.normal(0, noise, (settings, seeds))
    effects[rng.permutation(settings)[:failed], 0] = np.nan
    return Universe(
        claim=claim,
        statement="triplet retrieves better than contrastive",
        data=data,
        pair=("triplet", "contrastive"),
        delta=DELTA,
        direction=1,
        settings=tuple(f"s{place:03d}" for place in range(settings)),
        cells=cell,
        choices=choices,
        effects=effects,
        competent=rng.random(settings) < 0.6,
        null=rng.normal(0, noise, (settings, seeds)) if null else None,
        paper=paper,
        measure="recall_at_1",
    )


def document(*universes: Universe, **more: object) -> Multiverse:
    """A multiverse of some claims, as the command would return it."""
    claims = analyse(universes)
    first = universes[0]
    found = Multiverse(
        paper="fixture",
        data=DataDescription(
            name=" and ".join(dict.fromkeys(each.data for each in universes)),
            title="synthetic fixture",
            kind="features",
            described="Made-up effects: nothing here was measured.",
        ),
        losses=first.pair,
        settings=len(first.settings),
        cells=len(set(first.cells.tolist())),
        seeds_each=first.seeds,
        space=(
            SpaceAxis(name="triplet.margin", low=0.05, high=1.5, why="what papers use"),
            SpaceAxis(name="learning_rate", low=1e-4, high=1e-2, log=True, why="what optimisers tolerate"),
            SpaceAxis(name="batch_size", values=("32", "64", "128"), crossed=True, why="common sizes"),
        ),
        claims=claims,
        **more,
    )
    return found.model_copy(update={"summary": wording.whole(found)})
