"""The bundled checkpoint: transformers' own classes load it and make the same codes and sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, MusicgenForConditionalGeneration

import cadenza
from cadenza import delay
from cadenza.checkpoints import load_parts, resolve
from cadenza.codec import Codec
from cadenza.engine import Engine, Request, TorchBackend
from cadenza.noise import Noise
from cadenza.sampling import Sampler
from cadenza.text import TextConditioner
from cadenza.types import Codes, Sampling
from tests.reference import Reference

FRAMES = 200
PROMPT = "funk with slap bass and drums, 110 bpm"


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve("nano").folder


@pytest.fixture(scope="module")
def reference(folder: Path) -> Reference:
    return Reference(folder)


def test_fits_into_the_package_in_half_precision_with_its_card(folder: Path) -> None:
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 40e6
    assert "synthesised" in (folder / "README.md").read_text(encoding="utf-8")


def test_processor_and_model_load_as_published_ones_do(folder: Path) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    model = MusicgenForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    torch.manual_seed(0)
    sound = model.generate(**processor(text=[PROMPT], return_tensors="pt"), max_new_tokens=54)
    assert sound.shape == (1, 1, 51 * 640)
    assert 0.01 < sound.abs().max() <= 3  # what is too loud is brought down where it is written


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_greedy_codes_and_sound_equal_those_of_transformers(
    folder: Path, reference: Reference, guidance: float
) -> None:
    theirs = reference.codes(reference.inputs([PROMPT]), FRAMES, guidance)[0]

    parts = load_parts(resolve("nano"), device="cpu", dtype=torch.float32)
    conditioner = TextConditioner(parts.model, parts.tokenizer)
    (conditioning,) = conditioner.encode([PROMPT])
    sampling = Sampling(temperature=0, guidance=guidance)
    engine = Engine(TorchBackend(parts.model.decoder))
    request = Request(conditioning, conditioner.unconditional(conditioning), sampling, FRAMES)
    ours = np.concatenate([emission.ids for emission in engine.run([request])], axis=1)
    np.testing.assert_array_equal(ours, theirs)

    codec = Codec(parts.model.audio_encoder, parts.channels)
    sound = codec.decode(Codes(ours, codec.frame_rate))
    with torch.no_grad():
        expected = reference.model.audio_encoder.decode(
            torch.from_numpy(theirs)[None, None], [None]
        ).audio_values[0]
    np.testing.assert_allclose(sound.samples, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_drawn_codes_are_what_the_same_noise_draws_from_the_logits_of_transformers(
    backend: str,
    reference: Reference,
) -> None:
    """Greedy music soon stands still; this compares every token of a take that does not."""
    sampling = Sampling(seed=11)
    take = cadenza.load("nano", backend=backend, precision="fp32").generate(
        PROMPT, duration=FRAMES / 50, seed=sampling.seed
    )
    assert len(np.unique(take.codes.ids, axis=1).T) > FRAMES / 2
    codebooks, vocabulary = reference.codebooks, reference.vocabulary
    truths = delay.apply(take.codes.ids, delay.delays_of(codebooks, 1), vocabulary)
    fed = np.concatenate([np.full_like(truths[:, :1], vocabulary), truths[:, :-1]], axis=1)
    (states,) = reference.conditioning(reference.inputs([PROMPT]))
    logits = [
        _logits(reference, fed, torch.from_numpy(cross)[None])
        for cross in (states.cross, np.zeros_like(states.cross[:1]))
    ]
    noise, sampler = Noise(sampling.seed, codebooks, vocabulary), Sampler([sampling], vocabulary)
    for step, truth in enumerate(truths.T):
        gumbel = torch.from_numpy(noise.next())[None]
        drawn = sampler(logits[0][None, :, step], logits[1][None, :, step], gumbel)[0].numpy()
        heard = truth != vocabulary
        np.testing.assert_array_equal(drawn[heard], truth[heard])


@torch.no_grad()
def _logits(reference: Reference, columns: np.ndarray, cross: torch.Tensor) -> torch.Tensor:
    """Of the whole sequence at once, without a cache: columns ``[K, S]`` to ``[K, S, V]``."""
    logits: torch.Tensor = reference.decoder(
        input_ids=torch.from_numpy(columns),
        encoder_hidden_states=cross,
        encoder_attention_mask=torch.ones(cross.shape[:2], dtype=torch.long),
    ).logits
    return logits


@pytest.mark.parametrize("chunk", [1, 7, 50, 200])
def test_streamed_sound_equals_whole_sound(folder: Path, chunk: int) -> None:
    parts = load_parts(resolve("nano"), device="cpu", dtype=torch.float32)
    codec = Codec(parts.model.audio_encoder, parts.channels)
    ids = np.random.default_rng(0).integers(0, codec.codebook_size, (codec.codebooks, 210))
    whole = codec.decode(Codes(ids, codec.frame_rate)).samples
    stream = codec.stream()
    pieces = [stream.push(ids[:, start : start + chunk]) for start in range(0, 210, chunk)]
    streamed = np.concatenate([piece.samples for piece in [*pieces, stream.flush()]], axis=1)
    np.testing.assert_allclose(streamed, whole, atol=1e-4)


def test_different_words_make_different_music_and_the_same_words_the_same() -> None:
    model = cadenza.load("nano")
    drums, again, pads = (
        model.generate(prompt, duration=3, seed=1)
        for prompt in ("drums only, rock, 120 bpm", "drums only, rock, 120 bpm", "ambient pads")
    )
    assert drums.codes.sha256 == again.codes.sha256
    assert drums.codes.sha256 != pads.codes.sha256
    assert drums.audio.peak > 1e-3 and pads.audio.peak > 1e-3
