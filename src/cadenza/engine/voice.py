"""One sequence being made on a torch device: its caches, and how prefill and steps attend.

A voice has one row, or two with guidance (with the prompt, without). Both rows write to the same
place of their caches at every step; a row whose prefix is shorter has it moved to the right, the
gap on its left masked, so its positions count from ``-gap``. Voices never share an attention
call: what a voice computes cannot depend on the lengths of its neighbours.

Shapes: ``R`` rows, ``H`` heads, ``C`` cache places, ``S`` conditioning states, ``h`` = ``D / H``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from cadenza.types import Conditioning, Sampling

BLOCK = 64  # attention runs over the written part of a cache, rounded up to whole blocks


@dataclass
class Voice:
    sampling: Sampling
    gaps: tuple[int, ...]  # one a row
    caches: list[Tensor]  # one a layer, [R, 2 (keys, values), H, C, h], made once
    mask: Tensor  # [R, 1, 1, C], 0 where a row may look, -inf elsewhere
    unconditional: Conditioning | None  # what the second row listens to
    parts: list[list[Conditioning]] = field(default_factory=list)  # of the mix, one list a row
    cross: list[Tensor] = field(default_factory=list)  # their keys and values, [R, 2, H, S, h]
    cross_mask: Tensor | None = None  # [R, 1, 1, S], log weights; None when all are 1
    place: int = 0  # where the next column is written
    _views: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    _seen: int = 0

    @property
    def rows(self) -> int:
        return len(self.gaps)

    def look(self, places: int) -> None:
        """Let attention reach the first ``places`` places."""
        reach = min(-(-places // BLOCK) * BLOCK, self.mask.shape[-1])
        if reach != self._seen:
            self._seen = reach
            self._views = [(c[:, 0, :, :reach], c[:, 1, :, :reach]) for c in self.caches]

    def attend(self, layer: int, queries: Tensor, mask: Tensor) -> Tensor:
        """``queries [R, H, n, h]`` on the cache; returns the same shape."""
        keys, values = self._views[layer]
        queries = queries.to(keys.dtype)
        return F.scaled_dot_product_attention(queries, keys, values, mask[..., : self._seen])

    def attend_cross(self, layer: int, queries: Tensor) -> Tensor:
        keys, values = self.cross[layer].unbind(1)
        queries = queries.to(keys.dtype)
        return F.scaled_dot_product_attention(queries, keys, values, self.cross_mask)


class Prefill:
    """Attention of ``n`` positions of one voice, from place 0; ``M`` is rows times ``n``."""

    def __init__(self, voice: Voice, n: int) -> None:
        self._voice, self._n = voice, n
        places = voice.mask.shape[-1]
        device, dtype = voice.mask.device, voice.mask.dtype
        key, query = torch.arange(places, device=device), torch.arange(n, device=device)[:, None]
        gaps = torch.tensor(voice.gaps, device=device)[:, None, None]
        # A place in the gap looks at itself, for the softmax of nothing is not a number.
        allowed = (key <= query) & (key >= gaps) | (key == query)
        self._mask = torch.zeros(allowed.shape, dtype=dtype, device=device)
        self._mask = self._mask.masked_fill_(~allowed, -torch.inf)[:, None]
        voice.mask[..., :n].masked_fill_(key[:n] >= gaps[:, None], 0)
        voice.look(n)
        voice.place = n

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        cache = self._voice.caches[layer]
        rows, _, heads, _, size = cache.shape
        q, k, v = qkv.view(rows, self._n, 3, heads, size).permute(2, 0, 3, 1, 4)
        cache[:, 0, :, : self._n] = k
        cache[:, 1, :, : self._n] = v
        return self._rows(self._voice.attend(layer, q, self._mask), qkv)

    def attend_cross(self, layer: int, queries: Tensor) -> Tensor:
        rows, _, heads, _, size = self._voice.cross[layer].shape
        q = queries.view(rows, self._n, heads, size).transpose(1, 2)
        return self._rows(self._voice.attend_cross(layer, q), queries)

    def _rows(self, attended: Tensor, like: Tensor) -> Tensor:
        return attended.transpose(1, 2).reshape(len(like), -1).to(like.dtype)


class Step:
    """Attention of one position of every voice; ``M`` is the rows of all, in order.

    ``places [M]`` holds the place of each row's new column, on the device.
    """

    def __init__(self, voices: Sequence[Voice], places: Tensor) -> None:
        self._voices, first = [], 0
        for voice in voices:
            rows = slice(first, first + voice.rows)
            place = places[first : first + 1]
            voice.mask.index_fill_(3, place, 0)
            voice.look(voice.place + 1)
            voice.place += 1
            self._voices.append((voice, rows, place))
            first = rows.stop

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        heads = self._voices[0][0].caches[layer].shape[2]
        qkv = qkv.view(len(qkv), 3, heads, 1, -1)
        attended = []
        for voice, rows, place in self._voices:
            cache, new = voice.caches[layer], qkv[rows]
            cache.index_copy_(3, place, new[:, 1:].to(cache.dtype))
            attended.append(voice.attend(layer, new[:, 0], voice.mask))
        return self._join(attended, qkv)

    def attend_cross(self, layer: int, queries: Tensor) -> Tensor:
        heads = self._voices[0][0].cross[layer].shape[2]
        queries = queries.view(len(queries), heads, 1, -1)
        attended = [v.attend_cross(layer, queries[rows]) for v, rows, _ in self._voices]
        return self._join(attended, queries)

    def _join(self, attended: list[Tensor], like: Tensor) -> Tensor:
        joined = attended[0] if len(attended) == 1 else torch.cat(attended)
        return joined.reshape(len(like), -1).to(like.dtype)
