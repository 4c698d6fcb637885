"""What the studio asks of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cadenza.request import GenerateRequest
from cadenza.studio.critic import Critic
from cadenza.take import Take
from cadenza.types import Codes, ModelIdentity, Progress


class Player(Protocol):
    """A model as far as the studio knows it; :class:`cadenza.Model` is one."""

    @property
    def family(self) -> str:
        """``text`` or ``melody``."""

    @property
    def name(self) -> str:
        """As :func:`cadenza.load` finds it."""

    @property
    def rate(self) -> int:
        """Of the sound it makes, in hertz."""

    @property
    def identity(self) -> ModelIdentity:
        """Which checkpoint it is, and which adapters are in it."""

    @property
    def critic(self) -> Critic | None:
        """Who hears its takes, if its checkpoint has one."""

    def generate_batch(
        self, requests: Sequence[GenerateRequest], progress: Progress | None = None
    ) -> list[Take]:
        """Make several pieces together."""

    def generate_codes(
        self, requests: Sequence[GenerateRequest], progress: Progress | None = None
    ) -> list[Codes]:
        """The codes of these pieces, without turning them into sound."""
