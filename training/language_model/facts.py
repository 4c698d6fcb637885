"""What is true of a piece, as something to learn beside its tokens.

The next token of music says little about the caption, so a small model takes long to find out what
its text is good for. Here the text's states have to tell the facts of the piece; so have the states
in the middle of the decoder, which also have to count the beat. The heads that read them are thrown
away afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.corpus.genres import GENRES
from training.corpus.instruments import INSTRUMENTS, KITS
from training.corpus.piece import Piece

FRAME_RATE = 50  # of the codec

_GENRES = tuple(GENRES)
FAMILIES = (*dict.fromkeys(instrument.family for instrument in INSTRUMENTS.values()), "drums")
_NAMES = (*INSTRUMENTS, *KITS)
_LABELS = (len(_GENRES), len(FAMILIES), 2, 24)  # genre, leading family, drums or not, key
_UNKNOWN = -100  # the key of drums alone

_TEMPI = np.geomspace(55, 190, 48)  # beats a minute
_SPREAD = 0.03  # of a tempo over those beside it, of its logarithm
_PULSES = (0.25, 0.5, 1.0, 2.0, 4.0)  # in a beat


def arrays_of(pieces: Sequence[Piece]) -> dict[str, np.ndarray]:
    """What encoded pieces carry along: tempo and meter ``[P]``, labels ``[P, 4]``, and which
    instruments play, ``[P, I]``."""
    rows = [_facts_of(piece) for piece in pieces]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _facts_of(piece: Piece) -> dict[str, np.ndarray]:
    key = _UNKNOWN if piece.lead == "drums" else piece.tonic + 12 * (piece.mode == "minor")
    labels = (_GENRES.index(piece.genre), FAMILIES.index(piece.lead), piece.has_drums, key)
    return {
        "tempo": np.float32(piece.tempo),
        "meter": np.int16(piece.meter),
        "labels": np.asarray(labels, dtype=np.int16),
        "instruments": np.asarray([name in piece.instruments for name in _NAMES]),
    }


@dataclass(frozen=True, eq=False)
class Facts:
    """Of a batch of crops."""

    tempo: Tensor  # [B], beats a minute
    labels: Tensor  # [B, 4], int16
    instruments: Tensor  # [B, I], bool
    start: Tensor  # [B], int64, the frame of the piece where the crop begins


class FactHeads(nn.Module):
    """Tells labels, tempo and instruments from states of a ``width``, from each state alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sizes = [*_LABELS, len(_TEMPI), len(_NAMES)]
        self.outlet = nn.Linear(width, sum(self.sizes))

    def forward(self, states: Tensor, facts: Facts, mask: Tensor) -> Tensor:
        """Losses ``[6]`` of the states ``[B, S, D]`` where ``mask [B, S]`` is true."""
        row = mask.nonzero()[:, 0]
        *labels, tempo, instruments = self.outlet(states[mask].float()).split(self.sizes, -1)
        losses = [
            F.cross_entropy(logits, truth[row].long(), ignore_index=_UNKNOWN)
            for logits, truth in zip(labels, facts.labels.T, strict=True)
        ]
        tempi = torch.from_numpy(np.log(_TEMPI)).to(facts.tempo)
        near = (-0.5 * ((facts.tempo.log()[:, None] - tempi) / _SPREAD).square()).softmax(-1)
        losses.append(F.cross_entropy(tempo, near[row]))
        playing = facts.instruments[row].float()
        losses.append(0.1 * len(_NAMES) * F.binary_cross_entropy_with_logits(instruments, playing))
        return torch.stack(losses)

    def told(self, states: Tensor, facts: Facts, mask: Tensor) -> Tensor:
        """Rightly told shares ``[5]`` of the rows: labels, and tempo within 4 %. All states of a
        row vote."""
        *labels, tempo, _ = self.outlet(states.float()).split(self.sizes, -1)
        heard = [(x.log_softmax(-1) * mask[..., None]).sum(1).argmax(-1) for x in (*labels, tempo)]
        rights = [
            (vote == truth)[truth != _UNKNOWN]
            for vote, truth in zip(heard[:-1], facts.labels.T, strict=True)
        ]
        tempi = torch.from_numpy(_TEMPI).to(facts.tempo)
        rights.append((tempi[heard[-1]] / facts.tempo - 1).abs() < 0.04)
        return torch.stack([right.float().mean() for right in rights])


class BeatHead(nn.Module):
    """Tells from states of a ``width``, one a frame, where in its beat each frame lies."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.outlet = nn.Linear(width, 2 * len(_PULSES))

    def forward(self, states: Tensor, facts: Facts) -> Tensor:
        """Mean squared error ``[pulses]`` of the hands of clocks that go round once a pulse; 1 is
        what a head that knows nothing reaches."""
        frames = facts.start[:, None] + torch.arange(states.shape[1], device=states.device)
        beats = frames * (facts.tempo / 60 / FRAME_RATE)[:, None]
        angles = 2 * math.pi * beats[..., None] * torch.tensor(_PULSES, device=states.device)
        hands = torch.stack([angles.cos(), angles.sin()], -1)
        told = self.outlet(states.float()).unflatten(-1, hands.shape[-2:])
        return (told - hands).square().sum(-1).mean((0, 1))
