"""Pictures in files and arrays as people have them: read right, or refused in a sentence."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from files_fixture import Case, Make, arrays, classes, each, noise, put, stripes
from losscope.core.errors import LosscopeError
from losscope.data import load
from losscope.data.loading import undecoded
from losscope.data.readers.pictures import read_images
from losscope.features.passes import Rows

HOW = Image.Transpose
STORED = {2: HOW.FLIP_LEFT_RIGHT, 3: HOW.ROTATE_180, 5: HOW.TRANSPOSE, 6: HOW.ROTATE_90, 8: HOW.ROTATE_270}


def deep(kind: str, top: float) -> Callable[[bool, int], Any]:
    """Stripes of more than 8 bits, up to ``top``."""
    return lambda down, seed: Image.fromarray((top * stripes(down, seed)).astype(kind))


def hounsfield(down: bool, seed: int) -> Any:
    return Image.fromarray((3000 * stripes(down, seed) - 1024).astype("i4"))


def without_numbers(down: bool, seed: int) -> Any:
    return Image.fromarray(np.full((16, 16), np.nan, "f4"))


def turned(orientation: int, suffix: str) -> Make:
    """Pictures stored upright as one class, and as an EXIF orientation says as the other."""

    def picture(seed: int) -> Any:
        rows, columns = np.mgrid[0:24, 0:16]
        shade = np.stack([rows * 10, columns * 15, (rows + columns) * 6], -1)
        rough = np.random.default_rng(seed).normal(0, 12, (24, 16, 1))
        return Image.fromarray(np.clip(shade + rough, 0, 255).astype(np.uint8))

    def make(top: Path) -> Path:
        lossless = {"lossless": True} if suffix == ".webp" else {}
        for number in range(2):
            for i in range(20):
                exif, seen = Image.Exif(), picture(100 * number + i)
                exif[0x0112] = orientation if number else 1
                stored = seen.transpose(STORED[orientation]) if number else seen
                put(top / f"c{number}" / f"{i}{suffix}", stored, exif=exif, **lossless)
        return top

    return make


def turned_manifest(top: Path) -> Path:
    turned(6, ".png")(top)
    rows = [f"c{number}/{i}.png,{number}" for number in range(2) for i in range(20)]
    (top / "table.csv").write_text("path,label\n" + "\n".join(rows))
    return top / "table.csv"


def hidden_colours(mode: str) -> Callable[[bool, int], Any]:
    """Noise in the middle, and around it transparent pixels whose colour is that of the class."""

    def draw(down: bool, seed: int) -> Any:
        colour = np.zeros((16, 16, 3), np.uint8)
        colour[..., int(down)] = 255
        colour[4:12, 4:12] = noise(seed, 8)
        alpha = np.zeros((16, 16), np.uint8)
        alpha[4:12, 4:12] = 255
        if mode == "RGBA":
            return Image.fromarray(np.dstack([colour, alpha]))
        if mode == "LA":
            grey = np.where(alpha > 0, colour[..., 2], 255 * int(down)).astype(np.uint8)
            return Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))
        inner = np.where(alpha > 0, np.maximum(colour[..., 2], 1), 0).astype(np.uint8)
        image = Image.frombytes("P", (16, 16), inner.tobytes())
        image.putpalette([255 * (not down), 255 * down, 0, *(v for j in range(1, 256) for v in (j, j, j))])
        return image

    return draw


def hidden_array(channels_last: bool) -> Make:
    def make(top: Path) -> Path:
        labels = np.repeat([0, 1], 20)
        draw = hidden_colours("RGBA")
        images = np.stack([np.asarray(draw(bool(label), row)) for row, label in enumerate(labels)])
        return arrays(top, images if channels_last else images.transpose(0, 3, 1, 2), labels)

    return make


def transparent_grey(top: Path) -> Path:
    """Grey pictures in which one value, that of the class, is declared transparent."""
    for number in range(2):
        for i in range(20):
            values = np.full((16, 16), 7 + 100 * number, np.uint8)
            values[4:12, 4:12] = noise(100 * number + i, 8)[..., 0] | 128
            put(top / f"c{number}" / f"{i}.png", values, transparency=7 + 100 * number)
    return top


def paged(kind: str) -> Make:
    def make(top: Path) -> Path:
        for number in range(2):
            for i in range(10):
                pages = [Image.fromarray((255 * stripes(bool(number), i + k)).astype("u1")) for k in range(3)]
                put(top / f"c{number}" / f"{i}{kind}", pages[0], save_all=True, append_images=pages[1:])
        return top

    return make


def sixteen_bit_colours(top: Path) -> Path:
    """PNG files of 16-bit colours that use 12 bits, written by hand: Pillow writes none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    for number in range(2):
        for i in range(10):
            values = np.repeat((4095 * stripes(bool(number), i))[..., None], 3, 2).astype(">u2")
            rows = b"".join(b"\0" + row.tobytes() for row in values)
            head = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
            content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
            put(top / f"c{number}" / f"{i}.png", b"\x89PNG\r\n\x1a\n" + content)
    return top


def array(
    change: Callable[[np.ndarray], np.ndarray] = lambda images: images,
    channels_last: bool = True,
    channels: int = 3,
    name: str = "images",
) -> Make:
    """40 images in 0…1 of two directions of stripes, float32, changed and written as npz."""

    def make(top: Path) -> Path:
        labels = np.repeat([0, 1], 20)
        grey = np.stack([stripes(bool(label), row) for row, label in enumerate(labels)]).astype(np.float32)
        axis = 3 if channels_last else 1
        return arrays(top, change(np.repeat(np.expand_dims(grey, axis), channels, axis)), labels, name)

    return make


def pooled(*shape: int) -> Make:
    """Features of 12 numbers per row under another shape; the class is in them, and not in their mean."""

    def make(top: Path) -> Path:
        labels = np.repeat([0, 1], 20)
        values = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
        values[:, :6] += 9 * labels[:, None]
        values[:, 6:] -= 9 * labels[:, None]
        return arrays(top, values.reshape(40, *shape), labels, "features")

    return make


def maps(top: Path) -> Path:
    """Feature maps (N, channels, height, width), whose channels are the class and whose places are not."""
    labels = np.repeat([0, 1], 20)
    values = np.random.default_rng(0).normal(size=(40, 32, 4, 4)).astype(np.float32)
    values[:, :16] += 2 * labels[:, None, None, None]
    values[:, 16:] -= 2 * labels[:, None, None, None]
    return arrays(top, values, labels, "features")


ALIKE = "40 images of 3×64×64, 2 classes, Recall@1 1.00"
MAKERS = (
    Case(
        "16-bit PNG",
        "40 images of 3×16×16, 2 classes, Recall@1 0.57",
        "0 to 65,535 becomes 0 to 255",
        each(deep("u2", 60000), ".png"),
        "all",
    ),
    Case(
        "12 bits in 16",
        "40 images of 3×16×16, 2 classes, Recall@1 0.90",
        "0 to 4,095 becomes 0 to 255",
        each(deep("u2", 4095), ".png"),
        "all",
    ),
    Case(
        "8 bits in 16",
        "40 images of 3×16×16, 2 classes, Recall@1 1.00",
        "0 to 255 becomes 0 to 255",
        each(deep("u2", 200), ".png"),
        "all",
    ),
    Case(
        "16-bit TIFF",
        "40 images of 3×16×16, 2 classes, Recall@1 0.57",
        "0 to 65,535 becomes 0 to 255",
        each(deep("u2", 60000), ".tif"),
        "all",
    ),
    Case(
        "32-bit TIFF",
        "40 images of 3×16×16, 2 classes, Recall@1 0.57",
        "0 to 65,535 becomes 0 to 255",
        each(deep("i4", 60000), ".tif"),
        "all",
    ),
    Case(
        "float TIFF",
        "40 images of 3×16×16, 2 classes, Recall@1 0.50",
        "hold fractions of more than 8 bits",
        each(deep("f4", 0.95), ".tif"),
        "all",
    ),
    Case(
        "float TIFF to 255",
        "40 images of 3×16×16, 2 classes, Recall@1 1.00",
        "0 to 255 becomes 0 to 255",
        each(deep("f4", 255), ".tif"),
        "all",
    ),
    Case(
        "TIFF of 3 pages",
        "20 images of 3×16×16, 2 classes, Recall@1 1.00",
        "20 of 20 images have several pages",
        paged(".tif"),
    ),
    Case(
        "GIF of 3 frames",
        "20 images of 3×16×16, 2 classes, Recall@1 1.00",
        "20 of 20 images have several pages",
        paged(".gif"),
    ),
    Case("EXIF 6 in .jpg", ALIKE, "20 of 40 images are turned upright", turned(6, ".jpg"), "chance"),
    Case("EXIF 3 in .jpg", ALIKE, "20 of 40 images are turned upright", turned(3, ".jpg"), "chance"),
    Case("EXIF 8 in .jpg", ALIKE, "20 of 40 images are turned upright", turned(8, ".jpg"), "chance"),
    Case("EXIF 2 in .jpg", ALIKE, "20 of 40 images are turned upright", turned(2, ".jpg"), "chance"),
    Case("EXIF 6 in .png", ALIKE, "20 of 40 images are turned upright", turned(6, ".png"), "chance"),
    Case("EXIF 6 in .webp", ALIKE, "20 of 40 images are turned upright", turned(6, ".webp"), "chance"),
    Case(
        "EXIF 6 through a manifest",
        "40 images of 3×64×64, 2 classes, Recall@1 1.00",
        "20 of 40 images are turned",
        turned_manifest,
        "chance",
    ),
    Case(
        "RGBA PNG",
        "40 images of 3×16×16, 2 classes, Recall@1 1.00",
        "40 of 40 images have transp",
        each(hidden_colours("RGBA"), ".png"),
        "chance",
    ),
    Case(
        "LA PNG",
        "40 images of 3×16×16, 2 classes, Recall@1 1.00",
        "40 of 40 images have transp",
        each(hidden_colours("LA"), ".png"),
        "chance",
    ),
    Case(
        "palette PNG",
        "40 images of 3×16×16, 2 classes, Recall@1 1.00",
        "on white",
        each(hidden_colours("P"), ".png", transparency=0),
        "chance",
    ),
    Case(
        "RGBA WebP",
        "40 images of 3×16×16, 2 classes, Recall@1 1.00",
        "laid on white",
        each(hidden_colours("RGBA"), ".webp", lossless=True, exact=True),
        "chance",
    ),
    Case(
        "RGBA array, channels last",
        "40 images of 3×16×16, 2 classes, Recall@1 1.00",
        "laid on white",
        hidden_array(True),
        "chance",
    ),
    Case(
        "RGBA array, channels first",
        "40 images of 4×16×16, 2 classes, Recall@1 1.00",
        "laid on white",
        hidden_array(False),
        "chance",
    ),
    Case(
        "float images",
        "40 feature vectors of 3, 2 classes, Recall@1 0.50",
        "40 images of 3×16×16",
        array(),
        "all",
    ),
    Case(
        "float images, channels first",
        "40 feature vectors of 16, 2 classes, Recall@1 1.00",
        "40 images of 3×16×16",
        array(channels_last=False),
        "all",
    ),
    Case(
        "float images, one channel",
        "40 feature vectors of 1, 2 classes, Recall@1 0.50",
        "40 images of 1×16×16",
        array(channels=1),
        "all",
    ),
    Case(
        "float images to 255",
        "40 feature vectors of 3, 2 classes, Recall@1 0.50",
        "0 to 255 becomes",
        array(lambda x: 255 * x),
        "all",
    ),
    Case(
        "float16 images",
        "40 feature vectors of 3, 2 classes, Recall@1 0.50",
        "40 images of 3×16×16",
        array(lambda x: x.astype("f2")),
        "all",
    ),
    Case(
        "grey float images",
        "40 feature vectors of 16, 2 classes, Recall@1 1.00",
        "40 images of 1×16×16",
        array(lambda x: x[..., 0].astype(float)),
        "all",
    ),
    Case(
        "16-bit images",
        "40 feature vectors of 16×16×3, 2 classes, Recall@1 1.00",
        "40 images of 3×16×16",
        array(lambda x: (60000 * x).astype("u2")),
        "all",
    ),
    Case(
        "32-bit images",
        "40 feature vectors of 16×16×3, 2 classes, Recall@1 1.00",
        "40 images of 3×16×16",
        array(lambda x: (255 * x).astype("i4")),
        "all",
    ),
    Case(
        "boolean images",
        "40 feature vectors of 16×16, 2 classes, Recall@1 1.00",
        "40 images of 1×16×16",
        array(lambda x: x[..., 0] > 0.5),
        "all",
    ),
)
"""The reported inputs."""

MORE = (
    Case(
        "16-bit colours that use 12 bits",
        "20 images of 3×16×16, 2 classes, Recall@1 1.00",
        "use 16 of the 256 levels",
        sixteen_bit_colours,
    ),
    Case(
        "negative 32-bit TIFF",
        "40 images of 3×16×16, 2 classes, Recall@1 1.00",
        "hold whole numbers of more",
        each(hounsfield, ".tif"),
        "all",
    ),
    Case(
        "float TIFF a little above 1",
        "40 images of 3×16×16, 2 classes, Recall@1 0.78",
        "hold fractions of",
        each(deep("f4", 1.02), ".tif"),
        "all",
    ),
    Case(
        "float TIFF with NaN",
        "40 images of 3×16×16, 2 classes, Recall@1 0.50",
        "256 of its pixels are NaN",
        each(without_numbers, ".tif"),
    ),
    Case(
        "grey PNG with a transparent value",
        "40 images of 3×16×16, 2 classes, Recall@1 1.00",
        "laid on white",
        transparent_grey,
        "chance",
    ),
    Case(
        "EXIF 5 in .png",
        "40 images of 3×64×64, 2 classes, Recall@1 1.00",
        "20 of 40 images are turned upright",
        turned(5, ".png"),
        "chance",
    ),
    Case(
        "pooled features (N, D, 1, 1)",
        "40 feature vectors of 1, 2 classes, Recall@1 0.40",
        "feature vectors of 12 in",
        pooled(12, 1, 1),
        "all",
    ),
    Case(
        "features (N, D, 1)",
        "40 feature vectors of 1, 2 classes, Recall@1 0.40",
        "feature vectors of 12 in",
        pooled(12, 1),
        "all",
    ),
    Case(
        "feature maps, channels first",
        "40 feature vectors of 4, 2 classes, Recall@1 0.45",
        "feature vectors of 32 in",
        maps,
        "all",
    ),
    Case(
        "videos as floats",
        "40 feature vectors of 3, 2 classes, Recall@1 0.50",
        "taken whole",
        array(lambda x: np.repeat(x[:, None], 2, 1), name="x"),
        "all",
    ),
    Case(
        "standardised images of no known name",
        "40 feature vectors of 16, 2 classes, Recall@1 1.00",
        "40 images of 3×16×16",
        array(lambda x: 4 * x - 2, channels_last=False, name="x"),
        "all",
    ),
    Case(
        "images of 6 bands",
        "40 feature vectors of 6, 2 classes, Recall@1 0.50",
        "40 images of 6×16×16",
        array(channels=6),
        "all",
    ),
)
"""Further members of the kind."""


@pytest.mark.parametrize("case", [*MAKERS, *MORE], ids=lambda case: case.id)
def test_pictures_are_read_right_or_refused_in_a_sentence(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


def test_ordinary_pictures_are_read_as_ever(tmp_path):
    """RGB and grey of 8 bits: the pixels of Pillow, resized and cut as they were at the starting commit."""
    rng = np.random.default_rng(0)
    for suffix, options in (
        (".png", {}),
        (".jpg", {"quality": 90}),
        (".bmp", {}),
        (".webp", {"quality": 80}),
    ):
        for number, shape in enumerate([(90, 131, 3), (131, 90, 3), (300, 280, 3), (90, 131)]):
            if suffix == ".webp" and len(shape) == 2:
                continue
            path = tmp_path / f"{number}{suffix}"
            put(path, rng.integers(0, 256, shape).astype(np.uint8), **options)
            read, _, notes = read_images([path], 32)
            picture = Image.open(path)
            picture.draft("RGB", (64, 64))
            picture = picture.convert("RGB")
            scale = 32 / min(picture.size)
            wide, high = (max(32, round(side * scale)) for side in picture.size)
            left, top = (wide - 32) // 2, (high - 32) // 2
            picture = picture.resize((wide, high), Image.Resampling.BICUBIC)
            former = np.asarray(picture.crop((left, top, left + 32, top + 32))).transpose(2, 0, 1)
            assert np.array_equal(read[0], former)
            assert notes == []


def test_opaque_transparency_changes_nothing(tmp_path):
    pixels = noise(1)
    put(tmp_path / "a.png", np.dstack([pixels, np.full((16, 16), 255, np.uint8)]))
    read, _, notes = read_images([tmp_path / "a.png"], None)
    assert np.array_equal(read[0], pixels.transpose(2, 0, 1)) and notes == []


def test_a_box_is_cut_out_of_the_picture_as_it_is_stored(tmp_path):
    pixels, exif = noise(3), Image.Exif()
    exif[0x0112] = 6
    put(tmp_path / "a.png", Image.fromarray(pixels), exif=exif)
    read = read_images([tmp_path / "a.png"], None, boxes=[(1, 1, 8, 4)])[0]
    assert np.array_equal(read[0].transpose(1, 2, 0), np.rot90(pixels[:4, :8], -1))


def test_one_range_serves_all_pictures_of_a_set(tmp_path):
    """A dark picture of a set stays dark: it is not stretched to its own range."""
    for number, top in enumerate((60000, 6000)):
        put(tmp_path / f"{number}.png", Image.fromarray(np.full((8, 8), top, "u2")))
    read = read_images([tmp_path / "0.png", tmp_path / "1.png"], None)[0]
    assert read[:, 0, 0, 0].tolist() == [233, 23]


def test_fractions_of_bytes_are_the_bytes(tmp_path):
    """Images as uint8, as floats in 0…1 and in 0…255, channels last and first, are the same data."""
    pixels = np.stack([noise(seed) for seed in range(40)])
    labels = np.repeat([0, 1], 20)
    forms = (pixels, pixels / 255, (pixels / 255).astype("f4").transpose(0, 3, 1, 2), pixels.astype("f4"))
    read = [load(arrays(tmp_path / str(n), form, labels)).pool.inputs for n, form in enumerate(forms)]
    assert all(np.array_equal(read[0], other) for other in read)


def test_what_starts_programs_is_not_decoded_under_any_name(tmp_path):
    put(tmp_path / "a.eps", noise(0), format="EPS")
    os.rename(tmp_path / "a.eps", tmp_path / "a.png")
    with pytest.raises(LosscopeError, match=r"cannot be read: a\.png"):
        read_images([tmp_path / "a.png"], None)


def test_damaged_exif_data_say_nothing(tmp_path):
    put(tmp_path / "a.jpg", noise(0), exif=b"Exif\0\0nonsense")
    read, _, notes = read_images([tmp_path / "a.jpg"], None)
    assert read.shape == (1, 3, 16, 16) and notes == []


@pytest.mark.parametrize(
    "make",
    [
        turned(6, ".png"),
        turned(5, ".webp"),
        each(hidden_colours("RGBA"), ".png"),
        each(deep("u2", 4095), ".png"),
        each(deep("f4", 0.95), ".tif"),
    ],
    ids=["turned PNG", "turned WebP", "transparent", "12 bits", "fractions"],
)
def test_a_backbone_is_given_what_a_network_is_given(make, tmp_path):
    draft, _ = undecoded(make(tmp_path))
    rows = Rows(draft.name, draft.inputs)
    given = np.stack([np.asarray(rows.read(row)) for row in range(len(rows))])
    assert np.array_equal(read_images(sorted(tmp_path.rglob("*.*")), None)[0], given.transpose(0, 3, 1, 2))


def test_ordinary_pictures_are_left_in_their_files(tmp_path):
    draft, _ = undecoded(classes(tmp_path))
    assert all(picture.look is None and picture.shades is None for picture in draft.inputs)
