"""How much a service does: ``python -m benchmarks.service``.

A server and one worker are started as processes, on loopback and a folder that is gone afterwards.
Clients in threads each ask for a piece, wait for it, and ask for the next: jobs a minute, and how
long a client waits from asking to having (p50, p95). The same once more with a worker that does one
job at a time, which is what batching is worth. Then listeners, more and more of them, who hear an
endless stream each: as many are held in real time as get at least a second of sound a second.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np

from benchmarks.table import table, write_json
from cadenza.client import Client

CLIENTS = (1, 4, 16, 64)
LISTENERS = (1, 2, 4, 8, 16, 32)
WARM = 2.0  # seconds of a stream that are not counted: the buffer is filled then
PROMPT = "jazz piano with bass and drums, 120 bpm"


@dataclass(frozen=True)
class Load:
    clients: int
    slots: int  # jobs that the worker does at once
    jobs_a_minute: float
    p50: float  # seconds from asking to having
    p95: float
    megabytes: float  # of the worker


@dataclass(frozen=True)
class Audience:
    listeners: int
    slowest: float  # seconds of sound a second, of the listener who got least
    first: float  # seconds to the first sound, p50


@dataclass(frozen=True)
class Running:
    url: str
    worker: int  # its process id

    @property
    def megabytes(self) -> float:
        status = Path(f"/proc/{self.worker}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def running(
    slots: int, streams: int, model: str, backend: str, database: str | None = None
) -> Iterator[Running]:
    """A server and its worker, as processes; ``database`` is another than SQLite."""
    cadenza = [sys.executable, "-m", "cadenza"]
    with ExitStack() as ending:
        folder = ending.enter_context(tempfile.TemporaryDirectory())
        where = ["--folder", folder] + ([] if database is None else ["--database", database])
        server = subprocess.Popen(
            [*cadenza, "serve", "--port", "0", "--workers", "0", *where],
            stdout=subprocess.PIPE,
            text=True,
        )
        ending.callback(_end, server)
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        numbers = ["--slots", str(slots), "--streams", str(streams)]
        named = ["--model", model, "--backend", backend]
        worker = subprocess.Popen([*cadenza, "worker", *numbers, *named, *where])
        ending.callback(_end, worker)
        while httpx.get(f"{url}/readyz").status_code != 200:
            time.sleep(0.2)
        yield Running(url, worker.pid)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait()


def load(service: Running, clients: int, slots: int, jobs: int, seconds: float) -> Load:
    """``jobs`` pieces of ``seconds``, asked for by ``clients`` who never pause."""
    waits: list[float] = []
    left = iter(range(jobs))
    lock = threading.Lock()

    def client() -> None:
        asking = Client(service.url)
        while True:
            with lock:
                seed = next(left, None)
            if seed is None:
                return
            begun = time.perf_counter()
            wish = {"prompt": PROMPT, "duration": seconds, "seed": seed}
            asking.wait(asking.submit("generate", wish))
            waits.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(client) for _ in range(clients)]:
            done.result()
    took = time.perf_counter() - begun
    p50, p95 = np.percentile(waits, [50, 95])
    return Load(clients, slots, 60 * jobs / took, float(p50), float(p95), service.megabytes)


def audience(service: Running, listeners: int, seconds: float) -> Audience:
    """``listeners`` who hear for ``seconds`` each."""

    def listen(seed: int) -> tuple[float, float]:
        begun = time.perf_counter()
        wish = {"prompt": PROMPT, "seed": seed}
        with httpx.stream("GET", f"{service.url}/v1/stream", params=wish, timeout=60) as answer:
            first = counted = since = now = 0.0
            heard = 0
            for part in answer.iter_raw():
                now = time.perf_counter() - begun
                if not heard:
                    first = now
                heard += len(part)
                if now < WARM + first:
                    counted = heard
                    since = now
                if now > WARM + first + seconds:
                    break
        if now == since:  # refused, or over before it was warm
            return 0.0, now
        return (heard - counted) / 2 / 32_000 / (now - since), first

    with ThreadPoolExecutor(listeners) as pool:
        rates, firsts = zip(*pool.map(listen, range(listeners)), strict=True)
    return Audience(listeners, min(rates), float(np.median(firsts)))


def report(loads: Sequence[Load], audiences: Sequence[Audience]) -> str:
    rows = [
        (
            f"{one.clients} at once, {one.slots} in a batch",
            f"{one.jobs_a_minute:.0f}",
            f"{one.p50:.2f}",
            f"{one.p95:.2f}",
            f"{one.megabytes:.0f}",
        )
        for one in loads
    ]
    heard = [(str(one.listeners), f"{one.slowest:.2f}", f"{one.first:.2f}") for one in audiences]
    jobs = table(("clients", "jobs/min", "p50 s", "p95 s", "worker MB"), rows)
    streams = table(("listeners", "slowest, × real time", "first sound s"), heard)
    return f"{jobs}\n\n{streams}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each piece")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--listeners", type=int, nargs="+", default=LISTENERS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    loads, audiences = [], []
    for slots in (16, 1):
        with running(slots, max(options.listeners), options.model, options.backend) as service:
            load(service, 1, slots, 2, options.seconds)  # what is compiled or cached is there now
            for clients in options.clients if slots > 1 else options.clients[-2:-1]:
                jobs = max(8, 2 * clients)
                loads.append(load(service, clients, slots, jobs, options.seconds))
            for listeners in options.listeners if slots > 1 else ():
                audiences.append(audience(service, listeners, 10.0))
                if audiences[-1].slowest < 0.9:
                    break
    print(report(loads, audiences))
    if options.json is not None:
        figures = {"seconds": options.seconds, "model": options.model}
        figures |= {
            "loads": [asdict(one) for one in loads],
            "audiences": [asdict(one) for one in audiences],
        }
        write_json(options.json, figures)


if __name__ == "__main__":
    main()
