"""The benchmarks: what they count, on signals whose truth is known."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.adherence import figures, judged, report
from benchmarks.codec import chosen, measure
from benchmarks.codec import report as codec_report
from benchmarks.examples import HELD, LEARNED, Examples, Selection, seeds
from benchmarks.features import LOWEST_PITCH, RATE, TEMPI, extract, tempo_index
from benchmarks.judge import Judge
from benchmarks.labels import (
    FIGURES,
    INSTRUMENTS,
    MODES,
    Labels,
    labels_of,
    octave_error,
    same_tempo,
)
from benchmarks.listener import Listener, taught
from benchmarks.notes import note_f1, transcribe
from benchmarks.pieces import PIECE_SECONDS
from benchmarks.plot import plot
from benchmarks.prompts import PEOPLE, Prompt, read_people, read_prompts
from benchmarks.table import table, write_json
from benchmarks.takes import takes
from benchmarks.verdicts import Verdict, accuracy, chance, matched_accuracy, octave_errors
from cadenza.codec import Codec
from cadenza.framecodec import FrameCodecConfig, FrameCodecModel
from cadenza.types import FloatArray, Note
from training.corpus.captions import caption_samples
from training.corpus.compose import compose
from training.corpus.instruments import INSTRUMENTS as CORPUS_INSTRUMENTS
from training.corpus.piece import HELD_OUT

SECONDS = 10
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}


def tone(pitch: int, seconds: float, partials: int) -> FloatArray:
    """A plucked string of so many partials."""
    time = np.arange(round(seconds * RATE)) / RATE
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    waves = [np.sin(2 * np.pi * n * hertz * time) / n for n in range(1, partials + 1)]
    return (0.2 * np.exp(-3 * time) * np.sum(waves, axis=0)).astype(np.float32)


def melody(pitches: list[int], tempo: float, partials: int = 4) -> FloatArray:
    """``pitches`` over and over for ten seconds, one a beat."""
    sound = np.zeros(SECONDS * RATE, np.float32)
    for beat in range(int(SECONDS * tempo / 60)):
        start = round(beat * 60 / tempo * RATE)
        note = tone(pitches[beat % len(pitches)], 60 / tempo, partials)[: len(sound) - start]
        sound[start : start + len(note)] += note
    return sound


def drum_loop(tempo: float) -> FloatArray:
    """Bursts of noise, one a beat."""
    sound = np.zeros(SECONDS * RATE, np.float32)
    noise = np.random.default_rng(0).standard_normal(RATE // 10).astype(np.float32)
    burst = 0.3 * noise * np.exp(-np.arange(RATE // 10) / RATE / 0.02).astype(np.float32)
    for beat in range(int(SECONDS * tempo / 60)):
        start = round(beat * 60 / tempo * RATE)
        sound[start : start + len(burst)] += burst[: len(sound) - start]
    return sound


def scale(tonic: int, mode: str) -> list[int]:
    return [60 + tonic + step for step in (*SCALES[mode], 12, 7, 0)]


# Notes


def test_notes_match_by_pitch_and_onset() -> None:
    notes = [Note(0.5 * k, 0.5 * k + 0.4, 60 + k) for k in range(8)]

    def moved(seconds: float, semitones: int) -> list[Note]:
        return [Note(n.start + seconds, n.end + 1, n.pitch + semitones) for n in notes]

    assert note_f1(notes, notes) == 1
    assert note_f1(notes, moved(0.03, 0)) == 1
    assert note_f1(notes, moved(0.08, 0)) == 0
    assert note_f1(notes, moved(0.0, 1)) == 0
    assert note_f1(notes, notes[:4]) == pytest.approx(2 / 3)
    assert note_f1([], []) == 1
    assert note_f1(notes, []) == 0


def test_a_scale_is_heard_note_by_note() -> None:
    written = scale(0, "major")
    sound = melody(written, tempo=60)
    heard = transcribe(sound, RATE)
    found = [note for note in heard if note.pitch in written]
    assert [note.pitch for note in found][: len(written) - 1] == written[:-1]
    assert np.allclose([note.start for note in found][:9], np.arange(9), atol=0.1)
    assert note_f1(heard, transcribe(sound, RATE)) == 1
    assert note_f1(heard, transcribe(melody([p + 1 for p in written], 60), RATE)) < 0.2


# Features


@pytest.mark.parametrize("tempo", [84, 120, 171])
def test_a_click_track_shows_its_tempo(tempo: float) -> None:
    rhythm = extract(drum_loop(tempo)[None]).rhythm[0].astype(np.float32)
    octave = slice(int(tempo_index(0.71 * tempo)), int(tempo_index(1.41 * tempo)))
    for row in rhythm.reshape(2, -1, len(TEMPI))[:, -1]:  # autocorrelation and spectrum
        assert same_tempo(float(TEMPI[octave][row[octave].argmax()]), tempo)


@pytest.mark.parametrize("mode", MODES)
def test_a_scale_shows_its_pitches(mode: str) -> None:
    written = scale(3, mode)
    pitches = extract(melody(written, 60)[None]).pitches[0]
    frames = [round((beat + 0.3) * pitches.shape[1] / SECONDS) for beat in range(SECONDS)]
    assert [LOWEST_PITCH + int(pitches[:, frame].argmax()) for frame in frames] == written


def test_loudness_changes_nothing() -> None:
    sound = (melody(scale(0, "major"), 100) + drum_loop(100))[None]
    loud, soft = extract(sound), extract(0.2 * sound)
    for name, part in vars(loud).items():
        np.testing.assert_allclose(part, getattr(soft, name), atol=0.02)


# The listener


def test_a_listener_learns_what_it_is_taught() -> None:
    rng = np.random.default_rng(0)

    def lesson(count: int) -> Examples:
        sounds, truths, tonics = [], [], []
        for k in range(count):
            tempo, tonic = float(rng.integers(70, 170)), int(rng.integers(12))
            mode, drums, saw = MODES[k % 2], k // 2 % 2 == 0, k // 4 % 2 == 0
            sound = melody(scale(tonic, mode), tempo, partials=20 if saw else 1)
            sounds.append(sound + drum_loop(tempo) if drums else sound)
            truths.append(Labels(tempo, drums, "synth" if saw else "flute", mode))
            tonics.append(tonic)
        return Examples(extract(np.stack(sounds)), truths, tonics)

    listener = taught([lesson(96)], epochs=16)
    unheard = lesson(32)
    verdicts = [
        Verdict(*pair) for pair in zip(unheard.truths, listener.hear(unheard.features), strict=True)
    ]
    assert accuracy(verdicts, "tempo") > 0.8
    assert accuracy(verdicts, "mode") > 0.8
    assert accuracy(verdicts, "drums") > 0.95
    assert accuracy(verdicts, "instrument") > 0.95


def test_lessons_are_balanced_and_apart_from_what_is_held_out() -> None:
    chosen_seeds = seeds(Selection(LEARNED.first_seed, 1))
    pieces = [compose(seed, PIECE_SECONDS) for seed in chosen_seeds]
    assert Counter(labels_of(piece).instrument for piece in pieces) == Counter(INSTRUMENTS.keys())
    assert max(chosen_seeds) < HELD_OUT <= HELD.first_seed


def test_every_family_of_the_corpus_has_a_class() -> None:
    families = [family for members in INSTRUMENTS.values() for family in members]
    assert len(families) == len(set(families))
    assert set(families) == {item.family for item in CORPUS_INSTRUMENTS.values()} | {"drums"}


# Verdicts


def test_tempo_is_right_within_four_percent_and_octaves_are_told_apart() -> None:
    assert same_tempo(124, 120) and not same_tempo(126, 120)
    assert octave_error(60, 120) and octave_error(238, 120)
    assert not octave_error(121, 120) and not octave_error(90, 120)


def test_accuracy_counts_what_is_asked_and_weighs_renders_like_takes() -> None:
    flute, bass = Labels(tempo=100, instrument="flute"), Labels(tempo=50, instrument="bass")
    renders = [Verdict(flute, flute), Verdict(flute, bass), Verdict(bass, bass)]
    takes_of = [Verdict(Labels(instrument="flute"), flute), Verdict(Labels(tempo=100), bass)]
    assert accuracy(renders, "instrument") == pytest.approx(2 / 3)
    assert accuracy(takes_of, "instrument") == 1
    assert accuracy(takes_of, "tempo") == 0
    assert octave_errors(takes_of) == 1
    assert matched_accuracy(renders, takes_of, "instrument") == 0.5
    assert chance(renders, "instrument") == pytest.approx(2 / 6)


# Prompts


def _asks(prompt: Prompt, figure: str) -> bool:
    return getattr(prompt.labels, figure) is not None


def test_prompts_ask_for_enough_and_are_not_captions() -> None:
    prompts = read_prompts()
    asked = Counter(name for prompt in prompts for name in FIGURES if _asks(prompt, name))
    assert len(prompts) >= 60
    assert asked["tempo"] >= 40 and asked["drums"] >= 50
    assert asked["instrument"] >= 50 and asked["mode"] >= 30
    for prompt in prompts:
        labels = prompt.labels
        assert labels.tempo is None or (
            60 <= labels.tempo <= 180 and f"{labels.tempo} bpm" in prompt.text
        )
        assert labels.mode is None or f"{labels.mode}" in prompt.text
        assert labels.instrument is None or labels.instrument in INSTRUMENTS
    assert {prompt.labels.instrument for prompt in prompts} == {*INSTRUMENTS, None}

    def plain(text: str) -> str:
        return text.lower().strip(" .!")

    texts = {plain(prompt.text) for prompt in [*prompts, *read_people()]}
    assert len(texts) == len(prompts) + len(read_people())
    assert not texts & {plain(text) for text in caption_samples(20_000, seed=1, each=100)}


def test_prompts_of_people_name_their_source_and_are_read_from_their_words() -> None:
    sources = tomllib.loads(PEOPLE.read_text("utf-8"))["source"]
    assert len({source["name"] for source in sources}) == len(sources) >= 10
    prompts = read_people()
    assert len(prompts) >= 60
    assert sum(any(_asks(prompt, name) for name in FIGURES) for prompt in prompts) >= 50
    for prompt in prompts:
        labels = prompt.labels
        assert labels.instrument in {*INSTRUMENTS, None}
        assert labels.tempo is None or f"{labels.tempo:.0f}" in prompt.text
        assert labels.mode is None or labels.mode in prompt.text


# The commands


def test_codec_benchmark_tells_noise_from_music(sound_font: None) -> None:
    torch.manual_seed(0)
    model = FrameCodecModel(FrameCodecConfig(encoder_blocks=1, decoder_blocks=1))
    model.quantizer.codebooks.data.normal_()
    excerpts = chosen(4)
    assert [item.piece.solo for item in excerpts] == [True, False, True, False]
    assert all(item.piece.seed >= HELD_OUT for item in excerpts)
    assert all(item.piece.lead != "drums" for item in excerpts)
    kept = measure(Codec(model, channels=1), excerpts)
    assert all(item.notes_f1 < 0.3 and item.ceiling_f1 > 0.9 for item in kept)
    assert "missed" in codec_report(kept)


def test_takes_are_judged_and_drawn(tiny_text: Path, sound_font: None, tmp_path: Path) -> None:
    prompts = [
        Prompt("upbeat funk with drums", Labels(100, True, "drums", "major")),
        Prompt("slow sad piano", Labels(70, False, "piano", "minor")),
    ]
    sounds = list(takes(str(tiny_text), prompts, 10.0, 3.0))
    again = list(takes(str(tiny_text), prompts, 10.0, 3.0))
    assert [len(sound) for sound in sounds] == [SECONDS * RATE] * 2
    np.testing.assert_array_equal(sounds, again)

    truths = [Labels(100, True, "drums", "major"), Labels(70, False, "piano", "minor")]
    renders = [Verdict(truth, truth) for truth in truths]
    judge = Judge(Listener(), renders, renders)
    verdicts = judged(judge, prompts, sounds)
    rows = figures(judge, verdicts)
    assert rows["tempo"]["real renders"] == 1
    assert "instrument" in report(rows, judge, verdicts)
    plot(tmp_path / "takes.png", prompts, sounds)
    assert (tmp_path / "takes.png").read_bytes().startswith(b"\x89PNG")


def test_figures_are_written_as_table_and_json(tmp_path: Path) -> None:
    lines = table(["", "share"], [["tempo", "7%"], ["drums", "100%"]]).splitlines()
    assert lines[2:] == ["tempo     7%", "drums   100%"]
    write_json(tmp_path / "figures.json", {"share": 0.5})
    assert json.loads((tmp_path / "figures.json").read_text()) == {"share": 0.5}
