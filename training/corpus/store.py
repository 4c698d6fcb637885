"""Rendered pieces in a folder: whole shards only, safe to stop and go on at any moment.

``shard-00000.npy`` holds int16 [pieces, N] mono at 32 kHz, ``shard-00000.jsonl`` the pieces'
facts (without notes), a line each. The sound appears last, so a shard with sound is complete.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cadenza.errors import OptionError
from training.corpus.compose import compose
from training.corpus.piece import Piece
from training.corpus.render import Renderer

RATE = 32000
SECONDS = 32.0
SHARD_PIECES = 64

_renderer: Renderer | None = None  # of this worker process


def shards(folder: str | Path) -> list[Path]:
    """The sound files of the complete shards, in order."""
    return sorted(Path(folder).glob("shard-*.npy"))


def read_shard(path: Path) -> tuple[NDArray[np.int16], list[Piece]]:
    """A shard's sound [pieces, N], mapped rather than loaded, and its pieces (without notes)."""
    with path.with_suffix(".jsonl").open(encoding="utf-8") as lines:
        pieces = [Piece.from_json(line) for line in lines]
    return np.load(path, mmap_mode="r"), pieces


def render_shards(folder: Path, *, pieces: int, workers: int, start: int = 0) -> Iterator[int]:
    """Render the seeds ``start`` to ``start + pieces - 1``; yields the size of each shard done.

    Shards that are there already are skipped (and yield 0).

    Raises:
        OptionError: a shard that is there holds other seeds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for partial in folder.glob("*.partial"):  # of a run that was killed
        partial.unlink()
    jobs = []
    for index, first in enumerate(range(start, start + pieces, SHARD_PIECES)):
        path = folder / f"shard-{index:05d}.npy"
        count = min(SHARD_PIECES, start + pieces - first)
        if path.exists():
            seeds = [piece.seed for piece in read_shard(path)[1]]
            if seeds != list(range(first, first + count)):
                raise OptionError(
                    f"{path} holds the seeds {seeds[0]} to {seeds[-1]}, not {first} to "
                    f"{first + count - 1}: choose another folder"
                )
            yield 0
        else:
            jobs.append((path, first, count))
    if not jobs:
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(workers, len(jobs)), initializer=_start_worker) as pool:
        yield from pool.imap_unordered(_render_shard, jobs)


def _start_worker() -> None:
    global _renderer
    _renderer = Renderer(RATE)


def _render_shard(job: tuple[Path, int, int]) -> int:
    path, first, count = job
    assert _renderer is not None
    sound = np.zeros((count, round(SECONDS * RATE)), np.int16)
    lines = []
    for row in range(count):
        piece = compose(first + row, SECONDS)
        sound[row] = np.round(_renderer.render(piece) * 32767)
        lines.append(piece.to_json(notes=False))
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(path.with_suffix(".jsonl"))
    with partial.open("wb") as file:
        np.save(file, sound)
    partial.replace(path)
    return count
