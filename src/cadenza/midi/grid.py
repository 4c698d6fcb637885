"""Notes on the grid of a tempo."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cadenza.errors import OptionError
from cadenza.types import Note


def quantise(
    notes: Sequence[Note], tempo: float, *, downbeat: float = 0.0, division: int = 4
) -> list[Note]:
    """Move every note to the nearest line of the grid, none shorter than from line to line.

    Notes of one pitch that fall on the same line become one, the longest.

    Args:
        tempo: beats a minute.
        downbeat: a second at which there is a line.
        division: lines a beat; 4 are sixteenths, 3 triplets.

    Raises:
        OptionError: a tempo or division that is not positive.
    """
    if tempo <= 0 or division < 1:
        raise OptionError(f"a grid needs a tempo and a division above 0, not {tempo}, {division}")
    step = 60 / tempo / division
    # The first line that is not before the beginning, so that nothing moves ahead of it.
    origin = downbeat % step
    placed: dict[tuple[int, int], Note] = {}
    for note in notes:
        first = max(0, round((note.start - origin) / step))
        last = max(first + 1, round((note.end - origin) / step))
        moved = dataclasses.replace(note, start=origin + first * step, end=origin + last * step)
        before = placed.get((first, note.pitch))
        if before is None or moved.end > before.end:
            placed[first, note.pitch] = moved
    return sorted(placed.values(), key=lambda note: (note.start, note.pitch))
