"""The named data sets: their original layouts made small, downloads, and the real files where they are."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import os
import pickle
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from losscope.core.errors import LosscopeError
from losscope.data import download, load, present
from losscope.data.download import reachable
from losscope.data.sets import images
from losscope.data.sets.finegrained import BODIES, UNNAMED_BODIES, bird_group, car_body


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "reachable", lambda url: False)


def idx(array):
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


def small_idx(folder, packed=True):
    """A data set of 40 + 20 images in the four files; the md5s of the uncompressed bytes."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    sums, pixels = [], []
    for name, rows in zip(images.IDX_FILES, (40, 40, 20, 20), strict=True):
        array = (
            rng.integers(0, 256, (rows, 6, 6)).astype(np.uint8)
            if "images" in name
            else (np.arange(rows) % 10).astype(np.uint8)
        )
        raw = idx(array)
        sums.append(hashlib.md5(raw, usedforsecurity=False).hexdigest())
        (folder / (name + (".gz" if packed else ""))).write_bytes(gzip.compress(raw) if packed else raw)
        pixels.append(array)
    return sums, pixels


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mnist", "mnist"),
        ("mnist", "MNIST/raw"),
        ("fashion_mnist", "fashion_mnist"),
        ("fashion_mnist", "FashionMNIST/raw"),
    ],
)
def test_idx_layouts(tmp_path, monkeypatch, name, folder, packed):
    assert not present(name, tmp_path)
    sums, pixels = small_idx(tmp_path / folder, packed)
    assert present(name, tmp_path)
    monkeypatch.setitem(images.IDX_MD5, name, sums)
    source = load(name, tmp_path)
    draws = source.splits(0)
    assert np.array_equal(draws.test.inputs[:, 0], pixels[2])
    assert draws.train.inputs.dtype == np.uint8
    assert len(draws.train) + len(draws.validation) == 40
    np.testing.assert_allclose(source.facts.mean[0], pixels[0].mean() / 255, atol=1e-9)


def test_idx_checksums_and_truncation(tmp_path):
    small_idx(tmp_path / "mnist")
    with pytest.raises(
        LosscopeError, match=r"wrong checksum: the uncompressed bytes of .* have md5 [0-9a-f]{32}"
    ):
        load("mnist", tmp_path)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(LosscopeError, match=r"train-images.* is truncated or damaged"):
        load("mnist", tmp_path)
    with pytest.raises(LosscopeError, match="truncated: 3 values of 4"):
        images.read_idx(idx(np.zeros((2, 2), np.uint8))[:-1], path)
    with pytest.raises(LosscopeError, match="not an idx file"):
        images.read_idx(b"no such thing", path)


# CIFAR-10


def small_cifar(folder):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    sums, data = {}, []
    for name in images.CIFAR_MD5:
        batch = {
            b"data": rng.integers(0, 256, (20, 3072)).astype(np.uint8),
            b"labels": [i % 10 for i in range(20)],
        }
        raw = pickle.dumps(batch, protocol=2)
        (folder / name).write_bytes(raw)
        sums[name] = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        data.append(batch[b"data"])
    return sums, data


def test_cifar_batches_are_read_without_running_code(tmp_path, monkeypatch):
    sums, data = small_cifar(tmp_path / "cifar-10-batches-py")
    with pytest.raises(LosscopeError, match="wrong checksum"):
        load("cifar10", tmp_path)
    monkeypatch.setattr(images, "CIFAR_MD5", sums)
    draws = load("cifar10", tmp_path).splits(0)
    assert np.array_equal(draws.test.inputs, data[5].reshape(20, 3, 32, 32))
    assert draws.test.labels[:3].tolist() == [0, 1, 2]

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    raw = pickle.dumps({b"data": Bomb()}, protocol=2)
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(raw)
    sums["data_batch_1"] = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    with pytest.raises(LosscopeError, match=r"it asks for (posix|nt)\.mkdir"):
        load("cifar10", tmp_path, limit=50)
    assert not (tmp_path / "ran").exists()


def test_cifar_npz_says_that_it_is_a_subset(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cifar10_train1k.npz", "cifar10_test.npz"):
        pixels = rng.integers(0, 256, (50, 32, 32, 3)).astype(np.uint8)
        np.savez(tmp_path / name, images=pixels, labels=np.arange(50, dtype=np.uint8) % 10)
    source = load("cifar10", tmp_path)
    assert "a subset: 50 of the 50,000 training images" in source.describe()
    assert "not comparable with published numbers" in source.facts.notes[0]
    assert np.array_equal(source.splits(0).test.inputs[0], pixels[0].transpose(2, 0, 1))
    np.savez(tmp_path / "cifar10_test.npz", pixels=pixels)
    with pytest.raises(LosscopeError, match="has no array images or labels"):
        load("cifar10", tmp_path, limit=20)


def test_tiny_imagenet_folder(tmp_path):
    from PIL import Image

    home = tmp_path / "tiny-imagenet-200"
    for c in ("n01", "n02"):
        (home / "train" / c / "images").mkdir(parents=True)
        for i in range(6):
            Image.fromarray(np.full((64, 64, 3), 9 * i, np.uint8)).save(
                home / "train" / c / "images" / f"{c}_{i}.JPEG"
            )
    (home / "val" / "images").mkdir(parents=True)
    lines = []
    for i in range(4):
        Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(home / "val" / "images" / f"val_{i}.JPEG")
        lines.append(f"val_{i}.JPEG\tn0{1 + i % 2}\t0\t0\t62\t62")
    (home / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    draws = load("tiny_imagenet", tmp_path).splits(0)
    assert draws.test.labels.tolist() == [0, 1, 0, 1]
    assert draws.test.inputs.min() > 190
    assert len(draws.train) + len(draws.validation) == 12


# Birds and cars


def test_groups_and_bodies_come_from_the_names():
    assert bird_group("104.American_Pipit") == "Pipit"
    assert bird_group("009.Brewer_Blackbird") == bird_group("011.Rusty_Blackbird") == "Blackbird"
    assert car_body("Ford E-Series Wagon Van 2012") == "van"
    assert car_body("Infiniti G Coupe IPL 2012") == "coupe"
    assert car_body("Ford Ranger SuperCab 2011") == "pickup"
    assert car_body("Acura TL Type-S 2008") == "sedan"
    assert car_body("Nobody's Thing 2050") == "other"
    assert set(UNNAMED_BODIES.values()) <= set(BODIES.values())


def cub_folder(home, per_class=4):
    from PIL import Image

    names = [f"{i + 1:03d}.Kind{i}_{'Gull' if i % 2 else 'Tern'}" for i in range(200)]
    lines, labels, number = [], [], 0
    for i, name in enumerate(names):
        (home / "images" / name).mkdir(parents=True)
        for k in range(per_class):
            number += 1
            path = f"{name}/{k}.jpg"
            Image.fromarray(np.full((8, 10, 3), i, np.uint8)).save(home / "images" / path, quality=100)
            lines.append(f"{number} {path}")
            labels.append(f"{number} {i + 1}")
    (home / "images.txt").write_text("\n".join(lines) + "\n")
    (home / "image_class_labels.txt").write_text("\n".join(labels) + "\n")
    (home / "classes.txt").write_text("\n".join(f"{i + 1} {name}" for i, name in enumerate(names)) + "\n")


def test_cub_folder(tmp_path):
    cub_folder(tmp_path / "CUB_200_2011")
    source = load("cub200", tmp_path, size=8)
    assert source.facts.edition == "edition unknown: 800 images"  # neither 6,033 nor 11,788
    draws = source.splits(0)
    assert source.facts.disjoint
    assert set(draws.test.labels) == set(range(100, 200))
    assert len(np.unique(draws.validation.labels)) == 20
    assert not set(draws.train.labels) & set(draws.validation.labels)
    assert abs(int(draws.test.inputs[0].mean()) - int(draws.test.labels[0])) <= 2
    other = source.splits(1)
    assert set(other.validation.labels) != set(draws.validation.labels)
    coarse = load("cub200", tmp_path, size=8, train_labels="coarse")
    assert coarse.facts.class_names == ("Gull", "Tern")
    assert not coarse.facts.disjoint
    part = coarse.splits(0).train
    assert np.array_equal(
        np.array(["Tern", "Gull"])[part.fine_labels % 2], np.array(["Gull", "Tern"])[part.labels]
    )
    assert not set(part.fine_labels) & set(coarse.splits(0).validation.fine_labels)
    assert any("2 of 2 coarse classes have fine ones on both sides" in note for note in coarse.facts.notes)
    (tmp_path / "CUB_200_2011" / "images" / "001.Kind0_Tern" / "0.jpg").unlink()
    with pytest.raises(LosscopeError, match=r"1 of 800 images cannot be read: 0\.jpg \(no such file\)"):
        load("cub200", tmp_path, size=6)
    assert len(load("cub200", tmp_path, size=6, skip_bad=True).pool) == 799
    with pytest.raises(LosscopeError, match=r"no cub200\*features\*\.npz"):
        load("cub200", tmp_path, source="features")
    with pytest.raises(LosscopeError, match="choices: features, images"):
        load("cub200", tmp_path, source="sounds")


def test_feature_files_tell_their_edition_by_the_number_of_images(tmp_path):
    for rows, edition in (
        (6033, "2010 edition"),
        (11788, "2011 edition"),
        (5000, "edition unknown: 5,000 images"),
    ):
        folder = tmp_path / str(rows)
        folder.mkdir()
        labels = np.sort(np.arange(rows) % 200)
        names = np.array([f"{i:03d}.A_Bird{i % 7}" for i in range(200)])
        # The file's own name does not matter.
        np.savez(
            folder / "cub200_2011_features.npz",
            features=np.zeros((rows, 2), np.float16),
            labels=labels,
            class_names=names,
        )
        source = load("cub200", folder)
        assert source.facts.edition == edition
        assert edition in source.describe()
        assert any("not comparable" in note for note in source.facts.notes) == (rows != 11788)


@pytest.mark.parametrize("layout", ["devkit", "all"])
def test_cars_with_their_devkit(tmp_path, layout):
    from PIL import Image

    home = tmp_path / "cars196"
    names = [f"Make Model{i} {'Sedan' if i % 2 else 'SUV'} 2012" for i in range(196)]
    kind = [
        ("bbox_x1", "O"),
        ("bbox_y1", "O"),
        ("bbox_x2", "O"),
        ("bbox_y2", "O"),
        ("class", "O"),
        ("fname", "O"),
    ]
    if layout == "all":
        kind[5] = ("relative_im_path", "O")
    lines: dict[str, list] = {"cars_train": [], "cars_test": []}
    for i in range(196):
        for k in range(2):
            folder = ("cars_train", "cars_test")[k] if layout == "devkit" else "car_ims"
            (home / folder).mkdir(parents=True, exist_ok=True)
            pixels = np.zeros((12, 12, 3), np.uint8)
            pixels[2:8, 4:10] = i + 1  # the bounding box, counted from 1: x 5…10, y 3…8
            Image.fromarray(pixels).save(home / folder / f"{i:03d}{k}.png")
            path = f"{i:03d}{k}.png" if layout == "devkit" else f"{folder}/{i:03d}{k}.png"
            lines[("cars_train", "cars_test")[k]].append((5, 3, 10, 8, i + 1, path))
    kit = home / "devkit" if layout == "devkit" else home
    kit.mkdir(exist_ok=True)
    if layout == "devkit":
        savemat(kit / "cars_meta.mat", {"class_names": np.array(names, dtype=object)})
        for folder, file in (("cars_train", "cars_train_annos"), ("cars_test", "cars_test_annos_withlabels")):
            savemat(kit / f"{file}.mat", {"annotations": np.array(lines[folder], dtype=kind)})
    else:
        both = [*lines["cars_train"], *lines["cars_test"]]
        savemat(
            kit / "cars_annos.mat",
            {"annotations": np.array(both, dtype=kind), "class_names": np.array(names, dtype=object)},
        )
    source = load("cars196", tmp_path, size=6, crop=True)
    test = source.splits(0).test
    assert set(test.labels) == set(range(98, 196))
    assert np.array_equal(test.inputs.reshape(len(test), -1).min(1), test.labels + 1)
    assert source.facts.class_names[3] == names[3]
    assert load("cars196", tmp_path, size=6, train_labels="coarse").facts.class_names == ("SUV", "sedan")


def test_a_truncated_feature_file(tmp_path):
    np.savez_compressed(tmp_path / "cars196_features.npz", features=np.ones((50, 9)), labels=np.arange(50))
    path = tmp_path / "cars196_features.npz"
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(LosscopeError, match=r"cars196_features\.npz' is truncated"):
        load("cars196", tmp_path)


# Downloads


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    ) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()
        thread.join()


def test_downloads_are_cached_and_checked(server, tmp_path, monkeypatch):
    folder, url = server
    monkeypatch.setattr(download, "reachable", lambda url: True)
    (folder / "a.gz").write_bytes(b"some bytes")
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    sha256 = hashlib.sha256(b"some bytes").hexdigest()
    to = tmp_path / "cache" / "x" / "a.gz"
    assert (
        download.fetch("x", [url + "gone.gz", url + "a.gz"], to, sha256, "there").read_bytes()
        == b"some bytes"
    )
    (folder / "a.gz").unlink()
    assert download.fetch("x", [url + "a.gz"], to, sha256, "there") == to  # not asked for again
    (folder / "b.gz").write_bytes(b"other bytes")
    with pytest.raises(LosscopeError, match="wrong checksum"):
        download.fetch("x", [url + "b.gz"], tmp_path / "cache" / "b.gz", sha256, "there")
    assert not (tmp_path / "cache" / "b.gz").exists()
    to.write_bytes(b"other bytes")
    with pytest.raises(LosscopeError, match=r"wrong checksum: .*a\.gz' has SHA-256 [0-9a-f]{64}"):
        download.fetch("x", [url + "a.gz"], to, sha256, "there")


def test_only_https_is_asked(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(download, "reachable", lambda url: asked.append(url))
    for url in ("http://example.org/a.gz", "ftp://example.org/a.gz", "file:///etc/passwd"):
        with pytest.raises(LosscopeError, match="wanted: an https URL"):
            download.fetch("x", ["https://example.org/a.gz", url], tmp_path / "a.gz", "0" * 64, "there")
    assert not asked


def test_what_has_another_checksum_is_never_unpacked(server, tmp_path, monkeypatch):
    import tarfile

    from losscope.data.sets import finegrained

    folder, url = server
    monkeypatch.setattr(download, "reachable", lambda url: True)
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    given = download.fetch

    def local(what, urls, *rest):
        return given(what, [url + Path(address).name for address in urls], *rest)

    def opened(*_, **__):
        raise AssertionError("unpacked")

    monkeypatch.setattr(download, "fetch", local)
    monkeypatch.setattr(tarfile, "open", opened)
    for name, read in (("cifar-10-python.tar.gz", images.cifar10), ("CUB_200_2011.tgz", finegrained.cub200)):
        (folder / name).write_bytes(b"not the published archive")
        with pytest.raises(LosscopeError, match="wrong checksum"):
            read(None)
    assert not list((tmp_path / "cache").rglob("*gz"))


def test_mnist_is_downloaded_where_there_is_a_network(server, tmp_path, monkeypatch):
    folder, url = server
    sums, pixels = small_idx(folder / "files")
    monkeypatch.setattr(download, "reachable", lambda url: True)
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    monkeypatch.setitem(images.IDX_MD5, "mnist", sums)
    packed = [(folder / "files" / f"{name}.gz").read_bytes() for name in images.IDX_FILES]
    monkeypatch.setitem(images.IDX_SHA256, "mnist", [hashlib.sha256(raw).hexdigest() for raw in packed])
    monkeypatch.setattr(images, "MNIST_MIRRORS", (url + "files/",))
    draws = load("mnist", tmp_path).splits(0)
    assert np.array_equal(draws.test.inputs[:, 0], pixels[2])
    assert present("mnist")


def test_a_closed_port_is_not_reachable():
    assert not reachable(
        "http://127.0.0.1:9/"
    )  # the function itself, which the fixture replaces in its module


# The real files


def recall_at_1(part):
    z = part.inputs / np.linalg.norm(part.inputs, axis=1, keepdims=True)
    near = z @ z.T
    np.fill_diagonal(near, -2)
    return float((part.labels[near.argmax(1)] == part.labels).mean())


@pytest.mark.parametrize(
    ("name", "wanted", "edition"), [("cub200", 0.486, "2010 edition"), ("cars196", 0.498, "training half")]
)
def test_real_features(data_root, name, wanted, edition):
    source = load(name, data_root)
    assert edition in source.describe()
    assert abs(recall_at_1(source.splits(0).test) - wanted) < 0.0006


def test_real_mnist(data_root):
    source = load("mnist", data_root)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(source.pool.labels[source.role == 0]).tolist() == counts
    np.testing.assert_allclose(source.facts.mean, 0.1307, atol=1e-4)
    np.testing.assert_allclose(source.facts.std, 0.3081, atol=1e-4)
    draws = source.splits(0)
    assert (len(draws.train), len(draws.validation), len(draws.test)) == (48000, 12000, 10000)


def test_real_cifar10(data_root):
    source = load("cifar10", data_root)
    assert "a subset: 10,000 of the 50,000" in source.facts.edition
    assert np.bincount(source.splits(0).test.labels).tolist() == [1000] * 10
