"""A PostgreSQL of our own on loopback, for as long as the tests run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

SERVER_USER = "postgres"  # Debian's; the server refuses to run as root


def binaries() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``, the newest version; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return found[-1].parent if found else None


class Postgres:
    """A cluster in a temporary folder; :meth:`stop` and :meth:`start` as often as wanted."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
        self._databases = 0

    def _run(self, program: str, *arguments: str) -> None:
        bin = binaries()
        assert bin is not None
        as_user = ["runuser", "-u", SERVER_USER, "--"] if os.geteuid() == 0 else []
        subprocess.run(
            [*as_user, str(bin / program), "-D", str(self._folder), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )

    def create(self) -> None:
        self._run("initdb", "--auth=trust", "--username=cadenza", "--no-sync", "--encoding=UTF8")

    def start(self) -> None:
        options = f"-p {self._port} -h 127.0.0.1 -k {self._folder} -F -c max_connections=60"
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self._folder / "log"), "start")

    def stop(self) -> None:
        """At once: whoever is connected loses the connection."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._databases += 1
        name = f"cadenza_{self._databases}"
        where = f"host=127.0.0.1 port={self._port} user=cadenza dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql+psycopg://cadenza@127.0.0.1:{self._port}/{name}"


@contextmanager
def running() -> Iterator[Postgres]:
    """A cluster that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="cadenza-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, SERVER_USER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = Postgres(folder, port)
    try:
        cluster.create()
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
