"""Small real data that come with scikit-learn: no download."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
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
    pixels, labels = _shipped("digits.csv.gz", "load_digits")
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


@register(
    "data",
    "iris",
    title="Irises of three species, four lengths in cm",
    n=150,
    classes=3,
    modality="features",
    split="test 30 %, stratified, fixed; validation a fifth of the rest, by seed",
    licence="CC BY 4.0",
    origin="UCI iris, the copy in scikit-learn",
    bundled=True,
)
def iris(root: Path | None) -> Draft:
    """150 irises: length and width of sepal and petal in cm, 50 of each of three species.

    Columns are as measured, so a transform of features is chosen on validation, as for a user's table.

    Source: Fisher 1936; scikit-learn's ``load_iris``, which has two values as Fisher printed them where UCI's
    file has not.
    """
    lengths, species = _shipped("iris.csv", "load_iris", skip=1)
    return _table(
        "iris",
        "Irises of three species",
        lengths,
        species,
        ("setosa", "versicolor", "virginica"),
        edition="scikit-learn's, as Fisher printed it",
    )


@register(
    "data",
    "wine",
    title="Wines of three growers, 13 chemical measurements",
    n=178,
    classes=3,
    modality="features",
    split="test 30 %, stratified, fixed; validation a fifth of the rest, by seed",
    licence="CC BY 4.0",
    origin="UCI wine, the copy in scikit-learn",
    bundled=True,
)
def wine(root: Path | None) -> Draft:
    """178 wines of three growers: 13 chemical measurements of very different scales.

    Columns are as measured: proline is near 750 and hue near 1, so that cosines of the raw columns see
    little but proline. A transform of features is chosen on validation, as for a user's table.

    Source: Aeberhard and Forina 1991; scikit-learn's ``load_wine``.
    """
    measured, growers = _shipped("wine_data.csv", "load_wine", skip=1)
    return _table("wine", "Wines of three growers", measured, growers, ("class_0", "class_1", "class_2"))


@register(
    "data",
    "breast_cancer",
    title="Breast masses, malignant or benign, 30 measurements of cell nuclei",
    n=569,
    classes=2,
    modality="features",
    split="test 30 %, stratified, fixed; validation a fifth of the rest, by seed",
    licence="CC BY 4.0",
    origin="UCI breast cancer Wisconsin (diagnostic), the copy in scikit-learn",
    bundled=True,
)
def breast_cancer(root: Path | None) -> Draft:
    """569 breast masses, 212 malignant and 357 benign: 30 measurements of cell nuclei in a picture.

    Columns are as measured: areas are near 700 and smoothness near 0.1, so that cosines of the raw columns
    see little but areas. A transform of features is chosen on validation, as for a user's table.

    Source: Street, Wolberg and Mangasarian 1993; scikit-learn's ``load_breast_cancer``.
    """
    measured, kinds = _shipped("breast_cancer.csv", "load_breast_cancer", skip=1)
    return _table("breast_cancer", "Breast masses", measured, kinds, ("malignant", "benign"))


def _table(
    name: str,
    title: str,
    columns: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    edition: str = "",
) -> Draft:
    return Draft(
        name,
        title,
        "features",
        columns.astype(np.float32),
        labels,
        edition=edition,
        origin="scikit-learn",
        licence="CC BY 4.0",
        class_names=classes,
    )


def _shipped(file: str, loader: str, skip: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What a loader of scikit-learn gives, read from its file: importing scikit-learn takes far longer."""
    found = importlib.util.find_spec("sklearn")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        path = Path(folder) / "datasets" / "data" / file
        if path.is_file():
            table = np.loadtxt(path, delimiter=",", skiprows=skip)
            return table[:, :-1], table[:, -1].astype(np.int64)
    import sklearn.datasets  # another version may keep it elsewhere

    load: Callable[..., tuple[np.ndarray, np.ndarray]] = getattr(sklearn.datasets, loader)
    return load(return_X_y=True)
