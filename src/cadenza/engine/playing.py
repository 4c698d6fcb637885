"""One running request: which voices it has, what they are fed, and which frames are complete.

It counts steps, which are columns of the delay pattern over the whole piece: at step ``s``
codebook ``k`` is at frame ``s - delays[k]``. Only the last column is kept, for it is all that
any voice is fed next, so a piece of any length takes the same memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cadenza import delay
from cadenza.engine.backend import Backend
from cadenza.engine.mix import alone
from cadenza.engine.request import Request
from cadenza.engine.window import Window, windows
from cadenza.sampling import Noise
from cadenza.types import FloatArray, IntArray


@dataclass(frozen=True)
class _Part:
    """A voice of the back end and the frames that it sees."""

    voice: int
    window: Window


class Playing:
    def __init__(self, request: Request, backend: Backend, window: int, overlap: int) -> None:
        shape = backend.shape
        self._request, self._backend, self._shape = request, backend, shape
        self._delays = np.asarray(shape.delays)
        self._tail: int = max(shape.delays)
        empty = np.empty((shape.codebooks, 0), dtype=np.int64)
        self._beginning = empty if request.beginning is None else request.beginning
        self._step: int = self._beginning.shape[1]
        self._total: int = self._step + request.frames
        self._windows: Iterator[Window] = windows(self._step, self._total, window, overlap)
        self._next: Window | None = next(self._windows)
        self._parts: list[_Part] = []
        self._undelay = delay.Undelay(shape.delays)
        self._last = self._known(self._step - 1)
        greedy = request.sampling.temperature == 0
        self._noise = (
            None if greedy else Noise(request.sampling.seed, shape.codebooks, shape.vocabulary)
        )

    @property
    def voices(self) -> list[int]:
        return [part.voice for part in self._parts]

    @property
    def done(self) -> bool:
        return self._step == self._total + self._tail

    def prepare(self) -> None:
        """Open the voice of the window that begins here, if one does."""
        while self._next is not None and self._next.begin <= self._step:
            self._parts.append(_Part(self._open(self._next), self._next))
            self._next = next(self._windows, None)

    def columns(self) -> IntArray:
        """What each voice is fed now, ``[voices, K]``: the last column, where its window has it."""
        frames = self._step - 1 - self._delays
        begins = np.array([[part.window.begin] for part in self._parts])
        ends = np.array([[part.window.end] for part in self._parts])
        return np.where((begins <= frames) & (frames < ends), self._last, self._shape.special)

    def noise(self) -> FloatArray | None:
        """This step's noise ``[K, V]``, None when greedy. Call it once a step."""
        return None if self._noise is None else self._noise.next()

    def take(self, drawn: IntArray) -> IntArray | None:
        """Take what the voices drew, ``[voices, K]``; return a frame ``[K]`` if one is complete.

        A codebook's id comes from the first voice whose window reaches its frame: the older one
        finishes its window, the twin goes on from there.
        """
        frames = self._step - self._delays
        column = self._known(self._step)
        for codebook, frame in enumerate(frames):
            if self._beginning.shape[1] <= frame < self._total:
                owner = next(n for n, p in enumerate(self._parts) if frame < p.window.end)
                column[codebook] = drawn[owner, codebook]
        self._last = column
        self._step += 1
        self._close([p for p in self._parts if p.window.end + self._tail <= self._step])
        return self._undelay.push(column)

    def close(self) -> None:
        """Release every voice."""
        self._close(list(self._parts))

    def _open(self, window: Window) -> int:
        known = self._beginning[:, window.begin :]
        start = np.full((self._shape.codebooks, 1), self._shape.special, dtype=np.int64)
        shifted = delay.apply(known, self._shape.delays, self._shape.special)
        columns = np.concatenate([start, shifted], axis=1)[:, : self._step - window.begin]
        sampling = self._request.sampling
        return self._backend.prefill(
            alone(self._request.conditioning),
            self._request.unconditional if sampling.guidance > 1 else None,
            sampling,
            columns,
            capacity=window.frames + self._tail,
        )

    def _close(self, parts: list[_Part]) -> None:
        for part in parts:
            self._backend.release(part.voice)
            self._parts.remove(part)

    def _known(self, step: int) -> IntArray:
        """The column of ``step`` as far as the beginning has it, special ids elsewhere."""
        column = np.full(self._shape.codebooks, self._shape.special, dtype=np.int64)
        frames = step - self._delays
        has = (frames >= 0) & (frames < self._beginning.shape[1])
        column[has] = self._beginning[np.flatnonzero(has), frames[has]]
        return column
