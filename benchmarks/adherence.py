"""Whether takes hold what their prompts ask for: ``python -m benchmarks.adherence``.

A listener hears tempo, mode, drums and the leading instrument. It was taught on rendered pieces,
as they are and through the model's codec, and is checked on held-out ones. Its accuracy on those
is what it can be trusted with, so a model is measured by the share of it that its takes reach.

Real renders and round trips are weighted like the prompts: where a fifth of them ask for a flute,
renders with a flute count a fifth. A tempo is right within 4 %; half and double are wrong. Chance
is how often the takes hold what another prompt asks for.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

from benchmarks.features import extract
from benchmarks.judge import Judge, judge_for
from benchmarks.labels import FIGURES
from benchmarks.pieces import EXCERPT_SECONDS
from benchmarks.prompts import SETS, Prompt
from benchmarks.table import table, write_json
from benchmarks.takes import add_choosing, chosen, takes
from benchmarks.verdicts import (
    Verdict,
    accuracy,
    asking,
    chance,
    matched_accuracy,
    octave_errors,
)
from cadenza.types import FloatArray

BARS = {"tempo": 0.8, "mode": 0.7, "drums": 0.9, "instrument": 0.9}


def judged(judge: Judge, prompts: list[Prompt], sounds: list[FloatArray]) -> list[Verdict]:
    """What each prompt asked for and what is heard in its take."""
    heard = [judge.listener.hear(extract(sound[None]))[0] for sound in sounds]
    pairs = zip(prompts, heard, strict=True)
    return [Verdict(prompt.labels, labels) for prompt, labels in pairs]


def figures(judge: Judge, verdicts: list[Verdict]) -> dict[str, dict[str, float]]:
    """All that is printed, by figure."""
    rows = {}
    for figure in FIGURES:
        ours = accuracy(verdicts, figure)
        count = len(asking(verdicts, figure))
        renders = matched_accuracy(judge.renders, verdicts, figure)
        rows[figure] = {
            "takes asked": count,
            "real renders": renders,
            "round trips": matched_accuracy(judge.round_trips, verdicts, figure),
            "chance": chance(verdicts, figure),
            "takes": ours,
            "error": math.sqrt(ours * (1 - ours) / count),
            "share": ours / renders,
        }
    return rows


def report(rows: dict[str, dict[str, float]], judge: Judge, verdicts: list[Verdict]) -> str:
    """The table, and what is behind it."""
    head = ["", "asked", "real renders", "round trips", "chance", "takes", "share", "bar", ""]
    lines = [
        [
            figure,
            f"{row['takes asked']}",
            *(f"{row[name]:.0%}" for name in ("real renders", "round trips", "chance")),
            f"{row['takes']:.0%} ± {100 * row['error']:.0f}",
            f"{row['share']:.0%}",
            *_verdict(figure, row["share"]),
        ]
        for figure, row in rows.items()
    ]
    every = ", ".join(f"{figure} {accuracy(judge.renders, figure):.1%}" for figure in FIGURES)
    trips = ", ".join(f"{figure} {accuracy(judge.round_trips, figure):.1%}" for figure in FIGURES)
    octaves = [octave_errors(part) for part in (judge.renders, judge.round_trips, verdicts)]
    return "\n".join(
        [
            table(head, lines),
            "",
            f"listener on all {len(judge.renders)} held-out excerpts: {every}",
            f"  on their round trips: {trips}",
            "tempo right but for its octave: renders {:.1%}, round trips {:.1%}, "
            "takes {:.1%}".format(*octaves),
        ]
    )


def _verdict(figure: str, share: float) -> tuple[str, str]:
    if figure not in BARS:
        return "", ""
    return f"≥ {BARS[figure]:.0%}", "reached" if share >= BARS[figure] else "missed"


def _seconds(text: str) -> float:
    seconds = float(text)
    if seconds < EXCERPT_SECONDS:
        raise argparse.ArgumentTypeError(f"the listener hears {EXCERPT_SECONDS:.0f} s of a take")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.adherence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="nano", help="short name, hub id or folder")
    parser.add_argument("--prompts", choices=SETS, default="own", help="or those people wrote")
    parser.add_argument("--takes", type=int, default=1, help="of each prompt")
    add_choosing(parser)
    parser.add_argument("--duration", type=_seconds, default=10.0, help="the first 10 s are heard")
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--json", type=Path, help="write the figures and all verdicts there")
    parser.add_argument("--plot", type=Path, help="draw takes beside renders, as PNG")
    options = parser.parse_args()

    judge = judge_for(options.model)
    prompts = [prompt for prompt in SETS[options.prompts]() for _ in range(options.takes)]
    sounds = list(
        takes(options.model, prompts, options.duration, options.guidance, **chosen(options))
    )
    verdicts = judged(judge, prompts, sounds)
    rows = figures(judge, verdicts)
    print(report(rows, judge, verdicts))
    if options.plot:
        # Imported here, because drawing is not needed for figures.
        from benchmarks.plot import plot

        plot(options.plot, prompts, sounds)
    if options.json:
        write_json(
            options.json,
            {
                "model": options.model,
                "prompts": options.prompts,
                "guidance": options.guidance,
                **chosen(options),
                "figures": rows,
                "takes": [
                    {
                        "prompt": prompt.text,
                        "first seed": place * options.best_of,
                        **dataclasses.asdict(verdict),
                    }
                    for place, (prompt, verdict) in enumerate(zip(prompts, verdicts, strict=True))
                ],
            },
        )


if __name__ == "__main__":
    main()
