"""What the language model learns: every codebook's next token, delayed as MusicGen delays them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import MusicgenForConditionalGeneration


@dataclass(frozen=True, eq=False)
class Heard:
    """What one pass over a batch of crops gives."""

    losses: Tensor  # [K], cross-entropy per codebook in nats a token
    music: Tensor  # [B, T, D], states in the middle of the decoder, one a frame
    text: Tensor  # [B, S, D], states of every text, dropped or not
    mask: Tensor  # [B, S], bool, where there is text


def middle_layer(model: MusicgenForConditionalGeneration) -> nn.Module:
    """The layer of the decoder whose states have to tell the facts."""
    layers = model.decoder.model.decoder.layers
    return layers[len(layers) // 2]


def delayed(codes: Tensor, special: int) -> Tensor:
    """``[B, K, T]`` to columns ``[B, K, T + K]``: codebook k one column later than k - 1, a
    column of the special id ahead of all, and the special id wherever nothing is."""
    batch, codebooks, frames = codes.shape
    columns = codes.new_full((batch, codebooks, frames + codebooks), special)
    for k in range(codebooks):
        columns[:, k, k + 1 : k + 1 + frames] = codes[:, k]
    return columns


def read(model: MusicgenForConditionalGeneration, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Text states ``[B, S, D]`` as the decoder gets them, and their mask ``[B, S]``, bool."""
    mask = tokens != model.config.text_encoder.pad_token_id
    states = model.text_encoder(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
    return model.enc_to_dec_proj(states) * mask[..., None], mask


def hear(
    model: MusicgenForConditionalGeneration,
    codes: Tensor,
    tokens: Tensor,
    drop: Tensor,
    deaf: Tensor,
) -> Heard:
    """One pass over codes ``[B, K, T]``; the rows to ``drop [B]`` do without their text, and
    nothing of the music is heard where ``deaf [B, T + K]`` is true."""
    special = model.config.decoder.vocab_size
    columns = delayed(codes, special)
    heard = columns.masked_fill(deaf[:, None], special)
    text, mask = read(model, tokens)
    decoder, middle = model.decoder.model.decoder, []
    hook = middle_layer(model).register_forward_hook(
        lambda layer, inputs, output: middle.append(output)
    )
    hidden = decoder(
        input_ids=heard[:, :, :-1].flatten(0, 1),
        encoder_hidden_states=text * ~drop[:, None, None],
        encoder_attention_mask=mask.long(),
        use_cache=False,
    ).last_hidden_state
    hook.remove()
    losses = [
        F.cross_entropy(head(hidden).flatten(0, 1).float(), target.flatten(), ignore_index=special)
        for head, target in zip(model.decoder.lm_heads, columns[:, :, 1:].unbind(1), strict=True)
    ]
    return Heard(torch.stack(losses), middle[0][:, : codes.shape[2]], text, mask)
