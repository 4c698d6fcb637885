"""Whether one instrument plays alone, as what the listener sees of its colours tells."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.features import extract
from benchmarks.listener import Listener
from benchmarks.pieces import excerpts, pieces
from training.corpus.piece import HELD_OUT

FIRST_SEED = HELD_OUT + 510_000
LESSONS = 160  # solos and bands in turn
STIFFNESS = 300.0  # of the ridge regression, on values of variance 1

Colours = NDArray[np.float16]  # [n, frames, bands], as in Features


@dataclass(frozen=True, eq=False)
class Alone:
    """A plane through what the listener's last layer but one holds of a sound."""

    sight: nn.Module
    mean: Tensor
    spread: Tensor
    weights: Tensor  # the last one is the offset

    @torch.inference_mode()
    def hear(self, colours: Colours) -> list[bool]:
        """Whether a single instrument plays in each of ``n`` sounds."""
        seen = (_see(self.sight, colours) - self.mean) / self.spread
        return (_with_one(seen) @ self.weights > 0).tolist()


@torch.inference_mode()
def taught(listener: Listener, lessons: int = LESSONS) -> Alone:
    """A ridge regression on rendered solos and bands, the same from the same listener."""
    solos = pieces(FIRST_SEED, lambda piece: piece.solo)
    bands = pieces(FIRST_SEED, lambda piece: not piece.solo)
    in_turn = itertools.chain.from_iterable(zip(solos, bands, strict=False))
    heard = [excerpts(piece, 0.0)[0] for piece in itertools.islice(in_turn, lessons)]

    sight = copy.deepcopy(listener.colour).eval()
    sight.outlet = sight.outlet[:-1]
    colours = np.concatenate([extract(lesson.samples[None]).colour for lesson in heard])
    seen = _see(sight, colours)
    spread, mean = torch.std_mean(seen, dim=0)
    spread = spread.clamp(min=1e-3)
    seen = _with_one((seen - mean) / spread)
    truth = torch.tensor([1.0 if lesson.piece.solo else -1.0 for lesson in heard])
    stiff = STIFFNESS * torch.eye(seen.shape[1])
    weights = torch.linalg.solve(seen.mT @ seen + stiff, seen.mT @ truth)
    return Alone(sight, mean, spread, weights)


def _see(sight: nn.Module, colours: Colours) -> Tensor:
    seen: Tensor = sight(torch.from_numpy(colours).float())
    return seen


def _with_one(seen: Tensor) -> Tensor:
    return torch.cat([seen, torch.ones(len(seen), 1)], dim=1)
