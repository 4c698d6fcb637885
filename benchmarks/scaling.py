"""What one worker asks of the rest: ``python -m benchmarks.scaling --database postgresql+psycopg://…``.

The database has to be an empty PostgreSQL that nobody else uses. First the queue without a model:
how many jobs a second pass through it, and how many heartbeats of full workers it takes. Then a
server and a real worker: what they do to the database while nothing is asked for and for each job,
how large the files of a minute of music are, and how many minutes of music an hour makes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import psycopg

from benchmarks.service import load, running
from benchmarks.table import table, write_json
from cadenza.audio import FORMATS, encode
from cadenza.client import Client
from cadenza.jobs.queue import DONE
from cadenza.jobs.store import Store
from cadenza.jobs.workers import WorkerCard

CONNECTIONS = 8  # that use the queue at once
SLOTS = 8
TIMES = 250  # that each connection does something
IDLE_SECONDS = 30.0
COUNTED = """
    SELECT xact_commit, tup_inserted + tup_updated + tup_deleted,
           pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')
    FROM pg_stat_database WHERE datname = current_database()
"""
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
FLUSH_SECONDS = 2.0  # after which PostgreSQL's counters have all that was done


@dataclass
class Spent:
    """What the database did."""

    seconds: float = 0.0
    transactions: int = 0
    rows: int = 0  # written
    log_bytes: int = 0  # of its write-ahead log
    connections: int = 0


@dataclass
class Figures:
    jobs_a_second: float = 0.0  # through the queue, nothing made
    beats_a_second: float = 0.0  # of workers with all slots taken
    idle: Spent = field(default_factory=Spent)
    busy: Spent = field(default_factory=Spent)
    jobs: int = 0
    music_seconds: float = 0.0  # of all jobs
    megabytes: dict[str, float] = field(default_factory=dict)  # of a minute, by format


@contextmanager
def counted(database: str) -> Iterator[Spent]:
    """What is done to the database in the block."""
    spent = Spent()
    with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as connection:

        def now() -> tuple[int, ...]:
            time.sleep(FLUSH_SECONDS)
            row = connection.execute(COUNTED).fetchone()
            assert row is not None
            return tuple(map(int, row))

        before, begun = now(), time.perf_counter()
        yield spent
        spent.seconds = time.perf_counter() - begun
        row = connection.execute(CONNECTED).fetchone()
        spent.connections = 0 if row is None else row[0] - 1
        after = now()
    spent.transactions, spent.rows, spent.log_bytes = (
        late - early for late, early in zip(after, before, strict=True)
    )


def a_second(action: Callable[[int], None]) -> float:
    """How often a second it is done over several connections, each with its number."""

    def again(number: int) -> None:
        for _ in range(TIMES):
            action(number)

    begun = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(again, range(CONNECTIONS)))
    return CONNECTIONS * TIMES / (time.perf_counter() - begun)


def queue_alone(database: str, figures: Figures) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder), database, max_queued=10_000)
        wish = {"prompt": "jazz piano, 120 bpm", "duration": 30.0}

        def job(number: int) -> None:
            store.queue.submit(f"owner {number}", "generate", wish)
            leased = store.queue.lease("w")
            if leased is not None:
                store.queue.finish(leased, DONE, files=[{"name": "music.wav", "bytes": 1}])

        figures.jobs_a_second = a_second(job)
        for _ in range(CONNECTIONS * SLOTS):
            store.queue.submit("owner", "generate", wish)
        crews = []
        for number in range(CONNECTIONS):
            held = [store.queue.lease(f"w{number}") for _ in range(SLOTS)]
            crews.append({one: 0.5 for one in held if one is not None})

        def beat(number: int) -> None:
            store.queue.renew(crews[number])
            store.workers.announce(WorkerCard(f"w{number}", "host:1", "token", 8, {}))

        figures.beats_a_second = a_second(beat)
        for crew in crews:
            for held in crew:
                store.queue.finish(held, DONE)
        for number in range(CONNECTIONS):
            store.workers.leave(f"w{number}")
        store.database.close()


def worker(database: str, options: argparse.Namespace, figures: Figures) -> None:
    with running(SLOTS, SLOTS, options.model, options.backend, database) as service:
        load(service, 1, SLOTS, 2, options.seconds)  # what is compiled or cached is there now
        with counted(database) as figures.idle:
            time.sleep(IDLE_SECONDS)
        with counted(database) as figures.busy:
            load(service, 2 * SLOTS, SLOTS, options.jobs, options.seconds)
        figures.jobs = options.jobs
        figures.music_seconds = options.jobs * options.seconds
        take = Client(service.url).generate("jazz piano, 120 bpm", duration=options.seconds, seed=1)
        beside = sum(
            file["bytes"]
            for file in httpx.get(f"{service.url}/v1/jobs").json()[0]["files"]
            if not file["name"].startswith("music.w")
        )
        for name in FORMATS:
            size = len(encode(take.audio, name)) + beside
            figures.megabytes[name] = size / 1e6 * 60 / options.seconds


def report(figures: Figures) -> str:
    def rows(spent: Spent, parts: float, what: str) -> list[tuple[str, str]]:
        return [
            (f"transactions {what}", f"{spent.transactions / parts:.1f}"),
            (f"rows written {what}", f"{spent.rows / parts:.1f}"),
            (f"kB of log {what}", f"{spent.log_bytes / parts / 1000:.1f}"),
        ]

    hour = 60 * figures.music_seconds / figures.busy.seconds
    queue = [
        ("jobs a second through the queue", f"{figures.jobs_a_second:.0f}"),
        ("heartbeats of full workers a second", f"{figures.beats_a_second:.0f}"),
    ]
    one = rows(figures.idle, figures.idle.seconds, "a second, idle")
    one += rows(figures.busy, figures.busy.seconds, "a second, busy")
    one += rows(figures.busy, figures.jobs, "a job")
    one += [
        ("connections, with the server's", f"{figures.busy.connections}"),
        ("jobs a minute", f"{60 * figures.jobs / figures.busy.seconds:.0f}"),
        ("minutes of music an hour", f"{hour:.0f}"),
    ]
    files = [(name, f"{size:.2f}") for name, size in figures.megabytes.items()]
    return "\n\n".join(
        [
            table(("the queue alone", ""), queue),
            table(("a server and one worker", ""), one),
            table(("files of a minute of music", "MB"), files),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--database", required=True, help="an empty PostgreSQL")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each piece")
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    figures = Figures()
    queue_alone(options.database, figures)
    worker(options.database, options, figures)
    print(report(figures))
    if options.json is not None:
        write_json(options.json, asdict(figures))


if __name__ == "__main__":
    main()
