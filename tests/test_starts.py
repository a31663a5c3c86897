"""The files that start a study on a cluster: read as Slurm and Kubernetes do, and run on this machine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from losscope.run import logs
from losscope.run.store import Store

ROOT = Path(__file__).parents[1]
STARTS = ROOT / "docs" / "howto" / "starts"
SLURM, KUBERNETES = STARTS / "slurm.sh", STARTS / "kubernetes.yaml"
OPTIONS = {
    "job-name": r"[\w-]+",
    "ntasks": r"\d+",
    "cpus-per-task": "1",
    "mem-per-cpu": r"\d+[KMGT]",
    "time": r"\d\d:\d\d:\d\d",
    "signal": r"(B:)?[A-Z]+@\d+",
    "output": r"\S+%j\S*",
    "gpus-per-task": r"\d+",
}
"""Options of sbatch, each with how its value looks (slurm.schedmd.com/sbatch.html)."""
STUDY = """
data = "synthetic"
protocol = "paper"
losses = ["contrastive", "triplet"]
seeds = 2
epochs = {epochs}
batch_size = 16
out = "out"
[options]
classes = 3
points = 12
"""


def documents() -> list[Any]:
    yaml = pytest.importorskip("yaml", reason="the extra dask, which brings PyYAML, is not installed")
    return list(yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8")))


def test_the_slurm_file_is_a_script_with_options_that_sbatch_has():
    subprocess.run(["bash", "-n", SLURM], check=True)
    text = SLURM.read_text(encoding="utf-8")
    lines = re.findall(r"^##?SBATCH --([\w-]+)=(.*)$", text, flags=re.M)
    assert len(lines) == text.count("SBATCH --") >= 7
    for name, value in lines:
        assert re.fullmatch(OPTIONS[name], value), (name, value)
    assert text.startswith("#!/bin/bash\n") and text.index("\nset -euo") > text.rindex("SBATCH")


def test_the_kubernetes_file_holds_a_service_and_two_jobs_that_find_each_other():
    service, driver, workers = documents()
    assert [(own["apiVersion"], own["kind"]) for own in (service, driver, workers)] == [
        ("v1", "Service"),
        ("batch/v1", "Job"),
        ("batch/v1", "Job"),
    ]
    names = [own["metadata"]["name"] for own in (service, driver, workers)]
    assert len(set(names)) == 3 and all(
        re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in names
    )
    labels = [job["spec"]["template"]["metadata"]["labels"] for job in (driver, workers)]
    assert [service["spec"]["selector"].items() <= own.items() for own in labels] == [True, False]
    (port,) = service["spec"]["ports"]
    (of_driver,), (of_workers,) = (job["spec"]["template"]["spec"]["containers"] for job in (driver, workers))
    assert of_driver["ports"] == [{"containerPort": port["targetPort"]}]
    assert f"--port {port['targetPort']} " in of_driver["args"][0]
    assert f"tcp://{names[0]}:{port['port']} " in of_workers["args"][0]
    assert of_driver["image"] == of_workers["image"]
    for job, container in ((driver, of_driver), (workers, of_workers)):
        pod = job["spec"]["template"]["spec"]
        assert pod["restartPolicy"] == "OnFailure", "a job's pods may not say Always"
        assert {own["name"] for own in container["volumeMounts"]} == {own["name"] for own in pod["volumes"]}
        assert set(container) <= {
            *("name", "image", "workingDir", "command", "args", "env", "ports", "resources", "volumeMounts")
        }
        assert set(job["spec"]) <= {"parallelism", "backoffLimit", "template"}
        assert all(isinstance(own["value"], str) for own in container["env"])
        subprocess.run(["bash", "-n", "-c", container["args"][0]], check=True)


def test_the_page_shows_both_files():
    page = (ROOT / "docs" / "howto" / "cluster.md").read_text(encoding="utf-8")
    for path in (SLURM, KUBERNETES):
        assert f"starts/{path.name}" in page


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a study, and a PATH with losscope, dask, and an ``srun`` that starts two tasks here."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "srun").write_text('#!/bin/bash\n"$@" & "$@" & wait\n')
    for name, module in (("losscope", "losscope"), ("dask", "dask")):
        (programs / name).write_text(f'#!/bin/bash\nexec {sys.executable} -m {module} "$@"\n')
    (programs / "python").symlink_to(sys.executable)
    for path in programs.iterdir():
        if not path.is_symlink():
            path.chmod(0o755)
    (tmp_path / "study.toml").write_text(STUDY.format(epochs=1))
    return tmp_path


def surroundings(home: Path) -> dict[str, str]:
    source = str(ROOT / "src")
    return {**os.environ, "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": source}


def whole(home: Path) -> None:
    """Every run of the study is there, trained on the cluster."""
    store = Store(home / "out", create=False)
    runs = list(store.runs())
    assert len(runs) >= 8 and all(run.status == "complete" for run in runs)
    trained = [run for run in runs if not run.run.loss.baseline]
    assert all("engine dask" in logs.path_of(home / "out", run.id).read_text() for run in trained)


@pytest.mark.slow
def test_the_slurm_file_runs_a_study_on_two_workers(home):
    words = {**surroundings(home), "SLURM_JOB_ID": "7"}
    done = subprocess.run(
        ["bash", SLURM, "study.toml"], cwd=home, env=words, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    whole(home)
    assert not list(home.glob("scheduler-*.json"))


@pytest.mark.slow
def test_the_slurm_file_passes_the_warning_on_and_the_next_job_goes_on(home):
    (home / "study.toml").write_text(STUDY.format(epochs=400))
    words = {**surroundings(home), "SLURM_JOB_ID": "8"}
    job = subprocess.Popen(["bash", SLURM, "study.toml"], cwd=home, env=words, stderr=subprocess.PIPE)
    until = time.monotonic() + 200
    while not list(home.glob("out/logs/*.log")) and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(3)
    job.send_signal(signal.SIGINT)
    _, told = job.communicate(timeout=200)
    assert job.returncode == 130, told[-2000:]
    assert list(home.glob("out/checkpoints/*.pt")), "an unfinished state was kept"
    again = subprocess.run(["bash", SLURM, "study.toml"], cwd=home, env=words, timeout=400)
    assert again.returncode == 0
    whole(home)


@pytest.mark.slow
def test_the_commands_of_the_kubernetes_file_run_a_study(home):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def command(job: Any) -> list[str]:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        text = container["args"][0].replace("8786", str(port)).replace("/data", str(home))
        return [*container["command"], text.replace("losscope-scheduler", "127.0.0.1")]

    _, driver, workers = documents()
    words = surroundings(home)
    started = subprocess.Popen(command(workers), cwd=home, env=words, stderr=subprocess.DEVNULL)
    try:
        done = subprocess.run(
            command(driver), cwd=home, env=words, capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert started.wait(60) == 0, "the workers' job is complete too"
    finally:
        started.kill()
    whole(home)
