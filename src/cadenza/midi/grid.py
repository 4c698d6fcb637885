"""Notes on the grid of a tempo."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from cadenza.errors import OptionError
from cadenza.midi.file import Track, check_tempo
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
        OptionError: a tempo that MIDI has not, or no lines.
    """
    check_tempo(tempo)
    if division < 1:
        raise OptionError(f"a grid has at least one line a beat, not {division}")
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


def from_bar_one(
    tracks: Sequence[Track], tempo: float, *, downbeat: float, meter: int = 4
) -> list[Track]:
    """Move all notes by the same time, so that ``downbeat`` is at a bar line of the file.

    That line is the first one behind what is played before it; a file's first bar begins at 0.
    """
    bar = 60 / tempo * meter
    starts = [note.start for track in tracks for note in track.notes]
    before = max(0, math.ceil((downbeat - min(starts, default=downbeat)) / bar - 1e-6))
    shift = before * bar - downbeat
    return [
        dataclasses.replace(
            track,
            notes=[
                dataclasses.replace(note, start=note.start + shift, end=note.end + shift)
                for note in track.notes
            ],
        )
        for track in tracks
    ]
