"""``cadenza cache``: the models that were converted for this machine."""

from __future__ import annotations

import json

import typer

from cadenza.cli import options as o

app = typer.Typer(help="The models that were converted for this machine.")


@app.command("list")
def list_(as_json: o.Json = False) -> None:
    """List them, and where they lie."""
    from cadenza.openvino import cache_folder, conversions

    found = conversions()
    if as_json:
        rows = [
            {
                "folder": str(entry.folder),
                "model": entry.model,
                "precision": entry.precision,
                "bytes": entry.size,
                "current": entry.current,
            }
            for entry in found
        ]
        print(json.dumps(rows))
        return
    for entry in found:
        age = "" if entry.current else "  of another version: never read, clear it"
        print(f"{entry.model}  {entry.precision}  {entry.size / 1e6:.0f} MB{age}")
    total = sum(entry.size for entry in found)
    print(f"{len(found)} converted models, {total / 1e6:.0f} MB, in {cache_folder()}")


o.list_by_default(app, list_)


@app.command()
def clear() -> None:
    """Remove them all; a model is converted again when it is next used on OpenVINO."""
    from cadenza.openvino import clear as clear_cache

    print(f"{clear_cache() / 1e6:.0f} MB are free again")
