"""Sound files of any length → pieces that begin with a bar, at one loudness, none silent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from cadenza.audio import (
    MAX_VALUES,
    measure,
    momentary_loudness,
    normalise,
    read_blocks,
    resample,
)
from cadenza.beats import Analysis, analyse
from cadenza.errors import AudioError, OptionError
from cadenza.files import files_below
from cadenza.spectrum import band_power, mel_filters
from cadenza.types import Audio, FloatArray

NOT_SOUND = (".txt", ".csv", ".json")
MAX_FILES = 20_000
MAX_HOURS = 24.0  # of one file
SECTION = 120.0  # seconds that are heard, levelled and cut together
LONGEST, SHORTEST = 12.0, 3.0  # seconds of a piece
LEVEL = -16.0  # LUFS of a section
FAINT, AUDIBLE = -50.0, 0.5  # LUFS below which nothing is heard; the share that has to be

RATE, FFT, HOP, BANDS = 16_000, 1024, 400, 32
TIMES = 48  # moments of a piece that are compared
ALIKE = 0.95  # correlation of two pieces that are the same music


@dataclass(frozen=True, eq=False)
class Cut:
    """One piece: its sound, where in the file it begins (seconds), what is heard around it."""

    audio: Audio
    start: float
    heard: Analysis


def files_in(folder: Path, besides: Path) -> list[Path]:
    """All that may be a sound, in order, but for what lies in ``besides``.

    Raises:
        OptionError: no such folder, or more files than a person can mean.
    """
    found: list[Path] = []
    for path in files_below(folder, besides):
        if not path.name.lower().endswith(NOT_SOUND):
            found.append(path)
        if len(found) > MAX_FILES:
            raise OptionError(f"{folder} holds more than {MAX_FILES} files: give a smaller one")
    return sorted(found)


def pieces_of(file: Path) -> Iterator[Cut]:
    """The pieces of a sound file, one after the other; silence is left out.

    Raises:
        AudioError: not a sound, empty, damaged, longer than a day, or too large in a section.
    """
    for first, section in _sections(file):
        heard = analyse(section)
        levelled = normalise(section, LEVEL)
        for start, end in _edges(heard):
            samples = levelled.samples[:, round(start * section.rate) : round(end * section.rate)]
            piece = Audio(np.ascontiguousarray(samples), section.rate)
            if _audible(piece):
                yield Cut(piece, first + start, heard)


def likeness(audio: Audio) -> FloatArray:
    """What two copies of the same music have in common: a vector of length 1, whose product with
    another's is their correlation."""
    mono = resample(Audio(audio.samples.mean(axis=0, keepdims=True), audio.rate), RATE).samples[0]
    power = band_power(mono, FFT, HOP, mel_filters(RATE, FFT, BANDS, 60.0, RATE / 2))
    moments = [part.mean(axis=0) for part in np.array_split(power, TIMES)]
    levels = np.log10(np.stack(moments) / (power.max() + 1e-12) + 1e-5)
    levels -= levels.mean(axis=0)  # the timbre, which pieces of one player share
    vector: FloatArray = (levels / (np.linalg.norm(levels) + 1e-9)).astype(np.float32).ravel()
    return vector


def _sections(file: Path) -> Iterator[tuple[float, Audio]]:
    """Two minutes at a time, with the second they begin at: a file may be larger than memory."""
    extent = measure(file, 3600 * MAX_HOURS)
    rate = extent.rate
    if SECTION * rate * extent.channels > MAX_VALUES:
        raise AudioError(
            f"{file} is too large ({extent.channels} channels at {rate} Hz): "
            "make it stereo at 48000 Hz first"
        )
    blocks: list[FloatArray] = []
    first = held = 0
    for block in read_blocks(file):
        blocks.append(block)
        held += block.shape[1]
        if held >= SECTION * rate:
            yield first / rate, Audio(np.concatenate(blocks, axis=1), rate)
            blocks, first, held = [], first + held, 0
    if held >= SHORTEST * rate:
        yield first / rate, Audio(np.concatenate(blocks, axis=1), rate)


def _edges(heard: Analysis) -> Iterator[tuple[float, float]]:
    """From downbeat to downbeat, as far as a piece may reach; equal parts where no beat is. What is
    short enough stays whole."""
    count = int(np.ceil(heard.duration / LONGEST))
    even = tuple(np.linspace(0, heard.duration, count + 1)[:-1].tolist())
    marks = [*((count > 1 and heard.downbeats) or even), heard.duration]
    start = marks[0]
    for mark, following in pairwise(marks):
        if following - start > LONGEST and mark > start:
            yield start, min(mark, start + LONGEST)
            start = mark
    if marks[-1] - start >= SHORTEST:
        yield start, min(marks[-1], start + LONGEST)


def _audible(piece: Audio) -> bool:
    if piece.duration < SHORTEST:
        return False
    return bool((momentary_loudness(piece) > FAINT).mean() >= AUDIBLE)
