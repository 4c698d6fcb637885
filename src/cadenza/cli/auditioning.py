"""``--best-of``: several takes of each piece, and why the best is the best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cadenza.cli import showing
from cadenza.cli.places import takes_at

if TYPE_CHECKING:
    from cadenza.studio.scoring import Rated
    from cadenza.take import Take


def save(
    takes: Sequence[Take], place: Path, format: str | None, loudness: float | None, recipe: bool
) -> list[tuple[Path, Take]]:
    """The takes in files: the first at ``place``, the others as NAME-2, NAME-3, …"""
    return [
        (take.save(name, format, loudness, recipe), take)
        for name, take in zip(takes_at(place, len(takes)), takes, strict=True)
    ]


def show(rankings: Sequence[Sequence[Rated]]) -> None:
    """Every part of the scores of each piece's takes; what is heard in them, and why one was thrown
    out."""
    from rich.table import Table

    output = showing.output()
    for ranking in rankings:
        # A single space between columns: with every part there is it still fits into 80 columns.
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
        for name in ("seed", "score", *ranking[0].score.parts):
            table.add_column(name, justify="right")
        for one in ranking:
            parts = (f"{value:.2f}" for value in one.score.parts.values())
            table.add_row(str(one.seed), f"{one.score.total:.0f}", *parts)
        output.print(table)
        for one in ranking:
            faults = one.score.faults
            out = f", thrown out: {'; '.join(faults)}" if faults else ""
            output.print(f"{one.seed} is {one.score.heard}{out}", highlight=False)
