"""What a checkpoint is made of, read from its configuration and the headers of its weights.

::

    prompt ─► text encoder ─► projection ─► decoder ─► codec ─► sound

The parts were trained together. A text encoder of another width does not fit the projection, and
one of the same width would fit and still speak another language; so parts are checked against
each other before any weight is loaded.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cadenza.checkpoints import layout
from cadenza.checkpoints.layout import Shape
from cadenza.checkpoints.quiet import quiet
from cadenza.errors import ModelDamaged, ModelError, ModelMismatch

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class Stage:
    """One of the parts, with its dimensions as a person would name them."""

    name: str
    kind: str
    dimensions: dict[str, int | float | str]
    parameters: int


@dataclass(frozen=True)
class Check:
    """Two parts held against each other. ``fault`` is the error to raise; ``None`` is fine."""

    what: str
    detail: str
    fault: type[ModelError] | None = None


@dataclass(frozen=True)
class Architecture:
    """A checkpoint from text to sound."""

    family: Literal["text", "melody"]
    channels: int
    stages: tuple[Stage, ...]
    checks: tuple[Check, ...]

    @property
    def parameters(self) -> int:
        return sum(stage.parameters for stage in self.stages)

    def require(self, folder: Path) -> None:
        """Raise what the first failed check found.

        Raises:
            ModelMismatch: parts that do not fit each other.
            ModelDamaged: weights that are missing.
        """
        for check in self.checks:
            if check.fault is ModelMismatch:
                raise ModelMismatch(
                    f"the parts of {folder} do not fit each other: {check.detail}. Parts only work "
                    "with those they were trained with: take all files from one checkpoint"
                )
            if check.fault is not None:
                raise check.fault(f"{folder}: {check.detail}. Fetch the checkpoint again")


def describe(folder: Path) -> Architecture:
    """Read and check the checkpoint in ``folder`` without loading its weights.

    Raises:
        ModelDamaged: files that are no MusicGen checkpoint, truncated, or unsafe to open.
    """
    with layout.understood(folder):
        config, model_class = read_config(folder)
        _check_sizes(config)
        shapes = layout.read_shapes(folder)
        melody = config.model_type == "musicgen_melody"
        checks = [
            *_fits(config, shapes),
            *_processing(config, layout.read_processor(folder), folder / layout.TOKENIZER),
            *_weights(config, model_class, shapes),
        ]
        return Architecture(
            family="melody" if melody else "text",
            channels=config.decoder.audio_channels,
            stages=tuple(_stages(config, shapes)),
            checks=tuple(checks),
        )


def read_config(folder: Path) -> tuple[Any, type[PreTrainedModel]]:
    """The configuration in transformers' own class, and the class of the model.

    Raises:
        ModelDamaged: the file is of another kind of model, or cannot be read.
    """
    import transformers

    content = layout.read_json(folder / layout.CONFIG)
    classes: dict[object, tuple[type[PreTrainedConfig], type[PreTrainedModel]]] = {
        "musicgen": (transformers.MusicgenConfig, transformers.MusicgenForConditionalGeneration),
        "musicgen_melody": (
            transformers.MusicgenMelodyConfig,
            transformers.MusicgenMelodyForConditionalGeneration,
        ),
    }
    kind = content.get("model_type")
    if kind not in classes:
        raise ModelDamaged(
            f"{folder / layout.CONFIG} describes a model of type {kind!r}, not one of "
            f"{', '.join(map(repr, classes))}: choose a MusicGen checkpoint"
        )
    config_class, model_class = classes[kind]
    with layout.understood(folder / layout.CONFIG), quiet():
        return config_class.from_dict(content), model_class


def _check_sizes(config: Any) -> None:
    """Refuse sizes that transformers takes below 1, though nothing can be computed with them."""
    for part, size in (
        ("text_encoder", "num_attention_heads"),
        ("decoder", "num_attention_heads"),
        ("audio_encoder", "sampling_rate"),
        ("audio_encoder", "hop_length"),
    ):
        value = getattr(getattr(config, part), size)
        if value < 1:
            raise ValueError(f"{size} of the {part} is {value}")


def _compare(what: str, left: str, one: float, right: str, other: float) -> Check:
    """``left`` must be ``right``."""
    detail = f"{left} is {one}, {right} is {other}"
    return Check(what, detail, None if one == other else ModelMismatch)


def _fits(config: Any, shapes: dict[str, Shape]) -> list[Check]:
    """The parts against each other, as the configuration and the projections have them."""
    text, decoder, codec = config.text_encoder, config.decoder, config.audio_encoder
    projection = shapes.get("enc_to_dec_proj.weight", (decoder.hidden_size,) * 2)
    checks = [
        _compare(
            "text encoder and projection",
            "the width of the text encoder",
            text.hidden_size,
            "the input of the projection (enc_to_dec_proj)",
            projection[1],
        ),
        _compare(
            "projection and decoder",
            "the output of the projection (enc_to_dec_proj)",
            projection[0],
            "the width of the decoder",
            decoder.hidden_size,
        ),
        _compare(
            "decoder and codec",
            "the number of codebooks of the decoder",
            decoder.num_codebooks,
            f"that of the codec for {decoder.audio_channels} channel(s)",
            codec.num_quantizers * decoder.audio_channels,
        ),
        _compare(
            "vocabulary",
            "the vocabulary of the decoder",
            decoder.vocab_size,
            "the size of the codec's codebooks",
            codec.codebook_size,
        ),
        _compare(
            "channels",
            "the number of channels of the codec",
            codec.audio_channels,
            "what the decoder needs, one run for each of its channels,",
            1,
        ),
        _compare(
            "frame rate",
            f"the codec's frames a second ({codec.sampling_rate} Hz by {_hop(codec)} samples)",
            codec.sampling_rate / _hop(codec),
            "the whole number that the decoder counts in",
            codec.frame_rate,
        ),
    ]
    if "audio_enc_to_dec_proj.weight" in shapes:
        checks.append(
            _compare(
                "chroma and projection",
                "the number of pitch classes",
                config.num_chroma,
                "the input of the projection (audio_enc_to_dec_proj)",
                shapes["audio_enc_to_dec_proj.weight"][1],
            )
        )
    return checks


def _processing(config: Any, processor: dict[str, Any], tokenizer_file: Path) -> list[Check]:
    """The files beside the weights against the configuration."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    except Exception as error:  # tokenizers raises no narrower class
        raise ModelDamaged(
            f"{tokenizer_file} is truncated or no tokenizer ({error}): fetch it again"
        ) from error
    largest = max(tokenizer.get_vocab().values(), default=-1)
    size = config.text_encoder.vocab_size
    checks = [
        Check(
            "tokenizer and text encoder",
            f"the largest id of the tokenizer is {largest}, the text encoder has {size} words",
            None if largest < size else ModelMismatch,
        )
    ]
    if "sampling_rate" in processor:
        checks.append(
            _compare(
                "sampling rate",
                "the sampling rate of the processor",
                processor["sampling_rate"],
                "that of the codec",
                config.audio_encoder.sampling_rate,
            )
        )
    if "num_chroma" in processor and hasattr(config, "num_chroma"):
        checks.append(
            _compare(
                "chroma",
                "the number of pitch classes of the processor",
                processor["num_chroma"],
                "that of the model",
                config.num_chroma,
            )
        )
    return checks


# A layer that config.json does not ask for. A single tensor more may be a leftover of training or
# of an older layout.
_LAYER = re.compile(
    r"(?:audio_encoder\.\w+\.(?:layers|blocks)|decoder\.model\.decoder\.layers"
    r"|text_encoder\.encoder\.block)\.\d+\.(?:lstm\.\w+)?"  # torch numbers these by a suffix
)


def _weights(
    config: Any, model_class: type[PreTrainedModel], shapes: dict[str, Shape]
) -> list[Check]:
    """Every tensor of the model against those in the files, by name and shape."""
    import torch

    with quiet(), torch.device("meta"):
        model = model_class(config)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    layers = {found[0] for name in expected if (found := _LAYER.match(name))}
    surplus = sorted(
        name for name in shapes if (found := _LAYER.match(name)) and found[0] not in layers
    )
    for name, twin in model.all_tied_weights_keys.items():
        if name not in shapes or twin not in shapes:
            expected.pop(name if name not in shapes else twin, None)
    missing = [name for name in expected if name not in shapes]
    checks = [
        Check(
            "completeness",
            f"{len(missing)} of {len(expected)} tensors are missing, the first is {missing[0]}"
            if missing
            else f"all {len(expected)} tensors are there",
            ModelDamaged if missing else None,
        )
    ]
    if surplus:
        detail = (
            f"{len(surplus)} tensors in the weights have no place in the model that config.json "
            f"describes, the first is {surplus[0]}"
        )
        checks.append(Check("surplus", detail, ModelMismatch))
    wrong = [name for name in expected if shapes.get(name, expected[name]) != expected[name]]
    if wrong:
        detail = (
            f"{len(wrong)} tensors have another shape than config.json gives them; {wrong[0]} is "
            f"{list(shapes[wrong[0]])} in the weights, {list(expected[wrong[0]])} by config.json"
        )
        checks.append(Check("shapes", detail, ModelMismatch))
    else:
        checks.append(Check("shapes", "every tensor has the shape that config.json gives it"))
    return checks


_CODECS = {"encodec": "EnCodec", "cadenza_frame_codec": "frame codec"}


def _stages(config: Any, shapes: dict[str, Shape]) -> list[Stage]:
    text, decoder, codec = config.text_encoder, config.decoder, config.audio_encoder
    stages = [
        Stage(
            "text encoder",
            text.model_type.upper(),
            {
                "layers": text.num_hidden_layers,
                "width": text.hidden_size,
                "heads": text.num_attention_heads,
                "words": text.vocab_size,
            },
            _count(shapes, "text_encoder."),
        ),
        Stage(
            "projection",
            "linear",
            {"in": text.hidden_size, "out": decoder.hidden_size},
            _count(shapes, "enc_to_dec_proj."),
        ),
    ]
    if config.model_type == "musicgen_melody":
        stages.append(
            Stage(
                "melody projection",
                "linear",
                {
                    "in": config.num_chroma,
                    "out": decoder.hidden_size,
                    "frames": config.chroma_length,
                },
                _count(shapes, "audio_enc_to_dec_proj."),
            )
        )
    return [
        *stages,
        Stage(
            "decoder",
            "MusicGen, melody ahead of the codes"
            if config.model_type == "musicgen_melody"
            else "MusicGen, text by cross-attention",
            {
                "layers": decoder.num_hidden_layers,
                "width": decoder.hidden_size,
                "heads": decoder.num_attention_heads,
                "feed-forward": decoder.ffn_dim,
                "codebooks": decoder.num_codebooks,
                "vocabulary": decoder.vocab_size,
                "channels": decoder.audio_channels,
            },
            _count(shapes, "decoder."),
        ),
        Stage(
            "codec",
            _CODECS.get(codec.model_type, codec.model_type),
            {
                "sampling rate": codec.sampling_rate,
                "frame rate": codec.sampling_rate / _hop(codec),
                "hop": _hop(codec),
                "codebooks": codec.num_quantizers,
                "codes": codec.codebook_size,
            },
            _count(shapes, "audio_encoder."),
        ),
    ]


def _hop(codec: Any) -> int:
    """Samples a frame."""
    return int(codec.hop_length)


# Bookkeeping of the codec's training, and a table that follows from its length.
_NO_PARAMETERS = ("cluster_size", "embed_avg", "inited", "embed_positions.weights")


def _count(shapes: dict[str, Shape], prefix: str) -> int:
    """Parameters whose name starts so; a codec's codebooks count, a tied matrix counts once."""
    tied = "text_encoder.encoder.embed_tokens.weight"
    return sum(
        math.prod(shape)
        for name, shape in shapes.items()
        if name.startswith(prefix)
        and not name.endswith(_NO_PARAMETERS)
        and not (name == tied and "text_encoder.shared.weight" in shapes)
    )
