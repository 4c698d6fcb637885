"""``cadenza models``."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from cadenza.cli import options as o
from cadenza.cli import showing

if TYPE_CHECKING:
    from cadenza.checkpoints import Architecture

app = typer.Typer(help="The models: what there is, what is here, what they are made of.")
Name = Annotated[str, typer.Argument(help="A short name, a hub id or a folder.")]


@app.command("list")
def list_(as_json: o.Json = False) -> None:
    """List the models by name, with their size, what is on this machine, and the licence."""
    from cadenza.checkpoints import list_models, terms

    rows = list_models()
    if as_json:
        entries = [
            {
                **dataclasses.asdict(row.entry),
                "folder": str(row.folder) if row.folder else None,
                "bytes": row.size,
            }
            for row in rows
        ]
        print(json.dumps(entries))
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("model", "parameters", "reads", "sound", "on disk", "licence"):
        table.add_column(
            heading,
            justify="right" if heading == "parameters" else "left",
            no_wrap=heading == "model",
        )
    for row in rows:
        entry = row.entry
        table.add_row(
            entry.name,
            f"{entry.megaparameters} M",
            "text, melody" if entry.family == "melody" else "text",
            "stereo" if entry.channels == 2 else "mono",
            f"{_bytes(row.size)}" if row.folder else "no",
            entry.licence,
        )
    showing.output().print(table, soft_wrap=False)
    for licence in sorted({row.entry.licence for row in rows}):
        if terms(licence) != licence:
            print(f"\n{terms(licence)}")


o.list_by_default(app, list_)


@app.command()
def get(name: Name, as_json: o.Json = False) -> None:
    """Fetch a model into the cache, or what is missing or damaged of it there."""
    from cadenza.checkpoints import CATALOGUE, resolve, terms

    entry = CATALOGUE.get(name.partition("@")[0])
    if entry is not None and not as_json:
        showing.note(f"the weights of {entry.name} are {terms(entry.licence)}")
    with showing.progress(f"fetching {name}", as_json) as progress:
        checkpoint = resolve(name, progress=progress, repair=True)
    if as_json:
        print(
            json.dumps(dataclasses.asdict(checkpoint.identity) | {"folder": str(checkpoint.folder)})
        )
        return
    print(f"{name} is in {checkpoint.folder}")


@app.command()
def show(name: Name, as_json: o.Json = False) -> None:
    """Draw what a model is made of, from the checkpoint itself, and check that it fits."""
    from cadenza.checkpoints import describe, resolve, terms

    checkpoint = resolve(name, offline=True)
    architecture = describe(checkpoint.folder)
    if as_json:
        checks = [
            {"what": check.what, "detail": check.detail, "fits": check.fault is None}
            for check in architecture.checks
        ]
        print(json.dumps(dataclasses.asdict(architecture) | {"checks": checks}))
    else:
        millions = architecture.parameters / 1e6
        print(f"{name}: {millions:.1f} M parameters, licence: {terms(checkpoint.licence)}")
        print(f"in {checkpoint.folder}\n")
        _draw(architecture)
    if any(check.fault for check in architecture.checks):
        raise typer.Exit(1)


def _draw(architecture: Architecture) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    table.add_row("", "prompt")
    for stage in architecture.stages:
        numbers = ", ".join(f"{name} {_number(value)}" for name, value in stage.dimensions.items())
        table.add_row("│")
        table.add_row(
            "▼", stage.name, f"{stage.kind}: {numbers}", f"{stage.parameters / 1e6:.2f} M"
        )
    table.add_row("│")
    table.add_row("▼", "sound", "stereo" if architecture.channels == 2 else "mono")
    console = showing.output()
    console.print(table, soft_wrap=False)
    console.print()
    checks = Table.grid(padding=(0, 2))
    for check in architecture.checks:
        mark = Text("✓", "green") if check.fault is None else Text("✗", "red")
        checks.add_row(mark, check.what, check.detail)
    console.print(checks, soft_wrap=False)


def _number(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
