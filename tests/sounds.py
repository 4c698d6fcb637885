"""Known signals."""

import numpy as np

from cadenza.types import Audio


def sine(
    seconds: float = 1.0,
    rate: int = 32_000,
    hertz: float = 440.0,
    peak: float = 0.5,
    channels: int = 1,
) -> Audio:
    """A steady tone; each further channel sounds an octave above the one before."""
    time = np.arange(round(seconds * rate)) / rate
    tones = [peak * np.sin(2 * np.pi * hertz * 2**channel * time) for channel in range(channels)]
    return Audio(np.stack(tones).astype(np.float32), rate)


def silence(seconds: float = 1.0, rate: int = 32_000, channels: int = 1) -> Audio:
    return Audio(np.zeros((channels, round(seconds * rate)), np.float32), rate)


def pitch(audio: Audio, channel: int = 0) -> float:
    """The strongest frequency of a channel, in hertz."""
    samples = audio.samples[channel]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * audio.rate / len(samples))
