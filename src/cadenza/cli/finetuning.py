"""``cadenza finetune``."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cadenza.cli import options as o
from cadenza.cli import showing

if TYPE_CHECKING:
    from cadenza.finetune import Material, Report

ROWS = 30  # of files that are shown


def finetune(
    folder: Annotated[Path, typer.Argument(help="Your sounds: any length, any format.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of the adapter.")],
    model: o.Model = "small",
    words: Annotated[
        str, typer.Option(help="What your sound is to be called; prompts then ask for it so.")
    ] = "",
    steps: Annotated[
        int | None, typer.Option(help="Of learning, at most.", show_default="1000")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Pieces a step: fewer need less memory.", show_default="4"),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(help="Steps between two looks at what is held out.", show_default="50"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed learns the same.", show_default="0")
    ] = None,
    device: o.Device = "auto",
    offline: o.Offline = False,
    as_json: o.Json = False,
) -> None:
    """Teach a model your own sound: a folder of audio becomes an adapter.

    Captions are taken from a .txt beside each file, or from one .csv with the columns file and
    caption; where there is none, one is written from what is measured. Interrupted, the same
    command goes on.
    """
    from cadenza.checkpoints import read_adapters, terms
    from cadenza.finetune import Finetuning, Settings

    chosen = {"steps": steps, "batch": batch, "every": every, "seed": seed}
    settings = Settings(**{name: value for name, value in chosen.items() if value is not None})
    with showing.progress(f"loading {model}", as_json) as progress:
        work = Finetuning(
            folder,
            output,
            model=model,
            words=words,
            settings=settings,
            device=device,
            offline=offline,
            progress=progress,
        )
    if not as_json and terms(work.licence) != work.licence:
        showing.note(f"the weights of {model}, and what is made of them, are {terms(work.licence)}")
    with showing.progress("listening", as_json) as progress:
        material = work.prepare(progress)
    if not as_json:
        _show(material, folder)
    reports = []
    with showing.progress("learning", as_json) as progress:
        for report in work.train(material, progress):
            reports.append(report)
            if not as_json:
                showing.aside().print(_line(report))
    [adapter] = read_adapters({output: 1.0})
    if as_json:
        print(json.dumps(_facts(material, reports) | {"sha256": adapter.identity.sha256}))
        return
    kept = max((report.step for report in reports if report.best), default=None)
    shown = os.path.relpath(output)
    print(f"{shown}: the adapter" + ("" if kept is None else f" of step {kept}"))
    print(f"play it with: --model {model} --adapter {shown}")


def _show(material: Material, folder: Path) -> None:
    """What it will train on, and what was left out."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("file", "pieces", "seconds", "caption"):
        table.add_column(heading, justify="right" if heading in ("pieces", "seconds") else "left")
    for source in material.sources[:ROWS]:
        name = str(source.file.relative_to(folder))
        pieces = str(source.pieces) + (f" (+{source.repeated} again)" if source.repeated else "")
        table.add_row(Text(name), Text(pieces), f"{source.seconds:.0f}", Text(source.caption))
    console = showing.output()
    console.print(table, soft_wrap=False)
    if len(material.sources) > ROWS:
        print(f"and {len(material.sources) - ROWS} more")
    for entry in material.skipped:
        print(f"left out: {entry.file.relative_to(folder)}: {entry.reason}")
    count = len(material.pieces)
    print(f"{count} piece{'s' if count > 1 else ''}, {material.seconds / 60:.1f} minutes")


def _line(report: Report) -> str:
    learned = "" if report.loss is None else f"learned {report.loss:.3f}, "
    kept = ", the best so far: kept" if report.best else ""
    return f"step {report.step}: {learned}held out {report.held_out:.3f}{kept}"


def _facts(material: Material, reports: list[Report]) -> dict[str, object]:
    return {
        "pieces": len(material.pieces),
        "seconds": material.seconds,
        "sources": [dataclasses.asdict(s) | {"file": str(s.file)} for s in material.sources],
        "skipped": [dataclasses.asdict(s) | {"file": str(s.file)} for s in material.skipped],
        "reports": [dataclasses.asdict(report) for report in reports],
    }
