"""A checkpoint on disk → its parts in memory, checked first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cadenza.checkpoints import layout
from cadenza.checkpoints.adapter import merge
from cadenza.checkpoints.architecture import describe, read_config
from cadenza.checkpoints.finding import Checkpoint
from cadenza.checkpoints.quiet import quiet
from cadenza.types import ModelIdentity

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# The conditioning and the sound do not depend on the decoder's precision, and T5 overflows in
# half precision. All three are small beside the decoder.
_IN_FULL_PRECISION = [
    "text_encoder",
    "enc_to_dec_proj",
    "audio_enc_to_dec_proj",
    "audio_encoder",
]


@dataclass(frozen=True, eq=False)
class Parts:
    """What a checkpoint holds, ready to use."""

    # MusicgenForConditionalGeneration or MusicgenMelodyForConditionalGeneration, whole
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    family: Literal["text", "melody"]
    channels: int
    identity: ModelIdentity


def load_parts(checkpoint: Checkpoint, *, device: str | torch.device, dtype: torch.dtype) -> Parts:
    """Check a checkpoint and load it, its adapters merged into the weights.

    The decoder gets ``dtype``; the text encoder, the projections and the codec stay in float32.

    Raises:
        ModelMismatch: parts or adapters that do not fit each other, before any weight is loaded.
        ModelDamaged: files that are truncated, foreign, incomplete, or unsafe to open.
    """
    from transformers import PreTrainedTokenizerFast

    folder = checkpoint.folder
    architecture = describe(folder)
    architecture.require(folder)
    for adapter in checkpoint.adapters:
        adapter.require(checkpoint.identity)
    config, model_class = read_config(folder)
    # transformers reads this attribute of the class to exempt modules from ``dtype``.
    loader: Any = type(
        model_class.__name__, (model_class,), {"_keep_in_fp32_modules_strict": _IN_FULL_PRECISION}
    )
    with layout.understood(folder), quiet():
        model: Any = loader.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            use_safetensors=layout.tensor_files(folder)[0].suffix == ".safetensors",
            local_files_only=True,
        )
    model.__class__ = model_class
    merge(model, checkpoint.adapters)
    return Parts(
        model=model.to(device).eval().requires_grad_(False),
        tokenizer=PreTrainedTokenizerFast(tokenizer_file=str(folder / layout.TOKENIZER)),
        family=architecture.family,
        channels=architecture.channels,
        identity=checkpoint.identity,
    )
