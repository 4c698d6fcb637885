"""A stream that is read, steered, held back, abandoned and broken."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import cadenza
from cadenza.engine import Emission
from cadenza.errors import OptionError, PromptError
from cadenza.model import Model
from cadenza.streaming import Performance, Stream
from cadenza.types import Audio
from tests.sounds import sine

FAMILIES = ["tiny_text", "tiny_melody", "tiny_stereo", "tiny_stereo_melody"]
PATIENCE = 60  # seconds until something that should end is taken to hang


@pytest.fixture(scope="module")
def text(tiny_text: Path) -> Model:
    return cadenza.load(tiny_text)


@pytest.fixture(scope="module")
def melody(tiny_melody: Path) -> Model:
    return cadenza.load(tiny_melody)


@pytest.fixture(scope="module")
def plain(text: Model) -> np.ndarray:
    """What is heard when nobody steers."""
    return text.generate("jazz piano", duration=6, seed=3).audio.samples


def joined(chunks: Iterator[Audio]) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in chunks], axis=1)


def read(stream: Stream, seconds: float) -> np.ndarray:
    """At least so much of it, in whole chunks."""
    chunks: list[np.ndarray] = []
    while sum(chunk.shape[1] for chunk in chunks) < seconds * 32_000:
        chunks.append(next(stream).samples)
    return np.concatenate(chunks, axis=1)


def voices(model: Model) -> dict[int, object]:
    return model._backend._backend._voices  # type: ignore[attr-defined, no-any-return]


# ── What is heard ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("buffer", [0.1, 0.35, 2.0])
def test_a_stream_is_the_piece_whatever_the_buffer(
    family: str, buffer: float, request: pytest.FixtureRequest
) -> None:
    model = cadenza.load(request.getfixturevalue(family))
    take = model.generate("ambient pads", duration=2, seed=5)
    heard = joined(model.stream("ambient pads", duration=2, seed=5, buffer=buffer))
    np.testing.assert_allclose(heard, take.audio.samples, atol=1e-4)


def test_a_stream_without_an_end_goes_on_past_the_window(text: Model) -> None:
    with text.stream("jazz", seed=1) as stream:
        heard = read(stream, 31)[:, : 29 * 32_000]  # later voices begin otherwise
    take = text.generate("jazz", duration=30, seed=1)
    np.testing.assert_allclose(heard, take.audio.samples[:, : heard.shape[1]], atol=1e-4)


def test_the_first_chunk_is_short_and_none_is_long(text: Model) -> None:
    with text.stream("jazz") as stream:
        lengths = [next(stream).duration for _ in range(8)]
    assert 0.1 <= lengths[0] <= 0.2
    assert max(lengths) < 1 and lengths[-1] >= 0.5


def test_what_plays_can_be_asked(text: Model) -> None:
    with text.stream("jazz", seed=7, temperature=0.9) as stream:
        stream.steer("rock", guidance=4)
        playing = stream.playing
        assert (playing.prompt, playing.seed) == ("rock", 7)
        assert (playing.temperature, playing.guidance) == (0.9, 4)


# ── Steering ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "steer",
    [
        {"prompt": "slow sad robot drums", "over": 0},
        {"prompt": "slow sad robot drums", "over": 1.0},
        {"prompt": "slow sad robot drums"},
        {"tempo": 90},
        {"guidance": 12},
        {"temperature": 0},
        {"top_k": 2},
        {"top_p": 0.1},
    ],
    ids=str,
)
def test_a_steer_is_heard_and_what_was_before_is_not_changed(
    text: Model, plain: np.ndarray, steer: dict[str, object]
) -> None:
    with text.stream("jazz piano", seed=3, buffer=0.2) as stream:
        before = read(stream, 1)
        stream.steer(**steer)  # type: ignore[arg-type]
        after = read(stream, 3)
    np.testing.assert_allclose(before, plain[:, : before.shape[1]], atol=1e-4)
    meanwhile = plain[:, before.shape[1] : before.shape[1] + after.shape[1]]
    assert np.abs(after - meanwhile).max() > 0.01
    # A stream that draws so few frames ahead is heard to have turned within a second.
    if steer.get("over") == 0:
        assert np.abs(after - meanwhile)[:, :32_000].max() > 0.01


def test_steering_to_what_plays_changes_nothing(text: Model, plain: np.ndarray) -> None:
    with text.stream("jazz piano", seed=3, buffer=0.2) as stream:
        chunks = [next(stream).samples]
        stream.steer("jazz piano")
        stream.steer(guidance=3, temperature=1.0, over=2)
        stream.steer()
        chunks.append(read(stream, 3))
    heard = np.concatenate(chunks, axis=1)
    np.testing.assert_allclose(heard, plain[:, : heard.shape[1]], atol=1e-4)


@pytest.mark.parametrize(
    ("steer", "error", "words"),
    [
        ({"prompt": "  "}, PromptError, "the prompt is empty"),
        ({"prompt": "x" * 3000}, PromptError, "3000 characters"),
        ({"prompt": "\udcff"}, PromptError, "no text"),
        ({"prompt": "rock", "over": -1}, OptionError, "0 seconds or more, not -1"),
        ({"prompt": "rock", "over": float("inf")}, OptionError, "not inf"),
        ({"guidance": 30}, OptionError, "guidance must be from 1 to 20"),
        ({"temperature": -1}, OptionError, "temperature must be from 0"),
        ({"top_k": 65}, OptionError, "top-k is 65"),
        ({"top_p": 0}, OptionError, "top-p must be above 0"),
        ({"tempo": 7}, OptionError, "tempo must be from 20"),
        ({"prompt": "rock", "guidance": 0}, OptionError, "guidance must be"),
    ],
    ids=str,
)
def test_what_is_refused_is_told_to_the_steerer_and_the_music_goes_on(
    text: Model,
    plain: np.ndarray,
    steer: dict[str, object],
    error: type[Exception],
    words: str,
) -> None:
    with text.stream("jazz piano", seed=3, buffer=0.2) as stream:
        chunks = [next(stream).samples]
        with pytest.raises(error, match=words):
            stream.steer(**steer)  # type: ignore[arg-type]
        assert stream.playing.prompt == "jazz piano"
        chunks.append(read(stream, 1))
    heard = np.concatenate(chunks, axis=1)
    np.testing.assert_allclose(heard, plain[:, : heard.shape[1]], atol=1e-4)


def test_a_tempo_needs_a_prompt_and_guidance_its_row(text: Model) -> None:
    with text.stream(None, guidance=1) as stream:
        with pytest.raises(OptionError, match="a tempo is said in the prompt"):
            stream.steer(tempo=100)
        with pytest.raises(OptionError, match="guidance 3 needs a second row"):
            stream.steer(guidance=3)
        stream.steer("rock", tempo=100)
        assert stream.playing.prompt == "rock, 100 bpm"
        next(stream)


def test_a_melody_model_turns_at_once_and_keeps_its_tune(melody: Model) -> None:
    options = {"seed": 3, "melody": sine(3.0, hertz=330), "buffer": 0.2}
    plain = joined(melody.stream("jazz", duration=3, **options))
    with melody.stream("jazz", duration=3, **options) as stream:
        before = next(stream).samples
        with pytest.raises(OptionError, match="at once only, not over 50 frames"):
            stream.steer("rock", over=1)
        stream.steer("rock")
        whole = np.concatenate([before, joined(stream)], axis=1)
    assert whole.shape == plain.shape
    np.testing.assert_allclose(before, plain[:, : before.shape[1]], atol=1e-4)
    assert np.abs(whole - plain).max() > 0.01
    assert stream.playing.melody_sound is not None


def test_enhancing_goes_on(text: Model) -> None:
    with text.stream("sad robot", enhance=True) as stream:
        stream.steer("upbeat funk")
        assert stream.playing.text == cadenza.enhance("upbeat funk")


def test_a_stream_that_is_over_cannot_be_steered(text: Model) -> None:
    stream = text.stream("jazz", duration=0.5)
    list(stream)
    with pytest.raises(OptionError, match="is over"):
        stream.steer("rock")
    assert list(stream) == []


# ── Ahead of the reader, but not far ────────────────────────────────────────────────────────────


class Watched:
    """A performance that checks before every frame how far it is ahead of its reader."""

    def __init__(self, performance: Performance, buffer: float) -> None:
        self._performance, self._most = performance, round(buffer * 50)
        self.taken = 0  # frames; counted by the reader before it takes them
        self.made = 0
        self.closed = threading.Event()
        self.steer = performance.steer

    def step(self) -> list[Emission]:
        assert self.made - self.taken <= self._most, "too far ahead"
        emissions = self._performance.step()
        self.made += len(emissions)
        return emissions

    def close(self) -> None:
        self._performance.close()
        self.closed.set()


@pytest.mark.parametrize("buffer", [1.0, 3.0])
def test_a_slow_reader_holds_the_work_back(
    text: Model, buffer: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform, watched = text._perform, []

    def watching(request: cadenza.engine.Request) -> Performance:
        watched.append(Watched(perform(request), buffer))
        return watched[-1]

    monkeypatch.setattr(text, "_perform", watching)
    with text.stream("jazz", buffer=buffer) as stream:
        [performance] = watched
        for _ in range(30):
            while performance.made < performance.taken + round(buffer * 50):
                threading.Event().wait(0.001)  # until it is as far ahead as it may be
            performance.taken += 50  # more than a chunk has
            performance.taken += next(stream).samples.shape[1] // 640 - 50
    assert performance.closed.is_set()


def test_two_readers_share_the_chunks_and_both_see_the_end(text: Model) -> None:
    stream = text.stream("jazz", duration=5, seed=1)
    lengths: list[int] = []
    readers = [
        threading.Thread(target=lambda: lengths.extend(c.samples.shape[1] for c in stream))
        for _ in range(2)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(PATIENCE)
        assert not reader.is_alive()
    assert sum(lengths) == 5 * 32_000


# ── Ends ────────────────────────────────────────────────────────────────────────────────────────


def test_leaving_the_block_frees_the_rows(text: Model) -> None:
    with text.stream("jazz") as stream:
        next(stream)
        assert voices(text)
    assert not voices(text)
    with pytest.raises(StopIteration):
        next(stream)
    stream.close()


def test_a_reader_that_vanishes_frees_the_rows(text: Model) -> None:
    stream = text.stream("jazz")
    next(stream)
    thread = stream._producer._thread
    del stream
    gc.collect()
    thread.join(PATIENCE)
    assert not thread.is_alive() and not voices(text)


def test_closing_wakes_a_reader_that_waits(text: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    held, go_on = threading.Event(), threading.Event()
    step = text._backend.decode_one_step

    def slow(*arguments: object) -> np.ndarray:
        held.set()
        assert go_on.wait(PATIENCE)
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(text._backend, "decode_one_step", slow)
    stream = text.stream("jazz")
    heard: list[Audio] = []
    reader = threading.Thread(target=lambda: heard.extend(stream))
    reader.start()
    assert held.wait(PATIENCE)
    closer = threading.Thread(target=stream.close)
    closer.start()
    go_on.set()
    for thread in (closer, reader):
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert heard == [] and not voices(text)


def test_what_breaks_is_raised_to_the_reader_after_what_was_made(
    text: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, calls = text._backend.decode_one_step, []

    def breaks(*arguments: object) -> np.ndarray:
        calls.append(arguments)
        if len(calls) == 100:
            raise RuntimeError("the device is gone")
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(text._backend, "decode_one_step", breaks)
    plain = text.stream("jazz", seed=1, buffer=10)
    heard = []
    with pytest.raises(RuntimeError, match="the device is gone"):
        for chunk in plain:
            heard.append(chunk.duration)
    assert 1 < sum(heard) < 2
    assert list(plain) == [] and not voices(text)
    with pytest.raises(OptionError, match="is over"):
        plain.steer("rock")


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_program_ends_while_its_stream_plays(tiny_text: Path, interrupted: bool) -> None:
    """The thread must neither hold the program up nor take it down."""
    program = f"""
        import time
        import cadenza
        stream = cadenza.load({str(tiny_text)!r}).stream("jazz")
        next(stream)
        print("playing", flush=True)
        if {interrupted}:
            for chunk in stream:
                time.sleep(0.05)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "playing\n"
        if interrupted:
            process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode != 0) == interrupted, complaints
    assert "Fatal" not in complaints
    assert ("KeyboardInterrupt" in complaints) == interrupted


# ── Beside each other ───────────────────────────────────────────────────────────────────────────


def test_pieces_are_made_while_streams_play(text: Model) -> None:
    expected = text.generate("rock", duration=3, seed=2).codes.sha256
    plain = [joined(text.stream(p, duration=3, seed=1)) for p in ("jazz", "rock")]
    streams = [text.stream(p, duration=3, seed=1) for p in ("jazz", "rock")]
    assert text.generate("rock", duration=3, seed=2).codes.sha256 == expected
    for was, now in zip(plain, streams, strict=True):
        np.testing.assert_array_equal(joined(now), was)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"duration": 0}, "duration must be above 0 s"),
        ({"duration": float("inf")}, "left out for no end, not inf"),
        ({"buffer": 0}, "buffer must be from 0.1 to 60 s, not 0"),
        ({"buffer": float("nan")}, "not nan"),
        ({"top_k": 65}, "top-k is 65"),
        ({"guidance": 0}, "guidance must be"),
    ],
    ids=str,
)
def test_refusals_come_at_once(text: Model, options: dict[str, float], words: str) -> None:
    threads = threading.active_count()
    with pytest.raises(OptionError, match=words):
        text.stream("jazz", **options)
    assert threading.active_count() == threads
