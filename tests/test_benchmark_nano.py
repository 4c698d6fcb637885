"""What ``benchmarks.nano`` counts, on music whose truth is known."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch

from benchmarks.alone import taught
from benchmarks.answers import answers
from benchmarks.features import extract
from benchmarks.labels import Labels, labels_of
from benchmarks.listener import Listener
from benchmarks.nano import Heard, Row, distances, frechet_ratio, keys_and_solos
from benchmarks.pieces import RATE, excerpts, pieces
from benchmarks.prompts import Prompt, read_prompts
from benchmarks.replay import likeness
from cadenza.types import Key
from training.corpus.piece import HELD_OUT


def test_prompts_say_who_plays_alone_and_in_which_key() -> None:
    prompts = {prompt.text: prompt for prompt in read_prompts()}
    alone = [prompt for prompt in prompts.values() if prompt.solo]
    assert len(alone) >= 30
    assert all(prompt.labels.instrument for prompt in alone)
    assert all(prompt.labels.drums is (prompt.labels.instrument == "drums") for prompt in alone)
    keyed = [prompt for prompt in prompts.values() if prompt.key]
    assert len(keyed) >= 30
    assert all(prompt.key and prompt.key.mode == prompt.labels.mode for prompt in keyed)


def test_renders_answer_prompts_and_are_held_out(sound_font: None) -> None:
    prompts = [
        Prompt("solo piano", Labels(drums=False, instrument="piano"), solo=True),
        Prompt("solo piano", Labels(drums=False, instrument="piano"), solo=True),
        Prompt("rock with drums", Labels(tempo=120, drums=True)),
    ]
    found = answers(prompts)
    assert len({render.piece.seed for render in found}) == len(prompts)
    for prompt, render in zip(prompts, found, strict=True):
        truth = labels_of(render.piece)
        assert render.piece.seed >= HELD_OUT
        assert truth.drums == prompt.labels.drums
        assert prompt.labels.instrument in (None, truth.instrument)
        assert render.piece.solo or not prompt.solo


def test_a_replay_is_found_and_other_music_is_not(sound_font: None) -> None:
    seeds = range(30)
    known = list(islice(pieces(0, lambda piece: piece.lead != "drums"), 3))
    other = next(pieces(HELD_OUT, lambda piece: piece.lead != "drums"))
    noise = np.random.default_rng(0).standard_normal(10 * RATE).astype(np.float32)
    sounds = [excerpts(piece, 7.3)[0].samples for piece in (*known, other)]
    alike = likeness([*sounds, noise], seeds)
    assert alike.shape == (5, len(seeds))
    assert alike[:3].argmax(axis=1).tolist() == [piece.seed for piece in known]
    assert alike[:3].max(axis=1).min() > alike[3:].max()


def test_an_ear_for_lone_players_learns(sound_font: None) -> None:
    torch.manual_seed(0)
    ear = taught(Listener(), lessons=40)
    found = list(islice(pieces(HELD_OUT + 510_000, lambda piece: piece.solo), 10))
    bands = list(islice(pieces(HELD_OUT + 510_000, lambda piece: not piece.solo), 10))
    heard = [extract(excerpts(piece, 0.0)[0].samples[None]).colour for piece in (*found, *bands)]
    right = np.array(ear.hear(np.concatenate(heard))) == np.array([True] * 10 + [False] * 10)
    assert right.mean() >= 0.7  # of what it was taught; chance is a half


def test_keys_and_lone_instruments_are_counted_where_they_are_asked(sound_font: None) -> None:
    piano = Prompt("solo piano in A minor", Labels(instrument="piano"), solo=True)
    band = Prompt("funk", Labels(instrument="bass"))
    a_minor, c_major = Key(9, "minor"), Key(0, "major")
    renders = answers([piano, piano, band])
    own = [Key(render.piece.tonic, render.piece.mode) for render in renders]
    theirs = [Heard(Labels(instrument="piano"), key, alone=True) for key in own]
    ours = [
        Heard(Labels(instrument="piano"), a_minor, alone=False),
        Heard(Labels(instrument="piano"), c_major, alone=True),
        Heard(Labels(instrument="drums"), c_major, alone=True),
    ]
    key, alone = keys_and_solos([piano, piano, band], ours, renders, theirs)
    assert (key.value, alone.value) == (0.5, 0.5)
    assert not key.reached and key.renders == alone.renders == "100%"


def test_distances_know_equal_from_other_music() -> None:
    draw = np.random.default_rng(0)
    near = [draw.standard_normal((9, 52)) for _ in range(40)]
    same = [draw.standard_normal((9, 52)) for _ in range(40)]
    far = [points + 3 for points in same]
    assert frechet_ratio(same, near) < 2 < 10 < frechet_ratio(far, near)
    prompts = [Prompt(f"{place // 2}", Labels()) for place in range(40)]
    frechet, variety = distances(prompts, same, near)
    assert frechet.reached and variety.value > 0
    copies = [same[place // 2 * 2] for place in range(40)]
    assert not distances(prompts, copies, near)[1].reached


def test_a_bar_is_the_least_or_the_most() -> None:
    assert Row("a", "", "", 0.9, 0.8).reached and not Row("a", "", "", 0.7, 0.8).reached
    assert Row("a", "", "", 2, 3, "×", most=True).reached
    assert Row("a", "7%", "9%", 4, 3, "×", most=True).cells() == [
        "a", "7%", "9%", "4.00 ×", "≤ 3.00 ×", "missed",
    ]  # fmt: skip
