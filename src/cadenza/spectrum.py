"""How much sounds in each band of frequencies, moment by moment."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from cadenza.types import FloatArray

FRAMES_AT_ONCE = 2048  # transformed together, so that memory does not grow with the sound


def band_power(
    samples: FloatArray, fft: int, hop: int, filters: NDArray[np.floating]
) -> FloatArray:
    """The power of mono ``samples [N]`` in each band, as ``[T, B]`` with ``T = N // hop + 1``.

    Frame ``t`` is a Hann window of ``fft`` samples around the sample ``t * hop``. A steady sine of
    amplitude 1 has the power 1 in a band whose filter is 1 where it sounds.

    Args:
        filters: ``[fft // 2 + 1, B]``, the weight of each frequency in each band.
    """
    window = np.hanning(fft + 1)[:-1].astype(np.float32)
    # A sine's power lies in the three bins under the window's main lobe.
    scale = np.float32(4 / (window.sum() * window.sum() * 1.5))
    padded = np.pad(samples, (fft // 2, fft - fft // 2))
    frames = sliding_window_view(padded, fft)[: len(samples) + 1 : hop]
    weights = (filters * scale).astype(np.float32)
    blocks = [
        np.square(np.abs(np.fft.rfft(frames[first : first + FRAMES_AT_ONCE] * window))) @ weights
        for first in range(0, len(frames), FRAMES_AT_ONCE)
    ]
    return np.concatenate(blocks).astype(np.float32)


@lru_cache
def mel_filters(rate: int, fft: int, bands: int, low: float, high: float) -> FloatArray:
    """Triangles ``[fft // 2 + 1, bands]`` between equal steps of the mel scale from ``low`` to
    ``high`` hertz (O'Shaughnessy 1987)."""
    first, last = (2595 * math.log10(1 + hertz / 700) for hertz in (low, high))
    edges = 700 * (10 ** (np.linspace(first, last, bands + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(fft, 1 / rate)[:, None]
    up = (hertz - edges[:-2]) / np.diff(edges[:-1])
    down = (edges[2:] - hertz) / np.diff(edges[1:])
    filters: FloatArray = np.maximum(0, np.minimum(up, down)).astype(np.float32)
    return filters
