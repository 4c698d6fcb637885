"""Every kind of job, run as the worker runs it: what its files hold."""

from __future__ import annotations

import functools
import json
import zipfile
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from pydantic import ValidationError

from cadenza import stems
from cadenza.audio import read
from cadenza.errors import Cancelled, ModelError
from cadenza.jobs.kinds import KINDS, Work
from cadenza.model import Model
from cadenza.request import Sound, fingerprint
from cadenza.take import read_recipe
from cadenza.types import Audio, Source
from tests import separators
from tests.sounds import sine

UPLOAD = "0" * 32


def run(
    torch_nano: Model, place: Path, kind: str, heard: Audio | None = None, /, **request: Any
) -> dict[str, Path]:
    """The files that a job of ``kind`` makes; ``heard`` is the upload that it asks for."""

    def upload(id: str) -> Sound:
        assert id == UPLOAD and heard is not None
        return Sound(heard, Source("hum.wav", fingerprint(heard)))

    seen: list[tuple[int, int]] = []
    folders = [place / name for name in ("result", "scratch")]
    for folder in folders:
        folder.mkdir()
    work = Work(torch_nano, *folders, lambda *progress: seen.append(progress), upload)
    KINDS[kind].run(KINDS[kind].request.model_validate(request), work)
    assert all(0 <= done <= total for done, total in seen)
    return {file.name: file for file in folders[0].iterdir()}


def chord(pitches: list[int], seconds: float = 2.0, rate: int = 22_050) -> Audio:
    t = np.arange(round(seconds * rate)) / rate
    waves = [
        sum(np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * k * t) / k for k in range(1, 6))
        for pitch in pitches
    ]
    samples = 0.2 * sum(waves) * np.exp(-t)
    return Audio(np.asarray(samples, np.float32)[None], rate)


def test_examples_are_requests_that_are_accepted() -> None:
    for kind in KINDS.values():
        kind.request.model_validate(kind.example)


@pytest.mark.parametrize(
    ("kind", "request_", "words"),
    [
        ("band", {"prompt": "funk", "tracks": []}, "track"),
        ("band", {"prompt": "funk", "tracks": ["bass"], "bars": 0}, "bars"),
        ("band", {"prompt": "", "tracks": ["bass"]}, "the prompt is empty"),
        ("band", {"prompt": "funk", "tracks": ["bass"], "model": "large"}, "model"),
        ("loop", {"prompt": "x", "bars": 1000}, "1 to 64 bars, not 1000"),
        ("loop", {"prompt": "x", "tempo": 1.0}, "tempo"),
        ("midi", {}, "sound"),
        ("midi", {"sound": "../x"}, "sound"),
        ("split", {"sound": UPLOAD, "two": "x" * 100}, "two"),
    ],
)
def test_requests_that_are_refused(kind: str, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        KINDS[kind].request.model_validate(request_)


def test_a_band(torch_nano: Model, tmp_path: Path) -> None:
    request = {"prompt": "funk, 120 bpm", "tracks": ["drums", "bass"], "bars": 1, "retries": 0}
    files = run(torch_nano, tmp_path, "band", seed=1, **request)
    assert files.keys() == {"mix.wav", "stem-drums.wav", "stem-bass.wav", "session.zip"}
    mix = read(files["mix.wav"]).samples
    added = sum(read(files[name]).samples for name in files if name.startswith("stem-"))
    np.testing.assert_allclose(mix, added, atol=2e-3)  # what a mixer on the page begins with
    with zipfile.ZipFile(files["session.zip"]) as packed:
        assert packed.testzip() is None
        session = json.loads(packed.read("session/session.json"))
    assert [track["name"] for track in session["tracks"]] == ["drums", "bass"]


def test_loops(torch_nano: Model, tmp_path: Path) -> None:
    files = run(torch_nano, tmp_path, "loop", prompt="techno, 120 bpm", bars=1, count=2, seed=1)
    assert files.keys() == {"loop-1.wav", "loop-1.json", "loop-2.wav", "loop-2.json"}
    for number in (1, 2):
        loop = read(files[f"loop-{number}.wav"])
        assert loop.samples.shape[1] == 2 * 32_000  # a bar of four at 120
        assert read_recipe(files[f"loop-{number}.wav"]).sampling.seed == number


def test_notes(torch_nano: Model, tmp_path: Path) -> None:
    files = run(torch_nano, tmp_path, "midi", chord([60, 64, 67]), sound=UPLOAD)
    found = {note["pitch"] for note in json.loads(files["notes.json"].read_text())["notes"]}
    written = {
        message.note
        for message in mido.MidiFile(files["notes.mid"])
        if message.type == "note_on" and message.velocity
    }
    assert {60, 64, 67} <= found == written


def test_stems(torch_nano: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = separators.published(tmp_path / "weights")
    here = functools.partial(stems.load_separator, weights=weights, device="cpu")
    monkeypatch.setattr(stems, "load_separator", here)
    sound = sine(1.0, 32_000, peak=1.5)  # louder than full scale, as its stems will be
    files = run(torch_nano, tmp_path, "split", sound, sound=UPLOAD, two="drums")
    assert files.keys() == {"stem-drums.wav", "stem-no_drums.wav"}
    added = sum(read(file).samples for file in files.values())
    np.testing.assert_allclose(added, sound.samples, atol=1e-5)


def test_stems_without_weights_say_so(
    torch_nano: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    with pytest.raises(ModelError):
        run(torch_nano, tmp_path, "split", sine(1.0), sound=UPLOAD)


@pytest.mark.parametrize("kind", ["band", "loop"])
def test_cancelling(torch_nano: Model, tmp_path: Path, kind: str) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled("enough")

    request = {"prompt": "x", "bars": 1, **({"tracks": ["bass"]} if kind == "band" else {})}
    work = Work(torch_nano, tmp_path, tmp_path, stop, lambda id: Sound(sine(), Source("", "")))
    with pytest.raises(Cancelled):
        KINDS[kind].run(KINDS[kind].request.model_validate(request), work)
