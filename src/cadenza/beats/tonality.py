"""Spectral peaks, and what follows from them: tuning, pitch classes, key.

Sources: pitch classes from peaks, Gómez 2006, «Tonal description of polyphonic audio»; key
profiles, Albrecht & Shanahan 2013, «The use of large corpora to train a new type of key-finding
algorithm».
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from cadenza.types import FloatArray, Key

Values = NDArray[np.float64]

FFT, HOP = 8192, 2048
LOWEST, HIGHEST = 55.0, 2000.0  # hertz of the peaks that decide
FRAMES_AT_ONCE = 256
QUIET = 0.001  # of the loudest peak: below lies noise
SMALL = 0.02  # of the loudest peak of the frame: below lie side lobes

# How often each degree of a key sounds, tonic first.
PROFILES = {
    "major": (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    "minor": (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
}


@dataclass(frozen=True, eq=False)
class Peaks:
    """The spectral peaks of a sound: ``frame``, ``pitch`` (MIDI, fractional), ``size``, one each.

    A frame is ``HOP`` samples.
    """

    frame: NDArray[np.int64]
    pitch: Values
    size: Values
    frames: int

    @property
    def tuning(self) -> float:
        """How far the pitches lie from A = 440 Hz, in semitones from -0.5 to 0.5."""
        return float(np.angle(self.size @ np.exp(2j * np.pi * self.pitch)) / (2 * np.pi))

    def chroma(self) -> Values:
        """Loudness of the pitch classes ``[frames, 12]``, C first; loud frames count little more.

        Between a frame and the next a factor of ten in loudness is one of about two here, so that
        one accent does not decide.
        """
        classes = np.round(self.pitch - self.tuning).astype(np.int64) % 12
        chroma = np.zeros((self.frames, 12))
        np.add.at(chroma, (self.frame, classes), self.size)
        norms = np.linalg.norm(chroma, axis=1, keepdims=True)
        return np.asarray(chroma / (norms + 0.1 * norms.max() + 1e-12))


def peaks_of(samples: FloatArray, rate: int) -> Peaks:
    """The peaks of mono ``samples [N]``, their places refined by a parabola through logarithms."""
    padded = np.pad(samples, (FFT // 2, FFT // 2))
    frames = sliding_window_view(padded, FFT)[::HOP]
    window = np.hanning(FFT).astype(np.float32)
    low, high = int(LOWEST * FFT / rate), int(HIGHEST * FFT / rate) + 1
    found: list[tuple[NDArray[np.int64], Values, Values]] = []
    for first in range(0, len(frames), FRAMES_AT_ONCE):
        block = np.abs(np.fft.rfft(frames[first : first + FRAMES_AT_ONCE] * window))
        left, size, right = (block[:, low + shift : high + shift] for shift in (-1, 0, 1))
        is_peak = (size > left) & (size >= right)
        is_peak &= size > SMALL * size.max(axis=1, keepdims=True)
        frame, bin_ = np.nonzero(is_peak)
        logs = [np.log(part[frame, bin_] + 1e-12) for part in (left, size, right)]
        place = 0.5 * (logs[0] - logs[2]) / (logs[0] - 2 * logs[1] + logs[2] - 1e-12)
        hertz = (bin_ + low + place) * rate / FFT
        found.append((frame + first, 69 + 12 * np.log2(hertz / 440), size[frame, bin_]))
    frame, pitch, size = (np.concatenate(parts) for parts in zip(*found, strict=True))
    loud = size > max(QUIET * size.max(initial=0.0), 1e-6)
    return Peaks(frame[loud], pitch[loud], size[loud], len(frames))


def fit(chroma: Sequence[float] | Values, key: Key) -> float:
    """How well pitch classes ``[12]`` agree with a key: a correlation, 1 is perfect."""
    profile = np.roll(PROFILES[key.mode], key.tonic)
    values = np.asarray(chroma, np.float64)
    return float(np.corrcoef(values, profile)[0, 1]) if values.std() > 0 else 0.0


def best_key(chroma: Sequence[float] | Values) -> Key:
    """The key of the 24 that agrees best."""
    keys = [Key(tonic, mode) for mode in PROFILES for tonic in range(12)]
    return max(keys, key=lambda key: fit(chroma, key))
