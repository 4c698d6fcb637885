"""One back end for several engines, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from cadenza.engine.backend import Backend, Shape
from cadenza.engine.mix import Mix
from cadenza.types import Conditioning, FloatArray, IntArray, Sampling


class SharedBackend:
    """Lets one call at a time through. The voices of one engine do not know those of another."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = Lock()

    @property
    def shape(self) -> Shape:
        return self._backend.shape

    def prefill(
        self,
        mix: Mix,
        unconditional: Conditioning | None,
        sampling: Sampling,
        columns: IntArray,
        capacity: int,
    ) -> int:
        with self._lock:
            return self._backend.prefill(mix, unconditional, sampling, columns, capacity)

    def steer(self, voice: int, mix: Mix, sampling: Sampling) -> None:
        with self._lock:
            self._backend.steer(voice, mix, sampling)

    def decode_one_step(
        self, voices: Sequence[int], columns: IntArray, noise: FloatArray | None
    ) -> IntArray:
        with self._lock:
            return self._backend.decode_one_step(voices, columns, noise)

    def release(self, voice: int) -> None:
        with self._lock:
            self._backend.release(voice)
