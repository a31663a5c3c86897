"""What retrieval measures cost beside the bare product of the embeddings, and beside a peer's calculator.

All sides work on the same float32 embeddings with the same threads, by turns in one process. The bare product
is that of all rows with all rows in float32, in parts of as many pairs as the measures hold at once. Ours are
Recall@1, 5 and 10, R-precision and MAP@R together, with ties (float64 distances); the peer is
pytorch-metric-learning's AccuracyCalculator on faiss, of the same measures.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.benching.training import median_row
from losscope.core.errors import LosscopeError, require
from losscope.core.results import BenchRow
from losscope.measures.neighbours import CHUNK_PAIRS
from losscope.measures.ranking import retrieval

SIZES = ((10_000, 128, 10), (20_000, 128, 200), (20_000, 512, 2_000))
"""Rows, embedding size and classes."""
PEER = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
OURS = ("recall_at_1", "r_precision", "map_at_r")
"""The measures that both have, in one order; the peer has no Recall@5 and Recall@10."""
AGREE = 1e-6


def retrieving(
    sizes: Sequence[tuple[int, int, int]] = SIZES,
    *,
    rounds: int = 5,
    threads: int = 2,
    say: Callable[[str], None] | None = None,
) -> list[BenchRow]:
    """Rows of the benchmark: each side's median seconds, and its ratio to the bare product.

    Args:
        sizes: rows, embedding size and classes of each set of embeddings.
        rounds: how often each side is run, by turns.
        threads: of torch, NumPy and faiss.
        say: called with each row in words as it is measured.

    Raises:
        LosscopeError: the peer's values differ from ours by more than 1e-6 and what ties can do.

    >>> rows = retrieving([(64, 8, 4)], rounds=1, threads=1)
    >>> [row.side for row in rows][:2]
    ['bare float32 product', 'losscope']
    """
    require(rounds > 0 and threads > 0, f"rounds {rounds}, threads {threads}; at least 1 of each is wanted")
    rows: list[BenchRow] = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for size in sizes:
            for row in _rows(*size, rounds, threads):
                rows.append(row)
                if say:
                    say(sentence(row))
    finally:
        torch.set_num_threads(before)
    return rows


def _rows(count: int, width: int, classes: int, rounds: int, threads: int) -> list[BenchRow]:
    embeddings, labels = _embeddings(count, width, classes)
    sides: dict[str, Callable[[], dict[str, float]]] = {
        "bare float32 product": lambda: _product(embeddings),
        "losscope": lambda: _ours(embeddings, labels),
    }
    versions: dict[str, str | None] = {"losscope": None, "bare float32 product": torch.__version__}
    peer = _peer(threads)
    if peer is not None:
        name = "AccuracyCalculator of pytorch-metric-learning, on faiss"
        sides[name] = lambda: peer(embeddings, labels)
        versions[name] = importlib.metadata.version("pytorch-metric-learning")
        values, detail = retrieval(embeddings, labels)
        _agree(values, sides[name](), int(detail["count/tied_queries"].sum()) / count)
    times = np.array([[_seconds(side) for side in sides.values()] for _ in range(rounds)])
    work = f"retrieval measures, {count:,} × {width}, {classes:,} classes"
    made = [
        median_row(work, count, name, seconds, seconds / times[:, 0] if place else None, versions[name])
        for place, (name, seconds) in enumerate(zip(sides, times.T, strict=True))
    ]
    # Only the peer's values were compared with ours.
    return [*made[:2], *(row.model_copy(update={"same": True}) for row in made[2:])]


def _embeddings(count: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """Classes that overlap: unit rows around class means, in no order."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    means = torch.randn(classes, width, generator=generator)
    rows = 0.8 * means[labels] + torch.randn(count, width, generator=generator)
    return torch.nn.functional.normalize(rows, dim=1), labels


def _product(embeddings: Tensor) -> dict[str, float]:
    step = max(1, CHUNK_PAIRS // len(embeddings))
    for start in range(0, len(embeddings), step):
        embeddings[start : start + step] @ embeddings.T
    return {}


def _ours(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    values, _ = retrieval(embeddings, labels)
    return {name: float(values[name]) for name in OURS}


def _peer(threads: int) -> Callable[[Tensor, Tensor], dict[str, float]] | None:
    """The peer's calculator, None where it or faiss is not installed."""
    try:
        import faiss
        from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    except ImportError:
        return None
    faiss.omp_set_num_threads(threads)
    calculator = AccuracyCalculator(include=PEER, k="max_bin_count")

    def measure(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
        found = calculator.get_accuracy(embeddings, labels)
        return {ours: float(found[name]) for ours, name in zip(OURS, PEER, strict=True)}

    return measure


def _agree(ours: Mapping[str, Any], peer: Mapping[str, float], tied: float) -> None:
    """Raise unless values are the same to 1e-6; ``tied``: the share of queries whose ties the peer breaks."""
    for name in OURS:
        found = float(ours[name])
        if not abs(found - peer[name]) <= AGREE + tied:
            raise LosscopeError(
                f"{name} is {found:.8f} here and {peer[name]:.8f} in pytorch-metric-learning, with "
                f"{tied:.2%} of queries tied; agreement to {AGREE:g} is wanted before times are compared"
            )


def _seconds(side: Callable[[], object]) -> float:
    start = time.perf_counter()
    side()
    return time.perf_counter() - start


def sentence(row: BenchRow) -> str:
    """A row in words."""
    ratio = ""
    if row.ratio is not None:
        ratio = f", {row.ratio:.2f} times the bare product ({row.ratio_low:.2f}–{row.ratio_high:.2f})"
    return f"{row.work}: {row.side}: {row.seconds or 0:.3f} s{ratio}"
