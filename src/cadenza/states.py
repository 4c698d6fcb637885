"""A text as the decoder reads it: T5's states, projected to the decoder's width.

The half that the text and melody conditioners have in common. Every text is encoded by itself, so
that its states, and with them the codes, do not depend on what else is in a batch.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cadenza.tokens import check_tokens
from cadenza.types import FloatArray


@torch.inference_mode()
def text_states(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str | None
) -> FloatArray:
    """``[S, D]``, one state a token. ``None`` is one zero state, as in audiocraft; T5("") is not.

    Source: the head of ``MusicgenForConditionalGeneration.forward``.

    Raises:
        PromptError: a text of too many tokens.
    """
    if text is None:
        return np.zeros((1, cast(Any, model).config.decoder.hidden_size), np.float32)
    ids = torch.tensor([tokenizer(text).input_ids], device=model.device)
    check_tokens(ids.shape[1])
    encoded = cast(Any, model).text_encoder(input_ids=ids).last_hidden_state
    return projected(getattr(model, "enc_to_dec_proj", None), encoded[0])


@torch.inference_mode()
def projected(projection: nn.Linear | None, states: Tensor) -> FloatArray:
    """``[..., d]`` to ``[..., D]``. A checkpoint whose widths agree has no projection."""
    if projection is not None:
        states = projection(states.to(projection.weight))
    return states.float().cpu().numpy()
