"""A session as a DAWproject, which Bitwig Studio, Studio One and Cubase open.

Source: the format's own schema, github.com/bitwig/dawproject: a zip with ``project.xml``,
``metadata.xml`` and the sounds. Every sound is a clip that is warped to the beats, so that it
follows when the tempo is changed. The equalisers go along; the room, the duck and the limiter are
ours and stay behind.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from cadenza.studio.filters import BELL_Q
from cadenza.studio.packing import FIRST_DATE
from cadenza.studio.roles import role_named
from cadenza.studio.session import Session, Track
from cadenza.studio.settings import Strip
from cadenza.types import Audio

VERSION = "1.0"  # of the format
LOUDEST = 2.0  # what a fader is taken to reach, as a factor
DRUM_CHANNEL = 9


def encode(session: Session, tracks: Mapping[str, Path], sounds: Mapping[str, Audio]) -> bytes:
    """The content of a ``.dawproject``.

    Args:
        tracks: the sound file of each track, which is packed in as it is.
        sounds: what is in those files.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in (
            ("project.xml", _xml(_project(session, sounds))),
            ("metadata.xml", _xml(_metadata(session))),
            *((f"audio/{track}.wav", place.read_bytes()) for track, place in tracks.items()),
        ):
            entry = zipfile.ZipInfo(name, FIRST_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, data)
    return content.getvalue()


def _project(session: Session, sounds: Mapping[str, Audio]) -> Element:
    grid = session.grid
    project = Element("Project", version=VERSION)
    SubElement(project, "Application", name="Cadenza", version=session.package)
    transport = SubElement(project, "Transport")
    SubElement(transport, "Tempo", id="tempo", unit="bpm", value=_number(grid.tempo), name="Tempo")
    SubElement(transport, "TimeSignature", id="meter", numerator=str(grid.meter), denominator="4")
    structure = SubElement(project, "Structure")
    arrangement = SubElement(project, "Arrangement", id="arrangement")
    lanes = SubElement(arrangement, "Lanes", id="lanes", timeUnit="beats")
    for number, track in enumerate(session.tracks):
        _audio_track(structure, lanes, number, track, session, sounds[track.name])
    for number, track in enumerate(session.tracks):
        if track.notes:
            _note_track(structure, lanes, number, track, session)
    master = SubElement(
        structure, "Track", id="master", name="Master", contentType="audio notes", loaded="true"
    )
    _channel(master, "master-channel", Strip(), role="master")
    return project


def _audio_track(
    structure: Element, lanes: Element, number: int, track: Track, session: Session, sound: Audio
) -> None:
    colour = role_named(track.role).colour
    own = f"track{number}"
    lane = SubElement(
        structure,
        "Track",
        id=own,
        name=track.name,
        color=colour,
        comment=_printable(track.prompt),
        contentType="audio",
        loaded="true",
    )
    _channel(lane, f"{own}-channel", track.strip, destination="master-channel")
    beats = session.bars * session.meter
    clips = SubElement(_lane(lanes, own), "Clips", id=f"{own}-clips")
    clip = SubElement(
        clips,
        "Clip",
        name=track.name,
        color=colour,
        time="0",
        duration=_number(beats),
        contentTimeUnit="beats",
        playStart="0",
    )
    warps = SubElement(
        clip, "Warps", id=f"{own}-warps", timeUnit="beats", contentTimeUnit="seconds"
    )
    audio = SubElement(
        warps,
        "Audio",
        id=f"{own}-audio",
        algorithm="stretch",
        channels=str(sound.channels),
        sampleRate=str(sound.rate),
        duration=_number(sound.duration),
    )
    SubElement(audio, "File", path=f"audio/{track.name}.wav")
    SubElement(warps, "Warp", time="0", contentTime="0")
    SubElement(warps, "Warp", time=_number(beats), contentTime=_number(sound.duration))


def _note_track(
    structure: Element, lanes: Element, number: int, track: Track, session: Session
) -> None:
    role = role_named(track.role)
    own = f"notes{number}"
    lane = SubElement(
        structure,
        "Track",
        id=own,
        name=f"{track.name} notes",
        color=role.colour,
        contentType="notes",
        loaded="true",
    )
    _channel(lane, f"{own}-channel", Strip(), destination="master-channel")
    clips = SubElement(_lane(lanes, own), "Clips", id=f"{own}-clips")
    beats = _number(session.bars * session.meter)
    clip = SubElement(
        clips, "Clip", name=track.name, color=role.colour, time="0", duration=beats, playStart="0"
    )
    notes = SubElement(clip, "Notes", id=f"{own}-notes")
    beat = 60 / session.grid.tempo
    for note in track.notes:
        SubElement(
            notes,
            "Note",
            time=_number(note.start / beat),
            duration=_number((note.end - note.start) / beat),
            channel=str(0 if role.pitched else DRUM_CHANNEL),
            key=str(note.pitch),
            vel=_number(note.velocity / 127),
        )


def _lane(lanes: Element, track: str) -> Element:
    return SubElement(lanes, "Lanes", id=f"{track}-lanes", track=track)


def _channel(
    track: Element, own: str, strip: Strip, role: str = "regular", destination: str | None = None
) -> None:
    """A channel strip; its parts stand in the order that the schema wants."""
    solo = str(strip.solo).lower()
    channel = SubElement(track, "Channel", id=own, audioChannels="2", role=role, solo=solo)
    if destination:
        channel.set("destination", destination)
    if strip.high_pass or strip.low or strip.mid or strip.high:
        _equaliser(SubElement(channel, "Devices"), own, strip)
    SubElement(channel, "Mute", id=f"{own}-mute", name="Mute", value=str(strip.mute).lower())
    SubElement(
        channel,
        "Pan",
        id=f"{own}-pan",
        name="Pan",
        unit="normalized",
        min="0",
        max="1",
        value=_number((strip.pan + 1) / 2),
    )
    volume = 10 ** (strip.gain / 20)
    SubElement(
        channel,
        "Volume",
        id=f"{own}-volume",
        name="Volume",
        unit="linear",
        min="0",
        max=_number(max(LOUDEST, volume)),
        value=_number(volume),
    )


def _equaliser(devices: Element, own: str, strip: Strip) -> None:
    equaliser = SubElement(
        devices, "Equalizer", id=f"{own}-eq", deviceName="Equalizer", deviceRole="audioFX"
    )
    SubElement(equaliser, "Enabled", id=f"{own}-eq-on", value="true")
    bands = (
        ("highPass", strip.high_pass, 0.0, bool(strip.high_pass)),
        ("lowShelf", strip.low_hz, strip.low, bool(strip.low)),
        ("bell", strip.mid_hz, strip.mid, bool(strip.mid)),
        ("highShelf", strip.high_hz, strip.high, bool(strip.high)),
    )
    for kind, hertz, gain, used in bands:
        if not used:
            continue
        band = SubElement(equaliser, "Band", type=kind)
        SubElement(band, "Freq", id=f"{own}-{kind}-hz", unit="hertz", value=_number(hertz))
        if kind == "highPass":
            continue
        SubElement(band, "Gain", id=f"{own}-{kind}-db", unit="decibel", value=_number(gain))
        if kind == "bell":
            SubElement(band, "Q", id=f"{own}-{kind}-q", unit="linear", value=_number(BELL_Q))


def _metadata(session: Session) -> Element:
    metadata = Element("MetaData")
    SubElement(metadata, "Title").text = _printable(session.prompt)
    SubElement(metadata, "Comment").text = f"Made with Cadenza {session.package}, {session.model}"
    return metadata


def _printable(text: str) -> str:
    """Without what XML has no place for."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _xml(root: Element) -> bytes:
    indent(root)
    return bytes(tostring(root, encoding="UTF-8", xml_declaration=True))


def _number(value: float) -> str:
    """Without a trailing zero, and exact to a tenth of a microsecond."""
    return f"{value:.7f}".rstrip("0").rstrip(".")
