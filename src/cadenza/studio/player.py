"""What the studio asks of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cadenza.request import GenerateRequest
from cadenza.studio.critic import Critic
from cadenza.studio.scoring import Rated
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
    def has_critic(self) -> bool:
        """Whether its checkpoint has one, who chooses better than rules do."""

    @property
    def critic(self) -> Critic | None:
        """Who hears its takes, if there is one and it is here."""

    def generate_batch(
        self, requests: Sequence[GenerateRequest], progress: Progress | None = None
    ) -> list[Take]:
        """Make several pieces together."""

    def generate_codes(
        self, requests: Sequence[GenerateRequest], progress: Progress | None = None
    ) -> list[Codes]:
        """The codes of these pieces, without turning them into sound."""

    def choose(
        self,
        requests: Sequence[GenerateRequest],
        count: int,
        progress: Progress | None = None,
    ) -> tuple[list[Take], list[list[Rated]]]:
        """The best of ``count`` takes of each request; and of each the scores, the best first."""
