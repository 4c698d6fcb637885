"""The mix: each setting does what it says, measured from outside; nothing clips, nothing shifts."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from cadenza.audio import loudness
from cadenza.errors import AudioError, OptionError
from cadenza.studio.dynamics import duck, limiting, true_peak
from cadenza.studio.filters import equalise
from cadenza.studio.mix import level_of, place, stem
from cadenza.studio.mix import mix as mixdown
from cadenza.studio.reverb import impulse_response
from cadenza.studio.settings import Bus, Strip, settings_from
from cadenza.types import Audio
from tests.sounds import silence, sine

RATE = 32_000
DRY = Strip()


def noise(seconds: float = 4.0, peak: float = 0.3, seed: int = 0) -> Audio:
    values = np.random.default_rng(seed).uniform(-peak, peak, (1, round(seconds * RATE)))
    return Audio(values.astype(np.float32), RATE)


def kicks(seconds: float = 4.0) -> Audio:
    """A 60 Hz thump of 80 ms every half second."""
    samples = np.zeros((1, round(seconds * RATE)), np.float32)
    time = np.arange(round(0.08 * RATE)) / RATE
    thump = 0.8 * np.sin(2 * np.pi * 60 * time) * np.exp(-time * 30)
    for start in range(0, samples.shape[1] - len(time), RATE // 2):
        samples[0, start : start + len(time)] = thump
    return Audio(samples, RATE)


def response(strip: Strip, hertz: float) -> float:
    """The gain in decibels that the filters of a strip give to a tone, from their impulse."""
    impulse = np.zeros((1, RATE))
    impulse[0, 0] = 1
    spectrum = np.fft.rfft(equalise(impulse, RATE, strip)[0])
    return float(20 * np.log10(np.abs(spectrum[round(hertz)])))


def exact_peak(samples: np.ndarray) -> float:
    """The peak of the band-limited wave, by a Fourier transform sixteen times as long."""
    return float(np.abs(signal.resample(samples, 16 * samples.shape[-1], axis=-1)).max())


def mix(tracks: dict[str, Audio], strips: dict[str, Strip], bus: Bus) -> Audio:
    return mixdown(tracks, strips, bus).audio


def test_filters_do_what_their_settings_say() -> None:
    high_pass = Strip(high_pass=100)
    assert response(high_pass, 100) == pytest.approx(-3.0, abs=0.1)
    assert response(high_pass, 50) == pytest.approx(-12.3, abs=0.3)  # 12 dB an octave
    assert response(high_pass, 2000) == pytest.approx(0, abs=0.05)
    for gain in (-9.0, 6.0):
        low, mid, high = Strip(low=gain), Strip(mid=gain), Strip(high=gain)
        assert response(low, 20) == pytest.approx(gain, abs=0.3)
        assert response(low, 150) == pytest.approx(gain / 2, abs=0.1)
        assert response(low, 3000) == pytest.approx(0, abs=0.1)
        assert response(mid, 1000) == pytest.approx(gain, abs=0.05)
        assert response(mid, 60) == pytest.approx(0, abs=0.2)
        assert response(high, 15_500) == pytest.approx(gain, abs=0.3)
        assert response(high, 5000) == pytest.approx(gain / 2, abs=0.1)
        assert response(high, 200) == pytest.approx(0, abs=0.1)
    assert response(DRY, 440) == 0


@settings(max_examples=20, deadline=None)
@given(pan=st.floats(-1, 1), gain=st.floats(-30, 12))
def test_panning_keeps_the_power(pan: float, gain: float) -> None:
    tone = sine(0.2)
    left, right = place(tone, Strip(pan=pan, gain=gain))
    power = np.square(left).sum() + np.square(right).sum()
    assert power == pytest.approx(2 * np.square(tone.samples).sum() * 10 ** (gain / 10), rel=1e-3)
    assert (np.square(left).sum() > np.square(right).sum()) == (pan < 0) or abs(pan) < 1e-3


def test_middle_is_untouched_and_ends_are_alone() -> None:
    tone = sine(0.2)
    assert np.allclose(place(tone, DRY), np.repeat(tone.samples, 2, axis=0))
    assert np.abs(place(tone, Strip(pan=-1))[1]).max() < 1e-9


def test_nothing_is_shifted_in_time() -> None:
    samples = np.zeros((1, RATE), np.float32)
    samples[0, 12_345] = 0.5
    track = Audio(samples, RATE)
    mixed = mix({"a": track}, {"a": Strip(high_pass=40, mid=3, high=-3)}, Bus(loudness=-30))
    assert mixed.samples.shape == (2, RATE)
    assert abs(int(np.abs(mixed.samples[0]).argmax()) - 12_345) <= 1


@pytest.mark.parametrize("target", [-23.0, -14.0, -9.0])
def test_the_mix_is_as_loud_as_asked_and_never_too_high(target: float) -> None:
    tracks = {"a": noise(seed=1), "b": sine(4.0, RATE, 110), "c": kicks()}
    strips = {"a": Strip(pan=-0.5), "b": Strip(reverb=-10), "c": Strip(gain=6)}
    mixed = mix(tracks, strips, Bus(loudness=target))
    assert loudness(mixed) == pytest.approx(target, abs=0.2)
    assert 20 * np.log10(exact_peak(mixed.samples)) <= -1.0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), gain=st.floats(0, 30), ceiling=st.floats(-12, -1))
def test_no_true_peak_passes_the_ceiling(seed: int, gain: float, ceiling: float) -> None:
    rng = np.random.default_rng(seed)
    loud = rng.standard_normal((2, RATE // 4)) * np.exp(3 * rng.standard_normal((1, 1)))
    loud = signal.sosfilt(signal.butter(4, 0.9 * rng.uniform(0.1, 1), output="sos"), loud)
    loud *= signal.windows.tukey(loud.shape[1], 0.1)  # the transform takes the ends for joined
    loud *= 10 ** (gain / 20)
    limited = loud * limiting(loud, RATE, ceiling)
    assert 20 * np.log10(exact_peak(limited) + 1e-12) <= ceiling


def test_a_wave_between_its_samples_is_measured() -> None:
    # A wave of amplitude 1 that is 0.707 at every sample.
    quarter = np.sin(np.pi / 2 * np.arange(4000) + np.pi / 4)[None] * np.hanning(4000)
    assert np.abs(quarter).max() == pytest.approx(0.7071, abs=1e-3)
    assert true_peak(quarter) == pytest.approx(1.0, abs=0.01)


def test_the_limiter_leaves_alone_what_is_below() -> None:
    quiet = sine(1.0, peak=0.4).samples.astype(np.float64)
    assert (limiting(quiet, RATE, -1.0) == 1).all()


def test_bass_steps_back_under_the_kick_and_comes_again() -> None:
    drums, bass = kicks(), sine(4.0, RATE, 80, peak=0.3)
    strips = {"drums": Strip(mute=True), "bass": Strip(duck_under="drums", duck=9.0)}
    low = Bus(loudness=-30)
    ducked = mix({"drums": drums, "bass": bass}, strips, low).samples[0]
    plain = mix({"drums": drums, "bass": bass}, {**strips, "bass": DRY}, low).samples[0]
    window = RATE // 40  # two periods

    def level(samples: np.ndarray, second: float) -> float:
        start = round(second * RATE)
        return float(10 * np.log10(np.mean(np.square(samples[start : start + window]))))

    for kick in (1.0, 1.5, 2.0):
        under, between = kick + 0.005, kick + 0.44
        depth = (level(ducked, between) - level(ducked, under)) - (
            level(plain, between) - level(plain, under)
        )
        assert depth == pytest.approx(9.0, abs=1.5)


def test_without_a_kick_nothing_steps_back() -> None:
    rng = np.random.default_rng(3)
    bass = np.repeat(sine(1.0, RATE).samples.astype(np.float64), 2, axis=0)
    hiss = rng.standard_normal((1, bass.shape[1])) * 0.2
    hats = signal.sosfilt(signal.butter(8, 3000, "high", fs=RATE, output="sos"), hiss)
    for drums in (np.zeros_like(hats), hats):
        np.testing.assert_array_equal(duck(bass, drums, RATE, 6.0), bass)


def test_the_room_dies_as_it_says() -> None:
    bus = Bus(room=1.5, damping=0.0, pre_delay=0.02)
    tail = impulse_response(RATE, bus)
    energy = np.cumsum(np.square(tail[0])[::-1])[::-1]  # Schroeder 1965
    decibels = 10 * np.log10(energy / energy[0] + 1e-12)
    first, last = (int(np.argmax(decibels < level)) for level in (-5, -35))
    assert 2 * (last - first) / RATE == pytest.approx(1.5, rel=0.1)
    assert not tail[:, : round(0.02 * RATE)].any()
    assert abs(np.corrcoef(tail)[0, 1]) < 0.1  # wide
    dark = impulse_response(RATE, dataclasses.replace(bus, damping=1.0))
    late = slice(round(0.5 * RATE), None)
    highs = [np.abs(np.fft.rfft(part[0, late]))[-4000:].mean() for part in (tail, dark)]
    assert highs[1] < 0.1 * highs[0]


def test_the_same_settings_give_the_same_bits() -> None:
    tracks = {"a": noise(2.0), "b": kicks(2.0)}
    strips = {"a": Strip(reverb=-12, duck_under="b", mid=2), "b": Strip(gain=3, high_pass=30)}
    first, second = (
        hashlib.sha256(mix(tracks, strips, Bus()).samples.tobytes()).hexdigest() for _ in range(2)
    )
    assert first == second


def test_order_and_muted_tracks_do_not_matter_but_silence_is_silence() -> None:
    tracks = {"a": noise(1.0), "b": sine(1.0), "c": silence(1.0)}
    strips = dict.fromkeys(tracks, DRY)
    whole = mix(tracks, strips, Bus())
    assert np.allclose(whole.samples, mix(dict(reversed(tracks.items())), strips, Bus()).samples)
    muted = mix(tracks, {**strips, "a": Strip(mute=True), "c": DRY}, Bus())
    assert np.allclose(muted.samples, mix({"b": tracks["b"]}, strips, Bus()).samples)
    assert not mix({"c": tracks["c"]}, strips, Bus()).samples.any()


def test_solo_silences_the_others_and_mute_is_stronger() -> None:
    tracks = {"a": noise(1.0), "b": sine(1.0), "c": kicks(1.0)}
    strips = {"a": Strip(solo=True, gain=-3), "b": Strip(solo=True), "c": Strip(reverb=-6)}
    heard = mix(tracks, strips, Bus())
    muted = {"a": Strip(gain=-3), "b": DRY, "c": Strip(mute=True)}
    assert np.array_equal(heard.samples, mix(tracks, muted, Bus()).samples)
    strips["b"] = Strip(solo=True, mute=True)
    alone = mix({"a": tracks["a"]}, {"a": Strip(gain=-3)}, Bus())
    assert np.array_equal(mix(tracks, strips, Bus()).samples, alone.samples)


def test_stems_add_up_to_the_mix() -> None:
    tracks = {"a": noise(2.0), "b": kicks(2.0), "c": sine(2.0)}
    strips = {"a": Strip(reverb=-9, duck_under="b"), "b": Strip(gain=9), "c": Strip(mute=True)}
    bus = Bus(loudness=-9)
    mixed = mixdown(tracks, strips, bus)
    assert mixed.gain.min() < 0.95 * mixed.gain.max()  # the limiter works
    total = sum(stem(name, tracks, strips, bus, mixed).samples for name in tracks)
    assert np.abs(total - mixed.audio.samples).max() < 1e-6


def test_levels_are_those_behind_the_strip() -> None:
    tone = noise(3.0)
    assert level_of(tone, Strip(gain=6)) == pytest.approx(level_of(tone, DRY) + 6, abs=0.01)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"gain": 100}, "gain must be from -60 to 40, not 100"),
        ({"pan": float("nan")}, "pan must be from"),
        ({"pan": "left"}, "pan must be a number, not 'left'"),
        ({"mute": 1}, "mute must be a yes or no"),
        ({"volume": 3}, "no setting 'volume'"),
        ([1], r"no setting \[1\]"),
    ],
)
def test_nonsense_is_refused(fields: object, words: str) -> None:
    with pytest.raises(OptionError, match=f"the bass.*{words}"):
        settings_from(Strip, fields, "the bass")


def test_tracks_that_do_not_fit_are_refused() -> None:
    strips = {"a": DRY, "b": DRY}
    with pytest.raises(AudioError, match="b has 16000 samples at 32000 Hz, a has 32000"):
        mix({"a": sine(1.0), "b": sine(0.5)}, strips, Bus())
    with pytest.raises(OptionError, match="ducks under 'drums', which is not a track"):
        mix({"a": sine(1.0)}, {"a": Strip(duck_under="drums")}, Bus())
    with pytest.raises(OptionError, match="c has no strip"):
        mix({"c": sine(1.0)}, strips, Bus())
    with pytest.raises(OptionError, match="nothing to mix"):
        mix({}, {}, Bus())
