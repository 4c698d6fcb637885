"""A bar that is counted ahead of the music, as a drummer does with two sticks."""

from __future__ import annotations

import numpy as np

from cadenza.types import Audio

PITCHES = (2400.0, 1800.0)  # hertz of the first click of the bar, and of the others
LENGTH, DECAY = 0.06, 90.0  # seconds; how fast a click dies, 1 / seconds
LEVEL = 0.5


def count_in(tempo: float, meter: int, rate: int) -> Audio:
    """A bar of clicks at ``tempo`` beats a minute, mono ``[1, N]``; where it ends, bar 1 begins."""
    samples = np.zeros((1, round(meter * 60 / tempo * rate)), np.float32)
    time = np.arange(round(LENGTH * rate)) / rate
    for beat in range(meter):
        hertz = PITCHES[min(beat, 1)]
        click = LEVEL * np.sin(2 * np.pi * hertz * time) * np.exp(-DECAY * time)
        start = round(beat * 60 / tempo * rate)
        samples[0, start : start + len(time)] = click[: samples.shape[1] - start]
    return Audio(samples, rate)
