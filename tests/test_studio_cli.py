"""The studio's commands: what they make, what they say, and one line for every mistake."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cadenza.audio import read, write
from cadenza.types import Audio
from tests.command import run
from tests.sounds import silence

PROMPT = "late-night jazz trio, 160 bpm, F minor"


@pytest.fixture(scope="module")
def player(tiny_text: Path) -> tuple[str, ...]:
    """The options that choose a tiny model."""
    return ("--model", str(tiny_text), "--backend", "torch")


@pytest.fixture(scope="module")
def session(player: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "session"
    made = run(
        *("band", PROMPT, "--tracks", "piano, bass,drums", "-o", str(folder), "--bars", "1"),
        *("--seed", "3", "--retries", "0", "--prompt", "bass=a tuba, 160 bpm", *player),
    )
    assert made.code == 0, made.errors
    assert "1 bar, 160 bpm, F minor" in made.output and "mix.wav" in made.output
    for name in ("piano", "bass", "drums"):
        assert name in made.output
    return folder


def test_a_band_is_mixed_remade_and_packed(session: Path, player: tuple[str, ...]) -> None:
    facts = json.loads((session / "session.json").read_text())
    assert [track["prompt"] for track in facts["tracks"]][1] == "a tuba, 160 bpm"
    before = (session / "mix.wav").read_bytes()
    again = run("mix", str(session), "--json", "--zip")
    answer = json.loads(again.output)
    assert (session / "mix.wav").read_bytes() == before
    assert answer["session"]["tracks"][0]["seed"] == facts["tracks"][0]["seed"]
    assert zipfile.is_zipfile(answer["zip"])
    remade = run("remake", str(session), "--track", "bass", "--seed", "9", *player[2:])
    assert remade.code == 0, remade.errors
    assert (session / "mix.wav").read_bytes() != before
    assert json.loads((session / "session.json").read_text())["tracks"][1]["seed"] == 9
    resumed = run("resume", str(session), *player[2:])
    assert resumed.code == 0, resumed.errors


def test_a_zip_is_mixed_and_remade_as_its_folder_is(
    session: Path, player: tuple[str, ...], tmp_path: Path
) -> None:
    folder, archive = tmp_path / "s", tmp_path / "s.zip"
    shutil.copytree(session, folder)
    assert run("mix", str(folder), "--zip").code == 0
    kept = archive.read_bytes()
    for words in (("mix",), ("remake", "--track", "bass", "--seed", "11", *player[2:])):
        for place in (folder, archive):
            result = run(words[0], str(place), *words[1:])
            assert result.code == 0, result.errors
        assert result.output.endswith(f"{archive}\n")
        with zipfile.ZipFile(archive) as packed:
            for place in (folder / "mix.wav", *folder.glob("*/*.wav"), *folder.glob("midi/*")):
                name = place.relative_to(tmp_path).as_posix()
                assert packed.read(name) == place.read_bytes(), name
            assert json.loads(packed.read("s/session.json"))["tracks"][1]["seed"] != 3
    assert archive.read_bytes() != kept
    wrong = run("remake", str(archive), "--track", "kazoo")
    assert wrong.code == 1 and "the session has no track 'kazoo'" in wrong.errors
    answer = json.loads(run("resume", str(archive), "--json", *player[2:]).output)
    assert (answer["folder"], answer["zip"]) == (None, str(archive))
    assert answer["session"]["tracks"][1]["seed"] == 11
    assert sorted(place.name for place in tmp_path.iterdir()) == ["s", "s.zip"]


def test_a_loop_is_exact_and_says_how_its_seam_is(player: tuple[str, ...], tmp_path: Path) -> None:
    place = tmp_path / "loop.wav"
    made = run("loop", "techno, 160 bpm", "--bars", "1", "-o", str(place), "--seed", "2", *player)
    assert made.code == 0, made.errors
    assert "1 bar at 160 bpm, 48000 samples, seed 2" in made.output and "seam: " in made.output
    assert soundfile.info(place).frames == 48_000
    assert json.loads(place.with_suffix(".json").read_text())["loop"]["bars"] == 1
    many = run(
        *("loop", "techno, 160 bpm", "--bars", "1", "-o", str(tmp_path), "--count", "2"),
        *("--seed", "2", "--json", *player),
    )
    loops = json.loads(many.output)["loops"]
    assert [read(loop["path"]).samples.shape[1] for loop in loops] == [48_000, 48_000]
    assert np.array_equal(read(loops[0]["path"]).samples, read(place).samples)


ABSENT = ("--model", "absent")  # so it is told before a model is looked for
MISTAKES = [
    (("band", PROMPT, "--tracks", "kazoo", "-o", "x"), "kazoo is not an instrument known here"),
    (("band", PROMPT, "--tracks", ",".join(["piano"] * 40), "-o", "x"), "1 to 12 tracks, not 40"),
    (("band", PROMPT, "--tracks", "bass,bass", "-o", "x"), "bass is there twice"),
    (("band", PROMPT, "--tracks", "", "-o", "x"), "1 to 12 tracks, not 0"),
    (("band", "", "--tracks", "bass", "-o", "x"), "the prompt is empty"),
    (("band", PROMPT, "--tracks", "bass", "-o", "x", "--prompt", "tuba"), "names no track"),
    (("band", PROMPT, "--tracks", "bass", "-o", "file.txt"), "is a file: choose a folder"),
    (("band", PROMPT, "--tracks", "bass", "-o", "full"), "is not empty"),
    (("band", PROMPT, "--tracks", "bass", "-o", "/proc/x", *ABSENT), "cannot write into /proc"),
    (("band", PROMPT, "--tracks", "bass", "-o", "file.txt/x", *ABSENT), "file.txt does not exist"),
    (("band", PROMPT, "--tracks", "bass", "-o", "x", "--how", "loud"), "together or layered"),
    (("mix", "nowhere"), "holds no session.json"),
    (("mix", "full"), "holds no session.json"),
    (("mix", "file.txt"), "file.txt cannot be opened as a session: File is not a zip file"),
    (("resume", "nowhere"), "holds no session.json"),
    (("remake", "nowhere", "--track", "bass"), "holds no session.json"),
    (("loop", "techno, 128 bpm", "--bars", "0"), "1 to 64 bars, not 0"),
    (("loop", "techno, 700 bpm"), "from 40 to 240 bpm, not 700"),
    (("loop", "techno", "-o", "loop.mp3"), "loop.mp3 is not a name for the format wav"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_a_mistake_is_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("here already")
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    result = run(*words)
    assert result.code == 1 and result.output == ""
    assert message in result.errors
    assert result.errors.startswith("cadenza: ") and result.errors.count("\n") == 1
    assert sorted(place.name for place in tmp_path.rglob("*")) == ["file.txt", "full", "notes.txt"]


@pytest.mark.parametrize(
    ("write_bad", "message"),
    [
        (lambda place, rate: place.write_bytes(b""), "cannot be read"),
        (lambda place, rate: place.write_text("RIFF but no sound"), "cannot be read"),
        (lambda place, rate: write(silence(0.001, rate), place), "the session has 48000"),
        (lambda place, rate: write(silence(1.5, 192_000), place), "at 192000 Hz"),
        (lambda place, rate: write(silence(1.5, rate, 8), place), "has 8 channels"),
        (lambda place, rate: soundfile.write(place, np.zeros(3600 * 100), 100), "lasts 3600 s"),
    ],
    ids=["empty", "no sound", "one sample", "192 kHz", "8 channels", "an hour"],
)
def test_a_track_that_was_changed_into_something_else(
    session: Path, tmp_path: Path, write_bad: object, message: str
) -> None:
    copy = tmp_path / "copy"
    for place in [session / "session.json", *session.glob("tracks/*.wav")]:
        target = copy / place.relative_to(session)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(place.read_bytes())
    write_bad(copy / "tracks" / "bass.wav", 32_000)  # type: ignore[operator]
    result = run("mix", str(copy))
    assert result.code == 1 and message in result.errors and result.errors.count("\n") == 1


def test_a_silent_track_is_mixed_as_silence(session: Path, tmp_path: Path) -> None:
    for place in [session / "session.json", *session.glob("tracks/*.wav")]:
        target = tmp_path / place.relative_to(session)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(place.read_bytes())
    for part in ("stems", "takes", "midi"):
        (tmp_path / part).mkdir()
    bass = tmp_path / "tracks" / "bass.wav"
    write(Audio(np.zeros_like(read(bass).samples), 32_000), bass, "wav24")
    assert run("mix", str(tmp_path)).code == 0
    assert not read(tmp_path / "stems" / "bass.wav").samples.any()
    assert np.isfinite(read(tmp_path / "mix.wav").samples).all()
