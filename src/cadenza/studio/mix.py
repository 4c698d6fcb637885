"""Tracks to one stereo piece: level, place, colour, room, loudness. Every setting is a value.

All is computed in double precision, sample by sample in place: no stage shifts the sound in time,
and the same tracks and settings give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cadenza.audio import loudness
from cadenza.errors import AudioError, OptionError
from cadenza.studio.dynamics import duck, limiting
from cadenza.studio.filters import Samples, equalise
from cadenza.studio.reverb import reverberate
from cadenza.studio.settings import Bus, Strip
from cadenza.types import Audio

NO_REVERB = -60.0
CLOSE = 0.05  # LU that the mix may miss its loudness by
ROUNDS = 4  # of limiting and measuring until it is close


@dataclass(frozen=True, eq=False)
class Mix:
    """A finished mix: ``audio [2, N]``, and the ``gain [N]`` that the bus gave to the sum."""

    audio: Audio
    gain: NDArray[np.float64]


def mix(tracks: Mapping[str, Audio], strips: Mapping[str, Strip], bus: Bus) -> Mix:
    """The tracks, each through its strip, as stereo at their rate.

    Args:
        tracks: of equal rate and length, mono or stereo, by name.
        strips: by the same names.

    Raises:
        AudioError: tracks that differ in rate or length.
        OptionError: a track without a strip, or one that ducks under a track that is not there.
    """
    _check(tracks, strips)
    total = sum(_in_mix(name, tracks, strips, bus) for name in tracks)
    rate = next(iter(tracks.values())).rate
    samples = np.asarray(total)
    gain = _mastering(samples, rate, bus)
    return Mix(Audio((samples * gain).astype(np.float32), rate), gain)


def stem(
    name: str, tracks: Mapping[str, Audio], strips: Mapping[str, Strip], bus: Bus, mixed: Mix
) -> Audio:
    """What one track is of a mix, with its room: all stems add up to the mix."""
    samples = _in_mix(name, tracks, strips, bus) * mixed.gain
    return Audio(samples.astype(np.float32), tracks[name].rate)


def _in_mix(
    name: str, tracks: Mapping[str, Audio], strips: Mapping[str, Strip], bus: Bus
) -> Samples:
    """One track and what the room answers to it, ``[2, N]``, ahead of the bus."""
    audio, strip = tracks[name], strips[name]
    if not _is_heard(name, tracks, strips):
        return np.zeros((2, audio.samples.shape[1]))
    placed = place(audio, strip)
    if strip.duck_under:
        drums = tracks[strip.duck_under].samples.astype(np.float64)
        placed = duck(placed, drums, audio.rate, strip.duck)
    if strip.reverb > NO_REVERB:
        placed = placed + reverberate(placed * _factor(strip.reverb), audio.rate, bus)
    return placed


def _is_heard(name: str, tracks: Iterable[str], strips: Mapping[str, Strip]) -> bool:
    """Whether a track is neither muted nor beside one that is on solo."""
    alone = any(strips[other].solo for other in tracks)
    return not strips[name].mute and (strips[name].solo or not alone)


def place(audio: Audio, strip: Strip) -> Samples:
    """One track as it enters the sum, ``[2, N]``: filtered, at its level, in its place.

    Panning keeps the power: the middle leaves both sides as they are, an end gives one side
    3 dB more.
    """
    samples = equalise(audio.samples.astype(np.float64), audio.rate, strip)
    angle = (strip.pan + 1) * math.pi / 4
    sides = math.sqrt(2) * np.array([[math.cos(angle)], [math.sin(angle)]])
    return samples * sides * _factor(strip.gain)


def level_of(audio: Audio, strip: Strip) -> float:
    """The loudness of a track behind its strip, in LUFS; minus infinity for silence."""
    return loudness(Audio(place(audio, strip).astype(np.float32), audio.rate))


def _mastering(samples: Samples, rate: int, bus: Bus) -> NDArray[np.float64]:
    """The gain ``[N]`` to the loudness of the bus, or as near as its ceiling allows."""
    measured = loudness(Audio(samples.astype(np.float32), rate))
    if not math.isfinite(measured):
        return np.ones(samples.shape[1])
    level = bus.loudness - measured
    for _ in range(ROUNDS):
        gain = limiting(samples * _factor(level), rate, bus.ceiling) * _factor(level)
        missing = bus.loudness - loudness(Audio((samples * gain).astype(np.float32), rate))
        if abs(missing) < CLOSE:
            break
        level += missing
    return np.asarray(gain)


def _check(tracks: Mapping[str, Audio], strips: Mapping[str, Strip]) -> None:
    if not tracks:
        raise OptionError("there is nothing to mix: give at least one track")
    shapes = {name: (audio.rate, audio.samples.shape[1]) for name, audio in tracks.items()}
    first, *others = shapes
    for name in others:
        if shapes[name] != shapes[first]:
            raise AudioError(
                f"{name} has {shapes[name][1]} samples at {shapes[name][0]} Hz, {first} has "
                f"{shapes[first][1]} at {shapes[first][0]} Hz: tracks must be alike"
            )
    for name in tracks:
        if name not in strips:
            raise OptionError(f"the track {name} has no strip: say how it is mixed")
        under = strips[name].duck_under
        if under and under not in tracks:
            raise OptionError(f"{name} ducks under {under!r}, which is not a track")


def _factor(decibels: float) -> float:
    return float(10 ** (decibels / 20))
