"""A piece of several instruments, each on a track of its own, mixed."""

from __future__ import annotations

import os
from typing import Any

from pydantic import Field

from cadenza.jobs.asking import Asked, JobId, asked
from cadenza.jobs.kinds.kind import Kind, Work
from cadenza.studio.band import band, plan
from cadenza.studio.folder import Folder
from cadenza.studio.packing import pack, unpack

SESSION = "session.zip"

HELP = {
    "prompt": "What all play, with tempo and key.",
    "tracks": "Instruments, each a track of its own.",
    "prompts": "Prompts of single tracks, by name.",
    "how": "together, or layered: each track hears what is there.",
    "bars": "The length.",
    "seed": "The same seed makes the same band; null draws one.",
    "retries": "More takes of a track that is not in time or key.",
    "guidance": "How closely to follow the prompts, 1 to 20.",
    "duck": "Let the bass step back under the kick.",
}

Band = asked(plan, "Band", Asked, HELP, without=("model", "rate", "adapters"))


def _run(request: Any, work: Work) -> None:
    place = work.scratch / "session"
    options = work.options(request)
    band(
        work.model,
        options.pop("prompt"),
        options.pop("tracks"),
        place,
        progress=work.progress,
        say=work.say,
        **options,
    )
    hand_over_with_stems(Folder.open(place), work)


class OfSession(Asked):
    """What works on the session of an earlier job."""

    job: JobId = Field(description="A band, or what came of one: a mix, a track played again.")

    @property
    def results(self) -> dict[str, str]:
        return {self.job: SESSION}


def take_over(request: OfSession, work: Work) -> Folder:
    """The session of the earlier job, to be changed."""
    return unpack(work.result(request.job, SESSION), work.scratch / "session")


def hand_over(session: Folder, work: Work) -> None:
    """Make a session the result: its mix, what it is made of, and all of it as one file."""
    os.replace(pack(session), work.folder / SESSION)
    for name in ("mix.wav", "session.json"):
        os.replace(session.path / name, work.folder / name)


def hand_over_with_stems(session: Folder, work: Work) -> None:
    """The same, and what each track is of the mix."""
    hand_over(session, work)
    for stem in (session.path / "stems").glob("*.wav"):
        os.replace(stem, work.folder / f"stem-{stem.name}")


KIND = Kind(Band, _run, {"prompt": "funk, 110 bpm, E minor", "tracks": ["drums", "bass", "guitar"]})
