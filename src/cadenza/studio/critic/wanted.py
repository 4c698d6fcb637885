"""What a prompt asks for that a critic can hear: by rules and words, as a person would read it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cadenza.prompting import MAX_CHARACTERS
from cadenza.studio.wishes import Wishes, wishes_of

# «only», «just» and «nothing else» say it of what is named; a «solo» may be part of a song.
_ALONE = re.compile(
    r"\b(?:unaccompanied|alone|lone|isolated|nothing (?:but|else)|by itself|on its own|solely"
    r"|no (?:other )?instruments?|no accompaniment|without accompaniment|a[ -]?cappell?a"
    r"|only|just)\b"
)
_SOLO = re.compile(r"\bsolo\b")
_WITH_SOLO = re.compile(r"\b(?:with|featuring|and|plus)\b[^,.;]*\bsolos?\b")
DRUMS, BASS = "drums", "bass"
_PLURAL = "(?:e?s)?"


@dataclass(frozen=True)
class Wanted:
    """``None`` and nothing where the prompt does not say."""

    wishes: Wishes
    leads: tuple[str, ...]  # families of instruments, as they are named
    alone: bool | None  # whether one instrument is to play and nothing else

    @property
    def anything(self) -> bool:
        """Whether there is something to hear it by."""
        return self.wishes != Wishes() or bool(self.leads) or self.alone is not None


def wanted_of(prompt: str) -> Wanted:
    """Read a prompt."""
    wishes, text = wishes_of(prompt), prompt.lower()
    named = _named(text)
    pitched = tuple(name for name in named if name != DRUMS)
    alone: bool | None = None
    if len(named) == 1 and (
        _ALONE.search(text) or (_SOLO.search(text) and not _WITH_SOLO.search(text))
    ):
        alone = True
    elif len(named) > 1 or (pitched and wishes.drums):
        alone = False
    # Drums and basses play along; they lead where nobody else plays.
    leads = named if alone else tuple(name for name in pitched if name != BASS)
    return Wanted(wishes, leads, alone)


def lead_first(prompt: str) -> str:
    """The prompt with who leads in front, by the name of the family, and «solo» if nobody else
    plays: so captions begin, and «synth lead» is heard where «melodic synthesizers» is not.

    As it is where it names nobody or begins so.
    """
    wanted = wanted_of(prompt)
    if not wanted.leads:
        return prompt
    lead = f"solo {wanted.leads[0]}" if wanted.alone else wanted.leads[0]
    said = f"{lead}, {prompt}"
    known = re.match(rf"{re.escape(lead)}\b", prompt, re.IGNORECASE)
    return prompt if known or len(said) > MAX_CHARACTERS else said


def _named(text: str) -> tuple[str, ...]:
    """The families that a text names, in its order, each once; of two names in one place the
    longer one counts."""
    found: dict[int, str] = {}
    text = _ruled_out().sub(lambda match: "·" * len(match[0]), text)
    for pattern, family in _patterns():
        for match in pattern.finditer(text):
            found[match.start()] = family
            text = text[: match.start()] + "·" * len(match[0]) + text[match.end() :]
    named = dict.fromkeys(found[place] for place in sorted(found))
    return tuple(name for name in named if name != "nothing")


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Longest names first."""
    names = [(name, family) for family, listed in _families().items() for name in listed]
    names.sort(key=lambda pair: -len(pair[0]))
    return [(re.compile(rf"\b{re.escape(name)}{_PLURAL}\b"), family) for name, family in names]


@cache
def _ruled_out() -> re.Pattern[str]:
    """«no bass or drums», «without a piano», «guitar-free»; but «no piano, drums» wants drums."""
    known = sorted((name for listed in _families().values() for name in listed), key=len)
    name = rf"(?:{'|'.join(map(re.escape, reversed(known)))}){_PLURAL}\b"
    item = rf"(?:[\w'-]+ )?{name}"
    return re.compile(
        rf"\b(?:no|sans|minus)(?: any)? {item}(?:(?:, {item})*,? (?:or|nor) {item})*"
        rf"|\bwithout(?: any)? {item}(?:(?:, {item})*,? (?:or|nor|and) {item})*"
        rf"|\b{name}-free\b"
    )


@cache
def _families() -> dict[str, list[str]]:
    return tomllib.loads(files(__package__).joinpath("families.toml").read_text("utf-8"))
