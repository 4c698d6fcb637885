"""The written music, in beats, and its performance in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cadenza.types import Note
from training.corpus.harmony import Harmony


@dataclass(frozen=True)
class Event:
    """A written note: ``beat`` and ``length`` in beats, ``force`` from 0 to 1."""

    beat: float
    length: float
    pitch: int
    force: float = 0.75


@dataclass(frozen=True)
class Span:
    """A harmony's place: ``beat`` and ``length`` in beats."""

    beat: float
    length: float
    harmony: Harmony


def span_at(spans: Sequence[Span], beat: float) -> int:
    """The index of the span that sounds at ``beat``."""
    starts = [span.beat for span in spans]
    return max(0, int(np.searchsorted(starts, beat + 1e-6, side="right")) - 1)


def swung(beat: float, swing: float, unit: float) -> float:
    """``beat`` with the second half of each pair of ``unit`` beats moved to ``swing``."""
    pair = 2 * unit
    whole, part = divmod(beat + 1e-9, pair)
    place = part / pair
    bent = place * 2 * swing if place < 0.5 else swing + (place - 0.5) * 2 * (1 - swing)
    return float((whole + bent) * pair)


def perform(
    events: Sequence[Event],
    rng: np.random.Generator,
    *,
    tempo: float,
    swing: float,
    unit: float,
    looseness: float,
    duration: float,
) -> tuple[Note, ...]:
    """Play the events at ``tempo`` with swing and a person's small errors.

    ``looseness`` is the standard deviation of the onsets in seconds; velocities vary along with
    it, so 0 is a machine. Notes end at ``duration``; the same pitch never overlaps itself.
    """
    seconds = 60.0 / tempo
    last: dict[int, int] = {}
    notes: list[Note] = []
    drift = 0.0
    for event in sorted(events, key=lambda event: (event.beat, event.pitch)):
        drift = 0.9 * drift + 0.1 * rng.standard_normal()
        jitter = looseness * (0.8 * float(np.clip(rng.standard_normal(), -2, 2)) + drift)
        start = max(0.0, swung(event.beat, swing, unit) * seconds + jitter)
        end = swung(event.beat + event.length, swing, unit) * seconds + min(jitter, 0.0)
        end = min(max(end, start + 0.04), duration)
        if start >= duration - 0.03:
            continue
        velocity = 127 * event.force * (1 + 6 * looseness * rng.standard_normal())
        before = last.get(event.pitch)
        if before is not None and notes[before].end > start - 0.005:
            held = notes[before]
            if start - held.start < 0.03:
                continue
            notes[before] = Note(held.start, start - 0.005, held.pitch, held.velocity)
        last[event.pitch] = len(notes)
        notes.append(
            Note(round(start, 4), round(end, 4), event.pitch, int(np.clip(velocity, 8, 127)))
        )
    return tuple(notes)
