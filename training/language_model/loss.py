"""What the language model learns: every codebook's next token, delayed as MusicGen delays them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import MusicgenForConditionalGeneration

DROP_TEXT = 0.15  # of the rows learn without their text: guidance needs both


def delayed(codes: Tensor, special: int) -> Tensor:
    """``[B, K, T]`` to columns ``[B, K, T + K]``: codebook k one column later than k - 1, a
    column of the special id ahead of all, and the special id wherever nothing is."""
    batch, codebooks, frames = codes.shape
    columns = codes.new_full((batch, codebooks, frames + codebooks), special)
    for k in range(codebooks):
        columns[:, k, k + 1 : k + 1 + frames] = codes[:, k]
    return columns


def conditioning(
    model: MusicgenForConditionalGeneration, tokens: Tensor, drop: Tensor
) -> tuple[Tensor, Tensor]:
    """Text states ``[B, S, D]``, zero for the rows to ``drop [B]``, and their mask ``[B, S]``."""
    mask = (tokens != model.config.text_encoder.pad_token_id).long()
    states = model.text_encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
    states = model.enc_to_dec_proj(states) * mask[..., None]
    return states * ~drop[:, None, None], mask


def next_token_loss(
    model: MusicgenForConditionalGeneration, codes: Tensor, tokens: Tensor, drop: Tensor
) -> Tensor:
    """Cross-entropy per codebook ``[K]``, in nats a token."""
    special = model.config.decoder.vocab_size
    columns = delayed(codes, special)
    states, mask = conditioning(model, tokens, drop)
    hidden = model.decoder.model.decoder(
        input_ids=columns[:, :, :-1].flatten(0, 1),
        encoder_hidden_states=states,
        encoder_attention_mask=mask,
        use_cache=False,
    ).last_hidden_state
    losses = [
        F.cross_entropy(head(hidden).flatten(0, 1).float(), target.flatten(), ignore_index=special)
        for head, target in zip(model.decoder.lm_heads, columns[:, :, 1:].unbind(1), strict=True)
    ]
    return torch.stack(losses)
