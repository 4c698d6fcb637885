"""The queue on both databases: its order, its bounds, and that no job is lost or made twice."""

from __future__ import annotations

import random
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from cadenza.errors import AccessDenied, Busy, Conflict, NotFound, OptionError, Unavailable
from cadenza.jobs import database as database_module
from cadenza.jobs.access import Keys
from cadenza.jobs.database import Database
from cadenza.jobs.queue import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Job, JobQueue
from cadenza.jobs.store import Store
from cadenza.jobs.tables import jobs, metadata
from tests.postgres import Postgres, binaries, running

FILE = {"name": "music.wav", "bytes": 10}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    cluster: Postgres = request.getfixturevalue("postgres")
    return cluster.new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    database.migrate()
    yield database
    database.close()


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(database: Database, clock: Clock) -> JobQueue:
    return JobQueue(database, now=clock)


def submit(queue: JobQueue, owner: str = "anna", **options: object) -> Job:
    job, _ = queue.submit(owner, "generate", {"prompt": "jazz"}, **options)  # type: ignore[arg-type]
    return job


def ended(owner: str, number: int) -> dict[str, Any]:
    """A row of the table."""
    return {
        "id": f"{number:032x}",
        "owner": owner,
        "kind": "generate",
        "request": {"prompt": "jazz"},
        "state": DONE,
        "priority": 0,
        "turn": number,
        "created": float(number),
        "finished": float(number),
        "attempt": 1,
        "cancelling": False,
        "progress": 1.0,
        "files": [FILE],
        "bytes": FILE["bytes"],
    }


def leased(queue: JobQueue, worker: str = "w") -> Job:
    job = queue.lease(worker)
    assert job is not None
    return job


# ── The tables ──────────────────────────────────────────────────────────────────────────────────


def test_the_migrations_make_what_the_code_expects(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_from_several_places_at_once(url: str) -> None:
    failures = []

    def migrate() -> None:
        try:
            Database(url).migrate()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert JobQueue(Database(url)).lease("w") is None


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://root@localhost/x", "sqlite+nothing:///x", "file:///etc/passwd"]
)
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(OptionError, match="the database must be"):
        Database(url)


def test_a_password_in_the_url_is_not_repeated() -> None:
    with pytest.raises(OptionError) as caught:
        Database("mysql://root:secret@localhost/x")
    assert "secret" not in str(caught.value)


def test_another_attempt_does_not_take_progress_back(queue: JobQueue) -> None:
    job = submit(queue)
    seen = []
    for worker, reached in (("a", 0.6), ("b", 0.2), ("b", 0.7)):
        held = queue.lease(worker) or queue.get(job.id)
        seen.append(held.progress)
        queue.renew({held: reached}, {held: "playing"})
        seen.append(queue.get(job.id).progress)
        if worker == "a":
            queue.reap("a")
            assert queue.get(job.id).doing == ""
            seen.append(queue.get(job.id).progress)
    assert seen == [0.0, 0.6, 0.6, 0.6, 0.6, 0.6, 0.7]


# ── From the request to the end ─────────────────────────────────────────────────────────────────


def test_a_job_goes_its_way(queue: JobQueue, clock: Clock) -> None:
    job = submit(queue)
    assert (job.state, job.attempt, job.progress) == (QUEUED, 0, 0.0)
    clock.time += 5
    assert queue.oldest() == 5
    running = leased(queue)
    assert (running.id, running.state, running.worker, running.attempt) == (job.id, RUNNING, "w", 1)
    assert queue.renew({running: 0.5}) == {running: False}
    assert queue.get(job.id).progress == 0.5
    assert queue.renew({running: 0.4}, {running: "drums again" * 100}) == {running: False}
    told = queue.get(job.id)
    assert told.progress == 0.5 and told.doing.startswith("drums again") and len(told.doing) == 200
    clock.time += 7
    assert queue.finish(running, DONE, files=[FILE])
    done = queue.get(job.id, "anna")
    assert (done.state, done.progress, done.files, done.bytes) == (DONE, 1.0, [FILE], 10)
    assert done.doing == ""
    assert (done.created, done.started, done.finished) == (1e6, 1e6 + 5, 1e6 + 12)
    assert queue.lease("w") is None


@pytest.mark.parametrize("text", ["nul\0nul", "\U0001f3b7 sax", "a'b\"c\\d", "\u202e"])
def test_any_text_survives_both_databases(queue: JobQueue, text: str) -> None:
    job, _ = queue.submit("anna", "generate", {"prompt": text})
    assert queue.get(job.id).request == leased(queue).request == {"prompt": text}


def test_jobs_of_others_are_not_there(queue: JobQueue) -> None:
    job = submit(queue, "anna")
    for reach in (queue.get, queue.cancel):
        with pytest.raises(NotFound):
            reach(job.id, "boris")
    with pytest.raises(NotFound):
        queue.history("boris", before=job.id)
    assert queue.history("boris") == []
    assert queue.get(job.id).state == QUEUED


def test_history_in_pages(queue: JobQueue, clock: Clock) -> None:
    ids = []
    for number in range(7):
        clock.time += number % 2  # some at the very same time
        ids.append(submit(queue).id)
    seen: list[str] = []
    before = None
    while page := queue.history("anna", before=before, limit=3):
        seen += [job.id for job in page]
        before = page[-1].id
    assert sorted(seen) == sorted(ids) and len(seen) == 7
    queue.cancel(ids[0])
    assert [job.id for job in queue.history("anna", states=[CANCELLED])] == [ids[0]]
    assert queue.history("anna", kind="midi") == []


def test_an_idempotency_key_makes_one_job(queue: JobQueue) -> None:
    first, new = queue.submit("anna", "generate", {"prompt": "x"}, idempotency_key="k")
    again, new_again = queue.submit("anna", "generate", {"prompt": "x"}, idempotency_key="k")
    assert (new, new_again) == (True, False) and first.id == again.id
    with pytest.raises(Conflict, match="another request"):
        queue.submit("anna", "generate", {"prompt": "y"}, idempotency_key="k")
    other, _ = queue.submit("boris", "generate", {"prompt": "y"}, idempotency_key="k")
    assert other.id != first.id


def test_idempotency_holds_when_all_come_at_once(url: str, database: Database) -> None:
    def send() -> None:
        queue = JobQueue(Database(url))
        job, _ = queue.submit("anna", "generate", {"prompt": "x"}, idempotency_key="k")
        ids.append(job.id)

    ids: list[str] = []
    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6 and len(set(ids)) == 1


def test_the_queue_is_bounded(database: Database) -> None:
    queue = JobQueue(database, max_queued=3)
    for _ in range(3):
        submit(queue)
    with pytest.raises(Busy, match="3 jobs wait already") as caught:
        submit(queue, "boris")
    assert caught.value.retry_after > 0
    leased(queue)
    submit(queue, "boris")


def test_one_owner_is_bounded(queue: JobQueue) -> None:
    submit(queue, max_open=2)
    leased(queue)
    submit(queue, max_open=2)
    with pytest.raises(Busy, match="2 of your jobs"):
        submit(queue, max_open=2)
    submit(queue, "boris", max_open=2)


# ── Who is next ─────────────────────────────────────────────────────────────────────────────────


def test_priorities_come_first(queue: JobQueue) -> None:
    low, normal, high = (submit(queue, priority=p) for p in (-1, 0, 1))
    assert [leased(queue).id for _ in range(3)] == [high.id, normal.id, low.id]


def test_a_thousand_jobs_of_one_delay_another_by_one(database: Database) -> None:
    queue = JobQueue(database)
    for _ in range(1000 if database.url.startswith("sqlite") else 100):
        submit(queue, "many")
    for _ in range(5):
        leased(queue)
    single = submit(queue, "one")
    assert single.id in [leased(queue).id for _ in range(2)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=40))
def test_nobody_who_waits_is_overtaken_twice_in_a_row(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bool]]
) -> None:
    """However two owners submit: while both wait, the difference in what they got stays small."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('fair')}/jobs.db")
    database.migrate()
    queue = JobQueue(database)
    waiting: Counter[str] = Counter()
    streak = Counter[str]()
    for owner, takes in steps:
        if not takes:
            submit(queue, owner)
            waiting[owner] += 1
        elif (job := queue.lease("w")) is not None:
            other = "b" if job.owner == "a" else "a"
            waiting[job.owner] -= 1
            streak[job.owner] = streak[job.owner] + 1 if waiting[other] else 0
            streak[other] = 0
            assert streak[job.owner] <= 2
    database.close()


# ── Workers that die ────────────────────────────────────────────────────────────────────────────


def test_a_lost_lease_is_given_to_another(queue: JobQueue, clock: Clock) -> None:
    job = submit(queue)
    first = leased(queue, "w1")
    assert queue.reap() == 0
    clock.time += queue.lease_seconds + 1
    assert queue.reap() == 1
    second = leased(queue, "w2")
    assert (second.id, second.attempt) == (job.id, 2)
    # The first one was only slow. Nothing that it writes counts.
    assert queue.renew({first: 0.9, second: 0.1}) == {second: False}
    assert not queue.finish(first, DONE, files=[FILE])
    assert queue.get(job.id).state == RUNNING
    assert queue.finish(second, DONE, files=[{"name": "second.wav", "bytes": 1}])
    assert not queue.finish(second, FAILED)
    assert [file["name"] for file in queue.get(job.id).files] == ["second.wav"]


def test_a_lease_that_is_renewed_is_kept(queue: JobQueue, clock: Clock) -> None:
    submit(queue)
    job = leased(queue)
    for _ in range(10):
        clock.time += queue.lease_seconds * 0.9
        assert queue.renew({job: 0.0}) == {job: False}
        assert queue.reap() == 0


def test_a_job_that_kills_its_workers_ends(queue: JobQueue, clock: Clock) -> None:
    job = submit(queue)
    for attempt in range(1, queue.max_attempts + 1):
        assert leased(queue, f"w{attempt}").attempt == attempt
        clock.time += queue.lease_seconds + 1
        queue.reap()
    failed = queue.get(job.id)
    assert failed.state == FAILED and failed.error is not None
    assert failed.error["message"] == "the worker stopped in each of 3 attempts"
    assert queue.lease("w") is None


def test_what_a_dead_worker_held_comes_back_at_once(queue: JobQueue) -> None:
    submit(queue)
    submit(queue)
    mine, others = leased(queue, "dead"), leased(queue, "alive")
    assert queue.reap("dead") == 1
    assert queue.get(mine.id).state == QUEUED and queue.get(others.id).state == RUNNING
    assert leased(queue).id == mine.id


def test_a_clock_set_back_does_not_keep_a_dead_workers_job(queue: JobQueue, clock: Clock) -> None:
    job = submit(queue)
    leased(queue)
    clock.time -= 86_400
    assert queue.reap() == 1
    assert queue.get(job.id).state == QUEUED


def test_a_clock_set_forward_costs_an_attempt_and_never_a_second_result(
    queue: JobQueue, clock: Clock
) -> None:
    job = submit(queue)
    alive = leased(queue, "w1")
    clock.time += 86_400
    queue.reap()
    second = leased(queue, "w2")
    assert [queue.finish(alive, DONE), queue.finish(second, DONE)] == [False, True]
    assert queue.get(job.id).attempt == 2


def test_a_worker_that_stops_gives_back_without_an_attempt(queue: JobQueue) -> None:
    job = submit(queue)
    queue.give_back(leased(queue))
    again = queue.get(job.id)
    assert (again.state, again.attempt, again.worker) == (QUEUED, 0, None)


# ── Cancelling ──────────────────────────────────────────────────────────────────────────────────


def test_cancelling_in_every_state(queue: JobQueue, clock: Clock) -> None:
    waiting = submit(queue)
    assert queue.cancel(waiting.id).state == CANCELLED
    assert queue.lease("w") is None
    submit(queue)
    running = leased(queue)
    assert queue.cancel(running.id).state == RUNNING
    assert queue.renew({running: 0.3}) == {running: True}
    assert queue.finish(running, CANCELLED)
    for _ in range(2):
        assert queue.cancel(running.id).state == CANCELLED
    submit(queue)
    done = leased(queue)
    queue.finish(done, DONE)
    assert queue.cancel(done.id).state == DONE
    with pytest.raises(NotFound):
        queue.cancel("0" * 32)


def test_a_cancelled_job_of_a_dead_worker_is_not_begun_again(queue: JobQueue, clock: Clock) -> None:
    submit(queue)
    running = leased(queue)
    queue.cancel(running.id)
    clock.time += queue.lease_seconds + 1
    queue.reap()
    assert queue.get(running.id).state == CANCELLED
    assert queue.lease("w") is None


# ── Many at once ────────────────────────────────────────────────────────────────────────────────


def test_every_job_is_done_once_by_many_workers_some_of_which_vanish(
    url: str, database: Database
) -> None:
    queue = JobQueue(database)
    ids = {submit(queue, owner).id for owner in "abcd" for _ in range(10)}
    results: list[str] = []

    def work(name: str) -> None:
        mine = JobQueue(Database(url), max_attempts=50)
        chance = random.Random(name)
        while (job := mine.lease(name)) is not None:
            if chance.random() < 0.2:
                mine.reap(name)  # as if it had been killed, and somebody noticed
            elif mine.finish(job, DONE, files=[FILE]):
                results.append(job.id)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work("last")
    assert sorted(results) == sorted(ids)
    assert queue.counts() == {QUEUED: 0, RUNNING: 0}
    assert queue.endings() == {DONE: 40, FAILED: 0, CANCELLED: 0}


# ── A million jobs ──────────────────────────────────────────────────────────────────────────────


def test_every_ending_is_counted_once(database: Database, clock: Clock) -> None:
    queue = JobQueue(database, now=clock, max_attempts=1)
    cancelled, stopped, done, failed, lost, waiting = (submit(queue).id for _ in range(6))
    for _ in range(2):
        queue.cancel(cancelled)
    queue.get(waiting)
    held = {job.id: job for job in (leased(queue) for _ in range(4))}
    queue.cancel(stopped)
    for id, state in ((stopped, CANCELLED), (done, DONE), (failed, FAILED)):
        assert queue.finish(held[id], state)
        assert not queue.finish(held[id], state)
    assert queue.counts() == {QUEUED: 1, RUNNING: 1} and queue.depth() == 2
    queue.reap("w")
    assert queue.get(lost).state == FAILED
    ended = {DONE: 1, FAILED: 2, CANCELLED: 2}
    assert queue.endings() == ended
    clock.time += 1e6
    assert len(queue.expire(max_age=1, max_bytes=0)) == 5
    assert queue.endings() == ended and queue.counts() == {QUEUED: 1, RUNNING: 0}


def test_what_has_ended_is_counted_when_a_service_is_updated(database: Database) -> None:
    with database.writing() as connection:
        for undone in (
            "DROP TABLE endings",
            "DROP TABLE service",
            "DROP INDEX ix_jobs_state_owner_turn",
            "ALTER TABLE jobs DROP COLUMN doing",
            "UPDATE alembic_version SET version_num = '0001'",
        ):
            connection.exec_driver_sql(undone)
        connection.execute(jobs.insert(), [ended("anna", n) for n in range(3)])
    database.migrate()
    assert JobQueue(database).endings() == {DONE: 3, FAILED: 0, CANCELLED: 0}


def test_nothing_that_is_asked_all_the_time_reads_what_has_ended(database: Database) -> None:
    """By the plans of the databases themselves."""
    sqlite = database.url.startswith("sqlite")
    with database.writing() as connection:
        connection.execute(jobs.insert(), [ended("anna", n) for n in range(5000)])
    if not sqlite:  # PostgreSQL does it by itself after a while, SQLite does not
        with database.writing() as connection:
            connection.exec_driver_sql("ANALYZE")
    queue = JobQueue(database)
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
        if "jobs" in statement and not statement.startswith("INSERT"):
            asked.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    queue.counts(), queue.endings(), queue.oldest()
    submit(queue, max_open=5, idempotency_key="k")
    job = leased(queue)
    queue.renew({job: 0.5}), queue.reap()
    queue.finish(job, DONE)
    event.remove(Engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
    good = re.compile(r"ix_jobs_state_\w+|pk_jobs|uq_jobs_owner_idempotency_key|autoindex_jobs_\d")
    with database.reading() as connection:
        for statement, values in asked:
            plan = str(connection.exec_driver_sql(explain + statement, values).all())
            assert good.search(plan) or "endings" in statement, f"{statement}\n{plan}"
            bad = re.search(r"SCAN jobs|Seq Scan on jobs|ix_jobs_owner_created", plan)
            assert not bad, f"{statement}\n{plan}"
    assert len(asked) > 10


# ── Expiry ──────────────────────────────────────────────────────────────────────────────────────


def test_old_results_expire_by_age_and_size(
    queue: JobQueue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cadenza.jobs.queue.DELETED_TOGETHER", 1)
    ended = []
    for _ in range(4):
        submit(queue)
        job = leased(queue)
        clock.time += 10
        queue.finish(job, DONE, files=[{"name": "x", "bytes": 100}])
        ended.append(job.id)
    waiting = submit(queue)
    assert queue.expire(max_age=1000, max_bytes=400) == []
    assert sorted(queue.expire(max_age=1000, max_bytes=250)) == sorted(ended[:2])
    clock.time += 5
    assert queue.expire(max_age=10, max_bytes=250) == [ended[2]]
    assert queue.known([*ended, waiting.id]) == {ended[3], waiting.id}
    clock.time += 1e6
    assert queue.expire(max_age=10, max_bytes=250) == [ended[3]]
    assert queue.get(waiting.id).state == QUEUED


def test_however_many_ids_are_asked_for(queue: JobQueue) -> None:
    """More than a statement takes: 65,535 in PostgreSQL, 250,000 in SQLite."""
    here = [submit(queue).id for _ in range(2)]
    many = [f"{number:032x}" for number in range(260_000)]
    assert queue.known([here[0], *many, here[1]]) == set(here)


def test_a_folder_is_that_of_one_database(url: str, tmp_path: Path) -> None:
    """Another one would take all that lies there for abandoned, and remove it."""
    first = Store.open(tmp_path / "ours", url)
    assert Store.open(tmp_path / "ours", url).database.identity() == first.database.identity()
    assert Store.open(tmp_path / "elsewhere", url)  # another machine's
    with pytest.raises(OptionError, match="holds the results of another database"):
        Store.open(tmp_path / "ours", f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(OptionError, match="choose another folder"):
        Store.open(tmp_path / "ours")


# ── A database in trouble ───────────────────────────────────────────────────────────────────────


def test_a_locked_database_is_told_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.1)
    database = Database(f"sqlite:///{tmp_path}/jobs.db")
    database.migrate()
    queue = JobQueue(database)
    with sqlite3.connect(tmp_path / "jobs.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="try again"):
            submit(queue)
        other.execute("ROLLBACK")
    assert submit(queue).state == QUEUED


def test_a_full_disk_is_told_and_what_was_there_stays(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/jobs.db")
    database.migrate()
    queue = JobQueue(database)
    kept = submit(queue)
    with database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(Unavailable):
        for _ in range(1000):
            submit(queue)
    with database.reading() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    assert submit(queue).state == QUEUED
    assert leased(queue).id == kept.id


def test_a_database_that_goes_and_comes_back() -> None:
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running() as cluster:
        database = Database(cluster.new_database())
        database.migrate()
        queue = JobQueue(database)
        job = submit(queue)
        cluster.stop()
        for _ in range(2):
            with pytest.raises(Unavailable):
                queue.lease("w")
        cluster.start()
        assert leased(queue).id == job.id
        database.close()


# ── Keys ────────────────────────────────────────────────────────────────────────────────────────


def test_keys_are_kept_as_fingerprints_only(database: Database) -> None:
    keys = Keys(database)
    key, secret = keys.new("studio laptop", priority=2)
    assert keys.check(secret) == key
    assert secret.startswith("cdz_") and len(secret) == 47
    with database.reading() as connection:
        stored = str(connection.exec_driver_sql("SELECT * FROM keys").all())
    assert secret not in stored and secret[4:] not in stored
    for wrong in ("", "cdz_", secret[:-1], secret + "x", secret.upper(), "caf\udce9", "é" * 5000):
        with pytest.raises(AccessDenied):
            keys.check(wrong)


def test_a_revoked_key_opens_nothing(database: Database) -> None:
    keys = Keys(database)
    key, secret = keys.new("old phone")
    _, other = keys.new("new phone")
    keys.revoke(key.id)
    with pytest.raises(AccessDenied):
        keys.check(secret)
    keys.check(other)
    assert {key.name: key.revoked is not None for key in keys.all()} == {
        "old phone": True,
        "new phone": False,
    }
    with pytest.raises(NotFound):
        keys.revoke("nobody")
    for name, priority in (("", 0), (" ", 0), ("x" * 101, 0), ("x", 11)):
        with pytest.raises(OptionError):
            keys.new(name, priority)
