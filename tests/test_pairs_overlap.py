"""Rows with several labels each as a relation: by plain loops, and as labels where each row has one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.measures import evaluate
from losscope.measures.searching import quality_by_overlap
from losscope.pairs import KINDS, Overlap, Relation, pair_distances, reduce, sample

TUPLE_LOSSES = ("contrastive", "triplet", "n_pair", "info_nce", "sup_con")


def drawn(seed: int, rows: int = 12, labels: int = 4) -> torch.Tensor:
    tags = torch.rand(rows, labels, generator=torch.Generator().manual_seed(seed)) < 0.35
    tags[:, 0] |= ~tags.any(1)
    return tags


def points(seed: int, rows: int = 12) -> torch.Tensor:
    made = torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(made, dim=1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), paired=st.booleans())
def test_alike_are_rows_that_share_a_label(seed, paired):
    tags = drawn(seed)
    modality = torch.arange(12) // 6 if paired else None
    positive, negative = Overlap.of(tags, modality).masks()
    for i in range(12):
        for j in range(12):
            known = i != j and (modality is None or modality[i] != modality[j])
            share = bool((tags[i] & tags[j]).any())
            assert positive[i, j] == (known and share) and negative[i, j] == (known and not share)


def value(loss: str, z: torch.Tensor, relation: Relation) -> tuple[torch.Tensor, torch.Tensor]:
    z = z.clone().requires_grad_()
    made = reduce(registry.get("loss", loss)(z, relation), "valid_mean").sum()
    return made.detach(), torch.autograd.grad(made, z)[0]


@pytest.mark.parametrize("loss", TUPLE_LOSSES)
@pytest.mark.parametrize("seed", range(4))
def test_one_label_each_is_the_relation_of_labels(loss, seed):
    labels = torch.randint(3, (12,), generator=torch.Generator().manual_seed(seed))
    z = points(seed)
    found = value(loss, z, Overlap.of(torch.nn.functional.one_hot(labels, 3)))
    wanted = value(loss, z, Relation.from_labels(labels))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)


def by_loops(loss: str, z: np.ndarray, tags: np.ndarray) -> float:
    """Σ value / Σ valid over plain loops in float64, at the losses' defaults."""
    share = (tags[:, None] & tags[None]).any(-1)
    total, valid = 0.0, 0
    for i in range(len(z)):
        positives = [j for j in range(len(z)) if j != i and share[i, j]]
        negatives = [j for j in range(len(z)) if not share[i, j] and j != i]
        gap = np.linalg.norm(z - z[i], axis=1)
        if loss == "contrastive":
            total += sum(gap[j] ** 2 for j in positives)
            total += sum(max(0.0, margin_of(loss) - gap[j]) ** 2 for j in negatives)
            valid += len(positives) + len(negatives)
        elif loss == "triplet":
            total += sum(max(0.0, gap[p] - gap[n] + margin_of(loss)) for p in positives for n in negatives)
            valid += len(positives) * len(negatives)
        else:
            heat = 0.1
            for p in positives if negatives else []:
                logits = np.array([z[i] @ z[p], *(z[i] @ z[n] for n in negatives)]) / heat
                total += float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[0])
                valid += 1
    return total / valid


def margin_of(loss: str) -> float:
    return float(registry.entry("loss", loss).parameters["margin"])


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "info_nce"])
@pytest.mark.parametrize("seed", range(4))
def test_losses_by_overlap_are_those_of_plain_loops(loss, seed):
    tags, z = drawn(seed), points(seed)
    found, _ = value(loss, z, Overlap.of(tags))
    assert found.item() == pytest.approx(by_loops(loss, z.numpy(), tags.numpy()), rel=1e-6)


@pytest.mark.parametrize("loss", TUPLE_LOSSES)
def test_members_of_a_population_are_alone(loss):
    tags = torch.stack([drawn(0), drawn(1)])
    z = torch.stack([points(0), points(1)])
    whole = reduce(registry.get("loss", loss)(z, Overlap.of(tags)), "valid_mean")
    for member in range(2):
        alone = reduce(registry.get("loss", loss)(z[member], Overlap.of(tags).member(member)), "valid_mean")
        torch.testing.assert_close(whole[member], alone)


@pytest.mark.parametrize("how", ["random", "hard", "semihard"])
def test_chosen_tuples_are_of_rows_that_share_or_share_not(how):
    tags, z = drawn(3)[None], points(3)[None]
    relation = Overlap.of(tags)
    generators = [np.random.default_rng(0)]
    chosen = sample(relation, how, pair_distances(z), generators, into=KINDS["triplets"])
    anchor, positive, negative = (column[0] for column in chosen.columns)
    kept = torch.ones_like(anchor, dtype=torch.bool) if chosen.valid is None else chosen.valid[0]
    assert bool(kept.any())
    for a, p, n in zip(anchor[kept], positive[kept], negative[kept], strict=True):
        assert bool((tags[0, a] & tags[0, p]).any()) and not bool((tags[0, a] & tags[0, n]).any())


def test_a_loss_with_one_vector_per_class_says_that_it_cannot():
    with pytest.raises(LosscopeError, match="one vector per class and wants labels"):
        registry.get("loss", "arcface")(points(0), Overlap.of(drawn(0)), class_vectors=torch.randn(4, 5))


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_quality_curve_is_the_measure_by_overlap(seed, across):
    tags = drawn(seed, 24).numpy()
    z = torch.stack([points(seed, 24), points(seed + 50, 24)])
    found = quality_by_overlap(z, (tags, tags), across=across)
    for member in range(2):
        if not across:
            values, _ = evaluate(z[member], torch.zeros(24, dtype=torch.int64), tags=tags)
            for name in ("map_at_r", "recall_at_1"):
                assert found[name][member].item() == pytest.approx(float(values[name]), abs=1e-12)
            continue
        ways = []
        for asks, asked in ((range(12), range(12, 24)), (range(12, 24), range(12))):
            scores = []
            for i in asks:
                order = sorted(asked, key=lambda j: float((z[member, i] - z[member, j]).square().sum()))
                right = [bool((tags[i] & tags[j]).any()) for j in order]
                top = right[: sum(right)]
                if top:
                    precise = [sum(top[: k + 1]) / (k + 1) for k in range(len(top)) if top[k]]
                    scores.append(sum(precise) / len(top))
            ways.append(np.mean(scores))
        assert found["map_at_r"][member].item() == pytest.approx(float(np.mean(ways)), abs=1e-9)
