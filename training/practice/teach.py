"""Teach the listener: ``python -m training.practice.teach --codes DIR --held-out DIR --codec DIR
--out FILE``, on encoded pieces; their captions are not read."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cadenza.framecodec import FrameCodecModel
from training import resume
from training.language_model.codes import CodeCrops
from training.language_model.facts import Facts
from training.practice.listener import Listener, alone_of

BATCH, FRAMES = 32, (500, 250, 400)
HIGHEST_RATE, WARM_UP = 2e-3, 0.1
CHECK_BATCHES = 12


def listener_of(codec: FrameCodecModel, path: Path | None = None) -> Listener:
    """A new one, or that of a file."""
    listener = Listener(codec.quantizer.codebooks.data.float())
    if path is not None:
        listener.load_state_dict(load_file(path))
    return listener


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
        facts = zip(
            *((f.tempo, f.labels, f.instruments, f.start) for _, _, f in parts), strict=True
        )
        yield torch.cat([codes for codes, _, _ in parts]), Facts(*map(torch.cat, facts))


@torch.no_grad()
def rights(listener: Listener, crops: CodeCrops, frames: int = max(FRAMES)) -> list[float]:
    """Shares of crops of so many ``frames`` of which tempo, key, lead, drums and whether one plays
    alone are told rightly."""
    listener.eval()
    right = []
    for _ in range(CHECK_BATCHES):
        codes, _, facts = crops.draw(BATCH, frames)
        told = listener(codes)
        _, lead, drums, key = facts.labels.long().unbind(1)
        tempo = listener.tempo.told[told.tempo.argmax(1)]
        right.append(
            torch.stack(
                [
                    ((tempo / facts.tempo - 1).abs() < 0.04).float().mean(),
                    (told.key.argmax(1) == key)[key >= 0].float().mean(),
                    (told.lead.argmax(1) == lead).float().mean(),
                    (told.drums.argmax(1) == drums).float().mean(),
                    (told.alone.argmax(1) == alone_of(facts)).float().mean(),
                ]
            )
        )
    listener.train()
    return torch.stack(right).mean(0).tolist()


def teach(arguments: argparse.Namespace) -> None:
    torch.manual_seed(0)
    codec = FrameCodecModel.from_pretrained(arguments.codec, dtype=torch.float32)
    listener = listener_of(codec)
    device = torch.device("cpu")
    lessons = drawn([CodeCrops(folder, device, 0) for folder in arguments.codes])
    held_out = CodeCrops(arguments.held_out, device, 1)
    optimiser = torch.optim.AdamW(listener.parameters(), HIGHEST_RATE, weight_decay=0.05)
    clock, report = resume.Clock(arguments.minutes), resume.Every(20)
    step = 0
    while clock.share < 1:
        share = clock.share
        rate = min(share / WARM_UP, (1 - share) / (1 - WARM_UP))
        for group in optimiser.param_groups:
            group["lr"] = HIGHEST_RATE * max(rate, 0.01)
        codes, facts = next(lessons)
        losses = listener.losses(codes, facts)
        optimiser.zero_grad()
        losses.sum().backward()
        torch.nn.utils.clip_grad_norm_(listener.parameters(), 1.0)
        optimiser.step()
        step += 1
        if report():
            values = " ".join(f"{value:.3f}" for value in losses.tolist())
            told = " ".join(f"{share:.0%}" for share in rights(listener, held_out))
            print(f"{clock.spent / 60:.1f} min  step {step}  {values}  held-out {told}", flush=True)
    for frames in sorted(FRAMES):
        told = " ".join(f"{share:.0%}" for share in rights(listener, held_out, frames))
        print(f"tempo, key, lead, drums, alone told of {frames} frames of held-out pieces: {told}")
    save_file({k: v.contiguous() for k, v in listener.state_dict().items()}, arguments.out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.practice.teach", description=__doc__)
    parser.add_argument("--codes", type=Path, nargs="+", required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8)
    teach(parser.parse_args())


if __name__ == "__main__":
    main()
