"""One database, SQLite or PostgreSQL, behind two doors: for reading and for writing."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Column, Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cadenza.errors import OptionError, Unavailable
from cadenza.jobs.tables import service

log = logging.getLogger(__name__)

BUSY_SECONDS = 5.0  # that a writer waits for another one
ASKED_TOGETHER = 1000  # ids in a statement; PostgreSQL takes 65,535
LOCK = 0x63616465  # the number of our lock among PostgreSQL's advisory locks


class Database:
    """Where jobs, uploads, keys and workers are recorded.

    Args:
        url: ``sqlite:///path`` or ``postgresql+psycopg://user:password@host/name``.

    Raises:
        OptionError: not such a URL.
        Unavailable: from every method, when the database cannot be reached or stays locked.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            parsed = make_url(url)
            options: dict[str, Any] = {}
            if parsed.get_backend_name() == "sqlite":
                options["connect_args"] = {"timeout": BUSY_SECONDS}
            elif parsed.get_backend_name() == "postgresql":
                options["connect_args"] = {"connect_timeout": int(BUSY_SECONDS)}
                options["pool_pre_ping"] = True  # a connection from before a restart is dead
            else:
                raise ArgumentError(f"{parsed.get_backend_name()} is not known")
            self._engine = create_engine(parsed, pool_timeout=BUSY_SECONDS, **options)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise OptionError(
                "the database must be sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME "
                f"({type(error).__name__})"  # the URL may hold a password
            ) from error
        self._sqlite = self._engine.dialect.name == "sqlite"
        if self._sqlite:
            _prepare_sqlite(self._engine)
        self._writing = self._engine.execution_options(writing=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state and changes nothing."""
        with _translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[Connection]:
        """A transaction; ``alone`` keeps others that ask for the same waiting until its end.

        In SQLite every writer is alone.
        """
        with _translated(), self._writing.begin() as connection:
            if alone and not self._sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": LOCK})
            yield connection

    def migrate(self) -> None:
        """Bring the tables to this version; safe when several processes start together.

        Raises:
            Unavailable: it says why; whoever begins a service may know what its users need not.
        """
        try:
            self._engine.connect().close()
        except OperationalError as error:
            raise Unavailable(f"the database cannot be reached: {_reason(error)}") from error
        with self.writing(alone=True) as connection:
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def among(self, column: Column[str], ids: Sequence[str]) -> set[str]:
        """Which of ``ids`` a column holds; asked in parts, as a statement takes so many."""
        found: set[str] = set()
        with self.reading() as connection:
            for first in range(0, len(ids), ASKED_TOGETHER):
                some = ids[first : first + ASKED_TOGETHER]
                found.update(connection.scalars(select(column).where(column.in_(some))))
        return found

    def identity(self) -> str:
        """What tells this database from every other one, wherever it is moved."""
        with self.reading() as connection:
            id: str = connection.execute(select(service.c.id)).scalar_one()
            return id

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        log.warning("database: %s", _reason(error))
        raise Unavailable("the database cannot be reached now: try again in a while") from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise Unavailable("the database went away: try again in a while") from error


def _reason(error: Exception) -> str:
    """The driver's own words in one line, without those of SQLAlchemy."""
    return " ".join(str(getattr(error, "orig", error)).split())


def _prepare_sqlite(engine: Engine) -> None:
    """Write-ahead log, and transactions that really begin where they should.

    Python's driver begins a transaction at the first write only; a writer that has read by then
    can fail for good. Hence BEGIN IMMEDIATE, which waits for its turn instead.
    """

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def begins(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
