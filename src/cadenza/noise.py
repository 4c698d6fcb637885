"""Noise that follows the seed, and nothing else.

It comes from numpy's Philox generator, whose raw stream is the same on every machine: one request,
one generator, one block of noise a step. So the same seed meets the same noise on every device, in
every back end, alone or beside other requests.
"""

from __future__ import annotations

import numpy as np

from cadenza.types import FloatArray


class Noise:
    """Standard Gumbel noise, a block ``[K, V]`` a step, given by the seed alone."""

    def __init__(self, seed: int, codebooks: int, vocabulary: int) -> None:
        self._bits = np.random.Philox(key=seed)
        self._shape = (codebooks, vocabulary)
        self._words = (codebooks * vocabulary + 1) // 2  # of 64 bits, two numbers each

    def next(self) -> FloatArray:
        count = self._shape[0] * self._shape[1]
        # Raw bits, because numpy promises their stream for ever, but not that of its distributions.
        raw = self._bits.random_raw(self._words).astype("<u8").view("<u4")[:count]
        uniform = ((raw >> 8) + 0.5) * 2.0**-24  # 24 bits, never 0 or 1
        gumbel: FloatArray = -np.log(-np.log(uniform)).astype(np.float32).reshape(self._shape)
        return gumbel

    def skip(self) -> None:
        """Pass over a block that nobody needs."""
        self._bits.random_raw(self._words, output=False)
