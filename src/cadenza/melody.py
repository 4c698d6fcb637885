"""Prompts and melodies to conditioning, for the models that follow a tune.

A melody is reduced to its chroma: which of the twelve pitch classes sounds loudest, about eight
times a second. The decoder gets it, and the text behind it, as states ahead of the codes.

Source: ``MusicgenMelodyFeatureExtractor`` and ``MusicgenMelodyForConditionalGeneration.generate``
of transformers, after audiocraft's ``ChromaExtractor`` (Copet et al. 2023, arXiv:2306.05284).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.audio_utils import chroma_filter_bank

from cadenza.errors import AudioError
from cadenza.states import projected, text_states
from cadenza.tune import PITCH_CLASSES, RATE, TuneConditioner
from cadenza.types import Audio, FloatArray

N_FFT = 16_384
HOP = 4096
SECONDS = 30  # what the models were trained to follow; the rest of a longer melody is not heard


def chroma(audio: Audio) -> FloatArray:
    """The loudest pitch class of every 4096 samples as ``[P, 12]`` of ones and zeros, C first.

    ``P = N // 4096 + 1``, at most 235. Several channels are heard as their mean. Silence is C, as
    it is in the reference.

    Raises:
        AudioError: not at 32 kHz, or without samples.
    """
    if audio.rate != RATE:
        raise AudioError(f"a melody is read at {RATE} Hz, not {audio.rate} Hz: convert it first")
    if audio.samples.shape[1] == 0:
        raise AudioError("the melody is empty: it has no samples")
    wave = torch.from_numpy(audio.samples[:, : SECONDS * RATE]).mean(dim=0)
    missing = max(0, N_FFT - wave.shape[0])
    wave = F.pad(wave, (missing // 2, missing - missing // 2))
    # The reference scales the spectrum and each frame's largest value; neither moves the maximum.
    window = torch.hann_window(N_FFT)
    power = torch.stft(wave, N_FFT, HOP, window=window, return_complex=True).abs().square()
    loudest = (_filters() @ power).argmax(dim=0)
    return F.one_hot(loudest, PITCH_CLASSES).numpy().astype(np.float32)


@lru_cache(maxsize=1)
def _filters() -> Tensor:
    """``[12, N_FFT / 2 + 1]``: how much of each frequency belongs to each pitch class."""
    return torch.from_numpy(chroma_filter_bank(N_FFT, PITCH_CLASSES, RATE)).float()


class MelodyConditioner(TuneConditioner):
    """T5, the chroma and their projections, for checkpoints of the melody family.

    Args:
        model: a :class:`transformers.MusicgenMelodyForConditionalGeneration`.
        tokenizer: the checkpoint's own.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        projection = getattr(model, "audio_enc_to_dec_proj", None)
        super().__init__(
            read=lambda text: text_states(model, tokenizer, text),
            project=lambda features: projected(projection, torch.from_numpy(features)),
            chroma=chroma,
            length=cast(Any, model).config.chroma_length,
        )
