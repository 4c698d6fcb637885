"""One track of a band played again; the others stay as they are."""

from __future__ import annotations

from pydantic import Field, field_validator

from cadenza.jobs.asking import told
from cadenza.jobs.kinds.band import OfSession, hand_over_with_stems, take_over
from cadenza.jobs.kinds.kind import Kind, Work
from cadenza.prompting import check_prompt
from cadenza.studio.band import remake
from cadenza.types import MAX_SEED


class Remake(OfSession):
    track: str = Field(max_length=40, description="The name of the track.")
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="The same seed makes the same take; null draws one."
    )
    words: str | None = Field(None, description="Another prompt for the track; null keeps its own.")

    @field_validator("words")
    @classmethod
    def _words(cls, words: str | None) -> str | None:
        with told():
            if words is not None:
                check_prompt(words, "prompt of the track")
        return words


def _run(request: Remake, work: Work) -> None:
    session = take_over(request, work)
    remake(
        work.model,
        session.path,
        request.track,
        seed=request.seed,
        prompt=request.words,
        progress=work.progress,
        say=work.say,
    )
    hand_over_with_stems(session, work)


KIND = Kind(Remake, _run, {"job": "0123456789abcdef0123456789abcdef", "track": "bass"})
