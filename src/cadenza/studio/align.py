"""A take onto a common grid: tuned, stretched, begun on a downbeat, and measured again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cadenza.audio import SILENCE, loudness, resample
from cadenza.beats import Analysis, analyse, fit
from cadenza.studio.stretch import stretch
from cadenza.types import Audio, Key

TRUSTED = 0.1  # clarity of a pulse; below lies what noise has, and nothing is corrected by it
TEMPO_TOLERANCE = 0.02  # of the tempo, within which a track is in time
MOST_STRETCH = 0.08  # more is heard as a fault of its own
LEAST_STRETCH = 0.0005  # less is 0.15 s in five minutes, and measured no better
LEAST_DETUNED, MOST_DETUNED = 3.0, 40.0  # cents: below nobody hears it, above it is another note
KEY_TOLERANCE = 0.12  # by which another key may agree better with the pitches
QUIET = -50.0  # LUFS
FINE = 100_000  # a rate so high that resampling by a fraction of a cent is a whole number
FADE_OUT = 0.02  # seconds


@dataclass(frozen=True)
class Grid:
    """Where the beats of a piece are: bar 1 begins with the first sample."""

    tempo: float  # beats a minute
    meter: int  # beats a bar
    bars: int
    key: Key | None
    rate: int

    @property
    def bar(self) -> float:
        """Seconds."""
        return self.meter * 60 / self.tempo

    @property
    def samples(self) -> int:
        return round(self.bars * self.bar * self.rate)

    @property
    def length(self) -> str:
        """In words."""
        return "1 bar" if self.bars == 1 else f"{self.bars} bars"


@dataclass(frozen=True)
class Alignment:
    """What was heard in a take, what was done to it, and what is wrong with it still."""

    tempo: float | None  # heard, beats a minute
    clarity: float  # of the pulse, 0 to 1
    key: str | None  # heard
    tuning: float  # heard, cents
    stretched: float  # times as long as it was
    tuned: float  # cents that it was moved by
    cut: float  # seconds before its first downbeat, taken away
    tempo_now: float | None
    faults: tuple[str, ...]
    penalty: float  # how bad they are together, to choose the best of several tries

    @property
    def ok(self) -> bool:
        return not self.faults


def align(audio: Audio, grid: Grid, pitched: bool) -> tuple[Audio, Alignment]:
    """A take brought onto the grid as far as it goes, exactly ``grid.samples`` long."""
    heard = trusted(analyse(audio, grid.tempo))
    tuned = 0.0
    if pitched and LEAST_DETUNED <= abs(heard.tuning) <= MOST_DETUNED:
        tuned = -heard.tuning
        audio = tuned_by(audio, tuned)
    scale = audio.duration / heard.duration if heard.duration else 1.0
    stretched = stretch_to(None if heard.tempo is None else heard.tempo / scale, grid.tempo)
    audio = stretch(audio, stretched)
    cut = heard.downbeats[0] * scale * stretched if heard.downbeats else 0.0
    lacking = grid.samples - (audio.samples.shape[1] - round(cut * grid.rate))
    placed = fitted(audio, round(cut * grid.rate), grid.samples)
    now = trusted(analyse(placed, grid.tempo))
    faults = _faults(placed, now, grid, pitched, max(lacking, 0) / grid.rate)
    return placed, Alignment(
        tempo=heard.tempo,
        clarity=heard.clarity,
        key=None if heard.key is None else str(heard.key),
        tuning=heard.tuning,
        stretched=stretched * scale,
        tuned=tuned,
        cut=cut,
        tempo_now=now.tempo,
        faults=tuple(faults),
        penalty=sum(faults.values()),
    )


def in_key(chroma: tuple[float, ...], key: Key, heard: Key | None) -> bool:
    """Whether the pitches agree with ``key`` as well as with the one heard, or nearly so."""
    return heard is None or fit(chroma, key) >= fit(chroma, heard) - KEY_TOLERANCE


def trusted(heard: Analysis) -> Analysis:
    """Without the pulse, where that may be chance."""
    return heard if heard.clarity >= TRUSTED else replace(heard, tempo=None, beats=())


def stretch_to(heard: float | None, tempo: float) -> float:
    """How many times as long what plays at ``heard`` has to be for ``tempo``, both in beats a
    minute: 1 where nothing is heard, nothing is to be done, or too much."""
    factor = 1.0 if heard is None else heard / tempo
    return factor if LEAST_STRETCH <= abs(factor - 1) <= MOST_STRETCH else 1.0


def fitted(audio: Audio, start: int, length: int) -> Audio:
    """``length`` samples from ``start`` on, silence where there are none, without a click."""
    part = audio.samples[:, start : start + length]
    samples = np.zeros((audio.channels, length), np.float32)
    samples[:, : part.shape[1]] = part
    fade = min(round(FADE_OUT * audio.rate), part.shape[1])
    ramp = np.linspace(1, 0, fade, dtype=np.float32)
    samples[:, part.shape[1] - fade : part.shape[1]] *= ramp
    return Audio(samples, audio.rate)


def _faults(
    audio: Audio, now: Analysis, grid: Grid, pitched: bool, lacking: float
) -> dict[str, float]:
    """What is wrong, in words, and how bad it is; 1 is as bad as a missed key."""
    if audio.peak < SILENCE or loudness(audio) < QUIET:
        return {"it is silent": 10.0}
    faults = {}
    if lacking > grid.bar / grid.meter:
        faults[f"it ends {lacking:.1f} s early"] = lacking / grid.bar
    if now.tempo is None:
        if not pitched:
            faults["no pulse is heard in it"] = 2.0
    elif abs(now.tempo / grid.tempo - 1) > TEMPO_TOLERANCE:
        off = now.tempo / grid.tempo - 1
        faults[f"it plays {now.tempo:.1f} bpm, not {grid.tempo:.1f}"] = 1 + min(abs(off) * 5, 2)
    if pitched and grid.key is not None and not in_key(now.chroma, grid.key, now.key):
        faults[f"it sounds in {now.key}, not {grid.key}"] = 1.0
    return faults


def tuned_by(audio: Audio, cents: float) -> Audio:
    """Higher by ``cents`` and so much shorter, as a tape that runs faster."""
    factor = 2 ** (-cents / 1200)
    moved = resample(Audio(audio.samples, FINE), round(FINE * factor))
    return Audio(moved.samples, audio.rate)
