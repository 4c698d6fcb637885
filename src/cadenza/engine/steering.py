"""Where a piece is heading: what it listens to and how it draws, step by step."""

from __future__ import annotations

from collections.abc import Iterator

from cadenza.engine.mix import Mix, alone, crossfade, same, with_room
from cadenza.types import Conditioning, Sampling

STRIDE = 5  # steps from one change of the weights to the next: 0.1 s


class Steering:
    def __init__(self, conditioning: Conditioning, sampling: Sampling) -> None:
        self.mix, self.sampling = alone(conditioning), sampling
        self.to = conditioning  # what it heads for
        self._path: Iterator[Mix | None] = iter(())
        self._news = False

    def turn(self, to: Conditioning, over: int) -> None:
        """Head for ``to``, from wherever the piece is now, and be there after ``over`` steps."""
        self.to = to
        there = len(self.mix) == 1 and same(self.mix[0][0], to)
        self._path = _path(with_room(self.mix, to), to, 0 if there else over)

    def draw_by(self, sampling: Sampling) -> None:
        """Other sampling from the next step on."""
        self.sampling, self._news = sampling, True

    def advance(self) -> bool:
        """Go on by a step; whether the voices have to be told of another mix or sampling."""
        news, self._news = self._news, False
        mix = next(self._path, None)
        if mix is None:
            return news
        self.mix = mix
        return True


def _path(mix: Mix, to: Conditioning, over: int) -> Iterator[Mix | None]:
    """The mix of each step, ``None`` where it stays as it is."""
    for step in range(0, max(over, 1), STRIDE):
        arrived = step + STRIDE >= over
        yield crossfade(mix, to, 1 if arrived else (step + STRIDE) / over)
        if not arrived:
            yield from [None] * (STRIDE - 1)
