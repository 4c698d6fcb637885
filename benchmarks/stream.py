"""Whether a stream can go on for ever: ``python -m benchmarks.stream``.

An hour of music, unless another length is asked for, is read as fast as it is made; it takes as
long as it takes. For every minute of it: how fast it came, the longest wait for half a second of
sound, the memory of the process, the loudness, the key, and how much the pitch classes are those of
the first minute. Before that, how long after the request the first sound is there.

A window of the model ends every 18 seconds of music, so each minute has three or four hand-overs
between voices; the waits in their seconds are told apart from the others.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cadenza
from benchmarks.table import table, write_json
from cadenza.audio import loudness
from cadenza.beats import analyse
from cadenza.engine import OVERLAP, WINDOW
from cadenza.model import Model
from cadenza.types import Audio, FloatArray

FIRST_SOUNDS = 9
BUFFER = 1.0  # seconds
PROMPT = "jazz piano with bass and drums, 120 bpm"


@dataclass(frozen=True)
class Minute:
    """Of music, not of the clock."""

    rate: float  # times real time
    wait: float  # the longest for a chunk, in seconds
    wait_at_a_window: float  # the same, where one voice takes over from another or opens
    megabytes: float  # of the process, at its end
    lufs: float
    key: str
    chroma: tuple[float, ...]  # the share of each pitch class, from C
    likeness: float  # of these to those of the first minute: a cosine, 1 is the same


def first_sounds(model: Model, prompt: str) -> list[float]:
    """Seconds from a request to its first chunk."""
    waits = []
    for seed in range(FIRST_SOUNDS):
        begun = time.perf_counter()
        with model.stream(prompt, seed=seed) as stream:
            next(stream)
            waits.append(time.perf_counter() - begun)
    return waits


def listen(model: Model, prompt: str, minutes: float, seed: int) -> list[Minute]:
    """Stream ``minutes`` of music and measure each of them."""
    measured: list[Minute] = []
    heard: list[FloatArray] = []
    waits: list[tuple[float, bool]] = []
    seconds = 0.0  # of music
    begun = last = time.perf_counter()
    with model.stream(prompt, None, BUFFER, seed=seed) as stream:
        while seconds < minutes * 60:
            chunk = next(stream)
            now = time.perf_counter()
            waits.append((now - last, _at_a_window(seconds, chunk.duration, model.frame_rate)))
            heard.append(chunk.samples)
            seconds += chunk.duration
            if seconds >= 60 * (len(measured) + 1) or seconds >= minutes * 60:
                audio = Audio(np.concatenate(heard, axis=1), chunk.rate)
                measured.append(_minute(audio, now - begun, waits, measured))
                print(*_row(len(measured), measured[-1]), file=sys.stderr, flush=True)
                heard.clear()
                waits.clear()
                begun = now = time.perf_counter()  # measuring took time of its own
            last = now
    return measured


def _minute(
    audio: Audio, seconds: float, waits: list[tuple[float, bool]], before: list[Minute]
) -> Minute:
    tones = analyse(audio)
    chroma = np.array(tones.chroma)
    first = np.array(before[0].chroma) if before else chroma
    # While the minute before was measured, the stream went on until its buffer was full.
    ready = BUFFER if before else 0.0
    return Minute(
        rate=(audio.duration - ready) / seconds,
        wait=max((wait for wait, at in waits if not at), default=0.0),
        wait_at_a_window=max((wait for wait, at in waits if at), default=0.0),
        megabytes=resident(),
        lufs=loudness(audio),
        key=str(tones.key),
        chroma=tones.chroma,
        likeness=float(chroma @ first / (np.linalg.norm(chroma) * np.linalg.norm(first))),
    )


def _at_a_window(seconds: float, duration: float, frame_rate: float) -> bool:
    """Whether a voice opens or takes over within a second of the music from ``seconds`` on."""
    stride = (WINDOW - OVERLAP) / frame_rate
    overlap = OVERLAP / frame_rate
    # A voice opens when a stride is over and takes over an overlap later.
    return any(
        (seconds + duration + 1 - shift) // stride > (seconds - 1 - shift) // stride
        for shift in (0.0, overlap)
        if seconds + duration + 1 - shift >= stride
    )


def resident() -> float:
    """Megabytes of this process that are in memory."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # the most so far, on macOS


def report(figures: dict[str, Any]) -> str:
    """The table, and a line for each thing that has to hold."""
    minutes = [Minute(**minute) for minute in figures["minutes"]]
    head = ["minute", "× real time", "wait, ms", "at windows", "MB", "LUFS", "key", "chroma"]
    rows = [_row(number, minute) for number, minute in enumerate(minutes, 1)]
    first, rates = figures["first_sound"], [minute.rate for minute in minutes]
    levels = [minute.lufs for minute in minutes]
    settled = minutes[min(1, len(minutes) - 1) :]
    lines = [
        f"first sound after {1000 * statistics.median(first):.0f} ms "
        f"(median of {len(first)}, slowest {1000 * max(first):.0f})",
        f"rate: {min(rates):.1f} to {max(rates):.1f} times real time",
        f"longest wait: {1000 * max(m.wait for m in minutes):.0f} ms, at windows "
        f"{1000 * max(m.wait_at_a_window for m in minutes):.0f} ms",
        f"memory: {settled[0].megabytes:.0f} MB after minute {len(minutes) - len(settled) + 1}, "
        f"{settled[-1].megabytes:.0f} MB after the last",
        f"loudness: {min(levels):.1f} to {max(levels):.1f} LUFS, first minute {levels[0]:.1f}",
        f"chroma against the first minute's: {min(m.likeness for m in minutes):.2f} at least",
    ]
    return "\n".join([table(head, rows), "", *lines])


def _row(number: int, minute: Minute) -> list[str]:
    return [
        f"{number}",
        f"{minute.rate:.1f}",
        f"{1000 * minute.wait:.0f}",
        f"{1000 * minute.wait_at_a_window:.0f}",
        f"{minute.megabytes:.0f}",
        f"{minute.lufs:.1f}",
        minute.key,
        f"{minute.likeness:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stream",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="nano", help="short name, hub id or folder")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--minutes", type=float, default=60.0, help="of music")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()

    model = cadenza.load(options.model)
    figures = {
        "model": options.model,
        "prompt": options.prompt,
        "seed": options.seed,
        "first_sound": first_sounds(model, options.prompt),
        "minutes": [
            asdict(minute)
            for minute in listen(model, options.prompt, options.minutes, options.seed)
        ],
    }
    print(report(figures))
    if options.json:
        write_json(options.json, figures)


if __name__ == "__main__":
    main()
