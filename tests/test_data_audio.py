"""Sounds, and the sets of two modalities."""

from __future__ import annotations

import gzip
import hashlib
import struct

import numpy as np
import pytest
from scipy.io import wavfile

from losscope.core.errors import LosscopeError
from losscope.data import load
from losscope.data.readers.sounds import FRAMES, MELS, log_mel, mel_bank, read_sound, resampled
from losscope.data.sets import images


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("losscope.data.download.reachable", lambda url: False)


def tone(hertz, rate, seconds=0.5):
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def write(path, wave, rate):
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, (wave * 32000).astype(np.int16))


def naive_log_mel(wave, rate):
    """One window and one filter at a time, in float64."""
    window = 2 * round(0.016 * rate)
    hop = window // 2
    wave = np.concatenate([wave, np.zeros(70 * hop)]).astype(np.float64)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    bank = mel_bank(rate, window).astype(np.float64)
    power = np.empty((MELS, FRAMES))
    for frame in range(FRAMES):
        spectrum = np.fft.rfft(hann * wave[frame * hop : frame * hop + window])
        for mel in range(MELS):
            power[mel, frame] = (bank[mel] * np.abs(spectrum) ** 2).sum()
    decibel = 10 * np.log10(np.maximum(power / power.max(), 1e-8))
    return 1 + decibel / 80


@pytest.mark.parametrize("rate", [8000, 16000])
def test_log_mel_by_naive_loops(rate):
    rng = np.random.default_rng(0)
    waves = [0.3 * rng.normal(size=n).astype(np.float32) for n in (rate // 3, 2 * rate, rate)]
    got = log_mel(waves, rate)
    assert got.shape == (3, 1, MELS, FRAMES)
    for row, wave in zip(got, waves, strict=True):
        np.testing.assert_allclose(row[0], naive_log_mel(wave, rate), atol=2e-4)


def test_log_mel_finds_the_tone_and_forgets_loudness():
    rate = 8000
    high, low = log_mel([tone(2500, rate), tone(300, rate)], rate)[:, 0].sum(2).argmax(1)
    assert high > low + 10
    np.testing.assert_allclose(
        log_mel([tone(700, rate)], rate), log_mel([0.01 * tone(700, rate)], rate), atol=1e-4
    )
    silent = log_mel([np.zeros(4000, np.float32)], rate)
    assert np.isfinite(silent).all()


def test_mel_filters_cover_every_band():
    for rate in (8000, 16000, 44100):
        window = 2 * round(0.016 * rate)
        bank = mel_bank(rate, window)
        assert bank.shape == (MELS, window // 2 + 1)
        assert (bank.sum(1) > 0).all()
        assert (np.diff(bank.argmax(1)) >= 0).all()


def test_resampling_keeps_the_tone():
    for rate in (44100, 22050, 16000, 6000):
        moved = resampled(tone(500, rate, 1.0), rate, 8000)
        assert abs(len(moved) - 8000) <= 1
        peak = np.abs(np.fft.rfft(moved)).argmax() * 8000 / len(moved)
        assert abs(peak - 500) < 2


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint8, np.float32])
def test_samples_of_any_type_are_read_in_one_scale(tmp_path, kind):
    wave = 0.5 * tone(200, 8000)
    if kind is np.uint8:
        samples = np.round(wave * 128 + 128).astype(np.uint8)
    elif kind is np.float32:
        samples = wave
    else:
        samples = np.round(wave * np.iinfo(kind).max).astype(kind)
    wavfile.write(tmp_path / "a.wav", 8000, np.stack([samples, samples], 1))  # stereo
    got, rate = read_sound(tmp_path / "a.wav")
    assert rate == 8000
    np.testing.assert_allclose(got, wave, atol=1 / 100)


def test_class_folders_of_sounds_are_resampled_and_said(tmp_path):
    for c, hertz in (("low", 200), ("high", 3000)):
        for i in range(8):
            write(
                tmp_path / c / f"{i}.wav",
                tone(hertz + 10 * i, 44100 if i == 0 else 16000),
                44100 if i == 0 else 16000,
            )
    source = load(tmp_path)
    assert source.facts.kind == "vectors"
    assert source.facts.shape == (1, MELS, FRAMES)
    assert (
        source.facts.notes[0]
        == "recordings of another sample rate are resampled to 16,000 Hz: 2 at 44,100 Hz"
    )
    # The resampled recordings look like the others of their class.
    flat = source.pool.inputs.reshape(16, -1)
    apart = ((flat[:, None] - flat) ** 2).sum(2)
    np.fill_diagonal(apart, np.inf)
    assert np.array_equal(source.pool.labels[apart.argmin(1)], source.pool.labels)
    (tmp_path / "low" / "9.wav").write_bytes(b"RIFF no sound")
    with pytest.raises(LosscopeError, match=r"1 of 17 recordings cannot be read: 9\.wav .*--skip-bad"):
        load(tmp_path, rate=8000)
    assert len(load(tmp_path, rate=8000, skip_bad=True).pool) == 16
    (tmp_path / "low" / "a.png").write_bytes(b"")
    with pytest.raises(LosscopeError, match="mixes images and sounds"):
        load(tmp_path, rate=8000)


def test_flac_by_soundfile(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.flac", tone(300, 8000), 8000)
    got, rate = read_sound(tmp_path / "a.flac")
    assert rate == 8000
    np.testing.assert_allclose(got, tone(300, 8000), atol=1e-3)


# Spoken and written digits


def small_mnist(folder, monkeypatch):
    """Images whose every pixel is 10·digit + (0 in training, 100 in test)."""
    folder.mkdir(parents=True)
    sums = []
    for name in images.IDX_FILES:
        labels = (np.arange(400) % 10).astype(np.uint8)
        values = labels * 10 + (100 if name.startswith("t10k") else 0)
        array = (
            np.broadcast_to(values[:, None, None], (400, 4, 4)).astype(np.uint8)
            if "images" in name
            else labels
        )
        raw = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
        sums.append(hashlib.md5(raw, usedforsecurity=False).hexdigest())
        (folder / f"{name}.gz").write_bytes(gzip.compress(raw))
    monkeypatch.setitem(images.IDX_MD5, "mnist", sums)


def small_fsdd(root, rate=8000):
    for digit in range(10):
        for speaker in ("ann", "bob", "cat", "dan", "eve", "fay"):
            for i in (0, 5, 6):
                write(
                    root / "free-spoken-digit-dataset" / "recordings" / f"{digit}_{speaker}_{i}.wav",
                    tone(200 + 150 * digit, rate, 0.1),
                    rate,
                )


@pytest.mark.parametrize("apart", [False, True])
def test_spoken_digits_join_train_with_train(tmp_path, monkeypatch, apart):
    small_mnist(tmp_path / "mnist", monkeypatch)
    small_fsdd(tmp_path)
    source = load("spoken_digits", tmp_path, speaker_disjoint=apart)
    draws = source.splits(0)
    for part, more in ((draws.train, 0), (draws.validation, 0), (draws.test, 100)):
        np.testing.assert_allclose(part.second[:, 0, 0, 0], part.labels * 10 + more)
        assert np.array_equal(part.fine_labels // 6, part.labels)
        assert np.array_equal(part.fine_labels % 6, part.groups)
    assert source.facts.fine_names[7] == "1 bob"
    if apart:
        speakers = [set(part.groups) for part in (draws.train, draws.validation, draws.test)]
        assert [len(part) for part in speakers] == [3, 1, 2]
        assert len(set.union(*speakers)) == 6
        assert set(source.splits(5).test.groups) == speakers[2]
    else:
        assert len(draws.test) == 60  # recording 0 of each speaker and digit


def test_spoken_digits_at_another_sample_rate(tmp_path, monkeypatch):
    small_mnist(tmp_path / "mnist", monkeypatch)
    small_fsdd(tmp_path, rate=16000)
    assert len(load("spoken_digits", tmp_path).pool) == 180


def test_real_spoken_digits(data_root):
    source = load("spoken_digits", data_root)
    draws = source.splits(0)
    assert (len(draws.train) + len(draws.validation), len(draws.test)) == (2700, 300)
    assert source.facts.shape == (1, MELS, FRAMES)
    assert abs(source.facts.second_mean[0] - 0.13) < 0.01  # MNIST's
    # Both modalities know the digit, by the nearest training row (measured: 0.887 and 0.897).
    for name in ("inputs", "second"):
        train, test = (
            getattr(part, name).reshape(len(part), -1).astype(float) for part in (draws.train, draws.test)
        )
        train = train / np.linalg.norm(train, axis=1, keepdims=True)
        near = draws.train.labels[(test @ train.T).argmax(1)]
        assert (near == draws.test.labels).mean() > 0.85


def test_real_wiki(data_root):
    source = load("wiki", data_root)
    draws = source.splits(0)
    assert (len(draws.train) + len(draws.validation), len(draws.test)) == (2173, 693)
    assert source.facts.modalities == ("image", "text")
    assert (source.facts.shape, source.facts.second_shape) == ((128,), (100,))
