"""A band: one piece out of tracks that a model plays each by itself.

All that is made is kept in the session's folder at once, and what is to be done next follows from
what lies there. So a session whose process was killed goes on where it stopped, and ends with the
same bits as one that ran through.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from cadenza import audio as sound
from cadenza.audio import LOUDEST_LUFS, QUIETEST_LUFS
from cadenza.errors import OptionError, SessionError
from cadenza.prompting import check_prompt
from cadenza.request import new_seed
from cadenza.studio.asked import asked, check_length
from cadenza.studio.course import Course
from cadenza.studio.finishing import balanced, mix_session, with_notes
from cadenza.studio.folder import Folder
from cadenza.studio.mix import level_of
from cadenza.studio.packing import opened
from cadenza.studio.player import Player
from cadenza.studio.roles import check_tracks, prompt_for, role_of
from cadenza.studio.session import Session, Track
from cadenza.studio.trying import Tries, seconds_of_a_take
from cadenza.types import AdapterIdentity, Progress, Say

TAKES, TRACKS, NOTES = 0.85, 0.9, 0.95  # how far a band is when it has them


def plan(
    prompt: str,
    tracks: Sequence[str],
    *,
    model: str = "nano",
    rate: int = 32_000,
    adapters: tuple[AdapterIdentity, ...] = (),
    prompts: Mapping[str, str] | None = None,
    how: str = "together",
    bars: int = 8,
    seed: int | None = None,
    retries: int = 2,
    guidance: float = 3.0,
    duck: bool = False,
) -> Session:
    """What a band is going to play, before a note of it is made.

    Args:
        tracks: instruments, each a track; a second of the same is called «guitar 2».
        model: the name by which it is loaded.
        rate: of the model's sound, in hertz.
        adapters: that are in it.
        prompts: of single tracks, in place of the ones that the rules make.
        how: ``together`` (all in one batch) or ``layered`` (one after the other, each hearing
            what is there).
        bars: the length.
        retries: how often a track is made again that cannot be brought onto the grid.
        duck: let the bass step back under the kick.

    Raises:
        PromptError: a prompt that is empty or too long.
        OptionError: an option out of range, or tracks that make no band.
    """
    check_prompt(prompt)
    own = dict(prompts or {})
    check_tracks(tracks, own)
    wanted = asked(prompt)
    made = []
    for name in tracks:
        role = role_of(name)
        words = own[name] if name in own else prompt_for(name, wanted)
        check_prompt(words, f"prompt of {name}")
        made.append(Track(name, role.name, words, role.level, role.strip))
    session = Session(
        prompt=prompt,
        model=model,
        how=how,
        seed=new_seed() if seed is None else seed,
        retries=retries,
        guidance=guidance,
        tempo=wanted.tempo,
        meter=wanted.meter,
        bars=bars,
        key=wanted.key,
        rate=rate,
        tracks=tuple(_ducked(made) if duck else made),
        adapters=adapters,
    )
    session.check()
    check_length(bars, seconds_of_a_take(session))
    return session


def band(
    player: Player,
    prompt: str,
    tracks: Sequence[str],
    folder: str | os.PathLike[str],
    *,
    force: bool = False,
    progress: Progress | None = None,
    say: Say | None = None,
    **options: Any,
) -> Session:
    """Make a band's session in ``folder``; ``options`` are those of :func:`plan`.

    Args:
        progress: is told how much is done; it never goes back.
        say: is told what is being done, in words.

    Raises:
        CadenzaError: see :func:`plan`, :meth:`Folder.begin` and :func:`resume`.
    """
    options |= {"model": player.name, "rate": player.rate, "adapters": player.identity.adapters}
    session = plan(prompt, tracks, **options)
    begun = Folder.begin(folder, session, force)
    return resume(player, begun.path, progress=progress, say=say)


def resume(
    player: Player,
    folder: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Session:
    """Go on with a session that was begun, to its end; a finished one is mixed again.

    Args:
        folder: or ``.zip``, here as in :func:`remake`.
        progress, say: as for :func:`band`.

    Raises:
        SessionError: there is none, or it is damaged.
        OptionError: another model than the session's.
        CadenzaError: as for :meth:`cadenza.Model.generate_batch`.
    """
    with opened(folder) as place:
        return _to_its_end(player, place, Course(progress, say))


def _to_its_end(player: Player, place: Folder, course: Course) -> Session:
    session = place.load()
    _check_player(session, player)
    tries = Tries(player, place, session, course, TAKES)
    tries.make_all()
    session = tries.session
    course.about("putting the tracks in time")
    course.at(TAKES)
    for track in session.tracks:
        if not track.settled:
            session = session.with_track(_settled(track, tries, place))
            place.save(session)
    course.about("writing down the notes")
    course.at(TRACKS)
    session = with_notes(session, place, place.read_tracks(session))
    place.save(replace(session, finished=True))
    course.about("mixing")
    course.at(NOTES)
    session = mix_session(place)
    course.at(1)
    return session


def remake(
    player: Player,
    folder: str | os.PathLike[str],
    track: str,
    *,
    seed: int | None = None,
    prompt: str | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Session:
    """Make one track of a finished session again and keep the others; it stays as loud as it was.

    Its earlier takes stay in the folder. ``progress`` and ``say`` are as for :func:`band`.

    Raises:
        SessionError: there is no session, or it is damaged or not finished.
        OptionError: no such track, or another model than the session's.
        CadenzaError: as for :meth:`cadenza.Model.generate_batch`.
    """
    with opened(folder) as place:
        begun = _to_make_again(place, player, track, seed, prompt)
        place.midi(track).unlink(missing_ok=True)
        place.save(begun)
        return _to_its_end(player, place, Course(progress, say))


def _to_make_again(
    place: Folder, player: Player, track: str, seed: int | None, prompt: str | None
) -> Session:
    session = place.load()
    old = session.track(track)
    if not session.finished:
        raise SessionError(f"{place.path} is not finished: go on with cadenza resume {place.path}")
    _check_player(session, player)
    if prompt is not None:
        check_prompt(prompt, f"prompt of {track}")
    seed = new_seed() if seed is None else seed
    words = old.prompt if prompt is None else prompt
    if place.take(track, seed).exists() and place.recipe(track, seed).prompt != words:
        raise OptionError(f"{track} has a take of seed {seed} for another prompt: choose another")
    # Before its fader, for one that is far down leaves nothing to measure.
    measured = level_of(place.read_tracks(session)[track], replace(old.strip, gain=0.0))
    level = min(max(measured + old.strip.gain, QUIETEST_LUFS), LOUDEST_LUFS)
    changed = replace(
        old,
        prompt=words,
        level=round(level, 2) if math.isfinite(measured) else old.level,
        seed=seed,
        pinned=True,
        report={},
    )
    begun = replace(session.with_track(changed), finished=False)
    begun.check()
    return begun


def _settled(track: Track, tries: Tries, place: Folder) -> Track:
    """The track with the best of its takes, which is written onto the grid."""
    seed, audio, alignment = tries.best(track)
    sound.write(audio, place.track(track.name), "wav24")
    stored = sound.read(place.track(track.name))
    found = {**asdict(alignment), "tries": tries.count(track)}
    recipe = asdict(place.recipe(track.name, seed))
    return balanced(replace(track, seed=seed, report=found, recipe=recipe), stored)


def _ducked(tracks: Sequence[Track]) -> list[Track]:
    """Every bass under the first drums, if there are both."""
    drums = [track.name for track in tracks if track.role == "drums"]
    return [
        replace(track, strip=replace(track.strip, duck_under=drums[0]))
        if drums and track.role == "bass"
        else track
        for track in tracks
    ]


def _check_player(session: Session, player: Player) -> None:
    if (session.model, session.rate) != (player.name, player.rate):
        raise OptionError(
            f"the session was made with {session.model} at {session.rate} Hz, this is "
            f"{player.name} at {player.rate} Hz: load the same model"
        )
    if session.adapters != player.identity.adapters:
        named = ", ".join(f"{a.path}={a.weight:g}" for a in session.adapters) or "none"
        raise OptionError(f"the session was made with other adapters: load it with {named}")
