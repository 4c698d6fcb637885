"""Notes as a Standard MIDI File (format 1): one track an instrument, and the tempo before them."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadenza.errors import MissingPackage, OptionError
from cadenza.files import write_atomically
from cadenza.midi.pitched import INSTALL, BentNote
from cadenza.types import Note

TICKS = 480  # a beat
DRUM_CHANNEL = 9  # in General MIDI, counted from 0
CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
SLOWEST, FASTEST = 4.0, 1000.0  # beats a minute; the format ends at 3.6
BEND_RANGE = 2.0  # semitones that a full bend moves the pitch, in General MIDI
FULL_BEND = 8192


@dataclass(frozen=True)
class Track:
    """One instrument: ``program`` is General MIDI's, from 0; drums have no program of their own."""

    name: str
    notes: Sequence[Note]
    program: int = 0
    drums: bool = False


def write(
    path: str | os.PathLike[str],
    tracks: Sequence[Track],
    tempo: float = 120.0,
    meter: int = 4,
) -> Path:
    """Write a MIDI file, whole or not at all.

    Args:
        tempo: beats a minute, the same throughout; the file begins at a bar line.
        meter: beats a bar.

    Raises:
        OptionError: no track or too many, a tempo, meter, pitch or program that MIDI has not.
        OutputError: it cannot be written there; a file that was there before is kept.
        MissingPackage: mido is not installed.
    """
    return write_atomically(path, encode(tracks, tempo, meter))


def encode(tracks: Sequence[Track], tempo: float = 120.0, meter: int = 4) -> bytes:
    """The content of that file."""
    try:
        import mido
    except ImportError as error:
        raise MissingPackage("mido, which writes MIDI files,", INSTALL) from error

    _check(tracks, tempo, meter)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    head = mido.MidiTrack()
    head.append(mido.MetaMessage("set_tempo", tempo=round(60e6 / tempo)))
    head.append(mido.MetaMessage("time_signature", numerator=meter, denominator=4))
    file.tracks.append(head)
    channels = iter(CHANNELS)
    for track in tracks:
        channel = DRUM_CHANNEL if track.drums else next(channels)
        body = mido.MidiTrack()
        # The format knows no alphabet but Latin-1; a name in another one is spelled with «?».
        name = track.name.encode("latin-1", errors="replace").decode("latin-1")
        body.append(mido.MetaMessage("track_name", name=name))
        if not track.drums:
            body.append(mido.Message("program_change", channel=channel, program=track.program))
        now = 0
        for tick, _, kind, values in _events(track.notes, tempo):
            body.append(mido.Message(kind, channel=channel, time=tick - now, **values))
            now = tick
        file.tracks.append(body)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def check_tempo(tempo: float) -> None:
    """Refuse a tempo that a MIDI file cannot hold, or nobody would play.

    Raises:
        OptionError: outside 4 to 1000 beats a minute.
    """
    if not SLOWEST <= tempo <= FASTEST:
        raise OptionError(f"the tempo must be from {SLOWEST:g} to {FASTEST:g} bpm, not {tempo:g}")


def _check(tracks: Sequence[Track], tempo: float, meter: int) -> None:
    if not tracks:
        raise OptionError("a MIDI file needs a track: give at least one")
    if sum(not track.drums for track in tracks) > len(CHANNELS):
        raise OptionError(
            f"a MIDI file has {len(CHANNELS)} channels beside the drums, not "
            f"{sum(not track.drums for track in tracks)}: write several files"
        )
    check_tempo(tempo)
    if not 1 <= meter <= 32:
        raise OptionError(f"a bar has 1 to 32 beats, not {meter}")
    for track in tracks:
        if not 0 <= track.program <= 127:
            raise OptionError(f"programs go from 0 to 127, {track.name} has {track.program}")
        for note in track.notes:
            if not (0 <= note.pitch <= 127 and 0 <= note.velocity <= 127):
                raise OptionError(f"MIDI has pitches and velocities from 0 to 127, not {note}")


def _events(notes: Iterable[Note], tempo: float) -> list[tuple[int, int, str, dict[str, Any]]]:
    """Tick, rank, kind and values of every message, in the order they are sent.

    Where they meet, what ends comes before what bends, and that before what begins.
    """
    per_second = tempo / 60 * TICKS
    by_pitch: dict[int, list[Note]] = defaultdict(list)
    for note in notes:
        by_pitch[note.pitch].append(note)
    events: list[tuple[int, int, str, dict[str, Any]]] = []
    for pitch, same in by_pitch.items():
        same.sort(key=lambda note: note.start)
        starts = [max(0, round(note.start * per_second)) for note in same]
        # One key is down once: the next note of a pitch ends the one before it.
        limits = [*starts[1:], None]
        for note, start, limit in zip(same, starts, limits, strict=True):
            if start == limit:
                continue
            end = max(start + 1, round(note.end * per_second))
            end = end if limit is None else min(end, limit)
            # A velocity of 0 would be an end.
            events.append((start, 2, "note_on", {"note": pitch, "velocity": note.velocity or 1}))
            events.append((end, 0, "note_off", {"note": pitch}))
            if isinstance(note, BentNote) and note.bend:
                events += _bends(note.bend, start, end)
    return sorted(events, key=lambda event: event[:2])


def _bends(
    bend: Sequence[float], start: int, end: int
) -> list[tuple[int, int, str, dict[str, Any]]]:
    """The wheel from the start of a note to its end, and back to the middle."""
    events: list[tuple[int, int, str, dict[str, Any]]] = []
    last = 0
    for index, semitones in enumerate(bend):
        wheel = round(max(-1.0, min(1.0, semitones / BEND_RANGE)) * FULL_BEND)
        wheel = min(wheel, FULL_BEND - 1)
        if wheel != last:
            tick = start + (end - start) * index // len(bend)
            events.append((tick, 1, "pitchwheel", {"pitch": wheel}))
            last = wheel
    if last:
        events.append((end, 1, "pitchwheel", {"pitch": 0}))
    return events
