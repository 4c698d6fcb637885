"""What a person sees: results on standard output, everything else on standard error."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from cadenza.errors import OptionError

if TYPE_CHECKING:
    from rich.console import Console

    from cadenza.model import Model

DEFAULT_MODEL = "nano"  # of every command
_server: ContextVar[tuple[str, str | None] | None] = ContextVar("server", default=None)

Telling = tuple[Callable[[int, int], None], Callable[[str], None]]  # how far, and at what
LINE_SECONDS = 5.0  # between two lines of progress where there is no terminal


@cache
def output() -> Console:
    """Standard output."""
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True)


@cache
def aside() -> Console:
    """Standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def note(text: str) -> None:
    """Something worth knowing that is not the result."""
    print(text, file=sys.stderr)


def load(name: str, loading: dict[str, Any], quiet: bool) -> Model:
    """Load a model, with further arguments of :func:`cadenza.load`; say its licence where that
    forbids something.

    With ``cadenza --server`` it is the one that the server plays.
    """
    server = _server.get()
    if server is not None:
        chosen = ("adapters", "device", "precision", "backend")
        if given := [f"--{name.removesuffix('s')}" for name in chosen if loading.get(name)]:
            raise OptionError(f"a server plays as it was started: leave {', '.join(given)} out")
        return _remote(name, *server)
    if quiet:
        logging.getLogger("cadenza").setLevel(logging.WARNING)
    find(name, loading, quiet)
    with progress(f"loading {name}", quiet) as callback:
        from cadenza.model import load as load_model

        model = load_model(name, **loading, progress=callback)
    from cadenza.checkpoints import terms

    if not quiet and terms(model.licence) != model.licence:
        note(f"the weights of {model.name} are {terms(model.licence)}")
    return model


def find(name: str, loading: dict[str, Any], quiet: bool) -> None:
    """Bring a model here, or refuse what is nowhere, model or device, at once: not after the
    seconds that torch takes to load, nor in each worker of a server."""
    from cadenza.checkpoints import read_adapters, resolve
    from cadenza.devices import choose_device

    if (device := loading.get("device", "auto")) != "auto":
        choose_device(device)
    read_adapters(loading.get("adapters", {}))
    with progress(f"loading {name}", quiet) as callback:
        resolve(name, offline=loading.get("offline", False), progress=callback)


def use_server(url: str | None, key: str | None) -> None:
    """Let the models of this command play on a server, if there is one."""
    _server.set(None if url is None else (url, key))


def on_server() -> bool:
    """Whether the models of this command play on a server."""
    return _server.get() is not None


def _remote(name: str, url: str, key: str | None) -> Model:
    from cadenza.client import Client

    client = Client(url, key)
    played = client.name  # asked for even if it does not matter: is it a server of ours?
    if name not in (DEFAULT_MODEL, played):
        raise OptionError(f"{url} plays {played}, not {name}: leave --model out")
    return cast("Model", client)  # it is used as a model is


@contextmanager
def progress(what: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A callback ``(done, total)`` that draws a bar with the time left, or prints plain lines."""
    with course(what, quiet) as (callback, _):
        yield callback


@contextmanager
def course(what: str, quiet: bool) -> Iterator[Telling]:
    """The same, and a callback that takes what is being done in words."""
    if quiet:
        yield lambda done, total: None, lambda words: None
    elif sys.stderr.isatty():
        with _bar(what) as callbacks:
            yield callbacks
    else:
        yield _lines(what)


@contextmanager
def _bar(what: str) -> Iterator[Telling]:
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}", markup=False),  # a file's name may have brackets
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=aside(),
        transient=True,
    ) as bar:
        task = bar.add_task(what, total=None)
        yield (
            lambda done, total: bar.update(task, completed=done, total=total),
            lambda words: bar.update(task, description=words),
        )


def _lines(what: str) -> Telling:
    start = said = time.monotonic()

    def callback(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if done and now - said >= LINE_SECONDS:
            said = now
            left = (now - start) * (total - done) / done
            note(f"{what}: {100 * done // total} %, {left:.0f} s left")

    def say(words: str) -> None:
        nonlocal what
        what = words

    return callback, say
