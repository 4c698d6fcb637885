"""How far a reconstruction is from the sound it came from."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from transformers.audio_utils import mel_filter_bank

MEL_SCALES = (512, 1024, 2048)
MEL_BINS = 80
FINE_FFT = 6144  # the time resolution of a note, the frequency resolution of a semitone
FINE_TOP = 4000.0  # hertz: where the fundamentals are


@lru_cache
def _window(fft: int, device: torch.device) -> Tensor:
    return torch.hann_window(fft, device=device)


@lru_cache
def _filters(fft: int, rate: int, device: torch.device) -> Tensor:
    filters = mel_filter_bank(
        fft // 2 + 1, MEL_BINS, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(filters).float().to(device)


def magnitudes(sound: Tensor, fft: int) -> Tensor:
    """``[B, N]`` to ``[B, T, fft / 2 + 1]`` with a quarter of a window between frames."""
    window = _window(fft, sound.device)
    return torch.stft(sound, fft, fft // 4, window=window, return_complex=True).abs().mT


def log_mel(sound: Tensor, fft: int, rate: int) -> Tensor:
    """Natural logarithm of the mel spectrum, ``[B, T, bins]``."""
    return (magnitudes(sound, fft) @ _filters(fft, rate, sound.device)).clamp(min=1e-4).log()


def mel_distance(ours: Tensor, truth: Tensor, rate: int) -> Tensor:
    """Mean absolute difference of log-mel spectra over three scales."""
    distances = [
        (log_mel(ours, fft, rate) - log_mel(truth, fft, rate)).abs().mean() for fft in MEL_SCALES
    ]
    return torch.stack(distances).mean()


def fine_distance(ours: Tensor, truth: Tensor, rate: int) -> Tensor:
    """Log and relative linear distance of finely resolved magnitudes where the notes are."""
    bins = int(FINE_TOP / rate * FINE_FFT)
    a, b = (magnitudes(sound, FINE_FFT)[..., :bins] for sound in (ours, truth))
    logarithmic = (a.clamp(min=1e-2).log() - b.clamp(min=1e-2).log()).abs().mean()
    linear = (a - b).abs().sum((1, 2)) / b.sum((1, 2)).clamp(min=1.0)
    return logarithmic + linear.mean()


def reconstruction(ours: Tensor, truth: Tensor, rate: int) -> Tensor:
    """The training loss of the codec without adversaries, for ``[B, N]`` float32."""
    waveform = (ours - truth).abs().mean()
    mel = mel_distance(ours, truth, rate)
    return mel + 0.5 * fine_distance(ours, truth, rate) + 0.3 * waveform
