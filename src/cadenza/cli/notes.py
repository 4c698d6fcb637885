"""``cadenza midi``."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cadenza.cli import options as o
from cadenza.cli import showing
from cadenza.errors import OptionError

if TYPE_CHECKING:
    from cadenza.beats import Analysis
    from cadenza.types import Audio

SUFFIXES = (".mid", ".midi")
DEFAULT_TEMPO = 120.0  # MIDI's own, where no pulse is heard
DRUMS = re.compile(r"drums?([ _-]?\d+)?")  # the name of a file; «no_drums» are none
VALUES = (4, 8, 12, 16, 24, 32)  # notes a whole; 12 and 24 are triplets


def midi(
    files: Annotated[
        list[Path],
        typer.Argument(help="A sound, or several: each becomes a track with the file's name."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The MIDI file.", show_default="FILE.mid"),
    ] = None,
    drums: Annotated[
        bool | None,
        typer.Option(
            "--drums/--no-drums",
            help="Whether they are drums: kick, snare and hat.",
            show_default="those in a file called drums",
        ),
    ] = None,
    tempo: Annotated[
        float | None,
        typer.Option(help="Beats a minute.", show_default="as it is heard"),
    ] = None,
    quantise: Annotated[
        int | None,
        typer.Option(help=f"Move notes to the grid of {', '.join(map(str, VALUES))}ths of a bar."),
    ] = None,
    onset_threshold: Annotated[
        float, typer.Option(help="How sure it has to be that a note begins, 0 to 1.")
    ] = 0.6,
    frame_threshold: Annotated[float, typer.Option(help="How sure that it goes on, 0 to 1.")] = 0.5,
    lowest: Annotated[str, typer.Option(help="The lowest note, a name or a number.")] = "A0",
    highest: Annotated[str, typer.Option(help="The highest note.")] = "C8",
    min_length: Annotated[float, typer.Option(help="Drop notes shorter than this, ms.")] = 58.0,
    pitch_bend: Annotated[
        bool, typer.Option("--pitch-bend", help="Follow how notes that sound alone are bent.")
    ] = False,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw the notes over the spectrogram, too, as a .png.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Write down the notes of a sound as a MIDI file."""
    from cadenza.audio import check_audible, read
    from cadenza.files import check_place, write_atomically
    from cadenza.midi import (
        Track,
        check_tempo,
        from_bar_one,
        pitch_of,
        program_of,
        transcribe,
        transcribe_drums,
        write,
    )
    from cadenza.midi import quantise as to_grid

    place = output or Path(f"{files[0].stem}{SUFFIXES[0]}")
    if place.suffix.lower() not in SUFFIXES:
        raise OptionError(f"{place.name} is not a MIDI file: end it with {SUFFIXES[0]}")
    if quantise is not None and quantise not in VALUES:
        raise OptionError(f"{quantise} is no note value: choose {', '.join(map(str, VALUES))}")
    if tempo is not None:
        check_tempo(tempo)
    picture = place.with_suffix(".png")
    for target in (place, picture) if plot else (place,):
        check_place(target)
    sounds = [read(file) for file in files]
    for file, sound in zip(files, sounds, strict=True):
        check_audible(sound, str(file))

    tracks = []
    for file, sound in zip(files, sounds, strict=True):
        called_so = DRUMS.fullmatch(file.stem.lower()) is not None
        is_drums = called_so if drums is None else drums
        if is_drums:
            notes = transcribe_drums(sound)
        else:
            with showing.progress(f"listening to {file.name}", as_json) as progress:
                notes = transcribe(
                    sound,
                    onset_threshold=onset_threshold,
                    frame_threshold=frame_threshold,
                    lowest=pitch_of(lowest),
                    highest=pitch_of(highest),
                    min_length=min_length / 1000,
                    pitch_bend=pitch_bend,
                    progress=progress,
                )
        tracks.append(Track(file.stem, notes, program_of(file.stem), is_drums))
    if plot:
        from cadenza.show import Roll, piano_roll

        rolls = [
            Roll(track.name, sound, track.notes, track.drums)
            for track, sound in zip(tracks, sounds, strict=True)
        ]
        write_atomically(picture, piano_roll(rolls))

    heard = _clearest(sounds, tempo)
    speed = tempo or heard.tempo or DEFAULT_TEMPO
    if quantise is not None:
        downbeat = next(iter(heard.downbeats), 0.0)
        tracks = [
            dataclasses.replace(
                track,
                notes=to_grid(track.notes, speed, downbeat=downbeat, division=quantise // 4),
            )
            for track in tracks
        ]
        tracks = from_bar_one(tracks, speed, downbeat=downbeat, meter=heard.meter)
    write(place, tracks, speed, heard.meter)
    if as_json:
        found = [{"name": track.name, "notes": len(track.notes)} for track in tracks]
        print(json.dumps({"file": str(place), "tempo": speed, "tracks": found}))
        return
    for track in tracks:
        print(f"{track.name}: {len(track.notes)} notes")
    print(f"{place}, {speed:.1f} bpm")


def _clearest(sounds: list[Audio], tempo: float | None) -> Analysis:
    """What is heard of the sound with the clearest pulse."""
    from cadenza.beats import analyse

    return max((analyse(sound, tempo) for sound in sounds), key=lambda heard: heard.clarity)
