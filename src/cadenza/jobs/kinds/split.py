"""An upload taken apart into drums, bass, vocals and the rest."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
from pydantic import Field

from cadenza.audio import Extent
from cadenza.errors import ModelNotFound
from cadenza.jobs.asking import Asked, UploadId
from cadenza.jobs.kinds.kind import Kind, Work
from cadenza.stems.weights import STEMS

log = logging.getLogger(__name__)

MODEL = "htdemucs"


class Split(Asked):
    sounds = ("sound",)

    sound: UploadId = Field(description="The upload to take apart.")
    two: Literal[STEMS] | None = Field(  # type: ignore[valid-type]
        None, description="Only this stem, and all the rest in another."
    )


def _run(request: Split, work: Work) -> None:
    from cadenza.stems import load_separator
    from cadenza.stems.writing import stem_files

    try:
        separator = load_separator(MODEL, two=request.two)
    except ModelNotFound as error:  # which says where on this machine it was looked for
        log.error("%s", error)
        raise ModelNotFound(
            f"this server does not have {MODEL}, which takes sounds apart, and could not fetch it: "
            "whoever runs it may let it reach the hub once"
        ) from error
    audio = work.sound(request.sound).audio
    stems = separator.separate(audio, two=request.two, progress=work.progress)
    extent = Extent(audio.rate, audio.channels, audio.samples.shape[1])
    # As the command writes them: in float, each as loud as it is, so that they add up to the sound.
    with stem_files(work.folder, [f"stem-{name}" for name in stems], extent) as (_, write):
        write(np.stack([stem.samples for stem in stems.values()]))


KIND = Kind(Split, _run, {"sound": "0123456789abcdef0123456789abcdef", "two": "vocals"})
