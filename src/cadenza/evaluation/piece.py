"""One file, measured: what is heard in it, beside what its prompt asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cadenza.audio import SILENCE, read
from cadenza.beats import Analysis
from cadenza.errors import RecipeError
from cadenza.evaluation.drums import has_drums
from cadenza.evaluation.embedding import SIZE, Values, embed
from cadenza.request import fingerprint
from cadenza.show.view import BANDS, look, pooled
from cadenza.studio.align import TRUSTED
from cadenza.studio.levels import drift, flat, fullness, levels_of, unusable
from cadenza.studio.wishes import Wishes, wishes_of
from cadenza.take import read_recipe
from cadenza.types import FloatArray

COLUMNS = 120  # of the picture that is kept of a piece


@dataclass(frozen=True, eq=False)
class Piece:
    """What was measured; ``None`` where nothing can be heard."""

    path: Path
    name: str  # its path inside the folder
    prompt: str | None  # as the model read it; None without a recipe
    seconds: float
    loudness: float  # LUFS; not finite for silence, and where it cannot be measured
    peak: float
    flat: float  # share of samples that stand in a row at the peak, as after clipping
    drift: float  # decibels from the first third to the last
    silence: float  # share of time in which nothing sounds
    faults: tuple[str, ...]  # why it would be thrown out, whatever was asked for
    wishes: Wishes
    heard: Analysis
    drums: bool | None
    sha256: str  # of the samples
    levels: FloatArray  # decibels of each tenth of a second
    mel: FloatArray  # [bands, COLUMNS]: decibels below the loudest
    points: Values  # [windows, SIZE] of the embedding, none for silence

    @property
    def tempo(self) -> float | None:
        """Beats a minute that were heard without being told any; chance is no tempo."""
        return self.heard.tempo if self.heard.clarity >= TRUSTED else None


def measure(path: Path, name: str) -> Piece:
    """Listen to a file.

    Raises:
        AudioError: it cannot be read as sound, or is too long.
    """
    audio = read(path)
    try:
        prompt = read_recipe(path).text
    except RecipeError:
        prompt = None
    levels = levels_of(audio)
    silent = audio.peak < SILENCE
    view = None if silent else look(audio, name)
    return Piece(
        path=path,
        name=name,
        prompt=prompt,
        seconds=audio.duration,
        loudness=view.loudness if view else -math.inf,
        peak=audio.peak,
        flat=0.0 if silent else flat(audio),
        drift=0.0 if silent else drift(levels),
        silence=1.0 if silent else 1 - fullness(levels),
        faults=tuple(unusable(audio, levels)),
        wishes=wishes_of(prompt),
        heard=view.heard if view else Analysis(audio.duration),
        drums=False if silent else has_drums(audio),
        sha256=fingerprint(audio),
        levels=levels,
        mel=pooled(view.mel, COLUMNS) if view else np.zeros((BANDS, 0), np.float32),
        points=np.zeros((0, SIZE)) if silent else embed(audio),
    )
