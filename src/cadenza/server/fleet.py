"""Workers on a Ray cluster: as many as the queue asks for, wherever there is room.

Ray places each of them, an actor, begins it again when it dies, on another machine if need be, and
adds machines for those that find no room, where it has an autoscaler. It knows nothing of jobs:
these belong to whoever has leased them in the database, as everywhere. Streams need no more either:
a worker says in its row where it listens.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cadenza.errors import MissingPackage, Unavailable
from cadenza.jobs.store import Store
from cadenza.jobs.workers import WorkerCard
from cadenza.server.supervising import FIRST_PAUSE, HEALTHY_SECONDS, LONGEST_PAUSE, STOP_SECONDS

log = logging.getLogger(__name__)

SLOTS, STREAMS = 8, 8  # jobs and streams of a worker at once
LOOK_SECONDS = 1.0  # between two looks at the queue
TIDY_LOOKS = 600
QUIET_SECONDS = 60.0  # in which fewer workers would do before one is let go
ANSWER_SECONDS = 5.0  # that a worker has to say whether it is idle


@dataclass(frozen=True)
class Kit:
    """What a worker needs to begin on any machine."""

    model: str
    loading: Mapping[str, Any]  # further arguments of cadenza.load; adapters lie on each machine
    folder: Path  # of each machine, made where it is not there
    database: str = field(repr=False)  # it may hold a password
    results: str


class Actor:
    """A worker in the hands of Ray, who begins it again after its death: each life has a name of
    its own, for a machine that was only cut off may come back with the one before."""

    def __init__(self, id: str, kit: Kit) -> None:
        from cadenza.jobs.worker import Worker
        from cadenza.model import load

        store = Store.open(kit.folder, kit.database, kit.results)
        _bury(store, id)
        model = load(kit.model, **kit.loading)
        host = _ray().util.get_node_ip_address()
        life = f"{id}-{secrets.token_hex(4)}"
        self._worker = Worker(
            store, model, slots=SLOTS, streams=STREAMS, host=host, id=life, expires=False
        )

    def run(self) -> None:
        self._worker.run()

    def stop(self) -> None:
        self._worker.stop()

    def idle(self) -> bool:
        return self._worker.idle


@dataclass(frozen=True)
class _Member:
    actor: Any
    running: Any  # what Ray gave for its ``run``
    since: float


class Fleet:
    """Keeps up to ``most`` workers on the cluster at ``address``, and one at least.

    Args:
        address: ``HOST:PORT`` of the cluster's head, ``auto`` for the one that this machine
            belongs to, ``local`` to begin one on this machine alone.
        cpus: of its machine that one worker takes; it takes a GPU, too, where it is to play on
            one, and with the device ``auto`` where the cluster has any.
        quiet_seconds: in which fewer workers would do before one is let go.
    """

    def __init__(
        self,
        store: Store,
        kit: Kit,
        most: int,
        *,
        address: str = "auto",
        cpus: int = 1,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self._store, self._kit, self._most = store, kit, most
        self._address, self._cpus, self._quiet_seconds = address, cpus, quiet_seconds
        self._crew: dict[str, _Member] = {}
        self._needed = time.monotonic()  # when as many as there are were needed last
        self._pause, self._hire_after = FIRST_PAUSE, 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tend, name="fleet", daemon=True)

    def start(self) -> None:
        """Join the cluster.

        Raises:
            MissingPackage: Ray is not installed.
            Unavailable: there is no cluster.
        """
        self._ray = _ray()
        host, _, port = self._address.rpartition(":")
        try:
            if host:  # Ray would try for minutes
                socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
            self._ray.init(self._address, include_dashboard=False, logging_level=logging.WARNING)
        except (OSError, RuntimeError, ValueError) as error:
            raise Unavailable(
                f"no Ray cluster answers at {self._address}: begin one with ray start --head, "
                "or say --address local to have one on this machine alone"
            ) from error
        self._hand = self._ray.remote(Actor).options(
            num_cpus=self._cpus,
            num_gpus=self._gpus(),
            max_restarts=-1,
            max_task_retries=-1,  # begun again, it runs again
            max_concurrency=3,  # it can be spoken to while it runs
            scheduling_strategy="SPREAD",
        )
        self._thread.start()

    def stop(self) -> None:
        """Let the workers give back what they have, and end."""
        self._stopping.set()
        self._thread.join()
        crew = list(self._crew.values())
        for member in crew:
            member.actor.stop.remote()
        running = [member.running for member in crew]
        if running:
            self._ray.wait(running, num_returns=len(running), timeout=STOP_SECONDS)
        for member in crew:
            self._ray.kill(member.actor)
        self._ray.shutdown()

    def _gpus(self) -> int:
        device = self._kit.loading.get("device", "auto")
        if device == "auto":
            return min(1, int(self._ray.cluster_resources().get("GPU", 0)))
        return int(device.startswith("cuda"))

    def _tend(self) -> None:
        looks = 0
        while not self._stopping.is_set():
            try:
                self._look_after()
                self._fit(self._wanted())
                if looks % TIDY_LOOKS == 0:
                    self._store.tidy()
            except (Unavailable, OSError, self._ray.exceptions.RayError) as error:
                log.warning("fleet: %s", error)
            looks += 1
            self._stopping.wait(LOOK_SECONDS)

    def _wanted(self) -> int:
        """Workers enough for the queue, and a stream always finds one that is free."""
        cards = self._store.workers.alive()
        free = [card.streams for card in cards if _actor(card) in self._crew]
        listening = STREAMS * len(free) - sum(free)
        wanted = max(math.ceil(self._store.queue.depth() / SLOTS), listening // STREAMS + 1)
        return min(wanted, self._most)

    def _fit(self, wanted: int) -> None:
        now = time.monotonic()
        if wanted >= len(self._crew):
            self._needed = now
        elif now - self._needed > self._quiet_seconds:
            self._let_one_go()
        while len(self._crew) < wanted and now >= self._hire_after:
            id = secrets.token_hex(8)
            actor = self._hand.remote(id, self._kit)
            self._crew[id] = _Member(actor, actor.run.remote(), now)

    def _let_one_go(self) -> None:
        """The last one that is idle, or has found no room yet."""
        for id, member in reversed(self._crew.items()):
            try:
                if not self._ray.get(member.actor.idle.remote(), timeout=ANSWER_SECONDS):
                    continue
                member.actor.stop.remote()  # with its handle gone, the actor ends after that
            except self._ray.exceptions.GetTimeoutError:
                self._ray.kill(member.actor)
            del self._crew[id]
            return

    def _look_after(self) -> None:
        """Forget those whom Ray could not begin again, or that cannot work."""
        for id, member in list(self._crew.items()):
            if not self._ray.wait([member.running], timeout=0)[0]:
                continue
            del self._crew[id]
            try:
                self._ray.get(member.running)
            except Exception as error:  # Ray wraps whatever it was
                log.error("a worker ended: %s", error)
            _bury(self._store, id)
            now = time.monotonic()
            lived = now - member.since > HEALTHY_SECONDS
            self._pause = FIRST_PAUSE if lived else min(2 * self._pause, LONGEST_PAUSE)
            self._hire_after = now + self._pause


def _actor(card: WorkerCard) -> str:
    """Whose life it is."""
    return card.id.partition("-")[0]


def _bury(store: Store, id: str) -> None:
    """Take back at once what an actor held in its earlier lives."""
    for card in store.workers.alive():
        if _actor(card) == id:
            store.workers.leave(card.id)
            store.queue.reap(card.id)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a service tells nobody of its use
    try:
        import ray
    except ImportError as error:
        raise MissingPackage("Ray", "pip install 'cadenza[ray]'") from error
    return ray
