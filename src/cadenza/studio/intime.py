"""A take brought to the tempo that its prompt names.

A model plays near a tempo rather than at it. So a little more is made than was asked for, stretched
as far as nobody hears it, and cut to the length that was wanted.
"""

from __future__ import annotations

from cadenza.beats import analyse
from cadenza.studio.align import fitted, stretch_to, trusted
from cadenza.studio.critic import Critic
from cadenza.studio.stretch import stretch
from cadenza.types import Audio, Codes

FRAMES, LEFT = 25, 23  # so many become so many where the most is mended: 1 - MOST_STRETCH


def frames_to_make(wanted: int) -> int:
    """How many frames hold ``wanted`` of them at any tempo that can be mended."""
    return -(-wanted * FRAMES // LEFT)


def frames_wanted(made: int) -> int:
    """What was wanted where :func:`frames_to_make` said ``made``."""
    return made * LEFT // FRAMES


def in_time(audio: Audio, codes: Codes, tempo: float, samples: int, critic: Critic | None) -> Audio:
    """The first ``samples`` of a sound at ``tempo``, in beats a minute.

    What it plays at is heard by the ``critic`` in its ``codes``, where there is one: it misses
    fewer pulses than the rules, and tells them more exactly. What has no clear pulse, or is further
    off than can be mended, keeps its tempo.
    """
    if critic is not None:
        played = critic.tempo_near(codes, tempo)
    else:
        played = trusted(analyse(audio, tempo)).tempo
    return fitted(stretch(audio, stretch_to(played, tempo)), 0, samples)
