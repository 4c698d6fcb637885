"""The forward pass of MusicGen's decoder, on the weights of transformers' own modules.

The reference is ``transformers.models.musicgen(_melody).modeling_musicgen(_melody)``: sinusoidal
positions (cosine, then sine), pre-norm layers, self-attention, cross-attention where the family
has it, GELU, a final norm, one head a codebook. Queries, keys and values share one product, the
heads of all codebooks another. How rows attend is left to an :class:`Attention`, so that prefill
(many positions of one voice) and a step (one position of many voices) are the same code.

Shapes: ``M`` rows times positions, ``D`` width, ``H`` heads, ``K`` codebooks, ``V`` vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cadenza.engine.linear import Linear, PackedLinear, PlainLinear, packs
from cadenza.errors import ModelMismatch

_ToLinear = Callable[..., Linear]
_ToNorm = Callable[[nn.LayerNorm], Callable[[Tensor], Tensor]]


class Attention(Protocol):
    """Knows which rows of ``M`` belong to which voice, and holds their keys and values."""

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        """Store the new keys and values of ``qkv [M, 3D]``; return ``[M, D]``."""
        ...

    def attend_cross(self, layer: int, queries: Tensor) -> Tensor:
        """``queries [M, D]`` on the conditioning; returns ``[M, D]``."""
        ...


class Decoder:
    """The weights, arranged. Keeps no reference to ``model`` but to tensors used as they are."""

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype) -> None:
        config = model.config
        if config.activation_function != "gelu":
            raise ModelMismatch(
                f"the decoder's activation is {config.activation_function!r}, "
                "the engine knows MusicGen's 'gelu' only"
            )
        arrange: Callable[[Tensor], Linear] = PackedLinear if packs(device, dtype) else PlainLinear

        def tensor(weight: Tensor) -> Tensor:
            return weight.detach().to(device=device, dtype=dtype)

        def linear(*modules: nn.Linear) -> Linear:
            weights = [tensor(module.weight) for module in modules]
            return arrange(weights[0] if len(weights) == 1 else torch.cat(weights))

        def norm(module: nn.LayerNorm) -> Callable[[Tensor], Tensor]:
            weight, bias, epsilon = tensor(module.weight), tensor(module.bias), module.eps
            return lambda x: F.layer_norm(x, weight.shape, weight, bias, epsilon)

        decoder = model.model.decoder
        self.device, self.dtype = device, dtype
        self.width: int = config.hidden_size
        self.heads: int = config.num_attention_heads
        self.codebooks: int = config.num_codebooks
        self.vocabulary: int = config.vocab_size
        self._layers = [_Layer(layer, linear, norm) for layer in decoder.layers]
        self._norm = norm(decoder.layer_norm)
        self._head = linear(*model.lm_heads)
        self._embedding = torch.cat([tensor(table.weight) for table in decoder.embed_tokens])
        rows = [table.num_embeddings for table in decoder.embed_tokens]
        self._offsets = torch.tensor([sum(rows[:k]) for k in range(len(rows))], device=device)
        self._sinusoids = decoder.embed_positions.get_embedding
        self._positions = torch.empty(0, self.width)
        self.reserve(config.max_position_embeddings)

    @property
    def layers(self) -> int:
        return len(self._layers)

    @property
    def cross_attention(self) -> bool:
        return self._layers[0].cross is not None

    def reserve(self, positions: int) -> None:
        """Make sure that ``positions`` positions can be embedded."""
        if positions > len(self._positions):
            table = self._sinusoids(positions, self.width)
            self._positions = table.to(device=self.device, dtype=self.dtype)

    def embed(self, ids: Tensor) -> Tensor:
        """Columns ``[M, K]`` to ``[M, D]``."""
        return F.embedding(ids + self._offsets, self._embedding).sum(1)

    def forward(self, x: Tensor, positions: Tensor, attention: Attention) -> Tensor:
        """Embedded columns or prefix states, ``[M, D]`` at ``positions [M]``, to hidden ones."""
        x = x + F.embedding(positions, self._positions)
        for index, layer in enumerate(self._layers):
            x = layer.out.plus(attention.attend(index, layer.qkv(layer.norm(x))), x)
            if (cross := layer.cross) is not None:
                queries = cross.queries(cross.norm(x))
                x = cross.out.plus(attention.attend_cross(index, queries), x)
            x = layer.contract.plus(layer.expand.gelu(layer.feed_norm(x)), x)
        return x

    def logits(self, hidden: Tensor) -> Tensor:
        """``[M, D]`` to ``[M, K, V]``."""
        return self._head(self._norm(hidden)).view(-1, self.codebooks, self.vocabulary)

    def cross_states(self, states: Tensor) -> list[Tensor]:
        """Conditioning ``[S, D]`` to keys and values a layer, ``[2, H, S, D/H]``."""
        length, width = states.shape
        return [
            layer.cross.keys_values(states)
            .view(length, 2, self.heads, width // self.heads)
            .permute(1, 2, 0, 3)
            for layer in self._layers
            if layer.cross is not None
        ]


class _Layer:
    """One decoder layer: attention, cross-attention (not in the melody family), feed-forward."""

    def __init__(self, layer: Any, linear: _ToLinear, norm: _ToNorm) -> None:
        attention = layer.self_attn
        self.norm = norm(layer.self_attn_layer_norm)
        self.qkv = linear(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = linear(attention.out_proj)
        self.cross = _Cross(layer, linear, norm) if hasattr(layer, "encoder_attn") else None
        self.feed_norm = norm(layer.final_layer_norm)
        self.expand = linear(layer.fc1)
        self.contract = linear(layer.fc2)


class _Cross:
    def __init__(self, layer: Any, linear: _ToLinear, norm: _ToNorm) -> None:
        attention = layer.encoder_attn
        self.norm = norm(layer.encoder_attn_layer_norm)
        self.queries = linear(attention.q_proj)
        self.keys_values = linear(attention.k_proj, attention.v_proj)
        self.out = linear(attention.out_proj)
