"""Who runs: first come, first served, as many as the rows allow. No tensors, no model."""

from __future__ import annotations

from collections import deque

from cadenza.errors import OptionError


class Scheduler:
    """Requests wait in order and run as soon as their rows are free; none overtakes another.

    What is heard live waits in a line of its own, and for it alone ``kept_rows`` of the rows are
    kept: it need not wait until something long has ended.
    """

    def __init__(self, max_rows: int, kept_rows: int = 0) -> None:
        if max_rows - kept_rows < 1:
            raise OptionError(f"the engine needs at least 1 row, not {max_rows - kept_rows}")
        self._most = {True: max_rows, False: max_rows - kept_rows}  # by whether it is heard live
        self._waiting: dict[bool, deque[int]] = {True: deque(), False: deque()}
        self._running: list[int] = []
        self._rows: dict[int, int] = {}
        self._live: set[int] = set()

    @property
    def idle(self) -> bool:
        return not self._rows

    @property
    def running(self) -> list[int]:
        """In the order in which they were admitted."""
        return list(self._running)

    def add(self, request: int, rows: int, live: bool = False) -> None:
        """Let ``request`` wait for ``rows`` rows.

        Raises:
            OptionError: it needs more rows than there are.
        """
        most = self._most[live]
        if rows > most:
            raise OptionError(
                f"the request needs {rows} rows of the batch and the engine has {most}: "
                "allow more, or ask for less than a window, or without guidance"
            )
        self._waiting[live].append(request)
        self._rows[request] = rows
        if live:
            self._live.add(request)

    def admit(self) -> list[int]:
        """Start those that are next and fit; return them."""
        before = len(self._running)
        for live, line in self._waiting.items():
            while line and self._rows[line[0]] <= self._free(live):
                self._running.append(line.popleft())
        return self._running[before:]

    def remove(self, request: int) -> None:
        """Forget a request that is finished or cancelled, waiting or running."""
        line = self._waiting[request in self._live]
        (self._running if request in self._running else line).remove(request)
        del self._rows[request]
        self._live.discard(request)

    def _free(self, live: bool) -> int:
        taken = {True: 0, False: 0}
        for request in self._running:
            taken[request in self._live] += self._rows[request]
        free = self._most[True] - sum(taken.values())
        return free if live else min(free, self._most[False] - taken[False])
