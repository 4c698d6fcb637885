"""How is learned, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass

from cadenza.errors import OptionError


@dataclass(frozen=True)
class Settings:
    """How is learned. The defaults suit half an hour of music as well as ten pieces.

    Raises:
        OptionError: one out of its range.
    """

    steps: int = 1000  # at most
    batch: int = 4  # pieces a step
    rate: float = 2e-3
    rank: int = 16  # of the matrices: how much can be learned
    every: int = 50  # steps between two looks at what is held out
    patience: int = 4  # looks without progress after which it ends
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("steps", 1, 1_000_000),
            ("batch", 1, 256),
            ("rate", 1e-7, 0.1),
            ("rank", 1, 256),
            ("every", 1, 10_000),
            ("patience", 1, 1000),
            ("seed", 0, 2**31 - 1),
        ):
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise OptionError(f"{name} must be from {lowest} to {highest}, not {value}")


@dataclass(frozen=True)
class Report:
    """How far it is. Losses are in nats a token; ``held_out`` is of what is not learned from."""

    step: int
    loss: float | None  # mean since the last report; None before the first step
    held_out: float
    best: bool  # the best so far, and therefore kept
