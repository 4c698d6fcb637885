"""What every training command needs to be killed at any moment and go on later."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch


def save(state: dict[str, Any], path: Path) -> None:
    """Write a training state under a temporary name, then rename: a kill leaves the old one."""
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The state that :func:`save` wrote, or None where there is none yet."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


class Clock:
    """Training time, summed over restarts.

    Schedules follow the share of a time budget that is used up, not a number of steps, so one
    command fits a given window on any machine.
    """

    def __init__(self, minutes: float, spent: float = 0.0) -> None:
        self.budget = minutes * 60
        self._before = spent
        self._start = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds of training so far, those before the last restart included."""
        return self._before + time.monotonic() - self._start

    @property
    def share(self) -> float:
        """How much of the budget is used up, from 0 to 1."""
        return min(1.0, self.spent / self.budget)


class Every:
    """True once per interval of seconds: for checkpoints and progress lines."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last = time.monotonic()

    def __call__(self) -> bool:
        if time.monotonic() - self._last < self.seconds:
            return False
        self._last = time.monotonic()
        return True


class StopSignal:
    """Set by SIGTERM or Ctrl-C, so that the loop can store its state and leave."""

    def __init__(self) -> None:
        self.given = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._take)

    def _take(self, number: int, frame: object) -> None:
        self.given = True


class Run:
    """A training in a folder, from where it was left to the end of its time."""

    def __init__(
        self, folder: Path, minutes: float, keep_every: float, device: torch.device
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._checkpoint, self._keep_every = folder / "training.pt", keep_every
        self.before = load(self._checkpoint, device)  # the state that it was left in
        self.clock = Clock(minutes, self.before["spent"] if self.before else 0.0)
        self.stopped = False  # before its time
        if self.before:
            went = f"{self.clock.spent / 60:.1f} minutes in"
            print(f"going on from step {self.before['step']}, {went}", flush=True)

    def shares(self, state: Callable[[], dict[str, Any]]) -> Iterator[float]:
        """Of the time, how much is used up, before each step; the ``state`` after some of them, and
        after the last one, is stored."""
        keep, stop = Every(self._keep_every), StopSignal()
        while (share := self.clock.share) < 1 and not stop.given:
            yield share
            if keep():
                self._store(state())
        self._store(state())
        if stop.given:
            self.stopped = True
            print(f"stopped at step {state()['step']}; run it again to go on")

    def _store(self, state: dict[str, Any]) -> None:
        save({**state, "spent": self.clock.spent}, self._checkpoint)
