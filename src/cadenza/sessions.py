"""A session made again from the recipes of its takes, beside what lies in its folder."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cadenza import audio as sound
from cadenza.errors import AudioError, SessionError
from cadenza.model import Model
from cadenza.recipes import load_for, verify
from cadenza.studio.course import Course
from cadenza.studio.finishing import mix_session
from cadenza.studio.folder import Folder
from cadenza.studio.packing import readable
from cadenza.studio.trying import Tries
from cadenza.take import read_recipe
from cadenza.types import Progress


@dataclass(frozen=True)
class Comparison:
    """What is the same when it is made again, by track."""

    takes: dict[str, bool]  # every one of the codes
    tracks: dict[str, bool]  # the take on the grid, every sample, as all that follow
    stems: dict[str, bool]
    mix: bool

    @property
    def different(self) -> tuple[str, ...]:
        """What is not, in words."""
        parts = {"take": self.takes, "track": self.tracks, "stem": self.stems}
        named = [f"the {kind} {name}" for kind, part in parts.items() for name in part]
        same = [one for part in parts.values() for one in part.values()]
        found = zip([*named, "the mix"], [*same, self.mix], strict=True)
        return tuple(name for name, is_same in found if not is_same)

    @property
    def same(self) -> bool:
        return not self.different


def session_around(path: str | os.PathLike[str]) -> Path | None:
    """The session that ``path`` is, folder or ``.zip``, or that its file is made of takes of.

    ``None`` for anything else, a single take of a session included: it has a recipe of its own.
    """
    place = Path(os.path.realpath(path))
    if place.suffix == ".zip" or (place / "session.json").is_file():
        return place
    for folder in (place.parent, place.parent.parent):
        made = {folder / "mix.wav"} | {folder / part / place.name for part in ("tracks", "stems")}
        if place in made and (folder / "session.json").is_file():
            return folder
    return None


def verify_session(
    path: str | os.PathLike[str],
    *,
    model: Model | None = None,
    offline: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Play the takes of a session again, put them onto the grid, mix them, and compare.

    The session itself is only read.

    Args:
        path: its folder or ``.zip``.
        model: the session's, where it is loaded already.
        offline: never ask the hub for it.

    Raises:
        SessionError: there is none, or it is damaged or not finished.
        RecipeError: a take or its recipe is gone, or its model or a sound that it needs is, or is
            another now.
        CadenzaError: the model cannot be loaded, or not on the device of the recipes.
    """
    with readable(path) as folder, tempfile.TemporaryDirectory() as scratch:
        session = folder.load()
        seeds = {track.name: track.seed for track in session.tracks if track.seed is not None}
        if not session.finished or len(seeds) < len(session.tracks):
            raise SessionError(f"{path} is not finished: go on with cadenza resume {path}")
        copy = Folder.begin(Path(scratch) / "session", session)
        places = {name: folder.take(name, seed) for name, seed in seeds.items()}
        one = read_recipe(next(iter(places.values())))
        player = model or load_for(one, Path(os.path.realpath(path)).parent, offline)
        takes = {}
        for number, (name, place) in enumerate(places.items()):

            def share(done: int, total: int, number: int = number) -> None:
                if progress is not None:
                    progress(number * total + done, len(places) * total)

            made = verify(place, model=player, progress=share)
            takes[name] = made.same
            copy.keep_take(name, seeds[name], made.take)
        tries = Tries(player, copy, session, Course(), share=1.0)
        for track in session.tracks:
            sound.write(tries.best(track)[1], copy.track(track.name), "wav24")
        mix_session(copy)
        return Comparison(
            takes,
            tracks={name: _same(folder.track(name), copy.track(name)) for name in takes},
            stems={name: _same(folder.stem(name), copy.stem(name)) for name in takes},
            mix=_same(folder.mix, copy.mix),
        )


def _same(one: Path, other: Path) -> bool:
    """Whether two files hold the same samples; a file that is gone is another."""
    try:
        first, second = sound.read(one), sound.read(other)
    except AudioError:
        return False
    return first.rate == second.rate and np.array_equal(first.samples, second.samples)
