"""The notes in a sound, and how many of them two sounds share.

Notes are heard by basic-pitch (Bittner et al. 2022, arXiv:2203.09893), the ONNX model inside its
package, and matched by mir_eval (Raffel et al. 2014).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import librosa
import mir_eval
import numpy as np
import onnxruntime
import soxr

from cadenza.types import FloatArray, Note

logging.disable(logging.WARNING)  # basic-pitch names every run-time that it could also use
from basic_pitch import note_creation  # noqa: E402
from basic_pitch.constants import ANNOTATIONS_FPS, AUDIO_N_SAMPLES, FFT_HOP  # noqa: E402

logging.disable(logging.NOTSET)

RATE = 22_050  # what basic-pitch hears
OVERLAP_FRAMES = 30  # of two windows
ONSET_THRESHOLD, FRAME_THRESHOLD = 0.6, 0.4  # fewer harmonics taken for notes than 0.5 and 0.3
MIN_FRAMES = 11  # of a note: 128 ms, basic-pitch's own
ONSET_TOLERANCE = 0.05  # seconds


def transcribe(samples: FloatArray, rate: int) -> list[Note]:
    """The notes of a mono sound ``[N]``, in order of their beginning."""
    note, onset = _posteriors(soxr.resample(samples, rate, RATE))
    events = note_creation.output_to_notes_polyphonic(
        note,
        onset,
        onset_thresh=ONSET_THRESHOLD,
        frame_thresh=FRAME_THRESHOLD,
        min_note_len=MIN_FRAMES,
        infer_onsets=True,
        min_freq=None,
        max_freq=None,
    )
    times = note_creation.model_frames_to_time(len(note))
    notes = [
        Note(float(times[start]), float(times[end]), int(pitch), round(127 * float(strength)))
        for start, end, pitch, strength in events
    ]
    return sorted(notes, key=lambda note: (note.start, note.pitch))


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


def _posteriors(sound: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    """Note and onset activations ``[frames, 88]``: overlapping windows, their middles joined.

    Source: ``run_inference`` in basic-pitch's ``inference.py``, which reads files only.
    """
    margin = OVERLAP_FRAMES // 2
    hop = AUDIO_N_SAMPLES - OVERLAP_FRAMES * FFT_HOP
    padded = np.pad(sound, (margin * FFT_HOP, AUDIO_N_SAMPLES))
    starts = range(0, len(sound) + margin * FFT_HOP, hop)
    windows = np.stack([padded[start : start + AUDIO_N_SAMPLES] for start in starts])
    frames = len(sound) * ANNOTATIONS_FPS // RATE
    note, onset = _session().run(
        ["StatefulPartitionedCall:1", "StatefulPartitionedCall:2"],
        {"serving_default_input_2:0": windows[..., None].astype(np.float32)},
    )
    return tuple(
        part[:, margin:-margin].reshape(-1, part.shape[2])[:frames] for part in (note, onset)
    )


@lru_cache(maxsize=1)
def _session() -> onnxruntime.InferenceSession:
    package = Path(str(find_spec("basic_pitch").origin)).parent
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(
        package / "saved_models" / "icassp_2022" / "nmp.onnx",
        options,
        providers=["CPUExecutionProvider"],
    )
