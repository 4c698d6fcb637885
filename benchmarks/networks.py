"""Three small networks that hear tempo, key, and instruments; each varies what it learns from."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.features import (
    COLOUR_BANDS,
    LOWEST_PITCH,
    ONSET_BANDS,
    TEMPI,
    TEMPO_STEP,
    tempo_index,
)
from benchmarks.labels import INSTRUMENTS

SLOWEST, FASTEST = 57.0, 190.0  # the corpus goes from 60 to 180
SMOOTHING = 0.05  # of the labels of key and instrument


class TempoNetwork(nn.Module):
    """Rhythm ``[B, 12, tempi]`` to logits of the tempi from ``SLOWEST`` to ``FASTEST``.

    Convolutions along the logarithm of the tempo, where double and half lie at fixed distances.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.inlet = nn.Conv1d(2 * len(ONSET_BANDS), width, 9, padding=4)
        self.blocks = nn.ModuleList(
            nn.Conv1d(width, width, 9, padding=4 * reach, dilation=reach) for reach in (2, 6, 12)
        )
        self.outlet = nn.Conv1d(width, 1, 5, padding=2)
        self.likely = nn.Parameter(torch.zeros(len(TEMPI)))  # of double and half, one is commoner
        self.dropout = nn.Dropout(0.2)
        self.range = slice(math.ceil(tempo_index(SLOWEST)), math.floor(tempo_index(FASTEST)) + 1)
        tempi = torch.from_numpy(TEMPI[self.range]).float()
        self.register_buffer("tempi", tempi, persistent=False)

    def forward(self, rhythm: Tensor) -> Tensor:
        x = F.gelu(self.inlet(rhythm))
        for block in self.blocks:
            x = x + F.gelu(block(self.dropout(x)))
        return (self.outlet(x)[:, 0] + self.likely)[:, self.range]

    def loss(self, rhythm: Tensor, tempo: Tensor) -> Tensor:
        """Cross-entropy; the batch is played up to 15 % faster or slower."""
        shift = int(torch.randint(-10, 11, ()))
        off = (tempo * math.exp(shift * TEMPO_STEP))[:, None].log() - self.tempi.log()
        target = (-0.5 * (off / 0.012).square()).softmax(-1)
        logits = self(rhythm.roll(shift, -1))
        return -(target * logits.log_softmax(-1)).sum(-1).mean()

    def hear(self, rhythm: Tensor) -> Tensor:
        """Beats a minute ``[B]``."""
        return self.tempi[self(rhythm).argmax(-1)]


class KeyNetwork(nn.Module):
    """Pitches ``[B, pitches, frames]`` to logits ``[B, 2, 12]``: major and minor on each tonic.

    Convolutions along pitch, octaves folded, then round the circle of pitch classes: a key is
    learned on every tonic at once.
    """

    def __init__(self, width: int = 16, hidden: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, (13, 3), padding=(6, 1))
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, (13, 3), padding=(6, 1), groups=4)
        self.second_norm = nn.BatchNorm2d(width)
        self.octaves = nn.Parameter(torch.zeros(width, 6))
        self.circle = nn.Conv1d(4 * width, hidden, 12)
        self.around = nn.Conv1d(hidden, hidden, 12)
        self.outlet = nn.Conv1d(hidden, 2, 1)
        self.dropout = nn.Dropout(0.2)

    def forward(self, pitches: Tensor) -> Tensor:
        x = F.gelu(self.first_norm(self.first(pitches[:, None])))
        x = x + F.gelu(self.second_norm(self.second(self.dropout(x))))
        x = x.unflatten(2, (6, 12))  # [B, width, octaves, pitch classes, frames]
        folded = (x * self.octaves.softmax(-1)[:, :, None, None]).sum(2)
        x = torch.cat(
            [
                folded.mean(-1),
                folded.amax(-1),
                x[:, :, :2].mean((2, -1)),  # the bass
                folded[..., :4].mean(-1),  # how it begins
            ],
            dim=1,
        )
        x = self.dropout(F.gelu(self.circle(_wrapped(x))))
        x = x + F.gelu(self.around(_wrapped(x)))
        return self.outlet(x).roll(LOWEST_PITCH % 12, -1)  # the first class was the lowest pitch's

    def loss(self, pitches: Tensor, key: Tensor) -> Tensor:
        """Cross-entropy, ``key [B]`` is tonic + 12 for minor; the batch is transposed at random."""
        shift = int(torch.randint(-6, 7, ()))
        moved = F.pad(pitches, (0, 0, shift, -shift), value=float(pitches.min()))
        key = key // 12 * 12 + (key + shift) % 12
        return F.cross_entropy(self(moved).flatten(1), key, label_smoothing=SMOOTHING)

    def hear(self, pitches: Tensor) -> Tensor:
        """Whether it is minor ``[B]``, whatever the tonic."""
        return self(pitches).flatten(1).softmax(-1).unflatten(1, (2, 12)).sum(-1).argmax(-1)


class ColourNetwork(nn.Module):
    """Spectrogram ``[B, frames, bands]`` to logits of the instruments, and of drums (the last)."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 48, 64)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((1, *widths), widths, strict=False):
            layers += _convolution(before, width, stride=2)
            if before > 1:
                layers += _convolution(width, width, groups=width // 8)
        self.layers = nn.Sequential(*layers)
        flat = 2 * widths[-1] * (COLOUR_BANDS >> len(widths))
        self.outlet = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(flat, 128),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(128, len(INSTRUMENTS) + 1),
        )
        self.register_buffer("mean", torch.zeros(COLOUR_BANDS))
        self.register_buffer("spread", torch.ones(COLOUR_BANDS))

    def standardise(self, colour: Tensor) -> None:
        """Take mean and spread of every band from ``[n, frames, bands]``."""
        for band in range(COLOUR_BANDS):  # a float32 copy of all would be large
            self.spread[band], self.mean[band] = torch.std_mean(colour[..., band].float())

    def forward(self, colour: Tensor) -> Tensor:
        x = self.layers(((colour - self.mean) / self.spread)[:, None])
        return self.outlet(torch.cat([x.mean(2), x.amax(2)], dim=1).flatten(1))

    def loss(self, colour: Tensor, instrument: Tensor, drums: Tensor) -> Tensor:
        """Cross-entropies; five of ten seconds, louder or softer, with a hole in the spectrum."""
        half = colour.shape[1] // 2
        start = int(torch.randint(colour.shape[1] - half + 1, ()))
        varied = colour[:, start : start + half] + 0.5 * torch.randn(len(colour), 1, 1)
        hole = int(torch.randint(COLOUR_BANDS - 4, ()))
        varied[..., hole : hole + 4] = self.mean[hole : hole + 4]
        logits = self(varied)
        who = F.cross_entropy(logits[:, :-1], instrument, label_smoothing=SMOOTHING)
        return who + F.binary_cross_entropy_with_logits(logits[:, -1], drums)

    def hear(self, colour: Tensor) -> tuple[Tensor, Tensor]:
        """The index of the leading instrument and whether there are drums, ``[B]`` each."""
        logits = self(colour)
        return logits[:, :-1].argmax(-1), logits[:, -1] > 0


def _wrapped(x: Tensor) -> Tensor:
    """The circle ``[..., 12]`` once and nearly once more, so that a window of 12 sees all of it."""
    return torch.cat([x, x[..., :11]], dim=-1)


def _convolution(before: int, after: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    size = 5 if before == 1 else 3
    return [
        nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]
