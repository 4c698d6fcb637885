"""A session as one file, to be sent."""

from __future__ import annotations

import zipfile
from pathlib import Path

from cadenza.errors import SessionError
from cadenza.files import replacing
from cadenza.studio.folder import FILES, PARTS, Folder

FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # a zip knows none before: equal sessions are equal files


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
        raise SessionError(f"{archive} is there already: move it away, or use --force")
    places = [folder.path / name for name in FILES]
    places += [place for part in PARTS for place in sorted((folder.path / part).glob("*"))]
    with replacing(archive) as part, zipfile.ZipFile(part, "x", zipfile.ZIP_DEFLATED) as packed:
        for place in places:
            if place.is_file() and not place.is_symlink():
                name = f"{folder.path.name}/{place.relative_to(folder.path).as_posix()}"
                entry = zipfile.ZipInfo(name, FIRST_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                packed.writestr(entry, place.read_bytes())
    return archive
