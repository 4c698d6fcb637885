"""Pages for the eye, drawn by matplotlib: a sound, two beside each other, notes over a sound."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cadenza.errors import MissingPackage, OptionError
from cadenza.show.facts import facts, recipe_rows
from cadenza.show.view import (
    BANDS,
    HIGHEST,
    HIGHEST_PITCH,
    LOWEST,
    LOWEST_PITCH,
    RANGE,
    View,
    mel_spectrogram,
    pitch_spectrogram,
)
from cadenza.types import PITCH_CLASSES, Audio, FloatArray, Note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INSTALL = "pip install 'cadenza[show]'"
FORMATS = (".png", ".svg", ".pdf")
WIDTH, DOTS = 12.0, 110  # inches, dots an inch
INK, FAINT, ACCENT, WARM = "#22303c", "#9aa7b1", "#1f77b4", "#d9480f"
QUIETEST = -60.0  # LUFS at the foot of the loudness
TICKS = (100, 300, 1000, 2000, 5000, 10_000)  # hertz
DRUM_HERTZ = {36: 90.0, 38: 1400.0, 42: 10_000.0}  # about where each drum is heard


def page(views: Sequence[View], suffix: str = ".png") -> bytes:
    """Waveform with beats, mel spectrogram, chroma, loudness and recipe; a column for each view.

    Args:
        views: one, or two to be compared: those share their scales.
        suffix: ``.png``, ``.svg`` or ``.pdf``.

    Raises:
        OptionError: another suffix.
        MissingPackage: matplotlib is not installed.
    """
    lines = max(1, *(len(recipe_rows(view.recipe)) for view in views))
    heights = [2.0, 3.0, 2.0, 1.6, 0.17 * lines]
    figure = _figure(WIDTH * (1 if len(views) == 1 else 1.5), sum(heights) + 1)
    grid = figure.subplots(5, len(views), squeeze=False, sharex="col", height_ratios=heights)
    tallest = max(view.peak for view in views)
    for column, view in zip(grid.T, views, strict=True):
        waveform, mel, chroma, level, recipe = column
        waveform.set_title(_title(view), loc="left", fontsize=10, color=INK, parse_math=False)
        _waveform(waveform, view, tallest)
        _mel(mel, view.mel, view.duration)
        _chroma(chroma, view)
        _loudness(level, view)
        _text(recipe, view)
        level.set_xlabel("seconds", color=INK)
        level.tick_params(labelbottom=True)
        level.set_xlim(0, view.duration)
    return _saved(figure, suffix)


@dataclass(frozen=True)
class Roll:
    """The notes that were heard in a sound."""

    name: str
    audio: Audio
    notes: Sequence[Note]
    drums: bool = False


def piano_roll(rolls: Sequence[Roll], suffix: str = ".png") -> bytes:
    """Notes over the spectrogram of their sound, pitch upwards; drums over a mel spectrogram.

    Raises:
        OptionError: another suffix than those of :func:`page`.
        MissingPackage: matplotlib is not installed.
    """
    figure = _figure(WIDTH, 0.6 + 3.6 * len(rolls))
    axes = figure.subplots(len(rolls), squeeze=False, sharex=True)[:, 0]
    for axis, roll in zip(axes, rolls, strict=True):
        if roll.drums:
            _mel(axis, mel_spectrogram(roll.audio), roll.audio.duration)
            _bars(axis, roll.notes, [_mel_place(DRUM_HERTZ[note.pitch]) for note in roll.notes], 4)
            axis.set_ylim(0, BANDS)
        else:
            _pitches(axis, roll)
            _bars(axis, roll.notes, [note.pitch for note in roll.notes], 0.8)
        title = f"{roll.name}: {len(roll.notes)} notes"
        axis.set_title(title, loc="left", fontsize=10, color=INK, parse_math=False)
    axes[-1].set_xlim(0, max(roll.audio.duration for roll in rolls))
    axes[-1].set_xlabel("seconds", color=INK)
    return _saved(figure, suffix)


def check_suffix(path: Path) -> str:
    """The suffix of a picture.

    Raises:
        OptionError: none that can be written.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise OptionError(f"{path.name} is not a picture: end it with {', '.join(FORMATS)}")
    return suffix


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackage("matplotlib, which draws pictures,", INSTALL) from error
    return Figure(figsize=(width, height), dpi=DOTS, layout="constrained", facecolor="white")


def _saved(figure: Any, suffix: str) -> bytes:
    if suffix not in FORMATS:
        raise OptionError(f"{suffix!r} is not a format of pictures: choose {', '.join(FORMATS)}")
    buffer = io.BytesIO()
    with warnings.catch_warnings():  # of letters that its font lacks: they are boxes then
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(buffer, format=suffix[1:])
    return buffer.getvalue()


def _waveform(axis: Axes, view: View, tallest: float) -> None:
    low, high = view.envelope
    times = np.linspace(0, view.duration, len(low))
    for beat in view.heard.beats:
        axis.axvline(beat, color=FAINT, linewidth=0.4, alpha=0.6)
    for beat in view.heard.downbeats:
        axis.axvline(beat, color=WARM, linewidth=0.9, alpha=0.8)
    axis.fill_between(times, low, high, color=ACCENT, linewidth=0.3, edgecolor=ACCENT)
    axis.set_ylim(-1.05 * tallest, 1.05 * tallest)
    _label(axis, "amplitude")
    if view.heard.beats:
        axis.set_title("| bars", loc="right", fontsize=8, color=WARM)


def _mel(axis: Axes, mel: FloatArray, duration: float) -> None:
    axis.imshow(
        mel,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-RANGE,
        vmax=0,
        extent=(0, duration, 0, BANDS),
        interpolation="nearest",
    )
    axis.set_yticks([_mel_place(hertz) for hertz in TICKS], [_hertz(hertz) for hertz in TICKS])
    _label(axis, "hertz (mel)")


def _pitches(axis: Axes, roll: Roll) -> None:
    axis.imshow(
        pitch_spectrogram(roll.audio),
        origin="lower",
        aspect="auto",
        cmap="bone",
        vmin=-RANGE / 2,
        vmax=0,
        extent=(0, roll.audio.duration, LOWEST_PITCH - 0.5, HIGHEST_PITCH + 0.5),
        interpolation="nearest",
    )
    pitches = [note.pitch for note in roll.notes] or [LOWEST_PITCH, HIGHEST_PITCH]
    axis.set_ylim(min(pitches) - 3, max(pitches) + 3)
    octaves = range(24, HIGHEST_PITCH + 1, 12)
    axis.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
    axis.set_ylim(min(pitches) - 3, max(pitches) + 3)
    _label(axis, "pitch")


def _bars(axis: Axes, notes: Sequence[Note], places: Sequence[float], height: float) -> None:
    """A bar for each note, the brighter the louder."""
    axis.barh(
        places,
        [note.end - note.start for note in notes],
        left=[note.start for note in notes],
        height=height,
        color=[(1.0, 0.45, 0.05, 0.35 + 0.6 * note.velocity / 127) for note in notes],
        edgecolor="white",
        linewidth=0.4,
    )


def _chroma(axis: Axes, view: View) -> None:
    axis.imshow(
        view.chroma,
        origin="lower",
        aspect="auto",
        cmap="viridis",
        vmin=0,
        vmax=max(float(view.chroma.max()), 1e-6),
        extent=(0, view.duration, -0.5, 11.5),
        interpolation="nearest",
    )
    axis.set_yticks(range(12), PITCH_CLASSES, fontsize=7)
    _label(axis, "pitch class")


def _loudness(axis: Axes, view: View) -> None:
    # Each value is heard over 0.4 s; it stands in their middle.
    times = np.minimum(0.2 + 0.1 * np.arange(len(view.momentary)), view.duration)
    heard = np.maximum(view.momentary, QUIETEST)
    axis.fill_between(times, QUIETEST, heard, color=ACCENT, alpha=0.25, linewidth=0)
    axis.plot(times, heard, color=ACCENT, linewidth=1.2)
    axis.axhline(view.loudness, color=WARM, linewidth=1, linestyle="--")
    axis.set_ylim(QUIETEST, 0)
    axis.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.5)
    _label(axis, "LUFS")
    axis.set_title("- - the whole", loc="right", fontsize=8, color=WARM)


def _text(axis: Axes, view: View) -> None:
    axis.axis("off")
    lines = [f"{name:<10}{value}" for name, value in recipe_rows(view.recipe)]
    axis.text(
        0.0,
        1.0,
        "\n".join(lines) or "no recipe in this file",
        transform=axis.transAxes,
        va="top",
        fontsize=8.5,
        family="monospace",
        color=INK,
        parse_math=False,
    )


def _title(view: View) -> str:
    return f"{view.name}\n{', '.join(facts(view))}"


def _label(axis: Axes, name: str) -> None:
    axis.set_ylabel(name, color=INK, fontsize=9)
    axis.tick_params(colors=INK, labelsize=8)
    for spine in axis.spines.values():
        spine.set_color(FAINT)


def _mel_place(hertz: float) -> float:
    """Where a frequency lies among the bands, whose middles are equal steps of the mel scale."""

    def mel(value: float) -> float:
        return float(np.log10(1 + value / 700))

    return (mel(hertz) - mel(LOWEST)) / (mel(HIGHEST) - mel(LOWEST)) * (BANDS + 1) - 0.5


def _hertz(value: int) -> str:
    return f"{value // 1000} k" if value >= 1000 else str(value)
