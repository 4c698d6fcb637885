"""A codec of transformers taken apart: the arrays and the plan that its graphs are built by."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn
from transformers import EncodecModel
from transformers.models.encodec.modeling_encodec import (
    EncodecConv1d,
    EncodecConvTranspose1d,
    EncodecResnetBlock,
)

from cadenza.codec import context_of
from cadenza.errors import ModelMismatch
from cadenza.framecodec import KERNEL, FrameCodecModel
from cadenza.openvino.codec import CodecSizes, Plan
from cadenza.openvino.weights import Array, as_array
from cadenza.types import FloatArray


def codec_weights(model: Any) -> tuple[dict[str, Array], CodecSizes]:
    """The arrays of a codec's decoder in float32, and the sizes that go with them.

    Raises:
        ModelMismatch: a codec that there is no graph for.
    """
    if isinstance(model, EncodecModel):
        return _encodec(model)
    if isinstance(model, FrameCodecModel):
        return _frame_codec(model)
    raise ModelMismatch(
        f"there is no OpenVINO graph for the codec {type(model).__name__}: use --backend torch"
    )


def _encodec(model: EncodecModel) -> tuple[dict[str, Array], CodecSizes]:
    config = model.config
    inlet, recurrent, *climb = list(model.decoder.layers)
    quantizer: Any = model.quantizer
    weights: dict[str, Array] = {
        "codebooks": np.stack([as_array(layer.codebook.embed) for layer in quantizer.layers])
    }
    lstm: Any = recurrent.lstm
    for n in range(lstm.num_layers):
        weights[f"lstm.{n}.input"] = _gates(getattr(lstm, f"weight_ih_l{n}"))[None]
        weights[f"lstm.{n}.recurrent"] = _gates(getattr(lstm, f"weight_hh_l{n}"))[None]
        bias = getattr(lstm, f"bias_ih_l{n}") + getattr(lstm, f"bias_hh_l{n}")
        weights[f"lstm.{n}.bias"] = _gates(bias)[None]
    return weights, CodecSizes(
        kind="encodec",
        rate=config.sampling_rate,
        hop=config.hop_length,
        codebooks=config.num_quantizers,
        codebook_size=config.codebook_size,
        inlet_context=context_of([inlet], 1),
        context=context_of(climb, config.hop_length),
        inlet=[_layer(inlet, "inlet", weights)],
        climb=[_layer(layer, f"climb.{n}", weights) for n, layer in enumerate(climb)],
        lstm_layers=lstm.num_layers,
    )


def _frame_codec(model: FrameCodecModel) -> tuple[dict[str, Array], CodecSizes]:
    config, decoder = model.config, model.decoder
    weights: dict[str, Array] = {"codebooks": as_array(model.quantizer.codebooks)}
    plan: Plan = [_same(decoder.inlet, "inlet", weights)]
    _keep(weights, "inlet.norm", decoder.inlet_norm)
    blocks: Any = decoder.blocks
    for n, block in enumerate(blocks):
        plan.append(_same(block.mix, str(n), weights))
        for part in ("norm", "up", "down"):
            _keep(weights, f"{n}.{part}", getattr(block, part))
        weights[f"{n}.scale"] = as_array(block.scale)
    _keep(weights, "outlet.norm", decoder.outlet_norm)
    _keep(weights, "outlet", decoder.outlet)
    return weights, CodecSizes(
        kind="frame",
        rate=config.sampling_rate,
        hop=config.hop_length,
        codebooks=config.num_codebooks,
        codebook_size=config.codebook_size,
        inlet_context=0,
        context=model.context_frames,
        inlet=[],
        climb=plan,
        synthesis_fft=config.synthesis_fft,
    )


def _same(module: nn.Conv1d, name: str, weights: dict[str, Array]) -> dict[str, Any]:
    """A convolution of the frame codec, which pads with zeros to its own length."""
    weight, groups = as_array(module.weight), module.groups
    weights[name] = weight if groups == 1 else weight[:, None]  # a group of one channel each
    weights[f"{name}.bias"] = _column(module.bias)
    side = KERNEL // 2
    plan = {"name": name, "left": side, "right": side, "dilation": 1, "groups": groups}
    return {"kind": "convolution", "mode": "zeros", **plan}


def _layer(module: Any, name: str, weights: dict[str, Array]) -> dict[str, Any]:
    """One layer of EnCodec's decoder; its arrays go into ``weights``."""
    if isinstance(module, nn.ELU):
        return {"kind": "elu", "alpha": module.alpha}
    if isinstance(module, EncodecResnetBlock):
        block = [_layer(part, f"{name}.{n}", weights) for n, part in enumerate(module.block)]
        plain = isinstance(module.shortcut, nn.Identity)
        around = [] if plain else [_layer(module.shortcut, f"{name}.shortcut", weights)]
        return {"kind": "residual", "block": block, "shortcut": around}
    if not isinstance(module, EncodecConv1d | EncodecConvTranspose1d) or module.norm_type not in (
        "weight_norm",
        "none",
    ):
        raise ModelMismatch(
            f"there is no OpenVINO graph for the codec's layer {type(module).__name__}: "
            "use --backend torch"
        )
    conv: Any = module.conv
    weights[name] = as_array(conv.weight)
    weights[f"{name}.bias"] = _column(conv.bias)
    total = (conv.kernel_size[0] - 1) * conv.dilation[0] + 1 - conv.stride[0]
    plan: dict[str, Any] = {"name": name}
    if isinstance(module, EncodecConvTranspose1d):
        right = int(np.ceil(total * module.trim_right_ratio)) if module.causal else total // 2
        plan |= {"kind": "up", "stride": conv.stride[0]}
    else:
        right = 0 if module.causal else total // 2
        plan |= {"kind": "convolution", "mode": module.pad_mode, "groups": 1}
        plan |= {"dilation": conv.dilation[0]}
    return plan | {"left": total - right, "right": right}


def _gates(tensor: Any) -> FloatArray:
    """From torch's order of an LSTM's gates (input, forget, cell, output) to OpenVINO's."""
    entry, forget, cell, out = np.split(as_array(tensor), 4)
    return np.concatenate([forget, entry, cell, out])


def _keep(weights: dict[str, Array], name: str, module: Any) -> None:
    weights[name], weights[f"{name}.bias"] = as_array(module.weight), as_array(module.bias)


def _column(bias: Any) -> FloatArray:
    return as_array(bias)[None, :, None]
