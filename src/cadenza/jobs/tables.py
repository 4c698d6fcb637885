"""The tables, the same in SQLite and PostgreSQL. ``migrations/`` makes them.

Times are seconds since 1970 by the clock of the machine that writes. No decision rests on a clock
alone: a worker whose lease was given to another by mistake finds its attempt gone and discards
what it made.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

MAX_WORDS = 200  # letters of what is being done
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("request", JSON, nullable=False),
    Column("idempotency_key", String(200)),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("turn", BigInteger, nullable=False),  # place in the queue, see JobQueue.submit
    Column("created", Double, nullable=False),
    Column("started", Double),  # of the last attempt
    Column("finished", Double),
    Column("attempt", Integer, nullable=False),  # how often it was begun
    Column("worker", String(32)),
    Column("leased_until", Double),
    Column("cancelling", Boolean, nullable=False),
    Column("progress", Double, nullable=False),  # 0 to 1
    Column("doing", String(MAX_WORDS), nullable=False, server_default=""),  # in words
    Column("error", JSON),  # {"kind", "message"}
    Column("files", JSON, nullable=False),  # [{"name", "bytes"}]
    Column("bytes", BigInteger, nullable=False),
    UniqueConstraint("owner", "idempotency_key"),
    Index(None, "state", "priority", "turn"),
    Index(None, "state", "owner", "turn"),
    Index(None, "owner", "created"),
)

endings = Table(  # how many jobs have ever ended, and how; jobs expire, this stays
    "endings",
    metadata,
    Column("state", String(16), primary_key=True),
    Column("jobs", BigInteger, nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(32), nullable=False),
    Column("name", String(100), nullable=False),  # as its owner called it
    Column("created", Double, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("rate", Integer, nullable=False),
    Column("channels", Integer, nullable=False),
    Index(None, "owner", "created"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("priority", Integer, nullable=False),  # the highest it may ask for
    Column("created", Double, nullable=False),
    Column("revoked", Double),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("address", String(200), nullable=False),  # host:port
    Column("token", String(64), nullable=False),
    Column("seen", Double, nullable=False),
    Column("streams", Integer, nullable=False),  # that it could begin now
    Column("model", JSON, nullable=False),  # what it plays
)

service = Table("service", metadata, Column("id", String(32), primary_key=True))  # one row

__all__ = ["endings", "jobs", "keys", "metadata", "service", "uploads", "workers"]
