"""The slow fader of a stream without an end, on music whose level is known."""

from __future__ import annotations

import numpy as np
import pytest

from cadenza.streaming.level import FREE, LEARN_SECONDS, MOST, SPEED, SteadyLevel

RATE = 1000
CHUNK = 0.5  # seconds


def music(decibels: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    """Chunks of half a second of noise, ``[1, n]``, each at its level; 0 dB has the power 1."""
    noise = np.random.default_rng(seed).standard_normal((len(decibels), 1, round(CHUNK * RATE)))
    noise /= np.sqrt(np.mean(np.square(noise), axis=2, keepdims=True))
    return list((noise * 10 ** (decibels[:, None, None] / 20)).astype(np.float32))


def minutes(count: float) -> int:
    return round(count * 60 / CHUNK)


def heard(level: SteadyLevel, chunks: list[np.ndarray]) -> np.ndarray:
    """Decibels of each chunk after the fader."""
    out = [level(chunk) for chunk in chunks]
    return np.array([10 * np.log10(np.mean(np.square(chunk)) + 1e-20) for chunk in out])


def test_music_that_stays_near_is_not_touched() -> None:
    """It swells and sinks by 3 dB from bar to bar, and by less than the free range for good."""
    wave = -20 + 3 * np.sin(np.arange(minutes(6)) / 4) + np.linspace(0, 0.5, minutes(6))
    level = SteadyLevel(RATE)
    for chunk in music(wave):
        assert level(chunk) is chunk


@pytest.mark.parametrize("drift", [-10.0, -4.0, 4.0, 10.0])
def test_music_that_drifts_is_brought_back(drift: float) -> None:
    way = np.concatenate([np.zeros(minutes(1)), np.linspace(0, drift, minutes(8))]) - 20
    after = heard(SteadyLevel(RATE), music(way))
    np.testing.assert_allclose(after[: minutes(1)], -20, atol=0.01)
    assert np.abs(after + 20).max() <= FREE + 1


@pytest.mark.parametrize("drift", [-30.0, 30.0])
def test_the_fader_has_an_end(drift: float) -> None:
    way = np.concatenate([np.zeros(minutes(1)), np.linspace(0, drift, minutes(8))]) - 40
    level = SteadyLevel(RATE)
    heard(level, music(way))
    assert level.gain == -np.sign(drift) * MOST


def test_the_fader_is_slow_and_makes_no_steps() -> None:
    level = SteadyLevel(RATE)
    chunks = music(np.concatenate([np.zeros(minutes(1)), np.full(minutes(3), -12.0)]))
    gains = np.concatenate([(level(chunk) / chunk)[0] for chunk in chunks])
    slope = np.diff(20 * np.log10(gains)) * RATE
    assert np.abs(slope).max() <= SPEED * 1.5  # a chunk's last value is the next one's first
    assert level.gain > 8


def test_a_pause_is_no_fading() -> None:
    level = SteadyLevel(RATE)
    heard(level, music(np.full(minutes(1), -20.0)))
    silence = [np.zeros((1, 500), np.float32)] * minutes(2)
    assert all((level(chunk) == 0).all() for chunk in silence)
    assert level.gain == 0
    only_silence = SteadyLevel(RATE)
    heard(only_silence, silence + music(np.full(minutes(2), -20.0)))
    assert only_silence.gain == 0


def test_another_music_has_another_level() -> None:
    """After a turn the fader rests, and the level is kept at which it is heard then."""
    level = SteadyLevel(RATE)
    heard(level, music(np.concatenate([np.full(minutes(1), -20.0), np.full(minutes(3), -28.0)])))
    gain = level.gain
    assert gain == pytest.approx(8 - FREE, abs=0.1)
    level.learn()
    softer = music(np.full(minutes(LEARN_SECONDS / 60), -40.0))
    np.testing.assert_allclose(heard(level, softer), -40 + gain, atol=0.01)
    after = heard(level, music(np.full(minutes(3), -48.0)))
    assert after[-1] == pytest.approx(-40 + gain - FREE, abs=0.1)


def test_the_length_of_the_chunks_does_not_matter() -> None:
    way = np.concatenate([np.zeros(minutes(1)), np.linspace(0, -9, minutes(4))])
    whole = np.concatenate(music(way), axis=1)
    ends = {}
    for length in (100, 500, 1300):
        level = SteadyLevel(RATE)
        for start in range(0, whole.shape[1], length):
            level(whole[:, start : start + length])
        ends[length] = level.gain
    assert max(ends.values()) - min(ends.values()) < 0.2
