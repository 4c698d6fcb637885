"""The side of a stream that makes it: a thread that stays a little ahead of its reader."""

from __future__ import annotations

import atexit
from queue import Empty, SimpleQueue
from threading import Thread

import numpy as np

from cadenza.codecstream import StreamingCodec
from cadenza.engine import Emission
from cadenza.streaming.level import SteadyLevel
from cadenza.streaming.performance import Performance
from cadenza.streaming.sounding import Sounding
from cadenza.types import Audio, FloatArray, IntArray

FIRST_SECONDS = 0.1  # of the first chunk; each one after it is twice as long
CHUNK_SECONDS = 0.5  # until they are this long


class Producer:
    """Makes the sound of a performance in chunks, at most ``buffer`` seconds ahead of the reader.

    The reader takes them from ``chunks``, where an exception or ``None`` is the end, and tells of
    each by :meth:`took`. It holds no lock that the thread waits for, and the thread does not know
    the reader: that one may vanish at any time, and :meth:`stop` is safe in a finalizer.

    Args:
        beginning: frames ``[K, T0]`` that the piece goes on from; they are not handed out.
        buffer: seconds. However short it is, one chunk is always made.
        level: holds the level of the chunks.
    """

    def __init__(
        self,
        performance: Performance,
        codec: StreamingCodec,
        beginning: IntArray | None,
        buffer: float,
        level: SteadyLevel | None = None,
    ) -> None:
        self.chunks: SimpleQueue[Audio | BaseException | None] = SimpleQueue()
        self._taken: SimpleQueue[int | None] = SimpleQueue()  # samples; None ends the work
        self._performance, self._codec, self._level = performance, codec, level
        self._ahead = 0  # samples that are made and not taken, in the codec's hands or in chunks
        self._most = round(buffer * codec.rate)
        self._sounding = Sounding(codec, beginning, min(FIRST_SECONDS, buffer / 2))
        self._longest = max(1, round(min(CHUNK_SECONDS, buffer / 2) * codec.frame_rate))
        self._known = 0 if beginning is None else beginning.shape[1] * codec.hop  # samples
        self._chunk: list[FloatArray] = []  # its samples so far
        self._done = False
        self._thread = Thread(target=self._work, name="cadenza-stream", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still makes music."""
        return self._thread.is_alive()

    def took(self, samples: int) -> None:
        """The reader has taken a chunk of so many samples."""
        self._taken.put(samples)

    def turned(self) -> None:
        """Another text is on its way, whose music may be louder or softer."""
        if self._level is not None:
            self._level.learn()

    def stop(self) -> None:
        """End the work at the next step. May be called from anywhere, and again."""
        self._taken.put(None)

    def finish(self) -> None:
        """End the work and wait until all of it is cleared away."""
        self.stop()
        self._thread.join()

    def _work(self) -> None:
        # A thread that is still in torch when Python ends would take the process down with it.
        atexit.register(self.finish)
        ending: BaseException | None = None
        try:
            while not self._done and self._goes_on():
                for emission in self._performance.step():
                    self._sound(emission)
        except BaseException as error:
            ending = error  # is raised to the reader, whatever it is
        finally:
            try:
                self._performance.close()
            finally:
                self.chunks.put(ending)
                atexit.unregister(self.finish)

    def _goes_on(self) -> bool:
        """Wait while enough is made; whether the reader is still there."""
        while True:
            # Without a chunk to take the reader would wait for ever, however short the buffer.
            enough = self._ahead >= self._most and not self.chunks.empty()
            try:
                taken = self._taken.get(block=enough)
            except Empty:
                return True
            if taken is None:
                return False
            self._ahead -= taken

    def _sound(self, emission: Emission) -> None:
        """Add frames to the chunk in the making; hand it out when it is long enough."""
        self._done = emission.done
        self._ahead += emission.ids.shape[1] * self._codec.hop
        for samples in self._sounding.add(emission):
            new = samples[:, self._known :]
            self._known -= samples.shape[1] - new.shape[1]
            if new.shape[1]:
                self._chunk.append(new)
        made = sum(samples.shape[1] for samples in self._chunk)
        if not made or (made < self._sounding.share * self._codec.hop and not self._done):
            return
        samples = np.concatenate(self._chunk, axis=1)
        self._chunk.clear()
        if self._level is not None:
            samples = self._level(samples)
        self.chunks.put(Audio(samples, self._codec.rate))
        self._sounding.share = min(2 * self._sounding.share, self._longest)
