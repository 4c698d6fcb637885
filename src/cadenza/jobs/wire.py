"""How a server speaks with a worker: one TCP connection a wish, on loopback or a private network.

The server sends one line of JSON: the worker's ``token``, and what to ``do``.

- ``wake``: look into the queue now. ``cancel``: stop job ``id`` now. Both are hints, sent and
  forgotten: the worker looks into the table every second anyway.
- ``stream``: make the sound of ``request``. The worker answers in frames: a letter, the length in
  four bytes, the content. ``J`` is JSON (first what the sound is, later answers and the end), ``P``
  is interleaved 16-bit sound. Meanwhile every further line of the server is a steering wish.

Sound never passes through the database. The connection *is* the stream: when either side goes
away, the other one notices at once and the rows are free at the next step; when the reader is
slow, the connection fills up, and the worker makes no more.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

from cadenza.jobs.workers import WorkerCard

MAX_LINE = 64 * 1024  # bytes; a prompt has at most 2000 characters
MAX_FRAME = 8 << 20
BUFFER_BYTES = 64 * 1024  # of each socket: a second of sound, so that a slow reader is felt soon
CONNECT_SECONDS = 5.0
JSON, SOUND = b"J", b"P"
_HEAD = struct.Struct("!cI")


def pack(kind: bytes, content: bytes) -> bytes:
    return _HEAD.pack(kind, len(content)) + content


def pack_json(value: dict[str, Any]) -> bytes:
    return pack(JSON, json.dumps(value).encode())


def line(card: WorkerCard, do: str, **what: Any) -> bytes:
    """The first line of a connection to a worker."""
    return json.dumps({"token": card.token, "do": do, **what}).encode() + b"\n"


def hint(card: WorkerCard, do: str, **what: Any) -> None:
    """Tell a worker something that it would find out later by itself."""
    try:
        with socket.create_connection(card.place, timeout=1.0) as connection:
            connection.sendall(line(card, do, **what))
    except OSError:
        pass  # it is gone, or busy: the table has it


async def connect(card: WorkerCard) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection whose buffers are small.

    Raises:
        OSError, TimeoutError: nobody is there.
    """
    loop = asyncio.get_running_loop()
    host, port = card.place
    [(family, kind, protocol, _, address), *_] = await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        await asyncio.wait_for(loop.sock_connect(connection, address), CONNECT_SECONDS)
    except BaseException:
        connection.close()
        raise
    return await asyncio.open_connection(sock=connection, limit=BUFFER_BYTES)


async def read_frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next frame: its letter and content.

    Raises:
        EOFError, OSError: the worker is gone.
        ValueError: it does not speak this language.
    """
    kind, size = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    if size > MAX_FRAME or kind not in (JSON, SOUND):
        raise ValueError(f"a frame {kind!r} of {size} bytes")
    return kind, await reader.readexactly(size)
