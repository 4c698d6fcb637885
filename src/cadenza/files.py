"""Whole files or none: a reader never sees half of one, and a failure keeps what was there.

And which files a folder holds.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cadenza.errors import OptionError, OutputError


def check_place(path: str | os.PathLike[str]) -> Path:
    """Where ``path`` leads, if a file can be written there.

    Worth asking before an hour of work rather than after it.

    Raises:
        OutputError: the folder is absent or read-only, or something else stands there.
    """
    place = Path(os.path.realpath(path))
    folder = place.parent
    if not folder.is_dir():
        raise OutputError(f"the folder {folder} does not exist: create it, or choose another")
    if os.path.isdir(place):
        raise OutputError(f"{place} is a folder: give the name of a file in it")
    if os.path.exists(place) and not os.path.isfile(place):
        raise OutputError(f"{place} is not an ordinary file: choose another name")
    if os.path.exists(place) and not os.access(place, os.W_OK):
        raise OutputError(f"{place} is read-only: choose another name")
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OutputError(
            f"cannot write into {folder}: {error.strerror or error}; choose another place"
        ) from error
    return place


def write_atomically(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write ``data`` under a temporary name in the same folder, then rename it to ``path``.

    Raises:
        OutputError: it cannot be written; what stood at ``path`` before is untouched.
    """
    with replacing(path) as part, open(part, "xb") as file:
        file.write(data)
    return Path(os.path.realpath(path))


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name in the same folder; the file that is written there becomes ``path``.

    It does so when the block ends; if the block raises, the file is removed.

    Raises:
        OutputError: it cannot be written; what stood at ``path`` before is untouched.
    """
    place = check_place(path)
    part = place.with_name(f".cadenza-{secrets.token_hex(6)}.part")
    try:
        yield part
        os.replace(part, place)
    except OSError as error:
        raise OutputError(f"cannot write {place}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def files_below(folder: Path, besides: Path | None = None) -> Iterator[Path]:
    """The ordinary files of a folder and of those in it, as they are found, but for what lies in
    ``besides``; hidden ones are left alone.

    Raises:
        OptionError: no such folder.
    """
    if not folder.is_dir():
        raise OptionError(f"{folder} is not a folder: give one with sounds in it")
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = [
            name for name in folders if name[0] != "." and (here / name).resolve() != besides
        ]
        found = (here / name for name in names if name[0] != ".")
        yield from (path for path in found if path.is_file())
