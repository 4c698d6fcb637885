"""``cadenza evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cadenza.cli import options, showing

if TYPE_CHECKING:
    from rich.table import Table

    from cadenza.evaluation import Evaluation


def evaluate(
    folder: Annotated[Path, typer.Argument(help="A folder of takes.")],
    reference: Annotated[
        Path | None,
        typer.Option(help="A folder of recordings as the takes should be."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a page with plots there, too (.html)."),
    ] = None,
    json: options.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Measure takes: do they hold what was asked, how loud, how even, how varied are they."""
    from cadenza.errors import OptionError
    from cadenza.evaluation import encode
    from cadenza.evaluation import evaluate as measure
    from cadenza.files import check_place, write_atomically

    if output is not None:
        if output.suffix.lower() not in (".html", ".htm"):
            raise OptionError(f"{output.name} is not a page: end it with .html")
        check_place(output)
    with showing.progress("listening", quiet) as progress:
        evaluation = measure(folder, reference, progress=progress)
    if json:
        print(evaluation.to_json())
    else:
        _show(evaluation)
    if output is not None:
        place = write_atomically(output, encode(evaluation, output))
        (showing.note if json else print)(str(place))


def _show(evaluation: Evaluation) -> None:
    from rich.text import Text

    from cadenza.evaluation.words import value_in_words

    out = showing.output()
    table = _table("", "takes", *(["reference"] if evaluation.reference else []), "files")
    table.add_column("what it is", style="dim")
    for line in evaluation.lines:
        values = [value_in_words(line.kind, line.takes.value)]
        if evaluation.reference:
            beside = line.reference
            values.append(value_in_words(line.kind, beside.value) if beside else "")
        table.add_row(line.kind.name, *values, str(line.takes.count), line.kind.meaning)
    out.print(table, soft_wrap=False)
    for note in evaluation.notes:
        out.print(Text(note, style="yellow"))
    collections = [c for c in (evaluation.takes, evaluation.reference) if c]
    skipped = [missed for collection in collections for missed in collection.skipped]
    for title, missing in (("left out", evaluation.left_out), ("skipped", skipped)):
        if missing:
            listed = _table(title)
            listed.add_column("why", overflow="fold")
            for missed in missing:
                listed.add_row(Text(missed.name), Text(missed.why))
            out.print()
            out.print(listed, soft_wrap=False)


def _table(first: str, *numbers: str) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(first)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table
