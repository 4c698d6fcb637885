"""A file of prompts: one a line, or CSV with a column for each option."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cadenza.errors import OptionError

COLUMNS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "prompt": ("prompt", str),
    "duration": ("duration", float),
    "seed": ("seed", int),
    "negative": ("negative", str),
    "guidance": ("guidance", float),
    "temperature": ("temperature", float),
    "top_k": ("top_k", int),
    "top_p": ("top_p", float),
    "melody": ("melody", str),
    "continue": ("beginning", str),
    "output": ("output", str),
}


def read_prompts(path: Path) -> list[dict[str, Any]]:
    """The pieces that a file asks for, as fields of ``GenerateRequest`` and ``output``.

    Raises:
        OptionError: no such file, no prompt in it, an unknown column or a value of the wrong kind.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} cannot be read as a text of prompts: {error}") from error
    if path.suffix.lower() == ".csv":
        rows = _table(path, text)
    else:
        rows = [{"prompt": line.strip()} for line in text.splitlines() if line.strip()]
    if not rows:
        raise OptionError(f"{path} holds no prompt: write one a line")
    return rows


def _table(path: Path, text: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text), restkey="", strict=True)  # cells may have lines
    try:
        return _rows(path, reader)
    except csv.Error as error:
        raise OptionError(f"{path}, line {reader.line_num}, is no CSV: {error}") from error


def _rows(path: Path, reader: csv.DictReader[str]) -> list[dict[str, Any]]:
    columns = list(reader.fieldnames or [])
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown or "prompt" not in columns:
        what = f"an unknown column {unknown[0]!r}" if unknown else "no column «prompt»"
        raise OptionError(f"{path} has {what}: the columns are {', '.join(COLUMNS)}")
    return [_row(f"{path}, line {reader.line_num}", row) for row in reader if any(row.values())]


def _row(where: str, row: dict[str, str]) -> dict[str, Any]:
    if "" in row:
        raise OptionError(f"{where} has more cells than the first line: quote commas in a prompt")
    fields = {}
    for column, cell in row.items():
        if cell:
            name, convert = COLUMNS[column]
            try:
                fields[name] = convert(cell.strip())
            except ValueError as error:
                raise OptionError(f"{where}: {column} cannot be {cell!r}") from error
    if not Path(name := fields.get("output", "x")).name or "\0" in name:
        raise OptionError(f"{where}: output cannot be {name!r}: it is a file's name")
    return {"prompt": "", **fields}
