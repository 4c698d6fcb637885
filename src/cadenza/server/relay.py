"""From a worker that plays to a reader that listens: a connection of its own for each stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cadenza.errors import Busy, CadenzaError, Unavailable, rebuilt
from cadenza.jobs import wire
from cadenza.jobs.kinds.generate import Listen
from cadenza.jobs.workers import Workers

Told = dict[str, Any]


class Relay:
    """A stream that a worker plays: its sound comes out, wishes go in."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, facts: Told
    ) -> None:
        self._reader, self._writer = reader, writer
        self.rate: int = facts["rate"]
        self.channels: int = facts["channels"]
        self.seed: int = facts["seed"]

    async def steer(self, wish: Told) -> None:
        """Raises OSError: the worker is gone."""
        self._writer.write(json.dumps(wish).encode() + b"\n")
        await self._writer.drain()

    async def heard(self) -> AsyncIterator[bytes | Told]:
        """Interleaved 16-bit sound, and between it what the worker says of steering.

        Raises:
            Unavailable: the worker died.
            CadenzaError: what went wrong there.
        """
        while True:
            try:
                kind, content = await wire.read_frame(self._reader)
            except (EOFError, OSError, ValueError) as error:
                raise Unavailable("the worker went away: begin again") from error
            if kind == wire.SOUND:
                yield content
                continue
            told = json.loads(content)
            if told.get("end"):
                return
            yield told


@asynccontextmanager
async def play(workers: Workers, asked: Listen, owner: str, *, paced: bool) -> AsyncIterator[Relay]:
    """Have a worker play what is ``asked``; leaving the context ends it there, at the next step.

    Args:
        paced: no faster than it is heard.

    Raises:
        Busy: all workers play as much as they can.
        Unavailable: there is no worker.
        CadenzaError: what the worker has against it.
    """
    refused: CadenzaError = Unavailable("no worker is ready yet: try again in a while")
    for card in await asyncio.to_thread(workers.alive):
        try:
            reader, writer = await wire.connect(card)
        except (OSError, TimeoutError):
            continue  # it died a moment ago
        try:
            request = asked.model_dump(mode="json")
            writer.write(wire.line(card, "stream", request=request, owner=owner, paced=paced))
            try:
                kind, content = await wire.read_frame(reader)
                facts = json.loads(content) if kind == wire.JSON else {}
            except (EOFError, OSError, ValueError):
                continue
            if "error" not in facts:
                yield Relay(reader, writer, facts)
                return
            refused = rebuilt(facts["error"]["kind"], facts["error"]["message"])
            if not isinstance(refused, Busy):
                raise refused
        finally:
            writer.close()
    raise refused
