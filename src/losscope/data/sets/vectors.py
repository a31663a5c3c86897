"""Small real data that come with a dependency: no download."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from losscope.core.registry import register
from losscope.data.base import Draft


@register(
    "data",
    "digits",
    title="Handwritten digits, 8×8 pixels",
    n=1797,
    classes=10,
    modality="vectors",
    split="test 30 %, stratified, fixed; validation a fifth of the rest, by seed",
    licence="CC BY 4.0",
    origin="UCI optical recognition of handwritten digits, the copy in scikit-learn",
    bundled=True,
)
def digits(root: Path | None) -> Draft:
    """1,797 handwritten digits of 8×8 pixels from scikit-learn, as vectors of 64 in 0…1.

    Source: Alpaydin and Kaynak 1998; scikit-learn's ``load_digits`` (UCI's test half).
    """
    pixels, labels = _digits()
    return Draft(
        "digits",
        "Handwritten digits, 8×8 pixels",
        "vectors",
        (pixels / 16).astype(np.float32),
        labels,
        edition="scikit-learn's 1,797 of UCI's 5,620",
        origin="scikit-learn",
        licence="CC BY 4.0",
        class_names=tuple(map(str, range(10))),
        picture=(8, 8),
    )


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """What ``load_digits`` gives, read from its file: importing scikit-learn takes far longer."""
    found = importlib.util.find_spec("sklearn")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits  # another version may keep it elsewhere

    pixels, labels = load_digits(return_X_y=True)
    return pixels, labels
