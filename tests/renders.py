"""Rendered pieces of the corpus, for tests that need music whose facts are known."""

from __future__ import annotations

import os
from functools import cache

import pytest

from cadenza.errors import MissingPackage
from cadenza.types import Audio, FloatArray
from training.corpus.piece import Piece
from training.corpus.render import Renderer

RATE = 32_000


def rendered(piece: Piece, start: float = 0.0, seconds: float | None = None) -> Audio:
    """The piece, or ``seconds`` of it from ``start`` on; skips the test without a sound font."""
    samples = _sound(piece)
    end = len(samples) if seconds is None else round((start + seconds) * RATE)
    return Audio(samples[None, round(start * RATE) : end], RATE)


@cache
def _sound(piece: Piece) -> FloatArray:
    return renderer().render(piece)


@cache
def renderer() -> Renderer:
    """What plays the corpus; skips the test without a sound font, but not in CI."""
    try:
        return Renderer(RATE)
    except MissingPackage as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))
