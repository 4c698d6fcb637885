"""Prompts become exactly the states that transformers' own model feeds to its decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, MusicgenForConditionalGeneration

from cadenza.text import TextConditioner

PROMPTS = ["jazz piano", "upbeat funk with slap bass and drums, 110 bpm", "sad robot, slow"]


class Capture:
    """Keeps what the decoder of a model is given."""

    def __init__(self, model: Any) -> None:
        self.given: dict[str, Tensor] = {}
        model.decoder.register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, _: object, __: object, given: dict[str, Tensor]) -> None:
        self.given = given


@pytest.fixture(scope="module", params=["tiny_text", "tiny_stereo"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_states_equal_those_inside_transformers(folder: Path) -> None:
    model = MusicgenForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    capture = Capture(model)
    inputs = tokenizer(PROMPTS, padding=True, return_tensors="pt")
    start = torch.full((len(PROMPTS) * model.decoder.num_codebooks, 1), 64)
    with torch.no_grad():
        model(**inputs, decoder_input_ids=start)
    theirs = capture.given["encoder_hidden_states"].numpy()

    ours = TextConditioner(model, tokenizer).encode(PROMPTS)
    lengths = inputs.attention_mask.sum(1).tolist()
    assert len(set(lengths)) == 3
    for row, (conditioning, length) in enumerate(zip(ours, lengths, strict=True)):
        assert conditioning.cross.dtype == np.float32
        assert conditioning.cross.shape == (length, model.config.decoder.hidden_size)
        assert conditioning.prefix.shape == (0, model.config.decoder.hidden_size)
        np.testing.assert_allclose(conditioning.cross, theirs[row, :length], atol=1e-5)
        assert not theirs[row, length:].any()


def test_a_text_without_neighbours_has_the_same_states(folder: Path) -> None:
    model = MusicgenForConditionalGeneration.from_pretrained(folder).eval()
    conditioner = TextConditioner(model, AutoTokenizer.from_pretrained(folder))
    together = conditioner.encode(PROMPTS)
    for prompt, conditioning in zip(PROMPTS, together, strict=True):
        np.testing.assert_array_equal(conditioner.encode([prompt])[0].cross, conditioning.cross)


def test_unconditional_is_one_zero_state_as_in_transformers(folder: Path) -> None:
    model = MusicgenForConditionalGeneration.from_pretrained(folder).eval()
    conditioner = TextConditioner(model, AutoTokenizer.from_pretrained(folder))
    capture = Capture(model)
    model.generate(**model.get_unconditional_inputs(1), max_new_tokens=5)
    theirs = capture.given["encoder_hidden_states"][0].numpy()

    nothing, something = conditioner.encode([None, "jazz piano"])
    np.testing.assert_array_equal(nothing.cross, theirs)
    np.testing.assert_array_equal(conditioner.unconditional(something).cross, theirs)
    assert conditioner.encode([""])[0].cross.any()  # T5("") is another thing
