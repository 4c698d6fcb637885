"""What is seen of a sound, as plain numbers; pages and terminals draw them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cadenza.audio import check_audible, loudness, momentary_loudness, resample, to_channels
from cadenza.beats import Analysis, analyse
from cadenza.beats.tonality import peaks_of
from cadenza.spectrum import band_power, mel_filters
from cadenza.types import Audio, FloatArray, Recipe

COLUMNS = 1200  # of a picture, at most; a longer sound is averaged into as many

MEL_RATE, FFT, HOP = 32_000, 2048, 320
BANDS, LOWEST, HIGHEST = 128, 30.0, 16_000.0
RANGE = 80.0  # decibels below the loudest that are shown

PITCH_RATE, PITCH_FFT, PITCH_HOP = 16_000, 8192, 320
LOWEST_PITCH, HIGHEST_PITCH = 21, 108  # a piano's
SEMITONE = 0.6  # how far a semitone's filter reaches to either side


@dataclass(frozen=True, eq=False)
class View:
    """A sound as it is drawn; times run evenly over ``duration`` seconds in every array."""

    name: str
    duration: float
    rate: int
    channels: int
    peak: float  # the largest absolute sample
    loudness: float  # LUFS of the whole
    envelope: FloatArray  # [2, columns]: the lowest and the highest sample
    mel: FloatArray  # [BANDS, columns]: decibels below the loudest, from -RANGE to 0
    chroma: FloatArray  # [12, columns]: loudness of each pitch class, C first, at most 1
    momentary: FloatArray  # LUFS every tenth of a second
    heard: Analysis
    recipe: Recipe | None


def look(audio: Audio, name: str, recipe: Recipe | None = None) -> View:
    """All that is drawn of a sound; several channels are seen as their mean.

    Raises:
        AudioError: empty or silent.
    """
    check_audible(audio, name)
    mono = to_channels(audio, 1)
    return View(
        name=name,
        duration=audio.duration,
        rate=audio.rate,
        channels=audio.channels,
        peak=audio.peak,
        loudness=loudness(audio),
        envelope=_envelope(mono.samples[0]),
        mel=mel_spectrogram(audio),
        chroma=_chroma(mono),
        momentary=momentary_loudness(audio),
        heard=analyse(audio),
        recipe=recipe,
    )


def mel_spectrogram(audio: Audio) -> FloatArray:
    """``[BANDS, columns]``: decibels below the loudest, from ``-RANGE`` to 0."""
    mono = resample(to_channels(audio, 1), MEL_RATE).samples[0]
    filters = mel_filters(MEL_RATE, FFT, BANDS, LOWEST, HIGHEST)
    return _decibels(band_power(mono, FFT, HOP, filters))


def pitch_spectrogram(audio: Audio) -> FloatArray:
    """``[88, columns]``: the same for each key of a piano."""
    mono = resample(to_channels(audio, 1), PITCH_RATE).samples[0]
    hertz = np.maximum(np.fft.rfftfreq(PITCH_FFT, 1 / PITCH_RATE), 1.0)
    pitch = 69 + 12 * np.log2(hertz / 440)
    keys = np.arange(LOWEST_PITCH, HIGHEST_PITCH + 1)
    filters = np.maximum(0, 1 - np.abs(pitch[:, None] - keys) / SEMITONE)
    return _decibels(band_power(mono, PITCH_FFT, PITCH_HOP, filters))


def _decibels(power: FloatArray) -> FloatArray:
    """Power ``[T, bands]`` to ``[bands, columns]``, relative to the loudest."""
    decibels = 10 * np.log10(np.maximum(pooled(power.T), 1e-20))
    shown: FloatArray = np.maximum(decibels - decibels.max(), -RANGE).astype(np.float32)
    return shown


def pooled(values: FloatArray, columns: int = COLUMNS) -> FloatArray:
    """``[rows, N]`` averaged into at most so many columns."""
    edges = _edges(values.shape[1], columns)
    sums = np.add.reduceat(values, edges, axis=1, dtype=np.float64)
    counts = np.diff(edges, append=values.shape[1])
    return (sums / counts).astype(np.float32)


def _envelope(samples: FloatArray) -> FloatArray:
    edges = _edges(len(samples), COLUMNS)
    return np.stack([np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)])


def _edges(length: int, columns: int) -> NDArray[np.intp]:
    """Where each column begins."""
    count = min(length, columns)
    return np.arange(count) * length // count


def _chroma(mono: Audio) -> FloatArray:
    sound = resample(mono, PITCH_RATE).samples[0]
    return pooled(peaks_of(sound, PITCH_RATE).chroma().T.astype(np.float32))
