"""One model for many threads: what they ask for shares one batch that never stops for anybody.

A thread of its own steps the engine. Whoever asks takes a seat: its requests join the running
batch at the next step, its frames come to it, and when it leaves, its rows are free at the next
step. So a job begins while others are in their middle (continuous batching), and streams and jobs
share the same passes of the decoder. A seat whose reader is behind sits out, and holds up nobody.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from cadenza.engine import Emission, Engine, Request
from cadenza.errors import Unavailable
from cadenza.model import Model
from cadenza.streaming import Performance
from cadenza.types import Conditioning, Progress, Sampling

SHARE = 5  # frames of a request that are worth waking its reader for: 0.1 s
AHEAD = 10  # frames of a request that wait for its reader at most

Order = Callable[[], None]


class SharedModel(Model):
    """A :class:`Model` whose requests, from any number of threads, run in one batch.

    Args:
        model: whose parts are used; it must not be used by itself any more.
        max_rows: the widest batch; what does not fit waits in order.
        stream_rows: of these, for streams alone, which so begin at once.
    """

    def __init__(self, model: Model, max_rows: int, stream_rows: int = 0) -> None:
        vars(self).update(vars(model))
        self._hall = _Hall(Engine(self._backend, max_rows=max_rows, kept_rows=stream_rows))

    def close(self) -> None:
        """Stop; whoever still waits gets ``Unavailable``."""
        self._hall.close()

    def _run(
        self, requests: Sequence[Request], progress: Progress | None = None
    ) -> closing[Generator[Emission, None, None]]:
        return closing(_emissions(_Seat(self._hall, requests, progress)))

    def _perform(self, request: Request) -> Performance:
        return _Seat(self._hall, [request], None, live=True)


def _emissions(seat: _Seat) -> Generator[Emission, None, None]:
    try:
        while not seat.over:
            yield from seat.step()
    finally:
        seat.close()


class _Seat:
    """What one thread has asked for, and what has been made of it and not been taken yet.

    Raises:
        Unavailable: the model is closed.
    """

    def __init__(
        self,
        hall: _Hall,
        requests: Sequence[Request],
        progress: Progress | None,
        live: bool = False,
    ) -> None:
        self.requests, self.live = requests, live
        self.news = threading.Condition(hall.lock)
        self.places: dict[int, int] = {}  # the engine's numbers to places in ``requests``
        self.error: Exception | None = None
        self._hall, self._progress = hall, progress
        self._waiting: list[Emission] = []
        self._made = 0  # frames
        self._total = sum(request.frames or 0 for request in requests)
        self._left = len(requests)  # that are not finished
        hall.order(lambda: hall.sit(self))

    @property
    def over(self) -> bool:
        """Everything was made and taken."""
        return self._left == 0 and not self._waiting

    @property
    def full(self) -> bool:
        """Its reader is behind."""
        return len(self._waiting) >= AHEAD * len(self.requests)

    def step(self) -> list[Emission]:
        """Wait for the next frames; ``Emission.id`` is the place of their request.

        Raises:
            Exception: whatever went wrong on the engine's thread, or ended this seat there.
        """
        with self._hall.lock:
            self.news.wait_for(self._has_news)
            if self.error is not None:
                raise self.error
            taken, self._waiting = self._waiting, []
            self._hall.work.notify()  # a seat that was full has room again
            return taken

    def steer(
        self,
        conditioning: Conditioning | None = None,
        sampling: Sampling | None = None,
        *,
        unconditional: Conditioning | None = None,
        over: int = 0,
    ) -> None:
        """Steer the only request, see :meth:`cadenza.engine.Engine.steer`."""

        def steer() -> None:
            for number in self.places:
                self._hall.engine.steer(
                    number, conditioning, sampling, unconditional=unconditional, over=over
                )

        self._hall.order_and_wait(steer)

    def close(self) -> None:
        """Free the rows at the next step."""
        self._hall.order(lambda: self._hall.leave(self))

    # ── On the engine's thread ──────────────────────────────────────────────────────────────────

    def put(self, emission: Emission) -> None:
        self._waiting.append(Emission(self.places[emission.id], emission.ids, emission.done))
        self._made += 1
        self._left -= emission.done
        if self._has_news():
            self.news.notify()

    def report(self) -> None:
        if self._progress is not None:
            self._progress(self._made, self._total)

    def fail(self, error: Exception) -> None:
        self.error = error
        self.news.notify()

    def _has_news(self) -> bool:
        enough = SHARE * len(self.requests)
        return self.error is not None or self._left == 0 or len(self._waiting) >= enough


class _Hall:
    """The engine, its thread, and all who sit there."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.lock = threading.Lock()
        self.work = threading.Condition(self.lock)
        self._orders: deque[Order] = deque()  # to be carried out between two steps
        self._seats: dict[int, _Seat] = {}  # by the engine's numbers
        self._closing = self._closed = False
        self._thread = threading.Thread(target=self._play, name="engine", daemon=True)
        self._thread.start()

    def order(self, order: Order) -> None:
        """Have something done between two steps; nothing is, after the end."""
        with self.lock:
            if not self._closed:
                self._orders.append(order)
                self.work.notify()
                return
        order()  # nobody else is there any more

    def order_and_wait(self, order: Order) -> None:
        """The same, and wait for it; what it raises is raised here."""
        done = threading.Event()
        raised: list[Exception] = []

        def carry_out() -> None:
            try:
                order()
            except Exception as error:
                raised.append(error)
            done.set()

        self.order(carry_out)
        done.wait()
        if raised:
            raise raised[0]

    def close(self) -> None:
        with self.lock:
            self._closing = True
            self.work.notify()
        self._thread.join()

    # ── On the engine's thread ──────────────────────────────────────────────────────────────────

    def sit(self, seat: _Seat) -> None:
        if self._closed:
            return self._end(seat, _stopping())
        try:
            for place, request in enumerate(seat.requests):
                number = self.engine.add(request, seat.live)
                seat.places[number] = place
                self._seats[number] = seat
        except Exception as error:
            self._end(seat, error)

    def leave(self, seat: _Seat) -> None:
        for number in seat.places:
            self.engine.cancel(number)
            self._seats.pop(number, None)

    def _play(self) -> None:
        while not self._closed:
            with self.lock:
                self.work.wait_for(lambda: self._closing or self._orders or self._waited_for())
                orders = list(self._orders)
                self._orders.clear()
                self._closed = self._closing
                resting = {n for n, seat in self._seats.items() if seat.full}
            for order in orders:
                order()
            if self._closed:
                self._end_all(_stopping())
            else:
                self._step(resting)

    def _waited_for(self) -> bool:
        return any(not seat.full for seat in self._seats.values())

    def _step(self, resting: set[int]) -> None:
        seats = {*self._seats.values()}
        try:
            emissions = self.engine.step(resting)
        except Exception as error:
            return self._end_all(error)
        with self.lock:
            for emission in emissions:
                self._seats[emission.id].put(emission)
                if emission.done:
                    del self._seats[emission.id]
        for seat in seats:
            try:
                seat.report()
            except Exception as error:  # Cancelled, as a rule: it ends this seat and no other
                self._end(seat, error)

    def _end(self, seat: _Seat, error: Exception) -> None:
        self.leave(seat)
        with self.lock:
            seat.fail(error)

    def _end_all(self, error: Exception) -> None:
        for seat in {*self._seats.values()}:
            self._end(seat, error)


def _stopping() -> Unavailable:
    return Unavailable("the service is stopping: try again in a while")
