"""The side of a stream that is heard: chunks of sound to read, and a wheel to steer."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from numbers import Real
from threading import Lock
from typing import Any, Self

from cadenza.engine import Request
from cadenza.errors import OptionError
from cadenza.prompting import with_tempo
from cadenza.request import MAX_STREAM, GenerateRequest
from cadenza.streaming.performance import Performance
from cadenza.streaming.producer import Producer
from cadenza.types import Audio

CROSSFADE_SECONDS = 4.0  # from one prompt to the next, where nothing else is said


class Stream(Iterator[Audio]):
    """Music that is made while it is heard: an iterator of :class:`Audio` chunks ``[C, n]``.

    The work is done by a thread of its own, a little ahead of the reader. It ends when the piece
    has an end, with :meth:`close` or the end of a ``with`` block, or when nobody holds the stream
    any more. :meth:`steer` and :meth:`close` may be called from other threads.
    """

    def __init__(
        self,
        performance: Performance,
        producer: Producer,
        asked: GenerateRequest,
        prepare: Callable[[GenerateRequest], Request],
        frame_rate: float,
    ) -> None:
        self._performance, self._producer = performance, producer
        self._prepare, self._frame_rate = prepare, frame_rate
        # What went in is in by now, and a melody is not read again at every turn.
        self._playing = replace(asked, melody=asked.melody_sound, beginning=None)
        self._wheel = Lock()
        self._ended = False
        weakref.finalize(self, producer.stop).atexit = False

    @property
    def playing(self) -> GenerateRequest:
        """What it is making now, or on its way to."""
        return self._playing

    def __next__(self) -> Audio:
        """The next chunk; waits for it.

        Raises:
            StopIteration: the piece is over, or the stream closed.
            Exception: whatever went wrong where the music is made.
        """
        if self._ended:
            raise StopIteration
        chunk = self._producer.chunks.get()
        if isinstance(chunk, Audio):
            self._producer.took(chunk.samples.shape[1])
            return chunk
        self._ended = True
        self._producer.chunks.put(None)  # for a second reader that waits
        raise StopIteration if chunk is None else chunk

    def steer(
        self,
        prompt: str | None = None,
        over: float | None = None,
        *,
        tempo: int | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        """Change what is played while it plays; what is not given stays as it is.

        It is heard as soon as what is made already has been heard: after the seconds of the buffer
        at most. When something is refused, the music goes on as before.

        Args:
            prompt: another text. The music goes from the old one to it little by little.
            over: seconds that this takes, 4 unless given. Melody models turn at once.
            tempo: beats a minute, said in the prompt: it replaces one that is there.
            guidance, temperature, top_k, top_p: as in :class:`GenerateRequest`, and at once.

        Raises:
            PromptError: a text that cannot be a prompt.
            OptionError: an option out of range, guidance for a stream that began with 1, ``over``
                for a melody model, or a stream that is over.
        """
        changes: dict[str, Any] = {
            "prompt": prompt,
            "guidance": guidance,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
        }
        with self._wheel:
            if self._ended or not self._producer.alive:
                raise OptionError("this stream is over: start another one")
            given = {name: value for name, value in changes.items() if value is not None}
            asked = replace(self._playing, **given)
            if tempo is not None:
                if isinstance(tempo, bool) or not isinstance(tempo, int):
                    raise OptionError(
                        f"tempo must be a whole number of beats a minute, not {tempo!r:.80}"
                    )
                if asked.prompt is None:
                    raise OptionError("a tempo is said in the prompt: give one, too")
                asked = replace(asked, prompt=with_tempo(asked.prompt, tempo))
            wanted = self._prepare(asked)
            prefix = len(wanted.conditioning.prefix) > 0
            frames = self._frames(over, prefix)
            if asked.text == self._playing.text:
                self._performance.steer(sampling=wanted.sampling)
            else:
                self._performance.steer(
                    wanted.conditioning,
                    wanted.sampling,
                    unconditional=wanted.unconditional if prefix else None,
                    over=frames,
                )
                self._producer.turned()
            self._playing = asked

    def close(self) -> None:
        """Stop the work, and wait until it has stopped: at most for one step."""
        self._ended = True
        self._producer.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _frames(self, over: float | None, prefix: bool) -> int:
        if over is None:
            over = 0.0 if prefix else CROSSFADE_SECONDS
        if isinstance(over, bool) or not isinstance(over, Real):
            raise OptionError(f"over must be a number of seconds, not {over!r:.80}")
        if not 0 <= over <= MAX_STREAM:
            raise OptionError(
                f"a change takes 0 seconds or more, not {over}, and {MAX_STREAM:g} at most"
            )
        return round(over * self._frame_rate)
