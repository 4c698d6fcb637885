"""``cadenza split``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cadenza.cli import options as o
from cadenza.cli import showing


def split(
    file: Annotated[Path, typer.Argument(help="A sound, up to four hours of it.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for the stems; made if need be.")
    ] = Path("stems"),
    two: Annotated[
        str | None,
        typer.Option(help="Only this stem, for example vocals, and one with all the rest."),
    ] = None,
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="htdemucs, htdemucs_ft (slower) or htdemucs_6s (more)."),
    ] = "htdemucs",
    weights: Annotated[
        Path | None,
        typer.Option(
            help="A folder with the model's .safetensors or .th files, and its .yaml.",
            show_default="the hub",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the hub.")] = False,
    as_json: o.Json = False,
) -> None:
    """Take a sound apart into drums, bass, vocals and the rest, with Demucs."""
    from cadenza.audio import measure
    from cadenza.stems import MAX_SECONDS, load_separator

    measure(file, MAX_SECONDS)  # a wrong file is reported before anything is fetched
    with showing.progress(f"loading {model}", as_json) as progress:
        separator = load_separator(
            model, weights=weights, two=two, device=device, offline=offline, progress=progress
        )
    with showing.progress(f"splitting {file.name}", as_json) as progress:
        places = separator.split(file, output, two=two, progress=progress)
    if as_json:
        stems = {name: str(place) for name, place in places.items()}
        print(json.dumps({"stems": stems}, ensure_ascii=False))
        return
    for place in places.values():
        print(place)
