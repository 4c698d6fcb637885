"""Errors as ``application/problem+json`` (RFC 9457), each with the one status that it has."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from cadenza import errors
from cadenza.errors import Busy, CadenzaError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:cadenza:problem:"  # and the name of the error
UNAVAILABLE_SECONDS = 2.0

# The first class that fits decides.
STATUS: dict[type[CadenzaError], int] = {
    errors.AccessDenied: 401,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Busy: 429,
    errors.Unavailable: 503,
    errors.MissingPackage: 501,
    errors.OutputError: 507,
    CadenzaError: 422,
}


class Problem(BaseModel):
    """What went wrong, in words."""

    type: str = Field(examples=[TYPE + "OptionError"])
    title: str = Field(examples=["Unprocessable Entity"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["duration must be above 0 and at most 600 s, not 601"])


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that an operation may answer with, for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    always = (400, 401, 403, 413, 421, 422, 429, 503)
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in sorted({*always, *statuses})
    }


def answer(
    status: int, detail: str, kind: str = "", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem as an answer; ``kind`` is the name of an error."""
    phrase = HTTPStatus(status).phrase
    type = TYPE + kind if kind else "about:blank"
    content = {"type": type, "title": phrase, "status": status, "detail": detail}
    headers = {"Cache-Control": "no-store"} | dict(headers or {})
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def of_error(error: CadenzaError) -> JSONResponse:
    """The answer to one of our errors."""
    status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
    headers = {}
    detail = str(error)
    if isinstance(error, Busy):
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    elif status == 503:
        headers["Retry-After"] = str(max(1, round(UNAVAILABLE_SECONDS)))
    elif status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    elif status == 507:
        log.error("%s", error)  # it names a place on this machine
        detail = "the service could not store this: its disk is full or cannot be written"
    return answer(status, detail, type(error).__name__, headers)


def install(app: FastAPI) -> None:
    """Let every error of ``app`` be answered as a problem."""

    @app.exception_handler(CadenzaError)
    def _ours(_: Request, error: CadenzaError) -> JSONResponse:
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        kind = first.get("ctx", {}).get("kind", "OptionError")
        detail = f"{place}: {first['msg']}" if place and first["type"] != "rule" else first["msg"]
        return answer(422, detail.encode(errors="replace").decode(), kind)

    @app.exception_handler(HTTPException)
    def _http(_: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(Exception)
    def _unexpected(_: Request, error: Exception) -> JSONResponse:
        log.error("unexpected", exc_info=error)
        return answer(500, "something broke inside the service; it was noted there")
