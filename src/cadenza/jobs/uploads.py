"""Sounds that people send: decoded once, by a process that may fail, and kept as plain samples."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, func, select

from cadenza.audio import MAX_SECONDS, read
from cadenza.errors import Busy, NotFound
from cadenza.jobs.database import Database
from cadenza.jobs.decoding import decode
from cadenza.jobs.folder import Folder
from cadenza.jobs.queue import new_id
from cadenza.jobs.tables import uploads
from cadenza.request import Sound, fingerprint
from cadenza.types import Source

MAX_NAME = 100
FULL_SECONDS = 3600.0  # after which one may ask again whether older uploads have expired


@dataclass(frozen=True)
class Upload:
    id: str
    owner: str
    name: str
    created: float
    bytes: int
    seconds: float
    rate: int
    channels: int


class Uploads:
    """The sounds of all owners."""

    def __init__(self, database: Database, folder: Folder) -> None:
        self._database, self._folder = database, folder

    def add(self, owner: str, name: str, received: Path, max_bytes: int | None = None) -> Upload:
        """Decode what was ``received`` and keep it; ``name`` is what its owner calls it.

        Raises:
            AudioError: it is not a sound that can be used.
            Busy: the owner's uploads would take more than ``max_bytes``, decoded.
            OutputError: it cannot be stored.
        """
        id = new_id()
        part = self._folder.incoming / f"{id}.wav"
        try:
            facts = decode(received, part, MAX_SECONDS)
            size = part.stat().st_size
            self._folder.keep_upload(part, id)
        finally:
            part.unlink(missing_ok=True)
        upload = Upload(id, owner, _plain(name), time.time(), size, **facts)
        try:
            with self._database.writing(alone=True) as connection:
                _check_room(connection, owner, size, max_bytes)
                connection.execute(uploads.insert().values(upload.__dict__))
        except Busy:
            self._folder.remove([], [id])
            raise
        return upload

    def check_room(self, owner: str, max_bytes: int) -> None:
        """Refuse before anything is received what could not be kept.

        Raises:
            Busy: the owner's uploads take ``max_bytes``, decoded, or more.
        """
        with self._database.reading() as connection:
            _check_room(connection, owner, 1, max_bytes)

    def get(self, id: str, owner: str) -> Upload:
        """Raises NotFound: there is none, or it is another owner's."""
        query = select(uploads).where(uploads.c.id == id, uploads.c.owner == owner)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"there is no upload {id}")
        return Upload(**row._mapping)

    def sound(self, id: str, owner: str) -> Sound:
        """The samples, with what a recipe says of them: the name that its owner gave it.

        Raises:
            NotFound: there is none, it is another owner's, or it has expired.
            AudioError: the file was damaged since.
        """
        upload = self.get(id, owner)
        audio = read(self._folder.upload(id))
        return Sound(audio, Source(upload.name, fingerprint(audio)))

    def expire(self, max_age: float) -> list[str]:
        """Forget what came more than ``max_age`` seconds ago; returns the ids."""
        old = uploads.c.created < time.time() - max_age
        with self._database.writing() as connection:
            return list(connection.scalars(delete(uploads).where(old).returning(uploads.c.id)))

    def known(self, ids: Sequence[str]) -> set[str]:
        """Which of ``ids`` are uploads."""
        return self._database.among(uploads.c.id, ids)


def _check_room(connection: Connection, owner: str, size: int, most: int | None) -> None:
    query = select(func.coalesce(func.sum(uploads.c.bytes), 0)).where(uploads.c.owner == owner)
    if most is not None and connection.scalars(query).one() + size > most:
        raise Busy(
            f"your uploads fill their place of {most} bytes, decoded: wait until older ones expire",
            FULL_SECONDS,
        )


def _plain(name: str) -> str:
    """A file's name without folders and without what no name should hold."""
    return re.sub(r"[^\w .()-]", "_", re.split(r"[/\\]", name)[-1])[:MAX_NAME].strip() or "sound"
