"""Melodies from motifs: repeated, varied, bent to the harmony, closed by phrase endings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.corpus.score import Event, Span, span_at

# Rhythms of a bar, one character an eighth: x a note, - hold, . rest; 16 characters: sixteenths.
_RHYTHMS: dict[tuple[int, str], tuple[str, ...]] = {
    (4, "sparse"): ("x-------", "x---x---", "x-----x-", "..x-----", "x---..x-", "x-x-----"),
    (4, "medium"): (
        "x-x-x---",
        "x--xx---",
        "x-xxx---",
        "x---x-x-",
        "..x-x-x-",
        "x--x--x-",
        "x-x-x-x-",
        ".xx-x---",
        "x-xxx-x-",
        "x--x-xx-",
    ),
    (4, "dense"): (
        "x-xxx-xx",
        "xxxxx-x-",
        "x-xxxxx-",
        ".xxxxxx-",
        "xx-xx-x-",
        "x-xxxxxx",
        "x-xxx-x-x-xxx---",
        "x--x--x-x-xxx-x-",
        "xxx-x-x-xxx-x---",
        "x---xxxxx-x-x-x-",
    ),
    (3, "sparse"): ("x-----", "x---x-", "x-----", "..x---"),
    (3, "medium"): ("x-x-x-", "x---x-", "x--xx-", "x-xxx-", "x-x---", "x---xx"),
    (3, "dense"): ("x-xxxx", "xxxxxx", "x-xxx-", "xxx-xx", "x--xxx"),
}
_ENDINGS = {
    4: ("x-------", "x-x-x---", "x-xxx---", "x--xx---", "xxx-x---", "x---x---"),
    3: ("x-----", "x-x---", "xxx---", "x-x-x-"),
}
_PLANS = ("aaba", "abab", "aabc", "abac", "aaab", "abcb")
_STEPS = {
    "wave": (-1, 1, 1, -1, 2, -2, 0),
    "up": (1, 1, 2, 1, -1, 0),
    "down": (-1, -1, -2, -1, 1, 0),
    "leaps": (2, -2, 3, -1, -1, 4, -3),
    "repeat": (0, 0, 1, -1, 0),
}


@dataclass(frozen=True)
class Motif:
    """A bar of rhythm (onset and length in beats) with the scale steps between its notes."""

    onsets: tuple[float, ...]
    lengths: tuple[float, ...]
    steps: tuple[int, ...]
    anchor: int  # the pitch where it starts, before the harmony bends it


@dataclass(frozen=True)
class Voice:
    """How a melody is played: range, how busy, pentatonic or not, how connected."""

    low: int
    high: int
    density: str
    pentatonic: bool = False
    legato: float = 0.9
    sixteenths: bool = True  # false where the tempo makes them a blur
    mode: str = "major"
    tonic: int = 0


def _motif(rng: np.random.Generator, rhythm: str, meter: int, anchor: int) -> Motif:
    step = meter / len(rhythm)
    onsets = [index * step for index, mark in enumerate(rhythm) if mark == "x"]
    lengths = []
    for onset in onsets:
        index = round(onset / step) + 1
        while index < len(rhythm) and rhythm[index] == "-":
            index += 1
        lengths.append(index * step - onset)
    moves = _STEPS[str(rng.choice(list(_STEPS)))]
    steps = [int(moves[int(rng.integers(len(moves)))]) for _ in onsets]
    return Motif(tuple(onsets), tuple(lengths), tuple(steps), anchor)


def _varied(rng: np.random.Generator, motif: Motif) -> Motif:
    """The motif again with one thing changed: a step, a note less, or a note split in two."""
    onsets, lengths, steps = list(motif.onsets), list(motif.lengths), list(motif.steps)
    kind = rng.random()
    index = int(rng.integers(len(onsets)))
    if kind < 0.4:
        steps[index] += int(rng.choice([-1, 1]))
    elif kind < 0.6 and len(onsets) > 2 and index > 0:
        lengths[index - 1] += lengths[index]
        del onsets[index], lengths[index], steps[index]
    elif kind < 0.85 and lengths[index] >= 1:
        half = lengths[index] / 2
        onsets.insert(index + 1, onsets[index] + half)
        lengths[index] = half
        lengths.insert(index + 1, half)
        steps.insert(index + 1, int(rng.choice([-1, 1])))
    return Motif(tuple(onsets), tuple(lengths), tuple(steps), motif.anchor)


class Melodist:
    """Keeps the motifs of a piece, so that a section that comes back brings its tune back."""

    def __init__(self, rng: np.random.Generator, voice: Voice, meter: int) -> None:
        self.rng = rng
        self.voice = voice
        self.meter = meter
        self._material: dict[tuple[str, str], tuple[Motif, Motif]] = {}
        self._plans: dict[str, str] = {}

    def _motifs(self, section: str, letter: str) -> tuple[Motif, Motif]:
        """The motif of two bars for a letter of the section's plan."""
        key = (section, letter)
        if key not in self._material:
            voice, rng = self.voice, self.rng
            density = voice.density
            if letter == "b" and rng.random() < 0.4:  # the contrast moves more, or less
                density = {"sparse": "medium", "medium": "dense", "dense": "medium"}[density]
            choices = [
                rhythm
                for rhythm in _RHYTHMS[self.meter, density]
                if voice.sixteenths or len(rhythm) <= 8
            ]
            centre = (voice.low + voice.high) / 2 + (3 if section == "B" else 0)
            anchor = round(centre + rng.normal(0, 2.5))
            first = _motif(rng, choices[int(rng.integers(len(choices)))], self.meter, anchor)
            if rng.random() < 0.35:  # the second bar answers in the same rhythm
                second = Motif(first.onsets, first.lengths, _mirrored(rng, first.steps), anchor)
            else:
                other = choices[int(rng.integers(len(choices)))]
                second = _motif(rng, other, self.meter, anchor + int(rng.integers(-3, 3)))
            self._material[key] = (first, second)
        return self._material[key]

    def play(
        self, section: str, spans: Sequence[Span], *, first_bar: int, bars: int, varied: bool
    ) -> list[Event]:
        """``bars`` bars of the section's tune; ``varied`` where it was heard before."""
        rng, meter = self.rng, self.meter
        plan = self._plans.setdefault(section, str(rng.choice(_PLANS)))
        events: list[Event] = []
        previous: int | None = None
        for bar in range(bars):
            phrase, place = divmod(bar, 2)
            letter = plan[phrase % len(plan)]
            motif = self._motifs(section, letter)[place]
            ends = (bar + 1) % 4 == 0 or bar == bars - 1
            if ends:
                final = (bar + 1) % 8 == 0 or bar == bars - 1
                rhythm = str(rng.choice(_ENDINGS[meter]))
                motif = _motif(rng, rhythm, meter, previous or motif.anchor)
            elif (varied and rng.random() < 0.5) or (bar >= 4 and rng.random() < 0.25):
                motif = _varied(rng, motif)
            if place == 1 and previous is not None:  # goes on from where the first bar led
                motif = replace(motif, anchor=previous + (motif.steps[0] or 2))
            notes = self._realise(
                motif, spans, (first_bar + bar) * meter, previous, 0 if not ends else 1 + final
            )
            arc = 0.05 * np.sin(np.pi * ((bar % 4) + 0.5) / 4)
            for note in notes:
                force = note.force + float(arc)
                events.append(Event(note.beat, note.length, note.pitch, force))
            previous = notes[-1].pitch if notes else previous
        return events

    def _realise(
        self, motif: Motif, spans: Sequence[Span], start: float, previous: int | None, ending: int
    ) -> list[Event]:
        """The motif in the harmony. ``ending``: 1 closes a phrase on a chord tone, 2 on the root
        or third."""
        voice = self.voice
        anchor = motif.anchor
        if previous is not None and abs(anchor - previous) > 9:
            anchor = (anchor + previous) // 2
        pitch = anchor
        events: list[Event] = []
        count = len(motif.onsets)
        for index, (onset, length, step) in enumerate(
            zip(motif.onsets, motif.lengths, motif.steps, strict=True)
        ):
            beat = start + onset
            chord = spans[span_at(spans, beat)].harmony
            tones = set(chord.pitch_classes)
            scale = set(chord.scale)
            if voice.pentatonic:
                avoided = (5, 11) if voice.mode == "major" else (2, 8)
                scale = {p for p in scale if (p - voice.tonic) % 12 not in avoided} | tones
            strong = onset % 2 == 0 or length >= 1.0
            last = ending and index == count - 1
            allowed = tones if strong or last or index == 0 else scale
            if last and ending == 2:
                allowed = {chord.root, (chord.root + chord.intervals[1]) % 12}
            ladder = [p for p in range(voice.low, voice.high + 1) if p % 12 in scale | allowed]
            if index:
                if step > 0:
                    above = [p for p in ladder if p > pitch]
                    target = above[min(step, len(above)) - 1] if above else pitch - 3
                elif step < 0:
                    below = [p for p in ladder if p < pitch]
                    target = below[-min(-step, len(below))] if below else pitch + 3
                else:
                    target = pitch
            else:
                target = anchor
            if target > voice.high - 2:
                target -= 3
            elif target < voice.low + 2:
                target += 3
            options = [p for p in ladder if p % 12 in allowed]
            if len(events) > 1 and events[-1].pitch == events[-2].pitch:  # thrice is static
                options = [p for p in options if p != pitch] or options
            pitch = _nearest(options, target)
            force = 0.8 if strong else 0.7
            connected = 1.0 if last else voice.legato
            events.append(Event(beat, length * connected, pitch, force))
        return events


def _nearest(options: Sequence[int], target: int) -> int:
    return min(options, key=lambda pitch: (abs(pitch - target), pitch))


def _mirrored(rng: np.random.Generator, steps: Sequence[int]) -> tuple[int, ...]:
    return tuple(-step if rng.random() < 0.7 else step for step in steps)
