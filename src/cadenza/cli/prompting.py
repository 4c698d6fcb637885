"""``cadenza prompt``."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from cadenza.cli import options as o
from cadenza.cli import showing


def prompt(
    text: Annotated[
        str | None, typer.Argument(help="Bare words; without any, prompts to start from.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Turn bare words into a description that a model follows, and say which rule did what."""
    from cadenza.prompting import explain, presets

    if text is None:
        if as_json:
            print(json.dumps(dict(presets()), ensure_ascii=False))
        else:
            _table([(name, preset) for name, preset in presets().items()])
        return
    explanation = explain(text)
    if as_json:
        print(json.dumps(dataclasses.asdict(explanation), ensure_ascii=False))
        return
    print(explanation.description)
    rows = [("you said", f"{word} ({facet})") for facet, word in explanation.found.items()]
    for reason in explanation.reasons:
        because = f" ({', '.join(reason.words)})" if reason.words else ""
        rows += [(f"{reason.rule}{because}", f"{value} ({f})") for f, value in reason.gave.items()]
    print()
    _table(rows)


def _table(rows: list[tuple[str, str]]) -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    previous = ""
    for left, right in rows:
        table.add_row("" if left == previous else left, right)
        previous = left
    showing.output().print(table, soft_wrap=False)
