"""Loops: exact in length and tempo, begun on a downbeat, and without a seam that is heard."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import cadenza
from cadenza.audio import read, resample
from cadenza.beats import analyse
from cadenza.errors import AudioError, OptionError, PromptError
from cadenza.model import Model
from cadenza.studio.beginning import AHEAD, attack_near
from cadenza.studio.loop import Loop, cut, loops, plan
from cadenza.studio.seam import joined, measure, room
from cadenza.take import Take, read_recipe
from cadenza.types import Audio, Codes
from tests.renders import rendered
from tests.sounds import pitch, sine
from tests.test_beats import clicks
from training.corpus.compose import compose
from training.corpus.piece import HELD_OUT, Piece

RATE = 32_000


@pytest.fixture(scope="module")
def tiny(tiny_text: Path) -> Model:
    return cadenza.load(tiny_text, backend="torch")


@pytest.fixture(scope="module")
def recipe(tiny: Model) -> cadenza.Recipe:
    return tiny.generate("anything", duration=0.5, seed=1).recipe


def take_of(audio: Audio, recipe: cadenza.Recipe) -> Take:
    return Take(audio, Codes(np.zeros((4, 1), np.int64), 50.0), recipe)


@pytest.fixture(scope="module")
def grooves() -> list[Piece]:
    """Rendered pieces in 4/4 with drums, which repeat themselves."""
    composed = (compose(seed, 24.0) for seed in range(HELD_OUT + 720_000, HELD_OUT + 720_100))
    return [piece for piece in composed if piece.has_drums and piece.meter == 4][:8]


# ── The seam ────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=30, deadline=None)
@given(hertz=st.floats(60, 3000), length=st.integers(8000, 40_000), start=st.integers(1000, 20_000))
def test_the_end_goes_on_into_the_beginning(hertz: float, length: int, start: int) -> None:
    """Whatever the phase at its end, the loop of a tone has no step that the tone has not."""
    tone = sine(3.0, RATE, hertz, peak=0.5).samples
    loop = joined(tone, start, length, RATE)
    assert loop.shape == (1, length)
    round_ = np.concatenate([loop[0], loop[0]])
    step = np.abs(np.diff(round_)).max()
    assert step <= 1.5 * np.abs(np.diff(tone[0])).max() + 1e-4
    assert loop[0, -1] == pytest.approx(tone[0, start - 1], abs=0.02)
    assert np.array_equal(loop[:, : -room(RATE)], tone[:, start : start + length - room(RATE)])


def test_a_bad_seam_is_found_and_a_good_one_is_not() -> None:
    tone = sine(2.0, RATE, 400.0, peak=0.3)
    assert measure(tone).ok  # 800 whole periods
    assert measure(tone).energy_jump < 0.1
    half = tone.samples.copy()
    half[:, RATE:] *= 0.1
    cliff = measure(Audio(half, RATE))
    assert cliff.energy_jump == pytest.approx(20, abs=0.5) and cliff.percentile > 95
    other = np.concatenate([sine(1.0, RATE, 400).samples, sine(1.0, RATE, 2500).samples], axis=1)
    assert measure(Audio(other, RATE)).percentile > 95
    assert measure(Audio(other, RATE)).usual_distance < 1


# ── From a take to a loop ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("played", [121.0, 126.5, 128.0, 133.0])
@pytest.mark.parametrize("bars", [1, 2, 4])
def test_length_and_tempo_are_exact(played: float, bars: int, recipe: cadenza.Recipe) -> None:
    take = take_of(clicks(played, 0.3, 20.0), recipe)
    loop = cut(take, 128.0, 4, bars)
    assert loop.audio.samples.shape == (1, round(bars * 4 * 60 / 128 * RATE))
    assert loop.on_downbeat and not loop.faults
    assert loop.heard == pytest.approx(played, rel=2e-3)
    thrice = Audio(np.tile(loop.audio.samples, 8 // bars), RATE)
    assert analyse(thrice, 128).tempo == pytest.approx(128, rel=2e-3)
    assert first_sound(loop) <= AHEAD + 0.002  # it begins on a beat


def first_sound(loop: Loop) -> float:
    return float((np.abs(loop.audio.samples).max(axis=0) > 0.1).argmax()) / RATE


KICKS = 0.37  # seconds until the first


def four_on_the_floor(tempo: float, lead: float = 0.0) -> Audio:
    """Bars of kicks of known place, the first of each the loudest, over hats and a quiet tune.

    Args:
        lead: seconds of soft noise that swells before each kick.
    """
    seconds = np.arange(round(0.2 * RATE)) / RATE
    kick = np.sin(2 * np.pi * (55 * seconds + 3 * (1 - np.exp(-seconds / 0.03))))
    kick *= np.exp(-seconds / 0.08)
    noise = np.random.default_rng(5)
    hat = 0.02 * noise.standard_normal(len(seconds)) * np.exp(-seconds / 0.015)
    swell = 0.03 * noise.standard_normal(round(lead * RATE)) * np.linspace(0, 1, round(lead * RATE))
    bar = np.floor((np.arange(20 * RATE) / RATE - KICKS) * tempo / 240)
    pitches = 220 * 2 ** (bar % 2 * 5 / 12)  # the harmony changes where a bar begins
    samples = 0.02 * np.sin(2 * np.pi * np.cumsum(pitches) / RATE)
    for beat in range(int((19 - KICKS) * tempo / 60)):
        place = round((KICKS + beat * 60 / tempo) * RATE)
        samples[place : place + len(kick)] += (0.7 if beat % 4 == 0 else 0.5) * kick
        samples[place - len(swell) : place] += swell
        place += round(30 / tempo * RATE)
        samples[place : place + len(hat)] += hat
    return Audio(samples[None].astype(np.float32), RATE)


@pytest.mark.parametrize("lead", [0.0, 0.05])
@pytest.mark.parametrize(("tempo", "bars"), [(92.0, 1), (120.0, 4), (174.0, 2)])
def test_a_loop_begins_just_ahead_of_its_kick(
    tempo: float, bars: int, lead: float, recipe: cadenza.Recipe
) -> None:
    """The kick is the largest change of all, and yet no seam: that lies in what is before it."""
    loop = cut(take_of(four_on_the_floor(tempo, lead), recipe), tempo, 4, bars)
    assert loop.audio.samples.shape[1] == round(bars * 4 * 60 / tempo * RATE)
    bar = 4 * 60 / tempo
    off = (loop.start / loop.stretched - KICKS + bar / 2) % bar - bar / 2
    assert abs(off) < 0.03 and loop.on_downbeat
    assert 0 < first_sound(loop) <= AHEAD + 0.002
    assert loop.seam.ok


@settings(max_examples=30, deadline=None)
@given(at=st.floats(0.1, 0.9), off=st.floats(-0.025, 0.025), quiet=st.floats(0, 0.02))
def test_an_attack_is_found_within_two_milliseconds(at: float, off: float, quiet: float) -> None:
    samples = quiet * np.random.default_rng(1).standard_normal(RATE)
    seconds = np.arange(RATE - round(at * RATE)) / RATE
    samples[round(at * RATE) :] += np.cos(2 * np.pi * 200 * seconds) * np.exp(-seconds / 0.1)
    found = attack_near(samples.astype(np.float32), at + off, RATE) / RATE
    assert found == pytest.approx(at, abs=0.002)


def test_rendered_grooves_loop_on_their_downbeats(
    grooves: list[Piece], recipe: cadenza.Recipe
) -> None:
    right, ok = [], []
    for piece in grooves:
        slow = Audio(resample(rendered(piece), round(RATE * 1.01)).samples, RATE)
        loop = cut(take_of(slow, recipe), piece.tempo, 4, 2)
        assert loop.audio.samples.shape[1] == round(8 * piece.beat * RATE)
        assert pitch(loop.audio) > 0
        bar = (loop.start + 0.01) / piece.bar
        right.append(abs(bar - round(bar)) < 0.06)
        ok.append(loop.seam.ok)
    assert np.mean(right) >= 0.5  # a quarter by chance
    assert np.mean(ok) >= 0.9


def test_a_take_without_beat_is_cut_all_the_same(recipe: cadenza.Recipe) -> None:
    loop = cut(take_of(sine(12.0), recipe), 100.0, 4, 2)
    assert loop.audio.samples.shape[1] == round(8 * 0.6 * RATE)
    assert not loop.on_downbeat and loop.faults == ("no clear pulse is heard in it",)
    assert loop.seam.energy_jump < 3
    wrong = cut(take_of(clicks(90, 0.2, 20), recipe), 120.0, 4, 1)
    assert wrong.faults == ("it plays 90.0 bpm, not 120",)
    with pytest.raises(AudioError, match=r"lasts 1.0 s, too short for a loop of 8.0 s"):
        cut(take_of(sine(1.0), recipe), 120.0, 4, 4)


# ── What is made ────────────────────────────────────────────────────────────────────────────────


def test_loops_of_a_model_are_exact_and_different(tiny: Model) -> None:
    made = loops(tiny, "techno, 160 bpm", bars=1, seed=3, count=3)
    assert [loop.recipe.sampling.seed for loop in made] == [3, 4, 5]
    for loop in made:
        assert loop.audio.samples.shape[1] == 48_000
    assert not np.array_equal(made[0].audio.samples, made[1].audio.samples)
    again = loops(tiny, "techno, 160 bpm", bars=1, seed=4)
    assert np.array_equal(again[0].audio.samples, made[1].audio.samples)


def test_the_best_of_several_takes_is_kept(tiny: Model) -> None:
    singles = loops(tiny, "techno, 160 bpm", bars=1, seed=3, count=4)
    best = loops(tiny, "techno, 160 bpm", bars=1, seed=3, count=2, best_of=2)
    for pair, kept in zip((singles[:2], singles[2:]), best, strict=True):
        assert kept.recipe.codes_sha256 in {loop.recipe.codes_sha256 for loop in pair}
        assert len(kept.faults) == min(len(loop.faults) for loop in pair)
    with pytest.raises(OptionError, match="1 to 32 takes, not 0"):
        plan("techno", best_of=0)


def test_loop_points_and_tempo_are_in_the_file(tiny: Model, tmp_path: Path) -> None:
    [loop] = loops(tiny, "techno, 160 bpm", bars=2, seed=3)
    place = loop.save(tmp_path / "loop.wav")
    stored = read(place)
    assert stored.samples.shape[1] == 96_000
    assert soundfile.info(place).subtype == "PCM_24"
    assert read_recipe(place) == loop.recipe
    facts = json.loads(place.with_suffix(".json").read_text())["loop"]
    assert facts["samples"] == 96_000 and facts["seam"]["percentile"] == loop.seam.percentile
    chunks = riff(place.read_bytes())
    values = struct.unpack("<15I", chunks[b"smpl"])
    assert values[7] == 1 and values[10:13] == (0, 0, 95_999)  # forward, first, last
    assert acid_by_libsndfile(place) == (4, 4, 8, pytest.approx(160.0))


def riff(data: bytes) -> dict[bytes, bytes]:
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    chunks, place = {}, 12
    while place < len(data):
        name, size = struct.unpack("<4sI", data[place : place + 8])
        chunks[name] = data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
    assert place == len(data)
    return chunks


def acid_by_libsndfile(place: Path) -> tuple[int, int, int, float]:
    """Beats a bar, what a beat is, beats, tempo, as libsndfile reads them (SFC_GET_LOOP_INFO)."""
    layout = struct.Struct("=hhiifi6i")
    buffer = soundfile._ffi.new("char[]", layout.size)
    with soundfile.SoundFile(place) as file:
        assert soundfile._snd.sf_command(file._file, 0x10E0, buffer, layout.size) == 1
    values = layout.unpack(bytes(soundfile._ffi.buffer(buffer)))
    return values[0], values[1], values[3], values[4]


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        ("x", {"bars": 0}, "1 to 64 bars, not 0"),
        ("x", {"bars": 65}, "1 to 64 bars, not 65"),
        ("x", {"count": 0}, "count must be from 1 to 100, not 0"),
        ("x", {"tempo": 10.0}, "from 40 to 240 bpm, not 10"),
        ("x", {"tempo": float("nan")}, "from 40 to 240 bpm, not nan"),
        ("x, 120 bpm", {"tempo": 90.0}, "the prompt says 120 bpm, the option 90"),
        ("x, 40 bpm", {"bars": 64}, "64 bars at this tempo need 845 s of playing"),
        ("x", {"seed": -1}, "seed must be"),
    ],
)
def test_what_is_no_loop_is_refused(prompt: str, options: dict[str, float], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        plan(prompt, **options)  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="empty"):
        plan(" ")


def test_a_loop_is_a_wav(tiny: Model, tmp_path: Path) -> None:
    [loop] = loops(tiny, "techno, 200 bpm", bars=1, seed=3)
    with pytest.raises(OptionError, match="is not a name for the format wav"):
        loop.save(tmp_path / "loop.mp3")
    assert not list(tmp_path.iterdir())
    place = loop.save(tmp_path / "groove.v2")  # as any other sound may be called
    assert read(place).samples.shape == loop.audio.samples.shape
    assert read_recipe(tmp_path / "groove.json") == read_recipe(place) == loop.recipe


def test_a_tempo_that_is_not_said_goes_into_the_prompt() -> None:
    wanted = plan("techno", tempo=128.0, seed=1)
    assert wanted.requests[0].prompt == "techno, 128 bpm" and wanted.tempo == 128
    assert plan("a waltz, 90 bpm").meter == 3
