"""Tiny random checkpoints of every family, in the layout the published ones have on the hub.

The structure is the published one shrunk: a T5 encoder, its projection, the MusicGen decoder with
four codebooks a channel, and EnCodec at 32 kHz and 50 frames a second. The weights are random with
a fixed seed, large enough that tokens vary, and the codec's codebooks are not the zeros that a new
EncodecModel has, so that different codes sound different.
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Literal, get_args

import torch
from transformers import (
    EncodecConfig,
    EncodecFeatureExtractor,
    GenerationConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    MusicgenMelodyConfig,
    MusicgenMelodyDecoderConfig,
    MusicgenMelodyForConditionalGeneration,
    MusicgenProcessor,
    T5Config,
    T5Tokenizer,
)
from transformers.utils import logging

Family = Literal["text", "melody", "stereo", "stereo-melody"]
FAMILIES: tuple[Family, ...] = get_args(Family)

CODES = 64  # vocabulary of a codebook; the special id is CODES itself
CHROMA_FRAMES = 10  # the published melody models have 235

_WORDS = [
    "jazz",
    "piano",
    "upbeat",
    "funk",
    "slap",
    "bass",
    "drums",
    "ambient",
    "pads",
    "slow",
    "sad",
    "robot",
    "rock",
    "guitar",
    "bpm",
]


def tiny(family: Family, folder: Path) -> Path:
    """Write a tiny checkpoint of ``family`` into ``folder`` and return it.

    The mono families carry transformers 4's ``preprocessor_config.json``, "stereo" carries
    transformers 5's ``processor_config.json``: both are met on the hub and on people's disks.
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, not {family!r}")
    melody, channels = family.endswith("melody"), 2 if family.startswith("stereo") else 1
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    tokenizer = _tokenizer()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the special ids lie outside the vocabulary on purpose
    try:
        model = _model(melody, channels, len(tokenizer))
        model.save_pretrained(folder)
    finally:
        logging.set_verbosity(verbosity)

    tokenizer.save_pretrained(folder)
    if family == "stereo":
        extractor = EncodecFeatureExtractor(feature_size=2, sampling_rate=32000)
        MusicgenProcessor(extractor, tokenizer).save_pretrained(folder)
    else:
        settings = _melody_preprocessor(channels) if melody else _encodec_preprocessor()
        (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    return folder


def _tokenizer() -> T5Tokenizer:
    """A unigram tokenizer with T5's conventions that reads any printable ASCII text."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(f"▁{word}", -3.0) for word in _WORDS]
    pieces += [(sign, -6.0) for sign in string.ascii_letters + string.digits + string.punctuation]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


def _model(
    melody: bool, channels: int, tokens: int
) -> MusicgenForConditionalGeneration | MusicgenMelodyForConditionalGeneration:
    text = T5Config(
        vocab_size=tokens,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        is_encoder_decoder=False,
        use_cache=False,
        pad_token_id=0,
        eos_token_id=1,
    )
    audio = EncodecConfig(
        sampling_rate=32000,
        audio_channels=1,
        upsampling_ratios=[8, 5, 4, 4],
        num_filters=4,
        hidden_size=16,
        codebook_dim=16,
        codebook_size=CODES,
        target_bandwidths=[1.2],  # 4 codebooks of 6 bits, 50 times a second
        use_causal_conv=False,
        use_conv_shortcut=False,
    )
    decoder = dict(
        vocab_size=CODES,
        max_position_embeddings=2048,
        num_hidden_layers=3,
        hidden_size=48,
        ffn_dim=96,
        num_attention_heads=4,
        num_codebooks=4 * channels,
        audio_channels=channels,
        pad_token_id=CODES,
        bos_token_id=CODES,
    )
    torch.manual_seed(20231)
    if melody:
        model = MusicgenMelodyForConditionalGeneration(
            MusicgenMelodyConfig(
                text_encoder=text,
                audio_encoder=audio,
                decoder=MusicgenMelodyDecoderConfig(**decoder),
                chroma_length=CHROMA_FRAMES,
            )
        )
    else:
        model = MusicgenForConditionalGeneration(
            MusicgenConfig(
                text_encoder=text, audio_encoder=audio, decoder=MusicgenDecoderConfig(**decoder)
            )
        )
    model.eval()
    _enlarge(model)
    model.config.decoder.decoder_start_token_id = CODES
    model.generation_config = GenerationConfig(
        bos_token_id=CODES,
        decoder_start_token_id=CODES,
        pad_token_id=CODES,
        do_sample=True,
        guidance_scale=3.0,
        max_length=1503,
    )
    return model


@torch.no_grad()
def _enlarge(model: torch.nn.Module) -> None:
    """Give every part enough weight to matter: text, chroma, position and each past token."""
    for name, weight in model.named_parameters():
        if name.startswith("decoder.") and weight.ndim == 2:
            gain = 0.5 if "encoder_attn" in name else 2.5  # text must not drown the past tokens
            weight.normal_(std=1.0 if "embed_tokens" in name else gain * weight.shape[1] ** -0.5)
        elif "enc_to_dec_proj" in name:
            weight.normal_(std=0.5)
        elif name.startswith("audio_encoder.") and name.endswith("weight.original0"):
            weight.fill_(1.0)  # the length of a weight-normalised kernel: sound passes undamped
    for layer in model.audio_encoder.quantizer.layers:
        layer.codebook.embed.normal_(std=0.3)
        layer.codebook.embed_avg.copy_(layer.codebook.embed)
        layer.codebook.cluster_size.fill_(1)
        layer.codebook.inited.fill_(True)


def _encodec_preprocessor() -> dict[str, object]:
    return {
        "chunk_length_s": None,
        "feature_extractor_type": "EncodecFeatureExtractor",
        "feature_size": 1,
        "overlap": None,
        "padding_side": "left",
        "padding_value": 0.0,
        "processor_class": "MusicgenProcessor",
        "return_attention_mask": True,
        "sampling_rate": 32000,
    }


def _melody_preprocessor(channels: int) -> dict[str, object]:
    return {
        "chunk_length": 30,
        "feature_extractor_type": "MusicgenMelodyFeatureExtractor",
        "feature_size": 12 if channels == 1 else 2,
        "hop_length": 4096,
        "n_fft": 16384,
        "n_samples": 960000,
        "num_chroma": 12,
        "padding_side": "left",
        "padding_value": 0.0,
        "processor_class": "MusicgenMelodyProcessor",
        "return_attention_mask": False,
        "sampling_rate": 32000,
        "stem_indices": [3, 2],
    }
