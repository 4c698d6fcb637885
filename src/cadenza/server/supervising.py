"""Keeps workers alive beside the server: each is a process, and a dead one is replaced."""

from __future__ import annotations

import logging
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from cadenza.errors import Unavailable
from cadenza.jobs.store import Store

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before another try; doubled each time
HEALTHY_SECONDS = 60.0  # after which the next death counts as the first again
STOP_SECONDS = 10.0


class Supervisor:
    """Runs ``count`` workers, each as ``cadenza worker ARGUMENTS``.

    A worker notices the end of this process, however it comes, by the pipe between them.
    """

    def __init__(self, store: Store, count: int, arguments: Sequence[str]) -> None:
        self._store, self._arguments = store, arguments
        self._stopping = threading.Event()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._threads = [
            threading.Thread(target=self._keep, name=f"worker {n}", daemon=True)
            for n in range(count)
        ]

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the workers give back what they have, and end."""
        self._stopping.set()
        for process in list(self._processes):
            process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        for process in list(self._processes):
            process.kill()
        for thread in self._threads:
            thread.join()

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            begun = time.monotonic()
            id = secrets.token_hex(8)
            code = self._run(id)
            if self._stopping.is_set():
                return
            log.error("a worker ended with code %d", code)
            try:
                self._store.workers.leave(id)
                self._store.queue.reap(id)
            except Unavailable as error:
                log.warning("%s", error)  # its leases run out by themselves
            pause = FIRST_PAUSE if time.monotonic() - begun > HEALTHY_SECONDS else pause
            self._stopping.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _run(self, id: str) -> int:
        command = [sys.executable, "-m", "cadenza", "worker", *self._arguments, "--child", id]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            self._processes.add(process)
            try:
                return process.wait()
            finally:
                self._processes.discard(process)
