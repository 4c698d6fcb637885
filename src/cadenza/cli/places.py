"""Where the pieces of a command go, checked before the work rather than after it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cadenza.errors import OptionError

LONGEST = 40  # characters of a prompt that become a file's name


@dataclass(frozen=True)
class Wish:
    """What a piece's file should be called: ``name`` if a person chose one, else by ``stem``."""

    stem: str
    name: str = ""


def stem(prompt: str | None, seed: int | None) -> str:
    """A file's name without its suffix, from what the piece is."""
    words = "-".join(re.findall(r"\w+", (prompt or "unconditional").lower()))
    return f"{words[:LONGEST].strip('-') or 'music'}-{seed}"


def takes_at(place: Path, count: int) -> list[Path]:
    """The files of so many takes of one piece: ``place``, NAME-2, NAME-3, …"""
    return [place, *(place.with_stem(f"{place.stem}-{n}") for n in range(2, count + 1))]


def check_places(
    wishes: Sequence[Wish],
    output: Path | None,
    format: str | None,
    loudness: float | None,
    *,
    takes: int = 1,
    with_json: bool = False,
    sources: Iterable[object] = (),
) -> list[Path]:
    """The file of each piece: ``output``, numbered if there are several, or in that folder.

    A name that nobody chose is another one where it is that of a source.

    Args:
        sources: what the pieces are made from, of which paths count: none of them is replaced.
        takes: of each piece that are kept, see :func:`takes_at`.
        with_json: whether a ``.json`` goes beside each.

    Raises:
        OptionError: an unknown format, a loudness out of range, two pieces in one file, or one in
            the place of a source.
        OutputError: a place that cannot be written to.
    """
    from cadenza.audio import FORMATS, check_loudness, format_of
    from cadenza.files import check_place

    if loudness is not None:
        check_loudness(loudness)
    suffix = FORMATS[format_of("", format or "wav")].suffix
    kept = {os.path.realpath(source) for source in sources if isinstance(source, str | Path)}
    places = []
    for number, wish in enumerate(wishes, 1):
        if wish.name or output is None or output.is_dir():
            place = (output or Path()) / (wish.name or _free(wish.stem, suffix, output, kept))
        elif len(wishes) == 1:
            place = output
        else:
            place = output.with_stem(f"{output.stem}-{number}")
        if not place.suffix:
            place = place.with_suffix(suffix)
        format_of(place, format)
        places.append(Path(os.path.realpath(place)))
    files = [file for place in places for file in takes_at(place, takes)]
    if with_json:
        files += [file.with_suffix(".json") for file in files]
    for file in files:
        check_place(file)
        if str(file) in kept:
            raise OptionError(f"{file} is what the piece is made from: choose another place")
    if len(set(files)) < len(files):
        raise OptionError("two pieces would go to the same file: give each a name of its own")
    return places


def _free(stem: str, suffix: str, folder: Path | None, kept: Collection[str]) -> str:
    """STEM.wav; or where the piece is made from a sound, the first of STEM.wav, STEM-again.wav,
    STEM-again-again.wav, … that is not there: nobody chose a name, and none may be lost by it."""
    while kept and os.path.exists((folder or Path()) / f"{stem}{suffix}"):
        stem = f"{stem}-again"
    return f"{stem}{suffix}"
