"""How loud a piece is from moment to moment, and what cannot be used of it."""

from __future__ import annotations

import numpy as np

from cadenza.studio.align import QUIET
from cadenza.types import Audio, FloatArray

BLOCK = 0.1  # seconds whose level is one
GAP = 40.0  # decibels below the loudest: nothing sounds there
DRIFT = 12.0  # decibels between the first third and the last
END = 0.12  # of the length, at least a second, that may be silent at the end
FLAT, FLAT_SHARE = 4, 1e-3  # equal samples in a row at the very peak, and how many there may be


def unusable(audio: Audio, levels: FloatArray) -> list[str]:
    """Why a sound, whatever it was meant to be, is thrown out; ``levels`` are :func:`levels_of`."""
    if levels.max() < QUIET:  # not its loudness: what measures that takes long to import
        return ["silent"]
    faults = []
    if flat(audio) > FLAT_SHARE:
        faults.append("clipped")
    sounding = np.flatnonzero(levels > levels.max() - GAP)
    silent_end = (len(levels) - 1 - sounding[-1]) * BLOCK
    if silent_end > max(1.0, END * audio.duration):
        faults.append(f"ends {silent_end:.1f} s early")
    change = drift(levels)
    if abs(change) > DRIFT and not faults:
        faults.append(f"drifts by {change:+.0f} dB")
    return faults


def levels_of(audio: Audio) -> FloatArray:
    """Decibels of each tenth of a second."""
    block = max(1, round(BLOCK * audio.rate))
    power = np.square(audio.samples, dtype=np.float64).mean(axis=0)
    count = max(1, len(power) // block)
    parts = np.resize(power, count * block).reshape(count, block).mean(axis=1)
    return np.asarray(10 * np.log10(parts + 1e-12), np.float32)


def fullness(levels: FloatArray) -> float:
    """The share of time in which something sounds."""
    return float(np.mean(levels > levels.max() - GAP))


def drift(levels: FloatArray) -> float:
    """Decibels from the first third to the last."""
    third = max(len(levels) // 3, 1)
    return float(_power_mean(levels[-third:]) - _power_mean(levels[:third]))


def unevenness(levels: FloatArray) -> float:
    """The spread of the level from second to second, in decibels; rests do not count."""
    seconds = max(1, len(levels) // 10)
    means = np.array([_power_mean(part) for part in np.array_split(levels, seconds)])
    return float(means[means > means.max() - GAP].std())


def flat(audio: Audio) -> float:
    """The share of samples that stand at the peak with others, as after clipping."""
    at_peak = np.abs(audio.samples) >= 0.9999 * audio.peak
    # Where a run begins and where it is over, by turns; each channel ends before the next begins.
    edges = np.flatnonzero(np.diff(np.pad(at_peak, ((0, 0), (1, 1))).ravel()))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= FLAT].sum() / at_peak.size)


def _power_mean(levels: FloatArray) -> float:
    return float(10 * np.log10(np.mean(10 ** (levels / 10))))
