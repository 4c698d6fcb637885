"""What transformers itself makes: the reference for the engine's tests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    MusicgenForConditionalGeneration,
    MusicgenMelodyForConditionalGeneration,
)

from cadenza.types import Conditioning


class Reference:
    """A checkpoint as transformers loads it."""

    def __init__(self, folder: Path) -> None:
        self.melody = AutoConfig.from_pretrained(folder).model_type == "musicgen_melody"
        kind = (
            MusicgenMelodyForConditionalGeneration
            if self.melody
            else MusicgenForConditionalGeneration
        )
        self.model = kind.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.decoder = self.model.decoder
        self.codebooks = self.decoder.num_codebooks
        self.vocabulary = self.decoder.config.vocab_size
        self.width = self.decoder.config.hidden_size

    def codes(self, inputs: dict[str, Any], frames: int, guidance: float = 1.0) -> np.ndarray:
        """Greedy codes ``[B, K, frames]`` of ``generate``, a beginning in ``inputs`` included."""
        decoded: list[torch.Tensor] = []

        def record(codes: torch.Tensor, **_: Any) -> SimpleNamespace:
            decoded.append(codes[0])
            return SimpleNamespace(audio_values=torch.zeros(len(codes[0]), 1, 1))

        decode, self.model.audio_encoder.decode = self.model.audio_encoder.decode, record
        known = inputs["decoder_input_ids"].shape[1] if "decoder_input_ids" in inputs else 0
        try:
            # A start column, and three more for the delays (of which `known` counts none).
            self.model.generate(
                **inputs,
                do_sample=False,
                guidance_scale=guidance,
                max_new_tokens=frames - known + 3,
            )
        finally:
            self.model.audio_encoder.decode = decode
        if len(decoded) == 1:
            return decoded[0].numpy()
        return torch.stack(decoded, dim=2).flatten(1, 2).numpy()  # left and right, interleaved

    def inputs(
        self,
        texts: list[str],
        chroma: torch.Tensor | None = None,
        beginning: np.ndarray | None = None,
    ) -> dict[str, Any]:
        """What ``generate`` takes; ``chroma [B, n, 12]``, ``beginning [B, K, T0]``."""
        inputs = dict(self.tokenizer(texts, padding=True, return_tensors="pt"))
        if chroma is not None:
            inputs["input_features"] = chroma
        if beginning is not None:
            inputs["decoder_input_ids"] = torch.from_numpy(
                beginning.reshape(-1, beginning.shape[-1])
            )
        return inputs

    @torch.no_grad()
    def conditioning(self, inputs: dict[str, Any], *, padded: bool = False) -> list[Conditioning]:
        """Each text's own states; with ``padded``, the zeros of the batch too."""
        mask = inputs["attention_mask"]
        states = self.model.text_encoder(input_ids=inputs["input_ids"], attention_mask=mask)[0]
        states = self.model.enc_to_dec_proj(states) * mask[..., None]
        lengths = [states.shape[1]] * len(states) if padded else mask.sum(1).tolist()
        texts = [state[:length] for state, length in zip(states, lengths, strict=True)]
        if not self.melody:
            return [self._conditioning(cross=text) for text in texts]
        chroma = inputs.get("input_features")
        if chroma is None:
            chroma = torch.eye(12)[:1].expand(len(texts), 1, 12)
        return [
            self._conditioning(prefix=torch.cat([self._chroma(c), text]))
            for c, text in zip(chroma, texts, strict=True)
        ]

    @torch.no_grad()
    def unconditional(self, like: Conditioning) -> Conditioning:
        """What guidance pushes away from in ``generate``."""
        if not self.melody:
            return self._conditioning(cross=torch.zeros(1, self.width))
        silence = self._chroma(torch.eye(12)[:1])
        text = torch.zeros(len(like.prefix) - len(silence), self.width)
        return self._conditioning(prefix=torch.cat([silence, text]))

    def _chroma(self, chroma: torch.Tensor) -> torch.Tensor:
        length = self.model.config.chroma_length
        states = self.model.audio_enc_to_dec_proj(chroma)
        return states.repeat(-(-length // len(states)), 1)[:length]

    def _conditioning(self, **states: torch.Tensor) -> Conditioning:
        nothing = np.empty((0, self.width), dtype=np.float32)
        arrays = {name: state.numpy() for name, state in states.items()}
        return Conditioning(**({"cross": nothing, "prefix": nothing} | arrays))

    @torch.no_grad()
    def naive(
        self, positive: Conditioning, negative: Conditioning, frames: int, guidance: float
    ) -> np.ndarray:
        """Greedy guided codes ``[K, frames]``, the whole sequence run anew at every step."""
        special = self.vocabulary
        start = torch.full((self.codebooks, 1), special)
        _, pattern = self.decoder.build_delay_pattern_mask(start, special, frames + 4)
        columns = start
        while columns.shape[1] < pattern.shape[1]:
            logits = []
            for condition in (positive, negative):
                states = condition.prefix if self.melody else condition.cross
                out = self.decoder(
                    columns, encoder_hidden_states=torch.from_numpy(states)[None], use_cache=False
                )
                logits.append(out.logits[:, -1])
            drawn = (logits[1] + (logits[0] - logits[1]) * guidance).argmax(-1)
            wanted = pattern[:, columns.shape[1]]
            columns = torch.cat([columns, torch.where(wanted == -1, drawn, wanted)[:, None]], dim=1)
        return columns[columns != special].reshape(self.codebooks, frames).numpy()
