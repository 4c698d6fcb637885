"""Loops of whole bars, cut where their ends meet."""

from __future__ import annotations

from typing import Any

from cadenza.jobs.asking import Asked, asked
from cadenza.jobs.kinds.kind import Kind, Work
from cadenza.studio.loop import loops, plan

HELP = {
    "prompt": "What to play.",
    "bars": "How many bars each loop has.",
    "tempo": "Beats a minute; null takes the prompt's, or what is heard.",
    "seed": "Of the first one; null draws it.",
    "count": "How many, with the seeds that follow.",
    "guidance": "How closely to follow the prompt, 1 to 20.",
}

Loops = asked(plan, "Loops", Asked, HELP)


def _run(request: Any, work: Work) -> None:
    made = loops(work.model, progress=work.progress, **work.options(request))
    for number, loop in enumerate(made, 1):
        loop.save(work.folder / f"loop-{number}.wav")


KIND = Kind(Loops, _run, {"prompt": "techno, 130 bpm", "bars": 4, "count": 2})
