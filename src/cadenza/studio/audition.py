"""Several takes of one request, heard and ranked, as a producer would: by rules that can be read.

What is silent, clipped, ends early, drifts in level or misses the tempo or key that the prompt
asks for is thrown out. The rest is ranked by a score from 0 to 100, the weighted mean of what
``PARTS`` lists; a part that the prompt does not ask for is left out of the mean.

A model with a critic of its own (:mod:`cadenza.studio.critic`) is heard by that: it hears tempo and
key more surely, and mode, instrument, drums and solos besides. ``CRITIC_PARTS`` has its parts. What
it keeps is brought in time and in key, too, unless the request says otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from cadenza.beats import Analysis, analyse, fit
from cadenza.errors import OptionError
from cadenza.request import GenerateRequest, new_seed
from cadenza.studio.align import TEMPO_TOLERANCE, in_key, trusted
from cadenza.studio.asked import Asked, asked
from cadenza.studio.critic import Critic, Opinion, wanted_of
from cadenza.studio.levels import fullness, levels_of, unevenness, unusable
from cadenza.studio.player import Player
from cadenza.studio.wishes import wishes_of
from cadenza.take import Take
from cadenza.types import MAX_SEED, Audio, Codes, FloatArray, Progress, Recipe

MAX_TAKES = 32
TOGETHER = 16  # takes in a batch
CHOICE = 16  # takes of which a critic keeps the best where nothing else is asked for
SHORTLIST = 3  # of many takes, those that a critic wants to hear to the end
BEGINNING = 4.0  # seconds of the others that it hears

_Groups = Sequence[Sequence[GenerateRequest]]
_Made = TypeVar("_Made", Take, Codes)

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
    *,
    whole: bool = False,
) -> list[list[Heard]]:
    """Let ``count`` takes of each request be played, with the seeds from its own on, and rank them.

    Takes that are thrown out come last, the least bad of them first, so there is always a best one.
    Of many takes a critic hears the beginnings, and only the ``SHORTLIST`` that begin best are
    played to their end and returned; with ``whole`` all are.

    Raises:
        OptionError: a count out of bounds.
        CadenzaError: as for :meth:`cadenza.Model.generate_batch`.
    """
    check_count(count)
    critic = player.critic
    if critic is not None:
        requests = [_mended(request) for request in requests]
    groups = [_takes(request, count) for request in requests]
    playing = _Playing(progress)
    if critic is not None and not whole and count > SHORTLIST:
        begun = [[_beginning_of(take) for take in group] for group in groups]
        shortest = [group[:SHORTLIST] for group in groups]  # whichever these will be
        for number, codes in enumerate(playing.play(player.generate_codes, begun, shortest)):
            groups[number] = _shortlisted(groups[number], codes, critic)
    return [ranked(takes, critic) for takes in playing.play(player.generate_batch, groups)]


def _shortlisted(
    requests: Sequence[GenerateRequest], begun: Sequence[Codes], critic: Critic
) -> list[GenerateRequest]:
    """Those that begin best, in their order."""
    promise = [
        _mean(_opinion(critic, codes, request).fulfilled, CRITIC_PARTS)
        for codes, request in zip(begun, requests, strict=True)
    ]
    best = sorted(range(len(requests)), key=lambda number: -promise[number])[:SHORTLIST]
    return [requests[number] for number in sorted(best)]


def _opinion(critic: Critic, codes: Codes, made: GenerateRequest | Recipe) -> Opinion:
    in_time, in_key = bool(made.in_time), bool(made.in_key)
    return critic.weigh(codes, made.text or "", in_time=in_time, in_key=in_key)


def _mended(request: GenerateRequest) -> GenerateRequest:
    """The request in time and in key, where it leaves that open and a take can be."""
    if request.beginning is not None:
        return request
    wishes = wishes_of(request.text)
    in_time = wishes.tempo is not None if request.in_time is None else request.in_time
    in_key = wishes.key is not None if request.in_key is None else request.in_key
    return dataclasses.replace(request, in_time=in_time, in_key=in_key)


def _beginning_of(request: GenerateRequest) -> GenerateRequest:
    """What a take of so many seconds shares with the whole one, but for its very last frames."""
    shorter = min(BEGINNING, request.duration)
    return dataclasses.replace(request, duration=shorter, in_time=False, in_key=False)


class _Playing:
    """Plays what is asked for, ``TOGETHER`` takes at a time, and says how far that is."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._before = progress, 0.0

    def play(
        self,
        generate: Callable[[Sequence[GenerateRequest], Progress], list[_Made]],
        groups: _Groups,
        later: _Groups = (),
    ) -> list[list[_Made]]:
        """What is generated of each group; what is played ``later`` counts for the progress."""
        wanted = [request for group in groups for request in group]
        total = self._before + sum(r.duration for group in (*groups, *later) for r in group)
        made: list[_Made] = []
        for first in range(0, len(wanted), TOGETHER):
            batch = wanted[first : first + TOGETHER]
            seconds: float = sum(request.duration for request in batch)

            def share(done: int, steps: int, seconds: float = seconds) -> None:
                if self._progress is not None:
                    now = self._before + seconds * done / steps
                    self._progress(round(1000 * now / total), 1000)

            made += generate(batch, share)
            self._before += seconds
        rest = iter(made)
        return [list(islice(rest, len(group))) for group in groups]


def play(
    player: Player,
    requests: Sequence[GenerateRequest],
    count: int,
    progress: Progress | None = None,
    *,
    whole: bool = False,
) -> tuple[list[list[Take]], list[list[Heard]]]:
    """The takes of each request, the best first, and where there are several, what is heard: a
    single one is not listened to. ``whole`` as for :func:`auditions`.

    Raises:
        CadenzaError: as for :func:`auditions`.
    """
    if count == 1:
        return [[take] for take in player.generate_batch(requests, progress)], []
    heard = auditions(player, requests, count, progress, whole=whole)
    return [[one.take for one in ranking] for ranking in heard], heard


def count_for(
    best_of: int | None, seed: int | None, player: Player, texts: Iterable[str | None]
) -> int:
    """How many takes are played of requests that want the best of so many, or do not say.

    Whoever names a seed wants that very take, and where no text asks for anything that a critic
    hears there is nothing to choose by.
    """
    if best_of is not None:
        return best_of
    if seed is not None or player.critic is None:
        return 1
    return CHOICE if any(text and wanted_of(text).anything for text in texts) else 1


def check_count(count: int) -> None:
    """Refuse a number of takes that nobody can want.

    Raises:
        OptionError: out of bounds.
    """
    if not 1 <= count <= MAX_TAKES:
        raise OptionError(f"best-of must be from 1 to {MAX_TAKES} takes, not {count}")


def ranked(takes: Sequence[Take], critic: Critic | None = None) -> list[Heard]:
    """The takes of one prompt with their scores, the best first."""
    if critic is None:
        scores = [score(take.audio, take.recipe.text or "") for take in takes]
    else:
        scores = [_criticised(take, critic) for take in takes]
    heard = [Heard(take, found) for take, found in zip(takes, scores, strict=True)]
    return sorted(heard, key=lambda one: (len(one.score.faults), -one.score.total))


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
    wanted = asked(prompt)
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
