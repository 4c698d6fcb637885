"""What the studio asks of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from cadenza.request import GenerateRequest
from cadenza.take import Take

Progress = Callable[[int, int], None]  # done, in all


class Player(Protocol):
    """A model as far as the studio knows it; :class:`cadenza.Model` is one."""

    family: str

    @property
    def name(self) -> str:
        """As :func:`cadenza.load` finds it."""

    @property
    def rate(self) -> int:
        """Of the sound it makes, in hertz."""

    def generate_batch(
        self, requests: Sequence[GenerateRequest], progress: Progress | None = None
    ) -> list[Take]:
        """Make several pieces together."""
