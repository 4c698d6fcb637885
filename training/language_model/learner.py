"""Text encoder, projection and decoder with their optimiser, one step at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import MusicgenForConditionalGeneration, PreTrainedTokenizerFast

from cadenza.framecodec import FrameCodecConfig
from training.language_model.beginning import make_inputs_heard, put_tempi_in_order
from training.language_model.facts import BeatHead, FactHeads, Facts
from training.language_model.loss import Heard, hear, middle_layer, read
from training.language_model.shape import nano_config

WEIGHTS = "language_model.safetensors"
READER, CROSS_ATTENTION = ("text_encoder.", "enc_to_dec_proj."), ".encoder_attn."
WARM_UP_STEPS = 150
READING_RATE = 2.5  # times the usual one, while the reader learns alone
AVERAGE = 0.998  # the model kept is a moving average of the one trained
DROP_TEXT = 0.15  # of the rows learn without their text: guidance needs both
BOOKS = (0.44, 0.26, 0.16, 0.14)  # what each codebook counts: the first ones say what is played
FACT, PULSE = 0.15, 0.8  # what each fact and each pulse of the beat counts beside them
READ = 1.0  # what the facts of captions without music count
EAGER_UP_TO = 800  # frames: on a CPU plain attention is the faster one for short crops


class Learner:
    """A language model that learns to read captions, and then to play what they say."""

    def __init__(
        self,
        codec: FrameCodecConfig,
        tokenizer: PreTrainedTokenizerFast,
        device: torch.device,
        rate: float,
    ) -> None:
        self.device, self.rate, self.step, self.steps_reading = device, rate, 0, 0
        self.model = MusicgenForConditionalGeneration(nano_config(codec, len(tokenizer)))
        make_inputs_heard(self.model)
        put_tempi_in_order(self.model, tokenizer)
        self.model.audio_encoder.requires_grad_(False)
        self.model.to(device).train()
        width = self.model.config.decoder.hidden_size
        self.heads = nn.ModuleDict(
            {"text": FactHeads(width), "music": FactHeads(width), "beat": BeatHead(width)}
        ).to(device)
        self.weights = {
            name: weight for name, weight in self.model.named_parameters() if weight.requires_grad
        }
        self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}
        groups: dict[str, list[nn.Parameter]] = {"reader": [*self.heads.parameters()]}
        for name, weight in self.weights.items():
            kind = "reader" if name.startswith(READER) else "decoder"
            groups.setdefault("cross" if CROSS_ATTENTION in name else kind, []).append(weight)
        # The reader has learned the most when the music begins; the cross-attention has it to do.
        self.optimiser = torch.optim.AdamW(
            [
                {"params": groups["reader"], "factor": 0.4, "weight_decay": 0.0},
                {"params": groups["cross"], "factor": 1.2, "weight_decay": 0.0},
                {"params": groups["decoder"], "factor": 0.5, "weight_decay": 0.1},
            ],
            rate,
            (0.9, 0.95),
            fused=device.type == "cuda",
        )
        if device.type == "cuda":
            for layer in self.model.decoder.model.decoder.layers:
                if layer is not middle_layer(self.model):  # which is listened to
                    layer.compile()

    @torch.no_grad()
    def begin_from(self, folder: Path, *, music_only: bool = False) -> None:
        """Take over the weights of an earlier language model; with ``music_only`` the reader and
        the cross-attention begin anew."""
        for name, weight in load_file(folder / WEIGHTS).items():
            if not (music_only and (name.startswith(READER) or CROSS_ATTENTION in name)):
                self.weights[name].copy_(weight)
                self.average[name].copy_(weight)

    def save(self, folder: Path) -> None:
        """Write what was learned, as :meth:`begin_from` reads it."""
        weights = {name: weight.cpu().contiguous() for name, weight in self.average.items()}
        save_file(weights, folder / WEIGHTS)

    def state(self) -> dict[str, object]:
        return {
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "average": self.average,
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "steps_reading": self.steps_reading,
        }

    @torch.no_grad()
    def restore(self, state: dict) -> None:
        for mine in ("weights", "average"):
            for name, weight in getattr(self, mine).items():
                weight.copy_(state[mine][name])
        self.heads.load_state_dict(state["heads"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.steps_reading = state["step"], state["steps_reading"]

    def read(self, tokens: Tensor, facts: Facts) -> Tensor:
        """One step of the reader alone, on captions; the losses of the facts, on the device."""
        losses = self._told(tokens, facts)
        self._step(losses.sum(), READING_RATE * min(1.0, (self.step + 1) / WARM_UP_STEPS))
        self.steps_reading = self.step
        return losses.detach()

    def advance(
        self,
        crops: tuple[Tensor, Tensor, Facts],
        captions: tuple[Tensor, Facts],
        share: float,
    ) -> Tensor:
        """One step at a share of the time, on crops, and on captions without their music, of which
        there are many more; the losses per codebook ``[K]``, on the device."""
        codes, tokens, facts = crops
        rows, columns = len(tokens), sum(codes.shape[1:])
        drop = torch.rand(rows, device=self.device) < DROP_TEXT
        # What was drawn so far is seldom what was asked for. To trust the text nevertheless, four
        # of ten rows hear a part of the music before, and one hears none of it.
        missing = 2.3 * torch.rand(rows, 1, device=self.device) - 1
        deaf = torch.rand(rows, columns, device=self.device) < missing
        heard = self._hear(codes, tokens, drop, deaf)
        everywhere = torch.ones(heard.music.shape[:2], dtype=torch.bool, device=self.device)
        loss = (
            heard.losses @ torch.tensor(BOOKS, device=self.device)
            + FACT * self.heads["text"](heard.text, facts, heard.mask).sum()
            + READ * self._told(*captions).sum()
            + FACT * self.heads["music"](heard.music, facts, everywhere).sum()
            + PULSE * self.heads["beat"](heard.music, facts).sum()
        )
        warm = min(1.0, (self.step - self.steps_reading + 1) / WARM_UP_STEPS)
        self._step(loss, warm * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * share))))
        return heard.losses.detach()

    def _told(self, tokens: Tensor, facts: Facts) -> Tensor:
        """Losses of the facts that the text's states tell."""
        with torch.autocast(self.device.type, torch.bfloat16):
            states, mask = read(self.model, tokens)
        return self.heads["text"](states, facts, mask)

    def _hear(self, codes: Tensor, tokens: Tensor, drop: Tensor, deaf: Tensor) -> Heard:
        if self.device.type == "cpu":
            attention = "eager" if codes.shape[2] <= EAGER_UP_TO else "sdpa"
            self.model.decoder.set_attn_implementation(attention)
        with torch.autocast(self.device.type, torch.bfloat16):
            return hear(self.model, codes, tokens, drop, deaf)

    def _step(self, loss: Tensor, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * rate * group["factor"]
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*self.weights.values(), *self.heads.parameters()], 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(AVERAGE, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.weights.values()), 1 - keep)

    @torch.no_grad()
    def evaluate(self, held_out: Sequence[tuple[Tensor, Tensor, Facts]]) -> tuple[float, float]:
        """Loss on held-out crops with their captions, and with none."""
        totals = []
        self.model.eval()
        for dropped in (False, True):
            losses = []
            for codes, tokens, _ in held_out:
                rows, columns = len(tokens), sum(codes.shape[1:])
                drop = torch.full((rows,), dropped, device=self.device)
                deaf = torch.zeros(rows, columns, dtype=torch.bool, device=self.device)
                losses.append(self._hear(codes, tokens, drop, deaf).losses.mean())
            totals.append(float(torch.stack(losses).mean()))
        self.model.train()
        return totals[0], totals[1]

    @torch.no_grad()
    def told(self, tokens: Tensor, facts: Facts) -> list[float]:
        """Shares of captions that the reader tells genre, leading instrument, drums, key and
        tempo of; a caption rarely says all."""
        states, mask = read(self.model, tokens)
        return self.heads["text"].told(states, facts, mask).tolist()
