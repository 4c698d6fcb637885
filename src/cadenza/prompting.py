"""Bare words to a description of music, by rules that can be read: no model, no chance.

MusicGen was trained on descriptions that name a genre, a mood, instruments, a tempo and a
production («80s driving pop song with heavy drums and synth pads in the background»). A prompt
like «sad robot» names none of them. The rules in ``prompting.toml`` add what is missing and never
change what is there, so enhancing twice is the same as enhancing once.
"""

from __future__ import annotations

import re
import tomllib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from cadenza.errors import OptionError, PromptError
from cadenza.tempowords import with_words, words_of

MAX_CHARACTERS = 2000  # of a prompt; the published models learned from far shorter ones
MAX_INSTRUMENTS = 4

Facet = Literal["mood", "genre", "instruments", "tempo", "key", "production"]

_KEYS = {"major": ("C", "G", "D", "F", "A"), "minor": ("A", "D", "E", "C", "G")}
_KEY = re.compile(r"\b(major|minor)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    """One entry of the data file; what it does not say is empty."""

    name: str
    words: tuple[str, ...]
    names: Facet | None = None
    mood: str = ""
    genre: str = ""
    instruments: tuple[str, ...] = ()
    bpm: int = 0
    mode: str = ""
    production: str = ""

    def gives(self, facet: Facet) -> bool:
        """Whether the rule has something to say about a facet."""
        return bool(
            {
                "mood": self.mood,
                "genre": self.genre,
                "instruments": self.instruments,
                "tempo": self.bpm,
                "key": self.mode,
                "production": self.production,
            }[facet]
        )


@dataclass(frozen=True)
class Reason:
    """Why something was added: which rule, because of which words, and what it gave."""

    rule: str
    words: tuple[str, ...]
    gave: dict[Facet, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """A prompt, the description made of it, and the reasons."""

    prompt: str
    description: str
    found: dict[Facet, str]  # what the prompt named by itself
    reasons: tuple[Reason, ...]


def check_prompt(text: str, name: str = "prompt") -> None:
    """Refuse what cannot be a prompt; ``name`` is what the message calls it.

    Raises:
        PromptError: empty, no text, or longer than ``MAX_CHARACTERS``.
    """
    if not isinstance(text, str):
        raise PromptError(f"the {name} must be one text, not {text!r:.80}")
    if not text.strip():
        raise PromptError(f'the {name} is empty: say it in words, for example "jazz piano"')
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PromptError(f"the {name} holds bytes that are no text: type it anew") from error
    if len(text) > MAX_CHARACTERS:
        raise PromptError(
            f"the {name} has {len(text)} characters, at most {MAX_CHARACTERS} are read: shorten it"
        )


def enhance(text: str) -> str:
    """A MusicGen-style description that begins with ``text`` and adds what it leaves open.

    Raises:
        PromptError: empty or too long.
    """
    return explain(text).description


def explain(text: str) -> Explanation:
    """What :func:`enhance` makes of ``text``, and why.

    Raises:
        PromptError: empty or too long.
    """
    check_prompt(text)
    fired, found = _read(text)
    additions: dict[Facet, str] = {}
    gave: dict[str, dict[Facet, str]] = {}
    for facet in get_args(Facet):
        if facet in found:
            continue
        givers = [rule for rule in fired if rule.gives(facet)]
        if facet == "instruments":
            shares = _band(givers)
            additions[facet] = _listed(shares.values())
        else:
            additions[facet] = _value(givers[0], facet, text)
            shares = {givers[0]: additions[facet]}
        for rule, share in shares.items():
            gave.setdefault(rule.name, {})[facet] = share
    reasons = tuple(
        Reason(rule.name, fired[rule], gave[rule.name]) for rule in fired if rule.name in gave
    )
    return Explanation(text, _compose(text, additions), found, reasons)


def with_tempo(text: str, bpm: int) -> str:
    """``text`` with this tempo in place of the one it names, or behind it.

    Raises:
        OptionError: outside 20 to 400 beats a minute.
    """
    if not 20 <= bpm <= 400:
        raise OptionError(f"tempo must be from 20 to 400 beats a minute, not {bpm}")
    named, count = with_words(text, f"{bpm} bpm")
    return named if count else f"{text.strip().rstrip('.,;:!')}, {bpm} bpm"


def presets() -> Mapping[str, str]:
    """Prompts to start from, by name."""
    texts: dict[str, str] = _data()["presets"]
    return texts


def _band(givers: list[Rule]) -> dict[Rule, str]:
    """Instruments of the first two rules that have some; two of each if both have."""
    chosen = givers[:2] if givers[1:] and givers[1].words else givers[:1]
    share = MAX_INSTRUMENTS // len(chosen)
    return {rule: ", ".join(rule.instruments[:share]) for rule in chosen}


def _listed(shares: Iterable[str]) -> str:
    """«a, b» and «b, c» to «a, b and c»."""
    names = list(dict.fromkeys(name for share in shares for name in share.split(", ")))
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _value(rule: Rule, facet: Facet, text: str) -> str:
    if facet == "tempo":
        return f"{rule.bpm} bpm"
    if facet == "key":
        # Any key of the mode will do; the text decides, so that it is the same every time.
        keys = _KEYS[rule.mode]
        return f"{keys[zlib.crc32(text.encode()) % len(keys)]} {rule.mode}"
    return str(getattr(rule, facet))


def _compose(text: str, additions: Mapping[Facet, str]) -> str:
    said = [additions[facet] for facet in ("mood", "genre") if facet in additions]
    if "instruments" in additions:
        said.append(f"with {additions['instruments']}")
    # «melancholic electronic music with pads» is one phrase; without a genre there is no noun.
    what = [" ".join(said)] if "genre" in additions else said
    rest = [additions[facet] for facet in ("tempo", "key", "production") if facet in additions]
    head = text.strip().rstrip(".,;:!")
    return ", ".join(filter(None, [head, *what, *rest])) if what or rest else text


def _read(text: str) -> tuple[dict[Rule, tuple[str, ...]], dict[Facet, str]]:
    """The rules that fire with the words that made them, in order; the facets already named."""
    pattern, meanings, rules = _lexicon()
    words: dict[Rule, list[str]] = {}
    found: dict[Facet, str] = {}
    for match in pattern.finditer(text.lower()):
        for meaning in meanings[match[1]]:
            if isinstance(meaning, Rule):
                words.setdefault(meaning, []).append(match[1])
                if meaning.names:
                    found.setdefault(meaning.names, match[1])
            else:
                found.setdefault(meaning, match[1])
    if tempo := words_of(text):
        found["tempo"] = tempo
    if key := _KEY.search(text):
        found["key"] = key[0]
    fired = {rule: tuple(words.get(rule, ())) for rule in rules if rule in words or not rule.words}
    return fired, found


@cache
def _lexicon() -> tuple[re.Pattern[str], dict[str, list[Rule | Facet]], list[Rule]]:
    """One pattern of all known words, longest first so that «haunted house» is not house."""
    data = _data()
    rules = [_rule(entry) for entry in data["rule"]]
    meanings: dict[str, list[Rule | Facet]] = {}
    for rule in rules:
        for word in rule.words:
            meanings.setdefault(word, []).append(rule)
    for facet, vocabulary in data["vocabulary"].items():
        for word in vocabulary:
            meanings.setdefault(word, []).append(facet)
    for rule in rules:
        said: dict[Facet, str] = {
            "mood": rule.mood,
            "genre": rule.genre,
            "production": rule.production,
        }
        for facet, value in said.items():
            if value:
                meanings.setdefault(value.lower(), []).append(facet)
    longest_first = sorted(meanings, key=len, reverse=True)
    alternatives = "|".join(map(re.escape, longest_first))
    return re.compile(rf"(?<!\w)({alternatives})(?:e?s)?(?!\w)"), meanings, rules


def _rule(entry: Mapping[str, Any]) -> Rule:
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
    }
    return Rule(**fields)


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files("cadenza").joinpath("prompting.toml").read_text(encoding="utf-8"))
