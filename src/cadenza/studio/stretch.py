"""Sound made longer or shorter without changing its pitch.

Source: WSOLA, Verhelst & Roelands 1993, «An overlap-add technique based on waveform similarity»:
pieces are laid over each other at the new distance, each taken from where it continues the one
before best. For changes of a few per cent it keeps attacks, which a phase vocoder smears.
"""

from __future__ import annotations

import numpy as np

from cadenza.errors import OptionError
from cadenza.types import Audio, FloatArray

PIECE = 0.06  # seconds
SEARCH = 0.012  # seconds to either side in which the best continuation is looked for
MOST = 2.0  # times longer or shorter


def stretch(audio: Audio, factor: float) -> Audio:
    """The sound ``factor`` times as long, to the sample: ``round(N * factor)``.

    Raises:
        OptionError: a factor below 1/2 or above 2.
    """
    if not 1 / MOST <= factor <= MOST:
        raise OptionError(f"sound can be stretched by 1/{MOST:g} to {MOST:g}, not {factor:g}")
    length = round(audio.samples.shape[1] * factor)
    if length == audio.samples.shape[1]:
        return audio
    return Audio(_overlap_add(audio.samples, length, factor, audio.rate), audio.rate)


def _overlap_add(samples: FloatArray, length: int, factor: float, rate: int) -> FloatArray:
    """``samples [C, N]`` as ``[C, length]``."""
    size = 2 * round(PIECE * rate / 2)
    hop, reach = size // 2, round(SEARCH * rate)
    window = np.hanning(size + 1)[:-1].astype(np.float32)  # its halves add up to 1
    before = size + reach
    after = 2 * size + 2 * reach + round(hop / factor)
    padded = np.pad(samples, ((0, 0), (before, after)))
    mono = padded.mean(axis=0)
    out = np.zeros((samples.shape[0], length + 2 * size), np.float32)
    start = before - hop
    for number in range(-(-length // hop) + 1):
        # In ``padded`` the piece that should sound around the place ``number * hop``.
        wanted = before - hop + round(number * hop / factor)
        if number:
            follows = mono[start + hop : start + hop + size]  # what would come next
            area = mono[wanted - reach : wanted + reach + size]
            start = wanted - reach + _best(follows, area)
        out[:, number * hop : number * hop + size] += window * padded[:, start : start + size]
    return out[:, hop : hop + length]


def _best(pattern: FloatArray, area: FloatArray) -> int:
    """Where in ``area`` lies what resembles ``pattern`` most (normalised correlation)."""
    # numpy's transform: to import scipy's takes as long as a second of music does.
    size = 1 << (len(area) - 1).bit_length()
    crossed = np.fft.rfft(area, size) * np.fft.rfft(pattern, size).conj()
    likeness = np.fft.irfft(crossed, size)[: len(area) - len(pattern) + 1]
    power = np.cumsum(np.pad(np.square(area, dtype=np.float64), (1, 0)))
    norms = np.sqrt(np.maximum(power[len(pattern) :] - power[: -len(pattern)], 1e-9))
    return int(np.argmax(likeness / norms))
