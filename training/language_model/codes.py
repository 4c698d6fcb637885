"""Captions of pieces, and random crops of encoded ones, drawn on the training device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.language_model.facts import FRAME_RATE, Facts

AT_BEGINNING, AT_BAR = 0.25, 0.5  # of the crops; the rest begins anywhere
MISSPELT = 0.05  # of the words: a reader of prompts has to bear words that it does not know


class Captions:
    """All captions of the shards in a folder, and the facts of their pieces.

    Some words are replaced by one of ``letters``, the tokens that unknown words are made of.
    """

    KIND = "captions"  # of the shards
    COMMAND = "training.captions"

    def __init__(
        self, folder: Path, device: torch.device, seed: int, letters: Sequence[int] = ()
    ) -> None:
        self._folder, self._device = folder, device
        self._letters = torch.tensor(letters, device=device)
        self._read: set[Path] = set()
        self._generator = torch.Generator(device).manual_seed(seed)
        self._arrays: dict[str, Tensor] = {}
        self.rescan()
        if not self._read:
            raise FileNotFoundError(
                f"no {self.KIND}-*.npz in {folder}: run python -m {self.COMMAND} --out {folder}"
            )

    def rescan(self) -> None:
        """Take in the shards that have appeared since the last look."""
        found = sorted(self._folder.glob(f"{self.KIND}-*.npz"))
        fresh = [path for path in found if path not in self._read]
        if not fresh:
            return
        files = [np.load(path) for path in fresh]
        for name in files[0]:
            array = torch.from_numpy(np.concatenate([file[name] for file in files]))
            known = [self._arrays[name]] if self._read else []
            self._arrays[name] = torch.cat([*known, array.to(self._device)])
        self._read.update(fresh)

    def __len__(self) -> int:
        return len(self._arrays["tokens"])

    def draw_text(self, batch: int) -> tuple[Tensor, Facts]:
        """Tokens ``[B, positions]`` without music, and the facts of their pieces."""
        piece = self._below(len(self), batch)
        return self._caption(piece), self._facts(piece, torch.zeros_like(piece))

    def _caption(self, piece: Tensor) -> Tensor:
        tokens = self._arrays["tokens"]
        tokens = tokens[piece, self._below(tokens.shape[1], len(piece))].long()
        tokens = tokens[:, : int((tokens != 0).sum(1).max())]
        if not len(self._letters):
            return tokens
        letters = self._letters[self._below(len(self._letters), tokens.numel())].view_as(tokens)
        misspelt = self._uniform(tokens.numel()).view_as(tokens) < MISSPELT
        return torch.where(misspelt & (tokens > 2), letters, tokens)

    def _facts(self, piece: Tensor, start: Tensor) -> Facts:
        known = (self._arrays[name][piece] for name in ("tempo", "labels", "instruments"))
        return Facts(*known, start)

    def _below(self, bound: int, count: int) -> Tensor:
        return torch.randint(bound, (count,), generator=self._generator, device=self._device)

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, generator=self._generator, device=self._device)


class CodeCrops(Captions):
    """All encoded pieces of a folder that may still be growing, in the device's memory."""

    KIND = "codes"
    COMMAND = "training.encode"

    def draw(self, batch: int, frames: int) -> tuple[Tensor, Tensor, Facts]:
        """Codes ``[B, K, frames]`` and tokens ``[B, positions]``, int64, and the pieces' facts.

        Most crops begin with a bar, as music does, so that text and time tell where the beats are;
        the others anywhere, as a window that slides over a long piece does.
        """
        piece, codes = self._below(len(self), batch), self._arrays["codes"]
        latest = codes.shape[2] - frames
        bar = self._arrays["meter"][piece] * 60 / self._arrays["tempo"][piece] * FRAME_RATE
        where, start = self._uniform(batch), self._uniform(batch) * (latest + 1)
        start = torch.where(where < AT_BEGINNING + AT_BAR, start // bar * bar, start)
        start = torch.where(where < AT_BEGINNING, 0, start).round().long().clamp(max=latest)
        columns = start[:, None] + torch.arange(frames, device=self._device)
        crops = codes[piece].gather(2, columns[:, None].expand(-1, codes.shape[1], -1))
        return crops.long(), self._caption(piece), self._facts(piece, start)
