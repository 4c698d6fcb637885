"""Loops: so many bars at exactly the tempo asked for, which end where they begin."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cadenza import audio as sound
from cadenza.beats import analyse
from cadenza.errors import AudioError, OptionError
from cadenza.files import write_atomically
from cadenza.request import GenerateRequest, new_seed
from cadenza.studio.align import MOST_STRETCH, Grid, stretch_to, trusted
from cadenza.studio.asked import asked, check_length, check_tempo
from cadenza.studio.audition import check_count
from cadenza.studio.beginning import BEFORE, best_beginning
from cadenza.studio.loopfile import with_loop_points
from cadenza.studio.player import Player
from cadenza.studio.seam import Seam
from cadenza.studio.stretch import stretch
from cadenza.tags import Tags
from cadenza.take import MAX_TITLE, Take
from cadenza.types import Audio, Progress, Recipe

MAX_BARS, MAX_COUNT = 64, 100
TOGETHER = 8  # takes in a batch
MORE = 2.2  # times the length that is made, so that there are places to choose from
UNKNOWN = 90.0  # beats a minute that lengths are reckoned with until the tempo is known
NO_PULSE = 120.0  # the tempo where none was asked for and none is heard
BLIND = 0.1  # seconds between the places that are tried where no beat is heard


@dataclass(frozen=True, eq=False)
class Loop:
    """``audio [C, N]`` of exactly ``grid.samples``, and how well its end meets its beginning."""

    audio: Audio
    grid: Grid
    seam: Seam
    heard: float | None  # the tempo of the take, before it was stretched
    stretched: float  # times as long as it was
    start: float  # seconds into the stretched take
    on_downbeat: bool  # False where no beat is heard to begin on
    faults: tuple[str, ...]
    recipe: Recipe  # of the take it was cut from

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a 24-bit WAV with loop points and tempo, and what was measured beside it.

        Raises:
            OptionError: the name of the file is that of another format.
            OutputError: it cannot be written; what was there before is kept.
        """
        sound.format_of(path, "wav")  # which holds loop points
        title = (self.recipe.prompt or "loop")[:MAX_TITLE]
        tags = Tags(title, self.recipe.to_json(), f"Cadenza {self.recipe.package}")
        grid = self.grid
        content = with_loop_points(
            sound.encode(self.audio, "wav24", tags),
            grid.samples,
            grid.rate,
            bars=grid.bars,
            meter=grid.meter,
            tempo=grid.tempo,
        )
        place = write_atomically(path, content)
        write_atomically(place.with_suffix(".json"), self._facts().encode())
        return place

    def _facts(self) -> str:
        facts = {
            "tempo": self.grid.tempo,
            "bars": self.grid.bars,
            "meter": self.grid.meter,
            "samples": self.grid.samples,
            "rate": self.grid.rate,
            "heard": self.heard,
            "stretched": self.stretched,
            "start": self.start,
            "on_downbeat": self.on_downbeat,
            "faults": self.faults,
            "seam": asdict(self.seam),
        }
        whole = {"loop": facts, "recipe": asdict(self.recipe)}
        return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def loops(
    player: Player, prompt: str, *, progress: Progress | None = None, **options: Any
) -> list[Loop]:
    """Make loops; ``options`` are those of :func:`plan`.

    Raises:
        PromptError, OptionError: see :func:`plan`.
        AudioError: a model played nothing that could be cut.
    """
    wanted = plan(prompt, **options)
    takes_in_all = len(wanted.requests)
    made: list[Loop] = []
    for first in range(0, takes_in_all, TOGETHER):
        batch = wanted.requests[first : first + TOGETHER]

        def share(done: int, total: int, first: int = first, size: int = len(batch)) -> None:
            if progress is not None:
                progress(first * total + done * size, takes_in_all * total)

        takes = player.generate_batch(batch, share)
        made += [cut(take, wanted.tempo, wanted.meter, wanted.bars) for take in takes]
    each = wanted.best_of
    groups = (made[first : first + each] for first in range(0, takes_in_all, each))
    return [min(group, key=_demerits) for group in groups]


def _demerits(loop: Loop) -> tuple[int, bool, float]:
    return len(loop.faults), not loop.on_downbeat, loop.seam.percentile


@dataclass(frozen=True)
class Wanted:
    """What is asked of a model, and what is to be cut from its takes."""

    requests: tuple[GenerateRequest, ...]
    tempo: float | None
    meter: int
    bars: int
    best_of: int


def plan(
    prompt: str,
    *,
    bars: int = 4,
    tempo: float | None = None,
    seed: int | None = None,
    count: int = 1,
    best_of: int = 1,
    guidance: float = 3.0,
) -> Wanted:
    """``count`` loops of ``bars`` bars, with the seeds from ``seed`` on: what :func:`loops` is
    going to do, checked.

    Args:
        tempo: beats a minute; without it the prompt's, and where that has none, what is heard.
        best_of: takes of each loop; kept is the one with the fewest faults, and of those the one
            whose seam is heard least.

    Raises:
        PromptError: a prompt that is empty or too long.
        OptionError: an option out of range.
    """
    if not 1 <= bars <= MAX_BARS:
        raise OptionError(f"a loop has 1 to {MAX_BARS} bars, not {bars}")
    if not 1 <= count <= MAX_COUNT:
        raise OptionError(f"count must be from 1 to {MAX_COUNT}, not {count}")
    check_count(best_of)
    said = asked(prompt)
    if tempo is not None:
        check_tempo(tempo)
        if said.tempo is None:
            prompt = f"{prompt}, {tempo:g} bpm"
        elif said.tempo != tempo:
            raise OptionError(f"the prompt says {said.tempo:g} bpm, the option {tempo:g}: choose")
    tempo = tempo or said.tempo
    seconds = MORE * bars * said.meter * 60 / (tempo or UNKNOWN) + 2 * BEFORE
    check_length(bars, seconds)
    first = new_seed() if seed is None else seed
    requests = tuple(
        GenerateRequest(prompt, duration=seconds, seed=first + number, guidance=guidance)
        for number in range(count * best_of)
    )
    return Wanted(requests, tempo, said.meter, bars, best_of)


def cut(take: Take, tempo: float | None, meter: int, bars: int) -> Loop:
    """The best loop of ``bars`` bars that a take holds.

    It is stretched to the tempo, then all downbeats are tried that leave room for the length: the
    end is cut where the music goes on most like it begins.

    Raises:
        AudioError: the take is too short.
    """
    heard = trusted(analyse(take.audio, tempo))
    grid = Grid(tempo or round(heard.tempo or NO_PULSE, 2), meter, bars, None, take.audio.rate)
    factor, fault = stretch_to(heard.tempo, grid.tempo), _fault(heard.tempo, grid.tempo)
    audio = stretch(take.audio, factor)
    downbeats = np.array(heard.downbeats) * factor
    found = best_beginning(audio, downbeats, grid.samples)
    on_downbeat = found is not None
    if found is None:
        found = best_beginning(audio, np.arange(0, audio.duration, BLIND), grid.samples)
    if found is None:
        raise AudioError(
            f"the take lasts {audio.duration:.1f} s, too short for a loop of "
            f"{grid.samples / grid.rate:.1f} s: ask for fewer bars"
        )
    return Loop(
        audio=found.loop,
        grid=grid,
        seam=found.seam,
        heard=heard.tempo,
        stretched=factor,
        start=found.start / grid.rate,
        on_downbeat=on_downbeat,
        faults=(fault,) if fault else (),
        recipe=take.recipe,
    )


def _fault(heard: float | None, tempo: float) -> str:
    """What is wrong with a take that could not be brought to ``tempo``."""
    if heard is None:
        return "no clear pulse is heard in it"
    off = abs(heard / tempo - 1) > MOST_STRETCH
    return f"it plays {heard:.1f} bpm, not {tempo:g}" if off else ""
