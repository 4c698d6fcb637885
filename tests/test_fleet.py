"""Many machines: a real Ray cluster, here two of one core each, and PostgreSQL between them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

import cadenza
from cadenza.checkpoints import resolve
from cadenza.errors import RecipeError, Unavailable
from cadenza.jobs.store import Store
from cadenza.model import Model
from cadenza.server.fleet import SLOTS, STREAMS, Fleet, Kit
from tests import postgres
from tests.service import until as soon
from tests.test_adapters import make as make_adapter
from tests.test_worker import Listener

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.skipif(postgres.binaries() is None, reason="PostgreSQL is not installed")

JOBS = 40
PATIENCE = 180.0  # seconds: Ray begins many processes, each of which loads torch
STORE_BYTES = 80 << 20  # of shared memory for Ray's objects, the least it takes; none is used

until = partial(soon, patience=PATIENCE)


class Cluster:
    """Two machines of one core each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Machines

        machine = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        self._machines = Machines(initialize_head=True, head_node_args=machine)
        self._machines.add_node(**machine)
        self.address = self._machines.address

    def workers(self) -> list[int]:
        """The processes of the actors that live."""
        from ray._private.ray_constants import PROCESS_TYPE_RAYLET

        pids = []
        for node in self._machines.list_all_nodes():
            [raylet] = node.all_processes[PROCESS_TYPE_RAYLET]
            for place in Path(f"/proc/{raylet.process.pid}/task").glob("*/children"):
                pids += [int(pid) for pid in place.read_text().split()]
        return [pid for pid in pids if "ray::Actor" in Path(f"/proc/{pid}/cmdline").read_text()]

    def close(self) -> None:
        self._machines.shutdown()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: sockets lie in it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", folder)
        made = Cluster()
        yield made
        made.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.running() as cluster:
        yield cluster.new_database()


def submit(client: httpx.Client, duration: float) -> str:
    wish = {"prompt": "jazz", "duration": duration}
    answer = client.post("/v1/jobs", json={"kind": "generate", "request": wish})
    return str(answer.json()["id"])


def test_forty_jobs_and_a_death(
    cluster: Cluster, database: str, tmp_path: Path, torch_nano: Model
) -> None:
    results = tmp_path / "shared"
    adapter = make_adapter(resolve("nano").folder, tmp_path / "adapter", seed=1)
    command = [sys.executable, "-m", "cadenza", "serve", "--port", "0", "--backend", "torch"]
    command += ["--executor", "ray", "--address", cluster.address, "--workers", "2"]
    command += ["--folder", str(tmp_path / "own"), "--results", f"file://{results}"]
    command += ["--adapter", f"{adapter}=0.5"]
    environment = os.environ | {"CADENZA_DATABASE": database}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        client = httpx.Client(base_url=url, timeout=PATIENCE)
        store = Store.open(tmp_path / "own", database)
        too_many_for_one = [submit(client, 600.0) for _ in range(SLOTS + 1)]
        until(lambda: len(store.workers.alive()) == 2)
        for id in too_many_for_one:
            client.delete(f"/v1/jobs/{id}")
        until(lambda: store.queue.depth() == 0)
        ids = [submit(client, 1.0) for _ in range(JOBS)]
        until(lambda: store.queue.counts()["running"] == 2 * SLOTS)  # and others wait
        victim = cluster.workers()[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: store.queue.endings()["done"] == JOBS)
        # Each is there once: its row says which attempt counts, and no other left anything.
        jobs = [store.queue.get(id) for id in ids]
        assert max(job.attempt for job in jobs) == 2  # the dead one had some
        for job in jobs:
            kept = results / "results" / job.id
            until(lambda kept=kept, job=job: os.listdir(kept) == [str(job.attempt)])
            music = client.get(f"/v1/jobs/{job.id}/files/music.wav")
            assert len(music.content) > 2 * 32_000
        # They played with the adapter, as the model here does with it, and not without.
        [played] = client.get("/v1/models").json()
        assert [one["path"] for one in played["adapters"]] == [str(adapter)]
        taken = tmp_path / "music.wav"
        taken.write_bytes(music.content)
        adapted = cadenza.load("nano", offline=True, backend="torch", adapters={adapter: 0.5})
        made = cadenza.verify(taken, model=adapted)
        assert made.same and made.recipe.model.adapters == adapted.identity.adapters
        with pytest.raises(RecipeError, match="other adapters"):
            cadenza.verify(taken, model=torch_nano)
        # Ray began it again, and a stream comes through the worker that plays it.
        until(lambda: len(cluster.workers()) == 2 and victim not in cluster.workers())
        heard = client.get("/v1/stream", params={"prompt": "pads", "duration": 1.0})
        assert len(heard.content) > 2 * 32_000
        server.terminate()
    until(lambda: not cluster.workers())
    assert store.workers.alive() == []


def test_there_is_always_a_worker_with_a_free_stream_and_none_too_many(
    cluster: Cluster, database: str, tmp_path: Path
) -> None:
    results = f"file://{tmp_path / 'shared'}"
    store = Store.open(tmp_path / "own", database, results)
    kit = Kit("nano", {"backend": "torch", "offline": True}, tmp_path / "own", database, results)
    fleet = Fleet(store, kit, 2, address=cluster.address, quiet_seconds=1.0)
    fleet.start()
    try:
        [card] = until(store.workers.alive)
        listeners = [Listener(card) for _ in range(STREAMS)]
        until(lambda: len(store.workers.alive()) == 2)
        for listener in listeners:
            listener.close()
        until(lambda: len(store.workers.alive()) == 1)
    finally:
        fleet.stop()
    assert store.workers.alive() == []


def test_where_no_cluster_is(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    kit = Kit(
        "nano", {"backend": "torch", "offline": True}, tmp_path, store.database.url, "file:///"
    )
    for address in ("127.0.0.1:1", "127.0.0.1:x"):
        with pytest.raises(Unavailable, match="ray start --head"):
            Fleet(store, kit, 1, address=address).start()
