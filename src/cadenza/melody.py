"""Prompts and melodies to conditioning, for the models that follow a tune.

A melody is reduced to its chroma: which of the twelve pitch classes sounds loudest, about eight
times a second. The decoder gets it, and the text behind it, as states ahead of the codes.

Source: ``MusicgenMelodyFeatureExtractor`` and ``MusicgenMelodyForConditionalGeneration.generate``
of transformers, after audiocraft's ``ChromaExtractor`` (Copet et al. 2023, arXiv:2306.05284).
"""

from __future__ import annotations

from collections.abc import Sequence
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
from cadenza.types import Audio, Conditioning, FloatArray

RATE = 32_000  # hertz
N_FFT = 16_384
HOP = 4096
SECONDS = 30  # what the models were trained to follow; the rest of a longer melody is not heard
PITCH_CLASSES = 12  # from C


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


class MelodyConditioner:
    """T5, the chroma and their projections, for checkpoints of the melody family.

    Args:
        model: a :class:`transformers.MusicgenMelodyForConditionalGeneration`.
        tokenizer: the checkpoint's own.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._chroma_length: int = cast(Any, model).config.chroma_length

    def encode(
        self, texts: Sequence[str | None], melodies: Sequence[Audio | None]
    ) -> list[Conditioning]:
        """One conditioning per text and melody, either of which may be ``None``.

        ``prefix [chroma_length + S, D]`` holds the melody, repeated until it fills its place, and
        then the text.

        Raises:
            AudioError: a melody that :func:`chroma` refuses.
        """
        return [
            self._conditioning(text_states(self._model, self._tokenizer, text), melody)
            for text, melody in zip(texts, melodies, strict=True)
        ]

    def unconditional(self, conditional: Conditioning) -> Conditioning:
        """What guidance sets against ``conditional``: no melody, and zeros for each text state.

        As many zeros as there are text states: these models attend to all of the prefix, so its
        length matters.
        """
        text = conditional.prefix[self._chroma_length :]
        return self._conditioning(np.zeros_like(text), None)

    def _conditioning(self, text: FloatArray, melody: Audio | None) -> Conditioning:
        # No melody is one long C, in the reference and in training.
        features = np.eye(1, PITCH_CLASSES, dtype=np.float32) if melody is None else chroma(melody)
        features = np.resize(features, (self._chroma_length, PITCH_CLASSES))
        projection = getattr(self._model, "audio_enc_to_dec_proj", None)
        prefix = np.concatenate([projected(projection, torch.from_numpy(features)), text])
        return Conditioning(cross=prefix[:0], prefix=prefix)
