"""Prompts to conditioning, for the models that read text through cross-attention."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cadenza.states import text_states
from cadenza.types import Conditioning


class TextConditioner:
    """T5 and its projection, for checkpoints of the text family, mono and stereo.

    Args:
        model: a :class:`transformers.MusicgenForConditionalGeneration`.
        tokenizer: the checkpoint's own.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._model, self._tokenizer = model, tokenizer

    def encode(self, texts: Sequence[str | None]) -> list[Conditioning]:
        """One conditioning per text, ``cross [S, D]`` of its own length; ``None`` is no text."""
        states = [text_states(self._model, self._tokenizer, text) for text in texts]
        return [Conditioning(cross=cross, prefix=np.zeros_like(cross[:0])) for cross in states]

    def unconditional(self, conditional: Conditioning) -> Conditioning:
        """What guidance sets against ``conditional``: no text."""
        zero = np.zeros_like(conditional.cross[:1])
        return Conditioning(cross=zero, prefix=zero[:0])
