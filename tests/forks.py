"""Processes to be killed or to meet a full disk, forked off this one.

So they need not import torch and transformers again, which takes longer than what they do. Torch
computes on one thread here: it has none that a fork would lose.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

PATIENCE = 120.0  # seconds


@dataclass(frozen=True)
class Ended:
    code: int  # of the exit; minus the signal that ended it
    output: str
    errors: str


class Fork:
    """A process that does ``work``."""

    def __init__(self, work: Callable[[], object]) -> None:
        # Closed by `end`.
        self._said = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        self.process = multiprocessing.get_context("fork").Process(target=self._run, args=(work,))
        self.process.start()

    def _run(self, work: Callable[[], object]) -> None:
        sys.stdout, sys.stderr = self._said
        work()

    def end(self) -> Ended:
        self.process.join(PATIENCE)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            raise TimeoutError(f"still at work after {PATIENCE:.0f} s")
        texts = []
        for said in self._said:
            with said:
                said.seek(0)
                texts.append(said.read())
        return Ended(code, *texts)


def program(module: str, *arguments: str) -> Fork:
    """``python -m module arguments`` in a process of its own."""

    def work() -> None:
        sys.argv = [module, *arguments]
        import_module(f"{module}.__main__").main()

    return Fork(work)


def kill_once(running: Fork, state: Path, number: int) -> None:
    """Send a training the signal as soon as it has stored its state."""
    deadline = time.monotonic() + PATIENCE
    while not state.exists() and running.process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running.process.pid is not None
    if running.process.is_alive():
        os.kill(running.process.pid, number)
    ended = running.end()
    assert state.exists(), ended.output + ended.errors
