"""What a piece is called: in a person's words, or in those that follow from what is measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cadenza.audio import resample, to_channels
from cadenza.beats import Analysis
from cadenza.errors import OptionError, PromptError
from cadenza.prompting import check_prompt
from cadenza.spectrum import band_power
from cadenza.types import Audio, FloatArray

COLUMNS = {"file", "caption"}
MAX_BYTES = 50_000_000  # of a table
CLEAR = 0.1  # of a pulse whose tempo is worth saying
RATE, FFT, HOP = 32_000, 2048, 512
DARK, BRIGHT = 500.0, 2800.0  # hertz, the middle of the spectrum; a tenth of pieces beyond each
# The share of what lies above 4 kHz and is there for a moment only. Of 160 rendered pieces 94 % are
# on the right side of 0.1; what is near it is left open.
ABOVE, MOMENT = 4000.0, 31  # hertz; frames, and as many bins
FEW_HITS, MANY_HITS = 0.056, 0.11


@dataclass(frozen=True)
class Facts:
    """What is measured of a piece; what cannot be said with some certainty is left out."""

    tempo: int | None
    key: str | None
    colour: str | None
    drums: str | None

    def caption(self, words: str) -> str:
        """As a prompt would ask for it, ``words`` first."""
        tempo = None if self.tempo is None else f"{self.tempo} bpm"
        return ", ".join(filter(None, (words, self.drums, self.colour, self.key, tempo))) or "music"


def facts_of(audio: Audio, heard: Analysis) -> Facts:
    """Tempo and key as they are heard around a piece, colour and drums of the piece itself."""
    mono = resample(to_channels(audio, 1), RATE).samples[0]
    levels = np.sqrt(band_power(mono, FFT, HOP, np.eye(FFT // 2 + 1)).T)
    clear = heard.tempo is not None and heard.clarity >= CLEAR
    return Facts(
        tempo=round(heard.tempo) if heard.tempo is not None and clear else None,
        key=None if heard.key is None else str(heard.key),
        colour=_colour(levels),
        drums=_drums(levels),
    )


def read_captions(folder: Path, files: Sequence[Path]) -> dict[Path, str]:
    """What the person wrote: ``song.txt`` beside ``song.wav``, or one table with the columns
    ``file`` and ``caption`` in the folder; the text beside a file comes first.

    Raises:
        OptionError: several tables, one with other columns or misplaced quotes or commas, or one
            that names a file twice or one that is not there.
        PromptError: a text that cannot be used as a prompt.
    """
    written = {}
    tables = sorted(path for path in folder.iterdir() if _is_table(path))
    if len(tables) > 1:
        raise OptionError(f"{tables[0]} and {tables[1]} are both tables: keep one for the captions")
    if tables:
        written = _read_table(tables[0], {str(file.relative_to(folder)): file for file in files})
    for file in files:
        beside = file.with_suffix(".txt")
        if beside.is_file():
            written[file] = _checked(_text(beside), str(beside))
    return written


def _is_table(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and not path.name.startswith(".")


def _rows(table: Path) -> list[dict[str | Any, str | Any]]:
    """What a table holds, by column; where a row has more cells, they are at ``None``."""
    rows = csv.DictReader(io.StringIO(_text(table), newline=""), strict=True)
    try:
        if not COLUMNS.issubset(rows.fieldnames or ()):
            raise OptionError(f"{table} must have the columns file and caption in its first line")
        return list(rows)
    except csv.Error as error:
        line = rows.line_num + 1  # where the row begins: its last one may be the end of the file
        raise OptionError(
            f"{table}, line {line}, cannot be read ({error}): put a caption in one pair of quotes"
        ) from error


def _read_table(table: Path, files: dict[str, Path]) -> dict[Path, str]:
    written: dict[Path, str] = {}
    for row in _rows(table):
        name, caption = row["file"] or "", row["caption"] or ""
        if None in row:
            raise OptionError(
                f"{table}, {name}: there are more cells than columns: put the caption in quotes"
            )
        if name not in files:
            raise OptionError(f"{table} names {name!r}, which is not in the folder: correct it")
        if files[name] in written:
            raise OptionError(f"{table} names {name} twice: keep one")
        written[files[name]] = _checked(caption, f"{table}, {name}")
    return written


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise OptionError(f"{file} is too large to hold captions")
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{file} cannot be read as text ({error}): save it as UTF-8") from error


def _checked(caption: str, where: str) -> str:
    caption = " ".join(caption.split())
    try:
        check_prompt(caption, "caption")
    except PromptError as error:
        raise PromptError(f"{where}: {error}") from error
    return caption


def _colour(levels: FloatArray) -> str | None:
    """``dark`` or ``bright`` where half of the sound ``[F, T]`` lies low or high, else nothing."""
    amount = np.cumsum(np.sqrt(np.square(levels).sum(axis=1)))
    middle = np.searchsorted(amount, amount[-1] / 2) * RATE / FFT
    return "dark" if middle < DARK else "bright" if middle > BRIGHT else None


def _drums(levels: FloatArray) -> str | None:
    """Whether hits are heard in ``levels [F, T]``: what stands out of its moment, not of its pitch.

    Source: FitzGerald 2010, «Harmonic/percussive separation using median filtering».
    """
    from scipy.ndimage import median_filter

    high = levels[round(ABOVE * FFT / RATE) :]
    lasting, sudden = (np.square(median_filter(high, s)) for s in ((1, MOMENT), (MOMENT, 1)))
    hits = (high * sudden / (lasting + sudden + 1e-12)).sum() / levels.sum()
    return "with drums" if hits > MANY_HITS else "no drums" if hits < FEW_HITS else None
