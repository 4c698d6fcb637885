"""``cadenza serve`` as a process, its worker beside it: from the first start to every death."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from cadenza.audio import read
from cadenza.cli import serving as commands
from cadenza.jobs.store import Store
from tests.command import run
from tests.nursery import Nursery, is_alive
from tests.service import PATIENCE, serving, until
from tests.test_readme import LINES, SERVICE

CADENZA = [sys.executable, "-m", "cadenza"]
LONG = {"kind": "generate", "request": {"prompt": "jazz", "duration": 10.0, "seed": 7}}


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    command = [*CADENZA, "serve", "--folder", str(folder), "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        try:
            with httpx.Client(base_url=url, timeout=30) as client:
                yield process, client
        finally:
            process.terminate()


def children(process: subprocess.Popen[str]) -> list[int]:
    found = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(pid) for place in found for pid in place.read_text().split()]


def ready(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200


def test_everything_is_killed_and_the_job_is_done_once(tmp_path: Path) -> None:
    with served(tmp_path, "--backend", "torch") as (process, client):
        until(lambda: ready(client))
        id = client.post("/v1/jobs", json=LONG).json()["id"]
        until(lambda: client.get(f"/v1/jobs/{id}").json()["state"] == "running")
        [worker] = children(process)
        os.kill(worker, signal.SIGKILL)
        # The server notices, gives the job to a new worker, and answers all the time.
        until(lambda: client.get(f"/v1/jobs/{id}").json()["attempt"] == 2)
        [heir] = children(process)
        process.kill()
        process.wait()
        until(lambda: not is_alive(heir))  # a worker does not outlive its server
    store = Store.open(tmp_path)
    # It gave back what it could not finish, or had just finished it.
    assert store.queue.get(id).state in ("queued", "done")
    with served(tmp_path, "--backend", "torch") as (process, client):
        until(lambda: ready(client))
        until(lambda: client.get(f"/v1/jobs/{id}").json()["state"] == "done")
        [*_, music] = client.get(f"/v1/jobs/{id}").json()["files"]
        assert client.get(music["url"]).content[:4] == b"RIFF"
        [last] = children(process)
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert not is_alive(last)  # the server waits for it
    assert [place.name for place in (tmp_path / "results" / id).iterdir()] == [
        str(store.queue.get(id).attempt)
    ]


def test_a_worker_that_listens_everywhere_is_found_by_name_and_ends_when_told(
    tmp_path: Path,
) -> None:
    store = Store.open(tmp_path)
    command = [*CADENZA, "worker", "--host", "0.0.0.0", "--folder", str(tmp_path)]
    command += ["--backend", "torch", "--child", "w"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        [card] = until(store.workers.alive)
        assert card.place[0] == socket.gethostname()
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert store.workers.alive() == []


def test_a_killed_server_forgets_nothing_that_waits_or_is_over(tmp_path: Path) -> None:
    def states(client: httpx.Client) -> list[tuple[str, str]]:
        return [(job["id"], job["state"]) for job in client.get("/v1/jobs").json()]

    with served(tmp_path, "--workers", "0") as (process, client):
        for _ in range(2):
            id = client.post("/v1/jobs", json=LONG).json()["id"]
        client.delete(f"/v1/jobs/{id}")
        before = states(client)
        process.kill()
        process.wait()
    with served(tmp_path, "--workers", "0") as (_, client):
        assert states(client) == before
        assert {state for _, state in before} == {"queued", "cancelled"}


def test_beyond_loopback_it_needs_keys(tmp_path: Path) -> None:
    folder = ["--folder", str(tmp_path)]
    result = run("serve", "--host", "0.0.0.0", "--workers", "0", "--port", "0", *folder)
    assert result.code == 1 and "cadenza keys new" in result.errors
    made = run("keys", "new", "my phone", *folder)
    secret = made.output.strip()
    assert made.code == 0 and re.fullmatch(r"cdz_[\w-]{43}", secret)
    with served(tmp_path, "--host", "0.0.0.0", "--workers", "0") as (_, client):
        url = str(client.base_url).replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/v1/jobs").status_code == 401
        headers = {"Authorization": f"Bearer {secret}"}
        assert httpx.get(f"{url}/v1/jobs", headers=headers).json() == []
        listed = run("keys", "list", *folder).output
        id = listed.split()[0]
        assert "my phone" in listed and secret not in listed
        assert run("keys", "revoke", id, *folder).code == 0
        assert httpx.get(f"{url}/v1/jobs", headers=headers).status_code == 401
    assert "revoked" in run("keys", "list", *folder).output


def test_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: Nursery
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CADENZA_FOLDER", str(tmp_path / "data"))
    shown = [line[1:] for line in LINES if line[0] == "cadenza" and line[1] in SERVICE]
    assert {line[0] for line in shown} == SERVICE
    for line in shown:
        if line[0] == "keys":
            key = run(*line).output.strip()
    for line in shown:
        if line[0] == "serve":
            with served(tmp_path / "data", *line[1:], "--port", "0", "--workers", "0") as (
                _,
                client,
            ):
                assert client.get("/").text.startswith("<!doctype html>")
    played = next(line for line in shown if line[0] == "--server")
    with serving(tmp_path / "data", keys=True) as service:
        workers.start(tmp_path / "data", "w")
        until(service.store.workers.alive)
        theirs = [key if word.startswith("cdz_") else word for word in played[2:]]
        assert key in theirs
        result = run("--server", service.url, *theirs, "--duration", "0.5")
    workers.kill_all()
    assert result.code == 0, result.errors
    assert read(played[-1]).duration == 0.5


def test_mistakes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("serve", "--port", port, "--folder", str(tmp_path), "--workers", "0")
        assert result.code == 1 and "choose another --port" in result.errors
    (tmp_path / "file").touch()
    for arguments, words in (
        (["serve", "--folder", str(tmp_path / "file" / "x")], "cannot make"),
        (["serve", "--database", "mysql://x/y", "--folder", str(tmp_path)], "the database must be"),
        (["serve", "--executor", "ray", "--folder", str(tmp_path)], "--results s3://"),
        (["serve", "--executor", "slurm", "--folder", str(tmp_path)], "choose process or ray"),
        (["serve", "--results", "here", "--folder", str(tmp_path)], "lie at a URL"),
        (["serve", "--model", "nonsense", "--folder", str(tmp_path)], "no model named 'nonsense'"),
        (["serve", "--device", "tpu", "--folder", str(tmp_path)], "unknown device 'tpu'"),
        (["serve", "--adapter", "nonsense", "--folder", str(tmp_path)], "no adapter nonsense"),
        (["worker", "--model", "nonsense", "--folder", str(tmp_path)], "no model named 'nonsense'"),
        (["keys", "revoke", "nobody", "--folder", str(tmp_path)], "there is no key"),
        (["keys", "new", "", "--folder", str(tmp_path)], "a key needs a name"),
    ):
        result = run(*arguments)
        assert result.code == 1 and words in result.errors and result.errors.count("\n") == 1
    monkeypatch.setattr(commands, "NEEDED", ("a_package_that_is_absent",))
    result = run("serve", "--folder", str(tmp_path))
    assert result.code == 1 and "pip install 'cadenza[server]'" in result.errors


def test_a_database_that_nobody_serves_is_one_line_without_the_password() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        place = f"127.0.0.1:{nobody.getsockname()[1]}"
        url = f"postgresql+psycopg://u:secret@{place}/x"
        done = subprocess.run(
            [*CADENZA, "keys", "list", "--database", url],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("cadenza: the database cannot be reached: ")
    assert done.stderr.count("\n") == 1
    assert "refused" in done.stderr and "127.0.0.1" in done.stderr
    assert "secret" not in done.stderr and "sqlalche" not in done.stderr


def test_a_server_without_a_worker_loads_no_torch() -> None:
    code = (
        "import cadenza.server.running, sys; "
        "print(*sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
