"""Every mistake that a person can make has its own answer, through Python and the command alike."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import cadenza
from cadenza import errors
from cadenza.audio import write
from cadenza.devices import choose_device
from cadenza.errors import (
    AudioError,
    CadenzaError,
    DeviceError,
    ModelError,
    ModelMismatch,
    ModelNotFound,
    OptionError,
    OutputError,
    PromptError,
)
from cadenza.model import Model
from cadenza.request import GenerateRequest
from cadenza.torch_machine import choose_precision
from cadenza.types import Audio, Codes
from tests.command import run
from tests.sounds import silence, sine

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def model(tiny_text: Path) -> Model:
    return cadenza.load(tiny_text)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sounds that cannot be used."""
    folder = tmp_path_factory.mktemp("sounds")
    (folder / "text.wav").write_text("not a sound")
    (folder / "nothing.wav").touch()
    soundfile.write(folder / "empty.wav", np.zeros((0, 1)), 32_000)
    soundfile.write(folder / "hour.flac", np.full(3600 * 1000, 0.1), 1000)
    write(silence(1.0), folder / "silent.wav")
    write(sine(1.0), folder / "good.wav")
    write(sine(200.0, 8000), folder / "long.flac")
    return folder


# ── Before any model is loaded ──────────────────────────────────────────────────────────────────

REQUESTS: list[tuple[str | None, dict[str, Any], type[CadenzaError], str]] = [
    ("", {}, PromptError, "the prompt is empty"),
    ("  \n", {}, PromptError, "the prompt is empty"),
    ("a" * 100_000, {}, PromptError, "100000 characters, at most 2000"),
    ("caf\udce9", {}, PromptError, "bytes that are no text"),
    ("a" * 1990, {"enhance": True}, PromptError, "the enhanced prompt has 2"),
    ("x", {"negative": ""}, PromptError, "the negative prompt is empty"),
    ("x", {"negative": "b" * 3000}, PromptError, "the negative prompt has 3000 characters"),
    ("x", {"duration": 0.0}, OptionError, "duration must be above 0 and at most 600 s, not 0"),
    ("x", {"duration": -1.0}, OptionError, "not -1"),
    ("x", {"duration": NAN}, OptionError, "not nan"),
    ("x", {"duration": INF}, OptionError, "not inf"),
    ("x", {"duration": 601.0}, OptionError, "not 601"),
    ("x", {"top_k": 0}, OptionError, "top-k must be at least 1, not 0"),
    ("x", {"top_k": -5}, OptionError, "top-k must be at least 1, not -5"),
    ("x", {"top_p": 0.0}, OptionError, "top-p must be above 0 and at most 1, not 0"),
    ("x", {"top_p": 1.5}, OptionError, "top-p .* not 1.5"),
    ("x", {"top_p": NAN}, OptionError, "top-p .* not nan"),
    ("x", {"temperature": -1.0}, OptionError, "temperature must be from 0 to 10, not -1"),
    ("x", {"temperature": INF}, OptionError, "temperature .* not inf"),
    ("x", {"guidance": 0.5}, OptionError, "guidance must be from 1 to 20, not 0.5"),
    ("x", {"guidance": NAN}, OptionError, "guidance .* not nan"),
    ("x", {"seed": -1}, OptionError, "seed must be from 0"),
    ("x", {"seed": 2**63}, OptionError, "seed must be from 0"),
    ("x", {"negative": "drums", "guidance": 1.0}, OptionError, "negative prompt works through"),
    (None, {"enhance": True}, OptionError, "enhance needs a prompt"),
]
# What only a program can say.
ODD: list[tuple[Any, dict[str, Any], type[CadenzaError], str]] = [
    (["jazz", "rock"], {}, PromptError, r"the prompt must be one text, not \['jazz', 'rock'\]"),
    (b"jazz", {}, PromptError, "the prompt must be one text"),
    ("x", {"negative": 5}, PromptError, "the negative prompt must be one text, not 5"),
    ("x", {"seed": 1.5}, OptionError, "seed must be a whole number, not 1.5"),
    ("x", {"top_k": 2.5}, OptionError, "top-k must be a whole number, not 2.5"),
    ("x", {"guidance": "much"}, OptionError, "guidance must be a number, not 'much'"),
    ("x", {"temperature": [1]}, OptionError, r"temperature must be a number, not \[1\]"),
    (
        "x",
        {"beginning": Audio(np.full((1, 32_000), np.nan, np.float32), 32_000)},
        AudioError,
        "the beginning is damaged",
    ),
]


@pytest.mark.parametrize(("prompt", "options", "kind", "words"), [*REQUESTS, *ODD])
def test_a_request_is_checked_when_it_is_made(
    prompt: str | None, options: dict[str, Any], kind: type[CadenzaError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        GenerateRequest(prompt, **options)


FLAGS = {"top_k": "--top-k", "top_p": "--top-p"}


@pytest.mark.parametrize(
    ("prompt", "options", "kind", "words"), [row for row in REQUESTS if row[0] is not None]
)
def test_the_command_says_the_same_in_one_line(
    prompt: str, options: dict[str, Any], kind: type[CadenzaError], words: str
) -> None:
    del kind  # one line has no type
    flags = [
        "--enhance" if name == "enhance" else f"{FLAGS.get(name, f'--{name}')}={value}"
        for name, value in options.items()
    ]
    result = run("generate", prompt, *flags)
    assert result.code == 1
    assert re.search(words, result.errors)
    assert result.errors.count("\n") == 1
    assert result.errors.startswith("cadenza: ")
    assert "Traceback" not in result.errors
    assert result.output == ""


@pytest.mark.parametrize("option", ["melody", "beginning"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.wav", "cannot be read as sound"),
        ("nothing.wav", "cannot be read as sound"),
        ("empty.wav", "is empty"),
        ("silent.wav", "is silent"),
        ("hour.flac", "lasts 3600 s, at most 600 s"),
        ("absent.wav", "does not exist"),
    ],
)
def test_sounds_that_cannot_be_used(sounds: Path, option: str, name: str, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        GenerateRequest("x", **{option: sounds / name})
    flag = "--continue" if option == "beginning" else "--melody"
    result = run("generate", "x", flag, str(sounds / name))
    assert result.code == 1
    assert name in result.errors and result.errors.count("\n") == 1


def test_a_beginning_has_its_own_bounds(sounds: Path, model: Model) -> None:
    with pytest.raises(AudioError, match="lasts 200 s, at most 120 s"):
        GenerateRequest("x", beginning=sounds / "long.flac")
    with pytest.raises(AudioError, match="less than one frame"):
        model.generate("x", beginning=sine(0.01))


# ── Options that exclude each other ─────────────────────────────────────────────────────────────


def test_options_that_exclude_each_other(sounds: Path, tmp_path: Path) -> None:
    good = str(sounds / "good.wav")
    with pytest.raises(OptionError, match="a melody and a beginning exclude each other"):
        GenerateRequest("x", melody=good, beginning=good)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("jazz\n")
    for arguments in (
        ["x", "--melody", good, "--continue", good],
        ["x", "--prompts", str(prompts)],
        ["x", "--unconditional"],
        ["--prompts", str(prompts), "--unconditional"],
        [],
    ):
        result = run("generate", *arguments)
        assert result.code == 1
        assert "exclude" in result.errors or "give either prompts" in result.errors


# ── With a model ────────────────────────────────────────────────────────────────────────────────


def test_options_that_this_model_does_not_have(model: Model, sounds: Path) -> None:
    with pytest.raises(OptionError, match="top-k is 65, but this model's vocabulary has 64"):
        model.generate("x", top_k=65)
    with pytest.raises(OptionError, match="cannot follow a melody"):
        model.generate("x", melody=sounds / "good.wav")
    with pytest.raises(ModelMismatch, match="codebooks"):
        model.generate("x", beginning=Codes(np.zeros((8, 10), np.int64), 50.0))
    with pytest.raises(ModelMismatch, match="ids from 99"):
        model.generate("x", beginning=Codes(np.full((4, 10), 99, np.int64), 50.0))
    with pytest.raises(TypeError, match="durations"):
        model.generate("x", durations=3)


def test_one_bad_request_stops_a_batch_before_anything_runs(model: Model) -> None:
    steps: list[tuple[int, int]] = []
    requests = [GenerateRequest("x"), GenerateRequest("y", top_k=65)]
    with pytest.raises(OptionError):
        model.generate_batch(requests, lambda *now: steps.append(now))
    assert steps == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smal", "did you mean small"),
        ("zzz", "choose one of nano, small"),
        ("./absent", "there is no folder"),
        ("facebook/absent", "is not on this machine"),
    ],
)
def test_models_that_are_not_to_be_found(name: str, words: str) -> None:
    with pytest.raises(ModelNotFound, match=words):
        cadenza.load(name, offline=True)
    result = run("generate", "x", "--model", name, "--offline")
    assert result.code == 1
    assert result.errors.splitlines()[-1].startswith("cadenza: ")


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lacks"):
        cadenza.load(tmp_path)


def test_devices_and_precisions_that_are_not_there() -> None:
    with pytest.raises(DeviceError, match="unknown device 'tpu': choose auto, cpu, cuda, mps"):
        choose_device("tpu")
    with pytest.raises(DeviceError, match="does not compute in 'int3' here: choose auto, fp32"):
        choose_precision("int3", "cpu")
    import torch

    for device, there in (
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    ):
        if not there:
            with pytest.raises(DeviceError, match=f"no {device}"):
                choose_device(device)
            assert "cadenza: this machine has no" in run("generate", "x", "--device", device).errors


# ── Places ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "absent/a.wav"], "absent does not exist"),
        (["-o", "a.xyz"], "unknown format '.xyz'"),
        (["-o", "a.wav", "--format", "aiff"], "unknown format 'aiff'"),
        (["-o", "a.mp3", "--format", "wav24"], "is not a name for the format wav24"),
        (["-o", "a.wav", "--loudness", "3"], "loudness must be from -70 to 0 LUFS"),
        (["--count", "0"], "count must be from 1"),
        (["--count", "100000"], "count must be from 1 to 1000"),
    ],
)
def test_places_are_checked_before_a_model_is_loaded(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("generate", "x", "--model", "no-such-model", *arguments)
    assert result.code == 1
    assert words in result.errors
    assert list(tmp_path.iterdir()) == []


def test_a_take_that_cannot_be_saved_keeps_the_old_file(model: Model, tmp_path: Path) -> None:
    take = model.generate("x", duration=0.1)
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")
    with pytest.raises(OptionError):
        take.save(path, format="m4a")
    with pytest.raises(OutputError):
        take.save(tmp_path / "absent" / "a.wav")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# ── The tree itself ─────────────────────────────────────────────────────────────────────────────


def test_every_error_is_ours_and_drawn_in_the_tree() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) >= 13
    for kind in kinds:
        assert issubclass(kind, CadenzaError)
        assert kind.__name__ in (errors.__doc__ or "")


def test_wrong_usage_is_exit_code_2() -> None:
    assert run("generate", "x", "--nonsense").code == 2
    assert run("generate", "x", "--duration", "long").code == 2
    assert run("nonsense").code == 2
