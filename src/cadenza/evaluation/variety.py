"""How different takes are from each other, beside how different one is from itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cadenza.evaluation.embedding import SIZE, Values
from cadenza.evaluation.piece import Piece

LEAST = 1e-6  # a distance below is none
WINDOWS = 4  # of a take that can be halved: windows overlap, fewer would share too much sound


@dataclass(frozen=True)
class Variety:
    """Mean distances between mean points of the embedding; ``None`` without a pair."""

    between: float | None  # two takes
    same_prompt: float | None  # two takes of one prompt
    within: float | None  # the first and the second half of a take

    def in_halves(self, value: float | None) -> float | None:
        """``value`` as a multiple of ``within``: 1 is no more than a take changes by itself."""
        if value is None or self.within is None or self.within < LEAST:
            return None
        return value / self.within


def variety_of(sounds: Sequence[Values], prompts: Sequence[str | None]) -> Variety:
    """The variety of sounds, points ``[windows, SIZE]`` each, and the prompts that made them."""
    means = np.stack([_mean(points) for points in sounds]) if sounds else np.zeros((0, SIZE))
    apart: list[float] = []
    alike: list[float] = []
    for number, prompt in enumerate(prompts):
        steps = np.linalg.norm(means[:number] - means[number], axis=1).tolist()
        apart += steps
        if prompt is not None:
            others = zip(steps, prompts, strict=False)
            alike += [step for step, other in others if other == prompt]
    halves = [
        float(np.linalg.norm(_mean(points[: len(points) // 2]) - _mean(points[len(points) // 2 :])))
        for points in sounds
        if len(points) >= WINDOWS
    ]
    return Variety(_average(apart), _average(alike), _average(halves))


def repeats(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    """The names of files whose samples are the same, to the last."""
    first: dict[str, str] = {}
    same = []
    for piece in pieces:
        if piece.sha256 in first:
            same.append((first[piece.sha256], piece.name))
        first.setdefault(piece.sha256, piece.name)
    return same


def _mean(points: Values) -> Values:
    return np.asarray(points.mean(axis=0))


def _average(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
