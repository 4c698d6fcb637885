"""How far a band has come: a share that never goes back, and what is being done, in words."""

from __future__ import annotations

from dataclasses import dataclass, field

from cadenza.types import Progress, Say

PARTS = 1000  # that the whole is counted in


@dataclass
class Course:
    """What is told to those who wait; ``None`` is nobody."""

    progress: Progress | None = None
    say: Say | None = None
    _reached: int = field(default=0, init=False)

    def at(self, share: float) -> None:
        """So much of the whole is done, 0 to 1."""
        self._reached = max(self._reached, round(PARTS * share))
        if self.progress is not None:
            self.progress(self._reached, PARTS)

    def about(self, words: str) -> None:
        """This is what is done now."""
        if self.say is not None:
            self.say(words)
