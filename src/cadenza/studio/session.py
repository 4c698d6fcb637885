"""A session: everything of a piece as one value, and as ``session.json``.

No path is ever read from the file: where something lies follows from the names of the tracks.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from cadenza.audio import check_loudness
from cadenza.errors import CadenzaError, OptionError, SessionError
from cadenza.studio.align import Grid
from cadenza.studio.asked import check_tempo
from cadenza.studio.roles import check_tracks, role_named
from cadenza.studio.settings import Bus, Strip, settings_from
from cadenza.types import MAX_SEED, AdapterIdentity, Key, Note, Sampling

FORMAT = 1
HOW = ("together", "layered")
MAX_BARS, MAX_RETRIES, MAX_NOTES = 256, 20, 100_000
MIN_RATE, MAX_RATE = 4000, 192_000
MOST = 1e6  # of a number in a report


@dataclass(frozen=True)
class Track:
    """One instrument of a session."""

    name: str
    role: str
    prompt: str
    level: float  # LUFS that its gain is set for
    strip: Strip
    seed: int | None = None  # of the take that is used; None while there is none
    pinned: bool = False  # a person chose that seed, so it stays whatever is wrong with it
    report: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # what was found and done
    recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of the take
    notes: tuple[Note, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether the take that is used has been found and put on the grid."""
        return self.seed is not None and bool(self.report)


@dataclass(frozen=True)
class Session:
    """What was asked for, what came of it, and how it is mixed."""

    prompt: str
    model: str  # as ``cadenza.load`` finds it
    how: str
    seed: int
    retries: int
    guidance: float
    tempo: float | None  # None until it has been heard, where the prompt does not say
    meter: int
    bars: int
    key: Key | None
    rate: int
    tracks: tuple[Track, ...]
    bus: Bus = dataclasses.field(default_factory=Bus)
    finished: bool = False
    adapters: tuple[AdapterIdentity, ...] = ()  # of the model
    notes: tuple[str, ...] = ()  # what a person should know, in words
    package: str = dataclasses.field(default_factory=lambda: version("cadenza"))
    format: int = FORMAT

    @property
    def grid(self) -> Grid:
        """Where its beats are.

        Raises:
            SessionError: its tempo is not known yet.
        """
        if self.tempo is None:
            raise SessionError("the tempo of the session is not known yet: resume it first")
        return Grid(self.tempo, self.meter, self.bars, self.key, self.rate)

    def track(self, name: str) -> Track:
        """The track of that name.

        Raises:
            OptionError: there is none.
        """
        found = next((track for track in self.tracks if track.name == name), None)
        if found is None:
            there = ", ".join(track.name for track in self.tracks)
            raise OptionError(f"the session has no track {name!r}: there are {there}")
        return found

    def with_track(self, changed: Track) -> Session:
        """The same session with one of its tracks changed."""
        tracks = (changed if track.name == changed.name else track for track in self.tracks)
        return dataclasses.replace(self, tracks=tuple(tracks))

    @property
    def strips(self) -> dict[str, Strip]:
        """How each track is mixed."""
        return {track.name: track.strip for track in self.tracks}

    def check(self) -> None:
        """Refuse what no session can be.

        Raises:
            OptionError: a value out of its bounds.
        """
        # Every track of a session has a prompt of its own, so any instrument will do.
        check_tracks(
            [track.name for track in self.tracks],
            {track.name: track.prompt for track in self.tracks},
        )
        if self.how not in HOW:
            raise OptionError(f"how must be {' or '.join(HOW)}, not {self.how!r}")
        if self.tempo is not None:
            check_tempo(self.tempo)
        Sampling(guidance=self.guidance)
        _whole(self.seed, "the seed", 0, MAX_SEED)
        _whole(self.bars, "bars", 1, MAX_BARS)
        _whole(self.meter, "the meter", 2, 7)
        _whole(self.retries, "retries", 0, MAX_RETRIES)
        _whole(self.rate, "the sampling rate", MIN_RATE, MAX_RATE)
        if not isinstance(self.model, str) or not isinstance(self.prompt, str):
            raise OptionError("the model and the prompt must be texts")
        if not isinstance(self.finished, bool):
            raise OptionError(f"finished must be true or false, not {self.finished!r}")
        for track in self.tracks:
            under = track.strip.duck_under
            if under and under not in {other.name for other in self.tracks}:
                raise OptionError(f"{track.name} ducks under {under!r}, which is not a track")

    def to_json(self) -> str:
        """Readable, in the order of the fields; the beats are listed for other programs."""
        fields = dataclasses.asdict(self)
        fields["key"] = None if self.key is None else str(self.key)
        for entry, track in zip(fields["tracks"], self.tracks, strict=True):
            entry["notes"] = [dataclasses.astuple(note)[:4] for note in track.notes]
        if self.tempo is not None:
            beats = self.bars * self.meter
            fields["beats"] = [round(n * 60 / self.tempo, 6) for n in range(beats)]
        return _compact(json.dumps(fields, ensure_ascii=False, indent=2)) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Session:
        """Read what :meth:`to_json` wrote, or what a person made of it.

        Raises:
            SessionError: it says nonsense; the message says which.
        """
        try:
            fields = json.loads(text)
            # What JSON can hold and no file or page can: half a character, a number without end.
            json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
            return _read(fields)
        except CadenzaError as error:
            raise SessionError(f"session.json cannot be used: {error}") from error
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            RecursionError,
            OverflowError,
        ) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise SessionError(f"session.json is not a session of Cadenza: {reason}") from error


def _read(fields: Any) -> Session:
    if not isinstance(fields, dict):
        raise SessionError("it is not an object")
    if not isinstance(fields["format"], int) or fields["format"] > FORMAT:
        raise SessionError(
            f"it has format {fields['format']!r}, this Cadenza reads up to {FORMAT}: "
            "upgrade it with pip install -U cadenza"
        )
    fields.pop("beats", None)
    fields["tracks"] = tuple(_track(entry) for entry in fields["tracks"])
    fields["bus"] = settings_from(Bus, fields["bus"], "the bus")
    fields["key"] = None if fields["key"] is None else Key.parse(_text(fields, "key"))
    fields["notes"] = tuple(map(str, fields["notes"]))
    adapters = fields.get("adapters", ())
    fields["adapters"] = tuple(AdapterIdentity(**adapter) for adapter in adapters)
    _text(fields, "package")
    session = Session(**fields)
    session.check()
    return session


def _track(entry: Any) -> Track:
    name = _text(entry, "name")
    entry["strip"] = settings_from(Strip, entry["strip"], f"the track {name}")
    if len(entry["notes"]) > MAX_NOTES:
        raise SessionError(f"the track {name} has {len(entry['notes'])} notes, {MAX_NOTES} at most")
    entry["notes"] = tuple(_note(name, *values) for values in entry["notes"])
    track = Track(**entry)
    role_named(track.role)
    _text(entry, "prompt")
    if track.seed is not None:
        _whole(track.seed, f"the seed of {name}", 0, MAX_SEED)
    check_loudness(track.level)
    if not all(isinstance(part, dict) for part in (track.report, track.recipe)):
        raise SessionError(f"the track {name} has a report or a recipe that is none")
    _check_report(track)
    return track


def _check_report(track: Track) -> None:
    """What is told of a report are numbers, and faults in words."""
    said = {"tempo": None, "stretched": 1.0, "tuned": 0.0, "faults": []} | dict(track.report)
    for what in ("tempo", "stretched", "tuned"):
        number = isinstance(said[what], int | float) and abs(said[what]) < MOST
        if not number and (what, said[what]) != ("tempo", None):
            raise SessionError(f"{what} of {track.name} must be a number, not {said[what]!r}")
    if not isinstance(said["faults"], list):
        raise SessionError(f"the faults of {track.name} must be a list, not {said['faults']!r}")


def _note(name: str, start: float, end: float, pitch: int, velocity: int) -> Note:
    if not (0 <= start < end < math.inf and 0 <= pitch <= 127 and 0 <= velocity <= 127):
        raise SessionError(f"the track {name} has a note that is none: {start}, {end}, {pitch}")
    return Note(float(start), float(end), int(pitch), int(velocity))


def _text(entry: Mapping[str, Any], name: str) -> str:
    if not isinstance(entry[name], str):
        raise SessionError(f"{name} must be a text, not {entry[name]!r}")
    return str(entry[name])


def _whole(value: Any, what: str, lowest: int, highest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise OptionError(
            f"{what} must be a whole number from {lowest} to {highest}, not {value!r}"
        )


def _compact(text: str) -> str:
    """Lists of numbers on one line each."""
    return re.sub(r"\[\n\s*([-\d.,\s]+?)\n\s*\]", lambda m: f"[{' '.join(m[1].split())}]", text)
