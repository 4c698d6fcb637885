"""Teach nano's critic: ``python -m training.critic --codes DIR --held-out DIR --codec DIR
--out DIR``.

It hears crops of encoded pieces, in turn of several lengths; their captions are not read. Kill it
at any moment and run it again: it goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from cadenza.framecodec import FrameCodecModel
from training import resume
from training.critic.network import WEIGHTS, Critic, alone_of
from training.language_model.codes import CodeCrops
from training.language_model.facts import Facts

BATCH, FRAMES = 32, (500, 250, 400)
HIGHEST_RATE, WARM_UP = 2e-3, 0.1
CHECK_BATCHES = 12
TOLERANCE = 0.04  # of a tempo


def drawn(folders: Sequence[CodeCrops]) -> Iterator[tuple[Tensor, Facts]]:
    """Crops of all folders, each as often as it has pieces, without end."""
    look = resume.Every(10)
    for frames in itertools.cycle(FRAMES):
        if look():
            for crops in folders:
                crops.rescan()
        sizes = torch.tensor([float(len(crops)) for crops in folders])
        counts = torch.multinomial(sizes, BATCH, replacement=True).bincount(minlength=len(folders))
        parts = [
            crops.draw(int(count), frames)
            for crops, count in zip(folders, counts, strict=True)
            if count
        ]
        facts = [(f.tempo, f.labels, f.instruments, f.start) for _, _, f in parts]
        joined = Facts(*map(torch.cat, zip(*facts, strict=True)))
        yield torch.cat([codes for codes, _, _ in parts]), joined


@torch.no_grad()
def rights(critic: Critic, crops: CodeCrops, frames: int = max(FRAMES)) -> list[float]:
    """Shares of crops of so many ``frames`` of which tempo, key, lead, drums and whether one plays
    alone are told rightly."""
    critic.eval()
    right = []
    for _ in range(CHECK_BATCHES):
        codes, _, facts = crops.draw(BATCH, frames)
        told = critic(codes)
        _, lead, drums, key = facts.labels.long().unbind(1)
        tempo = critic.tempo.told[told.tempo.argmax(1)]
        parts = [
            (tempo / facts.tempo - 1).abs() < TOLERANCE,
            (told.key.argmax(1) == key)[key >= 0],
            told.lead.argmax(1) == lead,
            told.drums.argmax(1) == drums,
            told.alone.argmax(1) == alone_of(facts),
        ]
        right.append(torch.stack([part.float().mean() for part in parts]))
    critic.train()
    return torch.stack(right).mean(0).tolist()


def teach(arguments: argparse.Namespace) -> None:
    torch.manual_seed(arguments.seed)
    device = torch.device("cpu")
    codec = FrameCodecModel.from_pretrained(arguments.codec, dtype=torch.float32)
    critic = Critic(codec.quantizer.codebooks.data.float())
    optimiser = torch.optim.AdamW(critic.parameters(), HIGHEST_RATE, weight_decay=0.05)
    step = 0
    run = resume.Run(arguments.out, arguments.minutes, arguments.keep_every, device)
    if run.before is not None:
        critic.load_state_dict(run.before["critic"])
        optimiser.load_state_dict(run.before["optimiser"])
        step = run.before["step"]
    lessons = drawn([CodeCrops(folder, device, step) for folder in arguments.codes])
    held_out = CodeCrops(arguments.held_out, device, seed=0)
    report = resume.Every(20)

    def state() -> dict[str, Any]:
        parts = {"critic": critic.state_dict(), "optimiser": optimiser.state_dict()}
        return {**parts, "step": step}

    for share in run.shares(state):
        rate = min(share / WARM_UP, (1 - share) / (1 - WARM_UP))
        for group in optimiser.param_groups:
            group["lr"] = HIGHEST_RATE * max(rate, 0.01)
        codes, facts = next(lessons)
        losses = critic.losses(codes, facts)
        optimiser.zero_grad()
        losses.sum().backward()
        torch.nn.utils.clip_grad_norm_(critic.parameters(), 1.0)
        optimiser.step()
        step += 1
        if report():
            values = " ".join(f"{value:.3f}" for value in losses.tolist())
            told = " ".join(f"{right:.0%}" for right in rights(critic, held_out))
            line = (
                f"{run.clock.spent / 60:6.1f} min  step {step:6d}  {values}  held-out told {told}"
            )
            print(line, flush=True)
    if run.stopped:
        return
    for frames in sorted(FRAMES):
        told = ", ".join(f"{right:.0%}" for right in rights(critic, held_out, frames))
        print(f"tempo, key, lead, drums, alone told of {frames} frames held out: {told}")
    weights = {name: weight.contiguous() for name, weight in critic.state_dict().items()}
    save_file(weights, arguments.out / WEIGHTS)
    print(f"critic in {arguments.out}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.critic", description=__doc__)
    parser.add_argument(
        "--codes", type=Path, nargs="+", required=True, help="folders of encoded pieces"
    )
    parser.add_argument("--held-out", type=Path, required=True, help="encoded held-out pieces")
    parser.add_argument("--codec", type=Path, required=True, help="the codec that encoded them")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8, help="training time in all")
    parser.add_argument("--keep-every", type=float, default=60, help="seconds to a checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    teach(parser.parse_args())


if __name__ == "__main__":
    main()
