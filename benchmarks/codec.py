"""What a codec keeps of held-out rendered pieces: ``python -m benchmarks.codec``.

Mel distance: mean absolute difference of log-mel spectra over three scales, as in training.
Notes kept: F1 of the notes (pitch, onset within 50 ms) that basic-pitch hears in the piece and in
its round trip through the codec. Two references give it a scale: the same piece through 16 bits
at 22 kHz (the most that can be kept), and another piece instead (what agrees by chance).

The pieces are held out of training: the first ten seconds of 20 played by one instrument and of
20 by a band. Drums alone are left out, they have no notes to keep.
"""

from __future__ import annotations

import argparse
import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch

from benchmarks.codecs import codec_in, codec_of, round_trip
from benchmarks.notes import note_f1, transcribe
from benchmarks.pieces import RATE, Excerpt, excerpts, pieces
from benchmarks.table import table, write_json
from cadenza.codec import Codec
from cadenza.types import FloatArray
from training.codec.losses import mel_distance
from training.corpus.piece import HELD_OUT

FIRST_SEED = HELD_OUT + 10_000  # the ones before are watched during training
NOTES_BAR = 0.5


@dataclass(frozen=True)
class Kept:
    """What is left of one piece."""

    seed: int
    solo: bool
    mel_distance: float
    notes: int  # in the original
    notes_f1: float
    ceiling_f1: float  # through 16 bits at 22 kHz
    chance_f1: float  # against another piece


def chosen(count: int) -> list[Excerpt]:
    """``count`` held-out excerpts with pitched instruments, solos and bands in turn."""
    solos = pieces(FIRST_SEED, lambda piece: piece.solo and piece.lead != "drums")
    bands = pieces(FIRST_SEED, lambda piece: not piece.solo)
    in_turn = itertools.chain.from_iterable(zip(solos, bands, strict=False))
    return [excerpts(piece, 0.0)[0] for piece in itertools.islice(in_turn, count)]


def measure(codec: Codec, originals: list[Excerpt]) -> list[Kept]:
    """Every excerpt through the codec and back."""
    notes = [transcribe(item.samples, RATE) for item in originals]
    kept = []
    for index, item in enumerate(originals):
        ours = round_trip(codec, item.samples)
        distance = mel_distance(*(torch.from_numpy(x)[None] for x in (ours, item.samples)), RATE)
        kept.append(
            Kept(
                seed=item.piece.seed,
                solo=item.piece.solo,
                mel_distance=float(distance),
                notes=len(notes[index]),
                notes_f1=note_f1(notes[index], transcribe(ours, RATE)),
                ceiling_f1=note_f1(notes[index], transcribe(_through_22_khz(item.samples), RATE)),
                chance_f1=note_f1(notes[index], notes[index - 1]),
            )
        )
    return kept


def _through_22_khz(samples: FloatArray) -> FloatArray:
    """16 bits at 22.05 kHz and back."""
    low = np.round(soxr.resample(samples, RATE, 22_050) * 32767) / 32768
    return soxr.resample(low.astype(np.float32), 22_050, RATE)


def _mean(values: list[float]) -> str:
    error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{np.mean(values):.3f} ± {error:.3f}"


def report(kept: list[Kept]) -> str:
    """Means with their standard errors, over all pieces and over each kind."""
    kinds = {
        "all": kept,
        "one instrument": [item for item in kept if item.solo],
        "bands": [item for item in kept if not item.solo],
    }
    kinds = {name: items for name, items in kinds.items() if items}
    figures = {
        "mel distance": "mel_distance",
        "notes kept (F1)": "notes_f1",
        "  of 22 kHz, 16 bit": "ceiling_f1",
        "  of another piece": "chance_f1",
    }
    rows = [
        [figure, *(_mean([getattr(item, name) for item in items]) for items in kinds.values())]
        for figure, name in figures.items()
    ]
    head = ["", *(f"{name} ({len(items)})" for name, items in kinds.items())]
    f1 = float(np.mean([item.notes_f1 for item in kept]))
    verdict = "reached" if f1 >= NOTES_BAR else "missed"
    return f"{table(head, rows)}\n\nbar: notes kept ≥ {NOTES_BAR} over all: {verdict} ({f1:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codec", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--checkpoint", default="nano", help="a MusicGen checkpoint: name, folder")
    source.add_argument("--codec", type=Path, help="a folder with a codec alone")
    parser.add_argument("--pieces", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write the figures of every piece there")
    options = parser.parse_args()
    codec = codec_in(options.codec) if options.codec else codec_of(options.checkpoint)
    kept = measure(codec, chosen(options.pieces))
    print(report(kept))
    if options.json:
        write_json(
            options.json,
            {
                "codec": str(options.codec or options.checkpoint),
                "mel_distance": float(np.mean([item.mel_distance for item in kept])),
                "notes_f1": float(np.mean([item.notes_f1 for item in kept])),
                "ceiling_f1": float(np.mean([item.ceiling_f1 for item in kept])),
                "chance_f1": float(np.mean([item.chance_f1 for item in kept])),
                "pieces": [vars(item) for item in kept],
            },
        )


if __name__ == "__main__":
    main()
