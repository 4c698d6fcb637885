"""``/v1/uploads``: sounds of one's own, to go on from or to follow."""

from __future__ import annotations

import asyncio
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from cadenza.errors import OutputError
from cadenza.jobs.uploads import Upload
from cadenza.server.context import ID, Here, Who
from cadenza.server.problems import documented

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])

_BODY = {
    "requestBody": {
        "required": True,
        "description": "The file itself, in any format that libsndfile reads.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class UploadOut(BaseModel):
    """A sound that was understood; its id is what requests call it by."""

    id: str
    name: str
    created: datetime
    seconds: float
    rate: int
    channels: int


@router.post("", status_code=201, responses=documented(507), openapi_extra=_BODY)
async def upload(
    request: Request,
    here: Here,
    who: Who,
    name: Annotated[str, Query(max_length=200, description="What you call it.")] = "sound",
) -> UploadOut:
    """Send a sound. It is decoded at once, and kept as plain samples."""
    uploads, most = here.store.uploads, here.settings.uploads_bytes
    part = here.store.folder.incoming / secrets.token_hex(16)
    with here.guard.upload(who):
        await asyncio.to_thread(uploads.check_room, who.id, most)
        try:
            await _receive(request, part, here.settings.upload_bytes)
            async with request.app.state.decoders:
                made = await asyncio.to_thread(uploads.add, who.id, name, part, most)
        finally:
            part.unlink(missing_ok=True)
    return _shown(made)


@router.get("/{id}", responses=documented(404))
def one(id: Annotated[str, PathParameter(pattern=ID)], here: Here, who: Who) -> UploadOut:
    """What is known of a sound of yours."""
    return _shown(here.store.uploads.get(id, who.id))


def _shown(made: Upload) -> UploadOut:
    return UploadOut(
        id=made.id,
        name=made.name,
        created=datetime.fromtimestamp(made.created, UTC),
        seconds=made.seconds,
        rate=made.rate,
        channels=made.channels,
    )


async def _receive(request: Request, place: Path, most: int) -> None:
    """Write the body to ``place`` as it comes.

    Raises:
        HTTPException: it is larger than ``most`` bytes.
        OutputError: the disk does not take it.
    """
    size = 0
    try:
        with open(place, "xb") as file:
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise HTTPException(413, f"an upload may have at most {most} bytes")
                await asyncio.to_thread(file.write, part)
    except OSError as error:
        raise OutputError(f"{os.strerror(error.errno or 0)}: {place}") from error
