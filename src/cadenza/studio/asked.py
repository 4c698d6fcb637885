"""What a prompt says in numbers: tempo, key, meter; and what is left of it without them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cadenza.errors import OptionError
from cadenza.types import Key

SLOWEST, FASTEST = 40.0, 240.0  # beats a minute that anybody plays

_NUMBER = r"(\d{2,3}(?:\.\d+)?)"
_TEMPO = re.compile(
    rf"\b(?:at |about )*{_NUMBER}\s*(?:bpm|beats(?: (?:per|a) minute)?)\b|\bbpm\s*:?\s*{_NUMBER}\b",
    re.IGNORECASE,
)
# A small «a» before «minor» is usually an article.
_KEY = re.compile(
    r"\b(?:in )?(?:the key of )?([A-G]|[b-g])( ?[#♯b♭]|[ -]sharp|[ -]flat)?[ -]"
    r"(major|minor|maj|min|Major|Minor)\b"
)
_WALTZ = re.compile(r"\b3/4\b|\bwaltz", re.IGNORECASE)
_TONICS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_BENDS = {"#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}


@dataclass(frozen=True)
class Asked:
    """``None`` where the prompt does not say."""

    tempo: float | None  # beats a minute
    key: Key | None
    meter: int  # beats a bar: 3 where it says so, else 4
    style: str  # the prompt without tempo and key


def asked(prompt: str) -> Asked:
    """Read a prompt.

    Raises:
        OptionError: a tempo that nobody plays.
    """
    tempo, key = _TEMPO.search(prompt), _KEY.search(prompt)
    beats = float(tempo[1] or tempo[2]) if tempo else None
    if beats is not None:
        check_tempo(beats)
    parts = re.split(r"[,;]", _KEY.sub("", _TEMPO.sub("", prompt)))
    style = ", ".join(filter(None, (" ".join(part.split()) for part in parts)))
    return Asked(beats, _key(key) if key else None, 3 if _WALTZ.search(prompt) else 4, style)


def check_tempo(tempo: float) -> None:
    """Refuse what nobody plays.

    Raises:
        OptionError: outside 40 to 240 bpm.
    """
    if not SLOWEST <= tempo <= FASTEST:
        raise OptionError(
            f"a tempo must be from {SLOWEST:.0f} to {FASTEST:.0f} bpm, not {tempo:g}: "
            "half or double of it may be what you mean"
        )


def _key(match: re.Match[str]) -> Key:
    bend = _BENDS[match[2].strip(" -")] if match[2] else 0
    mode = "minor" if match[3].lower().startswith("min") else "major"
    return Key((_TONICS[match[1].upper()] + bend) % 12, mode)
