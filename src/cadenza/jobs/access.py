"""Who may ask: keys, of which only a fingerprint is kept."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import select, update

from cadenza.errors import AccessDenied, NotFound, OptionError
from cadenza.jobs.database import Database
from cadenza.jobs.tables import keys

PREFIX = "cdz_"
MAX_NAME = 100
LOWEST, HIGHEST = -10, 10  # priorities


@dataclass(frozen=True)
class Key:
    """What is known of a key: ``id`` is the owner of its jobs."""

    id: str
    name: str
    priority: int
    created: float
    revoked: float | None


class Keys:
    """The keys of the service.

    A key is 256 random bits, so one round of SHA-256 hides it as well as any slow hash would, and
    looking up its fingerprint tells nobody who guesses how near they came.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def new(self, name: str, priority: int = 0) -> tuple[Key, str]:
        """Make a key; returns what is kept of it, and the key itself, which is never seen again.

        Raises:
            OptionError: no name, one that is too long, or a priority out of range.
        """
        if not 1 <= len(name.strip()) <= MAX_NAME:
            raise OptionError(f"a key needs a name of 1 to {MAX_NAME} characters, not {name!r}")
        if not LOWEST <= priority <= HIGHEST:
            raise OptionError(f"priority must be from {LOWEST} to {HIGHEST}, not {priority}")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = Key(secrets.token_hex(6), name.strip(), priority, time.time(), None)
        with self._database.writing() as connection:
            connection.execute(
                keys.insert().values(
                    id=key.id,
                    name=key.name,
                    sha256=_fingerprint(secret),
                    priority=priority,
                    created=key.created,
                )
            )
        return key, secret

    def check(self, secret: str) -> Key:
        """Whose key it is.

        Raises:
            AccessDenied: nobody's, or revoked.
        """
        query = _COLUMNS.where(keys.c.sha256 == _fingerprint(secret), keys.c.revoked.is_(None))
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise AccessDenied("this key is unknown or revoked: ask for one (cadenza keys new)")
        return Key(**row._mapping)

    def all(self) -> list[Key]:
        """All keys, the newest first, revoked ones included."""
        with self._database.reading() as connection:
            rows = connection.execute(_COLUMNS.order_by(keys.c.created.desc()))
            return [Key(**row._mapping) for row in rows]

    def revoke(self, id: str) -> None:
        """Let a key open nothing any more; its jobs stay.

        Raises:
            NotFound: no such key.
        """
        with self._database.writing() as connection:
            gone = connection.execute(
                update(keys).where(keys.c.id == id).values(revoked=time.time())
            )
        if gone.rowcount == 0:
            raise NotFound(f"there is no key {id}: see cadenza keys list")


_COLUMNS = select(keys.c.id, keys.c.name, keys.c.priority, keys.c.created, keys.c.revoked)


def _fingerprint(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
