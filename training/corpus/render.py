"""Sound from a piece: a SoundFont synthesizer, track by track, then room, colour and level."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft
import tinysoundfont

from cadenza.errors import MissingPackage
from cadenza.types import FloatArray
from training.corpus.instruments import DRUM_BANK, INSTRUMENTS
from training.corpus.piece import Piece, Track

SOUNDFONT = Path("/usr/share/sounds/sf3/FluidR3Mono_GM.sf3")
SOUNDFONT_VARIABLE = "CADENZA_SOUNDFONT"

_TRACK_LEVEL = 0.1  # the RMS of a track of gain 1 where it sounds
_LEVEL = 0.13  # the RMS of a piece
_KNEE, _CEILING = 0.6, 0.95


@dataclass(frozen=True)
class Production:
    """How a piece was recorded."""

    reverb: float = 0.15  # seconds until it is 60 dB down
    wet: float = 0.06
    high_cut: float | None = None  # hertz
    drive: float = 0.0  # saturation; 1 is a lot
    crackle: float = 0.0  # vinyl
    hold: int = 1  # samples that a value is held for, as early game consoles did


PRODUCTIONS: dict[str, Production] = {
    "dry": Production(),
    "roomy": Production(reverb=0.7, wet=0.2),
    "hall": Production(reverb=2.2, wet=0.34),
    "warm": Production(reverb=0.4, wet=0.1, high_cut=5500.0, drive=0.25),
    "lo-fi": Production(reverb=0.4, wet=0.1, high_cut=3600.0, drive=0.35, crackle=0.004),
    "driven": Production(reverb=0.2, wet=0.08, drive=0.9),
    "8-bit": Production(reverb=0.05, wet=0.0, hold=3),
}


class Renderer:
    """A loaded synthesizer; one per process, because loading takes seconds.

    The same piece gives bit-identical samples, whatever was rendered before it.

    Raises:
        MissingPackage: there is no sound font at ``soundfont``, nor where the environment
            variable CADENZA_SOUNDFONT says, nor at Debian's place.
    """

    def __init__(self, rate: int = 32000, soundfont: str | Path | None = None) -> None:
        path = Path(soundfont or os.environ.get(SOUNDFONT_VARIABLE) or SOUNDFONT)
        if not path.is_file():
            raise MissingPackage(
                f"the sound font {path}",
                f"apt-get install fluidr3mono-gm-soundfont (or set {SOUNDFONT_VARIABLE})",
            )
        self.rate = rate
        self._synth = tinysoundfont.Synth(samplerate=rate)
        self._font = self._synth.sfload(str(path))

    def render(self, piece: Piece) -> FloatArray:
        """The piece as mono samples [N] in [-1, 1], N = duration x rate."""
        length = round(piece.duration * self.rate)
        mix = np.zeros(length, np.float32)
        for track in piece.tracks:
            sound = self._play(track, length)
            loudness = _active_rms(sound, self.rate)
            if loudness > 0:
                mix += sound * np.float32(track.gain * _TRACK_LEVEL / loudness)
        return _produce(mix, PRODUCTIONS[piece.production], piece.seed, self.rate)

    def _play(self, track: Track, length: int) -> FloatArray:
        """One track alone, mono [length], at the synthesizer's own level."""
        synth, rate = self._synth, self.rate
        synth.sounds_off(0)
        synth.generate(rate // 4)  # what was still sounding dies here
        bank = DRUM_BANK if track.is_drum else INSTRUMENTS[track.instrument].bank
        synth.program_select(0, self._font, bank, track.program, track.is_drum)
        events = []  # offs before ons where they meet
        for note in track.notes:
            events.append((round(note.start * rate), 1, note.pitch, note.velocity))
            events.append((round(note.end * rate), 0, note.pitch, 0))
        events.sort()
        blocks, now = [], 0
        for time, on, pitch, velocity in events:
            if time > now:
                blocks.append(synth.generate(min(time, length) - now))
                now = min(time, length)
            if now >= length:
                break
            if on:
                synth.noteon(0, pitch, velocity)
            else:
                synth.noteoff(0, pitch)
        if now < length:
            blocks.append(synth.generate(length - now))
        stereo = np.frombuffer(b"".join(blocks), np.float32).reshape(-1, 2)
        return np.asarray(stereo.mean(axis=1), np.float32)


def _active_rms(sound: FloatArray, rate: int) -> float:
    """The RMS of the moments that are not near silence."""
    block = rate // 20
    power = np.square(sound[: len(sound) // block * block], dtype=np.float64)
    power = power.reshape(-1, block).mean(axis=1)
    active = power[power > 1e-3 * power.max(initial=0.0)]
    return float(np.sqrt(active.mean())) if active.size else 0.0


def _produce(mix: FloatArray, production: Production, seed: int, rate: int) -> FloatArray:
    """Room, colour and level."""
    rng = np.random.default_rng([seed, 1])
    if production.hold > 1:
        index = np.arange(len(mix)) // production.hold * production.hold
        mix = np.round(mix[index] * 48) / np.float32(48)
    level = np.sqrt(np.mean(np.square(mix, dtype=np.float64)))
    if level == 0:
        return np.zeros_like(mix)
    mix = mix * np.float32(_LEVEL / level)
    if production.drive:
        amount = np.float32(1 + 4 * production.drive)
        mix = np.tanh(mix * amount) / amount ** np.float32(0.6)
    if production.crackle:
        mix = mix + _crackle(rng, len(mix), production.crackle, rate)
    mix = _filter(mix, _response(rng, production, rate), production.high_cut, rate)
    mix = mix * np.float32(_LEVEL / np.sqrt(np.mean(np.square(mix, dtype=np.float64))))
    size = np.abs(mix)
    room = np.float32(_CEILING - _KNEE)
    soft = np.sign(mix) * (np.float32(_KNEE) + room * np.tanh((size - np.float32(_KNEE)) / room))
    return np.where(size > _KNEE, soft, mix).astype(np.float32)


def _response(rng: np.random.Generator, production: Production, rate: int) -> FloatArray:
    """An impulse response: the direct sound and an exponential tail of noise."""
    length = max(1, round(production.reverb * rate))
    time = np.arange(length) / rate
    tail = rng.standard_normal(length) * np.exp(-6.9 * time / production.reverb)
    tail = np.convolve(tail, [0.25, 0.5, 0.25], "same")  # walls swallow the highs
    tail[: rate // 100] = 0
    norm = np.sqrt(np.sum(tail**2)) or 1.0
    tail *= production.wet / norm
    tail[0] = 1.0
    return tail.astype(np.float32)


def _filter(mix: FloatArray, response: FloatArray, high_cut: float | None, rate: int) -> FloatArray:
    """The mix through the response and a gentle low-pass, in one transform."""
    size = scipy.fft.next_fast_len(len(mix) + len(response), real=True)
    spectrum = scipy.fft.rfft(mix, size) * scipy.fft.rfft(response, size)
    frequency = np.arange(len(spectrum), dtype=np.float32) * np.float32(rate / size)
    gain = 1 / (1 + (np.float32(25.0) / np.maximum(frequency, 1e-3)) ** 4)  # no rumble
    if high_cut:
        gain = gain / np.sqrt(1 + (frequency / np.float32(high_cut)) ** 4)
    spectrum *= gain.astype(np.float32)
    return np.asarray(scipy.fft.irfft(spectrum, size)[: len(mix)], np.float32)


def _crackle(rng: np.random.Generator, length: int, level: float, rate: int) -> FloatArray:
    """Vinyl: a little hiss and a few clicks a second."""
    noise = rng.standard_normal(length, dtype=np.float32) * np.float32(level)
    clicks = rng.integers(0, length, length * 6 // rate)
    noise[clicks] += rng.uniform(-1, 1, len(clicks)).astype(np.float32) * np.float32(level * 30)
    return noise
