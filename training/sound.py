"""Random crops of rendered sound, as an endless stream of batches."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.corpus.store import shards

RESCAN_SECONDS = 5.0


class Crops:
    """Batches of random crops ``[B, N]`` float32 from a folder that may still be growing."""

    def __init__(self, folder: Path, batch: int, length: int, seed: int) -> None:
        self._folder, self._batch, self._length = folder, batch, length
        self._rng = np.random.default_rng(seed)
        self._open: dict[Path, np.ndarray] = {}
        self._scanned = -RESCAN_SECONDS
        self._queue: queue.Queue[Tensor | Exception] = queue.Queue(maxsize=8)
        threading.Thread(target=self._fill, daemon=True).start()

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            item = self._queue.get()
            if isinstance(item, Exception):
                raise item
            yield item

    def _fill(self) -> None:
        try:
            while True:
                self._queue.put(self._draw())
        except Exception as error:  # the reader must hear of it, or it waits for ever
            self._queue.put(error)

    def _rescan(self) -> None:
        if time.monotonic() - self._scanned < RESCAN_SECONDS:
            return
        for path in shards(self._folder):
            if path not in self._open:
                self._open[path] = np.load(path, mmap_mode="r")
        self._scanned = time.monotonic()
        if not self._open:
            raise FileNotFoundError(
                f"no shard-*.npy in {self._folder}: run python -m training.render --out "
                f"{self._folder} first"
            )

    def _draw(self) -> Tensor:
        self._rescan()
        pool = list(self._open.values())
        batch = np.empty((self._batch, self._length), np.float32)
        for row in batch:
            pieces = pool[self._rng.integers(len(pool))]
            start = self._rng.integers(pieces.shape[1] - self._length + 1)
            row[:] = pieces[self._rng.integers(len(pieces)), start : start + self._length]
        gain = self._rng.uniform(0.4, 1.0, size=(self._batch, 1)).astype(np.float32)
        return torch.from_numpy(batch * (gain / 32768))
