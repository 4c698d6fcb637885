"""The engine makes the very codes that transformers makes, in float32, token for token."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cadenza.engine import Engine, Request, TorchBackend, alone
from cadenza.engine import decoder as decoder_module
from cadenza.types import Conditioning, Sampling
from tests.checkpoints import FAMILIES
from tests.reference import Reference

TEXTS = ["jazz piano, 120 bpm", "upbeat funk with slap bass and drums", "sad robot"]
FRAMES = 48


@pytest.fixture(scope="module", params=FAMILIES)
def reference(request: pytest.FixtureRequest) -> Reference:
    folder: Path = request.getfixturevalue("tiny_" + request.param.replace("-", "_"))
    return Reference(folder)


@pytest.fixture(scope="module")
def text(tiny_text: Path) -> Reference:
    return Reference(tiny_text)


def _greedy(reference: Reference, guidance: float = 1.0) -> Sampling:
    return Sampling(temperature=0, top_k=reference.vocabulary, guidance=guidance)


def _make(engine: Engine, requests: list[Request]) -> list[np.ndarray]:
    frames: list[list[np.ndarray]] = [[] for _ in requests]
    for emission in engine.run(requests):
        frames[emission.id].append(emission.ids)
    return [np.concatenate(ids, axis=1) for ids in frames]


def _ours(
    reference: Reference,
    conditioning: list[Conditioning],
    guidance: float,
    frames: int = FRAMES,
    beginning: np.ndarray | None = None,
) -> np.ndarray:
    """Codes ``[B, K, T0 + frames]``, all requests in one batch."""
    sampling = _greedy(reference, guidance)
    beginnings = [None] * len(conditioning) if beginning is None else list(beginning)
    requests = [
        Request(c, reference.unconditional(c), sampling, frames, known)
        for c, known in zip(conditioning, beginnings, strict=True)
    ]
    made = np.stack(_make(Engine(TorchBackend(reference.decoder)), requests))
    return made if beginning is None else np.concatenate([beginning, made], axis=2)


def _chroma(reference: Reference, batch: int) -> torch.Tensor | None:
    if not reference.melody:
        return None
    bins = torch.randint(12, (batch, 7), generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.one_hot(bins, 12).float()


def _beginning(reference: Reference, batch: int, frames: int) -> np.ndarray:
    shape = (batch, reference.codebooks, frames)
    return np.random.default_rng(3).integers(0, reference.vocabulary, shape)


def _assert_varied(codes: np.ndarray) -> None:
    """Equal codes prove nothing when they hardly change."""
    for piece in codes:
        assert all(len(np.unique(codebook)) >= 4 for codebook in piece)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("known", [0, 1, 17])
def test_one_request(reference: Reference, guidance: float, known: int) -> None:
    beginning = _beginning(reference, 1, known) if known else None
    inputs = reference.inputs(TEXTS[:1], _chroma(reference, 1), beginning)
    theirs = reference.codes(inputs, known + FRAMES, guidance)
    ours = _ours(reference, reference.conditioning(inputs), guidance, FRAMES, beginning)
    np.testing.assert_array_equal(ours, theirs)
    _assert_varied(theirs)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("known", [0, 17])
def test_three_texts_of_different_length_in_one_batch(
    reference: Reference, guidance: float, known: int
) -> None:
    beginning = _beginning(reference, 3, known) if known else None
    inputs = reference.inputs(TEXTS, _chroma(reference, 3), beginning)
    theirs = reference.codes(inputs, known + FRAMES, guidance)
    # Padding is masked in cross-attention; the melody family attends to it as part of the prefix.
    conditioning = reference.conditioning(inputs, padded=reference.melody)
    ours = _ours(reference, conditioning, guidance, FRAMES, beginning)
    np.testing.assert_array_equal(ours, theirs)
    assert len({piece.tobytes() for piece in theirs}) == 3


def test_a_batch_makes_what_each_text_makes_alone(reference: Reference) -> None:
    chroma = _chroma(reference, 3)
    alone = [
        reference.inputs([text], None if chroma is None else chroma[n : n + 1])
        for n, text in enumerate(TEXTS)
    ]
    theirs = np.concatenate([reference.codes(inputs, FRAMES, 3.0) for inputs in alone])
    conditioning = [reference.conditioning(inputs)[0] for inputs in alone]
    np.testing.assert_array_equal(_ours(reference, conditioning, 3.0), theirs)


def test_negative_prompt(reference: Reference) -> None:
    """Both texts have states, of different length: masks, and prefixes that end together."""
    positive, negative = (reference.conditioning(reference.inputs([t]))[0] for t in TEXTS[1:])
    for one, other in ((positive, negative), (negative, positive)):
        theirs = reference.naive(one, other, 24, guidance=2.5)
        sampling = _greedy(reference, 2.5)
        request = Request(one, other, sampling, 24)
        (ours,) = _make(Engine(TorchBackend(reference.decoder)), [request])
        np.testing.assert_array_equal(ours, theirs)


def test_windows_equal_generating_again_from_the_overlap(reference: Reference) -> None:
    """The twin's codes are those of a new ``generate`` on the last frames, window by window."""
    window, overlap, total = 40, 12, 110
    inputs = reference.inputs(TEXTS[:1], _chroma(reference, 1))
    theirs = reference.codes(inputs, window, 3.0)
    while theirs.shape[2] < total:
        known = theirs[..., -overlap:]
        more = min(window - overlap, total - theirs.shape[2])
        inputs["decoder_input_ids"] = torch.from_numpy(known[0].copy())
        again = reference.codes(inputs, overlap + more, 3.0)
        np.testing.assert_array_equal(again[..., :overlap], known)
        theirs = np.concatenate([theirs, again[..., overlap:]], axis=2)

    (conditioning,) = reference.conditioning(inputs)
    engine = Engine(TorchBackend(reference.decoder), window=window, overlap=overlap)
    unconditional = reference.unconditional(conditioning)
    request = Request(conditioning, unconditional, _greedy(reference, 3.0), total)
    (ours,) = _make(engine, [request])
    np.testing.assert_array_equal(ours, theirs[0])


@pytest.mark.parametrize("known", [11, 28, 39, 40, 75])
def test_windows_after_a_beginning(text: Reference, known: int) -> None:
    """Windows count from the first known frame; a beginning as long as one counts by its end."""
    window, overlap, new = 40, 12, 60
    beginning = _beginning(text, 1, known)
    inputs = text.inputs(TEXTS[:1])
    theirs = beginning
    first = True
    while theirs.shape[2] < known + new:
        seen = theirs if first and known < window else theirs[..., -overlap:]
        more = min(window - seen.shape[2], known + new - theirs.shape[2])
        inputs["decoder_input_ids"] = torch.from_numpy(seen[0].copy())
        again = text.codes(inputs, seen.shape[2] + more, 3.0)
        theirs = np.concatenate([theirs, again[..., seen.shape[2] :]], axis=2)
        first = False

    (conditioning,) = text.conditioning(inputs)
    engine = Engine(TorchBackend(text.decoder), window=window, overlap=overlap)
    unconditional = text.unconditional(conditioning)
    request = Request(conditioning, unconditional, _greedy(text, 3.0), new, beginning[0])
    (ours,) = _make(engine, [request])
    np.testing.assert_array_equal(ours, theirs[0, :, known:])


def test_beyond_the_positions_of_the_checkpoint(text: Reference) -> None:
    """transformers makes more sinusoids when a piece outgrows them; so does the engine."""
    text.decoder.config.max_position_embeddings = 16
    try:
        backend = TorchBackend(text.decoder)
    finally:
        text.decoder.config.max_position_embeddings = 2048
    inputs = text.inputs(TEXTS[:1])
    (conditioning,) = text.conditioning(inputs)
    request = Request(conditioning, None, _greedy(text), FRAMES)
    (ours,) = _make(Engine(backend), [request])
    np.testing.assert_array_equal(ours, text.codes(inputs, FRAMES)[0])


def test_without_packed_weights(text: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, or a CPU without oneDNN."""
    monkeypatch.setattr(decoder_module, "packs", lambda device, dtype: False)
    inputs = text.inputs(TEXTS)
    ours = _ours(text, text.conditioning(inputs), 3.0)
    np.testing.assert_array_equal(ours, text.codes(inputs, FRAMES, 3.0))


def test_half_precision_stays_near(text: Reference) -> None:
    """bfloat16 rounds, and each kind of processor in its own way, so tokens may part in time, and
    the first where two are nearly alike: it is one that is near the likeliest in float32."""
    conditioning = text.conditioning(text.inputs(TEXTS))
    half, exact = TorchBackend(text.decoder, dtype=torch.bfloat16), TorchBackend(text.decoder)
    sampling, empty = _greedy(text, 3.0), np.empty((text.codebooks, 0), np.int64)
    start = np.full((1, text.codebooks), exact.shape.special)
    for one in conditioning:
        asked = Request(one, text.unconditional(one), sampling, FRAMES)
        [ours] = _make(Engine(half), [asked])
        assert ours.min() >= 0 and ours.max() < text.vocabulary
        voice = exact.prefill(alone(one), asked.unconditional, sampling, empty, capacity=1)
        told, untold = exact.logits([voice], start)[:, 0]
        guided = untold + 3 * (told - untold)
        assert guided.max() - guided[ours[0, 0]] < 0.1 * guided.std()
