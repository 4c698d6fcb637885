"""A room: an impulse response made of decaying noise, the same for the same settings.

Source: Moorer 1979, «About this reverberation business»: late reverberation is noise that decays
exponentially, its highs sooner.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cadenza.studio.filters import Samples
from cadenza.studio.settings import Bus

SEED = 1979
BLOCK = 1024  # samples over which the colour of the tail is constant
FADE_IN = 0.008  # seconds, so that it does not begin with a click
HIGHS = 6000.0  # hertz whose decay is shortened in full


def reverberate(samples: Samples, rate: int, bus: Bus) -> Samples:
    """What the room answers to ``samples [2, N]``, as long as they are."""
    from scipy.signal import oaconvolve

    response = impulse_response(rate, bus)
    return np.asarray(oaconvolve(samples, response, axes=-1)[:, : samples.shape[1]])


@lru_cache(maxsize=4)
def impulse_response(rate: int, bus: Bus) -> NDArray[np.float64]:
    """``[2, n]`` of energy 1 a channel; left and right are independent, which sounds wide."""
    from scipy.signal import istft, stft

    length = round(bus.room * rate)
    noise = np.random.Generator(np.random.Philox(SEED)).standard_normal((2, length))
    hertz, seconds, spectrum = stft(noise, rate, nperseg=BLOCK)
    highness = np.clip(hertz / HIGHS, 0, 1)
    decay = np.log(1000) / bus.room * (1 + 4 * bus.damping * highness)
    spectrum *= np.exp(-decay[:, None] * seconds)
    tail = istft(spectrum, rate, nperseg=BLOCK)[1][:, :length]
    fade = min(round(FADE_IN * rate), length)
    tail[:, :fade] *= np.linspace(0, 1, fade)
    tail = np.pad(tail, ((0, 0), (round(bus.pre_delay * rate), 0)))
    return np.asarray(tail / np.sqrt(np.sum(np.square(tail), axis=1, keepdims=True)))
