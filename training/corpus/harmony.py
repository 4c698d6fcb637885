"""Chords from roman numerals, scales that fit them, and voice leading."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}

_DEGREES = {"i": 0, "ii": 1, "iii": 2, "iv": 3, "v": 4, "vi": 5, "vii": 6}
_QUALITIES = {  # (major third, minor third), by the numeral's case
    "": ((0, 4, 7), (0, 3, 7)),
    "6": ((0, 4, 7, 9), (0, 3, 7, 9)),
    "7": ((0, 4, 7, 10), (0, 3, 7, 10)),
    "9": ((0, 4, 7, 10, 14), (0, 3, 7, 10, 14)),
    "maj7": ((0, 4, 7, 11), (0, 3, 7, 11)),
    "maj9": ((0, 4, 7, 11, 14), (0, 3, 7, 11, 14)),
    "add9": ((0, 4, 7, 14), (0, 3, 7, 14)),
    "13": ((0, 4, 10, 14, 21), (0, 3, 10, 14, 21)),
    "sus2": ((0, 2, 7), (0, 2, 7)),
    "sus4": ((0, 5, 7), (0, 5, 7)),
    "5": ((0, 7), (0, 7)),
    "dim": ((0, 3, 6), (0, 3, 6)),
    "m7b5": ((0, 3, 6, 10), (0, 3, 6, 10)),
}
_NUMERAL = re.compile(r"([b#]?)(VII|VI|V|IV|III|II|I|vii|vi|v|iv|iii|ii|i)(.*)")


@dataclass(frozen=True)
class Harmony:
    """A chord in a key, without a place in time."""

    numeral: str
    root: int  # pitch class
    intervals: tuple[int, ...]
    scale: tuple[int, ...]  # the seven pitch classes a melody uses over it, ascending from tonic

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        return tuple((self.root + interval) % 12 for interval in self.intervals)


def harmony(numeral: str, tonic: int, mode: str) -> Harmony:
    """``numeral`` such as "bVII", "ii7", "Vsus4" in the key; minor counts in natural minor."""
    match = _NUMERAL.fullmatch(numeral)
    if match is None or match[3] not in _QUALITIES:
        raise ValueError(f"not a roman numeral this composer knows: {numeral!r}")
    accidental = {"": 0, "b": -1, "#": 1}[match[1]]
    degree = _DEGREES[match[2].lower()]
    root = (tonic + SCALES[mode][degree] + accidental) % 12
    intervals = _QUALITIES[match[3]][0 if match[2].isupper() else 1]
    scale = _bend([(tonic + step) % 12 for step in SCALES[mode]], root, intervals)
    return Harmony(numeral, root, intervals, scale)


def _bend(scale: list[int], root: int, intervals: Sequence[int]) -> tuple[int, ...]:
    """The key's scale with the notes changed that clash with the chord (V in minor, bVII, ...)."""
    tones = [(root + interval) % 12 for interval in intervals]
    for tone in tones:
        if tone in scale:
            continue
        neighbours = [
            index
            for index, pitch in enumerate(scale)
            if (pitch - tone) % 12 in (1, 11) and pitch not in tones
        ]
        if neighbours:  # never the tonic where another one serves
            scale[max(neighbours)] = tone
    return tuple(scale)


def near(pitch_class: int, pitch: float) -> int:
    """The pitch of that class nearest to ``pitch``."""
    return round((pitch - pitch_class) / 12) * 12 + pitch_class


def within(pitch: int, low: int, high: int) -> int:
    """``pitch`` moved by octaves into the range (which must hold an octave)."""
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return pitch


def voice(
    chord: Harmony,
    previous: Sequence[int] | None,
    *,
    low: int,
    high: int,
    voices: int,
    rootless: bool = False,
    spread: bool = False,
) -> tuple[int, ...]:
    """The chord as pitches that move little from ``previous`` without parallel fifths or octaves.

    ``rootless`` leaves the root to the bass where the chord has enough other notes; ``spread``
    drops the second voice by an octave (open position).
    """
    intervals = list(chord.intervals)
    if rootless and len(intervals) > voices:
        intervals.remove(0)
    if len(intervals) > voices and 7 in intervals:  # the fifth says least
        intervals.remove(7)
    intervals = intervals[:voices] if len(intervals) > voices else intervals
    pitch_classes = [(chord.root + interval) % 12 for interval in intervals]
    while len(pitch_classes) < voices:
        pitch_classes.append(pitch_classes[len(pitch_classes) - len(intervals)])
    centre = (low + high) / 2
    best: tuple[float, tuple[int, ...]] | None = None
    for order in set(itertools.permutations(pitch_classes)) if voices <= 4 else [pitch_classes]:
        for bottom in range(low, high + 1):
            if bottom % 12 != order[0] % 12:
                continue
            pitches = [bottom]
            for pitch_class in order[1:]:
                pitches.append(pitches[-1] + ((pitch_class - pitches[-1] - 1) % 12) + 1)
            if spread and len(pitches) >= 3:
                pitches[-2] -= 12
                pitches.sort()
            if pitches[-1] > high or pitches[0] < low or len(set(pitches)) < voices:
                continue
            width = 0 if spread else max(0, pitches[-1] - pitches[0] - 12 * (voices // 4 + 1) + 2)
            score = 0.12 * abs(sum(pitches) / voices - centre) * voices + 0.5 * width
            if pitches[1] - pitches[0] < 3 and pitches[0] < 55:
                score += 3  # a second low down is mud
            if previous is not None and len(previous) == voices:
                score += sum(abs(a - b) for a, b in zip(pitches, previous, strict=True))
                score += 4 * _parallels(previous, pitches)
            if best is None or (score, tuple(pitches)) < best:
                best = (score, tuple(pitches))
    if best is None:
        return tuple(sorted(within(near(pc, centre), low, high) for pc in set(pitch_classes)))
    return best[1]


def _parallels(before: Sequence[int], after: Sequence[int]) -> int:
    """How many pairs of voices move in parallel fifths or octaves."""
    count = 0
    for i, j in itertools.combinations(range(len(after)), 2):
        interval = (after[j] - after[i]) % 12
        moved = before[i] != after[i]
        if moved and interval in (0, 7) and (before[j] - before[i]) % 12 == interval:
            count += 1
    return count
