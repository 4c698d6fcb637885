"""Real worker processes that are cheap to kill: nano is loaded once and workers are forked off.

``python -m tests.nursery ROOT`` reads one line of JSON for each worker to start: its ``id``, and
``dies``, the moment at which it kills itself as nothing else can be relied on to hit it. It answers
with the process id.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cadenza.jobs.worker import Worker

MOMENTS = ("leased", "making", "written", "ended", "renewing")


class Nursery:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._started: list[int] = []

    def start(
        self,
        root: Path,
        id: str,
        dies: str = "",
        file_bytes: int = 0,
        url: str | None = None,
        results: str | None = None,
        **options: Any,
    ) -> int:
        """The process id of a new worker on the folder ``root``.

        ``file_bytes`` is what its disk takes of a file; ``url`` and ``results`` are those of
        :meth:`Store.open`.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        order = {
            "where": [str(root), url, results],
            "environment": dict(os.environ),
            "id": id,
            "dies": dies,
            "file_bytes": file_bytes,
            "options": options,
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self._started.append(int(self._process.stdout.readline()))
        return self._started[-1]

    def kill_all(self) -> None:
        for pid in self._started:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self._started.clear()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def nursery() -> Iterator[Nursery]:
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as process:
        made = Nursery(process)
        try:
            yield made
        finally:
            made.kill_all()
            process.kill()


def _die(*_: object, **__: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _prepare_death(moment: str) -> None:
    from cadenza.jobs.queue import JobQueue
    from cadenza.jobs.worker import Worker, _Doing

    if moment == "leased":
        Worker._make = _die  # type: ignore[method-assign]
    elif moment == "making":
        report = _Doing.report

        def die_later(self: _Doing, done: int, total: int) -> None:
            report(self, done, total)
            if done > 10:
                _die()

        _Doing.report = die_later  # type: ignore[method-assign]
    elif moment == "written":
        JobQueue.finish = _die  # type: ignore[method-assign]
    elif moment == "ended":
        finish = JobQueue.finish

        def die_after(*given: Any, **named: Any) -> None:
            finish(*given, **named)
            _die()

        JobQueue.finish = die_after  # type: ignore[assignment]
    elif moment == "renewing":
        JobQueue.renew = _die  # type: ignore[method-assign]


def _work(worker: Worker) -> None:
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


def _main() -> None:
    import cadenza
    from cadenza.jobs.store import Store
    from cadenza.jobs.worker import Worker

    # Torch on one thread: it has no threads that a fork would lose.
    model = cadenza.load("nano", offline=True, backend="torch")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _prepare_death(order["dies"])
            if order["file_bytes"]:
                resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_bytes"],) * 2)
            os.environ.update(order["environment"])
            root, url, results = order["where"]
            store = Store.open(Path(root), url, results)
            _work(Worker(store, model, id=order["id"], **order["options"]))
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    _main()
