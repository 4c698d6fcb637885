"""Where a loop begins: just ahead of an attack, where its seam is heard least."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cadenza.spectrum import band_power, mel_filters
from cadenza.studio.seam import FLOOR, Seam, joined, measure, room
from cadenza.types import Audio, FloatArray

NEAR = 0.03  # seconds to either side of a beat in which its attack lies
RISE = 0.01  # seconds before and after an attack whose power is compared
AHEAD = 0.016  # seconds before an attack in which the loop may begin
STEP = 0.001  # seconds between two beginnings that are tried
BEFORE, AFTER = 0.2, 0.6  # seconds around an attack that are compared with those a loop later
FRAME, BANDS = 0.02, 40
CLOSEST = 12  # attacks that are tried


@dataclass(frozen=True, eq=False)
class Beginning:
    """``loop [C, length]``, cut from the sample ``start`` on, and its seam."""

    start: int
    loop: Audio
    seam: Seam


def best_beginning(audio: Audio, times: Iterable[float], length: int) -> Beginning | None:
    """The best place to cut a loop of ``length`` samples, or ``None`` where none leaves room.

    The attacks nearest to ``times`` are tried, that first around which the music is most like that
    a loop later. The loop begins in the last moments ahead of the attack, which is itself among the
    largest changes there are and would be the seam. The first attack will do that has a fine seam
    ahead of it; where none has, it is the place where the seam is heard least.
    """
    mono = audio.samples.mean(axis=0)
    attacks = {attack_near(mono, time, audio.rate) for time in times}
    fitting = [at for at in attacks if room(audio.rate) < at <= len(mono) - length]
    best = None
    for attack in _ranked(mono, fitting, length, audio.rate)[:CLOSEST]:
        places = [_at(audio, start, length) for start in _ahead(mono, attack, audio.rate)]
        best = min((best, *places) if best else places, key=lambda found: found.seam.percentile)
        if best.seam.ok:
            break
    return best


def _at(audio: Audio, start: int, length: int) -> Beginning:
    loop = Audio(joined(audio.samples, start, length, audio.rate), audio.rate)
    return Beginning(start, loop, measure(loop))


def attack_near(mono: FloatArray, time: float, rate: int) -> int:
    """The sample at which ``mono [N]`` rises most, within a beat's reach of ``time`` seconds."""
    around, reach = round(RISE * rate), round(NEAR * rate)
    middle = round(time * rate)
    first = max(middle - reach, 0)
    part = np.pad(mono, around)[first : middle + reach + 2 * around]
    power = np.cumsum(np.square(part, dtype=np.float64))
    sums = power[around:] - power[:-around] + FLOOR * around
    return first + int((sums[around:] / sums[:-around]).argmax())


def _ahead(mono: FloatArray, attack: int, rate: int) -> list[int]:
    """Where the wave crosses zero ahead of ``attack``, one place every ``STEP``."""
    first = max(attack - round(AHEAD * rate), room(rate))
    part = mono[first - 1 : attack]
    crossings = np.flatnonzero((part[:-1] < 0) & (part[1:] >= 0))
    if not len(crossings):  # low or silent: the smallest value will do
        crossings = np.array([np.abs(part[1:]).argmin()])
    _, distinct = np.unique(crossings // round(STEP * rate), return_index=True)
    return [first + int(place) for place in crossings[distinct]]


def _ranked(mono: FloatArray, attacks: Sequence[int], length: int, rate: int) -> list[int]:
    """``attacks``, that first around which the music is most like that a loop later."""
    hop = round(FRAME * rate)
    filters = mel_filters(rate, 2 * hop, BANDS, 50.0, rate / 2)
    bands = 10 * np.log10(band_power(mono, 2 * hop, hop, filters) + FLOOR)

    def unlike(attack: int) -> float:
        first, second = attack // hop, (attack + length) // hop
        before = min(round(BEFORE / FRAME), first)
        after = min(round(AFTER / FRAME), len(bands) - second)
        one = bands[first - before : first + after]
        return float(np.abs(one - bands[second - before : second + after]).mean())

    return sorted(attacks, key=unlike)
