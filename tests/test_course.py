"""What is told of a band while it is made: a share that never goes back, and true words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cadenza.errors import Cancelled
from cadenza.request import GenerateRequest
from cadenza.studio import trying
from cadenza.studio.align import Alignment, Grid
from cadenza.studio.band import band, resume
from cadenza.take import Take
from cadenza.types import Audio, Codes, ModelIdentity, Progress, Recipe, Sampling

RATE = 4000
TRACKS = ["drums", "bass", "piano", "guitar"]


class Silent:
    """Plays silence in so many steps, and breaks off in one of its batches."""

    family, name, rate = "text", "silent", RATE
    identity = ModelIdentity("silent", None, "", "Apache-2.0")

    def __init__(self, steps: int, breaks_off: int) -> None:
        self.steps, self.breaks_off = steps, breaks_off
        self.batches = 0

    def generate_batch(
        self, requests: Sequence[GenerateRequest], progress: Progress | None = None
    ) -> list[Take]:
        assert progress is not None
        self.batches += 1
        for step in range(1, self.steps + 1):
            progress(step, self.steps)
            if self.batches == self.breaks_off:
                raise Cancelled("enough")
        return [self._take(request) for request in requests]

    def _take(self, request: GenerateRequest) -> Take:
        sampling = Sampling(seed=request.seed or 0)
        text = request.prompt
        recipe = Recipe(self.identity, text, text, None, 1, sampling, "", "", "", "")
        sound = Audio(np.zeros((1, round(RATE * request.duration)), np.float32), RATE)
        return Take(sound, Codes(np.zeros((1, 1), np.int64), 50.0), recipe)


class Waiting:
    """Somebody who watches."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.words: list[str] = []

    def told(self) -> dict[str, Any]:
        return {
            "progress": lambda done, total: self.shares.append(done / total),
            "say": self.words.append,
        }

    def check(self) -> None:
        assert self.shares == sorted(self.shares)
        assert all(0 <= share <= 1 for share in self.shares)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    tracks=st.integers(1, 4),
    retries=st.integers(0, 3),
    how=st.sampled_from(["together", "layered"]),
    fit=st.lists(st.booleans(), min_size=1, max_size=7),
    steps=st.integers(1, 5),
    breaks_off=st.integers(0, 4),
)
def test_progress_never_goes_back_and_ends_at_the_end(
    tracks: int, retries: int, how: str, fit: list[bool], steps: int, breaks_off: int
) -> None:
    verdicts = iter(fit * 100)

    def align(audio: Audio, grid: Grid, pitched: bool) -> tuple[Audio, Alignment]:
        faults = () if next(verdicts) else ("it is late",)
        alignment = Alignment(None, 0.0, None, 0.0, 1.0, 0.0, 0.0, None, faults, 0.0)
        return Audio(audio.samples[:, : grid.samples], RATE), alignment

    names, watching = TRACKS[:tracks], Waiting()
    player = Silent(steps, breaks_off)
    options = {"bars": 1, "seed": 1, "retries": retries, "how": how}
    prompt = "funk, 240 bpm, C major"
    with TemporaryDirectory() as folder, patch.object(trying, "align", align):
        place = Path(folder) / "session"
        try:
            band(player, prompt, names, place, **options, **watching.told())
        except Cancelled:
            watching.check()
            watching = Waiting()
            resume(player, place, **watching.told())
        tries = {name: len([*(place / "takes").glob(f"{name}-*.wav")]) for name in names}
    watching.check()
    assert watching.shares[-1] == 1 and watching.words[-1] == "mixing"
    if not breaks_off or breaks_off > player.batches:  # nothing was said to somebody else
        for name, count in tries.items():
            about = [part for said in watching.words for part in said.split("; ") if name in part]
            takes = [int(number) for part in about for number in re.findall("take (.*) of", part)]
            assert sum(part.startswith("playing") for part in about) == 1
            assert takes == [*range(2, count + 1)]
