"""Requests and files made to do harm, and machines in trouble: no crash, no leak, no 500."""

from __future__ import annotations

import random
import resource
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import schemathesis
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as conformance

from cadenza.audio import FORMATS, encode
from cadenza.errors import AudioError
from cadenza.jobs import database as database_module
from cadenza.jobs import decoding
from cadenza.jobs.queue import DONE, FAILED, QUEUED
from tests.mutants import damaged
from tests.nursery import Nursery, is_alive
from tests.service import Service, serving, until
from tests.sounds import sine

CHECKS = [
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_schema_conformance,
    conformance.negative_data_rejection,
]
WISH = {"kind": "generate", "request": {"prompt": "jazz", "duration": 0.4, "seed": 7}}
EASY = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server without workers: what is asked for is queued."""
    with serving(tmp_path_factory.mktemp("idle")) as made:
        yield made


def test_whatever_the_document_allows_and_forbids(idle: Service) -> None:
    """Every answer has a documented status, type and shape; what is not allowed is refused."""
    document = schemathesis.openapi.from_url(f"{idle.url}/v1/openapi.json")
    endless = document.exclude(path_regex="events$|/v1/stream$")  # answers that go on
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    asked = 0
    for operation in (found.ok() for found in endless.get_all_operations()):
        for mode in modes:

            @EASY
            @given(operation.as_strategy(generation_mode=mode))
            def ask(case: schemathesis.Case) -> None:
                nonlocal asked
                asked += 1
                answer = case.call(base_url=idle.url, timeout=60)
                assert str(idle.store.folder.root) not in answer.text
                case.validate_response(answer, checks=CHECKS)

            with suppress(Unsatisfiable):  # there is nothing that it would forbid
                ask()
    assert asked > 60


@EASY
@given(
    st.dictionaries(
        st.sampled_from(["prompt", "duration", "format", "seed", "buffer", "guidance", "x"]),
        st.text(max_size=20),
    )
)
def test_any_query_of_a_stream(idle: Service, query: dict[str, str]) -> None:
    with idle.client() as client:
        status = client.get("/v1/stream", params=query).status_code
    assert status in (422, 503)  # there is no worker that could begin


@EASY
@given(st.binary(max_size=200), st.text(max_size=30))
def test_any_bytes_as_body_and_path(idle: Service, body: bytes, path: str) -> None:
    with idle.client() as client:
        answer = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 413, 422)
        for method in ("GET", "DELETE", "POST"):
            url = "/v1/jobs/" + quote(path, safe="", errors="surrogatepass")
            assert client.request(method, url).status_code < 500


@EASY
@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_as_a_request(idle: Service, sent: bytes) -> None:
    host, port = idle.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(sent + b"\r\n\r\n")
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass
    with idle.client() as client:
        assert client.get("/healthz").status_code == 200


HEADERS = [
    "Range: bytes=-99999999999999999999",
    "Range: bytes=5-2,9-1,x",
    "Range: bytes=" + ",".join(f"{n}-{n}" for n in range(0, 2000, 2)),
    "If-Range: \xff\xfe",
    "If-None-Match: " + "x" * 5000,
    "Content-Length: -1",
    "Content-Length: 18446744073709551616",
    "Transfer-Encoding: chunked, identity",
    "Authorization: Bearer \x00\xff",
    "Authorization: Basic " + "A" * 5000,
    "Idempotency-Key: " + "k" * 300,
    "Origin: http://[",
    "Origin: null",
    "Cookie: " + "a=b; " * 5000,
    "X-Forwarded-Host: evil.example",
    "Last-Event-ID: ../../etc/passwd",
    "Host: [::1",
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header[:30])
def test_tricks_with_headers(idle: Service, header: str) -> None:
    host, port = idle.url.removeprefix("http://").split(":")
    id, _ = idle.store.queue.submit("everybody", "generate", {})
    for target in ("/v1/jobs", f"/v1/jobs/{id.id}/files/music.wav", "/style.css"):
        lines = [f"GET {target} HTTP/1.1", "Connection: close", header]
        lines += [] if header.startswith("Host") else [f"Host: {host}"]
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            raw.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: raw.recv(65_536), b""))
        assert not answer.startswith(b"HTTP/1.1 5"), answer[:500]
        for secret in (str(idle.store.folder.root).encode(), b"evil.example", b"root:"):
            assert secret not in answer
    with idle.client() as client:
        assert client.get("/healthz").status_code == 200
        client.delete(f"/v1/jobs/{id.id}")


# ── Sounds ──────────────────────────────────────────────────────────────────────────────────────


def test_damaged_files_of_every_format_are_sounds_or_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants", "60"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_damaged_uploads(idle: Service) -> None:
    with idle.client() as client:
        for format in FORMATS:
            content = encode(sine(0.3, 32_000), format)
            sent = damaged(content, random.Random(f"upload {format}"))
            answer = client.post("/v1/uploads", content=sent)
            assert answer.status_code in (201, 422), answer.text
            assert str(idle.store.folder.root) not in answer.text


@EASY
@given(st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM"]), st.binary(max_size=500))
def test_any_bytes_as_an_upload(idle: Service, magic: bytes, content: bytes) -> None:
    with idle.client() as client:
        answer = client.post("/v1/uploads", content=magic + content)
    assert answer.status_code == 422 and str(idle.store.folder.root) not in answer.text
    assert not list(idle.store.folder.incoming.iterdir())


def test_small_files_that_would_become_large_ones(idle: Service, tmp_path: Path) -> None:
    hour, wide = tmp_path / "hour.flac", tmp_path / "wide.flac"
    soundfile.write(hour, np.full(3600 * 8000, 0.1, np.float32), 8000)
    second = np.full((48_000, 8), 1000, np.int16)
    with soundfile.SoundFile(wide, "w", 48_000, 8) as file:
        for _ in range(301):
            file.write(second)
    with idle.client() as client:
        for bomb, words in ((hour, "lasts 3600 s, at most 600 s"), (wide, "is too large")):
            content = bomb.read_bytes()
            assert len(content) < 10_000_000
            answer = client.post("/v1/uploads", content=content)
            assert answer.status_code == 422 and words in answer.json()["detail"]


def test_a_decoder_has_little_memory_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, made = tmp_path / "good.wav", tmp_path / "made.wav"
    good.write_bytes(encode(sine(200.0, 48_000), "wav"))
    assert decoding.decode(good, made, 600)["seconds"] == 200
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "WALL_SECONDS", 0.01)
        with pytest.raises(AudioError, match="too long to decode"):
            decoding.decode(good, made, 600)
    # What kills the process, kills no more than that.
    starved = tmp_path / "starved.py"
    starved.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "COMMAND", [sys.executable, str(starved)])
        with pytest.raises(AudioError, match="cannot be decoded"):
            decoding.decode(good, made, 600)


# ── Machines in trouble ─────────────────────────────────────────────────────────────────────────


def test_a_disk_that_takes_no_more(tmp_path: Path, workers: Nursery) -> None:
    with serving(tmp_path) as service, service.client() as client:
        worker = workers.start(tmp_path, "full", file_bytes=700_000)
        large = {"prompt": "jazz", "duration": 6.0, "format": "wavfloat"}
        ids = [
            client.post("/v1/jobs", json=wish).json()["id"]
            for wish in ({"kind": "generate", "request": large}, WISH)
        ]
        states = [
            until(lambda id=id: (job := service.store.queue.get(id)).over and job) for id in ids
        ]
        assert [job.state for job in states] == [FAILED, DONE]
        error = client.get(f"/v1/jobs/{ids[0]}").json()["error"]
        assert error == {"kind": "OutputError", "message": "the service could not store the result"}
        assert is_alive(worker)
    workers.kill_all()


def test_a_servers_disk_that_takes_no_more(tmp_path: Path) -> None:
    sound = encode(sine(60.0, 32_000), "wav")
    with serving(tmp_path) as service, service.client() as client:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(sound) // 2, hard))
        try:
            answer = client.post("/v1/uploads", content=sound)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert answer.status_code == 507 and "disk is full" in answer.json()["detail"]
        assert str(tmp_path) not in answer.text
        assert not list(service.store.folder.incoming.iterdir())
        assert client.post("/v1/uploads", content=sound).status_code == 201


def test_a_database_that_is_locked_for_a_while(
    tmp_path: Path, workers: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.2)
    with serving(tmp_path) as service, service.client() as client:
        workers.start(tmp_path, "patient")
        until(service.store.workers.alive)
        with sqlite3.connect(tmp_path / "cadenza.db", isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            answer = client.post("/v1/jobs", json=WISH)
            assert answer.status_code == 503 and answer.headers["retry-after"]
            assert client.get("/healthz").status_code == 200
            other.execute("ROLLBACK")
        id = client.post("/v1/jobs", json=WISH).json()["id"]
        until(lambda: service.store.queue.get(id).state == DONE)
    workers.kill_all()


def test_a_thousand_jobs_wait(tmp_path: Path) -> None:
    with serving(tmp_path) as service, service.client() as client:
        for _ in range(service.store.queue.max_queued):
            service.store.queue.submit("everybody", "generate", WISH["request"])  # type: ignore[arg-type]
        assert client.post("/v1/jobs", json=WISH).status_code == 429
        page = client.get("/v1/jobs?limit=100").json()
        assert len(page) == 100 and {job["state"] for job in page} == {QUEUED}
        assert 'state="queued"} 1000.0' in client.get("/metrics").text


def test_two_hundred_readers_who_do_not_read(tmp_path: Path, workers: Nursery) -> None:
    with serving(tmp_path) as service, service.client() as client:
        workers.start(tmp_path, "besieged")
        until(service.store.workers.alive)
        host, port = service.url.removeprefix("http://").split(":")
        request = b"GET /v1/stream?prompt=pads HTTP/1.1\r\nHost: localhost\r\n\r\n"
        readers = []
        for _ in range(200):
            reader = socket.create_connection((host, int(port)))
            reader.sendall(request)
            readers.append(reader)
        until(lambda: service.store.workers.alive()[0].streams == 0)
        # Who works is not held up by who listens and does not.
        id = client.post("/v1/jobs", json=WISH).json()["id"]
        until(lambda: service.store.queue.get(id).state == DONE)
        refused = client.get("/v1/stream", params={"prompt": "x", "duration": 1})
        assert refused.status_code == 429
        for reader in readers:
            reader.close()
        until(lambda: service.store.workers.alive()[0].streams == 8)
        assert client.get("/v1/stream?prompt=x&duration=0.2").status_code == 200
    workers.kill_all()
