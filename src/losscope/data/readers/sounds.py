"""Sound to log-mel spectrograms: read, resampled, through torch.stft."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from losscope.core.bounds import bounded, regular
from losscope.core.errors import LosscopeError, require

SCIPY = (".wav", ".wave")
SOUNDS = (
    *SCIPY,
    *(".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
    *(".w64", ".rf64", ".nist", ".sph", ".voc", ".sf", ".ircam", ".paf", ".fap", ".pvf", ".avr", ".htk"),
    *(".svx", ".8svx", ".16svx", ".xi", ".sds", ".mpc2k", ".wve", ".sd2"),
)
"""What soundfile reads, by its usual suffixes; raw samples, whose rate and type no file tells, are none."""
MELS, FRAMES, CHUNK = 40, 64, 512
RATES = (1_000, 400_000)
"""Samples per second that a recording may have, or be resampled to."""
LONGEST = 2**26
"""Samples of a resampled recording, at most: 70 minutes at 16,000 per second."""
FILTER = 50_000
"""The larger number of a ratio of sample rates, at most: 48,000 to 44,100 is 160 to 147."""
RANGE = 80.0
"""Decibels below a recording's loudest place that count as silence."""


def log_mel(waves: Sequence[np.ndarray], rate: int) -> np.ndarray:
    """Log-mel spectrograms (N, 1, 40, 64) in 0…1 of recordings in ±1 at ``rate`` samples per second.

    Windows of 32 ms every 16 ms, the first 64 (1.04 s): longer recordings are cut, shorter ones end in
    silence. 1 is the recording's loudest place, 0 is 80 dB below it, or more: nothing is learned from
    other recordings.
    """
    import torch

    window = 2 * round(0.016 * rate)
    hop = window // 2
    length = _used(rate)
    bank = torch.from_numpy(mel_bank(rate, window))
    hann = torch.hann_window(window)
    out = np.empty((len(waves), 1, MELS, FRAMES), np.float32)
    for start in range(0, len(waves), CHUNK):
        block = np.zeros((len(waves[start : start + CHUNK]), length), np.float32)
        for row, wave in enumerate(waves[start : start + CHUNK]):
            block[row, : min(length, len(wave))] = wave[:length]
        spectrum = torch.stft(
            torch.from_numpy(block), window, hop, window=hann, center=False, return_complex=True
        )
        power = bank @ spectrum.abs().square()
        loudest = power.amax((1, 2), keepdim=True).clamp_min(1e-20)
        decibel = 10 * torch.log10((power / loudest).clamp_min(10 ** (-RANGE / 10)))
        out[start : start + CHUNK, 0] = (1 + decibel / RANGE).numpy()
    return out


def _used(rate: int) -> int:
    """Samples at ``rate`` that a spectrogram is made of; what follows them is not read."""
    return (FRAMES + 1) * round(0.016 * rate)


def mel_bank(rate: int, window: int) -> np.ndarray:
    """Triangular filters (40, window/2 + 1), evenly spaced in mel = 2595·log10(1 + f/700), up to rate/2.

    Source: O'Shaughnessy 1987, the form of HTK.
    """
    top = 2595 * math.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, MELS + 2) / 2595) - 1)
    bins = np.arange(window // 2 + 1) * rate / window
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    bank = np.maximum(0, np.minimum(rising, falling))
    # Narrow low filters may fall between two bins: the nearest bin then stands for them.
    for row in np.flatnonzero(bank.sum(1) == 0):
        bank[row, np.abs(bins - corners[row + 1]).argmin()] = 1
    return bank.astype(np.float32)


@dataclass(frozen=True)
class Recording:
    """Samples in ±1 (N,), ``channels`` averaged to one; ``cut``: the file ends before what it declares."""

    wave: np.ndarray
    rate: int
    channels: int = 1
    cut: bool = False


def read_sound(path: Path) -> tuple[np.ndarray, int]:
    """Samples in ±1 (channels averaged) and the sample rate of a file; wav by scipy, others by soundfile.

    Raises:
        LosscopeError: no samples, values that are not finite, channels that cancel each other when they are
            averaged, a rate that cannot be meant.
        Exception: what scipy and soundfile raise for a broken file.
    """
    recording = recorded(path)
    return recording.wave, recording.rate


def recorded(path: Path) -> Recording:
    """As ``read_sound``, with what is to be said of the file."""
    size = regular(path).stat().st_size
    found = _by_scipy(path) if path.suffix.lower() in SCIPY else None
    wave, rate, cut = found or (*_by_soundfile(path, size), False)
    require(wave.size > 0, "it holds no samples")
    require(bool(np.isfinite(wave).all()), "it holds samples that are NaN or infinite")
    low, high = RATES
    require(
        low <= rate <= high,
        f"it is said to have {rate:,} samples per second; wanted: {low:,} to {high:,}",
    )
    if wave.ndim == 1:
        return Recording(wave.astype(np.float32), rate, 1, cut)
    mean = wave.mean(1).astype(np.float32)
    loud, left = float(np.abs(wave).max()), float(np.abs(mean).max())
    require(
        loud == 0 or left > CANCELLED * loud,
        f"its {wave.shape[1]} channels cancel each other when they are averaged",
    )
    return Recording(mean, rate, wave.shape[1], cut)


CANCELLED = 1e-3
"""Of the loudest sample, what the mean over channels must keep."""


def _by_scipy(path: Path) -> tuple[np.ndarray, int, bool] | None:
    """Samples in ±1 (N,) or (N, channels), the rate, whether the file was cut; None where scipy cannot."""
    import warnings

    from scipy.io import wavfile

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", wavfile.WavFileWarning)  # unknown chunks, such as tags
        try:
            # From memory, so that a declared length beyond the file is never made room for.
            rate, samples = wavfile.read(io.BytesIO(path.read_bytes()))
        except ValueError:  # µ-law, ADPCM, NIST's header under the suffix of wav: soundfile knows them
            return None
    wave = samples.astype(np.float32)
    if samples.dtype.kind in "iu":
        top = float(2 ** (8 * samples.dtype.itemsize - 1))
        wave = wave / top - (1.0 if samples.dtype.kind == "u" else 0.0)
    return wave, int(rate), any("prematurely" in str(warning.message) for warning in caught)


def _by_soundfile(path: Path, size: int) -> tuple[np.ndarray, int]:
    import soundfile

    about = soundfile.info(path)
    bounded(path, 4 * about.frames * about.channels, "the recording", size=size)
    wave, rate = soundfile.read(path, dtype="float32")
    return wave, int(rate)


def resampled(wave: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """A recording at another sample rate, by polyphase filtering.

    A ratio of rates without a fraction of small numbers is taken as the nearest that has one: the filter has
    20 taps for each unit of the larger number.

    Raises:
        LosscopeError: it would have more than ``LONGEST`` samples.

    >>> len(resampled(np.zeros(44100, np.float32), 44100, 8000))
    8000
    """
    from scipy.signal import resample_poly

    require(
        len(wave) * wanted // rate <= LONGEST,
        f"a recording of {len(wave) / rate:,.0f} seconds has more than {LONGEST:,} samples at {wanted:,} per "
        "second; cut it into shorter ones",
    )
    ratio = Fraction(wanted, rate)
    if max(ratio.numerator, ratio.denominator) > FILTER:
        # The larger of the two numbers is the one to limit.
        ratio = ratio.limit_denominator(FILTER) if ratio < 1 else 1 / (1 / ratio).limit_denominator(FILTER)
    return resample_poly(wave, ratio.numerator, ratio.denominator).astype(np.float32)


def beginning(wave: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """What a spectrogram at the rate ``wanted`` needs of a recording, at that rate: no more is worked on."""
    if rate == wanted:
        return wave[: _used(wanted)].copy()
    # The filter reaches 10 samples of the slower rate to both sides.
    reach = 20 * max(1, -(-rate // wanted))
    needed = -(-_used(wanted) * rate // wanted) + reach
    return resampled(wave[:needed], rate, wanted)[: _used(wanted)]


def read_log_mel(
    files: Sequence[Path], rate: int, skip_bad: bool = False
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Spectrograms (K, 1, 40, 64) of files, the positions (K,) of those read, and notes for the user.

    Raises LosscopeError for unreadable files (counted, the first named) unless ``skip_bad``.
    """
    require(
        2000 <= rate <= RATES[1],
        f"rate is {rate}; it is the number of samples per second to work at, from 2,000 to {RATES[1]:,}",
    )
    waves, lengths, kept, bad = [], [], [], []
    heard: list[Recording] = []
    for place, path in enumerate(files):
        try:
            found = recorded(path)
        except ImportError as error:
            raise LosscopeError(
                f"reading {path.name} needs the package {error.name}: pip install 'losscope[audio]'"
            ) from None
        except Exception as error:  # scipy and soundfile share no class for a broken file
            said = str(error) if isinstance(error, LosscopeError) else type(error).__name__
            bad.append(f"{path.name} ({said})")
            continue
        waves.append(beginning(found.wave, found.rate, rate))
        lengths.append(-(-len(found.wave) * rate // found.rate))
        # The samples themselves are kept once, at the wanted rate.
        heard.append(replace(found, wave=found.wave[:0]))
        kept.append(place)
    notes = _heard(heard, lengths, rate)
    if bad:
        said = f"{len(bad):,} of {len(files):,} recordings cannot be read: " + ", ".join(bad[:3])
        said += ", …" if len(bad) > 3 else ""
        require(skip_bad and bool(kept), f"{said}; wanted: readable sounds, or --skip-bad to leave these out")
        notes.append(f"{said}; left out")
    return log_mel(waves, rate), np.array(kept), notes


def _heard(heard: Sequence[Recording], lengths: Sequence[int], rate: int) -> list[str]:
    """Sentences for the user on recordings that are not as they are worked on."""
    notes = []
    others = Counter(found.rate for found in heard if found.rate != rate)
    if others:
        counts = ", ".join(f"{count:,} at {own:,} Hz" for own, count in sorted(others.items()))
        notes.append(f"recordings of another sample rate are resampled to {rate:,} Hz: {counts}")
    channels = Counter(found.channels for found in heard if found.channels > 1)
    if channels:
        counts = ", ".join(f"{count:,} of {number}" for number, count in sorted(channels.items()))
        notes.append(f"channels are averaged to one: {counts}")
    seconds = (FRAMES + 1) * round(0.016 * rate) / rate
    # A recording of one second is read whole: only an audible loss is told.
    long = sum(length > 1.1 * seconds * rate for length in lengths)
    short = sum(length < 0.5 * seconds * rate for length in lengths)
    if long:
        mean = float(np.mean([length / rate for length in lengths]))
        notes.append(
            f"{long:,} of {len(lengths):,} recordings are longer than {seconds:.2f} s, which is read of each "
            f"(they last {mean:.1f} s on average)"
        )
    if short:
        notes.append(
            f"{short:,} of {len(lengths):,} recordings are shorter than {seconds / 2:.2f} s, and are filled "
            "up with silence"
        )
    cut = sum(found.cut for found in heard)
    if cut:
        notes.append(f"{cut:,} of {len(heard):,} recordings end before the length that their files declare")
    return notes
