"""What a refusal or a note names as the remedy works when it is typed as it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from cli_fixture import typed

Y = np.repeat(np.arange(6), 20)
RNG = np.random.default_rng(0)
X = (1.5 * RNG.normal(size=(6, 8))[Y] + RNG.normal(size=(120, 8))).astype(np.float32)
WORDS = np.array(list("abcdef"))[Y]
FRAME = pd.DataFrame(X, columns=[f"f{column}" for column in range(8)])
LOSSES = ("ours", "triplet v2")
DRY = "--no-tune --epochs 1 --seeds 2 --engine here --out out --dry-run"


class Case(NamedTuple):
    """``command`` on ``files`` is refused or says a note (``before``: what that said before).

    ``remedy`` is the pattern of what it names, whose first group is typed in ``then``.
    """

    id: str
    before: str
    files: Callable[[], object]
    command: str
    remedy: str
    then: str


def runs(pattern: str, labels: np.ndarray = Y, beside: bool = False) -> None:
    """Embeddings of two losses and six seeds; ``beside``: as .npy files with the labels in another."""
    for loss in LOSSES:
        for seed in range(6):
            path = Path(pattern.format(loss=loss, seed=seed))
            path.parent.mkdir(parents=True, exist_ok=True)
            points = (X + np.random.default_rng(seed + 9 * len(loss)).normal(size=X.shape)).astype(np.float32)
            if beside:
                np.save(path, points)
                np.save(path.parent / "labels.npy", labels)
            else:
                np.savez(path, embeddings=points, labels=labels)


def scores(measure: str = "recall_at_1", losses: tuple[str, ...] = LOSSES, **columns: list[str]) -> None:
    lines = [
        (loss, seed, measure, 0.7 + 0.01 * seed + 0.1 * len(loss) / 99)
        for loss in losses
        for seed in range(6)
    ]
    table = pd.DataFrame(lines, columns=["loss", "seed", "measure", "value"])
    whole = [
        table.assign(**dict(zip(columns, cells, strict=True)))
        for cells in zip(*columns.values(), strict=True)
    ]
    (pd.concat(whole) if whole else table).to_csv("scores.csv", index=False)


LAYOUTS = (
    "runs/{loss}/{seed}.npz",
    "runs/{loss}_{seed}.npz",
    "runs/{loss}-seed{seed}.npz",
    "runs/{loss}/seed_{seed}/embeddings.npz",
    "runs/seed{seed}/{loss}.npz",
    "runs/{seed}_{loss}.npz",
    "runs/{loss}/run{seed}/epoch10.npz",
)
SMALL = np.where(np.arange(120) < 16, np.arange(120) // 2, np.arange(120))
MISSING = np.where(np.arange(120) % 10 == 0, np.nan, Y)
CASES = (
    *(
        Case(
            f"a folder of {layout}",
            "refused: such as 'runs/{loss}/{seed}.npz', which fits other files or none",
            lambda layout=layout: runs(layout),
            "judge runs",
            r"a pattern: (.+) fits its files, of the losses ours, triplet v2",
            "judge {}",
        )
        for layout in LAYOUTS
    ),
    Case(
        "a folder of .npy files",
        "refused: such as 'runs/{loss}/{seed}.npz', of which there are none",
        lambda: runs("runs/{loss}/{seed}.npy", beside=True),
        "judge runs",
        r"a pattern: (.+) fits its files",
        "judge {}",
    ),
    Case(
        "a pattern that no file fits",
        "refused: no file matches, and not what does",
        lambda: runs("runs/{loss}/seed_{seed}/embeddings.npz"),
        "judge 'runs/{loss}/{seed}.npz'",
        r"wanted: (.+) fits its files",
        "judge {}",
    ),
    Case(
        "runs without some labels",
        "refused: wanted: a label in each row",
        lambda: runs("runs/{loss}/{seed}.npz", MISSING),
        "judge 'runs/{loss}/{seed}.npz'",
        r"wanted: a label in each row, or (\S+) to",
        "judge 'runs/{loss}/{seed}.npz' {}",
    ),
    Case(
        "runs of labels -1 and 1",
        "one class only, and no remedy",
        lambda: runs("runs/{loss}/{seed}.npz", np.where(Y > 2, 1, -1)),
        "judge 'runs/{loss}/{seed}.npz'",
        r"(--ignore-label=none) makes -1 a class",
        "judge 'runs/{loss}/{seed}.npz' {}",
    ),
    Case(
        "a word for missing in runs",
        "--ignore-label=<na>, which a shell takes for a file",
        lambda: runs("runs/{loss}/{seed}.npz", np.where(np.arange(120) % 10 == 0, "<na>", WORDS)),
        "judge 'runs/{loss}/{seed}.npz'",
        r"no label:\s+('--ignore-label=<na>')",
        "judge 'runs/{loss}/{seed}.npz' {}",
    ),
    Case(
        "a measure with an apostrophe",
        "--declare 'Rosa's:higher', which a shell does not take",
        lambda: scores("Rosa's"),
        "judge scores.csv",
        r"with --declare (.+) \(or :lower\)",
        "judge scores.csv --declare {}",
    ),
    Case(
        "protocols with an apostrophe",
        "--only 'protocol=Rosa's birds', which a shell does not take",
        lambda: scores(protocol=["cub", "Rosa's birds"]),
        "judge scores.csv",
        r"--only (.+)$",
        "judge scores.csv --only {}",
    ),
    Case(
        "epochs",
        "the same, which worked",
        lambda: scores(epoch=["1", "2"]),
        "judge scores.csv",
        r"or --only (.+)$",
        "judge scores.csv --only {}",
    ),
    Case(
        "labels in one of two columns with blanks",
        "the same, which worked",
        lambda: FRAME.assign(**{"label": WORDS, "target": np.roll(WORDS, 7)}).to_csv("data.csv", index=False),
        f"compare data.csv {DRY}",
        r"or -o (\S+)\)",
        f"compare data.csv -o {{}} {DRY}",
    ),
    Case(
        "a group column",
        "the same, which worked",
        lambda: FRAME.assign(**{"label": WORDS, "group": np.arange(120) % 12}).to_csv(
            "data.csv", index=False
        ),
        f"compare data.csv {DRY}",
        r"(--group \S+) ",
        f"compare data.csv {{}} {DRY}",
    ),
    Case(
        "an empty label in a table",
        "the same, which worked",
        lambda: FRAME.assign(label=np.where(np.arange(120) % 10 == 0, "", WORDS)).to_csv(
            "data.csv", index=False
        ),
        f"compare data.csv {DRY}",
        r"or (--skip-unlabelled) to",
        f"compare data.csv {{}} {DRY}",
    ),
    Case(
        "a batch that is too large",
        "at most 66, then at least 12",
        lambda: FRAME.assign(label=WORDS).to_csv("data.csv", index=False),
        f"compare data.csv --batch-size 90 {DRY}",
        r"--batch-size at least (\d+) and",
        f"compare data.csv --batch-size {{}} {DRY}",
    ),
    Case(
        "a batch that is too large, the other end",
        "at most 66",
        lambda: FRAME.assign(label=WORDS).to_csv("data.csv", index=False),
        f"compare data.csv --batch-size 90 {DRY}",
        r"and at most (\d+)",
        f"compare data.csv --batch-size {{}} {DRY}",
    ),
    Case(
        "no batch that fits by its rows",
        "at most 21, then at least 24, which are too many",
        lambda: FRAME.assign(label=SMALL).iloc[:40].to_csv("data.csv", index=False),
        f"compare data.csv --batch-size 90 {DRY}",
        r"(leave) --batch-size out, and one that fits is taken",
        f"compare data.csv {DRY}",
    ),
    Case(
        "a column that is a number",
        "traceback: 'int' object has no attribute 'lower'",
        lambda: FRAME.assign(label=WORDS).to_csv("data.csv", index=False, header=False),
        f"compare data.csv {DRY}",
        r"the label is column (\d+)",
        f"compare data.csv -o labels={{}} {DRY}",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_remedy_works_as_it_stands(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    case.files()
    _, said = typed(case.command, capsys)
    found = re.search(case.remedy, said.strip())
    assert found, said
    then = case.then.replace("{}", found[1])
    code, again = typed(then, capsys)
    assert code == 0, f"{then}: {again}"


def test_rows_without_a_label_are_counted_and_left_out_of_everything(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runs("runs/{loss}/{seed}.npz", MISSING)
    kept = np.isfinite(MISSING)
    for loss in LOSSES:
        for seed in range(6):
            with np.load(f"runs/{loss}/{seed}.npz") as file:
                whole = dict(file)
            Path(f"fewer/{loss}").mkdir(parents=True, exist_ok=True)
            np.savez(f"fewer/{loss}/{seed}.npz", **{name: array[kept] for name, array in whole.items()})
    from losscope import judge

    left = judge("runs/{loss}/{seed}.npz", skip_unlabelled=True)
    fewer = judge("fewer/{loss}/{seed}.npz")
    assert "12 rows have no label and are left out, in 12 of 12 files." in left.notes
    assert left.paired == fewer.paired


def test_options_of_embeddings_are_refused_elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scores()
    for option in ("--skip-unlabelled", "--ignore-label=-100", "--same-camera=junk"):
        code, said = typed(f"judge scores.csv {option}", capsys)
        assert (
            code == 2 and "is said of embeddings; wanted: a pattern such as 'runs/{loss}/{seed}.npz'" in said
        )


def test_a_row_without_a_loss_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scores()
    table = pd.read_csv("scores.csv")
    table.loc[3, "loss"] = None
    table.to_csv("scores.csv", index=False)
    code, said = typed("judge scores.csv", capsys)
    assert code == 2 and "1 row without a loss, a seed or a measure (row 3, counted from 0)" in said


def test_the_same_numbers_in_another_file_give_the_same_verdicts(tmp_path, monkeypatch):
    """As .npy with the labels beside, in HDF5, and as text: the numbers of the .npz files to the last bit."""
    import h5py

    from losscope import judge

    monkeypatch.chdir(tmp_path)
    runs("npz/{loss}/{seed}.npz")
    runs("npy/{loss}/{seed}.npy", beside=True)
    for path in Path("npz").rglob("*.npz"):
        with np.load(path) as file:
            arrays = dict(file)
        for form in ("text", "hdf5"):
            (Path(form) / path.parent.name).mkdir(parents=True, exist_ok=True)
        wide = arrays["embeddings"].astype(np.float64).astype(str)
        np.savez(Path("text") / path.parent.name / path.name, embeddings=wide, labels=arrays["labels"])
        with h5py.File(Path("hdf5") / path.parent.name / f"{path.stem}.h5", "w") as file:
            for name, array in arrays.items():
                file[name] = array
    wanted = judge("npz/{loss}/{seed}.npz")
    for pattern in ("npy/{loss}/{seed}.npy", "hdf5/{loss}/{seed}.h5", "text/{loss}/{seed}.npz"):
        assert judge(pattern).paired == wanted.paired, pattern
    assert "the array embeddings is text, read as numbers." in judge("text/{loss}/{seed}.npz").notes
