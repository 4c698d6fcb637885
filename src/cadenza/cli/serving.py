"""``cadenza serve``, ``cadenza worker`` and ``cadenza keys``."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cadenza.cli import options as o
from cadenza.cli import showing
from cadenza.errors import MissingPackage, OptionError

if TYPE_CHECKING:
    from cadenza.jobs.store import Store
    from cadenza.jobs.worker import Worker

NEEDED = ("fastapi", "uvicorn", "websockets", "sqlalchemy", "alembic", "prometheus_client")
EXECUTORS = ("process", "ray")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::")

Folder = Annotated[
    Path | None,
    typer.Option(
        envvar="CADENZA_FOLDER",
        help="Results, uploads and the database.",
        show_default="~/.local/share/cadenza",
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        envvar="CADENZA_DATABASE",
        help="Another database: postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
        show_default="SQLite in the folder",
    ),
]

Results = Annotated[
    str | None,
    typer.Option(
        envvar="CADENZA_RESULTS",
        help="Another place for results and uploads: s3://BUCKET/PATH, file:///PATH, …",
        show_default="in the folder",
    ),
]

keys = typer.Typer(help="The keys of a server that others reach.", no_args_is_help=True)


@o.with_loading_options
def serve(
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = 8000,
    model: o.Model = "nano",
    folder: Folder = None,
    database: DatabaseUrl = None,
    results: Results = None,
    workers: Annotated[
        int, typer.Option(min=0, max=1000, help="How many work; 0 is none. On Ray, at most.")
    ] = 1,
    executor: Annotated[
        str, typer.Option(help="process: workers run beside the server; ray: on a Ray cluster.")
    ] = "process",
    address: Annotated[
        str, typer.Option(help="Of the Ray cluster: HOST:PORT, auto (this machine's), local.")
    ] = "auto",
    worker_cpus: Annotated[
        int, typer.Option(min=1, max=1024, help="Cores that a worker takes on Ray.")
    ] = 1,
    ask_for_keys: Annotated[
        bool | None,
        typer.Option(
            "--keys/--insecure",
            help="Ask everybody for a key (behind a proxy), or nobody.",
            show_default="beyond this machine",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="A site whose pages may use the server, as https://example.org."),
    ] = None,
    *,
    loading: dict[str, Any],
) -> None:
    """Serve the web page and the API: jobs, streams, uploads."""
    if executor not in EXECUTORS:
        raise OptionError(f"unknown executor {executor!r}: choose {' or '.join(EXECUTORS)}")
    if executor == "ray" and (database is None or results is None):
        raise OptionError(
            "workers on many machines need a database and a place of results that all of them "
            "reach: --database postgresql+psycopg://… --results s3://…"
        )
    store = _open(folder, database, results)
    from cadenza.server.fleet import Fleet, Kit
    from cadenza.server.running import Executor, listen, run
    from cadenza.server.settings import Settings
    from cadenza.server.supervising import Supervisor

    loopback = host in LOOPBACK
    needs_keys = not loopback if ask_for_keys is None else ask_for_keys
    if needs_keys and not any(key.revoked is None for key in store.keys.all()):
        raise OptionError(
            f"{host} asks for a key, and there is none yet: make one with cadenza keys new NAME, "
            "or say --insecure"
        )
    if executor == "process" and workers:  # others play on machines with models of their own
        showing.find(model, loading, False)
    listener = listen(host, port)
    private = loopback and not needs_keys  # then names that were made to point here are refused
    settings = Settings(keys=needs_keys, loopback=private, origins=tuple(allow_origin or ()))
    keeper: Executor
    if executor == "ray":
        assert database is not None and results is not None
        root = store.folder.root
        kit = Kit(model, loading, root, database, results)
        keeper = Fleet(store, kit, workers, address=address, cpus=worker_cpus)
    else:
        arguments = ["--model", model, *o.spelled(loading)]
        arguments += ["--folder", str(store.folder.root)]
        arguments += [] if results is None else ["--results", results]
        if database is not None:
            os.environ["CADENZA_DATABASE"] = database  # not an argument: others can read those
        keeper = Supervisor(store, workers, arguments)
    shown = f"[{host}]" if ":" in host else host
    print(f"Cadenza is at http://{shown}:{listener.getsockname()[1]}", flush=True)
    run(store, settings, listener, keeper)


@o.with_loading_options
def worker(
    model: o.Model = "nano",
    folder: Folder = None,
    database: DatabaseUrl = None,
    results: Results = None,
    host: Annotated[str, typer.Option(help="Where the server reaches it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = 0,
    public: Annotated[
        str | None,
        typer.Option(
            help="The name of this machine for the server.",
            show_default="the host; its own name where it listens everywhere",
        ),
    ] = None,
    slots: Annotated[int, typer.Option(min=1, max=256, help="Jobs at once.")] = 8,
    streams: Annotated[int, typer.Option(min=0, max=256, help="Streams at once.")] = 8,
    child: Annotated[str | None, typer.Option(hidden=True)] = None,
    *,
    loading: dict[str, Any],
) -> None:
    """Do the jobs of a server that runs elsewhere; cadenza serve starts one by itself."""
    store = _open(folder, database, results)
    quiet = child is not None
    loaded = showing.load(model, loading, quiet)
    from cadenza.jobs.worker import Worker

    made = Worker(
        store,
        loaded,
        slots=slots,
        streams=streams,
        host=host,
        port=port,
        public=public or (socket.gethostname() if host in EVERYWHERE else host),
        id=child,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: made.stop())
    if child is not None:
        threading.Thread(target=_stop_with_parent, args=(made,), daemon=True).start()
    made.run()


@keys.command()
def new(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    priority: Annotated[int, typer.Option(help="The highest that it may ask for.")] = 0,
    folder: Folder = None,
    database: DatabaseUrl = None,
) -> None:
    """Make a key. It is shown once, and only its fingerprint is kept."""
    key, secret = _open(folder, database).keys.new(name, priority)
    showing.note(f"key {key.id} for {key.name}; it is not shown again")
    print(secret)


@keys.command("list")
def list_(folder: Folder = None, database: DatabaseUrl = None) -> None:
    """List the keys by id and name."""
    for key in _open(folder, database).keys.all():
        state = "" if key.revoked is None else "  revoked"
        made = time.strftime("%Y-%m-%d", time.localtime(key.created))
        print(f"{key.id}  {made}  priority {key.priority}  {key.name}{state}")


@keys.command()
def revoke(
    id: Annotated[str, typer.Argument(help="As cadenza keys list shows it.")],
    folder: Folder = None,
    database: DatabaseUrl = None,
) -> None:
    """Let a key open nothing any more."""
    _open(folder, database).keys.revoke(id)


def _stop_with_parent(made: Worker) -> None:
    # The pipe closes when the parent ends, however it does. Python's own reader would hold a lock
    # that the interpreter wants when it ends for another reason.
    os.read(sys.stdin.fileno(), 1)
    made.stop()


def _open(folder: Path | None, database: str | None, results: str | None = None) -> Store:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        what = f"what the service needs ({', '.join(missing)})"
        raise MissingPackage(what, "pip install 'cadenza[server]'")
    from cadenza.jobs.store import Store

    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Store.open(folder or Path(data).expanduser() / "cadenza", database, results)
