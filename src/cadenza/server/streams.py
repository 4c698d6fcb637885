"""``/v1/stream`` and ``/v1/live``: sound while it is made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, ValidationError

from cadenza.errors import CadenzaError, OptionError
from cadenza.jobs.asking import asked
from cadenza.jobs.kinds.generate import MUSIC, WHOLE, Listen, ListenBase
from cadenza.request import GenerateRequest
from cadenza.server.context import Here, Who
from cadenza.server.encoding import MEDIA_TYPES, Encoder, StreamFormat, encoder
from cadenza.server.problems import documented
from cadenza.server.relay import Relay, play

HELLO_SECONDS = 10.0  # in which a live client has to say what it wants

router = APIRouter(prefix="/v1", tags=["streams"])


class _InQuery(ListenBase):
    model_config = ConfigDict(extra="forbid", strict=False)  # there is only text in a query

    format: StreamFormat = "wav"


ListenQuery: Any = asked(GenerateRequest, "ListenQuery", _InQuery, MUSIC, WHOLE)


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={
        **documented(404),
        200: {
            "description": "Sound, while it is made. X-Seed is the seed that was drawn.",
            "content": {kind: {} for kind in MEDIA_TYPES.values()},
        },
    },
)
async def stream(wish: Annotated[ListenQuery, Query()], here: Here, who: Who) -> StreamingResponse:
    """Listen to a prompt while it is played. Without ``duration`` it goes on until you leave, at
    the pace of listening; else it comes as fast as it is made and read."""
    given = wish.model_dump(exclude={"format"})
    async with AsyncExitStack() as opening:
        opening.enter_context(here.guard.stream(who))
        relay = await opening.enter_async_context(
            play(here.store.workers, Listen(**given), who.id, paced=wish.duration is None)
        )
        open_ones = opening.pop_all()
    return StreamingResponse(
        _sound(relay, encoder(wish.format, relay.rate, relay.channels), open_ones),
        media_type=MEDIA_TYPES[wish.format],
        headers={"X-Seed": str(relay.seed), "Cache-Control": "no-store"},
    )


async def _sound(
    relay: Relay, sounding: Encoder, open_ones: AsyncExitStack
) -> AsyncIterator[bytes]:
    async with open_ones:
        async for heard in relay.heard():
            if isinstance(heard, bytes) and (sound := await _run(sounding.push, heard)):
                yield sound
        yield await _run(sounding.finish)


async def _run(function: Any, *given: Any) -> bytes:
    """Encoding takes milliseconds, which other streams should not wait for."""
    made: bytes = await asyncio.to_thread(function, *given)
    return made


@router.websocket("/live")
async def live(socket: WebSocket, here: Here) -> None:
    """Sound one way, steering the other.

    The client begins with one JSON text: the fields of a stream, and ``key`` where one is needed.
    The server answers ``{"rate", "channels", "seed"}`` and then sends sound as binary messages,
    interleaved 16-bit little-endian, no faster than it is heard. Every further text of the client
    steers (``prompt``, ``over``, ``tempo``, ``guidance``, ``temperature``, ``top_k``, ``top_p``)
    and is answered by ``{"steered": …}`` or ``{"error": {"kind", "message"}}``.
    """
    await socket.accept()
    try:
        wish = _parsed(await asyncio.wait_for(socket.receive_text(), HELLO_SECONDS))
        key = wish.pop("key", None)
        who = await asyncio.to_thread(here.guard.admit, socket, key and str(key))
        try:
            listen = Listen(**wish)
        except (ValidationError, TypeError) as error:
            raise OptionError(_first(error)) from error
        with here.guard.stream(who):
            async with play(here.store.workers, listen, who.id, paced=True) as relay:
                await _both_ways(socket, relay)
        await socket.close()
    except CadenzaError as error:
        with suppress(RuntimeError, WebSocketDisconnect):
            told = {"kind": type(error).__name__, "message": str(error)}
            await socket.send_json({"error": told})
            await socket.close(1008)
    except (WebSocketDisconnect, TimeoutError, KeyError, RuntimeError):
        with suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(1008)


async def _both_ways(socket: WebSocket, relay: Relay) -> None:
    await socket.send_json({"rate": relay.rate, "channels": relay.channels, "seed": relay.seed})

    async def down() -> None:
        async for heard in relay.heard():
            if isinstance(heard, bytes):
                await socket.send_bytes(heard)
            else:
                await socket.send_json(heard)

    async def up() -> None:
        while True:
            text = await socket.receive_text()
            try:
                await relay.steer(_parsed(text))
            except OptionError as error:
                await socket.send_json({"error": {"kind": "OptionError", "message": str(error)}})

    tasks = [asyncio.create_task(way()) for way in (down, up)]
    try:
        finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in finished:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _parsed(text: str) -> dict[str, Any]:
    try:
        wish = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionError("a message must be a JSON object") from error
    if not isinstance(wish, dict):
        raise OptionError("a message must be a JSON object")
    return wish


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else first["msg"]
    return "a message must be a JSON object of options"
