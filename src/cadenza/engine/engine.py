"""The engine: requests in, frames out, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from itertools import count, islice

import numpy as np

from cadenza.engine.backend import Backend
from cadenza.engine.mix import same
from cadenza.engine.playing import Playing
from cadenza.engine.request import Emission, Request
from cadenza.engine.scheduler import Scheduler
from cadenza.engine.window import first_begin, windows
from cadenza.errors import ModelMismatch, OptionError
from cadenza.types import Conditioning, FloatArray, IntArray, Sampling

WINDOW = 1500  # frames that MusicGen was trained on: 30 s
OVERLAP = 600  # frames that a window shares with the next: 12 s, as in audiocraft


class Engine:
    """Runs requests together on one back end; they join and leave at any step.

    A request's codes are given by the request alone, not by when it runs or beside what: it has
    its own noise, position, caches and attention. What neighbours can touch is the rounding of
    the matrix products whose rows they share, and only where the device's products round a row
    by the number of rows beside it.

    The first frames of a longer request are those of the shorter one with the same seed, but for
    the last ``max(delays) - 1`` frames of the shorter: its end is fed to it while they are made.

    Args:
        backend: where the voices run.
        max_rows: the widest batch. A request takes one row, two with guidance, and twice that when
            it is longer than a window; those that do not fit wait in order.
        kept_rows: of these, for requests that are heard live alone.
        window: frames that one voice sees at most.
        overlap: frames that a window shares with the next.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        max_rows: int = 32,
        kept_rows: int = 0,
        window: int = WINDOW,
        overlap: int = OVERLAP,
    ) -> None:
        # Of three windows the first must be finished before the third begins: two voices at most.
        widest = (window - max(backend.shape.delays)) // 2
        if not 1 <= overlap <= widest:
            raise OptionError(
                f"the overlap of windows of {window} frames must be from 1 to {widest} frames, "
                f"not {overlap}"
            )
        self._backend, self._window, self._overlap = backend, window, overlap
        self._scheduler = Scheduler(max_rows, kept_rows)
        self._requests: dict[int, Request] = {}
        self._playing: dict[int, Playing] = {}
        self._numbers = count(1)
        self.steps = 0  # made so far, of all requests together

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return self._scheduler.idle

    def add(self, request: Request, live: bool = False) -> int:
        """Queue a request and return its number; ``live`` is heard while it is made.

        Raises:
            OptionError: an option out of range for this model, or more rows than there are.
            ModelMismatch: conditioning or a beginning that another model made.
        """
        self._check(request)
        if request.sampling.guidance == 1:
            request = replace(request, unconditional=None)
        number = next(self._numbers)
        self._scheduler.add(number, self._rows(request), live)
        self._requests[number] = request
        return number

    def cancel(self, number: int) -> None:
        """Stop a request; its neighbours go on. One that is finished or unknown is left alone."""
        if number in self._requests:
            self._drop(number)

    def steer(
        self,
        number: int,
        conditioning: Conditioning | None = None,
        sampling: Sampling | None = None,
        *,
        unconditional: Conditioning | None = None,
        over: int = 0,
    ) -> None:
        """Let a request go on by other conditioning or sampling, from its next step on.

        What was made before is not touched. What is not given stays as it is: a change of sampling
        does not stop one of conditioning that is under way. Sampling changes at once, conditioning
        little by little over ``over`` frames, from the mix that the request listens to now. The
        noise goes on: the seed of ``sampling`` is not read. A request that waits for its rows
        begins with the new settings, and one that is finished or unknown is left alone.

        Models that read conditioning as a prefix turn at once, by a new voice that is prefilled
        with the last frames, at most the overlap of windows. It alone reads ``unconditional``.

        Raises:
            OptionError: an option out of range for this model; guidance for a request that began
                without; ``over`` for a prefix; ``unconditional`` for cross-attention.
            ModelMismatch: conditioning that another model made.
        """
        if number not in self._requests:
            return
        request = self._requests[number]
        steered = replace(
            request,
            conditioning=conditioning or request.conditioning,
            unconditional=unconditional or request.unconditional,
            sampling=replace(sampling or request.sampling, seed=request.sampling.seed),
        )
        self._check_turn(request, steered, over)
        self._check(steered)
        self._requests[number] = steered
        if number in self._playing:
            way = None if conditioning is None else over
            self._playing[number].steer(steered, way)

    def step(self, resting: Container[int] = ()) -> list[Emission]:
        """One pass of the decoder for all that run; returns the frames that it completed.

        Requests among ``resting`` keep their rows and sit this step out.
        """
        for number in self._scheduler.admit():
            request = self._requests[number]
            self._playing[number] = Playing(request, self._backend, self._window, self._overlap)
        running = [(n, self._playing[n]) for n in self._scheduler.running if n not in resting]
        if not running:
            return []
        for _, playing in running:
            playing.prepare()
        counts = [len(playing.voices) for _, playing in running]
        drawn = self._backend.decode_one_step(
            [voice for _, playing in running for voice in playing.voices],
            np.concatenate([playing.columns() for _, playing in running]),
            self._noise([playing for _, playing in running], counts),
        )
        self.steps += len(running)
        emissions = []
        parts = np.split(drawn, np.cumsum(counts)[:-1])
        for (number, playing), ids in zip(running, parts, strict=True):
            frame = playing.take(ids)
            if frame is not None:
                emissions.append(Emission(number, frame[:, None], playing.done))
            if playing.done:
                self._drop(number)
        return emissions

    def run(
        self,
        requests: Sequence[Request],
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Emission]:
        """Make all of ``requests``, frame by frame; ``Emission.id`` is the place in ``requests``.

        ``progress(done, total)`` is called after every step with the steps of all requests. What
        it raises, and closing the iterator, cancels what is left.

        Raises:
            OptionError, ModelMismatch: as in :meth:`add`, before anything runs.
        """
        if not self.idle:
            raise RuntimeError("run() steps the engine by itself, but other requests are in it")
        for request in requests:
            self._check(request)
        lengths = [request.frames for request in requests if request.frames is not None]
        if len(lengths) < len(requests):
            raise OptionError("run() makes pieces that end: give every request its frames")
        tail = max(self._backend.shape.delays)
        numbers = [self.add(request) for request in requests]
        places = {number: place for place, number in enumerate(numbers)}
        total, before = sum(length + tail for length in lengths), self.steps
        try:
            while not self.idle:
                emissions = self.step()
                if progress is not None:
                    progress(self.steps - before, total)
                for e in emissions:
                    yield Emission(places[e.id], e.ids, e.done)
        finally:
            for number in numbers:
                self.cancel(number)

    def _noise(self, running: Sequence[Playing], voices: Sequence[int]) -> FloatArray | None:
        """The noise of every voice, ``[N, K, V]``; both voices of a request get the same."""
        drawn = [playing.noise() for playing in running]
        if all(noise is None for noise in drawn):
            return None
        shape = self._backend.shape
        nothing = np.zeros((shape.codebooks, shape.vocabulary), dtype=np.float32)
        return np.repeat([nothing if n is None else n for n in drawn], voices, axis=0)

    def _rows(self, request: Request) -> int:
        known = 0 if request.beginning is None else request.beginning.shape[1]
        begin = first_begin(known, self._window, self._overlap)
        total = None if request.frames is None else known + request.frames
        stretches = windows(begin, total, self._window, self._overlap)
        voices = len(list(islice(stretches, 2)))
        return voices * (1 if request.unconditional is None else 2)

    def _check(self, request: Request) -> None:
        shape, sampling = self._backend.shape, request.sampling
        if request.frames is not None and request.frames < 1:
            raise OptionError(f"a request must be for at least 1 frame, not {request.frames}")
        if sampling.top_k > shape.vocabulary:
            raise OptionError(
                f"top-k is {sampling.top_k}, but this model's vocabulary has {shape.vocabulary} "
                f"tokens: use 1 to {shape.vocabulary}"
            )
        self._check_conditioning(request.conditioning)
        if sampling.guidance > 1:
            if request.unconditional is None:
                raise OptionError(
                    f"guidance {sampling.guidance} needs unconditional conditioning; "
                    "give it, or set guidance to 1"
                )
            self._check_conditioning(request.unconditional)
        if request.beginning is not None:
            self._check_beginning(request.beginning)

    def _check_turn(self, request: Request, steered: Request, over: int) -> None:
        if over < 0:
            raise OptionError(f"a change cannot take {over} frames: give 0 or more")
        if steered.sampling.guidance > 1 and request.unconditional is None:
            raise OptionError(
                f"guidance {steered.sampling.guidance:g} needs a second row, and this piece began "
                "with guidance 1, in a single one: begin it with more"
            )
        if self._backend.shape.cross_attention:
            if steered.unconditional is not request.unconditional:
                raise OptionError("what guidance turns away from stays while a piece plays")
        elif over > 0 and not same(steered.conditioning, request.conditioning):
            raise OptionError(
                f"this model reads the prompt ahead of the music and can turn at once only, not "
                f"over {over} frames: leave the time out"
            )

    def _check_conditioning(self, conditioning: Conditioning) -> None:
        shape = self._backend.shape
        name, states, other = "cross", conditioning.cross, conditioning.prefix
        if not shape.cross_attention:
            name, states, other = "prefix", conditioning.prefix, conditioning.cross
        if len(states) == 0 or len(other) > 0:
            raise ModelMismatch(
                f"this model reads conditioning as {name} states alone; it got "
                f"{len(conditioning.cross)} cross and {len(conditioning.prefix)} prefix states"
            )
        if states.shape[1] != shape.width:
            raise ModelMismatch(
                f"the conditioning has {states.shape[1]} features, the decoder {shape.width}"
            )

    def _check_beginning(self, beginning: IntArray) -> None:
        shape = self._backend.shape
        if beginning.ndim != 2 or beginning.shape[0] != shape.codebooks:
            raise ModelMismatch(
                f"the beginning is {list(beginning.shape)}, but this model has "
                f"{shape.codebooks} codebooks: it must be [{shape.codebooks}, frames]"
            )
        if beginning.size and not 0 <= beginning.min() <= beginning.max() < shape.vocabulary:
            raise ModelMismatch(
                f"the beginning holds ids from {beginning.min()} to {beginning.max()}, "
                f"this model's are 0 to {shape.vocabulary - 1}"
            )

    def _drop(self, number: int) -> None:
        self._scheduler.remove(number)
        del self._requests[number]
        playing = self._playing.pop(number, None)
        if playing is not None:
            playing.close()
