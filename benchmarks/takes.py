"""Takes of the prompts, several at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import cadenza
from benchmarks.features import RATE
from benchmarks.pieces import EXCERPT_SECONDS
from benchmarks.prompts import Prompt
from cadenza.audio import resample, to_channels
from cadenza.studio.audition import play
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
    best_of: int = 1,
    **options: Any,
) -> Iterator[FloatArray]:
    """A take of every prompt: mono ``[N]``, the ten seconds that are to be judged.

    Its seed is the place of the prompt, so that every run makes the same takes. Where it is the
    best of several, that many seeds are a prompt's. ``options`` are further fields of
    ``GenerateRequest``.
    """
    player = cadenza.load(model, backend=backend, precision=precision, adapters=adapters)
    requests = [
        cadenza.GenerateRequest(
            prompt.text,
            duration=duration,
            guidance=guidance,
            seed=place * best_of,
            **options,
        )
        for place, prompt in enumerate(prompts)
    ]
    for start in range(0, len(requests), TOGETHER):
        batch = requests[start : start + TOGETHER]
        made, _ = play(player, batch, best_of)
        for best, *_ in made:
            yield judged_part(best.audio)
        done = min(start + TOGETHER, len(requests))
        print(f"{done} of {len(requests)} takes made", file=sys.stderr, flush=True)


def add_choosing(parser: argparse.ArgumentParser) -> None:
    """The options of a benchmark for takes as a person may ask for them."""
    parser.add_argument("--best-of", type=int, default=1, help="so many takes for each of them")
    parser.add_argument(
        "--in-time",
        action=argparse.BooleanOptionalAction,
        help="stretched to the tempo asked for, as the best of several is where this is not said",
    )
    parser.add_argument(
        "--in-key", action=argparse.BooleanOptionalAction, help="likewise transposed to the key"
    )


def chosen(options: argparse.Namespace) -> dict[str, Any]:
    """What :func:`add_choosing` added, as :func:`takes` reads it."""
    return {name: getattr(options, name) for name in ("best_of", "in_time", "in_key")}


def judged_part(audio: Audio) -> FloatArray:
    """The first ten seconds, mono ``[N]``, as the listener hears them."""
    samples = resample(to_channels(audio, 1), RATE).samples[0]
    return np.ascontiguousarray(samples[: round(EXCERPT_SECONDS * RATE)])
