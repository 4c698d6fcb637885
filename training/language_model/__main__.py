"""Train nano's language model: ``python -m training.language_model --codes DIR --codec DIR
--captions DIR --held-out DIR --out DIR --minutes 10``.

For the first minutes the text encoder learns alone, from captions and the facts behind them; then
all of it learns to play, and the text encoder from more captions beside the music. Kill it at any
moment and run it again: it goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from cadenza.framecodec import FrameCodecConfig
from training import resume
from training.language_model.codes import Captions, CodeCrops
from training.language_model.learner import Learner
from training.language_model.tokenizer import letters_of

WINDOW = 1500  # frames, 30 s: the longest that MusicGen knows
CAPTIONS = 128  # in a batch of text alone
CHECK_BATCHES, CHECK_CAPTIONS = 4, 512


def train(arguments: argparse.Namespace) -> None:
    device = torch.device(arguments.device)
    torch.manual_seed(arguments.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    tokenizer = PreTrainedTokenizerFast.from_pretrained(arguments.codes)
    codec = FrameCodecConfig.from_pretrained(arguments.codec)
    learner = Learner(codec, tokenizer, device, arguments.rate)
    run = resume.Run(arguments.out, arguments.minutes, arguments.keep_every, device)
    if run.before is not None:
        learner.restore(run.before)
    elif arguments.begin_from is not None:
        learner.begin_from(arguments.begin_from, music_only=arguments.music_only)
    letters = letters_of(tokenizer)
    crops = CodeCrops(arguments.codes, device, arguments.seed + learner.step, letters)
    captions = Captions(arguments.captions, device, arguments.seed + learner.step, letters)
    check = CodeCrops(arguments.held_out, device, seed=0)
    held_out = [check.draw(arguments.batch, max(arguments.crops)) for _ in range(CHECK_BATCHES)]
    report, look = resume.Every(arguments.report_every), resume.Every(10)
    for share in run.shares(learner.state):
        reading = run.clock.spent < arguments.reading * 60
        if reading:
            losses = learner.read(*captions.draw_text(CAPTIONS))
        else:
            # As many frames in a batch of short crops as in one of long ones.
            frames = arguments.crops[learner.step % len(arguments.crops)]
            batch = arguments.batch * max(arguments.crops) // frames
            drawn = crops.draw(batch, frames), captions.draw_text(CAPTIONS)
            losses = learner.advance(*drawn, share)
        if look():
            crops.rescan()
        if report():
            line = (
                f"{run.clock.spent / 60:6.1f} min  step {learner.step:6d}  pieces {len(crops):6d}  "
            )
            values = " ".join(f"{value:.3f}" for value in losses.tolist())
            line += f"{'facts' if reading else 'codebooks'} {values}  "
            if not reading:
                with_text, without = learner.evaluate(held_out)
                line += f"held-out {with_text:.4f}, without text {without:.4f}  "
            told = learner.told(*check.draw_text(CHECK_CAPTIONS))
            line += "held-out told " + " ".join(f"{share:.0%}" for share in told)
            print(line, flush=True)
    if run.stopped:
        return
    learner.save(arguments.out)
    print(f"language model in {arguments.out}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.language_model", description=__doc__)
    parser.add_argument("--codes", type=Path, required=True, help="folder of encoded pieces")
    parser.add_argument("--captions", type=Path, required=True, help="folder of more captions")
    parser.add_argument("--codec", type=Path, required=True, help="the codec that encoded them")
    parser.add_argument("--held-out", type=Path, required=True, help="encoded held-out pieces")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--begin-from", type=Path, help="folder of an earlier language model")
    parser.add_argument(
        "--music-only", action="store_true", help="begin from its music: it learns to read anew"
    )
    parser.add_argument("--minutes", type=float, default=120, help="training time in all")
    parser.add_argument("--reading", type=float, default=5, help="minutes of them for text alone")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=8, help="rows of the longest crop")
    parser.add_argument(
        "--crops",
        type=int,
        nargs="+",
        default=[WINDOW, 192, WINDOW // 2, 192],
        help="lengths to train on in turn, in frames; each costs a compilation on a GPU",
    )
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--report-every", type=float, default=20, help="seconds to a line")
    parser.add_argument("--keep-every", type=float, default=90, help="seconds to a checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
