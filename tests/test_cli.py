import io
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import soundfile

import cadenza
from cadenza.audio import FORMATS, read, write
from cadenza.studio.audition import CHOICE, SHORTLIST
from cadenza.take import read_recipe
from tests.command import run
from tests.sounds import sine

COMMAND = [sys.executable, "-c", "from cadenza.cli import main; main()"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ── generate ────────────────────────────────────────────────────────────────────────────────────


def test_generate_writes_a_file_and_says_what_where_and_how_fast(
    tiny_text: Path, here: Path
) -> None:
    result = run(
        "generate", "Jazz piano, 120 bpm!", "-m", str(tiny_text), "--duration=1", "--seed=7"
    )
    assert result.code == 0
    assert names(here) == ["jazz-piano-120-bpm-7.wav"]
    first, second = result.output.splitlines()
    assert first == "jazz-piano-120-bpm-7.wav  1.0 s  seed 7"
    assert second.startswith("1.0 s of music in ") and "times real time" in second
    recipe = read_recipe("jazz-piano-120-bpm-7.wav")
    assert (recipe.prompt, recipe.sampling.seed, recipe.frames) == ("Jazz piano, 120 bpm!", 7, 50)


def test_every_option_reaches_the_recipe(tiny_text: Path) -> None:
    run(
        "generate", "sad robot", "-m", str(tiny_text), "-o", "a.flac", "--duration=0.5",
        "--seed=7", "--negative=drums", "--guidance=2.5", "--temperature=0.9", "--top-k=32",
        "--top-p=0.8", "--enhance", "--device=cpu", "--precision=bf16", "--recipe",
    )  # fmt: skip
    recipe = read_recipe("a.flac")
    assert recipe == read_recipe("a.json")
    assert recipe.text == cadenza.enhance("sad robot")
    sampling = recipe.sampling
    assert (sampling.guidance, sampling.temperature, sampling.top_k, sampling.top_p) == (
        2.5,
        0.9,
        32,
        0.8,
    )
    assert (recipe.negative, recipe.precision) == ("drums", "bf16")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_by_name(tiny_text: Path, here: Path, format: str) -> None:
    result = run(
        "generate", "x", "-m", str(tiny_text), "--duration=0.5", "--seed=1", f"--format={format}"
    )
    assert result.code == 0
    [path] = here.iterdir()
    assert path.suffix == FORMATS[format].suffix
    info = soundfile.info(path)
    assert (info.format, info.subtype) == (FORMATS[format].container, FORMATS[format].subtype)


def test_several_prompts_and_takes(tiny_text: Path, here: Path) -> None:
    model = ["-m", str(tiny_text), "--duration=0.2", "--seed=5"]
    run("generate", "jazz", "rock", *model, "--count=2")
    assert names(here) == ["jazz-5.wav", "jazz-6.wav", "rock-5.wav", "rock-6.wav"]
    run("generate", "jazz", *model, "--count=2", "-o", "take.ogg")
    assert {"take-1.ogg", "take-2.ogg"} < set(names(here))
    assert [read_recipe(f"take-{n}.ogg").sampling.seed for n in (1, 2)] == [5, 6]
    assert read_recipe("take-2.ogg").codes_sha256 == read_recipe("jazz-6.wav").codes_sha256
    Path("folder").mkdir()
    run("generate", "jazz", *model, "-o", "folder")
    assert names(here / "folder") == ["jazz-5.wav"]


def test_more_takes_than_fit_a_batch(tiny_text: Path, here: Path) -> None:
    run("generate", "x", "-m", str(tiny_text), "--duration=0.1", "--count=19", "--seed=1")
    assert len(names(here)) == 19
    assert len({read_recipe(name).codes_sha256 for name in names(here)}) == 19


def test_without_a_prompt(tiny_text: Path, here: Path) -> None:
    run("generate", "--unconditional", "-m", str(tiny_text), "--duration=0.1", "--seed=1")
    assert names(here) == ["unconditional-1.wav"]
    assert read_recipe("unconditional-1.wav").prompt is None


def test_a_file_of_prompts(tiny_text: Path, here: Path) -> None:
    Path("list.txt").write_text("jazz piano\n\n  rock żółć  \n", "utf-8")
    common = ["-m", str(tiny_text), "--duration=0.1", "--seed=1"]
    assert run("generate", "--prompts", "list.txt", *common).code == 0
    assert names(here) == ["jazz-piano-1.wav", "list.txt", "rock-żółć-1.wav"]


def test_a_table_of_prompts(tiny_text: Path, here: Path) -> None:
    Path("list.csv").write_text(
        'prompt,duration,seed,temperature,output\n"jazz, slow",0.3,4,0,first.mp3\nrock,,,,\n\n',
    )
    result = run(
        "generate", "--prompts", "list.csv", "-m", str(tiny_text), "--duration=0.1", "--seed=9"
    )
    assert result.code == 0, result.errors
    assert names(here) == ["first.mp3", "list.csv", "rock-9.wav"]
    first = read_recipe("first.mp3")
    assert (first.prompt, first.frames, first.sampling.seed) == ("jazz, slow", 15, 4)
    assert first.sampling.temperature == 0
    assert read_recipe("rock-9.wav").frames == 5


def test_a_prompt_of_two_lines_in_a_table(tiny_text: Path) -> None:
    Path("list.csv").write_text('prompt,output\n"folk\nguitar",a.wav\nrock,b.wav\n')
    result = run("generate", "--prompts", "list.csv", "-m", str(tiny_text), "--duration=0.1")
    assert result.code == 0, result.errors
    assert [read_recipe(name).prompt for name in ("a.wav", "b.wav")] == ["folk\nguitar", "rock"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "prompt,tempo\nx,3\n", "unknown column 'tempo'"),
        ("a.csv", "duration\n3\n", "no column «prompt»"),
        ("a.csv", "prompt,duration\nx,long\n", "line 2: duration cannot be 'long'"),
        ("a.csv", "prompt,duration\njazz, slow,3\n", "more cells"),
        ("a.csv", "prompt,duration\n,3\n", "the prompt is empty"),
        ("a.csv", "prompt,output\nx,a.wav\ny,a.wav\n", "same file"),
        ("a.csv", "prompt\n", "holds no prompt"),
        ("a.csv", 'prompt\n"open\n' + "x,y\n" * 50_000, "is no CSV"),
        ("a.csv", "prompt,output\nx,.\n", "line 2: output cannot be '.'"),
        ("a.csv", "prompt,output\nx,a\0.wav\n", "output cannot be 'a\\x00.wav'"),
        ("a.txt", "\n \n", "holds no prompt"),
        ("absent.txt", None, "cannot be read as a text"),
    ],
)
def test_files_of_prompts_with_mistakes(name: str, content: str | None, words: str) -> None:
    if content is not None:
        Path(name).write_text(content)
    result = run("generate", "--prompts", name, "--model", "no-such-model")
    assert result.code == 1
    assert words in result.errors


@pytest.mark.parametrize(
    ("outputs", "options"),
    [
        (("a.wav", "a-2.wav"), ["--best-of=2", "--keep-all"]),
        (("a.wav", "a.flac"), ["--recipe"]),
    ],
)
def test_no_piece_takes_the_place_of_what_another_brings_along(
    outputs: tuple[str, str], options: list[str]
) -> None:
    Path("list.csv").write_text("prompt,output\n" + "".join(f"x,{name}\n" for name in outputs))
    result = run("generate", "--prompts", "list.csv", "--model", "no-such-model", *options)
    assert result.code == 1
    assert "two pieces would go to the same file" in result.errors


def test_a_list_without_seeds_gets_the_best_of_several_too() -> None:
    Path("list.txt").write_text("techno, 128.5 bpm\n")
    result = run("generate", "--prompts", "list.txt", "--duration=0.3", "--json", "-o", "a.wav")
    assert len(json.loads(result.output)["auditions"][0]) == SHORTLIST
    Path("list.csv").write_text('prompt,seed\n"techno, 128.5 bpm",3\n')
    result = run("generate", "--prompts", "list.csv", "--duration=0.3", "--json", "-o", "b.wav")
    assert "auditions" not in json.loads(result.output)


def test_all_takes_are_kept_where_nobody_said_how_many(here: Path) -> None:
    result = run("generate", "techno, 130 bpm", "--duration=0.2", "--keep-all", "-o", "a.wav")
    assert result.code == 0, result.errors
    assert len(names(here)) == CHOICE
    assert run("generate", "x", "--duration=0.2", "--keep-all", "-o", "b.wav").code == 0
    assert len(names(here)) == CHOICE + 1  # nothing to choose by: a single take


def test_nothing_takes_the_place_of_what_it_is_made_from(tiny_text: Path, here: Path) -> None:
    common = ["-m", str(tiny_text), "--duration=0.3", "--seed=7"]
    run("generate", "techno", *common)
    before = Path("techno-7.wav").read_bytes()
    assert run("again", "techno-7.wav", "--temperature=0.5").code == 0
    assert run("generate", "techno", *common, "--continue=techno-7.wav").code == 0
    longer = "techno-7-again-again"
    assert names(here) == [f"{longer}.wav", "techno-7-again.wav", "techno-7.wav"]
    assert run("again", f"{longer}.wav", "--guidance=5").code == 0
    assert names(here) == [f"{longer}-again.wav", f"{longer}.wav", *names(here)[2:]]
    assert Path("techno-7.wav").read_bytes() == before
    assert run("verify", f"{longer}-again.wav").code == 0
    refused = run("again", f"{longer}.wav", "-o", "techno-7.wav")
    assert refused.code == 1 and "is what the piece is made from" in refused.errors
    for command in (
        ["again", "techno-7.wav"],
        ["generate", "x", *common, "--continue=techno-7.wav"],
    ):
        result = run(*command, "-o", "./techno-7.wav")
        assert result.code == 1 and "is what the piece is made from" in result.errors
    assert Path("techno-7.wav").read_bytes() == before


def test_a_folder_that_is_not_there_is_no_file() -> None:
    result = run("generate", "x", "-o", "new/", "--model", "no-such-model")
    assert result.code == 2 and "there is no folder new/" in result.errors


@pytest.mark.parametrize("command", [["verify"], ["again"], ["mix"], ["generate", "x", "-o"]])
def test_a_place_that_cannot_be_is_one_line(command: list[str]) -> None:
    result = run(*command, "x" * 300 + ".wav")
    assert result.code == 1 and result.errors.count("\n") == 1
    assert "File name too long" in result.errors


def test_a_place_for_the_recipe_is_looked_for_before_the_work(here: Path) -> None:
    Path("a.json").mkdir()
    result = run("generate", "x", "-o", "a.wav", "--recipe", "--model", "no-such-model")
    assert result.code == 1 and "a.json is a folder" in result.errors
    assert names(here) == ["a.json"]


def test_json_for_programs(tiny_text: Path) -> None:
    result = run(
        "generate", "x", "-m", str(tiny_text), "--duration=0.5", "--seed=1", "--count=2", "--json"
    )
    assert result.errors == ""
    answer = json.loads(result.output)
    assert [file["recipe"]["sampling"]["seed"] for file in answer["files"]] == [1, 2]
    assert all(Path(file["path"]).is_file() for file in answer["files"])
    assert answer["times_real_time"] == pytest.approx(1.0 / answer["seconds"])


def test_continuing_a_file(tiny_text: Path) -> None:
    write(sine(1.0, 44_100, channels=2), "start.mp3")
    run(
        "generate",
        "x",
        "-m",
        str(tiny_text),
        "--duration=0.5",
        "--continue=start.mp3",
        "-o",
        "a.wav",
    )
    assert read("a.wav").duration == pytest.approx(1.5, abs=0.1)
    assert run("verify", "a.wav").code == 0


def test_following_a_melody(tiny_melody: Path) -> None:
    write(sine(1.0), "tune.wav")
    model = ["-m", str(tiny_melody)]
    result = run("generate", "x", *model, "--duration=0.5", "--melody=tune.wav", "-o", "a.wav")
    assert result.code == 0
    melody = read_recipe("a.wav").melody
    assert melody is not None and melody.path == "tune.wav"


def test_the_licence_is_said_when_it_forbids_something(tiny_text: Path, here: Path) -> None:
    shutil.copytree(tiny_text, "restricted")
    Path("restricted", "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    arguments = ["generate", "x", "-m", "./restricted", "--duration=0.1", "-o", "a.wav"]
    assert "cc-by-nc-4.0: not for commercial use" in run(*arguments).errors
    answer = run(*arguments, "--json")
    assert answer.errors == ""
    assert json.loads(answer.output)["files"][0]["recipe"]["model"]["licence"] == "cc-by-nc-4.0"
    assert "not for commercial use" in run("models", "show", "./restricted").output
    assert "not for commercial use" in run("models", "get", "small").errors


# ── verify and again ────────────────────────────────────────────────────────────────────────────


def test_verify_and_again(tiny_text: Path, here: Path) -> None:
    run("generate", "jazz", "-m", str(tiny_text), "--duration=0.5", "--seed=1", "-o", "a.mp3")
    result = run("verify", "a.mp3")
    assert (result.code, result.output) == (0, "a.mp3: the same, all 100 codes\n")
    assert json.loads(run("verify", "a.mp3", "--json").output)["same"] is True

    result = run("again", "a.mp3", "--seed=2", "--prompt=rock", "-o", "b.opus")
    assert result.code == 0
    was, now = read_recipe("a.mp3"), read_recipe("b.opus")
    assert (now.prompt, now.sampling.seed, now.frames) == ("rock", 2, 25)
    assert now.codes_sha256 != was.codes_sha256
    assert now.sampling.guidance == was.sampling.guidance

    run("again", "a.mp3")
    assert read_recipe("jazz-1.wav").codes_sha256 == was.codes_sha256


def test_verify_says_no_with_its_exit_code(tiny_text: Path) -> None:
    run("generate", "jazz", "-m", str(tiny_text), "--duration=0.5", "-o", "a.wav", "--recipe")
    recipe = json.loads(Path("a.json").read_text())
    recipe["sampling"]["seed"] += 1
    Path("a.json").write_text(json.dumps(recipe))
    result = run("verify", "a.json")
    assert result.code == 1
    assert "not the same" in result.output
    write(sine(), "plain.wav")
    assert "no recipe" in run("verify", "plain.wav").errors


# ── models and prompt ───────────────────────────────────────────────────────────────────────────


def test_models_lists_names_sizes_and_licences() -> None:
    result = run("models")
    assert result.output == run("models", "list").output
    for name in ("nano", "small", "stereo-melody-large"):
        assert f"\n{name[:13]}" in result.output
    assert "CC-BY-NC-4.0: not for commercial use" in result.output
    entries = json.loads(run("models", "list", "--json").output)
    assert [entry["name"] for entry in entries][:2] == ["nano", "small"]


def test_json_may_stand_ahead_of_what_is_asked(tiny_text: Path) -> None:
    for group, command in (("models", ("list",)), ("models", ("show", str(tiny_text)))):
        behind = run(group, *command, "--json").output
        assert json.loads(behind)
        assert run(group, "--json", *command).output == behind


def test_models_show_draws_the_checkpoint(tiny_stereo: Path) -> None:
    result = run("models", "show", str(tiny_stereo))
    assert result.code == 0
    drawing = result.output.split("\n\n")[1]
    order = ["prompt", "▼  text encoder", "▼  projection", "▼  decoder", "▼  codec", "stereo"]
    positions = [drawing.index(words) for words in order]
    assert positions == sorted(positions)
    assert "✓" in result.output and "✗" not in result.output
    architecture = json.loads(run("models", "show", str(tiny_stereo), "--json").output)
    assert architecture["channels"] == 2
    assert all(check["fits"] for check in architecture["checks"])


def test_models_get_finds_what_is_there(tiny_text: Path) -> None:
    result = run("models", "get", str(tiny_text))
    assert (result.code, result.output) == (0, f"{tiny_text} is in {tiny_text}\n")


def test_prompt_describes_and_says_why() -> None:
    result = run("prompt", "sad robot")
    assert result.output.splitlines()[0] == cadenza.enhance("sad robot")
    assert "sadness (sad)" in result.output and "72 bpm (tempo)" in result.output
    assert json.loads(run("prompt", "sad robot", "--json").output)["prompt"] == "sad robot"
    assert "lofi" in run("prompt").output
    assert "lofi" in json.loads(run("prompt", "--json").output)
    assert run("prompt", "").code == 1


def test_help_and_version() -> None:
    for command in ("generate", "stream", "models", "prompt", "verify", "again"):
        assert command in run("--help").output
        assert "Usage: cadenza" in run(command, "--help").output
    assert run("--version").output == f"{cadenza.__version__}\n"


# ── Real processes: pipes, terminals, signals ───────────────────────────────────────────────────


def test_stream_is_a_wav_while_it_is_made(tiny_text: Path) -> None:
    arguments = ["stream", "jazz", "-m", str(tiny_text), "--duration=1", "--seed=3"]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, check=True)
    samples, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    take = cadenza.load(tiny_text).generate("jazz", duration=1, seed=3)
    assert rate == 32_000
    inside = np.abs(take.audio.samples[0]) < 0.9
    np.testing.assert_allclose(samples[inside], take.audio.samples[0, inside], atol=1e-3)
    assert b"seed 3, 32000 Hz, 1 channel(s)" in done.stderr

    # The other process has more threads, whose rounding may move a sample by one step of 16 bits.
    raw, streamed = (
        np.frombuffer(pcm, dtype="<i2").astype(int)
        for pcm in (run(*arguments, "--raw").binary, done.stdout[44:])
    )
    np.testing.assert_allclose(raw, streamed, atol=1)


def test_a_player_that_is_closed_ends_the_stream_quietly(tiny_text: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "stream", "jazz", "-m", str(tiny_text), "--duration=600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(4) == b"RIFF"
    process.stdout.close()
    complaints = process.stderr.read()
    assert process.wait(timeout=60) == 0
    assert b"Error" not in complaints and b"Exception" not in complaints


def test_a_terminal_gets_a_bar_and_ctrl_c_leaves_nothing(tiny_text: Path, here: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "generate", "jazz", "-m", str(tiny_text), "--duration=600", "--count=8"],
        stderr=theirs,
        stdout=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(theirs)
    shown = b""
    while b"%" not in shown or b"left" not in shown:
        assert select.select([ours], [], [], 60)[0], f"no bar on the terminal: {shown!r}"
        shown += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the terminal was hung up
            break
        if not piece:
            break
        shown += piece
    assert process.wait(timeout=60) == 130
    assert b"stopped" in shown
    assert b"Traceback" not in shown
    assert names(here) == []


@pytest.mark.parametrize("module", ["numpy", "typer", "cadenza.cli.app", "cadenza.request"])
def test_ctrl_c_before_the_command_has_begun_is_quiet(module: str) -> None:
    program = f"""
        import signal, sys
        class Hand:
            def find_spec(self, name, path, target=None):
                if name == {module!r}:
                    signal.raise_signal(signal.SIGINT)
        sys.meta_path.insert(0, Hand())
        from cadenza.cli import main
        main()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), "generate", "jazz", "--duration=1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    assert done.stdout == "" and "Traceback" not in done.stderr


def test_brackets_in_a_name_are_shown_as_they_are() -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "models", "get", "[/chorus]"],
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        check=False,
        timeout=60,
    )
    os.close(theirs)
    shown = os.read(ours, 65_536)
    os.close(ours)
    assert done.returncode == 1
    assert b"fetching [/chorus]" in shown and b"there is no folder [/chorus]" in shown


def test_a_stream_into_a_full_disk_says_so(tiny_text: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "stream", "jazz", "-m", str(tiny_text), "--duration=1"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert b"cadenza: standard output cannot be written: No space left" in done.stderr
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr


@pytest.mark.parametrize(
    "command", [["prompt", "jazz"], ["models"], ["--help"], ["generate", "-h"], ["--version"], []]
)
def test_a_result_into_a_full_disk_is_one_line(command: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "cadenza: standard output cannot be written: No space left on device\n"


def test_any_text_reaches_a_terminal_or_a_program_of_few_letters(tiny_text: Path) -> None:
    prompt = "café 音楽 🎵"
    common = ["-m", str(tiny_text), "--duration=0.1", "--seed=1"]
    shown, told = (
        subprocess.run(
            [*COMMAND, "generate", prompt, *common, *more],
            env=os.environ | {"PYTHONIOENCODING": alphabet},
            capture_output=True,
            check=True,
        ).stdout.decode(alphabet)
        for alphabet, more in (("cp1252", []), ("ascii", ["--json"]))
    )
    assert shown.startswith("café-\\u97f3\\u697d-1.wav")
    [file] = json.loads(told)["files"]
    assert (Path(file["path"]).name, file["recipe"]["prompt"]) == ("café-音楽-1.wav", prompt)


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_nobody_needs_to_listen(tiny_text: Path, here: Path, closed: str) -> None:
    command = [*COMMAND, "generate", "x", "-m", str(tiny_text), "--duration=0.1", "--seed=1"]
    subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], check=True)
    assert read_recipe("x-1.wav").prompt == "x"


def test_stream_refuses_a_terminal(tiny_text: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "stream", "jazz"], stdout=theirs, stderr=subprocess.PIPE, check=False
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 1
    assert b"standard output is a terminal" in done.stderr
