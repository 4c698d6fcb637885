"""A session as one page that works from a file: players, waveforms, notes, recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cadenza.pages import filled
from cadenza.studio.roles import role_named
from cadenza.studio.session import Session, Track
from cadenza.types import Audio

COLUMNS = 900  # of a drawn waveform
MIX_COLOUR = "#3d5a80"


def encode(session: Session, mix: Audio, tracks: Mapping[str, Audio]) -> bytes:
    """The content of ``session.html``; the sounds stay beside it."""
    grid = session.grid
    key = f", {session.key}" if session.key else ""
    whole = {
        "name": "mix",
        "facts": f"{session.bus.loudness:g} LUFS, at most {session.bus.ceiling:g} dBTP",
        "colour": MIX_COLOUR,
        "file": "mix.wav",
        "peaks": _peaks(mix),
        "notes": [],
        "faults": session.notes,
        "recipe": None,
    }
    data = {
        "prompt": session.prompt,
        "facts": f"{grid.length}, {grid.tempo:g} bpm{key} · {session.model} · "
        f"seed {session.seed} · Cadenza {session.package}",
        "bars": session.bars,
        "meter": session.meter,
        "seconds": grid.samples / grid.rate,
        "parts": [whole, *(_part(track, tracks[track.name]) for track in session.tracks)],
    }
    return filled("cadenza.studio", data)


def _part(track: Track, audio: Audio) -> dict[str, Any]:
    return {
        "name": track.name,
        "facts": f"{track.prompt} · {track.strip.gain:+.1f} dB, pan {track.strip.pan:+.2f}",
        "colour": role_named(track.role).colour,
        "file": f"tracks/{track.name}.wav",
        "peaks": _peaks(audio),
        "notes": [
            [round(note.start, 4), round(note.end, 4), note.pitch, note.velocity]
            for note in track.notes
        ],
        "faults": track.report.get("faults", ()),
        "recipe": track.recipe,
    }


def _peaks(audio: Audio) -> list[list[float]]:
    """The lowest and the highest value of each column, the loudest of them at full height."""
    columns = np.array_split(audio.samples.mean(axis=0), min(COLUMNS, audio.samples.shape[1]))
    scale = 1 / max(audio.peak, 1e-9)
    return [
        [round(float(part.min()) * scale, 3), round(float(part.max()) * scale, 3)]
        for part in columns
    ]
