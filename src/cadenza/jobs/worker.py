"""The worker: it owns the model, does jobs, plays streams, and may be killed at any moment."""

from __future__ import annotations

import dataclasses
import logging
import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from cadenza.errors import CadenzaError, Cancelled, OutputError, SessionError, Unavailable
from cadenza.jobs.door import Door
from cadenza.jobs.kinds import KINDS, Work
from cadenza.jobs.queue import CANCELLED, DONE, FAILED, Job
from cadenza.jobs.shared import SharedModel
from cadenza.jobs.store import Store
from cadenza.jobs.workers import WorkerCard
from cadenza.model import Model

T = TypeVar("T")

log = logging.getLogger(__name__)

ROWS = 4  # that a piece takes at most: two voices with guidance
BEAT_SECONDS = 1.0  # between two looks into the table
REAP_BEATS = 5
TIDY_SECONDS = 600.0
RETRY_SECONDS = 1.0  # when the database cannot be reached


class _Stopping(Cancelled):
    """The worker stops, not the job."""


class _Lost(Cancelled):
    """The job was given to another worker."""


class _Doing:
    """A job in the making; what it is told from outside, it notices at the next step."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.progress = 0.0
        self.words = ""
        self.end: Cancelled | None = None
        self.scratch: Path | None = None
        self.thread: threading.Thread

    def report(self, done: int, total: int) -> None:
        self.progress = min(1.0, done / max(1, total))
        if self.end is not None:
            raise self.end

    def say(self, words: str) -> None:
        self.words = words

    def keep_scratch(self) -> None:
        """Touch it: what was not for long is swept as abandoned."""
        if self.scratch is not None:
            with suppress(FileNotFoundError):  # the job was just finished
                os.utime(self.scratch)


class Worker:
    """Leases jobs and does up to ``slots`` of them together; plays up to ``streams`` beside them.

    Args:
        host, port: where the server reaches it; port 0 is any free one.
        public: the host's name for others, where that is not ``host``.
        id: to be known by, so that whoever started it can say that it died.
        expires: whether it lets old results go; where there are many workers, one is enough.
    """

    def __init__(
        self,
        store: Store,
        model: Model,
        *,
        slots: int = 8,
        streams: int = 8,
        host: str = "127.0.0.1",
        port: int = 0,
        public: str | None = None,
        id: str | None = None,
        expires: bool = True,
    ) -> None:
        self.id = id or secrets.token_hex(8)
        self._store, self._slots = store, slots
        self._tidy = store.tidy if expires else store.sweep
        self._model = SharedModel(model, ROWS * (slots + streams), stream_rows=ROWS * streams)
        self._token = secrets.token_hex(32)
        self._facts = {
            "name": model.name,
            "family": model.family,
            "rate": model.rate,
            "channels": model.channels,
            "licence": model.licence,
            "frame_rate": model.frame_rate,
            "critic": model.has_critic,
            "revision": model.identity.revision,
            "sha256": model.identity.sha256,
            "adapters": [dataclasses.asdict(adapter) for adapter in model.identity.adapters],
        }
        self._doing: set[_Doing] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._door = Door(
            self._model,
            store,
            (host, port),
            self._token,
            streams,
            {"wake": lambda _: self._wake.set(), "cancel": lambda told: self._cancel(told["id"])},
        )
        self._address = f"{public or host}:{self._door.port}"

    @property
    def idle(self) -> bool:
        """Whether it does nothing for anybody."""
        return not self._doing and not self._door.busy

    def run(self) -> None:
        """Work until :meth:`stop`; what is not finished then is given back to the queue."""
        self._door.open()
        beside = [
            threading.Thread(target=self._beat, name="heartbeat"),
            threading.Thread(target=self._keep_tidy, name="tidying"),
        ]
        for thread in beside:
            thread.start()
        try:
            while not self._stopping.is_set():
                if not self._begin():
                    self._wake.wait(BEAT_SECONDS)
                    self._wake.clear()
        finally:
            self.stop()
            self._door.close()
            with self._lock:
                left = list(self._doing)
            for doing in left:
                doing.end = _Stopping("the worker stops")
            for doing in left:
                doing.thread.join()  # before the model closes, which they would take for a failure
            for thread in beside:
                thread.join()
            self._model.close()
            self._try(lambda: self._store.workers.leave(self.id))

    def stop(self) -> None:
        """May be called from anywhere, a signal handler included."""
        self._stopping.set()
        self._wake.set()

    def _begin(self) -> bool:
        """Lease a job and begin it, if there is one and a slot for it."""
        if len(self._doing) >= self._slots:
            return False
        job = self._try(lambda: self._store.queue.lease(self.id))
        if job is None:
            return False
        doing = _Doing(job)
        doing.thread = threading.Thread(target=self._do, args=(doing,), name=f"job {job.id}")
        with self._lock:
            self._doing.add(doing)
        doing.thread.start()
        return True

    def _do(self, doing: _Doing) -> None:
        job, queue = doing.job, self._store.queue
        counts = False  # whether what was written is the job's result
        unfinished = False
        try:
            files = self._make(doing)
            counts = self._insist(lambda: queue.finish(job, DONE, files=files))
        except _Stopping:
            unfinished = True
        except _Lost:
            log.warning("job %s was given to another worker", job.id)
        except Cancelled:
            self._insist(lambda: queue.finish(job, CANCELLED))
        except Exception as error:
            if isinstance(error, Unavailable) and job.attempt < queue.max_attempts:
                # What it needs may come back: the lease runs out, and it is begun again.
                log.warning("job %s, attempt %d: %s", job.id, job.attempt, error)
            else:
                told = _told(error)
                self._insist(lambda: queue.finish(job, FAILED, error=told))
        finally:
            self._store.folder.keep(job, counts)
            if unfinished:  # not before its files are gone: the next attempt has the same number
                self._try(lambda: queue.give_back(job))
            with self._lock:
                self._doing.remove(doing)
            self._wake.set()

    def _make(self, doing: _Doing) -> list[dict[str, Any]]:
        """Do what was asked; returns the files that came of it."""
        job, store = doing.job, self._store
        kind = KINDS[job.kind]
        request = kind.request.model_validate(job.request)
        folder = store.folder.attempt(job)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(str(error)) from error
        with TemporaryDirectory(dir=store.folder.scratch) as scratch:
            sound = partial(store.uploads.sound, owner=job.owner)

            def result(id: str, name: str) -> Path:
                return store.folder.result(store.queue.get(id, job.owner), name)

            doing.scratch = place = Path(scratch)
            kind.run(
                request, Work(self._model, folder, place, doing.report, doing.say, sound, result)
            )
        files = [
            {"name": place.name, "bytes": place.stat().st_size}
            for place in sorted(folder.iterdir())
        ]
        store.folder.publish(job)
        doing.report(1, 1)  # a cancellation that came late is heeded, too
        return files

    def _cancel(self, id: str) -> None:
        with self._lock:
            for doing in self._doing:
                if doing.job.id == id:
                    doing.end = Cancelled("cancelled")

    def _beat(self) -> None:
        """Keep the leases, note progress, hear of cancellations, and say that the worker lives."""
        beats = 0
        while not self._stopping.is_set():
            try:
                self._renew()
                card = WorkerCard(self.id, self._address, self._token, self._door.free, self._facts)
                self._store.workers.announce(card)
                if beats % REAP_BEATS == 0:
                    self._store.queue.reap()
            except (Unavailable, OSError) as error:
                log.warning("heartbeat: %s", error)
            beats += 1
            self._stopping.wait(BEAT_SECONDS)

    def _keep_tidy(self) -> None:
        """Beside the heartbeat: leases would run out while much is removed."""
        while not self._stopping.is_set():
            try:
                self._tidy()
            except (Unavailable, OSError) as error:
                log.warning("tidying: %s", error)
            self._stopping.wait(TIDY_SECONDS)

    def _renew(self) -> None:
        with self._lock:
            held = {doing.job: doing for doing in self._doing}
        if not held:
            return
        for doing in held.values():
            doing.keep_scratch()
        kept = self._store.queue.renew(
            {job: doing.progress for job, doing in held.items()},
            {job: doing.words for job, doing in held.items()},
        )
        for job, doing in held.items():
            if job not in kept:
                doing.end = _Lost("lost")  # or just finished, and then nobody asks any more
            elif kept[job]:
                doing.end = Cancelled("cancelled")

    def _try(self, action: Callable[[], T]) -> T | None:
        """Do something with the database; None where it cannot be reached."""
        try:
            return action()
        except Unavailable as error:
            log.warning("%s", error)
            self._stopping.wait(RETRY_SECONDS)
            return None

    def _insist(self, action: Callable[[], bool]) -> bool:
        """Do it as soon as the database can be reached, unless the worker stops."""
        while True:
            done = self._try(action)
            if done is not None or self._stopping.is_set():
                return bool(done)


def _told(error: Exception) -> dict[str, str]:
    """What the owner of a job may know of an error: no path, nothing of the inside."""
    if isinstance(error, OutputError):
        log.error("a result could not be stored: %s", error)
        return {"kind": "OutputError", "message": "the service could not store the result"}
    if isinstance(error, SessionError):
        log.error("a session could not be worked on: %s", error)
        message = "the session cannot be worked on: it may be damaged, or there is no room for it"
        return {"kind": "SessionError", "message": message}
    if isinstance(error, CadenzaError):
        return {"kind": type(error).__name__, "message": str(error)}
    log.error("a job failed", exc_info=error)
    return {"kind": "Error", "message": "something broke inside the service; it was noted there"}
