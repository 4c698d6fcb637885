"""All that is heard in a piece, as one value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cadenza.audio import SILENCE, resample, to_channels
from cadenza.beats import pulse
from cadenza.beats.tonality import HOP, Peaks, best_key, peaks_of
from cadenza.types import Audio, FloatArray, Key

RATE = 16_000  # hertz that are listened at: pulse and pitch lie below 8 kHz
SHORTEST = 2.0  # seconds in which a pulse can be heard
CLEAR = 0.02  # of a pulse; less is chance
FEW = 4  # beats, or spectral peaks: with fewer there is nothing to say

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Analysis:
    """What is heard in a piece; times are in seconds from its first sample."""

    duration: float
    tempo: float | None = None  # beats a minute; None where no pulse is heard
    clarity: float = 0.0  # of the pulse, 0 to 1: how well onsets recur after one beat or two
    beats: tuple[float, ...] = ()
    meter: int = 4  # beats a bar
    downbeat: int = 0  # which of the beats begins the first whole bar
    key: Key | None = None  # None where nothing has a pitch
    chroma: tuple[float, ...] = (0.0,) * 12  # the share of each pitch class, C first
    tuning: float = 0.0  # cents above A = 440 Hz, from -50 to 50

    @property
    def downbeats(self) -> tuple[float, ...]:
        """The first beat of each whole bar."""
        return self.beats[self.downbeat :: self.meter]


def analyse(audio: Audio, tempo: float | None = None) -> Analysis:
    """Hear tempo, beats, bars, key and tuning of a sound of any rate, channels and length.

    The piece is taken to keep one tempo; beats follow small changes of it.

    Args:
        tempo: what was asked for, where that is known. Half and double of a tempo fit nearly as
            well as the tempo itself; of these, the nearest to it is chosen.
    """
    heard = Analysis(audio.duration)
    if audio.peak < SILENCE:
        return heard
    mono = resample(to_channels(audio, 1), RATE).samples[0]
    peaks = peaks_of(mono, RATE)
    if len(peaks.size) >= FEW:
        heard = _with_pitch(heard, peaks)
    return _with_pulse(heard, mono, peaks, tempo) if audio.duration >= SHORTEST else heard


def _with_pitch(heard: Analysis, peaks: Peaks) -> Analysis:
    chroma = peaks.chroma().sum(axis=0)
    return replace(
        heard,
        key=best_key(chroma),
        chroma=tuple((chroma / chroma.sum()).tolist()),
        tuning=100 * peaks.tuning,
    )


def _with_pulse(heard: Analysis, mono: FloatArray, peaks: Peaks, asked: float | None) -> Analysis:
    flux, low = pulse.onsets(mono, RATE)
    frame_rate = RATE / pulse.HOP
    rough, clarity = pulse.tempo_of(flux, frame_rate, asked)
    frames = pulse.beats_of(flux, low, frame_rate, rough)
    if clarity < CLEAR or len(frames) < FEW:
        return heard
    meter, downbeat = pulse.bars_of(frames, low, _changes(peaks, frames * pulse.HOP))
    beats = frames / frame_rate + pulse.EARLY
    # The slope of a line through all beats is far finer than the steps between trial tempi.
    period = float(np.polyfit(np.arange(len(beats)), beats, 1)[0])
    return replace(
        heard,
        tempo=60 / period,
        clarity=clarity,
        beats=tuple(beats.tolist()),
        meter=meter,
        downbeat=downbeat,
    )


def _changes(peaks: Peaks, beats: NDArray[np.int64]) -> Values:
    """How much the harmony changes at each beat (in samples), 0 to 1: of the beat to the next."""
    chroma = peaks.chroma()
    edges = np.round(np.append(beats, 2 * beats[-1] - beats[-2]) / HOP).astype(np.int64)
    edges = np.minimum(edges, len(chroma) - 1)
    sums = np.stack([chroma[a : max(b, a + 1)].sum(axis=0) for a, b in pairwise(edges)])
    sums /= np.linalg.norm(sums, axis=1, keepdims=True) + 1e-9
    changes = 1 - np.sum(sums[1:] * sums[:-1], axis=1)
    return np.append(changes.mean(), changes)  # nothing is known of the first
