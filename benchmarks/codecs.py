"""The codec that is to be measured, from wherever it is."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModel

import cadenza  # noqa: F401  (teaches transformers the bundled codec)
from cadenza.checkpoints import load_parts, resolve
from cadenza.checkpoints.quiet import quiet
from cadenza.codec import Codec
from cadenza.types import Audio, FloatArray


def codec_in(folder: Path) -> Codec:
    """A codec that was saved alone."""
    with quiet():
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return Codec(model, channels=1)


def codec_of(model: str) -> Codec:
    """The codec of a MusicGen checkpoint, by short name, hub id or folder; mono, as it is trained.

    Raises:
        ModelError: see :func:`cadenza.checkpoints.resolve`.
    """
    parts = load_parts(resolve(model), device="cpu", dtype=torch.float32)
    return Codec(parts.model.audio_encoder, channels=1)


def round_trip(codec: Codec, samples: FloatArray) -> FloatArray:
    """Mono sound ``[N]`` at the codec's rate, through its codes and back."""
    codes = codec.encode(Audio(samples[None], codec.rate))
    return codec.decode(codes).samples[0, : len(samples)]
