"""``--best-of``: several takes of each piece, and why the best is the best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cadenza.cli import showing
from cadenza.cli.places import takes_at

if TYPE_CHECKING:
    from cadenza.studio.audition import Heard
    from cadenza.take import Take


def save(
    takes: Sequence[Take], place: Path, format: str | None, loudness: float | None, recipe: bool
) -> list[tuple[Path, Take]]:
    """The takes in files: the first at ``place``, the others as NAME-2, NAME-3, …"""
    return [
        (take.save(name, format, loudness, recipe), take)
        for name, take in zip(takes_at(place, len(takes)), takes, strict=True)
    ]


def show(rankings: Sequence[Sequence[Heard]]) -> None:
    """A table of each piece's takes: every part of the score, and why one was thrown out."""
    from rich.table import Table

    for ranking in rankings:
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("seed", justify="right")
        table.add_column("score", justify="right")
        for part in ranking[0].score.parts:
            table.add_column(part, justify="right")
        table.add_column("heard")
        for one in ranking:
            score = one.score
            parts = (f"{value:.2f}" for value in score.parts.values())
            out = f", thrown out: {'; '.join(score.faults)}" if score.faults else ""
            seed = str(one.take.recipe.sampling.seed)
            table.add_row(seed, f"{score.total:.0f}", *parts, f"{score.heard}{out}")
        showing.output().print(table, soft_wrap=False)
