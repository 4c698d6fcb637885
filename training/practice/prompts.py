"""What the language model practises on: captions of pieces that nobody rendered, and what each asks
for that can be heard."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from cadenza.studio.wishes import wishes_of
from training.corpus.captions import caption
from training.corpus.compose import compose
from training.corpus.piece import Piece
from training.corpus.words import INSTRUMENT_WORDS
from training.language_model.facts import Facts, arrays_of

FIGURES = ("tempo", "key", "mode", "lead", "drums", "alone")
TRIES = 12  # captions that are looked at for one that asks for what is hard
BARE = 0.2  # of the prompts may do without


@dataclass(frozen=True, eq=False)
class Prompts:
    """``B`` captions and the facts behind them."""

    tokens: Tensor  # [B, S], int64
    facts: Facts
    asked: Tensor  # [B, 6], bool: which of FIGURES the caption says

    def repeat(self, each: int) -> Prompts:
        """Every prompt ``each`` times in a row."""
        parts = (self.facts.tempo, self.facts.labels, self.facts.instruments, self.facts.start)
        facts = Facts(*(part.repeat_interleave(each, 0) for part in parts))
        return Prompts(
            self.tokens.repeat_interleave(each, 0), facts, self.asked.repeat_interleave(each, 0)
        )


def prompts(count: int, first_seed: int, tokenizer: PreTrainedTokenizerFast) -> Iterator[Prompts]:
    """``count`` at a time, of the pieces from ``first_seed`` on, without end."""
    for first in itertools.count(first_seed, count):
        pieces = [compose(seed) for seed in range(first, first + count)]
        texts = [_caption(piece) for piece in pieces]
        facts = {name: torch.from_numpy(array) for name, array in arrays_of(pieces).items()}
        tokens = tokenizer(texts, padding=True, truncation=True)["input_ids"]
        yield Prompts(
            torch.tensor(tokens),
            Facts(facts["tempo"], facts["labels"], facts["instruments"], torch.zeros(count).long()),
            torch.tensor([asked(piece, text) for piece, text in zip(pieces, texts, strict=True)]),
        )


def asked(piece: Piece, text: str) -> list[bool]:
    """Which of ``FIGURES`` a caption of a piece asks for."""
    wishes, words = wishes_of(text), INSTRUMENT_WORDS[piece.instruments[0]]
    return [
        wishes.tempo is not None,
        wishes.key is not None,
        wishes.mode is not None,
        any(word.lower() in text.lower() for word in words),
        wishes.drums is not None,
        piece.solo,
    ]


def _caption(piece: Piece) -> str:
    """One that says a tempo or a key, which are the hardest to hold, most of the time."""
    rng = np.random.default_rng(piece.seed)
    for _ in range(1 if rng.random() < BARE else TRIES):
        text = caption(piece, rng)
        wishes = wishes_of(text)
        if wishes.tempo is not None or wishes.key is not None:
            break
    return text
