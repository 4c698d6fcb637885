"""The examples run, and do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from cadenza.audio import read
from cadenza.checkpoints import describe, resolve
from cadenza.take import read_recipe
from cadenza.types import Audio

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOK = EXAMPLES / "cadenza_colab.ipynb"


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub, no card, and a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


def run(example: str, *arguments: str) -> str:
    """What an example prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / example), *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def showcase(model: str) -> tuple[str, dict[str, Audio]]:
    printed = run("showcase.py", "out", "--model", model, "--seconds", "0.5")
    files = {path.stem: read(path) for path in Path("out").iterdir()}
    assert set(re.findall(r"out/([\w-]+)\.wav", printed)) == set(files)
    assert "the same codes: True" in printed
    assert all(audio.peak > 0 for audio in files.values())
    return printed, files


def test_quickstart() -> None:
    printed = run("quickstart.py")
    assert read("jazz.wav").duration == 10
    assert read_recipe("jazz.wav").prompt == "jazz piano, 120 bpm"
    chunks = re.findall(r"^(\S+) s of sound", printed, re.MULTILINE)
    assert len(chunks) > 1
    assert sum(map(float, chunks)) == pytest.approx(5, abs=0.1)


def test_steering() -> None:
    printed = run("steering.py")
    assert [line.split(":")[0] for line in printed.splitlines()[:-1]] == [
        "jazz piano, 120 bpm",
        "slow strings, 80 bpm",
        "techno, 130 bpm",
    ]
    assert 12 <= read("steered.wav").duration < 14


def test_showcase() -> None:
    printed, files = showcase("nano")
    assert "nano cannot follow a melody" in printed
    assert set(files) == {
        "text", "seed", "count-1", "count-2", "count-3", "batch-techno", "batch-waltz",
        "batch-bold", "negative", "unconditional", "enhance", "stream", "continuation",
        "beyond-the-window",
    }  # fmt: skip
    assert files["beyond-the-window"].duration == 31
    assert files["continuation"].duration == 2.5
    assert read_recipe("out/count-1.wav").codes_sha256 == read_recipe("out/text.wav").codes_sha256


def test_showcase_of_a_melody_model(tiny_melody: Path) -> None:
    _, files = showcase(str(tiny_melody))
    assert files["melody"].duration == 0.5
    assert read_recipe("out/melody.wav").melody is not None


def test_architecture() -> None:
    printed = run("architecture.py")
    architecture = describe(resolve("nano").folder)
    for stage in architecture.stages:
        assert f"  {stage.name} ({stage.kind})" in printed
    width = int(architecture.stages[0].dimensions["width"])
    assert f"the width of the text encoder is {2 * width}, the input of" in printed
    assert "ModelMismatch" in printed
    assert "DOES NOT FIT" not in printed


def test_notebook() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in code)  # the file stays small
    [length] = [cell for cell in code if cell.source.startswith("SECONDS = ")]
    length.source = "SECONDS = 0.5"
    NotebookClient(notebook, timeout=300).execute()  # raises what a cell raises
    text = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert "nano on cpu" in text
    assert "True\n" in text  # verified
    players = [o for cell in code for o in cell.outputs if "<audio" in str(o.get("data", ""))]
    assert len(players) == 6


def test_no_example_is_forgotten() -> None:
    tested = {"quickstart.py", "steering.py", "showcase.py", "architecture.py", NOTEBOOK.name}
    assert {path.name for path in EXAMPLES.glob("*.*")} == tested
