"""Music longer than the model was trained for: windows that overlap.

A window is the stretch of frames that one voice sees, from its own position 0. The next window
begins ``overlap`` frames before the end of the one before; from there on a second voice, the twin,
is fed the very frames that the first one makes, until it takes over. By then it holds the keys and
values of the overlap, as if that had been prefilled: what audiocraft's ``extend_stride`` does with
a prefill at each hand-over, without the pause.

::

    first   |0 ................. window|
    twin              |window - overlap .................. 2 window - overlap|
                      |<-- is fed ---->|<-- makes the frames --------------->|
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Frames ``begin`` to ``end`` (exclusive), counted from the first known frame."""

    begin: int
    end: int

    @property
    def frames(self) -> int:
        return self.end - self.begin


def first_begin(known: int, size: int, overlap: int) -> int:
    """Where the first window begins when ``known`` frames are given: with them, if they leave room
    for more, else with the last ``overlap`` of them.
    """
    return 0 if known < size else known - overlap


def windows(begin: int, total: int | None, size: int, overlap: int) -> Iterator[Window]:
    """The windows from frame ``begin`` to frame ``total``; ``None`` has no end."""
    while True:
        window = Window(begin, begin + size if total is None else min(begin + size, total))
        yield window
        if window.end == total:
            return
        begin = window.end - overlap
