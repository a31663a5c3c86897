"""What a backbone reads: images that are broken, data of other kinds, and mistakes in what was given."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest

from embed_fixture import copied, run
from losscope.core.errors import LosscopeError
from losscope.features.backbones import parse_preprocess
from losscope.features.embedding import embed as embed_command

pytestmark = pytest.mark.usefixtures("cache")


def test_bad_images_are_counted_named_and_skipped_only_when_told(photos, weights, tmp_path):
    mine = copied(photos, tmp_path / "mine")
    bad = sorted((mine / "class1").iterdir())[:2]
    bad[0].write_bytes(b"nothing")
    bad[1].write_bytes(bad[1].read_bytes()[:60])
    with pytest.raises(LosscopeError, match="2 of 48 images cannot be read.*--skip-bad") as raised:
        run(mine, weights)
    assert all(path.name in str(raised.value) for path in bad)
    made = run(mine, weights, skip_bad=True)
    assert len(made.table.pool) == made.table.facts.rows == 46
    assert sum(made.table.sizes()) == 46
    assert any("2 of 48 images cannot be read" in note for note in made.table.facts.notes)
    assert np.isfinite(np.asarray(made.table.pool.inputs, np.float32)).all()
    with pytest.raises(LosscopeError, match="2 of 48"):
        run(mine, weights)
    again = run(mine, weights, skip_bad=True)
    assert again.cached
    assert set(again.table.pool.names) == {str(p.relative_to(mine)) for p in mine.rglob("*.png")} - {
        str(p.relative_to(mine)) for p in bad
    }


def test_grey_and_colour_arrays_are_embedded_too(weights, tmp_path):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (40, 32, 32), dtype=np.uint8)
    np.savez(tmp_path / "grey.npz", images=grey, labels=np.arange(40) % 4)
    colour = np.repeat(grey[..., None], 3, axis=-1)
    np.savez(tmp_path / "colour.npz", images=colour, labels=np.arange(40) % 4)
    grey, colour = (run(tmp_path / f"{name}.npz", weights) for name in ("grey", "colour"))
    assert grey.key != colour.key
    np.testing.assert_array_equal(grey.table.pool.inputs, colour.table.pool.inputs)


def test_images_of_the_hub_are_read_from_their_bytes(photos, weights, monkeypatch):
    """Through a stand-in for the downloaded set: encoded bytes in a column, nothing decoded beforehand."""
    import datasets

    files = sorted(photos.rglob("*.png"))
    made = datasets.Dataset.from_dict(
        {
            "image": [{"bytes": file.read_bytes(), "path": None} for file in files],
            "label": [int(file.parent.name[-1]) for file in files],
        },
        features=datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["a", "b", "c"])),
    )
    monkeypatch.setattr("losscope.data.readers.hub.downloaded", lambda name, config: {"train": made})
    table = run(Path("hf:some/photos"), weights).table
    folder = run(photos, weights).table
    np.testing.assert_array_equal(table.pool.inputs, folder.pool.inputs)


def test_fewer_rows_are_fewer_to_compute(weights, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    np.savez(
        tmp_path / "i.npz",
        images=images,
        labels=np.arange(60) % 3,
        split=np.repeat(["train", "test"], [48, 12]),
    )
    seen: list[int] = []
    made = run(tmp_path / "i.npz", weights, limit=20, progress=lambda done, total: seen.append(total))
    assert set(seen) == {len(made.table.pool)}
    assert len(made.table.pool) < 40
    assert any("reduced" in note for note in made.table.facts.notes)


# Mistakes


def test_more_memory_than_there_is_is_said_before_it_starts(photos, weights, cache, monkeypatch):
    import psutil

    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: types.SimpleNamespace(available=12_000_000, total=12_000_000)
    )
    with pytest.raises(
        LosscopeError, match=r"mobile.npz' needs about .* for a batch of 48.*--batch-size at most \d+"
    ):
        run(photos, weights, batch_size=64)
    assert not list(cache.glob("features/*/parts/*"))
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: types.SimpleNamespace(available=1_000_000, total=12_000_000)
    )
    with pytest.raises(LosscopeError, match="smaller backbone"):
        run(photos, weights, batch_size=1)


def test_mistakes_are_one_sentence(photos, weights, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "model.pt").write_bytes(b"x")
    for backbone, said in (
        ("no_such_thing", "no file or folder 'no_such_thing'"),
        (str(tmp_path / "empty"), "no config.json"),
        (str(tmp_path / "broken.npz"), "truncated"),
        (str(tmp_path / "other.npz"), "has no array 'Conv_weights'"),
        (str(tmp_path / "model.pt"), "is a file .pt"),
        ("timm:resnet18", "needs the package timm"),
    ):
        with pytest.raises(LosscopeError, match=said):
            run(photos, Path(backbone))
    for preprocess, said in (
        (["sise=32"], "unknown preprocessing of MobileNetV2 'sise'; did you mean 'size'"),
        (["size=4"], "size is 4"),
        (["fit=squeeze"], "unknown fit 'squeeze'"),
        (["size"], "cannot read the preprocessing"),
    ):
        with pytest.raises(LosscopeError, match=said):
            run(photos, weights, preprocess=preprocess)
    with pytest.raises(LosscopeError, match="batch size is 0"):
        run(photos, weights, batch_size=0)
    with pytest.raises(LosscopeError, match="wants images or sounds"):
        run(Path("digits"), weights)
    with pytest.raises(LosscopeError, match="generated"):
        run(Path("synthetic"), weights)
    with pytest.raises(LosscopeError, match="at their own size"):
        run(photos, weights, size=64)
    with pytest.raises(LosscopeError, match="must be an .npz file"):
        embed_command(str(photos), str(weights), out=tmp_path / "f.npy")


def test_preprocess_values_are_literals_or_words():
    assert parse_preprocess("size={'height': 8}") == {"size": {"height": 8}}
    assert parse_preprocess(None) == {}
