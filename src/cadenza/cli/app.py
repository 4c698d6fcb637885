"""The commands, put together."""

from __future__ import annotations

import codecs
import errno
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cadenza.cli import (
    banding,
    cache,
    evaluating,
    finetuning,
    generating,
    looking,
    looping,
    models,
    notes,
    playing,
    prompting,
    remaking,
    serving,
    showing,
    splitting,
    steering,
    streaming,
)
from cadenza.errors import CadenzaError


@contextmanager
def _in_words() -> Iterator[None]:
    """Every error of ours is one line and an exit code; Ctrl-C is no error."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except CadenzaError as error:
        print(f"cadenza: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        print("\ncadenza: stopped; what is not finished was not written", file=sys.stderr)
        raise typer.Exit(130) from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        if error.filename is not None:  # of a place that nobody may look at, or that cannot be
            print(f"cadenza: {error.filename}: {error.strerror}", file=sys.stderr)
            raise typer.Exit(1) from error
        streaming.abandon_output()
        print(f"cadenza: standard output cannot be written: {error.strerror}", file=sys.stderr)
        raise typer.Exit(1) from error


class _Commands(TyperGroup):
    def make_context(self, *names: Any, **options: Any) -> Any:
        with _in_words():  # it shows the help, and the version
            return super().make_context(*names, **options)

    def invoke(self, ctx: Any) -> Any:
        with _in_words():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Text to music with pre-trained MusicGen models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(generating.generate)
app.command(epilog=steering.HELP)(streaming.stream)
app.command(epilog=steering.HELP)(playing.play)
app.add_typer(models.app, name="models")
app.add_typer(cache.app, name="cache")
app.command()(prompting.prompt)
app.command()(remaking.verify)
app.command()(remaking.again)
app.command()(splitting.split)
app.command()(banding.band)
app.command()(banding.resume)
app.command()(banding.remake)
app.command()(banding.mix)
app.command()(looping.loop)
app.command()(notes.midi)
app.command()(looking.show)
app.command()(evaluating.evaluate)
app.command()(finetuning.finetune)
app.command()(serving.serve)
app.command()(serving.worker)
app.add_typer(serving.keys, name="keys")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("cadenza"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say which version."),
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(envvar="CADENZA_SERVER", help="Play on a server: http://HOST:PORT."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar="CADENZA_KEY", help="Where the server needs one.", show_envvar=True),
    ] = None,
) -> None:
    showing.use_server(server, key)
    told = logging.StreamHandler()  # on standard error
    told.setFormatter(logging.Formatter("cadenza: %(message)s"))
    logger = logging.getLogger("cadenza")
    logger.handlers, logger.propagate = [told], False
    logger.setLevel(logging.INFO)


def _escape(error: UnicodeError) -> tuple[str, int]:
    """What an alphabet lacks, as JSON writes it: so JSON stays JSON in any of them."""
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _prepare_streams() -> None:
    """Let anything be printed, also where the alphabet is small or nobody listens."""
    codecs.register_error("cadenza", _escape)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # else the next file that is opened takes its number
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        else:
            stream.reconfigure(errors="cadenza")


def main() -> None:
    """The entry point of the command."""
    _prepare_streams()
    app(prog_name="cadenza")
