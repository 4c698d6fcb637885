"""Whether takes hold what their prompts ask for, as this field counts it.

Tempo: accuracies 1 and 2 of Gouyon et al. 2006, «An experimental comparison of audio tempo
induction algorithms»: within 4 %, and within 4 % of the tempo, its double, half, triple or third.
Key: the weighted score of MIREX, which gives half a point for the fifth above, 0.3 for the relative
key and 0.2 for the parallel one.
"""

from __future__ import annotations

from cadenza.types import Key

TOLERANCE = 0.04
OCTAVES = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)


def same_tempo(heard: float | None, asked: float) -> bool:
    """Accuracy 1."""
    return heard is not None and abs(heard / asked - 1) <= TOLERANCE


def same_tempo_or_octave(heard: float | None, asked: float) -> bool:
    """Accuracy 2."""
    return any(same_tempo(heard, asked * factor) for factor in OCTAVES)


def key_score(heard: Key | None, asked: Key) -> float:
    """MIREX's, 0 to 1."""
    if heard is None:
        return 0.0
    if heard == asked:
        return 1.0
    above = (heard.tonic - asked.tonic) % 12
    if heard.mode == asked.mode:
        return 0.5 if above == 7 else 0.0
    if above == (9 if asked.mode == "major" else 3):
        return 0.3
    return 0.2 if above == 0 else 0.0
