"""In key: what sets a key apart from the others counts more, and a recipe makes it again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cadenza
from cadenza.model import Model
from cadenza.show.facts import recipe_rows
from cadenza.studio.asked import asked, in_other_keys
from cadenza.studio.inkey import stressed
from cadenza.take import read_recipe
from cadenza.types import Conditioning

PROMPT = "solo piano in D minor, 90 bpm"


def states(seed: int, length: int = 5, width: int = 3) -> Conditioning:
    values = np.random.default_rng(seed).standard_normal((length, width)).astype(np.float32)
    return Conditioning(cross=values, prefix=values[:0])


@pytest.mark.parametrize(
    ("prompt", "others"),
    [
        (
            "calm piano, C major, slow",
            [f"calm piano, {name} major, slow" for name in "ABDEFG"],
        ),
        ("funk in F# minor", [f"funk in {name}# minor" for name in "ACDG"]),
        ("rock, Bb maj", [f"rock, {name}b maj" for name in "ADEG"]),
        ("rock, e-flat Minor", [f"rock, {name}-flat Minor" for name in "abdg"]),
        ("calm piano", []),
        ("a minor thing", []),
    ],
)
def test_the_same_prompt_in_other_keys(prompt: str, others: list[str]) -> None:
    assert in_other_keys(prompt) == others


@given(
    st.sampled_from("ABCDEFG"),
    st.sampled_from(["", "#", "b", " sharp", "-flat", "♯"]),
    st.sampled_from(["major", "minor", "min"]),
)
def test_other_keys_are_others_and_nothing_else_changes(letter: str, bend: str, mode: str) -> None:
    prompt = f"a waltz in {letter}{bend} {mode}, 96 bpm, for a minor role"
    own = asked(prompt)
    assert own.key is not None
    others = [asked(other) for other in in_other_keys(prompt)]
    keys = [other.key for other in others]
    assert len(set(keys)) == len(keys) >= 4 and own.key not in keys
    assert {key.mode for key in keys if key} == {own.key.mode}
    assert {(other.tempo, other.meter, other.style) for other in others} == {
        (own.tempo, own.meter, own.style)
    }


def test_states_go_away_from_the_mean_of_the_others() -> None:
    own, others = states(0), [states(1), states(2), states(3, length=4)]
    mean = (others[0].cross + others[1].cross) / 2  # the third has other states
    expected = own.cross + (own.cross - mean)
    np.testing.assert_allclose(stressed(own, others).cross, expected, rtol=1e-5, atol=1e-6)
    assert stressed(own, others).prefix.shape == (0, 3)
    assert stressed(own, [states(3, length=4)]) is own
    assert stressed(own, []) is own


def test_a_take_in_key_is_played_by_other_states_and_made_again(
    torch_nano: Model, tmp_path: Path
) -> None:
    plain, take = (
        torch_nano.generate(PROMPT, duration=1.0, seed=3, in_key=on) for on in (False, True)
    )
    assert take.recipe.in_key and not plain.recipe.in_key
    assert not np.array_equal(take.codes.ids, plain.codes.ids)
    file = take.save(tmp_path / "a.flac")
    assert read_recipe(file) == take.recipe and cadenza.verify(file, model=torch_nano).same
    assert "in key" in dict(recipe_rows(take.recipe))
    assert "in key" not in dict(recipe_rows(plain.recipe))
    as_read = cadenza.again(file, model=torch_nano, in_key=False)
    np.testing.assert_array_equal(as_read.codes.ids, plain.codes.ids)


def test_a_prompt_without_a_key_is_read_as_it_is(torch_nano: Model) -> None:
    plain, asked_for = (
        torch_nano.generate("calm piano", duration=0.5, seed=2, in_key=on) for on in (False, True)
    )
    np.testing.assert_array_equal(asked_for.codes.ids, plain.codes.ids)
    assert asked_for.recipe == plain.recipe
    assert not torch_nano.generate(None, duration=0.2, in_key=True).recipe.in_key


def test_a_stream_can_be_in_key(torch_nano: Model) -> None:
    take = torch_nano.generate(PROMPT, duration=1.0, seed=3, in_key=True)
    with torch_nano.stream(PROMPT, duration=1.0, seed=3, in_key=True) as stream:
        heard = np.concatenate([chunk.samples for chunk in stream], axis=1)
    np.testing.assert_allclose(heard, take.audio.samples, atol=1e-4)
