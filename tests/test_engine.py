"""The engine on a back end of uniform logits: seeds, limits, windows, cancelling, refusals.

What needs the real decoder is in test_engine_parity.py and test_engine_independence.py.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cadenza import delay
from cadenza.engine import Backend, Engine, Mix, Request, Shape, TorchBackend
from cadenza.errors import Cancelled, ModelMismatch, OptionError
from cadenza.types import Conditioning, Sampling

WIDTH = 4
SHAPE = Shape(vocabulary=16, delays=(0, 1, 2, 3), width=WIDTH, cross_attention=True)


class UniformBackend:
    """Every token is as likely as any other: what is drawn is the noise. Remembers what it saw."""

    def __init__(self, shape: Shape = SHAPE) -> None:
        self.shape = shape
        self.fed: dict[int, list[np.ndarray]] = {}  # columns, a voice
        self.open: set[int] = set()
        self.capacity: dict[int, int] = {}
        self.widest = 0

    def prefill(
        self,
        mix: Mix,
        unconditional: Conditioning | None,
        sampling: Sampling,
        columns: np.ndarray,
        capacity: int,
    ) -> int:
        voice = len(self.fed)
        self.fed[voice] = list(columns.T)
        self.capacity[voice] = capacity
        self.open.add(voice)
        return voice

    def steer(self, voice: int, mix: Mix, sampling: Sampling) -> None:
        assert voice in self.open

    def decode_one_step(
        self, voices: Sequence[int], columns: np.ndarray, noise: np.ndarray | None
    ) -> np.ndarray:
        assert set(voices) == self.open and len(voices) == len(set(voices))
        self.widest = max(self.widest, len(voices))
        for voice, column in zip(voices, columns, strict=True):
            self.fed[voice].append(column)
            assert len(self.fed[voice]) <= self.capacity[voice]
        if noise is None:
            return np.zeros((len(voices), self.shape.codebooks), dtype=np.int64)
        return noise.argmax(-1)

    def release(self, voice: int) -> None:
        self.open.remove(voice)


def _conditioning(cross: int = 3, prefix: int = 0, width: int = WIDTH) -> Conditioning:
    return Conditioning(
        np.zeros((cross, width), dtype=np.float32), np.zeros((prefix, width), dtype=np.float32)
    )


def _request(frames: int = 10, beginning: np.ndarray | None = None, **sampling: float) -> Request:
    settings = Sampling(**({"top_k": 16, "guidance": 1.0} | sampling))
    return Request(_conditioning(), _conditioning(cross=1), settings, frames, beginning)


def _run(engine: Engine, requests: list[Request]) -> list[np.ndarray]:
    frames: list[list[np.ndarray]] = [[] for _ in requests]
    for emission in engine.run(requests):
        frames[emission.id].append(emission.ids)
    return [np.concatenate(ids, axis=1) for ids in frames]


def _make(request: Request, **engine: int) -> np.ndarray:
    return _run(Engine(UniformBackend(), **engine), [request])[0]


def test_the_back_ends_speak_the_same_interface() -> None:
    for phase in ("prefill", "steer", "decode_one_step", "release"):
        wanted = inspect.signature(getattr(Backend, phase)).parameters
        for kind in (TorchBackend, UniformBackend):
            assert list(inspect.signature(getattr(kind, phase)).parameters) == list(wanted)


def test_the_seed_gives_the_codes() -> None:
    assert np.array_equal(_make(_request(seed=1)), _make(_request(seed=1)))
    assert not np.array_equal(_make(_request(seed=1)), _make(_request(seed=2)))
    assert _make(_request(seed=1)).min() >= 0 and _make(_request(seed=1)).max() < 16


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**63 - 1))
@settings(deadline=None, max_examples=30)
def test_a_longer_request_begins_with_the_shorter(short: int, more: int, seed: int) -> None:
    engine = {"window": 24, "overlap": 9}
    a, b = (_make(_request(n, seed=seed), **engine) for n in (short, short + more))
    np.testing.assert_array_equal(a, b[:, :short])


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_codes_do_not_depend_on_neighbours(data: st.DataObject) -> None:
    """Requests of any length join at any step, wait for rows, leave when done or cancelled."""
    lengths = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))
    requests = [
        _request(n, seed=i, temperature=float(i % 3 > 0), guidance=1.0 + i % 2)
        for i, n in enumerate(lengths)
    ]
    engine = Engine(UniformBackend(), max_rows=data.draw(st.integers(4, 12)), window=20, overlap=7)
    frames: dict[int, list[np.ndarray]] = {}
    owner: dict[int, int] = {}
    waiting = list(range(len(requests)))
    cancelled = -1
    while waiting or not engine.idle:
        if waiting and (engine.idle or data.draw(st.booleans())):
            number = engine.add(requests[waiting[0]])
            owner[number] = waiting.pop(0)
            frames[owner[number]] = []
        if cancelled < 0 and owner and data.draw(st.integers(0, 9)) == 0:
            number = data.draw(st.sampled_from(sorted(owner)))
            engine.cancel(number)
            cancelled = owner[number]
        for emission in engine.step():
            frames[owner[emission.id]].append(emission.ids)
    for index, request in enumerate(requests):
        made = np.concatenate([np.empty((4, 0), dtype=np.int64), *frames[index]], axis=1)
        alone = _make(request, window=20, overlap=7)
        assert index == cancelled or made.shape == alone.shape
        np.testing.assert_array_equal(made, alone[:, : made.shape[1]])


def test_frames_come_as_soon_as_they_are_complete() -> None:
    engine = Engine(UniformBackend())
    engine.add(_request(5))
    emitted = [engine.step() for _ in range(8)]  # 5 frames and 3 steps of delay
    assert [len(e) for e in emitted] == [0, 0, 0, 1, 1, 1, 1, 1]
    assert [e.done for (e,) in emitted[3:]] == [False] * 4 + [True]
    assert engine.idle and engine.step() == []


def test_what_is_fed_is_what_was_drawn_in_the_delay_pattern() -> None:
    backend = UniformBackend()
    beginning = np.arange(20).reshape(4, 5) % 16
    (made,) = _run(Engine(backend), [_request(6, beginning)])
    whole = np.concatenate([beginning, made], axis=1)
    start = np.full((4, 1), SHAPE.special)
    expected = np.concatenate([start, delay.apply(whole, SHAPE.delays, SHAPE.special)], axis=1)
    np.testing.assert_array_equal(np.stack(backend.fed[0], axis=1), expected[:, :-1])


@given(st.integers(1, 120), st.integers(0, 60), st.integers(10, 40), st.data())
@settings(deadline=None)
def test_every_window_is_fed_its_frames_from_its_own_start(
    frames: int, known: int, window: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(1, (window - 3) // 2))
    beginning = np.arange(4 * known).reshape(4, known) % 16
    backend = UniformBackend()
    engine = Engine(backend, window=window, overlap=overlap)
    (made,) = _run(engine, [_request(frames, beginning)])
    whole = np.concatenate([beginning, made], axis=1)
    begin = 0 if known < window else known - overlap
    for columns in backend.fed.values():
        seen = whole[:, begin : begin + window]
        start = np.full((4, 1), SHAPE.special)
        expected = np.concatenate([start, delay.apply(seen, SHAPE.delays, SHAPE.special)], axis=1)
        np.testing.assert_array_equal(np.stack(columns, axis=1), expected[:, :-1])
        begin += window - overlap
    assert begin + overlap >= whole.shape[1]
    assert not backend.open and backend.widest <= 2
    assert max(backend.capacity.values()) <= window + 3


def test_a_stereo_pattern() -> None:
    shape = dataclasses.replace(SHAPE, delays=delay.delays_of(8, 2))
    backend = UniformBackend(shape)
    (made,) = _run(Engine(backend), [_request(6)])
    assert made.shape == (8, 6)
    assert len(backend.fed[0]) == 6 + 3


def test_rows_limit_how_many_run() -> None:
    backend = UniformBackend()
    engine = Engine(backend, max_rows=4)
    requests = [_request(5, seed=n, guidance=3.0) for n in range(5)]
    together = _run(engine, requests)
    assert backend.widest == 2  # two rows each
    for made, request in zip(together, requests, strict=True):
        np.testing.assert_array_equal(made, _make(request))


def test_a_request_longer_than_a_window_counts_its_twin() -> None:
    engine = Engine(UniformBackend(), max_rows=2, window=20, overlap=5)
    engine.add(_request(20, guidance=3.0))
    with pytest.raises(OptionError, match="needs 4 rows"):
        engine.add(_request(21, guidance=3.0))


def test_cancelling_frees_at_once_and_twice_is_harmless() -> None:
    backend = UniformBackend()
    engine = Engine(backend, max_rows=1)
    running, waiting = engine.add(_request(50)), engine.add(_request(3))
    engine.step()
    engine.cancel(running)
    engine.cancel(running)
    assert not backend.open
    emissions = [e for _ in range(6) for e in engine.step()]
    assert [e.id for e in emissions] == [waiting] * 3
    assert engine.idle


def test_run_reports_every_step() -> None:
    calls: list[tuple[int, int]] = []
    engine = Engine(UniformBackend(), max_rows=2)
    requests = [_request(5), _request(2), _request(4)]
    emissions = list(engine.run(requests, progress=lambda *call: calls.append(call)))
    total = 5 + 2 + 4 + 3 * 3
    assert calls[-1] == (total, total)
    assert calls == sorted(set(calls))
    assert [sum(e.id == n for e in emissions) for n in range(3)] == [5, 2, 4]
    assert [e.id for e in emissions if e.done] == [1, 0, 2]


def test_run_stops_when_asked_and_when_closed() -> None:
    backend = UniformBackend()
    engine = Engine(backend)

    def stop(done: int, total: int) -> None:
        if done == 7:
            raise Cancelled(f"after {done} of {total} steps")

    with pytest.raises(Cancelled, match="after 7 of 53 steps"):
        list(engine.run([_request(50)], stop))
    assert engine.idle and not backend.open

    stream = engine.run([_request(50), _request(50)])
    next(stream)
    stream.close()
    assert engine.idle and not backend.open


def test_run_refuses_to_step_the_requests_of_others() -> None:
    engine = Engine(UniformBackend())
    engine.add(_request())
    with pytest.raises(RuntimeError, match="other requests"):
        next(engine.run([_request()]))


def test_one_bad_request_stops_a_run_before_it_begins() -> None:
    engine = Engine(UniformBackend())
    with pytest.raises(OptionError):
        next(engine.run([_request(), _request(0)]))
    assert engine.idle


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (_request(0), OptionError, "at least 1 frame, not 0"),
        (_request(top_k=17), OptionError, "top-k is 17.*has 16"),
        (_request(beginning=np.zeros((3, 5), dtype=np.int64)), ModelMismatch, r"\[3, 5\].*4 code"),
        (_request(beginning=np.zeros(4, dtype=np.int64)), ModelMismatch, r"\[4\].*4 codebooks"),
        (_request(beginning=np.full((4, 1), 16)), ModelMismatch, "from 16 to 16.*0 to 15"),
        (
            dataclasses.replace(_request(guidance=2.0), unconditional=None),
            OptionError,
            "guidance 2.0 needs",
        ),
        (
            dataclasses.replace(_request(), conditioning=_conditioning(width=5)),
            ModelMismatch,
            "5 features, the decoder 4",
        ),
        (
            dataclasses.replace(_request(), conditioning=_conditioning(cross=0, prefix=2)),
            ModelMismatch,
            "0 cross and 2 prefix",
        ),
        (
            dataclasses.replace(_request(guidance=2.0), unconditional=_conditioning(width=5)),
            ModelMismatch,
            "5 features",
        ),
    ],
)
def test_refusals(request_: Request, error: type[Exception], message: str) -> None:
    engine = Engine(UniformBackend())
    with pytest.raises(error, match=message):
        engine.add(request_)
    assert engine.idle


def test_a_prefix_model_refuses_cross_states() -> None:
    shape = dataclasses.replace(SHAPE, cross_attention=False)
    with pytest.raises(ModelMismatch, match="as prefix states alone"):
        Engine(UniformBackend(shape)).add(_request())


@pytest.mark.parametrize("overlap", [0, 9, 20])
def test_an_overlap_that_needs_three_voices_is_refused(overlap: int) -> None:
    with pytest.raises(OptionError, match=f"from 1 to 8 frames, not {overlap}"):
        Engine(UniformBackend(), window=20, overlap=overlap)
