"""Figures as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cadenza.files import write_atomically


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    rule = ["─" * width for width in widths]
    lines = []
    for row in (head, rule, *rows):
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
    return "\n".join(lines)


def write_json(path: Path, figures: dict[str, Any]) -> None:
    """Raises ``OutputError`` where ``path`` cannot be written."""
    text = json.dumps(figures, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode())
