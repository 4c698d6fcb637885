"""Bass lines: patterns of chord degrees, and walking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.corpus.harmony import Harmony, near, within
from training.corpus.score import Event, Span, span_at

# One character a sixteenth: 1 root, 5 fifth, 3 third, 7 seventh (or sixth), 8 octave, a approach
# to the next root, g ghost, - hold, . rest. Several patterns: another one each bar or two.
PATTERNS: dict[str, tuple[str, ...]] = {
    "whole": ("1---------------",),
    "half": ("1-------5-------", "1-------1-----a-"),
    "ballad": ("1-----1-5-------", "1-----5-8-----a-"),
    "eighths": ("1-1-1-1-1-1-1-1-", "1-1-1-1-1-1-5-a-"),
    "rock": ("1-----1-1-----5-", "1-1-..1-1-1-5-a-", "1---1-1-..1-3-5-"),
    "gallop": ("1-111-111-111-11", "1-111-111-115-5-"),
    "octaves": ("1-8-1-8-1-8-1-8-", "1-8-1-8-1-8-5-8-"),
    "offbeat": ("..1-..1-..1-..1-", "..1-..1-..1-..8-"),
    "rolling": (".111.111.111.111", ".111.118.111.181"),
    "acid": ("1.18..1.1.8.7.1.", "1.1..81.7.1..8.5", "11.8.1..71.8.1.5"),
    "house": ("1..1..8...1..8..", "1..1..1...8.7.5."),
    "funk": ("1..g1.8...7.8.g.", "1.g...81..g.5.7.", "1..1..g.8.g7.5.a"),
    "slap": ("1.g8..1.g.8.7.8.", "1..8g.1..81.g.a.", "1.g1.8g.7.8.5.g."),
    "motown": ("1---..1-3-5-..a-", "1---1-5-..3-5-a-"),
    "hiphop": ("1-----1-..1-----", "1------1..5-..a-"),
    "sub": ("1---------......", "1-----..1---..5-"),
    "trap": ("1-----1...1-----", "1-------..1-..8-"),
    "lofi": ("1------1..5-----", "1-----..1-5-..a-", "1------5..8---5-"),
    "reggae": ("1---..1-3---5---", "..1-1-..3-..5---", "1-..1-3-5-......"),
    "bossa": ("1-----5-5-----1-", "1-----5-8-----a-"),
    "tumbao": ("......5-----8---", "......1-----5-a-"),
    "country": ("1-------5-------", "1-------5---3-a-"),
    "synthwave": ("1-1-1-1-1-1-1-1-", "1.111.111.111.11"),
    "waltz": ("1-----------", "1-------5---", "5-----------"),
    "waltz_jazz": ("1-------5---", "1---3---5---", "1-------a---"),
    "pedal": ("1---------------",),
    "chip": ("1.8.1.8.1.8.1.8.", "1.1.8.1.5.1.8.5."),
    "walking": (),
}


def play_bass(
    rng: np.random.Generator,
    style: str,
    spans: Sequence[Span],
    *,
    first_bar: int,
    bars: int,
    meter: int,
    low: int,
    high: int,
    busy: bool = False,
) -> list[Event]:
    """``bars`` bars that follow ``spans``; ``busy`` (a bass alone) adds runs between chords."""
    if style == "walking":
        return _walk(rng, spans, first_bar * meter, (first_bar + bars) * meter, low, high)
    patterns = [p for p in PATTERNS[style] if len(p) == meter * 4]
    if not patterns:
        raise ValueError(f"the bass style {style!r} does not have bars of {meter} beats")
    events: list[Event] = []
    main = patterns[int(rng.integers(len(patterns)))]
    other = patterns[int(rng.integers(len(patterns)))]
    root = within(near(spans[0].harmony.root, low + 8), low, low + 11)
    for bar in range(first_bar, first_bar + bars):
        line = other if (bar - first_bar) % 4 == 3 or (busy and bar % 2) else main
        if busy and (bar - first_bar) % 4 == 3 and rng.random() < 0.7:
            line = line[: meter * 4 - 8] + str(
                rng.choice(["1-3-5-a-", "8-7-5-3-", "5-7-8-a-", "8.751-a-", "1.1.357a"])
            )
        for step, mark in enumerate(line):
            if mark in "-.":
                continue
            beat = bar * meter + step / 4
            index = span_at(spans, beat)
            chord = spans[index].harmony
            target = _root(chord, root, low)
            length = 1
            while step + length < len(line) and line[step + length] == "-":
                length += 1
            pitch = _degree(rng, mark, chord, target, spans, index, low)
            force = 0.9 if step == 0 else 0.78
            if mark == "g":
                force, length = 0.4, 1
            ring = 0.95 if length > 1 else 0.7
            events.append(Event(beat, length / 4 * ring, within(pitch, low, high), force))
            root = target
    return events


def _root(chord: Harmony, previous: int, low: int) -> int:
    """The chord's root, moving little, in the lowest octave and a half."""
    return within(near(chord.root, previous), low, low + 14)


def _degree(
    rng: np.random.Generator,
    mark: str,
    chord: Harmony,
    root: int,
    spans: Sequence[Span],
    index: int,
    low: int,
) -> int:
    intervals = {interval % 12 for interval in chord.intervals}
    if mark == "3":
        return root + (3 if 3 in intervals else 4 if 4 in intervals else 7)
    if mark == "5":
        fifth = 6 if 6 in intervals and 7 not in intervals else 7
        return root + fifth - (12 if root + fifth - 12 >= low and root - low > 6 else 0)
    if mark == "7":
        for interval in (10, 11, 9):
            if interval in intervals or (chord.root + interval) % 12 in chord.scale:
                return root + interval
        return root + 12
    if mark == "8":
        return root + 12
    if mark == "a":
        following = spans[min(index + 1, len(spans) - 1)].harmony
        target = _root(following, root, low)
        if target == root:
            return root + 12
        below = target - 1 if rng.random() < 0.5 or (target - 2) % 12 not in chord.scale else None
        return below if below is not None else target - 2
    return root


def _walk(
    rng: np.random.Generator, spans: Sequence[Span], start: int, end: int, low: int, high: int
) -> list[Event]:
    """Quarter notes: roots on the changes, chord and scale tones between, an approach before."""
    events: list[Event] = []
    pitch = within(near(spans[span_at(spans, start)].harmony.root, low + 10), low, high)
    direction = 1
    for beat in range(start, end):
        index = span_at(spans, beat)
        span = spans[index]
        chord = span.harmony
        into = beat - span.beat
        left = span.beat + span.length - beat
        if into < 1e-6:
            pitch = within(near(chord.root, pitch), low, high)
            direction = 1 if pitch < (low + high) / 2 else -1
        elif left <= 1 + 1e-6:
            goal = spans[min(index + 1, len(spans) - 1)].harmony.root
            target = within(near(goal, pitch + direction), low, high)
            pitch = within(target + int(rng.choice([-1, 1, -1, 2])), low, high)
        else:
            tones = chord.pitch_classes if into % 2 == 0 or rng.random() < 0.55 else chord.scale
            ladder = [p for p in range(low, high + 1) if p % 12 in tones and p != pitch]
            ahead = [p for p in ladder if 0 < (p - pitch) * direction <= 5]
            if ahead:
                pitch = int(ahead[int(rng.integers(len(ahead)))])
            else:
                direction = -direction
                pitch = min(ladder, key=lambda p: abs(p - pitch - 2 * direction))
        events.append(Event(beat, 0.92, pitch, 0.84 if beat % 2 else 0.78))
        if rng.random() < 0.1 and left > 1:  # the skipped note that makes it dance
            events.append(Event(beat + 0.5, 0.3, pitch, 0.45))
    return events
