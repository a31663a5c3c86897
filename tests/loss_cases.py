"""Cases and small helpers that the tests of the losses share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from losscope.core.registry import entries, entry
from losscope.pairs import Relation, Terms, normalise, reduce

LOSSES = list(entries("loss"))
DEFINED = (
    "contrastive",
    "triplet",
    "n_pair",
    "info_nce",
    "sup_con",
    "arcface",
    "center_contrastive",
    "multi_similarity",
    "circle",
    "proxy_anchor",
    "proxy_nca",
)
"""The losses of the definitions, of which more is asked than of any loss: an oracle, tuning, defaults."""
SOUND = [name for name in LOSSES if not entry("loss", name).facts.faulty]
PROXY = [name for name in LOSSES if entry("loss", name).facts.class_vectors]
FREE = [name for name in LOSSES if name not in PROXY]
HINGES = [name for name in LOSSES if entry("loss", name).facts.hinge]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("contrastive", {"margin": 0.9}),
    ("contrastive", {"margin": 2.5}),
    ("contrastive_label_blind", {"margin": 0.9}),
    ("triplet", {"margin": 0.2}),
    ("triplet", {"margin": 1.7}),
    ("triplet", {"margin": 0.2, "squared": True}),
    ("n_pair", {"l2_weight": 0.02}),
    ("n_pair", {"l2_weight": 0.0}),
    ("info_nce", {"temperature": 0.5}),
    ("info_nce", {"temperature": 0.05}),
    ("sup_con", {"temperature": 0.5}),
    ("sup_con", {"temperature": 0.05}),
    ("arcface", {"margin": 0.5, "scale": 8.0}),
    ("center_contrastive", {"margin": 0.2, "scale": 8.0}),
    ("multi_similarity", {"alpha": 2.0, "beta": 50.0, "base": 0.5}),
    ("multi_similarity", {"alpha": 0.5, "beta": 4.0, "base": -0.2}),
    ("circle", {"margin": 0.4, "scale": 8.0}),
    ("circle", {"margin": 0.25, "scale": 80.0}),
    ("circle", {"margin": 0.0, "scale": 2.0}),
    ("proxy_anchor", {"margin": 0.1, "scale": 8.0}),
    ("proxy_anchor", {"margin": 0.0, "scale": 32.0}),
    ("proxy_nca", {"temperature": 0.5}),
    ("proxy_nca", {"temperature": 0.05}),
]
CLASSES = 4
SIZE = 3


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vectors(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return normalise(torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)).to(dtype)


def extra(name: str, *lead: int, seed: int = 9, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    if name not in PROXY:
        return {}
    return {"class_vectors": torch.randn(*lead, CLASSES, SIZE, generator=seeded(seed), dtype=dtype)}


def call(name: str, z: Tensor, relation: Relation, **words: Any) -> Terms:
    return entry("loss", name).load()(z, relation, **words)


def reduced(name: str, z: Tensor, relation: Relation, **words: Any) -> Tensor:
    return reduce(call(name, z, relation, **words), "valid_mean")


def gradient(name: str, z: Tensor, relation: Relation, **words: Any) -> Tensor:
    z = z.detach().clone().requires_grad_()
    return torch.autograd.grad(reduced(name, z, relation, **words).sum(), z)[0]
