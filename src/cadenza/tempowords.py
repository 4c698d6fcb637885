"""How a prompt names a tempo, in digits."""

from __future__ import annotations

import re

_NUMBER = r"(\d{2,3}(?:\.\d+)?)"
_SPAN = rf"{_NUMBER}(?:\s*(?:-|–|to)\s*{_NUMBER})?"  # «80-90 bpm»
_UNIT = r"(?:bpm|beats (?:per|a) minute)\b"
# «up-tempo 808 drums» names none, nor does «tempo 12/8».
_PATTERN = re.compile(
    rf"\b(?P<lead>(?:at |about |around )*)(?:(?:a )?tempo(?: of|\s*[:=])?\s*)?{_SPAN}[\s-]*{_UNIT}"
    rf"|\bbpm\s*[:=]?\s*{_SPAN}\b"
    rf"|(?<![\w-])tempo(?: of|\s*[:=])?\s*{_SPAN}\b(?!/)",
    re.IGNORECASE,
)


def tempo_in(text: str) -> float | None:
    """The first tempo that is named, in beats a minute, of «80 to 90» the middle."""
    found = _PATTERN.search(text)
    if found is None:
        return None
    numbers = [float(part) for part in found.groups() if part and part[0].isdigit()]
    return sum(numbers) / len(numbers)


def words_of(text: str) -> str | None:
    """The words that name it."""
    found = _PATTERN.search(text)
    return None if found is None else found[0]


def with_words(text: str, words: str) -> tuple[str, int]:
    """``text`` with ``words`` in place of every tempo that is named, and how many these are; «at»
    and «about» stay ahead of words."""
    return _PATTERN.subn(lambda found: (found["lead"] or "") + words if words else "", text)
