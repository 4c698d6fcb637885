"""What every operation of the API may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path
from starlette.requests import HTTPConnection

from cadenza.jobs.queue import Job
from cadenza.jobs.store import Store
from cadenza.server.guard import Caller, Guard
from cadenza.server.settings import Settings

ID = "^[0-9a-f]{32}$"


@dataclass(frozen=True)
class Context:
    """What a server has, kept in ``app.state.context``."""

    store: Store
    settings: Settings
    guard: Guard


def _context(connection: HTTPConnection) -> Context:
    found: Context = connection.app.state.context
    return found


Here = Annotated[Context, Depends(_context)]


def _caller(connection: HTTPConnection, here: Here) -> Caller:
    return here.guard.admit(connection)


Who = Annotated[Caller, Depends(_caller)]


def _own_job(id: Annotated[str, Path(pattern=ID)], here: Here, who: Who) -> Job:
    return here.store.queue.get(id, who.id)


OwnJob = Annotated[Job, Depends(_own_job)]
