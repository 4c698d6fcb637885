"""What is said of a folder: one number a line, and why one is missing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from cadenza.evaluation.adherence import key_score, same_tempo, same_tempo_or_octave
from cadenza.evaluation.collection import Collection
from cadenza.evaluation.piece import Piece
from cadenza.evaluation.variety import Variety, variety_of
from cadenza.studio.levels import FLAT_SHARE
from cadenza.types import Key

Wish = TypeVar("Wish")


@dataclass(frozen=True)
class Kind:
    """A figure that there can be."""

    name: str
    unit: str  # «%», «LUFS», «dB», «×» or none
    better: str  # «higher», «lower», «near» or none
    meaning: str


KINDS = (
    Kind("tempo", "%", "higher", "plays the tempo asked for, within 4 %"),
    Kind("tempo or its octave", "%", "higher", "the same, and half, double, a third, three times"),
    Kind("key", "%", "higher", "plays the key asked for"),
    Kind("key, weighted", "%", "higher", "the same, near keys count in part (MIREX)"),
    Kind("mode", "%", "higher", "major or minor as asked for"),
    Kind("drums", "%", "higher", "drums where asked for, none where asked for none"),
    Kind("usable", "%", "higher", "neither silent nor clipped, no early end, no drift of 12 dB"),
    Kind("loudness", "LUFS", "", "the median (BS.1770)"),
    Kind("loudness, spread", "dB", "lower", "standard deviation from file to file"),
    Kind("clipped", "%", "lower", "files with more than 0.1 % of their samples flat at the peak"),
    Kind("drift", "dB", "lower", "how far the level moves from first to last third, the median"),
    Kind("silence", "%", "lower", "of the time, more than 40 dB below the loudest"),
    Kind("variety", "×", "higher", "how far takes are apart, in distances of a take's two halves"),
    Kind("variety, same prompt", "×", "higher", "the same between takes of one prompt"),
)


@dataclass(frozen=True)
class Figure:
    """A number and how many files it is of."""

    value: float
    count: int


def figures_of(collection: Collection) -> dict[str, Figure | str]:
    """Every one of ``KINDS`` by name; where there is no number, why."""
    pieces = collection.pieces
    sounding = collection.sounding
    variety = variety_of([piece.points for piece in sounding], [p.prompt for p in sounding])
    found = {
        "tempo": _adherence(pieces, "a tempo", _tempo, lambda p, asked: same_tempo(p.tempo, asked)),
        "tempo or its octave": _adherence(
            pieces, "a tempo", _tempo, lambda p, asked: same_tempo_or_octave(p.tempo, asked)
        ),
        "key": _adherence(pieces, "a key", _key, lambda p, asked: p.heard.key == asked),
        "key, weighted": _adherence(
            pieces, "a key", _key, lambda p, asked: key_score(p.heard.key, asked)
        ),
        "mode": _adherence(
            pieces,
            "major or minor",
            lambda p: p.wishes.mode,
            lambda p, asked: p.heard.key is not None and p.heard.key.mode == asked,
        ),
        "drums": _drums(pieces),
        "usable": _share([not piece.faults for piece in pieces]),
        "clipped": _share([piece.flat > FLAT_SHARE for piece in pieces]),
        "silence": _percent([piece.silence for piece in pieces]),
        "variety": _varied(sounding, variety, variety.between, "at least two sounds"),
        "variety, same prompt": _varied(
            sounding, variety, variety.same_prompt, "two takes of the same prompt"
        ),
    }
    if sounding:
        loud = [piece.loudness for piece in sounding if math.isfinite(piece.loudness)]
        found |= {
            "loudness": _loudness(loud, np.median),
            "loudness, spread": _loudness(loud, np.std),
            "drift": Figure(float(np.median([abs(p.drift) for p in sounding])), len(sounding)),
        }
    return {kind.name: found.get(kind.name, "every sound is silent") for kind in KINDS}


def _loudness(
    loud: Sequence[float], summed_up: Callable[[Sequence[float]], np.floating[Any]]
) -> Figure | str:
    if not loud:
        return "every sound is below -70 LUFS, or its sampling rate is too low to measure it"
    return Figure(float(summed_up(loud)), len(loud))


def _tempo(piece: Piece) -> float | None:
    return piece.wishes.tempo


def _key(piece: Piece) -> Key | None:
    return piece.wishes.key


def _adherence(
    pieces: Sequence[Piece],
    what: str,
    wish: Callable[[Piece], Wish | None],
    right: Callable[[Piece, Wish], float],
) -> Figure | str:
    """How right the pieces are that wish for something, on average."""
    asked = [(piece, wish(piece)) for piece in pieces]
    values = [right(piece, wished) for piece, wished in asked if wished is not None]
    if values:
        return _percent(values)
    if all(piece.prompt is None for piece in pieces):
        return "no file has a prompt in its tags"
    return f"no prompt asks for {what}"


def _drums(pieces: Sequence[Piece]) -> Figure | str:
    heard = [piece for piece in pieces if piece.drums is not None]
    if not heard:
        return "drums are heard up to 11 kHz, for which the sampling rates are too low"
    return _adherence(
        heard, "drums, or for none", lambda p: p.wishes.drums, lambda p, asked: p.drums == asked
    )


def _varied(
    pieces: Sequence[Piece], variety: Variety, value: float | None, needs: str
) -> Figure | str:
    if value is None:
        return f"it needs {needs}"
    multiple = variety.in_halves(value)
    if multiple is None:
        return "it needs takes of 5 s or more that change as they go"
    return Figure(multiple, len(pieces))


def _share(values: Sequence[bool]) -> Figure:
    return _percent([float(value) for value in values])


def _percent(values: Sequence[float]) -> Figure:
    return Figure(100 * float(np.mean(values)), len(values))
