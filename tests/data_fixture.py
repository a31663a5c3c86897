"""What the tests of a user's own files share: 40 rows of 4 classes, and a picture in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROWS, CLASSES = 40, 4
Y = np.arange(ROWS) % CLASSES
X = np.random.default_rng(0).normal(size=(ROWS, 6)).astype(np.float32)


def picture(path: Path, value: int, size: int = 12) -> None:
    """Write a picture of one grey value."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size, size, 3), value, np.uint8)).save(path)
