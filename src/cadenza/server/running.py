"""A server that listens, and whoever keeps its workers."""

from __future__ import annotations

import signal
import socket
import sys
from typing import Protocol

import uvicorn
from fastapi import FastAPI

from cadenza.errors import OptionError
from cadenza.jobs.store import Store
from cadenza.server.app import create_app
from cadenza.server.settings import Settings

SEND_BYTES = 128 * 1024  # of sound that wait in a connection, so that a slow reader is felt soon
GRACE_SECONDS = 3  # for open streams when the server stops
MAX_CONNECTIONS = 1000
MAX_MESSAGE = 64 * 1024  # bytes of a WebSocket message that comes in


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        OptionError: nobody can listen there.
    """
    try:
        [(family, *_), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise OptionError(
            f"cannot listen at {host}:{port}: {error.strerror or error}; choose another --port"
        ) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    return listener


class Executor(Protocol):
    """Whoever keeps workers for a server."""

    def start(self) -> None: ...

    def stop(self) -> None:
        """Let the workers give back what they have, and end."""
        ...


def run(store: Store, settings: Settings, listener: socket.socket, executor: Executor) -> None:
    """Serve until a signal ends it."""
    server = uvicorn.Server(configured(create_app(store, settings)))
    # uvicorn raises what ended it again; the default would end this process before its workers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    executor.start()
    try:
        server.run(sockets=[listener])
    finally:
        executor.stop()


def configured(app: FastAPI) -> uvicorn.Config:
    """How ``app`` is served."""
    return uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE,
        ws_per_message_deflate=False,  # sound does not shrink, and a bomb would swell
    )
