"""Data sets that no atlas has seen, as feature files, to try an atlas's prior on.

``LOSSCOPE_DATA=DIR python docs/making/unseen.py FOLDER`` writes ``speakers.npz``, ``photographs.npz`` and
``strokes.npz``, each with a text ``shared`` that says which rows an atlas over the named data sets knows too;
``--penguins penguins.csv`` (of the package palmerpenguins) adds ``penguins.npz``, of which it knows none.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import losscope
from losscope.data import load
from losscope.data.readers.sounds import log_mel
from losscope.data.sets.audiovisual import RATE, _fsdd

SIZE = 96
"""Pixels of a side that the backbone is shown: a picture of 32 has nothing for more."""
PER_CLASS = 300
CELL, BINS = 7, 8
"""Pixels of a side of a cell, and directions of a stroke in it."""
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")

Arrays = dict[str, np.ndarray]


def speakers(root: Path) -> Arrays:
    """The mean and the deviation of each of 40 log-mel bands over a recording; the class is its speaker.

    Tested on words that training never has: digits 0 to 6 train, 7 to 9 test.
    """
    waves, digit, speaker, _, names = _fsdd(root)
    spectra = log_mel(waves, RATE)[:, 0]
    heard = (spectra.max(1) > 0)[:, None]
    count = heard.sum(-1)
    mean = (spectra * heard).sum(-1) / count
    spread = np.sqrt((np.square(spectra - mean[..., None]) * heard).sum(-1) / count)
    return {
        "features": np.concatenate([mean, spread], 1).astype(np.float32),
        "labels": np.array(names)[speaker],
        "split": np.where(digit >= 7, "test", "train"),
        "shared": np.array(
            "the recordings are those of spoken_digits, there by digit and joined with images"
        ),
    }


def photographs(root: Path) -> Arrays:
    """300 test images of each class of CIFAR-10 as 1,280 features of the frozen MobileNetV2."""
    with np.load(root / "cifar10_test.npz") as arrays:
        images, labels, names = arrays["images"], arrays["labels"], arrays["class_names"]
    rows = _some(labels, PER_CLASS)
    with tempfile.TemporaryDirectory() as folder:
        here, there = Path(folder) / "images.npz", Path(folder) / "features.npz"
        np.savez(here, images=images[rows], labels=names[labels[rows]])
        losscope.embed(
            str(here),
            backbone=str(root / "mobilenetv2_imagenet_notop.npz"),
            preprocess=[f"size={SIZE}"],
            out=str(there),
        )
        with np.load(there) as made:
            features, numbers, classes = made["features"], made["labels"], made["class_names"]
    return {
        "features": features,
        "labels": classes[numbers],
        "shared": np.array(
            "the images are test rows of cifar10, there as pixels; the backbone is that of cub200 and cars196"
        ),
    }


def strokes(root: Path) -> Arrays:
    """300 test images of each class of MNIST as 128 numbers: histograms of the directions of gradients."""
    draws = load("mnist", root=root).splits(0).test
    rows = _some(draws.labels, PER_CLASS)
    images = draws.inputs[rows, 0].astype(np.float32) / 255
    down, right = np.gradient(images, axis=(1, 2))
    strength = np.hypot(down, right)
    turn = np.floor((np.arctan2(down, right) / (2 * np.pi) % 1) * BINS).astype(int) % BINS
    side = images.shape[1] // CELL
    sums = np.stack([np.where(turn == bin_, strength, 0) for bin_ in range(BINS)], -1)
    cells = sums.reshape(len(rows), side, CELL, side, CELL, BINS).sum((2, 4))
    return {
        "features": cells.reshape(len(rows), -1).astype(np.float32),
        "labels": draws.labels[rows],
        "shared": np.array("the images are test rows of mnist, there, and in spoken_digits, as pixels"),
    }


def penguins(file: Path) -> Arrays:
    """342 penguins by bill, flipper and weight, in mm and g; the class is the species. CC0.

    Source: Gorman, Williams and Fraser 2014; Horst, Hill and Gorman 2020.
    """
    with file.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row[COLUMNS[0]] not in ("", "NA")]
    return {
        "features": np.array([[float(row[name]) for name in COLUMNS] for row in rows], np.float32),
        "labels": np.array([row["species"] for row in rows]),
        "shared": np.array("nothing"),
    }


def _some(labels: np.ndarray, each: int) -> np.ndarray:
    """``each`` rows of every class, drawn, ascending."""
    rng = np.random.default_rng(0)
    chosen = [rng.choice(np.flatnonzero(labels == label), each, replace=False) for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


MADE: dict[str, Callable[[Path], Arrays]] = {
    "speakers": speakers,
    "photographs": photographs,
    "strokes": strokes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=sorted(MADE))
    parser.add_argument("--penguins", type=Path, help="penguins.csv of the package palmerpenguins")
    given = parser.parse_args()
    if (named := os.environ.get("LOSSCOPE_DATA")) is None:
        parser.error("LOSSCOPE_DATA names no folder of data; wanted: the folder that holds them")
    root = Path(named)
    given.folder.mkdir(parents=True, exist_ok=True)
    made = {name: make(root) for name, make in MADE.items() if given.only in (None, name)}
    if given.penguins is not None:
        made["penguins"] = penguins(given.penguins)
    for name, arrays in made.items():
        np.savez_compressed(given.folder / f"{name}.npz", **arrays)
        print(f"{load(given.folder / f'{name}.npz').describe()}; shared: {arrays['shared']}")


if __name__ == "__main__":
    main()
