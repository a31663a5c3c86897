"""Augmentation of training images, and the residual net that trains on images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from losscope.core.errors import LosscopeError
from losscope.core.spec import Protocol, Study
from losscope.data import load
from losscope.models.networks import resnet18
from losscope.train import Population, train
from losscope.train.augment import augment

WIDTHS = (4, 8)


def generators(members: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, member]) for member in range(members)]


# Augmentation


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4), st.integers(0, 50))
def test_crop_and_flip_are_what_a_loop_does(members, rows, pad, seed):
    """The same draws, an image at a time in numpy."""
    images = np.random.default_rng(seed).normal(size=(members, rows, 2, 5, 7)).astype(np.float32)
    found = augment(torch.from_numpy(images), [f"crop{pad}", "flip"], generators(members, seed)).numpy()
    for member, generator in enumerate(generators(members, seed)):
        down, right = generator.integers(0, 2 * pad + 1, (2, rows))
        mirrored = generator.random(rows) < 0.5
        for row in range(rows):
            large = np.pad(images[member, row], [(0, 0), (pad, pad), (pad, pad)])
            cut = large[:, down[row] : down[row] + 5, right[row] : right[row] + 7]
            np.testing.assert_array_equal(found[member, row], cut[:, :, ::-1] if mirrored[row] else cut)


def test_half_of_the_images_are_mirrored_and_all_places_are_drawn():
    images = torch.arange(4000.0).view(1, 1000, 1, 1, 4)
    mirrored = (augment(images, ["flip"], generators(1)) != images).any(-1).float().mean()
    assert 0.45 < mirrored < 0.55
    dot = torch.zeros(1, 2000, 1, 5, 5)
    dot[..., 2, 2] = 1
    places = augment(dot, ["crop2"], generators(1)).flatten(2).argmax(-1)
    counts = torch.bincount(places.flatten(), minlength=25)
    assert counts.min() > 40
    assert counts.max() < 130


def test_a_members_images_do_not_depend_on_its_neighbours():
    images = torch.randn(3, 8, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    together = augment(images, ["flip", "crop4"], generators(3))
    alone = augment(images[1:2], ["flip", "crop4"], generators(3)[1:2])
    assert torch.equal(together[1:2], alone)
    assert not torch.equal(together, images)


def test_inputs_that_are_no_images_are_refused():
    with pytest.raises(LosscopeError, match="wants images"):
        augment(torch.zeros(1, 4, 7), ["flip"], generators(1))


@pytest.mark.parametrize("name", ["flop", "crop", "crop0", "crop-1", "flip2"])
def test_unknown_augmentations_are_refused_before_anything_runs(name):
    with pytest.raises(LosscopeError, match=f"unknown augmentation '{name}'.*crop4"):
        Study.of(data="digits", augment=[name]).resolve("images")


# In training


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """60 images of three classes that differ in their colour."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    pictures = rng.integers(0, 120, (60, 3, 16, 16))
    pictures[np.arange(60), labels] += 100
    path = tmp_path_factory.mktemp("data") / "images.npz"
    np.savez(path, images=pictures.astype(np.uint8), labels=labels)
    return load(path)


def population(source, loss="triplet", seeds=1, model=None, augment=None, epochs=1, only=None):
    study = Study.of(
        data="x",
        losses=[loss],
        seeds=seeds,
        epochs=epochs,
        batch_size=12,
        augment=augment,
        embedding_size=8,
        model=model,
    )
    runs = [run for run in study.expand("images") if not run.loss.baseline]
    if model == "resnet18":
        small = runs[0].protocol.model_copy(update={"hidden": WIDTHS})
        runs = [run.model_copy(update={"protocol": small}) for run in runs]
    runs = runs if only is None else [runs[one] for one in only]
    return Population(runs, [source.splits(run.seed) for run in runs], torch.device("cpu"))


def batches(made):
    return [inputs.clone() for inputs, _ in made.batches.epoch(made.embed)]


def test_only_training_batches_are_augmented_and_every_loss_sees_the_same(images):
    plain, changed = population(images), population(images, augment=["flip", "crop2"])
    assert changed.protocol.augment == ("flip", "crop2")
    index = changed.probe.index
    assert torch.equal(plain.batches.pool.gather(index), changed.batches.pool.gather(index))
    one, two = batches(plain), batches(changed)
    assert [a.shape for a in one] == [b.shape for b in two]
    assert not any(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    other = batches(population(images, loss="contrastive", augment=["flip", "crop2"]))
    assert all(torch.equal(a, b) for a, b in zip(two, other, strict=True))


def test_members_see_the_same_alone_and_a_checkpoint_goes_on(images):
    whole = population(images, seeds=3, augment=["flip", "crop2"])
    alone = population(images, seeds=3, augment=["flip", "crop2"], only=[1])
    first = [batch[1:2] for batch in batches(whole)]
    assert all(torch.equal(a, b) for a, b in zip(first, batches(alone), strict=True))
    fresh = population(images, seeds=3, augment=["flip", "crop2"])
    fresh.batches.load(whole.batches.state())
    assert all(torch.equal(a, b) for a, b in zip(batches(whole), batches(fresh), strict=True))


def test_augmentation_is_part_of_a_runs_identity():
    base = Study.of(data="digits").resolve("images").protocol
    changed = Study.of(data="digits", augment=["flip"]).resolve("images").protocol
    assert base.augment == ()
    assert base.canonical() != changed.canonical()
    assert Protocol(**changed.model_dump()) == changed


# ResNet-18


def parameters(architecture, members: int = 1, seed: int = 0) -> dict[str, torch.Tensor]:
    every = [architecture.initial(np.random.default_rng([seed, member])) for member in range(members)]
    return {name: torch.from_numpy(np.stack([one[name] for one in every])) for name in every[0]}


def test_resnet18_has_the_published_size_and_starts_as_torch_layers_do():
    from transformers import ResNetConfig, ResNetModel

    made = resnet18((3, 224, 224), (64, 128, 256, 512), 64)
    counted = sum(int(np.prod(shape)) for shape in made.shapes.values())
    assert counted == 11_176_512 + 512 * 64 + 64
    with torch.device("meta"):
        network = ResNetModel(
            ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic")
        )
    theirs = {name: tuple(one.shape) for name, one in network.named_parameters()}
    assert theirs == {name: one for name, one in made.shapes.items() if not name.startswith("head.")}
    small = resnet18((3, 32, 32), WIDTHS, 8)
    first = small.initial(np.random.default_rng(0))
    for name, value in first.items():
        if "normalization" in name:
            assert (value == float(name.endswith("weight"))).all()
        else:
            assert 0 < np.abs(value).max() <= 1 / np.sqrt(small.fan_in[name])


def test_resnet18_is_a_residual_net_written_out():
    """One stage of two blocks and one that halves, in plain torch functions."""
    from torch.nn import functional as F

    made = resnet18((3, 16, 16), WIDTHS, 8)
    own = parameters(made)
    x = torch.randn(1, 5, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def unit(x, name, stride=1, relu=True):
        kernel = own[f"{name}.convolution.weight"][0]
        x = F.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2)
        scale, shift = (own[f"{name}.normalization.{one}"][0] for one in ("weight", "bias"))
        x = F.group_norm(x, max(1, x.shape[1] // 16), scale, shift)
        return F.relu(x) if relu else x

    def block(x, name, stride=1):
        y = unit(unit(x, f"{name}.layer.0", stride), f"{name}.layer.1", relu=False)
        if f"{name}.shortcut.convolution.weight" in own:
            x = unit(x, f"{name}.shortcut", stride, relu=False)
        return F.relu(x + y)

    y = unit(x[0], "embedder.embedder")
    for stage, stride in ((0, 1), (1, 2)):
        y = block(y, f"encoder.stages.{stage}.layers.0", stride)
        y = block(y, f"encoder.stages.{stage}.layers.1")
    wanted = y.mean((2, 3)) @ own["head.0.weight"][0] + own["head.0.bias"][0]
    torch.testing.assert_close(made.forward(own, x)[0], wanted, rtol=1e-4, atol=1e-5)


def test_a_row_depends_on_itself_alone_and_a_member_on_its_own_parameters():
    made = resnet18((1, 20, 20), WIDTHS, 8)
    own = parameters(made, members=2)
    x = torch.randn(2, 6, 1, 20, 20, generator=torch.Generator().manual_seed(1))
    both = made.forward(own, x)
    assert both.shape == (2, 6, 8)
    alone = made.forward({name: one[1:] for name, one in own.items()}, x[1:, 3:4])
    torch.testing.assert_close(both[1:, 3:4], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(both[0], both[1])


def test_pieces_without_gradient_are_the_whole(monkeypatch):
    monkeypatch.setattr("losscope.models.networks.PIECE", 2)
    made = resnet18((1, 16, 16), WIDTHS, 8)
    own, x = parameters(made), torch.randn(1, 5, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        pieces = made.forward(own, x)
    torch.testing.assert_close(pieces, made.forward(own, x), rtol=1e-4, atol=1e-5)


def test_large_images_go_through_the_large_stem():
    large, small = resnet18((3, 64, 64), WIDTHS, 8), resnet18((3, 63, 64), WIDTHS, 8)
    assert large.shapes["embedder.embedder.convolution.weight"] == (4, 3, 7, 7)
    assert small.shapes["embedder.embedder.convolution.weight"] == (4, 3, 3, 3)
    with pytest.raises(LosscopeError, match="wants images"):
        resnet18((64,), WIDTHS, 8)


def test_resnet18_trains_and_is_the_same_every_time(images):
    made = population(images, model="resnet18", augment=["flip"], epochs=3)
    assert made.protocol.hidden == WIDTHS
    records = train(made.runs, made.splits)
    again = train(made.runs, made.splits)
    (record,) = records
    assert record.status == "complete"
    losses = [value for _, _, name, value in record.trace if name == "loss"]
    assert losses[-1] < losses[0]
    assert record.measures["test"]["recall_at_1"] > 0.8
    np.testing.assert_equal(record.measures, again[0].measures)


def test_the_models_own_widths_stand_in_the_protocol():
    shape = Study.of(data="cifar10", model="resnet18").resolve("images").protocol
    assert shape.hidden == (64, 128, 256, 512)
    assert Study.of(data="cifar10").resolve("images").protocol.hidden == (32, 64, 128)
