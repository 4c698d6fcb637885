"""Takes transposed to the key that their prompt names."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import cadenza
from cadenza import Model
from cadenza.beats import analyse
from cadenza.errors import OptionError
from cadenza.show.facts import recipe_rows
from cadenza.studio.critic import Critic
from cadenza.studio.critic.critic import SURE
from cadenza.studio.critic.network import Told
from cadenza.studio.inkey import in_key
from cadenza.take import read_recipe
from cadenza.types import Codes, Key
from tests.command import run
from tests.renders import rendered
from tests.sounds import pitch, sine
from training.corpus.compose import compose

PROMPT = "solo piano in A minor, 90 bpm"
NOTHING = Codes(np.zeros((4, 200), np.int64), 50.0)


class Sure(Critic):
    """A critic that is ``sure`` of a key, whatever it hears."""

    def __init__(self, key: Key, sure: float = 0.9) -> None:
        self._heard = np.full((1, 24), math.log((1 - sure) / 23))
        self._heard[0, 12 * (key.mode == "minor") + key.tonic] = math.log(sure)

    def hear(self, ids: np.ndarray) -> Told:
        empty = np.zeros((1, 1))
        return Told(empty, self._heard, empty, empty, empty)


@pytest.mark.parametrize(
    ("heard", "wanted", "semitones"),
    [
        (Key(9, "minor"), Key(9, "minor"), 0),
        (Key(8, "minor"), Key(9, "minor"), 1),
        (Key(11, "minor"), Key(9, "minor"), -2),
        (Key(11, "major"), Key(0, "major"), 1),  # round the octave
        (Key(1, "major"), Key(11, "major"), -2),
        (Key(8, "major"), Key(9, "minor"), 0),  # another mode is another music
        (Key(5, "minor"), Key(9, "minor"), 0),  # too far
    ],
)
def test_a_sound_is_moved_to_the_key_and_lasts_as_long(
    heard: Key, wanted: Key, semitones: int
) -> None:
    tone = sine(2.0, 32_000, hertz=440.0)
    moved = in_key(tone, NOTHING, wanted, Sure(heard))
    assert moved.samples.shape == tone.samples.shape
    assert pitch(moved) == pytest.approx(pitch(tone) * 2 ** (semitones / 12), rel=2e-3)
    if semitones == 0:
        np.testing.assert_array_equal(moved.samples, tone.samples)


def test_what_is_not_sure_stays_where_it_is() -> None:
    tone = sine(1.0, 32_000)
    unsure = Sure(Key(8, "minor"), sure=SURE - 0.01)
    np.testing.assert_array_equal(
        in_key(tone, NOTHING, Key(9, "minor"), unsure).samples, tone.samples
    )


def test_all_pitches_of_a_piece_move_together() -> None:
    """By the rules' ear, which knows of no critic."""
    piece = next(piece for piece in map(compose, range(99)) if piece.solo and piece.lead == "piano")
    sound = rendered(piece, seconds=8.0)
    key = Key(piece.tonic, piece.mode)
    there = in_key(sound, NOTHING, Key((key.tonic + 2) % 12, key.mode), Sure(key))
    before, after = (np.array(analyse(audio).chroma) for audio in (sound, there))
    likeness = [np.corrcoef(np.roll(before, semitones), after)[0, 1] for semitones in range(12)]
    assert np.argmax(likeness) == 2 and likeness[2] > 0.95


@pytest.mark.parametrize("heard", [None, Key(8, "minor")])
def test_a_take_in_key_is_the_plain_one_transposed(
    torch_nano: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Key | None
) -> None:
    """By its own critic, and by one that hears a semitone too little in everything."""
    if heard is not None:
        monkeypatch.setitem(vars(torch_nano), "critic", Sure(heard))
    critic = torch_nano.critic
    assert critic is not None
    options = {"duration": 2.0, "seed": 5}
    plain = torch_nano.generate(PROMPT, **options)
    take = torch_nano.generate(PROMPT, in_key=True, **options)
    np.testing.assert_array_equal(take.codes.ids, plain.codes.ids)
    expected = in_key(plain.audio, plain.codes, Key(9, "minor"), critic)
    np.testing.assert_allclose(take.audio.samples, expected.samples, atol=1e-6)
    assert np.array_equal(take.audio.samples, plain.audio.samples) == (heard is None)
    assert take.recipe.in_key and take.audio.duration == 2.0
    file = take.save(tmp_path / "a.flac")
    made = cadenza.verify(file, model=torch_nano)
    assert made.same and made.take.recipe == read_recipe(file) == take.recipe
    np.testing.assert_allclose(made.take.audio.samples, take.audio.samples, atol=1e-6)
    assert "in key" in dict(recipe_rows(take.recipe))
    assert not cadenza.again(file, model=torch_nano, in_key=False).recipe.in_key


def test_what_cannot_be_in_key_is_refused(torch_nano: Model, tiny_text: Path) -> None:
    with pytest.raises(OptionError, match="a stream is heard before its key is known"):
        torch_nano.stream(PROMPT, 1.0, in_key=True)
    with pytest.raises(OptionError, match="a beginning would be transposed"):
        torch_nano.generate(PROMPT, in_key=True, beginning=sine())
    tiny = cadenza.load(tiny_text, backend="torch")
    with pytest.raises(OptionError, match="has no critic to hear the key of a take"):
        tiny.generate(PROMPT, duration=0.2, in_key=True)
    assert not tiny.generate("piano", duration=0.2, in_key=True).recipe.in_key


def test_the_command_brings_in_key_and_takes_it_back(tmp_path: Path) -> None:
    first, second = tmp_path / "a.wav", tmp_path / "b.wav"
    options = ["--duration", "1", "--seed", "3", "--in-key"]
    assert run("generate", PROMPT, "-o", str(first), *options).code == 0
    assert read_recipe(first).in_key and not read_recipe(first).in_time
    assert run("verify", str(first)).code == 0
    assert run("again", str(first), "-o", str(second), "--key-as-played").code == 0
    assert not read_recipe(second).in_key
