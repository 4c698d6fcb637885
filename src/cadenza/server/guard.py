"""Who asks, and whether they may: keys, limits, and what a browser may do for another site."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cadenza.errors import AccessDenied, Busy
from cadenza.jobs.access import HIGHEST, Keys
from cadenza.server import problems
from cadenza.server.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_REMEMBERED = 10_000  # owners or addresses, so that strangers cannot fill the memory
UPLOADS = "/v1/uploads"  # counts its own bytes


@dataclass(frozen=True)
class Caller:
    """``id`` owns the jobs, ``priority`` is the highest that it may ask for."""

    id: str
    priority: int


EVERYBODY = Caller("everybody", HIGHEST)


class Bucket:
    """At most ``a_minute`` of something for each name, and no more than that at once."""

    def __init__(self, a_minute: int) -> None:
        self._most = float(a_minute)
        self._left: dict[str, tuple[float, float]] = {}  # name: what is left, when that was so
        self._lock = Lock()

    def take(self, name: str, cost: float = 1.0) -> None:
        """Raises Busy: nothing is left just now. With ``cost`` 0 nothing is taken."""
        now = time.monotonic()
        with self._lock:
            left, then = self._left.pop(name, (self._most, now))
            left = min(self._most, left + (now - then) * self._most / 60)
            fits = left >= 1
            self._left[name] = (left - cost if fits else left, now)
            if len(self._left) > MAX_REMEMBERED:
                self._left.pop(next(iter(self._left)))  # whoever was quiet the longest
        if not fits:
            wait = (1 - left) * 60 / self._most
            raise Busy("too many requests in a short time: slow down", wait)


class Tally:
    """How many of something each name has at once."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    @property
    def total(self) -> int:
        return self._counts.total()

    @contextmanager
    def one(self, name: str, most: float, refusal: str) -> Iterator[None]:
        """Raises Busy: ``name`` has ``most`` already, and is told the ``refusal``."""
        with self._lock:
            if self._counts[name] >= most:
                raise Busy(refusal)
            self._counts[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._counts[name] -= 1
                self._counts += Counter()  # forgets names that have none


class Guard:
    """Checks keys and counts what each owner does at once."""

    def __init__(self, keys: Keys, settings: Settings) -> None:
        self._keys, self._settings = keys, settings
        self._requests = Bucket(settings.requests_a_minute)
        self._guesses = Bucket(settings.guesses_a_minute)
        self._streams, self._uploads = Tally(), Tally()

    @property
    def streaming(self) -> int:
        """Streams that are open, of all owners."""
        return self._streams.total

    def admit(self, connection: HTTPConnection, key: str | None = None) -> Caller:
        """Who is there. ``key`` is one that came otherwise than in a header.

        Raises:
            AccessDenied: no key, or one that opens nothing.
            Busy: too many requests, or too many wrong keys.
        """
        if not self._settings.keys:
            return EVERYBODY
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        given = key or (given.strip() if scheme.lower() == "bearer" else "")
        if not given:
            raise AccessDenied("this service needs a key: send it as «Authorization: Bearer KEY»")
        try:
            found = self._keys.check(given)
        except AccessDenied:  # a right key is let in from anywhere: many may share an address
            self._guesses.take(connection.client.host if connection.client else "")
            raise
        self._requests.take(found.id)
        return Caller(found.id, found.priority)

    def stream(self, caller: Caller) -> AbstractContextManager[None]:
        """Raises Busy: as many streams of this owner are open as may be."""
        most = self._settings.streams
        refusal = f"{most} of your streams are open already: close one first"
        return self._streams.one(caller.id, self._most(most), refusal)

    def upload(self, caller: Caller) -> AbstractContextManager[None]:
        """Raises Busy: as many uploads of this owner are under way as may be."""
        most = self._settings.uploads
        refusal = f"{most} of your uploads are under way already: wait for one of them"
        return self._uploads.one(caller.id, self._most(most), refusal)

    def _most(self, most: int) -> float:
        """Without keys, one owner is everybody."""
        return most if self._settings.keys else math.inf


class Gate:
    """Turns away what should not even be looked at, before anything else runs.

    - A page of another site: browsers send its ``Origin`` along, even where CORS keeps the answer
      from it, and on a machine without keys the request alone would do harm. What a page embeds,
      such as ``<audio src>``, comes without an origin but with ``Sec-Fetch-Site``; a link to this
      server that somebody follows may stay. Programs send neither.
    - A foreign ``Host`` on a server that only this machine reaches: some site's name was made to
      point here (DNS rebinding).
    - A body that is larger than any that is asked for.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        refusal = self._refusal(HTTPConnection(scope))
        if refusal is None:
            if scope["type"] == "http" and scope["path"] != UPLOADS:
                receive = self._counting(receive)
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        await problems.answer(*refusal)(scope, receive, send)

    def _refusal(self, connection: HTTPConnection) -> tuple[int, str] | None:
        headers, settings = connection.headers, self._settings
        host = headers.get("host", "")
        if settings.loopback and _name(f"//{host}") not in LOOPBACK:
            return 421, "this server answers to localhost only"
        if self._foreign(headers, host):
            return 403, "pages of other sites may not use this server (see --allow-origin)"
        if connection.scope["path"] != UPLOADS:
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > settings.body_bytes:
                return 413, f"the body may have at most {settings.body_bytes} bytes"
        return None

    def _foreign(self, headers: Headers, host: str) -> bool:
        """Whether a page of a site that may not use this server is behind it."""
        origin = headers.get("origin")
        if origin is not None:
            return origin not in self._settings.origins and _place(origin) != host
        elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        return elsewhere and headers.get("sec-fetch-dest") != "document"

    def _counting(self, receive: Receive) -> Receive:
        """Bodies without a length are counted while they come."""
        left = self._settings.body_bytes

        async def counting() -> Message:
            nonlocal left
            message: Message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, "the body is too large")
            return message

        return counting


def _place(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _name(url: str) -> Any:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
