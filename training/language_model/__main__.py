"""Train nano's language model: ``python -m training.language_model --codes DIR --codec DIR
--held-out DIR --out DIR --minutes 10``.

Kill it at any moment and run it again: it goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import MusicgenForConditionalGeneration, PreTrainedTokenizerFast

from cadenza.framecodec import FrameCodecConfig
from training import resume
from training.language_model.codes import CodeCrops
from training.language_model.loss import DROP_TEXT, next_token_loss
from training.language_model.shape import nano_config

WEIGHTS = "language_model.safetensors"
WINDOW = 1500  # frames, 30 s: the longest that MusicGen knows
WARM_UP_STEPS = 100
AVERAGE = 0.999  # the model kept is a moving average of the one trained
TEXT_PATH = ("text_encoder.", "enc_to_dec_proj.", "encoder_attn.")
TEXT_RATE = 4.0  # times the others' rate: a caption explains little of the next token
CHECK_BATCHES = 4


class LanguageModelTraining:
    """Text encoder, projection and decoder with their optimiser, one step at a time."""

    def __init__(
        self, codec: FrameCodecConfig, vocabulary: int, device: torch.device, rate: float
    ) -> None:
        self.device, self.rate, self.step = device, rate, 0
        self.model = MusicgenForConditionalGeneration(nano_config(codec, vocabulary))
        _make_inputs_heard(self.model)
        self.model.audio_encoder.requires_grad_(False)
        self.model.to(device).train()
        self.weights = {
            name: weight for name, weight in self.model.named_parameters() if weight.requires_grad
        }
        self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}
        text = {name for name in self.weights if any(part in name for part in TEXT_PATH)}
        self.optimiser = torch.optim.AdamW(
            [
                self._group(TEXT_RATE, 0.0, [w for n, w in self.weights.items() if n in text]),
                self._group(1.0, 0.1, [w for n, w in self.weights.items() if n not in text]),
            ],
            rate,
            (0.9, 0.95),
            fused=device.type == "cuda",
        )
        if device.type == "cuda":
            for layer in self.model.decoder.model.decoder.layers:
                layer.compile()

    @staticmethod
    def _group(factor: float, decay: float, weights: list[nn.Parameter]) -> dict[str, object]:
        return {"params": weights, "weight_decay": decay, "factor": factor}

    @torch.no_grad()
    def begin_from(self, folder: Path) -> None:
        """Take over the weights of an earlier language model."""
        for name, weight in load_file(folder / WEIGHTS).items():
            self.weights[name].copy_(weight)
            self.average[name].copy_(weight)

    def state(self) -> dict[str, object]:
        return {
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }

    @torch.no_grad()
    def restore(self, state: dict) -> None:
        for mine in ("weights", "average"):
            for name, weight in getattr(self, mine).items():
                weight.copy_(state[mine][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def loss(self, codes: Tensor, tokens: Tensor, drop: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, self.device.type == "cuda"):
            return next_token_loss(self.model, codes, tokens, drop)

    def advance(self, codes: Tensor, tokens: Tensor, share: float) -> Tensor:
        """One step at a share of the time; the losses per codebook ``[K]``, on the device."""
        warm = min(1.0, (self.step + 1) / WARM_UP_STEPS)
        rate = self.rate * warm * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        drop = torch.rand(len(tokens), device=self.device) < DROP_TEXT
        losses = self.loss(codes, tokens, drop)
        self.optimiser.zero_grad()
        losses.mean().backward()
        nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(AVERAGE, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.weights.values()), 1 - keep)
        return losses.detach()

    @torch.no_grad()
    def evaluate(self, held_out: list[tuple[Tensor, Tensor]]) -> tuple[float, float]:
        """Loss on held-out pieces with their captions, and with none."""
        totals = []
        for dropped in (False, True):
            drops = [
                torch.full((len(tokens),), dropped, device=self.device) for _, tokens in held_out
            ]
            losses = [
                self.loss(codes, tokens, drop).mean()
                for (codes, tokens), drop in zip(held_out, drops, strict=True)
            ]
            totals.append(float(torch.stack(losses).mean()))
        return totals[0], totals[1]


def _make_inputs_heard(model: MusicgenForConditionalGeneration) -> None:
    """Begin with tokens as loud as the positions they are added to, and with text states that
    reach the music at their own size: by the published initialisation both are so quiet that a
    small model takes very long to hear them."""
    decoder = model.decoder.model.decoder
    for table in decoder.embed_tokens:
        nn.init.normal_(table.weight, std=0.35)
    attentions = [layer.encoder_attn for layer in decoder.layers]
    values = [linear for a in attentions for linear in (a.v_proj, a.out_proj)]
    for linear in (model.enc_to_dec_proj, *values):
        nn.init.normal_(linear.weight, std=linear.in_features**-0.5)


def train(arguments: argparse.Namespace) -> None:
    device = torch.device(arguments.device)
    torch.manual_seed(arguments.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    tokenizer = PreTrainedTokenizerFast.from_pretrained(arguments.codes)
    training = LanguageModelTraining(
        FrameCodecConfig.from_pretrained(arguments.codec), len(tokenizer), device, arguments.rate
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.out / "training.pt"
    clock = resume.Clock(arguments.minutes)
    if (state := resume.load(checkpoint, device)) is not None:
        clock = resume.Clock(arguments.minutes, state.pop("spent"))
        training.restore(state)
        print(f"going on from step {training.step}, {clock.spent / 60:.1f} minutes in", flush=True)
    elif arguments.begin_from is not None:
        training.begin_from(arguments.begin_from)
    crops = CodeCrops(arguments.codes, device, arguments.seed + training.step)
    check = CodeCrops(arguments.held_out, device, seed=0)
    held_out = [check.draw(arguments.batch, max(arguments.crops)) for _ in range(CHECK_BATCHES)]
    report, look = resume.Every(arguments.report_every), resume.Every(10)
    keep = resume.Every(arguments.keep_every)

    def store() -> None:
        resume.save({**training.state(), "spent": clock.spent}, checkpoint)

    stop = resume.StopSignal()
    while clock.share < 1 and not stop.given:
        # As many frames in a batch of short crops as in one of long ones.
        frames = arguments.crops[training.step % len(arguments.crops)]
        batch = arguments.batch * max(arguments.crops) // frames
        losses = training.advance(*crops.draw(batch, frames), clock.share)
        if look():
            crops.rescan()
        if report():
            books = " ".join(f"{value:.3f}" for value in losses.tolist())
            with_text, without = training.evaluate(held_out)
            print(
                f"{clock.spent / 60:6.1f} min  step {training.step:6d}  pieces {len(crops):6d}  "
                f"codebooks {books}  held-out {with_text:.4f}, without text {without:.4f}",
                flush=True,
            )
        if keep():
            store()
    store()
    if stop.given:
        print(f"stopped at step {training.step}; run it again to go on")
        return
    weights = {name: weight.cpu().contiguous() for name, weight in training.average.items()}
    save_file(weights, arguments.out / WEIGHTS)
    print(f"language model in {arguments.out}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.language_model", description=__doc__)
    parser.add_argument("--codes", type=Path, required=True, help="folder of encoded pieces")
    parser.add_argument("--codec", type=Path, required=True, help="the codec that encoded them")
    parser.add_argument("--held-out", type=Path, required=True, help="encoded held-out pieces")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--begin-from", type=Path, help="folder of an earlier language model")
    parser.add_argument("--minutes", type=float, default=120, help="training time in all")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=8, help="rows of the longest crop")
    parser.add_argument(
        "--crops",
        type=int,
        nargs="+",
        default=[WINDOW, WINDOW // 2],
        help="lengths to train on in turn, in frames; each costs a compilation on a GPU",
    )
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--report-every", type=float, default=20, help="seconds to a line")
    parser.add_argument("--keep-every", type=float, default=90, help="seconds to a checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
