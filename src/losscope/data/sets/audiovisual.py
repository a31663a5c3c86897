"""Two modalities by name: spoken and written digits, and the Wikipedia image-text set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.registry import register
from losscope.data import download
from losscope.data import splits as rules
from losscope.data.base import TEST, TRAIN, Draft
from losscope.data.readers.files import read_npz
from losscope.data.readers.sounds import log_mel, read_sound, resampled

RATE = 8000


@register(
    "data",
    "spoken_digits",
    title="Spoken digits joined with written ones (FSDD with MNIST)",
    n=3000,
    classes=10,
    modality="audio and visual",
    split="train with train (2,700), test with test (300); or by speaker (option speaker_disjoint)",
    licence="CC BY-SA 4.0 (FSDD), none stated (MNIST)",
    origin="github.com/Jakobovski/free-spoken-digit-dataset; MNIST",
    files=("fsdd*.npz", "free-spoken-digit-dataset/recordings", "fsdd/recordings"),
)
def spoken_digits(root: Path | None, *, speaker_disjoint: bool = False, group: str | None = None) -> Draft:
    """3,000 spoken digits as log-mel spectrograms (1, 40, 64), each joined with an MNIST image of its digit.

    Training recordings (5–49 of each speaker and digit) are joined with MNIST training images, test
    recordings (0–4) with test images, no image twice while there are enough, always the same ones. With
    ``speaker_disjoint`` two of the six speakers, fixed, are the test and validation holds out whole speakers.
    Fine labels are digit and speaker; groups are the speakers (``group`` "speaker" is ``speaker_disjoint``).

    Source: Jackson 2016 (FSDD); LeCun 1998.
    """
    from losscope.data.sets.images import mnist

    require(group in (None, "speaker"), f"spoken_digits has no group {group!r}; choices: speaker")
    speaker_disjoint = speaker_disjoint or group == "speaker"
    waves, digit, speaker, is_test, speakers = _fsdd(root)
    if speaker_disjoint:
        is_test = rules.hold_out_whole(speaker, 0.3, rules.generator(0, "spoken_digits", "speakers"))
    written = mnist(root)
    assert written.role is not None and written.labels is not None
    rows = np.empty(len(digit), np.int64)
    for part in (TRAIN, TEST):
        for number in range(10):
            heard = np.flatnonzero((digit == number) & (is_test == (part == TEST)))
            seen = np.flatnonzero((written.labels == number) & (written.role == part))
            rng = rules.generator(0, "spoken_digits", "join", part, number)
            require(
                len(seen) > 0 or not len(heard),
                f"digit {number} is spoken but never written; wanted: images of every digit that is spoken",
            )
            rows[heard] = np.resize(rng.permutation(seen), len(heard))
    fine = digit * len(speakers) + speaker
    split = "test of two speakers, fixed" if speaker_disjoint else "as published, train joined with train"
    return Draft(
        "spoken_digits",
        "Spoken digits joined with written ones",
        "pair",
        log_mel(waves, RATE),
        digit,
        fine_labels=fine,
        groups=speaker,
        second=written.inputs[rows],
        role=np.where(is_test, TEST, TRAIN).astype(np.int8),
        split=split,
        by_group=speaker_disjoint,
        modalities=("audio", "visual"),
        edition=f"{len(digit):,} recordings of {len(speakers)} speakers",
        origin="Free Spoken Digit Dataset, MNIST",
        licence="CC BY-SA 4.0 (FSDD)",
        class_names=tuple(map(str, range(10))),
        fine_names=tuple(f"{number} {name}" for number in range(10) for name in speakers),
    )


def _fsdd(root: Path | None) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Recordings in ±1 at 8 kHz, digits, speakers, whether test, speakers' names."""
    for base in download.places(root, ".", "fsdd", "spoken_digits"):
        for path in sorted(base.glob("fsdd*.npz")):
            return _fsdd_npz(path)
    homes = download.places(root, "free-spoken-digit-dataset/recordings", "fsdd/recordings", "recordings")
    for home in homes:
        files = sorted(home.glob("[0-9]_*_*.wav"))
        if files:
            parts = [file.stem.split("_") for file in files]
            names = sorted({part[1] for part in parts})
            sounds = [read_sound(file) for file in files]
            waves = [wave if rate == RATE else resampled(wave, rate, RATE) for wave, rate in sounds]
            speaker = np.array([names.index(part[1]) for part in parts])
            return (
                waves,
                np.array([int(part[0]) for part in parts]),
                speaker,
                np.array([int(part[2]) < 5 for part in parts]),
                names,
            )
    raise LosscopeError(
        "spoken_digits is not on this machine: download "
        "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/heads/master.zip and put its "
        f"folder recordings in {(root or Path('DATA_ROOT')) / 'free-spoken-digit-dataset'}"
    )


def _fsdd_npz(path: Path) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray, list[str]]:
    arrays = read_npz(path)
    wanted = ("waveform", "offsets", "digit", "speaker", "is_test", "speaker_names", "sample_rate")
    missing = [name for name in wanted if name not in arrays]
    require(not missing, f"{str(path)!r} has no array {', '.join(missing)}; wanted: {', '.join(wanted)}")
    whole = arrays["waveform"].astype(np.float32) / 32768
    waves = np.split(whole, arrays["offsets"][1:-1])
    rate = int(arrays["sample_rate"])
    if rate != RATE:
        waves = [resampled(wave, rate, RATE) for wave in waves]
    digit, speaker = arrays["digit"].astype(np.int64), arrays["speaker"].astype(np.int64)
    return (
        waves,
        digit,
        speaker,
        arrays["is_test"].astype(bool),
        [str(name) for name in arrays["speaker_names"]],
    )


@register(
    "data",
    "wiki",
    title="Wikipedia articles: image and text features",
    n=2866,
    classes=10,
    modality="image and text",
    split="test as published (693); validation a fifth of the rest, stratified, by seed",
    licence="none stated",
    origin="Rasiwasia 2010; features of github.com/kding1225/RoPH",
    files=("wiki*features*.npz", "wiki/*features*.npz"),
)
def wiki(root: Path | None) -> Draft:
    """2,866 image-text pairs of Wikipedia in 10 topics, as features of 128 (image) and 100 (text).

    Source: Rasiwasia 2010. How the features were made is not documented where they come from.
    """
    for base in download.places(root, ".", "wiki"):
        for path in sorted(base.glob("wiki*features*.npz")):
            arrays = read_npz(path)
            return Draft(
                "wiki",
                "Wikipedia articles, image and text",
                "pair",
                arrays["image_features"],
                arrays["labels"],
                second=arrays["text_features"],
                role=np.where(arrays["is_test"], TEST, TRAIN).astype(np.int8),
                split="as published, validation stratified by seed",
                modalities=("image", "text"),
                origin=path.name,
                licence="none stated",
                class_names=tuple(f"topic {topic}" for topic in range(10)),
            )
    raise LosscopeError(
        "wiki is not on this machine: put an npz of image_features (2866, 128), text_features (2866, 100), "
        "labels and is_test, made from data/wiki.mat of github.com/kding1225/RoPH, at "
        f"{(root or Path('DATA_ROOT')) / 'wiki_image_text_features.npz'}"
    )
