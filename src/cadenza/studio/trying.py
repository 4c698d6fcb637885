"""Takes for the tracks of a session, made until each fits or its retries are used up.

What is to be made next follows from the session and the takes in its folder alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cadenza import audio as sound
from cadenza.beats import analyse
from cadenza.beats.tonality import best_key
from cadenza.request import GenerateRequest
from cadenza.studio.align import Alignment, align
from cadenza.studio.countin import count_in
from cadenza.studio.course import Course
from cadenza.studio.folder import Folder
from cadenza.studio.player import Player
from cadenza.studio.roles import role_named
from cadenza.studio.session import Session, Track
from cadenza.types import MAX_SEED, Audio

SPARE = 1.06  # of the length, for what stretching takes away
UNKNOWN = 100.0  # beats a minute that lengths are reckoned with until the tempo is known
NO_PULSE = 120.0  # the tempo of the grid where no take has one


def seconds_of_a_take(session: Session) -> float:
    """How long each take of a session has to be."""
    bar = session.meter * 60 / (session.tempo or UNKNOWN)
    return SPARE * (session.bars + 1) * bar


class Tries:
    """The takes of one session, those in its folder and those still to be made."""

    def __init__(
        self, player: Player, folder: Folder, session: Session, course: Course, share: float
    ) -> None:
        """``share`` is what all takes are of the whole ``course``."""
        self.session = session
        self._player, self._folder, self._course, self._all = player, folder, course, share
        self._heard: dict[tuple[str, int], Alignment] = {}
        self._open = [track for track in session.tracks if not track.settled]

    def make_all(self) -> None:
        """Make what is missing; the session then has a tempo and a key."""
        groups = [[track] for track in self._open]
        if self.session.how == "together" and groups:
            groups = [self._open]
        for group in groups:
            while wanted := self._next(group):
                self._make(wanted)

    def best(self, track: Track) -> tuple[int, Audio, Alignment]:
        """The seed of the take of a track that fits best, on the grid, and what was done to it."""
        seed = min(self._made(track), key=lambda seed: self._alignment(track, seed).penalty)
        return seed, *self._align(track, seed)

    def count(self, track: Track) -> int:
        """How many takes of a track there are."""
        return len(self._made(track))

    def _next(self, group: Sequence[Track]) -> list[tuple[Track, int]]:
        """The tracks that need another take, and its seed."""
        first = [(track, self._seeds(track)[0]) for track in group if not self._made(track)]
        if first:
            return first
        self._course.about(f"listening to {_listed(track.name for track in group)}")
        if self.session.tempo is None or self.session.key is None:
            self._settle_grid(group)
        again = []
        for track in group:
            made, seeds = self._made(track), self._seeds(track)
            fits = any(self._alignment(track, seed).ok for seed in made)
            if not fits and len(made) < len(seeds):
                again.append((track, seeds[len(made)]))
        return again

    def _seeds(self, track: Track) -> list[int]:
        """Of all takes that a track may have, in order."""
        if track.pinned and track.seed is not None:
            return [track.seed]
        session = self.session
        number = [other.name for other in session.tracks].index(track.name)
        tries = range(session.retries + 1)
        return [(session.seed + number + n * len(session.tracks)) % (MAX_SEED + 1) for n in tries]

    def _made(self, track: Track) -> list[int]:
        seeds = self._seeds(track)
        return [seed for seed in seeds if self._folder.take(track.name, seed).exists()]

    def _make(self, wanted: Sequence[tuple[Track, int]]) -> None:
        requests = [self._request(track, seed) for track, seed in wanted]
        before = sum(self._share(track) for track in self._open)
        step = sum(1 / len(self._seeds(track)) for track, _ in wanted)

        def share(done: int, total: int) -> None:
            self._course.at(self._all * (before + step * done / total) / len(self._open))

        self._course.about(self._words(wanted))
        takes = self._player.generate_batch(requests, share)
        for (track, seed), take in zip(wanted, takes, strict=True):
            self._folder.keep_take(track.name, seed, take)

    def _share(self, track: Track) -> float:
        """How much of the takes that a track may need is done; all, once one of them fits."""
        heard = (one for (name, _), one in self._heard.items() if name == track.name)
        if any(one.ok for one in heard):
            return 1.0
        return len(self._made(track)) / len(self._seeds(track))

    def _words(self, wanted: Sequence[tuple[Track, int]]) -> str:
        """What is going to be played: «drums and bass again, take 2 of 3»."""
        takes: dict[tuple[int, int], list[str]] = {}
        for track, seed in wanted:
            seeds = self._seeds(track)
            takes.setdefault((seeds.index(seed) + 1, len(seeds)), []).append(track.name)
        return "; ".join(
            f"{_listed(names)} again, take {number} of {most}"
            if number > 1
            else f"playing {_listed(names)}"
            for (number, most), names in takes.items()
        )

    def _request(self, track: Track, seed: int) -> GenerateRequest:
        session = self.session
        context: dict[str, Any] = self._context(track) if session.how == "layered" else {}
        return GenerateRequest(
            track.prompt,
            duration=seconds_of_a_take(session),
            seed=seed,
            guidance=session.guidance,
            **context,
        )

    def _context(self, track: Track) -> dict[str, Any]:
        """What a track of a layered band hears: the tune so far, or a count-in."""
        session = self.session
        if self._player.family != "melody":
            if session.tempo is None:
                return {}
            place = self._folder.path / "takes" / "count-in.wav"
            sound.write(count_in(session.tempo, session.meter, session.rate), place, "wavfloat")
            return {"beginning": str(place)}
        names = [other.name for other in session.tracks]
        earlier = session.tracks[: names.index(track.name)]
        pitched = [other for other in earlier if role_named(other.role).pitched]
        if not pitched:
            return {}
        tune = sum(self.best(other)[1].samples.mean(axis=0) for other in pitched)
        place = self._folder.path / "takes" / f"before {track.name}.wav"
        sound.write(Audio(np.asarray(tune, np.float32)[None], session.rate), place, "wavfloat")
        return {"melody": str(place)}

    def _read(self, track: Track, seed: int) -> Audio:
        """A take as it was made, less the count-in that it went on from."""
        audio = sound.read(self._folder.take(track.name, seed))
        if self._folder.recipe(track.name, seed).continued is None or self.session.tempo is None:
            return audio
        counted = count_in(self.session.tempo, self.session.meter, self.session.rate)
        return Audio(np.ascontiguousarray(audio.samples[:, counted.samples.shape[1] :]), audio.rate)

    def _align(self, track: Track, seed: int) -> tuple[Audio, Alignment]:
        pitched = role_named(track.role).pitched
        return align(self._read(track, seed), self.session.grid, pitched)

    def _alignment(self, track: Track, seed: int) -> Alignment:
        if (track.name, seed) not in self._heard:
            self._heard[track.name, seed] = self._align(track, seed)[1]
        return self._heard[track.name, seed]

    def _settle_grid(self, group: Sequence[Track]) -> None:
        """Tempo and key where the prompt says none: of the clearest take, of all pitches."""
        session = self.session
        heard = {
            track.name: analyse(self._read(track, self._made(track)[0]), session.tempo)
            for track in group
        }
        said = []
        if session.tempo is None:
            clearest = max(heard, key=lambda name: heard[name].clarity)
            tempo = heard[clearest].tempo
            said.append(
                f"tempo: {'as in ' + clearest if tempo else 'no pulse was heard in any take'}"
            )
            tempo = round(tempo or NO_PULSE, 2)
            shortest = min(analysis.duration for analysis in heard.values())
            bars = int(shortest / (session.meter * 60 / tempo)) - 1
            bars = max(1, min(session.bars, bars))
            if bars < session.bars:
                said.append(f"{bars} of {session.bars} bars: the takes hold no more at that tempo")
            session = replace(session, tempo=tempo, bars=bars)
        if session.key is None:
            pitched = [t.name for t in group if role_named(t.role).pitched]
            chroma = sum((np.array(heard[name].chroma) for name in pitched), np.zeros(12))
            if chroma.any():
                said.append(f"key: as heard in {', '.join(pitched)}")
                session = replace(session, key=best_key(chroma))
        self.session = replace(session, notes=(*session.notes, *said))
        self._folder.save(self.session)


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
