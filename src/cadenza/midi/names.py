"""Pitches and instruments by name."""

from __future__ import annotations

import re

from cadenza.errors import OptionError

# General MIDI programs, from 0, by what stems are called.
PROGRAMS = {"piano": 0, "organ": 16, "guitar": 24, "bass": 33, "strings": 48, "vocals": 53}

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_NAME = re.compile(r"([A-Ga-g])([#b♯♭]?)(-?\d)")


def pitch_of(name: str) -> int:
    """The MIDI pitch of a name such as ``F#3`` or ``Bb-1`` (middle C is ``C4``), or of a number.

    Raises:
        OptionError: neither, or not from 0 to 127.
    """
    if match := _NAME.fullmatch(name.strip()):
        step, accidental, octave = match.groups()
        shift = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}[accidental]
        pitch = 12 * (int(octave) + 1) + _STEPS[step.upper()] + shift
    elif name.strip().isdecimal():
        pitch = int(name)
    else:
        raise OptionError(f"{name!r} is not a pitch: write C4, F#3 or a MIDI number")
    if not 0 <= pitch <= 127:
        raise OptionError(f"the pitch {name} lies outside MIDI's 0 to 127")
    return pitch


def program_of(name: str) -> int:
    """The General MIDI program, from 0, for a track of that name; one unknown is a piano."""
    return next((PROGRAMS[word] for word in PROGRAMS if word in name.lower()), 0)
