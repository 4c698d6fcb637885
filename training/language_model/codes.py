"""Random crops of encoded pieces with one of their captions, drawn on the training device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor


class CodeCrops:
    """All encoded pieces of a folder that may still be growing, in the device's memory."""

    def __init__(self, folder: Path, device: torch.device, seed: int) -> None:
        self._folder, self._device = folder, device
        self._read: set[Path] = set()
        self._generator = torch.Generator(device).manual_seed(seed)
        self.codes = torch.empty(0)
        self.tokens = torch.empty(0)
        self.rescan()
        if not self._read:
            raise FileNotFoundError(
                f"no codes-*.npz in {folder}: run python -m training.encode --out {folder} first"
            )

    def rescan(self) -> None:
        """Take in the shards that have appeared since the last look."""
        fresh = [p for p in sorted(self._folder.glob("codes-*.npz")) if p not in self._read]
        if not fresh:
            return
        arrays = [np.load(path) for path in fresh]
        codes = torch.from_numpy(np.concatenate([a["codes"] for a in arrays])).to(self._device)
        tokens = torch.from_numpy(np.concatenate([a["tokens"] for a in arrays])).to(self._device)
        known = bool(self._read)
        self.codes = torch.cat([self.codes, codes]) if known else codes
        self.tokens = torch.cat([self.tokens, tokens]) if known else tokens
        self._read.update(fresh)

    def __len__(self) -> int:
        return len(self.codes)

    def draw(self, batch: int, frames: int) -> tuple[Tensor, Tensor]:
        """Codes ``[B, K, frames]`` and tokens ``[B, positions]``, int64.

        Half of the crops begin where their piece begins, the others anywhere: a window that
        slides over a long piece begins in the middle of the music.
        """

        def below(bound: int) -> Tensor:
            return torch.randint(bound, (batch,), generator=self._generator, device=self._device)

        piece, words = below(len(self.codes)), below(self.tokens.shape[1])
        start = below(self.codes.shape[2] - frames + 1) * below(2)
        columns = start[:, None] + torch.arange(frames, device=self._device)
        codes = self.codes[piece].gather(2, columns[:, None].expand(-1, self.codes.shape[1], -1))
        return codes.long(), self.tokens[piece, words].long()
