"""Stems: equal to Demucs' own, whatever the length, rate and channels; and only safe files."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from demucs.api import Separator as TheirSeparator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cadenza.audio import read, resample, write
from cadenza.errors import (
    AudioError,
    Cancelled,
    DeviceError,
    MissingPackage,
    ModelDamaged,
    ModelMismatch,
    ModelNotFound,
    OptionError,
    OutputError,
)
from cadenza.stems import Separator, load_separator, separate
from cadenza.types import Audio, FloatArray
from tests.command import run
from tests.hubserver import serve
from tests.separators import RATE, SOURCES, model, published, save_bag, save_header, save_pickle
from tests.sounds import silence, sine

COMMAND = [sys.executable, "-c", "from cadenza.cli import main; main()", "split"]
COMMAND += ["--device", "cpu"]


def noise(seconds: float, rate: int = RATE, channels: int = 2, seed: int = 0) -> Audio:
    samples = np.random.default_rng(seed).standard_normal((channels, round(seconds * rate)))
    return Audio((0.1 * samples + 0.01).astype(np.float32), rate)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local repository in Demucs' own format: single models, and a bag of two with weights."""
    folder = tmp_path_factory.mktemp("weights")
    save_pickle(model(0), folder / "one.th")
    save_pickle(model(1), folder / "two.th")
    save_bag(folder, "both", ["one", "two"], weights=[[1.0, 0.0, 0.5, 1.0], [0.0, 1.0, 0.5, 3.0]])
    return folder


@pytest.fixture(scope="module")
def separator(folder: Path) -> Separator:
    return load_separator("one", weights=folder, device="cpu")


def theirs(audio: Audio, folder: Path, name: str = "one") -> FloatArray:
    """What Demucs makes of the whole piece ``[sources, C, N]``."""
    separator = TheirSeparator(name, repo=folder, device="cpu", shifts=0)
    stems = separator.separate_tensor(torch.from_numpy(audio.samples.copy()))[1]
    return torch.stack([stems[name] for name in SOURCES]).numpy()


def stacked(stems: dict[str, Audio]) -> FloatArray:
    assert tuple(stems) == SOURCES
    return np.stack([stem.samples for stem in stems.values()])


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(frames=st.integers(2, 4 * RATE))
def test_stems_equal_those_of_demucs(frames: int, folder: Path, separator: Separator) -> None:
    audio = noise(frames / RATE, seed=frames)
    np.testing.assert_allclose(stacked(separator.separate(audio)), theirs(audio, folder), atol=1e-5)


def test_a_bag_weighs_its_models_as_demucs_does(folder: Path) -> None:
    audio = noise(1.7)
    ours = load_separator("both", weights=folder, device="cpu").separate(audio)
    np.testing.assert_allclose(stacked(ours), theirs(audio, folder, "both"), atol=1e-5)


def test_safetensors_hold_the_same_model(folder: Path, tmp_path: Path) -> None:
    audio = noise(0.9)
    ours = separate(audio, weights=published(tmp_path), device="cpu")
    np.testing.assert_allclose(stacked(ours), theirs(audio, folder), atol=1e-5)


def test_rate_and_channels_are_kept(folder: Path, separator: Separator) -> None:
    audio = sine(1.3, rate=44_100, channels=2)
    ours = separator.separate(audio)
    heard = theirs(resample(audio, RATE), folder)
    for stem, expected in zip(ours.values(), heard, strict=True):
        assert (stem.rate, stem.samples.shape) == (44_100, audio.samples.shape)
        back = resample(Audio(expected, RATE), 44_100).samples
        frames = min(back.shape[1], stem.samples.shape[1])
        np.testing.assert_allclose(stem.samples[:, :frames], back[:, :frames], atol=1e-5)


def test_no_stem_takes_the_place_of_the_sound(separator: Separator, tmp_path: Path) -> None:
    song = write(noise(0.5), tmp_path / f"{SOURCES[0]}.wav")
    before = song.read_bytes()
    with pytest.raises(OptionError, match="is what is taken apart: choose another folder"):
        separator.split(song, tmp_path)
    assert song.read_bytes() == before and list(tmp_path.iterdir()) == [song]


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_any_number_of_channels(channels: int, separator: Separator) -> None:
    audio = noise(0.8, rate=48_000, channels=channels)
    ours = separator.separate(audio)
    for stem in ours.values():
        assert stem.samples.shape == audio.samples.shape
        assert stem.peak > 0
    # Channels go in pairs; the one that has no partner is heard beside itself.
    for first in range(0, channels, 2):
        pair = audio.samples[first : first + 2]
        alone = separator.separate(Audio(np.resize(pair, (2, pair.shape[1])), audio.rate))
        for name in SOURCES:
            expected = alone[name].samples
            if len(pair) == 1:
                expected = expected.mean(axis=0, keepdims=True)
            np.testing.assert_allclose(ours[name].samples[first : first + 2], expected, atol=1e-5)


def test_what_a_stem_and_all_the_rest_add_up_to_is_the_sound(separator: Separator) -> None:
    audio = noise(1.6, rate=44_100)
    two = separator.separate(audio, two="bass")
    assert tuple(two) == ("bass", "no_bass")
    np.testing.assert_allclose(
        two["bass"].samples + two["no_bass"].samples, audio.samples, atol=1e-6
    )
    np.testing.assert_array_equal(two["bass"].samples, separator.separate(audio)["bass"].samples)


def test_the_sum_of_the_stems_is_what_the_model_makes_it(
    folder: Path, separator: Separator
) -> None:
    """Cutting, fading and resampling add nothing to the model's own error."""
    audio = noise(3.3)
    error = stacked(separator.separate(audio)).sum(axis=0) - audio.samples
    own_error = theirs(audio, folder).sum(axis=0) - audio.samples
    np.testing.assert_allclose(error, own_error, atol=2e-5)


def test_progress_goes_from_segment_to_segment_and_can_stop_the_work(separator: Separator) -> None:
    steps: list[tuple[int, int]] = []
    separator.separate(noise(2.0), progress=lambda *step: steps.append(step))
    assert steps == [(done, len(steps)) for done in range(1, len(steps) + 1)]
    assert len(steps) == 6  # 2 s, a segment of 0.5 s every 0.375 s

    def stop(done: int, total: int) -> None:
        raise Cancelled(f"stopped at {done} of {total}")

    with pytest.raises(Cancelled, match="stopped at 1 of 6"):
        separator.separate(noise(2.0), progress=stop)


def test_a_file_becomes_files(separator: Separator, tmp_path: Path) -> None:
    audio = noise(2.1, rate=44_100)
    write(audio, tmp_path / "mix.wav", "wavfloat")
    places = separator.split(tmp_path / "mix.wav", tmp_path / "stems")
    assert list(places) == list(SOURCES)
    assert {path.name for path in (tmp_path / "stems").iterdir()} == {f"{s}.wav" for s in SOURCES}
    whole = separator.separate(audio)
    for name, place in places.items():
        np.testing.assert_array_equal(read(place).samples, whole[name].samples)
        assert soundfile.info(place).subtype == "FLOAT"

    two = separator.split(tmp_path / "mix.wav", tmp_path / "stems", two="vocals")
    both = sum(read(place).samples for place in two.values())
    np.testing.assert_allclose(both, audio.samples, atol=1e-6)


def test_stopped_work_leaves_what_was_there(separator: Separator, tmp_path: Path) -> None:
    write(noise(2.0), tmp_path / "mix.wav")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "bass.wav").write_bytes(b"what was there")

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise Cancelled("stopped")

    for name in ("old", "new"):
        with pytest.raises(Cancelled):
            separator.split(tmp_path / "mix.wav", tmp_path / name, progress=stop)
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["bass.wav"]
    assert (tmp_path / "old" / "bass.wav").read_bytes() == b"what was there"
    assert not (tmp_path / "new").exists()


def test_memory_does_not_grow_with_the_length(folder: Path, tmp_path: Path) -> None:
    """A hundred seconds hold 275 MB more than ten, as measured with the stems kept.

    Linux' own figure is read: what ``getrusage`` says begins with the memory of the parent.
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("the largest memory of a process is read from /proc, which is not here")
    program = """
import sys
from pathlib import Path
from cadenza.stems import load_separator
separator = load_separator("one", weights=sys.argv[1], device="cpu")
for name in ("short", "long"):
    separator.split(f"{sys.argv[2]}/{name}.wav", f"{sys.argv[2]}/{name}")
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""
    rate, channels = 96_000, 2
    for name, seconds in (("short", 10), ("long", 100)):
        write(noise(seconds, rate, channels), tmp_path / f"{name}.wav", "wavfloat")
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    short, long = map(int, done.stdout.split())
    assert long - short < 60
    assert soundfile.info(tmp_path / "long" / "bass.wav").frames == 100 * rate


# What cannot be used


def test_a_file_that_was_cut_short_is_damaged_and_one_that_lacks_a_frame_is_not(
    separator: Separator, tmp_path: Path
) -> None:
    """Such a file still says how long it was."""
    content = write(noise(4.0, 16_000), tmp_path / "whole.mp3").read_bytes()
    (tmp_path / "half.mp3").write_bytes(content[: len(content) // 2])
    half = len(soundfile.read(tmp_path / "half.mp3")[0]) / 16_000
    assert soundfile.info(tmp_path / "half.mp3").duration > 3.9 > 2.1 > half
    for two in (None, "vocals"):
        with pytest.raises(AudioError, match=rf"is damaged: it ends after {half:.1f} of 4\.\d s"):
            separator.split(tmp_path / "half.mp3", tmp_path / "stems", two=two)
    assert not (tmp_path / "stems").exists()

    (tmp_path / "frame.mp3").write_bytes(content[:-100])
    heard = soundfile.read(tmp_path / "frame.mp3")[0].T
    frames = soundfile.info(tmp_path / "frame.mp3").frames
    assert 0 < frames - heard.shape[1] < 0.1 * 16_000
    stems = separator.split(tmp_path / "frame.mp3", tmp_path / "stems", two="vocals")
    both = sum(read(place).samples for place in stems.values())
    np.testing.assert_allclose(both[:, : heard.shape[1]], heard, atol=1e-6)
    assert both.shape[1] == frames and not both[:, heard.shape[1] :].any()


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (Audio(np.zeros((2, 0), np.float32), RATE), "is empty"),
        (silence(), "is silent"),
        (Audio(np.ones((1, 1), np.float32), 192_000), "is too short"),
    ],
)
def test_what_says_nothing_is_refused(audio: Audio, message: str, separator: Separator) -> None:
    with pytest.raises(AudioError, match=message):
        separator.separate(audio)


def test_one_sample_is_a_sound(separator: Separator) -> None:
    stems = separator.separate(Audio(np.ones((1, 1), np.float32), RATE))
    assert all(stem.samples.shape == (1, 1) for stem in stems.values())


def test_files_that_cannot_be_split(
    separator: Separator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 2)), RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros((RATE, 2)), RATE)
    soundfile.write(tmp_path / "good.wav", noise(1.0).samples.T, RATE)
    broken = noise(1.0).samples.T.copy()
    broken[5] = np.nan
    soundfile.write(tmp_path / "broken.wav", broken, RATE, "FLOAT")
    for name, message in (
        ("absent", "does not exist"),
        ("text", "cannot be read as sound"),
        ("empty", "is empty"),
        ("silent", "is silent"),
        ("broken", "not numbers"),
    ):
        with pytest.raises(AudioError, match=message):
            separator.split(tmp_path / f"{name}.wav", tmp_path / "stems")
    assert not (tmp_path / "stems").exists()
    with pytest.raises(OutputError, match="cannot make the folder"):
        separator.split(tmp_path / "good.wav", tmp_path / "text.wav")
    with pytest.raises(OutputError, match="cannot make the folder"):
        separator.split(tmp_path / "good.wav", tmp_path / "no" / "such")
    with pytest.raises(OptionError, match="no stem 'horns': choose one of drums, bass"):
        separator.split(tmp_path / "good.wav", tmp_path / "stems", two="horns")
    monkeypatch.setattr("cadenza.stems.separation.MAX_SECONDS", 0.5)
    with pytest.raises(AudioError, match="lasts 1 s"):
        separator.split(tmp_path / "good.wav", tmp_path / "stems")
    monkeypatch.setattr("cadenza.stems.writing.MAX_WAV", 1000)
    monkeypatch.setattr("cadenza.stems.separation.MAX_SECONDS", 10)
    with pytest.raises(AudioError, match="cut it first"):
        separator.split(tmp_path / "good.wav", tmp_path / "stems")


def test_without_demucs_the_command_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "demucs.apply", None)
    with pytest.raises(MissingPackage, match=r"pip install 'cadenza\[stems\]'"):
        load_separator("one", weights=folder, device="cpu")


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.place}",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_files_that_would_run_code_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "ran"
    torch.save({"klass": Evil(place), "state": {}}, tmp_path / "pickled.th")
    with (tmp_path / "bare.th").open("wb") as file:
        pickle.dump(Evil(place), file)
    # Demucs calls whatever the header names, with these arguments.
    header = {"klass": "os.system", "args": json.dumps([f"touch {place}"]), "kwargs": "{}"}
    save_header(model(), tmp_path / "called.safetensors", **header)
    for name in ("pickled", "bare", "called"):
        with pytest.raises(ModelDamaged, match="is not a model of Demucs"):
            load_separator(name, weights=tmp_path, device="cpu")
    assert not place.exists()


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    save_pickle(model(), tmp_path / "good.th")
    [good] = tmp_path.glob("good-*.th")
    (tmp_path / "cut.th").write_bytes(good.read_bytes()[:5000])
    (tmp_path / "wrong-00000000.th").write_bytes(good.read_bytes())
    torch.save({"weights": torch.zeros(3)}, tmp_path / "foreign.th")
    (tmp_path / "list.yaml").write_text("models: 7")
    (tmp_path / "escape.yaml").write_text("models: ['../../etc/passwd']")
    save_bag(tmp_path, "part", ["good", "absent"])
    save_pickle(model(1, sources=["a", "b"]), tmp_path / "other.th")
    save_bag(tmp_path, "mixed", ["good", "other"])
    save_pickle(model(1, sources=["a", "../b"]), tmp_path / "sources.th")
    for name, error, message in (
        ("cut", ModelDamaged, "cut.th is not a model"),
        ("wrong", ModelDamaged, "Invalid checksum"),
        ("foreign", ModelDamaged, "foreign.th is not a model"),
        ("list", ModelDamaged, "list.yaml is not a list of models"),
        ("escape", ModelDamaged, "escape.yaml is not a list of models"),
        ("part", ModelNotFound, "does not hold part whole"),
        ("absent", ModelNotFound, "does not hold absent whole"),
        ("mixed", ModelMismatch, "do not fit each other"),
        ("sources", ModelDamaged, "those are no names"),
        ("../good", OptionError, "is not the name of a model"),
    ):
        with pytest.raises(error, match=message):
            load_separator(name, weights=tmp_path, device="cpu")
    with pytest.raises(ModelNotFound, match="there is no folder"):
        load_separator("good", weights=tmp_path / "none", device="cpu")
    with pytest.raises(OptionError, match="unknown model 'demux': choose htdemucs"):
        load_separator("demux", device="cpu")
    with pytest.raises(DeviceError, match="unknown device"):
        load_separator("good", weights=tmp_path, device="tpu")


# The hub, one on this machine


def ask(home: Path, hub: str, *options: str) -> subprocess.CompletedProcess[str]:
    """``cadenza split`` in a process of its own, whose hub and cache are set as a person does."""
    clean = {key: value for key, value in os.environ.items() if "OFFLINE" not in key}
    return subprocess.run(
        [*COMMAND, str(home / "mix.wav"), "-o", str(home / "stems"), *options],
        env=clean | {"HF_ENDPOINT": hub, "HF_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_weights_are_fetched_once_and_then_used_without_the_hub(tmp_path: Path) -> None:
    write(noise(1.0), tmp_path / "mix.wav")
    gone = "http://127.0.0.1:9"
    done = ask(tmp_path, gone)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    for word in ("htdemucs is not on this machine", gone, str(tmp_path / "hub"), "htdemucs.yaml"):
        assert word in done.stderr
    with serve(published(tmp_path / "remote"), "adefossez/HTDemucs", "old.th", "README.md") as hub:
        assert ask(tmp_path, hub.url).returncode == 0
        assert not any(path.endswith((".th", "README.md")) for _, path, _ in hub.asked)
    done = ask(tmp_path, gone, "--offline", "--json")
    assert done.returncode == 0, done.stderr
    stems = json.loads(done.stdout)["stems"]
    assert list(stems) == list(SOURCES)
    assert all(read(place).duration == 1.0 for place in stems.values())


# The command


def test_the_command_splits(folder: Path, tmp_path: Path) -> None:
    write(noise(1.0), tmp_path / "mix.wav")
    mix, out = str(tmp_path / "mix.wav"), tmp_path / "stems"
    local = ("--model", "one", "--weights", str(folder), "-o", str(out))
    result = run("split", mix, *local)
    assert result.code == 0, result.errors
    assert sorted(path.stem for path in out.iterdir()) == sorted(SOURCES)
    result = run("split", mix, *local, "--two", "vocals", "--json")
    assert list(json.loads(result.output)["stems"]) == ["vocals", "no_vocals"]
    for wrong in (("--two", "horns"), ("--model", "../one"), ("--device", "tpu")):
        result = run("split", mix, *local, *wrong)
        assert result.code == 1
        assert result.errors.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "two", "stems"),
    [
        ("htdemucs", "kazoo", "drums, bass, other, vocals"),
        ("htdemucs_ft", "piano", "drums, bass, other, vocals"),
        ("htdemucs_6s", "kazoo", "drums, bass, other, vocals, guitar, piano"),
    ],
)
def test_a_stem_that_a_published_model_lacks_is_refused_before_its_weights_are_looked_for(
    name: str, two: str, stems: str, tmp_path: Path
) -> None:
    write(noise(1.0), tmp_path / "mix.wav")
    result = run("split", str(tmp_path / "mix.wav"), "--model", name, "--offline", "--two", two)
    assert result.code == 1
    assert result.errors == f"cadenza: this model has no stem '{two}': choose one of {stems}\n"


def test_a_process_that_is_killed_leaves_no_half_stems(folder: Path, tmp_path: Path) -> None:
    write(noise(300.0), tmp_path / "mix.wav")
    local = ["--model", "one", "--weights", str(folder)]
    process = subprocess.Popen(
        [*COMMAND, str(tmp_path / "mix.wav"), "-o", str(tmp_path / "stems"), *local],
        stderr=subprocess.PIPE,
        text=True,
    )
    with _deadline(process):
        while not any(part.stat().st_size for part in (tmp_path).glob("stems/.cadenza-*.part")):
            assert process.poll() is None
        process.kill()
        process.wait()
    assert not list((tmp_path / "stems").glob("*.wav"))


class _deadline:
    """Ends a process that would keep the tests waiting for ever."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.timer = threading.Timer(60, process.kill)

    def __enter__(self) -> None:
        self.timer.start()

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()
