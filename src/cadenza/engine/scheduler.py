"""Who runs: first come, first served, as many as the rows allow. No tensors, no model."""

from __future__ import annotations

from collections import deque

from cadenza.errors import OptionError


class Scheduler:
    """Requests wait in order and run as soon as their rows are free; none overtakes another."""

    def __init__(self, max_rows: int) -> None:
        if max_rows < 1:
            raise OptionError(f"the engine needs at least 1 row, not {max_rows}")
        self.max_rows = max_rows
        self._waiting: deque[int] = deque()
        self._running: list[int] = []
        self._rows: dict[int, int] = {}

    @property
    def idle(self) -> bool:
        return not self._rows

    @property
    def running(self) -> list[int]:
        """In the order in which they were admitted."""
        return list(self._running)

    def add(self, request: int, rows: int) -> None:
        """Let ``request`` wait for ``rows`` rows.

        Raises:
            OptionError: it needs more rows than there are.
        """
        if rows > self.max_rows:
            raise OptionError(
                f"the request needs {rows} rows of the batch and the engine has {self.max_rows}: "
                "allow more, or ask for less than a window, or without guidance"
            )
        self._waiting.append(request)
        self._rows[request] = rows

    def admit(self) -> list[int]:
        """Start those that are next and fit; return them."""
        admitted = []
        free = self.max_rows - sum(self._rows[request] for request in self._running)
        while self._waiting and self._rows[self._waiting[0]] <= free:
            request = self._waiting.popleft()
            free -= self._rows[request]
            admitted.append(request)
        self._running += admitted
        return admitted

    def remove(self, request: int) -> None:
        """Forget a request that is finished or cancelled, waiting or running."""
        del self._rows[request]
        (self._running if request in self._running else self._waiting).remove(request)
