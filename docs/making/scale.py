"""How losscope scales on this machine, measured, and what follows for more: the tables of docs/scale.md.

``python docs/making/scale.py`` measures everything, keeps the numbers in ``scale.json`` and writes the page's
tables; ``--only engines`` measures a part again; ``--reduced`` takes smaller sizes, for a busy machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import losscope
from losscope.comparing import plan
from losscope.core.queries import Roles
from losscope.core.spec import Study
from losscope.core.wording import duration
from losscope.measures.summary import evaluate
from losscope.run import launch
from losscope.run.arithmetic import fixed_arithmetic
from losscope.run.record import Record
from losscope.run.store import Store

DOCS = Path(__file__).parents[1]
PAGE, KEPT = DOCS / "scale.md", Path(__file__).with_suffix(".json")
FULL = {
    "engines": {"runs": 20, "images": 2000, "side": 28, "epochs": 12},
    "populations": {"members": [1, 2, 4, 8, 16, 32, 64], "steps": 60},
    "batches": {"rows": [128, 256, 512, 1024, 2048, 4096, 8192], "repeats": 5},
    "galleries": {"rows": [10_000, 100_000, 1_000_000], "queries": 1000, "width": 128},
    "store": {"runs": 1000},
}
REDUCED = {
    "engines": {"runs": 8, "images": 600, "side": 16, "epochs": 30},
    "populations": {"members": [1, 2, 4, 8, 16, 32, 64], "steps": 12},
    "batches": {"rows": [128, 512, 2048, 8192], "repeats": 1},
    "galleries": {"rows": [10_000, 100_000, 1_000_000], "queries": 100, "width": 64},
    "store": {"runs": 100},
}
LOSSES = ("contrastive", "triplet", "info_nce")
RUNS, VECTORS = 10_000, 100_000_000
"""What is extrapolated to."""
MEMORY = 16 * 10**9
"""Bytes of a machine's memory that the extrapolation takes for given."""


def engines(runs: int, images: int, side: int, epochs: int) -> dict[str, Any]:
    """Seconds of the same convolutional runs here and in processes, one per core, whose start counts."""
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pictures.npz"
        pixels = draw.integers(0, 255, (images, side, side), dtype=np.uint8)
        np.savez(data, images=pixels, labels=np.arange(images) % 10)
        words = {
            "losses": ["contrastive", "triplet"],
            "seeds": -(-runs // 2),
            "epochs": epochs,
            "tune": False,
        }
        seconds, numbers = {}, {}
        for engine in ("here", "processes"):
            made = plan(Study.of(data=str(data), out=str(Path(folder) / engine), keep="none", **words))
            groups = [group for group in made.groups if not group.runs[0].loss.baseline][:runs]
            start = time.perf_counter()
            launch.execute(groups, engine)
            seconds[engine] = time.perf_counter() - start
            stored = made.store.many(run_id for group in groups for run_id in group.ids)
            numbers[engine] = [run.measures for run in stored]
            assert len(stored) == runs and all(run.status == "complete" for run in stored)
        assert numbers["here"] == numbers["processes"], "the numbers of the engines are not the same"
    return {"runs": runs, "workers": os.cpu_count(), **seconds}


def populations(members: Sequence[int], steps: int) -> list[dict[str, float]]:
    """Seconds of a step of populations on digits, contrastive loss, and of one member's share of it."""
    from losscope.features import load
    from losscope.train import Population

    source = load("digits")
    words = {"losses": ["contrastive"], "seeds": max(members), "tune": False, "closed_forms": False}
    runs = [run for run in Study.of(data="digits", **words).expand("vectors") if not run.loss.baseline]
    rows = []
    with fixed_arithmetic():
        splits = [source.splits(run.seed) for run in runs]
        for count in members:
            population = Population(runs[:count], splits[:count], torch.device("cpu"))
            seconds = statistics.median(list(_steps(population, steps))[2:])
            rows.append({"members": count, "step": seconds, "each": seconds / count})
    return rows


def _steps(population: Any, steps: int) -> Iterator[float]:
    while True:
        for batch in population.batches.epoch(population.embed):
            start = time.process_time()
            population.step(*batch)
            yield time.process_time() - start
            steps -= 1
            if not steps:
                return


def batches(rows: Sequence[int], repeats: int) -> list[dict[str, float]]:
    """Seconds of a step of each loss, and of a cached one, and the memory that the process had at most.

    The largest batch has the last row: the peak of a process only grows.
    """
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.ReLU(), torch.nn.Linear(512, 128))
    return [_batch(network, count, repeats) for count in rows]


def _batch(network: torch.nn.Module, count: int, repeats: int) -> dict[str, float]:
    inputs, labels = torch.randn(count, 512), torch.arange(count) // 16
    cached = losscope.loss("info_nce")
    row: dict[str, float] = {"rows": count}
    row["cached info_nce"] = _timed(
        lambda: losscope.cached(network, cached, inputs, labels, rows=128), repeats
    )
    for name in LOSSES:
        loss = losscope.loss(name)
        row[name] = _timed(lambda loss=loss: loss(network(inputs), labels).backward(), repeats)
    row["peak"] = _peak()
    return row


def _peak() -> float:
    """Bytes that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _timed(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def galleries(rows: Sequence[int], queries: int, width: int) -> list[dict[str, float]]:
    """Seconds of Recall@1 and MAP@R of some queries in galleries, exactly and with ties."""
    found = []
    draw = torch.Generator().manual_seed(0)
    for count in rows:
        labels = torch.arange(count + queries) % (count // 100)
        centres = torch.randn(count // 100, width, generator=draw)
        vectors = centres[labels] + torch.randn(count + queries, width, generator=draw)
        asks = np.arange(count + queries) >= count
        start = time.process_time()
        evaluate(vectors, labels, names=["recall_at_1", "map_at_r"], roles=Roles(asks, ~asks))
        seconds = time.process_time() - start
        found.append({"rows": count, "queries": queries, "width": width, "seconds": seconds, "peak": _peak()})
    return found


def store(runs: int) -> dict[str, float]:
    """Bytes of a run of digits by what is kept of it, and seconds of writing, checking and reading many."""
    found: dict[str, float] = {"runs": runs}
    with tempfile.TemporaryDirectory() as folder:
        for keep in ("none", "last"):
            words = {
                "losses": ["contrastive"],
                "seeds": 2,
                "tune": False,
                "closed_forms": False,
                "epochs": 10,
            }
            made = plan(Study.of(data="digits", keep=keep, out=str(Path(folder) / keep), **words))
            launch.execute([group for group in made.groups if not group.runs[0].loss.baseline], "here")
            kept = [run for run in made.store.runs() if not run.run.loss.baseline]
            sizes = [sum(path.stat().st_size for path in run.path.iterdir()) for run in kept]
            found[f"bytes {keep}"] = statistics.median(sizes)
            found[f"files {keep}"] = statistics.median(len(list(run.path.iterdir())) for run in kept)
        run = kept[0]
        rows = list(run.trace().itertuples(index=False, name=None))
        record = Record(run.run, measures=run.measures, trace=rows, arrays=run.arrays())
        many = Store(Path(folder) / "many")
        names = [f"{number:020x}" for number in range(runs)]
        for what, work in (
            ("write", lambda name: many.add(name, record)),
            ("check", lambda name: many.get(name).check()),
            ("read", lambda name: many.get(name).measures),
        ):
            start = time.perf_counter()
            for name in names:
                work(name)
            found[what] = (time.perf_counter() - start) / runs
    return found


PARTS: dict[str, Callable[..., Any]] = {
    "engines": engines,
    "populations": populations,
    "batches": batches,
    "galleries": galleries,
    "store": store,
}


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], side: str = "---:") -> str:
    """A table of Markdown; all columns but the first stand to the right, or to the ``side`` given."""
    lines = [heads, ["---", *[side] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.{3 if seconds < 1e-3 else 2 if seconds < 0.1 else 0}f}"


def _about(number: float) -> str:
    """A number of things to two digits."""
    digits = max(0, len(str(int(number))) - 2)
    return f"{round(number / 10**digits) * 10**digits:,}"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.3g} {unit}"
        size /= 1000
    raise AssertionError


def _long(seconds: float) -> str:
    """A time as people say it, days and years too."""
    days = seconds / 86_400
    return f"{days / 365:.1f} years" if days > 700 else f"{days:.1f} days" if days > 2 else duration(seconds)


def tables(found: dict[str, Any]) -> dict[str, str]:
    """The tables of the page by name."""
    of = found["engines"]
    ratio = of["here"] / of["processes"]
    made = {
        "engines": table(
            ["engine", "seconds", "runs a minute", "times `here`"],
            [
                [
                    f"`{name}`, {of['workers']} workers" if name == "processes" else f"`{name}`",
                    f"{of[name]:.1f}",
                    f"{60 * of['runs'] / of[name]:.1f}",
                    f"{of['here'] / of[name]:.2f}",
                ]
                for name in ("here", "processes")
            ],
        ),
        "populations": table(
            ["members", "ms of a step", "ms of a member's share", "times alone"],
            [
                [
                    row["members"],
                    _ms(row["step"]),
                    _ms(row["each"]),
                    f"{row['each'] / found['populations'][0]['each']:.2f}",
                ]
                for row in found["populations"]
            ],
        ),
        "batches": table(
            ["batch", *(f"{name}, ms" for name in LOSSES), "info_nce cached, ms", "peak of the process"],
            [
                [
                    f"{row['rows']:,}",
                    *(_ms(row[name]) for name in LOSSES),
                    _ms(row["cached info_nce"]),
                    _bytes(row["peak"]),
                ]
                for row in found["batches"]
            ],
        ),
        "galleries": table(
            ["gallery", "queries", "seconds", "ns of a pair", "peak", "every row asked, computed"],
            [
                [
                    f"{row['rows']:,}",
                    f"{row['queries']:,}",
                    f"{row['seconds']:.2f}",
                    f"{1e9 * _pair(row):.2f}",
                    _bytes(row["peak"]),
                    _long(_pair(row) * row["rows"] ** 2),
                ]
                for row in found["galleries"]
            ],
        ),
    }
    of = found["store"]
    made["store"] = table(
        ["of the store", "one run", f"{RUNS:,} runs"],
        [
            [f"kept with `--keep {keep}`", _bytes(of[f"bytes {keep}"]), _bytes(RUNS * of[f"bytes {keep}"])]
            for keep in ("none", "last")
        ]
        + [
            [what, f"{_ms(of[name])} ms", _long(RUNS * of[name])]
            for name, what in (
                ("write", "written and synced"),
                ("check", "every file read and checked"),
                ("read", "its measures read"),
            )
        ],
    )
    made["beyond"] = _beyond(found, ratio)
    small = [name for name in PARTS if found["machine"][name]["reduced"]]
    machines = dict.fromkeys(f"{own['machine']}, {own['time']}" for own in found["machine"].values())
    rest = f" At reduced sizes, beside other work: {', '.join(small)}." if small else ""
    made["machine"] = f"Measured on {'; '.join(machines)}.{rest}"
    return made


def _pair(row: dict[str, float]) -> float:
    """Seconds of one query and one item of a gallery."""
    return row["seconds"] / row["rows"] / row["queries"]


def _beyond(found: dict[str, Any], ratio: float) -> str:
    """What the measured laws say of 10⁴ runs and 10⁸ vectors, where each part ends, and what takes over."""
    of, gallery, batch = found["engines"], found["galleries"][-1], found["batches"][-1]
    run, kept = of["here"] / of["runs"], found["store"]
    best = min(found["populations"], key=lambda row: row["each"])
    few = max((row for row in found["populations"] if row["members"] <= 16), key=lambda row: row["members"])
    base = found["batches"][0]["peak"]
    square = max(1.0, batch["peak"] - base) / batch["rows"] ** 2
    fits = _about(math.sqrt(MEMORY / square))
    first = found["galleries"][0]
    vector = max(1.0, gallery["peak"] - first["peak"]) / max(1, gallery["rows"] - first["rows"])
    asked = _pair(gallery) * VECTORS
    rows = [
        [
            f"{RUNS:,} convolutional runs like these",
            f"{_long(RUNS * run)} `here`; {_long(RUNS * run / ratio)} with {of['workers']} workers",
            "nowhere: time is that of the runs over the number of cores",
            f"`dask`: {_long(RUNS * run / 100)} on 100 workers, as runs share nothing",
        ],
        [
            f"{RUNS:,} runs in one store",
            f"{_bytes(RUNS * kept['bytes last'])}, {_long(RUNS * kept['check'])} to check",
            f"at the disk's number of files, {kept['files last']:.0f} for each run",
            "`--keep none`; a store for each study, joined by `losscope store export` and `import`",
        ],
        [
            "members of a population",
            f"cheapest for each at {best['members']}: {_ms(best['each'])} ms of a step",
            f"nowhere sharply: from {few['members']} members to {best['members']} a share falls by "
            f"{1 - best['each'] / few['each']:.0%} only, and groups are what workers share out",
            "further populations side by side, as `processes` and `dask` share them out",
        ],
        [
            "rows of a batch",
            f"{_ms(batch['info_nce'])} ms at {batch['rows']:,}; memory and time grow with its square",
            f"at about {fits} rows in {_bytes(MEMORY)}, by the tables of all pairs",
            "`losscope.cached` for the network's part; several processes for the pairs' part",
        ],
        [
            f"{VECTORS:,} vectors to search, {gallery['width']} numbers each",
            f"{_bytes(VECTORS * vector)} of memory; {_long(1000 * asked)} for 1,000 queries, "
            f"{_long(VECTORS * asked)} for every row",
            f"at about {_about(MEMORY / vector)} vectors in {_bytes(MEMORY)}",
            "a sample of queries and classes; an index of another library, which is approximate",
        ],
    ]
    return table(["part", "by these numbers", "where it breaks", "what takes over"], rows, "---")


def written(page: str, made: dict[str, str]) -> str:
    """The page with its tables between ``<!-- scale: NAME -->`` and ``<!-- end -->`` as they were made."""
    for name, text in made.items():
        mark = rf"(<!-- scale: {name} -->\n).*?(<!-- end -->)"
        page, count = re.subn(
            mark, lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page, flags=re.S
        )
        assert count == 1, f"the page has {count} places for {name}"
    return page


def measured(part: str, reduced: bool) -> Any:
    """The numbers of a part, measured in a process of its own, so that its memory is its own."""
    command = [sys.executable, __file__, "--inside", part, *(["--reduced"] if reduced else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Measure, keep and write."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas; none: only write")
    words.add_argument("--reduced", action="store_true", help="smaller sizes, for a machine that is busy")
    words.add_argument("--dry", action="store_true", help="print, and write nothing")
    words.add_argument("--inside", choices=PARTS, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.inside:
        torch.set_num_threads(1)
        print(json.dumps(PARTS[given.inside](**(REDUCED if given.reduced else FULL)[given.inside])))
        return
    found = json.loads(KEPT.read_text()) if KEPT.exists() else {"machine": {}}
    for part in filter(None, given.only.split(",")):
        start = time.perf_counter()
        of = found[part] = measured(part, given.reduced)
        machine = (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
        )
        day = time.strftime("%Y-%m-%d")
        found["machine"][part] = {"machine": machine, "time": day, "reduced": given.reduced}
        print(f"{part}, {time.perf_counter() - start:.0f} s: {json.dumps(of)}", flush=True)
        if part == "engines":
            print(f"processes: {of['here'] / of['processes']:.2f} times the throughput of here", flush=True)
    if not given.dry:
        KEPT.write_text(json.dumps(found, indent=1) + "\n")
        if set(PARTS) <= set(found):
            PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), tables(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
