"""In time: a take is at the tempo that its prompt names, as long as it was asked for, and its
recipe makes it again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cadenza
from cadenza.beats import analyse
from cadenza.errors import OptionError
from cadenza.model import Model
from cadenza.show.facts import recipe_rows
from cadenza.studio.align import FADE_OUT, MOST_STRETCH
from cadenza.studio.critic import Critic, Told
from cadenza.studio.intime import frames_to_make, frames_wanted, in_time
from cadenza.take import read_recipe
from cadenza.types import Audio, Codes
from tests.command import run
from tests.renders import rendered
from tests.sounds import sine
from tests.test_beats import clicks
from training.corpus.compose import compose
from training.corpus.piece import HELD_OUT, Piece

RATE = 32_000
PROMPT = "driving techno with drums, 126 bpm"
NOTHING = Codes(np.zeros((4, 200), np.int64), 50.0)
TEMPI = np.geomspace(60, 180, 111)  # 1 % apart


class Hearing(Critic):
    """A critic that hears a ``tempo`` in everything, but for a share of doubt."""

    def __init__(self, tempo: float, doubt: float) -> None:
        likely = np.full(len(TEMPI), doubt / len(TEMPI))
        likely[np.abs(TEMPI - tempo).argmin()] += 1 - doubt
        self._heard = np.log(likely)[None]
        self._network = SimpleNamespace(tempi=TEMPI)

    def hear(self, ids: np.ndarray) -> Told:
        empty = np.zeros((1, 1))
        return Told(self._heard, empty, empty, empty, empty)


@pytest.mark.parametrize(
    ("heard", "doubt", "comes_to"),
    [
        (120, 0.1, 120),
        (113, 0.1, 120 * 120 / 113),
        (126, 0.5, 120 * 120 / 126),
        (113, 0.9, 120),  # not likely
        (132, 0.01, 120),  # too far
    ],
)
def test_a_critic_says_what_a_take_is_stretched_by(
    heard: float, doubt: float, comes_to: float
) -> None:
    """Clicks at 120: whatever a critic says they are at is brought to 120."""
    audio = clicks(120, 0.2, 10.0)
    there = in_time(audio, NOTHING, 120, 8 * audio.rate, Hearing(heard, doubt))
    assert analyse(there, comes_to).tempo == pytest.approx(comes_to, rel=0.01)


def noise(seconds: float) -> Audio:
    samples = np.random.default_rng(0).standard_normal((1, round(seconds * RATE)))
    return Audio((0.1 * samples).astype(np.float32), RATE)


@given(st.integers(1, 30_000))
def test_enough_is_made_and_the_recipe_knows_what_was_wanted(frames: int) -> None:
    made = frames_to_make(frames)
    assert made * (1 - MOST_STRETCH) >= frames - 1e-6
    assert (made - 1) * (1 - MOST_STRETCH) < frames
    assert frames_wanted(made) == frames


@pytest.mark.parametrize("played", [112, 117, 121, 129])
def test_what_is_nearly_in_time_is_brought_there(played: float) -> None:
    audio = clicks(played, 0.2, 13.0)
    samples = 11 * audio.rate + 7
    there = in_time(audio, NOTHING, 120, samples, None)
    assert there.samples.shape == (1, samples)
    assert analyse(there, 120).tempo == pytest.approx(120, rel=2e-3)


@pytest.mark.parametrize("tempo", [100, 146])
def test_what_is_too_far_off_stays_as_it_was(tempo: float) -> None:
    audio = clicks(120, 0.2, 8.0)
    there = in_time(audio, NOTHING, tempo, 7 * audio.rate, None)
    assert_only_cut(there.samples, audio.samples, audio.rate)


def test_what_has_no_pulse_stays_as_it_was() -> None:
    audio = noise(8.0)
    there = in_time(audio, NOTHING, 120, 7 * audio.rate, None)
    assert_only_cut(there.samples, audio.samples, audio.rate)


@pytest.mark.parametrize("factor", [0.94, 1.06])
def test_rendered_pieces_are_brought_to_another_tempo(factor: float) -> None:
    """Of twelve pieces whose tempo is known, nearly all come to one that is 6 % away."""
    pieces = [piece for piece in map(compose_short, range(30)) if piece.has_drums][:12]
    right = []
    for piece in pieces:
        audio, tempo = rendered(piece), piece.tempo * factor
        there = in_time(audio, NOTHING, tempo, round(9 * audio.rate), None)
        heard = analyse(there, tempo).tempo
        right.append(heard is not None and abs(heard / tempo - 1) < 0.005)
    assert np.mean(right) >= 0.8


def compose_short(number: int) -> Piece:
    return compose(HELD_OUT + 740_000 + number, 11.0)


def assert_only_cut(cut: np.ndarray, whole: np.ndarray, rate: int) -> None:
    before = cut.shape[1] - round(FADE_OUT * rate)
    np.testing.assert_array_equal(cut[:, :before], whole[:, :before])


@pytest.mark.parametrize("seconds", [3.0, 8.02])
def test_a_take_in_time_is_the_plain_one_stretched(torch_nano: Model, seconds: float) -> None:
    take = torch_nano.generate(PROMPT, duration=seconds, seed=4, in_time=True)
    frames = frames_to_make(round(seconds * 50))
    plain = torch_nano.generate(PROMPT, duration=frames / 50, seed=4)
    np.testing.assert_array_equal(take.codes.ids, plain.codes.ids)
    samples = round(seconds * RATE)
    expected = in_time(plain.audio, plain.codes, 126, samples, torch_nano.critic)
    np.testing.assert_allclose(take.audio.samples, expected.samples, atol=1e-6)
    assert take.audio.samples.shape == (1, samples)
    assert take.recipe.in_time and take.recipe.frames == frames


def test_takes_in_time_hold_the_tempo_more_closely(torch_nano: Model) -> None:
    """Of eight takes, by the rules' ear, which had no say in it."""
    requests = [
        cadenza.GenerateRequest(PROMPT, duration=6.0, seed=seed, in_time=on)
        for on in (False, True)
        for seed in range(8)
    ]
    off = [
        abs((analyse(take.audio, 126).tempo or 0) / 126 - 1)
        for take in torch_nano.generate_batch(requests)
    ]
    as_played, stretched = (sum(one < 0.01 for one in half) for half in (off[:8], off[8:]))
    assert stretched > as_played and stretched >= 3


def test_a_prompt_without_a_tempo_is_played_as_it_is(torch_nano: Model) -> None:
    plain, asked = (
        torch_nano.generate("calm piano", duration=1.0, seed=2, in_time=on) for on in (False, True)
    )
    np.testing.assert_array_equal(asked.audio.samples, plain.audio.samples)
    assert asked.recipe == plain.recipe
    assert not torch_nano.generate(None, duration=0.2, in_time=True).recipe.in_time


def test_what_goes_on_from_a_sound_keeps_its_time(torch_nano: Model, tmp_path: Path) -> None:
    take = torch_nano.generate(PROMPT, duration=3.0, seed=5, in_time=True)
    take.save(tmp_path / "take.flac")
    assert take.recipe.in_time
    longer = cadenza.again(
        tmp_path / "take.flac", model=torch_nano, beginning=sine(1.0, 32_000), duration=0.5
    )
    assert longer.recipe.continued is not None and not longer.recipe.in_time


def test_a_file_in_time_is_verified_and_made_again(torch_nano: Model, tmp_path: Path) -> None:
    take = torch_nano.generate(PROMPT, duration=3.0, seed=5, in_time=True)
    file = take.save(tmp_path / "a.flac")
    made = cadenza.verify(file, model=torch_nano)
    assert made.same and made.take.recipe == read_recipe(file) == take.recipe
    assert "in time" in dict(recipe_rows(take.recipe))
    assert "in time" not in dict(recipe_rows(replace(take.recipe, in_time=False)))
    np.testing.assert_allclose(made.take.audio.samples, take.audio.samples, atol=1e-6)
    as_played = cadenza.again(file, model=torch_nano, in_time=False)
    assert as_played.audio.duration == 3.0 and not as_played.recipe.in_time
    # The last frames are made where the first codebook has ended already.
    np.testing.assert_array_equal(as_played.codes.ids[:, :146], take.codes.ids[:, :146])


def test_going_on_from_it_goes_on_from_what_is_heard(torch_nano: Model) -> None:
    take = torch_nano.generate(PROMPT, duration=2.0, seed=6, in_time=True)
    longer = torch_nano.extend(take, 0.5)
    assert longer.audio.duration == pytest.approx(2.5)
    assert longer.codes.frames == 125


def test_what_cannot_be_in_time_is_refused(torch_nano: Model) -> None:
    with pytest.raises(OptionError, match="a stream is heard before its tempo is known"):
        torch_nano.stream(PROMPT, 1.0, in_time=True)
    with pytest.raises(OptionError, match="a beginning would be stretched"):
        torch_nano.generate(PROMPT, in_time=True, beginning=noise(1.0))
    with pytest.raises(OptionError, match="a tempo must be from 40 to 240 bpm, not 300"):
        torch_nano.generate("techno, 300 bpm", in_time=True)


def test_the_command_brings_in_time_and_takes_it_back(tmp_path: Path) -> None:
    first, second = tmp_path / "a.wav", tmp_path / "b.wav"
    options = ["--duration", "2", "--seed", "3", "--in-time"]
    assert run("generate", PROMPT, "-o", str(first), *options).code == 0
    assert read_recipe(first).in_time
    assert run("verify", str(first)).code == 0
    result = run("again", str(first), "-o", str(second), "--as-played", "--json")
    [made] = json.loads(result.output)["files"]
    assert made["duration"] == 2.0 and not made["recipe"]["in_time"]
