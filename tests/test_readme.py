"""The README holds: its Python runs, its commands run, its names are those that exist.

Everything is run as it stands there but for its length, and for the models that would have to be
fetched: tiny checkpoints of the same family stand in for those.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from benchmarks.finetune import steam_organ
from cadenza import speaker
from cadenza.audio import read, write
from cadenza.checkpoints import CATALOGUE
from tests.command import run
from tests.separators import published
from tests.sounds import sine
from tests.speakers import HEARD, ProcessSpeaker

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PLAYERS = {"ffplay", "aplay"}
SECONDS = 0.5
SERVICE = {"serve", "keys", "--server"}  # these are run by test_serving.py


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found
    return found


LINES = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]


def test_every_line_is_one_that_is_checked() -> None:
    assert {line[0] for line in LINES} == {"make", "cadenza", "."}
    assert [".", ".venv/bin/activate"] in LINES


def test_make_knows_its_targets() -> None:
    for line in LINES:
        if line[0] == "make":
            subprocess.run([*line, "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_the_commands(
    tiny_text: Path,
    tiny_melody: Path,
    tiny_stereo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(speaker, "Speaker", ProcessSpeaker)
    monkeypatch.setattr(speaker, "check_speaker", lambda: None)
    monkeypatch.setenv(HEARD, "heard.raw")
    write(sine(), "whistling.ogg")
    Path("recordings").mkdir()
    write(steam_organ(1), "recordings/one.flac")
    for folder in ("takes", "records"):
        Path(folder).mkdir()
        write(sine(), f"{folder}/tone.wav")
    [table] = blocks("csv")
    Path("prompts.csv").write_text(re.sub(r",\d+,", f",{SECONDS},", table))
    stand_ins = {
        "small": str(tiny_text),
        "melody": str(tiny_melody),
        "stereo-small": str(tiny_stereo),
        "cuda": "cpu",
    }
    for line in LINES:
        if line[0] != "cadenza" or line[1] in SERVICE:
            continue
        end = line.index("|") if "|" in line else len(line)
        arguments = [stand_ins.get(word, word) for word in line[1:end]]
        if arguments[0] in ("generate", "stream", "play", "again"):
            arguments += ["--duration", str(SECONDS)]  # the last one counts
        if arguments[0] == "finetune":
            arguments += ["--steps", "2", "--batch", "1"]
        if arguments[0] in ("band", "loop"):
            arguments += ["--bars", "1"]
        if arguments[0] == "band":
            arguments += ["--retries", "0"]
        if arguments[0] == "split":
            arguments += ["--weights", str(published(tmp_path / "weights"))]
        result = run(*arguments)
        assert result.code == 0, f"{shlex.join(line)}: {result.errors}"
        if arguments[0] == "stream":
            assert line[end + 1] in PLAYERS
            assert result.binary.startswith(b"RIFF")
        if "-o" in arguments:
            assert Path(arguments[arguments.index("-o") + 1]).exists()
    assert read("folk.wav").duration == SECONDS
    assert read("longer.wav").duration == 2 * SECONDS


def test_the_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for snippet in blocks("python"):
        exec(re.sub(r"duration=\d+", f"duration={SECONDS}", snippet), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "True"  # verified
    assert printed[-2].startswith("sad robot, ")
    assert read("jazz.wav").duration == SECONDS
    assert read("longer.mp3").duration == pytest.approx(2 * SECONDS, abs=0.1)


def test_the_table_of_models() -> None:
    named = re.findall(r"`([\w-]+)`", "\n".join(re.findall(r"^\| `.*$", README, re.MULTILINE)))
    assert sorted(named) == sorted(CATALOGUE)
    assert "CC-BY-NC 4.0 does not allow commercial use" in README


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for name in re.findall(r"`(\w+\.(?:py|ipynb))`", README):
        assert (ROOT / "examples" / name).is_file(), name
