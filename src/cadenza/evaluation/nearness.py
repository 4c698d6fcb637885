"""How near the takes of a folder are to a reference, as distributions of the embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cadenza.evaluation.collection import Collection
from cadenza.evaluation.embedding import SIZE, Values
from cadenza.evaluation.frechet import distance, fitted

SPLITS = 5  # of the reference into halves, whose mean distance is the yardstick


@dataclass(frozen=True)
class Nearness:
    """Squared Fréchet distances in the space of :mod:`cadenza.evaluation.embedding`."""

    takes: float  # to the reference
    halves: float | None  # from one half of the reference's files to the other; None for one file
    windows: tuple[int, int]  # points of the takes, of the reference

    @property
    def ratio(self) -> float | None:
        """1: the takes are as near to the reference as its halves are to each other."""
        return self.takes / self.halves if self.halves else None

    @property
    def few(self) -> bool:
        """Whether there are fewer points than the embedding has values, so that shrinkage rules."""
        return min(self.windows) < SIZE


def nearness_of(takes: Collection, reference: Collection) -> Nearness | str:
    """The distance, or why there is none."""
    for collection, name in ((takes, "takes"), (reference, "reference")):
        if not collection.sounding:
            return f"every sound of the {name} is silent"
    ours, theirs = takes.points, reference.points
    return Nearness(
        distance(fitted(ours), fitted(theirs)),
        between_halves([piece.points for piece in reference.sounding]),
        (len(ours), len(theirs)),
    )


def between_halves(sounds: Sequence[Values]) -> float | None:
    """The distance from one half of ``sounds``, points ``[windows, SIZE]`` each, to the other.

    It is the mean over several splits, the same ones every time.
    """
    if len(sounds) < 2:
        return None
    draw = np.random.default_rng(0)
    found = []
    for _ in range(SPLITS):
        halves = np.array_split(draw.permutation(len(sounds)), 2)
        one, other = (fitted(np.concatenate([sounds[place] for place in half])) for half in halves)
        found.append(distance(one, other))
    return float(np.mean(found))
