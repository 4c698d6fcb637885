"""The application, put together."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cadenza.jobs.store import Store
from cadenza.server import jobs, problems, status, streams, uploads
from cadenza.server.context import Context
from cadenza.server.guard import Gate, Guard
from cadenza.server.settings import Settings
from cadenza.server.status import Counting, Metrics
from cadenza.ui import PAGE

DESCRIPTION = """Text to music.

Ask for a job and fetch what came of it, or listen while it is made. Errors are
`application/problem+json`. Where the server needs keys, send yours as `Authorization: Bearer KEY`.
`/v1/live` is a WebSocket: JSON in, sound out, steering while it plays."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'self'; media-src 'self' blob:; img-src 'self' data: blob:; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


def create_app(store: Store, settings: Settings) -> FastAPI:
    """The service on what ``store`` holds. It needs workers, but does not start them."""
    app = FastAPI(
        title="Cadenza",
        version=version("cadenza"),
        description=DESCRIPTION,
        docs_url=None,  # its scripts would come from another site
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    context = Context(store, settings, Guard(store.keys, settings))
    app.state.context = context
    app.state.metrics = Metrics(context)
    app.state.decoders = asyncio.Semaphore(settings.decoders)
    for part in (jobs, uploads, streams, status):
        app.include_router(part.router)
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    problems.install(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]

    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Range"],
            expose_headers=["Location", "Retry-After", "X-Seed"],
        )
    app.add_middleware(_Careful)
    app.add_middleware(Gate, settings=settings)
    app.add_middleware(Counting, metrics=app.state.metrics)
    return app


class _Careful:
    """Tells browsers what they may do with an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, careful)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        parts = schema["components"]
        parts["schemas"]["Problem"] = problems.Problem.model_json_schema()
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{}, {"key": []}]
        app.openapi_schema = schema
    return app.openapi_schema
