"""Evaluating a folder: every figure against a closed form, another library or a known signal."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import mir_eval
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright
from sklearn.covariance import ledoit_wolf

import cadenza
from cadenza.audio import write
from cadenza.errors import AudioError, OptionError
from cadenza.evaluation import Evaluation, encode, evaluate
from cadenza.evaluation.adherence import key_score, same_tempo, same_tempo_or_octave
from cadenza.evaluation.drums import has_drums
from cadenza.evaluation.embedding import SIZE, embed
from cadenza.evaluation.frechet import Normal, distance, fitted
from cadenza.prompting import explain
from cadenza.studio.asked import asked as read_prompt
from cadenza.studio.levels import flat
from cadenza.studio.wishes import Wishes, wishes_of
from cadenza.take import Take
from cadenza.types import Audio, Codes, Key, ModelIdentity, Recipe, Sampling
from tests.command import run
from tests.renders import rendered
from tests.sounds import silence, sine
from tests.test_beats import clicks
from training.corpus.compose import compose
from training.corpus.piece import HELD_OUT

RATE = 32_000
CHROMIUM = shutil.which("chromium")


def save(audio: Audio, path: Path, prompt: str | None = None) -> None:
    """A file as Cadenza writes takes, with a recipe where there is a prompt."""
    if prompt is None:
        write(audio, path)
        return
    recipe = Recipe(
        model=ModelIdentity("nano", None, "0" * 64, "MIT"),
        prompt=prompt,
        text=prompt,
        negative=None,
        frames=1,
        sampling=Sampling(),
        backend="torch",
        device="cpu",
        precision="fp32",
        package="0",
    )
    Take(audio, Codes(np.zeros((1, 1), np.int64), 50.0), recipe).save(path)


def noise(seed: int, seconds: float = 8.0, tilt: float = 0.0, peak: float = 0.3) -> Audio:
    """Noise of its own colour: a power of ``tilt`` over frequency."""
    draw = np.random.default_rng(seed)
    spectrum = np.fft.rfft(draw.standard_normal(round(seconds * RATE)))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1) ** -tilt
    samples = np.fft.irfft(spectrum)
    return Audio((peak * samples / np.abs(samples).max()).astype(np.float32)[None], RATE)


def left_out(evaluation: Evaluation) -> dict[str, str]:
    return {missed.name: missed.why for missed in evaluation.left_out}


def cloud(draw: np.random.Generator, count: int, size: int) -> NDArray[np.float64]:
    return draw.standard_normal((count, size)) @ draw.standard_normal((size, size)) + draw.random(
        size
    )


# The distance


@pytest.mark.parametrize("size", [1, 5, 52])
def test_the_distance_is_that_of_the_matrix_square_root(size: int) -> None:
    draw = np.random.default_rng(size)
    one, other = (cloud(draw, 4 * size + 4, size) for _ in range(2))
    normals = [
        Normal(points.mean(axis=0), np.atleast_2d(np.cov(points.T))) for points in (one, other)
    ]
    a, b = (normal.covariance for normal in normals)
    root = np.real(scipy.linalg.sqrtm(a @ b))
    expected = np.square(one.mean(axis=0) - other.mean(axis=0)).sum() + np.trace(a + b - 2 * root)
    assert distance(*normals) == pytest.approx(expected, rel=1e-6)
    assert distance(*reversed(normals)) == pytest.approx(expected, rel=1e-6)


def test_the_distance_of_independent_values_has_a_closed_form() -> None:
    draw = np.random.default_rng(0)
    means, spreads = (
        draw.standard_normal((2, 30)),
        draw.random((2, 30)) * 10.0 ** np.arange(-15, 15),
    )
    spreads[0, ::4] = 0  # flat in some directions, where the root of the product is singular
    normals = [Normal(m, np.diag(s**2)) for m, s in zip(means, spreads, strict=True)]
    expected = np.square(means[0] - means[1]).sum() + np.square(spreads[0] - spreads[1]).sum()
    assert distance(*normals) == pytest.approx(expected, rel=1e-9)


def test_the_distance_of_a_cloud_to_itself_is_nothing_and_of_a_moved_one_its_way() -> None:
    points = cloud(np.random.default_rng(3), 20, 52)  # fewer points than values
    one = fitted(points)
    assert distance(one, one) == pytest.approx(0, abs=1e-8 * np.trace(one.covariance))
    assert distance(one, fitted(points + 2.0)) == pytest.approx(52 * 4.0, rel=1e-6)


@pytest.mark.parametrize("count", [2, 10, 60, 500])
def test_the_covariance_is_shrunk_as_ledoit_and_wolf_do(count: int) -> None:
    points = cloud(np.random.default_rng(count), count, 52)
    expected, _ = ledoit_wolf(points)
    assert fitted(points).covariance == pytest.approx(expected, rel=1e-9)
    single = fitted(points[:1])
    assert not single.covariance.any() and np.isfinite(distance(single, fitted(points)))


# What is asked and heard


def test_a_prompt_is_read_for_what_can_be_heard() -> None:
    assert wishes_of("jazz trio, 140 bpm, A minor, brushed drums") == Wishes(
        140.0, Key(9, "minor"), "minor", True
    )
    assert wishes_of("a sad waltz in a minor key, no drums").mode == "minor"
    assert wishes_of("a sad waltz in a minor key, no drums").drums is False
    assert wishes_of("bright chords in major, percussion").mode == "major"
    for part in ("intense percussions", "an 808 kick", "crisp hi-hats", "a loud snare"):
        assert wishes_of(f"a beat with {part}").drums is True
    for nothing in (None, "", "a dream of the sea", "a minor incident in a major city"):
        assert wishes_of(nothing) == Wishes()
    odd = wishes_of("grindcore, 900 bpm, A minor")  # nobody plays that, and nothing breaks
    assert odd.tempo is None and str(odd.key) == "A minor"
    for none in ("lofi, no bass or drums", "without piano and drums", "drum-free ambient"):
        assert wishes_of(none).drums is False
    assert wishes_of("no piano, drums").drums is True
    assert wishes_of("house without hi-hats").drums is None
    assert wishes_of("house drums without hi-hats").drums is True


@pytest.mark.parametrize(
    ("prompt", "tempo"),
    [
        ("techno at 124 bpm", 124),
        ("a 124-BPM house track", 124),
        ("house, tempo 124", 124),
        ("house, tempo: 124 bpm", 124),
        ("tempo of 92.5, slow", 92.5),
        ("BPM=124", 124),
        ("lofi, 80-90 bpm", 85),
        ("lofi, 80 to 90 beats per minute", 85),
        ("dark trap with 808 beats, 140 bpm", 140),
        ("16 beats of funk", None),
        ("up-tempo 808 drums", None),
        ("the up-tempo 80s", None),
        ("a tempo 12/8 shuffle", None),
    ],
)
def test_a_tempo_is_read_however_it_is_written(prompt: str, tempo: float | None) -> None:
    said = read_prompt(prompt)
    assert said.tempo == tempo
    if tempo is not None:
        assert not any(digit.isdigit() for digit in said.style.replace("808", ""))
        assert "tempo" not in said.style.lower() and "bpm" not in said.style.lower()
        assert explain(prompt).found["tempo"] in prompt


def test_tempi_and_keys_count_as_in_mir_eval() -> None:
    heard = np.geomspace(30, 400, 60)
    for value in heard:
        for asked in (60.0, 90.0, 128.0):
            right = [same_tempo(value, asked), same_tempo_or_octave(value, asked)]
            near = [abs(value / (asked * f) - 1) <= 0.04 for f in (1, 2, 0.5, 3, 1 / 3)]
            assert right == [near[0], any(near)]
    names = ["c", "c#", "d", "eb", "e", "f", "f#", "g", "ab", "a", "bb", "b"]
    for mode in ("major", "minor"):
        for tonic in range(12):
            for other in ("major", "minor"):
                expected = mir_eval.key.weighted_score(f"d {mode}", f"{names[tonic]} {other}")
                assert key_score(Key(tonic, other), Key(2, mode)) == expected
    assert not same_tempo(None, 100) and key_score(None, Key(0, "major")) == 0


def test_a_click_track_holds_its_tempo_and_another_does_not(tmp_path: Path) -> None:
    save(clicks(100.0, 0.1, 10.0), tmp_path / "right.wav", "clicks, 100 bpm")
    save(clicks(100.0, 0.1, 10.0), tmp_path / "wrong.wav", "clicks, 130 bpm")
    save(clicks(100.0, 0.1, 10.0), tmp_path / "octave.wav", "clicks, 200 bpm")
    save(sine(8.0), tmp_path / "none.wav", "a tone, 100 bpm")
    evaluation = evaluate(tmp_path)
    assert evaluation.figures["tempo"] == 25
    assert evaluation.figures["tempo or its octave"] == 50
    heard = {piece.name: piece.tempo for piece in evaluation.takes.pieces}
    assert heard["right.wav"] == pytest.approx(100, rel=0.01)
    assert heard["none.wav"] is None
    assert "key" in left_out(evaluation)


def test_drums_are_told_from_no_drums() -> None:
    """`benchmarks.drums` finds 88 %; of few pieces it may be less."""
    pieces = [compose(seed, 8.0) for seed in range(HELD_OUT + 880_000, HELD_OUT + 880_060)]
    with_drums = [piece for piece in pieces if piece.has_drums][:8]
    without = [piece for piece in pieces if not piece.has_drums][:8]
    right = [has_drums(rendered(piece)) is piece.has_drums for piece in with_drums + without]
    assert np.mean(right) >= 0.75
    assert has_drums(sine(2.0, rate=16_000)) is None
    loud, soft = rendered(with_drums[0]), rendered(with_drums[0])
    soft = Audio(loud.samples * np.float32(0.02), RATE)
    assert has_drums(loud) is has_drums(soft)


# Level


def test_clipping_silence_drift_and_loudness_of_known_signals(tmp_path: Path) -> None:
    fade = sine(9.0, peak=0.5)
    fade = Audio(
        fade.samples * (10 ** (-np.linspace(0, 30, 9 * RATE) / 20)).astype(np.float32), RATE
    )
    half = Audio(np.concatenate([sine(5.0).samples, silence(5.0).samples], axis=1), RATE)
    sounds = {
        "clean": sine(9.0, hertz=997.0, peak=10 ** (-20 / 20)),
        "clipped": Audio(np.clip(sine(9.0, peak=0.9).samples, -0.5, 0.5), RATE),
        "fade": fade,
        "half": half,
        "silent": silence(9.0),
    }
    for name, audio in sounds.items():
        save(audio, tmp_path / f"{name}.wav")
    evaluation = evaluate(tmp_path)
    pieces = {Path(piece.name).stem: piece for piece in evaluation.takes.pieces}
    # A mono sine of 997 Hz at -20 dB of full scale has -23.01 LUFS (BS.1770-4, one channel).
    assert pieces["clean"].loudness == pytest.approx(-23.01, abs=0.05)
    assert pieces["clean"].drift == pytest.approx(0, abs=0.01)
    assert pieces["clipped"].flat > 0.3 and pieces["clipped"].faults == ("clipped",)
    # Power means of the thirds of a straight fade lie two thirds of it apart.
    assert pieces["fade"].drift == pytest.approx(-20, abs=0.1)
    assert pieces["half"].silence == pytest.approx(0.5, abs=0.02)
    assert pieces["silent"].loudness == -math.inf and pieces["silent"].silence == 1
    assert evaluation.figures["usable"] == pytest.approx(20)
    assert evaluation.figures["clipped"] == pytest.approx(20)
    data = json.loads(evaluation.to_json())
    assert next(f for f in data["takes"]["files"] if f["name"] == "silent.wav")["loudness"] is None


def test_what_is_too_quiet_for_a_loudness_has_none(tmp_path: Path) -> None:
    quiet, takes = tmp_path / "quiet", tmp_path / "takes"
    quiet.mkdir(), takes.mkdir()
    write(sine(4.0, peak=2e-4), quiet / "quiet.wav", "wavfloat")  # above silence, below -70 LUFS
    alone = evaluate(quiet)
    assert alone.takes.sounding and "-70 LUFS" in left_out(alone)["loudness"]
    assert "-70 LUFS" in left_out(alone)["loudness, spread"]
    for number, level in enumerate((0.1, 0.2, 0.8)):
        save(sine(4.0, peak=level), takes / f"{number}.wav")
    expected = evaluate(takes)
    shutil.copy(quiet / "quiet.wav", takes)
    found = evaluate(takes)
    for name in ("loudness", "loudness, spread"):
        assert found.figures[name] == expected.figures[name]
        assert next(line for line in found.lines if line.kind.name == name).takes.count == 3
    for evaluation in (alone, found, evaluate(takes, quiet)):
        files = json.loads(evaluation.to_json())["takes"]["files"]
        assert next(f for f in files if f["name"] == "quiet.wav")["loudness"] is None
        assert b'"loudness": null' in encode(evaluation, tmp_path / "page.html")


def test_only_runs_at_the_peak_are_flat_and_each_sample_of_them_counts_once() -> None:
    def naive(samples: NDArray[np.float32]) -> float:
        peak, counted = np.abs(samples).max(), 0
        for channel in samples:
            run = 0
            for value in [*np.abs(channel), 0.0]:
                if value >= 0.9999 * peak:
                    run += 1
                else:
                    counted += run if run >= 4 else 0
                    run = 0
        return counted / samples.size

    time = np.arange(RATE) / RATE
    wave = np.sin(2 * np.pi * 100 * time + 0.01)
    clipped = np.clip(1.2 * np.sin(2 * np.pi * 55 * time), -1, 1)
    ends = np.zeros(RATE)
    ends[:2] = ends[-2:] = 1.0  # at both ends, which are not beside each other
    steps = np.random.default_rng(0).random(RATE) < 0.8  # runs of any length
    for shape in ([np.sign(wave)], [clipped], [ends, ends[::-1]], [steps, ~steps], [[1, 1, 1]]):
        samples = np.asarray(shape, np.float32)
        assert flat(Audio(samples, RATE)) == pytest.approx(naive(samples), abs=1e-12)
    assert flat(Audio(np.sign(wave)[None].astype(np.float32), RATE)) == 1
    assert flat(Audio(clipped[None].astype(np.float32), RATE)) == pytest.approx(
        2 / np.pi * np.arccos(1 / 1.2), abs=0.005
    )


# Variety and distance


def test_the_embedding_hears_timbre_not_level_nor_rate() -> None:
    sound = noise(1, tilt=0.4)
    points = embed(sound)
    assert points.shape == (7, SIZE) and np.isfinite(points).all()
    softer = embed(Audio(sound.samples * np.float32(0.05), RATE))
    assert softer == pytest.approx(points, abs=1e-3)
    brighter = embed(noise(1, tilt=0.1))
    again = embed(noise(2, tilt=0.4))
    assert np.linalg.norm((brighter - points).mean(0)) > 4 * np.linalg.norm(
        (again - points).mean(0)
    )
    assert embed(sine(0.05)).shape == (1, SIZE)


def test_copies_have_no_variety_and_are_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(noise(1), tmp_path / f"{name}.wav", "rain")
    copies = evaluate(tmp_path)
    assert copies.figures["variety"] == copies.figures["variety, same prompt"] == 0
    assert copies.notes == (
        "the same sound twice: a.wav and b.wav",
        "the same sound twice: a.wav and c.wav",
    )
    for number, name in enumerate(("a", "b", "c")):
        save(noise(1, tilt=0.3 * number), tmp_path / f"{name}.wav", f"rain {number}")
    coloured = evaluate(tmp_path)
    assert coloured.figures["variety"] > 5
    assert left_out(coloured)["variety, same prompt"] == "it needs two takes of the same prompt"
    assert coloured.notes == ()


def test_takes_of_the_references_kind_are_nearer_than_others(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("reference", "alike", "other")}
    for name, folder in folders.items():
        folder.mkdir()
        for number in range(8):
            tilt = (1.0 if name == "other" else 0.3) + 0.02 * number
            seed = number + 100 * list(folders).index(name)
            save(noise(seed, 6.0, tilt), folder / f"{number}.wav")
    alike, other = (
        evaluate(folders[name], folders["reference"]).figures for name in ("alike", "other")
    )
    assert alike["Frechet distance, ratio"] < 1.5
    assert other["Frechet distance"] > 5 * alike["Frechet distance"]


def test_a_reference_of_one_file_has_no_halves(tmp_path: Path) -> None:
    takes, reference = tmp_path / "takes", tmp_path / "reference"
    takes.mkdir(), reference.mkdir()
    save(noise(1), takes / "one.wav")
    save(noise(2), reference / "one.flac")
    evaluation = evaluate(takes, reference)
    assert evaluation.figures["Frechet distance"] >= 0
    assert "halves" in left_out(evaluation)["Frechet distance, ratio"]
    assert any("rough" in note for note in evaluation.notes)
    save(silence(3.0), reference / "one.flac")
    assert left_out(evaluate(takes, reference))["Frechet distance"].endswith("is silent")


# Files


def test_what_cannot_be_read_is_listed_and_the_rest_measured(tmp_path: Path) -> None:
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    save(noise(1), tmp_path / "deep" / "down" / "good.flac")
    save(noise(2), tmp_path / ".hidden" / "not.flac")
    (tmp_path / "corrupt.wav").write_bytes(b"RIFF\x10\0\0\0WAVEnothing")
    (tmp_path / "empty.mp3").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no sound")
    write(Audio(np.zeros((1, 3600 * 8000), np.float32), 8000), tmp_path / "hour.wav")
    evaluation = cadenza.evaluate(tmp_path)
    assert [piece.name for piece in evaluation.takes.pieces] == ["deep/down/good.flac"]
    skipped = {missed.name: missed.why for missed in evaluation.takes.skipped}
    assert list(skipped) == ["corrupt.wav", "empty.mp3", "hour.wav"]
    assert "cannot be read as sound" in skipped["corrupt.wav"]
    assert "3600 s" in skipped["hour.wav"]


def test_a_reference_inside_the_takes_is_none_of_them_and_the_reverse(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "more" / "inner"
    inner.mkdir(parents=True)
    for name, place in (("one", tmp_path / "outer"), ("two", tmp_path / "outer"), ("in", inner)):
        save(noise(len(name)), place / f"{name}.wav")
    for takes, reference in ((tmp_path / "outer", inner), (inner, tmp_path / "outer")):
        evaluation = evaluate(takes, reference)
        assert evaluation.reference is not None
        names = [
            {piece.path.name for piece in collection.pieces}
            for collection in (evaluation.takes, evaluation.reference)
        ]
        assert sorted(names, key=len) == [{"in.wav"}, {"one.wav", "two.wav"}]


def test_progress_counts_every_file_of_both_folders(tmp_path: Path) -> None:
    takes, reference = tmp_path / "takes", tmp_path / "reference"
    for folder, count in ((takes, 2), (reference, 3)):
        folder.mkdir()
        for number in range(count):
            save(noise(number, 2.0), folder / f"{number}.wav")
    told: list[tuple[int, int]] = []
    evaluate(takes, reference, progress=lambda done, total: told.append((done, total)))
    assert {total for _, total in told} == {5}
    done = [done for done, _ in told]
    assert done == sorted(done) and done[-1] == 5


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: None, "holds no sound"),
        (lambda folder: (folder / "a.txt").write_text("a"), "holds no sound"),
        (lambda folder: (folder / "a.wav").write_text("a"), "no sound in"),
        (lambda folder: folder.rmdir(), "is not a folder"),
    ],
)
def test_a_folder_without_sound_is_refused(
    tmp_path: Path, prepare: Callable[[Path], object], words: str
) -> None:
    folder = tmp_path / "takes"
    folder.mkdir()
    prepare(folder)
    with pytest.raises((AudioError, OptionError), match=words):
        evaluate(folder)
    result = run("evaluate", str(folder))
    assert result.code == 1 and result.errors.count("\n") == 1 and words in result.errors


def test_a_folder_is_not_its_own_reference(tmp_path: Path) -> None:
    save(noise(1, 2.0), tmp_path / "a.wav")
    with pytest.raises(OptionError, match="its own reference"):
        evaluate(tmp_path, tmp_path / ".")


# The field's own figures


def test_without_fadtk_the_install_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    takes, reference = tmp_path / "takes", tmp_path / "reference"
    for folder in (takes, reference):
        folder.mkdir()
        save(noise(len(folder.name), 2.0), folder / "a.wav", "rain")
    missing = left_out(evaluate(takes, reference))
    for name in ("FAD, VGGish", "FAD, CLAP", "CLAP score"):
        assert "pipx install fadtk" in missing[name]
    missing = left_out(evaluate(takes))
    assert missing["FAD, VGGish"] == missing["Frechet distance"]
    assert "--reference" in missing["FAD, VGGish"]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with a command called fadtk; its Python finds what lies in ``lib``."""
    place = tmp_path / "environment"
    (place / "lib" / "fadtk").mkdir(parents=True)
    (place / "bin").mkdir()
    command = place / "bin" / "fadtk"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    python = place / "bin" / "python"
    start = f"import runpy, sys; sys.path.insert(0, {str(place / 'lib')!r})"
    run_it = "sys.argv = sys.argv[2:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{start}; {run_it}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return place


STAND_IN = """
import numpy as np, scipy.io.wavfile
from pathlib import Path

class VGGishModel:
    name, sr = "vggish", 16000

class CLAPLaionModel:
    def __init__(self, kind): raise RuntimeError("these weights are damaged")

class FrechetAudioDistance:
    def __init__(self, ml): self.ml, self.seen = ml, {}
    def cache_embedding_file(self, path):
        rate, samples = scipy.io.wavfile.read(path.parent / "convert" / str(self.ml.sr) / path.name)
        assert rate == self.ml.sr and samples.ndim == 1 and samples.dtype == np.int16
        self.seen.setdefault(path.parent, []).append(len(samples) / rate)
    def score(self, baseline, takes):
        return 100 * sum(self.seen[baseline]) + sum(self.seen[takes])
"""


def test_weights_that_are_missing_are_named_with_the_way_to_fetch_them(
    tmp_path: Path, environment: Path
) -> None:
    (environment / "lib" / "fadtk" / "__init__.py").write_text("")
    takes, reference = tmp_path / "takes", tmp_path / "reference"
    for folder in (takes, reference):
        folder.mkdir()
        save(noise(1, 2.0), folder / "a.wav", "rain")
    missing = left_out(evaluate(takes, reference))
    python = str(environment / "bin" / "python")
    assert f'{python} -c "import torch' in missing["FAD, VGGish"]
    assert f'{python} -c "from fadtk.model_loader import CLAP' in missing["CLAP score"]


def test_fadtk_is_given_files_as_it_keeps_them_and_its_faults_are_told(
    tmp_path: Path, environment: Path
) -> None:
    """A stand-in with fadtk's names: the real one with real weights cannot be had in a test."""
    fadtk = environment / "lib" / "fadtk"
    (fadtk / "__init__.py").write_text("from .model_loader import FrechetAudioDistance\n")
    (fadtk / "model_loader.py").write_text(STAND_IN)
    hub = tmp_path / "torch" / "hub"
    for weights in (
        hub / "harritaylor_torchvggish_master" / "hubconf.py",
        hub / "checkpoints" / "vggish-10086976.pth",
        hub / "checkpoints" / "vggish_pca_params-970ea276.pth",
        fadtk / ".model-checkpoints" / "music_audioset_epoch_15_esc_90.14.pt",
    ):
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.write_bytes(b"")
    takes, reference = tmp_path / "takes", tmp_path / "reference"
    takes.mkdir(), reference.mkdir()
    save(sine(2.0, rate=44_100, channels=2), takes / "a.wav", "a tone")
    save(noise(1, 3.0), reference / "a.wav")
    save(noise(2, 4.0), reference / "b.ogg")
    before = sorted(path for path in tmp_path.rglob("*.wav"))
    evaluation = evaluate(takes, reference)
    assert evaluation.figures["FAD, VGGish"] == pytest.approx(702, rel=1e-3)
    for name in ("FAD, CLAP", "CLAP score"):
        assert "RuntimeError: these weights are damaged" in left_out(evaluation)[name]
    assert sorted(path for path in tmp_path.rglob("*.wav")) == before  # nothing is left behind


# The command and the page


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    takes, reference = tmp_path / "my takes", tmp_path / "reference"
    takes.mkdir(), reference.mkdir()
    save(
        clicks(100.0, 0.1, 8.0), takes / "click #1.wav", "</script><b>clicks</b>, 100 bpm, A minor"
    )
    save(noise(1), takes / "noise.flac", "rain")
    save(silence(3.0), takes / "silent.wav")
    (takes / "corrupt.wav").write_text("x")
    for number in range(3):
        save(noise(10 + number), reference / f"{number}.wav")
    return takes, reference


def test_the_command_prints_a_table_and_json(folders: tuple[Path, Path]) -> None:
    takes, reference = folders
    result = run("evaluate", str(takes), "--reference", str(reference), "--quiet")
    assert result.code == 0
    for words in ("tempo", "loudness", "Frechet distance", "left out", "skipped", "corrupt.wav"):
        assert words in result.output
    result = run("evaluate", str(takes), "--json", "--quiet")
    data = json.loads(result.output)
    assert data["figures"]["tempo"]["value"] == 100
    assert {item["name"] for item in data["left_out"]} >= {"FAD, VGGish", "CLAP score"}
    assert [item["name"] for item in data["takes"]["skipped"]] == ["corrupt.wav"]
    result = run("evaluate", str(takes), "-o", str(takes / "page.png"))
    assert result.code == 1 and "end it with .html" in result.errors


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")
def test_the_page_works_from_a_file(folders: tuple[Path, Path]) -> None:
    takes, reference = folders
    page = takes.parent / "page.html"
    result = run("evaluate", str(takes), "--reference", str(reference), "-o", str(page), "-q")
    assert result.code == 0 and str(page) in result.output
    broken: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (1200, 390):
            tab = browser.new_page(viewport={"width": width, "height": 900})
            tab.set_default_timeout(60_000)
            tab.on("pageerror", lambda error: broken.append(str(error)))
            tab.on(
                "request",
                lambda asked: (
                    broken.append(asked.url)
                    if "file:" not in asked.url and "data:" not in asked.url
                    else None
                ),
            )
            tab.goto(page.as_uri())
            assert tab.locator(".takes .card").count() == 3
            assert tab.locator(".plots canvas").count() == 4
            assert tab.locator("b").count() == 0  # a prompt is text, never markup
            drawn = tab.evaluate(
                "[...document.querySelectorAll('canvas')].map(canvas => new Set(canvas"
                ".getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size)"
            )
            assert min(drawn) > 3
            assert tab.evaluate("document.body.scrollWidth <= window.innerWidth")
            lengths = tab.evaluate(
                "Promise.all([...document.querySelectorAll('audio')].map(player => new Promise("
                "done => { player.onloadedmetadata = () => done(player.duration);"
                "player.onerror = () => done(-1); player.preload = 'metadata'; player.load(); })))"
            )
            assert lengths == pytest.approx([8.0, 8.0, 3.0], abs=0.1)
            tab.close()
        browser.close()
    assert broken == []


def test_a_page_of_silence_alone_can_be_made(tmp_path: Path) -> None:
    save(silence(3.0), tmp_path / "a.wav")
    evaluation = evaluate(tmp_path)
    assert left_out(evaluation)["loudness"] == "every sound is silent"
    assert b"every sound is silent" in encode(evaluation, tmp_path / "page.html")


def test_a_name_that_is_no_text_is_listed_on_the_page(tmp_path: Path) -> None:
    save(noise(1), tmp_path / "good.wav")
    shutil.copy(tmp_path / "good.wav", os.fsencode(tmp_path) + b"/caf\xe9.wav")
    evaluation = evaluate(tmp_path)
    assert [missed.name for missed in evaluation.takes.skipped] == ["caf\udce9.wav"]
    assert "caf?.wav" in encode(evaluation, tmp_path / "page.html").decode()
