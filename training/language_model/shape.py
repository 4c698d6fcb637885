"""nano's shape: MusicGen's architecture, whole, at a size that fits into a package."""

from __future__ import annotations

from transformers import MusicgenConfig, MusicgenDecoderConfig, T5Config
from transformers.utils import logging

from cadenza.framecodec import FrameCodecConfig


def nano_config(codec: FrameCodecConfig, text_vocabulary: int) -> MusicgenConfig:
    """The configuration of a checkpoint whose codec is ``codec``."""
    text = T5Config(
        vocab_size=text_vocabulary,
        d_model=192,
        d_kv=48,
        d_ff=448,
        num_layers=3,
        num_heads=4,
        dropout_rate=0.0,
        is_encoder_decoder=False,
        use_cache=False,
        pad_token_id=0,
        eos_token_id=1,
    )
    special = codec.codebook_size
    decoder = MusicgenDecoderConfig(
        vocab_size=codec.codebook_size,
        max_position_embeddings=2048,
        num_hidden_layers=8,
        hidden_size=256,
        ffn_dim=1024,
        num_attention_heads=4,
        dropout=0.0,
        num_codebooks=codec.num_codebooks,
        pad_token_id=special,
        bos_token_id=special,
    )
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the special id lies outside the vocabulary on purpose
    try:
        return MusicgenConfig(text_encoder=text, audio_encoder=codec, decoder=decoder)
    finally:
        logging.set_verbosity(verbosity)
