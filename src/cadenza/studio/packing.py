"""A session as one file, to be sent, and to be worked on as it is."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from cadenza.errors import RecipeError, SessionError
from cadenza.files import check_place, replacing
from cadenza.studio.folder import FILES, PARTS, Folder

FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # a zip knows none before: equal sessions are equal files
ENCRYPTED = 0x1  # in the flags of an entry
MAX_ENTRIES, MAX_UNPACKED = 5000, 4_000_000_000  # files, bytes
# Other methods can expand a few bytes to any length at once.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError)

_OWN = re.compile(
    rf"{'|'.join(map(re.escape, FILES))}|({'|'.join(PARTS)})/[a-z0-9][a-z0-9 -]*\.(wav|mid)"
)
_SESSION = re.compile(r"([^/]+/)?session\.json")


def pack(folder: Folder, force: bool = False) -> Path:
    """Put a finished session into a ``.zip`` beside its folder: its own files, and no others.

    Raises:
        SessionError: it is not finished, or there is such a file already.
        OutputError: it cannot be written there.
    """
    if not folder.load().finished:
        raise SessionError(f"{folder.path} is not finished: go on with cadenza resume")
    archive = folder.path.with_name(f"{folder.path.name}.zip")
    if archive.exists() and not force:
        raise SessionError(f"{archive} is there already: move it away")
    with replacing(archive) as part, zipfile.ZipFile(part, "x", zipfile.ZIP_DEFLATED) as packed:
        _add(packed, folder, f"{folder.path.name}/")
    return archive


def unpack(archive: Path, inside: Path) -> Folder:
    """Put the session in a ``.zip`` into a folder, which is made: its own files, and no others.

    Raises:
        SessionError: there is no session, or it is a file that may do harm or is damaged.
    """
    for part in PARTS:
        (inside / part).mkdir(parents=True)
    with _reading(archive) as packed:
        contents = _contents(packed, archive)
        needed = sum(entry.file_size for entry in packed.infolist())
        room = min(MAX_UNPACKED, shutil.disk_usage(inside).free)
        if needed > room:
            raise SessionError(
                f"{archive} holds {needed / 1e6:.0f} MB unpacked, there is room for "
                f"{room / 1e6:.0f} MB in {inside.parent}"
            )
        for name, entry in contents.own.items():
            with packed.open(entry) as source, open(inside / name, "xb") as target:
                shutil.copyfileobj(source, target)
    return Folder.open(inside)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Folder]:
    """A session to be worked on, be it a folder or a ``.zip``.

    A ``.zip`` is replaced as a whole when the block ends; if the block raises, it stays as it was.
    What else a person put into it stays in it.

    Raises:
        SessionError: there is no session, or it is a file that may do harm or is damaged.
        OutputError: it is a ``.zip`` that cannot be replaced.
    """
    archive = Path(os.path.realpath(path))
    if archive.is_file():
        check_place(archive)
    with readable(archive) as folder:
        yield folder
        if archive.is_file():
            _repack(folder, archive)


@contextmanager
def readable(path: str | os.PathLike[str]) -> Iterator[Folder]:
    """A session to be looked at, be it a folder or a ``.zip``, which is unpacked elsewhere.

    Raises:
        SessionError: there is no session, or it is a file that may do harm or is damaged.
    """
    archive = Path(os.path.realpath(path))
    if not archive.is_file():
        yield Folder.open(path)
        return
    with tempfile.TemporaryDirectory(prefix="cadenza-") as inside:
        folder = unpack(archive, Path(inside))
        try:
            yield folder
        except (SessionError, RecipeError) as error:
            raise type(error)(str(error).replace(str(folder.path), str(archive))) from error


@dataclass(frozen=True)
class _Contents:
    root: str  # what the names of the session's own files begin with
    own: dict[str, zipfile.ZipInfo]  # by their names in a session's folder
    others: list[zipfile.ZipInfo]


def _add(packed: zipfile.ZipFile, folder: Folder, root: str) -> None:
    places = [folder.path / name for name in FILES]
    places += [place for part in PARTS for place in sorted((folder.path / part).glob("*"))]
    for place in places:
        name = place.relative_to(folder.path).as_posix()
        if _OWN.fullmatch(name) and place.is_file() and not place.is_symlink():
            entry = zipfile.ZipInfo(f"{root}{name}", FIRST_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.file_size = place.stat().st_size  # by which it is known whether it is a large one
            with place.open("rb") as source, packed.open(entry, "w") as target:
                shutil.copyfileobj(source, target)


@contextmanager
def _reading(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as packed:
            yield packed
    except DAMAGES as error:
        raise SessionError(f"{archive} cannot be opened as a session: {error}") from error


def _repack(folder: Folder, archive: Path) -> None:
    with _reading(archive) as before, replacing(archive) as part:
        contents = _contents(before, archive)
        with zipfile.ZipFile(part, "x", zipfile.ZIP_DEFLATED) as packed:
            _add(packed, folder, contents.root)
            for entry in contents.others:
                # A copy, for what is written changes the entry that is read by.
                with before.open(entry) as source, packed.open(copy(entry), "w") as target:
                    shutil.copyfileobj(source, target)


def _contents(packed: zipfile.ZipFile, archive: Path) -> _Contents:
    """What is in it, after every entry was looked at.

    Raises:
        SessionError: no session, or something that may do harm.
    """
    entries = packed.infolist()
    if len(entries) > MAX_ENTRIES:
        raise SessionError(f"{archive} holds {len(entries)} files, {MAX_ENTRIES} at most")
    for entry in entries:
        if _leads_out(entry.filename):
            raise SessionError(f"{archive} holds {entry.filename!r}, which leads out of it")
        if entry.flag_bits & ENCRYPTED or entry.compress_type not in METHODS:
            raise SessionError(f"{archive} is encrypted or packed in a rare way: pack it plainly")
    named = {entry.filename: entry for entry in entries}
    if len(named) < len(entries):
        raise SessionError(f"{archive} holds two files of one name: pack it anew")
    roots = [found[1] or "" for found in map(_SESSION.fullmatch, named) if found]
    if len(roots) != 1:
        raise SessionError(f"{archive} holds {len(roots) or 'no'} session.json: pack one session")
    own = {
        name.removeprefix(roots[0]): named.pop(name)
        for name in list(named)
        if name.startswith(roots[0]) and _OWN.fullmatch(name.removeprefix(roots[0]))
    }
    return _Contents(roots[0], own, list(named.values()))


def _leads_out(name: str) -> bool:
    """Whether ``name`` is absolute or climbs, on any system."""
    return bool(re.match(r"[/\\]|[A-Za-z]:", name)) or ".." in re.split(r"[/\\]", name)
