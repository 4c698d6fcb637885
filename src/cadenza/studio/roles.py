"""The roles of a band, out of ``roles.toml``: how a track is asked for and how it is mixed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from cadenza.errors import OptionError
from cadenza.studio.asked import Asked
from cadenza.studio.settings import Strip, settings_from

MAX_TRACKS = 12
OTHER = "other"
_NAME = re.compile(r"[a-z0-9][a-z0-9 -]{0,39}")  # becomes the name of a file


@dataclass(frozen=True)
class Role:
    """One entry of the data file."""

    name: str
    instruments: tuple[str, ...]
    prompt: str
    pitched: bool
    program: int  # General MIDI, from 0
    colour: str
    level: float  # LUFS
    strip: Strip


def role_of(track: str) -> Role:
    """The role of a track by its name; a number behind it («guitar 2») does not matter."""
    name = re.sub(r" \d+$", "", track)
    roles = _roles()
    return next((r for r in roles.values() if name in r.instruments), roles[OTHER])


def role_named(name: str) -> Role:
    """The role itself.

    Raises:
        OptionError: there is none of that name.
    """
    if name not in _roles():
        raise OptionError(f"there is no role {name!r}: choose {', '.join(_roles())}")
    return _roles()[name]


def check_tracks(tracks: Sequence[str], prompts: Mapping[str, str]) -> None:
    """Refuse a list of tracks that makes no band.

    Raises:
        OptionError: none or too many, one twice, an instrument that is not known and has no prompt
            of its own, a prompt for a track that is not there.
    """
    if not 1 <= len(tracks) <= MAX_TRACKS:
        raise OptionError(f"a band has 1 to {MAX_TRACKS} tracks, not {len(tracks)}")
    for track in tracks:
        if not _NAME.fullmatch(track):
            raise OptionError(
                f"{track!r} is no name for a track: use small letters, digits, spaces and hyphens"
            )
        if tracks.count(track) > 1:
            raise OptionError(f"{track} is there twice: call the second one «{track} 2»")
        if role_of(track).name == OTHER and track not in prompts:
            known = ", ".join(r.instruments[0] for r in _roles().values() if r.instruments)
            raise OptionError(
                f"{track} is not an instrument known here ({known} and their like are): "
                f'give it a prompt of its own, "{track}=…"'
            )
    for track in prompts:
        if track not in tracks:
            raise OptionError(f"there is a prompt for {track!r}, which is not one of the tracks")


def prompt_for(track: str, asked: Asked) -> str:
    """The common prompt as one track is asked for, by the rule of its role."""
    role = role_of(track)
    said = {
        "instrument": re.sub(r" \d+$", "", track),
        "style": _without(asked.style, _data()["drop"]),
        "tempo": f"{asked.tempo:g} bpm" if asked.tempo else "",
        "key": str(asked.key) if asked.key and role.pitched else "",
    }
    parts = (part.format_map(said).strip() for part in role.prompt.split(", "))
    return ", ".join(filter(None, parts))


def _without(text: str, words: Sequence[str]) -> str:
    """``text`` less ``words`` as whole words, the longest first."""
    longest_first = sorted(words, key=len, reverse=True)
    left = re.sub(rf"\b({'|'.join(map(re.escape, longest_first))})\b", "", text, flags=re.I)
    parts = (" ".join(part.split()) for part in left.split(","))
    return ", ".join(filter(None, parts))


@cache
def _roles() -> dict[str, Role]:
    return {entry["name"]: _role(entry) for entry in _data()["role"]}


def _role(entry: Mapping[str, Any]) -> Role:
    strip = settings_from(Strip, entry["strip"], f"the role {entry['name']}")
    return Role(**{**entry, "instruments": tuple(entry["instruments"]), "strip": strip})


@cache
def _data() -> dict[str, Any]:
    place = files("cadenza.studio").joinpath("roles.toml")
    return tomllib.loads(place.read_text(encoding="utf-8"))
