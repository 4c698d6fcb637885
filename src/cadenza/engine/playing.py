"""One running request: which voices it has, what they are fed, and which frames are complete.

It counts steps, which are columns of the delay pattern over the whole piece: at step ``s``
codebook ``k`` is at frame ``s - delays[k]``. Only the columns of a window are kept, for no voice is
ever fed an older one, so a piece of any length takes the same memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cadenza import delay
from cadenza.engine.anchor import Anchor
from cadenza.engine.backend import Backend
from cadenza.engine.mix import same
from cadenza.engine.request import Request
from cadenza.engine.steering import Steering
from cadenza.engine.window import Window, first_begin, windows
from cadenza.noise import Noise
from cadenza.types import FloatArray, IntArray


@dataclass(frozen=True)
class _Part:
    """A voice of the back end and the frames that it sees."""

    voice: int
    window: Window
    anchor: IntArray | None  # [K, A] that it hears in the place of its first frames


class Playing:
    def __init__(self, request: Request, backend: Backend, window: int, overlap: int) -> None:
        shape = backend.shape
        self._backend, self._shape = backend, shape
        self._window, self._overlap = window, overlap
        self._delays = np.asarray(shape.delays)
        self._tail: int = max(shape.delays)
        empty = np.empty((shape.codebooks, 0), dtype=np.int64)
        self._beginning = empty if request.beginning is None else request.beginning
        self._step = known = self._beginning.shape[1]
        self._total = None if request.frames is None else known + request.frames
        self._parts: list[_Part] = []
        self._windows, self._next = self._plan(first_begin(known, window, overlap))
        self._undelay = delay.Undelay(shape.delays)
        shifted = delay.apply(self._beginning, shape.delays, shape.special)[:, :known]
        start = np.full(shape.codebooks, shape.special, dtype=np.int64)
        self._columns = deque([start, *shifted.T], maxlen=window + 1)
        self._anchor = Anchor(overlap // 2) if self._total is None else None
        self._steering = Steering(request.conditioning, request.sampling)
        self._unconditional = request.unconditional
        self._noise = Noise(request.sampling.seed, shape.codebooks, shape.vocabulary)

    @property
    def voices(self) -> list[int]:
        return [part.voice for part in self._parts]

    @property
    def done(self) -> bool:
        return self._total is not None and self._step == self._total + self._tail

    def steer(self, request: Request, over: int | None) -> None:
        """Go on as ``request`` says; ``None`` leaves the conditioning on its way."""
        self._unconditional = request.unconditional
        self._steering.draw_by(request.sampling)
        if over is None:
            return
        if self._anchor is not None and not same(self._steering.to, request.conditioning):
            self._anchor.forget(over + self._window)
        self._steering.turn(request.conditioning, over)

    def prepare(self) -> None:
        """Turn where the piece is steered, and open the voice of the window that begins here."""
        before = self._steering.mix
        if self._steering.advance():
            if self._shape.cross_attention or self._steering.mix == before:
                for part in self._parts:
                    self._backend.steer(part.voice, self._steering.mix, self._steering.sampling)
            else:
                self._begin_again()
        while self._next is not None and self._next.begin <= self._step:
            # A voice that begins with frames that are known already begins with those.
            fresh = self._next.begin == self._step
            anchor = self._anchor.frames if self._anchor is not None and fresh else None
            self._parts.append(_Part(self._open(self._next), self._next, anchor))
            self._next = next(self._windows, None)

    def columns(self) -> IntArray:
        """What each voice is fed now, ``[voices, K]``: the last column, where its window has it."""
        frames = self._step - 1 - self._delays
        begins = np.array([[part.window.begin] for part in self._parts])
        ends = np.array([[part.window.end] for part in self._parts])
        last = self._columns[-1]
        fed = np.where((begins <= frames) & (frames < ends), last, self._shape.special)
        for column, part in zip(fed, self._parts, strict=True):
            if part.anchor is not None:
                places = frames - part.window.begin
                heard = (places >= 0) & (places < part.anchor.shape[1])
                column[heard] = part.anchor[heard, places[heard]]
        return fed

    def noise(self) -> FloatArray | None:
        """This step's noise ``[K, V]``, None when greedy. Call it once a step."""
        if self._steering.sampling.temperature == 0:
            self._noise.skip()  # so that a later step gets the same, whatever came before
            return None
        return self._noise.next()

    def take(self, drawn: IntArray) -> IntArray | None:
        """Take what the voices drew, ``[voices, K]``; return a frame ``[K]`` if one is complete.

        A codebook's id comes from the first voice whose window reaches its frame: the older one
        finishes its window, the twin goes on from there.
        """
        frames = self._step - self._delays
        column = self._known(self._step)
        for codebook, frame in enumerate(frames):
            if self._beginning.shape[1] <= frame and (self._total is None or frame < self._total):
                owner = next(n for n, p in enumerate(self._parts) if frame < p.window.end)
                column[codebook] = drawn[owner, codebook]
        self._columns.append(column)
        self._step += 1
        self._close([p for p in self._parts if p.window.end + self._tail <= self._step])
        complete: IntArray | None = self._undelay.push(column)
        if self._anchor is not None and complete is not None:
            self._anchor.hear(complete)
        return complete

    def close(self) -> None:
        """Release every voice."""
        self._close(list(self._parts))

    def _plan(self, begin: int) -> tuple[Iterator[Window], Window | None]:
        """The windows from frame ``begin`` on, and the first of them."""
        planned = windows(begin, self._total, self._window, self._overlap)
        return planned, next(planned)

    def _begin_again(self) -> None:
        """A prefix lies before all that a voice has seen, so another one needs another voice: it
        takes over with the last frames, as many as a window shares with the next, but all that are
        not complete yet.
        """
        self.close()
        seen = max(self._overlap, self._tail + 1)
        self._windows, self._next = self._plan(max(0, self._step - seen))

    def _open(self, window: Window) -> int:
        """A voice that knows all columns of its window but the last, which it is fed next."""
        known = self._step - window.begin
        columns = np.stack(list(self._columns)[-known - 1 :], axis=1)[:, :known]
        frames = np.arange(window.begin - 1, self._step - 1) - self._delays[:, None]
        return self._backend.prefill(
            self._steering.mix,
            self._unconditional,
            self._steering.sampling,
            np.where(frames >= window.begin, columns, self._shape.special),
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
