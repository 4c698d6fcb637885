"""Whether takes play what was in the training: their pitch classes beside the notes of each piece.

A sound is 5 frames a second of 12 pitch classes, and so is a piece, from its notes; how alike they
are is the correlation of ten seconds, at the place of the piece where it is highest. A piece that
was trained on, through the codec and back, has to be found among all others: that shows that a
replay would be noticed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from benchmarks.pieces import EXCERPT_SECONDS, PIECE_SECONDS, RATE
from cadenza.audio import resample
from cadenza.beats.tonality import HOP, peaks_of
from cadenza.types import Audio, FloatArray
from training.corpus.compose import compose
from training.corpus.piece import Piece

Values = NDArray[np.float64]

FRAME_RATE = 5
FRAMES = round(EXCERPT_SECONDS * FRAME_RATE)
HEARD_RATE = 16_000
FAINT = 0.1  # of the loudest frame: below, pitch classes fade instead of being normalised


def likeness(sounds: Iterable[FloatArray], seeds: Iterable[int]) -> Values:
    """How alike each of ``sounds``, ten seconds mono at 32 kHz, and each training piece are.

    Returns ``[sounds, seeds]``, at most 1.
    """
    heard = np.stack([_flat(_heard(sound)) for sound in sounds])
    columns = [(heard @ _windows(compose(seed, PIECE_SECONDS)).T).max(axis=1) for seed in seeds]
    return np.stack(columns, axis=1)


def _heard(sound: FloatArray) -> Values:
    """``[12, FRAMES]`` of a sound."""
    mono = resample(Audio(sound[None], RATE), HEARD_RATE).samples[0]
    chroma = peaks_of(mono, HEARD_RATE).chroma()
    places = (np.arange(FRAMES) + 0.5) / FRAME_RATE * HEARD_RATE / HOP
    return np.stack([np.interp(places, np.arange(len(chroma)), row) for row in chroma.T])


def _written(piece: Piece) -> Values:
    """``[12, frames]`` of a piece's notes, drums left out."""
    chroma = np.zeros((12, round(piece.duration * FRAME_RATE)))
    starts = np.arange(chroma.shape[1])
    for track in piece.tracks:
        if track.is_drum:
            continue
        for note in track.notes:
            first, last = note.start * FRAME_RATE, note.end * FRAME_RATE
            sounding = np.minimum(starts + 1, last) - np.maximum(starts, first)
            chroma[note.pitch % 12] += np.maximum(sounding, 0) * note.velocity * track.gain
    norms = np.linalg.norm(chroma, axis=0)
    return np.asarray(chroma / (norms + FAINT * norms.max(initial=0.0) + 1e-9))


def _windows(piece: Piece) -> Values:
    """All stretches of ten seconds of a piece, ``[windows, 12 * FRAMES]``."""
    return _flat(sliding_window_view(_written(piece), FRAMES, axis=1).transpose(1, 0, 2))


def _flat(chroma: Values) -> Values:
    """``[..., 12, FRAMES]`` to vectors of length 1, without what all pitch classes share."""
    centred = chroma - chroma.mean(axis=-2, keepdims=True)
    vectors = centred.reshape(*chroma.shape[:-2], -1)
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9))
