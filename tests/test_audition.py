"""Auditions: what cannot be used is thrown out, what is asked for is ranked first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cadenza
from cadenza import recipes
from cadenza.errors import OptionError
from cadenza.model import Model
from cadenza.request import GenerateRequest
from cadenza.studio.audition import auditions
from cadenza.studio.scoring import PARTS, Rated, ranked, score
from cadenza.take import Take, read_recipe
from cadenza.types import Audio, Codes
from tests.command import run
from tests.renders import rendered
from tests.sounds import silence, sine
from tests.test_beats import chord, clicks
from training.corpus.compose import compose
from training.corpus.piece import HELD_OUT, Piece

RATE = 32_000


@pytest.fixture(scope="module")
def tiny(tiny_text: Path) -> Model:
    return cadenza.load(tiny_text, backend="torch")


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    composed = (compose(seed, 11.0) for seed in range(HELD_OUT + 730_000, HELD_OUT + 730_200))
    return [piece for piece in composed if piece.lead != "drums" and piece.has_drums][:12]


def scaled(audio: Audio, gains: np.ndarray) -> Audio:
    return Audio((audio.samples * gains).astype(np.float32), audio.rate)


def test_what_cannot_be_used_is_thrown_out(pieces: list[Piece]) -> None:
    good = rendered(pieces[0])
    length = good.samples.shape[1]
    half = np.arange(length) < length / 2
    cases = {
        "silent": silence(10),
        "clipped": Audio(np.clip(8 * good.samples, -0.9, 0.9), RATE),
        "ends 5.": scaled(good, half),
        "drifts by -": scaled(good, 10 ** (-np.linspace(0, 35, length) / 20)),
        "drifts by +": scaled(good, 10 ** (-np.linspace(35, 0, length) / 20)),
    }
    assert score(good, "music").faults == ()
    for words, audio in cases.items():
        faults = score(audio, "music").faults
        assert any(fault.startswith(words) for fault in faults), (words, faults)


def test_what_is_asked_for_counts_and_nothing_else_does() -> None:
    audio = clicks(120, 0.1, 10.0)
    assert set(score(audio, "clicks").parts) == {"pulse", "level", "fullness"}
    assert set(score(audio, "clicks, 120 bpm, C minor").parts) == set(PARTS)
    right, near, wrong = (score(audio, f"clicks, {bpm} bpm") for bpm in (120, 123, 140))
    assert right.parts["tempo"] == pytest.approx(1, abs=0.02)
    assert near.parts["tempo"] == pytest.approx(1 - 3 / 123 / 0.08, abs=0.03)
    assert wrong.parts["tempo"] == 0 and wrong.faults == ("120.0 bpm, not 140",)
    assert right.total > near.total > wrong.total and not near.faults
    tonic = chord(48, 60, 64, 67, seconds=8.0)
    assert score(tonic, "a chord in C major").faults == ()
    assert score(tonic, "a chord in F# major").faults == ("C major, not F# major",)
    assert score(sine(8.0), "a tone, 100 bpm").faults[0].startswith("no clear pulse")


def test_a_total_is_the_weighted_mean_of_its_parts() -> None:
    found = score(clicks(120, 0.1, 10.0), "clicks, 121 bpm")
    weights = {name: PARTS[name][0] for name in found.parts}
    by_hand = sum(weights[n] * v for n, v in found.parts.items()) / sum(weights.values())
    assert found.total == pytest.approx(100 * by_hand) and 0 <= found.total <= 100


def test_the_render_that_was_asked_for_wins(pieces: list[Piece], tiny: Model) -> None:
    """Of twelve rendered pieces, the one whose tempo and key the prompt names comes first."""
    recipe = tiny.generate("x", duration=0.2, seed=0).recipe
    wins = []
    for piece in pieces:
        prompt = f"music at {piece.tempo:g} bpm in {piece.key}"
        named = cadenza.Recipe(**{**vars(recipe), "prompt": prompt, "text": prompt})
        takes = [Take(rendered(p), Codes(np.zeros((4, 1), np.int64), 50.0), named) for p in pieces]
        best = ranked(takes)[0].take
        wins.append(best.audio is takes[pieces.index(piece)].audio)
    assert np.mean(wins) >= 0.6  # 1 in 12 by chance


def test_takes_are_made_with_seeds_in_a_row_and_the_best_comes_first(tiny: Model) -> None:
    request = GenerateRequest("noise, 120 bpm", duration=2.5, seed=5)
    [heard] = auditions(tiny, [request], 3)
    assert sorted(one.take.recipe.sampling.seed for one in heard) == [5, 6, 7]
    order = [(len(one.score.faults), -one.score.total) for one in heard]
    assert order == sorted(order)
    alone = tiny.generate("noise, 120 bpm", duration=2.5, seed=6)
    [same] = [one.take for one in heard if one.take.recipe.sampling.seed == 6]
    assert same.codes.sha256 == alone.codes.sha256


def test_a_count_has_bounds(tiny: Model) -> None:
    for count in (0, 33):
        with pytest.raises(OptionError, match=f"1 to 32 takes, not {count}"):
            auditions(tiny, [GenerateRequest("x")], count)


def test_the_command_keeps_the_best_or_all(tiny_text: Path, tmp_path: Path) -> None:
    common = ["noise, 120 bpm", "--model", str(tiny_text), "--duration", "2.5", "--seed", "5"]
    result = run("generate", *common, "-o", str(tmp_path / "a.wav"), "--best-of", "3")
    assert result.code == 0, result.errors
    assert [place.name for place in tmp_path.glob("*.wav")] == ["a.wav"]
    for word in ("score", "tempo", "pulse", "level", "fullness", "5 is", "6 is", "7 is"):
        assert word in result.output
    result = run(
        *("generate", *common, "-o", str(tmp_path / "b.wav"), "--best-of", "3"),
        *("--keep-all", "--json"),
    )
    answer = json.loads(result.output)
    assert len(list(tmp_path.glob("b*.wav"))) == len(answer["files"]) == 3
    assert len(answer["auditions"][0]) == 3
    assert answer["auditions"][0][0]["seed"] == answer["files"][0]["recipe"]["sampling"]["seed"]
    assert run("generate", *common, "--best-of", "0").errors.startswith("cadenza: best-of must be")


def test_a_recipe_is_auditioned_as_its_prompt_would_be(tiny_text: Path, tmp_path: Path) -> None:
    common = ["--model", str(tiny_text), "--duration", "2.5", "--seed", "5", "--guidance", "2"]
    many = ["--best-of", "3", "--keep-all", "--json"]
    new = run("generate", "noise, 120 bpm", *common, "-o", str(tmp_path / "a.wav"), *many)
    assert run("generate", "hiss", *common, "-o", str(tmp_path / "old.wav")).code == 0
    again = run(
        *("again", str(tmp_path / "old.wav"), "--prompt", "noise, 120 bpm"),
        *("-o", str(tmp_path / "b.wav"), *many),
    )
    assert again.code == 0, again.errors
    theirs, ours = json.loads(new.output), json.loads(again.output)
    assert ours["auditions"] == theirs["auditions"]
    for number in ("", "-2", "-3"):
        assert read_recipe(tmp_path / f"b{number}.wav") == read_recipe(tmp_path / f"a{number}.wav")
    table = run("again", str(tmp_path / "old.wav"), "-o", str(tmp_path / "c.wav"), "--best-of", "2")
    assert "score" in table.output and len(list(tmp_path.glob("c*.wav"))) == 1
    wrong = run("again", str(tmp_path / "old.wav"), "--best-of", "33")
    assert wrong.errors.startswith("cadenza: best-of must be from 1 to 32 takes, not 33")


def test_takes_of_a_recipe_keep_its_prompt_and_its_text(tiny: Model, tmp_path: Path) -> None:
    take = tiny.generate("sad robot", duration=2.1, seed=5, enhance=True)
    path = take.save(tmp_path / "a.wav")
    assert take.recipe.text != take.recipe.prompt
    takes, rated = recipes.play_again(path, 2, whole=True, model=tiny)
    assert [one.seed for one in rated] == [made.recipe.sampling.seed for made in takes]
    for made in takes:
        assert (made.recipe.prompt, made.recipe.text) == ("sad robot", take.recipe.text)
    [best], same_rated = recipes.play_again(path, 2, model=tiny)
    assert best.recipe == takes[0].recipe and same_rated == rated
    assert [Rated.from_facts(json.loads(json.dumps(one.facts))) for one in rated] == rated
    [same], unheard = recipes.play_again(path, 1, model=tiny)
    assert same.recipe == take.recipe and not unheard
