"""Drum hits to General MIDI: kick, snare and hat, told apart by where their energy rises.

A hit is a moment at which the level of a drum's band jumps. The figures were chosen on rendered
tracks of seven kits (``python -m benchmarks.midi`` measures others).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from cadenza.audio import check_audible, resample, to_channels
from cadenza.spectrum import band_power
from cadenza.types import Audio, FloatArray, Note

RATE = 32_000
FFT, HOP = 1024, 160  # a frame every 5 ms
LAG = 3  # frames over which a level rises
APART = 10  # frames between two hits of one drum
TOGETHER = 3  # frames within which two bands belong to one hit
JUMP = 2.0  # how many times the power before it a hit has
TYPICAL = 90  # percentile of a drum's hits that the threshold is a share of
LENGTH = 0.1  # seconds of a note; a drum has no end of its own
LOUD = 110  # the velocity of a typical hit


@dataclass(frozen=True)
class Drum:
    """A kind of hit: its General MIDI ``pitch`` and where it sounds, ``low`` to ``high`` hertz."""

    pitch: int
    low: float
    high: float
    threshold: float  # share of this drum's typical hit


KICK = Drum(36, 30.0, 120.0, 0.5)
SNARE = Drum(38, 400.0, 3200.0, 0.4)
HAT = Drum(42, 7000.0, 15_000.0, 0.1)
DRUMS = (KICK, SNARE, HAT)

# A kick's beater and a hat sound in the snare's band, too: a snare has at least so much there of
# what each of the other two bands has.
SNARE_BESIDE_KICK, SNARE_BESIDE_HAT = 0.05, 1.5


def transcribe_drums(audio: Audio) -> list[Note]:
    """Kick (36), snare (38) and hat (42) of a drum track, in order; velocities follow the level.

    What else is in a kit is heard as the one of the three that it sounds like.

    Raises:
        AudioError: empty or silent.
    """
    check_audible(audio, "the sound")
    sound = resample(to_channels(audio, 1), RATE).samples[0]
    power = band_power(sound, FFT, HOP, _bands()).T
    rise = np.stack([_rise(np.sqrt(band)) for band in power])
    notes = []
    for drum, band, own in zip(DRUMS, power, rise, strict=True):
        hits = _peaks(own)
        if not len(hits):
            continue
        typical = np.percentile(own[hits], TYPICAL)
        before = _earlier(band)
        hits = hits[(own > drum.threshold * typical)[hits] & (band > JUMP * before)[hits]]
        if drum is SNARE:
            kick, hat = (_near(other)[hits] for other in (rise[0], rise[2]))
            hits = hits[
                (own[hits] > SNARE_BESIDE_KICK * kick) & (own[hits] > SNARE_BESIDE_HAT * hat)
            ]
        for hit in hits:
            start = max(0.0, (hit - LAG / 2) * HOP / RATE)
            velocity = int(np.clip(round(LOUD * np.sqrt(own[hit] / typical)), 1, 127))
            notes.append(Note(start, start + LENGTH, drum.pitch, velocity))
    return sorted(notes, key=lambda note: (note.start, note.pitch))


@lru_cache(maxsize=1)
def _bands() -> FloatArray:
    """``[FFT / 2 + 1, drums]``: the mean over each drum's band."""
    hertz = np.fft.rfftfreq(FFT, 1 / RATE)[:, None]
    inside = np.stack([(hertz[:, 0] >= d.low) & (hertz[:, 0] < d.high) for d in DRUMS], axis=1)
    means: FloatArray = (inside / inside.sum(axis=0)).astype(np.float32)
    return means


def _rise(level: FloatArray) -> FloatArray:
    """How far a level ``[T]`` climbs in ``LAG`` frames, 0 where it falls."""
    climb: FloatArray = np.maximum(level - _earlier(level), 0)
    return climb


def _earlier(values: FloatArray) -> FloatArray:
    """``values [T]`` as they were ``LAG`` frames before; there is silence first."""
    return np.pad(values, (LAG, 0))[:-LAG]


def _near(values: FloatArray, frames: int = TOGETHER) -> FloatArray:
    """The largest value within so many frames of each."""
    largest: FloatArray = sliding_window_view(np.pad(values, frames), 2 * frames + 1).max(axis=1)
    return largest


def _peaks(rise: FloatArray) -> NDArray[np.intp]:
    """The frames at which a rise is the largest around, the first of those that are equal."""
    found = np.flatnonzero((rise >= _near(rise, APART)) & (rise > 0.05 * rise.max()))
    return found[np.diff(found, prepend=-APART - 1) > APART]
