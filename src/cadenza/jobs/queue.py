"""The queue: every job from the request to its end, recorded so that any process may die.

::

    queued ──lease──► running ──finish──► done, failed, cancelled
       ▲                 │
       └── lease lost ───┘   at most MAX_ATTEMPTS times, then failed

A job belongs to the worker that leased it only while ``worker`` and ``attempt`` are still those of
the lease. All that a worker writes is bound to both, so a job ends once however many workers
believe that it is theirs.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, or_, select, update

from cadenza.errors import Busy, Conflict, NotFound
from cadenza.jobs.database import Database
from cadenza.jobs.tables import MAX_WORDS, endings, jobs

MAX_QUEUED = 1000
MAX_ATTEMPTS = 3
LEASE_SECONDS = 15.0
DELETED_TOGETHER = 1000  # jobs that expire
FULL_SECONDS = 10.0  # after which to try again when the queue is full

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
OPEN = (QUEUED, RUNNING)
STATES = (*OPEN, DONE, FAILED, CANCELLED)


@dataclass(frozen=True, eq=False)
class Job:
    """One row of the table; times in seconds since 1970."""

    id: str
    owner: str
    kind: str
    request: dict[str, Any]
    idempotency_key: str | None
    state: str
    priority: int
    turn: int
    created: float
    started: float | None
    finished: float | None
    attempt: int
    worker: str | None
    leased_until: float | None
    cancelling: bool
    progress: float  # it never goes back, not even when another attempt begins
    doing: str  # what is being done, in words
    error: dict[str, str] | None
    files: list[dict[str, Any]]
    bytes: int

    @property
    def over(self) -> bool:
        return self.state not in OPEN

    def check_file(self, name: str) -> None:
        """Refuse what is none of its files.

        Raises:
            NotFound: it has none of that name.
        """
        if name not in [file["name"] for file in self.files]:
            raise NotFound(f"job {self.id} has no file of that name")


def new_id() -> str:
    """A name that cannot be guessed, fit for a path and a URL."""
    return secrets.token_hex(16)


class JobQueue:
    """The jobs of all owners.

    Raises:
        Unavailable: from every method, when the database cannot be reached.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], float] = time.time,
        max_queued: int = MAX_QUEUED,
        max_attempts: int = MAX_ATTEMPTS,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._database, self._now = database, now
        self.max_queued, self.max_attempts = max_queued, max_attempts
        self.lease_seconds = lease_seconds

    # ── For the one who asks ────────────────────────────────────────────────────────────────────

    def submit(
        self,
        owner: str,
        kind: str,
        request: Mapping[str, Any],
        *,
        priority: int = 0,
        idempotency_key: str | None = None,
        max_open: int | None = None,
    ) -> tuple[Job, bool]:
        """Queue a job; returns it, and whether it is new rather than found by its key.

        ``turn`` makes the queue fair: an owner's jobs stand one behind the other, and one who has
        none waiting begins where the queue is now. So whoever asks for a thousand delays nobody
        else by more than one (start-time fair queueing).

        Raises:
            Busy: the queue is full, or ``max_open`` jobs of this owner are queued or running.
            Conflict: the idempotency key was used for another request.
        """
        with self._database.writing(alone=True) as connection:
            if idempotency_key is not None:
                known = _fetch(
                    connection,
                    and_(jobs.c.owner == owner, jobs.c.idempotency_key == idempotency_key),
                )
                if known:
                    if (known[0].kind, known[0].request) != (kind, dict(request)):
                        raise Conflict(
                            f"the idempotency key {idempotency_key!r} was used for another "
                            "request: take a new one"
                        )
                    return known[0], False
            self._check_room(connection, owner, max_open)
            queued = jobs.c.state == QUEUED
            last = select(func.max(jobs.c.turn) + 1).where(queued, jobs.c.owner == owner)
            current = select(func.min(jobs.c.turn)).where(queued, jobs.c.priority == priority)
            turns = [connection.scalar(query) or 0 for query in (last, current)]
            made = connection.execute(
                jobs.insert()
                .values(
                    id=new_id(),
                    owner=owner,
                    kind=kind,
                    request=dict(request),
                    idempotency_key=idempotency_key,
                    state=QUEUED,
                    priority=priority,
                    turn=max(turns),
                    created=self._now(),
                    attempt=0,
                    cancelling=False,
                    progress=0.0,
                    files=[],
                    bytes=0,
                )
                .returning(jobs)
            ).one()
            return Job(**made._mapping), True

    def get(self, id: str, owner: str | None = None) -> Job:
        """One job, of ``owner`` where one is given.

        Raises:
            NotFound: there is none.
        """
        condition = jobs.c.id == id
        if owner is not None:
            condition &= jobs.c.owner == owner
        with self._database.reading() as connection:
            found = _fetch(connection, condition)
        if not found:
            raise NotFound(f"there is no job {id}")
        return found[0]

    def history(
        self,
        owner: str,
        *,
        states: Sequence[str] = (),
        kind: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """The newest first; ``before`` is the last job of the page before.

        Raises:
            NotFound: no job ``before``.
        """
        conditions = [jobs.c.owner == owner]
        if states:
            conditions.append(jobs.c.state.in_(states))
        if kind is not None:
            conditions.append(jobs.c.kind == kind)
        if before is not None:
            last = self.get(before, owner)
            earlier = and_(jobs.c.created == last.created, jobs.c.id < last.id)
            conditions.append(or_(jobs.c.created < last.created, earlier))
        with self._database.reading() as connection:
            return _fetch(connection, and_(*conditions), limit)

    def cancel(self, id: str, owner: str | None = None) -> Job:
        """Cancel what waits at once and ask the worker of what runs; a job that is over stays.

        Raises:
            NotFound: there is no such job.
        """
        with self._database.writing() as connection:
            mine = jobs.c.id == id
            if owner is not None:
                mine &= jobs.c.owner == owner
            waits = jobs.c.state == QUEUED
            left = connection.scalars(
                update(jobs)
                .where(mine, jobs.c.state.in_(OPEN))
                .values(
                    state=case((waits, CANCELLED), else_=jobs.c.state),
                    finished=case((waits, self._now()), else_=None),
                    cancelling=True,
                )
                .returning(jobs.c.state)
            )
            _count_endings(connection, left)
        return self.get(id, owner)

    def counts(self) -> dict[str, int]:
        """How many jobs are queued, and how many are running."""
        query = (
            select(jobs.c.state, func.count()).where(jobs.c.state.in_(OPEN)).group_by(jobs.c.state)
        )
        with self._database.reading() as connection:
            found = {state: count for state, count in connection.execute(query)}
        return {state: found.get(state, 0) for state in OPEN}

    def endings(self) -> dict[str, int]:
        """How many jobs were ever done, failed or cancelled, those that have expired included."""
        with self._database.reading() as connection:
            return {state: count for state, count in connection.execute(select(endings))}

    def depth(self) -> int:
        """How many jobs are queued or running."""
        return sum(self.counts().values())

    def oldest(self) -> float:
        """Seconds that the longest waiting job has waited, 0 where none waits."""
        query = select(func.min(jobs.c.created)).where(jobs.c.state == QUEUED)
        with self._database.reading() as connection:
            created = connection.scalar(query)
        return 0.0 if created is None else max(0.0, self._now() - created)

    # ── For a worker ────────────────────────────────────────────────────────────────────────────

    def lease(self, worker: str) -> Job | None:
        """The next job, which is ``worker``'s until the lease runs out; None if nothing waits."""
        with self._database.writing() as connection:
            following = (
                select(jobs.c.id)
                .where(jobs.c.state == QUEUED)
                .order_by(jobs.c.priority.desc(), jobs.c.turn, jobs.c.created, jobs.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)  # SQLite has one writer and needs none
            )
            id = connection.scalar(following)
            if id is None:
                return None
            leased = connection.execute(
                update(jobs)
                .where(jobs.c.id == id)
                .values(
                    state=RUNNING,
                    worker=worker,
                    started=self._now(),
                    leased_until=self._now() + self.lease_seconds,
                    attempt=jobs.c.attempt + 1,
                    doing="",
                )
                .returning(jobs)
            ).one()
            return Job(**leased._mapping)

    def renew(
        self, held: Mapping[Job, float], doing: Mapping[Job, str] = MappingProxyType({})
    ) -> dict[Job, bool]:
        """Keep the leases of jobs and note their progress, and what is being done for them.

        Returns those that are still held, and whether each is to be cancelled; one that is
        missing was given to another.
        """
        kept = {}
        with self._database.writing() as connection:
            for job, progress in held.items():
                further = case((jobs.c.progress < progress, progress), else_=jobs.c.progress)
                cancelling = connection.scalar(
                    update(jobs)
                    .where(_held(job))
                    .values(
                        leased_until=self._now() + self.lease_seconds,
                        progress=further,
                        doing=doing.get(job, "")[:MAX_WORDS],
                    )
                    .returning(jobs.c.cancelling)
                )
                if cancelling is not None:
                    kept[job] = cancelling
        return kept

    def finish(
        self,
        job: Job,
        state: str,
        *,
        files: Sequence[Mapping[str, Any]] = (),
        error: Mapping[str, str] | None = None,
    ) -> bool:
        """End a job; False where it is no longer the worker's, whose result then does not count."""
        done = {"progress": 1.0} if state == DONE else {}
        with self._database.writing() as connection:
            ended = connection.execute(
                update(jobs)
                .where(_held(job))
                .values(
                    state=state,
                    finished=self._now(),
                    leased_until=None,
                    doing="",
                    error=None if error is None else dict(error),
                    files=[dict(file) for file in files],
                    bytes=sum(file["bytes"] for file in files),
                    **done,
                )
            )
            _count_endings(connection, [state] * ended.rowcount)
            return ended.rowcount == 1

    def give_back(self, job: Job) -> None:
        """Let another worker have a job, as if this one had never begun it."""
        with self._database.writing() as connection:
            connection.execute(
                update(jobs)
                .where(_held(job))
                .values(
                    state=QUEUED,
                    worker=None,
                    leased_until=None,
                    attempt=jobs.c.attempt - 1,
                    doing="",
                )
            )

    def reap(self, worker: str | None = None) -> int:
        """Take back the jobs whose lease ran out, or those of a ``worker`` that is known dead.

        A lease that reaches further than any could is one from before the clock was set back.
        """
        now = self._now()
        if worker is None:
            lost = or_(
                jobs.c.leased_until < now, jobs.c.leased_until > now + 2 * self.lease_seconds
            )
        else:
            lost = jobs.c.worker == worker
        last = jobs.c.attempt >= self.max_attempts
        ends = or_(jobs.c.cancelling, last)
        with self._database.writing() as connection:
            taken = connection.execute(
                update(jobs)
                .where(jobs.c.state == RUNNING, lost)
                .values(
                    state=case((jobs.c.cancelling, CANCELLED), (last, FAILED), else_=QUEUED),
                    finished=case((ends, now), else_=None),
                    worker=None,
                    leased_until=None,
                    doing="",
                )
                .returning(jobs.c.id, jobs.c.state, jobs.c.attempt)
            ).all()
            for row in taken:
                if row.state == FAILED:
                    message = f"the worker stopped in each of {row.attempt} attempts"
                    error = {"kind": "Unavailable", "message": message}
                    connection.execute(update(jobs).where(jobs.c.id == row.id).values(error=error))
            _count_endings(connection, (row.state for row in taken))
        return len(taken)

    # ── For the one who tidies up ───────────────────────────────────────────────────────────────

    def expire(self, max_age: float, max_bytes: int) -> list[str]:
        """Forget what ended more than ``max_age`` seconds ago, and the oldest results beyond
        ``max_bytes`` in all. Returns the ids whose files may go."""
        over = jobs.c.state.not_in(OPEN)
        newer = func.sum(jobs.c.bytes).over(order_by=(jobs.c.finished.desc(), jobs.c.id))
        sizes = select(jobs.c.id, jobs.c.bytes, newer.label("total")).where(over).subquery()
        too_much = select(sizes.c.id).where(sizes.c.total > max_bytes, sizes.c.bytes > 0)
        old = jobs.c.finished < self._now() - max_age
        query = select(jobs.c.id).where(over, or_(old, jobs.c.id.in_(too_much)))
        with self._database.reading() as connection:  # it reads them all, and holds nobody up
            gone = list(connection.scalars(query))
        for first in range(0, len(gone), DELETED_TOGETHER):  # what is over stays so meanwhile
            with self._database.writing() as connection:
                some = gone[first : first + DELETED_TOGETHER]
                connection.execute(delete(jobs).where(jobs.c.id.in_(some)))
        return gone

    def known(self, ids: Sequence[str]) -> set[str]:
        """Which of ``ids`` are jobs."""
        return self._database.among(jobs.c.id, ids)

    def _check_room(self, connection: Connection, owner: str, max_open: int | None) -> None:
        def count(*conditions: ColumnElement[bool]) -> int:
            return connection.scalar(select(func.count()).select_from(jobs).where(*conditions)) or 0

        if count(jobs.c.state == QUEUED) >= self.max_queued:
            raise Busy(f"{self.max_queued} jobs wait already: try again later", FULL_SECONDS)
        if (
            max_open is not None
            and count(jobs.c.state.in_(OPEN), jobs.c.owner == owner) >= max_open
        ):
            raise Busy(
                f"{max_open} of your jobs wait or run already: let one end first", FULL_SECONDS
            )


def _held(job: Job) -> ColumnElement[bool]:
    return and_(
        jobs.c.id == job.id,
        jobs.c.state == RUNNING,
        jobs.c.worker == job.worker,
        jobs.c.attempt == job.attempt,
    )


def _count_endings(connection: Connection, states: Iterable[str]) -> None:
    """Last in a transaction, and in one order, so that no two wait for each other."""
    for state, count in sorted(Counter(states).items()):
        if state not in OPEN:
            connection.execute(
                update(endings).where(endings.c.state == state).values(jobs=endings.c.jobs + count)
            )


def _fetch(connection: Connection, condition: ColumnElement[bool], limit: int = 1) -> list[Job]:
    query = (
        select(jobs).where(condition).order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(limit)
    )
    return [Job(**row._mapping) for row in connection.execute(query)]
