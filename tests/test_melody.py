"""Chroma against a naive computation, and states against those inside transformers' own model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import get_window
from transformers import AutoTokenizer, MusicgenMelodyForConditionalGeneration

from cadenza.errors import AudioError
from cadenza.melody import MelodyConditioner, chroma
from cadenza.types import Audio

RATE = 32_000
NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]


def tone(pitches: list[int], seconds: float = 2.0, channels: int = 1) -> Audio:
    """Sines at MIDI ``pitches``, the first one loudest."""
    time = np.arange(int(seconds * RATE)) / RATE
    wave = sum(
        np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) / (1 + place)
        for place, pitch in enumerate(pitches)
    )
    return Audio(np.tile(0.2 * wave, (channels, 1)).astype(np.float32), RATE)


def naive_chroma(wave: np.ndarray) -> np.ndarray:
    """The formula of MusicgenMelodyFeatureExtractor, frame by frame and bin by bin, in float64.

    Spectrogram(n_fft=16384, hop=4096, power=2, centred with reflection, normalised by the
    window's length), times librosa's chroma filters (tuning 0, Gaussian of width 2 octaves around
    the fifth, columns of unit length, from C), scaled to a maximum of 1, one-hot at the maximum.
    """
    n_fft, hop = 16384, 4096
    if len(wave) < n_fft:
        pad = n_fft - len(wave)
        wave = np.pad(wave, (pad // 2, pad // 2 + pad % 2))
    wave = np.pad(wave.astype(np.float64), n_fft // 2, mode="reflect")
    window = get_window("hann", n_fft)

    filters = np.zeros((12, n_fft // 2 + 1))
    octaves = [0.0] + [np.log2(k * RATE / n_fft / (440 / 16)) for k in range(1, n_fft)]
    position = [12 * octave for octave in octaves]  # in semitones above the A of octave 0
    position[0] = position[1] - 18
    for k in range(n_fft // 2 + 1):
        width = max(position[k + 1] - position[k], 1.0)
        column = np.zeros(12)
        for semitone in range(12):
            distance = (position[k] - semitone + 6 + 120) % 12 - 6
            column[semitone] = np.exp(-0.5 * (2 * distance / width) ** 2)
        column /= np.sqrt((column**2).sum())
        column *= np.exp(-0.5 * ((position[k] / 12 - 5) / 2) ** 2)
        filters[:, k] = np.roll(column, -3)

    rows = []
    for start in range(0, len(wave) - n_fft + 1, hop):
        spectrum = np.fft.rfft(wave[start : start + n_fft] * window) / np.sqrt((window**2).sum())
        raw = filters @ np.abs(spectrum) ** 2
        scaled = raw / max(np.abs(raw).max(), 1e-6)
        rows.append(np.eye(12)[scaled.argmax()])
    return np.array(rows)


@pytest.mark.parametrize("pitch", range(48, 84))
def test_a_sine_of_a_pitch_class_lights_its_bin(pitch: int) -> None:
    features = chroma(tone([pitch]))
    assert features.shape == (2 * RATE // 4096 + 1, 12)
    assert (features.argmax(1) == pitch % 12).all(), f"{NAMES[pitch % 12]} at {pitch}"
    assert (features.sum(1) == 1).all()


def test_chords_noise_and_short_sounds_equal_the_reference_formula() -> None:
    random = np.random.default_rng(3)
    melody = np.concatenate([tone([p], 0.4).samples[0] for p in (60, 64, 67, 71, 57, 62)])
    waves = [
        tone([60, 64, 67]).samples[0],
        tone([57, 60, 64, 67, 71]).samples[0],
        tone([42, 90, 66]).samples[0],
        melody,
        random.normal(0, 0.1, 3 * RATE),
        tone([69], 0.1).samples[0],
        random.normal(0, 0.1, 16_385),
    ]
    for wave in waves:
        ours = chroma(Audio(wave[None].astype(np.float32), RATE))
        np.testing.assert_array_equal(ours, naive_chroma(wave.astype(np.float32)))


def test_thirty_seconds_are_235_frames_and_the_rest_is_not_heard() -> None:
    long = chroma(tone([60], seconds=33))
    assert long.shape == (235, 12)
    np.testing.assert_array_equal(long, chroma(tone([60], seconds=30)))


def test_stereo_is_heard_as_its_mean() -> None:
    left, right = tone([60]), tone([67])
    both = Audio(np.concatenate([left.samples, 0.1 * right.samples]), RATE)
    np.testing.assert_array_equal(chroma(both), chroma(left))


def test_unusable_melodies_are_refused() -> None:
    with pytest.raises(AudioError, match="at 32000 Hz, not 44100 Hz"):
        chroma(Audio(np.zeros((1, 44100), np.float32), 44100))
    with pytest.raises(AudioError, match="no samples"):
        chroma(Audio(np.zeros((1, 0), np.float32), RATE))


class Loaded:
    """A model, our conditioner, and the states that transformers' generate prepares."""

    def __init__(self, folder: Path) -> None:
        self.model: Any = MusicgenMelodyForConditionalGeneration.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.conditioner = MelodyConditioner(self.model, self.tokenizer)

    def theirs(self, text: str, features: np.ndarray | None, guidance: float) -> np.ndarray:
        """Rows of ``encoder_hidden_states``: the conditional one and, with guidance, the other."""
        inputs = dict(self.tokenizer([text], return_tensors="pt"))
        if features is not None:
            inputs["input_features"] = torch.from_numpy(features)[None]
        given: list[torch.Tensor] = []
        hook = self.model.decoder.register_forward_pre_hook(
            lambda _, __, kwargs: given.append(kwargs["encoder_hidden_states"]), with_kwargs=True
        )
        self.model.generate(**inputs, max_new_tokens=5, guidance_scale=guidance, do_sample=False)
        hook.remove()
        return given[0].numpy()


@pytest.fixture(scope="module", params=["tiny_melody", "tiny_stereo_melody"])
def loaded(request: pytest.FixtureRequest) -> Loaded:
    return Loaded(request.getfixturevalue(request.param))


@pytest.mark.parametrize("seconds", [None, 0.4, 1.0, 5.0], ids=["none", "short", "some", "long"])
def test_states_equal_those_inside_transformers(loaded: Loaded, seconds: float | None) -> None:
    """Without a melody, with one that is repeated, and with one that is cut."""
    melody = None if seconds is None else tone([64, 67], seconds)
    features = None if melody is None else chroma(melody)
    [ours] = loaded.conditioner.encode(["sad robot, slow"], [melody])
    against = loaded.conditioner.unconditional(ours)
    width = loaded.model.config.decoder.hidden_size
    assert ours.cross.shape == (0, width) and ours.prefix.dtype == np.float32

    alone = loaded.theirs("sad robot, slow", features, guidance=1.0)
    assert alone.shape[0] == 1
    np.testing.assert_allclose(ours.prefix, alone[0], atol=1e-5)

    guided = loaded.theirs("sad robot, slow", features, guidance=3.0)
    np.testing.assert_allclose(ours.prefix, guided[0], atol=1e-5)
    np.testing.assert_allclose(against.prefix, guided[1], atol=1e-5)
    assert np.abs(ours.prefix - against.prefix).max() > 0.01


def test_no_text_is_one_zero_state(loaded: Loaded) -> None:
    """As MusicgenMelodyProcessor.get_unconditional_inputs: one masked token."""
    [ours] = loaded.conditioner.encode([None], [tone([64])])
    length = loaded.model.config.chroma_length
    assert ours.prefix.shape[0] == length + 1
    assert not ours.prefix[length:].any() and ours.prefix[:length].any(axis=1).all()


def test_each_request_has_its_own_melody_and_length(loaded: Loaded) -> None:
    texts, melodies = ["jazz", "ambient pads, slow"], [tone([60]), None]
    together = loaded.conditioner.encode(texts, melodies)
    for text, melody, one in zip(texts, melodies, together, strict=True):
        [alone] = loaded.conditioner.encode([text], [melody])
        np.testing.assert_array_equal(alone.prefix, one.prefix)
    assert together[0].prefix.shape != together[1].prefix.shape
