"""What was asked against what was heard, counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.labels import Labels, octave_error, same_tempo

SIMILAR_TEMPO = 0.1


@dataclass(frozen=True)
class Verdict:
    """One sound."""

    asked: Labels  # of a prompt, or the truth of a render
    heard: Labels

    def right(self, figure: str) -> bool:
        """Whether what was asked is there; a tempo may be 4 % off, its octave must be right."""
        asked, heard = getattr(self.asked, figure), getattr(self.heard, figure)
        return same_tempo(heard, asked) if figure == "tempo" else asked == heard

    @property
    def octave_off(self) -> bool:
        """Whether the tempo is right but for its octave."""
        return octave_error(self.heard.tempo, self.asked.tempo)


def asking(verdicts: Sequence[Verdict], figure: str) -> list[Verdict]:
    """Those where ``figure`` is asked for or known."""
    return [verdict for verdict in verdicts if getattr(verdict.asked, figure) is not None]


def accuracy(verdicts: Sequence[Verdict], figure: str) -> float:
    """The share of those asking for ``figure`` that are right."""
    return float(np.mean([verdict.right(figure) for verdict in asking(verdicts, figure)]))


def octave_errors(verdicts: Sequence[Verdict]) -> float:
    """The share of those asking for a tempo that play it in another octave."""
    return float(np.mean([verdict.octave_off for verdict in asking(verdicts, "tempo")]))


def matched_accuracy(renders: Sequence[Verdict], takes: Sequence[Verdict], figure: str) -> float:
    """The accuracy that ``renders`` reach where as much of each kind is asked as of ``takes``.

    A take that asks for a flute is set against the renders with a flute, one that asks for a
    tempo against the renders within 10 % of it.
    """
    renders = asking(renders, figure)
    asked = [getattr(take.asked, figure) for take in asking(takes, figure)]
    return float(
        np.mean(
            [
                accuracy([item for item in renders if _alike(item, figure, value)], figure)
                for value in asked
            ]
        )
    )


def chance(verdicts: Sequence[Verdict], figure: str) -> float:
    """The accuracy where every sound is set against what all the others ask for."""
    verdicts = asking(verdicts, figure)
    return float(
        np.mean(
            [
                Verdict(other.asked, verdict.heard).right(figure)
                for verdict in verdicts
                for other in verdicts
                if other is not verdict
            ]
        )
    )


def _alike(verdict: Verdict, figure: str, value: Any) -> bool:
    own = getattr(verdict.asked, figure)
    return abs(own / value - 1) <= SIMILAR_TEMPO if figure == "tempo" else own == value
