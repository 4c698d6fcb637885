"""Tempo, beats, bars, key and tuning: of signals whose facts are known, and of rendered music."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cadenza.beats import Analysis, analyse, fit
from cadenza.types import Audio, Key
from tests.renders import rendered
from tests.sounds import silence, sine
from training.corpus.compose import compose
from training.corpus.piece import HELD_OUT, Piece

RATE = 32_000
SEEDS = range(HELD_OUT + 700_000, HELD_OUT + 700_024)
START, SECONDS = 1.7, 12.0  # not on a downbeat


def clicks(tempo: float, first: float, seconds: float, rate: int = RATE) -> Audio:
    """Short bursts at ``tempo``, the first of them after ``first`` seconds, every fourth lower."""
    samples = np.zeros((1, round(seconds * rate)), np.float32)
    time = np.arange(round(0.03 * rate)) / rate
    for number, start in enumerate(np.arange(first, seconds - 0.03, 60 / tempo)):
        hertz = 300 if number % 4 == 0 else 1200
        place = round(start * rate)
        samples[0, place : place + len(time)] += (
            0.5 * np.sin(2 * np.pi * hertz * time) * np.exp(-time * 100)
        )
    return Audio(samples, rate)


def chord(*pitches: int, cents: float = 0.0, seconds: float = 2.0) -> Audio:
    tones = [sine(seconds, RATE, 440 * 2 ** ((p - 69 + cents / 100) / 12), 0.15) for p in pitches]
    return Audio(np.sum([tone.samples for tone in tones], axis=0, dtype=np.float32), RATE)


@settings(max_examples=15, deadline=None)
@given(tempo=st.floats(72, 160), first=st.floats(0.02, 0.3))
def test_clicks_are_counted_exactly(tempo: float, first: float) -> None:
    heard = analyse(clicks(tempo, first, 12.0), tempo)
    assert heard.tempo == pytest.approx(tempo, rel=1e-3)
    true = np.arange(first, 13, 60 / tempo)
    beats = np.array(heard.beats)
    distance = np.abs(beats[:, None] - true).min(axis=1)
    assert np.median(distance) < 0.010 and distance.max() < 0.020
    assert len(beats) >= np.count_nonzero(true < 12) - 2


def test_what_was_asked_decides_between_a_tempo_and_its_double_but_invents_nothing() -> None:
    audio = clicks(80, 0.1, 15)
    assert analyse(audio, 80).tempo == pytest.approx(80, rel=1e-3)
    assert analyse(audio, 160).tempo == pytest.approx(160, rel=1e-3)
    assert analyse(audio, 86).tempo == pytest.approx(80, rel=1e-3)


@pytest.mark.parametrize("rate", [8000, 44_100, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_any_rate_and_channels(rate: int, channels: int) -> None:
    mono = clicks(96, 0.2, 8, rate)
    audio = Audio(np.repeat(mono.samples, channels, axis=0), rate)
    assert analyse(audio).tempo == pytest.approx(96, rel=2e-3)


def test_loudness_does_not_matter() -> None:
    audio = rendered(compose(SEEDS[0], 12.0))
    quiet = Audio(audio.samples * np.float32(0.01), audio.rate)
    assert analyse(quiet).tempo == pytest.approx(analyse(audio).tempo)
    assert analyse(quiet).key == analyse(audio).key


@pytest.mark.parametrize(
    "audio",
    [silence(5), silence(0), Audio(np.full((1, 1), 0.5, np.float32), RATE), sine(0.5), sine(10)],
    ids=["silent", "empty", "one sample", "short", "a tone without end"],
)
def test_no_beat_where_none_is(audio: Audio) -> None:
    heard = analyse(audio)
    assert heard.tempo is None and heard.beats == heard.downbeats == ()


def test_noise_has_neither_beat_nor_key_that_counts() -> None:
    noise = np.random.default_rng(0).standard_normal((1, 10 * RATE)).astype(np.float32) * 0.1
    assert analyse(Audio(noise, RATE)).clarity < 0.2


@pytest.mark.parametrize("cents", [-40, -15, 0, 8, 45])
def test_tuning_is_measured_to_a_cent(cents: float) -> None:
    heard = analyse(chord(60, 64, 67, cents=cents))
    assert heard.tuning == pytest.approx(cents, abs=1.0)
    assert set(np.argsort(heard.chroma)[-3:].tolist()) == {0, 4, 7}


@pytest.mark.parametrize("tonic", range(12))
def test_a_cadence_says_its_key(tonic: int) -> None:
    major = [
        chord(*(p + tonic for p in c))
        for c in ((48, 64, 67), (53, 65, 69), (55, 62, 71), (48, 64, 72))
    ]
    minor = [
        chord(*(p + tonic for p in c))
        for c in ((48, 63, 67), (53, 65, 68), (55, 62, 71), (48, 63, 72))
    ]
    for chords, mode in ((major, "major"), (minor, "minor")):
        audio = Audio(np.concatenate([c.samples for c in chords], axis=1), RATE)
        heard = analyse(audio)
        assert heard.key == Key(tonic, mode)
        assert fit(heard.chroma, Key(tonic, mode)) > fit(heard.chroma, Key((tonic + 6) % 12, mode))


@pytest.fixture(scope="module")
def pieces() -> list[tuple[Piece, Analysis]]:
    composed = [compose(seed, 14.0) for seed in SEEDS]
    return [(piece, analyse(rendered(piece, START, SECONDS), piece.tempo)) for piece in composed]


def test_rendered_music_keeps_its_tempo(pieces: list[tuple[Piece, Analysis]]) -> None:
    right = [h.tempo is not None and abs(h.tempo / p.tempo - 1) < 0.005 for p, h in pieces]
    assert np.mean(right) >= 0.9
    guessed = [analyse(rendered(p, START, SECONDS)).tempo for p, _ in pieces]
    alone = [
        t is not None and abs(t / p.tempo - 1) < 0.02
        for t, (p, _) in zip(guessed, pieces, strict=True)
    ]
    assert np.mean(alone) >= 0.7  # without a hint, octaves are confused


def test_rendered_music_has_its_beats_and_bars(pieces: list[tuple[Piece, Analysis]]) -> None:
    scores, bars = [], []
    for piece, heard in pieces:
        grid = np.arange(0, 60, piece.beat) - START
        inside = grid[(grid >= 0) & (grid < SECONDS)]
        scores.append(mir_eval.beat.f_measure(inside, np.array(heard.beats), 0.07))
        if heard.downbeats:
            place = (heard.downbeats[0] + START) / piece.bar
            bars.append(heard.meter == piece.meter and abs(place - round(place)) < 0.07)
    assert np.mean(scores) >= 0.65  # a third of a beat apart is 0
    assert np.mean(bars) >= 0.5  # a quarter by chance


def test_rendered_music_has_its_key(pieces: list[tuple[Piece, Analysis]]) -> None:
    keyed = [(p, h) for p, h in pieces if p.lead != "drums"]
    right = [h.key == Key(p.tonic, p.mode) for p, h in keyed]
    assert np.mean(right) >= 0.55  # 1 in 24 by chance
    fits = [fit(h.chroma, Key(p.tonic, p.mode)) for p, h in keyed]
    away = [fit(h.chroma, Key((p.tonic + 6) % 12, p.mode)) for p, h in keyed]
    assert np.mean(np.array(fits) > np.array(away)) >= 0.95
