"""The notes of pitched instruments, as basic-pitch hears them.

Bittner et al. 2022, «A lightweight instrument-agnostic model for polyphonic note transcription»
(arXiv:2203.09893). Its package holds the network as an ONNX file, so neither TensorFlow nor a
download is needed, and ``note_creation``, which makes notes of what the network sees. What lies
between is done here, because the package's own reads files only and loads TensorFlow where it can.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cadenza.audio import check_audible, resample, to_channels
from cadenza.errors import MissingPackage, OptionError
from cadenza.types import Audio, FloatArray, Note, Progress

INSTALL = "pip install 'cadenza[midi]' && pip install --no-deps basic-pitch"

RATE = 22_050  # what the network hears
FRAME = 256  # samples a frame
WINDOW = 2 * RATE - FRAME  # samples that the network sees at once
OVERLAP = 30  # frames of two windows; half of them are dropped at either side
HOP = WINDOW - OVERLAP * FRAME
BATCH = 16  # windows at once, so that memory does not grow with the piece

LOWEST, HIGHEST = 21, 108  # MIDI pitches that the network knows: a piano's
BEND_STEPS = 3  # a semitone, as finely as the network sees

Posteriors = NDArray[np.float32]


@dataclass(frozen=True)
class BentNote(Note):
    """A note whose pitch moves: semitones off ``pitch``, evenly spread from start to end."""

    bend: tuple[float, ...] = ()


def transcribe(
    audio: Audio,
    *,
    onset_threshold: float = 0.6,
    frame_threshold: float = 0.5,
    lowest: int = LOWEST,
    highest: int = HIGHEST,
    min_length: float = 0.058,
    pitch_bend: bool = False,
    melodia_trick: bool = False,
    progress: Progress | None = None,
) -> list[Note]:
    """The notes of a sound, in order of their beginning; several channels are heard as their mean.

    The defaults are not basic-pitch's (0.5, 0.3, 0.128 s, with the trick), which take harmonics for
    notes: of rendered pieces they bring a tenth more right, whatever plays.

    Args:
        onset_threshold: from 0 to 1, how sure the network has to be that a note begins.
        frame_threshold: from 0 to 1, how sure that it goes on.
        lowest: the lowest MIDI pitch wanted, at least 21.
        highest: the highest, at most 108.
        min_length: seconds; what is shorter is dropped.
        pitch_bend: follow how the pitch moves. A MIDI channel bends as a whole, so only notes
            that sound alone become a :class:`BentNote`.
        melodia_trick: what goes on without having begun is a note, too.
        progress: called with windows heard and windows in all; an error it raises ends the work.

    Raises:
        AudioError: empty or silent.
        OptionError: an option out of its range.
        MissingPackage: basic-pitch or what it needs is not installed.
    """
    _check(onset_threshold, frame_threshold, lowest, highest, min_length)
    check_audible(audio, "the sound")
    creation = _note_creation()
    sound = resample(to_channels(audio, 1), RATE).samples[0]
    note, onset, contour = _posteriors(sound, progress)
    for activations in (note, onset):
        activations[:, : lowest - LOWEST] = 0
        activations[:, highest - LOWEST + 1 :] = 0
    if not note.any():
        return []  # basic-pitch would divide by the largest of them
    # The inferred onsets are scaled to the largest of the others, so two frames of a note can be
    # equal, and neither would be a peak; a trace of the others decides.
    onset = creation.get_infered_onsets(onset, note) + 1e-6 * onset
    events = creation.output_to_notes_polyphonic(
        note,
        onset,
        onset_thresh=onset_threshold,
        frame_thresh=frame_threshold,
        min_note_len=round(min_length * RATE / FRAME),
        infer_onsets=False,
        min_freq=None,
        max_freq=None,
        melodia_trick=melodia_trick,
    )
    times = _times(creation, len(note))
    if pitch_bend:
        bent = creation.get_pitch_bends(contour, events)
        events = creation.drop_overlapping_pitch_bends(bent)
    notes = [_note(times, *event) for event in events]
    return sorted(notes, key=lambda note: (note.start, note.pitch))


def _check(onset: float, frame: float, lowest: int, highest: int, min_length: float) -> None:
    for name, threshold in (("onset", onset), ("frame", frame)):
        if not 0 < threshold < 1:
            raise OptionError(f"the {name} threshold must be between 0 and 1, not {threshold}")
    if not LOWEST <= lowest <= highest <= HIGHEST:
        raise OptionError(
            f"notes are heard from {LOWEST} to {HIGHEST}, the lowest first, not from {lowest} to "
            f"{highest}"
        )
    if not 0 < min_length <= 10:
        raise OptionError(f"the shortest note must be above 0 and at most 10 s, not {min_length}")


def _note(
    times: NDArray[np.float64],
    start: int,
    end: int,
    pitch: int,
    strength: float,
    bend: list[int] | None = None,
) -> Note:
    place = float(times[start]), float(times[end]), int(pitch), max(1, round(127 * float(strength)))
    if not bend or not any(bend):
        return Note(*place)
    return BentNote(*place, bend=tuple(float(step) / BEND_STEPS for step in bend))


def _times(creation: ModuleType, frames: int) -> NDArray[np.float64]:
    """When each frame is, in seconds; 0 for those before the beginning."""
    times: NDArray[np.float64] = creation.model_frames_to_time(frames - OVERLAP // 2)
    return np.pad(times, (OVERLAP // 2, 0))


def _posteriors(sound: FloatArray, progress: Progress | None) -> list[Posteriors]:
    """Note and onset ``[frames, 88]`` and contour ``[frames, 264]``: the windows' middles, joined.

    Source: ``run_inference`` and ``unwrap_output`` in basic-pitch's ``inference.py``. Those drop
    0.7 % of the frames at the end, for they count 86 a second where there are 86.6, and the first
    half overlap: it lies before the beginning, and without it no note begins at the very start.
    """
    margin = OVERLAP // 2
    padded = np.pad(sound, (margin * FRAME, WINDOW))
    starts = range(0, len(sound) + margin * FRAME, HOP)
    parts: list[list[Posteriors]] = []
    session = _session()
    for first in range(0, len(starts), BATCH):
        batch = starts[first : first + BATCH]
        windows = np.stack([padded[start : start + WINDOW] for start in batch])
        outputs = session.run(
            [f"StatefulPartitionedCall:{output}" for output in (1, 2, 0)],
            {"serving_default_input_2:0": windows[..., None]},
        )
        if first == 0:
            parts.append([output[0, :margin] for output in outputs])
        parts.append([output[:, margin:-margin].reshape(-1, output.shape[2]) for output in outputs])
        if progress:
            progress(first + len(batch), len(starts))
    per_window = WINDOW // FRAME + 1 - OVERLAP
    frames = margin + max(1, round(len(sound) / HOP * per_window))
    return [np.concatenate(part)[:frames] for part in zip(*parts, strict=True)]


@lru_cache(maxsize=1)
def _note_creation() -> ModuleType:
    with _quiet():
        try:
            from basic_pitch import note_creation
        except ImportError as error:
            raise MissingPackage("basic-pitch, which hears the notes,", INSTALL) from error
    module: ModuleType = note_creation
    return module


@lru_cache(maxsize=1)
def _session() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackage("onnxruntime, which runs basic-pitch,", INSTALL) from error
    model = Path(str(_note_creation().__file__)).parent / "saved_models/icassp_2022/nmp.onnx"
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


@contextmanager
def _quiet() -> Iterator[None]:
    """basic-pitch warns of every run-time that it could also use, through the root logger, which
    would set one up."""
    level, silent = logging.root.manager.disable, logging.NullHandler()
    logging.root.addHandler(silent)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
        logging.root.removeHandler(silent)
