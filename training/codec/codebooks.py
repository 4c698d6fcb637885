"""Learning the codebooks: moving averages, dead codes revived (van den Oord 2017, appendix A.1;
SoundStream, arXiv:2107.03312, section III.C)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cadenza.framecodec import ResidualQuantizer

DECAY = 0.99
DEAD = 0.1  # a code drawn less often than this share of the average starts anew


class CodebookLearner(nn.Module):
    """Quantises with a :class:`ResidualQuantizer` and moves its vectors to what they stand for."""

    count: Tensor
    total: Tensor

    def __init__(self, quantizer: ResidualQuantizer) -> None:
        super().__init__()
        levels, size, dim = quantizer.codebooks.shape
        self.register_buffer("count", torch.zeros(levels, size))
        self.register_buffer("total", torch.zeros(levels, size, dim))
        self._quantizer = [quantizer]  # in a list: its parameters belong to the codec

    @torch.no_grad()
    def start(self, latent: Tensor) -> None:
        """Place every codebook on random vectors of ``latent [B, T, dim]`` and their residuals."""
        books = self._quantizer[0].codebooks
        residual = latent.float().reshape(-1, latent.shape[-1])
        for level in range(books.shape[0]):
            drawn = torch.randint(len(residual), (books.shape[1],), device=residual.device)
            books.data[level] = residual[drawn]
            for _ in range(10):  # k-means
                self._average(level, residual, self._quantizer[0].nearest(residual, level), 0.0)
            residual = residual - books[level][self._quantizer[0].nearest(residual, level)]

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, T, dim]`` to its quantised self (gradients pass straight) and commitment loss."""
        latent = latent.float()
        residual, quantised = latent, torch.zeros_like(latent)
        commitment = latent.new_zeros(())
        for level in range(self.count.shape[0]):
            ids = self._quantizer[0].nearest(residual.detach(), level)
            chosen = self._quantizer[0].codebooks[level][ids]
            commitment = commitment + F.mse_loss(residual, chosen.detach())
            if self.training:
                self._average(level, residual.detach(), ids, DECAY)
            quantised = quantised + chosen.detach()
            residual = residual - chosen.detach()
        return latent + (quantised - latent).detach(), commitment

    @torch.no_grad()
    def _average(self, level: int, vectors: Tensor, ids: Tensor, decay: float) -> None:
        vectors, ids = vectors.reshape(-1, vectors.shape[-1]), ids.reshape(-1)
        count, total = self.count[level], self.total[level]
        drawn = torch.zeros_like(count).index_add_(0, ids, torch.ones_like(vectors[:, 0]))
        summed = torch.zeros_like(total).index_add_(0, ids, vectors)
        count.mul_(decay).add_(drawn, alpha=1 - decay)
        total.mul_(decay).add_(summed, alpha=1 - decay)
        # Revive without asking how many are dead: that question would wait for the GPU.
        dead = (count < DEAD * count.mean())[:, None]
        spare = vectors[torch.randint(len(vectors), (len(count),), device=vectors.device)]
        book = torch.where(dead, spare, total / count.clamp(min=1e-5)[:, None])
        self._quantizer[0].codebooks.data[level] = book
        total.copy_(torch.where(dead, spare, total))
        count.copy_(torch.where(dead[:, 0], torch.ones_like(count), count))
