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


def excerpts(piece: Piece, *starts: float) -> list[Excerpt]:
    """Render ``piece`` and cut out what is heard from each of ``starts`` on."""
    sound = render(piece)
    length = round(EXCERPT_SECONDS * RATE)
    firsts = [round(start * RATE) for start in starts]
    return [
        Excerpt(piece, start, sound[first : first + length])
        for start, first in zip(starts, firsts, strict=True)
    ]


def render(piece: Piece) -> FloatArray:
    """The whole piece, mono ``[N]`` at ``RATE``."""
    return _renderer().render(piece)


def pieces(first_seed: int, wanted: Callable[[Piece], bool]) -> Iterator[Piece]:
    """The pieces from ``first_seed`` on that are ``wanted``, without end."""
    composed = (compose(seed, PIECE_SECONDS) for seed in itertools.count(first_seed))
    return filter(wanted, composed)


@lru_cache(maxsize=1)
def _renderer() -> Renderer:
    return Renderer(RATE)
