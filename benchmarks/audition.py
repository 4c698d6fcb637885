"""Whether the best of several takes holds more of its prompt: ``python -m benchmarks.audition``.

Each of 40 prompts of the adherence benchmark, those that ask for a tempo or a mode first, is played
eight times. The same listener as there, which knows nothing of any score, hears all takes; their
mean is set against the take that the rules for sound put first, and against the one that the
model's critic does, if it has one. Below, how often the critic is right: of the takes that it gave
a likelihood, those that hold it by the listener's judgement.
"""

from __future__ import annotations

import argparse
import math
from itertools import pairwise
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
from cadenza.request import GenerateRequest
from cadenza.studio.scoring import Heard, ranked

PROMPTS, TAKES = 40, 8
MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)  # between which likelihoods are counted together

Verdicts = dict[str, list[Verdict]]  # by how they were chosen


def chosen() -> list[Prompt]:
    """The prompts that are played, those first that ask for what the score hears."""
    prompts = read_prompts()
    asks = [p for p in prompts if p.labels.tempo is not None or p.labels.mode is not None]
    return [*asks, *(prompt for prompt in prompts if prompt not in asks)][:PROMPTS]


def figures(verdicts: Verdicts) -> dict[str, dict[str, float]]:
    """The share that is right, of all takes and of the best ones; ``error`` is that of the best."""
    rows = {}
    for figure in FIGURES:
        count = len(asking(verdicts["a single take"], figure)) // TAKES
        if count:
            rights = {name: accuracy(heard, figure) for name, heard in verdicts.items()}
            widest = max(share * (1 - share) for share in rights.values())
            rows[figure] = {"asked": count, **rights, "error": math.sqrt(widest / count)}
    return rows


def sureness(heard: list[Heard], verdicts: list[Verdict]) -> dict[str, list[tuple[int, float]]]:
    """Of every figure, between each two of ``MARKS``: takes, and the share that is right."""
    found = {}
    for figure in FIGURES:
        pairs = [
            (one.score.parts[figure], verdict.right(figure))
            for one, verdict in zip(heard, verdicts, strict=True)
            if figure in one.score.parts and getattr(verdict.asked, figure) is not None
        ]
        likely, right = (np.array(column) for column in zip(*pairs, strict=True))
        places = np.clip(np.searchsorted(MARKS, likely, "right"), 1, len(MARKS) - 1)
        parts = [right[places == place] for place in range(1, len(MARKS))]
        found[figure] = [(len(part), float(part.mean()) if len(part) else 0.0) for part in parts]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audition", description=__doc__)
    parser.add_argument("--model", default="nano", help="short name, hub id or folder")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()

    judge = judge_for(options.model)
    player = cadenza.load(options.model)
    verdicts: Verdicts = {"a single take": [], "best by rules": []}
    if player.critic is not None:
        verdicts["best by critic"] = []
    criticised: list[Heard] = []
    for number, prompt in enumerate(chosen()):
        takes = player.generate_batch(
            [
                GenerateRequest(prompt.text, duration=EXCERPT_SECONDS, seed=number * TAKES + take)
                for take in range(TAKES)
            ]
        )
        heard = judged(judge, [prompt] * TAKES, [judged_part(take.audio) for take in takes])
        of_take = {id(take): verdict for take, verdict in zip(takes, heard, strict=True)}
        verdicts["a single take"] += heard
        verdicts["best by rules"].append(of_take[id(ranked(takes)[0].take)])
        if player.critic is not None:
            ranking = ranked(takes, player.critic)
            verdicts["best by critic"].append(of_take[id(ranking[0].take)])
            order = {id(one.take): one for one in ranking}
            criticised += [order[id(take)] for take in takes]
    rows = figures(verdicts)
    lines = [
        [
            figure,
            f"{row['asked']:.0f}",
            *(f"{row[name]:.0%}" for name in verdicts),
            f"± {100 * row['error']:.0f}",
        ]
        for figure, row in rows.items()
    ]
    print(table(["", "asked", *verdicts, "at most"], lines))
    written = {"figures": rows}
    if criticised:
        sure = sureness(criticised, verdicts["a single take"])
        spans = [f"{low:.2f} to {high:.2f}" for low, high in pairwise(MARKS)]
        lines = [
            [figure, *(f"{share:.0%} of {count}" if count else "-" for count, share in row)]
            for figure, row in sure.items()
        ]
        print()
        print(table(["the critic says", *spans], lines))
        written["sureness"] = sure
    if options.json:
        write_json(options.json, written)


if __name__ == "__main__":
    main()
