"""Hears in codes what was played: tempo, key, leading instrument, drums, and whether it is alone.

It is taught on the codes of rendered pieces, whose facts are known. ``benchmarks`` has an ear of
its own, taught on other pieces, as sound: what this one likes and is not there has no say in any
figure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cadenza.framecodec import ConvNeXtBlock, ResidualQuantizer
from cadenza.studio.critic.network import KEYS
from training.language_model.facts import FAMILIES, FRAME_RATE, Facts

WIDTH, HIDDEN, BLOCKS = 96, 160, 2
WEIGHTS = "critic.safetensors"  # in the folder that it is written to
ONSETS = 8  # curves that rise where something begins
TEMPI = np.geomspace(28, 380, 210)  # beats a minute: those of the corpus, their halves and doubles
SLOWEST, FASTEST = 57.0, 190.0  # what is told
SPREAD = 0.015


@dataclass(frozen=True, eq=False)
class Told:
    """What the critic makes of ``B`` sounds, as logarithms of probabilities."""

    tempo: Tensor  # [B, tempi]
    key: Tensor  # [B, 24], tonic, + 12 for minor
    lead: Tensor  # [B, families]
    drums: Tensor  # [B, 2]: none, some
    alone: Tensor  # [B, 2]: several, one


class Critic(nn.Module):
    """Codes ``[B, K, T]`` to :class:`Told`; ``codebooks [K, size, dim]`` are the codec's."""

    def __init__(self, codebooks: Tensor) -> None:
        super().__init__()
        self.codec = ResidualQuantizer(*codebooks.shape)
        self.codec.codebooks.data.copy_(codebooks)
        dim = codebooks.shape[2]
        self.onsets = nn.Sequential(
            nn.Conv1d(dim, 32, 5, padding=2), nn.GELU(), nn.Conv1d(32, ONSETS, 3, padding=1)
        )
        self.tempo = TempoNetwork()
        self.inlet = nn.Conv1d(dim, WIDTH, 4, stride=2, padding=1)  # colours change slowly
        self.blocks = nn.ModuleList(ConvNeXtBlock(WIDTH, HIDDEN, 0.5) for _ in range(BLOCKS))
        self.outlet = nn.Sequential(
            nn.LayerNorm(3 * WIDTH),
            nn.Dropout(0.15),
            nn.Linear(3 * WIDTH, WIDTH),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(WIDTH, KEYS + len(FAMILIES) + 4),
        )

    def forward(self, codes: Tensor) -> Told:
        latent = F.normalize(self.codec.decode(codes), dim=-1).mT * 8
        tempo = self.tempo(F.relu(self.onsets(latent)))
        x = self.inlet(latent)
        for block in self.blocks:
            x = block(x)
        told = self.outlet(torch.cat([x.mean(-1), x.amax(-1), x.std(-1)], 1))
        key, lead, drums, alone = told.split([KEYS, len(FAMILIES), 2, 2], 1)
        parts = (tempo, key, lead, drums, alone)
        return Told(*(part.log_softmax(-1) for part in parts))

    def losses(self, codes: Tensor, facts: Facts) -> Tensor:
        """What is told wrongly ``[5]``: tempo, key, lead, drums, alone."""
        told = self(codes)
        _, lead, drums, key = facts.labels.long().unbind(1)
        near = (facts.tempo.log()[:, None] - self.tempo.told.log()) / SPREAD
        truth = (-0.5 * near.square()).softmax(-1)
        return torch.stack(
            [
                -(truth * told.tempo).sum(-1).mean(),
                F.nll_loss(told.key, key, ignore_index=-100),
                F.nll_loss(told.lead, lead),
                F.nll_loss(told.drums, drums),
                F.nll_loss(told.alone, alone_of(facts)),
            ]
        )


class TempoNetwork(nn.Module):
    """What recurs in curves ``[B, ONSETS, T]`` to logits of tempi.

    Convolutions along the logarithm of the tempo, where half and double lie at fixed distances,
    over autocorrelation, which is high at fractions of the tempo, and spectrum, high at multiples.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.inlet = nn.Conv1d(2 * ONSETS, width, 9, padding=4)
        self.blocks = nn.ModuleList(
            nn.Conv1d(width, width, 9, padding=4 * reach, dilation=reach) for reach in (2, 6, 12)
        )
        self.outlet = nn.Conv1d(width, 1, 5, padding=2)
        self.likely = nn.Parameter(torch.zeros(len(TEMPI)))
        self.dropout = nn.Dropout(0.1)
        low, high = np.searchsorted(TEMPI, (SLOWEST, FASTEST))
        self.range = slice(int(low), int(high))
        told = torch.from_numpy(TEMPI[self.range]).float()
        self.register_buffer("told", told, persistent=False)

    def forward(self, curves: Tensor) -> Tensor:
        frames = curves.shape[-1]
        curves = curves - F.avg_pool1d(curves, 51, 1, 25, count_include_pad=False)
        power = torch.fft.rfft(curves, 2 * frames).abs().square()
        again = torch.fft.irfft(power)[..., :frames]
        overlap = (frames - torch.arange(frames)).clamp(min=frames // 5) / frames
        again = again / (again[..., :1] + 1e-4) / overlap
        lags = torch.from_numpy(60 / TEMPI * FRAME_RATE).float()
        size = 8192
        spectrum = torch.fft.rfft(curves * torch.hann_window(frames), size).abs()
        spectrum = _at(spectrum, torch.from_numpy(TEMPI / 60 / FRAME_RATE * size).float())
        spectrum = 10 * spectrum / (spectrum.norm(dim=-1, keepdim=True) + 1e-4)
        x = F.gelu(self.inlet(torch.cat([_at(again, lags), spectrum], 1)))
        for block in self.blocks:
            x = x + F.gelu(block(self.dropout(x)))
        logits: Tensor = self.outlet(x)[:, 0] + self.likely
        return logits[:, self.range]


def _at(values: Tensor, places: Tensor) -> Tensor:
    """``values [..., N]`` at fractional ``places``, between neighbours."""
    left = places.floor().long().clamp(max=values.shape[-1] - 2)
    share = places - left
    return values[..., left] * (1 - share) + values[..., left + 1] * share


def alone_of(facts: Facts) -> Tensor:
    """Whether one instrument plays alone ``[B]``, as 0 or 1."""
    return (facts.instruments.sum(1) == 1).long()
