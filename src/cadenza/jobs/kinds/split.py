"""An upload taken apart into drums, bass, vocals and the rest."""

from __future__ import annotations

from pydantic import Field

from cadenza.audio import write
from cadenza.jobs.asking import Asked, UploadId
from cadenza.jobs.kinds.kind import Kind, Work

MODEL = "htdemucs"


class Split(Asked):
    sounds = ("sound",)

    sound: UploadId = Field(description="The upload to take apart.")
    two: str | None = Field(
        None, max_length=20, description="Only this stem, and all the rest in another."
    )


def _run(request: Split, work: Work) -> None:
    from cadenza.stems import load_separator

    separator = load_separator(MODEL)
    audio = work.sound(request.sound).audio
    for name, stem in separator.separate(audio, two=request.two, progress=work.progress).items():
        write(stem, work.folder / f"stem-{name}.wav")


KIND = Kind(Split, _run, {"sound": "0123456789abcdef0123456789abcdef", "two": "vocals"})
