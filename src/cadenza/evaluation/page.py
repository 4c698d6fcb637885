"""An evaluation as one page that works from a file: table, plots, and every take to hear."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from cadenza.evaluation.adherence import TOLERANCE
from cadenza.evaluation.collection import Collection
from cadenza.evaluation.evaluation import Evaluation
from cadenza.evaluation.piece import Piece
from cadenza.evaluation.words import value_in_words
from cadenza.pages import filled
from cadenza.show.view import RANGE, pooled
from cadenza.types import FloatArray

PICTURES = 200  # takes whose spectrogram is drawn, so that the page stays small
ROWS = 32  # of a spectrogram
TIMES = 60  # of the level of a piece, from its beginning to its end


def encode(evaluation: Evaluation, place: Path) -> bytes:
    """The content of a page that will lie at ``place``; the sounds stay where they are."""
    home = place.resolve().parent
    reference = evaluation.reference
    data = {
        "folder": Path(evaluation.folder).resolve().name,
        "facts": _facts(evaluation),
        "lines": [
            {
                "name": line.kind.name,
                "meaning": line.kind.meaning,
                "better": line.kind.better,
                "takes": value_in_words(line.kind, line.takes.value),
                "files": line.takes.count,
                "reference": ""
                if line.reference is None
                else value_in_words(line.kind, line.reference.value),
            }
            for line in evaluation.lines
        ],
        "left_out": [[missed.name, missed.why] for missed in evaluation.left_out],
        "notes": evaluation.notes,
        "skipped": [
            [missed.name, missed.why]
            for collection in (evaluation.takes, reference)
            if collection
            for missed in collection.skipped
        ],
        "tolerance": TOLERANCE,
        "range": RANGE,
        "takes": [
            _take(piece, home, number < PICTURES)
            for number, piece in enumerate(evaluation.takes.pieces)
        ],
        "spectra": _each(evaluation, _spectrum),
        "levels": _each(evaluation, _levels),
        "map": _map(evaluation),
    }
    return filled("cadenza.evaluation", data)


def _facts(evaluation: Evaluation) -> str:
    def counted(collection: Collection) -> str:
        seconds = sum(piece.seconds for piece in collection.pieces)
        count = len(collection.pieces)
        return f"{count} sound{'s' * (count != 1)}, {seconds / 60:.1f} min"

    text = counted(evaluation.takes)
    if evaluation.reference is None:
        return text
    name = Path(evaluation.reference_folder or "").resolve().name
    return f"{text} · beside {name}: {counted(evaluation.reference)}"


def _take(piece: Piece, home: Path, drawn: bool) -> dict[str, Any]:
    wishes = piece.wishes
    return {
        "name": piece.name,
        "file": quote(Path(os.path.relpath(piece.path.resolve(), home)).as_posix()),
        "prompt": piece.prompt,
        "seconds": round(piece.seconds, 1),
        "loudness": round(piece.loudness, 1) if math.isfinite(piece.loudness) else None,
        "asked_tempo": wishes.tempo,
        "tempo": piece.tempo and round(piece.tempo, 1),
        "asked_key": wishes.key and str(wishes.key),
        "key": piece.heard.key and str(piece.heard.key),
        "faults": piece.faults,
        "picture": _picture(piece.mel) if drawn and piece.mel.size else None,
    }


def _picture(mel: FloatArray) -> dict[str, Any]:
    """A spectrogram in bytes, row by row from the highest band: 0 is silent, 255 the loudest."""
    small = pooled(np.ascontiguousarray(mel.T), ROWS).T[::-1]
    shades = np.round(255 * np.clip(1 + small / RANGE, 0, 1)).astype(np.uint8)
    data = base64.b64encode(shades.tobytes()).decode()
    return {"rows": shades.shape[0], "columns": shades.shape[1], "bytes": data}


def _each(evaluation: Evaluation, curve: Any) -> dict[str, Any]:
    """A curve of the takes, and of the reference where there is one that sounds."""
    named = {"takes": evaluation.takes, "reference": evaluation.reference}
    return {name: curve(c.sounding) for name, c in named.items() if c and c.sounding}


def _spectrum(pieces: Sequence[Piece]) -> list[float]:
    """Decibels of each mel band, the mean over pieces."""
    means = np.mean([piece.mel.mean(axis=1) for piece in pieces], axis=0)
    return [round(float(value), 1) for value in means]


def _levels(pieces: Sequence[Piece]) -> list[list[float]]:
    """Decibels over the course of the pieces beside their own mean: 10 %, the middle and 90 %."""
    courses = []
    for piece in pieces:
        course = pooled(np.maximum(piece.levels, piece.levels.max() - RANGE)[None], TIMES)[0]
        places = np.linspace(0, len(course) - 1, TIMES)
        spread = np.interp(places, np.arange(len(course)), course)
        courses.append(spread - spread.mean())
    return [
        [round(float(value), 1) for value in row]
        for row in np.percentile(courses, [10, 50, 90], axis=0)
    ]


def _map(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Each piece's mean point on the two directions in which all of them differ most."""
    named = [("takes", evaluation.takes), ("reference", evaluation.reference)]
    pieces = [(name, piece) for name, c in named if c for piece in c.sounding]
    if len(pieces) < 3:
        return []
    means = np.stack([piece.points.mean(axis=0) for _, piece in pieces])
    centred = means - means.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    return [
        {"of": name, "name": piece.name, "x": round(float(x), 3), "y": round(float(y), 3)}
        for (name, piece), (x, y) in zip(pieces, centred @ directions[:2].T, strict=True)
    ]
