"""The worker as a process: what it makes, what it survives, and what it leaves when it does not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import cadenza
from cadenza.audio import read, soft_limit, within_full_scale, write
from cadenza.errors import CadenzaError, Unavailable
from cadenza.jobs import wire
from cadenza.jobs.folder import Folder
from cadenza.jobs.kinds.generate import Listen
from cadenza.jobs.queue import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Job
from cadenza.jobs.store import Store
from cadenza.jobs.worker import Worker
from cadenza.jobs.workers import WorkerCard
from cadenza.model import Model
from cadenza.server import relay
from cadenza.take import read_recipe
from tests.nursery import MOMENTS, Nursery, is_alive
from tests.service import PATIENCE, until
from tests.sounds import sine


@pytest.fixture
def store(tmp_path: Path, workers: Nursery) -> Iterator[Store]:
    yield Store.open(tmp_path)
    workers.kill_all()


def submit(store: Store, owner: str = "anna", **request: Any) -> Job:
    asked = {"prompt": "jazz", "duration": 0.4, "seed": 7} | request
    return store.queue.submit(owner, "generate", asked)[0]


def ended(store: Store, job: Job) -> Job:
    def over() -> Job | None:
        now = store.queue.get(job.id)
        return now if now.over else None

    return until(over)


def only_worker(store: Store) -> WorkerCard:
    [card] = until(store.workers.alive)
    return card


# ── What it makes ───────────────────────────────────────────────────────────────────────────────


def test_a_job_is_what_the_library_makes(store: Store, workers: Nursery, torch_nano: Model) -> None:
    asked = {"prompt": "slow waltz", "duration": 0.6, "seed": 3, "negative": "drums"}
    job = submit(store, **asked, format="flac")
    workers.start(store.folder.root, "w")
    done = ended(store, job)
    assert done.state == DONE and done.progress == 1 and done.worker == "w"
    assert [file["name"] for file in done.files] == ["codes.npy", "music.flac", "music.json"]
    music = store.folder.result(done, "music.flac")
    assert done.bytes == sum(place.stat().st_size for place in music.parent.iterdir())
    take = torch_nano.generate(**asked)  # type: ignore[arg-type]
    assert read_recipe(music) == take.recipe
    codes = np.load(store.folder.result(done, "codes.npy"), allow_pickle=False)
    np.testing.assert_array_equal(codes, take.codes.ids)
    sound = within_full_scale(take.audio).samples
    np.testing.assert_allclose(read(music).samples, sound, atol=1e-3)


def test_going_on_from_an_upload(store: Store, workers: Nursery, tmp_path: Path) -> None:
    write(sine(1.0, 44_100), tmp_path / "hum.wav")
    upload = store.uploads.add("anna", "../my hum.wav", tmp_path / "hum.wav")
    assert (upload.name, upload.rate, upload.channels) == ("my hum.wav", 44_100, 1)
    mine = submit(store, beginning=upload.id)
    stolen = submit(store, "boris", beginning=upload.id)
    workers.start(store.folder.root, "w")
    done, refused = ended(store, mine), ended(store, stolen)
    recipe = read_recipe(store.folder.result(done, "music.wav"))
    assert recipe.continued is not None and recipe.continued.path == "my hum.wav"
    assert read(store.folder.result(done, "music.wav")).duration == pytest.approx(1.4, abs=0.03)
    assert refused.state == FAILED and refused.error is not None
    assert refused.error["kind"] == "NotFound"


def test_what_cannot_be_made_says_why_and_no_more(store: Store, workers: Nursery) -> None:
    wrong = submit(store, top_k=100_000)
    broken = store.queue.submit("anna", "generate", {"prompt": "x", "surprise": 1})[0]
    unknown = store.queue.submit("anna", "nothing", {})[0]
    good = submit(store)
    workers.start(store.folder.root, "w")
    error = ended(store, wrong).error
    assert error is not None and error["kind"] == "OptionError" and "top-k" in error["message"]
    for job in (broken, unknown):
        failed = ended(store, job)
        assert failed.state == FAILED and failed.error is not None
        assert "inside the service" in failed.error["message"]
    assert ended(store, good).state == DONE
    until(lambda: os.listdir(store.folder.root / "results") == [good.id])


def test_jobs_run_together(store: Store, workers: Nursery) -> None:
    jobs = [submit(store, duration=3.0, seed=n) for n in range(4)]
    late = submit(store, duration=0.1)
    workers.start(store.folder.root, "w", slots=5)
    done = [ended(store, job) for job in (*jobs, late)]
    assert all(job.state == DONE for job in done)
    # The short one came last and was finished while the others ran: it shared their batch.
    assert all((job.finished or 0) > (done[-1].finished or 0) for job in done[:-1])


# ── SIGKILL ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_the_job_is_done_once(
    store: Store, workers: Nursery, moment: str
) -> None:
    seconds = 12.0 if moment == "renewing" else 1.0  # the first renewal comes after a second
    job = submit(store, duration=seconds)
    victim = workers.start(store.folder.root, "victim", dies=moment)
    until(lambda: not is_alive(victim))
    store.queue.reap("victim")
    assert store.queue.get(job.id).state == (DONE if moment == "ended" else QUEUED)
    workers.start(store.folder.root, "heir")
    done = ended(store, job)
    assert (done.state, done.attempt) == (DONE, 1 if moment == "ended" else 2)
    assert read(store.folder.result(done, "music.wav")).duration == seconds
    until(lambda: os.listdir(store.folder.attempt(done).parent) == [str(done.attempt)])


def test_a_lease_runs_out_by_itself(store: Store, workers: Nursery) -> None:
    job = submit(store)
    victim = workers.start(store.folder.root, "victim", dies="making")
    until(lambda: not is_alive(victim))
    impatient = Store.open(store.folder.root).queue
    impatient.lease_seconds = 0.1  # a lease that reaches 15 s ahead is then no lease at all
    assert impatient.reap() == 1
    workers.start(store.folder.root, "heir")
    assert ended(store, job).attempt == 2


def test_a_job_that_kills_every_worker_ends(store: Store, workers: Nursery) -> None:
    job = submit(store)
    for number in range(store.queue.max_attempts):
        victim = workers.start(store.folder.root, f"victim{number}", dies="leased")
        until(lambda pid=victim: not is_alive(pid))
        store.queue.reap(f"victim{number}")
    failed = store.queue.get(job.id)
    assert failed.state == FAILED and failed.error is not None
    assert "3 attempts" in failed.error["message"]


@pytest.mark.parametrize("failures", [1, 3])
def test_what_cannot_be_reached_is_tried_again(
    store: Store, tiny_text: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """And when it stays so, the job says why."""
    left = [Unavailable("the files cannot be reached now: try again in a while")] * failures

    def publish(self: Folder, job: Job) -> None:
        if left:
            raise left.pop()

    monkeypatch.setattr(Folder, "publish", publish)
    store.queue.lease_seconds = 1.0
    worker = Worker(store, cadenza.load(tiny_text, offline=True, backend="torch"), id="w")
    job = submit(store)
    running = threading.Thread(target=worker.run)
    running.start()
    over = ended(store, job)
    worker.stop()
    running.join()
    if failures < store.queue.max_attempts:
        assert (over.state, over.attempt) == (DONE, failures + 1)
        assert store.folder.result(over, "music.wav").exists()
    else:
        assert (over.state, over.attempt) == (FAILED, failures)
        assert over.error is not None and over.error["kind"] == "Unavailable"
        assert "cannot be reached now" in over.error["message"]


def test_a_refusal_of_one_worker_is_the_answer() -> None:
    """The next one is asked only where the first is full or dead."""
    answers = {"full": "Busy", "strict": "OptionError"}

    async def asked(order: list[str]) -> str:
        async with AsyncExitStack() as open_:
            cards = []
            for name in order:

                async def answer(
                    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str = name
                ) -> None:
                    await reader.readline()
                    if name in answers:
                        told = {"error": {"kind": answers[name], "message": name}}
                        content = json.dumps(told).encode()
                        writer.write(struct.pack(">cI", wire.JSON, len(content)) + content)
                    writer.close()

                server = await asyncio.start_server(answer, "127.0.0.1")
                await open_.enter_async_context(server)
                port = server.sockets[0].getsockname()[1]
                cards.append(WorkerCard(name, f"127.0.0.1:{port}", "", 1, {}))
            workers = SimpleNamespace(alive=lambda: cards)
            with pytest.raises(CadenzaError) as refused:
                async with relay.play(workers, Listen(prompt="x"), "anna", paced=False):  # type: ignore[arg-type]
                    pass
            return f"{refused.type.__name__}: {refused.value}"

    assert asyncio.run(asked(["strict", "full"])) == "OptionError: strict"
    assert asyncio.run(asked(["full", "dead", "strict"])) == "OptionError: strict"
    assert asyncio.run(asked(["full", "dead"])) == "Busy: full"
    assert asyncio.run(asked(["dead"])).startswith("Unavailable")


def test_a_damaged_session_leaks_nothing(store: Store, workers: Nursery) -> None:
    band = store.queue.submit("anna", "band", {})[0]
    leased = store.queue.lease("another")
    assert leased is not None
    store.folder.attempt(leased).mkdir(parents=True)
    (store.folder.attempt(leased) / "session.zip").write_bytes(b"PK\x03\x04 and no more")
    store.queue.finish(leased, DONE, files=[{"name": "session.zip", "bytes": 16}])
    workers.start(store.folder.root, "w")
    for id in (band.id, "f" * 32):
        mix = ended(store, store.queue.submit("anna", "mix", {"job": id, "strips": {}})[0])
        assert mix.state == FAILED and mix.error is not None
        assert str(store.folder.root) not in mix.error["message"]
        assert "/" not in mix.error["message"]


def test_many_jobs_and_workers_killed_at_random(store: Store, workers: Nursery) -> None:
    jobs = [submit(store, owner, duration=1.0, seed=n) for n in range(5) for owner in "ab"]
    store.queue.max_attempts = 10
    for number in range(3):
        victim = workers.start(store.folder.root, f"v{number}", slots=3)
        until(
            lambda name=f"v{number}": any(
                job.worker == name for job in store.queue.history("a") + store.queue.history("b")
            )
        )
        time.sleep(0.2 * number)
        os.kill(victim, signal.SIGKILL)
        until(lambda pid=victim: not is_alive(pid))
        store.queue.reap(f"v{number}")
    workers.start(store.folder.root, "last")
    for job in jobs:
        done = ended(store, job)
        assert done.state == DONE
        assert read(store.folder.result(done, "music.wav")).duration == 1.0


def test_sigterm_gives_back_what_is_not_finished(store: Store, workers: Nursery) -> None:
    job = submit(store, duration=60.0)
    worker = workers.start(store.folder.root, "w")
    until(lambda: store.queue.get(job.id).progress > 0)
    os.kill(worker, signal.SIGTERM)
    until(lambda: not is_alive(worker))
    given_back = store.queue.get(job.id)
    assert (given_back.state, given_back.attempt) == (QUEUED, 0)
    assert not store.folder.attempt(given_back).with_name("1").exists()
    assert store.workers.alive() == []


def test_what_a_long_job_needs_is_not_swept(store: Store, workers: Nursery) -> None:
    job = submit(store, duration=120.0)
    workers.start(store.folder.root, "w")
    until(lambda: store.queue.get(job.id).progress > 0)
    [scratch] = store.folder.scratch.iterdir()
    os.utime(scratch, (0, 0))  # as if it had been made long ago
    until(lambda: scratch.stat().st_mtime > 0)
    store.tidy()
    assert scratch.exists()


def test_removing_much_does_not_stop_the_heartbeat(
    store: Store, torch_nano: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    removing, removed = threading.Event(), threading.Event()

    def remove(_: Store) -> None:
        removing.set()
        removed.wait(PATIENCE)

    monkeypatch.setattr(Store, "tidy", remove)
    worker = Worker(store, torch_nano)
    running = threading.Thread(target=worker.run)
    running.start()
    try:
        assert removing.wait(PATIENCE)
        job = submit(store, duration=120.0)
        until(lambda: store.queue.get(job.id).progress > 0)  # which the heartbeat writes down
    finally:
        removed.set()
        worker.stop()
        running.join()


# ── Cancelling ──────────────────────────────────────────────────────────────────────────────────


def test_cancelling_what_runs(store: Store, workers: Nursery) -> None:
    hinted, unhinted = submit(store, duration=120.0), submit(store, duration=120.0)
    workers.start(store.folder.root, "w")
    until(lambda: store.queue.get(hinted.id).progress > 0)
    assert store.queue.cancel(hinted.id).state == RUNNING
    wire.hint(only_worker(store), "cancel", id=hinted.id)
    assert ended(store, hinted).state == CANCELLED
    store.queue.cancel(unhinted.id)  # found out at the next look into the table
    assert ended(store, unhinted).state == CANCELLED
    assert until(lambda: not any((store.folder.root / "results").glob("*/*/*")))


# ── Streams ─────────────────────────────────────────────────────────────────────────────────────


class Listener:
    def __init__(self, card: WorkerCard, token: str | None = None, **request: Any) -> None:
        self.connection = socket.create_connection(card.place, timeout=PATIENCE)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wire.BUFFER_BYTES)
        self.file = self.connection.makefile("rb")
        head = {"token": token or card.token, "do": "stream", "owner": "anna", "paced": False}
        self.say(**head, request={"prompt": "techno", "seed": 5} | request)

    def say(self, **what: Any) -> None:
        self.connection.sendall(json.dumps(what).encode() + b"\n")

    def frame(self) -> tuple[bytes, Any] | None:
        head = self.file.read(5)
        if len(head) < 5:
            return None
        kind, size = struct.unpack("!cI", head)
        content = self.file.read(size)
        return kind, json.loads(content) if kind == b"J" else content

    def rest(self) -> tuple[list[dict[str, Any]], bytes]:
        """What is said and what is heard until the end."""
        said, heard = [], b""
        while (frame := self.frame()) is not None:
            if frame[0] == b"J":
                said.append(frame[1])
            else:
                heard += frame[1]
        return said, heard

    def close(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def test_a_stream_through_the_door(store: Store, workers: Nursery, torch_nano: Model) -> None:
    workers.start(store.folder.root, "w")
    card = only_worker(store)
    assert card.model["name"] == "nano" and card.streams == 8
    said, heard = Listener(card, duration=2.0).rest()
    assert said == [{"rate": 32000, "channels": 1, "seed": 5}, {"end": True}]
    expected = soft_limit(torch_nano.generate("techno", duration=2.0, seed=5).audio.samples)[0]
    samples = np.frombuffer(heard, "<i2") / 32767
    np.testing.assert_allclose(samples, expected, atol=1e-3)


def test_steering_and_what_it_refuses(store: Store, workers: Nursery) -> None:
    workers.start(store.folder.root, "w")
    listener = Listener(only_worker(store), duration=4.0, buffer=0.2)
    assert listener.frame() is not None
    listener.say(prompt="now with strings", over=0.5)
    listener.say(prompt="")
    listener.say(volume=11)
    for wrong in ({"over": "a"}, {"over": 1e308}, {"tempo": "x"}, {"tempo": 99.5}):
        listener.say(**wrong)
    said, heard = listener.rest()
    assert {"steered": {"prompt": "now with strings", "over": 0.5}} in said
    errors = [what["error"]["kind"] for what in said if "error" in what]
    assert errors == ["PromptError", *["OptionError"] * 5]
    assert len(heard) == 2 * 4 * 32_000


def test_strangers_and_nonsense_at_the_door(store: Store, workers: Nursery) -> None:
    pid = workers.start(store.folder.root, "w")
    card = only_worker(store)
    assert Listener(card, token="0" * 64).rest() == ([], b"")
    for line in (b"\n", b"{}\n", b"[]\n", b"null\n", b"\xff" * 100_000, b'{"token": "'):
        # What was not read comes back as a reset, at whichever call is next.
        with socket.create_connection(card.place) as connection, suppress(OSError):
            connection.sendall(line)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
    assert Listener(card, duration=-1.0).rest() == ([], b"")
    assert is_alive(pid)
    assert Listener(card, duration=0.2).rest()[1]


def test_readers_that_leave_or_stall_free_their_places(store: Store, workers: Nursery) -> None:
    workers.start(store.folder.root, "w", streams=2)
    card = only_worker(store)
    stalled, leaving = Listener(card), Listener(card)  # both without an end
    assert leaving.frame() and leaving.frame()
    [busy], nothing = Listener(card).rest()
    assert busy["error"]["kind"] == "Busy" and not nothing
    job = submit(store, duration=1.0)
    assert ended(store, job).state == DONE  # the stalled one holds nobody up
    leaving.close()
    until(lambda: only_worker(store).streams == 1)
    assert Listener(card, duration=0.2).rest()[1]
    stalled.close()
    until(lambda: only_worker(store).streams == 2)
