"""The client against a real server: the same music as here, the same errors, the same streams."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

import cadenza
from cadenza.audio import read, soft_limit, within_full_scale, write
from cadenza.client import TRIES, Client
from cadenza.errors import (
    AccessDenied,
    AudioError,
    Busy,
    CadenzaError,
    Cancelled,
    OptionError,
    PromptError,
    Unavailable,
    rebuilt,
)
from cadenza.jobs.decoding import decode
from cadenza.model import Model
from cadenza.request import GenerateRequest, fingerprint
from cadenza.studio.audition import SHORTLIST
from tests.command import run
from tests.nursery import Nursery
from tests.service import PATIENCE, Service, serving, until
from tests.sounds import sine


@pytest.fixture(scope="module")
def service(workers: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("service")
    with serving(root, keys=True) as made:
        workers.start(root, "w")
        until(made.store.workers.alive)
        yield made
    workers.kill_all()


@pytest.fixture(scope="module")
def key(service: Service) -> str:
    return service.store.keys.new("laptop")[1]


@pytest.fixture
def client(service: Service, key: str) -> Client:
    return Client(service.url, key)


def test_it_is_the_model_it_plays(client: Client, torch_nano: Model) -> None:
    names = (
        "name",
        "family",
        "licence",
        "rate",
        "channels",
        "frame_rate",
        "identity",
        "has_critic",
    )
    for name in names:
        assert getattr(client, name) == getattr(torch_nano, name)


def test_takes_are_those_made_here(client: Client, torch_nano: Model, tmp_path: Path) -> None:
    asked = [
        GenerateRequest(f"jazz {n}, 120 bpm", duration=0.4, seed=n, top_p=0.9, in_time=n == 2)
        for n in range(3)
    ]
    seen: list[tuple[int, int]] = []
    there = client.generate_batch(asked, lambda done, total: seen.append((done, total)))
    for take, expected in zip(there, torch_nano.generate_batch(asked), strict=True):
        assert take.recipe == expected.recipe
        np.testing.assert_array_equal(take.codes.ids, expected.codes.ids)
        sound = within_full_scale(expected.audio).samples
        np.testing.assert_allclose(take.audio.samples, sound, atol=1e-5)
    assert seen == sorted(seen) and seen[-1] == (3000, 3000)
    [codes] = client.generate_codes(asked[:1])
    np.testing.assert_array_equal(codes.ids, there[0].codes.ids)
    assert cadenza.verify(there[0].save(tmp_path / "x.wav"), model=torch_nano).same


def test_the_best_there_is_the_best_here(client: Client, torch_nano: Model) -> None:
    options = {"best_of": 5, "duration": 1.0, "seed": 3}
    there, here = (one.generate("solo piano, 90 bpm", **options) for one in (client, torch_nano))
    assert there.codes.sha256 == here.codes.sha256
    assert there.recipe.sampling.seed == here.recipe.sampling.seed
    asked = [GenerateRequest("techno, 126 bpm", duration=0.5, seed=n) for n in (3, 9)]
    (takes, scores), (same, expected) = (one.choose(asked, 2) for one in (client, torch_nano))
    assert [take.recipe for take in takes] == [take.recipe for take in same]
    for ranking, known in zip(scores, expected, strict=True):
        assert [one.seed for one in ranking] == [one.seed for one in known]
        totals = [one.score.total for one in ranking]
        assert totals == pytest.approx([one.score.total for one in known], abs=0.1)


def test_going_on_from_sounds_and_takes(client: Client, torch_nano: Model, tmp_path: Path) -> None:
    write(sine(0.5, 32_000), tmp_path / "hum.wav")
    options = {"duration": 0.4, "seed": 1}
    for sound in (tmp_path / "hum.wav", read(tmp_path / "hum.wav")):
        there, here = (model.extend(sound, prompt="x", **options) for model in (client, torch_nano))
        np.testing.assert_array_equal(there.codes.ids, here.codes.ids)
    assert there.recipe.continued is not None
    take = client.extend(there, **options)
    assert take.audio.duration == pytest.approx(1.3, abs=0.05) and take.recipe.prompt == "x"


def test_errors_are_those_of_the_library(client: Client, service: Service) -> None:
    with pytest.raises(PromptError, match="the prompt is empty"):
        client.generate("")
    with pytest.raises(OptionError, match="not of 'x'"):
        client.generate_batch(["x"])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="before its tempo is known"):
        client.stream("jazz, 120 bpm", 1.0, in_time=True)
    with pytest.raises(OptionError, match="cannot follow a melody"):
        client.generate("x", melody=sine(0.5))
    with pytest.raises(OptionError, match="top-k is 100000"):
        client.generate("x", top_k=100_000)
    with pytest.raises(OptionError, match="kind"):
        client.submit("nothing", {})
    with pytest.raises(AccessDenied):
        Client(service.url).generate("x")
    with pytest.raises(AccessDenied):
        Client(service.url, "cdz_wrong").stream("x")
    with pytest.raises(Unavailable, match="cannot be reached"):
        Client("http://127.0.0.1:9").generate("x")
    for url in ("studio:8000", "ftp://x", ""):
        with pytest.raises(OptionError, match="a server is http"):
            Client(url)


def test_errors_by_name() -> None:
    assert isinstance(rebuilt("Busy", "x"), cadenza.errors.Busy)
    assert str(rebuilt("MissingPackage", "no demucs")) == "no demucs"
    for kind in ("nonsense", "", "annotations", "__builtins__"):
        assert type(rebuilt(kind, "x")) is CadenzaError


def test_what_progress_raises_cancels(client: Client, service: Service) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        client.generate("x", duration=120, seed=1, progress=stop)
    owner = service.store.keys.all()[-1].id
    until(lambda: not service.store.queue.history(owner, states=["running"]))
    assert service.store.queue.history(owner)[0].state == "cancelled"


def test_a_batch_that_cannot_be_asked_for_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cadenza.client.time", SimpleNamespace(sleep=lambda _: None))
    with serving(tmp_path, open_jobs=2) as full:
        with pytest.raises(Busy, match="2 of your jobs"):
            Client(full.url).generate_batch([GenerateRequest("x", seed=n) for n in range(3)])
        states = [job.state for job in full.store.queue.history("everybody")]
    assert states == ["cancelled", "cancelled"]


def test_a_job_is_followed_over_any_number_of_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cadenza.client.PAUSE", 0.0)
    with serving(tmp_path) as service:
        client, queue = Client(service.url), service.store.queue
        id = client.submit("generate", {"prompt": "x"})
        job = queue.lease("w")
        assert job is not None
        events, cuts = client._events, iter(range(3 * TRIES))

        def cut(id: str) -> Iterator[dict[str, Any]]:
            yield next(events(id))
            if next(cuts, None) is None:
                queue.finish(job, "done")
            raise httpx.ReadError("a proxy does not let it last")

        monkeypatch.setattr(client, "_events", cut)
        assert client.wait(id)["state"] == "done"

        def nothing(id: str) -> Iterator[dict[str, Any]]:
            raise httpx.ReadError("no news at all")

        monkeypatch.setattr(client, "_events", nothing)
        with pytest.raises(Unavailable, match="went away"):
            client.wait(id)


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    song = write(sine(30.0, 44_100), tmp_path / "song.mp3")
    with serving(tmp_path / "service", upload_bytes=2 * song.stat().st_size) as service:
        client, uploads = Client(service.url), service.store.uploads
        id = client.upload(song)
        assert uploads.get(id, "everybody").name == "song.mp3"
        assert uploads.sound(id, "everybody").source.sha256 == fingerprint(read(song))
        for path in (song, str(song)):
            wish = client._wish(GenerateRequest("x", beginning=path))
            assert uploads.get(wish["beginning"], "everybody").seconds == pytest.approx(30, abs=0.1)
        with pytest.raises(AudioError, match=r"absent\.wav cannot be read: No such file"):
            client.upload(tmp_path / "absent.wav")


def test_a_sound_is_sent_once_however_long_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cadenza.client.DECODING_SECONDS", 0.2)
    monkeypatch.setattr("cadenza.client.PAUSE", 0.0)
    waited, decoded = threading.Event(), []

    def slow(*given: Any) -> dict[str, Any]:
        decoded.append(given)
        waited.wait(PATIENCE)
        return decode(*given)

    monkeypatch.setattr("cadenza.jobs.uploads.decode", slow)
    with serving(tmp_path) as service:
        with pytest.raises(Unavailable, match="timed out"):
            Client(service.url).upload(sine(0.5))
        waited.set()
        until(lambda: list((tmp_path / "uploads").iterdir()))
    assert len(decoded) == 1


def test_streams_are_heard_and_steered(client: Client, torch_nano: Model, service: Service) -> None:
    with client.stream("techno", duration=1.5, seed=5) as stream:
        heard = np.concatenate([chunk.samples for chunk in stream], axis=1)
    expected = soft_limit(torch_nano.generate("techno", duration=1.5, seed=5).audio.samples)
    np.testing.assert_allclose(heard, expected, atol=1e-3)
    with client.stream("techno", buffer=0.2, seed=5) as stream:
        next(stream)
        stream.steer("slow strings", over=0.5)
        assert stream.playing.prompt == "slow strings"
        with pytest.raises(PromptError, match="empty"):
            stream.steer("")
        assert next(stream).rate == 32_000  # the music goes on
    with pytest.raises(OptionError, match="over"):
        stream.steer("x")
    until(lambda: service.store.workers.alive()[0].streams == 8)


def test_a_killed_worker_costs_time_and_nothing_else(
    client: Client, service: Service, workers: Nursery, torch_nano: Model
) -> None:
    owner = service.store.keys.all()[-1].id
    victim = workers.start(service.store.folder.root, "victim")
    until(lambda: len(service.store.workers.alive()) == 2)

    def kill() -> None:
        until(lambda: service.store.queue.history(owner, states=["running"]))
        os.kill(victim, signal.SIGKILL)
        service.store.workers.leave("victim")
        service.store.queue.reap("victim")

    killer = threading.Thread(target=kill)
    killer.start()
    asked = [GenerateRequest("jazz", duration=2.0, seed=n) for n in range(3)]
    there = client.generate_batch(asked)
    killer.join()
    for take, expected in zip(there, torch_nano.generate_batch(asked), strict=True):
        np.testing.assert_array_equal(take.codes.ids, expected.codes.ids)


def test_commands_on_a_server(
    service: Service, key: str, torch_nano: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    there = ["--server", service.url, "--key", key]
    music = ["--duration", "0.4", "--seed", "7"]
    assert run(*there, "generate", "jazz", *music, "-o", "there.wav").code == 0
    np.testing.assert_allclose(
        read("there.wav").samples,
        within_full_scale(torch_nano.generate("jazz", duration=0.4, seed=7).audio).samples,
        atol=1e-3,
    )
    # What the words ask for is chosen there, as it would be here.
    chosen = run(
        *there, "generate", "jazz, 120 bpm", "--duration", "0.4", "-o", "best.wav", "--json"
    )
    [ranking] = json.loads(chosen.output)["auditions"]
    assert len(ranking) == SHORTLIST and all(one["by_critic"] for one in ranking)
    table = run(*there, "generate", "jazz", *music, "--best-of", "2", "-o", "two.wav")
    assert "score" in table.output and len(list(tmp_path.glob("two*.wav"))) == 1
    assert run(*there, "again", "there.wav", "--prompt", "funk", "-o", "funk.flac").code == 0
    assert read("funk.flac").duration == pytest.approx(0.4)
    streamed = run(*there, "stream", "techno", *music)
    assert streamed.code == 0 and streamed.binary.startswith(b"RIFF")
    assert len(streamed.binary) == 44 + 2 * round(0.4 * 32_000)
    for option in ("--device=cpu", "--precision=fp32", "--backend=torch", "--adapter=mine"):
        wrong = run(*there, "generate", "x", option)
        assert wrong.code == 1 and f"leave {option.partition('=')[0]} out" in wrong.errors
    wrong = run(*there, "generate", "x", "--model", "large")
    assert wrong.code == 1 and "plays nano, not large" in wrong.errors
    monkeypatch.setenv("CADENZA_SERVER", service.url)
    denied = run("generate", "x")
    assert denied.code == 1 and "needs a key" in denied.errors


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, b"<html>hello</html>"),
        (200, b'{"object": "list", "data": []}'),
        (404, b'{"detail": "Not Found"}'),
    ],
)
def test_a_server_of_somebody_else(status: int, answer: bytes) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(OptionError, match="is not a server of Cadenza: check the address"):
            _ = Client(url).rate
        result = run("--server", url, "generate", "x")
        server.shutdown()
    assert result.code == 1 and "is not a server of Cadenza" in result.errors
    assert result.errors.count("\n") == 1


@pytest.mark.parametrize(("status", "asked"), [(502, 2), (504, 2), (503, 2), (500, 1)])
def test_a_proxy_whose_server_begins_anew(status: int, asked: int) -> None:
    """It is asked again, unless something is wrong for good; a pause may be named by a date."""
    requests: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(status if len(requests) == 1 else 200)
            self.send_header("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")
            self.end_headers()
            self.wfile.write(b"<html>" if len(requests) == 1 else b'[{"rate": 7, "channels": 1}]')

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = Client(f"http://127.0.0.1:{server.server_port}")
        if asked == 1:
            with pytest.raises(CadenzaError, match="the server answered 500"):
                _ = client.rate
        else:
            assert client.rate == 7
        server.shutdown()
    assert len(requests) == asked


def test_a_band_plays_there_as_here(client: Client, torch_nano: Model, tmp_path: Path) -> None:
    options = {"bars": 2, "seed": 3, "retries": 0, "how": "layered"}
    for name, player in (("there", client), ("here", torch_nano)):
        session = player.band("funk, 120 bpm", ["drums", "bass"], tmp_path / name, **options)
        assert session.finished and [track.name for track in session.tracks] == ["drums", "bass"]
    for file in ("mix.wav", "tracks/bass.wav"):
        there, here = (read(tmp_path / name / file).samples for name in ("there", "here"))
        np.testing.assert_allclose(there, here, atol=1e-3)
