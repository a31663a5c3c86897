"""A command says every note once, wherever it says it, and a dry run leaves every folder as it was."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cli_fixture import typed
from losscope.core import registry
from losscope.core.saying import Once

Y = np.repeat(np.arange(5), 40)
RNG = np.random.default_rng(0)
X = (1.5 * RNG.normal(size=(5, 8))[Y] + RNG.normal(size=(200, 8))).astype(np.float32)
SHORT = "--no-tune --epochs 1 --seeds 2 --engine here"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with features of which some are background, and embeddings of two losses."""
    labels = np.where(np.arange(200) % 8 == 0, -1, Y)
    np.savez(tmp_path / "data.npz", features=X, labels=labels)
    np.savez(
        tmp_path / "text.npz", features=X.astype(str), labels=np.where(labels < 0, "nan", labels.astype(str))
    )
    for loss in ("ours", "triplet"):
        (tmp_path / "runs" / loss).mkdir(parents=True)
        for seed in range(2):
            points = X + np.random.default_rng(seed).normal(size=X.shape) * (1 + (loss == "ours"))
            np.savez(tmp_path / "runs" / loss / f"{seed}.npz", embeddings=points, labels=labels, more=labels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = (
    (f"compare data.npz {SHORT} --out out", ("rows are background", "the batch is 32 rows")),
    (f"compare data.npz {SHORT} --out out --dry-run", ("rows are background", "the batch is 32 rows")),
    (f"compare text.npz {SHORT} --out out", ("array features is text", "taken as a class")),
    (f"compare text.npz {SHORT} --out out --dry-run", ("array features is text", "taken as a class")),
    ("judge 'runs/{loss}/{seed}.npz'", ("rows are background", "Not read: the array more")),
)


@pytest.mark.parametrize(("command", "notes"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_every_note_is_said_once(command, notes, home, capsys):
    code, said = typed(command, capsys)
    assert code == 0, said
    whole = " ".join(said.split())  # a table's notes are broken into lines
    for note in notes:
        assert whole.count(note) == 1, said
    told = [line.strip().removesuffix(".") for line in said.splitlines() if len(line) > 40]
    lines = Counter(line for line in told if any(letter.isalpha() for letter in line))  # not two equal rows
    assert not [line for line, count in lines.items() if count > 1], said


def test_embed_says_every_note_once(photos, weights, cache, home, capsys):
    (home / "photos").symlink_to(photos)
    (home / "extra").mkdir()
    rows = [f"photos/class{row % 3}/{row:02d}.png,{('nan', 'b', 'c')[row % 3]}" for row in range(48)]
    (home / "list.csv").write_text("path,label\n" + "\n".join(rows))
    command = f"embed list.csv --backbone {shlex.quote(str(weights))} --preprocess size=32 --out made.npz"
    code, said = typed(command, capsys)
    assert code == 0, said
    assert said.count("taken as a class") == 1 and "computing features of 48 images" in said
    code, said = typed(f"{command} --ignore-label=nan", capsys)
    assert code == 0 and "taken as a class" not in said and "background: 16 rows of label nan" in said
    with np.load("made.npz") as made:
        assert np.bincount(made["labels"] + 1).tolist() == [16, 16, 16]


def test_a_note_that_was_said_does_not_stand_with_the_result_again(home, capsys):
    from losscope import judge
    from losscope.cli.output import print_result

    heard: list[str] = []
    say = Once(heard.append)
    say("before")
    result = judge("runs/{loss}/{seed}.npz").model_copy(update={"notes": ("before", "after", "after")})
    print_result(result, False, say)
    lines = [line.strip().removeprefix("Note: ") for line in capsys.readouterr().out.splitlines()]
    assert "before" not in lines and lines.count("after") == 1


def test_a_sentence_with_and_without_its_full_stop_is_one() -> None:
    heard: list[str] = []
    say = Once(heard.append)
    for sentence in ("one", "one.", " one", "two.", "one"):
        say(sentence)
    assert heard == ["one", "two."] and say.knows("two") and not say.knows("three")


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below a folder with its time of writing and its content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


TOY = '''
"""A paper of one cell."""

from losscope.core.registry import register
from losscope.papers.paper import Cell, Claim, Compared, Paper


@register("paper", "toy", title="A toy paper")
def toy():
    """Which loss keeps more variance?"""
    losses = ("contrastive", "triplet")
    wider = Compared("triplet", "higher", "contrastive")
    cell = Cell("synthetic", "paper", losses, options={"classes": 4, "points": 24}, epochs=1, batch_size=32)
    return Paper(losses, (cell,), (Claim("wider", "more variance", "made up", "intra_variance", wider),))
'''
DRY = (
    f"compare data.npz {SHORT}",
    "compare data.npz --epochs 1 --seeds 2 --budget 60s",
    "reproduce toy --plugin toy.py --seeds 2 --engine here",
)


PLACES = (
    *((command, where) for command in DRY[:2] for where in ("", "--out absent/deep", "--out there")),
    *((DRY[2], where) for where in ("--out absent", "--out there")),
)


@pytest.mark.parametrize(("command", "where"), PLACES)
def test_a_dry_run_writes_nothing(command, where, home, capsys):
    if where.endswith("there"):  # a store that holds runs already, and no speeds
        code, said = typed(f"compare data.npz {SHORT} --losses triplet --no-closed-forms --out there", capsys)
        assert code == 0, said
    (home / "toy.py").write_text(TOY)
    before = tree(home)
    with registry.forgetting():
        code, said = typed(f"{command} {where} --dry-run", capsys)
    assert code == 0, said
    assert tree(home) == before


def test_a_dry_run_of_a_backbone_writes_nothing(photos, weights, cache, home, capsys):
    before = tree(home)
    command = f"compare {shlex.quote(str(photos))} --backbone {shlex.quote(str(weights))} --seeds 2 --dry-run"
    code, said = typed(command, capsys)
    assert code == 0 and "to be computed first" in said, said
    assert tree(home) == before


def test_what_has_no_dry_run_says_so_and_trains_nothing(home, capsys):
    before = tree(home)
    code, said = typed("reproduce aa --dry-run --out absent", capsys)
    assert code == 2 and "reproduce aa has no dry run" in said
    assert tree(home) == before


@pytest.mark.parametrize(
    "command",
    ["judge nothing.csv --report absent/page.html", "embed data.npz --backbone no.npz --out absent/a.npz"],
)
def test_a_refused_command_leaves_no_folder(command, home, capsys):
    before = tree(home)
    code, _ = typed(command, capsys)
    assert code == 2 and tree(home) == before
