"""What a session is for other programs: DAWproject, Reaper, a page; all read back."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import mido
import numpy as np
import pytest
import soundfile

from cadenza import audio as sound
from cadenza.errors import OptionError
from cadenza.midi import Track as MidiTrack
from cadenza.midi import write as write_midi
from cadenza.studio import page
from cadenza.studio.band import plan
from cadenza.studio.finishing import balanced, mix_session, remix
from cadenza.studio.folder import Folder
from cadenza.studio.roles import role_named
from cadenza.studio.session import Session
from cadenza.studio.settings import Bus, Strip
from cadenza.types import Audio, Note
from tests.sounds import sine

RATE = 32_000
PROMPT = 'A "quoted" </script><b>jazz</b> & more, 96.5 bpm, Eb minor'
NOTES = (Note(0.0, 0.5, 60, 100), Note(0.621762, 1.25, 67, 1), Note(2.0, 4.5, 36, 127))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A finished session of three tones, one of them in stereo."""
    session = plan(PROMPT, ["piano", "bass", "drums"], bars=2, seed=1, duck=True)
    place = Folder.begin(tmp_path_factory.mktemp("export") / "a session", session)
    length = session.grid.samples
    for number, track in enumerate(session.tracks):
        tone = sine(10.0, RATE, 110 * 3**number, 0.4, channels=1 + number % 2)
        audio = Audio(tone.samples[:, :length], RATE)
        sound.write(audio, place.track(track.name), "wav24")
        role = role_named(track.role)
        notes = NOTES if track.name != "bass" else ()
        midi = MidiTrack(track.name, NOTES, role.program, drums=not role.pitched)
        write_midi(place.midi(track.name), [midi], 96.5, 4)
        found = {"tempo": 97.0, "faults": ["it plays <i>out of tune</i>"], "tries": 1}
        changed = replace(balanced(track, audio), seed=number, report=found, notes=notes)
        session = session.with_track(changed)
    place.save(replace(session, finished=True))
    mix_session(place)
    return place


@pytest.fixture(scope="module")
def session(folder: Folder) -> Session:
    return folder.load()


# ── DAWproject ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Rule:
    """What the schema says of an element: children in their order, attributes by kind."""

    children: tuple[str, ...] = ()  # «?» at most one, «*» any number, none exactly one
    required: dict[str, str] = field(default_factory=dict)
    optional: dict[str, str] = field(default_factory=dict)


NAMED = {"name": "text", "color": "colour", "comment": "text"}
OWN = {**NAMED, "id": "id"}
TIMELINE = {**OWN, "timeUnit": "beats|seconds", "track": "reference"}
REAL = Rule((), {"unit": "unit"}, {**OWN, "min": "number", "max": "number", "value": "number"})
BOOL = Rule((), {}, {**OWN, "value": "true|false"})
CONTENT = ("Lanes", "Clips", "Notes", "Warps", "Audio")
RULES = {
    "Project": Rule(
        ("Application", "Transport?", "Structure?", "Arrangement?", "Scenes?"), {"version": "text"}
    ),
    "Application": Rule((), {"name": "text", "version": "text"}),
    "Transport": Rule(("Tempo?", "TimeSignature?")),
    "Tempo": REAL,
    "TimeSignature": Rule((), {"numerator": "whole", "denominator": "whole"}, OWN),
    "Structure": Rule(("Track*",)),
    "Track": Rule(
        ("Channel?", "Track*"), {}, {**OWN, "contentType": "list", "loaded": "true|false"}
    ),
    "Channel": Rule(
        ("Devices?", "Mute?", "Pan?", "Sends?", "Volume?"),
        {},
        {
            **OWN,
            "audioChannels": "whole",
            "destination": "reference",
            "role": "regular|master|effect|submix|vca",
            "solo": "true|false",
        },
    ),
    "Devices": Rule(("Equalizer*",)),
    "Equalizer": Rule(
        ("Enabled?", "Band*", "InputGain?", "OutputGain?"),
        {"deviceName": "text", "deviceRole": "instrument|noteFX|audioFX|analyzer"},
        OWN,
    ),
    "Band": Rule(
        ("Freq", "Gain?", "Q?", "Enabled?"),
        {"type": "highPass|lowPass|bandPass|highShelf|lowShelf|bell|notch"},
        {"order": "whole"},
    ),
    **dict.fromkeys(("Freq", "Gain", "Q", "Pan", "Volume"), REAL),
    **dict.fromkeys(("Enabled", "Mute"), BOOL),
    "Arrangement": Rule(("Lanes?",), {}, OWN),
    "Lanes": Rule(tuple(f"{name}*" for name in CONTENT), {}, TIMELINE),
    "Clips": Rule(("Clip*",), {}, TIMELINE),
    "Clip": Rule(
        tuple(f"{name}?" for name in CONTENT),
        {"time": "number"},
        {**NAMED, "duration": "number", "contentTimeUnit": "beats|seconds", "playStart": "number"},
    ),
    "Warps": Rule(("Audio", "Warp*"), {"contentTimeUnit": "beats|seconds"}, TIMELINE),
    "Warp": Rule((), {"time": "number", "contentTime": "number"}),
    "Audio": Rule(
        ("File",),
        {"channels": "whole", "sampleRate": "whole", "duration": "number"},
        {**TIMELINE, "algorithm": "text"},
    ),
    "File": Rule((), {"path": "text"}, {"external": "true|false"}),
    "Notes": Rule(("Note*",), {}, TIMELINE),
    "Note": Rule(
        (),
        {"time": "number", "duration": "number", "channel": "whole", "key": "whole"},
        {"vel": "number", "rel": "number"},
    ),
    "MetaData": Rule(("Title?", "Comment?")),
    **dict.fromkeys(("Title", "Comment"), Rule()),
}
KINDS = {
    "text": r".*",
    "colour": r"#[0-9a-f]{6}",
    "id": r"[A-Za-z_][\w.-]*",
    "reference": r"[A-Za-z_][\w.-]*",
    "number": r"-?\d+(\.\d+)?",
    "whole": r"\d+",
    "unit": "linear|normalized|percent|decibel|hertz|semitones|seconds|beats|bpm",
    "list": r"(audio|automation|notes|video|markers|tracks)( (audio|notes))*",
}


def violations(element: ElementTree.Element) -> Iterator[str]:
    """What in ``element`` breaks the rules of the schema."""
    rule = RULES.get(element.tag)
    if rule is None:
        yield f"no element {element.tag}"
        return
    kinds = {**rule.required, **rule.optional}
    for name in rule.required.keys() - element.keys():
        yield f"{element.tag} has no {name}"
    for name, value in element.items():
        if name not in kinds:
            yield f"{element.tag} knows no {name}"
        elif not re.fullmatch(KINDS.get(kinds[name], kinds[name]), value, re.DOTALL):
            yield f"{element.tag} {name}={value}"
    order = [child.rstrip("?*") for child in rule.children]
    tags = [child.tag for child in element]
    if any(tag not in order for tag in tags):
        yield f"{element.tag} holds {tags}"
        return
    if [order.index(tag) for tag in tags] != sorted(order.index(tag) for tag in tags):
        yield f"{element.tag} has its children in the order {tags}"
    for child in rule.children:
        count = tags.count(child.rstrip("?*"))
        if (child[-1] == "?" and count > 1) or (child[-1] not in "?*" and count != 1):
            yield f"{element.tag} has {count} {child}"
    for part in element:
        yield from violations(part)


@pytest.fixture(scope="module")
def packed(folder: Folder) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO((folder.path / "session.dawproject").read_bytes()))


@pytest.fixture(scope="module")
def project(packed: zipfile.ZipFile) -> ElementTree.Element:
    return ElementTree.fromstring(packed.read("project.xml"))


def test_the_dawproject_keeps_the_rules_of_its_schema(
    packed: zipfile.ZipFile, project: ElementTree.Element
) -> None:
    assert list(violations(project)) == []
    assert list(violations(ElementTree.fromstring(packed.read("metadata.xml")))) == []
    ids = [element.get("id") for element in project.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in project.iter():
        for name in ("track", "destination"):
            assert element.get(name) is None or element.get(name) in ids
    assert set(packed.namelist()) == {
        *("project.xml", "metadata.xml", "audio/piano.wav", "audio/bass.wav", "audio/drums.wav")
    }


def test_the_rules_notice_what_is_wrong(project: ElementTree.Element) -> None:
    """A checker that cannot fail would prove nothing."""

    def broken(path: str, change: Any) -> list[str]:
        copy = ElementTree.fromstring(ElementTree.tostring(project))
        found = copy.find(path)
        assert found is not None
        change(found)
        return list(violations(copy))

    assert broken(".//Volume", lambda e: e.attrib.pop("unit"))
    assert broken(".//Volume", lambda e: e.set("value", "loud"))
    assert broken(".//Channel", lambda e: e.append(e[0]))
    assert broken(".//Warps", lambda e: e.remove(e[0]))
    assert broken(".//Clip", lambda e: e.set("wobble", "1"))
    assert broken(".//Structure", lambda e: e.append(ElementTree.Element("Bass")))


def test_the_dawproject_holds_the_session(
    packed: zipfile.ZipFile, project: ElementTree.Element, session: Session, folder: Folder
) -> None:
    tempo = project.find("Transport/Tempo")
    assert tempo is not None and float(tempo.get("value", "")) == 96.5
    lanes = {track.get("id"): track for track in project.iterfind("Structure/Track")}
    by_name = {lane.get("name"): lane for lane in lanes.values()}
    assert list(by_name) == ["piano", "bass", "drums", "piano notes", "drums notes", "Master"]
    beats = session.bars * session.meter
    for track in session.tracks:
        lane = by_name[track.name]
        assert lane.get("color") == role_named(track.role).colour
        assert lane.get("comment") == track.prompt
        volume, pan = lane.find("Channel/Volume"), lane.find("Channel/Pan")
        assert volume is not None and pan is not None
        decibels = 20 * np.log10(float(volume.get("value", "")))
        assert decibels == pytest.approx(track.strip.gain, abs=0.001)
        assert 2 * float(pan.get("value", "")) - 1 == pytest.approx(track.strip.pan, abs=1e-6)
        [content] = [e for e in project.iter("Lanes") if e.get("track") == lane.get("id")]
        [clip] = content.iter("Clip")
        assert float(clip.get("time", "")) == 0 and float(clip.get("duration", "")) == beats
        [audio] = content.iter("Audio")
        [file] = content.iter("File")
        stored = packed.read(file.get("path", ""))
        assert stored == folder.track(track.name).read_bytes()
        facts = soundfile.info(io.BytesIO(stored))
        assert facts.channels == int(audio.get("channels", ""))
        assert facts.samplerate == int(audio.get("sampleRate", ""))
        assert facts.duration == pytest.approx(float(audio.get("duration", "")), abs=1e-6)
        last = list(content.iter("Warp"))[-1]
        assert float(last.get("time", "")) == beats
        assert float(last.get("contentTime", "")) == pytest.approx(facts.duration, abs=1e-6)
    piano = by_name["piano notes"].get("id")
    [content] = [e for e in project.iter("Lanes") if e.get("track") == piano]
    beat = 60 / 96.5
    back = [
        Note(
            float(note.get("time", "")) * beat,
            (float(note.get("time", "")) + float(note.get("duration", ""))) * beat,
            int(note.get("key", "")),
            round(127 * float(note.get("vel", ""))),
        )
        for note in content.iter("Note")
    ]
    for ours, theirs in zip(NOTES, back, strict=True):
        assert (ours.pitch, ours.velocity) == (theirs.pitch, theirs.velocity)
        assert theirs.start == pytest.approx(ours.start, abs=1e-6)
        assert theirs.end == pytest.approx(ours.end, abs=1e-6)


def test_the_equaliser_goes_along(project: ElementTree.Element, session: Session) -> None:
    strip = session.track("drums").strip
    [lane] = [e for e in project.iter("Track") if e.get("name") == "drums"]
    bands = {
        band.get("type"): {part.tag: float(part.get("value", "")) for part in band}
        for band in lane.iter("Band")
    }
    assert bands == {
        "highPass": {"Freq": strip.high_pass},
        "bell": {"Freq": strip.mid_hz, "Gain": strip.mid, "Q": 0.9},
        "highShelf": {"Freq": strip.high_hz, "Gain": strip.high},
    }


# ── Reaper ──────────────────────────────────────────────────────────────────────────────────────


def parse_rpp(lines: Iterator[str]) -> list[Any]:
    """Nested lists of words, as the format nests ``<`` and ``>``."""
    parts: list[Any] = []
    for line in lines:
        line = line.strip()
        if line == ">":
            return parts
        words = shlex.split(line.removeprefix("<"))
        parts.append((words, parse_rpp(lines)) if line.startswith("<") else (words, None))
    return parts


def test_the_reaper_project_holds_the_session(folder: Folder, session: Session) -> None:
    text = (folder.path / "session.rpp").read_text()
    [(head, body)] = parse_rpp(iter(text.splitlines()))
    assert head[0] == "REAPER_PROJECT"
    settings = {words[0]: words[1:] for words, _ in body}
    assert settings["TEMPO"] == ["96.5", "4", "4"] and settings["SAMPLERATE"][0] == str(RATE)
    tracks = [inside for words, inside in body if words[0] == "TRACK"]
    assert len(tracks) == 5  # three with sound, two with notes
    for track, inside in zip(session.tracks, tracks, strict=False):
        facts = {words[0]: words[1:] for words, _ in inside}
        assert facts["NAME"] == [track.name]
        volume, pan = float(facts["VOLPAN"][0]), float(facts["VOLPAN"][1])
        assert 20 * np.log10(volume) == pytest.approx(track.strip.gain, abs=0.001)
        assert pan == pytest.approx(track.strip.pan)
        colour = int(facts["PEAKCOL"][0])
        red, green, blue = colour & 255, colour >> 8 & 255, colour >> 16 & 255
        assert f"#{red:02x}{green:02x}{blue:02x}" == role_named(track.role).colour
        [item] = [part for words, part in inside if words[0] == "ITEM"]
        [length] = [float(words[1]) for words, _ in item if words[0] == "LENGTH"]
        [source] = [part for words, part in item if words[0] == "SOURCE"]
        file = soundfile.info(folder.path / source[0][0][1])
        assert length == pytest.approx(file.duration, abs=1e-9)
    for inside in tracks[3:]:
        [item] = [part for words, part in inside if words[0] == "ITEM"]
        [source] = [part for words, part in item if words[0] == "SOURCE"]
        assert mido.MidiFile(folder.path / source[0][0][1]).length > 4


# ── Another mix ─────────────────────────────────────────────────────────────────────────────────

SETTINGS = {
    "piano": Strip(gain=-9.5, pan=-0.6, solo=True),
    "bass": Strip(gain=3.0, pan=0.25),
    "drums": Strip(gain=-1.0, pan=1.0, solo=True),
    "strings": Strip(gain=2.0, mute=True, solo=True),
}


@pytest.fixture
def remixed(folder: Folder, tmp_path: Path) -> Folder:
    copied = Folder(Path(shutil.copytree(folder.path, tmp_path / "session")))
    session = copied.load()
    fourth = replace(session.track("bass"), name="strings")
    shutil.copy(copied.track("bass"), copied.track("strings"))
    quiet = Bus(loudness=-40)  # so that nothing is limited
    copied.save(replace(session, bus=quiet, tracks=(*session.tracks, fourth)))
    remix(copied, SETTINGS)
    return copied


def test_a_remix_is_the_sum_of_its_tracks(remixed: Folder) -> None:
    assert remixed.load().strips == SETTINGS
    expected = np.zeros((2, remixed.load().grid.samples))
    for name in ("piano", "drums"):  # strings are muted, and the bass is beside a solo
        strip, track = SETTINGS[name], sound.read(remixed.track(name)).samples
        angle = np.pi / 4 * (strip.pan + 1)
        sides = np.sqrt(2) * np.array([[np.cos(angle)], [np.sin(angle)]])
        expected += 10 ** (strip.gain / 20) * sides * track
    heard = sound.read(remixed.mix).samples.astype(np.float64)
    expected *= np.sum(heard * expected) / np.sum(expected**2)  # the bus makes it as loud as asked
    np.testing.assert_allclose(heard, expected, atol=2**-22)
    assert np.abs(heard).max() > 0.005


def test_a_remix_goes_along_to_other_programs(remixed: Folder) -> None:
    with zipfile.ZipFile(remixed.path / "session.dawproject") as packed:
        project = ElementTree.fromstring(packed.read("project.xml"))
    assert list(violations(project)) == []
    text = (remixed.path / "session.rpp").read_text()
    [(_, body)] = parse_rpp(iter(text.splitlines()))
    reaper = {
        facts["NAME"][0]: facts
        for facts in ({w[0]: w[1:] for w, _ in inside} for words, inside in body if inside)
    }
    for name, strip in SETTINGS.items():
        [channel] = [t[0] for t in project.iter("Track") if t.get("name") == name]
        set_to = {part.tag: part.get("value", "") for part in channel}
        assert 20 * np.log10(float(set_to["Volume"])) == pytest.approx(strip.gain, abs=0.001)
        assert 2 * float(set_to["Pan"]) - 1 == pytest.approx(strip.pan, abs=1e-6)
        assert (set_to["Mute"] == "true", channel.get("solo") == "true") == (strip.mute, strip.solo)
        volume, pan = map(float, reaper[name]["VOLPAN"][:2])
        assert 20 * np.log10(volume) == pytest.approx(strip.gain, abs=0.001)
        assert pan == pytest.approx(strip.pan)
        assert reaper[name]["MUTESOLO"] == [str(int(strip.mute)), str(int(strip.solo)), "0"]


def test_a_remix_of_what_is_not_there_changes_nothing(remixed: Folder) -> None:
    before = (remixed.path / "session.json").read_bytes()
    for strips, words in (
        ({"tuba": Strip()}, "no track 'tuba'"),
        ({"bass": Strip(duck_under="tuba")}, "under 'tuba'"),
    ):
        with pytest.raises(OptionError, match=words):
            remix(remixed, strips)
    assert (remixed.path / "session.json").read_bytes() == before


# ── The page ────────────────────────────────────────────────────────────────────────────────────


def test_the_page_works_from_a_file(folder: Folder, session: Session, tmp_path: Path) -> None:
    """In a real browser: all is drawn, everything plays, and texts stay texts."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox"]
            )
        except api.Error as error:
            pytest.skip(f"no Chromium: {error}")
        view = browser.new_page(viewport={"width": 900, "height": 800})
        said: list[str] = []
        view.on("console", lambda message: said.append(message.text))
        view.on("pageerror", lambda error: said.append(str(error)))
        view.on(
            "request",
            lambda request: said.append(request.url) if request.url[:4] != "file" else None,
        )
        view.goto((folder.path / "session.html").as_uri())
        view.wait_for_function(
            "[...document.querySelectorAll('audio')].every(a => a.readyState >= 1)", timeout=20_000
        )
        lengths = view.evaluate("[...document.querySelectorAll('audio')].map(a => a.duration)")
        seconds = session.grid.samples / RATE
        assert lengths == pytest.approx([seconds] * 4, abs=0.01)
        assert view.inner_text("h1") == PROMPT  # nothing of it was taken for markup
        assert view.locator("b, i").count() == 0
        assert view.locator("canvas.wave").count() == 4 and view.locator("canvas.roll").count() == 2
        drawn = view.evaluate(
            "[...document.querySelectorAll('canvas')].map(c => c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data.some(v => v))"
        )
        assert all(drawn)
        view.locator("canvas.wave").first.click(position={"x": 200, "y": 20})
        assert 0.1 < view.evaluate("document.querySelector('audio').currentTime") < seconds
        browser.close()
    assert said == []


def test_the_page_shows_true_peaks(session: Session) -> None:
    tone = sine(session.grid.samples / RATE, RATE, peak=0.25)
    tracks = dict.fromkeys((track.name for track in session.tracks), tone)
    text = page.encode(session, tone, tracks).decode()
    assert '"peaks": [[-1.0, 1.0]' in text or '"peaks": [[-1.0, 0.99' in text
    assert "</script><b>" not in text
