"""``evaluate``: a folder of takes in numbers."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadenza.errors import OptionError
from cadenza.evaluation import embedding, field
from cadenza.evaluation.collection import Collection, Missed, listen, sounds_in
from cadenza.evaluation.figures import KINDS, Figure, Kind, figures_of
from cadenza.evaluation.nearness import Nearness, nearness_of
from cadenza.evaluation.variety import repeats
from cadenza.types import Progress

DISTANCE = (
    Kind(
        "Frechet distance",
        "",
        "lower",
        f"to the reference (and from one half of it to the other), between normal distributions "
        f"of {embedding.NAME}; this is not FAD",
    ),
    Kind(
        "Frechet distance, ratio",
        "×",
        "lower",
        "the first of these over the second: 1 is as near as the reference is to itself",
    ),
)

HEARD = ("tempo", "key", "mode", "drums")
EARS = (
    "tempo, key and drums are heard by a program that errs, too: of rendered pieces, one tempo "
    "in five, one key in three and one kit in eight"
)


@dataclass(frozen=True)
class Line:
    """A line of the table: a kind of figure, of the takes and of the reference."""

    kind: Kind
    takes: Figure
    reference: Figure | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything that was measured, and what was left out."""

    folder: str
    reference_folder: str | None
    takes: Collection
    reference: Collection | None
    lines: tuple[Line, ...]
    left_out: tuple[Missed, ...]  # figures, and why
    notes: tuple[str, ...]  # what to know before the figures are believed

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the takes by name."""
        return {line.kind.name: line.takes.value for line in self.lines}

    def to_json(self) -> str:
        """All of it; what is infinite is null."""
        data = {
            "folder": self.folder,
            "reference": self.reference_folder,
            "embedding": embedding.NAME,
            "figures": {
                line.kind.name: {
                    "value": line.takes.value,
                    "files": line.takes.count,
                    "reference": line.reference and line.reference.value,
                    "unit": line.kind.unit,
                    "better": line.kind.better,
                    "meaning": line.kind.meaning,
                }
                for line in self.lines
            },
            "left_out": [dataclasses.asdict(missed) for missed in self.left_out],
            "notes": self.notes,
            "takes": _files(self.takes),
            "reference_files": self.reference and _files(self.reference),
        }
        return json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False)


def evaluate(
    folder: str | os.PathLike[str],
    reference: str | os.PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure the sounds of a folder: whether they hold what their prompts ask for, how loud and
    even they are, how different from each other, and how near to a reference.

    Prompts are read from the recipes in the files' tags; a sound without one is measured all the
    same. Files that cannot be read, or last longer than ten minutes, are skipped and listed.
    Figures of this field that need packages and weights (FAD, CLAP score) are there where those
    are on the machine; nothing is downloaded.

    Args:
        folder: sounds in any format, also in folders inside it.
        reference: a folder of recordings as the takes should be.
        progress: told how many of the files are done.

    Raises:
        AudioError: a folder without a sound that can be used.
        OptionError: a folder that is absent, or the reference is the folder itself.
    """
    if reference is not None and Path(folder).resolve() == Path(reference).resolve():
        raise OptionError(f"{folder} cannot be its own reference: give another folder")
    files = sounds_in(folder, reference)  # one of the two may lie in the other
    theirs = [] if reference is None else sounds_in(reference, folder)
    count = len(files) + len(theirs)

    def told(begun: int) -> Progress:
        return lambda done, _: progress(begun + done, count) if progress else None

    takes = listen(folder, files, told(0))
    beside = None if reference is None else listen(reference, theirs, told(len(files)))
    lines, left_out = _lines(takes, beside)
    notes = [EARS] if any(line.kind.name in HEARD for line in lines) else []
    notes += [f"the same sound twice: {one} and {other}" for one, other in repeats(takes.pieces)]
    if beside is None:
        left_out += [
            Missed(kind.name, "it needs a reference: --reference FOLDER") for kind in DISTANCE
        ]
    else:
        nearness = nearness_of(takes, beside)
        more, missed, said = _distance(nearness, takes)
        lines, left_out, notes = lines + more, left_out + missed, notes + said
    for kind, found in field.measure(takes, beside):
        if isinstance(found, str):
            left_out.append(Missed(kind.name, found))
        else:
            lines.append(Line(kind, found))
    return Evaluation(
        folder=os.fspath(folder),
        reference_folder=None if reference is None else os.fspath(reference),
        takes=takes,
        reference=beside,
        lines=tuple(lines),
        left_out=tuple(left_out),
        notes=tuple(notes),
    )


def _lines(takes: Collection, reference: Collection | None) -> tuple[list[Line], list[Missed]]:
    ours = figures_of(takes)
    theirs = figures_of(reference) if reference else {}
    lines, left_out = [], []
    for kind in KINDS:
        found, beside = ours[kind.name], theirs.get(kind.name)
        if isinstance(found, str):
            left_out.append(Missed(kind.name, found))
        else:
            lines.append(Line(kind, found, beside if isinstance(beside, Figure) else None))
    return lines, left_out


def _distance(
    nearness: Nearness | str, takes: Collection
) -> tuple[list[Line], list[Missed], list[str]]:
    whole, ratio = DISTANCE
    if isinstance(nearness, str):
        return [], [Missed(kind.name, nearness) for kind in DISTANCE], []
    count = len(takes.sounding)
    notes = []
    if nearness.few:
        ours, theirs = nearness.windows
        notes.append(
            f"the Frechet distance is rough: it rests on {ours} windows of the takes and "
            f"{theirs} of the reference, fewer than the {embedding.SIZE} values of each"
        )
    halves = None if nearness.halves is None else Figure(nearness.halves, count)
    lines = [Line(whole, Figure(nearness.takes, count), halves)]
    if nearness.ratio is None:
        why = "the reference needs two different sounds, so that its halves can be compared"
        return lines, [Missed(ratio.name, why)], notes
    return [*lines, Line(ratio, Figure(nearness.ratio, count))], [], notes


def _files(collection: Collection) -> dict[str, Any]:
    return {
        "files": [
            {
                "name": piece.name,
                "prompt": piece.prompt,
                "seconds": piece.seconds,
                "loudness": piece.loudness if math.isfinite(piece.loudness) else None,
                "peak": piece.peak,
                "flat": piece.flat,
                "drift": piece.drift,
                "silence": piece.silence,
                "faults": piece.faults,
                "asked": {
                    "tempo": piece.wishes.tempo,
                    "key": piece.wishes.key and str(piece.wishes.key),
                    "mode": piece.wishes.mode,
                    "drums": piece.wishes.drums,
                },
                "heard": {
                    "tempo": piece.tempo,
                    "key": piece.heard.key and str(piece.heard.key),
                    "drums": piece.drums,
                },
            }
            for piece in collection.pieces
        ],
        "skipped": [dataclasses.asdict(missed) for missed in collection.skipped],
    }
