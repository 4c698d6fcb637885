"""What a composed piece is: every fact a caption, a classifier or a test may ask for."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from cadenza.types import Note

CROSSED = 700_000_000
"""Seeds from here to ``HELD_OUT`` are bands whose lead is one of any genre."""

HELD_OUT = 10**9
"""Seeds from here on are never trained on."""

PITCH_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True)
class Chord:
    """A harmony from ``start`` to ``end`` in seconds: ``root`` 0 to 11, ``pitches`` above it."""

    start: float
    end: float
    root: int
    intervals: tuple[int, ...]  # semitones above the root, e.g. (0, 4, 7, 10)
    numeral: str  # its function in the key, e.g. "ii7"

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        return tuple((self.root + interval) % 12 for interval in self.intervals)


@dataclass(frozen=True)
class Section:
    """A part of the form from ``start`` to ``end`` in seconds, e.g. "A"."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Track:
    """What one instrument plays. ``gain`` is linear, ``pan`` from -1 (left) to 1 (right)."""

    role: str  # drums, bass, chords, melody, pad, arpeggio, harmony
    instrument: str  # a key of instruments.INSTRUMENTS
    program: int
    is_drum: bool
    notes: tuple[Note, ...]
    gain: float = 1.0
    pan: float = 0.0


@dataclass(frozen=True)
class Piece:
    """A whole piece. It starts on the downbeat at time 0 and keeps one tempo."""

    seed: int
    genre: str
    moods: tuple[str, ...]
    tempo: float  # beats (quarter notes) a minute
    tonic: int  # 0 is C
    mode: str  # "major" or "minor"
    meter: int  # beats a bar
    swing: float  # where the second half of a pair falls: 0.5 straight, 0.667 triplets
    density: str  # "sparse", "medium" or "dense"
    production: str  # a key of render.PRODUCTIONS: "dry", "roomy", "warm", "lo-fi", ...
    lead: str  # the family of the leading instrument, "drums" where only drums play
    solo: bool
    has_drums: bool
    duration: float
    sections: tuple[Section, ...]
    chords: tuple[Chord, ...]
    tracks: tuple[Track, ...]

    @property
    def beat(self) -> float:
        """Seconds a beat."""
        return 60.0 / self.tempo

    @property
    def bar(self) -> float:
        """Seconds a bar."""
        return self.beat * self.meter

    @property
    def key(self) -> str:
        """For example "Eb minor"."""
        return f"{PITCH_NAMES[self.tonic]} {self.mode}"

    @property
    def instruments(self) -> tuple[str, ...]:
        """The instruments that play, each once, the leading one first."""
        ranked = sorted(self.tracks, key=lambda track: track.role != "melody")
        return tuple(dict.fromkeys(track.instrument for track in ranked))

    def to_json(self, *, notes: bool = True) -> str:
        """One line; without ``notes`` the tracks are empty, which is all a caption needs."""
        piece = self if notes else self.without_notes()
        return json.dumps(dataclasses.asdict(piece), ensure_ascii=False)

    def without_notes(self) -> Piece:
        """The same piece with empty tracks."""
        bare = tuple(dataclasses.replace(track, notes=()) for track in self.tracks)
        return dataclasses.replace(self, tracks=bare)

    @classmethod
    def from_json(cls, text: str) -> Piece:
        """Read what :meth:`to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        fields["moods"] = tuple(fields["moods"])
        fields["sections"] = tuple(Section(**section) for section in fields["sections"])
        fields["chords"] = tuple(
            Chord(**{**chord, "intervals": tuple(chord["intervals"])}) for chord in fields["chords"]
        )
        fields["tracks"] = tuple(
            Track(**{**track, "notes": tuple(Note(**note) for note in track["notes"])})
            for track in fields["tracks"]
        )
        return cls(**fields)
