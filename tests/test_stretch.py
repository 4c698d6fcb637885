"""Stretching: the length is exact, the pitch stays, attacks come when they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cadenza.beats import analyse
from cadenza.errors import OptionError
from cadenza.studio.stretch import stretch
from cadenza.types import Audio
from tests.sounds import pitch, sine
from tests.test_beats import clicks


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.5, 2.0), samples=st.integers(1, 50_000), channels=st.sampled_from([1, 2]))
def test_the_length_is_exact(factor: float, samples: int, channels: int) -> None:
    noise = np.random.default_rng(samples).standard_normal((channels, samples)).astype(np.float32)
    stretched = stretch(Audio(noise, 32_000), factor)
    assert stretched.samples.shape == (channels, round(samples * factor))
    assert stretched.samples.dtype == np.float32


@pytest.mark.parametrize("factor", [0.93, 0.99, 1.02, 1.08])
def test_a_tone_keeps_pitch_and_level(factor: float) -> None:
    tone = sine(3.0, hertz=311.1, peak=0.5)
    stretched = stretch(tone, factor)
    assert pitch(stretched) == pytest.approx(311.1, abs=0.5)
    inside = stretched.samples[0, 4000:-4000]
    assert np.sqrt(np.mean(inside**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("factor", [0.95, 0.985, 1.03, 1.06])
def test_beats_move_to_where_the_factor_says(factor: float) -> None:
    heard = analyse(stretch(clicks(120, 0.3, 12.0), factor), 120 / factor)
    assert heard.tempo == pytest.approx(120 / factor, rel=2e-3)
    true = np.arange(0.3, 13, 0.5) * factor
    distance = np.abs(np.array(heard.beats)[:, None] - true).min(axis=1)
    assert np.median(distance) < 0.012


def test_nothing_to_do_is_nothing_done_and_nonsense_is_refused() -> None:
    tone = sine(0.5)
    assert stretch(tone, 1.0) is tone
    for factor in (0.4, 2.5, float("nan")):
        with pytest.raises(OptionError, match="can be stretched by 1/2 to 2"):
            stretch(tone, factor)
