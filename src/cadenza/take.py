"""One generated piece: its sound, its codes, and all that is needed to make it again."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import soundfile

from cadenza import audio as sound
from cadenza.errors import RecipeError
from cadenza.files import write_atomically
from cadenza.tags import Tags, read_tags
from cadenza.types import Audio, Codes, Recipe

MAX_TITLE = 100  # characters; the whole prompt is in the recipe


@dataclass(frozen=True, eq=False)
class Take:
    """``audio [C, N]`` as the codec made it from ``codes [K, T]``, or stretched and cut where the
    recipe has ``in_time`` and transposed where it has ``in_key``; and the recipe of both."""

    audio: Audio
    codes: Codes
    recipe: Recipe

    @property
    def as_played(self) -> bool:
        """Whether the audio is what the codes are."""
        return not (self.recipe.in_time or self.recipe.in_key)

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


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in the tags of a sound file, or in the ``.json`` that lay beside one.

    Raises:
        RecipeError: there is no such file, or no recipe in it.

    The ``.json`` beside a loop holds what was measured in it, and the recipe among that.
    """
    place = Path(path)
    try:
        text = place.read_text("utf-8") if place.suffix == ".json" else read_tags(place).comment
    except UnicodeEncodeError as error:
        raise RecipeError(f"{place} has bytes in its name that are no text: rename it") from error
    except (OSError, UnicodeDecodeError, soundfile.LibsndfileError, TypeError) as error:
        reason = "does not exist" if not place.exists() else "is neither a sound nor a recipe"
        raise RecipeError(f"{place} {reason}: give a file that Cadenza made") from error
    if not text:
        raise RecipeError(f"{place} has no recipe in its tags: give a file that Cadenza made")
    return Recipe.from_json((_of_a_loop(text) if place.suffix == ".json" else None) or text)


def _of_a_loop(text: str) -> str | None:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return None
    inside = isinstance(facts, dict) and "loop" in facts and facts.get("recipe")
    return json.dumps(inside) if inside else None
