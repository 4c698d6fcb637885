"""``/v1/jobs``: ask for something, follow it, fetch what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from pathlib import PurePath
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, BackgroundTasks, Header, Query, Response
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field, create_model

from cadenza.errors import NotFound, OptionError, Unavailable
from cadenza.jobs import wire
from cadenza.jobs.access import HIGHEST, LOWEST
from cadenza.jobs.kinds import KINDS, Kind
from cadenza.jobs.queue import STATES, Job
from cadenza.jobs.workers import Workers
from cadenza.server.context import ID, Here, OwnJob, Who
from cadenza.server.problems import documented

LOOK_SECONDS = 0.25  # between two looks at a job that somebody follows
MEDIA_TYPES = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".mid": "audio/midi",
    ".json": "application/json",
    ".zip": "application/zip",
}

State = Literal["queued", "running", "done", "failed", "cancelled"]
assert set(State.__args__) == set(STATES)  # type: ignore[attr-defined]

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


def _submission(name: str, kind: Kind) -> Any:
    """What is posted to ask for a job of this kind."""
    priority = Field(
        None,
        ge=LOWEST,
        le=HIGHEST,
        description="Higher is sooner, up to your key's; 0 unless your key's is lower.",
    )
    config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"kind": name, "request": kind.example}]}
    )
    fields: dict[str, Any] = {
        "kind": (Literal[name], ...),
        "request": (kind.request, ...),
        "priority": (int | None, priority),
    }
    return create_model(f"{kind.request.__name__}Job", __config__=config, **fields)


_SUBMISSIONS = [_submission(name, kind) for name, kind in KINDS.items()]
Submission: Any = reduce(or_, _SUBMISSIONS)
if len(_SUBMISSIONS) > 1:
    Submission = Annotated[Submission, Field(discriminator="kind")]


class FileOut(BaseModel):
    name: str
    bytes: int
    type: str = Field(description="Media type.")
    url: str


class ErrorOut(BaseModel):
    kind: str
    message: str


class JobOut(BaseModel):
    """A job as its owner sees it."""

    id: str
    kind: str
    state: State
    progress: float = Field(description="0 to 1; it never goes back.")
    doing: str = Field(description="What is being done, in words; empty where nothing is said.")
    priority: int
    attempt: int = Field(description="How often it was begun.")
    created: datetime
    started: datetime | None
    finished: datetime | None
    request: dict[str, Any]
    error: ErrorOut | None
    files: list[FileOut]


def shown(job: Job) -> JobOut:
    """A job as it is answered."""
    return JobOut(
        id=job.id,
        kind=job.kind,
        state=job.state,  # type: ignore[arg-type]
        progress=job.progress,
        doing=job.doing,
        priority=job.priority,
        attempt=job.attempt,
        created=_moment(job.created),
        started=None if job.started is None else _moment(job.started),
        finished=None if job.finished is None else _moment(job.finished),
        request=job.request,
        error=None if job.error is None else ErrorOut(**job.error),
        files=[
            FileOut(
                **file,
                type=media_type(file["name"]),
                url=f"{router.prefix}/{job.id}/files/{quote(file['name'])}",
            )
            for file in job.files
        ],
    )


def media_type(name: str) -> str:
    return MEDIA_TYPES.get(PurePath(name).suffix, "application/octet-stream")


@router.post("", status_code=201, responses=documented(404, 409))
def submit(
    submission: Submission,
    here: Here,
    who: Who,
    response: Response,
    later: BackgroundTasks,
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=r"^[\x21-\x7e]{1,200}$",
            description="Sent again with the same request, it finds the job of the first time.",
        ),
    ] = None,
) -> JobOut:
    """Ask for a job. It is done as soon as its turn comes."""
    priority = min(0, who.priority) if submission.priority is None else submission.priority
    if priority > who.priority:
        raise OptionError(f"your key may ask for priority {who.priority} at most, not {priority}")
    for id in submission.request.uploads.values():
        here.store.uploads.get(id, who.id)
    for id, name in submission.request.results.items():
        here.store.queue.get(id, who.id).check_file(name)
    job, new = here.store.queue.submit(
        who.id,
        submission.kind,
        submission.request.model_dump(mode="json"),
        priority=priority,
        idempotency_key=idempotency_key,
        max_open=here.settings.open_jobs,
    )
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"{router.prefix}/{job.id}"
    if new:
        later.add_task(_tell_all, here.store.workers, "wake")
    return shown(job)


@router.get("", responses=documented(404))
def history(
    here: Here,
    who: Who,
    state: Annotated[list[State] | None, Query(description="Of these states alone.")] = None,
    kind: Annotated[Literal[tuple(KINDS)] | None, Query()] = None,  # type: ignore[valid-type]
    before: Annotated[
        str | None, Query(pattern=ID, description="The last job of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> list[JobOut]:
    """Your jobs, the newest first."""
    found = here.store.queue.history(
        who.id, states=state or (), kind=kind, before=before, limit=limit
    )
    return [shown(job) for job in found]


@router.get("/{id}", responses=documented(404))
def one(job: OwnJob) -> JobOut:
    """One job."""
    return shown(job)


@router.delete("/{id}", responses=documented(404))
def cancel(job: OwnJob, here: Here, later: BackgroundTasks) -> JobOut:
    """Cancel a job. What runs stops within a step; what is over stays as it is."""
    cancelled = here.store.queue.cancel(job.id)
    if not cancelled.over:
        later.add_task(_tell_all, here.store.workers, "cancel", id=job.id)
    return shown(cancelled)


@router.get("/{id}/events", response_class=EventSourceResponse, responses=documented(404))
async def events(job: OwnJob, here: Here) -> AsyncIterator[ServerSentEvent]:
    """Follow a job by server-sent events: ``job`` at every change, and the last one ends it."""
    said = None
    while True:
        try:
            job = await asyncio.to_thread(here.store.queue.get, job.id)
        except NotFound:
            return  # it expired meanwhile
        except Unavailable:
            pass  # its state of before is the last that is known
        now = (job.state, job.progress, job.doing, job.attempt)
        if now != said:
            said = now
            yield ServerSentEvent(event="job", data=shown(job))
        if job.over:
            return
        await asyncio.sleep(LOOK_SECONDS)


@router.get(
    "/{id}/files/{name}",
    response_class=FileResponse,
    responses={
        **documented(404, 416),
        200: {"description": "The file.", "content": {"*/*": {}}},
        206: {"description": "The part of it that «Range» asked for.", "content": {"*/*": {}}},
    },
)
def file(job: OwnJob, name: str, here: Here) -> FileResponse:
    """A file of a job that is done, whole or a range of it."""
    place = here.store.folder.result(job, name)
    return FileResponse(
        place,
        media_type=media_type(name),
        headers={"Cache-Control": "private, max-age=31536000, immutable"},
    )


def _tell_all(workers: Workers, do: str, **what: Any) -> None:
    """A hint to every worker; none is needed, so nothing may come of it."""
    try:
        for card in workers.alive():
            wire.hint(card, do, **what)
    except Unavailable:
        pass


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
