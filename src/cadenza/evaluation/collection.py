"""The sounds of a folder, measured; what cannot be read is listed and not in the way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cadenza.errors import AudioError
from cadenza.evaluation.embedding import Values
from cadenza.evaluation.piece import Piece, measure
from cadenza.files import files_below
from cadenza.types import Progress

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif")
MAX_FILES = 6000  # as many as the largest set of captions in use; every pair of them is compared


@dataclass(frozen=True)
class Missed:
    """Something that was not measured, and why."""

    name: str
    why: str


@dataclass(frozen=True, eq=False)
class Collection:
    """What a folder holds."""

    pieces: tuple[Piece, ...]
    skipped: tuple[Missed, ...]

    @property
    def sounding(self) -> list[Piece]:
        """The pieces that are not silent."""
        return [piece for piece in self.pieces if len(piece.points)]

    @property
    def points(self) -> Values:
        """All points of the embedding, ``[windows, SIZE]``; there is one at least."""
        return np.concatenate([piece.points for piece in self.sounding])


def sounds_in(
    folder: str | os.PathLike[str], besides: str | os.PathLike[str] | None = None
) -> list[Path]:
    """The sound files of a folder and of those in it, by name; hidden ones are left alone, and so
    is what lies in ``besides``.

    Raises:
        OptionError: no such folder.
        AudioError: no sound in it, or far too many.
    """
    place = Path(folder)
    below = files_below(place, None if besides is None else Path(besides).resolve())
    found = sorted(path for path in below if path.suffix.lower() in SUFFIXES)
    if not found:
        raise AudioError(
            f"{place} holds no sound: put files in it that end in {', '.join(SUFFIXES)}"
        )
    if len(found) > MAX_FILES:
        raise AudioError(
            f"{place} holds {len(found)} sounds, at most {MAX_FILES} are measured: choose some"
        )
    return found


def listen(folder: str | os.PathLike[str], files: Sequence[Path], progress: Progress) -> Collection:
    """Measure ``files`` of a folder, one after the other.

    Raises:
        AudioError: none of them can be read.
    """
    pieces, skipped = [], []
    for number, path in enumerate(files):
        progress(number, len(files))
        name = path.relative_to(folder).as_posix()
        try:
            pieces.append(measure(path, name))
        except AudioError as error:
            skipped.append(Missed(name, str(error).replace(f"{path} ", "", 1)))
    progress(len(files), len(files))
    if not pieces:
        first = f"{skipped[0].name} {skipped[0].why}"
        raise AudioError(f"no sound in {folder} can be used: {first}")
    return Collection(tuple(pieces), tuple(skipped))
