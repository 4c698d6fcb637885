"""The short names: the bundled model and the ten checkpoints that Meta published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NON_COMMERCIAL = "CC-BY-NC-4.0"
BUNDLED = "nano"


@dataclass(frozen=True)
class Entry:
    """What a short name stands for."""

    name: str
    repo: str | None  # the hub's id; None is bundled
    family: Literal["text", "melody"]
    channels: Literal[1, 2]
    megaparameters: int  # of text encoder, decoder and codec together
    licence: str = NON_COMMERCIAL


_ENTRIES = (
    Entry(BUNDLED, None, "text", 1, 20, licence="Apache-2.0"),
    Entry("small", "facebook/musicgen-small", "text", 1, 588),
    Entry("medium", "facebook/musicgen-medium", "text", 1, 2006),
    Entry("large", "facebook/musicgen-large", "text", 1, 3424),
    Entry("melody", "facebook/musicgen-melody", "melody", 1, 1553),
    Entry("melody-large", "facebook/musicgen-melody-large", "melody", 1, 2619),
    Entry("stereo-small", "facebook/musicgen-stereo-small", "text", 2, 605),
    Entry("stereo-medium", "facebook/musicgen-stereo-medium", "text", 2, 2031),
    Entry("stereo-large", "facebook/musicgen-stereo-large", "text", 2, 3458),
    Entry("stereo-melody", "facebook/musicgen-stereo-melody", "melody", 2, 1578),
    Entry("stereo-melody-large", "facebook/musicgen-stereo-melody-large", "melody", 2, 2653),
)

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def terms(licence: str) -> str:
    """What a licence means for the music, in a few words for the one who chooses a model."""
    if "nc" in licence.lower().split("-"):
        return f"{licence}: not for commercial use"
    return licence
