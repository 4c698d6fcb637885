"""Bands and their sessions: what is made is whole, says the truth, and survives being killed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import cadenza
from cadenza.audio import read, write
from cadenza.errors import CadenzaError, OptionError, PromptError, SessionError
from cadenza.files import write_atomically
from cadenza.model import Model
from cadenza.studio.band import band, plan, remake, resume
from cadenza.studio.countin import count_in
from cadenza.studio.finishing import mix_session
from cadenza.studio.folder import Folder
from cadenza.studio.mix import level_of
from cadenza.studio.session import Session
from cadenza.types import Audio
from tests.sounds import sine

PROMPT = "late-night jazz trio, 110 bpm, F minor"
TRACKS = ["piano", "bass", "drums"]
QUICK: dict[str, Any] = {"bars": 1, "seed": 7, "retries": 1}


@pytest.fixture(scope="module")
def tiny(tiny_text: Path) -> Model:
    return cadenza.load(tiny_text, backend="torch")


@pytest.fixture(scope="module")
def made(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished session, which no test may change."""
    folder = tmp_path_factory.mktemp("sessions") / "whole"
    band(tiny, PROMPT, TRACKS, folder, **QUICK)
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """A finished session of one's own."""
    for place in made.rglob("*"):
        if place.is_file():
            target = tmp_path / "session" / place.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(place.read_bytes())
    return tmp_path / "session"


def digests(folder: Path, pattern: str = "**/*.wav") -> dict[str, str]:
    return {
        str(place.relative_to(folder)): hashlib.sha256(place.read_bytes()).hexdigest()
        for place in sorted(folder.glob(pattern))
        if place.is_file()
    }


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    place = folder / "session.json"
    fields = json.loads(place.read_text())
    change(fields)
    place.write_text(json.dumps(fields))


# ── What a band is asked to play ────────────────────────────────────────────────────────────────


def test_each_track_has_a_prompt_by_visible_rules() -> None:
    session = plan(PROMPT, [*TRACKS, "theremin"], prompts={"theremin": "a wobbly theremin"})
    assert [track.prompt for track in session.tracks] == [
        "solo piano, late-night jazz, 110 bpm, F minor",
        "solo bass, bass line alone, late-night jazz, 110 bpm, F minor",
        "solo drums, drum groove alone, late-night jazz, 110 bpm",  # no key
        "a wobbly theremin",
    ]
    assert (session.tempo, str(session.key), session.meter) == (110.0, "F minor", 4)
    assert plan("a slow waltz", ["piano"]).meter == 3
    assert [plan(f"jazz in {n}/4", ["piano"]).meter for n in (2, 5, 7)] == [2, 5, 7]
    assert plan("rock in 6/8, from 24/4/1999", ["piano"]).meter == 4


@pytest.mark.parametrize(
    ("tracks", "options", "kind", "words"),
    [
        ([], {}, OptionError, "1 to 12 tracks, not 0"),
        (["piano"] * 40, {}, OptionError, "1 to 12 tracks, not 40"),
        (
            ["piano", "piano"],
            {},
            OptionError,
            "piano is there twice: call the second one «piano 2»",
        ),
        (["kazoo"], {}, OptionError, "kazoo is not an instrument known here"),
        (["../../etc"], {}, OptionError, "no name for a track"),
        (["Piano"], {}, OptionError, "no name for a track"),
        (["piano"], {"prompts": {"bass": "x"}}, OptionError, "'bass', which is not one of"),
        (["piano"], {"prompts": {"piano": " "}}, PromptError, "the prompt of piano is empty"),
        (["piano"], {"bars": 0}, OptionError, "bars must be a whole number from 1 to 256, not 0"),
        (["piano"], {"retries": -1}, OptionError, "retries"),
        (["piano"], {"seed": -1}, OptionError, "the seed"),
        (["piano"], {"how": "apart"}, OptionError, "together or layered, not 'apart'"),
        (["piano"], {"prompt": "piano, 900 bpm"}, OptionError, "from 40 to 240 bpm, not 900"),
        (["piano"], {"prompt": ""}, PromptError, "the prompt is empty"),
        (
            ["piano"],
            {"prompt": "ambient, 60 bpm", "bars": 160},
            OptionError,
            "160 bars at this tempo need 683 s of playing, and a piece has 600 s at most",
        ),
    ],
)
def test_what_makes_no_band_is_refused_before_anything_is_made(
    tiny: Model,
    tmp_path: Path,
    tracks: list[str],
    options: dict[str, Any],
    kind: type[CadenzaError],
    words: str,
) -> None:
    with pytest.raises(kind, match=words):
        band(tiny, options.pop("prompt", PROMPT), tracks, tmp_path / "session", **options)
    assert not (tmp_path / "session").exists()


# ── What is made ────────────────────────────────────────────────────────────────────────────────


def test_all_is_there_and_of_one_length(tiny: Model, made: Path) -> None:
    session = Folder.open(made).load()
    length = round(4 * 60 / 110 * session.rate)
    assert session.finished and session.grid.samples == length
    for name in TRACKS:
        with soundfile.SoundFile(made / "tracks" / f"{name}.wav") as file:
            assert (file.subtype, file.frames, file.samplerate) == ("PCM_24", length, session.rate)
        track = session.track(name)
        assert track.seed in (7, 8, 9, 10, 11, 12)
        assert track.report["tries"] in (1, 2)
        taken = cadenza.verify(made / "takes" / f"{name}-{track.seed}.wav", model=tiny)
        assert taken.same and taken.recipe.prompt == track.prompt == track.recipe["prompt"]
    assert read(made / "mix.wav").samples.shape == (2, length)
    assert len(json.loads((made / "session.json").read_text())["beats"]) == 4


def test_stems_add_up_to_the_mix(made: Path) -> None:
    total = sum(read(made / "stems" / f"{name}.wav").samples for name in TRACKS)
    assert np.abs(total - read(made / "mix.wav").samples).max() < 2**-22  # 24 bits


def test_tracks_that_fail_are_made_again_and_the_best_is_kept(made: Path) -> None:
    """The tiny model plays noise: nothing fits, nothing crashes, and the report says so."""
    session = Folder.open(made).load()
    for track in session.tracks:
        takes = list((made / "takes").glob(f"{track.name}-*.wav"))
        assert len(takes) == track.report["tries"] == (2 if track.report["faults"] else 1)
    assert any(track.report["faults"] for track in session.tracks)


def test_the_same_seed_makes_the_same_session(tiny: Model, made: Path, tmp_path: Path) -> None:
    band(tiny, PROMPT, TRACKS, tmp_path / "again", **QUICK)
    assert digests(tmp_path / "again") == digests(made)


def test_a_band_without_midi_is_finished_and_written_down_later(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``make music`` installs it: without mido nothing can write a file, not even drums."""
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "mido", None)
        session = band(tiny, PROMPT, TRACKS, tmp_path / "bare", **QUICK)
        assert session.finished and (tmp_path / "bare" / "mix.wav").exists()
        assert not list((tmp_path / "bare").rglob("*.mid"))
        assert any(note.startswith("no MIDI: ") for note in session.notes)
    again = resume(tiny, tmp_path / "bare")
    assert len(list((tmp_path / "bare").rglob("*.mid"))) == len(TRACKS)
    assert not any(note.startswith("no MIDI: ") for note in again.notes)


def test_words_with_brackets_stay_as_they_are() -> None:
    prompt = "swing [ 4 ] feel, [1, 2 ] 120 bpm"
    session = plan(prompt, ["piano"], seed=1)
    assert Session.from_json(session.to_json()).prompt == prompt


def test_what_was_not_asked_is_heard(tiny: Model, tmp_path: Path) -> None:
    session = band(tiny, "jazz", ["piano", "drums"], tmp_path / "free", **QUICK)
    assert session.tempo is not None and 40 <= session.tempo <= 240
    assert any(note.startswith("tempo: ") for note in session.notes)
    assert session.finished and read(tmp_path / "free" / "mix.wav").duration > 0


def test_a_session_says_itself_and_is_read_back(made: Path) -> None:
    text = (made / "session.json").read_text()
    session = Session.from_json(text)
    assert Session.from_json(session.to_json()) == session
    assert session.to_json() == text


@pytest.mark.parametrize("family", ["text", "melody"])
def test_layers_hear_what_is_there(
    family: str, tiny_text: Path, tiny_melody: Path, tmp_path: Path
) -> None:
    model = cadenza.load({"text": tiny_text, "melody": tiny_melody}[family], backend="torch")
    band(model, PROMPT, ["piano", "bass"], tmp_path / "s", how="layered", **QUICK)
    takes = tmp_path / "s" / "takes"
    session = Folder.open(tmp_path / "s").load()
    bass, piano = session.track("bass").recipe, session.track("piano").recipe
    if family == "text":
        counted = count_in(110, 4, session.rate)
        assert np.allclose(read(takes / "count-in.wav").samples, counted.samples)
        assert (
            bass["continued"]["path"] == piano["continued"]["path"] == str(takes / "count-in.wav")
        )
    else:
        heard = read(takes / "before bass.wav").samples[0]
        layer = read(tmp_path / "s" / "tracks" / "piano.wav").samples.mean(axis=0)
        assert np.allclose(heard, layer, atol=2**-22)
        assert bass["melody"]["path"] and piano["melody"] is None
    assert cadenza.verify(takes / f"bass-{session.track('bass').seed}.wav", model=model).same


def test_a_count_in_ends_where_the_music_begins() -> None:
    counted = count_in(120, 3, 32_000)
    assert counted.samples.shape == (1, 48_000)
    loud = np.flatnonzero(np.abs(counted.samples[0]) > 0.2)
    starts = loud[np.diff(loud, prepend=-32_000) > 8000]
    assert np.allclose(starts / 16_000, [0, 1, 2], atol=0.01)


# ── Mixing again ────────────────────────────────────────────────────────────────────────────────


def test_a_mix_is_made_again_bit_for_bit(copied: Path) -> None:
    before = digests(copied)
    (copied / "mix.wav").unlink()
    mix_session(Folder.open(copied))
    assert digests(copied) == before


def test_an_edit_changes_the_mix_and_undoing_it_brings_it_back(copied: Path) -> None:
    before = digests(copied)
    original = (copied / "session.json").read_text()
    edit(copied, lambda fields: fields["tracks"][0]["strip"].update(gain=-30.0, pan=1.0))
    mix_session(Folder.open(copied))
    assert digests(copied)["mix.wav"] != before["mix.wav"]
    right_alone = read(copied / "stems" / "piano.wav").samples
    assert np.abs(right_alone[1]).max() > np.abs(right_alone[0]).max()
    (copied / "session.json").write_text(original)
    mix_session(Folder.open(copied))
    assert digests(copied) == before


def test_remaking_one_track_keeps_the_others(tiny: Model, copied: Path) -> None:
    before, session = digests(copied), Folder.open(copied).load()
    changed = remake(tiny, copied, "bass", seed=99)
    after = digests(copied)
    assert {name for name in before if after[name] != before[name]} == {
        "mix.wav",
        "stems/bass.wav",
        "stems/drums.wav",  # what the bus gives to the sum is another gain for all
        "stems/piano.wav",
        "tracks/bass.wav",
    }
    assert set(after) - set(before) == {"takes/bass-99.wav"}
    assert changed.track("bass").seed == 99 and changed.track("piano") == session.track("piano")
    tracks = Folder.open(copied).read_tracks(changed)
    bass = changed.track("bass")
    assert level_of(tracks["bass"], bass.strip) == pytest.approx(bass.level, abs=0.1)
    # The same seed once more is the same take.
    remake(tiny, copied, "bass", seed=99)
    assert digests(copied) == after
    with pytest.raises(OptionError, match="bass has a take of seed 99 for another prompt"):
        remake(tiny, copied, "bass", seed=99, prompt="tuba")
    with pytest.raises(OptionError, match="no track 'flute': there are piano, bass, drums"):
        remake(tiny, copied, "flute")


def test_another_model_is_refused(made: Path, tiny_melody: Path) -> None:
    with pytest.raises(OptionError, match="load the same model"):
        remake(cadenza.load(tiny_melody, backend="torch"), made, "bass")


# ── Nothing is lost ─────────────────────────────────────────────────────────────────────────────


def test_nothing_is_overwritten_without_force(tiny: Model, copied: Path, tmp_path: Path) -> None:
    before = digests(copied, "**/*")
    with pytest.raises(SessionError, match="holds a finished session: choose another place"):
        band(tiny, "techno", ["drums"], copied, **QUICK)
    assert digests(copied, "**/*") == before
    (copied / "my notes.txt").write_text("mine")
    session = band(tiny, "techno, 120 bpm", ["drums"], copied, force=True, **QUICK)
    assert [track.name for track in session.tracks] == ["drums"]
    assert not (copied / "tracks" / "piano.wav").exists()
    assert (copied / "my notes.txt").read_text() == "mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").write_text("mine, too")
    with pytest.raises(SessionError, match="is not empty"):
        band(tiny, "techno", ["drums"], tmp_path / "other", **QUICK)


@pytest.mark.parametrize("gain", [30.0, -55.0])
def test_a_track_made_again_stays_as_loud_as_its_fader_had_it(
    tiny: Model, copied: Path, gain: float
) -> None:
    edit(copied, lambda fields: fields["tracks"][1]["strip"].update(gain=gain))
    before, tracks = Folder.open(copied).load(), Folder.open(copied).read_tracks
    bass = before.track("bass")
    open_strip = replace(bass.strip, gain=0.0)
    level = level_of(tracks(before)["bass"], open_strip) + gain
    changed = remake(tiny, copied, "bass", seed=98)
    assert changed.track("bass").level == pytest.approx(max(min(level, 0), -70), abs=0.01)
    assert Folder.open(copied).load() == changed  # and it can be opened


def test_no_notes_are_lost_to_a_kill(tiny: Model, copied: Path) -> None:
    whole = Folder.open(copied).load()
    assert whole.track("drums").notes
    (copied / "midi" / "bass.mid").unlink()  # killed after the notes of piano and before the rest
    (copied / "midi" / "drums.mid").unlink()
    edit(copied, lambda fields: fields.update(finished=False))
    edit(copied, lambda fields: [track.update(notes=[]) for track in fields["tracks"][1:]])
    written = {}

    def noted(place: Path, content: bytes) -> None:
        if place.suffix == ".mid":
            written[place.stem] = Folder.open(copied).load().track(place.stem).notes
        write_atomically(place, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cadenza.studio.finishing.write_atomically", noted)
        assert resume(tiny, copied) == whole
    assert written == {name: whole.track(name).notes for name in ("bass", "drums")}


@pytest.mark.parametrize("files", [2, 4, 8, 11])
def test_a_killed_session_is_recognised_and_ends_the_same(
    tiny: Model, made: Path, tmp_path: Path, files: int
) -> None:
    """The process is killed with SIGKILL as soon as so many files are there."""
    folder = tmp_path / "killed"
    child = os.fork()
    if not child:
        band(tiny, PROMPT, TRACKS, folder, **QUICK)
        os._exit(0)
    while sum(place.is_file() for place in folder.rglob("*")) < files:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it was done before it was killed"
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not Folder.open(folder).load().finished
    with pytest.raises(SessionError, match="was not finished: go on with cadenza resume"):
        band(tiny, PROMPT, TRACKS, folder, **QUICK)
    resume(tiny, folder)
    assert digests(folder) == digests(made)
    assert (folder / "session.json").read_text() == (made / "session.json").read_text()


def test_resuming_what_is_finished_changes_nothing(tiny: Model, copied: Path) -> None:
    before = digests(copied)
    resume(tiny, copied)
    assert digests(copied) == before


# ── A folder that was edited into nonsense ──────────────────────────────────────────────────────

NONSENSE: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("format", lambda s: s.update(format=99), "format 99, this Cadenza reads up to 1"),
    ("no tracks", lambda s: s.update(tracks=[]), "1 to 12 tracks, not 0"),
    ("tracks a number", lambda s: s.update(tracks=3), "not a session"),
    ("a path", lambda s: s["tracks"][0].update(name="../../../etc/passwd"), "no name for a track"),
    ("twice", lambda s: s["tracks"][0].update(name="bass"), "bass is there twice"),
    ("gain", lambda s: s["tracks"][0]["strip"].update(gain=1e9), "gain must be from -60 to 40"),
    ("pan", lambda s: s["tracks"][0]["strip"].update(pan="left"), "pan must be a number"),
    ("unknown", lambda s: s["tracks"][0]["strip"].update(wah=1), "no setting 'wah'"),
    ("ceiling", lambda s: s["bus"].update(ceiling=3), "ceiling must be from -20 to -1, not 3"),
    ("duck", lambda s: s["tracks"][1]["strip"].update(duck_under="tuba"), "under 'tuba'"),
    ("tempo", lambda s: s.update(tempo=-3), "from 40 to 240 bpm, not -3"),
    ("tempo a word", lambda s: s.update(tempo="fast"), "not a session"),
    ("bars", lambda s: s.update(bars=1e6), "bars must be a whole number"),
    ("key", lambda s: s.update(key="H dur"), "'H dur' is no key"),
    ("role", lambda s: s["tracks"][0].update(role="boss"), "no role 'boss'"),
    ("rate", lambda s: s.update(rate=0), "the sampling rate"),
    ("notes", lambda s: s["tracks"][0].update(notes=[[1, 0, 60, 90]]), "a note that is none"),
    ("a note", lambda s: s["tracks"][0].update(notes=[5]), "session.json is not a session"),
    ("found", lambda s: s["tracks"][0]["report"].update(tempo="fast"), "tempo .* not 'fast'"),
    ("tuned", lambda s: s["tracks"][0]["report"].update(tuned=[1]), r"tuned .* not \[1\]"),
    ("stretched", lambda s: s["tracks"][0]["report"].update(stretched=10**400), "stretched"),
    ("faults", lambda s: s["tracks"][0]["report"].update(faults=5), "faults .* not 5"),
    ("huge", lambda s: s["tracks"][0].update(notes=[[10**400, 10**401, 60, 90]]), "not a session"),
    ("guidance", lambda s: s.update(guidance="much"), "guidance must be a number, not 'much'"),
    ("missing", lambda s: s.pop("bus"), "'bus' is missing"),
    ("more", lambda s: s.update(surprise=1), "surprise"),
    ("package", lambda s: s.update(package=5), "package must be a text, not 5"),
    ("half a character", lambda s: s.update(prompt="\ud800"), "not a session"),
    ("endless", lambda s: s["tracks"][0].update(recipe={"x": float("nan")}), "not a session"),
]


@pytest.mark.parametrize(
    ("change", "words"), [row[1:] for row in NONSENSE], ids=[r[0] for r in NONSENSE]
)
def test_nonsense_is_one_clear_error(
    copied: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    edit(copied, change)
    with pytest.raises(SessionError, match=words):
        mix_session(Folder.open(copied))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a session"),
        (b"[]", "not an object"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[" * 100_000, "not a session"),
        (b'{"format": 1}', "is missing"),
    ],
)
def test_a_session_file_that_is_none(copied: Path, content: bytes, words: str) -> None:
    (copied / "session.json").write_bytes(content)
    with pytest.raises(SessionError, match=words):
        Folder.open(copied).load()


def test_tracks_that_are_gone_or_others(copied: Path, tmp_path: Path) -> None:
    folder = Folder.open(copied)
    rate = folder.load().rate
    place = copied / "tracks" / "bass.wav"
    eight = Audio(np.repeat(read(place).samples, 8, axis=0), rate)
    for bad in (sine(0.1, rate), sine(5, 48_000), eight):
        write(bad, place)
        with pytest.raises(SessionError, match=r"bass.wav has \d channels of \d+ samples"):
            mix_session(folder)
    place.write_text("no sound")
    with pytest.raises(SessionError, match="the track bass of the session cannot be read"):
        mix_session(folder)
    place.unlink()
    with pytest.raises(SessionError, match="does not exist"):
        mix_session(folder)
    with pytest.raises(SessionError, match="holds no session"):
        Folder.open(tmp_path)
    edit(copied, lambda session: session.update(finished=False))
    with pytest.raises(SessionError, match="is not finished"):
        remake(None, copied, "bass")  # type: ignore[arg-type]


def test_settings_survive_whatever_they_are(made: Path) -> None:
    session = Folder.open(made).load()
    strip = dataclasses.replace(session.tracks[0].strip, mute=True, gain=-3)
    changed = session.with_track(dataclasses.replace(session.tracks[0], strip=strip))
    assert Session.from_json(changed.to_json()).tracks[0].strip == strip
