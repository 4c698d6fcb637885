"""Which workers live, and where they listen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select

from cadenza.jobs.database import Database
from cadenza.jobs.tables import workers

SILENT_SECONDS = 15.0  # after which a worker counts as dead


@dataclass(frozen=True)
class WorkerCard:
    """A worker as it announces itself: ``address`` is host:port, ``token`` opens it."""

    id: str
    address: str
    token: str
    streams: int  # that it could begin now
    model: dict[str, Any]

    @property
    def place(self) -> tuple[str, int]:
        host, _, port = self.address.rpartition(":")
        return host, int(port)


class Workers:
    """The workers of the service."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def announce(self, card: WorkerCard) -> None:
        """Say that a worker lives; to be repeated well within ``SILENT_SECONDS``."""
        with self._database.writing() as connection:
            connection.execute(delete(workers).where(workers.c.id == card.id))
            connection.execute(workers.insert().values(card.__dict__ | {"seen": time.time()}))

    def leave(self, id: str) -> None:
        """Strike a worker off the list."""
        with self._database.writing() as connection:
            connection.execute(delete(workers).where(workers.c.id == id))

    def alive(self) -> list[WorkerCard]:
        """Those that were heard of lately, the freest first."""
        query = (
            select(*(workers.c[name] for name in WorkerCard.__annotations__))
            .where(workers.c.seen > time.time() - SILENT_SECONDS)
            .order_by(workers.c.streams.desc(), workers.c.id)
        )
        with self._database.reading() as connection:
            return [WorkerCard(**row._mapping) for row in connection.execute(query)]
