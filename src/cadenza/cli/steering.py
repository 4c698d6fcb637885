"""Steering a stream by lines that are typed while it plays."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING

from cadenza.errors import CadenzaError, OptionError

if TYPE_CHECKING:
    from cadenza.streaming import Stream

HELP = (
    "A line on standard input steers while it plays: a new text, or «guidance 5», "
    "«temperature 0.8», «top-k 100», «top-p 0.9», «tempo 120», «over 8» (seconds from an old text "
    "to a new one, 4 at first)."
)
_SETTINGS = {
    "guidance": float,
    "temperature": float,
    "top-k": int,
    "top-p": float,
    "tempo": int,
    "over": float,
}
MAX_LINE = 10_000  # bytes; a prompt has at most 2000 characters
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.|.)")  # arrow keys and the like


class Wheel:
    """Lines to steers of a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._over: float | None = None

    def turn(self, line: str) -> str:
        """Steer by ``line``; returns what there is to say of it, also when it is refused."""
        try:
            return self._turn(line.strip())
        except CadenzaError as error:
            return f"not steered: {error}"

    def _turn(self, line: str) -> str:
        if not line:
            return ""
        name, _, value = line.partition(" ")
        if name not in _SETTINGS or len(value.split()) != 1:
            self._stream.steer(line, self._over)
            return f"steered: {line}"
        try:
            number = _SETTINGS[name](value)
        except ValueError as error:
            raise OptionError(f"{name} needs a number, not {value!r}") from error
        if name == "over":
            self._stream.steer(over=number)  # checks it
            self._over = number
        elif name == "tempo":
            self._stream.steer(tempo=int(number), over=self._over)
        else:
            self._stream.steer(**{name.replace("-", "_"): number})
        return f"steered: {line}"


class Lines:
    """Bytes as they are typed to whole lines; knows the keys of a terminal that edit a line."""

    def __init__(self) -> None:
        self._held = b""
        self.pending = ""  # the line that is being typed

    def feed(self, data: bytes) -> list[str]:
        """Take bytes, return the lines that they complete. A line that is too long is dropped."""
        *lines, self._held = (self._held + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._held) > MAX_LINE:
            self._held = b""
        self.pending = _edited(self._held)
        return [_edited(line) for line in lines if len(line) <= MAX_LINE]


def follow(wheel: Wheel, say: Callable[[str], None]) -> Lines | None:
    """Steer by what comes in on standard input, in a thread that ends with the program.

    ``None`` where there is no standard input.
    """
    try:
        source = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    lines = Lines()

    def work() -> None:
        # Not through sys.stdin: Python would wait for its lock when the program ends.
        with suppress(OSError):
            while data := os.read(source, 4096):
                for line in lines.feed(data):
                    if said := wheel.turn(line):
                        say(said)

    if hasattr(signal, "SIGTTIN"):
        # In the background a terminal cannot be read; the music is to go on all the same.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    Thread(target=work, name="cadenza-steering", daemon=True).start()
    return lines


@contextmanager
def keys() -> Iterator[None]:
    """Let a terminal pass on every key at once and show none: the line is shown elsewhere."""
    try:
        import termios
        import tty
    except ImportError:  # Windows, whose terminals pass on whole lines
        yield
        return
    if sys.stdin is None or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _edited(line: bytes) -> str:
    """What a line says after its erasing keys; other keys that are no text say nothing."""
    text = ""
    for sign in _ESCAPE.sub("", line.decode(errors="ignore")):
        if sign in "\b\x7f":
            text = text[:-1]
        elif sign == "\x15":  # Ctrl-U
            text = ""
        elif sign.isprintable():
            text += sign
    return text
