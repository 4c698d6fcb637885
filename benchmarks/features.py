"""What the listener looks at in ten seconds of sound: rhythm, pitches and colour."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from transformers.audio_utils import mel_filter_bank

from cadenza.types import FloatArray

RATE = 32_000
LEVEL = 0.13  # the RMS that every sound is brought to: takes differ in loudness, renders do not

ONSET_RATE = 100  # hertz
ONSET_BANDS = ((0, 4), (4, 10), (10, 20), (20, 30), (30, 40), (0, 40))  # of 40 mel bands
TEMPO_STEP = 0.015  # of the logarithm; finer than what the ear forgives
TEMPI = 15 * np.exp(np.arange(231) * TEMPO_STEP)  # beats a minute, 15 to 472

LOWEST_PITCH, PITCHES = 33, 72  # six octaves from A1
PITCH_FFT, PITCH_HOP = 8192, 1600
PITCH_FRAMES = 8  # averaged into one: 0.4 s

COLOUR_BANDS = 96


@dataclass(frozen=True, eq=False)
class Features:
    """Of a batch of sounds, float16."""

    rhythm: NDArray[np.float16]  # [B, 12, tempi]: how much recurs at each tempo, by band
    pitches: NDArray[np.float16]  # [B, pitches, frames]: loudness of each semitone
    colour: NDArray[np.float16]  # [B, frames, bands]: log-mel spectrogram


def batch(items: Sequence[Features], row: int) -> Features:
    """That row of each of ``items``."""
    return Features(
        *(
            np.stack([getattr(item, field.name)[row] for item in items])
            for field in dataclasses.fields(Features)
        )
    )


def extract(sound: FloatArray) -> Features:
    """Features of mono sounds ``[B, N]`` at ``RATE``."""
    waves = torch.from_numpy(sound)
    level = waves.square().mean(-1, keepdim=True).sqrt()
    waves = waves * (LEVEL / level.clamp(min=1e-4))
    parts = (rhythm(waves), pitches(waves), colour(waves))
    return Features(*(part.to(torch.float16).numpy() for part in parts))


def rhythm(waves: Tensor) -> Tensor:
    """``[B, N]`` to ``[B, 12, tempi]``: autocorrelation, then spectrum, of the onsets per band.

    The first is also high at fractions of the tempo, the second at multiples of it.
    """
    mel = torch.log1p(1000 * _mel(waves, 1024, RATE // ONSET_RATE, 40, 12_000))
    rise = mel.diff(dim=1).clamp(min=0)
    onsets = torch.stack([rise[..., low:high].mean(-1) for low, high in ONSET_BANDS], dim=1)
    onsets = onsets - F.avg_pool1d(onsets, 101, 1, 50, count_include_pad=False)
    frames = onsets.shape[-1]

    power = torch.fft.rfft(onsets, 2 * frames).abs().square()
    recurrence = torch.fft.irfft(power)[..., :frames]
    overlap = (frames - torch.arange(frames)).clamp(min=frames // 5) / frames
    recurrence = recurrence / (recurrence[..., :1] + 1e-6) / overlap
    lags = torch.from_numpy(60 / TEMPI * ONSET_RATE)

    size = 16_384
    spectrum = torch.fft.rfft(onsets * torch.hann_window(frames), size).abs()
    frequencies = torch.from_numpy(TEMPI / 60 / ONSET_RATE * size)
    periodicity = _at(spectrum, frequencies)
    periodicity = 10 * periodicity / (periodicity.norm(dim=-1, keepdim=True) + 1e-6)
    return torch.cat([_at(recurrence, lags), periodicity], dim=1)


def pitches(waves: Tensor) -> Tensor:
    """``[B, N]`` to ``[B, pitches, frames]``, standardised for each sound."""
    loudness = torch.log1p(10 * (_magnitudes(waves, PITCH_FFT, PITCH_HOP) @ _semitones()))
    loudness = F.avg_pool1d(loudness.mT, PITCH_FRAMES)
    centred = loudness - loudness.mean((1, 2), keepdim=True)
    return centred / (centred.std((1, 2), keepdim=True) + 1e-6)


def colour(waves: Tensor) -> Tensor:
    """``[B, N]`` to the logarithmic mel spectrogram ``[B, frames, bands]``, 50 frames a second."""
    return _mel(waves, 2048, RATE // 50, COLOUR_BANDS, 14_000).clamp(min=1e-4).log()


def _at(values: Tensor, places: Tensor) -> Tensor:
    """``values [..., N]`` at fractional ``places``, between neighbours."""
    left = places.floor().long().clamp(max=values.shape[-1] - 2)
    share = (places - left).to(values.dtype)
    return values[..., left] * (1 - share) + values[..., left + 1] * share


def _magnitudes(waves: Tensor, fft: int, hop: int) -> Tensor:
    """``[B, N]`` to ``[B, T, fft / 2 + 1]``."""
    return torch.stft(waves, fft, hop, window=torch.hann_window(fft), return_complex=True).abs().mT


def _mel(waves: Tensor, fft: int, hop: int, bands: int, top: int) -> Tensor:
    return _magnitudes(waves, fft, hop) @ _mel_filters(fft, bands, top)


@lru_cache
def _mel_filters(fft: int, bands: int, top: int) -> Tensor:
    filters = mel_filter_bank(
        fft // 2 + 1, bands, 30.0, top, RATE, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(filters).float()


@lru_cache
def _semitones() -> Tensor:
    """Triangular filters ``[bins, pitches]``, a little wider than a semitone."""
    hertz = np.maximum(np.arange(PITCH_FFT // 2 + 1) * RATE / PITCH_FFT, 1)
    pitch = 69 + 12 * np.log2(hertz / 440)
    distance = np.abs(pitch[:, None] - np.arange(LOWEST_PITCH, LOWEST_PITCH + PITCHES))
    filters = np.maximum(0, 1 - distance / 0.6)
    return torch.from_numpy(filters / (filters.sum(0) + 1e-6)).float()


def tempo_index(tempo: float) -> float:
    """Where a tempo lies on the axis of ``TEMPI``."""
    return math.log(tempo / float(TEMPI[0])) / TEMPO_STEP
