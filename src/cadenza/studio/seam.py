"""Where the end of a loop meets its beginning: made continuous, and measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cadenza.spectrum import band_power, mel_filters
from cadenza.types import Audio, FloatArray

FRAME = 0.02  # seconds that are compared on both sides
FADE = 0.03  # seconds in which the end turns into what led to the beginning
LOWEST, BANDS = 50.0, 40  # hertz, mel bands
FLOOR = 1e-6  # of full power: what lies 60 dB down is silence


@dataclass(frozen=True)
class Seam:
    """How the jump from the last to the first frame compares with those inside the loop."""

    energy_jump: float  # decibels
    usual_energy_jump: float  # the median inside
    distance: float  # decibels, the mean over mel bands
    usual_distance: float  # the median inside
    percentile: float  # the share of the loop's own distances that are smaller, 0 to 100

    @property
    def ok(self) -> bool:
        """Whether it is no more of an event than what happens in the loop anyway."""
        return self.percentile <= 95


def joined(samples: FloatArray, start: int, length: int, rate: int) -> FloatArray:
    """``length`` samples from ``start`` on, whose end runs into their beginning.

    In the last moments the sound turns into what came just ahead of ``start``, so that from the
    last sample to the first it goes on as it did when it was played. ``start`` must leave room for
    that, at least :func:`room` samples.
    """
    fade = room(rate)
    loop = samples[:, start : start + length].copy()
    before = samples[:, start - fade : start]
    end = loop[:, -fade:]
    norms = float(np.linalg.norm(end) * np.linalg.norm(before))
    alike = max(float(np.vdot(end, before)) / norms, 0.0) if norms else 0.0
    angle = (np.arange(fade, dtype=np.float32) + 0.5) / fade * np.float32(np.pi / 2)
    # Alike sounds add up in amplitude, others in power: the level stays in either case.
    level = 1 / np.sqrt(1 + alike * np.sin(2 * angle))
    loop[:, -fade:] = level * (end * np.cos(angle) + before * np.sin(angle))
    return np.ascontiguousarray(loop)


def room(rate: int) -> int:
    """Samples that the crossfade takes."""
    return round(FADE * rate)


def measure(audio: Audio) -> Seam:
    """Compare what lies on both sides of the seam with what lies on both sides of other moments.

    Each moment, every 10 ms of the loop as it goes round, has 20 ms before and 20 ms after it; the
    first moment is the seam.
    """
    hop = max(1, round(FRAME * audio.rate / 2))
    mono = audio.samples.mean(axis=0)
    moments = max(2, len(mono) // hop)
    round_ = np.resize(np.roll(mono, 2 * hop), (moments + 3) * hop)
    filters = mel_filters(audio.rate, 2 * hop, BANDS, LOWEST, audio.rate / 2)
    bands = 10 * np.log10(band_power(round_, 2 * hop, hop, filters)[1:] + FLOOR)
    parts = round_.reshape(-1, hop)
    power = np.square(parts, dtype=np.float64).mean(axis=1)
    energy = 10 * np.log10((power[:-1] + power[1:]) / 2 + FLOOR)
    jumps = np.abs(energy[2 : moments + 2] - energy[:moments])
    distances = np.abs(bands[2 : moments + 2] - bands[:moments]).mean(axis=1)
    return Seam(
        energy_jump=float(jumps[0]),
        usual_energy_jump=float(np.median(jumps[1:])),
        distance=float(distances[0]),
        usual_distance=float(np.median(distances[1:])),
        percentile=float(100 * np.mean(distances[1:] < distances[0])),
    )
