"""Results and uploads elsewhere: in a shared folder, and in an object store that speaks S3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import httpx
import pytest
from moto.server import ThreadedMotoServer

from cadenza.audio import read, write
from cadenza.errors import NotFound, OptionError, OutputError, Unavailable
from cadenza.jobs.queue import DONE, Job
from cadenza.jobs.remote import RemoteFolder
from cadenza.jobs.store import Store
from tests.nursery import Nursery
from tests.service import serving, until
from tests.sounds import sine


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield "s3://music"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path / 'shared'}"
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


def there(place: str) -> list[str]:
    """The files that lie there."""
    files, base = fsspec.url_to_fs(place)
    files.invalidate_cache()
    return sorted(path.removeprefix(f"{base}/") for path in files.find(base))


@pytest.fixture
def store(tmp_path: Path, place: str) -> Store:
    return Store.open(tmp_path / "one", results=place)


def leased(store: Store, worker: str = "w") -> Job:
    """A job of which an attempt has written a file and published it."""
    if not store.queue.depth():
        store.queue.submit("anna", "generate", {})
    job = store.queue.lease(worker)
    assert job is not None
    store.folder.attempt(job).mkdir(parents=True)
    (store.folder.attempt(job) / "music.wav").write_bytes(f"attempt {job.attempt}".encode())
    store.folder.publish(job)
    return job


def test_a_result_is_reached_from_another_machine(store: Store, place: str, tmp_path: Path) -> None:
    job = leased(store)
    assert store.queue.finish(job, DONE, files=[{"name": "music.wav", "bytes": 9}])
    store.folder.keep(job, counts=True)
    assert there(place) == [f"results/{job.id}/1/music.wav"]
    assert not list((tmp_path / "one" / "results").iterdir())
    other = RemoteFolder(tmp_path / "two", place)
    done = store.queue.get(job.id)
    for _ in range(2):  # the second time from the copy
        assert other.result(done, "music.wav").read_bytes() == b"attempt 1"
    for name in ("other.wav", "../1/music.wav", "../../../one/cadenza.db"):
        with pytest.raises(NotFound):
            other.result(done, name)
    store.tidy(max_age=-1)
    assert there(place) == []
    with pytest.raises(NotFound):
        RemoteFolder(tmp_path / "three", place).result(done, "music.wav")


def test_only_the_attempt_that_counts_stays(store: Store, place: str) -> None:
    lost = leased(store, "dead")  # killed before it could say so
    store.queue.reap("dead")
    heir = leased(store, "heir")
    assert not store.queue.finish(lost, DONE)
    store.folder.keep(lost, counts=False)
    assert there(place) == [f"results/{heir.id}/2/music.wav"]
    store.folder.publish(heir)
    assert store.queue.finish(heir, DONE)
    store.folder.keep(heir, counts=True)
    assert there(place) == [f"results/{heir.id}/2/music.wav"]


def test_copies_that_nobody_asks_for_go(store: Store, place: str, tmp_path: Path) -> None:
    for _ in range(2):
        job = leased(store)
        store.queue.finish(job, DONE, files=[{"name": "music.wav", "bytes": 9}])
    old, new = store.queue.history("anna")
    os.utime(store.folder.result(old, "music.wav"), (0, 0))
    store.folder.result(new, "music.wav")
    assert [copy.name for copy in (tmp_path / "one" / "copies").iterdir()] == [
        f"{new.id}-music.wav"
    ]


def test_the_whole_service(
    place: str, workers: Nursery, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload comes in at the server, a worker elsewhere goes on from it."""
    write(sine(1.0, 32_000), tmp_path / "hum.wav")
    url = store.database.url
    with (
        serving(tmp_path / "server", url=url, results=place) as service,
        service.client() as client,
    ):
        content = (tmp_path / "hum.wav").read_bytes()
        upload = client.post("/v1/uploads", params={"name": "hum.wav"}, content=content).json()
        wish = {"prompt": "jazz", "duration": 0.4, "seed": 1, "beginning": upload["id"]}
        id = client.post("/v1/jobs", json={"kind": "generate", "request": wish}).json()["id"]
        workers.start(tmp_path / "worker", "w", url=url, results=place)
        job = until(lambda: _over(client, id))
        workers.kill_all()
        assert job["state"] == "done", job
        where = f"/v1/jobs/{id}/files/music.wav"
        whole = client.get(where)
        assert whole.headers["content-type"] == "audio/wav"
        part = client.get(where, headers={"Range": "bytes=100-199"})
        assert part.status_code == 206 and part.content == whole.content[100:200]
        (tmp_path / "heard.wav").write_bytes(whole.content)
        assert read(tmp_path / "heard.wav").duration == pytest.approx(1.4, abs=0.03)
    assert set(there(place)) == {f"uploads/{upload['id']}.wav"} | {
        f"results/{id}/1/{name}" for name in ("codes.npy", "music.json", "music.wav")
    }
    assert not any((tmp_path / "worker" / "results").iterdir())


def _over(client: httpx.Client, id: str) -> dict[str, str] | None:
    job = client.get(f"/v1/jobs/{id}").json()
    return job if job["state"] in ("done", "failed") else None


def test_a_store_that_went_away(store: Store, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = leased(store)
    store.queue.finish(job, DONE, files=[{"name": "music.wav", "bytes": 9}])
    done = store.queue.get(job.id)
    folder = store.folder
    assert isinstance(folder, RemoteFolder)

    def broken(*_: object, **__: object) -> None:
        raise TimeoutError("no route to /secret/place")

    for action in ("get_file", "put_file", "rm"):
        monkeypatch.setattr(folder._files, action, broken)
    with pytest.raises(Unavailable) as error:
        folder.result(done, "music.wav")
    assert "secret" not in str(error.value)
    with pytest.raises(OutputError):
        folder.publish(done)
    folder.keep(done, counts=False)  # what cannot be removed stays, and breaks nothing
    assert there(place) == [f"results/{job.id}/1/music.wav"]


def test_mistakes_in_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for url, words in (
        ("nowhere", "lie at a URL"),
        ("nothing://x", "nothing"),
        ("", "lie at a URL"),
    ):
        with pytest.raises(OptionError, match=words):
            RemoteFolder(tmp_path / "own", url)
    with pytest.raises(OutputError, match="cannot be written"):
        RemoteFolder(tmp_path / "own", f"file://{tmp_path / 'file' / 'x'}")
