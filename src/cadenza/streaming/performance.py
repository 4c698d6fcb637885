"""One request being made, frame by frame, that can be steered from another thread."""

from __future__ import annotations

from threading import Lock
from typing import Protocol

from cadenza.engine import Emission, Engine, Request
from cadenza.types import Conditioning, Sampling


class Performance(Protocol):
    """Who makes the frames of a stream: an engine of its own, or one that is shared with others."""

    def step(self) -> list[Emission]:
        """Wait for the next frames, which may be none yet. Not called again after the last."""
        ...

    def steer(
        self,
        conditioning: Conditioning | None = None,
        sampling: Sampling | None = None,
        *,
        unconditional: Conditioning | None = None,
        over: int = 0,
    ) -> None:
        """See :meth:`cadenza.engine.Engine.steer`."""
        ...

    def close(self) -> None:
        """Free the rows. Called once, by the thread that steps."""
        ...


class Solo:
    """A performance by an engine that does nothing else.

    Raises:
        OptionError, ModelMismatch: a request that the engine refuses.
    """

    def __init__(self, engine: Engine, request: Request) -> None:
        self._engine = engine
        self._number = engine.add(request)
        self._turn = Lock()  # one thread at a time in the engine

    def step(self) -> list[Emission]:
        with self._turn:
            return self._engine.step()

    def steer(
        self,
        conditioning: Conditioning | None = None,
        sampling: Sampling | None = None,
        *,
        unconditional: Conditioning | None = None,
        over: int = 0,
    ) -> None:
        with self._turn:
            self._engine.steer(
                self._number, conditioning, sampling, unconditional=unconditional, over=over
            )

    def close(self) -> None:
        with self._turn:
            self._engine.cancel(self._number)
