"""Features by frozen backbones: right, computed once, resumed, and told apart by their key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from losscope import features as embed
from losscope.core.errors import LosscopeError
from losscope.features import passes
from losscope.features.backbones import find, parse_preprocess
from losscope.features.backbones.mobilenet import convolutions, same_padding
from losscope.features.digests import digests
from losscope.features.embedding import embed as embed_command
from losscope.features.shards import Shards
from losscope.features.source import forget

BLOCKS = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("LOSSCOPE_CACHE", str(tmp_path / "cache"))
    forget()
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A MobileNetV2 of random numbers, by the file's description."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}

    def layer(name: str, kernel: str, shape: tuple[int, ...], out: int) -> None:
        fan_in = shape[0] * shape[1] * (1 if shape[3] == 1 and "depthwise" in kernel else shape[2])
        arrays[kernel] = rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
        for what, low, high in (
            ("gamma", 0.5, 1.5),
            ("beta", -0.2, 0.4),
            ("moving_mean", -0.3, 0.3),
            ("moving_variance", 0.3, 1.5),
        ):
            arrays[f"{name}_BatchNorm_{what}"] = rng.uniform(low, high, out).astype(np.float32)

    layer("Conv", "Conv_weights", (3, 3, 3, 32), 32)
    wide, number = 32, 0
    for expansion, width, repeats, _ in BLOCKS:
        for _ in range(repeats):
            name = f"expanded_conv_{number}" if number else "expanded_conv"
            inner = wide * expansion
            if expansion > 1:
                layer(f"{name}_expand", f"{name}_expand_weights", (1, 1, wide, inner), inner)
            layer(f"{name}_depthwise", f"{name}_depthwise_depthwise_weights", (3, 3, inner, 1), inner)
            layer(f"{name}_project", f"{name}_project_weights", (1, 1, inner, width), width)
            wide, number = width, number + 1
    layer("Conv_1", "Conv_1_weights", (1, 1, 320, 1280), 1280)
    path = tmp_path_factory.mktemp("weights") / "mobile.npz"
    np.savez(path, **arrays)
    return path


def picture(rng: np.random.Generator, side: tuple[int, int] = (32, 32)) -> np.ndarray:
    """A smooth random colour image, uint8 (height, width, 3)."""
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(side[::-1], Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """48 images of different sizes in three class folders."""
    home = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(1)
    for row in range(48):
        folder = home / f"class{row % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        side = tuple(int(one) for one in rng.integers(30, 60, 2))
        Image.fromarray(picture(rng, side)).save(folder / f"{row:02d}.png")
    for path in home.rglob("*.png"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return home


def copied(photos: Path, to: Path) -> Path:
    """The photos in a folder that a test may change."""
    import shutil

    return Path(shutil.copytree(photos, to))


# MobileNetV2


def slow_mobilenet(arrays, x: np.ndarray) -> np.ndarray:
    """The forward pass as data/README describes it, in float64, a kernel place at a time; x (H, W, 3) in ±1."""

    def padded(x, kernel, stride):
        before_after = []
        for size in x.shape[:2]:
            out = -(-size // stride)
            total = max((out - 1) * stride + kernel - size, 0)
            before_after.append((total // 2, total - total // 2))
        return np.pad(x, [*before_after, (0, 0)])

    def convolve(x, kernel, stride, depthwise=False):
        size = kernel.shape[0]
        high, wide = (-(-one // stride) for one in x.shape[:2])
        x = padded(x, size, stride)
        total = 0.0
        for i in range(size):
            for j in range(size):
                seen = x[i : i + (high - 1) * stride + 1 : stride, j : j + (wide - 1) * stride + 1 : stride]
                total = total + (seen * kernel[i, j, :, 0] if depthwise else seen @ kernel[i, j])
        return total

    def normalised(x, name, relu=True):
        gamma, beta, mean, variance = (
            np.asarray(arrays[f"{name}_BatchNorm_{one}"], np.float64)
            for one in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        x = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        return np.clip(x, 0, 6) if relu else x

    kernel = {name: np.asarray(arrays[name], np.float64) for name in arrays if name.endswith("weights")}
    x = normalised(convolve(x, kernel["Conv_weights"], 2), "Conv")
    number = 0
    for expansion, _, repeats, first in BLOCKS:
        for repeat in range(repeats):
            name = f"expanded_conv_{number}" if number else "expanded_conv"
            number += 1
            stride, before = first if repeat == 0 else 1, x
            if expansion > 1:
                x = normalised(convolve(x, kernel[f"{name}_expand_weights"], 1), f"{name}_expand")
            x = convolve(x, kernel[f"{name}_depthwise_depthwise_weights"], stride, True)
            x = normalised(x, f"{name}_depthwise")
            x = normalised(convolve(x, kernel[f"{name}_project_weights"], 1), f"{name}_project", relu=False)
            if stride == 1 and x.shape == before.shape:
                x = x + before
    return normalised(convolve(x, kernel["Conv_1_weights"], 1), "Conv_1").mean((0, 1))


def features_of(path: Path, images: list[np.ndarray], **preprocess) -> np.ndarray:
    backbone = find(str(path), "images", preprocess)
    backbone.open("cpu")
    rows = [backbone.prepare(Image.fromarray(one)) for one in images]
    with torch.inference_mode():
        return backbone(torch.from_numpy(np.stack(rows))).numpy()


@pytest.mark.parametrize("side", [32, 37, 64])
def test_mobilenet_is_what_its_description_says(weights, side):
    """Odd sizes too, where SAME padding is lopsided on the other side."""
    image = picture(np.random.default_rng(2), (side, side))
    with np.load(weights) as arrays:
        wanted = slow_mobilenet(arrays, image / 127.5 - 1)
    found = features_of(weights, [image], size=side)[0]
    assert found.shape == (1280,)
    assert wanted.std() > 0.05
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


def test_the_local_mobilenet_agrees_with_the_slow_one(data_root):
    path = data_root / "mobilenetv2_imagenet_notop.npz"
    image = picture(np.random.default_rng(3), (96, 96))
    with np.load(path) as arrays:
        wanted = slow_mobilenet(arrays, image / 127.5 - 1)
    found = features_of(path, [image], size=96)[0]
    assert found.shape == (1280,)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


def test_safetensors_hold_the_same_mobilenet(weights, tmp_path):
    from safetensors.numpy import save_file

    with np.load(weights) as arrays:
        save_file({name: np.ascontiguousarray(arrays[name]) for name in arrays}, tmp_path / "m.safetensors")
    images = [picture(np.random.default_rng(seed)) for seed in range(2)]
    np.testing.assert_array_equal(
        features_of(weights, images, size=32), features_of(tmp_path / "m.safetensors", images, size=32)
    )


def test_a_row_does_not_depend_on_its_batch(weights):
    images = [picture(np.random.default_rng(seed)) for seed in range(5)]
    together = features_of(weights, images, size=32)
    alone = np.concatenate([features_of(weights, [one], size=32) for one in images])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-3)


@given(st.integers(1, 300), st.sampled_from([1, 3]), st.sampled_from([1, 2]))
def test_same_padding_yields_ceil_places(size, kernel, stride):
    before, after = same_padding(size, kernel, stride)
    assert 0 <= after - before <= 1
    if size >= kernel:
        assert (size + before + after - kernel) // stride + 1 == -(-size // stride)


def test_there_are_52_convolutions_and_ten_residual_sums():
    layers = list(convolutions())
    assert len(layers) == 52
    assert sum(place == "end" for *_, place in layers) == sum(place == "start" for *_, place in layers) == 10


def test_crop_keeps_proportions_and_stretch_does_not(weights):
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 255
    stretched = find(str(weights), "images", {"size": 40}).prepare(Image.fromarray(wide))
    cropped = find(str(weights), "images", {"size": 40, "fit": "crop"}).prepare(Image.fromarray(wide))
    assert stretched.shape == cropped.shape == (3, 40, 40)
    assert cropped.min() == 1.0
    assert stretched[:, :, 0].max() == -1.0


# The cache


def run(photos: Path, weights: Path, **options):
    forget()
    options = {
        "backbone": str(weights),
        "preprocess": ["size=32"],
        "batch_size": 8,
        "device": "cpu",
        **options,
    }
    return embed.embed(str(photos), **options)


def test_the_second_time_nothing_is_computed(photos, weights, monkeypatch):
    first = run(photos, weights)
    assert not first.cached
    assert first.table.pool.inputs.shape == (48, 1280)
    monkeypatch.setattr(passes, "compute", None)
    monkeypatch.setattr("losscope.features.source.compute", None)
    start = time.perf_counter()
    second = run(photos, weights)
    assert time.perf_counter() - start < 1.0
    assert second.cached
    assert isinstance(second.table.pool.inputs, np.memmap)
    assert second.table.pool.inputs.dtype == np.float16
    assert not second.table.pool.inputs.flags.writeable
    np.testing.assert_array_equal(first.table.pool.inputs, second.table.pool.inputs)
    assert first.table.digest == second.table.digest


def test_features_stand_beside_their_images(photos, weights):
    made = run(photos, weights).table
    row = 17
    with Image.open(photos / made.pool.names[row]) as opened:
        image = np.asarray(opened.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(
        made.pool.inputs[row], features_of(weights, [image], size=32)[0], rtol=2e-3, atol=2e-3
    )
    assert made.facts.class_names[made.pool.labels[row]] == Path(made.pool.names[row]).parent.name
    assert made.facts.kind == "features"
    assert "features of mobile.npz" in made.describe()


def test_a_pass_from_the_cache_imports_no_torch(photos, weights):
    run(photos, weights)
    code = (
        "import sys; from losscope.cli import main\n"
        "main(sys.argv[1:])\n"
        "assert not {'torch', 'transformers', 'PIL'} & set(sys.modules), 'heavy'"
    )
    words = ["embed", str(photos), "--backbone", str(weights), "--preprocess", "size=32", "--json"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["cached"]
    assert said["seconds"] < 1.0


KILLED = """
import os, signal, sys, torch
torch.set_num_threads(1)  # as the tests do: sums of convolutions depend on it
from losscope import features as embed
from losscope.features import passes
passes.SHARD = 8
def progress(done, total):
    if done >= 20:
        os.kill(os.getpid(), signal.SIGKILL)
embed.embed(sys.argv[1], backbone=sys.argv[2], preprocess=["size=32"], batch_size=4, device="cpu", progress=progress)
"""


def test_killed_in_its_middle_it_goes_on_from_the_last_whole_shard(photos, weights, cache, monkeypatch):
    died = subprocess.run([sys.executable, "-c", KILLED, str(photos), str(weights)], capture_output=True)
    assert died.returncode == -9, died.stderr
    (parts,) = cache.glob("features/*/parts")
    assert sorted(one.name for one in parts.glob("*.npy")) == [
        "000000000-000000008.npy",
        "000000008-000000016.npy",
    ]
    monkeypatch.setattr(passes, "SHARD", 8)
    seen: list[int] = []
    resumed = run(photos, weights, batch_size=4, progress=lambda done, total: seen.append(done))
    assert seen[0] == 16
    assert seen[-1] == 48
    assert not parts.exists()
    monkeypatch.setenv("LOSSCOPE_CACHE", str(cache) + "-other")
    whole = run(photos, weights, batch_size=4)
    assert whole.folder != resumed.folder
    np.testing.assert_array_equal(
        np.asarray(whole.table.pool.inputs).view(np.uint16),
        np.asarray(resumed.table.pool.inputs).view(np.uint16),
    )


def test_the_key_changes_with_preprocessing_weights_and_images_only(photos, weights, tmp_path):
    mine = copied(photos, tmp_path / "mine")
    base = run(mine, weights, compute=False)
    assert run(mine, weights, compute=False, preprocess=["size=33"]).key != base.key
    assert run(mine, weights, compute=False, preprocess=["size=32", "fit=crop"]).key != base.key
    assert run(photos, weights, compute=False).key == base.key

    with np.load(weights) as arrays:
        changed = {name: arrays[name] for name in arrays}
    changed["Conv_1_weights"] = changed["Conv_1_weights"] * np.float32(1.5)
    np.savez(tmp_path / "mobile.npz", **changed)
    assert run(mine, tmp_path / "mobile.npz", compute=False).key != base.key

    (mine / "class0").rename(mine / "class0b")
    renamed = run(mine, weights, compute=False)
    assert renamed.key == base.key
    target = next((mine / "class1").iterdir())
    Image.fromarray(picture(np.random.default_rng(9))).save(target)
    assert run(mine, weights, compute=False).key != base.key


def test_moved_labels_keep_the_features_and_change_the_runs(photos, weights, tmp_path):
    lines = ["path,label"] + [
        f"{one.relative_to(photos)},{one.parent.name}" for one in sorted(photos.rglob("*.png"))
    ]
    first, second = photos / "first.csv", photos / "second.csv"
    try:
        first.write_text("\n".join(lines))
        second.write_text("\n".join(lines).replace("00.png,class0", "00.png,class1"))
        one, two = (run(path, weights, compute=False) for path in (first, second))
    finally:
        first.unlink(missing_ok=True)
        second.unlink(missing_ok=True)
    assert one.key == two.key
    assert one.table.digest != two.table.digest


def test_a_plan_computes_nothing(photos, weights, cache):
    made = run(photos, weights, compute=False)
    assert not made.complete
    assert not list(cache.glob("features/*"))
    assert any("48 of 48 images" in note for note in made.table.facts.notes)


@settings(max_examples=10)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.data())
def test_shards_count_the_unbroken_line_from_the_start(tmp_path_factory, sizes, data):
    rows = sum(sizes)
    shards = Shards(tmp_path_factory.mktemp("shards"), rows)
    values = np.arange(rows * 2, dtype=np.float16).reshape(rows, 2)
    starts = np.cumsum([0, *sizes])
    present = [data.draw(st.booleans()) for _ in sizes]
    for start, size, here in zip(starts, sizes, present, strict=False):
        if here:
            shards.add(int(start), values[start : start + size])
    unbroken = present.index(False) if False in present else len(sizes)
    assert shards.done() == starts[unbroken]
    for start, size in zip(starts, sizes, strict=False):
        shards.add(int(start), values[start : start + size])
    shards.join({})
    np.testing.assert_array_equal(shards.open(), values)
    assert shards.about()["bad"] == []


def test_a_broken_shard_ends_the_line(tmp_path):
    shards = Shards(tmp_path / "one", 6)
    for start in (0, 2, 4):
        shards.add(start, np.ones((2, 3), np.float16))
    path = shards.parts / "000000002-000000004.npy"
    path.write_bytes(path.read_bytes()[:-3])
    assert shards.done() == 2


def test_digests_are_read_once_and_see_every_change(tmp_path, monkeypatch):
    files = [tmp_path / name for name in ("a", "b", "none")]
    files[0].write_bytes(b"one")
    files[1].write_bytes(b"two")
    for path in files[:2]:
        os.utime(path, (1_600_000_000, 1_600_000_000))
    first = digests(files, tmp_path / "memory")
    assert first[2] == "missing"
    assert len(set(first)) == 3
    read: list[str] = []
    real = __import__("losscope.features.digests", fromlist=["_"])._digest
    monkeypatch.setattr("losscope.features.digests._digest", lambda path: read.append(path) or real(path))
    assert digests(files, tmp_path / "memory") == first
    assert read == [str(files[2])]
    files[1].write_bytes(b"too")
    os.utime(files[1], (1_600_000_000, 1_600_000_001))
    again = digests(files, tmp_path / "memory")
    assert again[0] == first[0]
    assert again[1] != first[1]


def test_a_file_just_written_is_not_remembered(tmp_path):
    """Its clock may not have ticked when it is written again."""
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = digests([path], tmp_path / "memory")
    stamp = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert digests([path], tmp_path / "memory") != first


# Images that cannot be read, and data of other kinds


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
    one, two = (run(tmp_path / f"{name}.npz", weights) for name in ("grey", "colour"))
    assert one.key != two.key
    np.testing.assert_array_equal(one.table.pool.inputs, two.table.pool.inputs)


def test_images_of_the_hub_are_read_from_their_bytes(photos, weights, monkeypatch):
    """Through a stand-in for the downloaded set: encoded bytes in a column, nothing decoded beforehand."""
    import datasets

    files = sorted(photos.rglob("*.png"))
    made = datasets.Dataset.from_dict(
        {
            "image": [{"bytes": one.read_bytes(), "path": None} for one in files],
            "label": [int(one.parent.name[-1]) for one in files],
        },
        features=datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["a", "b", "c"])),
    )
    monkeypatch.setattr("losscope.data.readers.hub._download", lambda name, config: {"train": made})
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


# Hugging Face


def small_vit(folder: Path, processor: bool = True, seed: int = 0) -> Path:
    from transformers import ViTConfig, ViTModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(seed)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
    )
    ViTModel(config).save_pretrained(folder)
    if processor:
        (folder / "preprocessor_config.json").write_text(
            json.dumps(
                {
                    "image_processor_type": "ViTImageProcessor",
                    "do_resize": True,
                    "size": {"height": 32, "width": 32},
                    "resample": 2,
                    "do_rescale": True,
                    "rescale_factor": 1 / 255,
                    "do_normalize": True,
                    "image_mean": [0.5, 0.4, 0.3],
                    "image_std": [0.5, 0.6, 0.7],
                }
            )
        )
    return folder


@pytest.fixture(scope="module")
def vit(tmp_path_factory) -> Path:
    return small_vit(tmp_path_factory.mktemp("models") / "vit")


def test_a_local_vit_gives_transformers_own_features(photos, vit):
    from transformers import AutoModel
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    made = run(photos, vit, preprocess=None).table
    assert made.pool.inputs.shape == (48, 16)
    processor = ViTImageProcessorPil.from_pretrained(vit)
    names = made.pool.names[:6]
    images = [Image.open(photos / name).convert("RGB") for name in names]
    with torch.inference_mode():
        model = AutoModel.from_pretrained(vit, local_files_only=True).eval()
        wanted = model(processor(images=images, return_tensors="pt")["pixel_values"]).last_hidden_state[:, 0]
    np.testing.assert_allclose(made.pool.inputs[:6], wanted, rtol=2e-3, atol=2e-3)
    assert "torchvision" not in sys.modules


def test_preprocessing_of_a_vit_can_be_changed_and_is_checked(photos, vit):
    base = run(photos, vit, preprocess=None, compute=False)
    other = run(photos, vit, preprocess=["do_normalize=False"])
    assert other.key != base.key
    assert not other.cached
    with pytest.raises(LosscopeError, match="do_normalise.*did you mean 'do_normalize'"):
        run(photos, vit, preprocess=["do_normalise=False"])


@pytest.mark.parametrize("pool", ["first", "mean", "pooler"])
def test_the_pool_is_chosen(photos, vit, pool):
    from transformers import AutoModel

    backbone = find(str(vit), "images", {"pool": pool})
    backbone.start()
    row = backbone.prepare(Image.open(next(photos.rglob("*.png"))).convert("RGB"))
    backbone.open("cpu")
    batch = torch.from_numpy(row)[None]
    with torch.inference_mode():
        out = AutoModel.from_pretrained(vit, local_files_only=True).eval()(batch)
        wanted = {
            "first": out.last_hidden_state[:, 0],
            "mean": out.last_hidden_state.mean(1),
            "pooler": out.pooler_output,
        }
        torch.testing.assert_close(backbone(batch), wanted[pool])


def test_a_vit_without_a_processor_gets_the_plain_one(photos, tmp_path):
    folder = small_vit(tmp_path / "bare", processor=False)
    said: list[str] = []
    made = run(photos, folder, preprocess=None, say=said.append)
    assert made.table.pool.inputs.shape == (48, 16)
    assert any("no preprocessor_config.json" in one for one in said)


def test_clip_gives_its_projected_image_features(photos, tmp_path):
    from transformers import CLIPConfig, CLIPModel

    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**small, "vocab_size": 50, "max_position_embeddings": 8},
        vision_config={**small, "image_size": 32, "patch_size": 16},
        projection_dim=12,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(tmp_path / "clip")
    (tmp_path / "clip" / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "CLIPImageProcessor",
                "size": {"shortest_edge": 32},
                "crop_size": {"height": 32, "width": 32},
            }
        )
    )
    made = run(photos, tmp_path / "clip", preprocess=None).table
    assert made.pool.inputs.shape == (48, 12)


def test_resnet_features_are_the_mean_of_its_map(photos, tmp_path):
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 24], depths=[1, 1], layer_type="basic", image_size=32
    )
    ResNetModel(config).save_pretrained(tmp_path / "resnet")
    made = run(photos, tmp_path / "resnet", preprocess=None).table
    assert made.pool.inputs.shape == (48, 24)


def test_weights_missing_from_the_file_are_never_random(photos, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = small_vit(tmp_path / "vit")
    file = folder / "model.safetensors"
    tensors = load_file(file)
    headless = {name: one for name, one in tensors.items() if not name.startswith("pooler")}
    save_file(headless, file, {"format": "pt"})
    one, two = (
        find(str(folder), "images", {"pool": "auto"}),
        find(str(folder), "images", {"pool": "pooler"}),
    )
    one.open("cpu")
    with pytest.raises(LosscopeError, match="would be random"):
        two.open("cpu")
    lacking = {name: one for name, one in headless.items() if not name.startswith("layernorm")}
    save_file(lacking, file, {"format": "pt"})
    with pytest.raises(LosscopeError, match="2 weights of .*layernorm"):
        one.open("cpu")


def test_sounds_go_through_an_audio_model(tmp_path):
    from scipy.io import wavfile
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    torch.manual_seed(0)
    Wav2Vec2Model(config).save_pretrained(tmp_path / "w2v")
    Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(tmp_path / "w2v")
    rng = np.random.default_rng(0)
    for row in range(24):
        home = tmp_path / "sounds" / f"word{row % 2}"
        home.mkdir(parents=True, exist_ok=True)
        rate = 8000 if row % 5 else 16000
        length = int(rng.integers(900, 2000))
        wave = np.sin(np.arange(length) * (0.1 + 0.2 * (row % 2))) + 0.1 * rng.normal(size=length)
        wavfile.write(home / f"{row}.wav", rate, (wave * 8000).astype(np.int16))
    one = run(tmp_path / "sounds", tmp_path / "w2v", preprocess=None, batch_size=6)
    assert one.table.pool.inputs.shape == (24, 16)
    kept = np.array(one.table.pool.inputs, np.float32)
    assert np.isfinite(kept).all()
    assert kept.std(0).max() > 1e-3
    for path in one.folder.iterdir():
        path.unlink()
    two = run(tmp_path / "sounds", tmp_path / "w2v", preprocess=None, batch_size=5)
    np.testing.assert_allclose(two.table.pool.inputs, kept, atol=2e-3)
    with pytest.raises(LosscopeError, match="takes images and these are sounds"):
        find("timm:resnet18", "sounds")


def test_an_id_that_is_not_here_fails_fast_with_what_to_do(photos, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    start = time.perf_counter()
    with pytest.raises(LosscopeError, match="nobody/nothing.*hf download nobody/nothing.*--backbone"):
        run(photos, Path("nobody/nothing"))
    assert time.perf_counter() - start < 5


def test_timm_is_used_where_the_user_has_it(photos, monkeypatch):
    """Through a stand-in: the real one would bring torchvision."""
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 4, 4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    network.num_features = 6
    network.pretrained_cfg = {"architecture": "tiny", "tag": "a1"}
    fake = types.ModuleType("timm")
    fake.__version__ = "1.0"
    fake.create_model = lambda name, pretrained, num_classes: network
    fake.data = types.ModuleType("timm.data")
    fake.data.resolve_model_data_config = lambda model: {
        "input_size": (3, 32, 32),
        "interpolation": "bicubic",
        "crop_pct": 0.9,
        "crop_mode": "center",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.2, 0.2, 0.2),
    }
    monkeypatch.setitem(sys.modules, "timm", fake)
    monkeypatch.setitem(sys.modules, "timm.data", fake.data)
    made = run(photos, Path("timm:tiny"), preprocess=None)
    assert made.table.pool.inputs.shape == (48, 6)
    network.pretrained_cfg = {"architecture": "tiny", "tag": "a2"}
    assert run(photos, Path("timm:tiny"), preprocess=None, compute=False).key != made.key


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


def test_the_estimate_of_a_vit_counts_its_parameters(vit):
    from transformers import AutoModel

    backbone = find(str(vit))
    backbone.start()
    backbone.prepare(Image.fromarray(np.zeros((40, 40, 3), np.uint8)))
    parameters, activations = backbone.needs((3, 32, 32), 10)
    model = AutoModel.from_pretrained(vit, local_files_only=True)
    assert parameters == 4 * sum(one.numel() for one in model.parameters())
    assert activations > 10 * 4 * 17 * 32
    assert backbone.needs((3, 32, 32), 20)[1] == 2 * activations


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


# Into compare


def test_the_written_file_can_be_compared(photos, weights, tmp_path):
    import losscope.data

    done = embed_command(
        str(photos), str(weights), out=tmp_path / "f.npz", preprocess=["size=32"], device="cpu", batch_size=8
    )
    assert done["rows"] == 48
    assert done["width"] == 1280
    with np.load(tmp_path / "f.npz") as file:
        assert file["features"].dtype == np.float16
        assert set(file["split"]) == {"train", "test"}
        assert set(file["class_names"]) == {"class0", "class1", "class2"}
    assert "features of mobile.npz" in losscope.data.load(str(tmp_path / "f.npz")).describe()
    result = losscope.compare(
        str(tmp_path / "f.npz"),
        losses="triplet",
        seeds=2,
        epochs=1,
        batch_size=12,
        device="cpu",
        out=str(tmp_path / "runs"),
        tune=False,
    )
    assert {side.name for side in result.baselines} == {"raw", "untrained"}


def test_compare_trains_on_a_vits_features_as_one_population(photos, vit, tmp_path, monkeypatch):
    import losscope
    from losscope.comparing import dry_run, plan
    from losscope.core.spec import Study

    words = {
        "data": str(photos),
        "backbone": str(vit),
        "losses": ["triplet", "contrastive"],
        "seeds": 3,
        "epochs": 1,
        "batch_size": 12,
        "device": "cpu",
        "out": str(tmp_path / "runs"),
        "tune": False,
    }
    planned = dry_run(plan(Study.of(**words), compute=False))
    assert "features of" in planned.data
    assert planned.populations == 4
    said: list[str] = []
    result = losscope.compare(**words, say=said.append)
    assert any("computing features of 48 images" in one for one in said)
    assert result.protocol.model == "mlp"
    assert result.protocol.hidden == ()
    features = run(photos, vit, preprocess=None).table
    assert result.data.digest == features.digest
    monkeypatch.setattr("losscope.features.source.compute", None)
    forget()
    again = losscope.compare(**words)
    before, after = (
        [loss.measures["recall_at_1"].values for loss in found.losses] for found in (result, again)
    )
    assert after == before
