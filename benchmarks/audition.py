"""Whether the best of several takes holds more of its prompt: ``python -m benchmarks.audition``.

Each of 40 prompts of the adherence benchmark, those that ask for a tempo or a mode first, is played
four times. The same listener as there, which knows nothing of the score, hears all takes; the mean
of the four is set against the take that the audition puts first.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np

import cadenza
from benchmarks.adherence import judged
from benchmarks.judge import judge_for
from benchmarks.labels import FIGURES
from benchmarks.pieces import EXCERPT_SECONDS
from benchmarks.prompts import Prompt, read_prompts
from benchmarks.table import table, write_json
from benchmarks.takes import judged_part
from benchmarks.verdicts import Verdict, accuracy, asking
from cadenza.studio.audition import auditions

PROMPTS, TAKES = 40, 4


def chosen() -> list[Prompt]:
    """The prompts that are played, those first that ask for what the score hears."""
    prompts = read_prompts()
    asks = [p for p in prompts if p.labels.tempo is not None or p.labels.mode is not None]
    return [*asks, *(prompt for prompt in prompts if prompt not in asks)][:PROMPTS]


def figures(best: list[Verdict], every: list[Verdict]) -> dict[str, dict[str, float]]:
    """The share that is right, of the best takes and of all."""
    rows = {}
    for figure in FIGURES:
        count = len(asking(best, figure))
        if not count:
            continue
        ours = accuracy(best, figure)
        rows[figure] = {
            "asked": count,
            "single take": accuracy(every, figure),
            f"best of {TAKES}": ours,
            "error": math.sqrt(ours * (1 - ours) / count),
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audition", description=__doc__)
    parser.add_argument("--model", default="nano", help="short name, hub id or folder")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()

    judge = judge_for(options.model)
    player = cadenza.load(options.model)
    best: list[Verdict] = []
    every: list[Verdict] = []
    thrown_out = []
    for number, prompt in enumerate(chosen()):
        request = cadenza.GenerateRequest(
            prompt.text, duration=EXCERPT_SECONDS, seed=number * TAKES
        )
        [heard] = auditions(player, [request], TAKES)
        sounds = [judged_part(one.take.audio) for one in heard]
        verdicts = judged(judge, [prompt] * TAKES, sounds)
        best.append(verdicts[0])
        every += verdicts
        thrown_out.append(np.mean([bool(one.score.faults) for one in heard]))
    rows = figures(best, every)
    lines = [
        [
            figure,
            f"{row['asked']:.0f}",
            f"{row['single take']:.0%}",
            f"{row[f'best of {TAKES}']:.0%} ± {100 * row['error']:.0f}",
        ]
        for figure, row in rows.items()
    ]
    print(table(["", "asked", "a single take", f"the best of {TAKES}"], lines))
    print(f"thrown out: {np.mean(thrown_out):.0%} of the takes")
    if options.json:
        write_json(options.json, {"figures": rows, "thrown out": float(np.mean(thrown_out))})


if __name__ == "__main__":
    main()
