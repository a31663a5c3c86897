"""kill -9 at random moments of a small study: ``python tests/kills.py --engine here --times 100``.

Each time a driver (or one of its workers) is killed, the store is checked, the same command is run again, and
the store is compared with that of an uninterrupted run: ids, heads without times and origins, every array and
trace.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from losscope.comparing import running
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.features import load
from losscope.run import upkeep
from losscope.run.store import Store
from losscope.train import train  # noqa: F401  (imported before a driver is forked)

DATA = {"classes": 3, "points": 12}
GC = "losscope store gc --yes"


def study(out: Path, engine: str, **more: Any) -> Study:
    words = {"losses": ["contrastive", "triplet"], "seeds": 2, "epochs": 2, "batch_size": 16, **more}
    return Study.of(data="synthetic", options=DATA, protocol="paper", out=str(out), engine=engine, **words)


WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def stop_at(root: Path, number: int) -> None:
    """Kill this process before its event of that number: a name or a file under ``root`` is to change."""
    count, inside = 0, str(root.resolve())

    def hook(event: str, words: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            if not (isinstance(words[2], int) and words[2] & CHANGES):
                return
        elif event not in WRITES:
            return
        if not any(isinstance(word, str | Path) and str(word).startswith(inside) for word in words[:2]):
            return
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def driver(out: Path, engine: str, stop: int | None = None, **more: Any) -> int:
    """Start a driver of the study in a process of its own; its id. It ends before its event ``stop``."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        if stop is not None:
            stop_at(out, stop)
        result = running.run(study(out, engine, **more))
        code = 0 if result.unfinished is None else 3
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def workers(parent: int) -> list[int]:
    """The worker processes of a driver."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
    except OSError:
        return []


def contents(root: Path) -> dict[str, Any]:
    """All that a store holds but times and origins, in a form that can be compared."""
    store = Store(root, create=False)
    found: dict[str, Any] = {}
    for run in store.runs():
        run.check()
        head = {key: value for key, value in run.head.items() if key not in ("provenance", "files", "sha256")}
        found[run.id] = (
            head,
            sorted(run.head["files"]),
            run.provenance["population"],
            run.provenance["threads"],
        )
        trace = run.trace() if run.has_trace else None
        found[f"{run.id} trace"] = None if trace is None else trace.to_dict("list")
        for name, arrays in (
            ("arrays", run.arrays()),
            ("embeddings", run.embeddings()),
            ("model", model(run)),
        ):
            for key, value in arrays.items():
                found[f"{run.id} {name} {key}"] = value.dtype.str, value.shape, value.tobytes()
    for path in sorted((root / "studies").glob("*/result.json")):
        result = store.read_json(f"studies/{path.parent.name}/result.json")
        for key in ("store", "report", "provenance"):
            result.pop(key, None)
        found[path.parent.name] = untimed(result)
        assert (path.parent / "report.html").read_text().rstrip().endswith("</html>")
    return found


def untimed(value: Any) -> Any:
    """A part of a result without the seconds that its runs took, which are in the prices of its sides."""
    if isinstance(value, dict):
        return {key: untimed(item) for key, item in value.items() if key != "seconds"}
    if isinstance(value, list):
        return [untimed(item) for item in value]
    return re.sub(r"[\d.]+ (s|min|h) to train", "", value) if isinstance(value, str) else value


def model(run: Any) -> dict[str, np.ndarray]:
    from safetensors.numpy import load as load_weights

    name = "model.safetensors"
    return dict(load_weights(run.content(name))) if name in run.head["files"] else {}


def checked(root: Path) -> int:
    """How many leftovers a killed driver left; anything else that is wrong is an error."""
    if not (root / "store.json").is_file():
        assert not list(root.glob("runs/[!.]*")), "runs in a store without its mark"
        return 0
    problems = upkeep.check(root).problems
    others = [problem for problem in problems if problem.remedy != GC]
    assert not others, others
    return len(problems)


def litter(root: Path) -> list[Path]:
    """What is left of unfinished work, once the workers of the killed driver have ended too."""
    deadline = time.monotonic() + 30
    while True:
        found = [path for path in root.rglob("*") if path.name.endswith((".part", ".tmp", ".pt"))]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def kill_driver(child: int, moment: float) -> None:
    time.sleep(moment)
    os.kill(child, signal.SIGKILL)


def kill_worker(child: int, moment: float) -> None:
    time.sleep(moment)
    found = workers(child)
    if found:
        os.kill(random.choice(found), signal.SIGKILL)


def trial(
    root: Path, engine: str, kill: Callable[[int, float], None], moment: float, whole: dict[str, Any]
) -> str:
    """One killing; what became of it, in a word."""
    child = driver(root, engine)
    kill(child, moment)
    code = ended(child)
    stored, left = recovered(root, engine, whole)
    if code == 0:
        return "ended before it was killed" if kill is kill_driver else "ended all the same"
    return f"killed with {'some' if stored else 'no'} runs stored{', leftovers' if left else ''}"


def recovered(root: Path, engine: str, whole: dict[str, Any]) -> tuple[int, int]:
    """Check a store that was left behind, run the command again, compare; its runs and leftovers before."""
    left = checked(root)
    stored = len(list(root.glob("runs/[!.]*")))
    again = ended(driver(root, engine))
    assert again == 0, f"the same command ended with {again}"
    found = contents(root)
    assert found.keys() == whole.keys(), sorted(found.keys() ^ whole.keys())[:5]
    unlike = [key for key in whole if repr(found[key]) != repr(whole[key])]
    assert not unlike, unlike[:5]
    assert not litter(root), litter(root)
    checked_again = checked(root)
    assert not checked_again
    return stored, left


def every_event(engine: str, step: int = 1) -> Counter[str]:
    """The driver killed before each event of the file system, or each ``step``-th, with what became of it."""
    torch.set_num_threads(1)
    load("synthetic", **DATA)
    counts = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        assert ended(driver(place / "whole", engine)) == 0
        whole = contents(place / "whole")
        number = 1
        while True:
            root = place / str(number)
            code = ended(driver(root, engine, stop=number))
            stored, left = recovered(root, engine, whole)
            shutil.rmtree(root)
            if code == 0:
                return counts
            counts[
                f"killed with {'some' if stored else 'no'} runs stored{', leftovers' if left else ''}"
            ] += 1
            number += step


def trials(
    engine: str, times: int, seconds: float = 1e9, seed: int = 0, victim: str = "driver"
) -> Counter[str]:
    """Killings at random moments, as many as are asked for and the time allows, with what became of each."""
    torch.set_num_threads(1)
    load("synthetic", **DATA)
    kill = kill_driver if victim == "driver" else kill_worker
    draw, counts = random.Random(seed), Counter[str]()
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lasts = 0.0
        for name in ("warm", "whole"):
            start = time.monotonic()
            assert ended(driver(place / name, engine)) == 0
            lasts = time.monotonic() - start
        whole = contents(place / "whole")
        assert len(whole) > 50
        for number in range(times):
            if time.monotonic() > deadline:
                break
            root = place / str(number)
            counts[trial(root, engine, kill, draw.uniform(0, lasts), whole)] += 1
            shutil.rmtree(root)
    return counts


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--engine", choices=["here", "processes"], default="here")
    words.add_argument("--victim", choices=["driver", "worker"], default="driver")
    words.add_argument("--times", type=int, default=100)
    words.add_argument("--events", type=int, help="kill before every so many events instead of at random")
    words.add_argument("--seconds", type=float, default=1e9)
    words.add_argument("--seed", type=int, default=0)
    given = words.parse_args()
    try:
        if given.events:
            counts = every_event(given.engine, given.events)
        else:
            counts = trials(given.engine, given.times, given.seconds, given.seed, given.victim)
    except (AssertionError, LosscopeError) as error:
        sys.exit(f"lost or altered: {error}")
    print(f"{given.engine}, the {given.victim} killed {sum(counts.values())} times: {dict(counts)}")


if __name__ == "__main__":
    main()
