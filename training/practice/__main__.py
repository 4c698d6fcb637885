"""Practise: ``python -m training.practice --begin-from DIR --codec DIR --codes DIR --listener FILE
--held-out DIR --out DIR --minutes 60``.

The language model plays, a listener hears how well it did what its prompts asked for, and what was
better than other takes of the same prompt becomes likelier; between, it learns from real pieces as
before, so that it forgets nothing that the listener does not hear. It goes on after a kill.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from cadenza.framecodec import FrameCodecModel
from cadenza.types import Sampling
from training import resume
from training.language_model.codes import CodeCrops
from training.language_model.learner import BOOKS, CROSS_ATTENTION, READER, Learner
from training.language_model.tokenizer import letters_of
from training.practice.learner import reinforce
from training.practice.player import play
from training.practice.prompts import FIGURES, prompts
from training.practice.rewards import advantages, earned, heard
from training.practice.teach import listener_of

FIRST_SEED = 400_000_000
CROP, CROPS = 384, 8  # of real pieces, frames and how many a step
PARTS = 3  # of a take, which are praised each for itself
SAMPLING = Sampling()


def practise(arguments: argparse.Namespace) -> None:
    device = torch.device(arguments.device)
    torch.manual_seed(arguments.seed)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(arguments.codes)
    codec = FrameCodecModel.from_pretrained(arguments.codec, dtype=torch.float32)
    listener = listener_of(codec, arguments.listener).eval()
    tempi = listener.tempo.told
    learner = Learner(codec.config, tokenizer, device, arguments.rate)
    arguments.out.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.out / "training.pt"
    clock = resume.Clock(arguments.minutes)
    if (state := resume.load(checkpoint, device)) is not None:
        clock = resume.Clock(arguments.minutes, state.pop("spent"))
        learner.restore(state)
    else:
        learner.begin_from(arguments.begin_from)
    for name, weight in learner.weights.items():
        weight.requires_grad_(name.startswith(READER) or CROSS_ATTENTION in name)
    crops = CodeCrops(arguments.codes, device, learner.step, letters_of(tokenizer))
    check = CodeCrops(arguments.held_out, device, seed=0)
    held_out = [check.draw(8, CROP) for _ in range(4)]
    each, count = arguments.each, arguments.prompts
    asking = prompts(count, FIRST_SEED + learner.step * count, tokenizer)
    report, keep, stop = resume.Every(90), resume.Every(90), resume.StopSignal()
    books = torch.tensor(BOOKS)
    seen, right = torch.zeros(len(FIGURES)), torch.zeros(len(FIGURES))
    while clock.share < 1 and not stop.given:
        asked = next(asking).repeat(each)
        codes = play(learner.model, asked.tokens, arguments.frames, SAMPLING)
        with torch.no_grad():
            *beginnings, likely = (
                heard(listener(codes[:, :, : part * arguments.frames // PARTS]), tempi, asked.facts)
                for part in range(1, PARTS + 1)
            )
        earnings = [earned(x, asked) for x in (*beginnings, likely)]
        worth = advantages(torch.stack(earnings[:-1]), earnings[-1], each)
        telling = worth[:, 0].abs().topk(round(len(worth) * arguments.keep)).indices
        said = reinforce(
            learner.model, codes[telling], asked.tokens[telling], worth[telling], SAMPLING
        )
        norm = torch.nn.utils.clip_grad_norm_([*learner.weights.values()], arguments.clip)
        lesson, tokens, _ = crops.draw(CROPS, CROP)
        drop = torch.rand(CROPS) < 0.15
        deaf = torch.zeros(CROPS, sum(lesson.shape[1:]), dtype=torch.bool)
        known = learner.pass_over(lesson, tokens, drop, deaf).losses
        (arguments.real * (known @ books)).backward()
        learner.take_step(min(1.0, (learner.step + 1) / 5))
        seen += asked.asked.sum(0)
        right += (likely * asked.asked).sum(0)
        if report():
            shares = " ".join(
                f"{name} {share:.0%}" for name, share in zip(FIGURES, right / seen, strict=True)
            )
            seen, right = torch.zeros(len(FIGURES)), torch.zeros(len(FIGURES))
            with_text, without = learner.evaluate(held_out)
            print(
                f"{clock.spent / 60:6.1f} min  step {learner.step}  {shares}  "
                f"taken {' '.join(f'{x:.2f}' for x in said.tolist())}  norm {norm:.3f}  "
                f"held-out {with_text:.4f}, without text {without:.4f}",
                flush=True,
            )
        if keep():
            resume.save({**learner.state(), "spent": clock.spent}, checkpoint)
            learner.save(arguments.out)
    resume.save({**learner.state(), "spent": clock.spent}, checkpoint)
    learner.save(arguments.out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.practice", description=__doc__)
    parser.add_argument("--begin-from", type=Path, required=True)
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--codes", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--listener", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--keep", type=float, default=0.5)
    parser.add_argument("--frames", type=int, default=450)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--real", type=float, default=0.5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    practise(parser.parse_args())


if __name__ == "__main__":
    main()
