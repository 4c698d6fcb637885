"""A checkpoint → the arrays and sizes that its graphs are built by; the only part with torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import torch

from cadenza.checkpoints import Checkpoint, load_parts
from cadenza.openvino.backend import DecoderSizes
from cadenza.openvino.codecweights import codec_weights
from cadenza.openvino.decoder import decoder_weights
from cadenza.openvino.text import text_weights
from cadenza.openvino.weights import Array, as_array


def convert(checkpoint: Checkpoint, precision: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays by part (``decoder``, ``text``, ``codec``), and what goes into the manifest.

    Raises:
        ModelDamaged, ModelMismatch: see :func:`cadenza.checkpoints.load_parts`, or a part that
            there is no graph for.
    """
    # What is rounded to 8 bits or fewer needs no more than 16 of them.
    exact = precision in ("fp32", "bf16")
    dtype = torch.float32 if exact else torch.bfloat16
    parts = load_parts(checkpoint, device="cpu", dtype=dtype)
    model: Any = parts.model
    config, text = model.decoder.config, model.text_encoder.config
    codec, codec_sizes = codec_weights(model.audio_encoder)
    read = _joined(text_weights(model, precision))
    if parts.family == "melody":
        projection = model.audio_enc_to_dec_proj
        read["tune"], read["tune.bias"] = as_array(projection.weight), as_array(projection.bias)
    arrays = {
        "codec": codec,
        "text": read,
        "decoder": _joined(decoder_weights(model.decoder, precision)),
    }
    sizes = {
        "family": parts.family,
        "channels": parts.channels,
        "chroma_length": getattr(model.config, "chroma_length", 0),
        "identity": asdict(parts.identity),
        "decoder": asdict(
            DecoderSizes(
                layers=config.num_hidden_layers,
                width=config.hidden_size,
                heads=config.num_attention_heads,
                codebooks=config.num_codebooks,
                vocabulary=config.vocab_size,
                channels=config.audio_channels,
            )
        ),
        "text": {
            "layers": text.num_layers,
            "heads": text.num_heads,
            "epsilon": text.layer_norm_epsilon,
        },
        "codec": asdict(codec_sizes),
    }
    return arrays, sizes


def _joined(products: Iterable[dict[str, Array]]) -> dict[str, Array]:
    joined: dict[str, Array] = {}
    for found in products:
        joined |= found
    return joined
