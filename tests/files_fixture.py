"""What the tests of folders, pictures and sounds share: makers of small ones, and what is said of them."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from losscope.core.errors import LosscopeError
from losscope.data import load

CAT, DOG = "cats", "dogs"
Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Case:
    """An input, what the starting commit made of it, what is said now, and its raw Recall@1.

    ``recall``: "chance" (the classes cannot be told apart), "all" (they can), or "" where it says nothing.
    """

    id: str
    before: str
    now: str
    make: Make
    recall: str = ""

    def check(self, top: Path) -> None:
        """Make the input, and compare what is said of it."""
        heard, recall = understood(self.make(top / "data"))
        assert self.now in heard
        if self.recall:
            assert recall == 1 if self.recall == "all" else recall < 0.8


def understood(place: Path, **options: Any) -> tuple[str, float]:
    """What is said of data, or the refusal; and Recall@1 of the raw inputs over all rows, NaN if refused."""
    try:
        source: Any = load(place, **options)
    except LosscopeError as error:
        return f"refused: {error}", float("nan")
    flat = source.pool.inputs.reshape(len(source.pool), -1).astype(np.float64)
    apart = ((flat[:, None] - flat[None]) ** 2).sum(-1)
    np.fill_diagonal(apart, np.inf)
    hit = source.pool.labels[apart.argmin(1)] == source.pool.labels
    return " | ".join([source.describe(), *source.facts.notes]), float(hit.mean())


def noise(seed: int, size: int = 16) -> np.ndarray:
    """A picture that says nothing of its class, uint8 (size, size, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3)).astype(np.uint8)


def stripes(down: bool, seed: int, size: int = 16) -> np.ndarray:
    """Stripes in 0…1 (size, size), whose direction is the class, with some noise."""
    grid = np.mgrid[0:size, 0:size][int(down)]
    return 0.7 * ((grid // 4) % 2) + 0.3 * np.random.default_rng(seed).random((size, size))


def put(path: Path, content: Any = 0, **options: Any) -> None:
    """Write a picture (a Pillow image, an array, or noise by its seed) or bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
        return
    picture = noise(content) if isinstance(content, int) else content
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path, **options)


def classes(top: Path, count: int = 10, names: tuple[str, ...] = (CAT, DOG)) -> Path:
    """Class folders of noise."""
    for number, name in enumerate(names):
        for i in range(count):
            put(top / name / f"{i}.png", 1000 * number + i)
    return top


def each(draw: Callable[[bool, int], Any], suffix: str, count: int = 20, **options: Any) -> Make:
    """Two class folders of what ``draw`` makes of a class and a seed."""

    def make(top: Path) -> Path:
        for number in range(2):
            for i in range(count):
                put(top / f"c{number}" / f"{i}{suffix}", draw(bool(number), 100 * number + i), **options)
        return top

    return make


def arrays(top: Path, images: np.ndarray, labels: np.ndarray, name: str = "images") -> Path:
    """An npz file of images, under ``name``, and their labels."""
    top.mkdir(parents=True, exist_ok=True)
    np.savez(top / "file.npz", **{name: images, "labels": labels})  # type: ignore[arg-type]
    return top / "file.npz"


def tone(path: Path, hertz: float, seed: int = 0, seconds: float = 1.0, channels: int = 1) -> None:
    """A wav file of 16 bits, written by the standard library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    time = np.arange(int(16000 * seconds)) / 16000
    samples = 0.3 * np.sin(2 * np.pi * hertz * time) + 0.02 * rng.normal(size=len(time))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((np.repeat(samples, channels) * 32767).astype("<i2").tobytes())


def by_soundfile(**options: Any) -> Callable[[Path, float, int], None]:
    """Writing of a tone by soundfile, as ``tone`` writes one."""

    def write(path: Path, hertz: float, seed: int) -> None:
        soundfile = pytest.importorskip("soundfile")
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(16000) / 16000
        rough = 0.02 * np.random.default_rng(seed).normal(size=len(time))
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * time) + rough, samplerate=16000, **options)

    return write


def tones(write: Callable[..., None] = tone, suffix: str = ".wav", count: int = 8, **options: Any) -> Make:
    """Two class folders of tones, low and high."""

    def make(top: Path) -> Path:
        for number, hertz in enumerate((440, 1760)):
            for i in range(count):
                write(top / f"c{number}" / f"{i}{suffix}", hertz * (1 + i / 50), 10 * number + i, **options)
        return top

    return make
