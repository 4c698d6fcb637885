"""The frames of one piece to sound."""

from __future__ import annotations

import numpy as np

from cadenza.codecstream import StreamingCodec
from cadenza.engine import Emission
from cadenza.types import FloatArray, IntArray


class Sounding:
    """Turns frames into samples as soon as they are final.

    The codec works on ``share`` frames at a time, which may be changed: few are prompt, many are
    efficient.
    """

    def __init__(self, codec: StreamingCodec, beginning: IntArray | None, seconds: float) -> None:
        self._stream = codec.stream()
        self.share = max(1, round(seconds * codec.frame_rate))
        self._waiting: list[IntArray] = [] if beginning is None else [beginning]  # each [K, n]

    def add(self, emission: Emission) -> list[FloatArray]:
        """Take new frames; returns samples ``[C, ·]`` in pieces, which may be none or empty."""
        self._waiting.append(emission.ids)
        if len(self._waiting) < self.share and not emission.done:
            return []
        waiting = np.concatenate(self._waiting, axis=1)
        self._waiting.clear()
        # A beginning may be long, and the codec's memory grows with what it gets at once.
        parts = (waiting[:, t : t + self.share] for t in range(0, waiting.shape[1], self.share))
        made = [self._stream.push(part) for part in parts]
        if emission.done:
            made.append(self._stream.flush())
        return [audio.samples for audio in made]
