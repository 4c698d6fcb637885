"""How well loops meet their own beginning: ``python -m benchmarks.loops``.

Five loops of each of four prompts. The bar: exact to the sample, and a seam that is no more of an
event than 95 % of the moments inside the loop.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import cadenza
from benchmarks.table import table, write_json
from cadenza.studio.loop import Loop, loops

PROMPTS = (
    "techno groove, 128 bpm",
    "funk drums and bass, 110 bpm",
    "house with piano, 124 bpm",
    "lo-fi hip hop beat, 85 bpm",
)
EACH, BARS = 5, 2


def figures(made: list[Loop]) -> dict[str, float]:
    """Counts, and the percentiles of the seams."""
    percentiles = [loop.seam.percentile for loop in made]
    return {
        "loops": len(made),
        "exact to the sample": sum(
            loop.audio.samples.shape[1] == loop.grid.samples for loop in made
        ),
        "seam within 95 %": sum(loop.seam.ok for loop in made),
        "seam, median percentile": float(np.median(percentiles)),
        "seam, worst percentile": max(percentiles),
        "begun on a downbeat that is heard": sum(loop.on_downbeat for loop in made),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loops", description=__doc__)
    parser.add_argument("--model", default="nano", help="short name, hub id or folder")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    player = cadenza.load(options.model)
    made = [
        loop
        for number, prompt in enumerate(PROMPTS)
        for loop in loops(player, prompt, bars=BARS, seed=2 * EACH * number, count=EACH)
    ]
    rows = figures(made)
    print(table(["", ""], [[name, f"{value:g}"] for name, value in rows.items()]))
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
