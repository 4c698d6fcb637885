"""What a voice listens to: one conditioning, or several while one text gives way to another.

A mix is parts and weights. Cross-attention runs over the states of all parts together, with
``log(weight)`` added to the scores of each part's states. A part of weight 1 alone is plain
attention, one of weight 0 is as good as absent, and what lies between is a smooth path: a state
with weight ``w`` counts like the ``w``-th part of a state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cadenza.types import Conditioning, FloatArray

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


def parts_of(rows: Sequence[Mix]) -> list[list[Conditioning]]:
    """What each row's mix is made of."""
    return [[part for part, _ in mix] for mix in rows]


def log_weights(rows: Sequence[Mix]) -> FloatArray:
    """What is added to the scores of each row's states, ``[R, 1, 1, S]``: the states of a mix's
    parts one behind the other, ``-inf`` where a row has fewer than the longest."""
    logs = [
        np.concatenate([np.full(len(part.cross), np.log(weight)) for part, weight in mix])
        for mix in rows
    ]
    longest = max(len(row) for row in logs)
    scores = np.full((len(rows), 1, 1, longest), -np.inf, dtype=np.float32)
    for score, row in zip(scores, logs, strict=True):
        score[..., : len(row)] = row
    return scores


def _whole(parts: list[tuple[Conditioning, float]]) -> Mix:
    """Weights that sum to 1; the division makes that of a lone part exactly 1. What has become
    too faint for a number is gone."""
    total = sum(weight for _, weight in parts)
    return tuple((part, weight / total) for part, weight in parts if weight > 0)
