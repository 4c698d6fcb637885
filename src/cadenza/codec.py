"""Codes to sound and back in torch: EnCodec and Cadenza's own frame codec alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import EncodecModel, PreTrainedModel
from transformers.models.encodec.modeling_encodec import EncodecConv1d, EncodecConvTranspose1d

from cadenza.codecstream import Array, Chain, Stage, StreamingCodec, Windowed, check_sound
from cadenza.errors import ModelMismatch
from cadenza.types import Audio, Codes


class Codec(StreamingCodec):
    """A codec of transformers on any device.

    Args:
        audio_encoder: a :class:`transformers.EncodecModel` (the published 32 kHz codec) or one
            that speaks the same language and has ``context_frames``.
        channels: 1 or 2.

    Raises:
        ModelMismatch: an EnCodec that cannot be decoded as a stream (its 48 kHz variant).
    """

    def __init__(self, audio_encoder: PreTrainedModel, channels: int) -> None:
        config = audio_encoder.config
        if getattr(config, "normalize", False) or getattr(config, "chunk_length_s", None):
            raise ModelMismatch(
                f"the codec works in normalised chunks of {config.chunk_length_s} s, a MusicGen "
                "decoder needs one without: use the codec of the checkpoint, encodec_32khz"
            )
        self.model = audio_encoder.eval()
        self.channels = channels
        self.rate: int = config.sampling_rate
        self.hop: int = config.hop_length
        self.frame_rate: float = self.rate / self.hop
        self.codebooks: int = config.num_quantizers * channels
        self.codebook_size: int = config.codebook_size

    @torch.inference_mode()
    def encode(self, audio: Audio) -> Codes:
        samples = torch.from_numpy(check_sound(self, audio))[:, None]
        waveform = samples.to(self.model.device, self.model.dtype)
        ids = self.model.encode(waveform).audio_codes[0]  # [C, K / C, T]
        interleaved = ids.transpose(0, 1).reshape(self.codebooks, -1)
        return Codes(interleaved.cpu().numpy().astype(np.int64), self.frame_rate)

    def stages(self) -> Stage:
        if isinstance(self.model, EncodecModel):
            return self._encodec_stages(self.model)
        decode = self._in_numpy(lambda ids: self.model.decode(ids[None], [None]).audio_values)
        return Windowed(decode, context=self.model.context_frames, hop=self.hop)

    def _encodec_stages(self, model: EncodecModel) -> Stage:
        inlet, recurrent, *climb = cast(list[nn.Module], list(model.decoder.layers))
        lstm, state = cast(nn.LSTM, recurrent.lstm), None

        def recur(x: Tensor) -> Tensor:
            """The residual LSTM over ``[C, D, n]``, going on from where it was."""
            nonlocal state
            x = x.permute(2, 0, 1)
            made: Tensor
            made, state = lstm(x, state)
            return (made + x).permute(1, 2, 0)

        return Chain(
            self._in_numpy(lambda ids: model.quantizer.decode(ids.transpose(0, 1))),
            Windowed(self._in_numpy(inlet), context=context_of([inlet], 1), hop=1),
            self._in_numpy(recur),
            Windowed(
                self._in_numpy(nn.Sequential(*climb)),
                context=context_of(climb, self.hop),
                hop=self.hop,
            ),
        )

    def _in_numpy(self, function: Callable[[Tensor], Tensor]) -> Callable[[Array], Array]:
        @torch.inference_mode()
        def on_device(array: Array) -> Array:
            made = function(torch.tensor(array, device=self.model.device))
            return made.float().cpu().numpy()

        return on_device


def context_of(layers: list[nn.Module], hop: int) -> int:
    """How many input frames to either side the ``hop`` outputs of a frame depend on.

    Walks back from the outputs of frame 0, ``first`` to ``last``, to the inputs they are made of.
    """
    first, last = 0, hop - 1
    for module in reversed([module for layer in layers for module in layer.modules()]):
        if isinstance(module, EncodecConvTranspose1d):
            kernel, stride = module.conv.kernel_size[0], module.conv.stride[0]
            first = -((kernel - 1 - first) // stride)
            last = (last + kernel - stride) // stride
        elif isinstance(module, EncodecConv1d):
            span = (module.conv.kernel_size[0] - 1) * module.conv.dilation[0]
            side = span if module.causal else math.ceil(span / 2)
            first, last = first - side, last + side
    return max(-first, last)
