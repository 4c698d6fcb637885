"""The prompts of the benchmark and what they ask for.

Those in ``prompts.toml`` were written for it, each with all that it asks for. Those in
``people.toml`` were written by people for other programs, and are read as ``cadenza evaluate``
reads prompts.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.labels import Labels
from cadenza.studio.wishes import wishes_of
from cadenza.types import Key

PROMPTS = Path(__file__).with_name("prompts.toml")
PEOPLE = Path(__file__).with_name("people.toml")


@dataclass(frozen=True)
class Prompt:
    """A text, and what a take of it must hold."""

    text: str
    labels: Labels
    solo: bool = False  # one instrument, and nothing else

    @property
    def key(self) -> Key | None:
        """The key that it asks for."""
        return wishes_of(self.text).key


def read_prompts(path: Path = PROMPTS) -> list[Prompt]:
    """All prompts, in order."""
    return [
        Prompt(entry.pop("text"), solo=entry.pop("solo", False), labels=Labels(**entry))
        for entry in _toml(path)["prompt"]
    ]


def read_people(path: Path = PEOPLE) -> list[Prompt]:
    """The prompts that people wrote, source by source."""
    return [_read(**entry) for source in _toml(path)["source"] for entry in source["prompts"]]


SETS = {"own": read_prompts, "people": read_people}


def _read(text: str, drums: bool | None = None, instrument: str | None = None) -> Prompt:
    said = wishes_of(text)
    drums = said.drums if drums is None else drums
    return Prompt(text, Labels(said.tempo, drums, instrument, said.mode))


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
