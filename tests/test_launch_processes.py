"""The engine ``processes``: one worker per core, the numbers of one process, a death fails one group only."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest

from losscope.comparing import plan
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.spec import Study
from losscope.run import launch, processes
from losscope.run.store import Store

FATAL = '''
import os
from losscope.core.registry import register
from losscope.losses.tuples import triplet


@register("loss", "fatal", hinge=True, normalised=True, takes="triplets", form="linear hinge")
def fatal(embeddings, relation, *, margin: float = 0.1):
    """Ends its process."""
    os._exit(9)
'''


@pytest.fixture(autouse=True)
def no_plugins_after(monkeypatch):
    monkeypatch.setattr(registry, "_plugins", dict(registry._plugins))
    monkeypatch.setattr(registry, "_plugin_sources", dict(registry._plugin_sources))


def planned(out, seeds=2, **more):
    study = Study.of(
        data="digits",
        seeds=seeds,
        epochs=1,
        tune=False,
        out=str(out),
        engine="processes",
        keep="none",
        closed_forms=False,
        **more,
    )
    return plan(study)


def test_processes_give_the_numbers_of_one_process_and_survive_a_death(tmp_path):
    file = tmp_path / "fatal.py"
    file.write_text(FATAL)
    losses = ["fatal", "contrastive", "triplet"]
    made = planned(tmp_path / "a", seeds=1, losses=losses, plugins=[str(file)])
    seen = []
    launch.execute(
        made.groups, "processes", lambda group, done, total: seen.append((group.name, done, total))
    )
    store = Store(tmp_path / "a")
    runs = store.many(made.ids)
    assert len(runs) == len(made.ids) == 5
    (dead,) = (one for one in runs if one.run.loss.name == "fatal")
    assert dead.failed == "it ended 3 processes: the last with exit code 9"
    assert not store.has(dead.id), "it is tried again"
    here = planned(tmp_path / "b", seeds=1)
    launch.execute(here.groups, "here")
    for one in Store(tmp_path / "b").many(here.ids):
        assert store.get(one.id).measures == one.measures
    assert {done for _, done, _ in seen} == {1}


def test_a_crew_keeps_its_processes_between_calls_and_dismisses_them(tmp_path):
    made = planned(tmp_path / "a", losses=["contrastive", "triplet"])
    half = len(made.groups) // 2
    with launch.crew():
        launch.execute(made.groups[:half], "processes")
        crew = list(processes._crew)
        assert crew
        assert all(worker.process.is_alive() and worker.group is None for worker in crew)
        launch.execute(made.groups[half:], "processes")
        assert processes._crew == crew
    assert processes._crew is None
    assert [worker.process.exitcode for worker in crew] == [0] * len(crew)
    assert all(one.failed is None for one in Store(tmp_path / "a").many(made.ids))
    launch.execute(planned(tmp_path / "b").groups, "processes")
    assert processes._crew is None


def test_what_ends_the_worker_that_is_asked_has_no_answer_and_ends_nothing_else(tmp_path):
    made = planned(tmp_path / "a", losses=["contrastive", "triplet"])
    with launch.crew():
        launch.execute(made.groups, "processes")
        assert launch.ask(math.hypot, 3.0, 4.0) == 5.0
        crew = list(processes._crew)
        assert launch.ask(os._exit, 9) is None
        assert launch.ask(math.hypot, 3.0, 4.0) == (5.0 if len(crew) > 1 else None)
        for _ in crew:
            assert launch.ask(os._exit, 9) is None
    assert [worker.process.exitcode for worker in crew] == [9] * len(crew)


def test_a_mistake_of_the_users_stops_all_and_is_said(tmp_path):
    file = tmp_path / "fatal.py"
    file.write_text(FATAL)
    made = planned(tmp_path / "a", losses=["fatal", "contrastive", "triplet"], plugins=[str(file)])
    file.write_text(FATAL + "# changed\n")
    with pytest.raises(LosscopeError, match="was changed after the command began"):
        launch.execute(made.groups, "processes")


def test_a_dask_cluster_gives_the_numbers_of_one_process(tmp_path):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    from losscope.comparing.running import run

    words = {"data": "digits", "seeds": 2, "epochs": 1, "tune": False, "keep": "none"}
    apart = run(Study.of(**words, engine="dask", out=str(tmp_path / "dask")))
    here = run(Study.of(**words, engine="here", out=str(tmp_path / "here")))
    assert [loss.measures for loss in apart.losses] == [loss.measures for loss in here.losses]
    assert apart.paired == here.paired


def test_a_program_needs_no_guard(tmp_path):
    (tmp_path / "program.py").write_text(
        "import losscope\n"
        "print('begun')\n"
        "found = losscope.compare('digits', losses=['contrastive', 'triplet'], seeds=2, epochs=1,\n"
        "                         tune=False, closed_forms=False, engine='processes', out='runs')\n"
        "print(len(found.losses), 'losses')\n"
    )
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.split("\n") == ["begun", "2 losses", ""]


def test_the_driver_of_a_comparison_in_processes_does_without_torch(tmp_path):
    """Workers have torch; the driver plans, tests and draws without a second spent on importing it."""
    script = tmp_path / "drive.py"
    words = ["compare", "digits", "--seeds", "2", "--epochs", "2", "--no-tune"]
    words += ["--losses", "contrastive,info_nce", "--engine", "processes", "--out", str(tmp_path / "out")]
    script.write_text(
        "import sys\n"
        "from losscope.cli import main\n"
        "if __name__ == '__main__':\n"
        f"    sys.argv = ['losscope', *{words!r}]\n"
        "    try:\n        main()\n"
        "    except SystemExit as ended:\n        assert not ended.code, ended.code\n"
        "    assert 'torch' not in sys.modules\n"
    )
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert list(tmp_path.glob("out/studies/*/forces.json"))
