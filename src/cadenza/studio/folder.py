"""Where the parts of a session lie, and the rule that nothing is lost.

::

    session.json          what it is made of; written first and last
    takes/piano-7.wav     every take that was made, as the model played it, with its recipe
    tracks/piano.wav      the take that is used, on the grid: 24 bit, all of equal length
    stems/piano.wav       what the track is of the mix; all stems add up to it (float)
    midi/piano.mid        its notes
    mix.wav               the mix, 24 bit
    session.dawproject    for Bitwig, Studio One, Cubase
    session.rpp           for Reaper
    session.html          to look at and to listen to
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cadenza import audio as sound
from cadenza.errors import AudioError, OutputError, RecipeError, SessionError
from cadenza.files import check_place, write_atomically
from cadenza.studio.session import Session
from cadenza.take import Take, read_recipe
from cadenza.types import Audio, Recipe

MAX_BYTES = 50_000_000  # of a session.json
PARTS = ("takes", "tracks", "stems", "midi")
FILES = ("session.json", "mix.wav", "session.dawproject", "session.rpp", "session.html")


@dataclass(frozen=True)
class Folder:
    """A session on disk."""

    path: Path

    @classmethod
    def begin(cls, path: str | os.PathLike[str], session: Session, force: bool = False) -> Folder:
        """Make the folder and write down what is going to be made.

        Args:
            force: take the place of another session, whose files are removed, and nothing else.

        Raises:
            SessionError: something is there already.
            OutputError: it cannot be written there.
        """
        folder = cls(Path(os.path.realpath(path)))
        folder.check_free(force)
        folder._remove_session()
        try:
            for part in PARTS:
                (folder.path / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {folder.path}: {error.strerror or error}") from error
        folder.save(session)
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Folder:
        """A session that is there, finished or not.

        Raises:
            SessionError: there is none.
        """
        folder = cls(Path(os.path.realpath(path)))
        if not (folder.path / "session.json").is_file():
            raise SessionError(f"{path} holds no session.json: give a session's folder or .zip")
        return folder

    def check_free(self, force: bool) -> None:
        """Refuse a place where something is, unless by ``force``; a file is never replaced.

        Raises:
            SessionError: the message says what is there.
            OutputError: nothing can be written there.
        """
        there = next(place for place in (self.path, *self.path.parents) if os.path.exists(place))
        if there == self.path and not there.is_dir():
            raise SessionError(f"{self.path} is a file: choose a folder for the session")
        check_place(there / "session.json")
        if there == self.path and any(there.iterdir()) and not force:
            raise self._in_the_way()

    def load(self) -> Session:
        """What is written down.

        Raises:
            SessionError: it is damaged or says nonsense.
        """
        place = self.path / "session.json"
        try:
            if place.stat().st_size > MAX_BYTES:
                raise SessionError(f"{place} is too large to be a session")
            text = place.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SessionError(f"{place} cannot be read: {error}") from error
        return Session.from_json(text)

    def save(self, session: Session) -> None:
        """Write the session down, whole or not at all."""
        write_atomically(self.path / "session.json", session.to_json().encode())

    def take(self, track: str, seed: int) -> Path:
        return self.path / "takes" / f"{track}-{seed}.wav"

    def track(self, track: str) -> Path:
        return self.path / "tracks" / f"{track}.wav"

    def stem(self, track: str) -> Path:
        return self.path / "stems" / f"{track}.wav"

    def midi(self, track: str) -> Path:
        return self.path / "midi" / f"{track}.mid"

    @property
    def mix(self) -> Path:
        return self.path / "mix.wav"

    def keep_take(self, track: str, seed: int, take: Take) -> None:
        """Store a take as it was made, bit for bit."""
        take.save(self.take(track, seed), "wavfloat")

    def recipe(self, track: str, seed: int) -> Recipe:
        """How a take was made.

        Raises:
            SessionError: it is gone or has lost its recipe.
        """
        try:
            return read_recipe(self.take(track, seed))
        except RecipeError as error:
            raise SessionError(f"a take of the session cannot be used: {error}") from error

    def read_tracks(self, session: Session) -> dict[str, Audio]:
        """The sound of all tracks, of equal rate and length.

        Raises:
            SessionError: one is gone, or is not what the session says.
        """
        return {track.name: self._read_track(track.name, session) for track in session.tracks}

    def _read_track(self, name: str, session: Session) -> Audio:
        try:
            audio = sound.read(self.track(name))
        except AudioError as error:
            raise SessionError(
                f"the track {name} of the session cannot be read: {error}"
            ) from error
        grid = session.grid
        if (audio.rate, audio.samples.shape[1]) != (grid.rate, grid.samples) or audio.channels > 2:
            raise SessionError(
                f"{self.track(name)} has {audio.channels} channels of {audio.samples.shape[1]} "
                f"samples at {audio.rate} Hz; the session has {grid.samples} at {grid.rate} Hz"
            )
        return audio

    def _in_the_way(self) -> SessionError:
        if not (self.path / "session.json").is_file():
            return SessionError(f"{self.path} is not empty: choose another place, or use --force")
        if self.load().finished:
            return SessionError(
                f"{self.path} holds a finished session: choose another place, or use --force"
            )
        return SessionError(
            f"{self.path} holds a session that was not finished: go on with "
            f"cadenza resume {self.path}, or begin anew with --force"
        )

    def _remove_session(self) -> None:
        """Only what a session consists of, and only where there is one."""
        if not (self.path / "session.json").is_file():
            return
        for part in (self.path / name for name in PARTS):
            for place in () if part.is_symlink() else part.glob("*"):
                if place.suffix in (".wav", ".mid", ".part") and place.is_file():
                    place.unlink()
