"""Sounds as people have them: read right, or refused in a sentence."""

from __future__ import annotations

import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from embed_fixture import small_wav2vec
from files_fixture import Case, by_soundfile, tone, tones
from losscope.core.errors import LosscopeError
from losscope.data.readers.sounds import beginning, resampled
from losscope.features import embed


def opposite(path: Path, hertz: float, seed: int) -> None:
    """Two channels, the one upside down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (9000 * np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.stack([samples, -samples], 1).tobytes())


def cut_short(top: Path) -> Path:
    path = tones()(top) / "c0" / "0.wav"
    path.write_bytes(path.read_bytes()[:2044])
    return top


def without_numbers(top: Path) -> Path:
    samples = np.ones(16000, np.float32)
    samples[5] = np.nan
    wavfile.write(tones()(top) / "c0" / "0.wav", 16000, samples)
    return top


NO_FOLDERS = "refused: no class folders with images or sounds"
MORE = (
    Case(
        "a wav in µ-law",
        "refused: 16 of 16 recordings cannot be read: 0.wav (ValueError), 1.wav …",
        "16 vectors of 1×40×64",
        tones(by_soundfile(subtype="ULAW")),
        "all",
    ),
    Case(
        "a wav in ADPCM",
        "refused: 16 of 16 recordings cannot be read: 0.wav (ValueError), 1.wav …",
        "16 vectors of 1×40×64",
        tones(by_soundfile(subtype="MS_ADPCM")),
        "all",
    ),
    Case(
        "NIST under .wav",
        "refused: 16 of 16 recordings cannot be read: 0.wav (ValueError), 1.wav …",
        "16 vectors",
        tones(by_soundfile(format="NIST", subtype="PCM_16")),
        "all",
    ),
    Case("sounds called .aiff", NO_FOLDERS, "16 vectors", tones(by_soundfile(), ".aiff"), "all"),
    Case("sounds called .au", NO_FOLDERS, "16 vectors", tones(by_soundfile(), ".au"), "all"),
    Case("sounds called .caf", NO_FOLDERS, "16 vectors", tones(by_soundfile(), ".caf"), "all"),
    Case("sounds called .w64", NO_FOLDERS, "16 vectors", tones(by_soundfile(), ".w64"), "all"),
    Case("sounds called .aifc", NO_FOLDERS, "16 vectors", tones(by_soundfile(format="AIFF"), ".aifc"), "all"),
    Case(
        "channels that cancel",
        "16 vectors of 1×40×64, 2 classes, Recall@1 0.50",
        "its 2 channels cancel each other",
        tones(opposite),
    ),
    Case(
        "stereo",
        "16 vectors of 1×40×64, 2 classes, Recall@1 1.00",
        "channels are averaged to one: 16 of 2",
        tones(channels=2),
        "all",
    ),
    Case(
        "long recordings",
        "16 vectors of 1×40×64, 2 classes, Recall@1 1.00",
        "16 of 16 recordings are longer than 1.04 s",
        tones(seconds=3),
    ),
    Case(
        "short recordings",
        "16 vectors of 1×40×64, 2 classes, Recall@1 1.00",
        "16 of 16 recordings are shorter than 0.52 s",
        tones(seconds=0.3),
    ),
    Case(
        "a recording cut short",
        "16 vectors of 1×40×64, 2 classes, Recall@1 0.94",
        "1 of 16 recordings end before the length",
        cut_short,
    ),
    Case(
        "a recording with NaN",
        "refused: data has 2,560 values that are NaN or infinite, in 1 of 16 …",
        "cannot be read: 0.wav (it holds samples",
        without_numbers,
    ),
)
"""Members of the kind found beside the reported one, which is the last test."""


@pytest.mark.parametrize("case", MORE, ids=lambda case: case.id)
def test_sounds_are_read_right_or_refused_in_a_sentence(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


def test_24_bits_are_read_as_16_are(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    from losscope.data.readers.sounds import read_sound

    samples = np.random.default_rng(0).integers(-9000, 9000, 4000).astype("i2")
    read = []
    for kind in ("PCM_16", "PCM_24", "FLOAT"):
        soundfile.write(tmp_path / f"{kind}.wav", samples / 32768, 16000, subtype=kind)
        read.append(read_sound(tmp_path / f"{kind}.wav")[0])
    np.testing.assert_array_equal(read[0], read[1])
    np.testing.assert_array_equal(read[0], read[2])


def test_a_sound_too_short_for_the_backbone_is_named(tmp_path):
    pytest.importorskip("transformers")
    home = str(small_wav2vec(tmp_path / "w2v", layers=1))
    top = tones(seconds=0.2, count=6)(tmp_path / "sounds")
    tone(top / "c0" / "00.wav", 440, seconds=0.005)  # among the first, by which memory is estimated
    with pytest.raises(
        LosscopeError, match=r"1 of 13 sounds cannot be read: 00\.wav \(80 samples, too short"
    ):
        embed(str(top), backbone=home, device="cpu")
    made = embed(str(top), backbone=home, device="cpu", skip_bad=True)
    assert len(made.table.pool) == 12


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [(44_100, 8_000), (48_000, 16_000), (8_000, 16_000), (11_025, 16_000), (96_000, 8_000), (8_000, 8_000)],
)
@pytest.mark.parametrize("seconds", [0.3, 1.05, 3.1])
def test_the_beginning_of_a_recording_is_that_of_the_whole_resampled(rate, wanted, seconds):
    wave = np.random.default_rng(0).normal(size=round(seconds * rate)).astype(np.float32)
    whole = wave if rate == wanted else resampled(wave, rate, wanted)
    own = beginning(wave, rate, wanted)
    assert np.array_equal(own, whole[: len(own)])
    assert len(own) == min(len(whole), 65 * round(0.016 * wanted))


@pytest.mark.parametrize(("rate", "wanted"), [(399_989, 8_000), (1_009, 399_989), (399_989, 399_983)])
def test_odd_rates_of_a_damaged_header_cost_no_more_than_ordinary_ones(rate, wanted):
    """The filter has 20 taps for each unit of the larger number of the ratio of two rates."""
    wave = np.sin(2 * np.pi * 200 * np.arange(3_000_000, dtype=np.float64) / rate).astype(np.float32)
    tracemalloc.start()
    own = beginning(wave, rate, wanted)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**27
    exact = np.sin(2 * np.pi * 200 * np.arange(len(own)) / wanted)
    edge = 200 + 20 * -(-wanted // rate)  # the filter reaches into the silence before the recording
    assert np.abs(own - exact)[edge:-edge].max() < 2e-2


def test_a_recording_too_long_to_be_resampled_is_refused():
    with pytest.raises(LosscopeError, match="cut it into shorter ones"):
        resampled(np.zeros(30_000_000, np.float32), 1_009, 16_000)
