"""The worker's door: where the server comes for streams, and with hints."""

from __future__ import annotations

import hmac
import json
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from cadenza.audio import pcm16
from cadenza.errors import Busy, CadenzaError
from cadenza.jobs import wire
from cadenza.jobs.kinds.generate import Listen
from cadenza.jobs.store import Store
from cadenza.model import Model
from cadenza.streaming import Stream

log = logging.getLogger(__name__)

HELLO_SECONDS = 5.0  # in which a connection has to say what it wants
STALL_SECONDS = 300  # after which a reader that takes nothing at all is given up
STEERABLE = ("prompt", "over", "tempo", "guidance", "temperature", "top_k", "top_p")

Told = dict[str, Any]


class Door:
    """Listens at ``place``; speaks with those who know ``token``, see :mod:`cadenza.jobs.wire`.

    Args:
        streams: how many are played at once.
        hints: what to do when one of these is said.
    """

    def __init__(
        self,
        model: Model,
        store: Store,
        place: tuple[str, int],
        token: str,
        streams: int,
        hints: Mapping[str, Callable[[Told], None]],
    ) -> None:
        self._model, self._store, self._token, self._hints = model, store, token, hints
        self._streams = streams
        self._playing: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(place)
        self.port: int = self._listener.getsockname()[1]

    @property
    def free(self) -> int:
        """Streams that could begin now."""
        return self._streams - len(self._playing)

    @property
    def busy(self) -> bool:
        """Whether a stream is played."""
        return bool(self._playing)

    def open(self) -> None:
        threading.Thread(target=self._listen, name="door", daemon=True).start()

    def close(self) -> None:
        """End all streams and listen no more."""
        _hang_up(self._listener)
        self._listener.close()
        with self._lock:
            playing = list(self._playing)
        for connection in playing:
            _hang_up(connection)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(HELLO_SECONDS)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, wire.BUFFER_BYTES)
                lines = connection.makefile("rb")
                told = json.loads(lines.readline(wire.MAX_LINE))
                if not hmac.compare_digest(str(told.pop("token")), self._token):
                    return
                connection.settimeout(None)
                stall = struct.pack("ll", STALL_SECONDS, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, stall)
                if told["do"] == "stream":
                    self._play(connection, lines, told)
                else:
                    self._hints[told["do"]](told)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                log.debug("a connection ended: %r", error)

    def _play(self, connection: socket.socket, lines: Any, told: Told) -> None:
        voice = _Voice(connection)
        with self._lock:
            full = self.free <= 0
            if not full:
                self._playing.add(connection)
        try:
            if full:
                raise Busy("all streams of this worker are taken: try again later")
            asked = Listen.model_validate(told["request"])
            sounds = {
                name: self._store.uploads.sound(id, told["owner"])
                for name, id in asked.uploads.items()
            }
            options = asked.options(sounds)
            stream = self._model.stream(duration=asked.duration, buffer=asked.buffer, **options)
            with stream:
                voice.say(
                    rate=self._model.rate, channels=self._model.channels, seed=stream.playing.seed
                )
                wheel = threading.Thread(target=_steer, args=(stream, lines, voice), daemon=True)
                wheel.start()
                _send(stream, voice, asked.buffer if told["paced"] else None)
        except CadenzaError as error:
            voice.complain(error)
        finally:
            with self._lock:
                self._playing.discard(connection)
            _hang_up(connection)


class _Voice:
    """What is said to the other side, by two threads in turn."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._turn = threading.Lock()

    def send(self, frame: bytes) -> None:
        with self._turn:
            self.connection.sendall(frame)

    def say(self, **what: Any) -> None:
        self.send(wire.pack_json(what))

    def complain(self, error: CadenzaError) -> None:
        self.say(error={"kind": type(error).__name__, "message": str(error)})


def _send(stream: Stream, voice: _Voice, ahead: float | None) -> None:
    """Send the sound, no more than ``ahead`` seconds faster than it is heard."""
    begun, sent = time.monotonic(), 0.0
    for chunk in stream:
        voice.send(wire.pack(wire.SOUND, pcm16(chunk)))
        sent += chunk.duration
        if ahead is not None:
            time.sleep(max(0.0, min(chunk.duration, begun + sent - ahead - time.monotonic())))
    voice.say(end=True)


def _steer(stream: Stream, lines: Any, voice: _Voice) -> None:
    """Follow what the other side says until it is gone, and then end the stream."""
    try:
        while line := lines.readline(wire.MAX_LINE):
            try:
                wish = json.loads(line)
                if unknown := wish.keys() - {*STEERABLE}:
                    voice.say(error={"kind": "OptionError", "message": f"unknown: {unknown}"})
                    continue
                stream.steer(**wish)
                voice.say(steered=wish)
            except CadenzaError as error:
                voice.complain(error)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.debug("a stream's wheel was let go: %r", error)
    finally:
        _hang_up(voice.connection)
        stream.close()


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side was first
        connection.shutdown(socket.SHUT_RDWR)
