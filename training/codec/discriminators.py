"""The adversaries: multi-period (HiFi-GAN, arXiv:2010.05646) on the waveform folded at several
periods, multi-resolution (UnivNet, arXiv:2106.07889) on complex spectra. Smaller than published,
as is the codec they teach."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = (512, 1024, 2048)
SLOPE = 0.1

Judgement = tuple[Tensor, list[Tensor]]  # the verdict, and the features on the way to it


def _convolution(inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int]):
    padding = (kernel[0] // 2, kernel[1] // 2)
    return weight_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding))


class _Discriminator(nn.Module):
    layers: nn.ModuleList
    verdict: nn.Module

    def judge(self, x: Tensor) -> Judgement:
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return self.verdict(x), features


class PeriodDiscriminator(_Discriminator):
    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period
        widths = (1, 32, 96, 192, 256)
        self.layers = nn.ModuleList(_convolution(a, b, (5, 1), (3, 1)) for a, b in pairwise(widths))
        self.verdict = _convolution(widths[-1], 1, (3, 1), (1, 1))

    def forward(self, sound: Tensor) -> Judgement:
        sound = F.pad(sound, (0, -sound.shape[-1] % self.period))
        return self.judge(sound.reshape(len(sound), 1, -1, self.period))


class ResolutionDiscriminator(_Discriminator):
    def __init__(self, fft: int) -> None:
        super().__init__()
        self.fft = fft
        self.layers = nn.ModuleList(
            [_convolution(2, 32, (3, 9), (1, 1))]
            + [_convolution(32, 32, (3, 9), (1, 2)) for _ in range(3)]
            + [_convolution(32, 32, (3, 3), (1, 1))]
        )
        self.verdict = _convolution(32, 1, (3, 3), (1, 1))

    def forward(self, sound: Tensor) -> Judgement:
        window = torch.hann_window(self.fft, device=sound.device)
        spectrum = torch.stft(
            sound.float(), self.fft, self.fft // 4, window=window, return_complex=True
        )
        return self.judge(torch.view_as_real(spectrum).permute(0, 3, 2, 1))


class Discriminators(nn.Module):
    """All adversaries together."""

    def __init__(self) -> None:
        super().__init__()
        self.judges = nn.ModuleList(
            [PeriodDiscriminator(p) for p in PERIODS]
            + [ResolutionDiscriminator(f) for f in RESOLUTIONS]
        )

    def forward(self, sound: Tensor) -> list[Judgement]:
        """``[B, N]`` to one judgement per adversary."""
        return [judge(sound) for judge in self.judges]


def discriminator_loss(true: list[Judgement], false: list[Judgement]) -> Tensor:
    """Hinge loss: true sound above 1, reconstructions below -1."""
    return torch.stack(
        [
            F.relu(1 - t).mean() + F.relu(1 + f).mean()
            for (t, _), (f, _) in zip(true, false, strict=True)
        ]
    ).mean()


def generator_loss(true: list[Judgement], false: list[Judgement]) -> tuple[Tensor, Tensor]:
    """How badly the reconstruction fooled them, and how far their features are apart."""
    fooling = torch.stack([F.relu(1 - verdict).mean() for verdict, _ in false]).mean()
    features = torch.stack(
        [
            (a - b.detach()).abs().mean() / b.detach().abs().mean().clamp(min=1e-3)
            for (_, ours), (_, theirs) in zip(false, true, strict=True)
            for a, b in zip(ours, theirs, strict=True)
        ]
    ).mean()
    return fooling, features
