"""From logits to tokens without leaving numpy; the same rules as :mod:`cadenza.sampling`.

Shapes: ``N`` sequences, ``K`` codebooks, ``V`` vocabulary.
"""

from __future__ import annotations

import numpy as np

from cadenza.types import FloatArray, IntArray, Sampling


def draw(
    conditional: FloatArray, unconditional: FloatArray, noise: FloatArray | None, by: Sampling
) -> IntArray:
    """One sequence's logits with and without the prompt, ``[K, V]``, and noise to ids ``[K]``."""
    logits = conditional
    if by.guidance > 1:
        logits = unconditional + (conditional - unconditional) * np.float32(by.guidance)
    if noise is None or by.temperature == 0:
        return np.asarray(logits.argmax(axis=-1))
    logits = logits * np.float32(1 / max(by.temperature, 1e-6))  # less would overflow
    if by.top_k < logits.shape[-1]:
        logits = keep_top_k(logits, by.top_k)
    if by.top_p < 1:
        logits = keep_top_p(logits, by.top_p)
    return np.asarray((logits + noise).argmax(axis=-1))


def keep_top_k(logits: FloatArray, top_k: int) -> FloatArray:
    """Keep the ``top_k`` likeliest of ``logits [K, V]`` (and their equals), drop the rest."""
    threshold = np.partition(logits, -top_k, axis=-1)[:, -top_k, None]
    return np.where(logits < threshold, np.float32(-np.inf), logits)


def keep_top_p(logits: FloatArray, top_p: float) -> FloatArray:
    """Keep the likeliest tokens of ``logits [K, V]`` that together hold ``top_p``.

    The token that crosses the mark is kept, so there is always one.
    """
    order = np.argsort(-logits, axis=-1, kind="stable")
    ordered = np.take_along_axis(logits, order, axis=-1)
    shares = np.exp(ordered - ordered[:, :1])
    shares /= shares.sum(axis=-1, keepdims=True)
    dropped = np.empty(logits.shape, dtype=bool)
    np.put_along_axis(dropped, order, shares.cumsum(axis=-1) - shares >= top_p, axis=-1)
    return np.where(dropped, np.float32(-np.inf), logits)
