"""What stacking buys and what the instruments cost: ten members, one member, and a plain torch loop.

The plain loop is what one would write without losscope: ``nn.Sequential``, ``torch.optim.Adam``, the same
batches and the same loss, nothing measured. Epochs of the three sides take turns, one thread, and each round
gives the ratios, so that a machine whose speed drifts slows all sides alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from losscope.core.results import BenchRow
from losscope.core.spec import Study
from losscope.data import Part, load
from losscope.pairs.sampling import Partners
from losscope.train import Population, keep_freed_memory

MEMBERS = 10


def population(loss: str, members: int) -> Population:
    """Members of the paper's synthetic study, ready to run epochs."""
    source = load("synthetic")
    study = Study.of(data="synthetic", losses=[loss], seeds=members, protocol="paper")
    runs = [run for run in study.expand("vectors") if not run.loss.baseline]
    return Population(runs, [source.splits(run.seed) for run in runs], torch.device("cpu"))


def plain_loop(loss: str, part: Part) -> Callable[[], None]:
    """One epoch of the paper's synthetic study as a plain torch loop."""
    inputs = torch.from_numpy(part.inputs)
    network = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    generator = np.random.default_rng(0)
    partners = Partners(part.labels)
    pairs = loss == "contrastive"
    draw = partners.draw_pairs if pairs else partners.draw_triplets

    def epoch() -> None:
        order = generator.permutation(len(inputs))
        first, second, _ = draw(order, generator.random((len(order), 2)))
        rows_of = (order, first) if pairs else (order, first, second)
        columns = [torch.from_numpy(rows) for rows in rows_of]
        same = torch.from_numpy(second)
        for start in range(0, len(inputs), 64):
            part_ = slice(start, start + 64)
            rows = torch.cat([inputs[column[part_]] for column in columns])
            sides = F.normalize(network(rows), dim=1).chunk(len(columns))
            if pairs:
                distance = (sides[0] - sides[1]).norm(dim=1)
                value = torch.where(same[part_], distance**2, F.relu(1.0 - distance) ** 2).mean()
            else:
                value = F.relu(
                    (sides[0] - sides[1]).norm(dim=1) - (sides[0] - sides[2]).norm(dim=1) + 1.0
                ).mean()
            optimiser.zero_grad()
            value.backward()
            optimiser.step()

    return epoch


def training(rounds: int = 20, say: Callable[[str], None] | None = None) -> list[BenchRow]:
    """Rows of the benchmark: seconds of a median epoch, and the ratio with its quartiles over rounds.

    The ratio of one member is to the plain loop, of ten members to one member.
    """
    keep_freed_memory()
    return on_one_thread(("contrastive", "triplet"), partial(_rows, rounds=rounds), sentence, say)


def on_one_thread(
    losses: Iterable[str],
    measure: Callable[[str], list[BenchRow]],
    sentence: Callable[[BenchRow], str],
    say: Callable[[str], None] | None,
) -> list[BenchRow]:
    """The rows of each loss, said one by one as they are measured."""
    rows: list[BenchRow] = []
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for loss in losses:
            for row in measure(loss):
                rows.append(row)
                if say:
                    say(sentence(row))
    finally:
        torch.set_num_threads(before)
    return rows


def median_row(
    work: str,
    size: int,
    side: str,
    seconds: np.ndarray,
    ratios: np.ndarray | None,
    version: str | None = torch.__version__,
) -> BenchRow:
    """A side's median time over the rounds, and the ratio with its quartiles where there are ``ratios``."""
    return BenchRow(
        work=work,
        size=size,
        side=side,
        version=version,
        seconds=float(np.median(seconds)),
        peak_bytes=None,
        ratio=None if ratios is None else float(np.median(ratios)),
        ratio_low=None if ratios is None else float(np.quantile(ratios, 0.25)),
        ratio_high=None if ratios is None else float(np.quantile(ratios, 0.75)),
        rounds=len(seconds),
    )


def _rows(loss: str, rounds: int) -> list[BenchRow]:
    """The three sides of one loss, their epochs by turns."""
    single, many = population(loss, 1), population(loss, MEMBERS)
    sides = {
        "plain torch loop, nothing measured": plain_loop(loss, single.splits[0].train),
        "losscope, 1 member": single.run_epoch,
        f"losscope, {MEMBERS} members": many.run_epoch,
    }
    for side in sides.values():
        side()
    times = np.array([[_seconds(side) for side in sides.values()] for _ in range(rounds)])
    ratios = (None, times[:, 1] / times[:, 0], times[:, 2] / times[:, 1])
    work = f"train an epoch, {loss}, synthetic, protocol paper"
    return [
        median_row(work, size, name, seconds, ratio)
        for size, name, seconds, ratio in zip((1, 1, MEMBERS), sides, times.T, ratios, strict=True)
    ]


def sentence(row: BenchRow) -> str:
    """A row in words."""
    against = "the plain loop" if row.size == 1 else "one member"
    ratio = ""
    if row.ratio is not None:
        ratio = f", {row.ratio:.2f} times {against} ({row.ratio_low:.2f}–{row.ratio_high:.2f})"
    return f"{row.work}: {row.side}: {(row.seconds or 0) * 1e3:.1f} ms{ratio}"


def _seconds(side: Callable[[], None]) -> float:
    start = time.perf_counter()
    side()
    return time.perf_counter() - start


if __name__ == "__main__":
    training(say=print)
