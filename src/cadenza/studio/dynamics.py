"""Gain that changes with the sound: the duck of a track, the limiter of the bus."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cadenza.studio.filters import Samples

Curve = NDArray[np.float64]  # [N]

KICK = 150.0  # hertz; below it a drum track is its kick
NO_KICK = 0.01  # of the drums' peak, what hats leave below that; silence has none either
DUCK_RANGE = 18.0  # decibels under the loudest kick at which ducking begins
DUCK_ATTACK, DUCK_RELEASE = 0.005, 60.0  # seconds; decibels a second
LOOK_AHEAD, LIMIT_RELEASE = 0.002, 80.0  # seconds; decibels a second
OVERSAMPLING, TAPS = 8, 48  # phases between two samples, and the length of each one's filter
MARGIN = 0.2  # decibels: what eight phases and short filters can miss of a peak


def duck(samples: Samples, drums: Samples, rate: int, depth: float) -> Samples:
    """``samples [C, N]`` stepping back by up to ``depth`` decibels under the kick of ``drums``."""
    from scipy.signal import butter, sosfilt

    kick: Curve = sosfilt(butter(4, KICK, fs=rate, output="sos"), drums.mean(axis=0))
    if np.abs(kick).max() <= NO_KICK * np.abs(drums).max():
        return samples
    level = 20 * np.log10(np.abs(kick) + 1e-9)
    held = -_released(-level, rate, DUCK_RELEASE)
    share = np.clip((held - level.max()) / DUCK_RANGE + 1, 0, 1)
    ducked = samples * _gain(-depth * share, round(DUCK_ATTACK * rate))
    return np.asarray(ducked)


def limiting(samples: Samples, rate: int, ceiling: float) -> Curve:
    """The gain ``[N]`` with which ``samples [C, N]`` have no true peak above ``ceiling`` dBTP.

    It goes down ahead of a peak and comes back slowly; nothing is clipped or delayed.
    """
    allowed = ceiling - MARGIN
    over = 20 * np.log10(peak_curve(samples) + 1e-12) - allowed
    if over.max(initial=-1.0) <= 0:
        return np.ones(samples.shape[1])
    needed = _released(np.minimum(-over, 0), rate, LIMIT_RELEASE)
    gain = _gain(needed, round(LOOK_AHEAD * rate))
    # Between two samples the gain moves, too, so a hundredth of a decibel may be left over.
    left = max(20 * math.log10(true_peak(samples * gain)) - allowed, 0.0)
    return np.asarray(gain * 10 ** (-left / 20))


def true_peak(samples: Samples) -> float:
    """The largest value that the wave reaches, also between its samples (BS.1770-4, annex 2)."""
    return float(peak_curve(samples).max(initial=0.0))


def peak_curve(samples: Samples) -> Curve:
    """``[N]``: the largest value of any channel from each sample up to the next."""
    from scipy.signal import oaconvolve

    curve = np.abs(samples).max(axis=0)
    for filter_ in _phases():
        between = oaconvolve(samples, filter_[None], mode="same", axes=-1)
        np.maximum(curve, np.abs(between).max(axis=0), out=curve)
    return np.asarray(curve)


@lru_cache(maxsize=1)
def _phases() -> Curve:
    """``[7, TAPS + 1]``: filters (windowed sinc) for the wave at 1/8, 2/8 … after each sample."""
    time = np.arange(-TAPS // 2, TAPS // 2 + 1)
    shifts = np.arange(1, OVERSAMPLING)[:, None] / OVERSAMPLING
    window = np.cos(np.pi * (time + shifts) / (TAPS + 2)) ** 2
    filters = np.sinc(time + shifts) * window
    return np.asarray(filters / filters.sum(axis=1, keepdims=True))


def _released(decibels: Curve, rate: int, release: float) -> Curve:
    """A gain that follows ``decibels`` down at once, and up by ``release`` decibels a second."""
    ramp = np.arange(len(decibels)) * (release / rate)
    return np.asarray(np.minimum.accumulate(decibels - ramp) + ramp)


def _gain(decibels: Curve, reach: int) -> Curve:
    """Factors that are down ``reach`` samples ahead of need, and change without a corner."""
    from scipy.ndimage import minimum_filter1d
    from scipy.signal import oaconvolve

    length = 2 * reach + 1
    early = minimum_filter1d(decibels, length, mode="nearest")
    window = np.hanning(length + 2)[1:-1]
    padded = np.pad(early, reach, mode="edge")
    smooth = oaconvolve(padded, window / window.sum(), mode="valid")
    return np.asarray(10 ** (smooth / 20))
