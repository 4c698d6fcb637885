"""Several takes of one request, of which the best is kept, as a producer would.

They are heard and ranked by rules, or by the critic of their model, see
:mod:`cadenza.studio.scoring`. What a critic keeps is brought in time and in key, too, unless the
request says otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from cadenza.errors import OptionError
from cadenza.request import GenerateRequest, new_seed
from cadenza.studio.critic import Critic, wanted_of
from cadenza.studio.player import Player
from cadenza.studio.scoring import Heard, Rated, promise, ranked, ratings
from cadenza.studio.wishes import wishes_of
from cadenza.take import Take
from cadenza.types import MAX_SEED, Codes, Progress

MAX_TAKES = 32
TOGETHER = 16  # takes in a batch
CHOICE = 16  # takes of which a critic keeps the best where nothing else is asked for
SHORTLIST = 3  # of many takes, those that a critic wants to hear to the end
BEGINNING = 4.0  # seconds of the others that it hears

_Groups = Sequence[Sequence[GenerateRequest]]
_Made = TypeVar("_Made", Take, Codes)


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
    promises = [
        promise(critic, codes, request) for codes, request in zip(begun, requests, strict=True)
    ]
    best = sorted(range(len(requests)), key=lambda number: -promises[number])[:SHORTLIST]
    return [requests[number] for number in sorted(best)]


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
) -> tuple[list[list[Take]], list[list[Rated]]]:
    """The best take of each request, with ``whole`` all of them, the best first; and where there
    are several, what is heard in them: a single one is not listened to.

    Raises:
        CadenzaError: as for :func:`auditions`.
    """
    check_count(count)
    if count == 1:
        return [[take] for take in player.generate_batch(requests, progress)], []
    if whole:
        heard = auditions(player, requests, count, progress, whole=True)
        return [[one.take for one in ranking] for ranking in heard], ratings(heard)
    best, rankings = player.choose(requests, count, progress)
    return [[take] for take in best], rankings


def count_for(
    best_of: int | None, seed: int | None, player: Player, texts: Iterable[str | None]
) -> int:
    """How many takes are played of requests that want the best of so many, or do not say.

    Whoever names a seed wants that very take, and where no text asks for anything that a critic
    hears there is nothing to choose by.
    """
    if best_of is not None:
        return best_of
    if seed is not None or not player.has_critic:
        return 1
    return CHOICE if any(text and wanted_of(text).anything for text in texts) else 1


def check_count(count: int) -> None:
    """Refuse a number of takes that nobody can want.

    Raises:
        OptionError: out of bounds.
    """
    if not 1 <= count <= MAX_TAKES:
        raise OptionError(f"best-of must be from 1 to {MAX_TAKES} takes, not {count}")


def _takes(request: GenerateRequest, count: int) -> list[GenerateRequest]:
    seed = new_seed() if request.seed is None else request.seed
    seeds = [(seed + number) % (MAX_SEED + 1) for number in range(count)]
    return [dataclasses.replace(request, seed=seed) for seed in seeds]
