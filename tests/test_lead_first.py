"""A model with a critic is told the leading instrument first, by the name that its captions use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cadenza
from benchmarks.prompts import read_people, read_prompts
from cadenza.model import Model
from cadenza.prompting import MAX_CHARACTERS
from cadenza.studio.critic import lead_first, wanted_of
from training.corpus.captions import caption_samples

PROMPT = "80s blues track with groovy saxophone"


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        (PROMPT, f"sax, {PROMPT}"),
        ("Rhodes alone, 80 bpm", "solo electric piano, Rhodes alone, 80 bpm"),
        ("Solo piano, 80 bpm", "Solo piano, 80 bpm"),
        ("jazz, a saxophone solo, piano chords", "sax, jazz, a saxophone solo, piano chords"),
        ("Piano and flute", "Piano and flute"),  # begins with it
        ("funk with slap bass and drums", "funk with slap bass and drums"),  # these play along
        ("a slap bass and nothing else", "solo bass, a slap bass and nothing else"),
        ("rock without guitars", "rock without guitars"),
        ("rain", "rain"),
    ],
)
def test_what_leads_is_said_first(prompt: str, read: str) -> None:
    assert lead_first(prompt).startswith(read)


def test_nothing_else_changes() -> None:
    own, people = read_prompts(), read_people()
    prompts = [prompt.text for prompt in (*own, *people)] + list(caption_samples(400, seed=9))
    changed = 0
    for prompt in prompts:
        read = lead_first(prompt)
        assert read.endswith(prompt)
        assert lead_first(read) == read
        before, after = wanted_of(prompt), wanted_of(read)
        if before.leads == ("drums",):  # «a drummer alone» wants drums, and now it says so
            before = replace(before, wishes=replace(before.wishes, drums=True))
        assert after == before
        changed += read != prompt
    assert 0.2 < changed / len(prompts) < 0.9


def test_a_prompt_that_is_as_long_as_can_be_stays() -> None:
    prompt = "guitars " * (MAX_CHARACTERS // 8)
    assert len(prompt) == MAX_CHARACTERS
    assert lead_first(f"x {prompt[:-2]}") == f"x {prompt[:-2]}"


def test_the_model_reads_it_so_and_the_recipe_says_so(torch_nano: Model) -> None:
    take = torch_nano.generate(PROMPT, duration=0.5, seed=4)
    assert (take.recipe.prompt, take.recipe.text) == (PROMPT, f"sax, {PROMPT}")
    said = torch_nano.generate(f"sax, {PROMPT}", duration=0.5, seed=4, verbatim=True)
    assert np.array_equal(said.codes.ids, take.codes.ids)
    other = torch_nano.generate(PROMPT, duration=0.5, seed=4, verbatim=True)
    assert other.recipe.text == PROMPT
    assert not np.array_equal(other.codes.ids, take.codes.ids)


def test_a_model_without_a_critic_reads_the_prompt_as_it_stands(tiny_text: Path) -> None:
    take = cadenza.load(tiny_text, backend="torch").generate(PROMPT, duration=0.2, seed=4)
    assert take.recipe.text == PROMPT


@pytest.mark.parametrize("verbatim", [False, True])
def test_a_file_is_made_again_as_it_was_read_then(
    torch_nano: Model, tmp_path: Path, verbatim: bool
) -> None:
    """Takes of before, when every prompt was read word for word, among them."""
    take = torch_nano.generate(PROMPT, duration=0.5, seed=4, verbatim=verbatim)
    take.save(tmp_path / "take.flac")
    assert cadenza.verify(tmp_path / "take.flac", model=torch_nano).same
    changed = cadenza.again(tmp_path / "take.flac", model=torch_nano, prompt="jazz with a flute")
    assert changed.recipe.text == "flute, jazz with a flute"
    word_for_word = cadenza.again(tmp_path / "take.flac", model=torch_nano, verbatim=True)
    assert word_for_word.recipe.text == PROMPT
