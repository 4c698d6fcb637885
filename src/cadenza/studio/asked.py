"""What a prompt says in numbers: tempo, key, meter; and what is left of it without them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cadenza.errors import OptionError
from cadenza.request import MAX_SECONDS
from cadenza.tempowords import tempo_in, with_words
from cadenza.types import Key

SLOWEST, FASTEST = 40.0, 240.0  # beats a minute that anybody plays

# A small «a» before «minor» is usually an article.
_KEY = re.compile(
    r"\b(?:in )?(?:the key of )?([A-G]|[b-g])( ?[#♯b♭]|[ -]sharp|[ -]flat)?[ -]"
    r"(major|minor|maj|min|Major|Minor)\b"
)
_METER = re.compile(r"(?<![\d/])([2-7])/4(?![\d/])")
_WALTZ = re.compile(r"\bwaltz", re.IGNORECASE)
_TONICS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_BENDS = {"#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}


@dataclass(frozen=True)
class Asked:
    """``None`` where the prompt does not say."""

    tempo: float | None  # beats a minute
    key: Key | None
    meter: int  # beats a bar: what it says, 3 of a waltz, else 4
    style: str  # the prompt without tempo and key


def asked(prompt: str) -> Asked:
    """Read a prompt.

    Raises:
        OptionError: a tempo that nobody plays.
    """
    said = said_in(prompt)
    if said.tempo is not None:
        check_tempo(said.tempo)
    return said


def said_in(prompt: str) -> Asked:
    """Read a prompt, whatever tempo it names."""
    key = _KEY.search(prompt)
    parts = re.split(r"[,;]", _KEY.sub("", with_words(prompt, "")[0]))
    style = ", ".join(filter(None, (" ".join(part.split()) for part in parts)))
    named = _METER.search(prompt)
    meter = int(named[1]) if named else 3 if _WALTZ.search(prompt) else 4
    return Asked(tempo_in(prompt), _key(key) if key else None, meter, style)


def check_tempo(tempo: float) -> None:
    """Refuse what nobody plays.

    Raises:
        OptionError: outside 40 to 240 bpm.
    """
    if not playable(tempo):
        raise OptionError(
            f"a tempo must be from {SLOWEST:.0f} to {FASTEST:.0f} bpm, not {tempo:g}: "
            "half or double of it may be what you mean"
        )


def check_length(bars: int, seconds: float) -> None:
    """Refuse so many bars where what has to be played for them is too long.

    Raises:
        OptionError: more than a piece can have.
    """
    if seconds > MAX_SECONDS:
        raise OptionError(
            f"{bars} bars at this tempo need {seconds:.0f} s of playing, and a piece has "
            f"{MAX_SECONDS:.0f} s at most: ask for fewer bars"
        )


def playable(tempo: float) -> bool:
    """Whether anybody plays it."""
    return SLOWEST <= tempo <= FASTEST


def _key(match: re.Match[str]) -> Key:
    bend = _BENDS[match[2].strip(" -")] if match[2] else 0
    mode = "minor" if match[3].lower().startswith("min") else "major"
    return Key((_TONICS[match[1].upper()] + bend) % 12, mode)
