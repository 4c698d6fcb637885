"""A session as a project of Reaper: plain text that points at the files beside it.

Source: projects as Reaper itself writes them; what is left out takes Reaper's defaults.
"""

from __future__ import annotations

from collections.abc import Iterator

from cadenza.studio.roles import role_named
from cadenza.studio.session import Session, Track

CUSTOM_COLOUR = 0x1000000  # flag: this colour and not the theme's


def encode(session: Session) -> bytes:
    """The content of an ``.rpp``."""
    grid = session.grid
    lines = [
        '<REAPER_PROJECT 0.1 "7.0" 0',
        f"  SAMPLERATE {grid.rate} 1 0",
        f"  TEMPO {grid.tempo:.10g} {grid.meter} 4",
        f"  TITLE {_quoted(session.prompt)}",
    ]
    for track in session.tracks:
        lines += _track(track, session, track.name, f'WAVE\n        FILE "tracks/{track.name}.wav"')
    for track in session.tracks:
        if track.notes:
            source = f'MIDI\n        FILE "midi/{track.name}.mid"'
            lines += _track(track, session, f"{track.name} notes", source, sounding=False)
    return ("\n".join([*lines, ">"]) + "\n").encode()


def _track(
    track: Track, session: Session, name: str, source: str, sounding: bool = True
) -> Iterator[str]:
    strip, grid = track.strip, session.grid
    volume = 10 ** (strip.gain / 20) if sounding else 1.0
    seconds = grid.samples / grid.rate
    yield "  <TRACK"
    yield f'    NAME "{name}"'
    yield f"    PEAKCOL {_colour(role_named(track.role).colour)}"
    yield f"    VOLPAN {volume:.8f} {strip.pan if sounding else 0:.6f} -1 -1 1"
    yield f"    MUTESOLO {int(strip.mute and sounding)} {int(strip.solo and sounding)} 0"
    yield "    NCHAN 2"
    yield "    <ITEM"
    yield "      POSITION 0"
    yield f"      LENGTH {seconds:.10f}"
    yield "      LOOP 0"
    yield f'      NAME "{name}"'
    yield f"      <SOURCE {source}"
    yield "      >"
    yield "    >"
    yield "  >"


def _colour(colour: str) -> int:
    """``#rrggbb`` as Reaper keeps it: blue, green, red."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return CUSTOM_COLOUR | blue << 16 | green << 8 | red


def _quoted(text: str) -> str:
    """In the kind of quotes that the text itself does not hold; one line."""
    text = " ".join(text.split())
    quote = next((mark for mark in "\"'`" if mark not in text), "`")
    return f"{quote}{text.replace('`', chr(39)) if quote == '`' else text}{quote}"
