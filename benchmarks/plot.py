"""Spectrograms of takes beside renders of the same kind: ``python -m benchmarks.plot PNG``."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.features import colour
from benchmarks.labels import Labels, labels_of
from benchmarks.pieces import EXCERPT_SECONDS, Excerpt, excerpts, pieces
from benchmarks.prompts import Prompt, read_prompts
from benchmarks.takes import takes as make_takes
from cadenza.files import write_atomically
from cadenza.types import FloatArray
from training.corpus.piece import HELD_OUT

FIRST_SEED = HELD_OUT + 200_000
ROWS = 8
COLOURS = 32  # enough for the eye, and a fifth of the bytes of all
SIMILAR_TEMPO = 0.15

Item = TypeVar("Item")


def plot(path: Path, prompts: Sequence[Prompt], takes: Sequence[FloatArray]) -> None:
    """Draw some of ``takes``, spread over the prompts that ask for an instrument, into a PNG file.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    pairs = [pair for pair in zip(prompts, takes, strict=True) if pair[0].labels.instrument]
    pairs = _spread(pairs)
    figure = Figure(figsize=(12, 1.6 * len(pairs)), layout="constrained")
    axes = figure.subplots(len(pairs), 2, squeeze=False)
    for (prompt, take), (left, right) in zip(pairs, axes, strict=True):
        render = _alike(prompt.labels)
        _draw(left, take, f"take: {prompt.text}")
        _draw(right, render.samples, f"render: {_described(render)}")
    drawn, picture = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=80)
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(picture, "png", optimize=True)
    write_atomically(path, picture.getvalue())


def _spread(items: Sequence[Item]) -> list[Item]:
    return list(items[:: max(1, len(items) // ROWS)][:ROWS])


def _draw(axes: Axes, samples: FloatArray, title: str) -> None:
    bands = colour(torch.from_numpy(samples)[None])[0].mT.numpy()
    axes.imshow(bands, origin="lower", aspect="auto", cmap="magma", vmin=-9, vmax=3)
    axes.set_title(title, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])


def _alike(asked: Labels) -> Excerpt:
    """The beginning of a held-out piece of that instrument, with or without drums, that fast."""

    def fits(truth: Labels) -> bool:
        return (
            truth.instrument == asked.instrument
            and asked.drums in (None, truth.drums)
            and (asked.tempo is None or abs(truth.tempo / asked.tempo - 1) <= SIMILAR_TEMPO)
        )

    return excerpts(next(pieces(FIRST_SEED, lambda piece: fits(labels_of(piece)))), 0.0)[0]


def _described(render: Excerpt) -> str:
    piece = render.piece
    return f"{piece.genre}, {', '.join(piece.instruments)}, {piece.tempo:.0f} bpm, {piece.key}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot", description=__doc__)
    parser.add_argument("picture", type=Path, help="the PNG file")
    parser.add_argument("--model", default="nano", help="short name, hub id or folder")
    options = parser.parse_args()
    prompts = _spread([prompt for prompt in read_prompts() if prompt.labels.instrument])
    made = list(make_takes(options.model, prompts, EXCERPT_SECONDS, 3.0))
    plot(options.picture, prompts, made)


if __name__ == "__main__":
    main()
