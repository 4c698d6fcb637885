"""From logits to tokens: guidance, temperature, top-k, top-p, on a torch device.

A token is drawn as ``argmax(logits / temperature + Gumbel noise)``, which has exactly the
distribution of the softmax (Gumbel 1954; Maddison et al. 2014, arXiv 1411.0030) and needs no
look at the values on the host. The noise is :class:`cadenza.noise.Noise`.

Shapes: ``N`` sequences, ``K`` codebooks, ``V`` vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cadenza.types import Sampling


def guide(conditional: Tensor, unconditional: Tensor, scale: Tensor | float) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598) on logits."""
    return unconditional + (conditional - unconditional) * scale


def keep_top_k(logits: Tensor, top_k: Tensor, largest: int) -> Tensor:
    """Keep the ``top_k [N]`` likeliest of ``logits [N, K, V]`` (and their equals), drop the rest.

    ``largest`` is the largest of ``top_k`` below ``V``, known on the host; ``V`` keeps all.
    """
    likeliest = logits.topk(largest, dim=-1).values
    place = (top_k.clamp(max=largest) - 1)[:, None, None].expand(-1, logits.shape[1], 1)
    threshold = likeliest.gather(-1, place)
    threshold = threshold.masked_fill((top_k == logits.shape[-1])[:, None, None], -torch.inf)
    return logits.masked_fill(logits < threshold, -torch.inf)


def keep_top_p(logits: Tensor, top_p: Tensor) -> Tensor:
    """Keep the likeliest tokens of ``logits [N, K, V]`` that together hold ``top_p [N]``.

    The token that crosses the mark is kept, so there is always one.
    """
    ordered, order = logits.softmax(-1).sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    # Without the second condition rounding could let top-p 1 drop a token.
    drop = (before >= top_p[:, None, None]) & (top_p < 1)[:, None, None]
    return logits.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -torch.inf)


class Sampler:
    """Draws one token a codebook for ``N`` sequences, each by its own settings.

    Made once for a set of sequences and used for many steps: it keeps their settings on the device,
    and nothing in a call waits for the device.
    """

    def __init__(
        self, settings: Sequence[Sampling], vocabulary: int, device: torch.device | str = "cpu"
    ) -> None:
        def tensor(values: list[float], dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device)

        drawn = [s.temperature > 0 for s in settings]  # the likeliest is never cut off
        top_k = [
            min(s.top_k, vocabulary) if d else vocabulary
            for s, d in zip(settings, drawn, strict=True)
        ]
        top_p = [s.top_p if d else 1.0 for s, d in zip(settings, drawn, strict=True)]
        self.greedy = not any(drawn)
        self._guided = any(s.guidance > 1 for s in settings)
        self._guidance = tensor([s.guidance for s in settings])[:, None, None]
        # 1e-6 is greedy for any real logits; less would overflow.
        cool = [
            1 / max(s.temperature, 1e-6) if d else 1.0 for s, d in zip(settings, drawn, strict=True)
        ]
        self._coolness = tensor(cool)[:, None, None]
        self._largest_k = max((k for k in top_k if k < vocabulary), default=0)
        self._top_k = tensor(list(top_k), torch.int64)
        self._any_top_p = any(p < 1 for p in top_p)
        self._top_p = tensor(top_p)

    def __call__(self, conditional: Tensor, unconditional: Tensor, noise: Tensor | None) -> Tensor:
        """Logits with and without the prompt and noise, ``[N, K, V]`` each, to ids ``[N, K]``.

        Noise of zeros makes a sequence greedy; ``None`` makes all greedy.
        """
        logits = conditional.float()
        if self._guided:
            logits = guide(logits, unconditional.float(), self._guidance)
        if noise is None:
            return logits.argmax(-1)
        logits = logits * self._coolness
        if self._largest_k:
            logits = keep_top_k(logits, self._top_k, self._largest_k)
        if self._any_top_p:
            logits = keep_top_p(logits, self._top_p)
        return (logits + noise).argmax(-1)
