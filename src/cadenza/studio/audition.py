"""Several takes of one request, heard and ranked, as a producer would: by rules that can be read.

What is silent, clipped, ends early, drifts in level or misses the tempo or key that the prompt
asks for is thrown out. The rest is ranked by a score from 0 to 100, the weighted mean of what
``PARTS`` lists; a part that the prompt does not ask for is left out of the mean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cadenza.beats import Analysis, analyse, fit
from cadenza.errors import OptionError
from cadenza.request import GenerateRequest, new_seed
from cadenza.studio.align import TEMPO_TOLERANCE, in_key, trusted
from cadenza.studio.asked import Asked, asked
from cadenza.studio.levels import fullness, levels_of, unevenness, unusable
from cadenza.studio.player import Player
from cadenza.take import Take
from cadenza.types import MAX_SEED, Audio, Progress

MAX_TAKES = 32
TOGETHER = 16  # takes in a batch

PARTS = {
    # name: (weight, what it is)
    "tempo": (3.0, "how near the tempo is to the one asked for: 1 at the tempo, 0 at 8 % off"),
    "key": (2.0, "how well the pitches fit the key asked for: the correlation with its profile"),
    "pulse": (2.0, "how clearly the beat recurs"),
    "level": (1.0, "how evenly loud it is: 1 if no second stands out, 0 at 12 dB"),
    "fullness": (1.0, "the share of time in which something sounds"),
}
TEMPO_OFF = 0.08
UNEVEN = 12.0  # decibels


@dataclass(frozen=True)
class Score:
    """What was found in one take."""

    parts: dict[str, float]  # 0 to 1 each, only those that count here
    faults: tuple[str, ...]  # why it is thrown out
    heard: str  # tempo and key, in words

    @property
    def total(self) -> float:
        """0 to 100."""
        weights = [PARTS[name][0] for name in self.parts]
        return 100 * float(np.average(list(self.parts.values()), weights=weights))


@dataclass(frozen=True, eq=False)
class Heard:
    """A take and its score."""

    take: Take
    score: Score

    @property
    def facts(self) -> dict[str, Any]:
        """Seed and score, as JSON has them."""
        seed = self.take.recipe.sampling.seed
        return {"seed": seed, "total": self.score.total} | dataclasses.asdict(self.score)


def auditions(
    player: Player,
    requests: Sequence[GenerateRequest],
    count: int,
    progress: Progress | None = None,
) -> list[list[Heard]]:
    """Make ``count`` takes of each request, the best first, with the seeds from its own on.

    Takes that are thrown out come last, the least bad of them first; so there is always a best one.

    Raises:
        OptionError: a count out of bounds.
        CadenzaError: as for :meth:`cadenza.Model.generate_batch`.
    """
    check_count(count)
    wanted = [take for request in requests for take in _takes(request, count)]
    made: list[Take] = []
    for first in range(0, len(wanted), TOGETHER):
        batch = wanted[first : first + TOGETHER]

        def share(done: int, total: int, first: int = first, size: int = len(batch)) -> None:
            if progress is not None:
                progress(first * total + done * size, len(wanted) * total)

        made += player.generate_batch(batch, share)
    return [ranked(made[number * count : (number + 1) * count]) for number in range(len(requests))]


def play(
    player: Player,
    requests: Sequence[GenerateRequest],
    count: int,
    progress: Progress | None = None,
) -> tuple[list[list[Take]], list[list[Heard]]]:
    """The takes of each request, the best first, and where there are several, what is heard: a
    single one is not listened to.

    Raises:
        CadenzaError: as for :func:`auditions`.
    """
    if count == 1:
        return [[take] for take in player.generate_batch(requests, progress)], []
    heard = auditions(player, requests, count, progress)
    return [[one.take for one in ranking] for ranking in heard], heard


def check_count(count: int) -> None:
    """Refuse a number of takes that nobody can want.

    Raises:
        OptionError: out of bounds.
    """
    if not 1 <= count <= MAX_TAKES:
        raise OptionError(f"best-of must be from 1 to {MAX_TAKES} takes, not {count}")


def ranked(takes: Sequence[Take]) -> list[Heard]:
    """The takes with their scores, the best first."""
    heard = [Heard(take, score(take.audio, take.recipe.text or "")) for take in takes]
    return sorted(heard, key=lambda one: (len(one.score.faults), -one.score.total))


def score(audio: Audio, prompt: str) -> Score:
    """How a sound does what its prompt asks, and whether it can be used at all."""
    wanted = asked(prompt)
    heard = analyse(audio, wanted.tempo)
    levels = levels_of(audio)
    parts = {
        "pulse": heard.clarity,
        "level": 1 - min(unevenness(levels) / UNEVEN, 1.0),
        "fullness": fullness(levels),
    }
    if wanted.tempo is not None:
        off = abs(heard.tempo / wanted.tempo - 1) if heard.tempo else TEMPO_OFF
        parts["tempo"] = 1 - min(off / TEMPO_OFF, 1.0)
    if wanted.key is not None:
        parts["key"] = max(fit(heard.chroma, wanted.key), 0.0)
    ordered = {name: parts[name] for name in PARTS if name in parts}
    tempo = f"{heard.tempo:.1f} bpm" if heard.tempo else "no pulse"
    faults = tuple(unusable(audio, levels)) or tuple(_missed(heard, wanted))
    return Score(ordered, faults, f"{tempo}, {heard.key}" if heard.key else tempo)


def _takes(request: GenerateRequest, count: int) -> list[GenerateRequest]:
    seed = new_seed() if request.seed is None else request.seed
    seeds = [(seed + number) % (MAX_SEED + 1) for number in range(count)]
    return [dataclasses.replace(request, seed=seed) for seed in seeds]


def _missed(heard: Analysis, wanted: Asked) -> list[str]:
    faults = []
    if wanted.tempo is not None:
        tempo = trusted(heard).tempo
        if tempo is None:
            faults.append(f"no clear pulse, {wanted.tempo:g} bpm were asked for")
        elif abs(tempo / wanted.tempo - 1) > 2 * TEMPO_TOLERANCE:
            faults.append(f"{tempo:.1f} bpm, not {wanted.tempo:g}")
    if wanted.key is not None and not in_key(heard.chroma, wanted.key, heard.key):
        faults.append(f"{heard.key}, not {wanted.key}")
    return faults
