"""Plays many prompts at once, as fast as a machine can, with the weights as they are just now.

The engine of the package serves requests that come and go; here all begin and end together, so one
cache holds them all and a step attends for all of them in one product.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import MusicgenForConditionalGeneration

from cadenza.engine.decoder import Decoder
from cadenza.sampling import Sampler
from cadenza.types import Sampling
from training.language_model.loss import delayed, read


@torch.no_grad()
def play(
    model: MusicgenForConditionalGeneration,
    tokens: Tensor,
    frames: int,
    sampling: Sampling,
    dtype: torch.dtype = torch.bfloat16,
) -> Tensor:
    """A take of each of ``tokens [B, S]``: codes ``[B, K, frames]``, another one every time.

    Its products are taken in ``dtype``.
    """
    decoder = Decoder(model.decoder, tokens.device, dtype)
    states, mask = read(model, tokens)
    together = _Together(decoder, states, mask, frames + decoder.codebooks)
    sampler = Sampler([sampling] * len(tokens), decoder.vocabulary, tokens.device)
    codes = tokens.new_zeros(len(tokens), decoder.codebooks, frames)
    # What has not begun or has ended is the special id, whatever is drawn for it.
    columns = delayed(codes, decoder.vocabulary)
    playing = columns != decoder.vocabulary
    for place in range(columns.shape[2] - 1):
        x = decoder.embed(columns[:, :, place]).repeat(2, 1)
        hidden = decoder.forward(x, together.positions(place), together)
        logits = decoder.logits(hidden).float()
        noise = torch.rand_like(logits[: len(tokens)]).log_().neg_().log_().neg_()  # Gumbel's
        drawn = sampler(*logits.chunk(2), noise)
        columns[:, :, place + 1] = torch.where(
            playing[:, :, place + 1], drawn, columns[:, :, place + 1]
        )
    return torch.stack([columns[:, k, k + 1 : k + 1 + frames] for k in range(codes.shape[1])], 1)


class _Together:
    """An :class:`cadenza.engine.decoder.Attention` of rows that all stand at the same place: those
    with their text, then the same without."""

    def __init__(self, decoder: Decoder, states: Tensor, mask: Tensor, places: int) -> None:
        batch, length, width = states.shape
        size = width // decoder.heads
        self._rows, self._split, self._place = 2 * batch, (decoder.heads, size), 0
        self._caches = [
            states.new_zeros(2, 2 * batch, decoder.heads, places, size)
            for _ in range(decoder.layers)
        ]
        self._cross = [  # [2, B, H, S, h]
            heard.unflatten(2, (batch, length)).transpose(1, 2).contiguous().float()
            for heard in decoder.cross_states(states.to(decoder.dtype).flatten(0, 1))
        ]
        self._mask = mask[:, None, None]

    def positions(self, place: int) -> Tensor:
        """Positions ``[rows]`` of the columns at ``place``, where the next pass is."""
        self._place = place
        return torch.full((self._rows,), place, device=self._mask.device)

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        cache, until = self._caches[layer], self._place + 1
        q, k, v = qkv.view(self._rows, 3, *self._split).float().unbind(1)
        cache[0, :, :, self._place], cache[1, :, :, self._place] = k, v
        attended = F.scaled_dot_product_attention(
            q[:, :, None], cache[0, :, :, :until], cache[1, :, :, :until]
        )
        return attended.reshape(self._rows, -1).to(qkv.dtype)

    def attend_cross(self, layer: int, queries: Tensor) -> Tensor:
        """Those without text hear nothing."""
        batch = self._rows // 2
        keys, values = self._cross[layer]
        q = queries[:batch].view(batch, *self._split)[:, :, None].float()
        attended = F.scaled_dot_product_attention(q, keys, values, attn_mask=self._mask)
        return F.pad(attended.reshape(batch, -1).to(queries.dtype), (0, 0, 0, batch))
