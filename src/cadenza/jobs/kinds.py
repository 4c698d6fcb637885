"""What can be asked for: every kind of job, its request and what makes it.

To add one: a request of the library's turned into JSON by :func:`asked`, a function that works on
it, and an entry in ``KINDS``. Server, worker, client and documentation follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from cadenza.audio import FORMATS, check_loudness
from cadenza.errors import OptionError
from cadenza.files import write_atomically
from cadenza.jobs.asking import Asked, asked
from cadenza.request import BUFFER, GenerateRequest, Sound, check_stream
from cadenza.types import Codes, Progress

if TYPE_CHECKING:
    from cadenza.model import Model


@dataclass(frozen=True)
class Work:
    """What a kind works with."""

    model: Model
    folder: Path  # what it writes here are the files of the result
    progress: Progress  # to be called often; raises Cancelled when the job has to stop
    sound: Callable[[str], Sound]  # an upload by its id

    def build(self, request: Asked) -> Any:
        """The library's request, its sounds read.

        Raises:
            NotFound, AudioError: an upload is gone or damaged.
        """
        sounds = {name: self.sound(id) for name, id in request.uploads.items()}
        return request.library(**request.options(sounds))


@dataclass(frozen=True)
class Kind:
    request: type[Asked]
    run: Callable[[Any, Work], None]
    example: dict[str, Any]  # a request, for the documentation


class SoundFile(Asked):
    """Options of kinds that make a sound file."""

    format: Literal[tuple(FORMATS)] = Field("wav", description="Of the sound file.")  # type: ignore[valid-type]
    loudness: float | None = Field(None, description="LUFS to bring it to; null leaves it alone.")

    @field_validator("loudness")
    @classmethod
    def _loudness(cls, lufs: float | None) -> float | None:
        try:
            if lufs is not None:
                check_loudness(lufs)
        except OptionError as error:
            raise PydanticCustomError("rule", "{reason}", {"reason": str(error)}) from error
        return lufs


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
}


class ListenBase(Asked):
    """Options of what is heard while it is made."""

    duration: float | None = Field(None, description="Seconds; null goes on until it is closed.")
    buffer: float = Field(BUFFER, description="Seconds that are made ahead of the listener.")

    @model_validator(mode="after")
    def _as_a_stream(self) -> ListenBase:
        try:
            check_stream(self.duration, self.buffer)
        except OptionError as error:
            raise PydanticCustomError("rule", "{reason}", {"reason": str(error)}) from error
        return self


Generate = asked(GenerateRequest, "Generate", SoundFile, MUSIC)
Listen = asked(GenerateRequest, "Listen", ListenBase, MUSIC)


def _generate(request: Any, work: Work) -> None:
    [take] = work.model.generate_batch([work.build(request)], work.progress)
    name = f"music{FORMATS[request.format].suffix}"
    take.save(work.folder / name, request.format, request.loudness, recipe=True)
    write_codes(take.codes, work.folder / "codes.npy")


def write_codes(codes: Codes, place: Path) -> None:
    """Codes as a numpy array, so that another program can go on from them."""
    buffer = BytesIO()
    np.save(buffer, codes.ids.astype(np.int16), allow_pickle=False)
    write_atomically(place, buffer.getvalue())


KINDS = {
    "generate": Kind(
        Generate, _generate, {"prompt": "jazz piano, 120 bpm", "duration": 10.0, "seed": 7}
    ),
}
