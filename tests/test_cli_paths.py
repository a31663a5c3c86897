"""Paths that cannot be made, written or read get one sentence and exit code 2, from every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from losscope.cli import main

LONG = "x" * 300
QUICK = ("--seeds", "2", "--epochs", "1", "--no-tune")
FOLDERS = ("/proc/nope", "file", "file/in", "broken", "loop", "loop/in", LONG, "/dev/null", "/dev/null/in")
"""Where no folder can be made."""
FILES = (
    "/proc/nope.html",
    "/proc/nope/x.html",
    "dir.html",
    "file/x.html",
    "broken.html",
    "loop.html",
    f"{LONG}.html",
)
"""Where no file can be written."""
READ = ("dir", "file", "broken", "loop", "/proc/nope", "/dev/null", LONG)
"""What is none of the things that are read."""


def commands() -> list[tuple[str, ...]]:
    calls: list[tuple[str, ...]] = []
    for path in FOLDERS:
        calls.append(("compare", "--out", path, *QUICK))
        calls.append(("compare", "--out", path, "--dry-run", "--no-tune"))
        calls.append(("run", "study.toml", "--out", path))
        calls.append(("reproduce", "zeng2025", "--only", "digits", "--dry-run", "--out", path))
        calls.append(("reproduce", "aa", "--out", path))
        calls.append(("store", "import", path, "absent.zip"))
    for path in FILES:
        calls.append(("judge", "scores.csv", "--report", path))
        calls.append(("audit", "triplet", "--plot", path))
        calls.append(("bench", "losses", "--plot", path))
        calls.append(("embed", "digits", "--backbone", "absent", "--out", path))
    for path in READ:
        calls.append(("run", path))
        calls.append(("judge", path))
        calls.append(("report", path))
        calls.append(("audit", f"{path}.py:name", "--trust"))
        calls.append(("audit", "triplet", "--plugin", path))
        calls.append(("compare", path, *QUICK))
        calls.append(("compare", "--plugin", path, *QUICK))
        calls.append(("compare", "--losses", f"{path}.py:name", "--trust", *QUICK))
        calls.append(("compare", "--pairs", path, *QUICK))
        calls.append(("compare", "--triplets", path, *QUICK))
        calls.append(("compare", "mnist", "--data-root", path, *QUICK))
        calls.append(("embed", path, "--backbone", "absent"))
        calls.append(("store", "check", path))
        calls.append(("store", "gc", path))
        calls.append(("store", "export", path, "all.zip"))
    return calls


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a file, a folder, a link to nothing and a link to itself; ``.html`` of each."""
    monkeypatch.chdir(tmp_path)
    for name in ("dir", "dir.html"):
        Path(name).mkdir()
    Path("file").write_text("")
    for name in ("broken", "broken.html"):
        Path(name).symlink_to("nowhere/x")
    for name in ("loop", "loop.html"):
        Path(name).symlink_to(name)
    Path("study.toml").write_text("seeds = 2\nepochs = 1\ntune = false\n")
    rows = [f"{loss},{seed},recall_at_1,{0.5 + 0.01 * seed}" for loss in "ab" for seed in range(3)]
    Path("scores.csv").write_text("loss,seed,measure,value\n" + "\n".join(rows))


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words).replace(LONG, "LONG"))
def test_a_path_that_cannot_be_is_one_sentence(words, places, capsys):
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if line.startswith("losscope:")]
    assert len(lines) == 1 and said.err.endswith(f"{lines[0]}\n")


def test_a_file_that_can_be_written_is_neither_made_nor_touched_by_the_check(places):
    from losscope.cli.output import refuse_unwritable

    refuse_unwritable(Path("made/new.html"))
    assert not Path("made/new.html").exists()
    Path("kept.html").write_text("kept")
    refuse_unwritable(Path("kept.html"))
    assert Path("kept.html").read_text() == "kept"
