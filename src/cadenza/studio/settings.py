"""What a mix is made with: a strip for each track, and the bus they meet in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from cadenza.errors import OptionError

Bounds = dict[str, tuple[float, float]]
_NAMES = {float: "number", str: "text", bool: "yes or no (true, false)"}


@dataclass(frozen=True)
class Strip:
    """How one track sounds in the mix. Gains are in decibels, frequencies in hertz."""

    gain: float = 0.0
    pan: float = 0.0  # -1 is left, 1 right; equal power
    high_pass: float = 0.0  # 12 dB an octave below it; 0 is off
    low: float = 0.0  # gain of everything below low_hz (shelf)
    mid: float = 0.0  # gain around mid_hz (bell, about an octave and a half wide)
    high: float = 0.0  # gain of everything above high_hz (shelf)
    low_hz: float = 150.0
    mid_hz: float = 1000.0
    high_hz: float = 5000.0
    reverb: float = -60.0  # how much is sent to the room; -60 is none
    duck_under: str = ""  # the track whose kick makes this one step back; empty for none
    duck: float = 6.0  # by how much at most
    mute: bool = False
    solo: bool = False  # nothing is heard but what is on solo

    BOUNDS: ClassVar[Bounds] = {
        "gain": (-60, 40),
        "pan": (-1, 1),
        "high_pass": (0, 2000),
        "low": (-24, 24),
        "mid": (-24, 24),
        "high": (-24, 24),
        "low_hz": (20, 1000),
        "mid_hz": (100, 8000),
        "high_hz": (1000, 15_000),
        "reverb": (-60, 6),
        "duck": (0, 24),
    }

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Bus:
    """What happens to the sum of all tracks, and the room that they share."""

    loudness: float = -14.0  # LUFS of the whole mix (BS.1770)
    ceiling: float = -1.0  # dBTP that no peak passes, not even between the samples
    room: float = 1.2  # seconds until the reverb is 60 dB down
    pre_delay: float = 0.015  # seconds before it answers
    damping: float = 0.5  # how much sooner its highs die: 0 is not, 1 at once

    BOUNDS: ClassVar[Bounds] = {
        "loudness": (-40, -5),
        "ceiling": (-20, -1),
        "room": (0.1, 10),
        "pre_delay": (0, 0.2),
        "damping": (0, 1),
    }

    def __post_init__(self) -> None:
        _check(self)


Settings = TypeVar("Settings", Strip, Bus)


def settings_from(kind: type[Settings], fields: object, owner: str) -> Settings:
    """A strip or a bus out of JSON or TOML; what is not said keeps its default.

    Raises:
        OptionError: unknown settings, or values out of bounds; ``owner`` is named.
    """
    known = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(fields, dict) or fields.keys() - known:
        what = sorted(map(str, fields.keys() - known))[0] if isinstance(fields, dict) else fields
        raise OptionError(f"{owner} has no setting {what!r}: there are {', '.join(sorted(known))}")
    try:
        return kind(**fields)
    except OptionError as error:
        raise OptionError(f"{owner}: {error}") from error


def _check(settings: Strip | Bus) -> None:
    for field in dataclasses.fields(settings):
        value, like = getattr(settings, field.name), type(field.default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number if like is float else isinstance(value, like)):
            raise OptionError(f"{field.name} must be a {_NAMES[like]}, not {value!r}")
        if like is float:
            lowest, highest = settings.BOUNDS[field.name]
            if not lowest <= value <= highest:  # which is false for what is not a number, too
                raise OptionError(f"{field.name} must be from {lowest} to {highest}, not {value}")
