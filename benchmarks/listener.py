"""A listener that was taught on rendered pieces to hear tempo, mode, drums and instruments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.examples import Examples
from benchmarks.features import Features
from benchmarks.labels import INSTRUMENTS, MODES, Labels
from benchmarks.networks import ColourNetwork, KeyNetwork, TempoNetwork

EPOCHS, BATCH = 6, 32
HIGHEST_RATE = 3e-3
HEARD_AT_ONCE = 64


class Listener(nn.Module):
    """Hears what is in ten seconds of sound."""

    def __init__(self) -> None:
        super().__init__()
        self.tempo = TempoNetwork()
        self.key = KeyNetwork()
        self.colour = ColourNetwork()

    @torch.inference_mode()
    def hear(self, features: Features) -> list[Labels]:
        """What each of a batch of sounds holds, as far as this listener can tell."""
        self.eval()
        return [
            Labels(tempo, drums, tuple(INSTRUMENTS)[instrument], MODES[minor])
            for parts in zip(*(x.split(HEARD_AT_ONCE) for x in _tensors(features)), strict=True)
            for tempo, minor, instrument, drums in self._hear(*(part.float() for part in parts))
        ]

    def _hear(
        self, rhythm: Tensor, pitches: Tensor, colour: Tensor
    ) -> list[tuple[float, int, int, bool]]:
        instrument, drums = self.colour.hear(colour)
        heard = (self.tempo.hear(rhythm), self.key.hear(pitches), instrument, drums)
        return list(zip(*(part.tolist() for part in heard), strict=True))


def taught(lessons: Sequence[Examples], epochs: int = EPOCHS) -> Listener:
    """A new listener that has heard all ``lessons`` so often, the same from the same ones.

    All three networks learn side by side and share nothing.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _teach(Listener(), lessons, epochs)


def _teach(listener: Listener, lessons: Sequence[Examples], epochs: int) -> Listener:
    parts = zip(*(_tensors(lesson.features) for lesson in lessons), strict=True)
    rhythm, pitches, colour = map(torch.cat, parts)
    truth = _Truths.of(lessons)
    listener.colour.standardise(colour)
    batches = len(colour) // BATCH
    optimiser = torch.optim.AdamW(listener.parameters(), weight_decay=0.03)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, HIGHEST_RATE, total_steps=epochs * batches
    )
    listener.train()
    for epoch in range(epochs):
        losses = []
        for rows in torch.randperm(len(colour)).split(BATCH)[:batches]:
            keyed = rows[truth.keyed[rows]]
            loss = torch.stack(
                [
                    listener.tempo.loss(rhythm[rows].float(), truth.tempo[rows]),
                    listener.key.loss(pitches[keyed].float(), truth.key[keyed]),
                    listener.colour.loss(
                        colour[rows].float(), truth.instrument[rows], truth.drums[rows]
                    ),
                ]
            )
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.detach())
        means = "  ".join(f"{x:.3f}" for x in torch.stack(losses).mean(0).tolist())
        print(
            f"lesson {epoch + 1} of {epochs}: losses of tempo, key and instruments {means}",
            file=sys.stderr,
            flush=True,
        )
    return listener.eval()


@dataclass(frozen=True, eq=False)
class _Truths:
    """What the networks are to say, ``[n]`` each."""

    tempo: Tensor
    key: Tensor  # tonic, + 12 for minor
    keyed: Tensor  # whether it has a key
    instrument: Tensor
    drums: Tensor

    @classmethod
    def of(cls, lessons: Sequence[Examples]) -> _Truths:
        truths = [truth for lesson in lessons for truth in lesson.truths]
        tonics = [tonic for lesson in lessons for tonic in lesson.tonics]
        names = list(INSTRUMENTS)
        minor = torch.tensor([truth.mode == "minor" for truth in truths])
        return cls(
            tempo=torch.tensor([truth.tempo for truth in truths]),
            key=torch.tensor(tonics) + 12 * minor,
            keyed=torch.tensor([truth.mode is not None for truth in truths]),
            instrument=torch.tensor([names.index(truth.instrument) for truth in truths]),
            drums=torch.tensor([float(truth.drums) for truth in truths]),
        )


def _tensors(features: Features) -> tuple[Tensor, Tensor, Tensor]:
    parts = (features.rhythm, features.pitches, features.colour)
    return tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in parts)
