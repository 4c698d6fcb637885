"""From the tracks of a session to its mix, and to what other programs open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from cadenza import audio as sound
from cadenza.errors import MissingPackage
from cadenza.files import write_atomically
from cadenza.midi import Track as MidiTrack
from cadenza.midi import encode as encode_midi
from cadenza.midi import transcribe, transcribe_drums
from cadenza.studio import dawproject, page, reaper
from cadenza.studio.folder import Folder
from cadenza.studio.mix import level_of, mix, stem
from cadenza.studio.roles import role_named
from cadenza.studio.session import Session, Track
from cadenza.studio.settings import Strip
from cadenza.tags import Tags
from cadenza.types import Audio, Note

NO_MIDI = "no MIDI: "
LOUDEST, QUIETEST = 40.0, -60.0  # decibels that a strip can give


def mix_session(folder: Folder) -> Session:
    """Mix the tracks of a session as ``session.json`` says; the same file gives the same bits.

    ``mix.wav``, the stems and the files for other programs are written anew.

    Raises:
        SessionError: the session is not finished, damaged, or lacks a track.
        OutputError: it cannot be written.
    """
    session = folder.load()
    tracks = folder.read_tracks(session)
    mixed = mix(tracks, session.strips, session.bus)
    for name in tracks:
        made = stem(name, tracks, session.strips, session.bus, mixed)
        sound.write(made, folder.stem(name), "wavfloat")
    tags = Tags(title=session.prompt[:100], software=f"Cadenza {session.package}")
    sound.write(mixed.audio, folder.mix, "wav24", tags)
    places = {name: folder.track(name) for name in tracks}
    write_atomically(folder.path / "session.dawproject", dawproject.encode(session, places, tracks))
    write_atomically(folder.path / "session.rpp", reaper.encode(session))
    write_atomically(folder.path / "session.html", page.encode(session, mixed.audio, tracks))
    return session


def remix(folder: Folder, strips: Mapping[str, Strip]) -> Session:
    """Mix a session with other settings of its mixer, which are written down in it.

    Args:
        strips: by track; the others stay as they are.

    Raises:
        OptionError: no such track, or settings that do not go together.
        SessionError, OutputError: as for :func:`mix_session`.
    """
    session = folder.load()
    for name, strip in strips.items():
        session = session.with_track(replace(session.track(name), strip=strip))
    session.check()
    folder.save(session)
    return mix_session(folder)


def balanced(track: Track, audio: Audio) -> Track:
    """The track with its gain set so that it is as loud as its level; silence keeps its gain."""
    level = level_of(audio, replace(track.strip, gain=0.0))
    if not math.isfinite(level):
        return track
    gain = round(min(max(track.level - level, QUIETEST), LOUDEST), 1)
    return replace(track, strip=replace(track.strip, gain=gain))


def with_notes(session: Session, folder: Folder, tracks: dict[str, Audio]) -> Session:
    """Transcribe the tracks that have no MIDI file yet, and write one for each.

    The session is written down before each file, so that there is none whose notes it lacks. What
    is not installed is noted in the session and leaves it without notes.
    """
    for track in session.tracks:
        if folder.midi(track.name).exists():
            continue
        role = role_named(track.role)
        try:
            notes = _notes(tracks[track.name], role.pitched)
            whole = MidiTrack(track.name, notes, role.program, drums=not role.pitched)
            content = encode_midi([whole], session.grid.tempo, session.meter)
        except MissingPackage as error:
            said = tuple(note for note in session.notes if not note.startswith(NO_MIDI))
            session = replace(session, notes=(*said, f"{NO_MIDI}{error}"))
            continue
        session = session.with_track(replace(track, notes=tuple(notes)))
        folder.save(session)
        write_atomically(folder.midi(track.name), content)
    if all(folder.midi(track.name).exists() for track in session.tracks):
        said = tuple(note for note in session.notes if not note.startswith(NO_MIDI))
        session = replace(session, notes=said)
    return session


def _notes(audio: Audio, pitched: bool) -> list[Note]:
    if audio.peak < sound.SILENCE:
        return []
    return transcribe(audio) if pitched else transcribe_drums(audio)
