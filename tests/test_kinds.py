"""Every kind of job, run as the worker runs it: what its files hold."""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mido
import numpy as np
import pytest
from pydantic import ValidationError

from cadenza import stems
from cadenza.audio import read
from cadenza.errors import Cancelled, ModelNotFound, NotFound, OptionError
from cadenza.jobs.kinds import KINDS, Work
from cadenza.model import Model
from cadenza.request import Sound, fingerprint
from cadenza.studio.finishing import mix_session
from cadenza.studio.packing import opened
from cadenza.take import read_recipe
from cadenza.types import Audio, Source
from tests import separators
from tests.sounds import sine

UPLOAD, JOB = "0" * 32, "1" * 32


def run(
    torch_nano: Model,
    place: Path,
    kind: str,
    heard: Audio | None = None,
    earlier: Mapping[str, Path] = MappingProxyType({}),
    /,
    **request: Any,
) -> dict[str, Path]:
    """The files that a job of ``kind`` makes; ``heard`` is the upload that it asks for, and
    ``earlier`` the files of the job."""

    def upload(id: str) -> Sound:
        assert id == UPLOAD and heard is not None
        return Sound(heard, Source("hum.wav", fingerprint(heard)))

    def result(id: str, name: str) -> Path:
        assert id == JOB
        return earlier[name]

    seen: list[float] = []
    folders = [place / name for name in ("result", "scratch")]
    for folder in folders:
        folder.mkdir(parents=True)

    def progress(done: int, total: int) -> None:
        seen.append(done / total)

    work = Work(torch_nano, *folders, progress, lambda words: None, upload, result)
    KINDS[kind].run(KINDS[kind].request.model_validate(request), work)
    assert seen == sorted(seen) and all(0 <= share <= 1 for share in seen)
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
        ("mix", {"job": JOB, "strips": {"bass": {"gain": 41}}}, "gain must be from -60 to 40"),
        ("mix", {"job": JOB, "strips": {"bass": {"pan": "left"}}}, "pan"),
        ("mix", {"job": JOB, "strips": {"bass": {"volume": 1}}}, "volume"),
        ("mix", {"job": JOB, "strips": {str(n): {} for n in range(13)}}, "12"),
        ("mix", {"job": "../x", "strips": {}}, "job"),
        ("remake", {"job": JOB}, "track"),
        ("remake", {"job": "../x", "track": "bass"}, "job"),
        ("remake", {"job": JOB, "track": "bass", "seed": -1}, "seed"),
        ("remake", {"job": JOB, "track": "bass", "words": " "}, "prompt of the track is empty"),
        ("generate", {"prompt": "x", "best_of": 17}, "best_of"),
        ("generate", {"prompt": "x", "best_of": 0}, "best_of"),
        ("generate", {"prompt": "x", "in_time": True, "beginning": UPLOAD}, "would be stretched"),
        ("loop", {"prompt": "x", "bars": 1000}, "1 to 64 bars, not 1000"),
        ("loop", {"prompt": "x", "tempo": 1.0}, "tempo"),
        ("midi", {}, "sound"),
        ("midi", {"sound": "../x"}, "sound"),
        ("split", {"sound": UPLOAD, "two": "x" * 100}, "two"),
        ("split", {"sound": UPLOAD, "two": "guitar"}, "two"),
    ],
)
def test_requests_that_are_refused(kind: str, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        KINDS[kind].request.model_validate(request_)


def test_a_band(torch_nano: Model, tmp_path: Path) -> None:
    request = {"prompt": "funk, 120 bpm", "tracks": ["drums", "bass"], "bars": 1, "retries": 0}
    files = run(torch_nano, tmp_path, "band", seed=1, **request)
    assert files.keys() == {
        "mix.wav",
        "stem-drums.wav",
        "stem-bass.wav",
        "session.json",
        "session.zip",
    }
    mix = read(files["mix.wav"]).samples
    added = sum(read(files[name]).samples for name in files if name.startswith("stem-"))
    np.testing.assert_allclose(mix, added, atol=2e-3)  # what a mixer on the page begins with
    with zipfile.ZipFile(files["session.zip"]) as packed:
        assert packed.testzip() is None
        session = json.loads(packed.read("session/session.json"))
    assert [track["name"] for track in session["tracks"]] == ["drums", "bass"]


def test_another_mix_of_a_band(torch_nano: Model, tmp_path: Path) -> None:
    asked = {"prompt": "funk, 120 bpm", "tracks": ["drums", "bass"], "bars": 1, "retries": 0}
    band = run(torch_nano, tmp_path / "band", "band", seed=1, **asked)
    strips = {track["name"]: track["strip"] for track in _tracks(band["session.json"])}
    strips["bass"] |= {"gain": strips["bass"]["gain"] - 4, "pan": -0.5}
    strips["drums"]["solo"] = strips["bass"]["solo"] = True
    mine = run(torch_nano, tmp_path / "mix", "mix", None, band, job=JOB, strips=strips)
    assert mine.keys() == {"mix.wav", "session.json", "session.zip"}
    assert {track["name"]: track["strip"] for track in _tracks(mine["session.json"])} == strips
    # Ahead of the bus a stem follows the faders as it is; the bus has one gain for both sides.
    angle = np.pi / 4 * np.array([[0.5], [1.5]])
    sides = np.sqrt(2) * np.array([np.cos(angle[0]), np.sin(angle[0])])
    stems = {name: read(band[f"stem-{name}.wav"]).samples for name in strips}
    expected = stems["drums"] + 10 ** (-4 / 20) * sides * stems["bass"]
    mix = read(mine["mix.wav"]).samples
    assert _unlike(mix, expected) < 1e-4 < 100 * 1e-4 < _unlike(mix, sum(stems.values()))
    # The session is one to work with, and a mix of a mix begins where that ended.
    with opened(mine["session.zip"]) as session:
        bits = (session.path / "mix.wav").read_bytes()
        assert bits == mine["mix.wav"].read_bytes()
        mix_session(session)
        assert (session.path / "mix.wav").read_bytes() == bits
    again = run(torch_nano, tmp_path / "again", "mix", None, mine, job=JOB, strips={})
    assert again["mix.wav"].read_bytes() == mine["mix.wav"].read_bytes()
    with pytest.raises(OptionError, match="no track 'tuba'"):
        run(torch_nano, tmp_path / "x", "mix", None, band, job=JOB, strips={"tuba": {}})


def test_one_track_of_a_band_again(torch_nano: Model, tmp_path: Path) -> None:
    asked = {"prompt": "funk, 120 bpm", "tracks": ["drums", "bass"], "bars": 1, "retries": 0}
    band = run(torch_nano, tmp_path / "band", "band", seed=1, **asked)
    mine = run(
        torch_nano,
        tmp_path / "1",
        "remake",
        None,
        band,
        job=JOB,
        track="bass",
        seed=9,
        words="tuba",
    )
    assert mine.keys() == band.keys()
    (drums, bass), (same, other) = map(_tracks, (band["session.json"], mine["session.json"]))
    assert same == drums
    assert (other["seed"], other["prompt"]) == (9, "tuba") != (bass["seed"], bass["prompt"])
    with opened(band["session.zip"]) as before, opened(mine["session.zip"]) as after:
        for name, kept in (("drums", True), ("bass", False)):
            was, now = (session.track(name).read_bytes() for session in (before, after))
            assert (was == now) == kept
        assert (after.path / "mix.wav").read_bytes() == mine["mix.wav"].read_bytes()
    # What came of it is a session like any other: another one can follow.
    again = run(torch_nano, tmp_path / "2", "remake", None, mine, job=JOB, track="bass")
    assert _tracks(again["session.json"])[1]["prompt"] == "tuba"
    with pytest.raises(OptionError, match="no track 'tuba'"):
        run(torch_nano, tmp_path / "3", "remake", None, band, job=JOB, track="tuba")


def _tracks(session: Path) -> Any:
    return json.loads(session.read_text())["tracks"]


def _unlike(one: np.ndarray, other: np.ndarray) -> float:
    """How much energy of ``one`` is left when ``other`` is taken away with the best gain for each
    2 ms, in which a limiter moves little."""
    left = 0.0
    for start in range(0, one.shape[1], 64):
        a, b = one[:, start : start + 64], other[:, start : start + 64]
        left += float(np.sum((a - np.sum(a * b) / max(np.sum(b * b), 1e-12) * b) ** 2))
    return left / float(np.sum(one**2))


def test_the_best_of_several_takes_in_time(torch_nano: Model, tmp_path: Path) -> None:
    asked = {"prompt": "techno with drums, 126 bpm", "duration": 3.0, "seed": 7, "in_time": True}
    files = run(torch_nano, tmp_path, "generate", best_of=3, **asked)
    assert set(files) == {"music.wav", "music.json", "codes.npy", "auditions.json"}
    scores = json.loads(files["auditions.json"].read_text())
    order = [(len(one["faults"]), -one["total"]) for one in scores]
    assert sorted(one["seed"] for one in scores) == [7, 8, 9] and order == sorted(order)
    recipe = read_recipe(files["music.wav"])
    assert recipe.sampling.seed == scores[0]["seed"] and recipe.in_time
    best = torch_nano.generate(**(asked | {"seed": scores[0]["seed"]}))
    np.testing.assert_array_equal(np.load(files["codes.npy"]), best.codes.ids)


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
    with pytest.raises(ModelNotFound, match="this server does not have htdemucs") as caught:
        run(torch_nano, tmp_path, "split", sine(1.0), sound=UPLOAD)
    assert "/" not in str(caught.value)  # it is told to strangers


@pytest.mark.parametrize("kind", ["band", "loop"])
def test_cancelling(torch_nano: Model, tmp_path: Path, kind: str) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled("enough")

    request = {"prompt": "x", "bars": 1, **({"tracks": ["bass"]} if kind == "band" else {})}

    def nothing(*_: str) -> Any:
        raise NotFound("nothing is needed")

    work = Work(torch_nano, tmp_path, tmp_path, stop, lambda words: None, nothing, nothing)
    with pytest.raises(Cancelled):
        KINDS[kind].run(KINDS[kind].request.model_validate(request), work)
