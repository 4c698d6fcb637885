"""The notes in a sound, and how many of them two sounds share.

Notes are heard by :mod:`cadenza.midi` and matched by mir_eval (Raffel et al. 2014).
"""

from __future__ import annotations

from collections.abc import Sequence

import librosa
import mir_eval
import numpy as np

from cadenza import midi
from cadenza.audio import SILENCE
from cadenza.types import Audio, FloatArray, Note

ONSET_TOLERANCE = 0.05  # seconds


def transcribe(samples: FloatArray, rate: int) -> list[Note]:
    """The notes of a mono sound ``[N]``, in order of their beginning; silence has none.

    The thresholds are those that the published figures of codecs were measured with.
    """
    sound = Audio(samples[None], rate)
    if sound.peak < SILENCE:
        return []
    return midi.transcribe(
        sound, onset_threshold=0.6, frame_threshold=0.4, min_length=0.128, melodia_trick=True
    )


def note_f1(reference: Sequence[Note], estimate: Sequence[Note]) -> float:
    """F1 of notes that agree in pitch and, within 50 ms, in onset; where neither has any, 1."""
    if not reference or not estimate:
        return float(not reference and not estimate)
    _, _, f1, _ = mir_eval.transcription.precision_recall_f1_overlap(
        *_arrays(reference),
        *_arrays(estimate),
        onset_tolerance=ONSET_TOLERANCE,
        offset_ratio=None,
    )
    return float(f1)


def _arrays(notes: Sequence[Note]) -> tuple[np.ndarray, np.ndarray]:
    """Intervals ``[notes, 2]`` in seconds and pitches ``[notes]`` in hertz."""
    intervals = np.array([(note.start, note.end) for note in notes])
    return intervals, librosa.midi_to_hz(np.array([note.pitch for note in notes]))
