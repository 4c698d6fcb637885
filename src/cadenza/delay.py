"""The codebook delay pattern of MusicGen (Copet et al. 2023, arXiv 2306.05284, figure 1).

A frame's codebooks are not made at once: codebook ``k`` is made ``delays[k]`` steps after the
first, so that it can see what the earlier ones of the same frame became. Frames ``a b c d`` of
four codebooks become these columns, ``·`` being the special id::

    a0 b0 c0 d0  ·  ·  ·
     · a1 b1 c1 d1  ·  ·
     ·  · a2 b2 c2 d2  ·
     ·  ·  · a3 b3 c3 d3

Shapes: ``K`` codebooks, ``T`` frames, and ``T + max(delays)`` columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cadenza.errors import OptionError
from cadenza.types import IntArray


def delays_of(codebooks: int, channels: int) -> tuple[int, ...]:
    """The published patterns: mono ``0 1 2 3``, stereo (left and right interleaved) ``0 0 1 1 …``.

    Raises:
        OptionError: codebooks that cannot be shared out among the channels.
    """
    if channels not in (1, 2) or codebooks < 1 or codebooks % channels:
        raise OptionError(f"{codebooks} codebooks cannot be shared out among {channels} channels")
    return tuple(k // channels for k in range(codebooks))


def apply(ids: IntArray, delays: Sequence[int], special: int) -> IntArray:
    """Shift ``ids [K, T]`` into columns ``[K, T + max(delays)]``, ``special`` in the gaps."""
    frames = ids.shape[1]
    columns = np.full((len(delays), frames + max(delays)), special, dtype=np.int64)
    for codebook, delay in enumerate(delays):
        columns[codebook, delay : delay + frames] = ids[codebook]
    return columns


def undo(columns: IntArray, delays: Sequence[int]) -> IntArray:
    """The frames ``[K, T]`` that :func:`apply` turned into ``columns [K, T + max(delays)]``."""
    frames = columns.shape[1] - max(delays)
    return np.stack([columns[k, delay : delay + frames] for k, delay in enumerate(delays)])


class Undelay:
    """:func:`undo`, one column at a time: a frame comes out as soon as its last codebook is in."""

    def __init__(self, delays: Sequence[int]) -> None:
        self._delays = np.asarray(delays)
        self._codebooks = np.arange(len(delays))
        self._ring = np.zeros((len(delays), max(delays) + 1), dtype=np.int64)
        self._pushed = 0

    def push(self, column: IntArray) -> IntArray | None:
        """Take the next ``column [K]``; return the frame ``[K]`` that it completes, if any."""
        length = self._ring.shape[1]
        self._ring[:, self._pushed % length] = column
        self._pushed += 1
        if self._pushed < length:
            return None
        frame: IntArray = self._ring[self._codebooks, (self._pushed + self._delays) % length]
        return frame
