"""Checkpoints of the published shapes with random weights: as fast and as large as the real ones.

Nothing can be fetched on many machines, and speed does not depend on what the weights are.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from transformers import (
    EncodecConfig,
    GenerationConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
)
from transformers.utils import logging

from benchmarks.cache import cache_folder
from cadenza.checkpoints import resolve

# layers, width, heads; the feed-forward network is four times as wide
DECODERS = {"small": (24, 1024, 16), "medium": (48, 1536, 24), "large": (48, 2048, 32)}


def folder_of(shape: str) -> Path:
    """The checkpoint of a shape, made when it is first asked for; nano is the real one."""
    if shape == "nano":
        return resolve("nano").folder
    folder = cache_folder() / f"shape-{shape}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        _write(shape, part)
        os.replace(part, folder)
    return folder


def _write(shape: str, folder: Path) -> None:
    layers, width, heads = DECODERS[shape]
    text = T5Config(  # t5-base's encoder
        d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12, is_encoder_decoder=False
    )
    audio = EncodecConfig(  # encodec_32khz
        target_bandwidths=[2.2],
        sampling_rate=32_000,
        num_filters=64,
        upsampling_ratios=[8, 5, 4, 4],
        codebook_size=2048,
        use_causal_conv=False,
        use_conv_shortcut=False,
    )
    decoder = MusicgenDecoderConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        ffn_dim=4 * width,
        num_codebooks=4,
        pad_token_id=2048,
        bos_token_id=2048,
    )
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the special id lies outside the vocabulary on purpose
    try:
        torch.manual_seed(0)
        config = MusicgenConfig(text_encoder=text, audio_encoder=audio, decoder=decoder)
        model = MusicgenForConditionalGeneration(config)
        for layer in model.audio_encoder.quantizer.layers:
            layer.codebook.embed.normal_(std=0.3)  # a new one is all zeros
        model.generation_config = GenerationConfig(
            bos_token_id=2048,
            decoder_start_token_id=2048,
            pad_token_id=2048,
            do_sample=True,
            guidance_scale=3.0,
            top_k=250,
        )
        model.config.decoder.decoder_start_token_id = 2048
        model.half().save_pretrained(folder)
    finally:
        logging.set_verbosity(verbosity)
    for name in ("tokenizer.json", "tokenizer_config.json"):  # any that fits will do
        shutil.copy(resolve("nano").folder / name, folder / name)
