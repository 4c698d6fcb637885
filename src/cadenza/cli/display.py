"""What a terminal shows of music while it plays: the level, the spectrum, the line being typed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from cadenza.cli import showing

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

    from cadenza.cli.steering import Lines
    from cadenza.streaming import Stream
    from cadenza.types import FloatArray

WIDTH, HEIGHT = 64, 8  # of the spectrum at most, in characters
EDGES, UNIT = 3, 9  # characters beside it and the level: the margins, and what the level is
LOWEST, HIGHEST = 50.0, 14_000.0  # hertz, the first and the last column
SILENT, LOUD = -72.0, -12.0  # dB of full scale, the foot and the top of a column
QUIET = -60.0  # dB, the left end of a level
FALL = 3.0  # dB that a column or a level falls at most from one picture to the next
AXIS = {100: "100", 500: "500", 1000: "1k", 5000: "5k", 10_000: "10k"}
FFT = 8192
EIGHTHS = " ▁▂▃▄▅▆▇█"
LEFT_EIGHTHS = " ▏▎▍▌▋▊▉█"


def decibels(power: FloatArray) -> FloatArray:
    """Power of full scale to dB; silence is very low, not infinitely."""
    return 10 * np.log10(np.maximum(power, 1e-12))


def levels(samples: FloatArray) -> FloatArray:
    """The level of each channel of ``samples [C, n]`` in dB; a full-scale sine has -3."""
    return decibels(np.mean(np.square(samples), axis=1))


class Spectrum:
    """The last quarter of a second of sound in ``WIDTH`` bands, each an equal part of an octave."""

    def __init__(self, rate: int) -> None:
        self._last = np.zeros(FFT, np.float32)
        frequencies = np.fft.rfftfreq(FFT, 1 / rate)
        edges = np.geomspace(LOWEST, HIGHEST, WIDTH + 1)
        middles = np.sqrt(edges[:-1] * edges[1:])
        inside = (edges[:-1] <= frequencies[:, None]) & (frequencies[:, None] < edges[1:])
        # Low bands are narrower than the grid of frequencies, but none is to stay dark.
        inside[np.abs(frequencies[:, None] - middles).argmin(axis=0), np.arange(WIDTH)] = True
        self._filters = inside.astype(np.float32)

    def hear(self, samples: FloatArray) -> FloatArray:
        """Take ``samples [C, n]``; returns the bands ``[WIDTH]`` in dB."""
        from cadenza.spectrum import band_power

        self._last = np.concatenate([self._last, samples.mean(axis=0)])[-FFT:]
        return decibels(band_power(self._last, FFT, FFT // 2, self._filters)[1])


class Display:
    """A picture of the present moment, for rich to draw."""

    def __init__(self, stream: Stream, rate: int, channels: int) -> None:
        self.typed: Lines | None = None  # where the line comes from that is being typed
        self._stream, self._rate = stream, rate
        self._said = ""
        self._dropouts = 0
        self._spectrum = Spectrum(rate)
        self._bands = np.full(WIDTH, SILENT, np.float32)
        self._levels = np.full(channels, QUIET, np.float32)
        self._played = 0  # samples

    def say(self, text: str) -> None:
        """Show the answer to a line until the next one."""
        self._said = text

    def hear(self, samples: FloatArray, dropouts: int) -> None:
        """Take the ``samples [C, n]`` that are heard now, and the number of gaps so far."""
        self._dropouts = dropouts
        self._played += samples.shape[1]
        self._bands = np.maximum(self._spectrum.hear(samples), self._bands - FALL)
        self._levels = np.maximum(levels(samples), self._levels - FALL)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        width = max(1, min(WIDTH, options.max_width - EDGES - UNIT))
        head, meters = [*self._head()], [*self._meters(width)]
        foot = [*self._foot(options.max_width)]
        others = len(head) + 1 + len(meters) + len(foot)
        yield from head
        yield from self._columns(width, max(1, min(HEIGHT, options.size.height - 1 - others)))
        yield self._axis(width)
        yield from meters
        yield from foot

    def _head(self) -> Iterator[Text]:
        playing = self._stream.playing
        seconds = self._played // self._rate
        settings = (
            f"{seconds // 60:d}:{seconds % 60:02d}   guidance {playing.guidance:g}   "
            f"temperature {playing.temperature:g}   seed {playing.seed}"
        )
        if self._dropouts:
            settings += f"   dropouts {self._dropouts}"
        yield _line(f"  {playing.text or 'no prompt'}", style="bold")
        yield _line(f"  {settings}", style="dim")

    def _columns(self, width: int, height: int) -> Iterator[Text]:
        columns = np.maximum.reduceat(self._bands, np.arange(width) * WIDTH // width)
        share = np.clip((columns - SILENT) / (LOUD - SILENT), 0, 1)
        eighths = np.round(share * height * 8).astype(int)
        for row in reversed(range(height)):
            filled = np.clip(eighths - row * 8, 0, 8)
            yield _line("  " + "".join(EIGHTHS[n] for n in filled), style=_color(row / height))

    def _axis(self, width: int) -> Text:
        line = ""
        for hertz, name in AXIS.items():
            place = round(width * np.log(hertz / LOWEST) / np.log(HIGHEST / LOWEST))
            if place > len(line):  # else it has no room
                line = line.ljust(place) + name
        return _line(f"  {line} Hz", style="dim")

    def _meters(self, width: int) -> Iterator[Text]:
        names = "LR" if len(self._levels) == 2 else " "
        for name, level in zip(names, self._levels, strict=True):
            eighths = round(float(np.clip(1 - level / QUIET, 0, 1)) * width * 8)
            bar = "█" * (eighths // 8) + LEFT_EIGHTHS[eighths % 8]
            text = _line(f"{name} ")
            for part in range(0, width, 8):
                text.append(bar[part : part + 8], style=_color(part / width))
            text.append(" " * (width + 1 - len(bar)))
            yield text.append(f"{level:6.1f} dB" if level > QUIET else "  quiet", style="dim")

    def _foot(self, width: int) -> Iterator[Text]:
        yield _line(f"  {self._said}", style="dim")
        if self.typed is not None:
            yield _line(f"› {_end(self.typed.pending, width - EDGES)}▏")


def _line(text: str, style: str = "") -> Text:
    """One line, cut off where the terminal ends."""
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _end(text: str, width: int) -> str:
    """As much of the end as there is room for: it is where one types."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    return "…" + set_cell_size(text[::-1], max(width - 1, 0))[::-1]


def _color(share: float) -> str:
    """Green where it is calm, red where it is loud."""
    return "green" if share < 0.6 else "yellow" if share < 0.85 else "red"


@contextmanager
def live(display: Display) -> Iterator[Callable[[], None]]:
    """Draw ``display`` whenever what is yielded is called; nothing where there is no terminal."""
    if not sys.stdout.isatty():
        yield lambda: None
        return
    from rich.live import Live

    with Live(display, console=showing.output(), auto_refresh=False) as drawn:
        yield drawn.refresh
