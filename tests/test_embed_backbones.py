"""Frozen backbones: they compute what their description or their library computes."""

from __future__ import annotations

import json
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from embed_fixture import BLOCKS, features_of, picture, run, small_vit
from losscope.core.errors import LosscopeError
from losscope.features.backbones import find
from losscope.features.backbones.mobilenet import convolutions, same_padding

pytestmark = pytest.mark.usefixtures("cache")


# MobileNetV2


def slow_mobilenet(arrays, x: np.ndarray) -> np.ndarray:
    """The forward pass as its paper has it, in float64, one kernel place at a time; x (H, W, 3) in ±1."""

    def padded(x, kernel, stride):
        before_after = []
        for size in x.shape[:2]:
            out = -(-size // stride)
            total = max((out - 1) * stride + kernel - size, 0)
            before_after.append((total // 2, total - total // 2))
        return np.pad(x, [*before_after, (0, 0)])

    def convolve(x, kernel, stride, depthwise=False):
        size = kernel.shape[0]
        high, wide = (-(-length // stride) for length in x.shape[:2])
        x = padded(x, size, stride)
        total = 0.0
        for i in range(size):
            for j in range(size):
                seen = x[i : i + (high - 1) * stride + 1 : stride, j : j + (wide - 1) * stride + 1 : stride]
                total = total + (seen * kernel[i, j, :, 0] if depthwise else seen @ kernel[i, j])
        return total

    def normalised(x, name, relu=True):
        gamma, beta, mean, variance = (
            np.asarray(arrays[f"{name}_BatchNorm_{statistic}"], np.float64)
            for statistic in ("gamma", "beta", "moving_mean", "moving_variance")
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
    alone = np.concatenate([features_of(weights, [image], size=32) for image in images])
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


# Hugging Face and timm


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
    assert any("no preprocessor_config.json" in note for note in said)


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
    headless = {name: tensor for name, tensor in tensors.items() if not name.startswith("pooler")}
    save_file(headless, file, {"format": "pt"})
    usual, pooled = (
        find(str(folder), "images", {"pool": "auto"}),
        find(str(folder), "images", {"pool": "pooler"}),
    )
    usual.open("cpu")
    with pytest.raises(LosscopeError, match="would be random"):
        pooled.open("cpu")
    lacking = {name: tensor for name, tensor in headless.items() if not name.startswith("layernorm")}
    save_file(lacking, file, {"format": "pt"})
    with pytest.raises(LosscopeError, match="2 weights of .*layernorm"):
        usual.open("cpu")


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
    first = run(tmp_path / "sounds", tmp_path / "w2v", preprocess=None, batch_size=6)
    assert first.table.pool.inputs.shape == (24, 16)
    kept = np.array(first.table.pool.inputs, np.float32)
    assert np.isfinite(kept).all()
    assert kept.std(0).max() > 1e-3
    for path in first.folder.iterdir():
        path.unlink()
    again = run(tmp_path / "sounds", tmp_path / "w2v", preprocess=None, batch_size=5)
    np.testing.assert_allclose(again.table.pool.inputs, kept, atol=2e-3)
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


def test_the_estimate_of_a_vit_counts_its_parameters(vit):
    from transformers import AutoModel

    backbone = find(str(vit))
    backbone.start()
    backbone.prepare(Image.fromarray(np.zeros((40, 40, 3), np.uint8)))
    parameters, activations = backbone.needs((3, 32, 32), 10)
    model = AutoModel.from_pretrained(vit, local_files_only=True)
    assert parameters == 4 * sum(parameter.numel() for parameter in model.parameters())
    assert activations > 10 * 4 * 17 * 32
    assert backbone.needs((3, 32, 32), 20)[1] == 2 * activations
