"""Captions as tokens, with the facts of their pieces and without their music.

``python -m training.captions --codes DIR --out DIR``. A piece is composed far faster
than it is rendered, so a reader can have many more captions than there is music.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from cadenza.studio.wishes import wishes_of
from training.corpus.captions import caption
from training.corpus.compose import compose
from training.corpus.piece import Piece
from training.language_model.facts import arrays_of

CAPTIONS = 24  # of each piece: the same music can be asked for in many words
# So many of them say the key, where that can be said: chance would have fewer say it, and a model
# that seldom reads one of 24 keys learns none of them.
KEYED, TRIES = 10, 80
PIECES_IN_SHARD = 2000


def caption_tokens(piece: Piece, tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Tokens ``[captions, positions]`` int16 of several captions of one piece, padded."""
    rng = np.random.default_rng(piece.seed)
    texts = [caption(piece, rng) for _ in range(CAPTIONS)]
    more = [caption(piece, rng) for _ in range(TRIES)]
    keyed = [text for text in more if wishes_of(text).key is not None][:KEYED]
    texts[: len(keyed)] = keyed
    tokens = tokenizer(
        texts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length
    )
    return np.asarray(tokens["input_ids"], dtype=np.int16)


def write_shard(
    place: Path,
    pieces: Sequence[Piece],
    tokenizer: PreTrainedTokenizerFast,
    **music: np.ndarray,
) -> None:
    """Captions and facts of ``pieces``, whole or not at all, with their ``music`` if there is."""
    partial = place.with_name(f"partial-{place.name}")
    np.savez(
        partial,
        tokens=np.stack([caption_tokens(piece, tokenizer) for piece in pieces]),
        **arrays_of(pieces),
        **music,
    )
    os.replace(partial, place)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.captions", description=__doc__)
    parser.add_argument("--codes", type=Path, required=True, help="the folder of the tokenizer")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=6, help=f"of {PIECES_IN_SHARD} pieces each")
    parser.add_argument("--first-seed", type=int, default=300_000_000)
    arguments = parser.parse_args()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(arguments.codes)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.shards):
        first = arguments.first_seed + number * PIECES_IN_SHARD
        place = arguments.out / f"captions-{first:09d}.npz"
        if not place.exists():
            pieces = [compose(first + seed) for seed in range(PIECES_IN_SHARD)]
            write_shard(place, pieces, tokenizer)
            print(place.name, flush=True)


if __name__ == "__main__":
    main()
