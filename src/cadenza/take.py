"""One generated piece: its sound, its codes, and all that is needed to make it again."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cadenza import audio as sound
from cadenza.files import write_atomically
from cadenza.tags import Tags
from cadenza.types import Audio, Codes, Recipe

MAX_TITLE = 100  # characters; the whole prompt is in the recipe


@dataclass(frozen=True, eq=False)
class Take:
    """``audio [C, N]`` as the codec made it, ``codes [K, T]``, and the recipe of both."""

    audio: Audio
    codes: Codes
    recipe: Recipe

    def save(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,
        loudness: float | None = None,
        recipe: bool = False,
    ) -> Path:
        """Write the piece with its recipe in the tags, whole or not at all.

        Args:
            path: where to; its suffix is the format unless ``format`` names one
                (``wav``, ``wav24``, ``wavfloat``, ``flac``, ``mp3``, ``ogg``, ``opus``).
            loudness: LUFS (BS.1770), or as near as full scale allows; ``None`` leaves it alone.
            recipe: write the recipe into a ``.json`` beside it, too.

        Raises:
            OptionError: an unknown format, a loudness out of range.
            OutputError: it cannot be written there; what was there before is kept.
        """
        audio = self.audio if loudness is None else sound.normalise(self.audio, loudness)
        tags = Tags(
            title=(self.recipe.prompt or "unconditional")[:MAX_TITLE],
            comment=self.recipe.to_json(),
            software=f"Cadenza {self.recipe.package}",
        )
        place = sound.write(audio, path, format, tags)
        if recipe:
            text = json.dumps(dataclasses.asdict(self.recipe), ensure_ascii=False, indent=2)
            write_atomically(place.with_suffix(".json"), f"{text}\n".encode())
        return place
