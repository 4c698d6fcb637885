"""How the service is: for people who run it, and for programs that watch it."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cadenza.errors import Unavailable
from cadenza.prompting import explain, presets
from cadenza.server.context import Context, Here, Who
from cadenza.server.problems import documented
from cadenza.types import AdapterIdentity

router = APIRouter()


class ModelOut(BaseModel):
    """A model that is ready to play."""

    name: str
    family: str
    rate: int
    channels: int
    frame_rate: float
    critic: bool
    licence: str
    revision: str | None
    sha256: str
    adapters: list[AdapterIdentity]


@router.get("/v1/models", tags=["models"], responses=documented())
def models(here: Here, who: Who) -> list[ModelOut]:
    """What the workers play; none while they still load it."""
    playing = [card.model for card in here.store.workers.alive()]
    found = {f"{model['sha256']} {model['adapters']}": model for model in playing}
    return [ModelOut(**model) for model in found.values()]


@router.get("/v1/prompts", tags=["prompts"], responses=documented())
def prompts(who: Who) -> dict[str, str]:
    """Prompts to start from, by name."""
    return dict(presets())


@router.get("/v1/prompts/enhanced", tags=["prompts"], responses=documented())
def enhanced(prompt: str, who: Who) -> dict[str, str]:
    """What «enhance» would make of a prompt."""
    return {"description": explain(prompt).description}


@router.get("/healthz", tags=["status"])
def healthz() -> dict[str, str]:
    """The server answers."""
    return {"status": "ok"}


@router.get("/readyz", tags=["status"], responses=documented())
def readyz(here: Here) -> dict[str, int]:
    """The database answers and a worker is ready."""
    workers = len(here.store.workers.alive())
    if not workers:
        raise Unavailable("no worker is ready yet: try again in a while")
    return {"workers": workers}


class Metrics:
    """What is counted, and what is asked of the database whenever somebody looks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "cadenza_requests", "Answered requests", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "cadenza_request_seconds", "Until the answer began", ["path"], registry=self.registry
        )
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        store = self._context.store
        waiting = GaugeMetricFamily("cadenza_jobs", "Jobs that wait or run", labels=["state"])
        ended = CounterMetricFamily("cadenza_jobs_ended", "Jobs that have ended", labels=["state"])
        for family, counts in ((waiting, store.queue.counts()), (ended, store.queue.endings())):
            for state, count in counts.items():
                family.add_metric([state], count)
            yield family
        cards = store.workers.alive()
        numbers = {
            "cadenza_queue_oldest_seconds": ("The longest wait", store.queue.oldest()),
            "cadenza_workers": ("Workers that live", len(cards)),
            "cadenza_streams_free": ("Streams that could begin", sum(c.streams for c in cards)),
            "cadenza_streams_open": ("Streams that are open", self._context.guard.streaming),
        }
        for name, (help, value) in numbers.items():
            yield GaugeMetricFamily(name, help, value=value)

    def describe(self) -> list[Any]:
        return []  # asked when it is registered, when there may be no database yet


@router.get("/metrics", tags=["status"], response_class=Response, responses=documented())
def metrics(request: Request, who: Who) -> Response:
    """For Prometheus."""
    return Response(
        generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST
    )


class Counting:
    """Counts every answer under the path as it is documented, not as it was asked."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun = perf_counter()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = getattr(scope.get("route"), "path", "other")
                self._metrics.requests.labels(path, message["status"]).inc()
                self._metrics.seconds.labels(path).observe(perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, counting)
