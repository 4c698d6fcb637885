"""A sound as points in a space of plain statistics, one for every two seconds.

It is computed from the sound alone and needs no network's weights. A point has 52 values of a
window of two seconds (one begins every second), in mono at 16 kHz:

- mean and standard deviation of 20 mel cepstral coefficients (Davis & Mermelstein 1980): of the
  orthonormal cosine transform of 64 mel bands from 50 to 7600 Hz in decibels, every 16 ms, at most
  80 dB below the loudest. The first coefficient, the level, is left out;
- the mean of the 12 pitch classes (:mod:`cadenza.beats.tonality`), C first.

Each of the three groups is divided by a constant, so that in rendered music it varies as much as
the others: by about 1 in all.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cadenza.audio import resample, to_channels
from cadenza.beats.tonality import HOP as CHROMA_HOP
from cadenza.beats.tonality import peaks_of
from cadenza.spectrum import band_power, mel_filters
from cadenza.types import Audio

Values = NDArray[np.float64]

NAME = "52 statistics of timbre, its movement and pitch classes, of every two seconds"
RATE, FFT, HOP = 16_000, 1024, 256
BANDS, LOWEST, HIGHEST = 64, 50.0, 7600.0
COEFFICIENTS = 20
RANGE = 80.0  # decibels below the loudest that count
WINDOW, STEP = 2.0, 1.0  # seconds
# The root of the variance of each group in all, over the windows of 140 rendered pieces.
MEANS, MOVEMENT, PITCHES = 60.0, 20.0, 0.49
SIZE = 2 * COEFFICIENTS + 12


def embed(audio: Audio) -> Values:
    """The points ``[windows, SIZE]`` of a sound that is not silent; a short one has a single."""
    mono = resample(to_channels(audio, 1), RATE).samples[0]
    timbre = _cepstra(band_power(mono, FFT, HOP, mel_filters(RATE, FFT, BANDS, LOWEST, HIGHEST)))
    pitch = peaks_of(mono, RATE).chroma()
    count = max(1, math.floor((len(mono) / RATE - WINDOW) / STEP) + 1)
    points = []
    for number in range(count):
        start = number * STEP * RATE
        sound, notes = (
            values[round(start / hop) : max(round((start + WINDOW * RATE) / hop), 1)]
            for values, hop in ((timbre, HOP), (pitch, CHROMA_HOP))
        )
        parts = (
            sound.mean(axis=0) / MEANS,
            sound.std(axis=0) / MOVEMENT,
            notes.mean(axis=0) / PITCHES,
        )
        points.append(np.concatenate(parts))
    return np.stack(points)


def _cepstra(power: NDArray[np.float32]) -> Values:
    """``[T, bands]`` to ``[T, COEFFICIENTS]``, without the level."""
    decibels = 10 * np.log10(np.maximum(power.astype(np.float64), 1e-20))
    return np.asarray(np.maximum(decibels, decibels.max() - RANGE) @ _cosines())


@lru_cache(maxsize=1)
def _cosines() -> Values:
    """Columns 1 to ``COEFFICIENTS`` of the orthonormal cosine transform (DCT-II)."""
    place = np.pi * (np.arange(BANDS)[:, None] + 0.5) / BANDS
    return np.asarray(np.sqrt(2 / BANDS) * np.cos(place * np.arange(1, COEFFICIENTS + 1)))
