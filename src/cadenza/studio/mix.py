"""Tracks to one stereo piece: level, place, colour, room, loudness. Every setting is a value.

All is computed in double precision, sample by sample in place: no stage shifts the sound in time,
and the same tracks and settings give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from cadenza.audio import loudness
from cadenza.errors import AudioError, OptionError
from cadenza.studio.dynamics import duck, limit
from cadenza.studio.filters import Samples, equalise
from cadenza.studio.reverb import reverberate
from cadenza.studio.settings import Bus, Strip
from cadenza.types import Audio

NO_REVERB = -60.0
CLOSE = 0.05  # LU that the mix may miss its loudness by
ROUNDS = 4  # of limiting and measuring until it is close


def mix(tracks: Mapping[str, Audio], strips: Mapping[str, Strip], bus: Bus) -> Audio:
    """The tracks, each through its strip, as stereo ``[2, N]`` at their rate.

    Args:
        tracks: of equal rate and length, mono or stereo, by name.
        strips: by the same names.

    Raises:
        AudioError: tracks that differ in rate or length.
        OptionError: a track without a strip, or one that ducks under a track that is not there.
    """
    _check(tracks, strips)
    rate = next(iter(tracks.values())).rate
    length = next(iter(tracks.values())).samples.shape[1]
    dry, sent = np.zeros((2, length)), np.zeros((2, length))
    for name, audio in tracks.items():
        strip = strips[name]
        if strip.mute:
            continue
        placed = place(audio, strip)
        if strip.duck_under:
            drums = tracks[strip.duck_under].samples.astype(np.float64)
            placed = duck(placed, drums, rate, strip.duck)
        dry += placed
        if strip.reverb > NO_REVERB:
            sent += placed * _factor(strip.reverb)
    if sent.any():
        dry += reverberate(sent, rate, bus)
    return _finish(dry, rate, bus)


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


def _finish(samples: Samples, rate: int, bus: Bus) -> Audio:
    """To the loudness of the bus, or as near as its ceiling allows."""
    measured = loudness(Audio(samples.astype(np.float32), rate))
    if not math.isfinite(measured):
        return Audio(samples.astype(np.float32), rate)
    gain = bus.loudness - measured
    for _ in range(ROUNDS):
        limited = Audio(limit(samples * _factor(gain), rate, bus.ceiling).astype(np.float32), rate)
        missing = bus.loudness - loudness(limited)
        if abs(missing) < CLOSE:
            break
        gain += missing
    return limited


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
