"""Codes to sound and back, whole or as a stream: EnCodec and Cadenza's own frame codec alike.

Sound is made in pieces whose concatenation equals decoding everything at once. What a convolution
makes of a frame depends on a bounded number of frames to each side, so each piece is computed
with that many frames of context around it; EnCodec's LSTM is causal, so its state is carried on.
Nothing that was decoded once is decoded again but for the context, and memory does not grow with
the length.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import EncodecModel, PreTrainedModel
from transformers.models.encodec.modeling_encodec import EncodecConv1d, EncodecConvTranspose1d

from cadenza.errors import AudioError, ModelMismatch
from cadenza.types import Audio, Codes, IntArray

DECODE_FRAMES = 500  # how many frames a whole decoding takes at a time: 10 s of the 32 kHz codecs


class Codec:
    """Codes ``[K, T]`` ↔ sound ``[C, N]``, ``N = T * hop``.

    A stereo model holds a mono codec that runs once per channel; its codebooks are interleaved
    left, right, left, right (``MusicgenForConditionalGeneration.generate`` does the same).

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

    def decode(self, codes: Codes) -> Audio:
        """The sound of ``codes [K, T]``: ``[C, T * hop]``. Memory is that of ten seconds.

        Raises:
            AudioError: codes of another codec (their number, or an id outside the codebooks).
        """
        stream = self.stream()
        starts = range(0, codes.frames, DECODE_FRAMES)
        pieces = [stream.push(codes.ids[:, t : t + DECODE_FRAMES]) for t in starts]
        pieces.append(stream.flush())
        return Audio(np.concatenate([piece.samples for piece in pieces], axis=1), self.rate)

    @torch.inference_mode()
    def encode(self, audio: Audio) -> Codes:
        """The codes ``[K, ceil(N / hop)]`` of a sound ``[C, N]``.

        Raises:
            AudioError: another sampling rate or number of channels than the codec's.
        """
        if audio.rate != self.rate or audio.channels != self.channels:
            raise AudioError(
                f"the codec hears {self.channels} channel(s) at {self.rate} Hz, the sound has "
                f"{audio.channels} at {audio.rate} Hz: convert it first"
            )
        waveform = torch.from_numpy(audio.samples)[:, None].to(self.model.device, self.model.dtype)
        ids = self.model.encode(waveform).audio_codes[0]  # [C, K / C, T]
        interleaved = ids.transpose(0, 1).reshape(self.codebooks, -1)
        return Codes(interleaved.cpu().numpy().astype(np.int64), self.frame_rate)

    def stream(self) -> CodecStream:
        """A new stream; any number may run beside each other."""
        return CodecStream(self)


class CodecStream:
    """Codes in as they are made, sound out as soon as it is final.

    The last few frames wait for their right context, so a piece may come back shorter than what
    was pushed, or empty; :meth:`flush` ends the stream and returns the rest.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._stages: _Stage = (
            _EncodecStages(codec.model)
            if isinstance(codec.model, EncodecModel)
            else _Window(
                lambda ids: codec.model.decode(ids[None], [None]).audio_values,
                context=codec.model.context_frames,
                hop=codec.hop,
            )
        )

    @torch.inference_mode()
    def push(self, ids: IntArray) -> Audio:
        """Take ``ids [K, n]``, return the samples ``[C, ·]`` that have become final.

        Raises:
            AudioError: ids of another codec.
        """
        codec = self._codec
        if ids.shape[0] != codec.codebooks:
            raise AudioError(
                f"the codes have {ids.shape[0]} codebooks, the codec has {codec.codebooks}"
            )
        if ids.size and not (ids.min() >= 0 and ids.max() < codec.codebook_size):
            raise AudioError(
                f"codes must be from 0 to {codec.codebook_size - 1}, not {ids.min()} to {ids.max()}"
            )
        # [K, n] to [C, K / C, n]
        rows = np.stack([ids[side :: codec.channels] for side in range(codec.channels)])
        return self._audio(self._stages.push(torch.tensor(rows, device=codec.model.device)))

    @torch.inference_mode()
    def flush(self) -> Audio:
        """The samples ``[C, ·]`` that are still waiting. The stream is over."""
        return self._audio(self._stages.flush())

    def _audio(self, sound: Tensor | None) -> Audio:
        if sound is None:
            return Audio(np.zeros((self._codec.channels, 0), np.float32), self._codec.rate)
        return Audio(sound[:, 0].float().cpu().numpy(), self._codec.rate)


class _Stage(Protocol):
    def push(self, piece: Tensor) -> Tensor | None: ...
    def flush(self) -> Tensor | None: ...


class _Window:
    """Runs a function of bounded context over a sequence ``[..., T]`` that comes in pieces.

    ``function`` makes ``hop`` outputs a frame, each from at most ``context`` frames to either
    side; how it pads its input then only shows at the true ends of the sequence.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], *, context: int, hop: int) -> None:
        self._function, self._context, self._hop = function, context, hop
        self._held: Tensor | None = None  # ``_past`` finished frames, then those that wait
        self._past = 0

    def push(self, piece: Tensor) -> Tensor | None:
        held = piece if self._held is None else torch.cat([self._held, piece], dim=-1)
        self._held = held
        end = held.shape[-1] - self._context  # of the frames that have all their context
        if end <= self._past:
            return None
        made = self._function(held)[..., self._past * self._hop : end * self._hop]
        start = max(0, end - self._context)
        self._held, self._past = held[..., start:].clone(), end - start
        return made

    def flush(self) -> Tensor | None:
        held, self._held = self._held, None
        if held is None or held.shape[-1] == self._past:
            return None
        return self._function(held)[..., self._past * self._hop :]


class _EncodecStages:
    """EnCodec's decoder cut in three: a convolution, the LSTM, and the climb to samples.

    Source: ``EncodecDecoder`` of transformers' ``modeling_encodec.py``.
    """

    def __init__(self, model: EncodecModel) -> None:
        inlet, recurrent, *climb = cast(list[nn.Module], list(model.decoder.layers))
        self._quantizer = model.quantizer
        self._inlet = _Window(inlet, context=_context([inlet], 1), hop=1)
        self._lstm = cast(nn.LSTM, recurrent.lstm)
        self._state: tuple[Tensor, Tensor] | None = None
        hop = model.config.hop_length
        self._climb = _Window(nn.Sequential(*climb), context=_context(climb, hop), hop=hop)

    def push(self, ids: Tensor) -> Tensor | None:
        """``ids [C, K, n]`` to samples ``[C, 1, ·]``."""
        embedded = self._quantizer.decode(ids.transpose(0, 1))
        made = self._inlet.push(embedded)
        return None if made is None else self._climb.push(self._recur(made))

    def flush(self) -> Tensor | None:
        made = self._inlet.flush()
        if made is None:
            return None
        early = self._climb.push(self._recur(made))
        late = self._climb.flush()
        return torch.cat([part for part in (early, late) if part is not None], dim=-1)

    def _recur(self, x: Tensor) -> Tensor:
        """The residual LSTM over ``[C, D, n]``, going on from where it was."""
        x = x.permute(2, 0, 1)
        made: Tensor
        made, self._state = self._lstm(x, self._state)
        return (made + x).permute(1, 2, 0)


def _context(layers: list[nn.Module], hop: int) -> int:
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
