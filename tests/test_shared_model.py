"""Many threads on one model: the same codes as alone, and nobody waits for anybody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cadenza
from cadenza.errors import AudioError, Cancelled, OptionError, Unavailable
from cadenza.jobs.shared import SharedModel
from cadenza.model import Model
from cadenza.request import GenerateRequest
from tests.sounds import sine


@pytest.fixture(scope="module")
def shared() -> Iterator[SharedModel]:
    shared = SharedModel(cadenza.load("nano", offline=True, backend="torch"), max_rows=64)
    yield shared
    shared.close()


def requests(count: int) -> list[GenerateRequest]:
    return [
        GenerateRequest(f"jazz with {n} saxophones", duration=0.4 + 0.3 * (n % 4), seed=n)
        for n in range(count)
    ]


def test_takes_are_those_made_alone(torch_nano: Model, shared: SharedModel) -> None:
    asked = requests(8)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda request: shared.generate_batch([request])[0], asked))
    for request, take in zip(asked, made, strict=True):
        alone = torch_nano.generate_batch([request])[0]
        assert take.codes.sha256 == alone.codes.sha256
        np.testing.assert_allclose(take.audio.samples, alone.audio.samples, atol=1e-4)
        assert take.recipe == alone.recipe


def test_a_late_one_joins_and_leaves_before_an_early_one(shared: SharedModel) -> None:
    begun, order = threading.Event(), []

    def long() -> None:
        shared.generate("slow pads", duration=6, seed=1, progress=lambda *_: begun.set())
        order.append("long")

    thread = threading.Thread(target=long)
    thread.start()
    assert begun.wait(30)
    shared.generate("a click", duration=0.2, seed=2)
    order.append("short")
    thread.join()
    assert order == ["short", "long"]


def test_progress_rises_to_the_end_and_can_cancel_within_a_step(shared: SharedModel) -> None:
    seen: list[tuple[int, int]] = []
    shared.generate("x", duration=1, seed=1, progress=lambda *p: seen.append(p))
    assert seen == sorted(seen) and seen[-1] == (50, 50)

    steps = []

    def stop(done: int, total: int) -> None:
        steps.append(done)
        if len(steps) == 10:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        shared.generate("x", duration=20, seed=1, progress=stop)
    assert len(steps) == 10


def test_one_that_fails_takes_nobody_with_it(shared: SharedModel) -> None:
    with ThreadPoolExecutor(3) as pool:
        good = pool.submit(shared.generate, "x", duration=1, seed=3)
        wrong = pool.submit(shared.generate, "x", duration=1, seed=3, top_k=100_000)
        short = pool.submit(shared.generate, "x", duration=1, beginning=sine(0.01))
        assert good.result().audio.duration == 1
        with pytest.raises(OptionError, match="top-k"):
            wrong.result()
        with pytest.raises(AudioError, match="less than one frame"):
            short.result()


def test_a_stream_that_nobody_reads_is_held_back_and_the_others_are_not(
    torch_nano: Model, shared: SharedModel
) -> None:
    with shared.stream("techno", duration=4, buffer=0.5, seed=4) as stream:
        first = next(stream)
        shared.generate("x", duration=4, seed=5)  # as many steps as the stream would need
        [seat] = {*shared._hall._seats.values()}
        assert seat.full and seat._made < 80
        rest = [chunk.samples for chunk in stream]
    whole = np.concatenate([first.samples, *rest], axis=1)
    expected = torch_nano.generate("techno", duration=4, seed=4).audio.samples
    np.testing.assert_allclose(whole, expected, atol=1e-4)


def test_a_stream_is_steered_while_others_play(torch_nano: Model, shared: SharedModel) -> None:
    def play(model: Model) -> np.ndarray:
        with model.stream("slow strings", duration=4, buffer=0.1, seed=4) as stream:
            first = next(stream)
            stream.steer("fast drums", over=0)
            return np.concatenate([first.samples, *(chunk.samples for chunk in stream)], axis=1)

    with ThreadPoolExecutor(2) as pool:
        beside = pool.submit(shared.generate, "x", duration=4, seed=5)
        steered = play(shared)
        beside.result()
    straight = torch_nano.generate("slow strings", duration=4, seed=4).audio.samples
    assert steered.shape == straight.shape
    assert np.allclose(steered[:, :3000], straight[:, :3000], atol=1e-4)
    assert not np.allclose(steered, straight, atol=1e-2)
    with (
        shared.stream("x", duration=4, guidance=1.0) as stream,
        pytest.raises(OptionError, match="began with"),
    ):
        stream.steer(guidance=3.0)


def test_a_stream_begins_though_pieces_fill_the_rows_and_wait_for_more() -> None:
    model = cadenza.load("nano", offline=True, backend="torch")
    shared = SharedModel(model, max_rows=6, stream_rows=4)
    heard, begun = threading.Event(), threading.Event()

    def until_heard(done: int, total: int) -> None:
        begun.set()
        if heard.is_set():
            raise Cancelled("enough")

    with ThreadPoolExecutor(2) as pool:
        pieces = [
            pool.submit(shared.generate, "x", duration=25, seed=n, progress=until_heard)
            for n in range(2)
        ]
        assert begun.wait(30)
        with shared.stream("techno", seed=4) as stream:
            next(stream)
        assert not any(piece.done() for piece in pieces)
        heard.set()
        for piece in pieces:
            with pytest.raises(Cancelled):
                piece.result()
    shared.close()


def test_a_reader_that_leaves_frees_its_rows(shared: SharedModel) -> None:
    stream = shared.stream("techno", seed=4)
    next(stream)
    assert len(shared._hall._seats) == 1
    stream.close()
    shared.generate("x", duration=0.1, seed=1)  # what was ordered before this is done by now
    assert not shared._hall._seats and shared._hall.engine.idle


def test_a_step_that_breaks_is_told_to_all_and_the_next_ones_work(
    shared: SharedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = RuntimeError("the device is gone")

    def fail(*_: object) -> None:
        raise broken

    with monkeypatch.context() as patch:
        patch.setattr(shared._backend, "decode_one_step", fail)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="the device is gone"):
                shared.generate("x", duration=1, seed=1)
    assert shared.generate("x", duration=0.2, seed=1).audio.duration == pytest.approx(0.2)


def test_closing_ends_what_runs_and_refuses_what_comes() -> None:
    shared = SharedModel(cadenza.load("nano", offline=True, backend="torch"), max_rows=64)
    stream = shared.stream("techno", seed=4)
    next(stream)
    shared.close()
    with pytest.raises(Unavailable, match="stopping"):
        for _ in stream:
            pass
    with pytest.raises(Unavailable, match="stopping"):
        shared.generate("x", duration=1)
