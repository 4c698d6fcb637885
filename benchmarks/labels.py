"""What is asked of a sound: tempo, mode, drums, leading instrument."""

from __future__ import annotations

from dataclasses import dataclass

from training.corpus.piece import Piece

TEMPO_TOLERANCE = 0.04

# Classes of leading instruments that a listener tells apart, and the families in each.
INSTRUMENTS: dict[str, tuple[str, ...]] = {
    "piano": ("piano",),
    "electric piano": ("electric piano", "clavinet"),
    "guitar": ("guitar",),
    "electric guitar": ("electric guitar",),
    "plucked strings": ("banjo", "harp", "harpsichord", "sitar"),
    "mallets": ("mallets", "music box"),
    "organ": ("organ", "accordion", "harmonica"),
    "bass": ("bass",),
    "drums": ("drums",),
    "strings": ("violin", "cello", "strings"),
    "brass": ("trumpet", "brass"),
    "reeds": ("sax", "woodwind"),
    "flute": ("flute",),
    "synth": ("synth lead", "synth pluck"),
    "chiptune": ("chiptune",),
    "pads": ("synth pad", "choir"),
}
_CLASS_OF = {family: name for name, families in INSTRUMENTS.items() for family in families}
MODES = ("major", "minor")
FIGURES = ("tempo", "mode", "drums", "instrument")


@dataclass(frozen=True)
class Labels:
    """``None`` where nothing is asked or known."""

    tempo: float | None = None  # beats a minute
    drums: bool | None = None
    instrument: str | None = None  # a key of INSTRUMENTS
    mode: str | None = None


def labels_of(piece: Piece) -> Labels:
    """The truth about a piece. Drums alone have no mode."""
    return Labels(
        tempo=piece.tempo,
        drums=piece.has_drums,
        instrument=_CLASS_OF[piece.lead],
        mode=None if piece.lead == "drums" else piece.mode,
    )


def same_tempo(heard: float, asked: float) -> bool:
    """Within 4 %."""
    return abs(heard / asked - 1) <= TEMPO_TOLERANCE


def octave_error(heard: float, asked: float) -> bool:
    """Not the tempo but double, half, three times or a third of it."""
    return not same_tempo(heard, asked) and any(
        same_tempo(heard * factor, asked) for factor in (2, 1 / 2, 3, 1 / 3)
    )
