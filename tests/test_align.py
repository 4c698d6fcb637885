"""Takes are brought onto the grid, and what cannot be brought there is said."""

from __future__ import annotations

import numpy as np
import pytest

from cadenza.audio import resample
from cadenza.beats import analyse
from cadenza.studio.align import Grid, align
from cadenza.types import Audio, Key
from tests.renders import rendered
from tests.sounds import silence, sine
from tests.test_beats import chord, clicks
from training.corpus.compose import compose
from training.corpus.piece import HELD_OUT, Piece

RATE = 32_000


def grid(tempo: float, bars: int = 4, key: Key | None = None) -> Grid:
    return Grid(tempo, 4, bars, key, RATE)


def onsets(audio: Audio) -> np.ndarray:
    """Seconds at which a click begins: where the level jumps."""
    level = np.abs(audio.samples[0])
    loud = np.flatnonzero(level > 0.1)
    return loud[np.diff(loud, prepend=-RATE) > RATE // 10] / RATE


@pytest.mark.parametrize("tempo", [104.0, 109.0, 110.0, 112.5, 117.0])
@pytest.mark.parametrize("first", [0.05, 0.21])
def test_clicks_of_another_tempo_meet_the_grid(tempo: float, first: float) -> None:
    wanted = grid(110.0)
    audio, report = align(clicks(tempo, first, 12.0), wanted, pitched=False)
    assert audio.samples.shape == (1, wanted.samples)
    assert report.ok and report.tempo == pytest.approx(tempo, rel=2e-3)
    assert report.tempo_now == pytest.approx(110, rel=3e-3)
    beats = onsets(audio)
    off = beats / (60 / 110) - np.round(beats / (60 / 110))
    assert np.abs(off).max() * 60 / 110 < 0.03
    assert beats[0] < 0.03  # a beat begins it


@pytest.mark.parametrize("cents", [-30, 12, 35])
def test_tuning_is_corrected_to_a_few_cents(cents: float) -> None:
    wrong = chord(57, 61, 64, cents=cents, seconds=10.0)
    audio, report = align(wrong, grid(120), pitched=True)
    assert report.tuned == pytest.approx(-cents, abs=1.5)
    assert abs(analyse(audio).tuning) < 1.5


@pytest.fixture(scope="module")
def piece() -> Piece:
    seeds = range(HELD_OUT + 710_000, HELD_OUT + 710_200)
    composed = (compose(seed, 20.0) for seed in seeds)
    return next(p for p in composed if p.has_drums and p.lead == "piano" and p.meter == 4)


def test_a_detuned_and_slow_recording_comes_back(piece: Piece) -> None:
    """The tape of a rendered piece runs 1.5 % slow, and its beginning is cut off."""
    true = rendered(piece, 1.3)
    slow = Audio(resample(true, round(RATE * 1.015)).samples, RATE)
    key = Key(piece.tonic, piece.mode)
    audio, report = align(slow, Grid(piece.tempo, 4, 4, key, RATE), pitched=True)
    assert report.tempo == pytest.approx(piece.tempo / 1.015, rel=3e-3)
    assert report.tuning == pytest.approx(-25.8, abs=8)
    assert report.tempo_now == pytest.approx(piece.tempo, rel=5e-3)
    assert not any("bpm" in fault for fault in report.faults)
    assert abs(analyse(audio, piece.tempo).tuning) < 8


def test_what_is_wrong_is_said() -> None:
    cmajor = chord(48, 52, 55, 60, seconds=9.0)
    cases = [
        (silence(9.0), True, "it is silent"),
        (clicks(80, 0.1, 12.0), False, "it plays 80.0 bpm, not 110.0"),
        (clicks(110, 0.1, 4.0), False, "s early"),
        (sine(12.0), False, "no pulse is heard in it"),
        (cmajor, True, "it sounds in C major, not F# major"),
    ]
    for audio, pitched, words in cases:
        aligned, report = align(audio, grid(110, key=Key(6, "major")), pitched)
        assert aligned.samples.shape[1] == grid(110).samples
        assert not report.ok and report.penalty > 0
        assert any(words in fault for fault in report.faults), (words, report.faults)


def test_a_better_try_has_the_smaller_penalty() -> None:
    near, far, mute = (
        align(audio, grid(110), pitched=False)[1]
        for audio in (clicks(98, 0.1, 12.0), clicks(75, 0.1, 14.0), silence(12.0))
    )
    assert near.penalty < far.penalty < mute.penalty
