"""The level of music without an end, held near that of its first minute.

A model hears only its own last half minute. Over many of them it may fade or swell a little each
time, until nothing is left or everything is loud. What a musician would do is done here: slowly
follow with the fader, and leave alone what the music does by itself from bar to bar.
"""

from __future__ import annotations

import numpy as np

from cadenza.types import FloatArray

LEARN_SECONDS = 60.0  # whose level is kept
FOLLOW_SECONDS = 20.0  # over which the present level is heard
FREE = 2.0  # dB to either side that the level may move by itself
MOST = 12.0  # dB that the fader is moved at most, to either side
SPEED = 0.25  # dB a second
PAUSE = 1e-4  # of the power that is kept (-40 dB): a pause is no fading


class SteadyLevel:
    """Takes a stream's samples as they come and returns them at a steady level.

    Nothing is changed in the first minute, and nothing later for as long as the level stays near.
    """

    def __init__(self, rate: int) -> None:
        self.gain = 0.0  # dB
        self._rate = rate
        self._another = False
        self._learnt = 0.0  # seconds of the minute whose level is kept
        self._present = self._kept = 0.0  # power: now, before the fader; in that minute, after it

    def learn(self) -> None:
        """Leave the fader alone and keep the level of the minute that follows: another music has
        another. May be called from any thread.
        """
        self._another = True

    def __call__(self, samples: FloatArray) -> FloatArray:
        """``samples [C, n]`` at their level."""
        if self._another:
            self._another = False
            self._learnt = self._present = self._kept = 0.0
        seconds = samples.shape[1] / self._rate
        power = float(np.mean(np.square(samples, dtype=np.float64)))
        before = self.gain
        if self._learnt < LEARN_SECONDS:
            self._learnt += seconds
            share = seconds / self._learnt
            self._present += (power - self._present) * share
            self._kept = self._present * 10 ** (self.gain / 10)  # as it is heard
        elif self._kept and power > PAUSE * self._present:
            self._present += (power - self._present) * min(1.0, seconds / FOLLOW_SECONDS)
            self._follow(seconds)
        if before == self.gain == 0.0:
            return samples
        gains = np.linspace(before, self.gain, samples.shape[1], dtype=np.float32)
        levelled: FloatArray = samples * np.power(np.float32(10), gains / np.float32(20))
        return levelled

    def _follow(self, seconds: float) -> None:
        """Move the fader towards where the music would be heard within the free range."""
        away = 10 * np.log10(self._kept / self._present) - self.gain
        excess = np.sign(away) * max(abs(away) - FREE, 0.0)
        most = SPEED * seconds
        self.gain = float(np.clip(self.gain + np.clip(excess, -most, most), -MOST, MOST))
