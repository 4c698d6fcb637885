"""The codec of the bundled checkpoint: neural audio codec at the frame rate, ending in an iSTFT.

EnCodec (Défossez et al. 2022, arXiv:2210.13438) climbs from frames to samples through strided
convolutions. This one stays at 50 frames a second from end to end and lets an inverse short-time
Fourier transform do the climbing (Vocos, Siuzdak 2023, arXiv:2306.00814), which is faster to run
and far faster to train. It speaks :class:`transformers.EncodecModel`'s language (``encode`` and
``decode`` with the same signatures), so a MusicGen checkpoint can hold either.

::

    waveform ─┬► log-mel ──┬► ConvNeXt ─► residual VQ ─► codes
              └► fine STFT ┘
    codes ─► ConvNeXt ─► head ─┬► magnitude ┬► iSTFT ─► waveform
                               └► phase ────┘
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.audio_utils import mel_filter_bank
from transformers.models.encodec.modeling_encodec import (
    EncodecDecoderOutput,
    EncodecEncoderOutput,
)

KERNEL = 7  # of every convolution in time, as in ConvNeXt and Vocos


class FrameCodecConfig(PreTrainedConfig):
    """Sizes of a :class:`FrameCodecModel`. Frequencies in hertz, lengths in samples."""

    model_type = "cadenza_frame_codec"

    def __init__(
        self,
        sampling_rate: int = 32_000,
        hop_length: int = 640,
        num_mel_bins: int = 128,
        mel_fft: int = 2048,
        fine_fft: int = 6144,  # long enough to tell two low semitones apart
        num_fine_bins: int = 512,  # of the fine STFT, from 0 Hz up
        encoder_width: int = 256,
        encoder_hidden: int = 640,
        encoder_blocks: int = 3,
        codebook_dim: int = 128,
        codebook_size: int = 1024,
        num_codebooks: int = 4,
        decoder_width: int = 320,
        decoder_hidden: int = 832,
        decoder_blocks: int = 8,
        synthesis_fft: int = 2560,
        **kwargs: Any,
    ) -> None:
        self.sampling_rate = sampling_rate
        self.hop_length = hop_length
        self.num_mel_bins = num_mel_bins
        self.mel_fft = mel_fft
        self.fine_fft = fine_fft
        self.num_fine_bins = num_fine_bins
        self.encoder_width = encoder_width
        self.encoder_hidden = encoder_hidden
        self.encoder_blocks = encoder_blocks
        self.codebook_dim = codebook_dim
        self.codebook_size = codebook_size
        self.num_codebooks = num_codebooks
        self.decoder_width = decoder_width
        self.decoder_hidden = decoder_hidden
        self.decoder_blocks = decoder_blocks
        self.synthesis_fft = synthesis_fft
        self.audio_channels = 1
        super().__init__(**kwargs)

    @property
    def frame_rate(self) -> int:
        """Frames a second."""
        return math.ceil(self.sampling_rate / self.hop_length)

    @property
    def num_quantizers(self) -> int:
        """EnCodec's name for ``num_codebooks``."""
        return self.num_codebooks

    @property
    def context_frames(self) -> int:
        """How many frames to each side the sound of one frame depends on when decoding."""
        convolutions = (1 + self.decoder_blocks) * (KERNEL // 2)
        overlap = math.ceil(self.synthesis_fft / self.hop_length / 2)
        return convolutions + overlap


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution in time, then a two-layer network per frame (arXiv:2201.03545)."""

    def __init__(self, width: int, hidden: int, scale: float) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, width, T]`` to the same."""
        y = self.norm(self.mix(x).transpose(1, 2))
        y = self.scale * self.down(F.gelu(self.up(y)))
        out: Tensor = x + y.transpose(1, 2)
        return out


class Backbone(nn.Module):
    """A convolution in, ConvNeXt blocks, a linear layer out, all at the frame rate."""

    def __init__(self, inputs: int, width: int, hidden: int, blocks: int, outputs: int) -> None:
        super().__init__()
        self.inlet = nn.Conv1d(inputs, width, KERNEL, padding=KERNEL // 2)
        self.inlet_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(width, hidden, scale=1 / blocks) for _ in range(blocks)
        )
        self.outlet_norm = nn.LayerNorm(width)
        self.outlet = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, T]`` to ``[B, T, outputs]``."""
        x = self.inlet_norm(self.inlet(x).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.outlet(self.outlet_norm(x.transpose(1, 2)))
        return out


class ResidualQuantizer(nn.Module):
    """Each codebook names the nearest vector to what the ones before it left over.

    ``codebooks [K, size, dim]`` are learned by moving averages in training, not by gradient.
    """

    def __init__(self, codebooks: int, size: int, dim: int) -> None:
        super().__init__()
        self.codebooks = nn.Parameter(torch.zeros(codebooks, size, dim), requires_grad=False)

    def nearest(self, residual: Tensor, level: int) -> Tensor:
        """``[..., dim]`` to the ids ``[...]`` of the nearest vectors of codebook ``level``."""
        book = self.codebooks[level].float()
        flat = residual.reshape(-1, residual.shape[-1]).float()
        distance = book.square().sum(-1) - 2 * flat @ book.T
        return distance.argmin(-1).reshape(residual.shape[:-1])

    def encode(self, latent: Tensor) -> Tensor:
        """``[B, T, dim]`` to codes ``[B, K, T]``."""
        residual, codes = latent.float(), []
        for level in range(self.codebooks.shape[0]):
            ids = self.nearest(residual, level)
            residual = residual - self.codebooks[level].float()[ids]
            codes.append(ids)
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes ``[B, K, T]`` to the sum of their vectors ``[B, T, dim]``."""
        return torch.stack(
            [book[ids] for book, ids in zip(self.codebooks, codes.unbind(1), strict=True)]
        ).sum(0)


class FrameCodecModel(PreTrainedModel):
    """Codes ``[B, K, T]`` from sound ``[B, 1, N]`` and back, ``T = ceil(N / hop_length)``."""

    config_class = FrameCodecConfig
    base_model_prefix = "frame_codec"
    main_input_name = "input_values"

    def __init__(self, config: FrameCodecConfig) -> None:
        super().__init__(config)
        self.encoder = Backbone(
            config.num_mel_bins + config.num_fine_bins,
            config.encoder_width,
            config.encoder_hidden,
            config.encoder_blocks,
            config.codebook_dim,
        )
        self.quantizer = ResidualQuantizer(
            config.num_codebooks, config.codebook_size, config.codebook_dim
        )
        self.decoder = Backbone(
            config.codebook_dim,
            config.decoder_width,
            config.decoder_hidden,
            config.decoder_blocks,
            config.synthesis_fft + 2,
        )
        # Not buffers: loading builds the model without memory behind its buffers.
        self._constants: dict[tuple[str, torch.device], Tensor] = {}
        self.post_init()  # type: ignore[no-untyped-call]

    @property
    def context_frames(self) -> int:
        """How many frames to each side the sound of one frame depends on when decoding."""
        frames: int = self.config.context_frames
        return frames

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv1d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def _window(self, length: int, device: torch.device) -> Tensor:
        key = (f"window {length}", device)
        if key not in self._constants:
            self._constants[key] = torch.hann_window(length, device=device)
        return self._constants[key]

    def _mel_filters(self, device: torch.device) -> Tensor:
        key = ("mel", device)
        if key not in self._constants:
            filters = mel_filter_bank(
                num_frequency_bins=self.config.mel_fft // 2 + 1,
                num_mel_filters=self.config.num_mel_bins,
                min_frequency=0.0,
                max_frequency=self.config.sampling_rate / 2,
                sampling_rate=self.config.sampling_rate,
                norm="slaney",
                mel_scale="slaney",
            )
            self._constants[key] = torch.from_numpy(filters).float().to(device)
        return self._constants[key]

    def _magnitudes(self, waveform: Tensor, fft: int) -> Tensor:
        """``[B, N]`` to ``[B, fft / 2 + 1, T]``, one frame in the middle of every hop."""
        margin = fft - self.config.hop_length
        padded = F.pad(waveform, (margin // 2, margin - margin // 2))
        return torch.stft(
            padded,
            fft,
            self.config.hop_length,
            window=self._window(fft, waveform.device),
            center=False,
            return_complex=True,
        ).abs()

    def features(self, waveform: Tensor) -> Tensor:
        """What the encoder sees of ``[B, N]``: ``[B, mel + fine bins, T]``, logarithmic."""
        mel = self._magnitudes(waveform, self.config.mel_fft).transpose(1, 2)
        mel = (mel @ self._mel_filters(waveform.device)).transpose(1, 2)
        fine = self._magnitudes(waveform, self.config.fine_fft)[:, : self.config.num_fine_bins]
        return torch.cat([_log(mel * 16), _log(fine / 16)], dim=1)

    def latent(self, waveform: Tensor) -> Tensor:
        """``[B, N]`` float32 to ``[B, T, dim]`` before quantisation."""
        missing = -waveform.shape[-1] % self.config.hop_length
        with torch.autocast(waveform.device.type, enabled=False):
            features = self.features(F.pad(waveform.float(), (0, missing)))
        latent: Tensor = self.encoder(features.to(self.encoder.outlet.weight.dtype))
        return latent

    def synthesise(self, latent: Tensor) -> Tensor:
        """``[B, T, dim]`` to sound ``[B, T * hop_length]``."""
        magnitude, phase = self.decoder(latent.transpose(1, 2)).float().chunk(2, dim=-1)
        # The clamp keeps an early, untrained head from overflowing (Vocos, heads.py).
        spectrum = torch.polar(magnitude.clamp(max=6).exp(), phase)
        return self._overlap_add(spectrum)

    def _overlap_add(self, spectrum: Tensor) -> Tensor:
        """Inverse STFT without centring: ``[B, T, bins]`` to ``[B, T * hop]`` (Vocos, «same»)."""
        fft, hop, frames = self.config.synthesis_fft, self.config.hop_length, spectrum.shape[1]
        window = self._window(fft, spectrum.device)
        pieces = torch.fft.irfft(spectrum, fft, norm="ortho") * window
        length = (frames - 1) * hop + fft
        shape = {"output_size": (1, length), "kernel_size": (1, fft), "stride": (1, hop)}
        sound = F.fold(pieces.transpose(1, 2), **shape)[:, 0, 0]
        weight = F.fold(window.square().expand(1, frames, fft).transpose(1, 2), **shape)[0, 0, 0]
        margin = (fft - hop) // 2
        inside = slice(margin, margin + frames * hop)
        return sound[:, inside] / weight[inside].clamp(min=1e-6)

    @torch.no_grad()
    def encode(
        self,
        input_values: Tensor,
        padding_mask: Tensor | None = None,
        bandwidth: float | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Sound ``[B, 1, N]`` to codes ``[1, B, K, T]``, as :meth:`EncodecModel.encode`.

        ``bandwidth`` is EnCodec's; this codec has one.
        """
        if padding_mask is not None:
            input_values = input_values * padding_mask.reshape(
                padding_mask.shape[0], -1, padding_mask.shape[-1]
            )
        codes = self.quantizer.encode(self.latent(input_values[:, 0]))[None]
        if return_dict is False:
            return codes, [None], 0
        # The published annotations are narrower than EncodecModel's own return values.
        return EncodecEncoderOutput(codes, [None], 0)  # type: ignore[arg-type]

    @torch.no_grad()
    def decode(
        self,
        audio_codes: Tensor,
        audio_scales: Any = None,
        padding_mask: Tensor | None = None,
        return_dict: bool | None = None,
        last_frame_pad_length: int | None = 0,
    ) -> Any:
        """Codes ``[1, B, K, T]`` to sound ``[B, 1, T * hop]``, as :meth:`EncodecModel.decode`.

        ``audio_scales`` and ``last_frame_pad_length`` are EnCodec's; here there are none.
        """
        latent = self.quantizer.decode(audio_codes[0])
        sound = self.synthesise(latent.to(self.decoder.outlet.weight.dtype))[:, None]
        if padding_mask is not None:
            sound = sound[..., : padding_mask.shape[-1]]
        return (sound,) if return_dict is False else EncodecDecoderOutput(audio_values=sound)

    def forward(self, input_values: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Sound ``[B, 1, N]`` through the codes and back, ``[B, 1, T * hop]``."""
        codes = self.encode(input_values, padding_mask).audio_codes
        sound: Tensor = self.decode(codes).audio_values
        return sound


def _log(magnitude: Tensor) -> Tensor:
    """Logarithm whose floor lies 80 dB below 1, roughly centred."""
    return torch.log(magnitude.clamp(min=1e-4)) * 0.25 + 1
