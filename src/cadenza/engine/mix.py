"""What a voice listens to: one conditioning, or several while one text gives way to another.

A mix is parts and weights. Cross-attention runs over the states of all parts together, with
``log(weight)`` added to the scores of each part's states. A part of weight 1 alone is plain
attention, one of weight 0 is as good as absent, and what lies between is a smooth path: a state
with weight ``w`` counts like the ``w``-th part of a state.
"""

from __future__ import annotations

import numpy as np

from cadenza.types import Conditioning

# (conditioning, weight): distinct parts, weights above 0 that sum to 1 (a lone part has exactly 1).
Mix = tuple[tuple[Conditioning, float], ...]

MAX_PARTS = 4  # a further text takes the place of the faintest


def alone(conditioning: Conditioning) -> Mix:
    return ((conditioning, 1.0),)


def same(one: Conditioning, other: Conditioning) -> bool:
    """Whether two conditionings hold the same states."""
    return one is other or (
        np.array_equal(one.cross, other.cross) and np.array_equal(one.prefix, other.prefix)
    )


def with_room(mix: Mix, to: Conditioning) -> Mix:
    """``mix`` with a place for ``to``: without its faintest part if it is full."""
    if len(mix) < MAX_PARTS or any(same(part, to) for part, _ in mix):
        return mix
    faintest = min(range(len(mix)), key=lambda n: mix[n][1])
    return _whole([part for n, part in enumerate(mix) if n != faintest])


def crossfade(mix: Mix, to: Conditioning, share: float) -> Mix:
    """``mix`` at ``share`` 0, ``to`` alone at 1. A part that is the same as ``to`` becomes it."""
    kept = [(part, weight * (1 - share)) for part, weight in mix if share < 1]
    known = next((n for n, (part, _) in enumerate(kept) if same(part, to)), None)
    if known is not None:
        part, weight = kept[known]
        kept[known] = (part, weight + share)
    elif share > 0:
        kept.append((to, share))
    return _whole(kept)


def _whole(parts: list[tuple[Conditioning, float]]) -> Mix:
    """Weights that sum to 1; the division makes that of a lone part exactly 1."""
    total = sum(weight for _, weight in parts)
    return tuple((part, weight / total) for part, weight in parts)
