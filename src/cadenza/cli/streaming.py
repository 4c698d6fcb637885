"""``cadenza stream``."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer

from cadenza.cli import options as o
from cadenza.cli import showing, steering
from cadenza.errors import OptionError

PIPE_BYTES = 8192  # that may wait in a pipe, for they are as many as a steer comes later


@o.with_music_options
@o.with_loading_options
def stream(
    prompt: Annotated[str, typer.Argument(help="What to play.")],
    model: o.Model = "nano",
    raw: Annotated[
        bool, typer.Option("--raw", help="PCM without a header: 16-bit, little-endian.")
    ] = False,
    duration: o.Endless = None,
    buffer: o.Buffer = None,
    *,
    options: dict[str, Any],
    loading: dict[str, Any],
) -> None:
    """Send music to standard output while it is being made: cadenza stream "…" | ffplay -

    It goes on until Ctrl-C or until the player is closed, unless there is a --duration.
    """
    from cadenza.audio import pcm16, wav_header

    if sys.stdout.isatty():
        raise OptionError(
            "standard output is a terminal: send the sound to a player, for example | ffplay -"
        )
    check(prompt, duration, buffer, options)
    loaded = showing.load(model, loading, False)
    showing.note(
        f"seed {options['seed']}, {loaded.rate} Hz, {loaded.channels} channel(s), 16-bit PCM"
    )
    _shorten_pipe()
    try:
        with loaded.stream(prompt, duration, **options) as playing:
            steering.follow(steering.Wheel(playing), showing.note)
            if not raw:
                _send(wav_header(loaded.rate, loaded.channels))
            for chunk in playing:
                _send(pcm16(chunk))
    except BrokenPipeError:
        abandon_output()  # the player was closed, which is how a stream usually ends
    except KeyboardInterrupt:
        abandon_output()  # and this is the other way


def check(
    prompt: str, duration: float | None, buffer: float | None, options: dict[str, Any]
) -> None:
    """Refuse before the model is loaded; give ``options`` a seed, and the buffer if it is said."""
    from cadenza.request import BUFFER, GenerateRequest, check_stream, new_seed

    options.setdefault("seed", new_seed())
    GenerateRequest(prompt, **options)
    check_stream(duration, BUFFER if buffer is None else buffer)
    if buffer is not None:
        options["buffer"] = buffer


def _send(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _shorten_pipe() -> None:
    """Linux keeps 64 KiB in a pipe, a second of sound that would still be in the old style."""
    with suppress(ImportError, AttributeError, OSError, ValueError):
        import fcntl

        fcntl.fcntl(sys.stdout.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def abandon_output() -> None:
    """Python would complain once more when it flushes standard output for the last time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
