"""High-pass and three-band equaliser of a track.

Sources: Butterworth high-pass; shelves and bell of Robert Bristow-Johnson, «Audio EQ Cookbook».
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cadenza.studio.settings import Strip

Samples = NDArray[np.float64]  # [C, N]

BELL_Q = 0.9
HIGHEST = 0.45  # of the sampling rate: no filter's corner lies above


def equalise(samples: Samples, rate: int, strip: Strip) -> Samples:
    """``samples [C, N]`` through the filters of ``strip`` that are on."""
    from scipy.signal import sosfilt

    sections = _sections(rate, strip)
    return np.asarray(sosfilt(sections, samples)) if len(sections) else samples


def _sections(rate: int, strip: Strip) -> NDArray[np.float64]:
    """Second-order sections ``[n, 6]`` as ``scipy.signal`` has them."""
    from scipy.signal import butter

    top = HIGHEST * rate
    sections = []
    if strip.high_pass:
        sections.append(butter(2, min(strip.high_pass, top), "highpass", fs=rate, output="sos")[0])
    if strip.low:
        sections.append(_shelf(min(strip.low_hz, top) / rate, strip.low, high=False))
    if strip.mid:
        sections.append(_bell(min(strip.mid_hz, top) / rate, strip.mid))
    if strip.high:
        sections.append(_shelf(min(strip.high_hz, top) / rate, strip.high, high=True))
    return np.array(sections)


def _bell(place: float, gain: float) -> NDArray[np.float64]:
    """A peak or dip of ``gain`` decibels at ``place`` (a share of the rate)."""
    a = 10 ** (gain / 40)
    cos, alpha = math.cos(2 * math.pi * place), math.sin(2 * math.pi * place) / (2 * BELL_Q)
    b = [1 + alpha * a, -2 * cos, 1 - alpha * a]
    return np.array([*b, 1 + alpha / a, -2 * cos, 1 - alpha / a]) / (1 + alpha / a)


def _shelf(place: float, gain: float, high: bool) -> NDArray[np.float64]:
    """``gain`` decibels on one side of ``place`` (a share of the rate), slope 1."""
    a = 10 ** (gain / 40)
    # A high shelf is a low shelf seen from the other end of the spectrum.
    cos = math.cos(2 * math.pi * place) * (-1 if high else 1)
    alpha = math.sin(2 * math.pi * place) / math.sqrt(2)
    root = 2 * math.sqrt(a) * alpha
    numerator = [
        a * ((a + 1) - (a - 1) * cos + root),
        2 * a * ((a - 1) - (a + 1) * cos),
        a * ((a + 1) - (a - 1) * cos - root),
    ]
    denominator = [
        (a + 1) + (a - 1) * cos + root,
        -2 * ((a - 1) + (a + 1) * cos),
        (a + 1) + (a - 1) * cos - root,
    ]
    if high:
        numerator[1], denominator[1] = -numerator[1], -denominator[1]
    return np.array(numerator + denominator) / denominator[0]
