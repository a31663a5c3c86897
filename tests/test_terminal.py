"""What a person sees on a terminal: the answer in three lines, and names whole at any width."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from losscope.core import wording

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
import fcntl  # noqa: E402
import termios  # noqa: E402

NAMES = ("contrastive", "triplet(margin=0.2, squared=True)", "損失", "a loss with a long name of many words")
MEASURES = (
    "recall_at_1",
    "map_at_r",
    "knn_accuracy",
    "nmi",
    "eer",
    "r_precision",
    "recall_at_5",
    "recall_at_10",
)
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of four losses with names of many kinds, eight measures and eight seeds."""
    file = tmp_path_factory.mktemp("terminal") / "scores.csv"
    rng = np.random.default_rng(3)
    rows = [
        f'"{name}",{seed},{measure},{0.9 - 0.03 * place + 0.001 * rng.normal():.6f}'
        for place, name in enumerate(NAMES)
        for seed in range(8)
        for measure in MEASURES
    ]
    file.write_text("loss,seed,measure,value\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return file


def command(scores: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "losscope", "judge", str(scores), *more]


def environment(**changes: str | None) -> dict[str, str]:
    known = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR", "LINES")}
    return {
        **known,
        "TERM": "xterm-256color",
        **{key: value for key, value in changes.items() if value is not None},
    }


def on_terminal(words: list[str], wide: int, **changes: str | None) -> str:
    """What a command writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, wide, 0, 0))
    child = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**changes))
    os.close(theirs)
    written = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # the last one has closed it
            break
        if not some:
            break
        written += some
    os.close(ours)
    assert child.wait() == 0, written.decode("utf-8", "replace")
    return written.decode("utf-8").replace("\r\n", "\n")


def measures_in(text: str) -> int:
    """How many measures the table shows: numbers in the row of the first loss's means."""
    row = next(line for line in text.splitlines() if line.startswith("contrastive ") and "0." in line)
    return len(re.findall(r"\d\.\d+", row))


@pytest.mark.parametrize("wide", [60, 80, 100, 160])
def test_names_are_whole_and_nothing_is_wider_than_the_terminal(scores: Path, wide: int) -> None:
    asked = on_terminal(command(scores), 200, COLUMNS=str(wide))
    own = on_terminal(command(scores), wide)
    assert ESCAPE.sub("", asked) == ESCAPE.sub("", own), "COLUMNS and the terminal's own width do the same"
    text = ESCAPE.sub("", own)
    lines = text.splitlines()
    table = lines[next(place for place, line in enumerate(lines) if "Recall@1" in line and ":" not in line) :]
    for line in table:
        if not line.startswith(("Page:", "Next:")):
            assert wording_width(line.rstrip()) <= wide, line
    assert any(line.startswith("contrastive ") for line in table)
    words = " ".join(" ".join(table).split())
    for name in NAMES:
        assert all(part in words for part in name.split()), f"{name} is broken within a word"
    assert measures_in("\n".join(table)) >= {60: 1, 80: 2, 100: 4, 160: 7}[wide]


def wording_width(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line)


def test_the_answer_stands_in_the_first_three_lines(scores: Path) -> None:
    text = ESCAPE.sub("", on_terminal(command(scores), 160))
    notes, _, rest = text.partition("Use contrastive")
    assert "Use" not in notes
    headline, sure, following, blank, *_ = f"Use contrastive{rest}".splitlines()
    assert (
        len(headline.replace(NAMES[1], "x").replace(NAMES[3][:33], "x").split()) <= wording.HEADLINE_WORDS + 8
    )
    assert re.search(
        r" 0\.900\d?, .* 0\.8\d+; difference 0\.03\d+ \(9\d(\.\d)? % interval .* to .*, 8 seeds\)", sure
    )
    assert following.startswith("Next: ") and not blank.strip()
    assert "\nMore: " in rest and "--verbose" in rest
    assert "What would change the answer" not in rest


def test_everything_else_is_there_on_request(scores: Path) -> None:
    text = " ".join(ESCAPE.sub("", on_terminal(command(scores, "--verbose"), 100)).split())
    assert "What would change the answer" in text and "p (Holm)" in text and "More:" not in text


def test_no_color_has_no_colours_and_a_pipe_no_escapes(scores: Path) -> None:
    plain = on_terminal(command(scores), 100, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*\b(3[0-7]|4[0-7]|9[0-7]|38|48)\b[0-9;]*m", plain)
    done = subprocess.run(command(scores), capture_output=True, text=True, env=environment(), check=True)
    assert "\x1b" not in done.stdout + done.stderr
    # Notes hold commands to copy: in a pipe they are not broken.
    lines = [line for line in done.stdout.splitlines() if not line.startswith("Note: ")]
    assert max(map(wording_width, lines)) <= 100
    asked = subprocess.run(
        command(scores), capture_output=True, text=True, env=environment(COLUMNS="60"), check=True
    )
    assert measures_in(asked.stdout) < measures_in(done.stdout)


@pytest.mark.parametrize(
    "kind",
    ["losses", "data", "models", "closed_forms", "measures", "protocols", "claims", "papers", "sections"],
)
def test_a_kind_of_the_list_fits_a_screen(kind: str) -> None:
    from io import StringIO

    from rich.console import Console

    from losscope.comparing.listing import brief_listing, items

    file = StringIO()
    console = Console(width=100, file=file)
    found = items(kind)
    for table in brief_listing(found):
        console.print(table)
    text = file.getvalue()
    assert len(text.splitlines()) <= 40
    assert all(row.name in text for row in next(iter(found.kinds.values())))


def test_a_long_name_of_two_lines_takes_one_line_of_an_inspections_table(tmp_path):
    points = np.random.default_rng(0).normal(size=(40, 4))
    labels = np.array(["a\n" + "x" * 2000, "b"])[np.arange(40) % 2]
    np.savez(tmp_path / "long.npz", embeddings=points, labels=labels)
    command = [sys.executable, "-m", "losscope", "inspect", str(tmp_path / "long.npz")]
    wide = {**os.environ, "COLUMNS": "120"}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=wide).stdout
    rows = shown.split("classes found worst")[1].splitlines()[1:3]  # both classes, a line each
    (row,) = (line for line in rows if "xxx" in line)
    assert row.startswith("a\\nxxx")
    assert "…" in row


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_that_cannot_be_written_is_one_sentence_and_a_closed_one_none():
    command = [sys.executable, "-m", "losscope", "list", "losses"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "losscope: the output cannot be written: No space left on device; what is finished is kept"
    ]
    closed = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True)
    assert (closed.returncode, closed.stderr) == (0, "")
