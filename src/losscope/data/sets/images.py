"""Small image sets of the paper: MNIST, Fashion-MNIST and CIFAR-10, from their original files."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from losscope.core.bounds import inside, regular
from losscope.core.errors import LosscopeError, require
from losscope.core.registry import register
from losscope.data import download
from losscope.data.base import TEST, TRAIN, Draft
from losscope.data.readers.files import Arrays, read_npz, said
from losscope.data.readers.pickles import read_batch
from losscope.data.readers.pictures import read_images

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
IDX_MD5 = {
    "mnist": (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "fashion_mnist": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
}
"""Of the uncompressed files, in the order of IDX_FILES."""

IDX_SHA256 = {
    "mnist": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion_mnist": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}
"""Of the files as the mirrors give them, packed, in the order of IDX_FILES."""

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
FASHION_NAMES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
CIFAR_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


@register(
    "data",
    "mnist",
    title="MNIST: handwritten digits, 28×28, grey",
    n=70000,
    classes=10,
    modality="images",
    split="test fixed (10,000); validation a fifth of the 60,000, stratified, by seed",
    licence="none stated (LeCun, Cortes, Burges)",
    origin="yann.lecun.com; mirrors of PyTorch and Google",
    files=("mnist/train-images*", "MNIST/raw/train-images*"),
)
def mnist(root: Path | None) -> Draft:
    """MNIST: 60,000 training and 10,000 test images (1, 28, 28), from the original idx files.

    Source: LeCun, Bottou, Bengio, Haffner 1998. Checked by the published md5 of the uncompressed files.
    """
    return _idx(
        root,
        "mnist",
        "MNIST: handwritten digits",
        ("mnist", "MNIST/raw", "MNIST"),
        MNIST_MIRRORS,
        tuple(map(str, range(10))),
        "none stated",
    )


@register(
    "data",
    "fashion_mnist",
    title="Fashion-MNIST: clothes, 28×28, grey",
    n=70000,
    classes=10,
    modality="images",
    split="test fixed (10,000); validation a fifth of the 60,000, stratified, by seed",
    licence="MIT",
    origin="Zalando Research",
    files=("fashion_mnist/train-images*", "fashion-mnist/train-images*", "FashionMNIST/raw/train-images*"),
)
def fashion_mnist(root: Path | None) -> Draft:
    """Fashion-MNIST: 60,000 training and 10,000 test images (1, 28, 28), from the original idx files.

    Source: Xiao, Rasul, Vollgraf 2017. Checked by the md5 of the uncompressed files.
    """
    mirrors = ("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",)
    folders = ("fashion_mnist", "fashion-mnist", "FashionMNIST/raw", "FashionMNIST")
    return _idx(
        root,
        "fashion_mnist",
        "Fashion-MNIST: clothes",
        folders,
        mirrors,
        FASHION_NAMES,
        "MIT",
    )


def _idx(
    root: Path | None,
    name: str,
    title: str,
    folders: tuple[str, ...],
    mirrors: tuple[str, ...],
    class_names: tuple[str, ...],
    licence: str,
) -> Draft:
    found = []
    for file, digest in zip(IDX_FILES, IDX_MD5[name], strict=True):
        path = _idx_path(root, name, folders, file, mirrors)
        found.append(read_idx(download.read_bytes(path, digest), path))
    train, train_labels, test, test_labels = found
    return Draft(
        name,
        title,
        "images",
        np.concatenate([train, test])[:, None],
        np.concatenate([train_labels, test_labels]),
        role=np.repeat(np.array([TRAIN, TEST], np.int8), [len(train), len(test)]),
        split="test as published, validation stratified by seed",
        edition="the original 60,000 + 10,000",
        origin=mirrors[0],
        licence=licence,
        class_names=class_names,
    )


def _idx_path(
    root: Path | None, name: str, folders: tuple[str, ...], file: str, mirrors: tuple[str, ...]
) -> Path:
    old = file.replace("-idx", ".idx")  # some unpackers write a dot
    for place in download.places(root, *folders):
        for candidate in (file, f"{file}.gz", old):
            if (place / candidate).is_file():
                return place / candidate
    where = f"in {(root or Path('DATA_ROOT')) / folders[0]}{'' if root else ' (--data-root DATA_ROOT)'}"
    to = download.cache_folder() / folders[0] / f"{file}.gz"
    return download.fetch(
        f"{name} ({file}.gz)",
        [mirror + f"{file}.gz" for mirror in mirrors],
        to,
        IDX_SHA256[name][IDX_FILES.index(file)],
        where,
    )


def read_idx(raw: bytes, path: Path) -> np.ndarray:
    """The array of an idx file of unsigned bytes: two zero bytes, type 8, rank, sizes big-endian, values.

    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]), Path("x"))
    array([7, 9], dtype=uint8)
    """
    rank = raw[3] if len(raw) > 4 and raw[:3] == b"\0\0\x08" else 0
    if not rank:
        raise LosscopeError(f"{str(path)!r} is not an idx file of bytes; remove it and download it again")
    shape = tuple(int(side) for side in np.frombuffer(raw, ">u4", rank, 4))
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * rank)
    if values.size != np.prod(shape):
        raise LosscopeError(
            f"{str(path)!r} is truncated: {values.size:,} values of {np.prod(shape):,}; remove it and "
            "download it again"
        )
    return values.reshape(shape)


CIFAR_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}


@register(
    "data",
    "cifar10",
    title="CIFAR-10: photographs, 32×32, colour",
    n=60000,
    classes=10,
    modality="images",
    split="test fixed (10,000); validation a fifth of the training images, stratified, by seed",
    licence="none stated (Krizhevsky 2009)",
    origin="cs.toronto.edu/~kriz/cifar.html",
    files=(
        "cifar-10-batches-py/data_batch_1",
        "cifar10/cifar-10-batches-py/data_batch_1",
        "cifar10/data_batch_1",
        "cifar10_train*.npz",
        "cifar10/cifar10_train*.npz",
    ),
)
def cifar10(root: Path | None) -> Draft:
    """CIFAR-10: images (3, 32, 32) from the Python batches, or from npz files with ``images`` and ``labels``.

    The batches are read without running pickled code, and checked by their published md5. Npz files hold
    uint8 (N, 32, 32, 3); fewer than 50,000 training images are called a subset.

    Source: Krizhevsky 2009.
    """
    folders = ("cifar-10-batches-py", "cifar10/cifar-10-batches-py", "cifar10")
    for place in download.places(root, *folders):
        if (place / "data_batch_1").is_file():
            return _cifar_batches(place)
    for base in download.places(root, ".", "cifar10"):
        train, test = sorted(base.glob("cifar10_train*.npz")), base / "cifar10_test.npz"
        if train and test.is_file():
            return _cifar_npz(train[0], test)
    where = f"in {root or 'DATA_ROOT'}{'' if root else ' (--data-root DATA_ROOT)'}, unpacked"
    archive = download.fetch(
        "cifar10",
        ["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"],
        download.cache_folder() / "cifar10" / "cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        where,
    )
    with tarfile.open(archive) as packed:
        packed.extractall(archive.parent, filter="data")
    return _cifar_batches(archive.parent / "cifar-10-batches-py")


def _cifar_batches(folder: Path) -> Draft:
    images, labels = [], []
    for name, md5 in CIFAR_MD5.items():
        batch = read_batch(download.read_bytes(folder / name, md5), str(folder / name))
        images.append(np.asarray(batch["data"], np.uint8).reshape(-1, 3, 32, 32))
        labels.append(np.asarray(batch["labels"], np.int64))
    return _cifar(images[:5], labels[:5], images[5], labels[5], "the full 50,000 + 10,000")


def _cifar_npz(train: Path, test: Path) -> Draft:
    parts = []
    for path in (train, test):
        arrays = read_npz(path)
        missing = [array for array in ("images", "labels") if array not in arrays]
        if missing:
            raise LosscopeError(
                f"{str(path)!r} has no array {' or '.join(missing)}; it has {', '.join(arrays)}"
            )
        parts.append((_channels_first(arrays, path), arrays["labels"].astype(np.int64)))
    (images, labels), (test_images, test_labels) = parts
    edition = "the full 50,000 + 10,000"
    if len(images) != 50000 or len(test_images) != 10000:
        edition = (
            f"a subset: {len(images):,} of the 50,000 training images, {len(test_images):,} of 10,000 test"
        )
    return _cifar([images], [labels], test_images, test_labels, edition)


def _channels_first(arrays: Arrays, path: Path) -> np.ndarray:
    images = arrays["images"]
    if images.dtype != np.uint8 or images.ndim != 4 or 3 not in (images.shape[1], images.shape[3]):
        raise LosscopeError(
            f"{str(path)!r}: images are {images.dtype} {images.shape}; wanted: uint8 (N, 32, 32, 3) or (N, "
            "3, 32, 32)"
        )
    return images if images.shape[1] == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _cifar(
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    test_images: np.ndarray,
    test_labels: np.ndarray,
    edition: str,
) -> Draft:
    notes = [f"CIFAR-10 is {edition}; not comparable with published numbers"] if "subset" in edition else []
    every = [*images, test_images]
    return Draft(
        "cifar10",
        "CIFAR-10: photographs",
        "images",
        np.concatenate(every),
        np.concatenate([*labels, test_labels]),
        role=np.repeat(np.array([TRAIN, TEST], np.int8), [sum(map(len, images)), len(test_images)]),
        split="test as published, validation stratified by seed",
        edition=edition,
        origin="cs.toronto.edu/~kriz/cifar.html",
        licence="none stated",
        class_names=CIFAR_NAMES,
        notes=notes,
    )


@register(
    "data",
    "tiny_imagenet",
    title="Tiny ImageNet: photographs, 64×64, colour",
    n=110000,
    classes=200,
    modality="images",
    split="test fixed (10,000, published as validation); validation a fifth of the training images, by seed",
    licence="non-commercial research (ImageNet)",
    origin="cs231n.stanford.edu/tiny-imagenet-200.zip",
    files=("tiny-imagenet-200/wnids.txt", "tiny_imagenet/tiny-imagenet-200/wnids.txt"),
)
def tiny_imagenet(root: Path | None, *, size: int = 64, skip_bad: bool = False) -> Draft:
    """Tiny ImageNet: 100,000 training images (3, 64, 64) of 200 classes; its 10,000 validation images test.

    Read from the unpacked folder ``tiny-imagenet-200``; the published test images have no labels.

    Source: Le and Yang 2015.
    """
    homes = download.places(root, "tiny-imagenet-200", "tiny_imagenet/tiny-imagenet-200")
    if not homes:
        raise LosscopeError(
            "tiny_imagenet is not on this machine: download "
            "http://cs231n.stanford.edu/tiny-imagenet-200.zip and unpack it in "
            f"{root or 'DATA_ROOT'}{'' if root else ' (--data-root DATA_ROOT)'}"
        )
    home = homes[0]
    files = sorted(home.glob("train/*/images/*.JPEG"))
    words = [file.parent.parent.name for file in files]
    with said(home / "val" / "val_annotations.txt", "the unpacked folder tiny-imagenet-200"):
        lines = regular(home / "val" / "val_annotations.txt").read_text().splitlines()
        named = [line.split("\t", 2)[:2] for line in lines]
        require(all(len(pair) == 2 for pair in named), "val_annotations.txt has a line without a tab")
    for name, word in named:
        files.append(inside(home / "val" / "images", name))
        words.append(word)
    images, kept, notes = read_images(files, size, skip_bad)
    role = np.repeat(np.array([TRAIN, TEST], np.int8), [len(files) - len(lines), len(lines)])[kept]
    return Draft(
        "tiny_imagenet",
        "Tiny ImageNet",
        "images",
        images,
        np.array(words)[kept],
        role=role,
        names=np.array([str(file.relative_to(home)) for file in files])[kept],
        split="test is the published validation, validation stratified by seed",
        notes=notes,
        edition=f"{len(files) - len(lines):,} + {len(lines):,} images",
        origin=str(home),
        licence="non-commercial research",
    )
