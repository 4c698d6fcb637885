"""What a prompt asks for that can be heard: tempo, key, mode, drums."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cadenza.studio.asked import playable, said_in
from cadenza.types import Key

_MODE = re.compile(
    r"\bin (major|minor)(?=\s*(?:[,.;]|$))|\b(major|minor) (?:key|mode|chords?|scale)\b"
)
_DRUMS = re.compile(
    r"\b(?:drums?|drum ?kit|drum machine|drumbeat|breakbeat|percussions?|kick|snares?|hi-?hats?)\b"
)
# «no bass or drums», «without piano, bass and drums»; but «no piano, drums» wants them.
_NO_DRUMS = re.compile(
    r"\b(?:(?:no|sans|minus)(?: any)? (?:[\w', -]+ (?:or|nor) )?"
    r"|without(?: any)? (?:[\w', -]+ (?:or|nor|and) )?)(?:drums?|percussion)\b"
    r"|\bdrums?-free\b|\bdrumless\b"
)
_NOT_ALL = re.compile(r"\b(?:no|without|sans|minus)(?: any)? (?:kick|snares?|hi-?hats?)\b")


@dataclass(frozen=True)
class Wishes:
    """``None`` where the prompt does not say."""

    tempo: float | None = None  # beats a minute
    key: Key | None = None
    mode: str | None = None  # «major» or «minor», of the key where there is one
    drums: bool | None = None


def wishes_of(prompt: str | None) -> Wishes:
    """Read a prompt; a tempo that nobody plays asks for none."""
    if not prompt:
        return Wishes()
    said = said_in(prompt)
    tempo = said.tempo if said.tempo is not None and playable(said.tempo) else None
    key, text = said.key, prompt.lower()
    mode = _MODE.search(text)
    named = key.mode if key else (mode[1] or mode[2]) if mode else None
    return Wishes(tempo, key, named, _drums_in(text))


def _drums_in(text: str) -> bool | None:
    if _NO_DRUMS.search(text):
        return False
    return True if _DRUMS.search(_NOT_ALL.sub("", text)) else None
