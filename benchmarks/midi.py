"""How well notes and drum hits are heard: ``python -m benchmarks.midi``.

Held-out pieces of the corpus, 32 seconds each, whose notes are known: 20 played by piano or guitar
alone, and the drum tracks of 20 others, rendered by themselves.

Notes: F1 (mir_eval) of those that agree in pitch and, within 50 ms, in onset; beside it basic-pitch
at its own defaults, and the share of notes that are the same with its options as in its own
``predict`` (both hear a second of silence at the end, because that drops the last 0.7 %).

Drums: F1 of kick, snare and hat, each hit within 50 ms. Rim and clap count as snares, cymbals,
shakers and tambourines as hats. Of toms, congas and bells nothing is asked; what is heard for them
counts as wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import itertools
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mir_eval
import numpy as np

from benchmarks.notes import ONSET_TOLERANCE, note_f1
from benchmarks.pieces import RATE, pieces, render
from benchmarks.table import table, write_json
from cadenza.audio import write
from cadenza.midi import transcribe, transcribe_drums
from cadenza.types import Audio, Note
from training.corpus.instruments import INSTRUMENTS, PERCUSSION
from training.corpus.piece import HELD_OUT, Piece

FIRST_SEED = HELD_OUT + 300_000
NOTES_BAR, AGREEMENT_BAR, DRUMS_BAR = 0.80, 0.99, 0.7
BASIC_PITCH = {
    "onset_threshold": 0.5,
    "frame_threshold": 0.3,
    "min_length": 0.1277,
    "melodia_trick": True,
}
SAME = 0.02  # seconds between two notes that are the same: a frame and a half
KINDS = {
    36: ("kick",),
    38: ("snare", "rim", "clap"),
    42: ("hat", "pedal", "open", "crash", "ride", "bell", "shaker", "tambourine"),
}
TOGETHER = 0.03  # seconds within which two strokes of one kind are one hit


@dataclass(frozen=True)
class Heard:
    """What was heard of one piece."""

    seed: int
    instrument: str
    notes: int
    f1: float
    basic_pitch_f1: float  # at its own defaults
    agreement: float  # with basic-pitch's own code


def tonal(count: int) -> list[Piece]:
    """Pieces for one piano or guitar."""

    def wanted(piece: Piece) -> bool:
        families = {INSTRUMENTS[name].family for name in piece.instruments if name in INSTRUMENTS}
        return piece.solo and not piece.has_drums and families <= {"piano", "guitar"}

    return list(itertools.islice(pieces(FIRST_SEED, wanted), count))


def drum_tracks(count: int) -> list[Piece]:
    """Pieces of which only the drums are left."""
    found = itertools.islice(pieces(FIRST_SEED, lambda piece: piece.has_drums), count)
    return [
        dataclasses.replace(piece, tracks=tuple(track for track in piece.tracks if track.is_drum))
        for piece in found
    ]


def hear(piece: Piece) -> Heard:
    """One piece, by Cadenza and by basic-pitch's own code."""
    truth = [note for track in piece.tracks for note in track.notes]
    sound = Audio(np.pad(render(piece), (0, RATE))[None], RATE)
    alike = transcribe(sound, **BASIC_PITCH)
    return Heard(
        seed=piece.seed,
        instrument=piece.instruments[0],
        notes=len(truth),
        f1=note_f1(truth, transcribe(sound)),
        basic_pitch_f1=note_f1(truth, alike),
        agreement=agreement(alike, predict(sound)),
    )


def predict(sound: Audio) -> list[Note]:
    """What basic-pitch makes of the sound by itself, at its defaults."""
    from basic_pitch.inference import predict as basic_pitch

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = write(sound, Path(folder) / "sound.wav", "wavfloat")
        _, _, events = basic_pitch(path)
    return [Note(start, end, pitch, round(127 * level)) for start, end, pitch, level, _ in events]


def agreement(first: Sequence[Note], second: Sequence[Note]) -> float:
    """The share of notes that have one in the other list with the same pitch, start and end."""
    if not first and not second:
        return 1.0
    left = [(note.pitch, note.start, note.end) for note in first]
    right = [(note.pitch, note.start, note.end) for note in second]
    common = 0
    for pitch, start, end in left:
        twin = next(
            (
                other
                for other in right
                if other[0] == pitch
                and abs(other[1] - start) <= SAME
                and abs(other[2] - end) <= SAME
            ),
            None,
        )
        if twin:
            right.remove(twin)
            common += 1
    return common / max(len(first), len(second))


def drum_f1(piece: Piece) -> float:
    """F1 over the hits of all three kinds together."""
    heard = transcribe_drums(Audio(render(piece)[None], RATE))
    right = wrong = missed = 0
    for pitch, names in KINDS.items():
        kind = {PERCUSSION[name] for name in names}
        strokes = sorted(
            note.start for track in piece.tracks for note in track.notes if note.pitch in kind
        )
        truth = np.array(
            [t for i, t in enumerate(strokes) if not i or t - strokes[i - 1] > TOGETHER]
        )
        found = np.array([note.start for note in heard if note.pitch == pitch])
        both = mir_eval.util.match_events(truth, found, ONSET_TOLERANCE)
        right += len(both)
        wrong += len(found) - len(both)
        missed += len(truth) - len(both)
    return 2 * right / (2 * right + wrong + missed) if right else 0.0


def _mean(values: Sequence[float]) -> str:
    error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{np.mean(values):.3f} ± {error:.3f}"


def report(heard: Sequence[Heard], drums: Sequence[float]) -> str:
    """Means with their standard errors, and whether each bar is reached."""
    f1 = [item.f1 for item in heard]
    same = [item.agreement for item in heard]
    rows = [
        ["notes of piano and guitar (F1)", _mean(f1), f"≥ {NOTES_BAR}", _says(f1, NOTES_BAR)],
        ["  basic-pitch at its defaults", _mean([item.basic_pitch_f1 for item in heard]), "", ""],
        [
            "the same as by its own code",
            _mean(same),
            f"≥ {AGREEMENT_BAR}",
            _says(same, AGREEMENT_BAR),
        ],
        ["hits of drums (F1)", _mean(drums), f"≥ {DRUMS_BAR}", _says(drums, DRUMS_BAR)],
    ]
    return table(["", "mean", "bar", ""], rows)


def _says(values: Sequence[float], bar: float) -> str:
    return "reached" if np.mean(values) >= bar else "missed"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.midi", description=__doc__)
    parser.add_argument("--pieces", type=int, default=20, help="of each kind")
    parser.add_argument("--json", type=Path, help="write the figures of every piece there")
    options = parser.parse_args()
    heard = [hear(piece) for piece in tonal(options.pieces)]
    drums = [drum_f1(piece) for piece in drum_tracks(options.pieces)]
    print(report(heard, drums))
    if options.json:
        write_json(options.json, {"pieces": [vars(item) for item in heard], "drums": drums})


if __name__ == "__main__":
    main()
