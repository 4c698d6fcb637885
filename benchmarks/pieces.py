"""Excerpts of rendered pieces: music whose every fact is known."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from cadenza.types import FloatArray
from training.corpus.compose import compose
from training.corpus.piece import Piece
from training.corpus.render import Renderer

RATE = 32_000
PIECE_SECONDS = 32.0  # as the training pieces
EXCERPT_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class Excerpt:
    """Ten seconds of a piece from ``start`` seconds on: mono ``samples [N]`` at ``RATE``."""

    piece: Piece
    start: float
    samples: FloatArray


def excerpt(piece: Piece, start: float = 0.0) -> Excerpt:
    """Render ``piece`` and cut out what is heard from ``start`` on."""
    first = round(start * RATE)
    samples = _renderer().render(piece)[first : first + round(EXCERPT_SECONDS * RATE)]
    return Excerpt(piece, start, samples)


def pieces(first_seed: int, wanted: Callable[[Piece], bool]) -> Iterator[Piece]:
    """The pieces from ``first_seed`` on that are ``wanted``, without end."""
    composed = (compose(seed, PIECE_SECONDS) for seed in itertools.count(first_seed))
    return filter(wanted, composed)


@lru_cache(maxsize=1)
def _renderer() -> Renderer:
    return Renderer(RATE)
