"""A small version for the terminal, in colour where there is any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cadenza.show.facts import facts, recipe_rows
from cadenza.show.view import View, pooled
from cadenza.types import FloatArray

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

WIDEST = 100  # columns
MARGIN = 11  # columns of the names on the left
WAVE_ROWS, MEL_ROWS = 4, 8
QUIETEST = -60.0  # LUFS, and decibels of the spectrogram: small cells need more contrast
EIGHTHS = " ▁▂▃▄▅▆▇█"
SHADES = " ░▒▓█"
# The colours of the spectrogram, quiet to loud: «magma» of matplotlib at equal steps.
MAGMA = (
    (0, 0, 4),
    (28, 16, 68),
    (79, 18, 123),
    (129, 37, 129),
    (181, 54, 122),
    (229, 80, 100),
    (251, 135, 97),
    (254, 194, 135),
    (252, 253, 191),
)


class Summary:
    """A view for ``rich.print``: waveform, spectrogram, loudness, facts, recipe."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        view = self._view
        width = max(1, min(WIDEST, options.max_width) - MARGIN)
        yield Text(view.name, style="bold")
        yield Text(", ".join(facts(view)))
        yield from _named("waveform", _wave(view.envelope, width))
        coloured = console.color_system is not None
        yield from _named("spectrum", _spectrum(view.mel, width, coloured))
        yield from _named("loudness", [_levels(view.momentary, width)])
        yield from _named("bars", [_bars(view, width)])
        for name, value in recipe_rows(view.recipe):
            yield from _named(name, [Text(value)])


def _named(name: str, lines: list[Text]) -> Iterator[Text]:
    from rich.text import Text

    for number, line in enumerate(lines):
        heading = "" if number else name
        yield Text().append(f"{heading:<{MARGIN}}", style="bold").append_text(line)


def _columns(values: FloatArray, width: int) -> FloatArray:
    """``[rows, N]`` as exactly ``width`` columns, whether there are more or fewer."""
    if values.shape[1] >= width:
        return pooled(values, width)
    return values[:, np.arange(width) * values.shape[1] // width]


def _wave(envelope: FloatArray, width: int) -> list[Text]:
    """Bars that stand on the lower edge: how far the wave swings, twice ``WAVE_ROWS`` high."""
    from rich.text import Text

    swing = _columns(np.diff(envelope, axis=0), width)[0]
    heights = np.round(swing / max(swing.max(), 1e-9) * WAVE_ROWS * 8).astype(int)
    return [
        Text("".join(EIGHTHS[np.clip(h - 8 * row, 0, 8)] for h in heights), style="blue")
        for row in reversed(range(WAVE_ROWS))
    ]


def _spectrum(mel: FloatArray, width: int, coloured: bool) -> list[Text]:
    """High frequencies on top; in colour every line holds two rows."""
    from rich.text import Text

    rows = 2 * MEL_ROWS if coloured else MEL_ROWS
    small = pooled(np.ascontiguousarray(_columns(mel, width).T), rows).T
    small = np.clip(1 - small / QUIETEST, 0, 1)
    lines = []
    for row in reversed(range(0, rows, 2 if coloured else 1)):
        line = Text()
        for column in range(width):
            if coloured:
                lower, upper = (_colour(small[row + half, column]) for half in (0, 1))
                line.append("▀", style=f"{upper} on {lower}")
            else:
                line.append(SHADES[min(int(small[row, column] * len(SHADES)), len(SHADES) - 1)])
        lines.append(line)
    return lines


def _colour(value: float) -> str:
    place = value * (len(MAGMA) - 1)
    left = min(int(place), len(MAGMA) - 2)
    share = place - left
    mixed = (round(a + (b - a) * share) for a, b in zip(MAGMA[left], MAGMA[left + 1], strict=True))
    return f"rgb({','.join(map(str, mixed))})"


def _levels(momentary: FloatArray, width: int) -> Text:
    from rich.text import Text

    heard = _columns(np.maximum(momentary, QUIETEST)[None], width)[0]
    heights = np.round((heard - QUIETEST) / -QUIETEST * 8).astype(int)
    return Text("".join(EIGHTHS[np.clip(h, 0, 8)] for h in heights), style="green")


def _bars(view: View, width: int) -> Text:
    """Where the bars and beats are."""
    from rich.text import Text

    marks = [" "] * width
    for times, mark in ((view.heard.beats, "·"), (view.heard.downbeats, "|")):
        for time in times:
            if 0 <= time < view.duration:
                marks[int(time / view.duration * width)] = mark
    return Text("".join(marks), style="yellow")
