"""What the tests of features share: pictures, small backbones, and one way of embedding."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from losscope import features
from losscope.features.backbones import find
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
"""(expansion, width, repeats, stride of the first) of MobileNetV2's blocks: table 2 of its paper."""


def mobilenet(path: Path) -> Path:
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
    np.savez(path, **arrays)
    return path


def picture(rng: np.random.Generator, side: tuple[int, int] = (32, 32)) -> np.ndarray:
    """A smooth random colour image, uint8 (height, width, 3)."""
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(side[::-1], Image.Resampling.BICUBIC))


def photos(home: Path) -> Path:
    """48 images of different sizes in three class folders."""
    rng = np.random.default_rng(1)
    for row in range(48):
        folder = home / f"class{row % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        side = tuple(int(length) for length in rng.integers(30, 60, 2))
        Image.fromarray(picture(rng, side)).save(folder / f"{row:02d}.png")
    for path in home.rglob("*.png"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return home


def copied(photos: Path, to: Path) -> Path:
    """The photos in a folder that a test may change."""
    import shutil

    return Path(shutil.copytree(photos, to))


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


def small_wav2vec(folder: Path, layers: int) -> Path:
    """A Wav2Vec 2.0 of random weights, and an extractor that fills no sound up."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    return folder


def features_of(path: Path, images: list[np.ndarray], **preprocess) -> np.ndarray:
    backbone = find(str(path), "images", preprocess)
    backbone.open("cpu")
    rows = [backbone.prepare(Image.fromarray(image)) for image in images]
    with torch.inference_mode():
        return backbone(torch.from_numpy(np.stack(rows))).numpy()


def run(data: Path, backbone: Path, **options):
    """The features of a data set, with the process's memory of what it read wiped first."""
    forget()
    options = {
        "backbone": str(backbone),
        "preprocess": ["size=32"],
        "batch_size": 8,
        "device": "cpu",
        **options,
    }
    return features.embed(str(data), **options)
