"""Train nano's codec: ``python -m training.codec --corpus DIR --out DIR --minutes 10``.

First against distances of spectra and waveforms, without and then with the quantiser; in the last
part adversaries join and the encoder and its codebooks stay as they are, so that codes made from
then on keep their meaning. Kill it at any moment and run it again: it goes on from its last
checkpoint.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cadenza.framecodec import FrameCodecConfig, FrameCodecModel
from training import resume
from training.codec.codebooks import CodebookLearner
from training.codec.discriminators import Discriminators, discriminator_loss, generator_loss
from training.codec.losses import mel_distance, reconstruction
from training.corpus.store import shards
from training.sound import Crops

QUANTISE_AFTER = 0.04  # share of the time: the encoder must have something to say first
ADVERSARIES_AFTER = 0.6
WARM_UP_STEPS = 200
HELD_OUT_CROPS = 32


class CodecTraining:
    """The codec, its adversaries and their optimisers, one step at a time."""

    def __init__(self, config: FrameCodecConfig, device: torch.device, rate: float) -> None:
        self.device, self.rate = device, rate
        self.codec = FrameCodecModel(config).to(device).train()
        self.books = CodebookLearner(self.codec.quantizer).to(device)
        self.judges = Discriminators().to(device)
        self.encoder_optimiser = _adam(self.codec.encoder, rate, (0.9, 0.99))
        self.decoder_optimiser = _adam(self.codec.decoder, rate, (0.9, 0.99))
        self.judge_optimiser = _adam(self.judges, 2e-4, (0.5, 0.9))
        self.step, self.quantising = 0, False

    def _stateful(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "codec": self.codec,
            "books": self.books,
            "judges": self.judges,
            "encoder_optimiser": self.encoder_optimiser,
            "decoder_optimiser": self.decoder_optimiser,
            "judge_optimiser": self.judge_optimiser,
        }

    def state(self) -> dict[str, object]:
        parts = {name: part.state_dict() for name, part in self._stateful().items()}
        return {**parts, "step": self.step, "quantising": self.quantising}

    def restore(self, state: dict) -> None:
        for name, part in self._stateful().items():
            part.load_state_dict(state[name])
        self.step, self.quantising = state["step"], state["quantising"]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, self.device.type == "cuda")

    def _set_rate(self, share: float) -> None:
        warm = min(1.0, (self.step + 1) / WARM_UP_STEPS)
        rate = self.rate * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))
        for optimiser in (self.encoder_optimiser, self.decoder_optimiser):
            optimiser.param_groups[0]["lr"] = rate

    def advance(self, sound: Tensor, share: float) -> dict[str, Tensor]:
        """One step on ``sound [B, N]`` at a share of the time; the losses, still on the device."""
        self._set_rate(share)
        adversarial = share >= ADVERSARIES_AFTER
        self.books.train(not adversarial)
        with torch.set_grad_enabled(not adversarial), self._autocast():
            latent = self.codec.latent(sound)
        if not self.quantising and share >= QUANTISE_AFTER:
            self.books.start(latent.detach())
            self.quantising = True
        commitment = latent.new_zeros(())
        if self.quantising:
            latent, commitment = self.books(latent)
        with self._autocast():
            ours = self.codec.synthesise(latent)
        losses = {"reconstruction": reconstruction(ours, sound, self.codec.config.sampling_rate)}
        total = losses["reconstruction"] + 0.25 * commitment
        if adversarial:
            losses |= self._teach_judges(sound, ours.detach())
            self.judges.requires_grad_(False)
            with self._autocast():
                fooling, features = generator_loss(self.judges(sound), self.judges(ours))
            self.judges.requires_grad_(True)
            losses |= {"fooling": fooling.detach(), "features": features.detach()}
            total = 4 * total + 0.25 * fooling + features
        self.encoder_optimiser.zero_grad()
        self.decoder_optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.codec.parameters(), 1.0)
        if not adversarial:
            self.encoder_optimiser.step()
        self.decoder_optimiser.step()
        self.step += 1
        losses["reconstruction"] = losses["reconstruction"].detach()
        return losses

    def _teach_judges(self, sound: Tensor, ours: Tensor) -> dict[str, Tensor]:
        with self._autocast():
            loss = discriminator_loss(self.judges(sound), self.judges(ours))
        self.judge_optimiser.zero_grad()
        loss.backward()
        self.judge_optimiser.step()
        return {"judges": loss.detach()}

    @torch.no_grad()
    def evaluate(self, sound: Tensor) -> float:
        """Mel distance between ``[B, N]`` and its round trip (through codes once there are)."""
        latent = self.codec.latent(sound)
        if self.quantising:
            latent = self.codec.quantizer.decode(self.codec.quantizer.encode(latent))
        ours = self.codec.synthesise(latent)
        return float(mel_distance(ours, sound, self.codec.config.sampling_rate))


def _adam(module: nn.Module, rate: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
    parameters = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.AdamW(parameters, rate, betas, weight_decay=0.01)


def held_out(folder: Path, length: int) -> Tensor:
    """Crops ``[B, N]`` from the first shard of a folder of held-out pieces, always the same."""
    pieces = np.load(shards(folder)[0], mmap_mode="r")[:HELD_OUT_CROPS]
    start = (pieces.shape[1] - length) // 2
    return torch.from_numpy(pieces[:, start : start + length].astype(np.float32) / 32768)


def train(arguments: argparse.Namespace) -> None:
    device = torch.device(arguments.device)
    torch.manual_seed(arguments.seed)
    config = FrameCodecConfig()
    training = CodecTraining(config, device, arguments.rate)
    run = resume.Run(arguments.out, arguments.minutes, arguments.keep_every, device)
    if run.before is not None:
        training.restore(run.before)
    length = arguments.frames * config.hop_length
    check = held_out(arguments.held_out, 4 * config.sampling_rate).to(device)
    batches: Iterator[Tensor] = iter(
        Crops(arguments.corpus, arguments.batch, length, arguments.seed + training.step)
    )
    report = resume.Every(20)
    for share in run.shares(training.state):
        losses = training.advance(next(batches).to(device, non_blocking=True), share)
        if report():
            figures = "  ".join(f"{name} {float(value):.3f}" for name, value in losses.items())
            print(
                f"{run.clock.spent / 60:6.1f} min  step {training.step:6d}  {figures}  "
                f"held-out mel distance {training.evaluate(check):.4f}",
                flush=True,
            )
    if run.stopped:
        return
    training.codec.eval().save_pretrained(arguments.out)
    print(f"held-out mel distance {training.evaluate(check):.4f}; codec in {arguments.out}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.codec", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of rendered pieces")
    parser.add_argument("--held-out", type=Path, required=True, help="pieces never trained on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60, help="training time in all")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--frames", type=int, default=80, help="of each crop, 20 ms a frame")
    parser.add_argument("--rate", type=float, default=7e-4, help="highest learning rate")
    parser.add_argument("--keep-every", type=float, default=90, help="seconds to a checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
