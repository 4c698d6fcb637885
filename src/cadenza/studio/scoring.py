"""What is heard in takes of a prompt, and how good each is, by rules that can be read.

What is silent, clipped, ends early, drifts in level or misses the tempo or key that the prompt
asks for is thrown out. The rest is ranked by a score from 0 to 100, the weighted mean of what
``PARTS`` lists; a part that the prompt does not ask for is left out of the mean.

The critic of a model (:mod:`cadenza.studio.critic`) hears tempo and key more surely, and mode,
instrument, drums and solos besides. ``CRITIC_PARTS`` has its parts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from cadenza.beats import Analysis, analyse, fit
from cadenza.request import GenerateRequest
from cadenza.studio.align import TEMPO_TOLERANCE, in_key, trusted
from cadenza.studio.critic import Critic, Opinion
from cadenza.studio.levels import fullness, levels_of, unevenness, unusable
from cadenza.studio.wishes import Wishes, wishes_of
from cadenza.take import Take
from cadenza.types import Audio, Codes, FloatArray, Recipe

PARTS = {
    # name: (weight, what it is)
    "tempo": (3.0, "how near the tempo is to the one asked for: 1 at the tempo, 0 at 8 % off"),
    "key": (2.0, "how well the pitches fit the key asked for: the correlation with its profile"),
    "pulse": (2.0, "how clearly the beat recurs"),
    "level": (1.0, "how evenly loud it is: 1 if no second stands out, 0 at 12 dB"),
    "fullness": (1.0, "the share of time in which something sounds"),
}
CRITIC_PARTS = {
    "tempo": (3.0, "how likely it is that of the prompt"),
    "key": (3.0, "the same of the key"),
    "mode": (2.0, "of major or minor"),
    "instrument": (3.0, "of the instrument that leads"),
    "drums": (2.0, "of drums, or none"),
    "alone": (2.0, "of one instrument alone, or several"),
    "level": (0.5, PARTS["level"][1]),
    "fullness": (0.5, PARTS["fullness"][1]),
}
TEMPO_OFF = 0.08
UNEVEN = 12.0  # decibels


@dataclass(frozen=True)
class Score:
    """What was found in one take."""

    parts: dict[str, float]  # 0 to 1 each, only those that count here
    faults: tuple[str, ...]  # why it is thrown out
    heard: str  # tempo and key, in words; of a critic, who leads, too
    by_critic: bool = False

    @property
    def total(self) -> float:
        """0 to 100."""
        return 100 * _mean(self.parts, CRITIC_PARTS if self.by_critic else PARTS)


@dataclass(frozen=True)
class Rated:
    """The seed of a take and its score; the take itself may be gone, or elsewhere."""

    seed: int
    score: Score

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"seed": self.seed, "total": self.score.total} | dataclasses.asdict(self.score)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Of :attr:`facts`, wherever they were written down.

        Raises:
            KeyError, TypeError: they are no such facts.
        """
        known = {field.name: facts[field.name] for field in dataclasses.fields(Score)}
        return cls(facts["seed"], Score(**known | {"faults": tuple(known["faults"])}))


@dataclass(frozen=True, eq=False)
class Heard:
    """A take and its score."""

    take: Take
    score: Score

    @property
    def rated(self) -> Rated:
        """What is left of it when the take is forgotten."""
        return Rated(self.take.recipe.sampling.seed, self.score)


def promise(critic: Critic, begun: Codes, request: GenerateRequest) -> float:
    """How good the take of a request will be, 0 to 1, by its beginning."""
    return _mean(_opinion(critic, begun, request).fulfilled, CRITIC_PARTS)


def _opinion(critic: Critic, codes: Codes, made: GenerateRequest | Recipe) -> Opinion:
    in_time, in_key = bool(made.in_time), bool(made.in_key)
    return critic.weigh(codes, made.text or "", in_time=in_time, in_key=in_key)


def ranked(takes: Sequence[Take], critic: Critic | None = None) -> list[Heard]:
    """The takes of one prompt with their scores, the best first."""
    if critic is None:
        scores = [score(take.audio, take.recipe.text or "") for take in takes]
    else:
        scores = [_criticised(take, critic) for take in takes]
    heard = [Heard(take, found) for take, found in zip(takes, scores, strict=True)]
    return sorted(heard, key=lambda one: (len(one.score.faults), -one.score.total))


def ratings(rankings: Sequence[Sequence[Heard]]) -> list[list[Rated]]:
    """What is left of them when the takes are forgotten."""
    return [[one.rated for one in ranking] for ranking in rankings]


def _criticised(take: Take, critic: Critic) -> Score:
    """The score of a take as the critic of its model hears it: it is sure of nothing, so only what
    cannot be used is thrown out."""
    opinion = _opinion(critic, take.codes, take.recipe)
    levels = levels_of(take.audio)
    parts = opinion.fulfilled | _sounding(levels)
    ordered = {name: parts[name] for name in CRITIC_PARTS if name in parts}
    heard = f"{opinion.tempo:.0f} bpm, {opinion.key}, {opinion.lead}"
    return Score(ordered, tuple(unusable(take.audio, levels)), heard, by_critic=True)


def _mean(parts: Mapping[str, float], table: Mapping[str, tuple[float, str]]) -> float:
    """Weighted as the table says; 0 of nothing, which all takes are then equally good at."""
    weights = [table[name][0] for name in parts]
    return float(np.average(list(parts.values()), weights=weights)) if parts else 0.0


def _sounding(levels: FloatArray) -> dict[str, float]:
    return {"level": 1 - min(unevenness(levels) / UNEVEN, 1.0), "fullness": fullness(levels)}


def score(audio: Audio, prompt: str) -> Score:
    """How a sound does what its prompt asks, and whether it can be used at all."""
    wanted = wishes_of(prompt)
    heard = analyse(audio, wanted.tempo)
    levels = levels_of(audio)
    parts = {"pulse": heard.clarity} | _sounding(levels)
    if wanted.tempo is not None:
        off = abs(heard.tempo / wanted.tempo - 1) if heard.tempo else TEMPO_OFF
        parts["tempo"] = 1 - min(off / TEMPO_OFF, 1.0)
    if wanted.key is not None:
        parts["key"] = max(fit(heard.chroma, wanted.key), 0.0)
    ordered = {name: parts[name] for name in PARTS if name in parts}
    tempo = f"{heard.tempo:.1f} bpm" if heard.tempo else "no pulse"
    faults = tuple(unusable(audio, levels)) or tuple(_missed(heard, wanted))
    return Score(ordered, faults, f"{tempo}, {heard.key}" if heard.key else tempo)


def _missed(heard: Analysis, wanted: Wishes) -> list[str]:
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
