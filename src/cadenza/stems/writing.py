"""Stems as they are made, into files: all of them or none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import soundfile

from cadenza.audio import FORMATS, Extent
from cadenza.errors import AudioError, OptionError, OutputError
from cadenza.files import replacing
from cadenza.types import FloatArray

FORMAT = FORMATS["wavfloat"]  # a stem may be louder than the mix, and the sum stays exact
BYTES = 4  # a sample
MAX_WAV = 2**32 - 2**16  # bytes of sound that a WAV has room for


def check_room(path: str | os.PathLike[str], extent: Extent, folder: Path, stems: int) -> None:
    """Refuse what would not fit, before the work rather than after it.

    Raises:
        AudioError: a stem would be larger than a WAV can be.
        OutputError: not enough room in ``folder``, or in the folder that it will be made in.
    """
    size = extent.frames * extent.channels * BYTES
    if size > MAX_WAV:
        raise AudioError(
            f"each stem of {path} would be a WAV of {size / 1e9:.1f} GB, which the format does not "
            "allow: cut it first"
        )
    home = folder if folder.is_dir() else folder.absolute().parent
    if home.is_dir() and (free := shutil.disk_usage(home).free) < stems * size:
        raise OutputError(
            f"{home} has {free / 1e9:.1f} GB of room, the stems of {path} need "
            f"{stems * size / 1e9:.1f} GB: make room, or choose another place"
        )


def check_apart(path: str | os.PathLike[str], folder: Path, names: Sequence[str]) -> None:
    """Raises OptionError: a stem would take the place of the sound that it is made from."""
    for place in _places(folder, names).values():
        if os.path.realpath(place) == os.path.realpath(path):
            raise OptionError(f"{place} is what is taken apart: choose another folder")


def _places(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    return {name: folder / f"{name}{FORMAT.suffix}" for name in names}


@contextmanager
def stem_files(
    folder: Path, names: Sequence[str], extent: Extent
) -> Iterator[tuple[dict[str, Path], Callable[[FloatArray], None]]]:
    """The files by name, and a function that appends ``[stems, C, n]`` to them.

    Raises:
        OutputError: they cannot be written; what stood there before is untouched.
    """
    with _made(folder), ExitStack() as stack:
        places = _places(folder, names)
        writers = [
            stack.enter_context(
                soundfile.SoundFile(
                    stack.enter_context(replacing(place)),
                    "w",
                    extent.rate,
                    extent.channels,
                    FORMAT.subtype,
                    format=FORMAT.container,
                )
            )
            for place in places.values()
        ]

        def write(block: FloatArray) -> None:
            try:
                for writer, stem in zip(writers, block, strict=True):
                    writer.write(stem.T)
            except soundfile.LibsndfileError as error:
                raise OutputError(f"cannot write the stems into {folder}: {error}") from error

        yield places, write


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder that is made if need be, and removed again if it stays empty."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    try:
        yield
    except BaseException:
        with suppress(OSError):  # there is something in it
            folder.rmdir()
        raise
