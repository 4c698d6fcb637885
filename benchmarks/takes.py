"""Takes of the prompts, several at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

import cadenza
from benchmarks.features import RATE
from benchmarks.pieces import EXCERPT_SECONDS
from benchmarks.prompts import Prompt
from cadenza.audio import resample, to_channels
from cadenza.types import Audio, FloatArray

TOGETHER = 16


def takes(
    model: str,
    prompts: Sequence[Prompt],
    duration: float,
    guidance: float,
    backend: str = "auto",
    precision: str = "auto",
    adapters: Mapping[str, float] | None = None,
) -> Iterator[FloatArray]:
    """A take of every prompt: mono ``[N]``, the ten seconds that are to be judged.

    Its seed is the place of the prompt, so that every run makes the same takes.
    """
    player = cadenza.load(model, backend=backend, precision=precision, adapters=adapters)
    requests = [
        cadenza.GenerateRequest(prompt.text, duration=duration, guidance=guidance, seed=seed)
        for seed, prompt in enumerate(prompts)
    ]
    for start in range(0, len(requests), TOGETHER):
        for take in player.generate_batch(requests[start : start + TOGETHER]):
            yield judged_part(take.audio)
        done = min(start + TOGETHER, len(requests))
        print(f"{done} of {len(requests)} takes made", file=sys.stderr, flush=True)


def judged_part(audio: Audio) -> FloatArray:
    """The first ten seconds, mono ``[N]``, as the listener hears them."""
    samples = resample(to_channels(audio, 1), RATE).samples[0]
    return np.ascontiguousarray(samples[: round(EXCERPT_SECONDS * RATE)])
