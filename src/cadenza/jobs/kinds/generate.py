"""A piece of music, as a file or while it is made."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from cadenza.audio import FORMATS, check_loudness
from cadenza.files import write_atomically
from cadenza.jobs.asking import Asked, asked, told
from cadenza.jobs.kinds.kind import Kind, Work
from cadenza.request import BUFFER, GenerateRequest, check_stream
from cadenza.studio.audition import CHOICE, count_for, play

MOST_TAKES = CHOICE  # that one job may ask for

MUSIC = {
    "prompt": "What to play; null is whatever the model likes.",
    "duration": "Seconds of new music, at most 600.",
    "seed": "The same seed makes the same music; null draws one.",
    "negative": "A text to steer away from.",
    "guidance": "How closely to follow the prompt, 1 (not at all) to 20.",
    "temperature": "How bold the choices are, 0 (always the likeliest) to 10.",
    "top_k": "Choose among so many of the likeliest tokens.",
    "top_p": "Choose among the likeliest that hold this share, up to 1.",
    "melody": "The upload whose tune to follow (melody models).",
    "beginning": "The upload to go on from.",
    "enhance": "Add what the prompt leaves open.",
    "verbatim": "Let the model read the prompt word for word; else one with a critic is told the "
    "instrument that leads first.",
    "in_time": "Stretch it to the tempo that the prompt names, if it names one; null does so where "
    "a critic keeps the best of several.",
    "in_key": "Transpose it to the key that the prompt names, likewise.",
}


WHOLE = ("in_time", "in_key")  # what can only be done to a whole piece


class MusicFile(Asked):
    """Options of what is heard when it is whole."""

    best_of: int | None = Field(
        None,
        ge=1,
        le=MOST_TAKES,
        description="Make so many takes and keep the best of them; null is "
        f"{CHOICE} of a model with a critic, where no seed is given, else 1.",
    )
    format: Literal[tuple(FORMATS)] = Field("wav", description="Of the sound file.")  # type: ignore[valid-type]
    loudness: float | None = Field(None, description="LUFS to bring it to; null leaves it alone.")

    @field_validator("loudness")
    @classmethod
    def _loudness(cls, lufs: float | None) -> float | None:
        with told():
            if lufs is not None:
                check_loudness(lufs)
        return lufs


class ListenBase(Asked):
    """Options of what is heard while it is made."""

    duration: float | None = Field(None, description="Seconds; null goes on until it is closed.")
    buffer: float = Field(BUFFER, description="Seconds that are made ahead of the listener.")

    @model_validator(mode="after")
    def _as_a_stream(self) -> ListenBase:
        with told():
            check_stream(self.duration, self.buffer)
        return self


Generate = asked(GenerateRequest, "Generate", MusicFile, MUSIC)
Listen = asked(GenerateRequest, "Listen", ListenBase, MUSIC, WHOLE)


def _run(request: Any, work: Work) -> None:
    asked_for = GenerateRequest(**work.options(request))
    count = count_for(request.best_of, asked_for.seed, work.model, [asked_for.text])
    [[take, *_]], rankings = play(work.model, [asked_for], count, work.progress)
    for ranking in rankings:
        scores = json.dumps([one.facts for one in ranking], ensure_ascii=False)
        write_atomically(work.folder / "auditions.json", scores.encode())
    name = f"music{FORMATS[request.format].suffix}"
    take.save(work.folder / name, request.format, request.loudness, recipe=True)
    # As an array, so that another program can go on from the codes.
    codes = BytesIO()
    np.save(codes, take.codes.ids.astype(np.int16), allow_pickle=False)
    write_atomically(work.folder / "codes.npy", codes.getvalue())


KIND = Kind(Generate, _run, {"prompt": "jazz piano, 120 bpm", "duration": 10.0, "seed": 7})
