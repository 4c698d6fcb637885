"""Notes of sounds whose notes are known, and MIDI files read back by another library."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.midi import (
    BASIC_PITCH,
    DRUMS_BAR,
    FIRST_SEED,
    NOTES_BAR,
    agreement,
    drum_tracks,
    predict,
    tonal,
)
from benchmarks.midi import drum_f1 as rendered_drum_f1
from benchmarks.notes import note_f1
from cadenza.audio import write as write_sound
from cadenza.errors import AudioError, Cancelled, MissingPackage, OptionError, OutputError
from cadenza.midi import (
    BentNote,
    Track,
    encode,
    from_bar_one,
    pitch_of,
    program_of,
    quantise,
    transcribe,
    transcribe_drums,
    write,
)
from cadenza.types import Audio, FloatArray, Note
from tests.command import run
from tests.renders import rendered
from tests.sounds import silence, sine

RATE = 32_000


def tone(pitch: float, seconds: float, glide: float = 0.0) -> FloatArray:
    """A plucked string whose pitch moves by ``glide`` semitones."""
    time = np.arange(round(seconds * RATE)) / RATE
    hertz = 440 * 2 ** ((pitch - 69 + glide * time / seconds) / 12)
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    sound = sum(np.sin(phase * n) / n * np.exp(-time * n) for n in range(1, 9))
    fade = np.minimum(1, np.minimum(time, seconds - time) / 0.005)
    return np.asarray(0.3 * sound * fade, np.float32)


def played(notes: list[Note], seconds: float) -> Audio:
    samples = np.zeros(round(seconds * RATE), np.float32)
    for note in notes:
        sound = tone(note.pitch, note.end - note.start)
        first = round(note.start * RATE)
        samples[first : first + len(sound)] += sound
    return Audio(samples[None], RATE)


SCALE = [Note(0.5 * i, 0.5 * i + 0.45, pitch) for i, pitch in enumerate((60, 62, 64, 65, 67, 69))]
CHORDS = [
    Note(start, start + 0.9, pitch)
    for start, chord in enumerate(((60, 64, 67), (57, 60, 64), (53, 57, 60)))
    for pitch in chord
]


# What is heard


@pytest.mark.parametrize("notes", [SCALE, CHORDS], ids=["scale", "chords"])
def test_every_note_is_heard_and_nothing_else(notes: list[Note]) -> None:
    heard = transcribe(played(notes, 3.2))
    assert note_f1(notes, heard) == 1
    assert heard == sorted(heard, key=lambda note: (note.start, note.pitch))
    for note, truth in zip(heard, sorted(notes, key=lambda n: (n.start, n.pitch)), strict=True):
        assert note.end == pytest.approx(truth.end, abs=0.15)


def test_the_first_note_may_begin_with_the_sound() -> None:
    heard = transcribe(played([Note(0.0, 1.0, 60)], 1.5))
    assert [note.pitch for note in heard] == [60]
    assert heard[0].start < 0.03


def test_rendered_pieces_are_written_down() -> None:
    """Three of the twenty that ``python -m benchmarks.midi`` measures."""
    f1 = []
    for piece in tonal(3):
        truth = [note for track in piece.tracks for note in track.notes]
        f1.append(note_f1(truth, transcribe(rendered(piece))))
    assert np.mean(f1) >= NOTES_BAR


def test_basic_pitch_itself_hears_the_same() -> None:
    sound = rendered(tonal(1)[0], seconds=10)
    sound = Audio(np.pad(sound.samples, ((0, 0), (0, RATE))), RATE)
    ours, theirs = transcribe(sound, **BASIC_PITCH), predict(sound)
    assert len(theirs) > 20
    assert agreement(ours, theirs) >= 0.99


def test_channels_and_rates_do_not_matter() -> None:
    mono = played(SCALE, 3.2)
    wide = Audio(np.repeat(mono.samples, 8, axis=0), RATE)
    assert transcribe(wide) == transcribe(mono)
    fast = Audio(np.repeat(mono.samples, 6, axis=1), 6 * RATE)  # 192 kHz
    assert note_f1(SCALE, transcribe(fast)) == 1


def test_options_narrow_what_is_heard() -> None:
    sound = played(CHORDS, 3.2)
    heard = transcribe(sound, lowest=60, highest=64)
    assert {note.pitch for note in heard} == {60, 64}
    assert transcribe(sound, min_length=5.0) == []
    assert len(transcribe(sound, onset_threshold=0.95)) < len(CHORDS)
    short = transcribe(sound, frame_threshold=0.8)
    assert sum(note.end - note.start for note in short) < sum(
        note.end - note.start for note in transcribe(sound)
    )


def test_a_bent_note_says_how_it_is_bent() -> None:
    glide = np.zeros(round(1.5 * RATE), np.float32)
    glide[: round(1.2 * RATE)] = tone(64, 1.2, glide=1.0)
    sound = Audio(glide[None], RATE)
    [note] = transcribe(sound, pitch_bend=True)
    assert isinstance(note, BentNote)
    middle = note.pitch + np.array(note.bend)
    assert np.median(middle[:15]) == pytest.approx(64.1, abs=0.35)
    assert np.median(middle[-25:-5]) == pytest.approx(64.85, abs=0.35)
    chords = transcribe(played(CHORDS, 3.2), pitch_bend=True)
    assert not any(isinstance(note, BentNote) for note in chords)


def test_progress_is_told_and_can_stop_the_work() -> None:
    steps: list[tuple[int, int]] = []
    sound = played(SCALE * 1, 40.0)
    transcribe(sound, progress=lambda *step: steps.append(step))
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})

    def stop(done: int, total: int) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        transcribe(sound, progress=stop)


def kit(hits: list[tuple[float, int]], seconds: float) -> Audio:
    """A drum machine: a falling sine, noise in the middle, noise on top."""
    rng = np.random.default_rng(0)
    samples = np.zeros(round(seconds * RATE))
    time = np.arange(round(0.15 * RATE)) / RATE
    noise = np.fft.rfft(rng.standard_normal(len(time)))
    hertz = np.fft.rfftfreq(len(time), 1 / RATE)

    def band(low: float, high: float) -> np.ndarray:
        return np.fft.irfft(noise * ((hertz > low) & (hertz < high)), len(time))

    drums = {
        36: np.sin(2 * np.pi * 60 * time) * np.exp(-time / 0.05),
        38: 0.5 * band(300, 5000) * np.exp(-time / 0.05),
        42: 0.15 * band(7500, 15_000) * np.exp(-time / 0.02),
    }
    for start, pitch in hits:
        first = round(start * RATE)
        samples[first : first + len(time)] += drums[pitch]
    return Audio((0.5 * samples / np.abs(samples).max()).astype(np.float32)[None], RATE)


def test_a_drum_machine_is_heard_hit_by_hit() -> None:
    hits = [(0.25 * i, 42) for i in range(16)]
    hits += [(i, 36) for i in (0, 1, 2, 3)] + [(i + 0.5, 38) for i in (0, 1, 2, 3)]
    heard = transcribe_drums(kit(hits, 4.5))
    assert Counter(note.pitch for note in heard) == {42: 16, 36: 4, 38: 4}
    for note in heard:
        assert min(abs(note.start - t) for t, pitch in hits if pitch == note.pitch) < 0.01


def test_a_drum_that_is_not_played_is_not_heard() -> None:
    heard = transcribe_drums(kit([(0.5 * i, 36) for i in range(8)], 4.5))
    assert [note.pitch for note in heard if note.pitch == 36] == [36] * 8


def test_louder_hits_have_higher_velocities() -> None:
    loud = kit([(0.5 * i, 36) for i in range(8)], 4.5)
    quiet = loud.samples.copy()
    quiet[:, : 2 * RATE] *= 0.75
    kicks = [n.velocity for n in transcribe_drums(Audio(quiet, RATE)) if n.pitch == 36]
    assert len(kicks) == 8
    assert max(kicks[:4]) < min(kicks[4:])


def test_rendered_drums_are_written_down() -> None:
    """Four of the twenty that ``python -m benchmarks.midi`` measures."""
    rendered(drum_tracks(1)[0])  # skips without a sound font
    assert np.mean([rendered_drum_f1(piece) for piece in drum_tracks(4)]) >= DRUMS_BAR


# What is written


NOTES = st.lists(
    st.builds(
        lambda start, length, pitch, velocity: Note(start, start + length, pitch, velocity),
        st.floats(0, 60),
        st.floats(0.02, 4),
        st.integers(0, 127),
        st.integers(1, 127),
    ),
    max_size=30,
)


def read_back(tracks: list[Track], tempo: float = 120.0, meter: int = 4) -> pretty_midi.PrettyMIDI:
    import io

    return pretty_midi.PrettyMIDI(io.BytesIO(encode(tracks, tempo, meter)))


@given(notes=NOTES, tempo=st.floats(40, 240), meter=st.integers(2, 7))
def test_a_file_holds_the_notes(notes: list[Note], tempo: float, meter: int) -> None:
    # One key is down once, so of each pitch only notes that do not meet are compared.
    notes.sort(key=lambda note: note.start)
    tick = 60 / tempo / 480
    apart: list[Note] = []
    for note in notes:
        if all(note.start > other.end + tick for other in apart if other.pitch == note.pitch):
            apart.append(note)
    file = read_back([Track("solo", apart, program=40)], tempo, meter)
    assert file.get_tempo_changes()[1] == pytest.approx([tempo], rel=1e-5)
    assert [change.numerator for change in file.time_signature_changes] == [meter]
    written = [note for instrument in file.instruments for note in instrument.notes]
    key = lambda note: (note.pitch, note.start)  # noqa: E731
    for ours, theirs in zip(sorted(apart, key=key), sorted(written, key=key), strict=True):
        assert (ours.pitch, ours.velocity) == (theirs.pitch, theirs.velocity)
        assert theirs.start == pytest.approx(ours.start, abs=0.51 * tick + 1e-4)
        assert theirs.end == pytest.approx(ours.end, abs=1.1 * tick + 1e-4)


def test_every_track_has_its_name_program_and_channel(tmp_path: Path) -> None:
    tracks = [Track(f"track {n}", SCALE, program=n) for n in range(15)]
    tracks.append(Track("drums", [Note(0.0, 0.1, 36)], drums=True))
    path = write(tmp_path / "all.mid", tracks, tempo=97.5, meter=3)
    file = pretty_midi.PrettyMIDI(str(path))
    assert [(i.name, i.program, i.is_drum) for i in file.instruments] == [
        (track.name, track.program, track.drums) for track in tracks
    ]
    import mido

    channels = [
        {message.channel for message in track if hasattr(message, "channel")}
        for track in mido.MidiFile(path).tracks[1:]
    ]
    assert all(len(used) == 1 for used in channels)
    assert len(set.union(*channels)) == 16


def test_a_key_that_is_struck_again_is_let_go_first() -> None:
    file = read_back([Track("one", [Note(0.0, 2.0, 60), Note(1.0, 1.5, 60), Note(1.0, 3.0, 60)])])
    [instrument] = file.instruments
    assert [(n.start, n.end) for n in instrument.notes] == [(0.0, 1.0), (1.0, 3.0)]


def test_bends_are_written_and_taken_back() -> None:
    bent = BentNote(1.0, 2.0, 60, bend=(0.0, 0.5, 1.0, -3.0))
    file = read_back([Track("one", [bent, Note(2.0, 3.0, 62)])])
    bends = [(b.time, b.pitch) for b in file.instruments[0].pitch_bends]
    assert bends == [(1.25, 2048), (1.5, 4096), (1.75, -8192), (2.0, 0)]


@pytest.mark.parametrize(
    ("tracks", "tempo", "meter", "message"),
    [
        ([], 120, 4, "needs a track"),
        ([Track("a", [])] * 16, 120, 4, "15 channels beside the drums, not 16"),
        ([Track("a", [])], 0, 4, "tempo must be from 4 to 1000"),
        ([Track("a", [])], float("nan"), 4, "tempo must be"),
        ([Track("a", [])], 120, 0, "a bar has 1 to 32 beats"),
        ([Track("a", [], program=128)], 120, 4, "programs go from 0 to 127"),
        ([Track("a", [Note(0, 1, 128)])], 120, 4, "pitches and velocities from 0 to 127"),
    ],
)
def test_what_midi_cannot_hold_is_refused(
    tracks: list[Track], tempo: float, meter: int, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        encode(tracks, tempo, meter)


def test_names_in_any_alphabet_are_written() -> None:
    assert encode([Track("Музыка", SCALE)])


@given(
    notes=NOTES,
    tempo=st.floats(40, 240),
    downbeat=st.floats(0, 5),
    division=st.sampled_from([1, 2, 3, 4, 8]),
)
def test_quantised_notes_lie_on_the_grid(
    notes: list[Note], tempo: float, downbeat: float, division: int
) -> None:
    step = 60 / tempo / division
    moved = quantise(notes, tempo, downbeat=downbeat, division=division)
    for note in moved:
        for time in (note.start, note.end):
            line = (time - downbeat) / step
            assert line == pytest.approx(round(line), abs=1e-6)
        assert note.start >= 0
        assert note.end - note.start >= step * 0.999
    assert len({(round(note.start, 6), note.pitch) for note in moved}) == len(moved)
    for note in notes:
        near = [n for n in moved if n.pitch == note.pitch and abs(n.start - note.start) <= step]
        assert near
    assert quantise(moved, tempo, downbeat=downbeat, division=division) == moved


def test_bar_one_is_where_the_downbeat_is() -> None:
    lead, bass = [Note(0.3, 0.5, 60), Note(0.8, 1.0, 62)], [Note(0.8, 2.0, 40)]
    moved = from_bar_one([Track("a", lead), Track("b", bass)], 120, downbeat=0.8)
    # One bar is 2 s; the first note is an upbeat half a second before the second bar.
    assert [note.start for track in moved for note in track.notes] == pytest.approx([1.5, 2, 2])
    [alone] = from_bar_one([Track("b", bass)], 120, downbeat=0.8)
    assert (alone.notes[0].start, alone.notes[0].end) == pytest.approx((0.0, 1.2))


def test_pitches_and_instruments_by_name() -> None:
    for pitch in range(128):
        assert pitch_of(pretty_midi.note_number_to_name(pitch)) == pitch
        assert pitch_of(str(pitch)) == pitch
    assert pitch_of("Bb3") == pitch_of("a#3") == 58
    for wrong in ("H2", "C", "C99", "-1", "128", ""):
        with pytest.raises(OptionError):
            pitch_of(wrong)
    assert program_of("bass") == program_of("02 Bass") == 33
    assert program_of("theremin") == 0


# What cannot be used


@pytest.mark.parametrize("listen", [transcribe, transcribe_drums])
def test_what_says_nothing_is_refused(listen: object) -> None:
    with pytest.raises(AudioError, match="is empty"):
        listen(Audio(np.zeros((1, 0), np.float32), RATE))  # type: ignore[operator]
    with pytest.raises(AudioError, match="is silent"):
        listen(silence())  # type: ignore[operator]


def test_one_sample_is_a_sound_without_pitch() -> None:
    assert transcribe(Audio(np.ones((1, 1), np.float32), RATE)) == []
    assert transcribe(Audio(np.ones((8, 1), np.float32), 192_000)) == []
    assert all(note.start == 0 for note in transcribe_drums(Audio(np.ones((1, 1), "f4"), RATE)))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"onset_threshold": 0.0}, "onset threshold must be between 0 and 1"),
        ({"frame_threshold": float("nan")}, "frame threshold must be between 0 and 1"),
        ({"lowest": 20}, "heard from 21 to 108"),
        ({"lowest": 70, "highest": 60}, "not from 70 to 60"),
        ({"min_length": -1.0}, "shortest note"),
    ],
)
def test_options_out_of_range_are_refused(option: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        transcribe(sine(), **option)  # type: ignore[arg-type]


@pytest.mark.parametrize("package", ["basic_pitch", "onnxruntime", "mido"])
def test_a_missing_package_is_named_with_its_command(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cadenza.midi import pitched

    for cache in (pitched._note_creation, pitched._session):
        cache.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=r"pip install --no-deps basic-pitch"):
        encode([Track("a", transcribe(sine()))])


@pytest.mark.parametrize(
    ("name", "drums"),
    [("drums", True), ("Drum 2", True), ("no_drums", False), ("funk-with-drums-110-7", False)],
)
def test_what_is_called_drums_is_written_down_as_such(
    name: str, drums: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_sound(sine(), f"{name}.wav")
    for options, wanted in (([], drums), (["--drums"], True), (["--no-drums"], False)):
        assert run("midi", str(file), "-o", "x.mid", *options).code == 0
        tracks = pretty_midi.PrettyMIDI("x.mid").instruments
        assert all(track.is_drum == wanted for track in tracks)
        assert tracks or wanted  # in a sine no drum need be hit


def test_listening_says_nothing_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    from cadenza.midi import pitched

    handlers = list(logging.root.handlers)
    for name in [name for name in sys.modules if name.split(".")[0] == "basic_pitch"]:
        del sys.modules[name]
    for cache in (pitched._note_creation, pitched._session):
        cache.cache_clear()
    transcribe(sine())
    assert capfd.readouterr() == ("", "")
    assert logging.root.handlers == handlers


# The command


def test_the_command_writes_a_track_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    beat = 60 / 120
    tune = [Note(0.1 + beat * i, 0.1 + beat * (i + 0.9), 60 + i % 5) for i in range(12)]
    write_sound(played(tune, 6.5), "bass.wav")
    hits = [(0.1 + beat * i, 36 if i % 2 == 0 else 38) for i in range(12)]
    write_sound(kit(hits, 6.5), "drums.flac")
    result = run("midi", "bass.wav", "drums.flac", "-o", "all.mid", "--quantise", "8", "--plot")
    assert result.code == 0, result.errors
    assert "12 notes" in result.output
    file = pretty_midi.PrettyMIDI("all.mid")
    assert [(i.name, i.program, i.is_drum) for i in file.instruments] == [
        ("bass", 33, False),
        ("drums", 0, True),
    ]
    [tempo] = file.get_tempo_changes()[1]
    assert tempo == pytest.approx(120, rel=0.01)
    starts = np.array([note.start for note in file.instruments[0].notes])
    lines = starts / (30 / tempo)
    np.testing.assert_allclose(lines, np.round(lines), atol=0.02)
    assert np.diff(starts) == pytest.approx(60 / tempo, abs=0.01)
    assert Path("all.png").read_bytes().startswith(b"\x89PNG")

    result = run("midi", "bass.wav", "--tempo", "90", "--json")
    answer = json.loads(result.output)
    assert answer["tempo"] == 90
    assert answer["tracks"] == [{"name": "bass", "notes": 12}]
    assert pretty_midi.PrettyMIDI("bass.mid").get_tempo_changes()[1] == pytest.approx([90])


def test_a_dot_in_a_name_is_no_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("take.1", "take.2"):
        write_sound(sine(), f"{name}.wav")
        assert run("midi", f"{name}.wav").code == 0
    assert sorted(path.name for path in tmp_path.glob("*.mid")) == ["take.1.mid", "take.2.mid"]


def test_the_command_refuses_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_sound(sine(), "tone.wav")
    soundfile.write("silent.wav", np.zeros(RATE), RATE)
    soundfile.write("empty.wav", np.zeros(0), RATE)
    soundfile.write("hour.flac", np.zeros(3600 * 1000), 1000)
    Path("text.mp3").write_text("no sound")
    for arguments, message in (
        (["absent.wav"], "does not exist"),
        (["silent.wav"], "is silent"),
        (["empty.wav"], "is empty"),
        (["hour.flac"], "lasts 3600 s"),
        (["text.mp3"], "cannot be read as sound"),
        (["tone.wav", "-o", "tone.wav"], "is not a MIDI file"),
        (["tone.wav", "-o", "no/such.mid"], "does not exist"),
        (["tone.wav", "--lowest", "H2"], "is not a pitch"),
        (["tone.wav", "--quantise", "7"], "is no note value"),
        (["tone.wav", "--tempo", "0"], "tempo must be"),
        (["tone.wav", "--onset-threshold", "2"], "onset threshold"),
    ):
        result = run("midi", *arguments)
        assert result.code == 1
        assert message in result.errors
        assert result.errors.count("\n") == 1
    assert not list(tmp_path.glob("*.mid"))


def test_what_was_there_is_kept_when_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.mid").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write(tmp_path / "folder.mid", [Track("a", SCALE)])


def test_the_benchmark_measures_what_it_says() -> None:
    notes = [Note(float(i), i + 0.5, 60 + i) for i in range(10)]
    assert agreement(notes, notes) == 1
    assert agreement(notes, notes[1:]) == 0.9
    moved = [dataclasses.replace(note, start=note.start + 0.1) for note in notes[:5]]
    assert agreement(notes, moved + notes[5:]) == 0.5
    assert {track.is_drum for piece in drum_tracks(2) for track in piece.tracks} == {True}
    for piece in tonal(3):
        assert piece.seed >= FIRST_SEED
        assert not piece.has_drums
