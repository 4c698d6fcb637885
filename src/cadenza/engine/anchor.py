"""What keeps a piece without an end from drifting away: its own beginning, heard again and again.

A voice sees one window. If it began with nothing but the last frames of the voice before it, small
changes would add up over an hour: the level fades, the key wanders. So each further voice first
hears the frames with which the present text began, in the place of the oldest of those that it
would share with the voice before; like a band that still has its opening in the ear.
"""

from __future__ import annotations

import numpy as np

from cadenza.types import IntArray


class Anchor:
    """Keeps the first ``length`` frames under a text."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._wait = 0  # frames until the text has settled
        self._heard: list[IntArray] = []  # each [K]

    @property
    def frames(self) -> IntArray | None:
        """``[K, length]``, None until they are complete."""
        return np.stack(self._heard, axis=1) if len(self._heard) == self._length else None

    def hear(self, frame: IntArray) -> None:
        """Take the next frame ``[K]`` of the piece."""
        if self._wait > 0:
            self._wait -= 1
        elif len(self._heard) < self._length:
            self._heard.append(frame)

    def forget(self, wait: int) -> None:
        """Another text: its music begins, without the old one in the ear, after ``wait`` frames."""
        self._heard.clear()
        self._wait = wait
