"""Rendered pieces as examples: what is seen in their sound, and what is true of them.

Every class of leading instrument has as many pieces as any other. Of each piece two excerpts are
heard, its beginning and one from the middle, as language models learn from both.
"""

from __future__ import annotations

import itertools
import multiprocessing
import sys
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.codecs import codec_of, round_trip
from benchmarks.features import Features, batch, extract
from benchmarks.labels import INSTRUMENTS, Labels, labels_of
from benchmarks.pieces import PIECE_SECONDS, excerpts
from cadenza.codec import Codec
from training.corpus.compose import compose
from training.corpus.piece import HELD_OUT

WORKERS = 2
MIDDLE = (10.0, 22.0)  # seconds between which the second excerpt begins


@dataclass(frozen=True)
class Selection:
    """``each`` pieces of every class of instruments, from a seed on."""

    first_seed: int
    each: int


LEARNED = Selection(500_000_000, 100)
HELD = Selection(HELD_OUT + 100_000, 20)


@dataclass(frozen=True, eq=False)
class Examples:
    """``n`` sounds."""

    features: Features  # [n, ...]
    truths: list[Labels]
    tonics: list[int]


def examples(selection: Selection, model: str) -> tuple[Examples, Examples]:
    """All excerpts, as rendered and through the codec of ``model`` and back, in the same order."""
    chosen = seeds(selection)
    heard: list[Features] = []  # [2, ...] of each excerpt: rendered, round trip
    truths, tonics = [], []
    context = multiprocessing.get_context("spawn")
    with context.Pool(WORKERS, _start_worker, (model,)) as pool:
        for done, (pair, truth, tonic) in enumerate(pool.imap(_heard, chosen), 1):
            heard += pair
            truths += [truth] * len(pair)
            tonics += [tonic] * len(pair)
            if done % 100 == 0 or done == len(chosen):
                print(f"{done} of {len(chosen)} pieces rendered", file=sys.stderr, flush=True)
    return Examples(batch(heard, 0), truths, tonics), Examples(batch(heard, 1), truths, tonics)


def seeds(selection: Selection) -> list[int]:
    """The first seeds that fill every class."""
    wanted = Counter({name: selection.each for name in INSTRUMENTS})
    chosen = []
    for seed in itertools.count(selection.first_seed):
        name = labels_of(compose(seed, PIECE_SECONDS)).instrument
        if wanted[name]:
            wanted[name] -= 1
            chosen.append(seed)
        if not wanted.total():
            return chosen


_codec: Codec  # of this worker process


def _start_worker(model: str) -> None:
    global _codec
    torch.set_num_threads(1)
    _codec = codec_of(model)


def _heard(seed: int) -> tuple[list[Features], Labels, int]:
    """Features of both excerpts, truth and tonic of the piece."""
    piece = compose(seed, PIECE_SECONDS)
    middle = float(np.random.default_rng(seed).uniform(*MIDDLE))
    pair = [
        extract(np.stack([item.samples, round_trip(_codec, item.samples)]))
        for item in excerpts(piece, 0.0, middle)
    ]
    return pair, labels_of(piece), piece.tonic
