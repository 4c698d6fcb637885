"""A real server on loopback, in this process; its workers, where it has any, are processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from cadenza.jobs.store import Store
from cadenza.server.app import create_app
from cadenza.server.running import configured, listen
from cadenza.server.settings import Settings

PATIENCE = 60.0  # seconds; nothing takes that long


def until(condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Wait for something true and return it."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
    return found


@dataclass(frozen=True)
class Service:
    url: str
    store: Store

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)


@contextmanager
def serving(
    root: Path, url: str | None = None, results: str | None = None, **settings: Any
) -> Iterator[Service]:
    """A server on the folder ``root``; without ``keys=True`` it asks for none.

    ``url`` and ``results`` are those of :meth:`Store.open`.
    """
    store = Store.open(root, url, results)
    listener = listen("127.0.0.1", 0)
    app = create_app(store, Settings(**({"keys": False} | settings)))
    server = uvicorn.Server(configured(app))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield Service(f"http://127.0.0.1:{listener.getsockname()[1]}", store)
    finally:
        server.should_exit = True
        thread.join()
        store.database.close()
