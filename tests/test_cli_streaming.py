"""``cadenza stream`` and ``cadenza play``: steering, ends, the terminal, and no sound card."""

from __future__ import annotations

import ctypes.util
import io
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

import cadenza
from cadenza import speaker
from cadenza.cli.display import HEIGHT, WIDTH, Display, Spectrum, levels
from cadenza.cli.steering import MAX_LINE, Lines, Wheel
from cadenza.model import Model
from tests.command import run
from tests.sounds import pitch, silence, sine
from tests.speakers import HEARD, ProcessSpeaker

COMMAND = [sys.executable, "-c", "from cadenza.cli import main; main()"]
PATIENCE = 60  # seconds until something that should happen is taken not to


@pytest.fixture(scope="module")
def text(tiny_text: Path) -> Model:
    return cadenza.load(tiny_text)


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes, which would play for ever if a test that failed left them."""
    processes = []

    def begin(*command: str, **options: object) -> subprocess.Popen[bytes]:
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(command, **(streams | options)))  # type: ignore[call-overload]
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


# ── Lines ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("typed", "lines", "pending"),
    [
        (b"rock\n", ["rock"], ""),
        (b"rock\r", ["rock"], ""),
        (b"one\ntwo\nthr", ["one", "two"], "thr"),
        (b"rokk\x7f\x7fck\n", ["rock"], ""),
        (b"\x7f\x7fa\b", [], ""),
        (b"jazz\x15rock\n", ["rock"], ""),
        (b"a\x1b[Db\x1b[3~c\x1bOAd\n", ["abcd"], ""),
        (b"\x04\x01a\tb\n", ["ab"], ""),
        ("żółć\n".encode(), ["żółć"], ""),
        (b"x" * (MAX_LINE + 1) + b"\nok\n", ["ok"], ""),
        (b"x" * (MAX_LINE + 1), [], ""),
    ],
)
def test_lines_are_typed_and_edited(typed: bytes, lines: list[str], pending: str) -> None:
    whole, bytewise = Lines(), Lines()
    assert whole.feed(typed) == lines
    assert whole.pending == pending
    if len(typed) < MAX_LINE:
        assert [
            line for n in range(len(typed)) for line in bytewise.feed(typed[n : n + 1])
        ] == lines
        assert bytewise.pending == pending


def test_lines_steer(text: Model) -> None:
    with text.stream("jazz, 100 bpm", seed=1) as stream:
        wheel = Wheel(stream)
        assert wheel.turn("  ") == ""
        assert wheel.turn("rock with drums, 110 bpm\n") == "steered: rock with drums, 110 bpm"
        for line in (
            "guidance 5",
            "temperature 0.8",
            "top-k 20",
            "top-p 0.9",
            "tempo 90",
            "over 2",
        ):
            assert wheel.turn(line) == f"steered: {line}"
        playing = stream.playing
        assert playing.prompt == "rock with drums, 90 bpm"
        assert (playing.guidance, playing.temperature) == (5, 0.8)
        assert (playing.top_k, playing.top_p) == (20, 0.9)
        for line, words in {
            "guidance many": "guidance needs a number, not 'many'",
            "top-k 2.5": "top-k needs a number, not '2.5'",
            "guidance 99": "guidance must be from 1 to 20",
            "over -1": "0 seconds or more, not -1",
            "tempo 3": "tempo must be from 20",
            "x" * 3000: "3000 characters",
        }.items():
            assert wheel.turn(line).startswith("not steered: ")
            assert words in wheel.turn(line)
        assert stream.playing.prompt == playing.prompt
        wheel.turn("guidance 5 times")  # three words are a text
        assert stream.playing.prompt == "guidance 5 times"


# ── cadenza stream ──────────────────────────────────────────────────────────────────────────────


def test_a_stream_is_steered_by_lines_and_goes_on_without_them(
    text: Model, tiny_text: Path, start: Start
) -> None:
    process = start(
        *COMMAND, "stream", "jazz", "-m", str(tiny_text), "--seed=3", "--raw", "--buffer=0.2"
    )
    assert process.stdin and process.stdout and process.stderr
    before = np.frombuffer(process.stdout.read(32_000), "<i2")
    process.stdin.write(b"guidance 90\nslow sad robot drums\ntemperature 0.5\n")
    process.stdin.close()
    after = np.frombuffer(process.stdout.read(320_000), "<i2")
    process.send_signal(signal.SIGINT)
    said = process.stderr.read().decode()
    assert process.wait(PATIENCE) == 0
    assert "Traceback" not in said
    *_, first, second, third = said.splitlines()
    assert first == "not steered: guidance must be from 1 to 20, not 90.0"
    assert (second, third) == ("steered: slow sad robot drums", "steered: temperature 0.5")
    plain = text.generate("jazz", duration=6, seed=3).audio.samples[0]
    quiet = np.abs(plain) < 0.9
    heard = np.concatenate([before, after]) / 32767
    assert np.abs(heard[:16_000] - plain[:16_000])[quiet[:16_000]].max() < 1e-3
    assert np.abs(heard - plain[: len(heard)]).max() > 0.1


def test_a_stream_in_the_background_is_not_stopped_by_its_terminal(tiny_text: Path) -> None:
    """Whoever reads a terminal from the background is stopped, unless that is ignored."""
    program = f"""
        import subprocess, sys
        stream = subprocess.Popen(
            {[*COMMAND, "stream", "jazz", "-m", str(tiny_text)]!r},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0,
        )
        print(len(stream.stdout.read(200_000)))
        stream.stdout.close()
        print("ended with", stream.wait({PATIENCE}))
    """
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", textwrap.dedent(program)])
    try:
        shown = read_until(terminal, b"ended with 0")
    finally:
        os.close(terminal)  # hangs up, which ends whatever is left
        os.waitpid(child, 0)
    assert b"200000" in shown


def read_until(terminal: int, words: bytes) -> bytes:
    shown = b""
    while words not in shown:
        assert select.select([terminal], [], [], PATIENCE)[0], f"no {words!r}: {shown[-2000:]!r}"
        try:
            shown += os.read(terminal, 65_536)
        except OSError:
            break
    return shown


@pytest.mark.parametrize("command", ["stream", "play"])
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--buffer=0", "buffer must be from 0.1 to 60 s"),
        ("--duration=-1", "duration must be above 0 s"),
        ("--guidance=0", "guidance must be from 1 to 20"),
    ],
)
def test_mistakes_are_told_before_the_model_is_loaded(
    command: str, option: str, words: str
) -> None:
    result = run(command, "jazz", "--model=no-such-model", option)
    assert result.code == 1 and words in result.errors


# ── cadenza play ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], np.ndarray]:
    """Lets the command play into a process; what that has read is returned."""
    monkeypatch.setenv(HEARD, str(tmp_path / "heard.raw"))
    monkeypatch.setattr(speaker, "Speaker", ProcessSpeaker)
    monkeypatch.setattr(speaker, "check_speaker", lambda: None)
    return lambda: np.fromfile(tmp_path / "heard.raw", "<f4")


def test_what_is_played_is_the_piece(
    text: Model, tiny_text: Path, heard: Callable[[], np.ndarray]
) -> None:
    result = run("play", "jazz", "-m", str(tiny_text), "--duration=2", "--seed=3")
    assert result.code == 0, result.errors
    plain = text.generate("jazz", duration=2, seed=3).audio.samples[0]
    np.testing.assert_allclose(heard(), plain, atol=1e-4)


def test_a_terminal_shows_the_music_and_takes_lines(
    tiny_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    monkeypatch.setenv(HEARD, str(tmp_path / "heard.raw"))
    program = """
        from cadenza import speaker
        from cadenza.cli import main
        from tests.speakers import ProcessSpeaker
        speaker.Speaker, speaker.check_speaker = ProcessSpeaker, lambda: None
        main()
    """
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = start(
        sys.executable,
        "-c",
        textwrap.dedent(program),
        "play",
        "jazz",
        "-m",
        str(tiny_text),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "90", "LINES": "30"},
    )
    shown = read_until(ours, b" dB")
    assert b"10k Hz" in shown and "█".encode() in shown
    os.write(ours, b"rokk\x7f\x7fc")
    read_until(ours, "› roc▏".encode())
    os.write(ours, b"k\n")
    read_until(ours, b"steered: rock")
    os.write(ours, b"guidance x\n")
    read_until(ours, b"not steered: guidance needs a number")
    process.send_signal(signal.SIGINT)
    while process.poll() is None:  # a full terminal would hold the command up
        if select.select([ours], [], [], 0.1)[0]:
            shown += os.read(ours, 65_536)
    assert process.returncode == 0
    assert termios.tcgetattr(theirs) == before
    os.close(theirs)
    os.close(ours)


def test_without_sounddevice_the_command_to_install_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    result = run("play", "jazz", "--model=no-such-model")
    assert result.code == 1
    assert result.errors == (
        "cadenza: python-sounddevice is not installed. "
        "Install it with: pip install 'cadenza[play]'\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="PortAudio comes with sounddevice elsewhere")
def test_without_portaudio_there_is_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    result = run("play", "jazz", "--model=no-such-model")
    assert result.code == 1
    [line] = result.errors.splitlines()
    assert "PortAudio is not installed" in line
    assert "apt install libportaudio2" in line and "| aplay" in line


# ── A card, where there is none: PortAudio as python-sounddevice speaks it ──────────────────────


class Card:
    """Stands for the module ``sounddevice`` on a machine whose card knows ``rates`` only."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *rates: float) -> None:
        self.rates, self.written = rates, []
        self.late = self.broken = False
        card = self

        class OutputStream:
            def __init__(self, samplerate: float, channels: int, dtype: str, latency: str) -> None:
                if samplerate not in card.rates:
                    raise card.PortAudioError("Invalid sample rate")
                card.ended = None

            def start(self) -> None:
                pass

            def write(self, frames: np.ndarray) -> bool:
                if card.broken:
                    raise card.PortAudioError("Device unavailable")
                assert frames.dtype == np.float32 and frames.flags.c_contiguous
                card.written.append(frames)
                return card.late

            def stop(self) -> None:
                card.ended = "stopped"

            def abort(self) -> None:
                card.ended = "aborted"

            def close(self) -> None:
                pass

        self.OutputStream = OutputStream

    def query_devices(self, kind: str) -> dict[str, float]:
        if not self.rates:
            raise self.PortAudioError("Error querying device -1")
        return {"default_samplerate": self.rates[0]}

    def heard(self, rate: int) -> cadenza.Audio:
        return cadenza.Audio(np.ascontiguousarray(np.concatenate(self.written).T), rate)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Card]:
    def put(*rates: float) -> Card:
        card = Card(*rates)
        module = types.ModuleType("sounddevice")
        vars(module).update(
            PortAudioError=card.PortAudioError,
            OutputStream=card.OutputStream,
            query_devices=card.query_devices,
        )
        monkeypatch.setitem(sys.modules, "sounddevice", module)
        return card

    return put


def test_no_card_is_told_at_once(card: Callable[..., Card]) -> None:
    card()
    result = run("play", "jazz", "--model=no-such-model")
    assert result.code == 1
    assert "there is no sound card here" in result.errors and "| aplay" in result.errors


@pytest.mark.parametrize(("rates", "rate"), [((48_000, 32_000), 32_000), ((44_100.0,), 44_100)])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_card_plays_at_the_musics_rate_or_at_its_own(
    card: Callable[..., Card], rates: tuple[float, ...], rate: int, channels: int
) -> None:
    device = card(*rates)
    tone = sine(2.0, channels=channels, hertz=440, peak=0.5)
    with speaker.Speaker(32_000, channels) as loud:
        for start_ in range(0, 64_000, 5000):
            loud.play(tone.samples[:, start_ : start_ + 5000])
    heard = device.heard(rate)
    assert heard.channels == channels and heard.duration == pytest.approx(2, abs=0.05)
    assert pitch(heard) == pytest.approx(440, abs=1)
    assert heard.peak == pytest.approx(0.5, abs=0.02)
    assert device.ended == "stopped" and loud.dropouts == 0


def test_a_card_that_is_late_or_lost(card: Callable[..., Card]) -> None:
    device = card(32_000)
    with speaker.Speaker(32_000, 1) as loud:
        device.late = True
        loud.play(silence().samples)
        assert loud.dropouts == 1
    device.broken = True
    with (
        pytest.raises(cadenza.CadenzaError, match="does not play: Device unavailable"),
        speaker.Speaker(32_000, 1) as loud,
    ):
        loud.play(silence().samples)
    assert device.ended == "aborted"


# ── The picture ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hertz", [60, 110, 440, 1000, 5000, 12_000])
def test_a_tone_stands_in_its_column(hertz: float) -> None:
    bands = Spectrum(32_000).hear(sine(0.5, hertz=hertz, peak=1.0).samples)
    expected = int(WIDTH * np.log(hertz / 50) / np.log(14_000 / 50))
    assert abs(int(bands.argmax()) - expected) <= 1
    assert bands.max() == pytest.approx(0, abs=3)  # full scale; low bands are narrow
    far = np.abs(np.arange(WIDTH) - expected) > 6
    assert bands[far].max() < -30


def test_levels_are_those_of_the_channels() -> None:
    two = np.concatenate([sine(peak=1.0).samples, sine(peak=0.1).samples])
    np.testing.assert_allclose(levels(two), [-3.01, -23.01], atol=0.01)
    assert levels(silence().samples)[0] < -100


def test_the_picture_fits_a_terminal_and_falls_slowly(text: Model) -> None:
    with text.stream("jazz " * 60, seed=9) as stream:
        display = Display(stream, 32_000, 2)
        display.typed = Lines()
        display.typed.feed(b"a new text")
        display.hear(sine(0.1, channels=2, peak=1.0).samples, 2)
        lines = drawn(display)
        assert len(lines) == 2 + HEIGHT + 1 + 2 + 2
        assert max(map(len, lines)) <= 80
        assert "0:00" in lines[1] and "seed 9" in lines[1] and "dropouts 2" in lines[1]
        assert lines[-1] == "› a new text▏"
        assert lines[-4].startswith("L ███") and lines[-3].endswith("dB")
        display.hear(silence(0.1, channels=2).samples, 2)
        assert len(drawn(display)[-4].rstrip(" -.dB0123456789")) > WIDTH // 2
        for _ in range(40):
            display.hear(silence(0.1, channels=2).samples, 2)
        assert "quiet" in drawn(display)[-4]
        assert not any("█" in line for line in drawn(display))


@pytest.mark.parametrize("width", [14, 30, 60, 200])
@pytest.mark.parametrize("height", [10, 24])
def test_the_picture_fits_any_terminal(text: Model, width: int, height: int) -> None:
    """However narrow or low: where it ends what is typed is seen, and how loud it is."""
    with text.stream("jazz " * 60, seed=9) as stream:
        display = Display(stream, 32_000, 2)
        display.typed = Lines()
        display.typed.feed(("a new text, in 日本語, " * 12 + "the end").encode())
        display.hear(sine(0.1, channels=2, peak=1.0).samples, 2)
        lines = drawn(display, width, height)
    assert max(map(cell_len, lines)) <= width and len(lines) < height
    assert lines[-1].startswith("› …") and lines[-1].endswith("the end▏")
    assert all(line.endswith(" dB") and "█" in line for line in lines[-4:-2])
    columns = [line for line in lines[2:-5] if line.strip()]
    assert columns and not any("…" in line for line in columns)  # nothing is cut off
    assert lines[-5].endswith("Hz") and ("10k" in lines[-5]) == (width >= 60)


def drawn(display: Display, width: int = 80, height: int = 24) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )
    console.print(display)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]
