"""The API over real connections: jobs, files, uploads, streams, keys, limits."""

from __future__ import annotations

import io
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from websockets.sync.client import connect

from cadenza.audio import encode, pcm16, resample, soft_limit, within_full_scale
from cadenza.jobs.decoding import COMMAND
from cadenza.jobs.queue import DONE
from cadenza.jobs.store import Store
from cadenza.model import Model
from cadenza.prompting import presets
from cadenza.server.encoding import StreamFormat, encoder
from cadenza.types import Audio
from tests.nursery import Nursery
from tests.service import Service, serving, until
from tests.sounds import silence, sine

SMALL = {"prompt": "jazz", "duration": 0.4, "seed": 7}


@pytest.fixture(scope="module")
def service(workers: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("service")
    with serving(root) as made:
        workers.start(root, "w")
        until(made.store.workers.alive)
        yield made
    workers.kill_all()


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as made:
        yield made


def submit(client: httpx.Client, headers: dict[str, str] | None = None, **request: Any) -> Any:
    wish = {"kind": "generate", "request": SMALL | request}
    answer = client.post("/v1/jobs", json=wish, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def finished(client: httpx.Client, id: str) -> Any:
    def over() -> Any:
        job = client.get(f"/v1/jobs/{id}").json()
        return job if job["state"] not in ("queued", "running") else None

    return until(over)


def assert_problem(answer: httpx.Response, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert re.search(words, problem["detail"]), problem["detail"]


# ── Jobs ────────────────────────────────────────────────────────────────────────────────────────


def test_ask_follow_fetch(client: httpx.Client, torch_nano: Model) -> None:
    answer = client.post("/v1/jobs", json={"kind": "generate", "request": SMALL})
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["request"]["prompt"] == "jazz"
    seen = []
    with client.stream("GET", f"/v1/jobs/{job['id']}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        for line in events.iter_lines():
            if line.startswith("data:"):
                seen.append(json.loads(line[5:]))
    assert seen[-1]["state"] == "done" and seen[-1]["progress"] == 1
    assert [event["progress"] for event in seen] == sorted(event["progress"] for event in seen)
    files = {file["name"]: file for file in seen[-1]["files"]}
    assert files.keys() == {"music.wav", "music.json", "codes.npy"}
    music = client.get(files["music.wav"]["url"])
    assert music.headers["content-type"] == "audio/wav"
    assert len(music.content) == files["music.wav"]["bytes"]
    expected = torch_nano.generate(**SMALL)  # type: ignore[arg-type]
    with av.open(io.BytesIO(music.content)) as opened:
        samples = np.concatenate([f.to_ndarray() for f in opened.decode(audio=0)], axis=1)
    sound = within_full_scale(expected.audio).samples[0]
    np.testing.assert_allclose(samples[0] / 32768, sound, atol=1e-3)
    assert client.get(files["music.json"]["url"]).json()["codes_sha256"] == expected.codes.sha256
    [listed] = [one for one in client.get("/v1/jobs").json() if one["id"] == job["id"]]
    assert listed == client.get(f"/v1/jobs/{job['id']}").json()


def test_parts_of_a_file(client: httpx.Client) -> None:
    job = finished(client, submit(client)["id"])
    url = f"/v1/jobs/{job['id']}/files/music.wav"
    whole = client.get(url).content
    part = client.get(url, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206 and part.content == whole[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert client.get(url, headers={"Range": "bytes=-50"}).content == whole[-50:]
    assert client.get(url, headers={"Range": "bytes=999999999-"}).status_code == 416
    etag = client.get(url).headers["etag"]
    changed = client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert changed.status_code == 200
    same = client.get(url, headers={"Range": "bytes=0-9", "If-Range": etag})
    assert same.status_code == 206


def test_idempotency_over_http(client: httpx.Client) -> None:
    key = {"Idempotency-Key": "take-1"}
    first, again = submit(client, key), submit(client, key)
    assert first["id"] == again["id"]
    other = {"kind": "generate", "request": SMALL | {"seed": 8}}
    assert_problem(client.post("/v1/jobs", json=other, headers=key), 409, "another request")


def test_cancelling_over_http(client: httpx.Client) -> None:
    job = submit(client, duration=300)
    until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["progress"] > 0)
    client.delete(f"/v1/jobs/{job['id']}").raise_for_status()
    assert finished(client, job["id"])["state"] == "cancelled"
    assert client.delete(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"prompt": ""}, "the prompt is empty"),
    ({"prompt": "x" * 5000}, "5000 characters"),
    ({"duration": 601}, "at most 600 s, not 601"),
    ({"duration": "5"}, "request.generate.duration|request.duration"),
    ({"seed": -1}, "seed must be from 0"),
    ({"surprise": 1}, "surprise"),
    ({"format": "exe"}, "'wav'"),
    ({"loudness": 3}, "loudness must be from -70 to 0"),
    ({"beginning": "../../etc/passwd"}, "beginning"),
    ({"melody": "0" * 32, "beginning": "1" * 32}, "exclude each other"),
    ({"guidance": 1, "negative": "drums"}, "negative prompt works through guidance"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_mistakes_are_told_in_the_librarys_words(
    client: httpx.Client, options: dict[str, Any], words: str
) -> None:
    answer = client.post("/v1/jobs", json={"kind": "generate", "request": SMALL | options})
    assert_problem(answer, 422, words)


def test_other_mistakes_are_problems_too(client: httpx.Client) -> None:
    for answer, status, words in (
        (client.get("/v1/nothing"), 404, "Not Found"),
        (client.put("/v1/jobs"), 405, "Not Allowed"),
        (client.get("/v1/jobs/" + "0" * 32), 404, "there is no job"),
        (client.get("/v1/jobs?before=" + "0" * 32), 404, "there is no job"),
        (client.get("/v1/jobs?limit=1000"), 422, "limit"),
        (client.post("/v1/jobs", content=b"{"), 422, "."),
        (client.post("/v1/jobs", json={"kind": "other", "request": {}}), 422, "kind"),
        (client.post("/v1/jobs", content=b"x" * 100_000), 413, "at most"),
        (client.post("/v1/jobs", content=iter([b"x" * 50_000] * 3)), 413, "too large"),
        (client.get("/v1/stream"), 422, "prompt"),
        (client.get("/v1/stream?prompt=x&format=ogg"), 422, "wav"),
        (client.get("/v1/stream?prompt=x&duration=-1"), 422, "duration must be above 0"),
    ):
        assert_problem(answer, status, words)
    form = client.post(
        "/v1/jobs",
        content=json.dumps({"kind": "generate", "request": SMALL}),
        headers={"Content-Type": "text/plain"},  # what a form of another site could send
    )
    assert_problem(form, 422, ".")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/{id}/files/../../../../etc/passwd",
        "/v1/jobs/{id}/files/..%2f..%2f..%2fcadenza.db",
        "/v1/jobs/{id}/files/%2e%2e%2f%2e%2e%2fcadenza.db",
        "/v1/jobs/{id}/files//etc/passwd",
        "/v1/jobs/{id}/files/%00",
        "/v1/jobs/{id}/files/music.wav%00.json",
        "/v1/jobs/{id}/files/MUSIC.WAV",
        "/v1/jobs/..%2f{id}",
        "/v1/jobs/%00",
        "/v1/jobs/{id}%0d%0aX-Evil:1",
    ],
)
def test_tricks_with_paths(client: httpx.Client, service: Service, path: str) -> None:
    job = finished(client, submit(client)["id"])
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:  # a client would tidy the path up
        target = path.format(id=job["id"])
        raw.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65_536), b""))
    status = int(answer.split()[1])
    assert status in (404, 422), answer
    assert str(service.store.folder.root).encode() not in answer
    assert b"root:" not in answer and b"SQLite" not in answer and b"X-Evil" not in answer


# ── Uploads ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("format", ["wav", "wav24", "flac", "mp3", "ogg", "opus"])
def test_going_on_from_an_upload(client: httpx.Client, format: str) -> None:
    sound = encode(sine(0.5, 32_000), format)
    answer = client.post("/v1/uploads?name=hum", content=sound)
    assert answer.status_code == 201
    upload = answer.json()
    assert upload["seconds"] == pytest.approx(0.5, abs=0.1) and upload["name"] == "hum"
    job = finished(client, submit(client, beginning=upload["id"])["id"])
    assert job["state"] == "done"


def test_uploads_that_are_no_sounds(client: httpx.Client, service: Service) -> None:
    for content, words in (
        (b"", "cannot be read as sound"),
        (b"not a sound", "cannot be read as sound"),
        (encode(silence(1.0), "wav"), "silent"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "sound"),
    ):
        answer = client.post("/v1/uploads?name=x", content=content)
        assert_problem(answer, 422, words)
        assert str(service.store.folder.root) not in answer.text
    assert list(service.store.folder.incoming.iterdir()) == []


def test_an_upload_that_is_too_large_or_breaks_off(tmp_path: Path) -> None:
    with serving(tmp_path, upload_bytes=100_000) as service, service.client() as client:
        sound = encode(sine(20.0, 32_000), "wav")
        assert_problem(client.post("/v1/uploads", content=sound), 413, "at most 100000 bytes")
        chunks = iter([sound[:60_000], sound[60_000:]])
        assert_problem(client.post("/v1/uploads", content=chunks), 413, "at most 100000 bytes")
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(
                b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n"
                + sound[:50_000]
            )
            until(lambda: list(service.store.folder.incoming.iterdir()))
        until(lambda: not list(service.store.folder.incoming.iterdir()))
        assert client.get("/healthz").status_code == 200


def test_a_disk_that_is_full_is_not_the_sounds_fault(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = ["sh", "-c", 'ulimit -f 100; exec "$@"', "sh"]  # half-kilobytes that a file may have
    monkeypatch.setattr("cadenza.jobs.decoding.COMMAND", [*little, *COMMAND])
    answer = client.post("/v1/uploads", content=encode(sine(2.0, 32_000), "flac"))
    assert_problem(answer, 507, "its disk is full")


def test_the_place_for_uploads_holds_when_they_come_together(tmp_path: Path) -> None:
    sound = encode(sine(1.0, 32_000), "flac")  # 128 kB decoded
    with serving(tmp_path, keys=True, uploads_bytes=300_000) as service:
        _, secret = service.store.keys.new("many")

        def send(_: int) -> httpx.Response:
            with service.client(secret) as client:
                return client.post("/v1/uploads", content=sound)

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(send, range(4)))
        kept = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        for answer in answers:
            if answer.status_code != 201:
                assert_problem(answer, 429, "fill their place of 300000 bytes")
        assert len(kept) == 2
        assert {place.stem for place in (tmp_path / "uploads").iterdir()} == {*kept}


def test_uploads_under_way_are_counted(tmp_path: Path) -> None:
    sound = encode(sine(0.5, 32_000), "flac")
    with serving(tmp_path, keys=True, uploads=1) as service:
        (_, anna), (_, boris) = service.store.keys.new("anna"), service.store.keys.new("boris")
        host, port = service.url.removeprefix("http://").split(":")
        with (
            socket.create_connection((host, int(port))) as raw,
            service.client(anna) as hers,
            service.client(boris) as his,
        ):
            head = f"Host: localhost\r\nAuthorization: Bearer {anna}\r\nContent-Length: 90000"
            raw.sendall(f"POST /v1/uploads HTTP/1.1\r\n{head}\r\n\r\n".encode())
            until(lambda: list(service.store.folder.incoming.iterdir()))
            assert_problem(hers.post("/v1/uploads", content=sound), 429, "1 of your uploads")
            assert his.post("/v1/uploads", content=sound).status_code == 201
            raw.close()
            until(lambda: hers.post("/v1/uploads", content=sound).status_code == 201)


# ── Streams ─────────────────────────────────────────────────────────────────────────────────────


def decoded(content: bytes) -> Audio:
    """The sound of a stream, however much of it has come."""
    with av.open(io.BytesIO(content)) as opened:
        rate = opened.streams.audio[0].rate
        frames = [frame.to_ndarray() for frame in opened.decode(audio=0)]
    sound = np.concatenate(frames, axis=1)[:1]
    return Audio((sound / 32768 if sound.dtype.kind == "i" else sound).astype(np.float32), rate)


@pytest.mark.parametrize("format", ["wav", "mp3", "flac", "opus"])
def test_what_is_sent_can_be_heard_at_once(format: StreamFormat) -> None:
    encoding, sent = encoder(format, 32_000, 1), b""
    for piece in np.split(soft_limit(sine(3.0, 32_000).samples)[0], 30):
        sent += encoding.push(pcm16(Audio(piece[None], 32_000)))
    assert decoded(sent).duration > 2.5
    assert decoded(sent + encoding.finish()).duration == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("format", ["wav", "mp3", "flac", "opus"])
def test_a_stream_is_the_take(client: httpx.Client, torch_nano: Model, format: str) -> None:
    options = {"prompt": "techno", "duration": 2.0, "seed": 5}
    answer = client.get("/v1/stream", params=options | {"format": format})
    assert answer.status_code == 200 and answer.headers["x-seed"] == "5"
    heard = resample(decoded(answer.content), 32_000).samples[0]
    expected = soft_limit(torch_nano.generate(**options).audio.samples)[0]  # type: ignore[arg-type]
    if format in ("wav", "flac"):
        assert len(heard) == len(expected)
        np.testing.assert_allclose(heard, expected, atol=1e-3)
    else:  # the encoder may add silence around it, and changes what nobody hears
        lag = np.argmax(np.correlate(heard, expected[2000:12_000], "valid")) - 2000
        overlap = heard[lag + 2000 : lag + 2000 + 40_000]
        assert np.corrcoef(overlap, expected[2000:42_000])[0, 1] > 0.95


def test_sound_arrives_while_it_is_made_and_a_reader_that_leaves_frees_its_place(
    client: httpx.Client, service: Service
) -> None:
    with client.stream("GET", "/v1/stream", params={"prompt": "pads", "format": "mp3"}) as answer:
        parts = answer.iter_raw()
        for _ in range(3):  # there is no end to wait for
            assert next(parts)
        until(lambda: service.store.workers.alive()[0].streams == 7)
    until(lambda: service.store.workers.alive()[0].streams == 8)


def test_a_slow_reader_is_held_back(client: httpx.Client, service: Service) -> None:
    """What the server holds for one who does not read stays small, however long the piece."""
    options = {"prompt": "pads", "duration": 600}
    with client.stream("GET", "/v1/stream", params=options) as answer:
        next(answer.iter_raw())
        job = finished(client, submit(client, duration=2)["id"])
        assert job["state"] == "done"  # it is not in anybody's way
    until(lambda: service.store.workers.alive()[0].streams == 8)


def test_live_sound_and_steering(service: Service) -> None:
    with connect(service.url.replace("http", "ws") + "/v1/live") as live:
        live.send(json.dumps({"prompt": "pads", "seed": 3, "buffer": 0.2}))
        head = json.loads(live.recv())
        assert head == {"rate": 32_000, "channels": 1, "seed": 3}
        assert isinstance(live.recv(), bytes)
        begun, seconds, said = time.monotonic(), 0.0, []
        for wish in ({"prompt": "drums", "over": 0.5}, {"prompt": ""}, {"volume": 3}, [1], "{"):
            live.send(wish if isinstance(wish, str) else json.dumps(wish))
        while seconds < 1.5 or len(said) < 5:
            message = live.recv()
            if isinstance(message, bytes):
                assert len(message) % 2 == 0
                seconds += len(message) / 2 / 32_000
            else:
                said.append(json.loads(message))
        assert seconds < time.monotonic() - begun + 2.0  # not faster than it is heard
        assert {"steered": {"prompt": "drums", "over": 0.5}} in said
        assert sorted(one["error"]["kind"] for one in said if "error" in one) == [
            "OptionError",
            "OptionError",
            "OptionError",
            "PromptError",
        ]
    until(lambda: service.store.workers.alive()[0].streams == 8)


@pytest.mark.parametrize(
    "first",
    ["", "x", "[]", "null", '{"prompt": ""}', '{"prompt": "x", "duration": -1}', '{"evil": 1}'],
)
def test_live_refuses_what_it_does_not_understand(service: Service, first: str) -> None:
    with connect(service.url.replace("http", "ws") + "/v1/live") as live:
        live.send(first)
        assert json.loads(live.recv())["error"]["message"]


def test_many_streams_and_then_no_more(client: httpx.Client, service: Service) -> None:
    wish = {"prompt": "pads", "duration": 1.0, "format": "wav"}

    def play(seed: int) -> int:
        with service.client() as one:
            answer = one.get("/v1/stream", params=wish | {"seed": seed})
            assert answer.status_code in (200, 429)
            assert answer.status_code == 200 or "retry-after" in answer.headers
            return answer.status_code

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(play, range(12)))
    assert statuses.count(200) >= 8
    assert play(99) == 200


# ── Keys and limits ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("guarded")
    with serving(root, keys=True, open_jobs=3, guesses_a_minute=30) as made:
        yield made


def test_one_keys_jobs_do_not_exist_for_another(guarded: Service) -> None:
    (_, anna), (_, boris) = guarded.store.keys.new("anna"), guarded.store.keys.new("boris")
    with guarded.client(anna) as hers, guarded.client(boris) as his, guarded.client() as nobodys:
        job = submit(hers)
        upload = hers.post("/v1/uploads", content=encode(sine(0.2), "wav")).json()
        for path in ("", "/events", "/files/music.wav"):
            url = f"/v1/jobs/{job['id']}{path}"
            assert_problem(his.get(url), 404, "there is no job")
            assert_problem(nobodys.get(url), 401, "needs a key")
        assert_problem(his.delete(f"/v1/jobs/{job['id']}"), 404, "there is no job")
        assert hers.get(f"/v1/jobs/{job['id']}").json()["state"] == "queued"
        assert his.get("/v1/jobs").json() == []
        assert_problem(his.get(f"/v1/jobs?before={job['id']}"), 404, "there is no job")
        url = f"/v1/uploads/{upload['id']}"
        assert hers.get(url).json() == upload
        assert_problem(his.get(url), 404, "there is no upload")
        stolen = {"kind": "generate", "request": SMALL | {"beginning": upload["id"]}}
        assert_problem(his.post("/v1/jobs", json=stolen), 404, "there is no upload")
        mix = {"kind": "mix", "request": {"job": job["id"], "strips": {}}}
        assert_problem(his.post("/v1/jobs", json=mix), 404, "there is no job")
        assert_problem(hers.post("/v1/jobs", json=mix), 404, "no file of that name")


def test_every_operation_asks_for_a_key(guarded: Service) -> None:
    with guarded.client() as client:
        paths = client.get("/v1/openapi.json").json()["paths"]
        for path, operations in paths.items():
            for method in operations:
                answer = client.request(method, path.replace("{id}", "0" * 32) + "?prompt=x")
                if path in ("/healthz", "/readyz"):
                    assert answer.status_code in (200, 503)
                else:
                    assert answer.status_code == 401, (method, path)
                    assert answer.headers["www-authenticate"] == "Bearer"
    with connect(guarded.url.replace("http", "ws") + "/v1/live") as live:
        live.send('{"prompt": "x"}')
        assert json.loads(live.recv())["error"]["kind"] == "AccessDenied"


def test_limits_of_one_key(guarded: Service) -> None:
    _, secret = guarded.store.keys.new("many")
    with guarded.client(secret) as client:
        for _ in range(3):
            submit(client)
        answer = client.post("/v1/jobs", json={"kind": "generate", "request": SMALL})
        assert_problem(answer, 429, "3 of your jobs")
        assert int(answer.headers["retry-after"]) >= 1
        high = {"kind": "generate", "request": SMALL, "priority": 1}
        assert_problem(client.post("/v1/jobs", json=high), 422, "priority 0 at most")


def test_a_key_of_low_priority_may_ask_without_saying_so(tmp_path: Path) -> None:
    with serving(tmp_path, keys=True) as service:
        for highest, given in ((-5, -5), (5, 0)):
            _, secret = service.store.keys.new("key", highest)
            with service.client(secret) as client:
                assert submit(client)["priority"] == given
                wish = {"kind": "generate", "request": SMALL, "priority": highest + 1}
                answer = client.post("/v1/jobs", json=wish)
                assert_problem(answer, 422, f"priority {highest} at most")


def test_requests_a_minute(tmp_path: Path) -> None:
    with serving(tmp_path, keys=True, requests_a_minute=5) as service:
        _, secret = service.store.keys.new("quick")
        _, other = service.store.keys.new("other")
        with service.client(secret) as client:
            statuses = [client.get("/v1/jobs").status_code for _ in range(8)]
            assert statuses[:5] == [200] * 5 and set(statuses[5:]) == {429}
        with service.client(other) as client:
            assert client.get("/v1/jobs").status_code == 200


def test_guessing_keys_is_slowed_down(tmp_path: Path) -> None:
    with serving(tmp_path, keys=True, guesses_a_minute=5) as service:
        _, secret = service.store.keys.new("anna")
        statuses = []
        for number in range(8):
            with service.client(f"cdz_{number}") as client:
                statuses.append(client.get("/v1/jobs").status_code)
        assert statuses[:5] == [401] * 5 and set(statuses[5:]) == {429}
        with service.client(secret) as client:  # whoever shares the address is not shut out
            assert client.get("/v1/jobs").status_code == 200
        for header in ("Basic abc", "Bearer", secret, "Bearer caf\xe9"):
            with service.client() as client:
                answer = client.get("/v1/jobs", headers={"Authorization": header.encode("latin-1")})
                assert answer.status_code in (401, 429)


def test_the_queue_is_full(tmp_path: Path) -> None:
    with serving(tmp_path) as service, service.client() as client:
        service.store.queue.max_queued = 2
        submit(client)
        submit(client)
        answer = client.post("/v1/jobs", json={"kind": "generate", "request": SMALL})
        assert_problem(answer, 429, "2 jobs wait already")
        assert answer.headers["retry-after"] == "10"


# ── Browsers of other sites ─────────────────────────────────────────────────────────────────────


def test_other_sites_and_other_names(client: httpx.Client, service: Service) -> None:
    evil = {"Origin": "https://evil.example"}
    wish = {"kind": "generate", "request": SMALL}
    assert_problem(client.post("/v1/jobs", json=wish, headers=evil), 403, "other sites")
    assert_problem(client.get("/v1/jobs", headers={"Origin": "null"}), 403, "other sites")
    assert_problem(client.get("/v1/jobs", headers={"Host": "evil.example"}), 421, "localhost only")
    own = {"Origin": service.url}
    assert client.get("/v1/jobs", headers=own).status_code == 200
    assert "access-control-allow-origin" not in client.get("/v1/jobs", headers=own).headers
    with pytest.raises(Exception, match="403"):
        connect(service.url.replace("http", "ws") + "/v1/live", additional_headers=evil)


def test_what_other_sites_embed(client: httpx.Client) -> None:
    def asked(site: str, dest: str = "audio", **more: str) -> int:
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": dest}
        return client.get("/v1/jobs", headers=headers | more).status_code

    for site in ("cross-site", "same-site"):
        assert [asked(site, dest) for dest in ("audio", "image", "iframe", "")] == [403] * 4
        assert asked(site, "document") == 200  # a link to here
    assert asked("same-origin") == asked("none") == 200
    assert asked("same-site", Origin=str(client.base_url).rstrip("/")) == 200


def test_a_site_that_was_allowed(tmp_path: Path) -> None:
    friend = "https://studio.example"
    with serving(tmp_path, origins=(friend,)) as service, service.client() as client:
        answer = client.get("/v1/jobs", headers={"Origin": friend})
        assert answer.headers["access-control-allow-origin"] == friend
        ask = {"Origin": friend, "Access-Control-Request-Method": "DELETE"}
        assert client.options("/v1/jobs", headers=ask).status_code == 200
        cors = {"Origin": friend, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "empty"}
        assert client.get("/v1/jobs", headers=cors).status_code == 200
        assert_problem(client.get("/v1/jobs", headers={"Origin": "https://x.example"}), 403, ".")


# ── How it is ───────────────────────────────────────────────────────────────────────────────────


def test_status(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"workers": 1}
    [model] = client.get("/v1/models").json()
    assert (model["name"], model["licence"]) == ("nano", "Apache-2.0")
    assert client.get("/v1/prompts").json() == dict(presets())
    enhanced = client.get("/v1/prompts/enhanced", params={"prompt": "sad robot"}).json()
    assert enhanced["description"].startswith("sad robot, ")
    submit(client)
    text = client.get("/metrics").text
    assert re.search(r'cadenza_jobs\{state="queued"\} \d', text)
    assert re.search(r'cadenza_jobs_ended_total\{state="done"\} \d', text)
    assert re.search(r'cadenza_requests_total\{path="/v1/jobs",status="201"\} \d', text)
    assert "cadenza_workers 1.0" in text


def test_without_workers_or_database(tmp_path: Path) -> None:
    with serving(tmp_path) as service, service.client() as client:
        for path in ("/readyz", "/v1/stream?prompt=x"):
            answer = client.get(path)
            assert_problem(answer, 503, "no worker is ready")
            assert answer.headers["retry-after"]
        assert client.get("/v1/models").json() == []
        with service.store.database.writing() as connection:
            connection.exec_driver_sql("DROP TABLE jobs")
        answer = client.get("/v1/jobs")
        assert answer.status_code in (500, 503) and "jobs" not in answer.json()["detail"]
        assert client.get("/healthz").status_code == 200


def test_results_outlive_the_server(tmp_path: Path, workers: Nursery) -> None:
    with serving(tmp_path) as service, service.client() as client:
        id = submit(client)["id"]
    workers.start(tmp_path, "later")
    store = Store.open(tmp_path)
    until(lambda: store.queue.get(id).state == DONE)
    with serving(tmp_path) as service, service.client() as client:
        assert client.get(f"/v1/jobs/{id}/files/music.wav").status_code == 200


def test_the_document_is_complete(client: httpx.Client) -> None:
    document = client.get("/v1/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation.get("description"), (method, path)
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
    submission = document["components"]["schemas"]["GenerateJob"]
    assert submission["examples"]
    for name, field in document["components"]["schemas"]["Generate"]["properties"].items():
        assert field["description"], name
