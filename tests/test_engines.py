"""The engines: a limit for each run, the rule of three ends, logs, and a Dask cluster that is there."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import losscope
from losscope.comparing import plan
from losscope.comparing.running import run as compare
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.run import deaths, launch, limits, logs, on_dask, upkeep, working
from losscope.run.deaths import Deaths
from losscope.run.limits import OverLimit, limited
from losscope.run.store import Store

GC = "losscope store gc --yes"
LOSS = '''
import os
import time
from pathlib import Path

import torch
from losscope.core.registry import register
from losscope.losses.tuples import triplet

HERE = Path(__file__).parent


@register("loss", "poison", hinge=True, normalised=True, takes="triplets", form="linear hinge")
def poison(embeddings, relation, *, margin: float = 0.1):
    """Triplet loss; of a margin of 0.25 it ends its process, and of 0.75 it takes its time."""
    margins = torch.as_tensor(margin).flatten()
    if (margins == 0.25).any():
        os._exit(9)
    if (margins == 0.75).any() and (HERE / "slow").exists():
        time.sleep(600)
    while (margins == 0.5).any() and (HERE / "deaf").exists():
        try:
            time.sleep(600)
        except BaseException:
            pass
    return triplet(embeddings, relation, margin=margin)
'''


@pytest.fixture(autouse=True)
def no_plugins_after():
    with registry.forgetting():
        yield


def planned(folder: Path, name: str, losses: str, **more: Any) -> Any:
    """A small study of the plugin's loss and of ours in a store of that name."""
    file = folder / "poison.py"
    if not file.exists():
        file.write_text(LOSS)
    words = {"data": "synthetic", "protocol": "paper", "options": {"classes": 3, "points": 12}, "seeds": 1}
    words |= {
        "batch_size": 16,
        "epochs": 1,
        "plugins": [str(file)],
        "keep": "none",
        "out": str(folder / name),
    }
    return plan(Study.of(**{**words, "losses": losses, **more}))


def ours(made: Any) -> list[Any]:
    """The stored runs of the losses, baselines left out."""
    return [run for run in Store(made.store.root).many(made.ids) if not run.run.loss.baseline]


def said(made: Any, run: Any) -> str:
    return logs.path_of(made.store.root, run.id).read_text()


# The limit of a run


def with_limit(made: Any, loss: str, seconds: float) -> list[Any]:
    """The groups of a plan, those of one loss with a limit: the others may take what a busy machine takes."""
    return [
        replace(group, where=replace(group.where, run_limit=seconds))
        if group.runs[0].loss.name == loss
        else group
        for group in made.groups
    ]


def test_work_over_its_limit_is_ended_in_any_thread_and_never_after_its_end():
    with pytest.raises(OverLimit), limited(0.05):
        time.sleep(30)
    ended = []

    def count() -> None:
        try:
            with limited(0.05):
                while True:
                    time.sleep(0.001)
        except OverLimit:
            ended.append("over")

    thread = threading.Thread(target=count)
    thread.start()
    thread.join(20)
    assert ended == ["over"]
    for seconds in (0.05, 1e300):
        with limited(seconds, end=lambda: ended.append("too late")):
            pass
    time.sleep(0.2)
    assert ended == ["over"]
    assert not limits._at_work


def test_a_signal_of_another_goes_where_it_went_before():
    heard = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    try:
        with limited(30.0):
            signal.raise_signal(signal.SIGALRM)
        assert heard == [signal.SIGALRM]
        assert signal.getsignal(signal.SIGALRM) not in (signal.SIG_DFL, None)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_that_python_does_not_handle_is_given_back():
    before = signal.getsignal(signal.SIGALRM)
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        with limited(30.0):
            (work,) = limits._at_work
            work.before = None  # what signal.signal returns of a handler that another language put there
        assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGALRM, before)


def test_work_is_interrupted_by_its_name():
    found = []

    def wait() -> None:
        try:
            with limited(None, "mine"):
                found.append("begun")
                while True:
                    time.sleep(0.001)
        except KeyboardInterrupt as error:
            found.append(type(error).__name__)

    thread = threading.Thread(target=wait)
    thread.start()
    while not found:
        time.sleep(0.001)
    assert limits.interrupt("another's") == 0
    assert limits.interrupt("mine") == 1
    thread.join(20)
    assert found == ["begun", "KeyboardInterrupt"]


def test_a_run_over_its_limit_is_failed_and_tried_again(tmp_path):
    made = planned(tmp_path, "out", "poison(margin=0.75),contrastive")
    (tmp_path / "slow").touch()
    launch.execute(with_limit(made, "poison", 1.0), "here")
    slow, other = sorted(ours(made), key=lambda run: run.run.loss.name != "poison")
    assert slow.failed == "it took longer than its limit of 1 s"
    assert other.failed is None
    assert made.store.unfinished(made.ids).failed == 1
    text = said(made, slow)
    assert "its time was up" in text and "failed: it took longer" in text
    (tmp_path / "slow").unlink()
    launch.execute(made.groups, "here")
    assert made.store.unfinished(made.ids) is None
    assert [line.split()[1] for line in said(made, slow).splitlines() if line[0] != " "] == [
        "start",
        "stopped",
        "end",
        "start",
        "end",
    ]


def test_a_population_has_the_limit_of_its_members_together(tmp_path):
    made = planned(tmp_path, "out", "contrastive", seeds=4, run_limit=600.0)
    (group,) = (group for group in made.groups if not group.runs[0].loss.baseline)
    assert group.limit == 2400.0
    assert working.over_limit(group).endswith("4 times 10 min")
    assert [single.limit for single in group.alone()] == [600.0] * 4
    alike = planned(tmp_path, "out", "contrastive", seeds=4)
    assert alike.ids == made.ids and alike.name == made.name, "a limit is no part of a study"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_a_run_that_does_not_react_to_its_limit_ends_with_its_process(tmp_path, engine):
    if engine == "dask":
        pytest.importorskip("distributed", reason="the extra dask is not installed")
    made = planned(tmp_path, "out", "poison(margin=0.5),contrastive")
    (tmp_path / "deaf").touch()
    launch.execute(with_limit(made, "poison", 1.0), engine)
    failed = {run.run.loss.name: run.failed for run in ours(made)}
    assert failed == {"poison": "it took longer than its limit of 1 s", "contrastive": None}
    assert not list(tmp_path.glob("out/.command*"))


# The rule of three


def test_a_group_that_ends_three_processes_is_split_and_only_a_run_that_does_alone_is_failed(tmp_path):
    made = planned(tmp_path, "out", "contrastive", seeds=3)
    (group,) = (group for group in made.groups if not group.runs[0].loss.baseline)
    told: list[Any] = []
    counted = Deaths(lambda *progress: told.append(progress))
    assert [counted.attempt(group), counted.after(group, "by SIGKILL")] == [1, [group]]
    assert [counted.attempt(group), counted.after(group, "by SIGKILL")] == [2, [group]]
    launch.run_group(group.alone()[1])
    assert not told
    left = counted.after(group, "by SIGKILL")
    assert told == [(group, 0, 1)], "its members are counted from their start"
    assert [single.ids for single in left] == [(group.ids[0],), (group.ids[2],)], "what is stored is left out"
    assert not Store(made.store.root).many([group.ids[0]]), "nothing is failed yet"
    poison = left[0]
    assert counted.after(poison) == counted.after(poison) == [poison]
    assert counted.after(poison, "by SIGSEGV") == []
    (failed,) = Store(made.store.root).many([group.ids[0]])
    assert failed.failed == "it ended 3 processes: the last by SIGSEGV"
    assert failed.provenance["losscope"] == losscope.__version__
    assert counted.after(left[1]) == [left[1]], "another run's ends are its own"
    assert "its group ended too many processes: it is trained alone" in said(made, failed)


def test_attempts_that_a_scheduler_made_by_itself_count(tmp_path):
    made = planned(tmp_path, "out", "contrastive")
    (group,) = (group for group in made.groups if not group.runs[0].loss.baseline)
    assert Deaths().after(group, ended=deaths.MOST_DEATHS) == []


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_only_the_run_that_ends_processes_is_failed_of_those_that_train_with_it(tmp_path, engine):
    if engine == "dask":
        pytest.importorskip("distributed", reason="the extra dask is not installed")
    losses = "poison(margin=0.2),poison(margin=0.25),poison(margin=0.3)"
    made = planned(tmp_path, engine, losses)
    assert 3 in {len(group.runs) for group in made.groups}
    launch.execute(made.groups, engine)
    found = {run.run.loss.hyperparameters["margin"]: run for run in ours(made)}
    assert found[0.25].failed.startswith("it ended 3 processes")
    assert [found[margin].failed for margin in (0.2, 0.3)] == [None, None]
    here = planned(tmp_path, "here", "poison(margin=0.2),poison(margin=0.3)")
    launch.execute(here.groups, "here")
    assert {run.id: run.measures for run in ours(here)} == {
        found[margin].id: found[margin].measures for margin in (0.2, 0.3)
    }
    assert said(made, found[0.25]).count(" lost ") == 6


# Logs


def test_a_log_is_bounded_and_holds_no_control_characters(tmp_path):
    made = planned(tmp_path, "out", "contrastive")
    group = made.groups[0]
    for number in range(200):
        logs.write(group, "warning", f"number {number} \x1b[31m\n" + "long\n" * 200)
    path = logs.path_of(made.store.root, group.ids[0])
    text = path.read_text()
    assert path.stat().st_size <= logs.LARGEST
    assert text.startswith("[older entries were removed]\n") and "number 199" in text
    assert "\x1b" not in text and "number 0 " not in text
    logs.write(group, "raised", "first" + "x" * 10**6 + "last")
    assert "last" in path.read_text() and path.stat().st_size <= logs.LARGEST


def test_warnings_that_never_repeat_end_after_a_hundred(tmp_path):
    import warnings

    made = planned(tmp_path, "out", "contrastive")
    group = made.groups[0]
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        with logs.attempt(group, "here", 1, "2 × cpu"):
            for number in range(300):
                warnings.warn(f"loss {number}", stacklevel=1)
    text = logs.path_of(made.store.root, group.ids[0]).read_text()
    assert text.count("UserWarning: loss") == logs.MOST_WARNINGS
    assert "UserWarning: loss 99 " in text and text.count("[further warnings are left out]") == 1
    assert "engine here, 2 × cpu of " in text.splitlines()[0]


def test_logs_hold_warnings_and_what_was_raised_and_are_no_part_of_a_run(tmp_path):
    file = tmp_path / "poison.py"
    file.write_text(
        LOSS.replace(
            "    margins =", "    import warnings\n    warnings.warn('odd \\x1b[0m margin')\n    margins ="
        )
        + "# raised\n"
    )
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        made = planned(tmp_path, "out", "poison(margin=0.2)", seeds=2)
        launch.execute(made.groups, "here")
    for run in ours(made):
        text = said(made, run)
        assert text.count("UserWarning: odd \\x1b[0m margin") == 1
        assert "one of 2 runs that train together" in text
        assert text.splitlines()[-1].split()[1] == "end" and "complete" in text.splitlines()[-1]
        assert set(os.listdir(run.path)) == {"run.json", *run.head["files"]}
    assert not upkeep.check(made.store.root).problems
    before = {run.id: run.head["files"] for run in ours(made)}
    for path in (made.store.root / "logs").iterdir():
        path.unlink()
    assert not upkeep.check(made.store.root).problems
    assert before == {run.id: run.head["files"] for run in ours(made)}


def test_a_log_whose_run_is_gone_is_a_leftover_after_a_month(tmp_path):
    made = planned(tmp_path, "out", "contrastive")
    launch.execute(made.groups, "here")
    logs.write(made.groups[0], "note", ids=["gone"])
    gone = logs.path_of(made.store.root, "gone")
    assert upkeep.gc(made.store.root, yes=True) == []
    old = time.time() - 40 * 86_400
    for path in (made.store.root / "logs").iterdir():
        os.utime(path, (old, old))
    (problem,) = upkeep.check(made.store.root).problems
    assert problem.place == str(gone) and "the log of a run that is not in the store" in problem.what
    assert upkeep.gc(made.store.root, yes=True) == [gone]
    assert len(list((made.store.root / "logs").iterdir())) == len(made.ids)


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    made = planned(tmp_path, "out", "contrastive")
    (made.store.root / "logs").write_text("a file in the way")
    launch.execute(made.groups, "here")
    assert made.store.unfinished(made.ids) is None


# Dask


@pytest.fixture
def cluster():
    """A cluster that is there: a scheduler and a worker with one thread, in this process."""
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    words = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "protocol": "tcp"}
    with distributed.LocalCluster(processes=False, **words) as made:
        yield made


@pytest.mark.parametrize(
    "address", ["", "scheduler", "tcp://nowhere", "ftp://host:8786", "tcp://host:-1", "a:b"]
)
def test_what_is_no_address_is_refused_at_once(tmp_path, address):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    started = time.monotonic()
    with pytest.raises(
        LosscopeError, match="is no address of a Dask scheduler; wanted: --address tcp://HOST"
    ):
        compare(Study.of(address=address, out=str(tmp_path)))
    assert time.monotonic() - started < 5 and not list(tmp_path.iterdir())


def test_an_address_where_no_scheduler_is_is_one_sentence_within_seconds(tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.setattr(on_dask, "REACHED", 1.0)
    with pytest.raises(LosscopeError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9' within 1 s"):
        compare(Study.of(address="tcp://127.0.0.1:9", out=str(tmp_path)))
    assert not list(tmp_path.iterdir())


def test_an_address_of_the_command_goes_before_the_engine_of_a_study_file(tmp_path, capsys):
    from losscope.cli import main

    file = tmp_path / "study.toml"
    file.write_text('data = "synthetic"\nengine = "processes"\n')
    with pytest.raises(SystemExit) as ended:
        main(["run", str(file), "--address", "nowhere", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(
        "losscope: 'nowhere' is no address of a Dask scheduler; wanted:"
    )


def test_an_address_beside_another_engine_is_refused():
    with pytest.raises(LosscopeError, match="the engine is processes; leave out --engine, or the address"):
        Study.of(address="tcp://host:8786", engine="processes")


@pytest.mark.filterwarnings("ignore")  # of the cluster, about ports
def test_a_cluster_with_an_address_gives_the_numbers_of_one_process_and_tells_epochs(tmp_path, cluster):
    address = cluster.scheduler_address
    made = planned(tmp_path, "dask", "contrastive,triplet", seeds=2, epochs=3, address=address)
    seen: list[tuple[str, int, int]] = []
    launch.execute(made.groups, "auto", lambda group, done, total: seen.append((group.name, done, total)))
    here = planned(tmp_path, "here", "contrastive,triplet", seeds=2, epochs=3)
    assert here.ids == made.ids and here.name == made.name
    launch.execute(here.groups, "here")
    for own, other in zip(made.store.many(made.ids), here.store.many(here.ids), strict=True):
        assert own.measures == other.measures and own.failed is None
    trained = next(group for group in made.groups if group.runs[0].loss.name == "triplet")
    # The first epoch at once, the end in any case, and those between as far as they last.
    assert {(1, 3), (3, 3)} <= {(done, total) for name, done, total in seen if name == trained.name}
    assert not list(made.store.root.glob(".command*"))
    assert "engine dask" in said(made, ours(made)[0])


@pytest.mark.filterwarnings("ignore")
def test_a_worker_with_several_threads_trains_one_group_at_a_time(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    words = {"n_workers": 1, "dashboard_address": "127.0.0.1:0", "protocol": "tcp", "processes": False}
    elsewhere, home = tmp_path / "elsewhere", tmp_path / "home"
    elsewhere.mkdir()
    home.mkdir()
    monkeypatch.chdir(elsewhere)
    with (
        distributed.LocalCluster(threads_per_worker=3, **words) as made,
        distributed.Client(made.scheduler_address, set_as_default=False) as client,
    ):
        plans = [planned(tmp_path, f"out-{loss}", loss, epochs=30) for loss in ("contrastive", "triplet")]
        tasks = [
            client.submit(on_dask.work, group, str(tmp_path), "name", str(home), pure=False)
            for own in plans
            for group in own.groups
        ]
        most = 0
        while not all(task.done() for task in tasks):
            most = max(most, len(limits._at_work))
            time.sleep(0.002)
        assert most == 1
        assert [task.result().how for task in tasks] == ["done"] * len(tasks)
    assert Path.cwd() == elsewhere


@pytest.mark.filterwarnings("ignore")
def test_ctrl_c_cancels_the_tasks_of_a_cluster_and_keeps_what_is_stored(tmp_path, cluster):
    address = cluster.scheduler_address
    made = planned(tmp_path, "out", "contrastive,triplet", epochs=200, address=address)

    def stop(group: Any, done: int, total: int) -> None:
        if total == 200 and done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch.execute(made.groups, "dask", stop)
    assert not limits._at_work, "the worker has stopped"
    stored = [run.run.loss.name for run in made.store.runs()]
    assert "triplet" not in stored
    assert list((made.store.root / "checkpoints").glob("*.pt")), "and has kept its state"
    assert not list(made.store.root.glob(".command*"))
    launch.execute(made.groups, "dask")
    assert made.store.unfinished(made.ids) is None
    assert len(made.store.many(made.ids)) == len(made.ids)


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_goes_away_is_one_sentence(tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.setattr(on_dask, "REACHED", 1.0)
    monkeypatch.setattr(on_dask, "LOOK", 0.2)
    found, shown = tmp_path / "scheduler.json", []
    call = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler = subprocess.Popen(
        [*call, "--no-dashboard", "--scheduler-file", str(found)], stderr=subprocess.DEVNULL
    )
    logger, handler = logging.getLogger("distributed.client"), logging.Handler()
    handler.emit = shown.append
    logger.addHandler(handler)
    try:
        while not (found.exists() and found.read_text().endswith("}")):
            assert scheduler.poll() is None
            time.sleep(0.05)
        address = json.loads(found.read_text())["address"]
        made = planned(tmp_path, "out", "contrastive", address=address)
        with pytest.raises(LosscopeError, match="the Dask scheduler at .* went away; what is stored is kept"):
            launch.execute(made.groups, "dask", say=lambda _: scheduler.kill())
    finally:
        logger.removeHandler(handler)
        scheduler.kill()
        scheduler.wait()
    assert not shown, "no traceback beside the sentence"
    assert not list(made.store.root.glob(".command*"))


@pytest.mark.filterwarnings("ignore")
def test_a_gpu_is_asked_for_as_a_resource(tmp_path, cluster):
    made = planned(tmp_path, "out", "contrastive", address=cluster.scheduler_address, device="cuda")
    assert made.groups[0].where.device == "cuda"
    with pytest.raises(LosscopeError, match="none of the 1 workers of the Dask cluster at .* declares a GPU"):
        launch.execute(made.groups, "dask")
    assert not list(made.store.runs())


@pytest.mark.filterwarnings("ignore")
def test_a_worker_without_the_drivers_disk_says_so(tmp_path, cluster):
    from distributed import Client

    made = planned(tmp_path, "out", "contrastive")
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        for home, command in (("/no/such/folder", str(tmp_path)), (str(tmp_path), "/no/such/folder")):
            task = client.submit(on_dask.work, made.groups[0], command, "name", home, pure=False)
            ended = task.result(60)
            assert ended.how == "mistake"
            assert "does not see the folder '/no/such/folder'; workers need" in ended.said


@pytest.mark.filterwarnings("ignore")
def test_what_a_worker_lacks_is_said_with_its_address(tmp_path, cluster):
    made = planned(tmp_path, "out", "contrastive,poison", address=cluster.scheduler_address)
    file = tmp_path / "poison.py"
    file.write_text(LOSS + "# changed\n")
    with pytest.raises(
        LosscopeError, match=r"the worker tcp://.* on .*: .*was changed after the command began"
    ):
        launch.execute(made.groups, "dask")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_ctrl_c_in_a_terminal_reaches_workers_once_and_states_are_kept(tmp_path, engine):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    out, words = tmp_path / "out", "--losses contrastive --protocol paper --seeds 2 --epochs 20000 --engine"
    call = [
        sys.executable,
        "-m",
        "losscope",
        "compare",
        "synthetic",
        *words.split(),
        engine,
        "--out",
        str(out),
    ]
    with open(tmp_path / "said", "w") as said:
        # A terminal hands Ctrl-C to all processes of a group.
        command = subprocess.Popen(call, stdout=said, stderr=said, start_new_session=True)
    try:
        while not at_work(out, alone=False):
            assert command.poll() is None
            time.sleep(0.1)
        time.sleep(1.5)
        os.killpg(command.pid, signal.SIGINT)
        assert command.wait(60) == 130
    finally:
        command.kill()
    assert list(out.glob("checkpoints/*.pt"))
    text = (tmp_path / "said").read_text()
    assert "stopped; what is finished is kept" in text and "Traceback" not in text


# Workers that are killed


def pictures(folder: Path) -> str:
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 255, (320, 16, 16), dtype=np.uint8), np.arange(320) % 4
    np.savez(folder / "pictures.npz", images=images, labels=labels)
    return str(folder / "pictures.npz")


def at_work(store: Path, alone: bool = True) -> dict[int, str]:
    """The processes that train a run, by itself or not, each with its run, as the logs tell."""
    found = {}
    for path in store.glob("logs/*.log"):
        lines = [line for line in path.read_text().splitlines() if line and line[0] != " "]
        lasts = time.time() - path.stat().st_mtime
        if lasts > 1 and lines and " start " in lines[-1] and not (alone and "together" in lines[-1]):
            found[int(lines[-1].partition("process ")[2].partition(",")[0])] = path.stem
    return found


def killer(store: Path, every: float, most: int, over: threading.Event, killed: Counter[str]) -> None:
    """Kill a worker at work every so many seconds, none that trains a run which was killed twice."""
    draw, last, gone = random.Random(0), 0.0, set[int]()
    while not over.wait(0.25) and sum(killed.values()) < most:
        victims = [(pid, run) for pid, run in at_work(store).items() if killed[run] < 2 and pid not in gone]
        if victims and time.monotonic() - last > every:
            pid, run = draw.choice(victims)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed[run] += 1
                gone.add(pid)
                last = time.monotonic()


def keeper(cluster: Any, workers: int, over: threading.Event) -> None:
    """Start workers again where all are gone: Dask gives up one that is killed while it is said to start."""
    alone = 0
    while not over.wait(2.0):
        alone = 0 if cluster.scheduler.workers else alone + 1
        if alone > 6:
            cluster.scale(0)
            cluster.scale(workers)
            alone = 0


def killed_all_along(
    folder: Path, seeds: int, every: float, most: int, failures: int, workers: int = 2
) -> tuple[int, int]:
    """Short runs on workers that are killed; (runs, kills). All are complete and those of ``here``."""
    import dask
    from distributed import LocalCluster

    words = {"data": pictures(folder), "losses": ["contrastive", "triplet"], "seeds": seeds, "tune": False}
    words |= {
        "protocol": "matched",
        "epochs": 60,
        "batch_size": 64,
        "keep": "none",
        "closed_forms": False,
    }
    over, killed = threading.Event(), Counter[str]()
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": failures}),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
    ):
        made = plan(Study.of(**words, address=cluster.scheduler_address, out=str(folder / "dask")))
        threads = [
            threading.Thread(target=killer, args=(made.store.root, every, most, over, killed)),
            threading.Thread(target=keeper, args=(cluster, workers, over)),
        ]
        for thread in threads:
            thread.start()
        try:
            launch.execute(made.groups, "dask")
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert made.store.unfinished(made.ids) is None
    here = plan(Study.of(**words, engine="here", out=str(folder / "here")))
    launch.execute(here.groups, "here")
    every_run = here.store.many(here.ids)
    assert len(every_run) == len(here.ids)
    for own in every_run:
        other = made.store.get(own.id)
        assert other.status == own.status == "complete"
        assert other.measures == own.measures
        if own.has_trace:
            assert other.trace().equals(own.trace())
        for name, value in own.arrays().items():
            assert np.array_equal(other.arrays()[name], value, equal_nan=value.dtype.kind == "f")
    # What a killed worker left half-written the next command sweeps; nothing else is wrong.
    assert {problem.remedy for problem in upkeep.check(made.store.root).problems} <= {GC}
    trained = sum(not run.run.loss.baseline for run in every_run)
    return trained, sum(killed.values())


@pytest.mark.filterwarnings("ignore")
def test_runs_on_workers_that_are_killed_are_those_of_one_process(tmp_path):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    assert killed_all_along(tmp_path, seeds=1, every=0.0, most=1, failures=0, workers=1) == (2, 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("failures", [0, 3])
def test_forty_runs_on_workers_that_are_killed_are_those_of_one_process(tmp_path, failures, capsys):
    """``failures``: ends that the cluster's own scheduler allows; losscope's rule is the same for each."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    runs, kills = killed_all_along(tmp_path, seeds=20, every=4.0, most=40, failures=failures)
    with capsys.disabled():
        print(f"\n{runs} runs, {kills} workers killed")
    assert runs == 40
    assert kills >= 5
